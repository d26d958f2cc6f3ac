import { z } from 'zod';
import type { Relation } from '../../catalog/catalog.js';
import type { Action, RelationName } from '../../sql/facts.js';
import { defineRule } from '../rule.js';
import type { RuleFinding, RuleSubject } from '../rule.js';
import { commandWords, identifier, quoted, sqlName } from '../words.js';

/** Columns that mark a row as deleted where rows are kept: what ORMs and people call them. */
const COLUMNS = [
  'deleted_at',
  'deleted_on',
  'deleted',
  'is_deleted',
  'archived_at',
  'removed_at',
  'deletedAt',
] as const;

/** DELETE and TRUNCATE on tables whose rows are meant to be marked as deleted. */
export const softDelete = defineRule({
  id: 'soft-delete',
  title: 'DELETE or TRUNCATE on a table that has a column which marks rows as deleted',
  defaultAction: 'allow',
  scope: 'statement',
  options: z.strictObject({
    columns: z
      .array(z.string().min(1))
      .min(1)
      .default([...COLUMNS])
      .meta({ description: 'the columns that mark a row as deleted, spelled as the catalog has them' }),
  }),
  check: (subject, options) => {
    let found: RuleFinding[] | null = null;
    for (const action of subject.statement.actions) {
      if (action.operation !== 'delete' && action.operation !== 'truncate') continue;
      for (const target of action.targets) {
        const one = finding(subject, action, target, options.columns);
        if (one !== null) (found ??= []).push(one);
      }
    }
    return found ?? [];
  },
});

function finding(
  subject: RuleSubject,
  action: Action,
  target: RelationName,
  columns: readonly string[],
): RuleFinding | null {
  const within = action.within === '' ? '' : ` ${action.within}`;
  const what = `${commandWords(action.operation)} on ${quoted(target)}${within}`;
  const catalog = subject.catalog;
  if (catalog === null) {
    if (subject.catalogUnknown !== 'strict') return null;
    return {
      message: `${what} removes rows for good, and whether the table marks them as deleted instead cannot be told: the catalog of the database is not known.`,
      hint: 'Where the table has such a column, set it by UPDATE.',
      offset: action.offset,
    };
  }
  const column = columns.find((name) =>
    catalog.relationsNamed(target).some((relation) => has(relation, name)),
  );
  if (column === undefined) return null;
  const which = action.operation === 'truncate' ? '' : ' WHERE …';
  return {
    message: `${what} removes rows for good, though the table marks them as deleted in ${identifier(column)}.`,
    hint: `Mark them instead: UPDATE ${sqlName(target)} SET ${identifier(column)} = ${mark(column)}${which}.`,
    offset: action.offset,
  };
}

function has({ columns }: Relation, column: string): boolean {
  return columns.some(({ name }) => name === column);
}

/** The catalog does not tell types: by its name it is a time, a day or a flag. */
function mark(column: string): string {
  if (/(_at|[a-z]At)$/.test(column)) return 'now()';
  return /(_on|[a-z]On)$/.test(column) ? 'current_date' : 'true';
}
