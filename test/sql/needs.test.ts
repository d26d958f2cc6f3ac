/** What a role that may only read must not run, and how much access each statement needs instead. */
import { describe, expect, it } from 'vitest';
import type { Access } from '../../src/sql/facts.js';
import { access, facts, statements, withParser } from './support.js';

withParser();

const NEEDS: Record<string, Partial<Record<Access, readonly string[]>>> = {
  stacked: {
    ddl: [
      'SELECT 1; COMMIT; DROP SCHEMA public CASCADE',
      ';;SELECT 1;;DROP TABLE t;;',
      '/* x */ SELECT 1; -- y\nDROP TABLE t',
    ],
  },
  'rows written': {
    write: [
      'INSERT INTO t VALUES (1)',
      'INSERT INTO t SELECT * FROM u ON CONFLICT (id) DO UPDATE SET a = excluded.a',
      'INSERT INTO t DEFAULT VALUES',
      'UPDATE t SET a = 1 WHERE id = 1',
      'DELETE FROM t USING u WHERE t.id = u.id',
      'MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (1)',
      'TRUNCATE t',
      'COPY t FROM STDIN',
      'COPY t (a, b) FROM STDIN WITH (FORMAT csv) WHERE a > 1',
    ],
  },
  'data-modifying CTEs at any depth': {
    write: [
      'WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d',
      'WITH a AS (WITH b AS (UPDATE t SET x = 1 RETURNING *) SELECT * FROM b) SELECT * FROM a',
      'SELECT * FROM (WITH d AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM d) x',
      'SELECT 1 WHERE EXISTS (WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d)',
      'WITH m AS (MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE RETURNING *) SELECT 1',
      'VALUES (1) UNION (WITH d AS (DELETE FROM t RETURNING 1) SELECT 2)',
    ],
  },
  'EXPLAIN that executes': {
    write: [
      'EXPLAIN ANALYZE DELETE FROM t',
      'EXPLAIN ANALYSE DELETE FROM t',
      'EXPLAIN (ANALYZE) DELETE FROM t',
      'EXPLAIN (ANALYSE) DELETE FROM t',
      'EXPLAIN (ANALYZE on) DELETE FROM t',
      'EXPLAIN (ANALYZE true) DELETE FROM t',
      'EXPLAIN (ANALYZE 1) DELETE FROM t',
      "EXPLAIN (ANALYZE 'on') DELETE FROM t",
      'EXPLAIN (COSTS off, ANALYZE, FORMAT json) DELETE FROM t',
      // The last one counts for the server; neither is believed.
      'EXPLAIN (ANALYZE, ANALYZE off) DELETE FROM t',
      'EXPLAIN (ANALYZE off, ANALYZE) DELETE FROM t',
      'EXPLAIN (ANALYZE unclear) DELETE FROM t',
      'EXPLAIN ANALYZE WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d',
      'EXPLAIN ANALYZE VERBOSE INSERT INTO t VALUES (1)',
    ],
    ddl: [
      'EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1',
      'EXPLAIN (ANALYZE) CREATE MATERIALIZED VIEW x AS SELECT 1',
    ],
  },
  wrappers: {
    write: [
      'PREPARE s AS DELETE FROM t',
      'PREPARE s (int) AS UPDATE t SET a = $1 WHERE id = 1',
      'DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE',
      'COPY (DELETE FROM t RETURNING *) TO STDOUT',
      'COPY (WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d) TO STDOUT',
      'CREATE TEMPORARY TABLE x AS SELECT 1',
      'CREATE TEMP TABLE x (a int)',
      'CREATE TABLE pg_temp.x (a int)',
      'SELECT 1 INTO TEMP x',
      'CREATE TEMP SEQUENCE s',
    ],
    ddl: [
      'CREATE TABLE x AS SELECT 1',
      'CREATE TABLE x AS EXECUTE s',
      'SELECT * INTO x FROM t',
      'SELECT 1 INTO x UNION SELECT 2',
      '(SELECT 1 INTO x)',
      'REFRESH MATERIALIZED VIEW v',
      'CREATE MATERIALIZED VIEW v AS SELECT 1 WITH NO DATA',
    ],
  },
  'code that cannot be seen into': {
    write: [
      'DO $$ BEGIN DELETE FROM t; END $$',
      'DO LANGUAGE plpgsql $$ BEGIN EXECUTE lower($q$X$q$); END $$',
      'CALL p()',
      "SELECT query_to_xml('DELETE FROM t', true, true, '')",
      "SELECT table_to_xml('t', true, true, ''), cursor_to_xml('c', 1, true, true, '')",
      "SELECT database_to_xml(true, true, ''), schema_to_xml_and_xmlschema('s', true, true, '')",
      "SELECT * FROM ts_stat('SELECT vector FROM t')",
    ],
    ddl: [
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      'CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1',
      'CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM t; END',
      "CREATE OR REPLACE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN END'",
      'CREATE TRIGGER g BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()',
      'CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING',
      'CREATE VIEW v AS SELECT 1',
      'CREATE TEMP VIEW v AS SELECT 1',
    ],
    admin: [
      'DO LANGUAGE plpython3u $$ pass $$',
      "DO LANGUAGE 'plperlu' $$ 1 $$",
      "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'lib', 'f'",
      "CREATE FUNCTION f() RETURNS int LANGUAGE 'C' AS 'lib', 'f'",
      "CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'f'",
      "CREATE FUNCTION f() RETURNS int LANGUAGE mylang AS 'f'",
      'CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()',
      "SELECT dblink('dbname=shop', 'DROP TABLE t')",
      "SELECT * FROM dblink_exec('c', 'DROP TABLE t')",
    ],
  },
  'functions with effects': {
    write: [
      "SELECT nextval('s'), setval('s', 1)",
      'SELECT lo_create(0), lo_unlink(1), lowrite(1, x)',
      'SELECT pg_sleep(10)',
      "SELECT pg_sleep_for('1 day'), pg_sleep_until(now())",
      'SELECT pg_advisory_lock(1), pg_try_advisory_xact_lock_shared(1, 2)',
      "SELECT pg_notify('c', 'p')",
      "SELECT pg_logical_emit_message(true, 'a', 'b')",
    ],
    ddl: ["SELECT gin_clean_pending_list('i')", "SELECT brin_summarize_new_values('i')"],
    admin: [
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity',
      'SELECT pg_cancel_backend(1)',
      'SELECT pg_reload_conf(), pg_rotate_logfile(), pg_promote(), pg_switch_wal()',
      "SELECT pg_read_file('/etc/passwd')",
      "SELECT pg_read_binary_file('x'), pg_stat_file('x')",
      "SELECT * FROM pg_ls_dir('/')",
      "SELECT * FROM pg_ls_dir('.')",
      "SELECT pg_create_physical_replication_slot('s'), pg_drop_replication_slot('s')",
      "SELECT * FROM pg_logical_slot_get_changes('s', NULL, NULL)",
      "SELECT * FROM pg_logical_slot_peek_changes('s', NULL, NULL)",
      "SELECT pg_backup_start('x'), pg_stop_backup(), pg_create_restore_point('x')",
      'SELECT pg_stat_reset(), pg_stat_statements_reset()',
      "SELECT lo_import('/etc/passwd'), lo_export(1, '/tmp/x')",
      "SELECT pg_file_write('x', 'y', true)",
      "SELECT pg_replication_origin_create('x')",
    ],
  },
  'settings through functions and catalogs': {
    write: [
      "SELECT set_config('transaction_read_only', 'off', false)",
      "SELECT set_config('default_transaction_read_only', $1, false)",
    ],
    admin: [
      "SELECT set_config('role', 'postgres', false)",
      "SELECT set_config('ROLE', $1, false)",
      "SELECT pg_catalog.set_config('session_replication_role', 'replica', true)",
      "SELECT set_config($1, 'x', false)",
      "SELECT set_config('ro' || 'le', 'x', false)",
      'SELECT set_config(name, setting, false) FROM pg_settings',
      "SELECT set_config('jit', 'off')",
      "UPDATE pg_settings SET setting = 'off' WHERE name = 'transaction_read_only'",
      "UPDATE pg_catalog.pg_settings SET setting = 'x'",
      "WITH u AS (UPDATE pg_settings SET setting = 'x' RETURNING *) SELECT 1",
      'DELETE FROM pg_class',
      'UPDATE pg_catalog.pg_authid SET rolsuper = true',
      'COPY pg_catalog.pg_proc FROM STDIN',
      'TRUNCATE pg_statistic',
      'MERGE INTO pg_type USING s ON false WHEN MATCHED THEN DELETE',
    ],
  },
  'COPY and files': {
    admin: [
      "COPY t FROM '/tmp/x'",
      "COPY t TO '/tmp/x'",
      "COPY (SELECT 1) TO '/tmp/x'",
      "COPY t FROM PROGRAM 'curl x'",
      "COPY t TO PROGRAM 'sh'",
      "COPY (SELECT 1) TO PROGRAM 'sh'",
    ],
  },
  'objects defined, changed and dropped': {
    ddl: [
      'CREATE TABLE t (id int)',
      'CREATE UNLOGGED TABLE t (LIKE u INCLUDING ALL)',
      'CREATE TABLE c PARTITION OF p FOR VALUES IN (1)',
      'CREATE INDEX CONCURRENTLY i ON t (lower(a)) WHERE b',
      'CREATE SEQUENCE s; ALTER SEQUENCE s RESTART',
      'CREATE SCHEMA s CREATE TABLE t (id int)',
      "CREATE TYPE e AS ENUM ('a'); ALTER TYPE e ADD VALUE 'b'",
      'CREATE TYPE c AS (a int); CREATE TYPE r AS RANGE (subtype = int4); CREATE DOMAIN d AS int CHECK (value > 0)',
      'ALTER TABLE t ADD COLUMN a int, DROP COLUMN b',
      'ALTER TABLE t ALTER COLUMN a TYPE int USING f(a)',
      'ALTER TABLE p DETACH PARTITION c',
      'ALTER TABLE t DISABLE TRIGGER ALL',
      'ALTER TABLE t DISABLE ROW LEVEL SECURITY',
      'ALTER TABLE t OWNER TO me; ALTER TABLE t RENAME TO u; ALTER TABLE t SET SCHEMA s',
      'ALTER INDEX i RENAME TO j',
      'CREATE POLICY p ON t USING (true); ALTER POLICY p ON t USING (false); DROP POLICY p ON t',
      'DROP TABLE IF EXISTS t; DROP VIEW v; DROP SEQUENCE s; DROP INDEX i; DROP FUNCTION f(int); DROP TYPE t',
      'DROP SCHEMA s',
      "COMMENT ON TABLE t IS 'x'",
      'GRANT SELECT ON t TO u; REVOKE ALL ON SCHEMA s FROM u; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO u',
      'CREATE AGGREGATE a (int) (sfunc = f, stype = int)',
      'CREATE OPERATOR + (procedure = f, leftarg = int, rightarg = int)',
      'CREATE CAST (text AS int) WITH FUNCTION f(text)',
      'CREATE TEXT SEARCH CONFIGURATION c (parser = p)',
      'CREATE COLLATION c (locale = x)',
      'CREATE STATISTICS s ON a, b FROM t',
      'CREATE DATABASE d; DROP DATABASE d WITH (FORCE)',
    ],
  },
  'the server, its code and other servers': {
    admin: [
      'CREATE EXTENSION dblink CASCADE; ALTER EXTENSION x UPDATE',
      'CREATE SERVER s FOREIGN DATA WRAPPER f',
      'CREATE FOREIGN DATA WRAPPER f',
      "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'x')",
      "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
      'ALTER SUBSCRIPTION s DISABLE; DROP SUBSCRIPTION s',
      'CREATE PUBLICATION p FOR ALL TABLES',
      'IMPORT FOREIGN SCHEMA s FROM SERVER t INTO u',
      "LOAD 'lib'",
      "ALTER SYSTEM SET archive_command = 'x'",
      'ALTER SYSTEM RESET ALL',
      "SECURITY LABEL ON TABLE t IS 'x'",
      'DROP OWNED BY u',
      'REASSIGN OWNED BY u TO v',
      "CREATE TABLESPACE x LOCATION '/x'; DROP TABLESPACE x",
      'CREATE LANGUAGE plperlu',
      'CREATE ACCESS METHOD m TYPE index HANDLER h',
      'DROP EXTENSION x; DROP SERVER s; DROP LANGUAGE l; DROP EVENT TRIGGER e; DROP PUBLICATION p; DROP ACCESS METHOD a',
      'ALTER DATABASE d CONNECTION LIMIT 0; ALTER DATABASE d RENAME TO e',
      'ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b',
    ],
  },
  'roles and privileges of people': {
    admin: [
      'CREATE ROLE r; CREATE USER u; CREATE GROUP g',
      'ALTER ROLE r SUPERUSER',
      'ALTER ROLE r SET search_path = x; ALTER DATABASE d SET jit = off; ALTER ROLE ALL RESET ALL',
      'DROP ROLE r',
      'GRANT admins TO me',
      'REVOKE admins FROM me',
      'GRANT SET ON PARAMETER log_statement TO me',
      'ALTER ROLE r RENAME TO s',
    ],
  },
  identity: {
    admin: [
      'SET ROLE postgres',
      "SET LOCAL ROLE 'postgres'",
      'SET "role" = postgres',
      'SET "ROLE" TO postgres',
      'SET SESSION AUTHORIZATION postgres',
      'SET session_authorization = postgres',
      'SET session_replication_role = replica',
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET role = 'postgres' AS 'SELECT 1'",
    ],
  },
  'transaction modes': {
    write: [
      'BEGIN READ WRITE',
      'BEGIN TRANSACTION READ ONLY, READ WRITE',
      'START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE',
      'SET TRANSACTION READ WRITE',
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
      'SET default_transaction_read_only = off',
      'SET LOCAL default_transaction_read_only TO false',
      'SET SESSION "Default_Transaction_Read_Only" TO 0',
      'SET transaction_read_only TO no',
      'SET transaction_read_only TO DEFAULT',
      'RESET transaction_read_only',
    ],
  },
  'other settings': {
    admin: [
      "SET local_preload_libraries = 'x'",
      "SET session_preload_libraries = 'x'",
      'SET zero_damaged_pages = on',
      'SET allow_system_table_mods = on',
      'SET ignore_checksum_failure = on',
      'SET lo_compat_privileges = on',
      "SET dynamic_library_path = '/tmp'",
      'SET log_statement = none',
      'SET brand_new_setting = 1',
      "SET pgaudit.log = 'none'",
    ],
  },
  'locks and maintenance': {
    write: [
      'LOCK TABLE t',
      'LOCK t IN ROW SHARE MODE',
      'LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT',
      'SELECT * FROM t FOR UPDATE',
      'SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED',
      'SELECT * FROM t FOR SHARE',
      'SELECT * FROM t FOR KEY SHARE OF t NOWAIT',
      'SELECT * FROM (SELECT * FROM t FOR UPDATE) x',
    ],
    ddl: [
      'VACUUM',
      'VACUUM (FULL, ANALYZE) t',
      'ANALYZE t (a)',
      'CLUSTER t USING i',
      'REINDEX (CONCURRENTLY) TABLE t',
      'REINDEX SYSTEM d',
      'CHECKPOINT',
    ],
  },
  'between sessions': {
    write: ["NOTIFY c, 'p'", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'"],
  },
};

describe.each(Object.entries(NEEDS))('%s', (_group, byAccess) => {
  const cases = Object.entries(byAccess).flatMap(([needed, texts]) =>
    texts.map((sql): [string, string] => [needed, sql]),
  );
  it.each(cases)('%s: %s', (needed, sql) => {
    expect(access(sql)).toBe(needed);
    for (const statement of statements(sql)) {
      for (const need of statement.needs) {
        // It has to complete "… needs write access: it …".
        expect(need.why).toMatch(/^[a-z].*[^.]$/);
      }
    }
  });
});

describe('what nobody may do', () => {
  it.each([
    'SET standard_conforming_strings = off',
    'SET LOCAL standard_conforming_strings TO false',
    'SET "Standard_Conforming_Strings" = 0',
    "SELECT set_config('standard_conforming_strings', 'off', true)",
    "SELECT set_config('standard_conforming_strings', $1, true)",
    "SELECT set_config('Standard_Conforming_Strings', 'of' || 'f', true)",
    "SET client_encoding = 'LATIN1'",
    "SET NAMES 'SQL_ASCII'",
    'SET client_encoding TO sjis',
    "SELECT set_config('client_encoding', 'BIG5', false)",
    'ALTER ROLE r SET client_encoding = latin1',
    'ALTER DATABASE d SET standard_conforming_strings = off',
    'ALTER SYSTEM SET standard_conforming_strings = off',
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET standard_conforming_strings = off AS 'SELECT 1'",
    'ALTER FUNCTION f() SET client_encoding = latin1',
    "PREPARE p AS SELECT set_config('client_encoding', 'BIG5', false)",
    "EXPLAIN SELECT set_config('client_encoding', 'BIG5', false)",
  ])('%s', (sql) => {
    expect(facts(sql).prohibitions).toHaveLength(1);
  });

  it('says why, and where', () => {
    expect(facts("SELECT 1, set_config('client_encoding', 'BIG5', false)").prohibitions).toMatchObject([
      { why: expect.stringMatching(/^changes client_encoding/) as string, offset: 10 },
    ]);
  });
});

it('ORMs: everyday writes need no more than write access', () => {
  for (const sql of [
    'UPDATE users SET name = $1 WHERE id = $2 RETURNING *',
    'INSERT INTO users (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id',
    'SELECT * FROM jobs WHERE state = $1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED',
    "SELECT nextval('users_id_seq')",
    'SAVEPOINT active_record_1',
    'SELECT pg_advisory_xact_lock(1)',
    'DELETE FROM sessions WHERE expires < now()',
    'UPDATE pg_search_documents SET content = $1 WHERE id = $2',
  ]) {
    expect(['read', 'write'], sql).toContain(access(sql));
    expect(facts(sql).prohibitions).toEqual([]);
  }
});

it('keeps only one of many equal needs', () => {
  expect(facts(`SELECT ${Array.from({ length: 500 }, () => "nextval('s')").join(', ')}`).needs).toHaveLength(
    1,
  );
});
