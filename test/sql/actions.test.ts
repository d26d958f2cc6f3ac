/** Actions: what a statement does, at whatever depth, with CASCADE and the strength of WHERE. */
import { describe, expect, it } from 'vitest';
import { actions, facts, statements, withParser } from './support.js';

withParser();

describe('actions at any depth, outermost first', () => {
  it.each<[string, string[]]>([
    ['SELECT 1', ['select()']],
    ['DELETE FROM shop.t WHERE id = 1', ['delete(shop.t) where=present']],
    [
      'WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d',
      ['select()', 'delete(t) where=none in the CTE "d"'],
    ],
    [
      'WITH a AS (WITH b AS (UPDATE t SET x = 1 RETURNING *) SELECT * FROM b) INSERT INTO u SELECT * FROM a',
      ['insert(u)', 'update(t) where=none in the CTE "b" in the CTE "a"'],
    ],
    ['PREPARE s AS DELETE FROM t', ['prepare()', 'delete(t) where=none under PREPARE "s"']],
    ['PREPARE s AS SELECT 1', ['prepare()', 'select() under PREPARE "s"']],
    ['EXPLAIN ANALYZE UPDATE t SET a = 1', ['explain()', 'update(t) where=none under EXPLAIN ANALYZE']],
    ['EXPLAIN (ANALYSE true) DELETE FROM t', ['explain()', 'delete(t) where=none under EXPLAIN ANALYZE']],
    ['EXPLAIN UPDATE t SET a = 1', ['explain()']],
    ['EXPLAIN (ANALYZE off) DELETE FROM t', ['explain()']],
    ['EXPLAIN ANALYZE EXECUTE s', ['explain()', 'execute() under EXPLAIN ANALYZE']],
    ['COPY (DELETE FROM t RETURNING *) TO STDOUT', ['copy_to()', 'delete(t) where=none under COPY']],
    ['COPY t FROM STDIN', ['copy_from(t)']],
    ['COPY t TO STDOUT', ['copy_to(t)']],
    ['CREATE TABLE x AS SELECT 1', ['create_table_as(x)', 'select() under CREATE TABLE AS']],
    ['CREATE TABLE x AS EXECUTE s', ['create_table_as(x)', 'execute() under CREATE TABLE AS']],
    [
      'CREATE MATERIALIZED VIEW x AS WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d',
      [
        'create_materialized_view(x)',
        'select() under CREATE MATERIALIZED VIEW',
        'delete(t) where=none in the CTE "d" under CREATE MATERIALIZED VIEW',
      ],
    ],
    ['SELECT 1 INTO x UNION SELECT 2', ['select_into(x)']],
    ['DECLARE c CURSOR FOR SELECT 1', ['declare()', 'select() in the cursor "c"']],
    [
      'CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; UPDATE v SET a = 1 WHERE b)',
      ['create_rule(t)', 'delete(u) where=none in the rule "r"', 'update(v) where=present in the rule "r"'],
    ],
    [
      'CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM t; SELECT 1; END',
      ['create_function(f)', 'delete(t) where=none in the body of the function "f"'],
    ],
    [
      "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t'",
      ['create_function(f)', 'delete(t) where=none in the body of the function "f"'],
    ],
    ['CREATE VIEW v AS SELECT * FROM t', ['create_view(v)']],
    ['CREATE SCHEMA s CREATE TABLE t (a int)', ['create_schema(s)', 'create_table(t) in CREATE SCHEMA']],
    ['INSERT INTO t VALUES (1); DELETE FROM u', ['insert(t)', 'delete(u) where=none']],
    ['DO $$ BEGIN END $$', ['do()']],
    ['CALL shop.p()', ['call()']],
    ['TRUNCATE a, ONLY b.c', ['truncate(a, b.c)']],
    ['LOCK TABLE t', ['lock_table(t)']],
    ['SET work_mem = 1', ['set()']],
    ['RESET ALL', ['reset()']],
    ['SHOW all', ['show()']],
    ['BEGIN', ['begin()']],
    ['START TRANSACTION', ['begin()']],
    ['END', ['commit()']],
    ['ABORT', ['rollback()']],
    ['SAVEPOINT a', ['savepoint()']],
    ['ROLLBACK TO a', ['rollback_to_savepoint()']],
    ['RELEASE a', ['release_savepoint()']],
    ['LISTEN a', ['listen()']],
    ['MOVE c', ['move()']],
    ['VACUUM t', ['vacuum(t)']],
    ['ANALYZE', ['analyze()']],
  ])('%s', (sql, expected) => {
    expect(actions(sql)).toEqual(expected);
  });

  it('the operation of a statement is that of its outermost command', () => {
    for (const [sql, operation] of [
      ['WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d', 'select'],
      ['EXPLAIN ANALYZE DELETE FROM t', 'explain'],
      ['PREPARE s AS DELETE FROM t', 'prepare'],
      ['MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE', 'merge'],
      ['VALUES (1)', 'select'],
      [';', 'empty'],
    ] as const) {
      expect(facts(sql).operation).toBe(operation);
    }
  });

  it('effects are those of everything inside, in a fixed order', () => {
    expect(facts('WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d').effects).toEqual(['read', 'write']);
    expect(facts("SELECT nextval('s'), pg_reload_conf()").effects).toEqual(['read', 'write', 'admin']);
    expect(facts("SELECT query_to_xml('x', true, true, '')").effects).toEqual(['read', 'opaque']);
    expect(facts('DO $$ $$').effects).toEqual(['read', 'opaque']);
    expect(facts("CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS 'x'").effects).toEqual([
      'ddl',
      'opaque',
    ]);
    expect(facts('CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1').effects).toEqual(['ddl']);
    expect(facts('SELECT 1 FOR UPDATE').effects).toEqual(['read', 'write']);
    expect(facts('EXPLAIN DELETE FROM t').effects).toEqual(['read']);
    expect(facts('BEGIN').effects).toEqual(['transaction']);
    expect(facts('SET ROLE x').effects).toEqual(['session']);
  });
});

