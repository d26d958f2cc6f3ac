/**
 * What the server is asked, in the transaction of the statement itself, to learn the
 * rows that it changes:
 *
 *   describe → open a query on each table → the statement → read those queries → follow
 *
 * A query that was opened before the statement sees, when it is read after it, the rows
 * as they were (PostgreSQL documentation, section "Cursors": a portal's snapshot is that
 * of its Bind), while the system columns xmax and xmin are read from the row itself: in
 * what it returns, they tell which rows this transaction has changed since. So cascades,
 * triggers and functions are seen like anything else, and no second connection is needed.
 *
 * Law: names and operators are pg_catalog's, so that no search_path decides what is
 * read. Each table is scanned once, or twice where rows were inserted.
 */
import { arrayText, identifier, literal, relation } from './quoting.js';
import type { UndoTable } from './document.js';

/** A statement of Holdfast's own with text parameters. */
export interface Query {
  readonly sql: string;
  readonly parameters: readonly (string | null)[];
}

/** A table that a statement was seen to change. */
export interface ChangedTable {
  readonly schema: string;
  readonly name: string;
  /** Whether rows were inserted into it. */
  readonly inserted: boolean;
}

export const is = (operator: string): string => `OPERATOR(pg_catalog.${operator})`;

const COLUMNS = `SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, tn.nspname, y.typname, a.attgenerated, a.attidentity) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_type AS y ON y.oid ${is('=')} a.atttypid
    JOIN pg_catalog.pg_namespace AS tn ON tn.oid ${is('=')} y.typnamespace
    WHERE a.attrelid ${is('=')} c.oid AND a.attnum ${is('>')} 0 AND NOT a.attisdropped`;

const KEY = `SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum)
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${is('=')} c.oid
      AND a.attnum ${is('=')} ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts ${is('-')} 1])
    WHERE i.indrelid ${is('=')} c.oid AND i.indisprimary`;

/** A table, and what it is a partition of. */
const WITH_ANCESTORS = `SELECT c.oid UNION ALL SELECT a.relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors(c.oid) AS a(relid)`;

/** Foreign keys act on a table by statements of their own, which run its triggers and rules even where they change no row. */
const REACHED = `${WITH_ANCESTORS}
      UNION ALL SELECT k.conrelid FROM pg_catalog.pg_constraint AS k
      WHERE k.contype ${is('=')} 'f' AND k.confrelid IN (${WITH_ANCESTORS})`;

const RULES = `EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class IN (${REACHED}))`;

/** Before version 15 the copies that partitions have of a trigger are called internal, like those of foreign keys; only these run functions of the server's own. */
const TRIGGERS = `SELECT pg_catalog.json_agg(pg_catalog.json_build_array(tn.nspname, tc.relname, g.tgname, g.tgenabled) ORDER BY g.oid)
    FROM pg_catalog.pg_trigger AS g
    JOIN pg_catalog.pg_class AS tc ON tc.oid ${is('=')} g.tgrelid
    JOIN pg_catalog.pg_namespace AS tn ON tn.oid ${is('=')} tc.relnamespace
    WHERE (NOT g.tgisinternal OR g.tgfoid ${is('>=')} 16384::pg_catalog.oid) AND g.tgenabled ${is('<>')} 'D' AND g.tgrelid IN (${REACHED})`;

/** Everything about `tables` that their rows do not say, one row each, in their order. */
export function describeTables(tables: readonly ChangedTable[]): Query {
  return {
    sql: `SELECT pg_catalog.current_setting('transaction_isolation'), pg_catalog.mxid_age('1'::pg_catalog.xid)::pg_catalog.text,
  c.relkind::pg_catalog.text, (${RULES})::pg_catalog.text,
  pg_catalog.has_table_privilege(c.oid, 'SELECT')::pg_catalog.text, pg_catalog.row_security_active(c.oid)::pg_catalog.text,
  (${COLUMNS})::pg_catalog.text, (${KEY})::pg_catalog.text, (${TRIGGERS})::pg_catalog.text
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) WITH ORDINALITY AS w(schema, name, place)
LEFT JOIN (pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${is('=')} c.relnamespace)
  ON n.nspname ${is('=')} w.schema::pg_catalog.name AND c.relname ${is('=')} w.name::pg_catalog.name
ORDER BY w.place`,
    parameters: [arrayText(tables.map(({ schema }) => schema)), arrayText(tables.map(({ name }) => name))],
  };
}

/** Makes the transaction see one state throughout. Only as its very first statement; in a block that is the client's to say. */
export const ONE_STATE: Query = { sql: "SET transaction_isolation = 'repeatable read'", parameters: [] };

/** How far a row's xid lies before this transaction's: 0 for this transaction, less for what it began since. */
const age = (column: string): string => `pg_catalog.age(${column}) ${is('<=')} 0`;
/** A multixact that was made since `nextMulti`: it may be of this transaction. */
const sinceMulti = (column: string, nextMulti: number): string =>
  `pg_catalog.mxid_age(${column}) ${is('>=')} 1 AND pg_catalog.mxid_age(${column}) ${is('<=')} pg_catalog.mxid_age('${nextMulti.toString()}'::pg_catalog.xid)`;

