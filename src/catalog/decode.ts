/**
 * Makes a snapshot of the answer to CATALOG_QUERY.
 *
 * Law of this file: all or nothing. An answer that is not exactly what queries.ts
 * promises is an error; a snapshot that lacks a table would say that nothing
 * references it. The rows come in any order.
 */
import type {
  Catalog,
  CatalogFunction,
  Column,
  ForeignKey,
  OwnNames,
  ReferentialAction,
  Relation,
  RelationKind,
} from './catalog.js';
import type { RowKind } from './queries.js';
import { fieldReader, unexpected } from './row-fields.js';
import type { Fields } from './row-fields.js';
import { createCatalog } from './snapshot.js';

/** pg_class.relkind */
const RELATION_KINDS: Readonly<Record<string, RelationKind>> = {
  r: 'table',
  p: 'partitioned_table',
  v: 'view',
  m: 'materialized_view',
  f: 'foreign_table',
  S: 'sequence',
};
/** pg_proc.prokind */
const FUNCTION_KINDS: Readonly<Record<string, CatalogFunction['kind']>> = {
  f: 'function',
  p: 'procedure',
  a: 'aggregate',
  w: 'window',
};
/** pg_proc.provolatile */
const VOLATILITIES: Readonly<Record<string, CatalogFunction['volatility']>> = {
  i: 'immutable',
  s: 'stable',
  v: 'volatile',
};
/** pg_constraint.confdeltype, confupdtype */
const REFERENTIAL_ACTIONS: Readonly<Record<string, ReferentialAction>> = {
  a: 'no_action',
  r: 'restrict',
  c: 'cascade',
  n: 'set_null',
  d: 'set_default',
};
/** As the query writes them: type, NOT NULL. */
const COLUMN_TRAITS = {
  '.': ['other', false],
  n: ['other', true],
  j: ['json', false],
  b: ['json', true],
} as const satisfies Readonly<Record<string, readonly [Column['type'], boolean]>>;
type Trait = keyof typeof COLUMN_TRAITS;

/** Most relations have none. */
const NONE: readonly never[] = [];

/** A relation as long as rows about it may come. */
interface Draft {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: RelationKind;
  /** By pg_attribute.attnum - 1; null was dropped. */
  readonly attributes: readonly (Column | null)[];
  readonly rows: number | null;
}

/** Which relation, which other object, and whether its query or row security names that. */
type Reference = readonly [relation: number, other: number, query: boolean];

/** With the numbers of columns (pg_attribute.attnum), until all relations are known. */
type KeyDraft = Omit<ForeignKey, 'columns' | 'referenced'> & {
  readonly columns: readonly number[];
  readonly referenced: readonly number[];
};

interface Drafts {
  database: { readonly name: string; readonly serverVersion: number } | null;
  readonly schemas: string[];
  readonly relations: Map<number, Draft>;
  readonly children: Map<number, number[]>;
  readonly reads: Reference[];
  readonly calls: Reference[];
  readonly foreignKeys: KeyDraft[];
  readonly functions: Map<number, CatalogFunction>;
  readonly own: OwnNames[];
  readonly types: Map<string, ReadonlySet<string>>;
  /** One object for all columns that are alike (every table has its `id`), one string for all names that are. */
  readonly columns: Readonly<Record<Trait, Map<string, Column>>>;
  readonly names: Map<string, string>;
}

/** Decodes row by row, as they come. */
export interface CatalogDecoder {
  /** @throws Error when the row is not what the query promises; then nothing is known */
  add(row: readonly (string | null)[]): void;
  /**
   * To be called once, after the last row.
   * @throws Error when something is missing
   */
  end(): Catalog;
}

