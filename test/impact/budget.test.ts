/** What a user has spent: the window slides, users are apart, memory is bounded. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWriteBudgets } from '../../src/impact/budget.js';
import type { BudgetKey } from '../../src/impact/budget.js';

const MINUTE = 60_000;
const app: BudgetKey = { role: 'app', user: 'shop_app', windowMs: MINUTE };
const one = { rows: 1, statements: 1 };

describe('a budget', () => {
  it('adds up what was charged, and forgets it when the window has passed', () => {
    const budgets = createWriteBudgets();
    expect(budgets.spent(app, 0)).toEqual({ rows: 0, statements: 0 });
    budgets.charge(app, { rows: 10, statements: 1 }, 500);
    budgets.charge(app, { rows: 5, statements: 1 }, 30_000);
    expect(budgets.spent(app, 30_000)).toEqual({ rows: 15, statements: 2 });
    // The oldest of the window's sixty parts counts in full.
    expect(budgets.spent(app, 60_999).rows).toBe(15);
    expect(budgets.spent(app, 61_000)).toEqual({ rows: 5, statements: 1 });
    expect(budgets.spent(app, 10 * MINUTE)).toEqual({ rows: 0, statements: 0 });
  });

  it('says when less than a limit is spent', () => {
    const budgets = createWriteBudgets();
    const limits = { rows: 10, statements: null };
    expect(budgets.clearsIn(app, limits, 0)).toBe(0);
    budgets.charge(app, { rows: 8, statements: 1 }, 500);
    expect(budgets.clearsIn(app, limits, 500)).toBe(0);
    budgets.charge(app, { rows: 8, statements: 1 }, 20_000);
    const wait = budgets.clearsIn(app, limits, 20_000);
    expect(wait).toBe(41_000);
    expect(budgets.spent(app, 20_000 + wait - 1).rows).toBe(16);
    expect(budgets.spent(app, 20_000 + wait).rows).toBe(8);
    expect(budgets.clearsIn(app, { rows: null, statements: 1 }, 20_000)).toBe(61_000);
  });

  it("is each role and user's own, and each window's", () => {
    const budgets = createWriteBudgets();
    budgets.charge(app, one, 0);
    for (const other of [
      { ...app, user: 'x' },
      { ...app, role: 'x' },
      { ...app, windowMs: 1000 },
    ]) {
      expect(budgets.spent(other, 0)).toEqual({ rows: 0, statements: 0 });
    }
  });

  it('is reset in windows of every length, and for that user alone', () => {
    const budgets = createWriteBudgets();
    const hour = { ...app, windowMs: 60 * MINUTE };
    const other = { ...app, user: 'svc_mail' };
    for (const key of [app, hour, other]) budgets.charge(key, one, 0);
    budgets.reset({ role: 'app', user: 'shop_app' });
    expect([app, hour, other].map((key) => budgets.spent(key, 0).rows)).toEqual([0, 0, 1]);
  });

  it('is listed with what is spent and since when, as long as something is', () => {
    const budgets = createWriteBudgets(2);
    budgets.charge(app, { rows: 3, statements: 0 }, 5_500);
    budgets.charge(app, one, 30_000);
    budgets.charge({ ...app, user: 'quiet' }, { rows: 0, statements: 0 }, 30_000);
    budgets.charge({ ...app, user: 'beyond the limit' }, one, 30_000);
    expect(budgets.list(31_000)).toEqual([{ key: app, spent: { rows: 4, statements: 1 }, since: 5_000 }]);
    expect(budgets.list(66_000)).toEqual([{ key: app, spent: one, since: 30_000 }]);
    expect(budgets.list(3 * MINUTE)).toEqual([]);
  });

  it('adds what others have spent, of which the latest word on a sixtieth counts', () => {
    const heard: unknown[] = [];
    const budgets = createWriteBudgets(1, (key, of) => heard.push([key.user, of]));
    budgets.charge(app, { rows: 3, statements: 1 }, 30_500);
    budgets.charge(app, { rows: 4, statements: 1 }, 30_700);
    expect(heard).toEqual([
      ['shop_app', { bucket: 30, rows: 3, statements: 1 }],
      ['shop_app', { bucket: 30, rows: 7, statements: 2 }],
    ]);
    budgets.learn(app, { bucket: 30, rows: 10, statements: 2 }, 30_900);
    budgets.learn(app, { bucket: 30, rows: 11, statements: 3 }, 30_900);
    budgets.learn(app, { bucket: 31, rows: 1, statements: 1 }, 30_900);
    expect(budgets.spent(app, 30_900)).toEqual({ rows: 19, statements: 6 });
    expect(budgets.clearsIn(app, { rows: 10, statements: null }, 31_000)).toBe(60_000);
    expect(budgets.spent(app, 91_000)).toEqual({ rows: 1, statements: 1 });
    // What the window has left behind, and what lies further ahead than clocks differ.
    budgets.learn(app, { bucket: 30, rows: 50, statements: 1 }, 91_000);
    budgets.learn(app, { bucket: 97, rows: 50, statements: 1 }, 91_000);
    expect(budgets.spent(app, 91_000)).toEqual({ rows: 1, statements: 1 });
    // Whom there is no room for shares a count, and that is of this process alone.
    const beyond = { ...app, user: 'beyond' };
    budgets.charge(beyond, one, 91_000);
    budgets.learn(beyond, { bucket: 91, rows: 50, statements: 1 }, 91_000);
    expect(budgets.spent(beyond, 91_000)).toEqual(one);
    expect(heard).toHaveLength(2);
    budgets.reset(app);
    expect(budgets.spent(app, 91_000).rows).toBe(1);
  });

  it('takes a clock that stands still or is set back for no time that has passed', () => {
    const budgets = createWriteBudgets();
    budgets.charge(app, one, 90_000);
    budgets.charge(app, one, 10);
    expect(budgets.spent(app, 10)).toEqual({ rows: 2, statements: 2 });
  });

  it('lets users beyond the limit share one count, until others have been quiet for a window', () => {
    const budgets = createWriteBudgets(2);
    const users = ['a', 'b', 'c', 'd'].map((user): BudgetKey => ({ ...app, user }));
    for (const key of users) budgets.charge(key, one, 0);
    expect(users.map((key) => budgets.spent(key, 0).rows)).toEqual([1, 1, 2, 2]);
    const late = { ...app, user: 'e', windowMs: 30_000 };
    budgets.charge(late, one, 3 * MINUTE);
    expect(budgets.spent(late, 3 * MINUTE).rows).toBe(1);
  });

  it('never forgets what lies within the window, whatever is charged and when', () => {
    const charges = fc.array(
      fc.record({ wait: fc.integer({ min: 0, max: 90_000 }), rows: fc.integer({ min: 0, max: 1000 }) }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(charges, fc.integer({ min: 1, max: 200_000 }), (list, windowMs) => {
        const budgets = createWriteBudgets();
        const key = { ...app, windowMs };
        const done: { at: number; rows: number }[] = [];
        let at = 0;
        for (const { wait, rows } of list) {
          at += wait;
          budgets.charge(key, { rows, statements: 1 }, at);
          done.push({ at, rows });
          const since = (from: number): number =>
            done.filter((charge) => charge.at > from).reduce((sum, charge) => sum + charge.rows, 0);
          const { rows: spent } = budgets.spent(key, at);
          expect(spent).toBeGreaterThanOrEqual(since(at - windowMs));
          expect(spent).toBeLessThanOrEqual(since(at - windowMs - windowMs / 60 - 1));
        }
      }),
    );
  });
});
