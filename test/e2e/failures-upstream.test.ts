/** The server, or the way to it, fails: what clients are told, what is recorded, and that others are not touched. */
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { closedPort, startFakeServer, startMiddleman } from '../support/network.js';
import type { Middleman } from '../support/network.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { onlyError, rawConnection } from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { startup, wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

let database: TestDatabase;
let user: TestUser;
let middleman: Middleman;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('failures', 'CREATE TABLE t (id int)');
  user = await createUser('failing', database.name);
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

function login(): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: database.name });
}

const query = (sql: string): Buffer => serialize.query(sql);

async function working(client: WireClient): Promise<void> {
  await client.send(query('SELECT 1'));
  expect(await client.untilReady()).toContain('DataRow 1');
}

async function lastClose(): Promise<Readonly<Record<string, unknown>>> {
  const found = (await holdfast.records()).filter(({ kind }) => kind === 'session_close').at(-1);
  return found ?? {};
}

const UNKNOWN =
  'holdfast: the server closed the connection; whether a statement that was running took effect is not known';

test('nobody listens: 08001 with the address, and it is counted and recorded', async () => {
  const port = await closedPort();
  const down = await startTestHoldfast({ host: '127.0.0.1', port }, TRANSPARENT_POLICY);
  try {
    const error: unknown = await new pg.Client({ connectionString: down.url(database.name, user.name, 'x') })
      .connect()
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: '08001',
      severity: 'FATAL',
      message: `holdfast: cannot reach the server at 127.0.0.1:${String(port)}: ECONNREFUSED`,
      hint: 'The database server itself cannot be reached; Holdfast is running.',
    });
    expect(await metric(down, 'holdfast_upstream_errors_total', { reason: 'refused' })).toBe(1);
    await expect.poll(() => metric(down, 'holdfast_sessions')).toBe(0);
    await expect
      .poll(async () => (await down.records()).map(({ kind, sqlstate }) => [kind, sqlstate]))
      .toContainEqual(['session_close', '08001']);
    const ready = await fetch(`http://127.0.0.1:${String(down.adminPort)}/readyz`);
    expect(ready.status).toBe(503);
  } finally {
    await down.close();
  }
});

describe('pg_terminate_backend', () => {
  async function terminate(client: WireClient): Promise<void> {
    await withClient((direct) => direct.query('SELECT pg_terminate_backend($1)', [client.key?.processId]));
  }

  test('in the middle of a statement: the server’s own goodbye is passed on', async () => {
    const client = await login();
    const other = await login();
    await client.send(query('SELECT pg_sleep(60)'));
    await expect.poll(() => middleman.passages[0]?.sent().includes('pg_sleep')).toBe(true);
    await terminate(client);
    const lines = await client.untilClosed();
    expect(lines.at(-1)).toBe('ErrorResponse 57P01');
    expect(client.errors).toMatchObject([
      { severity: 'FATAL', message: 'terminating connection due to administrator command' },
    ]);
    expect(await metric(holdfast, 'holdfast_upstream_errors_total', { reason: 'terminated' })).toBe(1);
    await expect.poll(lastClose).toMatchObject({ reason: 'upstream_terminated' });
    await working(other);
    other.close();
  });

  test('while idle', async () => {
    const client = await login();
    await terminate(client);
    expect(await client.untilClosed()).toEqual(['ErrorResponse 57P01']);
    await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
  });
});

describe('the connection to the server breaks', () => {
  test.each<[string, (index: number) => void]>([
    ['by a reset', (index) => middleman.passages[index]?.cut()],
    ['by an end', (index) => middleman.passages[index]?.near.end()],
  ])('%s, in the middle of a statement: FATAL 57P01, nothing is repeated', async (_name, cut) => {
    const other = await login();
    const client = await login();
    await client.send(query('INSERT INTO t SELECT 1 FROM pg_sleep(60)'));
    await expect.poll(() => middleman.passages[1]?.sent().includes('pg_sleep')).toBe(true);
    cut(1);
    const lines = await client.untilClosed();
    expect(lines).toEqual(['ErrorResponse 57P01']);
    expect(client.errors).toMatchObject([
      {
        severity: 'FATAL',
        message: UNKNOWN,
        hint: 'Connect again. Nothing is repeated by Holdfast.',
        routine: 'holdfast/upstream',
      },
    ]);
    expect(await metric(holdfast, 'holdfast_upstream_errors_total', { reason: 'closed' })).toBe(1);
    await expect.poll(lastClose).toMatchObject({ sqlstate: '57P01', decisions: 1, reason: UNKNOWN });
    await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(1);
    await working(other);
    expect(middleman.passages.length).toBe(2);
    other.close();
  });

  test('while idle: the client hears it at once', async () => {
    const client = await login();
    middleman.passages[0]?.cut();
    expect(await client.untilClosed()).toEqual(['ErrorResponse 57P01']);
  });

  test('during the login: FATAL, and the slot is given back', async () => {
    const client = await rawConnection(holdfast.port);
    client.write(startup(0, { user: 'scram_user', database: database.name }));
    expect((await client.message()).type).toBe('R');
    middleman.passages[0]?.cut();
    expect(onlyError(await client.rest())).toMatchObject({ C: '57P01', S: 'FATAL' });
    await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
  });

  test('with pg: an error of the query, then of the client', async () => {
    const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, 'x') });
    const ended = new Promise<void>((resolve) => {
      client.on('end', () => {
        resolve();
      });
    });
    client.on('error', () => undefined);
    await client.connect();
    const running = client.query('SELECT pg_sleep(60)').catch((error: unknown) => error);
    await expect.poll(() => middleman.passages[0]?.sent().includes('pg_sleep')).toBe(true);
    middleman.passages[0]?.cut();
    expect(await running).toMatchObject({ code: '57P01', message: UNKNOWN });
    await ended;
  });
});

