import { z } from 'zod';
import { rowsHeld } from '../consequences.js';
import { defineRule, detail, findingsOf } from '../rule.js';
import { described } from '../words.js';

/** TRUNCATE: every row of each table at once, past every row trigger. */
export const truncate = defineRule({
  id: 'truncate',
  title: 'TRUNCATE',
  defaultAction: 'hold',
  scope: 'statement',
  options: z.strictObject({}),
  check: (subject) =>
    findingsOf(
      subject.statement,
      ({ operation }) => operation === 'truncate',
      (action) => ({
        message: `${described(action)} would empty ${action.targets.length > 1 ? 'the tables' : 'the table'} at once; no row trigger fires.`,
        hint: 'Use DELETE with a WHERE that names the rows to delete: foreign keys and triggers then still guard them.',
        ...detail(rowsHeld(subject, action)),
        offset: action.offset,
      }),
    ),
});
