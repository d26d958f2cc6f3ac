/** DO blocks: what is written in them is judged like any other statement, and what is not is opaque. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/sql/analyze.js';
import type { StatementFacts } from '../../src/sql/facts.js';
import { access, actions, facts, relations, withParser } from './support.js';

withParser();

/** A DO of the given statements. */
const block = (statements: string, declarations = '') => `DO $x$ ${declarations} BEGIN ${statements} END $x$`;

const isOpaque = ({ actions: all }: StatementFacts) => all.some((action) => action.effect === 'opaque');

describe('a body that was read', () => {
  it.each<[string, string, string]>([
    ['NULL;', '', 'read'],
    ['', '', 'read'],
    ['PERFORM 1;', '', 'read'],
    ["RAISE NOTICE 'x %', now();", '', 'read'],
    ['n := n + 1; IF n > 2 THEN n := 0; END IF;', 'DECLARE n int := 0;', 'read'],
    ['FOR r IN SELECT * FROM t LOOP NULL; END LOOP;', 'DECLARE r record;', 'read'],
    ['SELECT count(*) INTO n FROM t;', 'DECLARE n int;', 'read'],
    ['SELECT * INTO STRICT r FROM t WHERE id = 1;', 'DECLARE r t%ROWTYPE;', 'read'],
    ["EXECUTE 'SELECT 1';", '', 'read'],
    ["EXECUTE 'SELECT $1' INTO n USING 1;", 'DECLARE n int;', 'read'],
    ['COMMIT;', '', 'read'],
    ['ROLLBACK AND CHAIN;', '', 'read'],
    ["ASSERT 1 = 1, 'no';", '', 'read'],
    ['DO $y$ BEGIN PERFORM 1; END $y$;', '', 'read'],
    ['PERFORM my_function(1);', '', 'read'],
    ['UPDATE t SET a = 1 WHERE id = 1;', '', 'write'],
    ['INSERT INTO t VALUES (1) RETURNING a INTO n;', 'DECLARE n int;', 'write'],
    ['IF false THEN DELETE FROM t; END IF;', '', 'write'],
    ['PERFORM 1; EXCEPTION WHEN others THEN DELETE FROM t;', '', 'write'],
    ["n := nextval('s');", 'DECLARE n int;', 'write'],
    ["a[nextval('s')] := 1;", 'DECLARE a int[];', 'write'],
    ["a [ nextval('s') ] = 1;", 'DECLARE a int[];', 'write'],
    ["IF nextval('s') > 1 THEN NULL; END IF;", '', 'write'],
    ["RAISE NOTICE '%', nextval('s');", '', 'write'],
    ['RETURN;', "DECLARE n int := nextval('s');", 'write'],
    // The library's tree leaves out the default of a variable with a row type.
    ['RETURN;', "DECLARE r record := f(nextval('s'));", 'write'],
    ['RETURN;', "DECLARE r accounts NOT NULL DEFAULT ROW(nextval('s'));", 'write'],
    ['RETURN;', 'DECLARE a int; "R" CONSTANT accounts = ROW(nextval(\'s\')); b int := 1;', 'write'],
    ["DECLARE R record := f(pg_read_file('x')); BEGIN NULL; END;", 'DECLARE r record;', 'admin'],
    ["PERFORM pg_read_file('/etc/passwd');", '', 'admin'],
    ['SELECT 1 INTO n FROM t FOR UPDATE;', 'DECLARE n int;', 'write'],
    ['CREATE TABLE x (a int);', '', 'ddl'],
    ["EXECUTE 'DROP TABLE x CASCADE';", '', 'ddl'],
    ["EXECUTE E'DROP \\x54ABLE x';", '', 'ddl'],
    ["FOR r IN EXECUTE 'DELETE FROM t RETURNING *' LOOP NULL; END LOOP;", 'DECLARE r record;', 'write'],
    ["OPEN c FOR EXECUTE 'SELECT 1';", 'DECLARE c refcursor;', 'read'],
    ['OPEN c;', 'DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE;', 'write'],
    ['SET ROLE postgres;', '', 'admin'],
    ["PERFORM set_config('role', 'postgres', false);", '', 'admin'],
    ['SET TRANSACTION READ WRITE;', '', 'write'],
    ["COPY t TO PROGRAM 'sh';", '', 'admin'],
    ["PERFORM dblink('', 'DROP TABLE t');", '', 'admin'],
  ])('%s %s needs %s access', (statements, declarations, expected) => {
    const sql = block(statements, declarations);
    expect(isOpaque(facts(sql))).toBe(false);
    expect(facts(sql).operation).toBe('do');
    expect(facts(sql).actions[0]).toMatchObject({ operation: 'do', effect: 'read', within: '' });
    expect(access(sql)).toBe(expected);
  });
});

