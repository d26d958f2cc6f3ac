/**
 * What calling a function needs, as far as its name and its constant arguments tell.
 *
 * Law of this file: names decide, the catalog is unknown here. So it cannot see
 * what user-defined functions do, nor the functions behind operators, casts,
 * domains, views, column defaults, index expressions and row security policies:
 * those are left to the server's read-only mode and to measured impact.
 */
import type { Access, Effect } from './facts.js';
import { HARMLESS_PG, HARMLESS_VOLATILE } from './harmless-functions.js';
import { FUNCTION_CLASSES, FUNCTION_SCHEMAS } from './known-functions.js';
import { constant } from './tree.js';

export interface FunctionJudgement {
  readonly access: Access;
  readonly effect: Effect;
  readonly why: string;
  readonly hint: string | null;
}

interface Entry extends FunctionJudgement {
  readonly anySchema: boolean;
}

const LISTED: ReadonlyMap<string, Entry> = new Map(
  FUNCTION_CLASSES.flatMap(({ access, effect, why, hint, anySchema, names }) =>
    names
      .split(/\s+/)
      .map((name): [string, Entry] => [
        name,
        { access, effect, why: `calls ${name}(), which ${why}`, hint, anySchema: anySchema === true },
      ]),
  ),
);

/** INV_WRITE (libpq-fs.h), the mode flag with which lo_open() opens for writing. */
const INV_WRITE = 0x20000;

/**
 * Judges one call. null: it needs no more than read access.
 *
 * @param schema as spelled; null and pg_catalog are PostgreSQL's own functions, any
 *   other schema is somebody's function, of which the name says nothing. Functions
 *   of contrib modules may be in any schema.
 */
export function judgeFunction(
  schema: string | null,
  name: string,
  args: readonly unknown[],
): FunctionJudgement | null {
  const entry = LISTED.get(name);
  if (entry !== undefined && (entry.anySchema || isBuiltIn(schema))) {
    return name === 'lo_open' && opensForReading(args) ? null : entry;
  }
  if (!isBuiltIn(schema)) return judgeSchema(schema ?? '', name);
  if (name === 'ts_rewrite') return rewritesByQuery(args) ? TS_REWRITE : null;
  if (isReserved(name) && !HARMLESS_PG.has(name) && !HARMLESS_VOLATILE.has(name)) {
    return {
      access: 'admin',
      effect: 'admin',
      why: `calls ${name}(), which is not among the system functions known to be safe`,
      hint: null,
    };
  }
  return null;
}

/**
 * Judges a field selection, `x.name` or `(x).name`: PostgreSQL takes it as the call
 * name(x) when x has no such column. `SELECT x.pg_read_file FROM lower('/ETC/HOSTS') x`
 * reads the file. Only listed names count, lest every column that is called
 * `pg_something` needed admin access.
 */
export function judgeFieldSelection(name: string): FunctionJudgement | null {
  const entry = LISTED.get(name);
  if (entry === undefined) return null;
  return { ...entry, why: `selects .${name}, which PostgreSQL also reads as a call: it ${entry.why}` };
}

/** Functions of extensions that are known by their schema. */
function judgeSchema(schema: string, name: string): FunctionJudgement | null {
  const entry = Object.hasOwn(FUNCTION_SCHEMAS, schema) ? FUNCTION_SCHEMAS[schema] : undefined;
  return entry === undefined ? null : { ...entry, why: `calls ${schema}.${name}(), which ${entry.why}` };
}

function isBuiltIn(schema: string | null): boolean {
  return schema === null || schema === 'pg_catalog';
}

/** Beginnings of names that PostgreSQL keeps for its own functions. */
function isReserved(name: string): boolean {
  return name.startsWith('pg_') || name.startsWith('binary_upgrade_');
}

const TS_REWRITE: FunctionJudgement = {
  access: 'write',
  effect: 'opaque',
  why: 'calls ts_rewrite() with a query in a string, which runs SQL that Holdfast cannot see',
  hint: 'Use ts_rewrite(query, target, substitute).',
};

/** ts_rewrite(query, text) runs its second argument; ts_rewrite(query, target, substitute) does not. */
function rewritesByQuery(args: readonly unknown[]): boolean {
  return args.length !== 3;
}

function opensForReading(args: readonly unknown[]): boolean {
  const mode = Number(constant(args[1]) ?? Number.NaN);
  return Number.isInteger(mode) && (mode & INV_WRITE) === 0;
}
