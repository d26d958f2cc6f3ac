/**
 * How messages speak of statements: PostgreSQL's own command words and names.
 *
 * Law: text for people only. Nothing here decides anything.
 */
import type { Relation } from '../catalog/catalog.js';
import type { Action, RelationName } from '../sql/facts.js';

/** Operations whose words do not follow from their name. */
const COMMAND_WORDS: Readonly<Record<string, string>> = {
  copy_from: 'COPY',
  copy_to: 'COPY',
  grant_role: 'GRANT',
  revoke_role: 'REVOKE',
};

/** One command of several that an ALTER may hold: `alter_table_drop_column`. */
const PART_OF_ALTER = /^alter_(table|type)_(.+)$/;

/** The command as PostgreSQL's documentation writes it: `drop_table` → `DROP TABLE`. */
export function commandWords(operation: string): string {
  const words = COMMAND_WORDS[operation] ?? operation.replace(PART_OF_ALTER, 'alter $1 … $2');
  return words.replaceAll('_', ' ').toUpperCase();
}

/** A name as PostgreSQL's messages quote it: `"accounts"`, `"billing.invoices"`. */
export function quoted(relation: RelationName): string {
  return relation.schema === null ? `"${relation.name}"` : `"${relation.schema}.${relation.name}"`;
}

/** `"a"`, `"a" and "b"`, `"a", "b" and 3 more`: a message stays readable however long the list is. */
export function listed(names: readonly string[], most = 5, last: 'and' | 'or' = 'and'): string {
  const shown = names.length > most ? [...names.slice(0, most), `${names.length - most} more`] : names;
  if (shown.length <= 1) return shown.join('');
  return `${shown.slice(0, -1).join(', ')} ${last} ${shown.at(-1) ?? ''}`;
}

/** What an UPDATE, DELETE or MERGE does that nothing narrows: completes "it would …". */
export function everyRow(operation: string): string {
  switch (operation) {
    case 'delete':
      return 'empty the table';
    case 'merge':
      return 'change or delete every row of the table';
    default:
      return 'change every row of the table';
  }
}

/** The targets of an action, quoted and listed; empty where it has none. */
export function targetsOf(action: Action): string {
  return listed(action.targets.map(quoted));
}

/** A relation of the catalog, as people call it: its schema only where it is not `public`. */
export function named(relation: { readonly schema: string; readonly name: string }): string {
  return quoted({ schema: relation.schema === 'public' ? null : relation.schema, name: relation.name });
}

/** How many names a DETAIL lists; it is read by a person, and kept in a log. */
const MOST_NAMES = 20;

/** `"account" (about 12,000 rows), "user" (…) and 2 more`: the largest first, so that what is left out is small. */
export function withRows(relations: readonly Relation[]): string {
  const largestFirst = [...relations].sort(
    (a, b) => (b.rows ?? Infinity) - (a.rows ?? Infinity) || (named(a) < named(b) ? -1 : 1),
  );
  return listed(
    largestFirst.map((relation) =>
      holdsRows(relation) ? `${named(relation)} (${rowsInWords(relation.rows)})` : named(relation),
    ),
    MOST_NAMES,
  );
}

/** Names alone, as long a list as withRows gives. */
export function namesOf(things: readonly { readonly schema: string; readonly name: string }[]): string {
  return listed(things.map(named), MOST_NAMES);
}

function holdsRows({ kind }: Relation): boolean {
  return kind !== 'view' && kind !== 'sequence';
}

/** The planner's estimate, as exact as it deserves. */
export function rowsInWords(rows: number | null): string {
  if (rows === null) return 'an unknown number of rows';
  if (rows <= 0) return 'no rows when last counted';
  if (rows >= 999_500)
    return `about ${rounded(rows / (rows >= 999_500_000 ? 1e9 : 1e6))} ${rows >= 999_500_000 ? 'billion' : 'million'} rows`;
  return `about ${rounded(rows)} ${Math.round(rows) === 1 ? 'row' : 'rows'}`;
}

/** To three digits: 12345 → 12,300; 1.2345 → 1.23. */
function rounded(value: number): string {
  const kept = Number(value.toPrecision(3));
  return value >= 1000 || Number.isInteger(value)
    ? kept.toLocaleString('en-US', { maximumFractionDigits: 0 })
    : String(kept);
}

/** `"data"`, `"Data"`: a name as it may always be written in SQL. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A relation as it may always be written in SQL. */
export function sqlName({ schema, name }: RelationName): string {
  return schema === null ? identifier(name) : `${identifier(schema)}.${identifier(name)}`;
}

/** An action as the subject of a sentence: `DELETE on "accounts" in the CTE "d"`, `INSERT into "t"`. */
export function described(action: Action): string {
  const targets = targetsOf(action);
  const within = action.within === '' ? '' : ` ${action.within}`;
  if (targets === '') return `${commandWords(action.operation)}${within}`;
  return `${commandWords(action.operation)} ${preposition(action.operation)}${targets}${within}`;
}

/** DDL names its object directly (`DROP TABLE "t"`), as in SQL; the others speak of where they act. */
function preposition(operation: string): string {
  if (PART_OF_ALTER.test(operation)) return 'on ';
  switch (operation) {
    case 'copy_from':
    case 'insert':
    case 'merge':
    case 'select_into':
      return 'into ';
    case 'copy_to':
    case 'select':
      return 'from ';
    case 'update':
    case 'delete':
    case 'truncate':
    case 'grant':
    case 'revoke':
      return 'on ';
    default:
      return '';
  }
}

const PERIODS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const;

/** A span of time as people say it, rounded: `15 minutes`, `1 hour`, `90 seconds`. */
export function periodWords(milliseconds: number): string {
  for (const [unit, size] of PERIODS) {
    const count = Math.round(milliseconds / size);
    // Below two of a unit the next smaller one says more, where it does not come out even.
    if (count >= 2 || (count === 1 && milliseconds === size)) return plural(count, unit);
  }
  const seconds = Math.round(milliseconds / 1000);
  return seconds > 0
    ? plural(seconds, 'second')
    : plural(Math.max(0, Math.round(milliseconds)), 'millisecond');
}

/** `1 row`, `1,200 rows`. */
export function plural(count: number, unit: string): string {
  return `${count.toLocaleString('en-US')} ${unit}${count === 1 ? '' : 's'}`;
}
