/**
 * What calls of functions do, wherever they stand: the side effects a built-in is known
 * for, settings that set_config() changes, and `x.f`, which may be f(x).
 *
 * Law of this file: one handler a node type, each looking at its own node only.
 */
import { rangeName, type Collector, type Context } from './collect.js';
import { judgeFieldSelection, judgeFunction, type FunctionJudgement } from './functions.js';
import { foldSettingName, judgeSetting, UNKNOWN_VALUE } from './settings.js';
import { constant, list, parseBoolean, stringNode, unwrap, type Tree } from './tree.js';
import { isCte, type Visit } from './visit.js';

const funcCall: Visit = (node, context, collect) => {
  const parts = list(node['funcname']);
  const name = stringNode(parts[parts.length - 1]);
  const schema = parts.length > 1 ? stringNode(parts[parts.length - 2]) : null;
  const args = list(node['args']);
  const location = node['location'] ?? 0;
  if (runs(context)) {
    // Named arguments stand last, and leave open how many others take their defaults.
    const open = node['func_variadic'] === true || unwrap(args[args.length - 1], 'NamedArgExpr') !== null;
    collect.calls(schema, name, open ? null : args.length, location);
  }
  if (name === 'set_config' && (schema === null || schema === 'pg_catalog')) {
    setConfig(args, location, context, collect);
    return undefined;
  }
  note(judgeFunction(schema, name, args), location, context, collect);
  return undefined;
};

/** Whether what is called here may be called by this statement: not in what is only stored. EXPLAIN runs parameters of EXECUTE. */
function runs({ stored }: Context): boolean {
  return !stored;
}

/** `x.f` of a ColumnRef and `(x).f` of an A_Indirection may call f(x): see judgeFieldSelection. */
const columnRef: Visit = (node, context, collect) => {
  const fields = list(node['fields']);
  if (fields.length > 1) selection(fields[fields.length - 1], node['location'] ?? 0, context, collect);
  return undefined;
};

const indirection: Visit = (node, context, collect) => {
  for (const entry of list(node['indirection'])) selection(entry, undefined, context, collect);
  return undefined;
};

function selection(field: unknown, location: unknown, context: Context, collect: Collector): void {
  const name = stringNode(field);
  // A subscript or a star.
  if (name === '') return;
  if (runs(context)) collect.selects(name, location);
  note(judgeFieldSelection(name), location, context, collect);
}

function note(
  judgement: FunctionJudgement | null,
  location: unknown,
  context: Context,
  collect: Collector,
): void {
  if (judgement === null) return;
  const opaque = judgement.effect === 'opaque' && runs(context);
  collect.needAlways(judgement.access, judgement.why, judgement.hint, location, opaque);
  collect.effect(judgement.effect);
}

/** set_config(name, value, is_local) is SET in the shape of a function. */
function setConfig(args: readonly unknown[], location: unknown, context: Context, collect: Collector): void {
  collect.effect('session');
  const name = isNameColumn(args[0]) ? context.named : constant(args[0]);
  if (typeof name !== 'string' || args.length !== 3) {
    collect.needAlways(
      'admin',
      'calls set_config() for a setting that the statement does not name',
      'Write the name of the setting as a constant.',
      location,
    );
    return;
  }
  const value = constant(args[1]);
  const local = constant(args[2]);
  const folded = foldSettingName(name);
  const change = {
    name: folded,
    value: value ?? null,
    local: typeof local === 'string' && parseBoolean(local) === true,
  };
  collect.setting(
    context,
    change,
    judgeSetting(folded, value === undefined ? UNKNOWN_VALUE : value),
    location,
  );
}

/** What `SELECT set_config(name, …) FROM pg_settings WHERE name = 'x'` has. */
const BY_NAME: ReadonlySet<string> = new Set([
  'targetList',
  'fromClause',
  'whereClause',
  'limitOption',
  'op',
]);

/**
 * pg_dump changes a setting only if the server has it:
 * `SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'y'`. The
 * column is then known to hold `y`. Exactly this form counts, and nothing around it.
 */
export function settingByName(node: Tree, context: Context): string | null {
  for (const field in node) if (!BY_NAME.has(field)) return null;
  const [from, ...others] = list(node['fromClause']);
  const range = unwrap(from, 'RangeVar');
  const where = unwrap(node['whereClause'], 'A_Expr');
  const [target, ...more] = list(node['targetList']);
  const [column, ...values] = list(unwrap(unwrap(target, 'ResTarget')?.['val'], 'FuncCall')?.['args']);
  if (range === null || where === null || others.length > 0 || more.length > 0) return null;
  if (!isNameColumn(column) || values.some((value) => constant(value) === undefined)) return null;
  const { schema, name } = rangeName(range);
  if (schema === null && isCte(context.scope, name)) return null;
  if (name !== 'pg_settings' || (schema !== null && schema !== 'pg_catalog') || range['alias'] !== undefined)
    return null;
  const operator = list(where['name']);
  if (where['kind'] !== 'AEXPR_OP' || operator.length !== 1 || stringNode(operator[0]) !== '=') return null;
  return isNameColumn(where['lexpr']) ? (constant(where['rexpr']) ?? null) : null;
}

function isNameColumn(node: unknown): boolean {
  const fields = list(unwrap(node, 'ColumnRef')?.['fields']);
  return fields.length === 1 && stringNode(fields[0]) === 'name';
}

export const CALLS: Readonly<Record<string, Visit>> = {
  FuncCall: funcCall,
  ColumnRef: columnRef,
  A_Indirection: indirection,
};
