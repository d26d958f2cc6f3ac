/**
 * What the conditions of an UPDATE, DELETE or MERGE are worth, for the facts of its action.
 *
 * Law of this file: finds the conditions in the statement and puts the proof into the
 * facts' form. Proving is done elsewhere.
 */
import { rangeName, type Collector, type Context } from './collect.js';
import { provesEveryRow, provesNoRow } from './condition.js';
import type { Proof } from './condition-cover.js';
import type { ColumnUse, Place } from './condition-place.js';
import type { Tautology } from './facts.js';
import { child, integer, isTree, list, text, typeOf, unwrap, type Tree } from './tree.js';
import { withScope } from './visit.js';

/** The proof that the WHERE clause of an UPDATE or DELETE excludes no row. */
export function tautologyOfWhere(node: Tree, context: Context, collect: Collector): Tautology | null {
  const condition = node['whereClause'];
  if (condition === undefined) return null;
  const alone = node['fromClause'] === undefined && node['usingClause'] === undefined;
  const found = provesEveryRow(condition, placeOf(node, alone, context));
  return found === null ? null : inFacts(found, condition, collect);
}

/** The proof that one of the WHEN clauses that update or delete lets every row through, the join condition included. */
export function tautologyOfMerge(node: Tree, context: Context, collect: Collector): Tautology | null {
  const join = node['joinCondition'];
  const skipped = new Set<unknown>();
  for (const entry of list(node['mergeWhenClauses'])) {
    const when = child(unwrap(entry, 'MergeWhenClause'));
    const kind = when['commandType'];
    const match = when['matchKind'];
    // What an earlier clause does nothing to is kept from the later ones.
    if (kind === 'CMD_NOTHING') skipped.add(match);
    if ((kind !== 'CMD_UPDATE' && kind !== 'CMD_DELETE') || skipped.has(match)) continue;
    const place = placeOf(node, false, context);
    const joined =
      match === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE' ? provesNoRow(join, place) : provesEveryRow(join, place);
    if (joined === null) continue;
    const condition = when['condition'];
    if (condition === undefined) return inFacts(joined, join, collect);
    const found = provesEveryRow(condition, place);
    if (found === null) continue;
    const unless = [...joined.unless, ...found.unless];
    const requires = [...joined.requires, ...found.requires];
    return inFacts({ why: found.why, unless, requires }, condition, collect);
  }
  return null;
}

function placeOf(node: Tree, alone: boolean, context: Context): Place {
  const range = child(node['relation']);
  const target = rangeName(range);
  const alias = text(child(range['alias'])['aliasname']);
  const name = alias === '' ? target.name : alias;
  const only = range['inh'] !== true;
  return { name, target, only, alone, scope: withScope(node, context).scope, read: new Map() };
}

function inFacts({ why, unless, requires }: Proof, condition: unknown, collect: Collector): Tautology {
  const needed = requires.map(({ relation, name }) => ({ relation, column: name }));
  return {
    because: why(),
    unlessNull: [...new Set(unless.map(spelled))],
    requiresNotNull: needed.filter(
      (one, index) =>
        needed.findIndex(({ relation, column }) => relation === one.relation && column === one.column) ===
        index,
    ),
    offset: offsetOf(condition, collect),
  };
}

function spelled({ own, relation, name }: ColumnUse): string {
  return own || relation === null ? name : `${relation}.${name}`;
}

/** Where the condition begins: the location of its leftmost part, as operators stand in the middle. */
function offsetOf(condition: unknown, collect: Collector): number | null {
  let at = condition;
  let found: number | null = null;
  for (;;) {
    const type = typeOf(at);
    if (type === '') break;
    const node: Tree = child(child(at)[type]);
    const location = type === 'A_Const' ? integer(node['location']) : node['location'];
    if (typeof location === 'number' && location >= 0) found = Math.min(found ?? location, location);
    const left: unknown =
      node['lexpr'] ?? node['testexpr'] ?? (type === 'BoolExpr' ? list(node['args'])[0] : node['arg']);
    if (!isTree(left) || type === 'CaseExpr') break;
    at = left;
  }
  return found === null ? null : collect.source().offsets.toUtf16(found);
}