/** Decodes the answer to CATALOG_QUERY; whoever has all of it at once calls decodeCatalog. */
export function catalogDecoder(): CatalogDecoder {
  const drafts: Drafts = {
    database: null,
    schemas: [],
    relations: new Map(),
    children: new Map(),
    reads: [],
    calls: [],
    foreignKeys: [],
    functions: new Map(),
    own: [],
    types: new Map(),
    columns: { '.': new Map(), n: new Map(), j: new Map(), b: new Map() },
    names: new Map(),
  };
  const fields = fieldReader();
  return {
    add(row) {
      const [kind, body] = row;
      if (row.length !== 2 || typeof kind !== 'string' || typeof body !== 'string') {
        throw unexpected('a row that is not of two columns');
      }
      if (!isRowKind(kind)) throw unexpected(`a row of kind "${kind.slice(0, 40)}"`);
      fields.begin(kind, body);
      DECODERS[kind](fields, drafts);
      fields.end();
    },
    end() {
      const { database, schemas, relations, foreignKeys, functions, own, types } = drafts;
      if (database === null) throw unexpected('no row for the database itself');
      // information_schema can be dropped.
      if (!own.some(({ schema }) => schema === 'pg_catalog')) throw unexpected('no row for pg_catalog');
      const references = { reads: referencesBy(drafts.reads), calls: referencesBy(drafts.calls) };
      return createCatalog({
        database: database.name,
        serverVersion: database.serverVersion,
        schemas,
        relations: [...relations.values()].map((draft) => relationOf(draft, drafts, references)),
        foreignKeys: foreignKeys.map((key) => ({
          ...key,
          columns: columnNames(drafts, key.from, key.columns),
          referenced: columnNames(drafts, key.to, key.referenced),
        })),
        functions: [...functions.values()],
        own,
        types,
      });
    },
  };
}

/**
 * @param rows the rows of CATALOG_QUERY, all of them
 * @throws Error when they are not what the query promises; then nothing is known
 */
export function decodeCatalog(rows: Iterable<readonly (string | null)[]>): Catalog {
  const decoder = catalogDecoder();
  for (const row of rows) decoder.add(row);
  return decoder.end();
}

const DECODERS: Readonly<Record<RowKind, (fields: Fields, drafts: Drafts) => void>> = {
  database(fields, drafts) {
    if (drafts.database !== null) throw unexpected('two rows for the database itself');
    drafts.database = { name: fields.text(), serverVersion: fields.number() };
  },
  schema(fields, drafts) {
    drafts.schemas.push(shared(drafts, fields.text()));
  },
  relation(fields, drafts) {
    const oid = fields.number();
    const schema = shared(drafts, fields.text());
    const name = fields.text();
    const kind = fields.oneOf(RELATION_KINDS);
    const rows = fields.number();
    const names = fields.listOrNull() ?? [];
    const traits = fields.textOrNull() ?? '';
    if (names.length !== traits.length) throw unexpected('a relation whose columns do not match');
    const attributes = names.map((column, index): Column | null => {
      if (column === null) return null;
      const trait = traits.charAt(index);
      if (typeof column !== 'string' || !isTrait(trait)) throw unexpected('an invalid column');
      return sharedColumn(drafts, column, trait);
    });
    // -1: never vacuumed or analyzed. What a view or a sequence has there is no estimate.
    const estimated = rows >= 0 && kind !== 'view' && kind !== 'sequence';
    once(drafts.relations, oid, { oid, schema, name, kind, attributes, rows: estimated ? rows : null });
  },
  child(fields, drafts) {
    const parent = fields.number();
    const child = fields.number();
    const children = drafts.children.get(parent);
    if (children === undefined) drafts.children.set(parent, [child]);
    else children.push(child);
  },
  reads(fields, drafts) {
    drafts.reads.push([fields.number(), fields.number(), fields.boolean()]);
  },
  calls(fields, drafts) {
    drafts.calls.push([fields.number(), fields.number(), fields.boolean()]);
  },
  foreign_key(fields, drafts) {
    const key = {
      oid: fields.number(),
      from: fields.number(),
      to: fields.number(),
      name: fields.text(),
      onDelete: fields.oneOf(REFERENTIAL_ACTIONS),
      onUpdate: fields.oneOf(REFERENTIAL_ACTIONS),
      columns: fields.numbers(),
      referenced: fields.numbers(),
      // 0: it is none's part.
      partOf: fields.number() || null,
    };
    drafts.foreignKeys.push(key);
  },
  function(fields, drafts) {
    const oid = fields.number();
    const schema = shared(drafts, fields.text());
    const name = fields.text();
    const kind = fields.oneOf(FUNCTION_KINDS);
    const volatility = fields.oneOf(VOLATILITIES);
    const language = shared(drafts, fields.text());
    const most = fields.number();
    const defaults = fields.number();
    const variadic = fields.boolean();
    const direct = fields.numberOrNull();
    const extension = fields.textOrNull();
    once(drafts.functions, oid, {
      oid,
      schema,
      name,
      kind,
      volatility,
      language,
      fewest: direct ?? most - defaults,
      most: variadic ? null : most,
      extension: extension === null ? null : shared(drafts, extension),
    });
  },
  own(fields, drafts) {
    drafts.own.push({
      schema: fields.text(),
      functions: new Set(fields.texts()),
      relations: new Set(fields.texts()),
    });
  },
  types(fields, drafts) {
    drafts.types.set(fields.text(), new Set(fields.texts()));
  },
};

