/**
 * Holds that several Holdfast processes share, in a schema of a PostgreSQL database.
 *
 * Law: it puts the parts together. The rows are the truth; what this process keeps of
 * them is for telling its listeners. Without the store nothing is requested and
 * nothing released.
 */
import type { Hold, Withdrawal } from '../holds/hold.js';
import { DEFAULT_LIMITS } from '../holds/limits.js';
import type { HoldLimits } from '../holds/limits.js';
import { HoldStoreUnavailable } from '../holds/store.js';
import type { HoldStore } from '../holds/store.js';
import type { UsedCodes } from '../holds/used-codes.js';
import { OperatorError } from '../errors.js';
import type { Budgets } from '../impact/budgets.js';
import { createSharedBudgets } from './budgets.js';
import { createChanges, ticketFingerprint } from './changes.js';
import { createDatabaseClock } from './clock.js';
import { clientConfig, createConnections, reasonOf } from './connections.js';
import type { Faults } from './faults.js';
import { createListener } from './listener.js';
import { createNews } from './news.js';
import type { News } from './news.js';
import { COLUMNS, fromRow } from './rows.js';
import { migrate, schemaNames } from './schema.js';
import { DEFAULT_PACE, createUpkeep } from './upkeep.js';
import type { Pace, Upkeep } from './upkeep.js';
import { createSharedCodes } from './used-codes.js';

export interface SharedHoldsOptions {
  /** Of the database. It may hold a password: it is not repeated anywhere. */
  readonly url: string;
  readonly schema: string;
  /** What no other process has, nor this one after a restart. */
  readonly owner: string;
  /** Milliseconds since 1970, on a clock that is not set back. */
  readonly now: () => number;
  /** Calls back once after that many milliseconds. @returns cancels it */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** A mistake in the program, which must not cost anybody a vote. */
  readonly onError: (error: unknown) => void;
  /** The store is away, and why; null: it is back. */
  readonly onProblem: (problem: string | null) => void;
  readonly limits?: Partial<HoldLimits>;
  readonly pace?: Partial<Pace>;
  /** Tests alone have one. */
  readonly faults?: Faults | undefined;
}

export interface SharedHolds extends HoldStore {
  readonly usedCodes: UsedCodes;
  /** Milliseconds since 1970, as the database has it, as well as this process can tell. */
  now(): number;
  /** Write budgets that the processes share. */
  readonly budgets: Budgets;
  /** What is wrong with the store, in words; null: nothing. */
  readonly problem: string | null;
  /** Withdraws what waits in this process. Tickets stay: another process may take them. */
  drain(): Promise<void>;
  /** The same, and ends all connections. */
  close(): Promise<void>;
}

/** How many are withdrawn at once. */
const DRAIN_WIDTH = 4;

