/**
 * What a statement really did: the difference of two readings of the server's
 * counters, before it and after it in one transaction.
 *
 * Law: pure, and never too little. What a savepoint within the statement took back
 * counts all the same, since the server counts attempts; what is not counted at all
 * (foreign tables) is taken from the command tag; what cannot be told is an error.
 */
import type { CountedTable, Counters, Readings } from './counts.js';
import { ImpactError } from './impact-error.js';

/** Rows changed in one table, foreign-key cascades and triggers included. */
export interface TableImpact {
  readonly schema: string;
  readonly name: string;
  readonly inserted: number;
  readonly updated: number;
  /** Those of a table that was emptied or dropped are the server's estimate. */
  readonly deleted: number;
  /** About how many rows it had before; null: not known. */
  readonly rows: number | null;
  /** It was truncated or dropped, and how many rows that were is the server's estimate; null: not even that is known. */
  readonly emptied: boolean;
  /** Where it was emptied and `rows` is null: as many rows as it had room for. */
  readonly atMost?: number;
}

export type Impact = readonly TableImpact[];

/** What a statement says of itself: its command tag. */
export interface Tag {
  /** Rows by the command tag, of what it inserts, updates or deletes; null: it does not say. */
  readonly rows: number | null;
  /** The table that it names, for rows that nothing else accounts for. */
  readonly target: { readonly schema: string | null; readonly name: string } | null;
}

/**
 * What happened between two readings.
 * @param late triggers that may run at COMMIT are known to change nothing
 * @throws ImpactError when that cannot be told
 */
export function impactOf(readings: Readings, tag: Tag, late: 'trusted' | 'unknown'): Impact {
  const impact: TableImpact[] = [];
  let accounted = 0;
  const { before, after } = readings;
  // Other sessions' tables come and go meanwhile; temporary ones of its own are in no file that is compared.
  if (readings.scope !== 'all' && before.catalog !== after.catalog && before.files !== after.files) {
    throw new ImpactError(
      'something that it ran (a trigger or a function) made, emptied, rewrote or dropped a table',
    );
  }
  for (const table of after.tables.values()) {
    const one =
      readings.scope !== 'changed'
        ? ofAnyTable(readings.before.tables.get(table.oid) ?? null, table)
        : ofTable(readings.before.tables.get(table.oid) ?? null, table);
    if (one === null) continue;
    if (table.deferred && late === 'unknown') {
      throw new ImpactError(
        `"${table.schema}"."${table.name}" has a deferrable trigger, which may change more when the transaction commits`,
      );
    }
    accounted += one.inserted + one.updated + one.deleted;
    if (!table.temporary) impact.push(one);
  }
  if (readings.scope === 'all') {
    for (const table of readings.before.tables.values()) {
      if (!readings.after.tables.has(table.oid) && !table.temporary) impact.push(emptied(table));
    }
  }
  if (tag.rows !== null && tag.rows > accounted) impact.push(byTag(tag, tag.rows - accounted));
  return impact.sort(largestFirst);
}

/** A table that may have been emptied: the server counts in it anew then, and what it has counted since is what came after. */
function ofAnyTable(before: CountedTable | null, after: CountedTable): TableImpact | null {
  if (before === null || (before.file === after.file && !emptiedInPlace(before, after))) {
    const one = ofTable(before, after);
    return one === null ? null : { ...one, rows: before?.rows ?? one.rows };
  }
  const { inserted, updated, deleted } = after;
  const base = emptied(before);
  return { ...base, inserted, updated, deleted: base.deleted + deleted };
}

/** Within a transaction a file gets smaller only when the table is emptied. */
function emptiedInPlace({ bytes: before }: CountedTable, { bytes: after }: CountedTable): boolean {
  return before !== null && after !== null && after < before;
}

