/** Which relations a statement touches, and how; CTE names are none. */
import { describe, expect, it } from 'vitest';
import { facts, relations, withParser } from './support.js';

withParser();

describe('relations and modes', () => {
  it.each<[string, string[]]>([
    ['SELECT 1', []],
    ['SELECT * FROM t, s.u, "T"', ['read t', 'read s.u', 'read T']],
    ['SELECT * FROM db.s.t', ['read s.t']],
    ['TABLE t', ['read t']],
    ['SELECT * FROM t a JOIN t b USING (id)', ['read t']],
    ['SELECT (SELECT 1 FROM a WHERE EXISTS (SELECT 1 FROM b)) FROM c', ['read a', 'read b', 'read c']],
    ['INSERT INTO t SELECT * FROM u', ['write t', 'read u']],
    ['INSERT INTO t SELECT * FROM t', ['write t', 'read t']],
    ['UPDATE ONLY t SET a = (SELECT max(a) FROM u) FROM v', ['write t', 'read u', 'read v']],
    ['DELETE FROM t USING u WHERE t.a IN (SELECT a FROM v)', ['write t', 'read u', 'read v']],
    ['MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE', ['write t', 'read s']],
    ['COPY t TO STDOUT', ['read t']],
    ['COPY t FROM STDIN', ['write t']],
    ['TRUNCATE t, u', ['write t', 'write u']],
    ['LOCK TABLE t IN ACCESS SHARE MODE', ['read t']],
    ['LOCK TABLE t', ['write t']],
    ['SELECT * FROM t x JOIN u y ON true FOR UPDATE OF x', ['read t', 'read u']],
    ['EXPLAIN DELETE FROM t USING u', ['read t', 'read u']],
    ['EXPLAIN ANALYZE DELETE FROM t', ['write t']],
    ['CREATE TABLE x AS SELECT * FROM t', ['ddl x', 'read t']],
    ['CREATE TEMP TABLE x AS SELECT * FROM t', ['write x', 'read t']],
    ['SELECT * INTO x FROM t', ['ddl x', 'read t']],
    ['CREATE VIEW v AS SELECT * FROM t', ['ddl v', 'read t']],
    ['CREATE TABLE t (a int REFERENCES u, LIKE v)', ['ddl t', 'read u', 'read v']],
    ['CREATE TABLE c PARTITION OF p DEFAULT', ['ddl c', 'ddl p']],
    ['CREATE INDEX i ON t (a)', ['ddl t']],
    ['CREATE TRIGGER g AFTER INSERT ON s.t EXECUTE FUNCTION f()', ['ddl s.t']],
    ['DROP TABLE a, s.b', ['ddl a', 'ddl s.b']],
    ['DROP VIEW v', ['ddl v']],
    ['DROP TRIGGER g ON s.t', ['ddl s.t']],
    ['DROP SCHEMA s', []],
    ['DROP FUNCTION f', []],
    ['ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u', ['ddl t', 'read u']],
    ['ALTER TABLE p ATTACH PARTITION c DEFAULT', ['ddl p', 'ddl c']],
    ['ALTER TABLE t INHERIT p', ['ddl t', 'ddl p']],
    ['ALTER TABLE s.t RENAME TO u', ['ddl s.t']],
    ['GRANT SELECT ON t, s.u TO x', ['ddl t', 'ddl s.u']],
    ['VACUUM t', ['ddl t']],
    ['REFRESH MATERIALIZED VIEW v', ['ddl v']],
    ['SET CONSTRAINTS c DEFERRED', []],
    ['EXPLAIN ANALYZE SELECT * FROM t', ['read t']],
  ])('%s', (sql, expected) => {
    expect(relations(sql)).toEqual(expected);
  });
});

describe('CTE names', () => {
  it.each<[string, string[]]>([
    ['WITH a AS (SELECT * FROM t) SELECT * FROM a', ['read t']],
    // The CTE hides the relation everywhere but in itself.
    ['WITH t AS (SELECT * FROM t) SELECT * FROM t', ['read t']],
    ['WITH t AS (SELECT 1) SELECT * FROM t', []],
    ['WITH t AS (SELECT 1) SELECT * FROM s.t', ['read s.t']],
    // Without RECURSIVE a CTE sees only those before it.
    ['WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b', ['read b']],
    ['WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b', []],
    ['WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b) SELECT * FROM a, b', ['read b']],
    ['SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) x, a', ['read a']],
    ['WITH a AS (SELECT 1) SELECT * FROM (SELECT * FROM a) x', []],
    ['WITH a AS (SELECT 1) SELECT * FROM t UNION SELECT * FROM a', ['read t']],
    // What is written is a relation, whatever the CTEs are called.
    ['WITH t AS (SELECT 1) DELETE FROM t USING t AS x', ['write t']],
    ['WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t', ['write t']],
    ['WITH t AS (SELECT 1) UPDATE t SET a = 1 FROM t AS x', ['write t']],
    ['WITH t AS (SELECT 1) SELECT * INTO t FROM t', ['ddl t']],
  ])('%s', (sql, expected) => {
    expect(relations(sql)).toEqual(expected);
  });
});

describe('names', () => {
  it('come folded and truncated as the lexer of PostgreSQL does it', () => {
    expect(relations('SELECT * FROM MyTable, "MyTable", Shop."Orders"')).toEqual([
      'read mytable',
      'read MyTable',
      'read shop.Orders',
    ]);
    // NAMEDATALEN - 1 = 63 bytes; the parser has cut already, on a character's edge.
    expect(relations(`SELECT * FROM ${'a'.repeat(70)}`)).toEqual([`read ${'a'.repeat(63)}`]);
    expect(relations(`SELECT * FROM "${'é'.repeat(40)}"`)).toEqual([`read ${'é'.repeat(31)}`]);
    expect(facts(`PREPARE ${'s'.repeat(70)} AS SELECT 1`).names).toMatchObject([{ name: 's'.repeat(63) }]);
    expect(facts(`SELECT nextval${'l'.repeat(60)}()`).calls).toMatchObject([
      { name: `nextval${'l'.repeat(56)}` },
    ]);
  });

  it('functions: each once, as spelled, with schema and number of arguments', () => {
    const { calls } = facts(
      'SELECT now(), NOW(), pg_catalog.now(), s.f(1), s.f(1, 2), extract(day FROM now())',
    );
    expect(calls.map(({ schema, name, arguments: count }) => [schema, name, count])).toEqual([
      [null, 'now', 0],
      ['pg_catalog', 'now', 0],
      ['s', 'f', 1],
      ['s', 'f', 2],
      ['pg_catalog', 'extract', 2],
    ]);
  });
});