describe('CASCADE, for every kind of object', () => {
  const kinds = [
    ...[
      'TABLE',
      'VIEW',
      'SEQUENCE',
      'INDEX',
      'SCHEMA',
      'TYPE',
      'DOMAIN',
      'COLLATION',
      'CONVERSION',
      'STATISTICS',
    ],
    ...[
      'EXTENSION',
      'SERVER',
      'LANGUAGE',
      'ROUTINE',
      'FUNCTION',
      'PROCEDURE',
      'ACCESS METHOD',
      'EVENT TRIGGER',
    ],
    ...[
      'PUBLICATION',
      'FOREIGN TABLE',
      'FOREIGN DATA WRAPPER',
      'MATERIALIZED VIEW',
      'TEXT SEARCH CONFIGURATION',
    ],
    ...['TEXT SEARCH DICTIONARY', 'TEXT SEARCH PARSER', 'TEXT SEARCH TEMPLATE'],
  ];
  it.each(kinds)('DROP %s', (kind) => {
    const operation = `drop_${kind.toLowerCase().replaceAll(' ', '_')}`;
    expect(actions(`DROP ${kind} x CASCADE`)).toEqual([`${operation}(x) cascade`]);
    expect(actions(`DROP ${kind} x RESTRICT`)).toEqual([`${operation}(x)`]);
    expect(actions(`DROP ${kind} x`)).toEqual([`${operation}(x)`]);
  });

  it.each<[string, string[]]>([
    ['DROP AGGREGATE a(int) CASCADE', ['drop_aggregate(a) cascade']],
    ['DROP OPERATOR s.+ (int, int) CASCADE', ['drop_operator(s.+) cascade']],
    ['DROP OPERATOR CLASS c USING btree CASCADE', ['drop_operator_class(c) cascade']],
    ['DROP OPERATOR FAMILY c USING btree CASCADE', ['drop_operator_family(c) cascade']],
    ['DROP CAST (a AS b) CASCADE', ['drop_cast(a AS b) cascade']],
    ['DROP TRANSFORM FOR t LANGUAGE l CASCADE', ['drop_transform(t FOR l) cascade']],
    ['DROP TRIGGER g ON s.t CASCADE', ['drop_trigger(g) cascade']],
    ['DROP RULE r ON t CASCADE', ['drop_rule(r) cascade']],
    ['DROP POLICY p ON t CASCADE', ['drop_policy(p) cascade']],
    ['DROP OWNED BY u CASCADE', ['drop_owned() cascade']],
    ['DROP OWNED BY u', ['drop_owned()']],
    ['TRUNCATE t CASCADE', ['truncate(t) cascade']],
    ['TRUNCATE t RESTRICT', ['truncate(t)']],
    ['ALTER TABLE t DROP COLUMN a CASCADE', ['alter_table(t)', 'alter_table_drop_column(t) cascade']],
    ['ALTER TABLE t DROP a', ['alter_table(t)', 'alter_table_drop_column(t)']],
    [
      'ALTER TABLE t DROP a, DROP b CASCADE, ADD c int',
      ['alter_table(t)', 'alter_table_drop_column(t)', 'alter_table_drop_column(t) cascade'],
    ],
    ['ALTER TABLE t DROP CONSTRAINT c CASCADE', ['alter_table(t)', 'alter_table_drop_constraint(t) cascade']],
    [
      'ALTER FOREIGN TABLE t DROP COLUMN a CASCADE',
      ['alter_foreign_table(t)', 'alter_table_drop_column(t) cascade'],
    ],
    ['ALTER TYPE t DROP ATTRIBUTE a CASCADE', ['alter_type(t)', 'alter_type_drop_attribute(t) cascade']],
    ['ALTER TYPE t ADD ATTRIBUTE a int CASCADE', ['alter_type(t) cascade']],
    ['ALTER TYPE t RENAME ATTRIBUTE a TO b CASCADE', ['alter_type(t) cascade']],
    ['ALTER DOMAIN d DROP CONSTRAINT c CASCADE', ['alter_domain(d) cascade']],
    ['REVOKE ALL ON t FROM u CASCADE', ['revoke(t) cascade']],
    ['REVOKE GRANT OPTION FOR SELECT ON t FROM u', ['revoke(t)']],
    ['REVOKE r FROM u CASCADE', ['revoke_role() cascade']],
    ['GRANT SELECT ON t TO u', ['grant(t)']],
    ['DROP SUBSCRIPTION s CASCADE', ['drop_subscription(s) cascade']],
    ['DROP DATABASE d', ['drop_database(d)']],
  ])('%s', (sql, expected) => {
    expect(actions(sql)).toEqual(expected);
  });

  it('is not the action of a foreign key, nor a word in a string', () => {
    for (const sql of [
      'CREATE TABLE t (a int REFERENCES u ON DELETE CASCADE)',
      "SELECT 'DROP TABLE t CASCADE'",
      'ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON UPDATE CASCADE',
    ]) {
      expect(
        facts(sql).actions.some((action) => action.cascade),
        sql,
      ).toBe(false);
    }
  });
});