function ofTable(before: Counters | null, after: CountedTable): TableImpact | null {
  const { schema, name, rows } = after;
  // Where files are compared as a whole, only a temporary table gets another one unnoticed.
  const same = before !== null && (before.file === after.file || !after.temporary) ? before : null;
  const inserted = after.inserted - (same?.inserted ?? 0);
  const updated = after.updated - (same?.updated ?? 0);
  const deleted = after.deleted - (same?.deleted ?? 0);
  if (inserted < 0 || updated < 0 || deleted < 0 || (same !== null && same.file !== after.file)) {
    throw new ImpactError(`"${schema}"."${name}" was emptied by something that it ran`);
  }
  if (inserted + updated + deleted === 0) return null;
  return { schema, name, inserted, updated, deleted, rows, emptied: false };
}

function emptied({ schema, name, rows, atMost }: CountedTable): TableImpact {
  const known = { schema, name, inserted: 0, updated: 0, deleted: rows ?? 0, rows, emptied: true };
  return atMost === null ? known : { ...known, atMost };
}

/** Rows of which the server's counters know nothing. The tag does not tell what was done to them. */
function byTag({ target }: Tag, rows: number): TableImpact {
  return {
    schema: target?.schema ?? '',
    name: target?.name ?? '?',
    inserted: 0,
    updated: rows,
    deleted: 0,
    rows: null,
    emptied: false,
  };
}

function largestFirst(a: TableImpact, b: TableImpact): number {
  return changed(b) - changed(a) || (keyOf(a) < keyOf(b) ? -1 : 1);
}

/** Rows of a table that were changed in any way. */
export function changed({
  inserted,
  updated,
  deleted,
}: Pick<TableImpact, 'inserted' | 'updated' | 'deleted'>): number {
  return inserted + updated + deleted;
}

/** Rows of all tables. */
export function total(impact: Impact): number {
  return impact.reduce((sum, table) => sum + changed(table), 0);
}

/**
 * Whether a run stayed within what was approved: of nothing more than that and a tolerance, in no other table.
 * @param percent the tolerance; of small numbers it is at least nothing, never a row
 */
export function within(run: Impact, approved: readonly Approved[], percent: number): boolean {
  const most = (rows: number): number => Math.floor(rows * (1 + percent / 100));
  return run.every((table) => {
    const known = approved.find(({ schema, name }) => schema === table.schema && name === table.name);
    return (
      known !== undefined &&
      table.inserted <= most(known.inserted) &&
      table.updated <= most(known.updated) &&
      table.deleted <= most(known.deleted)
    );
  });
}

/** What was approved of one table. */
export type Approved = Pick<TableImpact, 'schema' | 'name' | 'inserted' | 'updated' | 'deleted'>;

/** Both together, table by table; each as impactOf() has ordered it. */
export function sum(a: Impact, b: Impact): Impact {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const tables = new Map(a.map((table) => [keyOf(table), table]));
  for (const table of b) {
    const known = tables.get(keyOf(table));
    tables.set(
      keyOf(table),
      known === undefined
        ? table
        : {
            schema: known.schema,
            name: known.name,
            inserted: known.inserted + table.inserted,
            updated: known.updated + table.updated,
            deleted: known.deleted + table.deleted,
            emptied: known.emptied || table.emptied,
            ...sizeOfBoth(known, table),
          },
    );
  }
  return [...tables.values()].sort(largestFirst);
}

/** What is not known of one of them is not known of both, whatever the other says. */
function sizeOfBoth(a: TableImpact, b: TableImpact): Pick<TableImpact, 'rows' | 'atMost'> {
  const sizeless = [a, b].filter(isSizeless);
  if (sizeless.length === 0) return { rows: a.rows ?? b.rows };
  const bounds = sizeless.flatMap(({ atMost }) => atMost ?? []);
  return bounds.length < sizeless.length
    ? { rows: null }
    : { rows: null, atMost: bounds.reduce((sum, bound) => sum + bound, 0) };
}

/** It was emptied, and how many rows it had is not known. */
export function isSizeless({ emptied, rows }: TableImpact): boolean {
  return emptied && rows === null;
}

function keyOf({ schema, name }: TableImpact): string {
  return JSON.stringify([schema, name]);
}
