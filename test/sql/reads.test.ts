/** What a role that may only read must be able to run: drivers, tools and everyday queries. */
import { describe, expect, it } from 'vitest';
import { access, statements, withParser } from './support.js';

withParser();

const READS: Record<string, readonly string[]> = {
  'plain queries': [
    'SELECT 1',
    'SELECT',
    'TABLE t',
    'VALUES (1), (2)',
    'SELECT * FROM a JOIN b USING (id) LEFT JOIN LATERAL (SELECT 1) c ON true WHERE a.x = $1',
    'SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b LIMIT 10 OFFSET 5',
    'WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t',
    'SELECT a, b, grouping(a) FROM t GROUP BY GROUPING SETS ((a), (b), ())',
    'SELECT rank() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t',
    'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price) FILTER (WHERE true) FROM t',
    "SELECT 'DROP TABLE t; DELETE FROM t' AS delete, 1 AS truncate, x AS drop FROM t",
    'SELECT "delete", "update" FROM "insert" -- DROP TABLE t',
    'SELECT /* DELETE FROM t */ 1',
    'SELECT * FROM generate_series(1, 10) g, unnest(ARRAY[1,2]) WITH ORDINALITY u(a, b)',
    "SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b int PATH 'b')",
    "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (x int PATH '$'))",
    'SELECT CASE WHEN a THEN b ELSE c END, coalesce(a, b), nullif(a, b), greatest(a, b) FROM t',
    "SELECT extract(epoch FROM now()), now() AT TIME ZONE 'UTC', interval '1 day', current_date, current_user",
    "SELECT data->>'a', data @> '{}'::jsonb, (r).field, arr[1:2] FROM t",
    'SELECT * FROM t TABLESAMPLE bernoulli (1) REPEATABLE (42)',
    'SELECT t.deleted_at, t.updated, n.nextval_date FROM t, n',
  ],
  'functions that only read': [
    "SELECT currval('s'), lastval(), random(), setseed(0.5), gen_random_uuid(), clock_timestamp(), timeofday()",
    "SELECT uuidv7(), random_normal(), array_shuffle('{1,2}'::int[])",
    'SELECT txid_current(), pg_current_xact_id(), pg_current_xact_id_if_assigned(), txid_status(1)',
    'SELECT pg_backend_pid(), pg_is_in_recovery(), pg_last_wal_replay_lsn(), pg_current_wal_lsn()',
    "SELECT current_setting('search_path'), pg_size_pretty(pg_database_size('shop')), version()",
    "SELECT pg_table_size('t'), pg_total_relation_size('t'), pg_relation_size('t'), pg_indexes_size('t')",
    "SELECT has_table_privilege('t', 'select'), has_schema_privilege('s', 'usage'), pg_has_role('r', 'member')",
    'SELECT pg_blocking_pids(1), pg_lock_status(), pg_notification_queue_usage(), pg_listening_channels()',
    'SELECT pg_export_snapshot(), pg_stat_get_xact_tuples_inserted(1), pg_stat_clear_snapshot()',
    'SELECT lo_get(1), loread(1, 10), lo_open(1, 262144), lo_close(1)',
    "SELECT pg_catalog.lower('X'), \"lower\"('X'), my_schema.pg_reload_conf()",
    'SELECT pg_advisory_unlock(1), pg_advisory_unlock_all()',
    "SELECT ts_rewrite('a'::tsquery, 'b'::tsquery, 'c'::tsquery)",
    'SELECT pg_stat_statements.query FROM pg_stat_statements',
  ],
  asyncpg: [
    "SELECT set_config('jit', 'off', false)",
    "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
    "SELECT set_config('jit', $1, false)",
    'SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;',
  ],
  'settings of drivers, ORMs and tools': [
    'SET extra_float_digits = 3',
    "SET application_name = 'app'",
    "SET DateStyle = 'ISO, MDY'",
    "SET TIME ZONE 'UTC'",
    'SET TIME ZONE LOCAL',
    "SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE",
    'SET search_path = shop, public',
    "SET SCHEMA 'shop'",
    'SET statement_timeout = 0',
    "SET LOCAL work_mem = '64MB'",
    'SET client_min_messages TO warning',
    'SET standard_conforming_strings = on',
    "SET client_encoding = 'UTF8'",
    "SET NAMES 'utf-8'",
    'SET NAMES DEFAULT',
    'SET "Search_Path" = x',
    'SET intervalstyle = postgres; SET bytea_output = hex; SET xmloption = content',
    "SET SESSION holdfast.target = 'production'",
    "SELECT set_config('app.user_id', $1, true)",
    "SELECT pg_catalog.set_config('search_path', '', false)",
    'SHOW ALL; SHOW server_version; SHOW TRANSACTION ISOLATION LEVEL',
    'RESET ALL; RESET search_path; RESET ROLE; RESET SESSION AUTHORIZATION; RESET client_encoding',
    'SET ROLE NONE; SET SESSION AUTHORIZATION DEFAULT; SET search_path TO DEFAULT',
    'DISCARD ALL; DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES',
    'SET default_transaction_read_only = on; SET transaction_read_only = yes',
  ],
  transactions: [
    'BEGIN; COMMIT; ROLLBACK; END; ABORT',
    'BEGIN READ ONLY; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE',
    'START TRANSACTION ISOLATION LEVEL SERIALIZABLE',
    'SAVEPOINT a; RELEASE a; ROLLBACK TO SAVEPOINT a; COMMIT AND CHAIN',
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '1-1'",
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    'SET CONSTRAINTS ALL DEFERRED',
  ],
  'cursors, prepared statements, notifications': [
    'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t',
    'FETCH 10 FROM c; MOVE NEXT IN c; CLOSE c; CLOSE ALL',
    'PREPARE s AS SELECT $1::int; EXECUTE s(1); DEALLOCATE s; DEALLOCATE ALL',
    'LISTEN c; UNLISTEN c; UNLISTEN *',
    'EXPLAIN SELECT 1; EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t; EXPLAIN VERBOSE EXECUTE s',
    'EXPLAIN DELETE FROM t; EXPLAIN (ANALYZE off) UPDATE t SET a = 1; EXPLAIN (ANALYZE false) INSERT INTO t VALUES (1)',
    'EXPLAIN (ANALYZE 0) CREATE TABLE x AS SELECT 1',
  ],
  pg_dump: [
    "SELECT pg_catalog.set_config('search_path', '', false);",
    'SET row_security = off',
    'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY',
    'SET quote_all_identifiers = true; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET transaction_timeout = 0',
    "SET synchronize_seqscans TO off; SET default_table_access_method = heap; SET restrict_nonsystem_relation_kind = 'view, foreign-table'",
    'LOCK TABLE public.t, ONLY public.u IN ACCESS SHARE MODE',
    'COPY public.t (id, name) TO stdout;',
    'COPY (SELECT id FROM ONLY public.t WHERE id > 5) TO STDOUT WITH (FORMAT csv)',
    'SELECT pg_catalog.pg_get_viewdef(1::pg_catalog.oid), pg_get_constraintdef(1), pg_get_indexdef(1), pg_get_triggerdef(1, false)',
    'SELECT last_value, is_called FROM public.s',
    "SELECT pg_catalog.pg_sequence_last_value(1), pg_get_sequence_data('s')",
    'PREPARE getAttributeStats(pg_catalog.name[]) AS SELECT s.* FROM pg_catalog.pg_stats s WHERE s.tablename = ANY ($1)',
  ],
  'psql and dashboards': [
    String.raw`SELECT n.nspname as "Schema", c.relname as "Name",
      CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type",
      pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
      FROM pg_catalog.pg_class c
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
      WHERE c.relkind IN ('r','p','v','m','S','f','')
      AND n.nspname !~ '^pg_toast' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2;`,
    `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
      (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid),
      a.attnotnull, pg_catalog.col_description(a.attrelid, a.attnum)
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16384' AND a.attnum > 0 AND NOT a.attisdropped`,
    `SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i
      WHERE c.oid = i.inhparent AND i.inhrelid = '1' AND c.relkind OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default`,
    `SELECT n.nspname, p.proname, pg_catalog.pg_get_function_result(p.oid), pg_catalog.pg_get_function_arguments(p.oid),
      pg_catalog.pg_get_functiondef(p.oid), pg_catalog.array_to_string(p.proacl, E'\\n'), pg_catalog.obj_description(p.oid, 'pg_proc')
      FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace`,
    `SELECT d.datname, pg_catalog.pg_encoding_to_char(d.encoding), d.daticulocale,
      CASE WHEN pg_catalog.has_database_privilege(d.datname, 'CONNECT')
      THEN pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(d.datname)) ELSE 'No Access' END,
      pg_catalog.shobj_description(d.oid, 'pg_database') FROM pg_catalog.pg_database d`,
    "SELECT pid, query, wait_event, pg_blocking_pids(pid) FROM pg_stat_activity WHERE state <> 'idle'",
    'SELECT * FROM pg_catalog.pg_settings; SELECT pg_show_all_settings(), pg_cursor(), pg_prepared_statement()',
    'SELECT table_name FROM information_schema.tables; SELECT information_schema._pg_expandarray(indkey) FROM pg_index',
    'SELECT pg_postmaster_start_time(), pg_conf_load_time(), inet_server_addr(), current_schemas(true)',
  ],
  nothing: ['', ' ', ';', ';;', '-- only a comment', '/* */;'],
};

describe.each(Object.entries(READS))('%s', (_group, texts) => {
  it.each(texts)('%s', (sql) => {
    expect(['none', 'read']).toContain(access(sql));
    for (const statement of statements(sql)) expect(statement.prohibitions).toEqual([]);
  });
});

it('gives an empty text one statement to judge, which needs nothing', () => {
  for (const sql of ['', ';', ' ; ; ', '-- x']) {
    expect(statements(sql)).toMatchObject([{ operation: 'empty', actions: [], effects: [], needs: [] }]);
  }
});

it('asks for read access for the plainest statement, so that a role with none runs nothing', () => {
  expect(access('SELECT 1')).toBe('read');
  expect(access('BEGIN')).toBe('read');
});
