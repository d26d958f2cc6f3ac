/**
 * A snapshot in memory: what was read, and the indexes that the look-ups of
 * catalog.ts need.
 *
 * Law of this file: it takes the facts as they are given; where they come from is
 * decode.ts's concern, what follows from them closure.ts's. An oid that nothing was
 * given for leads to nothing.
 */
import type { Catalog, CatalogFunction, ForeignKey, OwnNames, Relation } from './catalog.js';

/** Everything that a snapshot knows. */
export interface CatalogContent {
  readonly database: string;
  readonly serverVersion: number;
  /** All schemas, also those with nothing in them. */
  readonly schemas: readonly string[];
  readonly relations: readonly Relation[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly functions: readonly CatalogFunction[];
  readonly own: readonly OwnNames[];
  /** Names of types by schema, PostgreSQL's own among them. */
  readonly types: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Makes the look-ups. The content must not be changed afterwards. */
export function createCatalog(content: CatalogContent): Catalog {
  const relations = named(content.relations);
  const functions = named(content.functions);
  const schemas = new Set(content.schemas);
  const own = new Map(content.own.map((names) => [names.schema, names]));
  const { types } = content;
  const keysTo = new Map<number, ForeignKey[]>();
  const keys = new Map<number, ForeignKey>();
  for (const key of content.foreignKeys) {
    keys.set(key.oid, key);
    put(keysTo, key.to, key);
  }
  const readers = new Map<number, Relation[]>();
  const callers = new Map<number, Relation[]>();
  const parents = new Map<number, Relation[]>();
  for (const relation of relations.sorted) {
    for (const oid of relation.reads) put(readers, oid, relation);
    for (const oid of relation.calls) put(callers, oid, relation);
    for (const oid of relation.children) put(parents, oid, relation);
  }
  return {
    database: content.database,
    serverVersion: content.serverVersion,
    relationsNamed: ({ schema, name }) => relations.find(schema, name),
    relation: (oid) => relations.byOid.get(oid) ?? null,
    relationsIn: (schema) => relations.inSchema(schema),
    hasSchema: (schema) => schemas.has(schema),
    functionsNamed: (schema, name) => functions.find(schema, name),
    function: (oid) => functions.byOid.get(oid) ?? null,
    functionsIn: (schema) => functions.inSchema(schema),
    isOwnFunction: (schema, name) => own.get(schema ?? 'pg_catalog')?.functions.has(name) === true,
    isOwnRelation: (schema, name) => own.get(schema ?? 'pg_catalog')?.relations.has(name) === true,
    hasType: (schema, name) =>
      schema === null
        ? [...types.values()].some((names) => names.has(name))
        : types.get(schema)?.has(name) === true,
    foreignKey: (oid) => keys.get(oid) ?? null,
    foreignKeysTo: (oid) => keysTo.get(oid) ?? [],
    readersOf: (oid) => readers.get(oid) ?? [],
    callersOf: (oid) => callers.get(oid) ?? [],
    parentsOf: (oid) => parents.get(oid) ?? [],
  };
}

interface Named {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

interface NameIndex<T> {
  readonly byOid: ReadonlyMap<number, T>;
  /** By name, then schema. */
  readonly sorted: readonly T[];
  find(schema: string | null, name: string): readonly T[];
  inSchema(schema: string): readonly T[];
}

function named<T extends Named>(objects: readonly T[]): NameIndex<T> {
  // Code units, not a locale: the same order everywhere.
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const sorted = [...objects].sort((a, b) => order(a.name, b.name) || order(a.schema, b.schema));
  const byOid = new Map<number, T>();
  const byName = new Map<string, T[]>();
  const bySchema = new Map<string, T[]>();
  for (const object of sorted) {
    byOid.set(object.oid, object);
    put(byName, object.name, object);
    put(bySchema, object.schema, object);
  }
  return {
    byOid,
    sorted,
    find(schema, name) {
      const all = byName.get(name) ?? [];
      return schema === null ? all : all.filter((object) => object.schema === schema);
    },
    inSchema: (schema) => bySchema.get(schema) ?? [],
  };
}

function put<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