describe('a body that was not', () => {
  it.each([
    ["EXECUTE 'DROP TABLE ' || n;", "DECLARE n text := 'x';"],
    ["EXECUTE format('DROP TABLE %I', 'x');", ''],
    ['EXECUTE n;', 'DECLARE n text;'],
    ['FOR r IN EXECUTE n LOOP NULL; END LOOP;', 'DECLARE r record; n text;'],
    ['OPEN c FOR EXECUTE n;', 'DECLARE c refcursor; n text;'],
    ['CALL p(1);', ''],
    ['PREPARE p AS SELECT 1;', ''],
    ['DEALLOCATE p;', ''],
    ["EXECUTE 'PREPARE p AS SELECT 1';", ''],
    ['DO $y$ BEGIN EXECUTE lower(current_user); END $y$;', ''],
    ['DO LANGUAGE plperl $y$ 1 $y$;', ''],
  ])('%s %s', (statements, declarations) => {
    const sql = block(statements, declarations);
    expect(isOpaque(facts(sql))).toBe(true);
    expect(facts(sql).effects).toContain('opaque');
    expect(access(sql)).toBe('write');
  });

  it.each([
    'DO LANGUAGE plperl $$ system("x") $$',
    'DO LANGUAGE plpgsql $$ BEGIN SELEC 1; END $$',
    'DO $$ BEGIN $$',
    "DO ''",
    "DO 'SELECT 1'",
    'DO $$ BEGIN x := 1; END $$',
    'DO LANGUAGE sql $$ SELECT 1 $$',
    "DO $$ BEGIN NULL; END $$ LANGUAGE 'PLPGSQL' LANGUAGE plpgsql",
  ])('%s', (sql) => {
    expect(facts(sql).actions[0]).toMatchObject({ operation: 'do', effect: 'opaque' });
    expect(access(sql)).toBe('write');
  });

  it('says why', () => {
    const why = (sql: string) => facts(sql).needs.map((need) => need.why);
    expect(why(block("EXECUTE 'DROP TABLE ' || current_user;"))).toEqual([
      'runs a block of code that Holdfast cannot see into (DO): it executes a string that is put together when it runs',
    ]);
    expect(why('DO LANGUAGE plperl $$ 1 $$')).toEqual([
      'runs a block of code that Holdfast cannot see into (DO): it is written in "plperl"',
    ]);
  });

  it('is judged as far as it could be read', () => {
    const sql = block("DELETE FROM t; EXECUTE current_user; TRUNCATE u CASCADE; EXECUTE 'DROP TABLE v';");
    expect(actions(sql)).toEqual([
      'do()',
      'delete(t) where=none in the body of DO',
      'truncate(u) cascade in the body of DO',
      'drop_table(v) under EXECUTE in the body of DO',
    ]);
    expect(facts(sql).actions[0]?.effect).toBe('opaque');
    expect(access(sql)).toBe('ddl');
  });

  it('is nested too deeply', () => {
    const nested = (depth: number) => {
      let sql = 'DELETE FROM t';
      for (let level = 0; level < depth; level += 1)
        sql = `DO $x${String(level)}$ BEGIN ${sql}; END $x${String(level)}$`;
      return facts(sql);
    };
    expect(isOpaque(nested(8))).toBe(false);
    expect(nested(8).actions.at(-1)).toMatchObject({ operation: 'delete' });
    expect(isOpaque(nested(9))).toBe(true);
    expect(isOpaque(nested(50))).toBe(true);
  });
});

