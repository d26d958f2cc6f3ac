/**
 * Whoever runs the query, and with whatever settings, reads the same: its answer
 * is used for the sessions of others.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeCatalog } from '../../src/catalog/decode.js';
import { CATALOG_QUERY } from '../../src/catalog/queries.js';
import { createDatabase, withClient, type TestDatabase } from '../support/postgres.js';
import { lookedUp } from '../support/looked-up.js';
import { catalogRows, RICH_ROWS, RICH_SCHEMA } from './rich-schema.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('catalog', RICH_SCHEMA + RICH_ROWS);
});
afterAll(() => database.drop());

describe('the text', () => {
  it('names everything with pg_catalog that search_path could mean otherwise', async () => {
    const { names, met } = await lookedUp(CATALOG_QUERY);
    expect(names).toEqual([]);
    expect(met).toBeGreaterThan(120);
  });

  it.each([
    ['SELECT lower(x) FROM pg_catalog.pg_class', 'lower'],
    ['SELECT x::text FROM pg_catalog.pg_class', 'text'],
    ['SELECT 1 FROM pg_class', 'undefined.pg_class'],
    ['SELECT a = b', 'AEXPR_OP ='],
    ['SELECT a IN (b)', 'AEXPR_IN ='],
    ['SELECT a = ANY (b)', 'AEXPR_OP_ANY ='],
    ['SELECT a LIKE b', 'AEXPR_LIKE ~~'],
    ['SELECT a BETWEEN b AND c', 'AEXPR_BETWEEN BETWEEN'],
    ['SELECT a IS DISTINCT FROM b', 'AEXPR_DISTINCT ='],
    ['SELECT NULLIF(a, b)', 'AEXPR_NULLIF ='],
    ['SELECT CASE a WHEN b THEN c END', 'CASE x WHEN'],
    ['SELECT 1 FROM pg_catalog.pg_class JOIN pg_catalog.pg_proc USING (oid)', 'JOIN … USING'],
    ['SELECT a COLLATE "C"', 'C'],
  ])('would be caught with %s', async (sql, name) => {
    expect((await lookedUp(sql)).names).toEqual([name]);
  });
});

describe('whoever reads', () => {
  const sorted = (rows: readonly (readonly (string | null)[])[]) => rows.map((row) => row.join(' ')).sort();
  let rows: string[];
  beforeAll(async () => {
    rows = sorted(await withClient(catalogRows, database.name));
  });

  it('reads the same without any right', async () => {
    const user = `no_rights_${randomBytes(4).toString('hex')}`;
    await withClient(async (client) => {
      await client.query(`CREATE ROLE ${user}`);
      try {
        await client.query('REVOKE ALL ON SCHEMA public, shop FROM PUBLIC');
        await client.query(`SET ROLE ${user}`);
        await expect(client.query('SELECT FROM shop.users')).rejects.toThrow('permission denied');
        expect(sorted(await catalogRows(client))).toEqual(rows);
      } finally {
        await client.query('RESET ROLE');
        await client.query(`DROP ROLE ${user}`);
      }
    }, database.name);
  });

  it('reads the same with every setting against it', async () => {
    await withClient(async (client) => {
      const settings = {
        default_transaction_read_only: 'on',
        default_transaction_isolation: 'serializable',
        DateStyle: 'German',
        IntervalStyle: 'sql_standard',
        extra_float_digits: '-15',
        bytea_output: 'escape',
        standard_conforming_strings: 'on',
        array_nulls: 'off',
        quote_all_identifiers: 'on',
        row_security: 'off',
        transform_null_equals: 'on',
        enable_hashjoin: 'off',
        enable_mergejoin: 'off',
        work_mem: '64kB',
        from_collapse_limit: '1',
        join_collapse_limit: '1',
        geqo_threshold: '2',
        plan_cache_mode: 'force_generic_plan',
      };
      for (const [name, value] of Object.entries(settings)) {
        await client.query('SELECT set_config($1, $2, false)', [name, value]);
      }
      expect(sorted(await catalogRows(client))).toEqual(rows);
    }, database.name);
  });

  it('reads the same under a search_path full of impostors', async () => {
    await withClient(async (client) => {
      await client.query('BEGIN');
      await client.query('CREATE SCHEMA evil');
      await client.query(IMPOSTORS);
      await client.query('CREATE TEMP TABLE pg_class ()');
      await client.query('SET LOCAL search_path = evil, pg_temp, pg_catalog, public');
      // They are there, and would be found by an unqualified name.
      const fooled = await client.query<{ n: string; f: string; o: boolean; v: string; j: string | null }>(
        `SELECT count(*)::pg_catalog.text AS n, current_setting('x') AS f, 1::oid = 1::oid AS o,
           max('v'::text) AS v, json_build_array('x'::text)::pg_catalog.text AS j FROM pg_proc`,
      );
      expect(fooled.rows).toEqual([{ n: '0', f: 'evil', o: false, v: null, j: null }]);
      const hostile = sorted(await catalogRows(client));
      await client.query('RESET search_path');
      await client.query('DROP SCHEMA evil CASCADE');
      expect(hostile.filter((row) => !row.includes('"evil"'))).toEqual(rows);
      expect(sorted(await catalogRows(client))).toEqual(rows);
      await client.query('ROLLBACK');
    }, database.name);
  });

  it('takes no lock on anything of the database, and changes nothing', async () => {
    await withClient(async (client) => {
      await client.query('BEGIN READ ONLY');
      await catalogRows(client);
      const locks = await client.query(`
        SELECT locktype, mode, relation::regclass FROM pg_locks
        WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid'
          AND NOT (locktype = 'relation' AND relation < 16384 AND mode = 'AccessShareLock')`);
      expect(locks.rows).toEqual([]);
      await client.query('ROLLBACK');
    }, database.name);
  });

  it('reads through the simple protocol, as text', async () => {
    await withClient(async (client) => {
      const [first] = await catalogRows(client);
      expect(first).toHaveLength(2);
      expect(CATALOG_QUERY).not.toContain(';');
      expect(decodeCatalog(await catalogRows(client)).database).toBe(database.name);
    }, database.name);
  });
});

/**
 * What somebody who may create things in one schema can put before PostgreSQL's own.
 * All that the query uses is here: tables, operators, functions, aggregates, types.
 */