function isRowKind(kind: string): kind is RowKind {
  return Object.hasOwn(DECODERS, kind);
}

function isTrait(letter: string): letter is Trait {
  return Object.hasOwn(COLUMN_TRAITS, letter);
}

/** The relation in the end. Whose columns were never dropped keeps the array that it has. */
function relationOf(
  draft: Draft,
  drafts: Drafts,
  references: Readonly<Record<'reads' | 'calls', ReadonlyMap<number, References>>>,
): Relation {
  const { oid, schema, name, kind, attributes } = draft;
  const there = (column: Column | null): column is Column => column !== null;
  const reads = references.reads.get(oid);
  const calls = references.calls.get(oid);
  return {
    oid,
    schema,
    name,
    kind,
    columns: attributes.every(there) ? attributes : attributes.filter(there),
    rows: kind === 'partitioned_table' ? rowsOfPartitions(draft, drafts) : draft.rows,
    children: drafts.children.get(oid) ?? NONE,
    reads: reads?.all ?? NONE,
    ruleReads: reads?.byRules ?? NONE,
    calls: calls?.all ?? NONE,
    ruleCalls: calls?.byRules ?? NONE,
  };
}

/** The sum of the estimates that there are; its own, which ANALYZE makes, when no partition has one. */
function rowsOfPartitions(table: Draft, { relations, children }: Drafts): number | null {
  const seen = new Set<number>();
  const waiting = [...(children.get(table.oid) ?? NONE)];
  let sum: number | null = null;
  for (let oid = waiting.pop(); oid !== undefined; oid = waiting.pop()) {
    if (seen.has(oid)) continue;
    seen.add(oid);
    const partition = relations.get(oid);
    if (partition === undefined) continue;
    if (partition.kind === 'partitioned_table') waiting.push(...(children.get(oid) ?? NONE));
    else if (partition.rows !== null) sum = (sum ?? 0) + partition.rows;
  }
  return sum ?? table.rows;
}

interface References {
  readonly all: readonly number[];
  readonly byRules: readonly number[];
}

function referencesBy(references: readonly Reference[]): ReadonlyMap<number, References> {
  const found = new Map<number, { all: number[]; byRules: number[] }>();
  for (const [relation, other, query] of references) {
    let entry = found.get(relation);
    if (entry === undefined) found.set(relation, (entry = { all: [], byRules: [] }));
    entry.all.push(other);
    if (!query) entry.byRules.push(other);
  }
  return found;
}

function columnNames({ relations }: Drafts, oid: number, numbers: readonly number[]): string[] {
  const attributes = relations.get(oid)?.attributes;
  return numbers.map((number) => {
    const column = attributes?.[number - 1];
    if (column === undefined || column === null) throw unexpected('a foreign key of an unknown column');
    return column.name;
  });
}

function once<T>(map: Map<number, T>, oid: number, value: T): void {
  if (map.has(oid)) throw unexpected(`two rows with the oid ${oid}`);
  map.set(oid, value);
}

function shared({ names }: Drafts, name: string): string {
  const known = names.get(name);
  if (known !== undefined) return known;
  names.set(name, name);
  return name;
}

function sharedColumn({ columns }: Drafts, name: string, trait: Trait): Column {
  const known = columns[trait].get(name);
  if (known !== undefined) return known;
  const [type, notNull] = COLUMN_TRAITS[trait];
  const column = { name, type, notNull };
  columns[trait].set(name, column);
  return column;
}
