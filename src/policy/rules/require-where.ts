import { z } from 'zod';
import type { Action } from '../../sql/facts.js';
import { defineRule, findingsOf } from '../rule.js';
import type { RuleFinding } from '../rule.js';
import { described, everyRow } from '../words.js';

/**
 * UPDATE and DELETE without a WHERE clause, MERGE that no condition narrows, at any
 * depth. A WHERE that is there and narrows nothing is tautological-where's matter.
 */
export const requireWhere = defineRule({
  id: 'require-where',
  title: 'UPDATE or DELETE without WHERE; MERGE that changes rows on a constant condition',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement }) => findingsOf(statement, concerns, finding),
});

function concerns({ operation, where }: Action): boolean {
  switch (operation) {
    case 'update':
    case 'delete':
      return where === 'none';
    case 'merge':
      return where === 'none' || where === 'constant';
    default:
      return false;
  }
}

function finding(action: Action): RuleFinding {
  const { operation, offset } = action;
  const would = everyRow(operation);
  return operation === 'merge'
    ? {
        message: `The condition of ${described(action)} is a constant, so it cannot tell one row from another: it would ${would}.`,
        hint: `Join on a column of the table, so that each row meets only its own source row. ${ELSE}`,
        offset,
      }
    : {
        message: `${described(action)} has no WHERE clause, so it would ${would}.`,
        hint: `Add a WHERE that names the rows to ${operation}. ${ELSE}`,
        offset,
      };
}

const ELSE = 'If every row is really meant, ask for a role whose policy allows it.';
