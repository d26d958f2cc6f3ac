import { z } from 'zod';
import type { Action } from '../../sql/facts.js';
import { defineRule } from '../rule.js';
import type { RuleFinding } from '../rule.js';
import { described } from '../words.js';

const OPERATIONS: ReadonlySet<string> = new Set(['update', 'delete', 'merge']);

/**
 * UPDATE and DELETE that no WHERE clause narrows, MERGE that no condition
 * narrows, at any depth. A constant condition (`WHERE true`, `WHERE 1 = 1`)
 * narrows nothing either.
 */
export const requireWhere = defineRule({
  id: 'require-where',
  title:
    'UPDATE or DELETE without WHERE, or with a constant one; MERGE that changes rows on a constant condition',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement }) =>
    statement.actions.filter((action) => OPERATIONS.has(action.operation)).flatMap(finding),
});

function finding(action: Action): RuleFinding[] {
  if (action.where !== 'none' && action.where !== 'constant') return [];
  const would = consequence(action.operation);
  const message =
    action.where === 'none'
      ? `${described(action)} has no WHERE clause, so it would ${would}.`
      : `The condition of ${described(action)} is a constant, so it cannot tell one row from another: it would ${would}.`;
  return [{ message, hint: hint(action), offset: action.offset }];
}

function consequence(operation: string): string {
  switch (operation) {
    case 'delete':
      return 'empty the table';
    case 'merge':
      return 'change or delete every row of the table';
    default:
      return 'change every row of the table';
  }
}

function hint(action: Action): string {
  const add =
    action.operation === 'merge'
      ? 'Join on a column of the table, so that each row meets only its own source row.'
      : `${action.where === 'none' ? 'Add a WHERE' : 'Use a WHERE'} that names the rows to ${action.operation}.`;
  return `${add} If every row is really meant, ask for a role whose policy allows it.`;
}