describe('the forms that hide a write', () => {
  it.each<[string, string]>([
    [
      'WITH d AS (DELETE FROM t RETURNING *) SELECT count(*) INTO n FROM d;',
      'delete(t) where=none in the CTE "d" in the body of DO',
    ],
    [
      'PERFORM * FROM (WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d) x;',
      'delete(t) where=none in the CTE "d" in the body of DO',
    ],
    [
      'n := (WITH d AS (DELETE FROM t RETURNING 1) SELECT count(*) FROM d);',
      'delete(t) where=none in the CTE "d" in the body of DO',
    ],
    ['EXPLAIN ANALYZE DELETE FROM t;', 'delete(t) where=none under EXPLAIN ANALYZE in the body of DO'],
    [
      "EXECUTE 'EXPLAIN ANALYZE DELETE FROM t' INTO n;",
      'delete(t) where=none under EXPLAIN ANALYZE under EXECUTE in the body of DO',
    ],
    ["EXECUTE 'SELECT 1; DELETE FROM t';", 'delete(t) where=none under EXECUTE in the body of DO'],
    [
      'CREATE TABLE x AS WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d;',
      'delete(t) where=none in the CTE "d" under CREATE TABLE AS in the body of DO',
    ],
    ["COPY (DELETE FROM t RETURNING *) TO '/tmp/x';", 'delete(t) where=none under COPY in the body of DO'],
    ['FOR n IN DELETE FROM t RETURNING 1 LOOP NULL; END LOOP;', 'delete(t) where=none in the body of DO'],
    ['MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE;', 'merge(t) where=constant in the body of DO'],
    ['TRUNCATE t CASCADE;', 'truncate(t) cascade in the body of DO'],
    ['ALTER TABLE t DROP COLUMN a;', 'alter_table_drop_column(t) in the body of DO'],
    ['DROP SCHEMA s CASCADE;', 'drop_schema(s) cascade in the body of DO'],
    [
      'CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $y$ DELETE FROM t $y$;',
      'delete(t) where=none in the body of the function "f" in the body of DO',
    ],
    ['DO $y$ BEGIN DELETE FROM t; END $y$;', 'delete(t) where=none in the body of DO in the body of DO'],
  ])('%s', (statements, expected) => {
    expect(actions(block(statements, 'DECLARE n int;'))).toContain(expected);
  });

  it('settings, prohibitions, relations and calls come out', () => {
    const sql = block(
      `SET standard_conforming_strings = off; PERFORM set_config('client_encoding', 'LATIN1', true);
       SET search_path = a; INSERT INTO shop.t SELECT * FROM u; PERFORM f(1, 2), x.g(), (r).h; CALL p(a => 1);`,
      'DECLARE r record;',
    );
    const { prohibitions, settings, calls } = facts(sql);
    expect(prohibitions).toHaveLength(2);
    expect(settings.map(({ name, value }) => [name, value])).toEqual([
      ['standard_conforming_strings', 'off'],
      ['client_encoding', 'LATIN1'],
      ['search_path', 'a'],
    ]);
    expect(relations(sql)).toEqual(['write shop.t', 'read u']);
    expect(calls.map((call) => [call.schema, call.name, call.arguments, call.selection === true])).toEqual([
      [null, 'set_config', 3, false],
      [null, 'f', 2, false],
      ['x', 'g', 0, false],
      [null, 'h', 1, true],
      [null, 'p', null, false],
    ]);
  });

  it('changes no names: what the code prepares when, nobody knows', () => {
    expect(facts(block("PREPARE p AS SELECT 1; EXECUTE 'DECLARE c CURSOR FOR SELECT 1';")).names).toEqual([]);
  });
});

