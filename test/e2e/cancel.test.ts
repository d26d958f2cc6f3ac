/**
 * Cancel requests: they end the statement they were made for, and nothing else.
 * The middleman between Holdfast and the server shows whether a request was
 * passed on, and can delay it.
 */
import { serialize } from 'pg-protocol';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { startMiddleman } from '../support/network.js';
import type { Middleman, Passage } from '../support/network.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { cancelPacket, raw, rawConnection } from '../support/raw.js';
import type { Raw, RawMessage } from '../support/raw.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { connected, startup } from '../support/wire.js';

let database: TestDatabase;
let user: TestUser;
let middleman: Middleman;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('cancel');
  user = await createUser('canceller', database.name);
});

afterAll(async () => {
  await database.drop();
  await user.drop();
});

beforeEach(async () => {
  middleman = await startMiddleman(database);
  holdfast = await startTestHoldfast(middleman, TRANSPARENT_POLICY);
});

afterEach(async () => {
  await holdfast.close();
  await middleman.close();
});

interface Session {
  readonly client: Raw;
  readonly processId: number;
  readonly secret: Buffer;
}

async function open(minor = 0): Promise<Session> {
  const client = raw(await connected(holdfast.port));
  client.write(startup(minor, { user: user.name, database: database.name }));
  const key = (await client.until('Z')).find(({ type }) => type === 'K')?.body ?? Buffer.alloc(4);
  return { client, processId: key.readInt32BE(0), secret: Buffer.from(key.subarray(4)) };
}

/** Starts a statement and waits until the server is at it. */
async function start(session: Session, sql: string): Promise<void> {
  session.client.write(serialize.query(sql));
  await expect
    .poll(() =>
      withClient(async (direct) => {
        const { rows } = await direct.query<{ query: string; state: string }>(
          'SELECT query, state FROM pg_stat_activity WHERE pid = $1',
          [session.processId],
        );
        return rows[0];
      }),
    )
    .toEqual({ query: sql, state: 'active' });
}

/** Sends a CancelRequest and waits for the end of its connection. */
async function cancel(processId: number, secret: Buffer): Promise<void> {
  const connection = await rawConnection(holdfast.port);
  connection.write(cancelPacket(processId, secret));
  expect((await connection.rest()).length).toBe(0);
}

async function results(): Promise<readonly unknown[]> {
  return (await holdfast.records()).filter(({ kind }) => kind === 'cancel').map((record) => record['result']);
}

function sqlstate(messages: readonly RawMessage[]): string | undefined {
  const error = messages.find(({ type }) => type === 'E');
  return error === undefined ? undefined : /\0C([0-9A-Z]{5})\0/.exec(error.body.toString('latin1'))?.[1];
}

describe.each([0, 2])('protocol 3.%i', (minor) => {
  test('the right key ends the statement, and the session goes on', async () => {
    const session = await open(minor);
    await start(session, 'SELECT pg_sleep(60)');
    await cancel(session.processId, session.secret);
    const messages = await session.client.until('Z');
    expect(sqlstate(messages)).toBe('57014');
    expect(messages.at(-1)?.body.toString()).toBe('I');
    session.client.write(serialize.query('SELECT 1'));
    expect((await session.client.until('Z')).map(({ type }) => type).join('')).toBe('TDCZ');
    await expect.poll(results).toEqual(['forwarded']);
    session.client.socket.destroy();
  });

  test('a wrong key, a wrong process id, a key cut short: nothing happens, nothing is passed on', async () => {
    const session = await open(minor);
    await start(session, 'SELECT pg_sleep(0.5)');
    const wrong = Buffer.from(session.secret);
    wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
    await cancel(session.processId, wrong);
    await cancel(session.processId + 1, session.secret);
    await cancel(session.processId, Buffer.concat([session.secret, Buffer.from([0])]));
    await expect.poll(results).toEqual(['unknown_key', 'unknown_key', 'unknown_key']);
    expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
    expect(middleman.passages.length).toBe(1);
    session.client.socket.destroy();
  });
});

test('the client never sees the server’s secret', async () => {
  const session = await open();
  const direct = raw(await connected(database.port));
  // The server knows no session of this id and key, so a cancel past Holdfast does nothing.
  await start(session, 'SELECT pg_sleep(0.3)');
  direct.write(cancelPacket(session.processId, session.secret));
  expect((await direct.rest()).length).toBe(0);
  expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
  session.client.socket.destroy();
});