const OK = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.from([type.charCodeAt(0), 0, 0, 0, 0]);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

const STATUS = Buffer.concat([
  message('S', Buffer.from('client_encoding\0UTF8\0')),
  message('S', Buffer.from('standard_conforming_strings\0on\0')),
]);

/** Talks with a server that logs anybody in and answers the first statement with `answer`, then hangs up. */
async function answered(answer: Buffer): Promise<Buffer> {
  const server = await startFakeServer((socket) => {
    socket.once('data', () => {
      socket.write(Buffer.concat([OK, STATUS, READY]));
      socket.once('data', () => socket.end(answer));
    });
  });
  const fooled = await startTestHoldfast(server, TRANSPARENT_POLICY);
  try {
    const client = await rawConnection(fooled.port);
    client.write(startup(0, { user: 'anybody', database: 'any' }));
    await client.until('Z');
    client.write(query('SELECT 1'));
    const rest = await client.rest();
    await expect.poll(() => metric(fooled, 'holdfast_sessions')).toBe(0);
    return rest;
  } finally {
    await fooled.close();
    await server.close();
  }
}

describe('a server that breaks the protocol', () => {
  test('gone in the middle of a row: the client gets what came, and no error in the middle of it', async () => {
    const half = message('D', Buffer.from('\0\x01\0\0\0\x04abcd', 'latin1')).subarray(0, 12);
    expect(await answered(half)).toEqual(half);
  });

  test.each<[string, Buffer, RegExp]>([
    ['a type that does not exist', message('?', Buffer.alloc(4)), /invalid message from the server: type 63/],
    ['a length below four', Buffer.from([0x44, 0, 0, 0, 3]), /invalid message from the server/],
    [
      'a reply that nobody asked for',
      message('1', Buffer.alloc(0)),
      /unexpected ParseComplete from the server/,
    ],
    ['an authentication in mid-session', OK, /unexpected Authentication from the server/],
    ['a status that does not exist', message('Z', Buffer.from('X')), /ReadyForQuery|status/],
  ])('%s: the session ends with 08P01', async (_name, answer, words) => {
    const error = onlyError(await answered(answer));
    expect(error).toMatchObject({ S: 'FATAL', C: '08P01' });
    expect(error['M']).toMatch(words);
  });

  test('what came before it still reaches the client', async () => {
    const complete = message('C', Buffer.from('SELECT 0\0'));
    const rest = await answered(Buffer.concat([complete, OK]));
    expect(rest.subarray(0, complete.length)).toEqual(complete);
    expect(onlyError(rest.subarray(complete.length))).toMatchObject({ C: '08P01' });
  });

  test.each([
    ['another protocol', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['a reply before the login', message('C', Buffer.from('SELECT 1\0')).toString('latin1')],
    ['ready without a login', READY.toString('latin1')],
  ])('%s at login: the login fails with 08P01', async (_name, bytes) => {
    const server = await startFakeServer((socket) => {
      socket.once('data', () => socket.write(Buffer.from(bytes, 'latin1')));
    });
    const fooled = await startTestHoldfast(server, TRANSPARENT_POLICY);
    try {
      const client = await rawConnection(fooled.port);
      client.write(startup(0, { user: 'anybody', database: 'any' }));
      expect(onlyError(await client.rest())).toMatchObject({ S: 'FATAL', C: '08P01' });
    } finally {
      await fooled.close();
      await server.close();
    }
  });
});