describe('variables are no columns', () => {
  const where = (statement: string, declarations: string) =>
    facts(block(statement, declarations)).actions.find((action) => action.operation === 'delete')?.where;

  it.each<[string, string, string]>([
    ['DELETE FROM t WHERE everything;', 'DECLARE everything bool := true;', 'constant'],
    ['DELETE FROM t WHERE n = 1;', 'DECLARE n int;', 'constant'],
    ['DELETE FROM t WHERE r.yes;', 'DECLARE r record;', 'constant'],
    ['DELETE FROM t WHERE r.yes;', 'DECLARE r accounts%ROWTYPE;', 'constant'],
    ['DELETE FROM t WHERE b.n = 1;', '<<b>> DECLARE n int;', 'constant'],
    ['DELETE FROM t WHERE id = n;', 'DECLARE n int;', 'present'],
    ['DELETE FROM t WHERE t.id = r.id;', 'DECLARE r record;', 'present'],
    ['DELETE FROM users u WHERE u.id = 1;', 'DECLARE u int;', 'present'],
    ["EXECUTE 'DELETE FROM t WHERE n';", 'DECLARE n bool;', 'present'],
    ['DELETE FROM t WHERE id = 1;', 'DECLARE n int;', 'present'],
  ])('%s %s', (statement, declarations, expected) => {
    expect(where(statement, declarations)).toBe(expected);
  });
});

describe('where things stand', () => {
  const pointed = (sql: string) =>
    facts(sql).actions.flatMap(({ offset }) => (offset === null ? [] : [sql.slice(offset, offset + 8)]));

  it('positions point into the outer text', () => {
    expect(pointed(`SELECT 1; DO $$ BEGIN DELETE FROM accounts; END $$`.slice(10))).toEqual(['accounts']);
    const long = `DO $é$ -- 😀
      DECLARE n int; r record;
      BEGIN
        SELECT id INTO n FROM t; UPDATE balances SET a = 1;
        UPDATE balances SET a = 2
          WHERE id = n;
        FOR r IN SELECT 1 LOOP DELETE FROM entries; END LOOP;
      END $é$`;
    expect(pointed(long)).toEqual(['balances', 'balances', 'entries;']);
    const offsets = facts(long)
      .actions.map((action) => action.offset)
      .filter((offset) => offset !== null);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    expect(new Set(offsets).size).toBe(3);
  });

  it('those of calls too', () => {
    const sql = "DO $$ DECLARE n int; BEGIN n := 1 + nextval('s'); PERFORM pg_sleep(1); END $$";
    expect(facts(sql).needs.map(({ offset }) => sql.slice(offset ?? 0).slice(0, 8))).toEqual([
      'nextval(',
      'pg_sleep',
    ]);
  });

  it('a body with escapes in it is pointed at as a whole', () => {
    const sql = "DO 'BEGIN PERFORM ''x''; DELETE FROM t; END'";
    expect(facts(sql).actions.at(-1)).toMatchObject({ operation: 'delete', offset: 3 });
  });

  it('passwords in a body blot it out', () => {
    const sql = "DO $$ BEGIN CREATE USER MAPPING FOR u SERVER s OPTIONS (secret 'hush'); END $$";
    const { secrets } = facts(sql);
    expect(secrets.map(([start, end]) => sql.slice(start, end))).toEqual([sql.slice(3)]);
    expect(facts("DO $$ BEGIN PERFORM 'hush'; END $$").secrets).toEqual([]);
  });
});

