/**
 * Names in the statements of a body that mean variables and not columns:
 * `DELETE FROM accounts WHERE everything`, where `everything` is a boolean variable,
 * narrows nothing. They are made parameters, which is what PL/pgSQL makes of them.
 *
 * Law of this file: where a name may be either, it is the variable. That is the
 * stricter reading of a condition, and the server refuses such a name by default.
 */
import type { PlVariables } from './plpgsql.js';
import { integer, list, stringNode, unwrap } from './tree.js';

/** Replaces, in place, every ColumnRef in a tree that means a variable by a ParamRef. */
export function bindVariables(tree: unknown, variables: PlVariables): void {
  if (variables.scalars.size === 0 && variables.rows.size === 0) return;
  const stack: unknown[] = [tree];
  while (stack.length > 0) {
    const value = stack.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (Array.isArray(value)) {
      for (const entry of value) if (typeof entry === 'object') stack.push(entry);
      continue;
    }
    const reference = unwrap(value, 'ColumnRef');
    if (reference !== null) {
      if (isVariable(list(reference['fields']).map(stringNode), variables)) {
        Reflect.deleteProperty(value, 'ColumnRef');
        Reflect.set(value, 'ParamRef', { number: 1, location: integer(reference['location']) });
      }
      continue;
    }
    for (const entry of Object.values(value)) if (typeof entry === 'object') stack.push(entry);
  }
}

/** `v`, `row.field`, `label.v`, `label.row.field`; a star has an empty name and is none. */
function isVariable(names: readonly string[], { scalars, rows, labels }: PlVariables): boolean {
  const [first = '', second = ''] = names;
  if (names.length === 1) return scalars.has(first) || rows.has(first);
  if (rows.has(first)) return true;
  return labels.has(first) && (scalars.has(second) || rows.has(second));
}
