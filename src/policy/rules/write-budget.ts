import { z } from 'zod';
import type { BudgetAsk } from '../live-facts.js';
import { duration } from '../option-values.js';
import { defineRule } from '../rule.js';
import type { RuleFinding, RuleSubject } from '../rule.js';
import { volatileCalls } from '../volatile-calls.js';
import { commandWords, described, periodWords, plural } from '../words.js';

/** What may be counted. `function`: DO, CALL, and functions that may write. */
const COUNTED = ['insert', 'update', 'delete', 'merge', 'truncate', 'copy_from', 'function'] as const;

/** Too much changed by one user in a short time. Incident: a clean-up script that deleted account by account, each with an honest WHERE. */
export const writeBudget = defineRule({
  id: 'write-budget',
  title: 'more rows or statements of writes than a user may have in a sliding window',
  defaultAction: null,
  scope: 'statement',
  options: z.strictObject({
    rows: z.int().min(1).exactOptional().meta({ description: 'rows changed in the window' }),
    statements: z.int().min(1).exactOptional().meta({ description: 'statements run in the window' }),
    window: duration().prefault('1m').meta({ description: 'how long what was changed counts' }),
    operations: z
      .array(z.enum(COUNTED))
      .min(1)
      .default(['update', 'delete', 'merge', 'truncate'])
      .meta({ description: 'what counts; function: DO, CALL and functions that may write' }),
  }),
  missing: ({ rows, statements }) =>
    rows === undefined && statements === undefined
      ? 'the rule "write-budget" needs rows, statements or both: how much may be changed in the window'
      : null,
  check: (subject, { operations }) => {
    const counted = new Set<string>(operations);
    const action = subject.statement.actions.find(
      ({ operation, effect }) => counted.has(operation) || (effect === 'opaque' && counted.has('function')),
    );
    if (action !== undefined) return [counts(described(action), action.offset)];
    return counted.has('function') ? calls(subject) : [];
  },
  live: {
    ask: asked,
    answer: (options, facts, earlier) => {
      const { window, operations } = options;
      const ask = asked(options);
      const spent = facts.spent(ask);
      // What runs before it in the same message is not spent yet: each is one statement, and a row at least.
      const has = { rows: spent.rows + earlier, statements: spent.statements + earlier };
      const over = (limit: number | null, amount: number): limit is number =>
        limit !== null && amount >= limit;
      const what = over(ask.rows, has.rows)
        ? `has changed ${plural(has.rows, 'row')} in the last ${last(window)}; the limit is ${plural(ask.rows, 'row')}`
        : over(ask.statements, has.statements)
          ? `has run ${plural(has.statements, 'statement')} that count (${operations.map(commandWords).join(', ')}) in the last ${last(window)}; the limit is ${plural(ask.statements, 'statement')}`
          : null;
      if (what === null) return null;
      const wait = facts.clearsIn(ask);
      const passes =
        wait > 0
          ? `It passes again in ${periodWords(Math.max(1000, Math.ceil(wait / 1000) * 1000))}, if nothing more is changed.`
          : 'Send it in parts.';
      return {
        message: `User "${facts.user}" ${what}.`,
        hint: `${passes}${resetWords(facts.resetBy())} A loop that is meant to go on needs a role with a larger budget.`,
      };
    },
  },
});

function asked(options: {
  readonly rows?: number;
  readonly statements?: number;
  readonly window: number;
}): BudgetAsk {
  const { rows = null, statements = null, window } = options;
  return { kind: 'budget', windowMs: window, rows, statements };
}

/** Who is to be asked, and what they do. */
function resetWords(groups: readonly string[]): string {
  return groups.length === 0
    ? ''
    : ` Somebody else of ${groups.join(', ')} can reset it: holdfast budgets reset.`;
}

function last(window: number): string {
  return periodWords(window).replace(/^1 /, '');
}

function counts(what: string, offset: number | null): RuleFinding {
  return {
    message: `${what} counts towards the user's budget of writes, and is stopped once that is spent.`,
    hint: 'How much is spent is known when it runs.',
    offset,
  };
}

function calls(subject: RuleSubject): readonly RuleFinding[] {
  const [first] = volatileCalls(subject, []);
  if (first === undefined) return [];
  return [counts(`${commandWords(subject.statement.operation)} ${first.why}; it`, first.offset)];
}
