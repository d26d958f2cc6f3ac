/**
 * What follows from a statement beyond the relations that it names: walks over a
 * snapshot, along foreign keys, inheritance and views.
 *
 * Law of this file: pure, and every relation is met once, so that cycles end. It says
 * what PostgreSQL may do, not whether any row is there for it to happen to. What a
 * snapshot does not hold is not followed: triggers, the bodies of functions,
 * temporary relations.
 */
import type { Catalog, CatalogFunction, ForeignKey, Relation } from './catalog.js';

/** A relation whose rows an action on another one deletes or updates. */
export interface Reached {
  readonly relation: Relation;
  /** The foreign key that leads to it. */
  readonly by: ForeignKey;
  readonly effect: 'delete' | 'update';
}

/** What DROP … CASCADE takes along, beside what it names. */
export interface Dropped {
  /** Views and materialized views that read what is dropped. */
  readonly views: readonly Relation[];
  /** Foreign keys of tables that stay; whole ones, also where a part of one leads here. */
  readonly foreignKeys: readonly ForeignKey[];
  /** Partitions and inheriting tables. */
  readonly children: readonly Relation[];
}

export interface DroppedSchema extends Dropped {
  /** What is in the schema; the rest lies outside of it. */
  readonly relations: readonly Relation[];
  readonly functions: readonly CatalogFunction[];
}

/**
 * What TRUNCATE … CASCADE empties beside its targets: their partitions and inheriting
 * tables, and all tables that reference one of these by a foreign key, whatever its
 * ON DELETE, and so on. A table that is reached by its foreign key is emptied without
 * the tables that inherit from it, but with its partitions, as PostgreSQL does.
 * @param only the targets are named with ONLY
 */
export function emptiedBy(catalog: Catalog, targets: readonly Relation[], only = false): Relation[] {
  const emptied = new Set<Relation>();
  const named = only ? targets : withChildren(catalog, targets);
  const waiting = [...named];
  for (let relation = waiting.pop(); relation !== undefined; relation = waiting.pop()) {
    if (emptied.has(relation)) continue;
    emptied.add(relation);
    for (const { from } of catalog.foreignKeysTo(relation.oid)) {
      const referencing = catalog.relation(from);
      if (referencing !== null) waiting.push(...withPartitions(catalog, referencing));
    }
  }
  for (const target of targets) emptied.delete(target);
  return [...emptied];
}

/**
 * Rows of tables that a DELETE on this relation may delete (ON DELETE CASCADE)
 * or update (ON DELETE SET NULL, SET DEFAULT), and what follows from that in turn.
 * Partitions and inheriting tables lose rows by the DELETE itself and are not listed,
 * unless a foreign key leads to them; nor is the relation itself.
 */
export function reachedByDelete(catalog: Catalog, relation: Relation): Reached[] {
  return reached(
    catalog,
    withChildren(catalog, [relation]).map((start) => ({ relation: start, change: 'delete' })),
  );
}

/**
 * Rows of tables that an UPDATE of this relation may update, where it changes
 * columns that foreign keys reference (ON UPDATE CASCADE, SET NULL, SET DEFAULT).
 * @param columns the columns that it sets; null when they are not known, for any
 */
export function reachedByUpdate(
  catalog: Catalog,
  relation: Relation,
  columns: readonly string[] | null,
): Reached[] {
  return reached(
    catalog,
    withChildren(catalog, [relation]).map((start) => ({ relation: start, change: columns })),
  );
}

/** Rows of a relation are deleted, or have these columns (null: any of them) updated. */
interface Change {
  readonly relation: Relation;
  readonly change: 'delete' | readonly string[] | null;
}

function reached(catalog: Catalog, starts: readonly Change[]): Reached[] {
  const found = new Map<string, Reached>();
  // What is already known to happen to a relation; only what is new goes on.
  const deleted = new Set<Relation>();
  const updated = new Map<Relation, readonly string[]>();
  const waiting = [...starts];
  const meet = (relation: Relation, change: 'delete' | readonly string[]): void => {
    if (change === 'delete') {
      if (deleted.has(relation)) return;
      deleted.add(relation);
      waiting.push({ relation, change });
      return;
    }
    const known = updated.get(relation) ?? [];
    const fresh = change.filter((column) => !known.includes(column));
    if (fresh.length === 0) return;
    updated.set(relation, [...known, ...fresh]);
    waiting.push({ relation, change: fresh });
  };
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const by of catalog.foreignKeysTo(next.relation.oid)) {
      const referencing = catalog.relation(by.from);
      const change = changeAlong(by, next.change);
      if (referencing === null || change === 'none') continue;
      const effect = change === 'delete' ? 'delete' : 'update';
      for (const relation of withPartitions(catalog, referencing)) {
        const key = `${relation.oid} ${effect}`;
        if (!found.has(key)) found.set(key, { relation, by, effect });
        meet(relation, change);
      }
    }
  }
  return [...found.values()];
}

/** What happens to the referencing rows when referenced ones change. */
function changeAlong(by: ForeignKey, change: Change['change']): 'delete' | 'none' | readonly string[] {
  const concerned = (column: string | undefined): boolean =>
    change === 'delete' || change === null || (column !== undefined && change.includes(column));
  if (!by.referenced.some(concerned)) return 'none';
  switch (change === 'delete' ? by.onDelete : by.onUpdate) {
    case 'no_action':
    case 'restrict':
      return 'none';
    case 'cascade':
      if (change === 'delete') return 'delete';
      return by.columns.filter((_, index) => concerned(by.referenced[index]));
    case 'set_null':
    case 'set_default':
      return by.columns;
  }
}

