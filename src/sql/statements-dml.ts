/**
 * What the commands that read and change rows do: SELECT, INSERT, UPDATE, DELETE,
 * MERGE, COPY, TRUNCATE, LOCK, and the expressions in them.
 *
 * Law of this file: one handler a node type, each looking at its own node only.
 */
import {
  inside,
  isTemporary,
  quoted,
  quotedList,
  rangeName,
  type Collector,
  type Context,
} from './collect.js';
import type { RelationName, WhereClause } from './facts.js';
import { judgeFieldSelection, judgeFunction, type FunctionJudgement } from './functions.js';
import { CATALOG_TABLES } from './known-functions.js';
import { foldSettingName, judgeSetting, UNKNOWN_VALUE } from './settings.js';
import {
  child,
  constant,
  integer,
  isTree,
  list,
  parseBoolean,
  stringNode,
  text,
  unwrap,
  type Tree,
} from './tree.js';
import { command, cteNames, isCte, targetContext, withMode, withScope, type Visit } from './visit.js';
import { isRowIndependent, whereStrength } from './where.js';

const selectStmt: Visit = (node, context, collect) => {
  if (node['lockingClause'] !== undefined) {
    collect.need(
      context,
      'write',
      'locks the rows it reads (FOR UPDATE, FOR SHARE)',
      'Read without the locking clause.',
    );
    if (context.executes) collect.effect('write');
  }
  const into = child(node['intoClause'])['rel'];
  if (isTree(into)) creates('select_into', 'table', into, context, collect);
  const named = settingByName(node, context);
  if (named !== null) return { fields: { targetList: { ...context, named } } };
  if (node['withClause'] === undefined && into === undefined) return undefined;
  return {
    rest: withScope(node, context),
    fields: { withClause: context, intoClause: creation(child(into), context) },
  };
};

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
function settingByName(node: Tree, context: Context): string | null {
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

const withClause: Visit = (node, context) => {
  const names = cteNames(node);
  const recursive = node['recursive'] === true;
  return {
    entries: {
      ctes: list(node['ctes']).map((entry, index) => ({
        ...context,
        mode: 'read' as const,
        scope: { names, visible: recursive ? names.size : index, outer: context.scope },
        within: inside(context, `in the CTE "${text(unwrap(entry, 'CommonTableExpr')?.['ctename'])}"`),
      })),
    },
  };
};

const lockingClause: Visit = (_node, context) => ({ rest: withMode(context, 'alias') });

const insertStmt: Visit = (node, context, collect) =>
  writes('insert', 'inserts rows into', 'not_applicable', node, context, collect);

const updateStmt: Visit = (node, context, collect) =>
  writes('update', 'updates rows of', whereStrength(node['whereClause']), node, context, collect);

const deleteStmt: Visit = (node, context, collect) =>
  writes('delete', 'deletes rows of', whereStrength(node['whereClause']), node, context, collect);

const mergeStmt: Visit = (node, context, collect) =>
  writes('merge', 'merges rows into', mergeStrength(node), node, context, collect);

/** The weakest condition of a WHEN clause that updates or deletes; what only inserts has none. */
function mergeStrength(node: Tree): WhereClause {
  const join = node['joinCondition'];
  let strength: WhereClause = 'not_applicable';
  for (const entry of list(node['mergeWhenClauses'])) {
    const when = child(unwrap(entry, 'MergeWhenClause'));
    const kind = when['commandType'];
    if (kind !== 'CMD_UPDATE' && kind !== 'CMD_DELETE') continue;
    // NOT MATCHED BY SOURCE turns the join around: there `ON false` reaches every row.
    const narrowed =
      when['matchKind'] === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE'
        ? !isRowIndependent(join)
        : whereStrength(join) === 'present';
    if (!narrowed && whereStrength(when['condition']) !== 'present') return 'constant';
    strength = 'present';
  }
  return strength;
}

function writes(
  operation: string,
  verb: string,
  where: WhereClause,
  node: Tree,
  context: Context,
  collect: Collector,
): ReturnType<Visit> {
  const range = child(node['relation']);
  const target = rangeName(range);
  const location = range['location'] ?? 0;
  collect.act(context, { operation, effect: 'write', targets: [target], where, location });
  collect.need(context, 'write', `${verb} ${quoted(target)}`, null, location);
  needsForCatalog(target, location, context, collect);
  return {
    rest: withScope(node, withMode(context, 'read')),
    fields: { relation: targetContext(context, 'write'), withClause: context },
  };
}

function needsForCatalog(
  target: RelationName,
  location: unknown,
  context: Context,
  collect: Collector,
): void {
  const catalog =
    target.schema === 'pg_catalog' || (target.schema === null && CATALOG_TABLES.has(target.name));
  if (!catalog) return;
  const why =
    target.name === 'pg_settings'
      ? 'changes settings through pg_settings, as set_config() does'
      : `changes the system catalog ${quoted(target)}`;
  collect.need(context, 'admin', why, null, location);
}

/** The context of the name of something that is created: temporary things are no change of the schema. */
export function creation(range: Tree, context: Context): Context {
  return targetContext(context, isTemporary(range) ? 'write' : 'ddl');
}

/** Notes the creation of a relation. */
export function creates(
  operation: string,
  words: string,
  range: Tree,
  context: Context,
  collect: Collector,
): void {
  const target = rangeName(range);
  const temporary = isTemporary(range);
  const location = range['location'] ?? 0;
  collect.relation(creation(range, context), target.schema, target.name);
  collect.act(context, { operation, effect: temporary ? 'write' : 'ddl', targets: [target], location });
  collect.need(
    context,
    temporary ? 'write' : 'ddl',
    `creates the ${temporary ? 'temporary ' : ''}${words} ${quoted(target)}`,
    null,
    location,
  );
}

const rangeVar: Visit = (node, context, collect) => {
  const { schema, name } = rangeName(node);
  if (schema === null && isCte(context.scope, name)) return undefined;
  collect.relation(context, schema, name);
  return undefined;
};

const copyStmt: Visit = (node, context, collect) => {
  const from = node['is_from'] === true;
  const target = isTree(node['relation']) ? rangeName(node['relation']) : null;
  const location = child(node['relation'])['location'] ?? (target === null ? undefined : 0);
  collect.act(context, {
    operation: from ? 'copy_from' : 'copy_to',
    effect: from ? 'write' : 'read',
    targets: target === null ? [] : [target],
    location,
  });
  if (from && target !== null) {
    collect.need(context, 'write', `copies rows into ${quoted(target)}`, null, location);
    needsForCatalog(target, location, context, collect);
  }
  if (node['is_program'] === true) {
    collect.need(
      context,
      'admin',
      'runs a program on the server (COPY … PROGRAM)',
      'Use COPY … TO STDOUT or FROM STDIN.',
    );
    collect.effect('admin');
  } else if (text(node['filename']) !== '') {
    collect.need(
      context,
      'admin',
      `${from ? 'reads' : 'writes'} a file of the server (COPY)`,
      'Use COPY … TO STDOUT or FROM STDIN; in psql, \\copy.',
    );
    collect.effect('admin');
  }
  const inner: Context = { ...context, within: inside(context, 'under COPY') };
  command(node['query'], inner, collect);
  return { rest: inner, fields: { relation: targetContext(context, from ? 'write' : 'read') } };
};

const truncateStmt: Visit = (node, context, collect) => {
  const ranges = list(node['relations']).map((entry) => child(unwrap(entry, 'RangeVar')));
  const targets = ranges.map(rangeName);
  const location = ranges[0]?.['location'] ?? 0;
  collect.act(context, {
    operation: 'truncate',
    effect: 'write',
    targets,
    cascade: node['behavior'] === 'DROP_CASCADE',
    location,
  });
  collect.need(context, 'write', `empties ${quotedList(targets)}`, null, location);
  for (const target of targets) needsForCatalog(target, location, context, collect);
  return { rest: targetContext(context, 'write') };
};

/** AccessShareLock (lockdefs.h): what every SELECT takes; pg_dump asks for it by LOCK TABLE. */
const ACCESS_SHARE_LOCK = 1;

const lockStmt: Visit = (node, context, collect) => {
  const ranges = list(node['relations']).map((entry) => child(unwrap(entry, 'RangeVar')));
  const targets = ranges.map(rangeName);
  const shared = integer(node['mode']) === ACCESS_SHARE_LOCK;
  const location = ranges[0]?.['location'] ?? 0;
  collect.act(context, { operation: 'lock_table', effect: shared ? 'read' : 'write', targets, location });
  if (!shared) {
    const hint = 'Only LOCK TABLE … IN ACCESS SHARE MODE is reading.';
    collect.need(context, 'write', `locks ${quotedList(targets)} against others`, hint, location);
  }
  return { rest: targetContext(context, shared ? 'read' : 'write') };
};

const funcCall: Visit = (node, context, collect) => {
  const parts = list(node['funcname']);
  const name = stringNode(parts[parts.length - 1]);
  const schema = parts.length > 1 ? stringNode(parts[parts.length - 2]) : null;
  const args = list(node['args']);
  const location = node['location'] ?? 0;
  collect.calls(schema, name, node['func_variadic'] === true ? null : args.length, location);
  if (name === 'set_config' && (schema === null || schema === 'pg_catalog')) {
    setConfig(args, location, context, collect);
    return undefined;
  }
  note(judgeFunction(schema, name, args), location, collect);
  return undefined;
};

/** `x.f` of a ColumnRef and `(x).f` of an A_Indirection may call f(x): see judgeFieldSelection. */
const columnRef: Visit = (node, _context, collect) => {
  const fields = list(node['fields']);
  if (fields.length > 1)
    note(judgeFieldSelection(stringNode(fields[fields.length - 1])), node['location'] ?? 0, collect);
  return undefined;
};

const indirection: Visit = (node, _context, collect) => {
  for (const entry of list(node['indirection']))
    note(judgeFieldSelection(stringNode(entry)), undefined, collect);
  return undefined;
};

function note(judgement: FunctionJudgement | null, location: unknown, collect: Collector): void {
  if (judgement === null) return;
  collect.needAlways(judgement.access, judgement.why, judgement.hint, location);
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

export const DML: Readonly<Record<string, Visit>> = {
  SelectStmt: selectStmt,
  WithClause: withClause,
  LockingClause: lockingClause,
  InsertStmt: insertStmt,
  UpdateStmt: updateStmt,
  DeleteStmt: deleteStmt,
  MergeStmt: mergeStmt,
  RangeVar: rangeVar,
  CopyStmt: copyStmt,
  TruncateStmt: truncateStmt,
  LockStmt: lockStmt,
  FuncCall: funcCall,
  ColumnRef: columnRef,
  A_Indirection: indirection,
};
