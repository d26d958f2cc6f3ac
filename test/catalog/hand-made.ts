/**
 * Catalogs written by hand, for tests that need one without a server.
 *
 *   catalogOf({
 *     tables: {
 *       'public.users': {
 *         columns: { id: 'not null', data: 'json', doc: 'json not null', email: '' },
 *         rows: 12000,
 *         references: { 'public.accounts': 'cascade' },
 *       },
 *     },
 *     views: { 'public.active': { reads: ['public.users'], calls: ['public.touch'] } },
 *     functions: [{ name: 'public.touch', volatility: 'volatile' }],
 *     types: ['public.mood'],
 *   })
 *
 * A name is split at its first dot: the schema has none. A name that something
 * refers to and nobody gives is a mistake, and throws. Of PostgreSQL's own there is what
 * OWN has.
 */
import type {
  Catalog,
  CatalogFunction,
  Column,
  ForeignKey,
  OwnNames,
  ReferentialAction,
  Relation,
} from '../../src/catalog/catalog.js';
import { createCatalog } from '../../src/catalog/snapshot.js';

/** `json` makes the column json or jsonb; `not null` declares it NOT NULL. */
export type HandMadeColumn = '' | 'not null' | 'json' | 'json not null';

export interface HandMadeReference {
  /** ON DELETE; `no_action` when absent, as in PostgreSQL. */
  readonly onDelete?: ReferentialAction;
  readonly onUpdate?: ReferentialAction;
  /** `<table referenced>_id` when absent. */
  readonly columns?: readonly string[];
  /** `id` when absent. */
  readonly referenced?: readonly string[];
  /** `<table>_<table referenced>_fkey` when absent. */
  readonly name?: string;
}

export interface HandMadeTable {
  readonly columns?: Readonly<Record<string, HandMadeColumn>>;
  /** The planner's estimate; none when absent. */
  readonly rows?: number;
  /** Tables referenced → ON DELETE, or the foreign key in detail; an array where there are several to one table. */
  readonly references?: Readonly<
    Record<string, ReferentialAction | HandMadeReference | readonly HandMadeReference[]>
  >;
  /** The table that this is a partition of, or inherits from. */
  readonly childOf?: string;
  /** `table` when absent. */
  readonly kind?: 'table' | 'partitioned_table' | 'foreign_table' | 'sequence';
  /** Relations that rules on the table name. */
  readonly ruleReads?: readonly string[];
  /** Functions that row security policies on it call. */
  readonly calls?: readonly string[];
}

export interface HandMadeView {
  readonly columns?: Readonly<Record<string, HandMadeColumn>>;
  readonly reads?: readonly string[];
  /** Relations that only rules on the view name. */
  readonly ruleReads?: readonly string[];
  readonly calls?: readonly string[];
  readonly materialized?: boolean;
}

export interface HandMadeFunction extends Partial<Omit<CatalogFunction, 'oid' | 'schema'>> {
  /** With its schema. A function, volatile, of language plpgsql, with no argument, unless it says otherwise. */
  readonly name: string;
}

export interface HandMadeCatalog {
  readonly database?: string;
  readonly serverVersion?: number;
  /** Beside those that the names have. */
  readonly schemas?: readonly string[];
  readonly tables?: Readonly<Record<string, HandMadeTable>>;
  readonly views?: Readonly<Record<string, HandMadeView>>;
  readonly functions?: readonly HandMadeFunction[];
  /** Beside `uuid`, which is PostgreSQL's. */
  readonly types?: readonly string[];
}

/** A few of PostgreSQL's own. */
const OWN: readonly OwnNames[] = [
  {
    schema: 'pg_catalog',
    functions: new Set(['count', 'extract', 'generate_series', 'length', 'lower', 'now', 'random', 'sum']),
    relations: new Set(['pg_class', 'pg_stat_activity']),
  },
  { schema: 'information_schema', functions: new Set([]), relations: new Set(['columns', 'tables']) },
];

