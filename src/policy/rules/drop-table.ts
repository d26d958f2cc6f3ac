import { z } from 'zod';
import { defineRule } from '../rule.js';
import { described } from '../words.js';

/** Relations of every kind that DROP can name; indexes hold no data of their own. */
const OPERATIONS: ReadonlySet<string> = new Set([
  'drop_table',
  'drop_view',
  'drop_materialized_view',
  'drop_sequence',
  'drop_foreign_table',
]);

/** DROP of a table, view, materialized view, sequence or foreign table. Incident: a "temporary" backup table dropped in production instead of staging. */
export const dropTable = defineRule({
  id: 'drop-table',
  title: 'DROP TABLE, VIEW, MATERIALIZED VIEW, SEQUENCE or FOREIGN TABLE',
  defaultAction: 'hold',
  scope: 'statement',
  options: z.strictObject({}),
  check: ({ statement, environment }) =>
    statement.actions
      .filter((action) => OPERATIONS.has(action.operation))
      .map((action) => ({
        message: `${described(action)} would remove ${action.targets.length > 1 ? 'them' : 'it'} from ${environment}, with what ${action.targets.length > 1 ? 'they hold' : 'it holds'}.`,
        hint: 'Rename it first and drop it when nothing has missed it for a while: whatever still uses it shows up, and nothing is lost.',
        offset: action.offset,
      })),
});
