import { z } from 'zod';
import type { Action } from '../../sql/facts.js';
import { defineRule, findingsOf } from '../rule.js';
import { commandWords, described, identifier, listed, targetsOf } from '../words.js';

const OPERATIONS: ReadonlySet<string> = new Set(['alter_table_drop_column', 'alter_type_drop_attribute']);

/** ALTER TABLE … DROP COLUMN, which loses the column's data in every row. */
export const dropColumn = defineRule({
  id: 'drop-column',
  title: 'ALTER TABLE … DROP COLUMN, ALTER TYPE … DROP ATTRIBUTE',
  defaultAction: 'hold',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement }) =>
    findingsOf(
      statement,
      ({ operation }) => OPERATIONS.has(operation),
      (action) => ({
        message: `${dropped(action)} would lose what ${action.columns.length > 1 ? 'the columns hold' : 'the column holds'} in every row.`,
        hint: 'Stop using it first, or rename it, and drop it when nothing has missed it for a while.',
        offset: action.offset,
      }),
    ),
});

/** `ALTER TABLE … DROP COLUMN "email" on "accounts"`. */
function dropped(action: Action): string {
  if (action.columns.length === 0) return described(action);
  const within = action.within === '' ? '' : ` ${action.within}`;
  return `${commandWords(action.operation)} ${listed(action.columns.map(identifier))} on ${targetsOf(action)}${within}`;
}
