/**
 * Write budgets that several processes share: what each has spent is in the store's
 * schema, and each knows of the others what it needs to say at once how much is spent.
 *
 * Law: what is asked is answered from memory, at once; what is spent here is written a
 * moment later, and learnt by the others a moment after that. A process writes its own
 * rows alone, and whole figures instead of increments, so that nothing is wrong after it
 * was done twice. Only a reset touches the rows of all. While the store is away each
 * process counts for itself, with what it knew of the others: a budget is a brake, and
 * a store that is gone must stop nobody's writes.
 */
import { HoldStoreUnavailable } from '../holds/store.js';
import { createWriteBudgets } from '../impact/budget.js';
import type { BucketSpent, BudgetKey, BudgetOwner } from '../impact/budget.js';
import type { Budgets } from '../impact/budgets.js';
import { NOW } from './changes.js';
import type { DatabaseClock } from './clock.js';
import type { Connections } from './connections.js';
import type { SchemaNames } from './schema.js';
import { createTurns } from './turns.js';

export interface SharedBudgetsOptions {
  readonly me: string;
  readonly connections: Connections;
  readonly names: SchemaNames;
  readonly clock: DatabaseClock;
  /** The shortest time between two exchanges, milliseconds. */
  readonly gapMs: number;
  /** Between two looks, should a notification be lost. */
  readonly pollMs: number;
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  readonly onError: (error: unknown) => void;
}

export interface SharedBudgets extends Budgets {
  /** Learns what the others have spent. @throws HoldStoreUnavailable */
  start(): Promise<void>;
  /** Takes a notification of the store; false: it is about something else. */
  hear(payload: string): boolean;
  /** Looks soon; the store may be back. */
  wake(): void;
  /** Writes what is not written yet, and ends. */
  close(): Promise<void>;
}

/** Begins the payload of NOTIFY about budgets: no id of a hold begins like that. */
const MARK = '!';
/** What waits to be written while the store is away, at most; the oldest goes first. */
const MOST_PENDING = 50_000;
/** Rows are removed when nobody's clock can take them for valid. */
const KEEP_SPENT_MS = 60_000;
/** The longest window is less than this. */
const KEEP_RESETS_MS = 30 * 86_400_000;
const BUCKETS = 60;

interface Pending extends BucketSpent {
  readonly key: BudgetKey;
}

