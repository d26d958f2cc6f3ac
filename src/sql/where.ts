/**
 * How far a condition narrows an UPDATE, DELETE or MERGE, as its syntax tells.
 *
 * Law of this file: a condition that mentions no column and calls no function is the
 * same for every row, so it is no WHERE at all. Anything that mentions a column
 * counts as present here; whether it can exclude a row (`x = x`) is another question.
 */
import type { WhereClause } from './facts.js';
import { isTree, list, text, typeOf, unwrap, type Tree } from './tree.js';

/** Node types that by themselves depend on no row: operators, constants, parameters and wrappers of these. */
const ROW_INDEPENDENT: ReadonlySet<string> = new Set([
  'A_Const', 'A_Expr', 'A_ArrayExpr', 'A_Indices', 'A_Indirection', 'BitString', 'Boolean', 'BooleanTest',
  'BoolExpr', 'CaseExpr', 'CaseWhen', 'CoalesceExpr', 'CollateClause', 'Float', 'Integer', 'List',
  'MinMaxExpr', 'NullTest', 'ParamRef', 'ResTarget', 'RowExpr', 'SelectStmt', 'SQLValueFunction', 'String',
  'SubLink', 'TypeCast', 'TypeName',
]); // prettier-ignore

/** Classifies a WHERE clause; `undefined` or null means that there is none. */
export function whereStrength(condition: unknown): WhereClause {
  if (typeOf(condition) === '') return 'none';
  if (!isRowIndependent(condition)) return 'present';
  return excludesEveryRow(condition) ? 'present' : 'constant';
}

/** True when nothing below the condition can differ from row to row. */
export function isRowIndependent(condition: unknown): boolean {
  const stack: unknown[] = [condition];
  while (stack.length > 0) {
    const value = stack.pop();
    if (Array.isArray(value)) {
      for (const item of value) stack.push(item);
      continue;
    }
    if (!isTree(value)) continue;
    for (const key in value) {
      const first = key.charCodeAt(0);
      if (first >= 0x41 && first <= 0x5a && !ROW_INDEPENDENT.has(key)) return false;
      const field = value[key];
      if (typeof field === 'object' && field !== null) stack.push(field);
    }
  }
  return true;
}

/** `false`, NULL and `1 = 0`: constant, but what ORMs write to touch nothing. */
function excludesEveryRow(condition: unknown): boolean {
  const literal = unwrap(condition, 'A_Const');
  if (literal !== null) {
    return (
      literal['isnull'] === true || (isTree(literal['boolval']) && literal['boolval']['boolval'] !== true)
    );
  }
  const comparison = unwrap(condition, 'A_Expr');
  if (comparison === null || comparison['kind'] !== 'AEXPR_OP') return false;
  if (text(unwrap(list(comparison['name'])[0], 'String')?.['sval']) !== '=') return false;
  const left = integerConstant(comparison['lexpr']);
  const right = integerConstant(comparison['rexpr']);
  return left !== null && right !== null && left !== right;
}

function integerConstant(value: unknown): number | null {
  const literal: Tree | null = unwrap(value, 'A_Const');
  if (literal === null || !isTree(literal['ival'])) return null;
  const number = literal['ival']['ival'] ?? 0;
  return typeof number === 'number' ? number : null;
}
