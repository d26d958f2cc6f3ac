/**
 * A checksum of everything in a database that a statement could have changed: the
 * rows of all tables, sequences, large objects and the catalogs. Of the catalogs
 * that all databases share, only what belongs to the database and the roles named:
 * other tests run on the same server.
 */
import { withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';

/** Catalogs of one database, whole. */
const CATALOGS =
  `pg_aggregate pg_am pg_attrdef pg_cast pg_collation pg_constraint pg_conversion pg_default_acl
  pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper pg_foreign_server pg_inherits pg_language
  pg_largeobject pg_largeobject_metadata pg_namespace pg_opclass pg_operator pg_policy pg_proc pg_publication
  pg_publication_rel pg_range pg_rewrite pg_seclabel pg_statistic_ext pg_transform pg_trigger pg_ts_config pg_type
  pg_user_mapping`.split(/\s+/);

/**
 * Columns that the server changes on its own: autovacuum, hint bits of the planner.
 * relfilenode stays: TRUNCATE, CLUSTER and REFRESH give a table a new one.
 */
const RESTLESS = `'{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid}'::text[]`;

/** One checksum for each table, catalog and kind of thing; equal when nothing changed. */
export async function fingerprint(
  database: TestDatabase,
  roles: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  return withClient(async (client) => {
    const sums: Record<string, string> = {};
    const sum = async (name: string, rows: string, parameters: readonly unknown[] = []): Promise<void> => {
      const { rows: result } = await client.query<{ sum: string }>(
        `SELECT count(*) || ':' || md5(coalesce(string_agg(r, E'\\n' ORDER BY r), '')) AS sum FROM (${rows}) AS t(r)`,
        [...parameters],
      );
      sums[name] = result[0]?.sum ?? '';
    };
    const { rows: relations } = await client.query<{ name: string; kind: string }>(
      `SELECT oid::regclass::text AS name, relkind AS kind FROM pg_class WHERE relkind IN ('r', 'm', 'S')
       AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)`,
    );
    for (const { name, kind } of relations) {
      const columns = kind === 'S' ? 'ROW(last_value, is_called)' : 'to_jsonb(x)';
      await sum(name, `SELECT ${columns}::text FROM ${name} AS x`);
    }
    for (const name of CATALOGS) await sum(name, `SELECT to_jsonb(x)::text FROM ${name} AS x`);
    await sum('pg_class', `SELECT (to_jsonb(x) - ${RESTLESS})::text FROM pg_class AS x`);
    await sum('pg_index', 'SELECT (to_jsonb(x))::text FROM pg_index AS x');
    await sum('pg_attribute', 'SELECT (to_jsonb(x))::text FROM pg_attribute AS x');
    await sum('pg_authid', 'SELECT to_jsonb(x)::text FROM pg_authid AS x WHERE rolname = ANY ($1)', [
      [...roles, 'holdfast_never'],
    ]);
    await sum(
      'pg_auth_members',
      'SELECT to_jsonb(x)::text FROM pg_auth_members AS x WHERE member::regrole::text = ANY ($1) OR roleid::regrole::text = ANY ($1)',
      [roles],
    );
    await sum(
      'pg_db_role_setting',
      `SELECT to_jsonb(x)::text FROM pg_db_role_setting AS x
       WHERE setrole IN (SELECT oid FROM pg_authid WHERE rolname = ANY ($1) UNION SELECT 0)
       AND setdatabase IN (SELECT oid FROM pg_database WHERE datname = current_database() UNION SELECT 0)`,
      [roles],
    );
    await sum(
      'pg_database',
      `SELECT (to_jsonb(x) - '{datfrozenxid,datminmxid}'::text[])::text FROM pg_database AS x
       WHERE datname IN (current_database(), 'holdfast_never')`,
    );
    await sum('pg_tablespace', 'SELECT to_jsonb(x)::text FROM pg_tablespace AS x');
    await sum(
      'pg_file_settings',
      "SELECT name || '=' || setting FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'",
    );
    await sum('slots', "SELECT slot_name::text FROM pg_replication_slots WHERE slot_name = 'holdfast_never'");
    return sums;
  }, database.name);
}
