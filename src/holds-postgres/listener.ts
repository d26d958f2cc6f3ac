/**
 * The connection on which this process hears of changes, and by which the others
 * know that it lives: it listens, keeps an advisory lock of the process's own and
 * renews its row. When it breaks it is made anew.
 *
 * Law: it decides nothing. Notifications may be lost while it is away, so whoever
 * uses it looks at everything again when it is back.
 */
import pg from 'pg';
import { reasonOf, runQuery } from './connections.js';
import { NOW } from './changes.js';
import { tooNew, versionQuery } from './schema.js';
import type { SchemaNames } from './schema.js';

export interface ListenerOptions {
  readonly config: pg.ClientConfig;
  readonly names: SchemaNames;
  readonly me: string;
  /** Between two signs of life, milliseconds. */
  readonly heartbeatMs: number;
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly onNotification: (payload: string) => void;
  /** It listens; also after it was away. */
  readonly onUp: () => void;
  /** It was lost, or could not be made again. */
  readonly onDown: (reason: string) => void;
}

export interface Listener {
  /** What is wrong, in words; null: it listens. */
  readonly problem: string | null;
  /** The first connection. @throws when it cannot be made */
  start(): Promise<void>;
  close(): Promise<void>;
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2_000;

export function createListener(options: ListenerOptions): Listener {
  const { config, names, me, heartbeatMs, setTimer, random, onNotification, onUp, onDown } = options;
  const { schema, channel, lockClass } = names;
  let problem: string | null = 'not connected yet';
  let current: pg.Client | null = null;
  /** Of this process's row and lock; null until it has one. */
  let number: number | null = null;
  let locked = false;
  let retries = 0;
  let closed = false;
  let stopTimer: () => void = () => undefined;

  /** Renews the row and takes the lock, where a connection that is not quite dead does not have it still. */
  async function beat(client: pg.Client): Promise<void> {
    const query = runQuery(client);
    const rows = await query<{ number: number }>(
      number === null
        ? `INSERT INTO ${schema}.process (owner, seen_at) VALUES ($1, ${NOW}) RETURNING number`
        : `INSERT INTO ${schema}.process (owner, seen_at, number) OVERRIDING SYSTEM VALUE VALUES ($1, ${NOW}, ${number.toString()})
           ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at RETURNING number`,
      [me],
    );
    number = rows[0]?.number ?? number;
    if (!locked) {
      const [row] = await query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS taken', [
        lockClass,
        number,
      ]);
      locked = row?.taken === true;
    }
    const [row] = await query<{ version: number }>(versionQuery(schema));
    const later = tooNew(row?.version ?? 0);
    if (later !== null) throw new Error(later);
  }

  async function connect(): Promise<void> {
    const client = new pg.Client(config);
    const lost = (reason: string): void => {
      if (current === client) down(reason);
    };
    client.on('error', (error) => {
      lost(reasonOf(error));
    });
    client.on('end', () => {
      lost('the connection ended');
    });
    client.on('notification', ({ payload }) => {
      onNotification(payload ?? '');
    });
    try {
      await client.connect();
      locked = false;
      await client.query(`LISTEN ${channel}`);
      await beat(client);
    } catch (error) {
      void client.end().catch(() => undefined);
      throw error;
    }
    if (closed) {
      void client.end().catch(() => undefined);
      return;
    }
    current = client;
    problem = null;
    retries = 0;
    stopTimer = setTimer(() => {
      keepAlive(client);
    }, heartbeatMs);
    onUp();
  }

  function keepAlive(client: pg.Client): void {
    beat(client).then(
      () => {
        if (current !== client) return;
        stopTimer = setTimer(() => {
          keepAlive(client);
        }, heartbeatMs);
      },
      (error: unknown) => {
        if (current === client) down(reasonOf(error));
      },
    );
  }

  function down(reason: string): void {
    const client = current;
    current = null;
    // One that gives no answer is not asked to end.
    if (client !== null) void client.end().catch(() => undefined);
    if (closed) return;
    problem = reason;
    onDown(reason);
    retry();
  }

  function retry(): void {
    const delay = Math.min(FIRST_RETRY_MS * 2 ** Math.min(retries, 10), LAST_RETRY_MS);
    retries += 1;
    stopTimer();
    // Processes that have lost the same server do not come back in step.
    stopTimer = setTimer(
      () => {
        connect().catch((error: unknown) => {
          if (closed) return;
          problem = reasonOf(error);
          onDown(problem);
          retry();
        });
      },
      delay * (0.5 + random() / 2),
    );
  }

  return {
    get problem() {
      return problem;
    },
    start: connect,
    async close() {
      closed = true;
      stopTimer();
      const client = current;
      current = null;
      if (client === null) return;
      try {
        await client.query(`DELETE FROM ${schema}.process WHERE owner = $1`, [me]);
      } catch {
        // Others will see that its lock is gone.
      }
      await client.end().catch(() => undefined);
    },
  };
}
