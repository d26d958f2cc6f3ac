import { z } from 'zod';
import { joined, keysOnDropped, rowsHeld } from '../consequences.js';
import { defineRule, detail, findingsOf } from '../rule.js';
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
  check: (subject) =>
    findingsOf(
      subject.statement,
      ({ operation }) => OPERATIONS.has(operation),
      (action) => ({
        message: `${described(action)} would remove ${action.targets.length > 1 ? 'them' : 'it'} from ${subject.environment}, with what ${action.targets.length > 1 ? 'they hold' : 'it holds'}.`,
        hint: 'Rename it first and drop it when nothing has missed it for a while: whatever still uses it shows up, and nothing is lost.',
        ...detail(joined([rowsHeld(subject, action), keysOnDropped(subject, action)])),
        offset: action.offset,
      }),
    ),
});
