/** Measured impact in words for people. */
import { isSizeless } from '../impact/impact.js';
import type { Impact, TableImpact } from '../impact/impact.js';
import { listed, named } from './words.js';

/** `1,500 rows`, `1 row`; `more`: at least so many. */
export function inNumbers(rows: number, more = false): string {
  if (more && rows === 0) return 'an unknown number of rows';
  return `${more ? 'at least ' : ''}${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`;
}

/** How many tables are listed: a DETAIL is read by a person, and kept in a log. */
const MOST_TABLES = 20;

/** Table by table: `"account": 300 deleted (all of about 300); "user": 600 deleted, 2 updated`. */
export function ofTables(impact: Impact): string {
  if (impact.length === 0) return 'No row would change.';
  const shown = impact.slice(0, MOST_TABLES).map(ofTable);
  const more = impact.length - shown.length;
  return `Counted: ${shown.join('; ')}${more > 0 ? `; and ${listed([`${more.toString()} more tables`])}` : ''}.`;
}

function ofTable(table: TableImpact): string {
  const { inserted, updated, deleted, rows, atMost } = table;
  const room = atMost === undefined ? '' : ` (${inNumbers(atMost)} at most)`;
  const parts = [
    isSizeless(table) ? `emptied, how many rows is not known${room}` : '',
    deleted > 0 ? `${deleted.toLocaleString('en-US')} deleted${share(deleted, rows)}` : '',
    updated > 0 ? `${updated.toLocaleString('en-US')} updated${share(updated, rows)}` : '',
    inserted > 0 ? `${inserted.toLocaleString('en-US')} inserted` : '',
  ].filter((part) => part !== '');
  return `${named(table)}: ${parts.length === 0 ? 'emptied, no rows' : parts.join(', ')}`;
}

function share(rows: number, of: number | null): string {
  if (of === null || of === 0) return '';
  if (rows >= of) return ` (all of about ${of.toLocaleString('en-US')})`;
  return ` (${Math.max(1, Math.round((rows / of) * 100)).toString()} % of about ${of.toLocaleString('en-US')})`;
}
