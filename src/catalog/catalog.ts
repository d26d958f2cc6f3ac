/**
 * What Holdfast knows of one database: a snapshot of PostgreSQL's system catalogs,
 * as far as judging needs it (PostgreSQL documentation, chapter "System Catalogs").
 *
 * Law of this folder: pure. Plain data and look-ups on it; whoever runs the queries
 * hands the rows over. A snapshot is never changed, only replaced as a whole. Names
 * are as stored in the catalogs. Where a name may mean several relations or functions
 * (search_path is not known here), a look-up returns all of them, and whoever asks
 * takes the strictest.
 */
import type { RelationName } from '../sql/facts.js';

/** pg_class.relkind, of what can hold or show rows. */
export type RelationKind =
  'table' | 'partitioned_table' | 'view' | 'materialized_view' | 'foreign_table' | 'sequence';

export interface Column {
  readonly name: string;
  /** `json`: of type json or jsonb, or of a domain over one of these. */
  readonly type: 'json' | 'other';
  /** Declared NOT NULL, by itself or by its domain; a primary key's columns are. */
  readonly notNull: boolean;
}

export interface Relation {
  /** pg_class.oid: what relations are known by within a snapshot. Not unique together with functions' oids. */
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: RelationKind;
  /** In their order; none of a sequence. */
  readonly columns: readonly Column[];
  /** The planner's estimate (pg_class.reltuples; of a partitioned table the sum of its partitions); null where there is none. */
  readonly rows: number | null;
  /** Whose rows a query on this relation reads and a write on it changes as well: partitions and inheriting tables, direct ones. */
  readonly children: readonly number[];
  /** Relations that a view's query names, directly (pg_depend of its rewrite rule). Also those that other rules on it name. */
  readonly reads: readonly number[];
  /** Of `reads`, those that the view's own query does not name: only other rules (ON INSERT, UPDATE, DELETE) do. */
  readonly ruleReads: readonly number[];
  /** Functions outside PostgreSQL's own that a view's query calls, also by an operator; that other rules or row security policies on it call. */
  readonly calls: readonly number[];
  /** Of `calls`, those that neither the view's own query nor row security calls: only other rules do. */
  readonly ruleCalls: readonly number[];
}

export interface ForeignKey {
  /** pg_constraint.oid */
  readonly oid: number;
  readonly name: string;
  /** The relation that has the constraint (the referencing one). */
  readonly from: number;
  /** The relation that is referenced. */
  readonly to: number;
  readonly onDelete: ReferentialAction;
  readonly onUpdate: ReferentialAction;
  /** The referencing columns. */
  readonly columns: readonly string[];
  /** The referenced columns, in the order of `columns`. */
  readonly referenced: readonly string[];
  /**
   * The foreign key that this one is a part of: of a partitioned table's, and of one that references it, PostgreSQL
   * keeps one more for each partition. Null for the whole, which is all that a person knows of.
   */
  readonly partOf: number | null;
}

export type ReferentialAction = 'no_action' | 'restrict' | 'cascade' | 'set_null' | 'set_default';

/** A function, procedure, aggregate or window function that is none of PostgreSQL's own. */
export interface CatalogFunction {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'function' | 'procedure' | 'aggregate' | 'window';
  /** pg_proc.provolatile; of an aggregate the worst of the functions that it is made of. */
  readonly volatility: 'immutable' | 'stable' | 'volatile';
  /** pg_language.lanname: `sql`, `plpgsql`, `c`, … */
  readonly language: string;
  /** How many arguments a call may give; `most` null: VARIADIC takes any number. */
  readonly fewest: number;
  readonly most: number | null;
  /** The extension that it belongs to, or null. */
  readonly extension: string | null;
}

/** What PostgreSQL itself has in one of its schemas, pg_catalog or information_schema: names alone. */
export interface OwnNames {
  readonly schema: string;
  readonly functions: ReadonlySet<string>;
  readonly relations: ReadonlySet<string>;
}

export interface Catalog {
  readonly database: string;
  /** SHOW server_version_num: 150018. */
  readonly serverVersion: number;
  /** All relations that a name may mean: of its schema, or of every schema where it has none. Empty: there is none. */
  relationsNamed(name: RelationName): readonly Relation[];
  relation(oid: number): Relation | null;
  /** Relations of one schema, in the order of their names. */
  relationsIn(schema: string): readonly Relation[];
  hasSchema(schema: string): boolean;
  /** All functions, none of PostgreSQL's own, that a call of this name may mean, whatever their arguments. */
  functionsNamed(schema: string | null, name: string): readonly CatalogFunction[];
  function(oid: number): CatalogFunction | null;
  /** All functions of one schema, none of PostgreSQL's own, in the order of their names. */
  functionsIn(schema: string): readonly CatalogFunction[];
  /** Whether PostgreSQL itself has a function of this name; without a schema: in pg_catalog, which is on every search_path. */
  isOwnFunction(schema: string | null, name: string): boolean;
  /** Whether PostgreSQL itself has a relation of this name; without a schema: in pg_catalog. */
  isOwnRelation(schema: string | null, name: string): boolean;
  /** Whether there is a type of this name that a call may mean: `uuid('…')` is a cast. Not types of rows, nor arrays. */
  hasType(schema: string | null, name: string): boolean;
  foreignKey(oid: number): ForeignKey | null;
  /** Foreign keys that reference a relation, with those that are parts of others. */
  foreignKeysTo(oid: number): readonly ForeignKey[];
  /** Views (and relations with rules) whose query names a relation, directly. */
  readersOf(oid: number): readonly Relation[];
  /** Relations whose `calls` have a function. */
  callersOf(oid: number): readonly Relation[];
  /** Relations that a relation inherits from or is a partition of, directly. */
  parentsOf(oid: number): readonly Relation[];
}
