/** Shutting down: what is idle ends, what is under way may finish, what does not is ended, and nobody new comes in. */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { onlyError, raw, rawConnection } from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { startServing } from '../support/serve.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { connected, startup, wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

let database: TestDatabase;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('drain', 'CREATE TABLE t (id int)');
  user = await createUser('drained', database.name);
});

afterAll(async () => {
  await database.drop();
  await user.drop();
});

const query = (sql: string): Buffer => serialize.query(sql);

function start(drainTimeout: number): Promise<TestHoldfast> {
  return startTestHoldfast(database, TRANSPARENT_POLICY, { limits: { drainTimeout } });
}

function login(port: number): Promise<WireClient> {
  return wireLogin({ port, user: user.name, database: database.name });
}

async function ids(): Promise<string> {
  const { rows } = await withClient(
    (direct) => direct.query<{ id: number }>('SELECT id FROM t ORDER BY id'),
    database.name,
  );
  return rows.map(({ id }) => id).join(',');
}

const GOODBYE = {
  severity: 'FATAL',
  code: '57P01',
  message: 'holdfast: terminating connection because Holdfast is shutting down',
  hint: 'Connect again.',
  routine: 'holdfast/shutdown',
};

describe('close()', () => {
  test('ends idle sessions at once, and takes no new connection', async () => {
    const holdfast = await start(10_000);
    const idle = await login(holdfast.port);
    const used = await login(holdfast.port);
    await used.send(query('SELECT 1'));
    await used.untilReady();
    const closing = holdfast.close();
    expect(await idle.untilClosed()).toEqual(['ErrorResponse 57P01']);
    expect(idle.errors).toMatchObject([GOODBYE]);
    expect(await used.untilClosed()).toEqual(['ErrorResponse 57P01']);
    await expect(connected(holdfast.port)).rejects.toThrow('ECONNREFUSED');
    await closing;
  });

  test('lets a transaction finish, and its client sees that it did', async () => {
    const holdfast = await start(10_000);
    const client = await login(holdfast.port);
    await client.send(query('BEGIN; INSERT INTO t VALUES (1)'));
    await client.untilReady();
    const closing = holdfast.close();
    await client.send(query('INSERT INTO t VALUES (2)'));
    expect(await client.untilReady()).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery T']);
    await client.send(query('COMMIT'));
    expect(await client.untilClosed()).toEqual([
      'CommandComplete COMMIT',
      'ReadyForQuery I',
      'ErrorResponse 57P01',
    ]);
    await closing;
    expect(await ids()).toBe('1,2');
    await withClient((direct) => direct.query('TRUNCATE t'), database.name);
  });

  test('lets a statement finish: its whole answer comes before the goodbye', async () => {
    const holdfast = await start(10_000);
    const client = await login(holdfast.port);
    await client.send(query('SELECT n FROM pg_sleep(0.2), generate_series(1, 3) n'));
    await expect.poll(() => metric(holdfast, 'holdfast_decisions_total')).toBe(1);
    const closing = holdfast.close();
    expect(await client.untilClosed()).toEqual([
      'RowDescription',
      'DataRow 1',
      'DataRow 2',
      'DataRow 3',
      'CommandComplete SELECT 3',
      'ReadyForQuery I',
      'ErrorResponse 57P01',
    ]);
    await closing;
  });

  test('lets a pipeline finish', async () => {
    const holdfast = await start(10_000);
    const client = await login(holdfast.port);
    const one = Buffer.concat([
      serialize.parse({ text: 'SELECT 1 FROM pg_sleep(0.1)' }),
      serialize.bind(),
      serialize.execute(),
      serialize.sync(),
    ]);
    await client.send(Buffer.concat([one, one]));
    await expect.poll(() => metric(holdfast, 'holdfast_decisions_total')).toBe(4);
    const closing = holdfast.close();
    const lines = await client.untilClosed();
    expect(lines.filter((line) => line === 'DataRow 1').length).toBe(2);
    expect(lines.slice(-2)).toEqual(['ReadyForQuery I', 'ErrorResponse 57P01']);
    await closing;
  });

  test('ends what takes longer than limits.drain_timeout; the server rolls it back', async () => {
    const holdfast = await start(150);
    const open = await login(holdfast.port);
    await open.send(query('BEGIN; INSERT INTO t VALUES (3)'));
    await open.untilReady();
    const busy = await login(holdfast.port);
    await busy.send(query('SELECT pg_sleep(2)'));
    await expect.poll(() => metric(holdfast, 'holdfast_decisions_total', { operation: 'select' })).toBe(1);
    const started = performance.now();
    await holdfast.close();
    expect(performance.now() - started).toBeLessThan(1_500);
    expect(await open.untilClosed()).toEqual(['ErrorResponse 57P01']);
    expect(await busy.untilClosed()).toEqual(['ErrorResponse 57P01']);
    expect(open.errors).toMatchObject([GOODBYE]);
    expect(await ids()).toBe('');
  });

  test('a client that is connected but has not said who it is gets 57P03', async () => {
    const holdfast = await start(10_000);
    const holding = await login(holdfast.port);
    await holding.send(query('BEGIN'));
    await holding.untilReady();
    const late = await rawConnection(holdfast.port);
    // Once its first request is answered, Holdfast has the connection for sure.
    late.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
    expect((await late.bytes(1)).toString()).toBe('N');
    const closing = holdfast.close();
    late.write(startup(0, { user: user.name, database: database.name }));
    expect(onlyError(await late.rest())).toMatchObject({
      S: 'FATAL',
      C: '57P03',
      M: 'holdfast: Holdfast is shutting down',
    });
    await holding.send(query('ROLLBACK'));
    await holding.untilClosed();
    await closing;
  });

  test('a login under way gets through to its goodbye', async () => {
    const holdfast = await start(10_000);
    const client = raw(await connected(holdfast.port));
    client.write(startup(0, { user: 'scram_user', database: database.name }));
    expect((await client.message()).type).toBe('R');
    const closing = holdfast.close();
    client.socket.destroy();
    await closing;
  });
});

describe('holdfast serve', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s: drains and exits 0', async (signal) => {
    const serving = await startServing(database, TRANSPARENT_POLICY);
    try {
      const idle = await login(serving.port);
      const client = await login(serving.port);
      await client.send(query('BEGIN'));
      await client.untilReady();
      serving.signal(signal);
      expect(await idle.untilClosed()).toEqual(['ErrorResponse 57P01']);
      await client.send(query('COMMIT'));
      expect((await client.untilClosed()).at(-1)).toBe('ErrorResponse 57P01');
      expect(await serving.exited).toBe(0);
      await serving.logged('stopped');
    } finally {
      await serving.dispose();
    }
  });

  test('a connection that says nothing does not hold up the exit', async () => {
    const serving = await startServing(database, TRANSPARENT_POLICY, 'startup_timeout: 60s');
    try {
      const silent = await rawConnection(serving.port);
      silent.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
      await silent.bytes(1);
      serving.signal('SIGTERM');
      await serving.logged('stopped');
      expect(await serving.exited).toBe(0);
      await silent.rest();
    } finally {
      await serving.dispose();
    }
  });

  test('a second signal ends it at once, with status 1', async () => {
    const serving = await startServing(database, TRANSPARENT_POLICY, 'drain_timeout: 60s');
    try {
      const client = await login(serving.port);
      await client.send(query('BEGIN'));
      await client.untilReady();
      serving.signal('SIGTERM');
      await serving.logged('draining');
      serving.signal('SIGTERM');
      expect(await serving.exited).toBe(1);
    } finally {
      await serving.dispose();
    }
  });
});
