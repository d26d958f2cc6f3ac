/**
 * Calls of functions that may write: those that the catalog calls volatile, that
 * nobody listed as safe and that are none of PostgreSQL's own. The rule
 * `opaque-code` and the access of roles that only read rest on the same answer.
 *
 * Law: where a name may mean several functions, one that may write is enough. A
 * name that the catalog does not have is nobody's here: what becomes of it is a matter
 * of unknown-names.ts.
 */
import type { Catalog, CatalogFunction, Relation } from '../catalog/catalog.js';
import { volatileCalls as calledByReading } from '../catalog/closure.js';
import type { FunctionCall, StatementFacts } from '../sql/facts.js';
import { tablePatternMatches } from './glob.js';
import type { TablePattern } from './glob.js';
import { isHarmless } from './harmless-functions.js';
import type { RuleSubject } from './rule.js';
import { named } from './words.js';

/** A call of a function that may write. */
export interface VolatileCall {
  /** Completes "it …": `calls refresh_totals(), which may write: the catalog calls it volatile`. */
  readonly why: string;
  /** UTF-16 offset of the call; null where it stands in a view or a policy. */
  readonly offset: number | null;
}

const NONE: readonly VolatileCall[] = Object.freeze([]);

/** PostgreSQL's own schemas: what is in them is judged by name where it is analysed. */
const OWN_SCHEMAS: ReadonlySet<string> = new Set(['pg_catalog', 'information_schema']);

/**
 * The calls of a statement, and of what it reads, that may write.
 * @param listed the functions that the policy lists as safe
 */
export function volatileCalls(
  subject: RuleSubject,
  listed: readonly TablePattern[],
): readonly VolatileCall[] {
  const { statement } = subject;
  // Only now: whoever asks for the catalog is judged anew when it changes.
  if (statement.calls.length === 0 && !readsAnything(statement)) return NONE;
  const catalog = subject.catalog;
  if (catalog === null) return subject.catalogUnknown === 'strict' ? uncleared(statement, listed) : NONE;
  let found: VolatileCall[] | null = null;
  for (const call of statement.calls) {
    const one = callOf(catalog, call, listed);
    if (one !== null && !(call.selection === true && isColumn(catalog, statement, call.name)))
      (found ??= []).push(one);
  }
  for (const use of statement.relations) {
    for (const relation of catalog.relationsNamed(use)) {
      const through = throughRelation(catalog, relation, use.mode === 'ddl', statement, listed);
      if (through !== null) (found ??= []).push(through);
    }
  }
  return found ?? NONE;
}

/** Whether a statement does more than insert into, or copy into, the relations that it names. */
function readsAnything({ relations, actions }: StatementFacts): boolean {
  return (
    relations.some(({ mode }) => mode === 'read') ||
    (relations.length > 0 && actions.some(({ operation }) => READING_WRITES.has(operation)))
  );
}

/** Operations that read what they change, or run the query behind it. */
const READING_WRITES: ReadonlySet<string> = new Set([
  'update',
  'delete',
  'merge',
  'refresh_materialized_view',
]);

function callOf(catalog: Catalog, call: FunctionCall, listed: readonly TablePattern[]): VolatileCall | null {
  const called = catalog
    .functionsNamed(call.schema, call.name)
    .find((candidate) => takes(candidate, call.arguments) && mayWrite(candidate, listed));
  return called === undefined
    ? null
    : {
        why: `calls ${spelled(called)}, which may write: the catalog calls it volatile`,
        offset: call.offset,
      };
}

/** Whether `x.f` can only be a column, because every relation that x may stand for has one of the name. */
function isColumn(catalog: Catalog, { relations }: StatementFacts, column: string): boolean {
  return (
    relations.length > 0 &&
    relations.every((use) => {
      const candidates = catalog.relationsNamed(use);
      return (
        candidates.length > 0 &&
        candidates.every(({ columns }) => columns.some(({ name }) => name === column))
      );
    })
  );
}

/** Whether a function can be called with this many arguments; null: nobody knows how many. */
export function takes({ fewest, most }: CatalogFunction, given: number | null): boolean {
  return given === null || (given >= fewest && (most === null || given <= most));
}

function mayWrite(candidate: CatalogFunction, listed: readonly TablePattern[]): boolean {
  return (
    candidate.volatility === 'volatile' &&
    // Only CALL runs a procedure, and that is an action of its own.
    candidate.kind !== 'procedure' &&
    !isHarmless(candidate) &&
    !listed.some((pattern) => tablePatternMatches(pattern, candidate))
  );
}

function throughRelation(
  catalog: Catalog,
  relation: Relation,
  ddl: boolean,
  statement: StatementFacts,
  listed: readonly TablePattern[],
): VolatileCall | null {
  // Nothing stands behind most tables.
  if (relation.calls.length === 0 && relation.reads.length === 0) return null;
  const refreshed = statement.actions.some(
    ({ operation, targets }) =>
      operation === 'refresh_materialized_view' &&
      targets.some(
        ({ schema, name }) => name === relation.name && (schema ?? relation.schema) === relation.schema,
      ),
  );
  // Creating, changing or dropping it runs none of its code.
  if (ddl && !refreshed) return null;
  const called = calledByReading(catalog, relation, refreshed ? 'refresh' : 'read').find((candidate) =>
    mayWrite(candidate, listed),
  );
  if (called === undefined) return null;
  const why = `uses ${named(relation)}, which calls ${spelled(called)}, which may write: the catalog calls it volatile`;
  return { why, offset: null };
}

/** Without a catalog an unqualified name cannot be told from PostgreSQL's own; one with a schema of somebody's can. */
function uncleared(statement: StatementFacts, listed: readonly TablePattern[]): readonly VolatileCall[] {
  const calls = statement.calls.filter(
    (call) =>
      call.schema !== null &&
      !OWN_SCHEMAS.has(call.schema) &&
      !listed.some((pattern) => tablePatternMatches(pattern, call)),
  );
  return calls.map(({ schema, name, offset }) => ({
    why: `calls ${String(schema)}.${name}(), which may write: the catalog, which would tell, is not known`,
    offset,
  }));
}

/** As people speak of a function: `refresh_totals()`, `app.refresh()`. */
function spelled({ schema, name }: CatalogFunction): string {
  return schema === 'public' ? `${name}()` : `${schema}.${name}()`;
}

/**
 * Whether every procedure that a CALL may mean is listed. What search_path decides
 * and no catalog tells is listed only by a pattern for every schema.
 */
export function procedureListed(
  subject: RuleSubject,
  calls: readonly FunctionCall[],
  listed: readonly TablePattern[],
): boolean {
  if (calls.length === 0 || listed.length === 0) return false;
  return calls.every((call) => {
    const isListed = ({ schema, name }: { readonly schema: string | null; readonly name: string }): boolean =>
      listed.some(
        (pattern) =>
          (schema !== null || pattern.schema === null) && tablePatternMatches(pattern, { schema, name }),
      );
    const candidates = (subject.catalog?.functionsNamed(call.schema, call.name) ?? []).filter((candidate) =>
      takes(candidate, call.arguments),
    );
    return candidates.length > 0 ? candidates.every(isListed) : isListed(call);
  });
}
