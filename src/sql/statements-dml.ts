/**
 * What the commands that read and change rows do: SELECT, INSERT, UPDATE, DELETE,
 * MERGE, COPY, TRUNCATE, LOCK.
 *
 * Law of this file: one handler a node type, each looking at its own node only.
 */
import { assignmentsOfConflict, assignmentsOfMerge, assignmentsOfUpdate } from './assignments.js';
import {
  inside,
  isTemporary,
  quoted,
  quotedList,
  rangeName,
  type ActionDraft,
  type Collector,
  type Context,
} from './collect.js';
import { tautologyOfMerge, tautologyOfWhere } from './condition-action.js';
import type { RelationName, WhereClause } from './facts.js';
import { CATALOG_TABLES } from './known-functions.js';
import { settingByName } from './statements-calls.js';
import { child, integer, isTree, list, text, unwrap, type Tree } from './tree.js';
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
  writes('insert', 'inserts rows into', node, context, collect, {
    assignments: assignmentsOfConflict(node, collect),
  });

const updateStmt: Visit = (node, context, collect) =>
  writes('update', 'updates rows of', node, context, collect, {
    where: whereStrength(node['whereClause']),
    tautology: tautologyOfWhere(node, context, collect),
    assignments: assignmentsOfUpdate(node, collect),
  });

const deleteStmt: Visit = (node, context, collect) =>
  writes('delete', 'deletes rows of', node, context, collect, {
    where: whereStrength(node['whereClause']),
    tautology: tautologyOfWhere(node, context, collect),
  });

const mergeStmt: Visit = (node, context, collect) =>
  writes('merge', 'merges rows into', node, context, collect, {
    where: mergeStrength(node),
    tautology: tautologyOfMerge(node, context, collect),
    assignments: assignmentsOfMerge(node, collect),
  });

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
  node: Tree,
  context: Context,
  collect: Collector,
  more: Pick<ActionDraft, 'where' | 'tautology' | 'assignments'>,
): ReturnType<Visit> {
  const range = child(node['relation']);
  const target = rangeName(range);
  const location = range['location'] ?? 0;
  collect.act(context, { operation, effect: 'write', targets: [target], ...more, location });
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
};