test('a cancel for a session that is idle, in a transaction or not, is not passed on', async () => {
  const session = await open();
  await cancel(session.processId, session.secret);
  session.client.write(serialize.query('BEGIN'));
  await session.client.until('Z');
  await cancel(session.processId, session.secret);
  session.client.write(serialize.query('SELECT 1'));
  expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
  await expect.poll(results).toEqual(['not_current', 'not_current']);
  expect(middleman.passages.length).toBe(1);
  session.client.socket.destroy();
});

test('a cancel after the session has ended does nothing', async () => {
  const session = await open();
  session.client.write(serialize.end());
  await session.client.rest();
  await cancel(session.processId, session.secret);
  await expect.poll(results).toEqual(['unknown_key']);
});

test('a key is of one session', async () => {
  const [one, two] = [await open(), await open()];
  await start(one, 'SELECT pg_sleep(60)');
  await start(two, 'SELECT pg_sleep(0.4)');
  await cancel(one.processId, two.secret);
  await cancel(one.processId, one.secret);
  expect(sqlstate(await one.client.until('Z'))).toBe('57014');
  expect(sqlstate(await two.client.until('Z'))).toBeUndefined();
  one.client.socket.destroy();
  two.client.socket.destroy();
});

describe('a cancel that comes late never hits the next statement', () => {
  test('delayed before it reached the server: the next statement waits until it has passed', async () => {
    const session = await open();
    // The second connection to the server is the cancel request's.
    middleman.onPassage = (passage, index) => {
      if (index === 1) passage.hold();
    };
    await start(session, 'SELECT pg_sleep(0.3)');
    await cancel(session.processId, session.secret);
    const passage: Passage = await middleman.passage(1);
    await expect.poll(() => passage.sent().length).toBe(16);
    // The statement ends by itself, while its cancel request is under way.
    expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
    const [main] = middleman.passages;
    session.client.write(serialize.query('SELECT pg_sleep(0.3), 2'));
    const seen = new Promise((resolve) => passage.near.once('close', resolve));
    // Enough turns of the event loop for the statement to have reached the server, if it were let through.
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(main?.sent().includes('pg_sleep(0.3), 2')).toBe(false);
    passage.release();
    await seen;
    expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
    session.client.socket.destroy();
  });

  test('the statement over before the connection for it stands: it is not sent', async () => {
    const session = await open();
    await start(session, 'SELECT pg_sleep(0.2)');
    // The cancel's connection is made, but the statement's end is read first.
    const connection = await rawConnection(holdfast.port);
    session.client.write(serialize.query('SELECT 2'));
    expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
    expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
    connection.write(cancelPacket(session.processId, session.secret));
    await connection.rest();
    await expect.poll(results).toEqual(['not_current']);
    session.client.socket.destroy();
  });

  test('a server that does not take the request does not keep the session waiting for ever', async () => {
    await holdfast.close();
    holdfast = await startTestHoldfast(middleman, TRANSPARENT_POLICY, {
      limits: { upstreamConnectTimeout: 200 },
    });
    const session = await open();
    middleman.onPassage = (passage, index) => {
      if (index > 0) passage.hold();
    };
    await start(session, 'SELECT pg_sleep(0.2)');
    await cancel(session.processId, session.secret);
    await session.client.until('Z');
    session.client.write(serialize.query('SELECT 2'));
    expect(sqlstate(await session.client.until('Z'))).toBeUndefined();
    session.client.socket.destroy();
  });
});

describe('with client libraries', () => {
  test('pg', async () => {
    const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, 'x') });
    await client.connect();
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
    const secret = Buffer.alloc(4);
    secret.writeInt32BE(secretKey);
    const running = client.query('SELECT pg_sleep(60)').catch((error: unknown) => error);
    await expect
      .poll(() =>
        withClient(
          async (direct) =>
            (
              await direct.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = $2', [
                processID,
                'active',
              ])
            ).rowCount,
        ),
      )
      .toBe(1);
    await cancel(processID, secret);
    expect(await running).toMatchObject({
      code: '57014',
      message: 'canceling statement due to user request',
    });
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test('postgres', async () => {
    const sql = postgres(holdfast.url(database.name, user.name, 'x'), { max: 1, onnotice: () => undefined });
    await sql`SELECT 1`;
    const query = sql`SELECT pg_sleep(60), 'library'`;
    const ended = query.catch((error: unknown) => error);
    await expect
      .poll(() =>
        withClient(
          async (direct) =>
            (
              await direct.query(
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%library%' AND state = 'active' AND usename = $1",
                [user.name],
              )
            ).rowCount,
        ),
      )
      .toBe(1);
    query.cancel();
    expect(await ended).toMatchObject({ code: '57014' });
    const rows = await sql`SELECT 2 AS two`;
    expect([...rows]).toEqual([{ two: 2 }]);
    await sql.end();
  });
});
