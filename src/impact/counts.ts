/**
 * What the server counts of the rows that a session's transaction changes, and how it
 * is asked: pg_stat_get_xact_tuples_inserted, _updated and _deleted, the functions
 * behind pg_stat_xact_user_tables (PostgreSQL documentation, chapter "The Cumulative
 * Statistics System"). Rows that foreign keys, triggers and functions change are
 * counted like any others.
 *
 * Law: pure. Every name and operator in the queries is pg_catalog's, so that no
 * search_path decides what is read. The counters go on from transaction to
 * transaction until the server adds them to its statistics, so only differences mean
 * anything. The queries run up to twice a statement: one pass over the tables, one row,
 * and of a table that has not been written to nothing but its three counters.
 */
import { ImpactError } from './impact-error.js';

/** One row of text columns. */
type Row = readonly (string | null)[];

/** The counters of one table. */
export interface Counters {
  readonly oid: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** pg_class.relfilenode: another one when it has been truncated or rewritten. */
  readonly file: string;
}

/** One table as it is counted. */
export interface CountedTable extends Counters {
  readonly schema: string;
  readonly name: string;
  /** A temporary table, which only the session itself sees. */
  readonly temporary: boolean;
  /** About how many rows it had, by the server's statistics; null where those know nothing. */
  readonly rows: number | null;
  /** As many rows as its file has room for, where `rows` is null; null: not even that is known. */
  readonly atMost: number | null;
  /** Bytes of its file, where the transaction itself may have made that: such a file is emptied in place. null: it has not, or nobody asked. */
  readonly bytes: number | null;
  /** Somebody's own trigger on it may run as late as at COMMIT (CREATE CONSTRAINT TRIGGER … DEFERRABLE). */
  readonly deferred: boolean;
}

/** One reading of the counters. */
export interface Reading<Table extends Counters = CountedTable> {
  /** pg_current_xact_id_if_assigned: by which pg_xact_status tells later whether it was committed. */
  readonly transaction: string | null;
  readonly tables: ReadonlyMap<string, Table>;
  /** Of the files of all tables: another one when a table was truncated, rewritten, made or dropped, by whomever. */
  readonly files: string;
  /** How often the session itself has changed pg_class, where each table has its row. */
  readonly catalog: number;
  /** The server adds the counters to its statistics, and begins them anew, when the session is next idle outside a transaction. */
  readonly startsAnew: boolean;
}

/**
 * `changed`: tables that have been written to. `remade`: these, and those whose file may be the transaction's own. `all`:
 * every table, so that one that is emptied or dropped can be told by its file.
 */
export type Scope = 'changed' | 'remade' | 'all';

/** The readings around a statement. Of tables that are not emptied only what is read behind it has to have their names. */
export type Readings =
  | { readonly scope: 'changed'; readonly before: Reading<Counters>; readonly after: Reading }
  | { readonly scope: 'remade' | 'all'; readonly before: Reading; readonly after: Reading };

const WRITTEN =
  'c.inserted OPERATOR(pg_catalog.+) c.updated OPERATOR(pg_catalog.+) c.deleted OPERATOR(pg_catalog.>) 0';
const LASTING = `c.relpersistence OPERATOR(pg_catalog.<>) 't'`;

/** What countersOf() takes. */
const COUNTERS = 'c.oid, c.inserted, c.updated, c.deleted, c.relfilenode';

/**
 * What tableOf() takes besides. An estimate of 0 rows is one only of a table that has not grown since it was analysed:
 * servers before version 14 say 0 of tables that never were. Of one that has grown, or never was, its bytes come as a number; -1
 * where they say nothing, since the table's access method is not PostgreSQL's own (heap, whose oid is fixed).
 * The schema's name comes quoted where SQL needs that: the type knows it without a look-up that would have to be made
 * ready each time.
 */
const DETAILS = `c.relnamespace::pg_catalog.regnamespace::pg_catalog.text, c.relname, c.relpersistence,
  c.reltuples, pg_catalog.pg_stat_get_live_tuples(c.oid),
  CASE WHEN c.reltuples OPERATOR(pg_catalog.>) 0 THEN NULL
    WHEN c.relam OPERATOR(pg_catalog.<>) 2::pg_catalog.oid THEN -1
    WHEN c.reltuples OPERATOR(pg_catalog.<) 0 THEN pg_catalog.pg_relation_size(c.oid)
    WHEN pg_catalog.pg_relation_size(c.oid) OPERATOR(pg_catalog.<=)
      (c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.*) pg_catalog.current_setting('block_size')::pg_catalog.int8) THEN 0
    ELSE pg_catalog.pg_relation_size(c.oid) END`;

