/**
 * How messages speak of statements: PostgreSQL's own command words and names.
 *
 * Law: text for people only. Nothing here decides anything.
 */
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
function listed(names: readonly string[], most = 5): string {
  const shown = names.length > most ? [...names.slice(0, most), `${names.length - most} more`] : names;
  if (shown.length <= 1) return shown.join('');
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1) ?? ''}`;
}

/** The targets of an action, quoted and listed; empty where it has none. */
export function targetsOf(action: Action): string {
  return listed(action.targets.map(quoted));
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
