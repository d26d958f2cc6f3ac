/**
 * Names that a statement uses and the catalog does not have: functions that it calls, and
 * relations that it reads or writes. They were made behind Holdfast's back since the
 * catalogs were read, or in the transaction at hand, are temporary, or are not there.
 *
 * Law: nobody is refused for such a name. It is a reason to read the catalogs anew, and
 * what is unknown still is counted where writes are. `x.f` is left out: it is a column far
 * more often than a call, also of sub-selects, whose columns nobody knows here.
 */
import type { Catalog } from '../catalog/catalog.js';
import type { Action, FunctionCall, StatementFacts } from '../sql/facts.js';
import { takes } from './volatile-calls.js';

const NONE: readonly never[] = Object.freeze([]);

/** All of a text's, each once. */
export function unknownNames(catalog: Catalog, statements: readonly StatementFacts[]): readonly string[] {
  const names = statements.flatMap((facts) => [
    ...unknownCalls(catalog, facts),
    ...unknownRelations(catalog, facts),
  ]);
  return names.length === 0 ? NONE : [...new Set(names)];
}

/** Calls of which nobody knows what they run, spelled as `app.refresh()`. */
export function unknownCalls(catalog: Catalog, { calls }: StatementFacts): readonly string[] {
  const unknown = calls.filter((call) => isUnknown(catalog, call));
  return unknown.length === 0 ? NONE : unknown.map((call) => `${spelled(call)}()`);
}

/** Relations that are read or written, and of which nobody knows what stands behind them. */
function unknownRelations(catalog: Catalog, { actions, relations }: StatementFacts): readonly string[] {
  // CREATE VIEW and its kin only look at what they name.
  if (!actions.some(runs)) return NONE;
  const unknown = relations.filter(
    (use) =>
      use.mode !== 'ddl' &&
      catalog.relationsNamed(use).length === 0 &&
      !catalog.isOwnRelation(use.schema, use.name),
  );
  if (unknown.length === 0) return NONE;
  const made = new Set(actions.filter(makes).flatMap(({ targets }) => targets.map(spelled)));
  return unknown.map(spelled).filter((name) => !made.has(name));
}

/** What makes temporary relations counts as writing; CREATE TABLE AS has its query as an action of its own. */
function runs({ effect, operation }: Action): boolean {
  return (effect === 'read' || effect === 'write') && !operation.startsWith('create_');
}

function makes({ operation }: Action): boolean {
  return operation.startsWith('create_') || operation === 'select_into';
}

/**
 * One that takes another number of arguments than all that are known is a new one. Of PostgreSQL's own functions, and
 * of types, which are cast to in the shape of a call, the name alone decides.
 */
function isUnknown(catalog: Catalog, { schema, name, arguments: given, selection }: FunctionCall): boolean {
  if (selection === true || catalog.isOwnFunction(schema, name)) return false;
  return (
    !catalog.functionsNamed(schema, name).some((candidate) => takes(candidate, given)) &&
    !catalog.hasType(schema, name)
  );
}

function spelled({ schema, name }: { readonly schema: string | null; readonly name: string }): string {
  return schema === null ? name : `${schema}.${name}`;
}
