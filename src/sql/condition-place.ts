/**
 * Where a condition stands: what its names mean, and what was worked out about it so far.
 *
 * Law of this file: plain data that lives as long as the proof of one condition.
 */
import type { Scope } from './collect.js';
import type { RelationName } from './facts.js';

/** A column that an expression depends on. */
export interface ColumnUse {
  /** The same for every spelling that certainly means the same column. */
  readonly key: string;
  readonly name: string;
  /** As spelled; null for a bare column. */
  readonly relation: string | null;
  /** Certainly a column of the statement's own target. */
  readonly own: boolean;
}

/** A deterministic expression: two with the same key have the same value in the same row. */
export interface Expression {
  readonly key: string;
  /** It is NULL only where one of these columns is NULL; null: that cannot be told. Parameters count as not NULL. */
  readonly nulls: readonly ColumnUse[] | null;
  /** `nulls` holds only if arguments of lower() and upper() are text, not ranges: the bound of a range may be missing. */
  readonly textOnly: boolean;
  /** It is NULL also where a parameter is. */
  readonly parameter: boolean;
  /** A row: neither IS NULL nor IS NOT NULL may hold for it. */
  readonly row: boolean;
}

export interface Place {
  /** What the target is called: its alias, or its name. */
  readonly name: string;
  readonly target: RelationName;
  /** The target was spelled ONLY. */
  readonly only: boolean;
  /** The target is the only relation whose columns can be meant. */
  readonly alone: boolean;
  readonly scope: Scope | null;
  /** What was read before, by the node: an IN with many entries reads its left side once. */
  readonly read: Map<unknown, Expression | null>;
}

/** What an expression or a proof is worth when nothing is known of it. */
export function columnsOf(
  first: readonly ColumnUse[] | null,
  second: readonly ColumnUse[] | null,
): readonly ColumnUse[] | null {
  if (first === null || second === null) return null;
  if (first.length === 0) return second;
  if (second.length === 0) return first;
  const added = second.filter(({ key }) => !first.some((column) => column.key === key));
  return added.length === 0 ? first : [...first, ...added];
}
