import { z } from 'zod';
import { isSizeless, total } from '../../impact/impact.js';
import type { Impact, TableImpact } from '../../impact/impact.js';
import { tablePatternMatches, tablePatterns } from '../glob.js';
import type { TablePattern } from '../glob.js';
import { namePattern } from '../name-pattern.js';
import { defineRule } from '../rule.js';
import type { RuleFinding } from '../rule.js';
import { inNumbers, ofTables } from '../impact-words.js';
import { named, sqlName } from '../words.js';

const rows = z.int().min(0);
const percent = z.number().gt(0).max(100);

const limits = {
  transaction: rows
    .exactOptional()
    .meta({ description: 'rows that one transaction may change, all statements together' }),
  table_percent: percent
    .exactOptional()
    .meta({ description: 'percent of a table’s rows that one statement may update or delete' }),
};

const tableLimits = z.strictObject({ statement: rows.exactOptional(), ...limits });
type TableLimits = z.output<typeof tableLimits>;

/** What a statement really changed, foreign keys and triggers included, counted by the server before it is committed. */
export const rowLimit = defineRule({
  id: 'row-limit',
  title: 'impact above a number of rows or a share of a table, measured before it is committed',
  defaultAction: null,
  scope: 'statement',
  options: z.strictObject({
    statement: rows.meta({
      description: 'rows that one statement may insert, update and delete, cascades counted',
    }),
    ...limits,
    tables: z
      .record(namePattern, tableLimits)
      .exactOptional()
      .meta({ description: 'limits of their own for tables by name; their rows count in no other sum' }),
    deferred_triggers: z.enum(['refuse', 'trusted']).exactOptional().meta({
      description:
        'trusted: deferrable constraint triggers only check, and change nothing at COMMIT. Default: refuse',
    }),
    tolerance: percent
      .exactOptional()
      .meta({ description: 'hold: percent by which a run may exceed what was approved. Default: 10' }),
  }),
  // From the text alone there is nothing to say.
  check: () => [],
  measure: ({ subject, role, statement, transaction }, options) => {
    const { tables, ...general } = options;
    const overrides = tables === undefined ? NO_OVERRIDES : overridesOf(tables);
    const own = (table: TableImpact): TableLimits | null =>
      overrides.find(({ pattern }) => tablePatternMatches(pattern, table))?.of ?? null;
    const found: (string | null)[] = [];
    const rest = statement.filter((table) => own(table) === null);
    const restOfTransaction = transaction.filter((table) => own(table) === null);
    found.push(
      tooMany(subject, role, rest, general.statement, null),
      tooManyInAll(role, restOfTransaction, general.transaction, null),
    );
    for (const table of statement) {
      const of = own(table);
      if (of !== null) found.push(tooMany(subject, role, [table], of.statement, table));
      found.push(tooLargeAShare(subject, role, table, (of ?? general).table_percent));
    }
    for (const table of transaction) {
      const of = own(table);
      if (of !== null) found.push(tooManyInAll(role, [table], of.transaction, table));
    }
    const messages = found.filter((message) => message !== null);
    // Most of what is counted is within the limits, and words for it would cost more than all the rest.
    if (messages.length === 0) return [];
    const detail = ofTables(statement);
    const hint = hintFor(statement);
    return messages.map((message): RuleFinding => ({ message, hint, detail, offset: null }));
  },
});

interface Override {
  readonly pattern: TablePattern;
  readonly of: TableLimits;
}

const NO_OVERRIDES: readonly Override[] = [];
/** By the options they come from: a policy's stay what they are, and are asked for with each count. */
const OVERRIDES = new WeakMap<object, readonly Override[]>();

function overridesOf(tables: Readonly<Record<string, TableLimits>>): readonly Override[] {
  const known = OVERRIDES.get(tables);
  if (known !== undefined) return known;
  const read = Object.entries(tables).flatMap(([text, of]) =>
    tablePatterns([text]).map((pattern) => ({ pattern, of })),
  );
  OVERRIDES.set(tables, read);
  return read;
}

const OR_ANOTHER_ROLE = 'ask for a role that may change more.';

/** What helps, by what was done. */
function hintFor(impact: Impact): string {
  const sizeless = impact.filter(isSizeless).map(sqlName);
  if (sizeless.length > 0)
    return `The server does not know how many rows there are; ANALYZE ${sizeless.slice(0, 5).join(', ')}${sizeless.length > 5 ? ' and the others' : ''} tells it. If all of them are meant, ${OR_ANOTHER_ROLE}`;
  if (impact.every(({ emptied }) => emptied)) return `If all of these rows are meant, ${OR_ANOTHER_ROLE}`;
  if (total(impact) === impact.reduce((sum, { inserted }) => sum + inserted, 0))
    return `If all of them are meant, insert them in smaller parts, or ${OR_ANOTHER_ROLE}`;
  return `See that its WHERE says what you mean: SELECT count(*) with the same WHERE shows how many rows it names. If all of them are meant, change them in smaller parts, or ${OR_ANOTHER_ROLE}`;
}

function tooMany(
  subject: () => string,
  role: string,
  impact: Impact,
  most: number | undefined,
  table: TableImpact | null,
): string | null {
  const { count, unknown, words } = amountOf(impact);
  if (most === undefined || (count <= most && !unknown)) return null;
  const of = table === null ? '' : ` of ${named(table)}`;
  return `${subject()} would change ${words()}${of}, with everything that follows from it; role "${role}" may change ${most.toLocaleString('en-US')}${of} in one statement.`;
}

function tooManyInAll(
  role: string,
  impact: Impact,
  most: number | undefined,
  table: TableImpact | null,
): string | null {
  const { count, unknown, words } = amountOf(impact);
  if (most === undefined || (count <= most && !unknown)) return null;
  const of = table === null ? '' : ` of ${named(table)}`;
  return `With this statement its transaction would change ${words()}${of}; role "${role}" may change ${most.toLocaleString('en-US')}${of} in one transaction.`;
}

function tooLargeAShare(
  subject: () => string,
  role: string,
  table: TableImpact,
  most: number | undefined,
): string | null {
  const gone = table.updated + table.deleted;
  if (most === undefined || (gone === 0 && !isSizeless(table))) return null;
  // Of a table of which nothing is known it may be all.
  const share = table.rows === null || table.rows === 0 ? 100 : Math.min(100, (gone / table.rows) * 100);
  if (share <= most) return null;
  const rounded = share >= 10 ? Math.round(share) : Number(share.toPrecision(2));
  const about = table.rows === null ? ' (how many rows it has is not known)' : '';
  return `${subject()} would change ${rounded.toString()} % of the rows of ${named(table)}${about}; role "${role}" may change ${most.toString()} % of a table in one statement.`;
}

/** Rows of these tables. Of one whose number of rows is not known, as many as it had room for; `unknown`: not even that is known of one. */
function amountOf(impact: Impact): {
  readonly count: number;
  readonly unknown: boolean;
  readonly words: () => string;
} {
  const counted = total(impact);
  const sizeless = impact.filter(isSizeless);
  if (sizeless.length === 0) return { count: counted, unknown: false, words: () => inNumbers(counted) };
  if (sizeless.some(({ atMost }) => atMost === undefined))
    return { count: counted, unknown: true, words: () => inNumbers(counted, true) };
  const most = sizeless.reduce((sum, { atMost }) => sum + (atMost ?? 0), counted);
  return { count: most, unknown: false, words: () => `up to ${inNumbers(most)}` };
}
