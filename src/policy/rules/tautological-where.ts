import { z } from 'zod';
import type { Action, Tautology } from '../../sql/facts.js';
import { defineRule, detail, findingsOf } from '../rule.js';
import type { RuleFinding, RuleSubject } from '../rule.js';
import { described, everyRow, identifier, listed } from '../words.js';

const OPERATIONS: ReadonlySet<string> = new Set(['update', 'delete', 'merge']);

/**
 * UPDATE, DELETE and MERGE with a condition that excludes no row: a constant, or one
 * that holds whatever the columns hold. Incident: a filter that was left over from
 * debugging (`email LIKE p OR email NOT LIKE p`) listed every account for a clean-up.
 */
export const tautologicalWhere = defineRule({
  id: 'tautological-where',
  title: 'UPDATE, DELETE or MERGE whose condition excludes no row, or is the same for every row',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({}),
  check: (subject) => findingsOf(subject.statement, concerns, (action) => finding(subject, action)),
});

function concerns({ operation, where }: Action): boolean {
  return (where === 'present' || where === 'constant') && OPERATIONS.has(operation);
}

function finding(subject: RuleSubject, action: Action): RuleFinding | null {
  const { tautology, where, operation } = action;
  if (tautology === null) {
    // A MERGE has several conditions; a constant one is for require-where to tell.
    if (where !== 'constant' || operation === 'merge') return null;
    return {
      message: `The WHERE of ${described(action)} is the same for every row, so it cannot tell one from another: it would ${everyRow(operation)}, or do nothing.`,
      hint: hint(action),
      offset: action.offset,
    };
  }
  const holds = notNull(subject, action, tautology);
  if (holds === 'no') return null;
  const whose = operation === 'merge' ? 'condition' : 'WHERE';
  const except = nullsExcept(tautology.unlessNull);
  return {
    message: `The ${whose} of ${described(action)} excludes no row: ${tautology.because}; it would ${everyRow(operation)}${except}.`,
    hint: hint(action),
    ...detail(holds === 'not known' ? NOT_NULL_NOT_KNOWN : null),
    offset: tautology.offset ?? action.offset,
  };
}

/** Whether the columns tested by IS NOT NULL are declared NOT NULL, in some relation that the name may mean. */
function notNull(
  subject: RuleSubject,
  { targets }: Action,
  { requiresNotNull }: Tautology,
): 'yes' | 'no' | 'not known' {
  if (requiresNotNull.length === 0) return 'yes';
  const catalog = subject.catalog;
  if (catalog === null) return subject.catalogUnknown === 'strict' ? 'not known' : 'no';
  const declared = targets
    .flatMap((target) => catalog.relationsNamed(target))
    .some(({ columns }) =>
      requiresNotNull.every(({ column }) => columns.some(({ name, notNull }) => name === column && notNull)),
    );
  return declared ? 'yes' : 'no';
}

const NOT_NULL_NOT_KNOWN =
  'Whether a row may be null there could not be looked up: the catalog of the database is not known.';

function nullsExcept(columns: readonly string[]): string {
  return columns.length === 0
    ? ''
    : ` (except rows where ${listed(columns.map(identifier), 5, 'or')} is null)`;
}

function hint({ operation }: Action): string {
  const write =
    operation === 'merge'
      ? 'Join on a column of the table, so that each row meets only its own source row.'
      : `Write a WHERE that names the rows to ${operation}.`;
  return `${write} If every row is really meant, ask for a role whose policy allows it.`;
}
