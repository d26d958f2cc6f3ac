/** How many sessions there may be, what those beyond are told, and that slots are given back. */
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { startFakeServer, startMiddleman } from '../support/network.js';
import { AUTH_USERS, createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { rawConnection } from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';

let database: TestDatabase;
let one: TestUser;
let two: TestUser;

beforeAll(async () => {
  database = await createDatabase('limits');
  one = await createUser('one', database.name);
  two = await createUser('two', database.name);
});

afterAll(async () => {
  await database.drop();
  await Promise.all([one.drop(), two.drop()]);
});

interface Refused {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly severity: string;
}

async function open(holdfast: TestHoldfast, user: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: holdfast.url(database.name, user, 'x') });
  await client.connect();
  return client;
}

async function refused(holdfast: TestHoldfast, user: string): Promise<Refused> {
  return open(holdfast, user).then(
    () => {
      throw new Error('it was let in');
    },
    (error: unknown) => error as Refused,
  );
}

const HINT = 'Close connections that are not used, or use a connection pool.';

async function withHoldfast(
  policy: string,
  connections: number,
  work: (holdfast: TestHoldfast) => Promise<void>,
  port = database.port,
): Promise<void> {
  const holdfast = await startTestHoldfast({ host: database.host, port }, policy, {
    limits: { connections },
  });
  try {
    await work(holdfast);
  } finally {
    await holdfast.close();
  }
}

describe('of a message', () => {
  test('one that is too large ends the session, and a client that is still sending it hears why', async () => {
    const holdfast = await startTestHoldfast(database, TRANSPARENT_POLICY, {
      limits: { message: 65_536, statement: 1_024 },
    });
    try {
      for (let attempt = 0; attempt < 5; attempt++) {
        const client = await open(holdfast, one.name);
        client.on('error', () => undefined);
        const error: unknown = await client
          .query(`SELECT '${'x'.repeat(8_000_000)}'`)
          .catch((reason: unknown) => reason);
        expect(error).toMatchObject({ code: '08P01', severity: 'FATAL' });
        expect((error as Error).message).toBe(
          'holdfast: message of type Query is 8000014 bytes long; the limit is 65536',
        );
      }
      await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
    } finally {
      await holdfast.close();
    }
  });
});

