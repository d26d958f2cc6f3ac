/**
 * Connections to the database that keeps the holds, and transactions on them.
 *
 * Law: nothing waits without an end, on either side. What fails is said in words
 * that name no password. A transaction whose COMMIT was sent and not answered has
 * an outcome that is not known, and says so: it is never taken for done.
 */
import pg from 'pg';
import { OperatorError } from '../errors.js';
import { HoldStoreUnavailable } from '../holds/store.js';
import type { ChangeKind, Faults } from './faults.js';

/** How long each may take, milliseconds. */
const CONNECT_MS = 3_000;
const QUERY_MS = 5_000;
/** The server ends what a process that stands still would keep locked. */
const IDLE_IN_TRANSACTION_MS = 5_000;
const LOCK_MS = 3_000;
const KEEPALIVE_MS = 10_000;
/** Beside the one that listens. */
const POOL_SIZE = 4;
/** Connections of the pool may all have gone without its notice. */
const BEGIN_ATTEMPTS = POOL_SIZE + 1;

/** @throws OperatorError when no client can be made of the URL */
export function clientConfig(url: string): pg.ClientConfig {
  const config: pg.ClientConfig = {
    connectionString: url,
    application_name: 'holdfast',
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
    statement_timeout: QUERY_MS,
    lock_timeout: LOCK_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
  };
  try {
    // Files that it names are read here.
    new pg.Client(config);
  } catch (error) {
    const file = error instanceof Error && 'path' in error ? String(error.path) : null;
    throw new OperatorError(
      file === null ? 'holds.url cannot be read as a URL' : `holds.url: ${file} cannot be read`,
    );
  }
  return config;
}

/** Runs one statement. @throws HoldStoreUnavailable */
export type Query = <Row extends pg.QueryResultRow>(
  text: string,
  values?: readonly unknown[],
) => Promise<Row[]>;

/** What a transaction ends with. */
export interface Outcome<T> {
  /** false: it has changed nothing. */
  readonly changed: boolean;
  readonly value: T;
}

export interface Connections {
  readonly query: Query;
  /**
   * Runs `work` in a transaction; its statements one after the other.
   * @throws HoldStoreUnavailable; with `uncertain` when it may have been committed
   */
  transaction<T>(kind: ChangeKind, work: (query: Query) => Promise<Outcome<T>>): Promise<T>;
  close(): Promise<void>;
}

export interface ConnectionsOptions {
  readonly config: pg.ClientConfig;
  readonly faults: Faults | undefined;
}

export function createConnections({ config, faults }: ConnectionsOptions): Connections {
  const pool = new pg.Pool({ ...config, max: POOL_SIZE, allowExitOnIdle: true });
  // One that breaks while nobody uses it leaves the pool; the next statement gets another.
  pool.on('error', () => undefined);
  // Nor may one that breaks while it is used, between two statements, end the process: the next statement fails.
  pool.on('connect', (client) => client.on('error', () => undefined));

  async function connect(): Promise<pg.PoolClient> {
    try {
      return await pool.connect();
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** A connection on which a transaction has begun: the first that answers. */
  async function begin(): Promise<pg.PoolClient> {
    for (let attempt = 1; ; attempt++) {
      const client = await connect();
      try {
        await client.query('BEGIN');
        return client;
      } catch (error) {
        client.release(true);
        if (attempt === BEGIN_ATTEMPTS || !isLoss(error)) throw unavailable(error);
      }
    }
  }

  async function commit(client: pg.PoolClient, kind: ChangeKind): Promise<void> {
    let command: string;
    try {
      await faults?.(`before ${kind}`);
    } catch (error) {
      throw unavailable(error);
    }
    try {
      ({ command } = await client.query('COMMIT'));
      await faults?.(`after ${kind}`);
    } catch (error) {
      throw unavailable(error, !refusedByServer(error));
    }
    // COMMIT of a transaction that had failed is answered ROLLBACK.
    if (command !== 'COMMIT') throw unavailable(new Error('the transaction was rolled back'));
  }

  return {
    query: async (text, values) => {
      // What comes this way may be done twice: it is tried again on another connection when its own had gone.
      for (let attempt = 1; ; attempt++) {
        const client = await connect();
        try {
          const result = await runQuery(client)(text, values);
          client.release();
          return result as never;
        } catch (error) {
          client.release(true);
          const cause = error instanceof HoldStoreUnavailable ? error.cause : error;
          if (attempt === BEGIN_ATTEMPTS || !isLoss(cause)) throw error;
        }
      }
    },
    async transaction(kind, work) {
      const client = await begin();
      let usable = false;
      try {
        const { changed, value } = await work(runQuery(client));
        if (changed) await commit(client, kind);
        else await client.query('ROLLBACK');
        usable = true;
        return value;
      } finally {
        // What was not brought to an end ends with its connection.
        client.release(!usable);
      }
    },
    close: () => pool.end(),
  };
}

/** Statements of one client, with errors in the store's words. */
export function runQuery(client: pg.ClientBase): Query {
  return async <Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]> => {
    try {
      const { rows } = await client.query<Row>(text, values === undefined ? undefined : [...values]);
      return rows;
    } catch (error) {
      throw unavailable(error);
    }
  };
}

/** The server has answered that it did not do it: an ERROR, after which the session goes on. */
function refusedByServer(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.severity === 'ERROR';
}

/** The connection has gone: another one may be better. One that gives no answer is no reason to wait for the next. */
function isLoss(error: unknown): boolean {
  return !refusedByServer(error) && error instanceof Error && !/timeout/i.test(error.message);
}

function unavailable(error: unknown, uncertain = false): HoldStoreUnavailable {
  return new HoldStoreUnavailable(reasonOf(error), { uncertain, cause: error });
}

/** Why it failed. What a server says is passed on: it never repeats a password. */
export function reasonOf(error: unknown): string {
  // Of a name with several addresses each has failed; the first one's reason will do.
  const cause: unknown = error instanceof AggregateError ? (error.errors as unknown[])[0] : error;
  if (cause instanceof HoldStoreUnavailable) return reasonOf(cause.cause);
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/password must be a (non-empty )?string/.test(message)) return 'the server wants a password';
  return message;
}
