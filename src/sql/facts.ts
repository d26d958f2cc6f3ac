/**
 * What one SQL statement does, as far as its text tells: the only thing that
 * policy, gate and session know of SQL.
 *
 * Law of this file: types and constants only. Facts are plain data (they cross a
 * worker-thread boundary by structured clone and are kept in decision caches), so
 * no functions, no class instances, no syntax-tree nodes.
 */

/** What a statement can do. `opaque`: it cannot be known from the text (DO, CALL, dynamic SQL). */
export const EFFECTS = ['read', 'write', 'ddl', 'admin', 'session', 'transaction', 'opaque'] as const;
export type Effect = (typeof EFFECTS)[number];

/** What a role may do at all, weakest first. */
export const ACCESS_LEVELS = ['none', 'read', 'write', 'ddl', 'admin'] as const;
export type Access = (typeof ACCESS_LEVELS)[number];

/** A relation as the statement spells it; `schema` is null where the text leaves it to search_path. */
export interface RelationName {
  readonly schema: string | null;
  readonly name: string;
}

export interface RelationUse extends RelationName {
  readonly mode: 'read' | 'write' | 'ddl';
}

/** How far the WHERE clause of an UPDATE, DELETE or MERGE narrows it, as the syntax tells. */
export type WhereClause = 'none' | 'constant' | 'present' | 'not_applicable';

/**
 * Proof that a condition with columns in it excludes no row. Only what holds for
 * every database is a proof; `unlessNull` and `requiresNotNull` say what it leaves open.
 */
export interface Tautology {
  /** The part of the condition that decides, for a person: completes "its WHERE excludes no row: …". */
  readonly because: string;
  /** Columns whose NULLs the condition would exclude, although whoever wrote it does not test for them: `id = id`. */
  readonly unlessNull: readonly string[];
  /** Columns tested by IS NOT NULL: it is a tautology only where the catalog declares all of them NOT NULL. */
  readonly requiresNotNull: readonly ColumnReference[];
  /** UTF-16 offset of the condition. */
  readonly offset: number | null;
}

/** A column of the statement's own target (`relation` null or as spelled: its name or alias). */
export interface ColumnReference {
  readonly relation: string | null;
  readonly column: string;
}

/** One column that an UPDATE, an ON CONFLICT DO UPDATE or a MERGE's UPDATE sets. */
export interface Assignment {
  readonly column: string;
  /** Only a part of the column is set: `data['phone'] = …`, `address.street = …`. */
  readonly part: boolean;
  /** The new value is computed from the column's old value, wherever in the expression that stands. */
  readonly usesOld: boolean;
  /** What the new value is, as far as the syntax tells. `json`: a constant that reads as a JSON object or array, a cast to json or jsonb, or a function that builds one. */
  readonly value: 'null' | 'default' | 'json' | 'constant' | 'parameter' | 'expression';
  readonly offset: number | null;
}

/** One call of a function. */
export interface FunctionCall {
  /** As spelled; null where search_path decides. */
  readonly schema: string | null;
  readonly name: string;
  /** How many arguments it is given; null where that cannot be told (VARIADIC, named arguments). */
  readonly arguments: number | null;
  /** Spelled `x.f`, and a call only where x has no column f: most of these are columns. */
  readonly selection?: true;
  readonly offset: number | null;
}

/**
 * One thing that the statement does, at whatever depth it stands: the top-level
 * command, a data-modifying CTE, the statement under PREPARE, EXPLAIN ANALYZE,
 * COPY (…), DECLARE, CREATE TABLE AS, a rule's action.
 */
export interface Action {
  /** In PostgreSQL's words, snake case: `select`, `delete`, `truncate`, `copy_from`, `drop_table`, `alter_table_drop_column`, … */
  readonly operation: string;
  readonly effect: Effect;
  /** What it acts on: one for DML, several for TRUNCATE and DROP. For objects that are no relations, their name. */
  readonly targets: readonly RelationName[];
  /** CASCADE was spelled (`behavior` DROP_CASCADE in the syntax tree). */
  readonly cascade: boolean;
  readonly where: WhereClause;
  /** Where `where` is `constant` or `present`: the proof that the condition excludes no row, or null when there is none. */
  readonly tautology: Tautology | null;
  /** What an UPDATE, an INSERT … ON CONFLICT DO UPDATE or a MERGE sets. */
  readonly assignments: readonly Assignment[];
  /** Columns that an ALTER TABLE … DROP COLUMN drops. */
  readonly columns: readonly string[];
  /** Where it stands, for messages: '' at the top, else such as `in the CTE "d"`, `under EXPLAIN ANALYZE`. */
  readonly within: string;
  /** Zero-based offset in the analysed text, in UTF-16 code units; null where the tree has none. */
  readonly offset: number | null;
}

