/**
 * What a statement does beyond what it names, in words for an error's DETAIL: the
 * tables that TRUNCATE … CASCADE empties, what DROP … CASCADE takes along, how many
 * rows there are.
 *
 * Law: text for people only, from closure.ts's answers. null: there is nothing to say.
 */
import type { Catalog, ForeignKey, Relation } from '../catalog/catalog.js';
import { droppedWith, droppedWithSchema, emptiedBy } from '../catalog/closure.js';
import type { Dropped } from '../catalog/closure.js';
import type { Action } from '../sql/facts.js';
import type { RuleSubject } from './rule.js';
import { identifier, listed, named, namesOf, rowsInWords, withRows } from './words.js';

/** What CASCADE reaches; says so where that could have been looked up and was not. */
export function reachOfCascade(subject: RuleSubject, action: Action): string | null {
  const catalog = subject.catalog;
  if (catalog === null) {
    return subject.catalogUnknown === 'strict'
      ? 'What it would reach could not be named: the catalog of the database is not known.'
      : null;
  }
  switch (action.operation) {
    case 'truncate':
      return emptied(catalog, relationsOf(catalog, action));
    case 'drop_table':
    case 'drop_view':
    case 'drop_materialized_view':
    case 'drop_foreign_table': {
      const relations = relationsOf(catalog, action);
      return relations.length === 0 ? null : alsoDropped(catalog, droppedWith(catalog, relations));
    }
    case 'drop_schema':
      return joined(action.targets.map(({ name }) => schemaDropped(catalog, name)));
    case 'drop_function':
    case 'drop_aggregate':
    case 'drop_routine':
      return functionsDropped(catalog, action);
    case 'alter_table_drop_column':
      return columnsDropped(catalog, action);
    default:
      return null;
  }
}

/** How many rows the targets of a TRUNCATE or DROP TABLE hold. */
export function rowsHeld(subject: RuleSubject, action: Action): string | null {
  const relations = subject.catalog === null ? [] : relationsOf(subject.catalog, action);
  const holding = relations.filter(({ kind }) => kind !== 'view' && kind !== 'sequence');
  const [first] = holding;
  if (first === undefined) return null;
  return holding.length === 1
    ? `${named(first)} holds ${rowsInWords(first.rows)}.`
    : `They hold: ${withRows(holding)}.`;
}

/** Which foreign keys reference the targets of a DROP TABLE without CASCADE, and what becomes of them. */
export function keysOnDropped(subject: RuleSubject, action: Action): string | null {
  const { catalog } = subject;
  // Of CASCADE the rule of that name tells.
  if (catalog === null || action.cascade || action.operation !== 'drop_table') return null;
  const relations = relationsOf(catalog, action);
  if (relations.length === 0) return null;
  const others = droppedWith(catalog, relations).foreignKeys;
  const inWords = (keys: readonly ForeignKey[]): string =>
    `${keys.length === 1 ? 'the foreign key' : 'the foreign keys'} ${listed([...new Set(keys.map((key) => keyOf(catalog, key)))], 20)}`;
  if (others.length > 0) return `PostgreSQL refuses it without CASCADE, for ${inWords(others)}.`;
  const own = relations.flatMap(({ oid }) => catalog.foreignKeysTo(oid));
  return own.length === 0
    ? 'No foreign key that Holdfast knows of references it.'
    : `With it goes ${inWords(own)}.`;
}

/** Everything that the targets may mean. */
export function relationsOf(catalog: Catalog, { targets }: Pick<Action, 'targets'>): readonly Relation[] {
  return [...new Set(targets.flatMap((target) => catalog.relationsNamed(target)))];
}

function emptied(catalog: Catalog, targets: readonly Relation[]): string | null {
  if (targets.length === 0) return null;
  const also = emptiedBy(catalog, targets);
  return also.length === 0
    ? 'By the foreign keys that Holdfast knows it would empty no other table.'
    : `It would also empty ${withRows(also)}.`;
}

function alsoDropped(catalog: Catalog, dropped: Dropped): string {
  const parts = partsOf(catalog, dropped);
  return parts.length === 0
    ? 'By what Holdfast knows of the database nothing else depends on it.'
    : `It would also drop ${listed(parts)}.`;
}

