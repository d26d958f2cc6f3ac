import { z } from 'zod';
import { defineRule } from '../rule.js';
import { described } from '../words.js';

const OPERATIONS: ReadonlySet<string> = new Set(['alter_table_drop_column', 'alter_type_drop_attribute']);

/** ALTER TABLE … DROP COLUMN, which loses the column's data in every row. */
export const dropColumn = defineRule({
  id: 'drop-column',
  title: 'ALTER TABLE … DROP COLUMN, ALTER TYPE … DROP ATTRIBUTE',
  defaultAction: 'hold',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement }) =>
    statement.actions
      .filter((action) => OPERATIONS.has(action.operation))
      .map((action) => ({
        message: `${described(action)} would lose what the column holds in every row.`,
        hint: 'Stop using it first, or rename it, and drop it when nothing has missed it for a while.',
        offset: action.offset,
      })),
});
