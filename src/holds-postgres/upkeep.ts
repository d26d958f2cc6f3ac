/**
 * What must happen to the shared holds by itself: deadlines, holds whose process is
 * gone, withdrawals that could not be made, notifications that were lost.
 *
 * Law: a hold expires by the process that it belongs to; those of a process that is
 * gone belong to whoever notices, and what waited there is withdrawn. Where the store
 * cannot be reached, whoever waits here is told when the deadline has passed on this
 * process's clock, and the hold is withdrawn as soon as it can be.
 */
import type { Withdrawal } from '../holds/hold.js';
import { HoldStoreUnavailable } from '../holds/store.js';
import { NOW } from './changes.js';
import type { Changes } from './changes.js';
import type { DatabaseClock } from './clock.js';
import type { Connections } from './connections.js';
import type { News } from './news.js';
import type { SchemaNames } from './schema.js';
import type { SharedCodes } from './used-codes.js';

export interface Pace {
  /** Between two signs of life of a process. */
  readonly heartbeatMs: number;
  /** Between two looks at everything, should a notification be lost. */
  readonly pollMs: number;
  /** Between two exchanges of what is spent of write budgets, at least. */
  readonly budgetMs: number;
  /** A process whose lock is free is gone when its last sign of life is older than this. */
  readonly goneMs: number;
  /** A process that still has its lock is gone when its last sign of life is older than this. */
  readonly silentMs: number;
  /** How long after a deadline the store may take to say so, before whoever waits is told without it. */
  readonly graceMs: number;
}

export const DEFAULT_PACE: Pace = {
  heartbeatMs: 2_000,
  pollMs: 5_000,
  budgetMs: 200,
  goneMs: 6_000,
  silentMs: 30_000,
  graceMs: 1_000,
};

export interface UpkeepOptions {
  readonly me: string;
  readonly connections: Connections;
  readonly names: SchemaNames;
  readonly pace: Pace;
  readonly clock: DatabaseClock;
  readonly news: News;
  readonly changes: Changes;
  readonly usedCodes: Pick<SharedCodes, 'forget'>;
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  readonly onError: (error: unknown) => void;
}

export interface Upkeep {
  /** The first deadline may be another one now. */
  arm(): void;
  /** Looks at everything soon. */
  wake(): void;
  /** Withdraws a hold of this process as soon as it can be done. */
  withdrawLater(id: string, reason: Withdrawal): void;
  close(): Promise<void>;
}

const MAX_TIMER_MS = 2 ** 31 - 1;
/** A deadline that has passed here has not yet in the database: asked again after this. */
const AGAIN_MS = 100;
const MOST_DUE = 500;
/** Rows of processes that are gone and have left nothing are removed after this. */
const FORGET_PROCESS_MS = 3_600_000;

