/**
 * Write budgets: what users have changed lately, against what they may; and to reset it.
 *
 * Law: it follows the stream of events, as what waits does. Nothing is there while nobody
 * has spent anything, and it is folded while nobody has reached a limit. What somebody is
 * at stays under their hands, and says so, when it is free again by itself.
 */
import type { Calls } from './calls.js';
import { createDecisionForm } from './decision-form.js';
import { fill, h } from './dom.js';
import { shown } from './text.js';
import type { Budget, BudgetList, Session } from './wire.js';
import { STALE, budgetWords, clockTime, countdown, spentWords } from './words.js';

export interface BudgetsOptions {
  /** All of it, which opens and folds. */
  readonly section: HTMLDetailsElement;
  /** How many there are, in its head. */
  readonly summary: HTMLElement;
  readonly list: HTMLElement;
  /** That there are more than the list has. */
  readonly more: HTMLElement;
  /** Where the focus goes when nothing is left of it. */
  readonly home: HTMLElement;
  readonly calls: Pick<Calls, 'resetBudget'>;
  readonly session: Session;
  /** The server's time, milliseconds since 1970. */
  readonly now: () => number;
  readonly announce: (words: string) => void;
  /** How many have reached a limit has changed. */
  readonly onCount: (tripped: number) => void;
}

export interface Budgets {
  receive(list: BudgetList): void;
  tick(live: boolean): void;
}

interface Row {
  readonly element: HTMLElement;
  readonly budget: () => Budget;
  /** Somebody is at it. */
  readonly inUse: () => boolean;
  /** @param next null: nothing of it counts any more */
  update(next: Budget | null): void;
  tick(live: boolean): void;
}

type RowOptions = Pick<BudgetsOptions, 'calls' | 'session' | 'now'> & {
  readonly onReset: (budget: Budget) => void;
};

const NOTHING_SPENT = 'Nothing of it is spent any more: there is nothing to reset.';

export function createBudgets(options: BudgetsOptions): Budgets {
  const { section, summary, list, more, announce, onCount } = options;
  const rows = new Map<string, Row>();
  let tripped: ReadonlySet<string> = new Set();
  let live = true;
  let begun = false;

  function add(budget: Budget): void {
    const row = createRow(budget, {
      ...options,
      onReset: ({ user, role }) => {
        announce(`Reset: the write budget of ${user} (role ${role}).`);
        remove(keyOf(budget));
        show();
        // Where the focus was is gone.
        (section.hidden ? options.home : section.querySelector('summary'))?.focus();
      },
    });
    rows.set(keyOf(budget), row);
    list.append(row.element);
    row.tick(live);
  }

  function remove(key: string): void {
    rows.get(key)?.element.remove();
    rows.delete(key);
  }

  function show(): void {
    const spent = [...rows.values()].map((row) => row.budget()).filter((budget) => budget.tripped);
    const before = tripped;
    tripped = new Set(spent.map(keyOf));
    const fresh = spent.filter((budget) => !before.has(keyOf(budget)));
    section.hidden = rows.size === 0;
    summary.textContent = budgetWords(tripped.size, rows.size - tripped.size);
    section.classList.toggle('tripped', tripped.size > 0);
    if (fresh.length > 0) section.open = true;
    else if (before.size > 0 && tripped.size === 0 && ![...rows.values()].some((row) => row.inUse()))
      section.open = false;
    if (begun) for (const { user, role } of fresh) announce(`Write budget spent: ${user} (role ${role}).`);
    onCount(tripped.size);
  }

  return {
    receive({ budgets, more: others }) {
      const listed = new Set(budgets.map(keyOf));
      for (const [key, row] of rows) {
        if (listed.has(key)) continue;
        if (row.inUse()) row.update(null);
        else remove(key);
      }
      for (const budget of budgets) {
        const known = rows.get(keyOf(budget));
        if (known === undefined) add(budget);
        else known.update(budget);
      }
      more.hidden = !others;
      show();
      begun = true;
    },
    tick(isLive) {
      live = isLive;
      for (const row of rows.values()) row.tick(live);
    },
  };
}

function keyOf({ role, user }: Budget): string {
  return JSON.stringify([role, user]);
}

function createRow(first: Budget, { calls, session, now, onReset }: RowOptions): Row {
  let budget = first;
  let gone = false;
  let live = true;

  const state = h('span', { class: 'budget-state' });
  const left = h('span', { class: 'budget-left' });
  const used = h('p', { class: 'budget-used' });
  const mayNot = h('p', { class: 'dead' });
  const form = createDecisionForm<'reset'>({
    session,
    label: `Reset the write budget of ${first.user} (role ${first.role})`,
    choices: [{ name: 'reset', words: 'Reset …', kind: 'approve' }],
    look: () => ({
      label: `Sure? reset the write budget of ${budget.user} (role ${budget.role})`,
      content: secondLook(budget),
      yes: 'Yes, reset it',
    }),
    async send(_choice, ballot) {
      await calls.resetBudget(budget, ballot);
      onReset(budget);
    },
    codeMissing: 'Your resets need the six digits of your one-time code.',
    unanswered: 'Whether it was reset is seen here as soon as the page is live again.',
  });
  const deciding = h('details', null, h('summary', null, 'Reset it'), form.element);
  const element = h(
    'li',
    { class: 'budget' },
    h(
      'p',
      { class: 'budget-head' },
      h('strong', null, shown(first.user)),
      ' (role ',
      shown(first.role),
      ') ',
      state,
      left,
    ),
    used,
    mayNot,
    deciding,
  );

  function show(): void {
    const { tripped, since, may_reset: may } = budget;
    element.classList.toggle('tripped', tripped);
    state.textContent = tripped ? 'spent' : gone ? 'free again' : 'used in part';
    fill(used, `${spentWords(budget)}, since ${clockTime(since, now())}`);
    mayNot.textContent = may.allowed ? '' : (may.reason ?? 'You may not reset it.');
    mayNot.hidden = may.allowed;
    deciding.hidden = !may.allowed;
    tick(live);
  }

  function tick(isLive: boolean): void {
    live = isLive;
    const at = budget.clears_at;
    left.textContent =
      at === null ? '' : ` · ${countdown(Date.parse(at) - now())} until it is free by itself`;
    form.update(live ? (gone ? NOTHING_SPENT : null) : STALE, null);
  }

  show();
  return {
    element,
    budget: () => budget,
    inUse: () => deciding.open || element.contains(document.activeElement),
    update(next) {
      gone = next === null;
      budget = next ?? { ...budget, tripped: false, clears_at: null };
      show();
    },
    tick,
  };
}

function secondLook(budget: Budget): HTMLElement {
  return h(
    'div',
    { class: 'second-look' },
    h('p', { class: 'question' }, 'Reset this budget?'),
    h('p', { class: 'what' }, h('strong', null, shown(budget.user)), ' (role ', shown(budget.role), ')'),
    h('p', null, `${spentWords(budget)}.`),
    h('p', null, 'It does not count any more then: the user can change as much again, at once.'),
  );
}