export function columnsOf(table: UndoTable, alias: string): string {
  return table.columns.map(({ name }) => `${alias}.${identifier(name)}`).join(', ');
}

/**
 * The query that is opened before the statement: its rows are ctid, xmax and all columns of what this transaction has
 * touched when it is read, as it was when it was opened.
 * @param nextMulti the multixact id that would have been given out next then
 */
export function touchedRows(table: UndoTable, inserted: boolean, nextMulti: number): string {
  const earlier = inserted ? ` OR ${age('t.xmin')}` : '';
  return `SELECT t.ctid, t.xmax, ${columnsOf(table, 't')} FROM ONLY ${relation(table)} AS t
WHERE ${age('t.xmax')} OR (${sinceMulti('t.xmax', nextMulti)})${earlier}`;
}

/** Settings by which values are printed so that they mean the same everywhere. */
const SETTINGS: readonly (readonly [name: string, value: string])[] = [
  ['client_encoding', 'UTF8'],
  ['datestyle', 'ISO, YMD'],
  ['intervalstyle', 'postgres'],
  ['timezone', 'UTC'],
  ['extra_float_digits', '1'],
  ['bytea_output', 'hex'],
  ['lc_monetary', 'C'],
  ['search_path', ''],
];

/** For a script that reads such values. */
export const READING_SETTINGS: readonly (readonly [name: string, value: string])[] = [
  ...SETTINGS,
  ['standard_conforming_strings', 'on'],
  ['xmloption', 'content'],
  ['row_security', 'off'],
];

/** What the settings are, one row. */
export const SETTINGS_NOW: Query = {
  sql: `SELECT ${SETTINGS.map(([name]) => `pg_catalog.current_setting(${literal(name)})`).join(', ')}`,
  parameters: [],
};

/** Changes the settings for the rest of the transaction; the client does not hear of it if they are put back before it ends. */
export function settingsTo(values: readonly (string | null)[] | null): Query {
  const calls = SETTINGS.map(
    ([name], at) => `pg_catalog.set_config(${literal(name)}, $${(at + 1).toString()}, true)`,
  );
  return {
    sql: `SELECT ${calls.join(', ')}`,
    parameters: values ?? SETTINGS.map(([, value]) => value),
  };
}

/** This transaction, as tables have it. */
const CURRENT = 'pg_catalog.pg_current_xact_id_if_assigned()';

/**
 * It is this transaction's own, or one of what it began since: no other's that is in progress can have changed a row that
 * this one changes, too. A snapshot would not tell, for it says nothing of its own transaction, nor of what that began;
 * nor would age() alone, which for a whole transaction counts from where the server stood when it was first asked.
 */
const ours = (xid: string): string => `pg_catalog.pg_xact_status(
    (${CURRENT}::pg_catalog.text::pg_catalog.int8 ${is('-')} (pg_catalog.age(${xid}) ${is('-')} pg_catalog.age(pg_catalog.xid(${CURRENT}))))::pg_catalog.text::pg_catalog.xid8)
    ${is('=')} 'in progress'`;

/**
 * What has become of rows that were touched: for each its ctid, whether it is still what it was, whether it was this
 * transaction that changed it, the ctid that it has now, and its columns now; null where it is gone. currtid2 follows a
 * row through its updates. (Whose change it is can be told only by a snapshot of now: in a transaction that sees one
 * state throughout, what is not what it was was changed by itself.)
 */
export function followRows(
  table: UndoTable,
  rows: readonly (readonly [ctid: string, xmax: string])[],
  nextMulti: number,
): Query {
  return {
    sql: `SELECT o.tid, EXISTS (SELECT FROM ONLY ${relation(table)} AS s WHERE s.ctid ${is('=')} o.tid), CASE
    WHEN ${age('o.xmax')} THEN ${ours('o.xmax')}
    WHEN ${sinceMulti('o.xmax', nextMulti)} THEN EXISTS (
      SELECT FROM pg_catalog.pg_get_multixact_members(o.xmax) AS m
      WHERE m.mode ${is('=')} ANY ('{upd,nokeyupd}'::pg_catalog.text[]) AND ${ours('m.xid')})
    ELSE false END, t.ctid, ${columnsOf(table, 't')}
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.tid[]), pg_catalog.unnest($2::pg_catalog.xid[])) AS o(tid, xmax)
CROSS JOIN LATERAL (SELECT pg_catalog.currtid2(${literal(relation(table))}, o.tid) AS tid OFFSET 0) AS n
LEFT JOIN ONLY ${relation(table)} AS t ON t.ctid ${is('=')} n.tid`,
    parameters: [arrayText(rows.map(([ctid]) => ctid)), arrayText(rows.map(([, xmax]) => xmax))],
  };
}

/** The rows that this transaction has made, or made anew: ctid and all columns. */
export function madeRows(table: UndoTable): Query {
  return {
    sql: `SELECT t.ctid, ${columnsOf(table, 't')} FROM ONLY ${relation(table)} AS t
WHERE ${age('t.xmin')} AND ${ours('t.xmin')}`,
    parameters: [],
  };
}
