/** Write budgets of two processes, as two stores of one schema: what is spent at one counts at the other, and a reset reaches both. */
import { expect, test } from 'vitest';
import type { BudgetKey, Spent } from '../../src/impact/budget.js';
import { startMiddleman } from '../support/network.js';
import { withClient } from '../support/postgres.js';
import { sharedGround } from './support.js';
import type { Opened } from './support.js';

const HOUR: BudgetKey = { role: 'app', user: 'shop_app', windowMs: 3_600_000 };
const OTHER: BudgetKey = { ...HOUR, user: 'svc_mail' };

const ground = sharedGround('budgets_sharing', 'budgets');
const open = (url?: string): Promise<Opened> => ground.open({}, url);

function spend({ store: { budgets } }: Opened, rows: number, key = HOUR): void {
  budgets.counts.charge(key, { rows, statements: 1 }, budgets.now());
}

function spent({ store: { budgets } }: Opened, key = HOUR): Spent {
  return budgets.counts.spent(key, budgets.now());
}

async function both(a: Opened, b: Opened, rows: number, key = HOUR): Promise<void> {
  await expect.poll(() => [spent(a, key).rows, spent(b, key).rows]).toEqual([rows, rows]);
}

test('what is spent at one counts at the other, each once, by role, user and window', async () => {
  const [a, b] = [await open(), await open()];
  spend(a, 5);
  await both(a, b, 5);
  spend(b, 2);
  spend(a, 1, OTHER);
  spend(a, 1);
  await both(a, b, 8);
  await both(a, b, 1, OTHER);
  expect(spent(b).statements).toBe(3);
  expect(spent(b, { ...HOUR, windowMs: 60_000 })).toEqual({ rows: 0, statements: 0 });
  expect(b.store.budgets.counts.list(b.store.budgets.now()).map(({ key }) => key.user)).toEqual([
    'shop_app',
    'svc_mail',
  ]);
});

test('many charges at once at both: in the end both know all of them', async () => {
  const [a, b] = [await open(), await open()];
  const one = async (at: Opened): Promise<void> => {
    for (let round = 0; round < 40; round++) {
      for (let time = 0; time < 5; time++) spend(at, 1);
      await at.store.list({ states: ['requested'], limit: 1 });
    }
  };
  await Promise.all([one(a), one(b)]);
  await both(a, b, 400);
});

test('a reset at one reaches the other, of that user alone; what is spent afterwards counts in full', async () => {
  const [a, b] = [await open(), await open()];
  spend(a, 5);
  spend(b, 2);
  spend(a, 3, OTHER);
  await both(a, b, 7);
  await both(a, b, 3, OTHER);
  await b.store.budgets.reset(HOUR);
  expect(spent(b).rows).toBe(0);
  spend(b, 4);
  await both(a, b, 4);
  spend(a, 1);
  await both(a, b, 5);
  await both(a, b, 3, OTHER);
  // The same again: the second reset is another one.
  await a.store.budgets.reset(HOUR);
  spend(a, 1);
  await both(a, b, 1);
});

test('a reset beside charges that are not written yet forgets all or some of them, and both agree', async () => {
  const [a, b] = [await open(), await open()];
  spend(a, 5);
  await both(a, b, 5);
  for (let round = 0; round < 10; round++) {
    spend(a, 100);
    await b.store.budgets.reset(HOUR);
    spend(b, 1);
    spend(a, 1);
    await expect.poll(() => spent(a).rows === spent(b).rows && spent(a).rows < 100 * (round + 2)).toBe(true);
  }
  await b.store.budgets.reset(HOUR);
  await both(a, b, 0);
});

test('a process that begins later knows what was spent, also by one that has ended', async () => {
  const a = await open();
  spend(a, 5);
  await a.store.close();
  const b = await open();
  expect(spent(b).rows).toBe(5);
  await b.store.budgets.reset(HOUR);
  expect(spent(await open()).rows).toBe(0);
});

test('what has passed is removed', async () => {
  const a = await open();
  const rows = async (): Promise<unknown> => {
    const { rows: found } = await withClient(
      (client) => client.query<{ user: string }>(`SELECT db_user AS user FROM ${ground.schema}.budget`),
      ground.database.name,
    );
    return found.map(({ user }) => user);
  };
  spend(a, 1);
  spend(a, 1, OTHER);
  await expect.poll(async () => ((await rows()) as string[]).length).toBe(2);
  await withClient(
    (client) => client.query(`UPDATE ${ground.schema}.budget SET expires_at = 1 WHERE db_user = 'svc_mail'`),
    ground.database.name,
  );
  await expect.poll(rows).toEqual(['shop_app']);
});

test('without the store each counts for itself, a reset says no, and afterwards they know all', async () => {
  const middleman = await startMiddleman(ground.database);
  const url = new URL(ground.database.url);
  url.hostname = middleman.host;
  url.port = middleman.port.toString();
  let away = false;
  middleman.onPassage = (passage) => {
    if (away) passage.cut();
  };
  const [a, b] = [await open(url.href), await open()];
  spend(a, 5);
  await both(a, b, 5);
  away = true;
  for (const passage of middleman.passages) passage.cut();
  await expect.poll(() => a.store.problem).not.toBeNull();
  spend(a, 2);
  spend(b, 10);
  expect(spent(a).rows).toBe(7);
  await expect(a.store.budgets.reset(HOUR)).rejects.toThrow('the store of holds cannot be used');
  expect(spent(a).rows).toBe(7);
  away = false;
  await both(a, b, 17);
  await a.store.close();
  await middleman.close();
});
