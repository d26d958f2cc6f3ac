/**
 * What the server counts of the rows that a session's transaction changes, and how it
 * is asked: pg_stat_get_xact_tuples_inserted, _updated and _deleted, the functions
 * behind pg_stat_xact_user_tables (PostgreSQL documentation, chapter "The Cumulative
 * Statistics System"). Rows that foreign keys, triggers and functions change are
 * counted like any others.
 *
 * Law: pure. Every name and operator in the queries is pg_catalog's, so that no
 * search_path decides what is read. The counters go on from transaction to
 * transaction, so only differences within one mean anything.
 */
import { ImpactError } from './impact-error.js';

/** One row of text columns. */
type Row = readonly (string | null)[];

/** One table as it is counted. */
export interface CountedTable {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  /** A temporary table, which only the session itself sees. */
  readonly temporary: boolean;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** About how many rows it had, by the server's statistics; null where those know nothing. */
  readonly rows: number | null;
  /** pg_relation_filenode: another one when it has been truncated or rewritten. */
  readonly file: string;
  /** Somebody's own trigger on it may run as late as at COMMIT (CREATE CONSTRAINT TRIGGER … DEFERRABLE). */
  readonly deferred: boolean;
}

/** One reading of the counters. */
export interface Reading {
  /** pg_current_xact_id_if_assigned: by which pg_xact_status tells later whether it was committed. */
  readonly transaction: string | null;
  readonly tables: ReadonlyMap<string, CountedTable>;
  /** Of the files of all tables: another one when a table was truncated, rewritten, made or dropped. */
  readonly files: string;
}

/**
 * `changed`: tables that have been written to. `all`: every table, so that one that is
 * emptied or dropped can be told by its file.
 */
export type Scope = 'changed' | 'all';

/** FirstNormalObjectId (access/transam.h): what has a smaller oid came with the server. An index finds the others. */
const COUNTED = `
  SELECT c.oid, c.relnamespace, c.relname, c.relpersistence,
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
    pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) AS updated,
    pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS deleted,
    c.reltuples, c.relfilenode
  FROM pg_catalog.pg_class AS c
  WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    AND (c.relkind OPERATOR(pg_catalog.=) 'r' OR c.relkind OPERATOR(pg_catalog.=) 'm')`;

/** Looked up for the rows that are answered only. */
const SCHEMA = `SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace AS n
    WHERE n.oid OPERATOR(pg_catalog.=) t.relnamespace`;

/** Of a table that nobody has analysed and that is not empty, nothing is known; its size says so. */
const ROWS = `CASE
    WHEN t.reltuples OPERATOR(pg_catalog.>) 0 OR pg_catalog.pg_stat_get_live_tuples(t.oid) OPERATOR(pg_catalog.>) 0
      THEN GREATEST(t.reltuples::pg_catalog.float8, pg_catalog.pg_stat_get_live_tuples(t.oid)::pg_catalog.float8)
    WHEN pg_catalog.pg_relation_size(t.oid) OPERATOR(pg_catalog.=) 0 THEN 0 END`;

/** Foreign keys and unique constraints that are checked late change nothing; their triggers are internal. */
const DEFERRED = `EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
    WHERE g.tgrelid OPERATOR(pg_catalog.=) t.oid AND g.tgdeferrable AND NOT g.tgisinternal)`;

function text(scope: Scope): string {
  const which =
    scope === 'all'
      ? ''
      : 'WHERE t.inserted OPERATOR(pg_catalog.+) t.updated OPERATOR(pg_catalog.+) t.deleted OPERATOR(pg_catalog.>) 0';
  return `WITH t AS MATERIALIZED (${COUNTED})
SELECT NULL::pg_catalog.text, pg_catalog.current_setting('track_counts'),
  pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, NULL::pg_catalog.text,
  pg_catalog.sum(t.relfilenode::pg_catalog.int8)::pg_catalog.text, pg_catalog.count(*)::pg_catalog.text, NULL::pg_catalog.text,
  NULL::pg_catalog.text, NULL::pg_catalog.text, NULL::pg_catalog.text
FROM t WHERE t.relpersistence OPERATOR(pg_catalog.<>) 't'
UNION ALL
SELECT t.oid::pg_catalog.text, (${SCHEMA}), t.relname::pg_catalog.text, t.relpersistence::pg_catalog.text,
  t.inserted::pg_catalog.text, t.updated::pg_catalog.text, t.deleted::pg_catalog.text,
  (${ROWS})::pg_catalog.text, t.relfilenode::pg_catalog.text, (${DEFERRED})::pg_catalog.text
FROM t ${which}`;
}

/** The queries. They have no parameters; their columns are what readingOf() takes. */
export const COUNT_QUERIES: Readonly<Record<Scope, string>> = { changed: text('changed'), all: text('all') };

/**
 * A reading from the rows of a count query.
 * @throws ImpactError when the server does not count, or answers what is no answer
 */
export function readingOf(rows: readonly Row[]): Reading {
  const tables = new Map<string, CountedTable>();
  let head: Row | null = null;
  for (const row of rows) {
    const [oid] = row;
    if (oid === null || oid === undefined) head = row;
    else tables.set(oid, tableOf(oid, row));
  }
  if (head === null) throw new ImpactError('the server has answered nothing');
  const [, tracking, transaction = null, , files, tableCount] = head;
  if (tracking !== 'on') {
    throw new ImpactError('the setting track_counts is off on the server');
  }
  return { transaction, tables, files: `${files ?? ''}/${tableCount ?? ''}` };
}

function tableOf(oid: string, row: Row): CountedTable {
  const [, schema, name, persistence, inserted, updated, deleted, known, file, deferred] = row;
  if (!schema || !name || !file) throw new ImpactError('a row is not whole');
  return {
    oid,
    schema,
    name,
    temporary: persistence === 't',
    inserted: count(inserted),
    updated: count(updated),
    deleted: count(deleted),
    rows: known === null || known === undefined ? null : Math.round(Number(known)),
    file,
    deferred: deferred === 'true',
  };
}

function count(text: string | null | undefined): number {
  const value = Number(text ?? Number.NaN);
  if (!Number.isSafeInteger(value) || value < 0) throw new ImpactError('a count is no number');
  return value;
}
