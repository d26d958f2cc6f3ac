/**
 * The holds of one process, in memory.
 *
 * Law: it applies the life cycle and keeps what comes out; it decides nothing
 * about a hold itself. Every method does its work before it returns its promise,
 * which makes it atomic here. What anybody can make it keep is bounded: in number
 * per user, in number and in bytes altogether.
 */
import { maySee } from './eligibility.js';
import { createDeadlines } from './deadlines.js';
import { isOpen } from './hold.js';
import type { Hold } from './hold.js';
import { step } from './life-cycle.js';
import type { HoldEvent } from './life-cycle.js';
import { DEFAULT_LIMITS, bytesOf, idTaken, noRoom, tooLarge } from './limits.js';
import type { HoldLimits } from './limits.js';
import { createNotifier } from './notifier.js';
import { newHold } from './request.js';
import type { HoldRequest } from './request.js';
import type { ChangeOutcome, HoldChange, HoldFilter, HoldPage, HoldStore, RequestOutcome } from './store.js';

export interface BookOptions {
  /** Milliseconds since 1970, on a clock that is not set back (`performance.timeOrigin + performance.now()`): a hold may keep locks while it waits. */
  readonly now: () => number;
  /** Calls back once after that many milliseconds. @returns cancels it */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  /** A listener threw: a mistake in the program, which must not cost anybody a vote. */
  readonly onListenerError: (error: unknown) => void;
  readonly limits?: Partial<HoldLimits>;
}

export interface Book extends HoldStore {
  /** Withdraws what is open, since this process forgets it, and stops the timer. */
  close(): void;
}

/** The longest delay that a Node timer keeps: a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Everything here happens in this process, and for its own sessions. */
const OURS = { here: true, own: true } as const;

