/** The lists of functions: against a server's pg_proc, and as they are applied. */
import { describe, expect, it } from 'vitest';
import { judgeFieldSelection, judgeFunction } from '../../src/sql/functions.js';
import { HARMLESS_PG, HARMLESS_VOLATILE } from '../../src/sql/harmless-functions.js';
import { FUNCTION_CLASSES, FUNCTION_SCHEMAS } from '../../src/sql/known-functions.js';
import { createDatabase, withClient } from '../support/postgres.js';
import { access, facts, withParser } from './support.js';

withParser();

const LISTED = new Set(FUNCTION_CLASSES.flatMap(({ names }) => names.split(/\s+/)));
const JUDGED_BY_ARGUMENTS = ['set_config', 'ts_rewrite'];

/** Triggers and handlers: their argument or result types keep everyone from calling them in SQL. */
const CALLABLE = `
  prorettype NOT IN ('trigger'::regtype, 'index_am_handler'::regtype, 'table_am_handler'::regtype,
                     'language_handler'::regtype)
  AND proname NOT LIKE 'plpgsql\\_%'`;

/** The contrib modules that need nothing but themselves and may hold volatile functions. */
const CONTRIB = [
  'amcheck', 'citext', 'dblink', 'file_fdw', 'lo', 'pageinspect', 'pg_buffercache', 'pg_freespacemap',
  'pg_logicalinspect', 'pg_prewarm', 'pg_stat_statements', 'pg_surgery', 'pg_trgm', 'pg_visibility',
  'pg_walinspect', 'pgcrypto', 'pgrowlocks', 'pgstattuple', 'postgres_fdw', 'tablefunc', 'uuid-ossp', 'xml2',
]; // prettier-ignore

/** Volatile functions of contrib modules that change nothing but, at most, this session, so that no list of src need have them. */
const HARMLESS_CONTRIB: ReadonlySet<string> = new Set(
  `bt_index_check gin_index_check verify_heapam regexp_matches regexp_match regexp_replace
  regexp_split_to_array regexp_split_to_table strpos replace split_part translate set_limit
  gen_random_uuid gen_random_bytes gen_salt fips_mode pgp_sym_encrypt pgp_sym_encrypt_bytea
  pgp_pub_encrypt pgp_pub_encrypt_bytea pgrowlocks pgstattuple pgstattuple_approx pgstatindex
  pgstatginindex pgstathashindex postgres_fdw_get_connections ssl_extension_info ssl_client_serial
  ssl_is_used ssl_version ssl_cipher ssl_client_cert_present ssl_client_dn_field ssl_issuer_field
  ssl_client_dn ssl_issuer_dn normal_rand uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4
  xslt_process file_fdw_validator postgres_fdw_validator`.split(/\s+/),
);

describe('against pg_proc of the test server', () => {
  it('every volatile function that can be called is in exactly one list', async () => {
    const { rows } = await withClient((client) =>
      client.query<{ proname: string }>(
        `SELECT DISTINCT proname FROM pg_proc
         WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v' AND ${CALLABLE}`,
      ),
    );
    expect(rows.length).toBeGreaterThan(150);
    for (const { proname } of rows) {
      const lists = [
        LISTED.has(proname),
        HARMLESS_VOLATILE.has(proname),
        JUDGED_BY_ARGUMENTS.includes(proname),
      ];
      expect(lists.filter(Boolean), proname).toHaveLength(1);
    }
  });

  it('every function whose name begins with pg_ is in some list', async () => {
    const { rows } = await withClient((client) =>
      client.query<{ proname: string }>(
        String.raw`SELECT DISTINCT proname FROM pg_proc
         WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE 'pg\_%'`,
      ),
    );
    expect(rows.length).toBeGreaterThan(300);
    const known = (name: string) => LISTED.has(name) || HARMLESS_VOLATILE.has(name) || HARMLESS_PG.has(name);
    expect(rows.map((row) => row.proname).filter((name) => !known(name))).toEqual([]);
  });

  it('every volatile function of a contrib module is in exactly one list', { timeout: 60_000 }, async () => {
    const database = await createDatabase('contrib');
    try {
      const names = await withClient(async (client) => {
        for (const extension of CONTRIB) await client.query(`CREATE EXTENSION "${extension}" CASCADE`);
        const { rows } = await client.query<{ proname: string }>(
          `SELECT DISTINCT proname FROM pg_proc
           JOIN pg_depend ON classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'
           WHERE provolatile = 'v' AND ${CALLABLE}
           AND NOT 'internal'::regtype = ANY (proargtypes) AND prorettype <> 'fdw_handler'::regtype`,
        );
        return rows.map((row) => row.proname);
      }, database.name);
      expect(names.length).toBeGreaterThan(100);
      const lists = (name: string) =>
        [LISTED, HARMLESS_VOLATILE, HARMLESS_CONTRIB, HARMLESS_PG].filter((list) => list.has(name));
      expect(names.filter((name) => lists(name).length === 0)).toEqual([]);
    } finally {
      await database.drop();
    }
  });

  it('a field selection really calls the function, which is why it is judged', async () => {
    await withClient(async (client) => {
      await client.query('CREATE TEMPORARY SEQUENCE holdfast_field_selection');
      const sql = "SELECT x.nextval FROM to_regclass('holdfast_field_selection') x";
      expect((await client.query(sql)).rows).toEqual([{ nextval: '1' }]);
      expect(access(sql)).toBe('write');
      const parenthesized = "SELECT ('holdfast_field_selection'::regclass).nextval";
      expect((await client.query(parenthesized)).rows).toEqual([{ nextval: '2' }]);
      expect(access(parenthesized)).toBe('write');
    });
  });
});