export function createUpkeep(options: UpkeepOptions): Upkeep {
  const { me, connections, names, pace, clock, news, changes, usedCodes, setTimer, onError } = options;
  const { schema, lockClass } = names;
  const intents = new Map<string, Withdrawal>();
  let running: Promise<void> | null = null;
  let again = false;
  let closed = false;
  let stopPoll: () => void = () => undefined;
  let alarm: { readonly at: number; readonly stop: () => void } | null = null;

  /** Processes that live: the lock says so at once when one dies, the row when its machine does. */
  const ALIVE = `
    SELECT owner FROM ${schema}.process WHERE seen_at > ${NOW} - ${pace.silentMs.toString()}
      AND (seen_at > ${NOW} - ${pace.goneMs.toString()} OR EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid::bigint = ${lockClass.toString()} AND objid::bigint = number))`;

  /** Does `work` for each; a hold that it cannot be done for does not keep it from the others, the loss of the store does. */
  async function each<T>(all: Iterable<T>, work: (one: T) => Promise<unknown>): Promise<void> {
    for (const one of all) {
      try {
        await work(one);
      } catch (error) {
        if (error instanceof HoldStoreUnavailable) throw error;
        onError(error);
      }
    }
  }

  const withdrawDue = (): Promise<void> =>
    each([...intents], async ([id, reason]) => {
      await changes.change('withdraw', id, (at) => ({ kind: 'withdraw', reason, at }));
      intents.delete(id);
    });

  async function endDue(): Promise<void> {
    const due = await connections.query<{ id: string; orphaned: boolean }>(
      `WITH alive AS (${ALIVE})
       SELECT id, orphaned AND style = 'wait' AS orphaned FROM (
         SELECT id, style, expires_at, owner <> $1 AND owner NOT IN (SELECT owner FROM alive) AS orphaned, owner
         FROM ${schema}.hold WHERE closing IS NULL) AS hold
       WHERE (orphaned AND style = 'wait') OR (expires_at <= ${NOW} AND (orphaned OR owner = $1))
       ORDER BY expires_at LIMIT ${MOST_DUE.toString()}`,
      [me],
    );
    await each(due, ({ id, orphaned }) =>
      orphaned
        ? changes.change('withdraw', id, (at) => ({ kind: 'withdraw', reason: 'holdfast_gone', at }))
        : changes.change('expire', id, (at) => ({ kind: 'expire', at })),
    );
    if (due.length === MOST_DUE) again = true;
  }

  /** Finds what has changed without a notification that came through. */
  async function compare(): Promise<void> {
    const known = [...news.open.keys()];
    const rows = await connections.query<{ id: string; revision: number }>(
      `SELECT id, revision FROM ${schema}.hold WHERE closing IS NULL OR id = ANY($1)`,
      [known],
    );
    const there = new Set(rows.map(({ id }) => id));
    const changed = rows.filter(({ id, revision }) => revision > news.revision(id)).map(({ id }) => id);
    const removed = known.filter((id) => !there.has(id));
    await each([...changed, ...removed], (id) => changes.refresh(id));
  }

  async function forgetProcesses(): Promise<void> {
    await connections.query(
      `DELETE FROM ${schema}.process WHERE owner <> $1 AND seen_at < ${NOW} - ${FORGET_PROCESS_MS.toString()}
         AND owner NOT IN (SELECT owner FROM ${schema}.hold WHERE closing IS NULL)`,
      [me],
    );
  }

  async function look(): Promise<void> {
    await each(news.unsureIds, (id) => changes.settle(id));
    await withdrawDue();
    await endDue();
    await compare();
    await forgetProcesses();
    await usedCodes.forget();
  }

  function wake(): void {
    if (closed) return;
    if (running !== null) {
      again = true;
      return;
    }
    again = false;
    stopPoll();
    running = look()
      .catch((error: unknown) => {
        // The listener says that the store is away, once.
        if (!(error instanceof HoldStoreUnavailable)) onError(error);
      })
      .then(() => {
        running = null;
        if (closed) return;
        stopPoll = setTimer(wake, pace.pollMs);
        if (again) wake();
      });
  }

  /** Tells those whose time is up without the store having said so. */
  function giveUp(now: number): void {
    for (let first = news.deadlines.first(); first !== null; first = news.deadlines.first()) {
      if (first.at + pace.graceMs > now) return;
      const { id, at } = first;
      const hold = news.own.get(id);
      if (hold?.subject.style === 'wait') {
        news.giveUp(id, 'store_gone', now);
        intents.set(id, 'store_gone');
      } else {
        // Nobody waits for a ticket: it ends when the store is back.
        news.deadlines.remove(at, id);
      }
    }
  }

  /** One timer, for the first deadline of this process's holds. */
  function arm(): void {
    const first = news.deadlines.first();
    if (closed || first?.at === alarm?.at) return;
    alarm?.stop();
    alarm = null;
    if (first === null) return;
    const delay = Math.min(Math.max(first.at - clock.now(), AGAIN_MS / 2), MAX_TIMER_MS);
    const stop = setTimer(() => {
      alarm = null;
      const now = clock.now();
      giveUp(now);
      if (first.at <= now) wake();
      // What the database still has to end is looked at again.
      setAlarmAgain();
    }, delay);
    alarm = { at: first.at, stop };
  }

  function setAlarmAgain(): void {
    const first = news.deadlines.first();
    if (closed || first === null || alarm !== null) return;
    if (first.at > clock.now()) {
      arm();
      return;
    }
    const stop = setTimer(() => {
      alarm = null;
      giveUp(clock.now());
      wake();
      setAlarmAgain();
    }, AGAIN_MS);
    alarm = { at: first.at, stop };
  }

  return {
    arm,
    wake,
    withdrawLater(id, reason) {
      if (!intents.has(id)) intents.set(id, reason);
    },
    async close() {
      closed = true;
      stopPoll();
      alarm?.stop();
      await running;
    },
  };
}