export function createBook(options: BookOptions): Book {
  const limits: HoldLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const open = new Map<string, Hold>();
  /** In the order in which they ended. */
  const closed = new Map<string, Hold>();
  const openOfUser = new Map<string, number>();
  /** Fingerprint → id of the open ticket. */
  const tickets = new Map<string, string>();
  const deadlines = createDeadlines();
  let openBytes = 0;
  let closedBytes = 0;
  let timer: { readonly at: number; readonly cancel: () => void } | null = null;

  const notify = createNotifier(options.onListenerError);

  function add(hold: Hold): void {
    const { user, style } = hold.subject;
    open.set(hold.id, hold);
    openOfUser.set(user, (openOfUser.get(user) ?? 0) + 1);
    openBytes += bytesOf(hold.subject);
    deadlines.add(hold.expiresAt, hold.id);
    if (style === 'ticket') tickets.set(hold.fingerprint, hold.id);
    notify.change({ hold, effects: [{ kind: 'entered', from: null, to: hold.state, waitedMs: 0 }], ...OURS });
  }

  function replace(previous: Hold, { hold, effects }: Pick<HoldChange, 'hold' | 'effects'>): void {
    if (isOpen(hold.state)) {
      open.set(hold.id, hold);
      if (hold.expiresAt !== previous.expiresAt) {
        deadlines.remove(previous.expiresAt, hold.id);
        deadlines.add(hold.expiresAt, hold.id);
      }
    } else {
      end(previous, hold);
    }
    notify.change({ hold, effects, ...OURS });
  }

  function end(previous: Hold, hold: Hold): void {
    const { subject, fingerprint, id } = hold;
    const bytes = bytesOf(subject);
    open.delete(id);
    openBytes -= bytes;
    const left = (openOfUser.get(subject.user) ?? 1) - 1;
    if (left > 0) openOfUser.set(subject.user, left);
    else openOfUser.delete(subject.user);
    deadlines.remove(previous.expiresAt, id);
    if (tickets.get(fingerprint) === id) tickets.delete(fingerprint);
    closed.set(id, hold);
    closedBytes += bytes;
    forget();
  }

  /** Drops the oldest of the closed ones until the rest fits; an open one always goes before them. */
  function forget(): void {
    for (const [id, hold] of closed) {
      if (closed.size <= limits.closed && openBytes + closedBytes <= limits.bytes) return;
      closed.delete(id);
      closedBytes -= bytesOf(hold.subject);
    }
  }

  function apply(hold: Hold, event: HoldEvent): ChangeOutcome {
    const outcome = step(hold, event);
    if ('rejected' in outcome) return { kind: 'rejected', hold, rejection: outcome.rejected };
    replace(hold, outcome);
    return { kind: 'changed', hold: outcome.hold };
  }

  /** Ends what is past its deadline. Before everything else, so that nobody sees or counts what is over. */
  function sweep(now: number): void {
    for (let first = deadlines.first(); first !== null && first.at <= now; first = deadlines.first()) {
      const due = open.get(first.id);
      if (due === undefined || apply(due, { kind: 'expire', at: now }).kind !== 'changed') {
        throw new Error('a deadline without an open hold');
      }
    }
  }

  /** One timer, for the first deadline. */
  function arm(now: number): void {
    const at = deadlines.first()?.at ?? null;
    if (timer?.at === at) return;
    timer?.cancel();
    timer = null;
    if (at === null) return;
    const delay = Math.min(Math.max(at - now, 1), MAX_TIMER_MS);
    const cancel = options.setTimer(() => {
      timer = null;
      work(() => undefined);
    }, delay);
    timer = { at, cancel };
  }

  /** Every method runs in here: nothing is past its deadline before, the timer is right after, and then it is told. */
  function work<T>(job: (now: number) => T): T {
    const now = options.now();
    try {
      sweep(now);
      return job(now);
    } finally {
      arm(now);
      notify.deliver();
    }
  }

  /** A promise of what has happened by the time that it is handed out; what is thrown becomes its rejection. */
  function atomically<T>(job: (now: number) => T): Promise<T> {
    return new Promise((resolve) => {
      resolve(work(job));
    });
  }

  function change(id: string, event: (now: number) => HoldEvent): Promise<ChangeOutcome> {
    return atomically((now) => {
      const hold = open.get(id) ?? closed.get(id);
      return hold === undefined ? { kind: 'unknown' } : apply(hold, event(now));
    });
  }

  function request(input: HoldRequest, now: number): RequestOutcome {
    const bytes = bytesOf(input.subject);
    const large = tooLarge(limits, bytes);
    if (large !== null) return large;
    const hold = newHold(input, now);
    const { user, style } = hold.subject;
    if (style === 'ticket') {
      const existing = open.get(tickets.get(hold.fingerprint) ?? '');
      if (existing !== undefined) return { kind: 'existing', hold: existing };
    }
    const kept = { open: open.size, openOfUser: openOfUser.get(user) ?? 0, openBytes };
    const full = noRoom(limits, kept, user, bytes);
    if (full !== null) return full;
    if (open.has(hold.id) || closed.has(hold.id)) return idTaken(hold.id);
    add(hold);
    forget();
    return { kind: 'requested', hold };
  }

  function list({ states, visibleTo, limit }: HoldFilter): HoldPage {
    const holds: Hold[] = [];
    const wanted = new Set(states);
    for (const hold of inOrder(wanted.has('requested') || wanted.has('approved'))) {
      if (!wanted.has(hold.state) || (visibleTo !== undefined && !maySee(hold, visibleTo))) continue;
      if (holds.length === limit) return { holds, more: true };
      holds.push(hold);
    }
    return { holds, more: false };
  }

  function* inOrder(withOpen: boolean): Generator<Hold> {
    if (withOpen) {
      for (const id of deadlines.ids()) {
        const hold = open.get(id);
        if (hold !== undefined) yield hold;
      }
    }
    yield* [...closed.values()].reverse();
  }

  return {
    request: (input) => atomically((now) => request(input, now)),
    get: (id) => atomically(() => open.get(id) ?? closed.get(id) ?? null),
    list: (filter) => atomically(() => list(filter)),
    vote: (id, ballot) => change(id, (at) => ({ kind: 'vote', ...ballot, at })),
    withdraw: (id, reason) => change(id, (at) => ({ kind: 'withdraw', reason, at })),
    release: (id, fingerprint) => change(id, (at) => ({ kind: 'release', fingerprint, at })),
    claim: (fingerprint) =>
      atomically((at) => {
        const ticket = open.get(tickets.get(fingerprint) ?? '');
        if (ticket === undefined) return null;
        const outcome = apply(ticket, { kind: 'release', fingerprint, at });
        return outcome.kind === 'changed' ? outcome.hold : null;
      }),
    subscribe: notify.subscribe,
    watch: notify.watch,
    unwatch: notify.unwatch,
    close() {
      work((at) => {
        for (const hold of [...open.values()]) apply(hold, { kind: 'withdraw', reason: 'drain', at });
      });
      timer?.cancel();
      timer = null;
    },
  };
}