/**
 * What DROP TABLE, DROP VIEW or DROP MATERIALIZED VIEW … CASCADE of these relations
 * takes along: partitions and inheriting tables, views on all of them, views on
 * views, and other tables' foreign keys that reference them. Rules of other tables,
 * functions and columns of a table's row type that go too are not in a snapshot.
 */
export function droppedWith(catalog: Catalog, relations: readonly Relation[]): Dropped {
  return dropped(catalog, relations, []);
}

/** What DROP SCHEMA … CASCADE takes along; null when there is no such schema. */
export function droppedWithSchema(catalog: Catalog, schema: string): DroppedSchema | null {
  if (!catalog.hasSchema(schema)) return null;
  const relations = catalog.relationsIn(schema);
  const functions = catalog.functionsIn(schema);
  return { relations, functions, ...dropped(catalog, relations, functions) };
}

function dropped(
  catalog: Catalog,
  relations: readonly Relation[],
  functions: readonly CatalogFunction[],
): Dropped {
  const given = new Set(relations);
  const gone = new Set<Relation>();
  const children: Relation[] = [];
  const views: Relation[] = [];
  const waiting: Relation[] = [];
  const drop = (relation: Relation, list: Relation[]): void => {
    if (gone.has(relation)) return;
    gone.add(relation);
    waiting.push(relation);
    if (!given.has(relation)) list.push(relation);
  };
  for (const relation of relations) drop(relation, views);
  for (const { oid } of functions) {
    for (const caller of catalog.callersOf(oid)) {
      if (isView(caller) && !caller.ruleCalls.includes(oid)) drop(caller, views);
    }
  }
  for (let relation = waiting.pop(); relation !== undefined; relation = waiting.pop()) {
    for (const child of childrenOf(catalog, relation)) drop(child, children);
    for (const reader of catalog.readersOf(relation.oid)) {
      // A rule that names it goes alone, and leaves its table or view behind.
      if (isView(reader) && !reader.ruleReads.includes(relation.oid)) drop(reader, views);
    }
  }
  const foreignKeys = new Set<ForeignKey>();
  for (const { oid } of gone) {
    for (const key of catalog.foreignKeysTo(oid)) {
      const referencing = catalog.relation(key.from);
      if (referencing !== null && !gone.has(referencing)) foreignKeys.add(wholeOf(catalog, key));
    }
  }
  return { views, foreignKeys: [...foreignKeys], children };
}

/**
 * Relations whose rows a write on this relation may change, or show changed, itself
 * not among them: of a view, what it reads and what its rules name, through views over
 * views; partitions and inheriting tables of all these; and the tables that any of
 * them is a partition of or inherits from, whose rows include theirs.
 */
export function writtenThrough(catalog: Catalog, relation: Relation): Relation[] {
  const written = new Set<Relation>();
  const waiting = [relation];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (written.has(next)) continue;
    written.add(next);
    // Nothing is written through a materialized view; it can be read and refreshed.
    if (next.kind === 'materialized_view') continue;
    for (const oid of next.reads) {
      const read = catalog.relation(oid);
      // A query that calls nextval('s') names a sequence.
      if (read !== null && read.kind !== 'sequence') waiting.push(read);
    }
    waiting.push(...childrenOf(catalog, next));
  }
  const above = [...written];
  for (let next = above.pop(); next !== undefined; next = above.pop()) {
    for (const parent of catalog.parentsOf(next.oid)) {
      if (written.has(parent)) continue;
      written.add(parent);
      above.push(parent);
    }
  }
  written.delete(relation);
  return [...written];
}

/**
 * Volatile functions, none of PostgreSQL's own, that reading this relation may call:
 * those of a view's query, of the views that it reads, and of row security policies.
 * @param how `refresh`: the relation is a materialized view whose query is run; `read`
 *   only reads what that has stored
 */
export function volatileCalls(
  catalog: Catalog,
  relation: Relation,
  how: 'read' | 'refresh' = 'read',
): CatalogFunction[] {
  const seen = new Set<Relation>();
  const found = new Set<CatalogFunction>();
  const waiting = [relation];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if (next.kind === 'materialized_view' && !(how === 'refresh' && next === relation)) continue;
    for (const oid of next.calls) {
      const called = catalog.function(oid);
      if (called?.volatility === 'volatile' && !next.ruleCalls.includes(oid)) found.add(called);
    }
    for (const oid of next.reads) {
      const read = catalog.relation(oid);
      if (read !== null && !next.ruleReads.includes(oid)) waiting.push(read);
    }
  }
  return [...found];
}

/** Without one of the partitions that it references, a foreign key goes as a whole. */
function wholeOf(catalog: Catalog, key: ForeignKey): ForeignKey {
  const above = key.partOf === null ? null : catalog.foreignKey(key.partOf);
  return above === null ? key : wholeOf(catalog, above);
}

function isView({ kind }: Relation): boolean {
  return kind === 'view' || kind === 'materialized_view';
}

function childrenOf(catalog: Catalog, relation: Relation): Relation[] {
  return relation.children.map((oid) => catalog.relation(oid)).filter((child) => child !== null);
}

/** The relations, and their partitions and inheriting tables, of all generations. */
function withChildren(catalog: Catalog, relations: readonly Relation[]): Relation[] {
  const all = new Set<Relation>();
  const waiting = [...relations];
  for (let relation = waiting.pop(); relation !== undefined; relation = waiting.pop()) {
    if (all.has(relation)) continue;
    all.add(relation);
    waiting.push(...childrenOf(catalog, relation));
  }
  return [...all];
}

/**
 * The relation, and its partitions where it is partitioned: what acts along a foreign
 * key acts on the referencing table ONLY, except that a partitioned one is its partitions.
 */
function withPartitions(catalog: Catalog, relation: Relation): Relation[] {
  return relation.kind === 'partitioned_table' ? withChildren(catalog, [relation]) : [relation];
}
