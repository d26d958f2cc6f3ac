/**
 * A checksum of everything in a database that a statement could have changed: the
 * rows of all tables, sequences, large objects and the catalogs. Of the catalogs
 * that all databases share, only what belongs to the database and the roles named:
 * other tests run on the same server.
 */
import pg from 'pg';
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
    // Temporary tables go with their sessions, which may end at any moment.
    const { rows: relations } = await client.query<{ name: string; kind: string }>(
      `SELECT oid::regclass::text AS name, relkind AS kind FROM pg_class WHERE relkind IN ('r', 'm', 'S')
       AND relpersistence <> 't' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)`,
    );
    const contents: readonly (readonly [name: string, rows: string])[] = [
      ...relations.map(({ name, kind }): [string, string] => [
        name,
        `SELECT ${kind === 'S' ? 'ROW(last_value, is_called)' : 'x'}::text FROM ${name} AS x`,
      ]),
      ...CATALOGS.map((name): [string, string] => [name, `SELECT x::text FROM ${name} AS x`]),
      ['pg_class', `SELECT (to_jsonb(x) - ${RESTLESS})::text FROM pg_class AS x`],
      ['pg_index', 'SELECT x::text FROM pg_index AS x'],
      ['pg_attribute', 'SELECT x::text FROM pg_attribute AS x'],
      [
        'pg_authid',
        "SELECT x::text FROM pg_authid AS x WHERE rolname = ANY ($1) OR rolname = 'holdfast_never'",
      ],
      [
        'pg_auth_members',
        'SELECT x::text FROM pg_auth_members AS x WHERE member::regrole::text = ANY ($1) OR roleid::regrole::text = ANY ($1)',
      ],
      [
        'pg_db_role_setting',
        `SELECT x::text FROM pg_db_role_setting AS x
         WHERE setrole IN (SELECT oid FROM pg_authid WHERE rolname = ANY ($1) UNION SELECT 0)
         AND setdatabase IN (SELECT oid FROM pg_database WHERE datname = current_database() UNION SELECT 0)`,
      ],
      [
        'pg_database',
        `SELECT (to_jsonb(x) - '{datfrozenxid,datminmxid}'::text[])::text FROM pg_database AS x
         WHERE datname IN (current_database(), 'holdfast_never')`,
      ],
      ['pg_tablespace', 'SELECT x::text FROM pg_tablespace AS x'],
      [
        'pg_file_settings',
        "SELECT name || '=' || setting FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'",
      ],
      ['slots', "SELECT slot_name::text FROM pg_replication_slots WHERE slot_name = 'holdfast_never'"],
    ];
    // One query, and sums that need no sorting: this runs once for each class of statements.
    const { rows: sums } = await client.query<{ name: string; sum: string }>(
      contents
        .map(
          ([name, rows]) => `SELECT ${pg.escapeLiteral(name)} AS name,
            count(*) || ':' || coalesce(sum(hashtextextended(r, 0)), 0) AS sum FROM (${rows}) AS t(r)`,
        )
        .join(' UNION ALL '),
      [roles],
    );
    return Object.fromEntries(sums.map(({ name, sum }) => [name, sum]));
  }, database.name);
}
