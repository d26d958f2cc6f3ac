/** Clients that leave without a word, do not read, or send garbage: their session ends, and nobody else notices. */
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { startMiddleman } from '../support/network.js';
import type { Middleman } from '../support/network.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { SSL_REQUEST, rawConnection } from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { connected, startup, wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

let database: TestDatabase;
let user: TestUser;
let middleman: Middleman;
let holdfast: TestHoldfast;
let bystander: WireClient;

beforeAll(async () => {
  database = await createDatabase('clients', 'CREATE TABLE t (id int, v text)');
  user = await createUser('leaving', database.name);
  middleman = await startMiddleman(database);
  holdfast = await startTestHoldfast(middleman, TRANSPARENT_POLICY);
  bystander = await login();
});

afterAll(async () => {
  bystander.close();
  await holdfast.close();
  await middleman.close();
  await database.drop();
  await user.drop();
});

const query = (sql: string): Buffer => serialize.query(sql);

function login(): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: database.name });
}

async function bystanderWorks(): Promise<void> {
  await bystander.send(query('SELECT 1'));
  expect(await bystander.untilReady()).toContain('DataRow 1');
}

/** Waits until the session is gone at Holdfast, and its connection to the server closed. */
async function gone(passage: number): Promise<void> {
  await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(1);
  await expect.poll(() => middleman.passages[passage]?.near.destroyed).toBe(true);
  await bystanderWorks();
}

describe('a client that leaves', () => {
  test('by a reset in the middle of a statement', async () => {
    const index = middleman.passages.length;
    const client = await login();
    await client.send(query('SELECT pg_sleep(1)'));
    await expect.poll(() => middleman.passages[index]?.sent().includes('pg_sleep')).toBe(true);
    client.socket.resetAndDestroy();
    await gone(index);
    await expect
      .poll(
        async () =>
          (await holdfast.records()).filter(({ kind }) => kind === 'session_close').at(-1)?.['reason'],
      )
      .toMatch(/^client_(error|closed)/);
  });

  test('by closing in the middle of a result', async () => {
    const index = middleman.passages.length;
    const client = await login();
    await client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"));
    await client.until('DataRow');
    client.close();
    await gone(index);
  });

  test('by closing in the middle of COPY FROM STDIN: nothing of it stays', async () => {
    const index = middleman.passages.length;
    const client = await login();
    await client.send(query('COPY t FROM STDIN'));
    await client.until('CopyInResponse');
    await client.send(serialize.copyData(Buffer.from('1\tone\n'.repeat(1000))));
    await expect.poll(() => middleman.passages[index]?.sent().includes('one')).toBe(true);
    client.close();
    await gone(index);
    const { rows } = await withClient(
      (direct) => direct.query('SELECT count(*)::int AS n FROM t'),
      database.name,
    );
    expect(rows).toEqual([{ n: 0 }]);
  });

  test('by closing in a transaction: it is rolled back', async () => {
    const index = middleman.passages.length;
    const client = await login();
    await client.send(query('BEGIN; INSERT INTO t VALUES (1)'));
    await client.untilReady();
    client.close();
    await gone(index);
    const { rows } = await withClient(
      (direct) => direct.query('SELECT count(*)::int AS n FROM t'),
      database.name,
    );
    expect(rows).toEqual([{ n: 0 }]);
  });

  test('by closing its sending side only: what it asked before is still answered', async () => {
    const index = middleman.passages.length;
    const client = await rawConnection(holdfast.port);
    client.write(startup(0, { user: user.name, database: database.name }));
    await client.until('Z');
    client.socket.end(Buffer.concat([query('SELECT pg_sleep(0.1)'), query('SELECT 42')]));
    const rest = await client.rest();
    expect(rest.toString('latin1')).toContain('42');
    expect(rest.subarray(-6)).toEqual(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]));
    await gone(index);
  });

  test('by Terminate, with a statement before it', async () => {
    const index = middleman.passages.length;
    const client = await login();
    await client.send(Buffer.concat([query('INSERT INTO t VALUES (7)'), serialize.end()]));
    expect(await client.untilClosed()).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery I']);
    await gone(index);
    const { rows } = await withClient((direct) => direct.query('DELETE FROM t RETURNING id'), database.name);
    expect(rows).toEqual([{ id: 7 }]);
    await expect
      .poll(async () => (await holdfast.records()).filter(({ kind }) => kind === 'session_close').at(-1))
      .toMatchObject({ reason: 'client_terminated', sqlstate: null, decisions: 1 });
  });
});

