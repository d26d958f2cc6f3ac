/**
 * What every store of holds does, wherever it keeps them. Each store runs this with
 * a clock of its own: a made one, or the database's.
 */
import { describe, expect, it, vi } from 'vitest';
import { CLOSED_STATES, OPEN_STATES } from '../../src/holds/hold.js';
import type { HoldLimits } from '../../src/holds/limits.js';
import type { HoldChange, HoldStore } from '../../src/holds/store.js';
import { DANA, KIM, LEE, OUTSIDER, T0, request, subject } from './support.js';

export interface OpenStore {
  readonly store: HoldStore;
  /** Resolves when the hold, which has that much time left, has expired. */
  readonly expired: (id: string, leftMs: number) => Promise<void>;
  /** What listeners threw. */
  readonly errors: readonly unknown[];
}

const approve = { choice: 'approve', approver: DANA, reason: null } as const;
const ticket = { style: 'ticket' } as const;

/** @param open an empty store of its own */
export function storeContract(
  name: string,
  open: (limits?: Partial<HoldLimits>) => Promise<OpenStore>,
): void {
  describe(name, () => {
    describe('one hold', () => {
      it('from the request to its release', async () => {
        const { store } = await open();
        const asked = request();
        expect(await store.request(asked)).toMatchObject({
          kind: 'requested',
          hold: { id: 'h1', state: 'requested' },
        });
        expect(await store.release('h1', asked.fingerprint)).toMatchObject({
          kind: 'rejected',
          rejection: { reason: 'not_approved' },
        });
        expect(await store.vote('h1', approve)).toMatchObject({
          kind: 'changed',
          hold: { state: 'approved' },
        });
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
        const { store } = await open();
        expect(await store.get('h1')).toBeNull();
        expect(await store.vote('h1', approve)).toEqual({ kind: 'unknown' });
        expect(await store.withdraw('h1', 'drain')).toEqual({ kind: 'unknown' });
        expect(await store.release('h1', 'x')).toEqual({ kind: 'unknown' });
        expect(await store.claim('x')).toBeNull();
      });

      it('keeps its id to itself, also when it has ended', async () => {
        const { store } = await open();
        await store.request(request());
        expect(await store.request(request())).toMatchObject({ kind: 'refused', reason: 'id_taken' });
        await store.withdraw('h1', 'client_gone');
        expect(await store.request(request())).toMatchObject({ kind: 'refused', reason: 'id_taken' });
      });

      it('what is no request is thrown as a rejection, and nothing is kept', async () => {
        const { store } = await open();
        await expect(store.request(request({ approvals: 0 }))).rejects.toThrow(RangeError);
        expect(await store.get('h1')).toBeNull();
      });
    });

    describe('what is kept', () => {
      it('comes back as it was: bytes, nulls, and whatever a text may hold', async () => {
        const { store } = await open();
        const of = subject({
          sql: "SELECT '\u0001 \u202e \ud800 \"\\ é 漢'",
          parameters: [
            { type: 17, format: 1, value: Uint8Array.from([0, 255, 128, 10]) },
            { type: 0, format: 0, value: null },
            { type: 25, format: 0, value: new Uint8Array() },
          ],
          searchPath: null,
          inTransaction: { since: T0 + 0.5, statements: 3 },
          matches: [{ rule: 'truncate', action: 'hold', message: 'm', hint: 'h', detail: 'd' }],
          relations: [{ schema: 'public', name: 'x', mode: 'write', estimatedRows: null }],
        });
        const asked = request({ subject: of, groups: ['dba', 'on call, "x"'] });
        const outcome = await store.request(asked);
        const reason = 'so \u0000 be it';
        await store.vote('h1', { choice: 'deny', approver: DANA, reason });
        const hold = await store.get('h1');
        expect(hold?.subject).toEqual(of);
        expect(hold).toMatchObject({
          fingerprint: asked.fingerprint,
          groups: asked.groups,
          votes: [{ approver: 'dana', names: ['dana', 'eng_dana'], choice: 'deny', reason }],
        });
        expect(outcome).toMatchObject({ hold: { subject: of, requestedAt: hold?.requestedAt } });
      });
    });

    describe('tickets', () => {
      it('pass once, for the same statement, in time', async () => {
        const { store } = await open();
        const asked = request({ subject: ticket, releaseWithinMs: 60_000 });
        await store.request(asked);
        expect(await store.claim(asked.fingerprint)).toBeNull();
        await store.vote('h1', approve);
        expect(await store.claim('0'.repeat(64))).toBeNull();
        expect(await store.claim(asked.fingerprint)).toMatchObject({ id: 'h1', state: 'released' });
        expect(await store.claim(asked.fingerprint)).toBeNull();
      });

      it('do not pass when their time is over', async () => {
        const { store, expired } = await open();
        const asked = request({ subject: ticket, releaseWithinMs: 150 });
        await store.request(asked);
        await store.vote('h1', approve);
        await expired('h1', 150);
        expect(await store.claim(asked.fingerprint)).toBeNull();
        expect(await store.get('h1')).toMatchObject({ state: 'expired' });
      });

      it('are asked for once, however often the statement comes', async () => {
        const { store } = await open();
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
        const { store } = await open();
        const asked = request();
        await store.request(asked);
        await store.vote('h1', approve);
        expect(await store.claim(asked.fingerprint)).toBeNull();
      });

      it('of many who claim at once, one gets it', async () => {
        const { store } = await open();
        const asked = request({ subject: ticket });
        await store.request(asked);
        await store.vote('h1', approve);
        const claims = await Promise.all(Array.from({ length: 20 }, () => store.claim(asked.fingerprint)));
        expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
      });
    });

    describe('limits', () => {
      it('of one user, whatever others have', async () => {
        const { store } = await open({ openPerUser: 2 });
        for (const id of ['a', 'b']) await store.request(request({ id }));
        expect(await store.request(request({ id: 'c' }))).toMatchObject({
          kind: 'refused',
          reason: 'too_many_of_user',
          message: '2 statements of eng_sam wait for approval already.',
        });
        expect(await store.request(request({ id: 'c', subject: { user: 'eng_kim' } }))).toMatchObject({
          kind: 'requested',
        });
        await store.withdraw('a', 'client_gone');
        expect(await store.request(request({ id: 'd' }))).toMatchObject({ kind: 'requested' });
      });

      it('in all', async () => {
        const { store } = await open({ open: 2 });
        for (const user of ['a', 'b']) await store.request(request({ id: user, subject: { user } }));
        const outcome = await store.request(request({ id: 'c', subject: { user: 'c' } }));
        expect(outcome).toMatchObject({ kind: 'refused', reason: 'too_many' });
      });

      it('what nobody could read is not held', async () => {
        const { store } = await open();
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
        const { store } = await open({ closed: 2 });
        for (const id of ['a', 'b', 'c']) {
          await store.request(request({ id }));
          await store.withdraw(id, 'client_gone');
        }
        const list = await store.list({ states: CLOSED_STATES, limit: 10 });
        expect(list.holds.map(({ id }) => id)).toEqual(['c', 'b']);

        const { store: small } = await open({ bytes: 50_000 });
        const sql = 'x'.repeat(20_000);
        for (const id of ['a', 'b']) {
          await small.request(request({ id, subject: { sql } }));
          await small.withdraw(id, 'client_gone');
        }
        expect(await small.request(request({ id: 'c', subject: { sql } }))).toMatchObject({
          kind: 'requested',
        });
        expect(await small.get('a')).toBeNull();
        expect(await small.get('b')).not.toBeNull();
        await small.request(request({ id: 'd', subject: { sql } }));
        expect(await small.request(request({ id: 'e', subject: { sql } }))).toMatchObject({
          kind: 'refused',
          reason: 'too_many',
        });
      });
    });

    describe('lists', () => {
      it('open ones by their deadline, closed ones latest first, and only what a person may see', async () => {
        const { store } = await open();
        await store.request(request({ id: 'late', timeoutMs: 9_000 }));
        await store.request(request({ id: 'soon', timeoutMs: 1_000 }));
        await store.request(request({ id: 'theirs', groups: ['finance'] }));
        await store.request(request({ id: 'gone' }));
        await store.withdraw('gone', 'client_gone');
        const ids = async (filter: Parameters<typeof store.list>[0]): Promise<string[]> =>
          (await store.list(filter)).holds.map(({ id }) => id);
        expect(await ids({ states: OPEN_STATES, limit: 10 })).toEqual(['soon', 'late', 'theirs']);
        expect(await ids({ states: [...OPEN_STATES, ...CLOSED_STATES], limit: 10, visibleTo: DANA })).toEqual(
          ['soon', 'late', 'gone'],
        );
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
        const { store } = await open();
        const asked = request();
        store.subscribe(({ hold }) => {
          // As a session that waits does.
          if (hold.state === 'approved') void store.release(hold.id, asked.fingerprint);
        });
        const heard: string[] = [];
        const over = new Promise<void>((resolve) => {
          store.subscribe(({ hold, effects, here, own }) => {
            expect([here, own]).toEqual([true, true]);
            heard.push(
              ...effects.map((effect) => (effect.kind === 'voted' ? `vote ${hold.state}` : effect.to)),
            );
            if (hold.state === 'released') resolve();
          });
        });
        await store.request(asked);
        await store.vote('h1', approve);
        await over;
        expect(heard).toEqual(['requested', 'vote approved', 'approved', 'released']);
      });

      it('of one hold hear of that one, until they have enough', async () => {
        const { store } = await open();
        const one = vi.fn();
        const watcher = { changed: one };
        store.watch('h2', watcher);
        await store.request(request({ id: 'h1', approvals: 2 }));
        await store.request(request({ id: 'h2', approvals: 3 }));
        await store.vote('h2', approve);
        expect(one).toHaveBeenCalledTimes(2);
        // Who does not watch it ends nothing.
        store.unwatch('h2', { changed: vi.fn() });
        await store.vote('h2', { ...approve, approver: KIM });
        expect(one).toHaveBeenCalledTimes(3);
        store.unwatch('h2', watcher);
        store.unwatch('h2', watcher);
        expect(await store.vote('h2', { ...approve, approver: LEE })).toMatchObject({ kind: 'changed' });
        expect(one).toHaveBeenCalledTimes(3);
      });

      it('that throw cost nobody anything', async () => {
        const { store, errors } = await open();
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

    describe('expiry', () => {
      it('comes by itself, at its time, and nothing that comes later counts', async () => {
        const { store, expired } = await open();
        const heard: HoldChange[] = [];
        const asked = request({ timeoutMs: 150 });
        await store.request(asked);
        store.subscribe((change) => heard.push(change));
        await expired('h1', 150);
        expect(heard).toMatchObject([
          { hold: { id: 'h1', state: 'expired' }, effects: [{ from: 'requested', to: 'expired' }] },
        ]);
        const over = heard[0]?.hold;
        expect((over?.closedAt ?? 0) - (over?.requestedAt ?? 0)).toBeGreaterThanOrEqual(150);
        expect(await store.vote('h1', approve)).toMatchObject({
          kind: 'rejected',
          rejection: { reason: 'closed' },
        });
        expect(await store.list({ states: OPEN_STATES, limit: 10 })).toEqual({ holds: [], more: false });
      });

      it('comes after an approval that nobody used', async () => {
        const { store, expired } = await open();
        const asked = request({ releaseWithinMs: 150 });
        await store.request(asked);
        await store.vote('h1', approve);
        await expired('h1', 150);
        expect(await store.release('h1', asked.fingerprint)).toMatchObject({
          rejection: { reason: 'closed' },
        });
      });
    });
  });
}
