/**
 * Tables that a statement changes without naming them: behind a view, as a partition,
 * by a foreign key, by CASCADE.
 *
 * Law: from closure.ts's answers; what may happen counts as happening. Triggers and
 * the bodies of functions are not in a catalog.
 */
import type { Catalog, Relation } from '../catalog/catalog.js';
import {
  droppedWith,
  droppedWithSchema,
  emptiedBy,
  reachedByDelete,
  reachedByUpdate,
  writtenThrough,
} from '../catalog/closure.js';
import type { Dropped, Reached } from '../catalog/closure.js';
import type { Action, RelationName, StatementFacts } from '../sql/facts.js';
import { keyOf, relationsOf } from './consequences.js';
import { commandWords, described, named } from './words.js';

/** A table that is changed beside those that are named. */
export interface ChangedBeside {
  readonly relation: Relation;
  /** The start of a sentence that ends in the table's name, given quoted. */
  readonly how: (name: string) => string;
  readonly action: Action;
}

/**
 * Everything that the statement changes beside what it names.
 * @param changed the names that it changes
 */
export function changedBeside(
  catalog: Catalog,
  statement: StatementFacts,
  changed: readonly RelationName[],
): ChangedBeside[] {
  const found: ChangedBeside[] = [];
  for (const action of statement.actions) {
    if (DATA.has(action.operation)) found.push(...byData(catalog, action));
    else if (action.operation === 'truncate') found.push(...byTruncate(catalog, action));
    else if (action.operation === 'drop_schema' || action.operation === 'alter_schema')
      found.push(...bySchema(catalog, action));
    else if (action.effect === 'ddl') found.push(...byDdl(catalog, action, changed));
  }
  return found;
}

const DATA: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'copy_from']);

function byData(catalog: Catalog, action: Action): ChangedBeside[] {
  return relationsOf(catalog, action).flatMap((target) => {
    const through = writtenThrough(catalog, target);
    return [
      ...through.map((relation) => ({
        relation,
        action,
        how: (name: string) => `${described(action)} would also change rows of ${name}`,
      })),
      ...byForeignKeys(catalog, action, target, null),
      // The columns of a table below a view, or of the whole that it is a part of, may have other names.
      ...through.flatMap((relation) => byForeignKeys(catalog, action, relation, relation)),
    ];
  });
}

function byForeignKeys(
  catalog: Catalog,
  action: Action,
  target: Relation,
  through: Relation | null,
): ChangedBeside[] {
  const { operation, assignments } = action;
  const columns = through === null && assignments.length > 0 ? assignments.map(({ column }) => column) : null;
  const deletes = operation === 'delete' || operation === 'merge';
  const updates =
    operation === 'update' || operation === 'merge' || (operation === 'insert' && assignments.length > 0);
  const reached: Reached[] = [
    ...(deletes ? reachedByDelete(catalog, target) : []),
    ...(updates ? reachedByUpdate(catalog, target, columns) : []),
  ];
  return reached.map(({ relation, by, effect }) => ({
    relation,
    action,
    how: (name) =>
      `By the foreign key ${keyOf(catalog, by)} ${described(action)} would also ${effect === 'delete' ? 'delete' : 'change'} rows of ${name}`,
  }));
}

function byTruncate(catalog: Catalog, action: Action): ChangedBeside[] {
  const also = emptiedBeside(catalog, action, relationsOf(catalog, action));
  const command = action.cascade
    ? described(action).replace(/^TRUNCATE/, 'TRUNCATE … CASCADE')
    : described(action);
  return [...also].map((relation) => ({
    relation,
    action,
    how: (name) => `${command} would also empty ${name}`,
  }));
}

function emptiedBeside(
  catalog: Catalog,
  { cascade }: Pick<Action, 'cascade'>,
  targets: readonly Relation[],
): ReadonlySet<Relation> {
  const also = new Set(targets.flatMap((target) => writtenThrough(catalog, target)));
  if (cascade) for (const relation of emptiedBy(catalog, targets)) also.add(relation);
  return also;
}

/** Everything that holds rows and that a TRUNCATE empties, what it names included. */
export function emptiedTogether(catalog: Catalog, action: Pick<Action, 'targets' | 'cascade'>): Relation[] {
  const targets = relationsOf(catalog, action);
  const all = new Set([...targets, ...emptiedBeside(catalog, action, targets)]);
  return [...all].filter(({ kind }) => kind === 'table');
}

function bySchema(catalog: Catalog, action: Action): ChangedBeside[] {
  return action.targets.flatMap((target) => {
    const dropped = droppedWithSchema(catalog, target.name);
    if (dropped === null) return [];
    const inside = dropped.relations.map((relation) => ({
      relation,
      action,
      how: (name: string) => `${described(action)} would ${verb(action)} ${name}`,
    }));
    return action.operation === 'drop_schema' && action.cascade
      ? [...inside, ...byDropped(catalog, action, dropped)]
      : inside;
  });
}

function verb({ operation }: Action): string {
  return operation === 'alter_schema' ? 'change where to find' : 'drop';
}

/** DDL on a table is DDL on its partitions, and changes what the table that it is a partition of holds. */
function byDdl(catalog: Catalog, action: Action, changed: readonly RelationName[]): ChangedBeside[] {
  const isChanged = ({ schema, name }: RelationName): boolean =>
    changed.some((other) => other.schema === schema && other.name === name);
  const targets = [
    ...new Set(action.targets.filter(isChanged).flatMap((target) => catalog.relationsNamed(target))),
  ];
  if (targets.length === 0) return [];
  // A view's definition is its own; what it reads stays as it is.
  const family = targets
    .filter(({ kind }) => kind !== 'view' && kind !== 'materialized_view')
    .flatMap((target) => writtenThrough(catalog, target))
    .map((relation) => ({
      relation,
      action,
      how: (name: string) => `${described(action)} would also change ${name}`,
    }));
  const drops = action.cascade && action.operation.startsWith('drop_');
  return drops ? [...family, ...byDropped(catalog, action, droppedWith(catalog, targets))] : family;
}

function byDropped(
  catalog: Catalog,
  action: Action,
  { views, children, foreignKeys }: Dropped,
): ChangedBeside[] {
  const command = `${commandWords(action.operation)} … CASCADE`;
  return [
    ...[...views, ...children].map((relation) => ({
      relation,
      action,
      how: (name: string) => `${command} would also drop ${name}`,
    })),
    ...foreignKeys.flatMap((key) => {
      const relation = catalog.relation(key.from);
      const to = catalog.relation(key.to);
      if (relation === null) return [];
      const of = to === null ? '' : ` to ${named(to)}`;
      return [
        {
          relation,
          action,
          how: (name: string) => `${command} would also drop the foreign key${of} of ${name}`,
        },
      ];
    }),
  ];
}
