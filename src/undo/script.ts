/**
 * The SQL that puts back what an undo document holds.
 *
 * The tables are locked against writers first, so that what is looked at is what is
 * changed. All rows of all tables are put back by one statement: foreign keys are
 * checked at its end, whichever row comes first (PostgreSQL documentation, section
 * "Data-Modifying Statements in WITH"; constraints are checked when a statement ends).
 * What their actions (ON UPDATE, ON DELETE) change of it then is put back once more.
 * Triggers of one's own are off meanwhile: what they had changed is among the rows.
 * At the end the rows are compared with what they were, and the deleted ones counted.
 * Whatever is not as it must be raises, and nothing of it stays.
 *
 * Law: a row is changed only while it is what the statement had left, unless it is said
 * that it may be overwritten. Nothing of a value is ever taken for SQL.
 */
import { countsOf } from './document.js';
import type { UndoDocument, UndoRow, UndoSequence, UndoTable, UndoTrigger } from './document.js';
import { identifier, literal, relation, seen } from './quoting.js';
import { READING_SETTINGS } from './questions.js';

export interface ScriptOptions {
  /** Rows are put back even where they have changed since. */
  readonly overwrite: boolean;
}

/** Names of its own, which a table of somebody's is unlikely to have. */
const rowsOf = (table: number): string => `pg_temp.${identifier(`holdfast_undo_${table.toString()}`)}`;

/** The script. It is one transaction, for psql or any client that takes several statements. */
export function undoScript(document: UndoDocument, options: ScriptOptions): string {
  const { tables, triggers, sequences } = document;
  const parts = [
    heading(document, options),
    'BEGIN;',
    ...READING_SETTINGS.map(([name, value]) => `SET LOCAL ${name} = ${literal(value)};`),
    '',
    `LOCK TABLE ${tables.map((table) => `ONLY ${relation(table)}`).join(', ')} IN SHARE ROW EXCLUSIVE MODE;`,
    ...triggers.map((trigger) => alter(trigger, 'DISABLE')),
    ...tables.map((table, at) =>
      rowsInto(
        table,
        at,
        document.rows.filter((row) => row.table === at),
      ),
    ),
    ...tables.map((table, at) => locate(table, at, options)),
    ...tables.map((table, at) => check(table, at, options)),
    putBack(tables),
    // A table with checks that are still to come cannot be altered.
    'SET CONSTRAINTS ALL IMMEDIATE;',
    ...tables.map(compare),
    ...triggers.map((trigger) => alter(trigger, ENABLE[trigger.enabled] ?? 'ENABLE')),
    ...sequences.map(advance),
    'COMMIT;',
    '',
  ];
  return parts.join('\n');
}

/** By pg_trigger.tgenabled (PostgreSQL documentation, chapter "System Catalogs"). */
const ENABLE: Readonly<Record<string, string>> = { O: 'ENABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' };

function alter({ schema, table, name }: UndoTrigger, how: string): string {
  return `ALTER TABLE ONLY ${relation({ schema, name: table })} ${how} TRIGGER ${identifier(name)};`;
}

function heading(document: UndoDocument, { overwrite }: ScriptOptions): string {
  const { decision, hold, at, environment, database, user, role, sql, tables } = document;
  const lines = [
    `Puts back what decision ${decision} changed, which was approved as hold ${hold}.`,
    `${at}, ${environment}, database ${database}, user ${user} (role ${role})`,
    '',
    ...sql.split(/\r\n|[\n\r]/),
    '',
    ...tables.map((table, index) => `${relation(table)}: ${countsInWords(document, index)}`),
    '',
    'Run it as the owner of these tables, straight to the database: psql -X -v ON_ERROR_STOP=1 -f FILE',
    overwrite
      ? 'Rows that have changed since are overwritten.'
      : 'It refuses, and changes nothing, where rows have changed since.',
  ];
  return lines.map(comment).join('\n');
}

/** A comment ends with its line, so nothing that stands in it may begin another. */
function comment(text: string): string {
  return `-- ${seen(text)}`.trimEnd();
}

