import { z } from 'zod';
import { defineRule } from '../rule.js';
import { described } from '../words.js';

/** TRUNCATE: every row of each table at once, past every row trigger. */
export const truncate = defineRule({
  id: 'truncate',
  title: 'TRUNCATE',
  defaultAction: 'hold',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement }) =>
    statement.actions
      .filter((action) => action.operation === 'truncate')
      .map((action) => ({
        message: `${described(action)} would empty ${action.targets.length > 1 ? 'the tables' : 'the table'} at once; no row trigger fires.`,
        hint: 'Use DELETE with a WHERE that names the rows to delete: foreign keys and triggers then still guard them.',
        offset: action.offset,
      })),
});