/**
 * What tableOf() takes but for `changed`. TRUNCATE empties a file that its own transaction has made (by ALTER
 * TABLE, CLUSTER) without making another one (ExecuteTruncateGuts, commands/tablecmds.c), and nothing but its size tells.
 * A transaction that makes a file writes the table's row in pg_class; age() counts from it, or from where it began.
 */
const MADE_HERE = 'pg_catalog.age(c.xmin) OPERATOR(pg_catalog.<=) 0';
const SIZE = `CASE WHEN ${MADE_HERE} THEN pg_catalog.pg_relation_size(c.oid) END`;

/**
 * Asked once for the tables that are listed, not in each row: the planner would take that for so much work with thousands
 * of tables that it had it compiled. Foreign keys and unique constraints that are checked late change nothing, and their
 * triggers are internal. So are, before version 15, the copies of a trigger that partitions have; they run functions that
 * did not come with the server.
 */
const DEFERRED = `(SELECT pg_catalog.json_agg(g.tgrelid) FROM pg_catalog.pg_trigger AS g
  WHERE g.tgrelid OPERATOR(pg_catalog.=) ANY (t.oids) AND g.tgdeferrable
    AND (NOT g.tgisinternal OR g.tgfoid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))::pg_catalog.text`;

/**
 * Each counter is read once: functions that are volatile stay in the sub-select.
 * FirstNormalObjectId (access/transam.h): what has a smaller oid came with the server. An index finds the others.
 * @param more further columns
 */
const tables = (
  more = '',
): string => `FROM (SELECT ${more}c.oid, c.relnamespace, c.relname, c.relpersistence, c.reltuples, c.relpages, c.relam, c.relfilenode,
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
    pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) AS updated,
    pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
  FROM pg_catalog.pg_class AS c
  WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    AND (c.relkind OPERATOR(pg_catalog.=) 'r' OR c.relkind OPERATOR(pg_catalog.=) 'm')) AS c`;

/** @param which the tables that are listed: a FILTER, or empty for all */
function list(columns: string, which: string): string {
  return `pg_catalog.current_setting('track_counts') AS tracking,
  pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text AS transaction,
  pg_catalog.sum(c.relfilenode::pg_catalog.int8) FILTER (WHERE ${LASTING})::pg_catalog.text AS files,
  pg_catalog.count(*) FILTER (WHERE ${LASTING})::pg_catalog.text AS count,
  ${CATALOG},
  pg_catalog.json_agg(pg_catalog.json_build_array(${columns}))${which}::pg_catalog.text AS tables`;
}

/** pg_class, whose oid is fixed (catalog/pg_class.h). A transaction that makes, drops, empties or rewrites a table changes its row there. */
const CATALOG = `(pg_catalog.pg_stat_get_xact_tuples_inserted(1259::pg_catalog.oid)
  OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(1259::pg_catalog.oid)
  OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(1259::pg_catalog.oid))::pg_catalog.text AS catalog`;

/** Only the counters. */
function brief(which: string): string {
  return `SELECT ${list(COUNTERS, which)}
${tables()}`;
}

/**
 * The tables that `which` lists, in detail.
 * @param more further columns
 * @param sizes with the sizes of files that the transaction itself may have made
 */
function detailed(which: string, more: string, sizes = false): string {
  return `SELECT t.tracking, t.transaction, t.files, t.count, t.catalog, t.tables, ${DEFERRED}${more}
FROM (SELECT ${list(`${COUNTERS}, ${DETAILS}${sizes ? `, ${SIZE}` : ''}`, which)},
  pg_catalog.array_agg(c.oid)${which} AS oids
${tables(sizes ? 'c.xmin, ' : '')}) AS t`;
}

/** The same, with the sizes, before a statement and behind it. */
function sized(which: string, more: string): CountSql {
  const sql = detailed(which, more, true);
  return { before: sql, after: sql };
}

const WHICH = ` FILTER (WHERE ${WRITTEN})`;
const OR_MADE_HERE = ` FILTER (WHERE ${WRITTEN} OR ${MADE_HERE})`;

/**
 * What is added on servers that have it, from version 15: the counters start anew behind the transaction, so that nobody
 * has to read them before the next. It is called on top of the aggregates, once.
 */
const STARTS_ANEW = ', pg_catalog.pg_stat_force_next_flush()';

