/**
 * The write budgets of all users, as those use them who spend them and those who may
 * reset them.
 *
 * Law: `counts` is this process's own and answers at once; what others must hear of
 * goes by way of `reset`.
 */
import { createWriteBudgets } from './budget.js';
import type { BudgetOwner, WriteBudgets } from './budget.js';

export interface Budgets {
  readonly counts: WriteBudgets;
  /** The clock that the counts go by: milliseconds since 1970, and not set back. */
  now(): number;
  /** Forgets what this user of this role has spent, wherever it is counted. May reject where that is not in this process. */
  reset(of: BudgetOwner): Promise<void>;
}

/** Budgets of this process alone. */
export function createLocalBudgets(now: () => number): Budgets {
  const counts = createWriteBudgets();
  return {
    counts,
    now,
    reset: (of) => {
      counts.reset(of);
      return Promise.resolve();
    },
  };
}
