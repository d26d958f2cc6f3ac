/** Whatever comes, in whatever order: what a hold must never do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../src/holds/fingerprint.js';
import { isOpen } from '../../src/holds/hold.js';
import type { Hold } from '../../src/holds/hold.js';
import { step } from '../../src/holds/life-cycle.js';
import type { HoldEvent } from '../../src/holds/life-cycle.js';
import type { Approver } from '../../src/policy/types.js';
import { newHold } from '../../src/holds/request.js';
import { T0, approver, book, request, subject } from './support.js';

const USERS = ['u1', 'u2', 'u3'];
const person = fc.record({
  name: fc.constantFrom('a', 'b', 'c', 'd', 'u1'),
  groups: fc.subarray(['dba', 'oncall', 'finance']),
  users: fc.subarray(USERS),
});
const at = fc.integer({ min: T0 - 1000, max: T0 + 700_000 });

/** Independently of the code: the people among the votes that may count. */
function legitimate(hold: Hold, cast: readonly (HoldEvent & { kind: 'vote' })[]): Approver[] {
  const people: Approver[] = [];
  for (const { approver: by, choice, at: when } of cast) {
    const names = [by.name, ...by.users];
    if (choice !== 'approve' || when >= T0 + 600_000) continue;
    if (names.includes(hold.subject.user)) continue;
    if (!by.groups.some((group) => hold.groups.includes(group))) continue;
    if (people.some((other) => [other.name, ...other.users].some((name) => names.includes(name)))) continue;
    people.push(by);
  }
  return people;
}

describe('a hold', () => {
  it('is released once at most, with enough people behind it, and ends for good', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(...USERS),
        fc.array(
          fc.oneof(
            {
              weight: 6,
              arbitrary: fc.record({
                kind: fc.constant('vote' as const),
                choice: fc.constantFrom(
                  'approve' as const,
                  'approve' as const,
                  'approve' as const,
                  'deny' as const,
                ),
                approver: person,
                reason: fc.constant(null),
                at,
              }),
            },
            { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), at }) },
            {
              weight: 1,
              arbitrary: fc.record({
                kind: fc.constant('withdraw' as const),
                reason: fc.constant('client_gone' as const),
                at,
              }),
            },
            {
              weight: 3,
              arbitrary: fc.record({
                kind: fc.constant('release' as const),
                fingerprint: fc.constantFrom('right', 'right', 'wrong'),
                at,
              }),
            },
          ),
          { maxLength: 25 },
        ),
        (approvals, user, events) => {
          let hold = newHold(request({ approvals, groups: ['dba', 'oncall'], subject: { user } }), T0);
          const cast: (HoldEvent & { kind: 'vote' })[] = [];
          let releases = 0;
          for (const planned of events) {
            const before = hold;
            const event: HoldEvent =
              planned.kind === 'release' && planned.fingerprint === 'right'
                ? { ...planned, fingerprint: hold.fingerprint }
                : planned;
            const outcome = step(hold, event);
            if ('rejected' in outcome) continue;
            expect(isOpen(before.state)).toBe(true);
            if (event.kind === 'vote') cast.push(event);
            hold = outcome.hold;
            if (hold.state === 'approved' || hold.state === 'released') {
              expect(legitimate(hold, cast).length).toBeGreaterThanOrEqual(approvals);
              expect(cast.every(({ choice }) => choice === 'approve')).toBe(true);
            }
            if (hold.state === 'released') {
              releases++;
              expect(before.state).toBe('approved');
              expect(event).toMatchObject({ kind: 'release', fingerprint: before.fingerprint });
              expect(event.at).toBeLessThan(before.expiresAt);
            }
            expect(hold.votes).toHaveLength(cast.length);
          }
          expect(releases).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('the book', () => {
  const ticketOf = (user: string, sql: string): string =>
    fingerprintOf(subject({ user, sql, style: 'ticket' }));
  const ids = fc.constantFrom('h1', 'h2', 'h3', 'h4');
  const people = ['a', 'b', 'c'].map((name) => approver(name));
  const action = fc.oneof(
    fc.record({
      do: fc.constant('request' as const),
      id: ids,
      user: fc.constantFrom('eng_a', 'eng_b'),
      style: fc.constantFrom('wait' as const, 'ticket' as const),
      sql: fc.constantFrom('x', 'y'),
    }),
    fc.record({
      do: fc.constant('vote' as const),
      id: ids,
      by: fc.constantFrom(...people),
      choice: fc.constantFrom('approve' as const, 'approve' as const, 'deny' as const),
    }),
    fc.record({ do: fc.constant('withdraw' as const), id: ids }),
    fc.record({ do: fc.constant('release' as const), id: ids, sql: fc.constantFrom('x', 'y') }),
    fc.record({
      do: fc.constant('claim' as const),
      user: fc.constantFrom('eng_a', 'eng_b'),
      sql: fc.constantFrom('x', 'y'),
    }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 8_000 }) }),
  );

  it('keeps its bounds, tells every change in order, and has one timer for what is open', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const limits = { openPerUser: 2, open: 3, closed: 2 };
        const { book: store, clock } = book(limits);
        const last = new Map<string, string>();
        let released = 0;
        let claimed = 0;
        store.subscribe(({ hold, effects }) => {
          for (const effect of effects) {
            if (effect.kind !== 'entered') continue;
            // An id may come again after its hold was forgotten.
            if (effect.from !== null) expect(last.get(hold.id)).toBe(effect.from);
            last.set(hold.id, effect.to);
            if (effect.to === 'released') released++;
          }
        });
        for (const now of actions) {
          if (now.do === 'request') {
            await store.request(
              request({
                id: now.id,
                timeoutMs: 10_000,
                releaseWithinMs: 5_000,
                subject: { user: now.user, style: now.style, sql: now.sql },
              }),
            );
          } else if (now.do === 'vote') {
            await store.vote(now.id, { choice: now.choice, approver: now.by, reason: null });
          } else if (now.do === 'withdraw') await store.withdraw(now.id, 'client_gone');
          else if (now.do === 'release') {
            const held = await store.get(now.id);
            const print = now.sql === 'x' ? (held?.fingerprint ?? '') : 'another';
            const outcome = await store.release(now.id, print);
            if (outcome.kind === 'changed') claimed++;
          } else if (now.do === 'claim') {
            if ((await store.claim(ticketOf(now.user, now.sql))) !== null) claimed++;
          } else clock.pass(now.ms);

          const { holds } = await store.list({
            states: ['requested', 'approved', 'denied', 'expired', 'withdrawn', 'released'],
            limit: 100,
          });
          const open = holds.filter(({ state }) => isOpen(state));
          expect(open.length).toBeLessThanOrEqual(3);
          expect(open.every(({ expiresAt }) => expiresAt > clock.now)).toBe(true);
          expect(holds.length - open.length).toBeLessThanOrEqual(2);
          expect(clock.timers).toBe(open.length === 0 ? 0 : 1);
          expect(released).toBe(claimed);
        }
        store.close();
        expect(clock.timers).toBe(0);
        expect([...last.values()].filter((state) => state === 'requested' || state === 'approved')).toEqual(
          [],
        );
      }),
      { numRuns: 300 },
    );
  });
});