const IMPOSTORS = `
DO $do$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY '{pg_namespace,pg_type,pg_constraint,pg_attribute,pg_proc,pg_aggregate,pg_rewrite,pg_depend,pg_policy,pg_operator,pg_inherits,pg_language,pg_extension}'::text[] LOOP
    EXECUTE format('CREATE TABLE evil.%I ()', t);
  END LOOP;
  -- Every operator of these names that PostgreSQL has over the types of catalogs, and its opposite's result.
  FOR t IN
    SELECT format('CREATE FUNCTION evil.no_%s(%s, %s) RETURNS bool LANGUAGE sql IMMUTABLE AS ''SELECT false''; '
      || 'CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.no_%s)',
      oid, oprleft::regtype, oprright::regtype, oprname, oprleft::regtype, oprright::regtype, oid)
    FROM pg_operator
    WHERE oprname IN ('=', '<>', '<', '<=', '>', '>=', '~~', '!~~') AND oprresult = 'bool'::regtype
      AND oprleft::regtype::text IN ('oid', 'name', 'text', '"char"', 'smallint', 'integer', 'bigint', 'boolean')
      AND oprright::regtype::text IN ('oid', 'name', 'text', '"char"', 'smallint', 'integer', 'bigint', 'boolean')
  LOOP
    EXECUTE t;
  END LOOP;
END
$do$;
CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS 'SELECT ''evil''::pg_catalog.name';
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''evil''';
CREATE FUNCTION evil.starts_with(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.json_build_array(text) RETURNS json LANGUAGE sql AS 'SELECT NULL::pg_catalog.json';
CREATE FUNCTION evil.json_build_array(VARIADIC "any") RETURNS json LANGUAGE internal AS 'json_build_object';
CREATE FUNCTION evil.cardinality(anyarray) RETURNS int LANGUAGE sql AS 'SELECT 99';
CREATE FUNCTION evil.nothing(text, text) RETURNS text LANGUAGE sql AS 'SELECT NULL::pg_catalog.text';
CREATE FUNCTION evil.nothing(bool, bool) RETURNS bool LANGUAGE sql AS 'SELECT NULL::pg_catalog.bool';
CREATE AGGREGATE evil.max(text) (SFUNC = evil.nothing, STYPE = text);
CREATE AGGREGATE evil.bool_or(bool) (SFUNC = evil.nothing, STYPE = bool);
CREATE DOMAIN evil.oid AS pg_catalog.oid;
CREATE DOMAIN evil.text AS pg_catalog.text;
CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (VALUE = 0);
CREATE DOMAIN evil.json AS pg_catalog.text;
CREATE DOMAIN evil.jsonb AS pg_catalog.text;
CREATE TABLE evil.regclass (a int);
`;
