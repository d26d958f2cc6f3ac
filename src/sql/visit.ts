/**
 * The contract between the walk and those who know what nodes mean.
 *
 * Law of this file: types and the few helpers that every handler shares.
 */
import type { Collector, Context, Scope } from './collect.js';
import type { RelationUse } from './facts.js';
import { child, isTree, list, text, typeOf, unwrap, type Tree } from './tree.js';

/** How to go on below a node; what is not said keeps the node's own context. */
export interface Descent {
  /** For every field that is not named below. */
  readonly rest?: Context;
  readonly fields?: Readonly<Record<string, Context>>;
  /** One context for each entry of a list field. */
  readonly entries?: Readonly<Record<string, readonly Context[]>>;
}

/** Notes the facts of one node; must not look below it further than its own parts. */
export type Visit = (node: Tree, context: Context, collect: Collector) => Descent | undefined;

export function withMode(context: Context, mode: Context['mode']): Context {
  return { ...context, mode };
}

/** For the relation that a statement acts on: never a CTE, even when one has its name (parserOpenTable). */
export function targetContext(context: Context, mode: RelationUse['mode']): Context {
  return { ...context, mode, scope: null };
}

/** The context of a statement's fields outside its WITH clause: all its CTEs are visible there. */
export function withScope(node: Tree, context: Context): Context {
  const clause = node['withClause'];
  if (!isTree(clause)) return context;
  const names = cteNames(clause);
  return { ...context, scope: { names, visible: names.size, outer: context.scope } };
}

/** CTE names of a WITH clause and their places in it. */
export function cteNames(clause: Tree): Scope['names'] {
  const names = new Map<string, number>();
  for (const entry of list(clause['ctes'])) {
    const name = text(unwrap(entry, 'CommonTableExpr')?.['ctename']);
    if (!names.has(name)) names.set(name, names.size);
  }
  return names;
}

/** Whether an unqualified name means a CTE here. */
export function isCte(scope: Scope | null, name: string): boolean {
  for (let inner = scope; inner !== null; inner = inner.outer) {
    const place = inner.names.get(name);
    if (place !== undefined && place < inner.visible) return true;
  }
  return false;
}

/**
 * Notes the SELECT that is a command of its own (at the top, under PREPARE, EXPLAIN,
 * COPY …), unlike one that is part of another. Other commands note themselves.
 */
export function command(query: unknown, context: Context, collect: Collector): void {
  if (typeOf(query) !== 'SelectStmt') return;
  // INTO stands in the leftmost SELECT of a UNION; that one notes itself as select_into.
  let leftmost = child(child(query)['SelectStmt']);
  while (isTree(leftmost['larg'])) leftmost = leftmost['larg'];
  if (!isTree(leftmost['intoClause'])) collect.act(context, { operation: 'select', effect: 'read' });
}