describe('properties', () => {
  const PARTS = [
    'DECLARE', 'BEGIN', 'END', 'END IF', 'END LOOP', ';', 'IF', 'THEN', 'ELSE', 'LOOP', 'n', ':=', 'r', 'record', 'int',
    'FOR', 'IN', 'EXECUTE', "'DROP TABLE t'", 'SELECT 1', 'INTO', 'DELETE FROM t', 'PERFORM', 'f()', '(', ')', '[', ']',
    'EXCEPTION', 'WHEN', 'others', 'RETURN', 'CASE', '$1', '--', '/*', "''", '"', 'é', '<<l>>', 'CURSOR', 'OPEN', '1..2',
    '#variable_conflict use_column', 'DO $y$ BEGIN END $y$', 'COMMIT', 'CALL p()', 'RAISE', '%', '=', 'DEFAULT', '.',
  ]; // prettier-ignore

  it('never throws, on bodies put together by chance', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PARTS), { maxLength: 25 }), fc.boolean(), (parts, framed) => {
        const code = framed ? `DECLARE n int; r record; BEGIN ${parts.join(' ')}; END` : parts.join(' ');
        const analysis = analyze(`DO $x$${code}$x$`);
        expect(analysis.kind).toBe('statements');
        expect(structuredClone(analysis)).toEqual(analysis);
        expect(analyze(`CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $x$${code}$x$`).kind).toBe(
          'statements',
        );
        expect(analyze(`CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x$${code}$x$`).kind).toBe(
          'statements',
        );
      }),
      { numRuns: 1500 },
    );
    expect(analyze('SELECT 1').kind).toBe('statements');
  });

  it('finds a TRUNCATE wherever it stands', () => {
    const wrap = fc.constantFrom<(inner: string) => string>(
      (inner) => `IF n > 1 THEN ${inner} END IF;`,
      (inner) => `IF n > 1 THEN NULL; ELSE ${inner} END IF;`,
      (inner) => `LOOP ${inner} EXIT; END LOOP;`,
      (inner) => `FOR i IN 1..3 LOOP ${inner} END LOOP;`,
      (inner) => `FOR r IN SELECT 1 LOOP ${inner} END LOOP;`,
      (inner) => `BEGIN ${inner} EXCEPTION WHEN others THEN NULL; END;`,
      (inner) => `BEGIN NULL; EXCEPTION WHEN others THEN ${inner} END;`,
      (inner) => `CASE n WHEN 1 THEN ${inner} ELSE NULL; END CASE;`,
      (inner) => `WHILE n > 1 LOOP PERFORM 1; ${inner} END LOOP;`,
      (inner) => `DECLARE n int := 2; BEGIN n := 3; ${inner} END;`,
    );
    fc.assert(
      fc.property(fc.array(wrap, { maxLength: 8 }), (wraps) => {
        let code = 'TRUNCATE t;';
        for (const each of wraps) code = each(code);
        const found = facts(block(code, 'DECLARE n int; r record;'));
        expect(isOpaque(found)).toBe(false);
        expect(found.actions.filter((action) => action.operation === 'truncate')).toHaveLength(1);
      }),
      { numRuns: 200 },
    );
  });

  it('takes what is too deep for the parser as opaque, and goes on', () => {
    const deep = `DO $$ BEGIN ${'IF true THEN '.repeat(20_000)}${'END IF; '.repeat(20_000)} END $$`;
    const analysis = analyze(deep);
    if (analysis.kind === 'statements') expect(analysis.statements.some(isOpaque)).toBe(true);
    else expect(analysis.kind).toBe('too_complex');
    expect(analyze('DELETE FROM t').kind).toBe('statements');
  });

  it('bounds how many statements it looks at', () => {
    expect(isOpaque(facts(block('n:=1;'.repeat(9000), 'DECLARE n int;')))).toBe(false);
    expect(isOpaque(facts(block('n:=1;'.repeat(11_000), 'DECLARE n int;')))).toBe(true);
  });
});
