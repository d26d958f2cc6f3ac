import { describe, expect, it } from 'vitest';
import { createBook } from '../../src/holds/book.js';
import { CLOSED_STATES, OPEN_STATES } from '../../src/holds/hold.js';
import type { HoldChange } from '../../src/holds/store.js';
import { storeContract } from './contract.js';
import { DANA, T0, book, clock, request, subject } from './support.js';

const approve = { choice: 'approve', approver: DANA, reason: null } as const;
const ticket = { style: 'ticket' } as const;

storeContract('a book', (limits) => {
  const time = clock();
  const errors: unknown[] = [];
  const store = createBook({
    now: () => time.now,
    setTimer: (callback, delayMs) => time.setTimer(callback, delayMs),
    onListenerError: (error) => errors.push(error),
    ...(limits === undefined ? {} : { limits }),
  });
  const expired = (_id: string, leftMs: number): Promise<void> => {
    time.pass(leftMs);
    return Promise.resolve();
  };
  return Promise.resolve({ store, errors, expired });
});

describe('expiry', () => {
  it('comes by itself, at its time', async () => {
    const { book: store, clock: time } = book();
    const changes: HoldChange[] = [];
    await store.request(request());
    store.subscribe((change) => changes.push(change));
    time.pass(599_999);
    expect(changes).toEqual([]);
    time.pass(1);
    expect(changes).toMatchObject([{ hold: { state: 'expired', closedAt: T0 + 600_000 } }]);
    expect(await store.vote('h1', approve)).toMatchObject({
      kind: 'rejected',
      rejection: { reason: 'closed' },
    });
  });

  it('does not depend on the timer: a late one lets nothing late pass', async () => {
    const time = clock();
    const store = createBook({
      now: () => time.now,
      setTimer: () => () => undefined,
      onListenerError: () => undefined,
    });
    await store.request(request());
    time.now += 600_000;
    expect(await store.vote('h1', approve)).toMatchObject({
      rejection: { reason: 'closed' },
      hold: { state: 'expired' },
    });
  });

  it('waits with one timer for the earliest', async () => {
    const { book: store, clock: time } = book();
    const expired: string[] = [];
    store.subscribe(({ hold }) => {
      if (hold.state === 'expired')
        expired.push(`${hold.id} ${hold.closedAt === null ? 0 : hold.closedAt - T0}`);
    });
    for (const [id, timeoutMs] of [
      ['a', 3000],
      ['b', 1000],
      ['c', 2000],
      ['d', 1000],
    ] as const) {
      await store.request(request({ id, timeoutMs }));
      expect(time.timers).toBe(1);
    }
    await store.withdraw('c', 'client_gone');
    time.pass(5000);
    expect(expired).toEqual(['b 1000', 'd 1000', 'a 3000']);
    expect(time.timers).toBe(0);
  });

  it('a timer that comes early is set again', async () => {
    const time = clock();
    const delays: number[] = [];
    let fire = (): void => undefined;
    const store = createBook({
      now: () => time.now,
      setTimer: (callback, delayMs) => {
        delays.push(delayMs);
        fire = callback;
        return () => undefined;
      },
      onListenerError: () => undefined,
    });
    await store.request(request({ timeoutMs: 40 * 86_400_000 }));
    expect(delays).toEqual([2 ** 31 - 1]);
    time.now += 2 ** 31 - 1;
    fire();
    expect(delays).toHaveLength(2);
    expect(await store.get('h1')).toMatchObject({ state: 'requested' });
  });
});

describe('limits', () => {
  it('10,000 requests of one user get that user 100 holds, and leave the others theirs', async () => {
    const { book: store } = book();
    const kinds = new Map<string, number>();
    for (let index = 0; index < 10_000; index++) {
      const outcome = await store.request(request({ id: `h${index}` }));
      const kind = outcome.kind === 'refused' ? outcome.reason : outcome.kind;
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    expect(Object.fromEntries(kinds)).toEqual({ requested: 100, too_many_of_user: 9_900 });
    expect(await store.request(request({ id: 'other', subject: { user: 'eng_kim' } }))).toMatchObject({
      kind: 'requested',
    });
    expect(await store.request(request({ id: 'more' }))).toMatchObject({
      message: '100 statements of eng_sam wait for approval already.',
    });
    await store.withdraw('h7', 'client_gone');
    expect(await store.request(request({ id: 'more' }))).toMatchObject({ kind: 'requested' });
  });

  it('10,000 open holds are requested, listed and expired in reasonable time', async () => {
    const { book: store, clock: time } = book();
    const started = performance.now();
    for (let index = 0; index < 10_000; index++) {
      await store.request(
        request({
          id: `h${index}`,
          timeoutMs: 1 + ((index * 7919) % 10_000),
          subject: { user: `u${index % 100}` },
        }),
      );
    }
    const { holds, more } = await store.list({ states: OPEN_STATES, limit: 100 });
    expect([holds.length, more]).toEqual([100, true]);
    expect(holds.map(({ expiresAt }) => expiresAt)).toEqual(
      Array.from({ length: 100 }, (_, at) => T0 + 1 + at),
    );
    time.pass(20_000);
    expect((await store.list({ states: CLOSED_STATES, limit: 5_000 })).holds).toHaveLength(1_000);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe('close', () => {
  it('withdraws what is open, and says so', async () => {
    const { book: store, clock: time } = book();
    await store.request(request({ id: 'a' }));
    await store.request(request({ id: 'b', subject: { ...subject(), ...ticket } }));
    await store.vote('b', approve);
    const heard: string[] = [];
    store.subscribe(({ hold }) => heard.push(`${hold.id} ${hold.state} ${hold.withdrawal ?? ''}`));
    store.close();
    expect(heard).toEqual(['a withdrawn drain', 'b withdrawn drain']);
    expect(time.timers).toBe(0);
  });
});
