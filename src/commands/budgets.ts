/**
 * `holdfast budgets`: what users have spent of their write budgets, and to reset it.
 */
import { budgetListSchema, budgetResetSchema } from '../admin/api/schemas.js';
import type { BudgetListView, BudgetView } from '../admin/api/schemas.js';
import { painter } from '../gate/explain-terminal.js';
import { periodWords, plural } from '../policy/words.js';
import { clientOf, textOptions } from './holds.js';
import type { HoldsOptions, HoldsSurroundings, HoldsVoteOptions } from './holds.js';
import { duration } from './holds-text.js';
import type { TextOptions } from './holds-text.js';
import type { ExitStatus } from './terminal.js';
import { brief, jsonLine, shownWidth, visible } from './visible.js';

export interface BudgetsResetOptions extends HoldsVoteOptions {
  readonly role: string;
}

export async function budgetsListCommand(
  options: HoldsOptions,
  surroundings: HoldsSurroundings,
): Promise<ExitStatus> {
  const list = await clientOf(options, surroundings).get('budgets', budgetListSchema);
  await surroundings.terminal.print(
    options.json === true ? jsonLine(list) : budgetsTable(list, textOptions(surroundings)),
  );
  return 0;
}

export async function budgetsResetCommand(
  user: string,
  options: BudgetsResetOptions,
  surroundings: HoldsSurroundings,
): Promise<ExitStatus> {
  const { role, reason, totp } = options;
  const body = {
    role,
    user,
    ...(reason === undefined ? {} : { reason }),
    ...(totp === undefined ? {} : { totp }),
  };
  const reset = await clientOf(options, surroundings).post('budgets/reset', body, budgetResetSchema);
  const { rows, statements } = reset.forgotten;
  await surroundings.terminal.print(
    options.json === true
      ? jsonLine(reset)
      : `budget of ${visible(user)} (role ${visible(role)}): reset; ${plural(rows, 'row')} and ${plural(statements, 'statement')} do not count any more`,
  );
  return 0;
}

/** The table, a row a budget. */
function budgetsTable({ budgets, more }: BudgetListView, options: TextOptions): string {
  if (budgets.length === 0) return 'No budgets that you may see have been used.';
  const paint = painter(options.color);
  const titles = ['ROLE', 'USER', 'ROWS', 'STATEMENTS', 'WINDOW', 'SINCE', 'STATE'];
  const table = budgets.map((budget) => cellsOf(budget, options));
  const widths = titles.map((title, column) =>
    Math.max(shownWidth(title), ...table.map((row) => shownWidth(row[column] ?? ''))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((text, column) => text + ' '.repeat((widths[column] ?? 0) - shownWidth(text)))
      .join('  ')
      .trimEnd();
  const lines = [paint(line(titles), 'strong')];
  budgets.forEach(({ tripped }, index) => {
    const text = line(table[index] ?? []);
    lines.push(tripped ? paint(text, 'deny') : text);
  });
  if (more) lines.push('There are more.');
  return lines.join('\n');
}

function cellsOf(
  { role, user, window_ms: window, limits, spent, since, clears_at: clears }: BudgetView,
  { now }: TextOptions,
): string[] {
  return [
    brief(role, 20),
    brief(user, 20),
    ofLimit(spent.rows, limits.rows),
    ofLimit(spent.statements, limits.statements),
    periodWords(window),
    `${duration(now - Date.parse(since), 1)} ago`,
    clears === null ? 'open' : `spent, ${duration(Date.parse(clears) - now, 1)} left`,
  ];
}

function ofLimit(spent: number, limit: number | null): string {
  return limit === null ? spent.toString() : `${spent.toString()}/${limit.toString()}`;
}