export function catalogOf(given: HandMadeCatalog): Catalog {
  const tables = Object.entries(given.tables ?? {});
  const views = Object.entries(given.views ?? {});
  const functions = (given.functions ?? []).map((made, index) => handMadeFunction(made, 50_001 + index));
  const oids = new Map([...tables, ...views].map(([name], index) => [name, 20_001 + index]));
  const relationOid = (name: string): number => known(oids.get(name), name);
  const functionOids = (names: readonly string[] = []): number[] =>
    names.flatMap((name) => {
      const found = functions.filter((made) => `${made.schema}.${made.name}` === name);
      return found.length === 0 ? [known(undefined, name)] : found.map((made) => made.oid);
    });

  const relations: Relation[] = [
    ...tables.map(([name, table]): Relation => {
      const ruleReads = (table.ruleReads ?? []).map(relationOid);
      return {
        oid: relationOid(name),
        ...split(name),
        kind: table.kind ?? 'table',
        columns: columns(table.columns),
        rows: table.rows ?? null,
        children: tables.filter(([, other]) => other.childOf === name).map(([child]) => relationOid(child)),
        reads: ruleReads,
        ruleReads,
        calls: functionOids(table.calls),
        ruleCalls: [],
      };
    }),
    ...views.map(([name, view]): Relation => {
      const ruleReads = (view.ruleReads ?? []).map(relationOid);
      return {
        oid: relationOid(name),
        ...split(name),
        kind: view.materialized === true ? 'materialized_view' : 'view',
        columns: columns(view.columns),
        rows: null,
        children: [],
        reads: [...(view.reads ?? []).map(relationOid), ...ruleReads],
        ruleReads,
        calls: functionOids(view.calls),
        ruleCalls: [],
      };
    }),
  ];
  for (const [, { childOf }] of tables) if (childOf !== undefined) relationOid(childOf);

  let nextKey = 70_001;
  const foreignKeys = tables.flatMap(([name, table]) =>
    Object.entries(table.references ?? {}).flatMap(([to, references]): ForeignKey[] => {
      const all =
        typeof references === 'string'
          ? [{ onDelete: references }]
          : isArray(references)
            ? references
            : [references];
      return all.map((reference) => ({
        oid: nextKey++,
        name: reference.name ?? `${split(name).name}_${split(to).name}_fkey`,
        from: relationOid(name),
        to: relationOid(to),
        onDelete: reference.onDelete ?? 'no_action',
        onUpdate: reference.onUpdate ?? 'no_action',
        columns: reference.columns ?? [`${split(to).name}_id`],
        referenced: reference.referenced ?? ['id'],
        partOf: null,
      }));
    }),
  );

  const schemas = new Set([
    'public',
    ...(given.schemas ?? []),
    ...relations.map(({ schema }) => schema),
    ...functions.map(({ schema }) => schema),
  ]);
  return createCatalog({
    database: given.database ?? 'shop',
    serverVersion: given.serverVersion ?? 180_000,
    schemas: [...schemas],
    relations,
    foreignKeys,
    functions,
    own: OWN,
    types: typesOf(['pg_catalog.uuid', ...(given.types ?? [])]),
  });
}

function typesOf(names: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const types = new Map<string, Set<string>>();
  for (const { schema, name } of names.map(split)) {
    types.set(schema, (types.get(schema) ?? new Set()).add(name));
  }
  return types;
}

function handMadeFunction({ name, ...rest }: HandMadeFunction, oid: number): CatalogFunction {
  return {
    oid,
    kind: 'function',
    volatility: 'volatile',
    language: 'plpgsql',
    fewest: 0,
    most: rest.fewest ?? 0,
    extension: null,
    ...rest,
    ...split(name),
  };
}

function columns(given: Readonly<Record<string, HandMadeColumn>> = {}): Column[] {
  return Object.entries(given).map(([name, words]) => ({
    name,
    type: words.startsWith('json') ? 'json' : 'other',
    notNull: words.endsWith('not null'),
  }));
}

function split(qualified: string): { readonly schema: string; readonly name: string } {
  const dot = qualified.indexOf('.');
  if (dot < 1) throw new Error(`"${qualified}" has no schema`);
  return { schema: qualified.slice(0, dot), name: qualified.slice(dot + 1) };
}

function known(oid: number | undefined, name: string): number {
  if (oid === undefined) throw new Error(`the catalog made by hand has no "${name}"`);
  return oid;
}

function isArray<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}
