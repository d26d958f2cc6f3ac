/**
 * From what the server answered to the rows of an undo document.
 *
 * Law: complete, or an error. A row that the statement changed and that is not here
 * could never be put back, and nobody would know.
 */
import { z } from 'zod';
import { UndoError } from './document.js';
import type { UndoRow, UndoTable, UndoTrigger, Value } from './document.js';
import type { ChangedTable } from './questions.js';

type Row = readonly Value[];

/** What is known before the statement runs. */
export interface Described {
  readonly tables: readonly UndoTable[];
  readonly triggers: readonly UndoTrigger[];
  readonly isolation: string;
  /** The multixact id that would be given out next. */
  readonly nextMulti: number;
}

const text = z.string();
const columnsSchema = z.array(z.tuple([text, text, text, text, text])).min(1);
const namesSchema = z.array(text).nullable();
const triggersSchema = z.array(z.tuple([text, text, text, text])).nullable();

const quoted = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  `"${schema}"."${name}"`;

/** Reads the answer to describeTables(). @throws UndoError where the rows of one of them cannot be kept */
export function readDescription(asked: readonly ChangedTable[], rows: readonly Row[]): Described {
  const [first] = rows;
  if (first === undefined || rows.length !== asked.length)
    throw new UndoError('the server has not described its tables');
  const multis = Number(first[1]);
  if (!Number.isInteger(multis)) throw new UndoError('the server has not said where its multixacts are');
  return {
    isolation: first[0] ?? '',
    nextMulti: (multis + 1) >>> 0,
    tables: asked.map((table, at) => tableOf(table, rows[at] ?? [])),
    triggers: triggersOf(rows.map((row) => row[8])),
  };
}

/** Each once, whichever tables lead to it. */
function triggersOf(answers: readonly (Value | undefined)[]): UndoTrigger[] {
  const triggers = new Map<string, UndoTrigger>();
  for (const [schema, table, name, enabled] of answers.flatMap(
    (answer) => json(triggersSchema, answer) ?? [],
  ))
    triggers.set(JSON.stringify([schema, table, name]), { schema, table, name, enabled });
  return [...triggers.values()];
}

function tableOf(asked: ChangedTable, row: Row): UndoTable {
  const [, , kind, rules, readable, secured, columns, key] = row;
  const name = quoted(asked);
  if (kind === null || kind === undefined) throw new UndoError(`${name} is not there`);
  if (kind !== 'r') throw new UndoError(`${name} is no ordinary table`);
  if (rules === 'true')
    throw new UndoError(
      `${name}, or a table that its foreign keys lead to, has rules (CREATE RULE), which would rewrite what puts rows back`,
    );
  if (readable !== 'true')
    throw new UndoError(`the database user may not read all of ${name} (GRANT SELECT)`);
  if (secured !== 'false')
    throw new UndoError(`row-level security hides rows of ${name} from the database user`);
  return {
    schema: asked.schema,
    name: asked.name,
    columns: json(columnsSchema, columns).map(([column, typeSchema, type, generated, identity]) => ({
      name: column,
      type: [typeSchema, type],
      generated: generated !== '',
      always: identity === 'a',
    })),
    key: json(namesSchema, key) ?? [],
  };
}

function json<Schema extends z.ZodType>(schema: Schema, value: Value | undefined): z.output<Schema> {
  const result = schema.safeParse(JSON.parse(value ?? 'null'));
  if (!result.success) throw new UndoError('the server has described a table as none that is known');
  return result.data;
}

/** What the server answered about one table, and what it has counted of it. */
export interface TableAnswers {
  readonly table: UndoTable;
  /** To touchedRows(), read behind the statement. */
  readonly touched: readonly Row[];
  /** To followRows(), of all that was touched. */
  readonly followed: readonly Row[];
  /** To madeRows(); null: nothing was inserted, so nobody asked. */
  readonly made: readonly Row[] | null;
  /** Updates and deletes by the server's count. */
  readonly changes: number;
}

/**
 * The rows of one table that the statement changed.
 * @param index the table's, in the document
 * @param oneState the transaction sees one state throughout; otherwise another transaction may have changed rows in
 *   between, and only if the counts agree it is sure that none is missing
 * @throws UndoError when one may be missing
 */
export function changedRows(index: number, answers: TableAnswers, oneState: boolean): UndoRow[] {
  const { table, touched, followed, made, changes } = answers;
  const name = quoted(table);
  const asked = rowsAsked(touched, followed, name);
  const rows: UndoRow[] = [];
  let own = 0;
  for (const [at, answer] of followed.entries()) {
    const [, same, ours, now] = answer;
    if (same === 't') continue;
    if (ours === 't') own += 1;
    else if (!oneState) throw raced(name);
    const was = asked[at]?.slice(2) ?? [];
    rows.push({ table: index, was, left: now === null ? null : answer.slice(4) });
  }
  if (!oneState && own !== changes) throw raced(name);
  if (made === null || made.length === 0) return rows;
  const known = new Set<Value | undefined>(touched.map((row) => cell(row, 0)));
  for (const [, same, , now] of followed) if (same !== 't') known.add(now);
  for (const row of made)
    if (!known.has(cell(row, 0))) rows.push({ table: index, was: null, left: row.slice(1) });
  return rows;
}

/** For each answer the row that it is about. They come in the order of the question, unless the server has planned otherwise. */
function rowsAsked(touched: readonly Row[], followed: readonly Row[], name: string): readonly Row[] {
  const inOrder = (row: Row, at: number): boolean => cell(row, 0) === followed[at]?.[0];
  if (touched.length === followed.length && touched.every(inOrder)) return touched;
  const rest = new Map(touched.map((row) => [cell(row, 0), row]));
  const asked = followed.map(([tid]) => {
    const row = rest.get(tid ?? '');
    if (row === undefined)
      throw new UndoError(`the server has answered about rows of ${name} that were not asked about`);
    rest.delete(tid ?? '');
    return row;
  });
  if (rest.size > 0) throw new UndoError(`the server has not answered about all rows of ${name}`);
  return asked;
}

function cell(row: Row, at: number): string {
  const value = row[at];
  if (value === null || value === undefined)
    throw new UndoError('the server has answered a row without its place');
  return value;
}

function raced(name: string): UndoError {
  return new UndoError(
    `rows of ${name} were changed more than once, or by another transaction at the same time, and this transaction does not see one state throughout (READ COMMITTED)`,
  );
}