describe('the lists', () => {
  it('of schemas give words that end a sentence', () => {
    for (const { why } of Object.values(FUNCTION_SCHEMAS)) expect(why).toMatch(/^[a-z].*[^.]$/);
  });

  it('do not contradict each other', () => {
    expect([...HARMLESS_CONTRIB].filter((name) => LISTED.has(name) || HARMLESS_PG.has(name))).toEqual([]);
    const names = FUNCTION_CLASSES.flatMap((entry) => entry.names.split(/\s+/));
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => HARMLESS_VOLATILE.has(name) || HARMLESS_PG.has(name))).toEqual([]);
    expect([...HARMLESS_VOLATILE].filter((name) => HARMLESS_PG.has(name))).toEqual([]);
  });
});

describe('how a name is matched', () => {
  it.each([
    ["SELECT nextval('s')", 'write'],
    ["SELECT NextVal('s')", 'write'],
    ['SELECT "nextval"(\'s\')', 'write'],
    ["SELECT pg_catalog.nextval('s')", 'write'],
    ["SELECT PG_CATALOG.NEXTVAL('s')", 'write'],
    ["SELECT shop.pg_catalog.nextval('s')", 'write'],
    [String.raw`SELECT U&"next\0076al"('s')`, 'write'],
    ["SELECT nextval -- comment\n ('s')", 'write'],
    // Another spelling is another function.
    ['SELECT "NextVal"(\'s\')', 'read'],
    ["SELECT my.nextval('s')", 'read'],
    ['SELECT pg_reload_conf()', 'admin'],
    ['SELECT my.pg_reload_conf()', 'read'],
    // Contrib modules may be in any schema.
    ["SELECT extensions.dblink('', 'DROP TABLE t')", 'admin'],
    ["SELECT * FROM tools.crosstab('SELECT 1') AS ct(a int)", 'write'],
    // Names that PostgreSQL keeps to itself and nobody has looked at.
    ['SELECT pg_brand_new_function()', 'admin'],
    ['SELECT pg_catalog.pg_brand_new_function()', 'admin'],
    ['SELECT binary_upgrade_brand_new()', 'admin'],
    ['SELECT my_function()', 'read'],
    // Known by their schema, whatever they are called.
    ["SELECT cron.schedule('* * * * *', 'DROP TABLE t')", 'admin'],
    ["SELECT net.http_post('http://x')", 'write'],
    ["SELECT my.schedule('* * * * *', 'DROP TABLE t')", 'read'],
    // Contrib modules that change nothing, and one that keeps writers out.
    ['SELECT uuid_generate_v4(), gen_random_bytes(8), normal_rand(1, 2, 3)', 'read'],
    ["SELECT bt_index_check('i')", 'read'],
    ["SELECT bt_index_parent_check('i')", 'ddl'],
    ["SELECT DropGeometryTable('t')", 'ddl'],
    ["SELECT drop_chunks('t', older_than => now())", 'ddl'],
    ["SELECT run_command_on_workers('DROP TABLE t')", 'admin'],
    ["SELECT page_checksum(get_raw_page('t', 0), 0)", 'admin'],
    ["SELECT pg_get_logical_snapshot_meta('x')", 'admin'],
  ])('%s', (sql, expected) => {
    expect(access(sql)).toBe(expected);
  });

  it('finds calls wherever an expression may stand', () => {
    const call = "nextval('s')";
    for (const sql of [
      `SELECT * FROM ${call}`,
      `SELECT * FROM ROWS FROM (${call}, now()) AS r`,
      `SELECT * FROM t WHERE a IN (SELECT ${call})`,
      `SELECT * FROM t JOIN u ON t.id = ${call}`,
      `SELECT * FROM t ORDER BY ${call} LIMIT ${call} OFFSET ${call}`,
      `SELECT count(*) FILTER (WHERE ${call} > 0) OVER (PARTITION BY ${call}) FROM t`,
      `SELECT a FROM t GROUP BY a HAVING ${call} > 0`,
      `SELECT CASE WHEN true THEN ARRAY[ROW(1, ${call})] END`,
      `VALUES (1), (${call})`,
      `WITH a AS (WITH b AS (SELECT ${call}) SELECT * FROM b) SELECT 1`,
      `SELECT 1 UNION ALL SELECT ${call}`,
      `SELECT * FROM LATERAL (SELECT ${call}) x`,
      `SELECT (ARRAY[1])[${call}]`,
      `SELECT ${call}::text COLLATE "C"`,
      `SELECT JSON_OBJECT('a': ${call})`,
      `SELECT JSON_ARRAYAGG(${call}) FROM t`,
      `SELECT XMLELEMENT(NAME a, ${call})`,
      `SELECT * FROM XMLTABLE('/a' PASSING xmlelement(name a, ${call}) COLUMNS b int PATH 'b' DEFAULT 1)`,
      `SELECT * FROM JSON_TABLE(to_jsonb(${call}), '$' COLUMNS (x int PATH '$'))`,
      `SELECT * FROM t TABLESAMPLE bernoulli (${call})`,
      `SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY ${call})`,
      `EXECUTE s(${call})`,
      `EXPLAIN SELECT ${call}`,
      `EXPLAIN EXECUTE s(${call})`,
      `DECLARE c CURSOR FOR SELECT ${call}`,
      `PREPARE p AS SELECT ${call}`,
      `COPY (SELECT ${call}) TO STDOUT`,
    ]) {
      expect(access(sql), sql).toBe('write');
      expect(
        facts(sql).calls.map(({ name }) => name),
        sql,
      ).toContain('nextval');
    }
  });

  it('takes a field selection for a call only where the name is listed', () => {
    expect(judgeFieldSelection('pg_sleep')).toMatchObject({ access: 'write' });
    expect(judgeFieldSelection('pg_something')).toBeNull();
    expect(access("SELECT x.pg_read_file FROM lower('/ETC/HOSTNAME') x")).toBe('admin');
    expect(access('SELECT (1).pg_terminate_backend')).toBe('admin');
    // A column alone is never a call.
    expect(access('SELECT nextval FROM t')).toBe('read');
  });
});