describe('in all', () => {
  test('the one too many is refused; a slot given back is free', async () => {
    await withHoldfast(TRANSPARENT_POLICY, 2, async (holdfast) => {
      const first = await open(holdfast, one.name);
      const second = await open(holdfast, two.name);
      expect(await refused(holdfast, one.name)).toMatchObject({
        code: '53300',
        severity: 'FATAL',
        message: 'holdfast: too many connections: the limit is 2',
        hint: HINT,
      });
      expect(await metric(holdfast, 'holdfast_sessions')).toBe(2);
      expect(await metric(holdfast, 'holdfast_sessions_refused_total', { reason: 'connections' })).toBe(1);
      // Those who are in are not disturbed.
      expect((await first.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await second.end();
      await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(1);
      const third = await open(holdfast, one.name);
      await Promise.all([first.end(), third.end()]);
    });
  });

  test.skipIf(!inject('postgresAuthUsers'))('failed logins give their slots back', async () => {
    await withHoldfast(TRANSPARENT_POLICY, 1, async (holdfast) => {
      for (let attempt = 0; attempt < 3; attempt++) {
        expect((await refused(holdfast, AUTH_USERS.scram)).code).toBe('28P01');
        await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
      }
      const client = await open(holdfast, one.name);
      await client.end();
    });
  });

  test('connections that say nothing are bounded as well', async () => {
    await withHoldfast(TRANSPARENT_POLICY, 1, async (holdfast) => {
      // 1 session and the 100 that may be greeted at a time.
      const silent = await Promise.all(Array.from({ length: 101 }, () => rawConnection(holdfast.port)));
      const beyond = await rawConnection(holdfast.port);
      expect((await beyond.rest()).length).toBe(0);
      expect(await metric(holdfast, 'holdfast_sessions_refused_total', { reason: 'flood' })).toBe(1);
      for (const { socket } of silent) socket.destroy();
      await expect
        .poll(async () => {
          const client = await open(holdfast, one.name).catch(() => null);
          await client?.end();
          return client !== null;
        })
        .toBe(true);
    });
  });
});

describe('of a role', () => {
  const policy = (limits: string): string => `
version: 1
roles:
  - { name: limited, match: { users: ["one_*"] }, access: read, limits: { ${limits} } }
  - { name: free, access: read }
`;

  test('by number: refused with the role’s name; others come in', async () => {
    await withHoldfast(policy('connections: 1'), 10, async (holdfast) => {
      const first = await open(holdfast, one.name);
      expect(await refused(holdfast, one.name)).toMatchObject({
        code: '53300',
        message: 'holdfast: too many connections for role "limited": the limit is 1',
        hint: HINT,
      });
      const other = await open(holdfast, two.name);
      expect(await metric(holdfast, 'holdfast_sessions', { role: 'limited' })).toBe(1);
      expect(await metric(holdfast, 'holdfast_sessions', { role: 'free' })).toBe(1);
      await first.end();
      await expect.poll(() => metric(holdfast, 'holdfast_sessions', { role: 'limited' })).toBe(0);
      const again = await open(holdfast, one.name);
      await Promise.all([again.end(), other.end()]);
    });
  });

  test('by a share of the server’s max_connections, rounded down', async () => {
    const { rows } = await withClient((client) =>
      client.query<{ n: number }>("SELECT current_setting('max_connections')::int AS n"),
    );
    const max = rows[0]?.n ?? 0;
    // Two and a half connections: two.
    const percent = 250 / max;
    await withHoldfast(policy(`connections_percent: ${String(percent)}`), 100, async (holdfast) => {
      const inside = [await open(holdfast, one.name), await open(holdfast, one.name)];
      expect(await refused(holdfast, one.name)).toMatchObject({
        code: '53300',
        severity: 'FATAL',
        message: `holdfast: too many connections for role "limited": the limit is 2, ${String(percent)} % of the server's ${String(max)}`,
        hint: HINT,
      });
      expect(await metric(holdfast, 'holdfast_sessions_refused_total', { reason: 'role_percent' })).toBe(1);
      await expect.poll(() => metric(holdfast, 'holdfast_sessions', { role: 'limited' })).toBe(2);
      await Promise.all(inside.map((client) => client.end()));
      await expect.poll(() => metric(holdfast, 'holdfast_sessions', { role: 'limited' })).toBe(0);
      const again = await open(holdfast, one.name);
      expect((await again.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await again.end();
    });
  });

  test('a share of less than one connection is one', async () => {
    await withHoldfast(policy('connections_percent: 0.01'), 100, async (holdfast) => {
      const client = await open(holdfast, one.name);
      expect((await refused(holdfast, one.name)).message).toContain('the limit is 1, 0.01 % of the server');
      await client.end();
    });
  });

  test('what the server says around the answer is not lost, even in pieces: settings, notices', async () => {
    const message = (type: string, body: string): Buffer => {
      const head = Buffer.from([type.charCodeAt(0), 0, 0, 0, 0]);
      head.writeInt32BE(4 + body.length, 1);
      return Buffer.concat([head, Buffer.from(body, 'latin1')]);
    };
    const ready = message('Z', 'I');
    const notice = message('N', 'SNOTICE\0VNOTICE\0C00000\0Mmeanwhile\0\0');
    const off = message('S', 'standard_conforming_strings\0off\0');
    const server = await startFakeServer((socket) => {
      socket.once('data', () => {
        socket.write(
          Buffer.concat([
            message('R', '\0\0\0\0'),
            message('S', 'client_encoding\0UTF8\0'),
            message('S', 'standard_conforming_strings\0on\0'),
            ready,
            notice.subarray(0, 9),
          ]),
        );
        socket.once('data', () => {
          socket.write(
            Buffer.concat([
              notice.subarray(9),
              message('D', '\0\x01\0\0\0\x03100'),
              message('C', 'SHOW\0'),
              ready,
              off.subarray(0, 11),
            ]),
          );
          // Asked something else, it goes on where it was.
          socket.once('data', () =>
            socket.write(Buffer.concat([message('E', 'SERROR\0VERROR\0C42601\0Mx\0\0'), ready])),
          );
          setImmediate(() => socket.write(off.subarray(11)));
        });
      });
    });
    try {
      await withHoldfast(
        'version: 1\nroles: [{ name: all, access: admin, limits: { connections_percent: 50 } }]\n',
        10,
        async (holdfast) => {
          const client = await wireLogin({ port: holdfast.port, user: 'anybody', database: 'any' });
          await client.until('ParameterStatus standard_conforming_strings=off');
          expect(client.notices.map((sent) => sent.message)).toContain('meanwhile');
          await client.send(serialize.query('SELECT 1'));
          expect(await client.untilReady()).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
          expect(client.errors[0]?.routine).toBe('holdfast/lexer');
          client.close();
        },
        server.port,
      );
    } finally {
      await server.close();
    }
  });

  test('max_connections is asked once, not for each session', async () => {
    const middleman = await startMiddleman(database);
    try {
      await withHoldfast(
        policy('connections_percent: 50'),
        100,
        async (holdfast) => {
          for (let session = 0; session < 3; session++) {
            const client = await open(holdfast, one.name);
            await client.end();
          }
          const asked = middleman.passages.filter(({ sent }) => sent().includes('SHOW max_connections'));
          expect(asked.length).toBe(1);
        },
        middleman.port,
      );
    } finally {
      await middleman.close();
    }
  });
});
