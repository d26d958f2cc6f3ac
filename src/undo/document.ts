/**
 * The old rows of what one approved statement changed, and what it left in their
 * place: enough to put them back, and to see whether they have changed since.
 *
 * Law of this folder: pure. Values are PostgreSQL's own text of them, made under fixed
 * settings (questions.ts), so that they mean the same whoever reads them back.
 */

/** A value as the server prints it; null is SQL's NULL. */
export type Value = string | null;

export interface UndoColumn {
  readonly name: string;
  /** Schema and name of its type, for a cast that needs no search_path. */
  readonly type: readonly [schema: string, name: string];
  /** The server computes it: it cannot be written. */
  readonly generated: boolean;
  /** GENERATED ALWAYS AS IDENTITY: it can be inserted, but not updated. */
  readonly always: boolean;
}

export interface UndoTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly UndoColumn[];
  /** Columns of the primary key; none: rows are told apart by all of their columns. */
  readonly key: readonly string[];
}

/** A trigger of somebody's own that would run when rows are put back, though what it had changed is put back, too. */
export interface UndoTrigger {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  /** pg_trigger.tgenabled: O, R or A. */
  readonly enabled: string;
}

/** A sequence that a TRUNCATE may have begun anew. */
export interface UndoSequence {
  readonly schema: string;
  readonly name: string;
  /** The value that it had given out last. */
  readonly last: string;
}

/** One row. Of the two images at least one is there. */
export interface UndoRow {
  /** Which of the tables. */
  readonly table: number;
  /** As it was; null: there was none. */
  readonly was: readonly Value[] | null;
  /** As the statement left it; null: it is gone. */
  readonly left: readonly Value[] | null;
}

export interface UndoHeader {
  readonly version: 1;
  /** The id of the decision that let the statement run: the name of the document. */
  readonly decision: string;
  /** The hold that was approved. */
  readonly hold: string;
  /** ISO 8601. */
  readonly at: string;
  /** The server's id of the transaction, for pg_xact_status; null: it had none. */
  readonly transaction: string | null;
  readonly environment: string;
  readonly database: string;
  readonly user: string;
  /** The policy role. */
  readonly role: string;
  readonly sql: string;
  readonly tables: readonly UndoTable[];
  /** Of these tables, of those that they are partitions of, and of those that foreign keys lead to. */
  readonly triggers: readonly UndoTrigger[];
  /** Those that belong to columns of tables that were emptied. */
  readonly sequences: readonly UndoSequence[];
}

export interface UndoDocument extends UndoHeader {
  readonly rows: readonly UndoRow[];
}

/** Rows of one table, by what became of them. */
export interface UndoCounts {
  readonly deleted: number;
  readonly updated: number;
  readonly inserted: number;
}

export function countsOf({ rows }: UndoDocument, table: number): UndoCounts {
  const own = rows.filter((row) => row.table === table);
  return {
    deleted: own.filter(({ left }) => left === null).length,
    updated: own.filter(({ was, left }) => was !== null && left !== null).length,
    inserted: own.filter(({ was }) => was === null).length,
  };
}

/** What is wrong with a document, or with asking for one: a whole sentence without its full stop. */
export class UndoError extends Error {}

/** @param limit bytes */
export function tooLarge(limit: number): UndoError {
  return new UndoError(
    `they are more than the ${limit.toString()} bytes that are kept of one statement (undo.max_size)`,
  );
}