describe('the calls of a statement', () => {
  const calls = (sql: string) =>
    facts(sql).calls.map(({ schema, name, arguments: count, selection }) =>
      [schema ?? '', name, String(count), selection === true ? 'x.f' : ''].join(' ').trim(),
    );

  it.each<[string, string[]]>([
    ['SELECT f(), f(), f(1), s.f(1)', ['f 0', 'f 1', 's f 1']],
    ['SELECT * FROM f(1) WITH ORDINALITY', ['f 1']],
    ['SELECT * FROM ROWS FROM (f(1), g(1, 2)) AS x', ['f 1', 'g 2']],
    ['SELECT * FROM LATERAL f(1) x', ['f 1']],
    ['SELECT f(a) FILTER (WHERE g(b)) FROM t', ['f 1', 'g 1']],
    ['SELECT f(0.5) WITHIN GROUP (ORDER BY g(b)) FROM t', ['f 1', 'g 1']],
    ['SELECT f(a) OVER (PARTITION BY g(b)) FROM t', ['f 1', 'g 1']],
    ['SELECT f(*) FROM t', ['f 0']],
    ['SELECT f(VARIADIC a) FROM t', ['f null']],
    ['SELECT f(1, a => 2)', ['f null']],
    ['CALL p(1, 2)', ['p 2']],
    ['CALL s.p(a => 1)', ['s p null']],
    ['CALL p(f(1))', ['p 1', 'f 1']],
    ['SELECT u.id, u.name, u.* FROM users u WHERE u.id = 1', ['id 1 x.f', 'name 1 x.f']],
    ['SELECT (u).evil, (f(1)).evil', ['evil 1 x.f', 'f 1']],
    ['SELECT (a)[1], a[f(1)] FROM t', ['f 1']],
    ['SELECT id, name FROM users', []],
    // Triggers are run by what fires them; defaults and bodies when the function is called.
    ['CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()', []],
    ['CREATE FUNCTION f(a int DEFAULT g()) RETURNS int LANGUAGE sql AS $$ SELECT h(1) $$', []],
    ['CREATE FUNCTION f() RETURNS int RETURN h(1)', []],
    ['CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN h(1); END $$', []],
    ['DO $$ BEGIN PERFORM h(1); END $$', ['h 1']],
  ])('%s', (sql, expected) => {
    expect(calls(sql).toSorted()).toEqual(expected.toSorted());
  });
});

describe('functions judged by their arguments', () => {
  it.each([
    ['SELECT lo_open(1, 262144)', 'read'],
    ["SELECT lo_open(1, x'40000'::int)", 'write'],
    ['SELECT lo_open(1, 131072)', 'write'],
    ['SELECT lo_open(1, 393216)', 'write'],
    ['SELECT lo_open(1, $1)', 'write'],
    ["SELECT ts_rewrite('a'::tsquery, 'b'::tsquery, 'c'::tsquery)", 'read'],
    ["SELECT ts_rewrite('a'::tsquery, 'SELECT t, s FROM aliases')", 'write'],
  ])('%s', (sql, expected) => {
    expect(access(sql)).toBe(expected);
  });

  it('names the function and what it does', () => {
    expect(judgeFunction(null, 'nextval', [])?.why).toBe('calls nextval(), which advances a sequence');
    const [need] = facts("SELECT 1, nextval('s')").needs;
    expect(need).toEqual({
      access: 'write',
      why: 'calls nextval(), which advances a sequence',
      hint: null,
      offset: 10,
    });
  });
});
