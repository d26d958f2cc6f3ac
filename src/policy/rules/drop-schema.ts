import { z } from 'zod';
import { defineRule, findingsOf } from '../rule.js';
import { described } from '../words.js';

/** DROP SCHEMA. */
export const dropSchema = defineRule({
  id: 'drop-schema',
  title: 'DROP SCHEMA',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement, environment }) =>
    findingsOf(
      statement,
      ({ operation }) => operation === 'drop_schema',
      (action) => ({
        message: `${described(action)} would remove a whole schema from ${environment}.`,
        hint: 'Drop what is in it by name, object by object; leave the empty schema.',
        offset: action.offset,
      }),
    ),
});