describe('ALTER TABLE commands that lose data or safety are actions of their own', () => {
  it.each([
    ['ALTER TABLE t ALTER a TYPE int USING f(a)', 'alter_table_alter_column_type'],
    ['ALTER TABLE p DETACH PARTITION c CONCURRENTLY', 'alter_table_detach_partition'],
    ['ALTER TABLE t DISABLE TRIGGER g', 'alter_table_disable_trigger'],
    ['ALTER TABLE t DISABLE TRIGGER ALL', 'alter_table_disable_trigger'],
    ['ALTER TABLE t DISABLE TRIGGER USER', 'alter_table_disable_trigger'],
    ['ALTER TABLE t DISABLE RULE r', 'alter_table_disable_rule'],
    ['ALTER TABLE t DISABLE ROW LEVEL SECURITY', 'alter_table_disable_row_security'],
    ['ALTER TABLE t NO FORCE ROW LEVEL SECURITY', 'alter_table_disable_row_security'],
  ])('%s', (sql, operation) => {
    expect(facts(sql).actions.map((action) => action.operation)).toEqual(['alter_table', operation]);
  });

  it('RENAME, OWNER TO and SET SCHEMA are changes of what they name', () => {
    expect(actions('ALTER TABLE s.t RENAME COLUMN a TO b')).toEqual(['alter_table(s.t)']);
    expect(actions('ALTER VIEW v RENAME COLUMN a TO b')).toEqual(['alter_view(v)']);
    expect(actions('ALTER TABLE t RENAME CONSTRAINT a TO b')).toEqual(['alter_table(t)']);
    expect(actions('ALTER FUNCTION s.f(int) OWNER TO u')).toEqual(['alter_function(s.f)']);
    expect(actions('ALTER SCHEMA s RENAME TO t')).toEqual(['alter_schema(s)']);
    expect(actions('ALTER SEQUENCE s SET SCHEMA t')).toEqual(['alter_sequence(s)']);
    expect(actions('ALTER ROLE a RENAME TO b')).toEqual(['alter_role(a)']);
    expect(actions('ALTER DATABASE a OWNER TO b')).toEqual(['alter_database(a)']);
  });
});