/** @throws OperatorError when the store cannot be opened, or is of a later version */
export async function openSharedHolds(options: SharedHoldsOptions): Promise<SharedHolds> {
  const { owner: me, setTimer, onError, onProblem } = options;
  const config = clientConfig(options.url);
  const names = schemaNames(options.schema);
  await migrate(config, names);

  const clock = createDatabaseClock(options.now);
  const connections = createConnections({ config, faults: options.faults });
  // Its listeners are told by way of the upkeep, which is made of it.
  let upkeep: Upkeep | null = null;
  const news: News = createNews(
    me,
    () => {
      upkeep?.arm();
    },
    onError,
  );
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const pace = { ...DEFAULT_PACE, ...options.pace };
  const changes = createChanges({ me, connections, names, limits, clock, news });
  const usedCodes = createSharedCodes(connections, names);
  const keeper = createUpkeep({
    me,
    connections,
    names,
    pace,
    clock,
    news,
    changes,
    usedCodes,
    setTimer,
    onError,
  });
  upkeep = keeper;
  const budgets = createSharedBudgets({
    me,
    connections,
    names,
    clock,
    gapMs: pace.budgetMs,
    pollMs: pace.pollMs,
    setTimer,
    onError,
  });

  function hear(payload: string): void {
    if (budgets.hear(payload)) return;
    const [id = '', revision = ''] = payload.split(' ');
    if (Number(revision) <= news.revision(id)) return;
    changes.refresh(id).catch((error: unknown) => {
      // It is looked at again with everything else.
      if (!(error instanceof HoldStoreUnavailable)) onError(error);
    });
  }

  let away = false;
  const listener = createListener({
    config,
    names,
    me,
    heartbeatMs: pace.heartbeatMs,
    setTimer,
    random: options.random,
    onNotification: hear,
    onUp: () => {
      if (away) onProblem(null);
      away = false;
      keeper.wake();
      budgets.wake();
    },
    onDown: (reason) => {
      if (!away) onProblem(reason);
      away = true;
    },
  });

  async function withdraw(id: string, reason: Withdrawal): ReturnType<HoldStore['withdraw']> {
    try {
      return await changes.change('withdraw', id, (at) => ({ kind: 'withdraw', reason, at }));
    } catch (error) {
      if (error instanceof HoldStoreUnavailable) keeper.withdrawLater(id, reason);
      throw error;
    }
  }

  async function drainOne(id: string): Promise<void> {
    try {
      await withdraw(id, 'drain');
    } catch (error) {
      news.giveUp(id, 'drain', clock.now());
      if (!(error instanceof HoldStoreUnavailable)) onError(error);
    }
  }

  async function drain(): Promise<void> {
    const waiting = [...news.own.values()].filter(({ subject }) => subject.style === 'wait');
    const ids = waiting.map(({ id }) => id).values();
    const worker = async (): Promise<void> => {
      for (const id of ids) await drainOne(id);
    };
    await Promise.all(Array.from({ length: DRAIN_WIDTH }, worker));
  }

  let closing: Promise<void> | null = null;
  async function close(): Promise<void> {
    await drain();
    await keeper.close();
    await budgets.close();
    await listener.close();
    await connections.close();
  }

  try {
    // What is open already is no news.
    const rows = await connections.query(`SELECT ${COLUMNS} FROM ${names.schema}.hold WHERE closing IS NULL`);
    for (const row of rows) news.learn(fromRow(row));
    await budgets.start();
    await listener.start();
  } catch (error) {
    await keeper.close();
    await budgets.close();
    await connections.close();
    throw new OperatorError(`holds.url: the store of holds cannot be opened: ${reasonOf(error)}`);
  }

  return {
    async request(input) {
      const print = ticketFingerprint(input);
      const overdue = print === null ? null : await changes.ticket(print, 'overdue');
      if (overdue !== null) await changes.change('expire', overdue, (at) => ({ kind: 'expire', at }));
      try {
        return await changes.request(input);
      } catch (error) {
        // It may be there all the same, and nobody waits for it.
        const lost = error instanceof HoldStoreUnavailable && error.uncertain;
        if (lost && input.subject.style === 'wait') keeper.withdrawLater(input.id, 'store_gone');
        throw error;
      }
    },
    get: (id) => changes.get(id),
    list: (filter) => changes.list(filter),
    vote: (id, ballot) => changes.change('vote', id, (at) => ({ kind: 'vote', ...ballot, at })),
    withdraw,
    release: (id, fingerprint) =>
      changes.change('release', id, (at) => ({ kind: 'release', fingerprint, at })),
    async claim(fingerprint): Promise<Hold | null> {
      const id = await changes.ticket(fingerprint, 'approved');
      if (id === null) return null;
      const outcome = await changes.change('release', id, (at) => ({ kind: 'release', fingerprint, at }));
      return outcome.kind === 'changed' ? outcome.hold : null;
    },
    subscribe: news.subscribe,
    watch: news.watch,
    unwatch: news.unwatch,
    usedCodes,
    now: () => clock.now(),
    budgets,
    get problem() {
      return listener.problem;
    },
    drain,
    close: () => (closing ??= close()),
  };
}