/** An access level that something in the statement needs, and why, in words for a person. */
export interface Need {
  readonly access: Access;
  /** Completes the sentence "… needs write access: it …". Such as `calls nextval(), which advances a sequence`. */
  readonly why: string;
  /** What to do instead, or null. */
  readonly hint: string | null;
  readonly offset: number | null;
  /** It runs code that cannot be read: SQL in a string. */
  readonly opaque?: true;
}

/** Something that no access level permits, because Holdfast could no longer read what follows. */
export interface Prohibition {
  readonly why: string;
  readonly hint: string | null;
  readonly offset: number | null;
}

/** A setting that the statement changes by SET, RESET or a call of set_config with constant arguments. */
export interface SettingChange {
  /** Lower case, as PostgreSQL folds it. `*` stands for RESET ALL and DISCARD ALL. */
  readonly name: string;
  /** The new value where it is a constant; null for a reset or a value that is not constant. */
  readonly value: string | null;
  readonly local: boolean;
}

/**
 * What the statement does to the names that the wire protocol and SQL share:
 * prepared statements (Parse, PREPARE, EXECUTE, DEALLOCATE) and portals (Bind,
 * DECLARE, FETCH, CLOSE). Takes effect only when the server confirms.
 */
export type NameUse =
  | { readonly kind: 'prepare'; readonly name: string; readonly statement: StatementFacts }
  | { readonly kind: 'execute'; readonly name: string }
  | { readonly kind: 'deallocate'; readonly name: string | null }
  | {
      readonly kind: 'declare';
      readonly name: string;
      readonly hold: boolean;
      readonly statement: StatementFacts;
    }
  | { readonly kind: 'fetch'; readonly name: string }
  | { readonly kind: 'close'; readonly name: string | null }
  | { readonly kind: 'discard'; readonly what: 'all' | 'plans' | 'sequences' | 'temp' };

export interface StatementFacts {
  /** The operation of the top-level command, with PREPARE, DECLARE and EXPLAIN named as such. */
  readonly operation: string;
  /** Unique, in the order of EFFECTS. Those of nested statements included. */
  readonly effects: readonly Effect[];
  readonly relations: readonly RelationUse[];
  /** Outermost first. Never empty, except for an empty statement. */
  readonly actions: readonly Action[];
  readonly needs: readonly Need[];
  readonly prohibitions: readonly Prohibition[];
  readonly settings: readonly SettingChange[];
  readonly names: readonly NameUse[];
  /** Functions called, in the order of the text; each schema, name and number of arguments once. `x.f` counts, as PostgreSQL may take it as f(x). */
  readonly calls: readonly FunctionCall[];
  /** The text holds a password (CREATE/ALTER ROLE … PASSWORD, connection strings): [start, end) UTF-16 offsets to blot out of every record. */
  readonly secrets: readonly (readonly [start: number, end: number])[];
  /** Literal constants as [start, end) UTF-16 offsets, where somebody asked for them: always empty from analyze(), see literalSpans in spans.ts. */
  readonly literals: readonly (readonly [start: number, end: number])[];
  /** [start, end) of this statement in the analysed text, UTF-16 code units, without surrounding white space. */
  readonly span: readonly [start: number, end: number];
}

/** What became of analysing one text (a Query string or the text of a Parse). */
export type Analysis =
  | { readonly kind: 'statements'; readonly statements: readonly StatementFacts[] }
  /** PostgreSQL's grammar refuses it. `position` is one-based, in characters, as in the ErrorResponse field P. */
  | { readonly kind: 'syntax_error'; readonly message: string; readonly position: number | null }
  /** Too large or too deep to judge; `sqlstate` 54000 (program_limit_exceeded) or 54001 (statement_too_complex). */
  | { readonly kind: 'too_complex'; readonly sqlstate: '54000' | '54001'; readonly message: string }
  /** Parsed, but it holds something that nobody has decided about; refused. */
  | { readonly kind: 'unclassified'; readonly message: string; readonly offset: number | null };