describe('WHERE', () => {
  const strength = (condition: string) => facts(`DELETE FROM t WHERE ${condition}`).actions[0]?.where;

  it('none', () => {
    expect(facts('DELETE FROM t').actions[0]?.where).toBe('none');
    expect(facts('UPDATE t SET a = 1').actions[0]?.where).toBe('none');
    expect(facts('DELETE FROM t USING u').actions[0]?.where).toBe('none');
    expect(facts('UPDATE t SET a = u.a FROM u').actions[0]?.where).toBe('none');
  });

  it.each([
    'true',
    "'t'::bool",
    '1 = 1',
    'NOT false',
    '1 < 2 AND true',
    "'a' = 'a' OR false",
    'coalesce(true)',
    '1 IN (1)',
    '1 IN (1, 2, 3)',
    '1 BETWEEN 0 AND 2',
    'NULL IS NULL',
    'true IS NOT FALSE',
    'CASE WHEN true THEN true END',
    '(1, 2) = (1, 2)',
    "'x' LIKE '%'",
    'EXISTS (SELECT 1)',
    'EXISTS (SELECT)',
    '1 = (SELECT 1)',
    '1 = ANY (ARRAY[1])',
    '$1',
    '$1 = $2',
    '$1::bool IS TRUE',
    'greatest(1, 2) > 1',
    'current_date > $1',
    '0 = 0',
    '-1 = -1',
  ])('constant: %s', (condition) => {
    expect(strength(condition)).toBe('constant');
  });

  it.each([
    'id = 1',
    'id = $1',
    'deleted',
    'true AND id = 1',
    'x = x',
    'id IS NOT NULL',
    't.* IS NOT NULL',
    "ctid = '(0,1)'",
    'random() < 0.1',
    'my_check()',
    'EXISTS (SELECT 1 FROM u WHERE u.id = t.id)',
    'EXISTS (SELECT 1 FROM u)',
    'id IN (SELECT 1)',
    'CURRENT OF c',
    // Nothing is touched: ORMs write this for an empty set.
    'false',
    'NULL',
    '1 = 0',
    '0 = 1',
  ])('present: %s', (condition) => {
    expect(strength(condition)).toBe('present');
  });

  it.each<[string, string | undefined]>([
    ['ON t.id = s.id WHEN MATCHED THEN DELETE', 'present'],
    ['ON true WHEN MATCHED THEN DELETE', 'constant'],
    ['ON 1 = 1 WHEN MATCHED THEN UPDATE SET a = 1', 'constant'],
    ['ON true WHEN MATCHED AND t.a = 1 THEN DELETE', 'present'],
    ['ON true WHEN MATCHED AND true THEN DELETE', 'constant'],
    ['ON true WHEN MATCHED AND t.a = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET a = 1', 'constant'],
    ['ON true WHEN MATCHED THEN DO NOTHING', 'not_applicable'],
    ['ON true WHEN NOT MATCHED THEN INSERT VALUES (1)', 'not_applicable'],
    ['ON false WHEN NOT MATCHED THEN INSERT VALUES (1)', 'not_applicable'],
    ['ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE', 'present'],
    // Here a condition that is never true reaches every row.
    ['ON false WHEN NOT MATCHED BY SOURCE THEN DELETE', 'constant'],
    ['ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND t.a THEN UPDATE SET a = false', 'present'],
  ])('MERGE %s', (clauses, expected) => {
    expect(facts(`MERGE INTO t USING s ${clauses}`).actions[0]?.where).toBe(expected);
  });

  it('is judged for each action by itself', () => {
    expect(
      actions(
        'WITH a AS (DELETE FROM t WHERE id = 1 RETURNING 1), b AS (DELETE FROM u) UPDATE v SET x = 1 WHERE true',
      ),
    ).toEqual([
      'update(v) where=constant',
      'delete(t) where=present in the CTE "a"',
      'delete(u) where=none in the CTE "b"',
    ]);
  });
});

describe('where in the text', () => {
  it('spans are each statement without the white space around it, in UTF-16', () => {
    const sql = " SELECT 'é€😀' ;\n\n DELETE FROM t  ; \n";
    const spans = statements(sql).map((statement) => sql.slice(...statement.span));
    expect(spans).toEqual(["SELECT 'é€😀'", 'DELETE FROM t']);
  });

  it('offsets point at the relation or the call, behind any characters', () => {
    const sql = 'SELECT \'😀é€\', nextval(\'s\') FROM "ü"; DELETE FROM "täble"';
    const [select, remove] = statements(sql);
    expect(select?.needs[0]?.offset).toBe(sql.indexOf('nextval'));
    expect(remove?.actions[0]?.offset).toBe(sql.indexOf('"täble"'));
  });

  it('offsets hold in long texts that are not ASCII', () => {
    for (const filler of ['é', '€', '😀', 'aé€😀']) {
      const sql = `SELECT '${filler.repeat(999)}', 'x', nextval('s'), '${filler.repeat(400)}', setval('s', 1)`;
      const offsets = facts(sql).needs.map((need) => need.offset);
      expect(offsets).toEqual([sql.indexOf('nextval'), sql.indexOf('setval')]);
    }
  });
});
