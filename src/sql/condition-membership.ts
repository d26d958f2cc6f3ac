/**
 * Sub-selects that read the statement's own target, and so find the row itself.
 *
 * Law of this file: two forms, exactly: EXISTS and IN, on the same columns.
 */
import { readExpression } from './condition-expressions.js';
import type { Proof } from './condition-cover.js';
import { columnsOf, type ColumnUse, type Place } from './condition-place.js';
import { NOTHING, proof } from './condition-proof.js';
import { fieldsThatMatter, readsTarget } from './condition-subselects.js';
import { described } from './condition-text.js';
import { child, list, stringNode, unwrap, type Tree } from './tree.js';

/** `u.id = t.id` where u is the target once more: the row itself is there. */
export function proveOwnRow(condition: unknown, inner: string, place: Place): Proof | null {
  if (inner === place.name) return null;
  const bool = unwrap(condition, 'BoolExpr');
  const terms = bool?.['boolop'] === 'AND_EXPR' ? list(bool['args']) : [condition];
  let unless: readonly ColumnUse[] = NOTHING;
  for (const term of terms) {
    const operation = unwrap(term, 'A_Expr');
    if (operation?.['kind'] !== 'AEXPR_OP' || stringNode(list(operation['name'])[0]) !== '=') return null;
    const sides = [operation['lexpr'], operation['rexpr']].map((side) =>
      list(unwrap(side, 'ColumnRef')?.['fields']).map(stringNode),
    );
    const outer = sides.find(([relation, , more]) => relation === place.name && more === undefined);
    const own = sides.find(([relation, , more]) => relation === inner && more === undefined);
    const column = outer?.[1];
    if (column === undefined || column === '' || own?.[1] !== column) return null;
    const key = place.alone ? JSON.stringify(column) : JSON.stringify([place.name, column]);
    unless = columnsOf(unless, [{ key, name: column, relation: place.name, own: true }]) ?? NOTHING;
  }
  return proof(() => '', unless);
}

/** `id IN (SELECT id FROM t)` where t is the target itself. */
export function proveMembership(node: unknown, select: Tree, place: Place): Proof | null {
  const link = child(unwrap(node, 'SubLink'));
  const operator = list(link['operName']);
  if (operator.length > 1 || (operator.length === 1 && stringNode(operator[0]) !== '=')) return null;
  const fields = fieldsThatMatter(select);
  const [target, ...others] = list(select['targetList']);
  const name = readsTarget(select, place);
  if (name === null || others.length > 0 || fields.length !== 1 || select['distinctClause'] !== undefined)
    return null;
  const inner = list(unwrap(unwrap(target, 'ResTarget')?.['val'], 'ColumnRef')?.['fields']).map(stringNode);
  const column = inner[inner.length - 1] ?? '';
  if (column === '' || inner.length > 2 || (inner.length === 2 && inner[0] !== name)) return null;
  const outer = readExpression(link['testexpr'], place);
  const [use, ...more] = outer?.nulls ?? [];
  if (use === undefined || more.length > 0 || !use.own || use.name !== column || outer?.key !== use.key)
    return null;
  return proof(() => `${described(node)} finds the row itself`, [use]);
}