function partsOf(catalog: Catalog, { views, children, foreignKeys }: Dropped): string[] {
  const parts: string[] = [];
  if (views.length > 0) parts.push(`${views.length === 1 ? 'the view' : 'the views'} ${namesOf(views)}`);
  if (children.length > 0) {
    parts.push(
      `${children.length === 1 ? 'the partition or inheriting table' : 'the partitions or inheriting tables'} ${withRows(children)}`,
    );
  }
  if (foreignKeys.length > 0) {
    const word = foreignKeys.length === 1 ? 'the foreign key' : 'the foreign keys';
    parts.push(
      `${word} ${listed(
        foreignKeys.map((key) => keyOf(catalog, key)),
        20,
      )}`,
    );
  }
  return parts;
}

/** A foreign key as a person knows it, by its name and its table: `"orders_customer_id_fkey" of "orders"`. */
export function keyOf(catalog: Catalog, key: ForeignKey): string {
  let whole = key;
  while (whole.partOf !== null) {
    const above = catalog.foreignKey(whole.partOf);
    if (above === null) break;
    whole = above;
  }
  const table = catalog.relation(whole.from);
  return table === null ? identifier(whole.name) : `${identifier(whole.name)} of ${named(table)}`;
}

function schemaDropped(catalog: Catalog, schema: string): string | null {
  const dropped = droppedWithSchema(catalog, schema);
  if (dropped === null) return null;
  const tables = dropped.relations.filter(({ kind }) => kind !== 'view' && kind !== 'sequence');
  const views = dropped.relations.filter(({ kind }) => kind === 'view');
  const inside: string[] = [];
  if (tables.length > 0) inside.push(`${counted(tables.length, 'table')}: ${withRows(tables)}`);
  if (views.length > 0) inside.push(`${counted(views.length, 'view')}: ${namesOf(views)}`);
  if (dropped.functions.length > 0) inside.push(counted(dropped.functions.length, 'function'));
  const outside = partsOf(catalog, dropped);
  const what =
    inside.length === 0
      ? `Holdfast knows of no table, view or function in ${identifier(schema)}.`
      : `It would drop from ${identifier(schema)} ${inside.join('; ')}.`;
  return outside.length === 0 ? what : `${what} Outside of it: ${listed(outside)}.`;
}

function counted(count: number, word: string): string {
  return `${String(count)} ${word}${count === 1 ? '' : 's'}`;
}

function functionsDropped(catalog: Catalog, { targets }: Action): string | null {
  const callers = targets
    .flatMap(({ schema, name }) => catalog.functionsNamed(schema, name))
    .flatMap(({ oid }) =>
      catalog
        .callersOf(oid)
        .filter(
          ({ kind, ruleCalls }) =>
            (kind === 'view' || kind === 'materialized_view') && !ruleCalls.includes(oid),
        ),
    );
  const views = [...new Set(callers)];
  if (views.length === 0) return null;
  const { views: more } = droppedWith(catalog, views);
  return `It would also drop ${views.length + more.length === 1 ? 'the view' : 'the views'} ${namesOf([...views, ...more])}.`;
}

function columnsDropped(catalog: Catalog, action: Action): string | null {
  const relations = relationsOf(catalog, action);
  const views = [...new Set(relations.flatMap(({ oid }) => catalog.readersOf(oid)))].filter(
    ({ kind }) => kind === 'view' || kind === 'materialized_view',
  );
  const keys = relations
    .flatMap(({ oid }) => catalog.foreignKeysTo(oid))
    .filter(
      ({ partOf, referenced }) =>
        partOf === null &&
        (action.columns.length === 0 || referenced.some((column) => action.columns.includes(column))),
    );
  return joined([
    keys.length === 0 ? null : alsoDropped(catalog, { views: [], children: [], foreignKeys: keys }),
    views.length === 0
      ? null
      : `Of the views that read the table, those that use the column would be dropped too: ${namesOf(views)}.`,
  ]);
}

export function joined(sentences: readonly (string | null)[]): string | null {
  const said = sentences.filter((sentence) => sentence !== null);
  return said.length === 0 ? null : said.join(' ');
}
