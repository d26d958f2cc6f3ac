/**
 * Sub-selects that certainly give a row, or certainly none.
 *
 * Law of this file: looks at the form of a sub-select. What its WHERE is worth is
 * asked from whoever proves conditions.
 */
import type { Place } from './condition-place.js';
import { integer, isTree, list, stringNode, text, typeOf, unwrap, type Tree } from './tree.js';
import { isCte } from './visit.js';

/** Fields that neither add nor take away rows of a SELECT without FROM. */
const HARMLESS: ReadonlySet<string> = new Set([
  'targetList',
  'limitOption',
  'op',
  'sortClause',
  'distinctClause',
  'withClause',
]);

const AGGREGATES: ReadonlySet<string> = new Set([
  'count', 'sum', 'avg', 'min', 'max', 'bool_and', 'bool_or', 'every', 'array_agg', 'string_agg', 'json_agg',
  'jsonb_agg', 'bit_and', 'bit_or', 'any_value',
]); // prettier-ignore

/** The SELECT under a sub-link of the kind. */
export function selectUnder(value: unknown, kind: string): Tree | null {
  const link = unwrap(value, 'SubLink');
  return link !== null && link['subLinkType'] === kind ? unwrap(link['subselect'], 'SelectStmt') : null;
}

/** What `(SELECT x)` selects: the same as x, if x makes no rows of its own (to be asked by reading it). */
export function rowOfOne(value: unknown): unknown {
  const select = selectUnder(value, 'EXPR_SUBLINK');
  if (select === null || select['op'] !== 'SETOP_NONE') return null;
  for (const field in select) {
    if (field !== 'targetList' && field !== 'limitOption' && field !== 'op') return null;
  }
  const [target, ...others] = list(select['targetList']);
  const inner = unwrap(target, 'ResTarget')?.['val'];
  return others.length > 0 || typeOf(inner) === 'A_Star' ? null : (inner ?? null);
}

/** What a select does with its rows: `all` of them, `none` (LIMIT 0), or something that is not certain. */
export function limitOf(select: Tree): 'all' | 'none' | 'unknown' {
  const count = unwrap(select['limitCount'], 'A_Const');
  if (select['limitCount'] !== undefined && count === null) return 'unknown';
  if (count !== null && count['isnull'] !== true) {
    if (!isTree(count['ival'])) return 'unknown';
    if (integer(count['ival']['ival']) === 0) return 'none';
  }
  return select['limitOffset'] === undefined ? 'all' : 'unknown';
}

/** A target list that makes no rows of its own: constants, columns, aggregates of PostgreSQL, and what `plain` accepts. */
export function targetsOf(
  select: Tree,
  plain: (value: unknown) => boolean,
): 'plain' | 'aggregate' | 'unknown' {
  let aggregate = false;
  for (const entry of list(select['targetList'])) {
    const value = unwrap(entry, 'ResTarget')?.['val'];
    const call = unwrap(value, 'FuncCall');
    if (call !== null && isAggregate(call)) aggregate = true;
    else if (!isColumn(value) && !plain(value)) return 'unknown';
  }
  return aggregate ? 'aggregate' : 'plain';
}

function isAggregate(call: Tree): boolean {
  const names = list(call['funcname']).map(stringNode);
  const builtIn = names.length === 1 || (names.length === 2 && names[0] === 'pg_catalog');
  return builtIn && AGGREGATES.has(names[names.length - 1] ?? '') && call['over'] === undefined;
}

function isColumn(value: unknown): boolean {
  return typeOf(value) === 'ColumnRef';
}

/** The fields of a SELECT that are left when those that change no number of rows are taken away. */
export function fieldsThatMatter(select: Tree): string[] {
  const fields: string[] = [];
  for (const field in select) if (!HARMLESS.has(field)) fields.push(field);
  return fields;
}

/** The name under which a sub-select reads the very target of the statement, with all its rows; null if it does not. */
export function readsTarget(select: Tree, place: Place): string | null {
  const [from, ...others] = list(select['fromClause']);
  const range = unwrap(from, 'RangeVar');
  if (range === null || others.length > 0 || select['withClause'] !== undefined) return null;
  const name = text(range['relname']);
  const schema = text(range['schemaname']);
  if (name !== place.target.name || schema !== (place.target.schema ?? '')) return null;
  if (schema === '' && isCte(place.scope, name)) return null;
  if (range['inh'] !== true && !place.only) return null;
  const alias = range['alias'];
  if (!isTree(alias)) return name;
  return alias['colnames'] === undefined ? text(alias['aliasname']) : null;
}

const KEYED: ReadonlySet<string> = new Set([
  'SelectStmt', 'RangeVar', 'ResTarget', 'ColumnRef', 'A_Const', 'A_Expr', 'BoolExpr', 'NullTest', 'BooleanTest',
  'ParamRef', 'TypeCast', 'String', 'List', 'JoinExpr', 'FuncCall', 'A_Star', 'Integer', 'SubLink',
]); // prettier-ignore
const MAX_DEPTH = 60;

/** The same for two sub-selects that are spelled the same; null when one may differ from itself. */
export function subselectKey(select: Tree, deterministic: (call: Tree) => boolean): string | null {
  const nodes: unknown[] = [select];
  const depths: number[] = [0];
  while (nodes.length > 0) {
    const node = nodes.pop();
    const depth = depths.pop() ?? 0;
    if (depth > MAX_DEPTH) return null;
    if (Array.isArray(node)) {
      for (const item of node) {
        nodes.push(item);
        depths.push(depth + 1);
      }
      continue;
    }
    if (!isTree(node)) continue;
    for (const key in node) {
      const value = node[key];
      if (typeof value !== 'object' || value === null) continue;
      const capital = key.charCodeAt(0) >= 0x41 && key.charCodeAt(0) <= 0x5a;
      if (capital && (!KEYED.has(key) || (key === 'FuncCall' && isTree(value) && !deterministic(value))))
        return null;
      // Without an order, LIMIT takes whichever row comes first.
      if (key === 'limitCount' || key === 'limitOffset') return null;
      nodes.push(value);
      depths.push(depth + 1);
    }
  }
  return JSON.stringify(select, (key, value: unknown) =>
    key === 'location' || key.startsWith('rexpr_list_') ? undefined : value,
  );
}
