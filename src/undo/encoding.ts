/**
 * An undo document as JSON Lines: its header, a line for each row, and a last line
 * that says how many there were and seals them, so that half a document is never taken
 * for a whole one.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { UndoError } from './document.js';
import type { UndoDocument, UndoHeader, UndoRow } from './document.js';

const value = z.string().nullable();
const image = z.array(value).nullable();

const headerSchema = z.object({
  version: z.literal(1),
  decision: z.string(),
  hold: z.string(),
  at: z.string(),
  transaction: z.string().nullable(),
  environment: z.string(),
  database: z.string(),
  user: z.string(),
  role: z.string(),
  sql: z.string(),
  tables: z.array(
    z.object({
      schema: z.string(),
      name: z.string(),
      columns: z.array(
        z.object({
          name: z.string(),
          type: z.tuple([z.string(), z.string()]),
          generated: z.boolean(),
          always: z.boolean(),
        }),
      ),
      key: z.array(z.string()),
    }),
  ),
  triggers: z.array(
    z.object({ schema: z.string(), table: z.string(), name: z.string(), enabled: z.string() }),
  ),
  // Documents of earlier versions have none.
  sequences: z
    .array(z.object({ schema: z.string(), name: z.string(), last: z.string().regex(/^-?\d+$/) }))
    .default([]),
}) satisfies z.ZodType<UndoHeader>;

const rowSchema = z.tuple([z.int().min(0), image, image]);
const endSchema = z.object({ rows: z.int(), sha256: z.string() });

/** Characters of whole lines that come in one piece, but for a line that is longer. */
const PIECE = 65_536;

/** The document as it is stored, in pieces: to make all of a large one at once would keep everybody else waiting. */
export function* encodedUndo({ rows, ...header }: UndoDocument): Generator<string, void, void> {
  const seal = createHash('sha256');
  let piece = `${JSON.stringify(header)}\n`;
  for (const { table, was, left } of rows) {
    if (piece.length >= PIECE) {
      seal.update(piece);
      yield piece;
      piece = '';
    }
    piece += `${JSON.stringify([table, was, left])}\n`;
  }
  seal.update(piece);
  yield `${piece}${JSON.stringify({ rows: rows.length, sha256: seal.digest('hex') })}\n`;
}

/** @throws UndoError for what is no whole document */
export function decodeUndo(text: string): UndoDocument {
  const lines = text.split('\n');
  const [first] = lines;
  const last = lines.at(-2);
  if (lines.length < 3 || first === undefined || last === undefined || lines.at(-1) !== '')
    throw new UndoError('it is not whole');
  const header = parsed(headerSchema, first);
  const end = parsed(endSchema, last);
  const body = text.slice(0, text.length - last.length - 1);
  if (end.sha256 !== sealOf(body) || end.rows !== lines.length - 3)
    throw new UndoError('it has been changed');
  const rows = lines.slice(1, -2).map((line): UndoRow => {
    const [table, was, left] = parsed(rowSchema, line);
    const columns = header.tables[table]?.columns.length;
    const fits = (values: readonly unknown[] | null): boolean => values === null || values.length === columns;
    if (columns === undefined || (was === null && left === null) || !fits(was) || !fits(left))
      throw new UndoError('a row fits none of its tables');
    return { table, was, left };
  });
  return { ...header, rows };
}

function parsed<Schema extends z.ZodType>(schema: Schema, line: string): z.output<Schema> {
  let data: unknown;
  try {
    data = JSON.parse(line);
  } catch {
    throw new UndoError('a line is not JSON');
  }
  const result = schema.safeParse(data);
  if (!result.success) throw new UndoError('a line is not what was written');
  return result.data;
}

function sealOf(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}