export function createSharedBudgets(options: SharedBudgetsOptions): SharedBudgets {
  const { me, connections, names, clock, gapMs, pollMs, setTimer, onError } = options;
  const { schema, channel } = names;
  const { query } = connections;
  const pending = new Map<string, Pending>();
  const turns = createTurns();
  /** Rows changed by transactions before this one are known. */
  let known = '0';
  /** The resets that were seen last: owner → the transaction that made it. */
  let applied: ReadonlyMap<string, string> = new Map();
  let stopTimer: (() => void) | null = null;
  let stopPoll: () => void = () => undefined;
  let lastLook = 0;
  let looking = false;
  let again = false;
  let away = false;
  let closed = false;

  const counts = createWriteBudgets(undefined, (key, of) => {
    const name = JSON.stringify([key.role, key.user, key.windowMs, of.bucket]);
    pending.set(name, { key, ...of });
    const [oldest] = pending.keys();
    if (pending.size > MOST_PENDING && oldest !== undefined) pending.delete(oldest);
    if (!away) soon();
  });

  /** Looks as soon as the last look is long enough ago. */
  function soon(): void {
    if (closed || stopTimer !== null) return;
    const delay = Math.max(0, lastLook + gapMs - clock.local());
    stopTimer = setTimer(() => {
      stopTimer = null;
      look(false);
    }, delay);
  }

  /** One at a time; whoever asks meanwhile has another one behind it. */
  function look(tidy: boolean): void {
    if (looking) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    lastLook = clock.local();
    turns
      .run('', async () => {
        await exchange();
        if (tidy) await removeOld();
      })
      .then(
        () => {
          away = false;
        },
        (error: unknown) => {
          // The listener says that the store is away, once.
          if (!(error instanceof HoldStoreUnavailable)) onError(error);
          away = true;
        },
      )
      .finally(() => {
        looking = false;
        if (again && !away) soon();
      });
  }

  function poll(): void {
    stopPoll = setTimer(() => {
      look(true);
      poll();
    }, pollMs);
  }

  async function exchange(): Promise<void> {
    const asked = clock.local();
    // Read before the rows: what is committed in between is read now and once more.
    const [row] = await query<{ now: string; xmin: string }>(
      `SELECT ${NOW} AS now, pg_snapshot_xmin(pg_current_snapshot())::text AS xmin`,
    );
    clock.learn(Number(row?.now), asked);
    await applyResets();
    await publish();
    await learn();
    known = row?.xmin ?? known;
  }

  async function applyResets(): Promise<void> {
    const resets = await query<{ role: string; user: string; changed: string }>(
      `SELECT role, db_user AS user, changed::text FROM ${schema}.budget_reset WHERE changed >= $1::xid8`,
      [known],
    );
    const fresh = resets.filter((reset) => applied.get(ownerName(reset)) !== reset.changed);
    for (const of of fresh) forget(of);
    // What was written before this process knew of the reset counts no more either.
    if (fresh.length > 0) await dropOwn(fresh);
    applied = new Map(resets.map((reset) => [ownerName(reset), reset.changed]));
  }

  function forget(of: BudgetOwner): void {
    counts.reset(of);
    for (const [name, { key }] of pending) {
      if (key.role === of.role && key.user === of.user) pending.delete(name);
    }
  }

  async function dropOwn(owners: readonly BudgetOwner[]): Promise<void> {
    await query(
      `UPDATE ${schema}.budget SET rows = 0, statements = 0, changed = pg_current_xact_id()
       WHERE owner = $2 AND (role, db_user) IN (
         SELECT role, "user" FROM json_to_recordset($1) AS o (role text, "user" text))`,
      [JSON.stringify(owners.map(({ role, user }) => ({ role, user }))), me],
    );
  }

  async function publish(): Promise<void> {
    const batch = [...pending];
    if (batch.length === 0) return;
    const sent = batch.map(([, { key, bucket, rows, statements }]) => ({
      role: key.role,
      db_user: key.user,
      window_ms: key.windowMs,
      bucket,
      rows,
      statements,
      // A sixtieth more than the window: the oldest counts in full.
      expires_at: Math.ceil(((bucket + BUCKETS + 1) * key.windowMs) / BUCKETS),
    }));
    await query(
      `WITH written AS (
         INSERT INTO ${schema}.budget (role, db_user, window_ms, bucket, owner, rows, statements, expires_at, changed)
         SELECT role, db_user, window_ms, bucket, $2, rows, statements, expires_at, pg_current_xact_id()
         FROM json_to_recordset($1) AS s (role text, db_user text, window_ms bigint, bucket bigint,
                                          rows bigint, statements bigint, expires_at bigint)
         ON CONFLICT (role, db_user, window_ms, bucket, owner) DO UPDATE
           SET rows = excluded.rows, statements = excluded.statements, changed = excluded.changed)
       SELECT pg_notify($3, $4)`,
      [JSON.stringify(sent), me, channel.slice(1, -1), `${MARK}${me}`],
    );
    for (const [name, of] of batch) if (pending.get(name) === of) pending.delete(name);
  }

  /** Of every bucket in which anybody else has changed something, what all others have spent. */
  async function learn(): Promise<void> {
    const rows = await query<Record<'window' | 'bucket' | 'rows' | 'statements' | 'role' | 'user', string>>(
      `SELECT role, db_user AS user, window_ms AS window, bucket, sum(rows) AS rows, sum(statements) AS statements
       FROM ${schema}.budget
       WHERE owner <> $1 AND expires_at > ${NOW} AND (role, db_user, window_ms, bucket) IN (
         SELECT role, db_user, window_ms, bucket FROM ${schema}.budget WHERE owner <> $1 AND changed >= $2::xid8)
       GROUP BY role, db_user, window_ms, bucket ORDER BY bucket`,
      [me, known],
    );
    const at = clock.now();
    for (const { role, user, window, bucket, rows: changed, statements } of rows) {
      const key = { role, user, windowMs: Number(window) };
      const of = { bucket: Number(bucket), rows: Number(changed), statements: Number(statements) };
      counts.learn(key, of, at);
    }
  }

  async function removeOld(): Promise<void> {
    await query(`DELETE FROM ${schema}.budget WHERE expires_at < ${NOW} - ${KEEP_SPENT_MS.toString()}`);
    await query(`DELETE FROM ${schema}.budget_reset WHERE reset_at < ${NOW} - ${KEEP_RESETS_MS.toString()}`);
  }

  return {
    counts,
    now: () => clock.now(),
    async start() {
      await turns.run('', exchange);
      poll();
    },
    hear(payload) {
      if (!payload.startsWith(MARK)) return false;
      if (payload !== `${MARK}${me}`) soon();
      return true;
    },
    wake() {
      away = false;
      soon();
    },
    reset: (of) =>
      turns.run('', async () => {
        // It may be done twice, should the connection be lost.
        await query(
          `WITH reset AS (
             INSERT INTO ${schema}.budget_reset (role, db_user, reset_at, changed)
             VALUES ($1, $2, ${NOW}, pg_current_xact_id())
             ON CONFLICT (role, db_user) DO UPDATE SET reset_at = excluded.reset_at, changed = excluded.changed
           ), dropped AS (
             UPDATE ${schema}.budget SET rows = 0, statements = 0, changed = pg_current_xact_id()
             WHERE role = $1 AND db_user = $2
           )
           SELECT pg_notify($3, $4)`,
          [of.role, of.user, channel.slice(1, -1), `${MARK}${me}`],
        );
        forget(of);
        // So that it is not taken for another one with the next look.
        await applyResets();
      }),
    async close() {
      if (closed) return;
      closed = true;
      stopPoll();
      stopTimer?.();
      // What cannot be written now is lost to the others.
      if (!away) await turns.run('', exchange).catch(() => undefined);
    },
  };
}

function ownerName({ role, user }: BudgetOwner): string {
  return JSON.stringify([role, user]);
}
