import { z } from 'zod';
import { defineRule, findingsOf } from '../rule.js';
import { described } from '../words.js';

/** DROP DATABASE. Incident: typed into the terminal of production instead of the local copy's. */
export const dropDatabase = defineRule({
  id: 'drop-database',
  title: 'DROP DATABASE',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement, environment }) =>
    findingsOf(
      statement,
      ({ operation }) => operation === 'drop_database',
      (action) => ({
        message: `${described(action)} would remove the whole database from ${environment}. No transaction can undo it.`,
        hint: `This connection goes to ${environment}. If another server was meant, look at the host and port of this terminal.`,
        offset: action.offset,
      }),
    ),
});
