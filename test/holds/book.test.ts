import { describe, expect, it, vi } from 'vitest';
import { createBook } from '../../src/holds/book.js';
import { CLOSED_STATES, OPEN_STATES } from '../../src/holds/hold.js';
import type { HoldChange } from '../../src/holds/store.js';
import { DANA, KIM, OUTSIDER, T0, book, clock, request, subject } from './support.js';

const approve = { choice: 'approve', approver: DANA, reason: null } as const;
const ticket = { style: 'ticket' } as const;

describe('one hold', () => {
  it('from the request to its release', async () => {
    const { book: store } = book();
    const asked = request();
    expect(await store.request(asked)).toMatchObject({
      kind: 'requested',
      hold: { id: 'h1', state: 'requested' },
    });
    expect(await store.release('h1', asked.fingerprint)).toMatchObject({
      kind: 'rejected',
      rejection: { reason: 'not_approved' },
    });
    expect(await store.vote('h1', approve)).toMatchObject({ kind: 'changed', hold: { state: 'approved' } });
    expect(await store.release('h1', asked.fingerprint)).toMatchObject({
      kind: 'changed',
      hold: { state: 'released' },
    });
    expect(await store.release('h1', asked.fingerprint)).toMatchObject({
      kind: 'rejected',
      rejection: { reason: 'closed' },
    });
    expect(await store.get('h1')).toMatchObject({ state: 'released' });
  });

  it('that there is not', async () => {
    const { book: store } = book();
    expect(await store.get('h1')).toBeNull();
    expect(await store.vote('h1', approve)).toEqual({ kind: 'unknown' });
    expect(await store.withdraw('h1', 'drain')).toEqual({ kind: 'unknown' });
    expect(await store.release('h1', 'x')).toEqual({ kind: 'unknown' });
    expect(await store.claim('x')).toBeNull();
  });

  it('keeps its id to itself, also when it has ended', async () => {
    const { book: store } = book();
    await store.request(request());
    expect(await store.request(request())).toMatchObject({ kind: 'refused', reason: 'id_taken' });
    await store.withdraw('h1', 'client_gone');
    expect(await store.request(request())).toMatchObject({ kind: 'refused', reason: 'id_taken' });
  });

  it('what is no request is thrown as a rejection, and nothing is kept', async () => {
    const { book: store } = book();
    await expect(store.request(request({ approvals: 0 }))).rejects.toThrow(RangeError);
    expect(await store.get('h1')).toBeNull();
  });
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

  it('in all', async () => {
    const { book: store } = book({ open: 2 });
    for (const user of ['a', 'b']) await store.request(request({ id: user, subject: { user } }));
    const outcome = await store.request(request({ id: 'c', subject: { user: 'c' } }));
    expect(outcome).toMatchObject({ kind: 'refused', reason: 'too_many' });
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

  it('what nobody could read is not held', async () => {
    const { book: store } = book();
    const sql = `SELECT '${'x'.repeat(1024 ** 2)}'`;
    expect(await store.request(request({ subject: { sql } }))).toMatchObject({
      kind: 'refused',
      reason: 'too_large',
    });
    const parameters = [{ type: 25, format: 0, value: Buffer.alloc(1024 ** 2) }];
    expect(await store.request(request({ subject: { parameters } }))).toMatchObject({
      kind: 'refused',
      reason: 'too_large',
    });
  });

  it('closed ones are forgotten, the oldest first, by number and by bytes', async () => {
    const { book: store } = book({ closed: 2 });
    for (const id of ['a', 'b', 'c']) {
      await store.request(request({ id }));
      await store.withdraw(id, 'client_gone');
    }
    const list = await store.list({ states: CLOSED_STATES, limit: 10 });
    expect(list.holds.map(({ id }) => id)).toEqual(['c', 'b']);

    const { book: small } = book({ bytes: 50_000 });
    const sql = 'x'.repeat(20_000);
    for (const id of ['a', 'b']) {
      await small.request(request({ id, subject: { sql } }));
      await small.withdraw(id, 'client_gone');
    }
    expect(await small.request(request({ id: 'c', subject: { sql } }))).toMatchObject({ kind: 'requested' });
    expect(await small.get('a')).toBeNull();
    expect(await small.get('b')).not.toBeNull();
    await small.request(request({ id: 'd', subject: { sql } }));
    expect(await small.request(request({ id: 'e', subject: { sql } }))).toMatchObject({
      kind: 'refused',
      reason: 'too_many',
    });
  });
});

describe('tickets', () => {
  it('pass once, for the same statement, in time', async () => {
    const { book: store, clock: time } = book();
    const asked = request({ subject: ticket, releaseWithinMs: 60_000 });
    await store.request(asked);
    expect(await store.claim(asked.fingerprint)).toBeNull();
    await store.vote('h1', approve);
    expect(await store.claim('0'.repeat(64))).toBeNull();
    time.pass(59_999);
    expect(await store.claim(asked.fingerprint)).toMatchObject({ id: 'h1', state: 'released' });
    expect(await store.claim(asked.fingerprint)).toBeNull();
  });

  it('do not pass when their time is over', async () => {
    const { book: store, clock: time } = book();
    const asked = request({ subject: ticket, releaseWithinMs: 60_000 });
    await store.request(asked);
    await store.vote('h1', approve);
    time.pass(60_000);
    expect(await store.claim(asked.fingerprint)).toBeNull();
    expect(await store.get('h1')).toMatchObject({ state: 'expired' });
  });

  it('are asked for once, however often the statement comes', async () => {
    const { book: store } = book();
    await store.request(request({ subject: ticket }));
    expect(await store.request(request({ id: 'h2', subject: ticket }))).toMatchObject({
      kind: 'existing',
      hold: { id: 'h1' },
    });
    expect(
      await store.request(request({ id: 'h3', subject: { ...ticket, sql: 'DROP TABLE other' } })),
    ).toMatchObject({ kind: 'requested' });
    await store.vote('h1', { ...approve, choice: 'deny' });
    expect(await store.request(request({ id: 'h2', subject: ticket }))).toMatchObject({
      kind: 'requested',
      hold: { id: 'h2' },
    });
  });

  it('a statement that waits is no ticket', async () => {
    const { book: store } = book();
    const asked = request();
    await store.request(asked);
    await store.vote('h1', approve);
    expect(await store.claim(asked.fingerprint)).toBeNull();
  });

  it('of many who claim at once, one gets it', async () => {
    const { book: store } = book();
    const asked = request({ subject: ticket });
    await store.request(asked);
    await store.vote('h1', approve);
    const claims = await Promise.all(Array.from({ length: 20 }, () => store.claim(asked.fingerprint)));
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
  });
});

describe('lists', () => {
  it('open ones by their deadline, closed ones latest first, and only what a person may see', async () => {
    const { book: store } = book();
    await store.request(request({ id: 'late', timeoutMs: 9_000 }));
    await store.request(request({ id: 'soon', timeoutMs: 1_000 }));
    await store.request(request({ id: 'theirs', groups: ['finance'] }));
    await store.request(request({ id: 'gone' }));
    await store.withdraw('gone', 'client_gone');
    const ids = async (filter: Parameters<typeof store.list>[0]): Promise<string[]> =>
      (await store.list(filter)).holds.map(({ id }) => id);
    expect(await ids({ states: OPEN_STATES, limit: 10 })).toEqual(['soon', 'late', 'theirs']);
    expect(await ids({ states: [...OPEN_STATES, ...CLOSED_STATES], limit: 10, visibleTo: DANA })).toEqual([
      'soon',
      'late',
      'gone',
    ]);
    expect(await ids({ states: ['requested'], limit: 10, visibleTo: OUTSIDER })).toEqual(['theirs']);
    expect(await ids({ states: ['withdrawn'], limit: 10 })).toEqual(['gone']);
    expect(await store.list({ states: OPEN_STATES, limit: 1 })).toMatchObject({
      more: true,
      holds: [{ id: 'soon' }],
    });
    expect(await store.list({ states: OPEN_STATES, limit: 3 })).toMatchObject({ more: false });
  });
});

describe('listeners', () => {
  it('hear of every change in order, also of those that they cause', async () => {
    const { book: store } = book();
    const asked = request();
    store.subscribe(({ hold }) => {
      // As a session that waits does.
      if (hold.state === 'approved') void store.release(hold.id, asked.fingerprint);
    });
    const heard: string[] = [];
    store.subscribe(({ hold, effects }) => {
      heard.push(...effects.map((effect) => (effect.kind === 'voted' ? `vote ${hold.state}` : effect.to)));
    });
    await store.request(asked);
    await store.vote('h1', approve);
    expect(heard).toEqual(['requested', 'vote approved', 'approved', 'released']);
  });

  it('of one hold hear of that one, until they have enough', async () => {
    const { book: store } = book();
    const one = vi.fn();
    const end = store.subscribe(one, 'h2');
    await store.request(request({ id: 'h1', approvals: 2 }));
    await store.request(request({ id: 'h2', approvals: 2 }));
    await store.vote('h2', approve);
    expect(one).toHaveBeenCalledTimes(2);
    end();
    end();
    await store.vote('h2', { ...approve, approver: KIM });
    expect(one).toHaveBeenCalledTimes(2);
  });

  it('that throw cost nobody anything', async () => {
    const errors: unknown[] = [];
    const time = clock();
    const store = createBook({
      now: () => time.now,
      setTimer: () => () => undefined,
      onListenerError: (error) => errors.push(error),
    });
    const other = vi.fn();
    store.subscribe(() => {
      throw new Error('mistake');
    });
    store.subscribe(other);
    expect(await store.request(request())).toMatchObject({ kind: 'requested' });
    expect(other).toHaveBeenCalledTimes(1);
    expect(errors).toHaveLength(1);
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