/** The queries before a statement and behind it. They have no parameters; what they answer readingsOf() takes. */
export interface CountSql {
  readonly before: string;
  readonly after: string;
}

export const COUNT_QUERIES: Readonly<Record<Scope, CountSql>> = {
  changed: { before: brief(WHICH), after: detailed(WHICH, '') },
  remade: sized(OR_MADE_HERE, ''),
  all: sized('', ''),
};

/** The same for servers that can be told to let the counters start anew (pg_stat_force_next_flush). */
export const COUNT_QUERIES_ANEW: Readonly<Record<Scope, CountSql>> = {
  changed: { ...COUNT_QUERIES.changed, after: detailed(WHICH, STARTS_ANEW) },
  // One query before and behind, and no harm in it: nothing begins anew before the transaction is over.
  remade: sized(OR_MADE_HERE, STARTS_ANEW),
  all: sized('', STARTS_ANEW),
};

/**
 * The readings from what the queries of a scope have answered.
 * @param before the rows of the first; or a reading that is still true, which only `changed` can do with
 * @throws ImpactError when the server does not count, or answers what is no answer
 */
export function readingsOf(
  scope: Scope,
  before: readonly Row[] | Reading<Counters>,
  after: readonly Row[],
): Readings {
  const behind = readingOf(after, tableOf);
  if (scope === 'changed')
    return { scope, before: 'tables' in before ? before : readingOf(before, countersOf), after: behind };
  if ('tables' in before) throw new ImpactError('all tables must be read before they are changed');
  return { scope, before: readingOf(before, tableOf), after: behind };
}

function readingOf<Table extends Counters>(
  rows: readonly Row[],
  one: (values: readonly unknown[], deferred: ReadonlySet<unknown>) => Table,
): Reading<Table> {
  const [tracking, transaction = null, files, tableCount, catalog, tables, triggers, anew] = rows[0] ?? [];
  if (tracking === undefined) throw new ImpactError('the server has answered nothing');
  if (tracking !== 'on') throw new ImpactError('the setting track_counts is off on the server');
  const read = new Map<string, Table>();
  const deferred = new Set(listed(triggers ?? '[]'));
  for (const values of listed(tables ?? '[]')) {
    if (!Array.isArray(values)) throw new ImpactError('a row is not whole');
    const table = one(values, deferred);
    read.set(table.oid, table);
  }
  return {
    transaction,
    tables: read,
    files: `${files ?? ''}/${tableCount ?? ''}`,
    catalog: count(Number(catalog ?? Number.NaN)),
    startsAnew: anew !== undefined,
  };
}

function listed(json: string): readonly unknown[] {
  let list: unknown;
  try {
    list = JSON.parse(json);
  } catch {
    list = null;
  }
  if (!Array.isArray(list)) throw new ImpactError('the list of tables is none');
  return list;
}

function countersOf([oid, inserted, updated, deleted, file]: readonly unknown[]): Counters {
  return {
    oid: word(oid),
    inserted: count(inserted),
    updated: count(updated),
    deleted: count(deleted),
    file: word(file),
  };
}

function tableOf(values: readonly unknown[], deferred: ReadonlySet<unknown>): CountedTable {
  const [oid, , , , , schema, name, persistence, analysed, live, unseen, bytes = null] = values;
  return {
    ...countersOf(values),
    schema: unquoted(word(schema)),
    name: word(name),
    temporary: word(persistence) === 't',
    ...sizeOf(Number(analysed), Number(live), unseen),
    bytes: bytes === null ? null : count(bytes),
    deferred: deferred.has(oid),
  };
}

/** What a row of a heap takes at least: its header and the pointer to it (PostgreSQL documentation, "Database Page Layout"). */
const ROW_BYTES = 23 + 1 + 4;

/** Of a table that nobody has analysed and that is not empty, only what it has room for is known: it has bytes that no estimate was made of. */
function sizeOf(analysed: number, live: number, unseen: unknown): Pick<CountedTable, 'rows' | 'atMost'> {
  if (analysed > 0 || live > 0) return { rows: Math.round(Math.max(analysed, live)), atMost: null };
  if (unseen === 0) return { rows: 0, atMost: null };
  return {
    rows: null,
    atMost: typeof unseen === 'number' && unseen > 0 ? Math.floor(unseen / ROW_BYTES) : null,
  };
}

/** A name as quote_identifier has written it. */
function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}

function word(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new ImpactError('a row is not whole');
  return value;
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new ImpactError('a count is no number');
  }
  return value;
}
