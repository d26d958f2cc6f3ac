import { z } from 'zod';
import type { Catalog, Relation } from '../../catalog/catalog.js';
import type { Action, Assignment } from '../../sql/facts.js';
import { defineRule, detail, findingsOf } from '../rule.js';
import type { RuleFinding, RuleSubject } from '../rule.js';
import { described, identifier, listed } from '../words.js';

/**
 * A json or jsonb column that gets a new value which does not build on the old one.
 * Incident: an ORM call that meant to set one field wrote a document with that field
 * alone, row by row.
 */
export const jsonOverwrite = defineRule({
  id: 'json-overwrite',
  title: 'UPDATE, ON CONFLICT DO UPDATE or MERGE that replaces a whole json or jsonb column',
  defaultAction: 'hold',
  scope: 'statement',
  options: z.strictObject({}),
  check: (subject) => findingsOf(subject.statement, concerns, (action) => finding(subject, action)),
});

function concerns({ assignments }: Action): boolean {
  return assignments.some(replaces);
}

function replaces({ part, usesOld }: Assignment): boolean {
  return !part && !usesOld;
}

function finding(subject: RuleSubject, action: Action): RuleFinding | null {
  const catalog = subject.catalog;
  const relations = catalog === null ? [] : candidates(catalog, action);
  const cannotTell = catalog === null && subject.catalogUnknown === 'strict';
  const replaced = action.assignments.filter(
    (assignment) =>
      replaces(assignment) &&
      (relations.length > 0
        ? relations.some((relation) => isJson(relation, assignment.column))
        : assignment.value === 'json' || (cannotTell && assignment.value !== 'constant')),
  );
  const [first] = replaced;
  if (first === undefined) return null;
  const columns = [...new Set(replaced.map(({ column }) => column))];
  const names = listed(columns.map(identifier));
  const guessed = cannotTell && replaced.every(({ value }) => value !== 'json');
  return {
    message: guessed
      ? `${described(action)} would replace ${names}, and whether a JSON document is lost there cannot be told: the new value does not build on the old one.`
      : `${described(action)} would replace the whole JSON document in ${names}: the new value does not build on the old one.`,
    hint: hint(action, first.column),
    ...detail(guessed ? 'The catalog of the database, which knows the columns, is not known.' : null),
    offset: first.offset ?? action.offset,
  };
}

/** What the target may be; empty where the catalog has no such name (a temporary table): then the text alone tells. */
function candidates(catalog: Catalog, { targets }: Action): readonly Relation[] {
  const [only] = targets;
  return only !== undefined && targets.length === 1
    ? catalog.relationsNamed(only)
    : targets.flatMap((target) => catalog.relationsNamed(target));
}

function isJson({ columns }: Relation, column: string): boolean {
  return columns.some(({ name, type }) => name === column && type === 'json');
}

function hint({ operation, targets }: Action, column: string): string {
  const set = identifier(column);
  // In ON CONFLICT DO UPDATE a bare name could be either row's.
  const old = operation === 'insert' ? `${identifier(targets[0]?.name ?? '')}.${set}` : set;
  return `To change one field: SET ${set} = jsonb_set(${old}, '{field}', '"value"'). To merge several: SET ${set} = ${old} || '{"field": "value"}'. A column of type json takes ::jsonb for that. If the whole document is really meant, ask for a role whose policy allows it.`;
}