test('a client that does not read makes Holdfast store little, and gets everything when it reads on', async () => {
  const index = middleman.passages.length;
  const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, 'x') });
  await client.connect();
  const { stream } = (client as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection;
  const passage = middleman.passages[index];
  const running = client.query("SELECT repeat('x', 1000) AS v FROM generate_series(1, 30000)");
  stream.pause();
  await expect.poll(() => passage?.near.writableLength).toBeGreaterThan(0);
  let last = -1;
  // The middleman's buffer grows no further once Holdfast has stopped reading.
  await expect
    .poll(() => {
      const written = passage?.near.bytesWritten ?? 0;
      const still = written === last;
      last = written;
      return still;
    })
    .toBe(true);
  expect((passage?.near.bytesWritten ?? 0) - (passage?.near.writableLength ?? 0)).toBeLessThan(20_000_000);
  await bystanderWorks();
  stream.resume();
  const { rows } = await running;
  expect(rows.length).toBe(30_000);
  await client.end();
  await gone(index);
});

/** A small generator of numbers, so that a failing case can be repeated. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 0x1_0000_0000;
  };
}

describe('garbage', () => {
  const CASES = 2_000;
  const AT_ONCE = 25;
  const TYPES = 'QPBEDCHSXFdcfp!\0\xff';

  function garbage(next: () => number): Buffer {
    const pick = (count: number): number => Math.floor(next() * count);
    const noise = Buffer.from(Array.from({ length: pick(200) }, () => pick(256)));
    const valid = [
      startup(0, { user: user.name, database: database.name }),
      SSL_REQUEST,
      query('SELECT 1'),
      serialize.parse({ text: 'SELECT $1::int' }),
      serialize.bind({ values: ['1'] }),
      serialize.execute(),
      serialize.sync(),
      serialize.copyData(noise),
    ];
    const one = valid[pick(valid.length)] ?? noise;
    switch (pick(6)) {
      case 0:
        return noise;
      case 1: {
        // A good message with a bit changed.
        const bytes = Buffer.from(one);
        const at = pick(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
        return bytes;
      }
      case 2:
        return one.subarray(0, pick(one.length));
      case 3: {
        // Any type with any length.
        const head = Buffer.from([TYPES.charCodeAt(pick(TYPES.length)), 0, 0, 0, 0]);
        head.writeUInt32BE([0, 3, 4, 5, 10_001, 0x7fff_ffff, 0xffff_ffff][pick(7)] ?? 0, 1);
        return Buffer.concat([head, noise]);
      }
      case 4:
        return Buffer.concat([one, noise]);
      default:
        return Buffer.concat(Array.from({ length: 1 + pick(5) }, () => valid[pick(valid.length)] ?? noise));
    }
  }

  /** Sends garbage, behind a login or not, and leaves in one of several ways. */
  async function attack(seed: number): Promise<void> {
    const next = numbers(seed);
    const socket = await connected(holdfast.port);
    const closed = new Promise<void>((resolve) => {
      socket.on('close', () => {
        resolve();
      });
    });
    socket.on('error', () => undefined);
    if (next() < 0.4) {
      let seen: Buffer = Buffer.alloc(0);
      const ready = new Promise<void>((resolve) => {
        socket.on('data', (bytes: Buffer) => {
          seen = Buffer.concat([seen, bytes]);
          if (seen.includes(Buffer.from([0x5a, 0, 0, 0, 5]))) resolve();
        });
        socket.once('close', resolve);
      });
      socket.write(startup(0, { user: user.name, database: database.name }));
      await ready;
    }
    socket.resume();
    for (let part = 0; part < 1 + Math.floor(next() * 3); part++) socket.write(garbage(next));
    if (next() < 0.7) socket.end();
    else socket.resetAndDestroy();
    // A session that was left in the middle of a message is ended by its end.
    await closed;
  }

  test(`${String(CASES)} kinds of it: another session’s queries all succeed, and nothing is left behind`, async () => {
    expect(await metric(holdfast, 'holdfast_sessions')).toBe(1);
    const attacks = { over: false };
    let answered = 0;
    const honest = (async () => {
      const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, 'x') });
      await client.connect();
      while (!attacks.over) {
        const { rows } = await client.query('SELECT $1::int AS n', [answered]);
        expect(rows).toEqual([{ n: answered }]);
        answered += 1;
      }
      await client.end();
    })();
    const seeds = Array.from({ length: CASES }, (_, index) => index + 1);
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let seed = seeds.pop(); seed !== undefined; seed = seeds.pop()) await attack(seed);
      }),
    );
    attacks.over = true;
    await honest;
    expect(answered).toBeGreaterThan(CASES / 50);
    await expect.poll(() => metric(holdfast, 'holdfast_sessions'), { timeout: 5_000 }).toBe(1);
    await bystanderWorks();
    // The bystander's two ends, and this test's own connections to the admin port come and go.
    await expect
      .poll(() => middleman.passages.filter(({ near }) => !near.destroyed).length, { timeout: 5_000 })
      .toBe(1);
    const { rows } = await withClient((direct) =>
      direct.query('SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = $1', [user.name]),
    );
    expect(rows).toEqual([{ n: 1 }]);
  }, 30_000);
});
