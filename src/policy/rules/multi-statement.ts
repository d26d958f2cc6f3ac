import { z } from 'zod';
import { defineRule } from '../rule.js';

/** More than one statement in one Query string: how injected SQL arrives, and how honest scripts arrive too. */
export const multiStatement = defineRule({
  id: 'multi-statement',
  title: 'more than one statement in one Query string',
  defaultAction: 'allow',
  scope: 'text',
  options: z.strictObject({}),
  // Reported once for the text, at the statement that makes it more than one.
  check: ({ statement, index, count }) =>
    index !== 1
      ? []
      : [
          {
            message: `The query string holds ${count} statements.`,
            hint: 'Send each statement in a query of its own, with its values as parameters.',
            offset: statement.span[0],
          },
        ],
});
