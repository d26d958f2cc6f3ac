import { z } from 'zod';
import { defineRule } from '../rule.js';
import { described } from '../words.js';

/** DO and CALL: code whose effect the statement's text does not tell. */
export const opaqueCode = defineRule({
  id: 'opaque-code',
  title: 'DO and CALL',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement }) =>
    statement.actions
      .filter((action) => action.effect === 'opaque')
      .map((action) => ({
        message: `${described(action)} runs code whose effect cannot be told from the statement.`,
        hint: 'Send the statements that the code would run, one by one, or ask for a role whose policy allows opaque-code.',
        offset: action.offset,
      })),
});