/** A DO block. Names and values in it may hold any text, that which ends its quoting included. */
function block(body: string): string {
  let tag = '$holdfast$';
  for (let number = 1; body.includes(tag); number++) tag = `$holdfast${number.toString()}$`;
  return `DO ${tag}\n${body}\n${tag};`;
}

/** `3 rows deleted, 1 row changed`, of one table. */
export function countsInWords(document: UndoDocument, table: number): string {
  const { deleted, updated, inserted } = countsOf(document, table);
  const words = [
    [deleted, 'deleted'],
    [updated, 'changed'],
    [inserted, 'added'],
  ] as const;
  const parts = words.filter(([count]) => count > 0).map(([count, word]) => `${rowsInWords(count)} ${word}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

function rowsInWords(count: number): string {
  return count === 1 ? '1 row' : `${count.toString()} rows`;
}

// ------------------------------------------------------------------ rows

/** As many rows as one INSERT takes, so that no statement gets too long to be parsed. */
const ROWS_AT_ONCE = 500;

function rowsInto(table: UndoTable, at: number, rows: readonly UndoRow[]): string {
  const lines = [
    '',
    comment(`${relation(table)}: ${table.columns.map(({ name }) => name).join(', ')}`),
    `CREATE TEMPORARY TABLE ${identifier(`holdfast_undo_${at.toString()}`)} (n int, was text[], "left" text[], place tid) ON COMMIT DROP;`,
  ];
  for (let first = 0; first < rows.length; first += ROWS_AT_ONCE) {
    const values = rows
      .slice(first, first + ROWS_AT_ONCE)
      .map(({ was, left }, index) => `  (${(first + index).toString()}, ${image(was)}, ${image(left)})`);
    lines.push(`INSERT INTO ${rowsOf(at)} (n, was, "left") VALUES`, `${values.join(',\n')};`);
  }
  return lines.join('\n');
}

function image(values: readonly (string | null)[] | null): string {
  if (values === null) return 'NULL';
  return `ARRAY[${values.map((value) => (value === null ? 'NULL' : literal(value))).join(', ')}]::text[]`;
}

// ------------------------------------------------------------------ where they are now

/** A value of an image as its column's type. */
function typed(table: UndoTable, column: number, from: string): string {
  const [schema, name] = table.columns[column]?.type ?? ['pg_catalog', 'text'];
  return `${from}[${(column + 1).toString()}]::${identifier(schema)}.${identifier(name)}`;
}

/** A row's columns as texts that can be compared whatever their types, json and point among them. */
function texts(table: UndoTable, of: (column: number, name: string) => string): string {
  return `ARRAY[${table.columns.map(({ name }, column) => `(${of(column, name)})::text`).join(', ')}]`;
}

const ofRow = (table: UndoTable): string => texts(table, (_, name) => `t.${identifier(name)}`);
const ofImage = (table: UndoTable, from: string): string =>
  texts(table, (column) => typed(table, column, from));

/** The key of a row is that of an image. */
function sameKey(table: UndoTable, from: string): string {
  return table.key
    .map((name) => {
      const column = table.columns.findIndex((one) => one.name === name);
      return `t.${identifier(name)} = ${typed(table, column, from)}`;
    })
    .join(' AND ');
}

/** Notes for each row of the document where it is now. */
function locate(table: UndoTable, at: number, { overwrite }: ScriptOptions): string {
  const rows = rowsOf(at);
  if (table.key.length === 0) {
    // Rows that are alike in everything are as good as each other: the first is taken for the first.
    return `UPDATE ${rows} AS u SET place = t.ctid
FROM (SELECT n, v, row_number() OVER (PARTITION BY v ORDER BY n) AS i
      FROM (SELECT r.n, ${ofImage(table, 'r."left"')} AS v FROM ${rows} AS r WHERE r."left" IS NOT NULL) AS l) AS r,
     (SELECT c AS ctid, v, row_number() OVER (PARTITION BY v ORDER BY c) AS i
      FROM (SELECT t.ctid AS c, ${ofRow(table)} AS v FROM ONLY ${relation(table)} AS t) AS l) AS t
WHERE u.n = r.n AND t.v = r.v AND t.i = r.i;`;
  }
  const same = overwrite ? '' : ` AND ${ofRow(table)} = ${ofImage(table, 'r."left"')}`;
  const left = `UPDATE ${rows} AS r SET place = t.ctid FROM ONLY ${relation(table)} AS t
WHERE r."left" IS NOT NULL AND ${sameKey(table, 'r."left"')}${same};`;
  // A row that was deleted and is there again.
  const again = `UPDATE ${rows} AS r SET place = t.ctid FROM ONLY ${relation(table)} AS t
WHERE r."left" IS NULL AND ${sameKey(table, 'r.was')};`;
  return `${left}\n${again}`;
}

/** Refuses where a row is not what the statement had left. */
function check(table: UndoTable, at: number, { overwrite }: ScriptOptions): string {
  const name = relation(table);
  // Without a key nobody can tell which row a changed one was.
  if (overwrite && table.key.length > 0) return '';
  const first = `(SELECT coalesce(r."left", r.was)::text FROM ${rowsOf(at)} AS r WHERE (r."left" IS NULL) = (r.place IS NOT NULL) ORDER BY r.n LIMIT 1)`;
  return block(`DECLARE
  changed bigint;
BEGIN
  SELECT count(*) INTO changed FROM ${rowsOf(at)} AS r WHERE (r."left" IS NULL) = (r.place IS NOT NULL);
  IF changed > 0 THEN
    RAISE EXCEPTION USING ERRCODE = '40001',
      MESSAGE = format('%s of the rows of %s have changed since; nothing was put back', changed, ${literal(name)}),
      DETAIL = format('The first of them: %s', ${first}),
      HINT = ${literal(table.key.length > 0 ? 'To put them back all the same: holdfast undo script --overwrite' : 'The table has no primary key, so what a changed row was cannot be told.')};
  END IF;
END`);
}

// ------------------------------------------------------------------ putting back

function putBack(tables: readonly UndoTable[]): string {
  const first = tables.flatMap((table, at) => [
    [`d${at.toString()}`, remove(table, at)] as const,
    ...update(table, at, '').map((sql) => [`u${at.toString()}`, sql] as const),
    [`i${at.toString()}`, insert(table, at)] as const,
  ]);
  // Where keys had been moved on, a foreign key's action on the way back may have changed a row that was back already.
  const again = tables.flatMap((table, at) => [
    ...update(table, at, ` AND ${ofRow(table)} <> ${ofImage(table, 'r.was')}`).map(
      (sql) => [`u${at.toString()}`, sql] as const,
    ),
    ...(table.key.length > 0 ? [[`i${at.toString()}`, insert(table, at)] as const] : []),
  ]);
  const counts = (steps: readonly (readonly [name: string, sql: string])[], of: RegExp): string =>
    steps
      .filter(([name]) => of.test(name))
      .map(([name]) => `(SELECT count(*) FROM ${name})`)
      .join(' + ');
  const list = (steps: readonly (readonly [name: string, sql: string])[]): string =>
    steps.map(([name, sql]) => `  ${name} AS (${sql})`).join(',\n');
  const inserted = counts(again, /^i/);
  return block(`DECLARE
  before bigint;
  expected bigint;
  deleted bigint;
  changed bigint;
  lost bigint;
BEGIN
  SELECT ${DELETED} INTO before;
  WITH
${list(first)}
  SELECT ${counts(first, /^d/)} INTO expected;
  FOR round IN 1 .. ${(tables.length + 1).toString()} LOOP
    ${tables.map(follow).join('\n    ')}
    WITH
${list(again)}
    SELECT ${counts(again, /^[iu]/)}, ${inserted === '' ? '0' : inserted} INTO changed, lost;
    EXIT WHEN changed = 0;
    expected := expected + lost;
  END LOOP;
  SELECT ${DELETED} INTO deleted;
  IF deleted - before <> expected THEN
    RAISE EXCEPTION USING ERRCODE = '40001',
      MESSAGE = 'other rows would be deleted with those that the statement had added; nothing was put back',
      HINT = 'They have come since, and foreign keys with ON DELETE CASCADE lead to them.';
  END IF;
END`);
}

/** Rows that this transaction has deleted, by the server's count. */
const DELETED = `(SELECT sum(pg_stat_get_xact_tuples_deleted(oid)) FROM pg_class WHERE relkind = 'r' AND oid >= 16384)`;

/** Notes where the rows are that were put back. */
function follow(table: UndoTable, at: number): string {
  const rows = rowsOf(at);
  if (table.key.length === 0)
    return `UPDATE ${rows} SET place = currtid2(${literal(relation(table))}, place) WHERE place IS NOT NULL;`;
  return `UPDATE ${rows} SET place = NULL;
    UPDATE ${rows} AS r SET place = t.ctid FROM ONLY ${relation(table)} AS t WHERE r.was IS NOT NULL AND ${sameKey(table, 'r.was')};`;
}

function writable(table: UndoTable, which: (column: UndoTable['columns'][number]) => boolean): number[] {
  return table.columns.flatMap((column, at) => (!column.generated && which(column) ? [at] : []));
}

const nameAt = (table: UndoTable, column: number): string => identifier(table.columns[column]?.name ?? '');

function insert(table: UndoTable, at: number): string {
  const columns = writable(table, () => true);
  const names = columns.map((column) => nameAt(table, column)).join(', ');
  const values = columns.map((column) => typed(table, column, 'r.was')).join(', ');
  const overriding = table.columns.some(({ always }) => always) ? ' OVERRIDING SYSTEM VALUE' : '';
  return `INSERT INTO ${relation(table)} (${names})${overriding} SELECT ${values} FROM ${rowsOf(at)} AS r WHERE r.was IS NOT NULL AND r.place IS NULL RETURNING 1`;
}

function update(table: UndoTable, at: number, where: string): string[] {
  const columns = writable(table, ({ always }) => !always);
  if (columns.length === 0) return [];
  const set = columns
    .map((column) => `${nameAt(table, column)} = ${typed(table, column, 'r.was')}`)
    .join(', ');
  return [
    `UPDATE ONLY ${relation(table)} AS t SET ${set} FROM ${rowsOf(at)} AS r WHERE r.was IS NOT NULL AND t.ctid = r.place${where} RETURNING 1`,
  ];
}

function remove(table: UndoTable, at: number): string {
  return `DELETE FROM ONLY ${relation(table)} AS t USING ${rowsOf(at)} AS r WHERE r.was IS NULL AND t.ctid = r.place RETURNING 1`;
}

/** A sequence goes on behind what it had given out; one that is further already stays there. No rollback takes that back, and nothing depends on it. */
function advance({ schema, name, last }: UndoSequence): string {
  const value = `${literal(last)}::bigint`;
  return block(`BEGIN
  PERFORM setval(c.oid, ${value}) FROM pg_sequence AS s
  JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = ${literal(schema)} AND c.relname = ${literal(name)}
    AND (pg_sequence_last_value(c.oid) IS NULL OR (${value} - pg_sequence_last_value(c.oid)) * sign(s.seqincrement) > 0);
END`);
}

/** Every row is what it was. */
function compare(table: UndoTable, at: number): string {
  const name = relation(table);
  const rows = `${rowsOf(at)} AS r`;
  const missing =
    table.key.length > 0
      ? `SELECT count(*) INTO missing FROM ${rows} WHERE r.was IS NOT NULL AND NOT EXISTS (
    SELECT FROM ONLY ${name} AS t WHERE ${sameKey(table, 'r.was')} AND ${ofRow(table)} = ${ofImage(table, 'r.was')});`
      : `SELECT count(*) INTO missing
  FROM (SELECT ${ofImage(table, 'r.was')} AS v, count(*) AS n FROM ${rows} WHERE r.was IS NOT NULL GROUP BY 1) AS w
  LEFT JOIN (SELECT ${ofRow(table)} AS v, count(*) AS n FROM ONLY ${name} AS t GROUP BY 1) AS l ON l.v = w.v
  WHERE coalesce(l.n, 0) < w.n;`;
  return block(`DECLARE
  missing bigint;
BEGIN
  ${missing}
  IF missing > 0 THEN
    RAISE EXCEPTION USING MESSAGE = format('%s rows of %s are not what they were; nothing was put back', missing, ${literal(name)});
  END IF;
END`);
}
