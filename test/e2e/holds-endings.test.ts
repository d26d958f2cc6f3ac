/**
 * Holds that end before anybody decided: time, the client, the server, a shutdown
 * or another policy ends them. Nothing of what was held may have run.
 */
import { open } from 'node:fs/promises';
import { serialize } from 'pg-protocol';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { answers, followHolds, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldPolicy, HoldsGround } from '../support/holds.js';
import { startTestHoldfast } from '../support/holdfast.js';
import { cancelPacket, rawConnection } from '../support/raw.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

const POLICY = holdPolicy();

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('holds_end', POLICY);
  await ground.rows("INSERT INTO guarded (id, v) VALUES (1, 'one')");
});

afterEach(() => {
  ground.hangUp();
});

afterAll(async () => {
  // Whatever a test did: nothing that was not approved has run.
  expect(await ground.rows("SELECT id, v FROM guarded WHERE v <> 'approved'")).toBe('1,one');
  await ground.close();
});

const query = (sql: string): Buffer => serialize.query(sql);
const TRUNCATE = query('TRUNCATE guarded');
const EXTENDED = Buffer.concat([
  serialize.parse({ text: 'DELETE FROM guarded WHERE id = $1' }),
  serialize.bind({ values: ['1'] }),
  serialize.execute(),
  serialize.sync(),
]);

async function ask(client: WireClient, ...parts: readonly Buffer[]): Promise<readonly string[]> {
  await client.send(Buffer.concat(parts));
  return answers(await client.untilReady());
}

/** The same session goes on. */
async function alive(client: WireClient): Promise<void> {
  expect(await ask(client, query('SELECT 7'))).toEqual([
    'RowDescription',
    'DataRow 7',
    'CommandComplete SELECT 1',
    'ReadyForQuery I',
  ]);
}

/** Its session on the server is over. */
async function gone(processId: number): Promise<void> {
  await expect
    .poll(() => ground.rows(`SELECT count(*) FROM pg_stat_activity WHERE pid = ${processId.toString()}`))
    .toBe('0');
}

async function cancel(processId: number, secretKey: number): Promise<void> {
  const secret = Buffer.alloc(4);
  secret.writeInt32BE(secretKey);
  const connection = await rawConnection(ground.holdfast.port);
  connection.write(cancelPacket(processId, secret));
  expect((await connection.rest()).length).toBe(0);
}

/** Another Holdfast before the same database, under another policy, for one test. */
async function withHoldfast<T>(
  policy: HoldPolicy,
  work: (other: {
    readonly login: () => Promise<WireClient>;
    readonly approvals: HoldsGround['approvals'];
    readonly holdfast: HoldsGround['holdfast'];
  }) => Promise<T>,
  drainTimeout = 200,
): Promise<T> {
  const { database, user } = ground;
  const holdfast = await startTestHoldfast(database, holdPolicy(policy), { limits: { drainTimeout } });
  const approvals = await followHolds(holdfast);
  try {
    return await work({
      holdfast,
      approvals,
      login: () => wireLogin({ port: holdfast.port, user: user.name, database: database.name }),
    });
  } finally {
    await approvals.close();
    await holdfast.close();
  }
}

describe('time', () => {
  test('nobody decides: 57014, and the session goes on; a vote that comes late does nothing', async () => {
    await withHoldfast({ timeout: '150ms' }, async ({ login, approvals }) => {
      const client = await login();
      for (const bytes of [TRUNCATE, EXTENDED]) {
        await client.send(bytes);
        const hold = await approvals.next();
        expect(answers(await client.untilReady()).slice(-2)).toEqual([
          'ErrorResponse 57014',
          'ReadyForQuery I',
        ]);
        expect(client.errors.at(-1)?.message).toMatch(/^holdfast: .*expired/);
        await approvals.entered(hold.id, 'expired');
        expect(await approvals.vote('approve', hold.id)).toMatchObject({ status: 409, code: 'closed' });
        await alive(client);
      }
      client.close();
    });
  });

  test('in a transaction block the shorter time counts, and the block has failed', async () => {
    await withHoldfast({ timeout: '60s', inTransactionTimeout: '150ms' }, async ({ login, approvals }) => {
      const client = await login();
      await ask(client, query('BEGIN'));
      await client.send(TRUNCATE);
      const hold = await approvals.next();
      expect(answers(await client.untilReady())).toEqual(['ErrorResponse 57014', 'ReadyForQuery E']);
      await approvals.entered(hold.id, 'expired');
      expect(await ask(client, query('COMMIT'))).toEqual(['CommandComplete ROLLBACK', 'ReadyForQuery I']);
      await alive(client);
      client.close();
    });
  });

  test('one approval of two is not enough when the time is over', async () => {
    await withHoldfast({ timeout: '300ms', approvals: 2 }, async ({ login, approvals }) => {
      const client = await login();
      await client.send(TRUNCATE);
      const hold = await approvals.next();
      await approvals.approve(hold.id);
      expect(answers(await client.untilReady())).toEqual(['ErrorResponse 57014', 'ReadyForQuery I']);
      expect((await approvals.entered(hold.id, 'expired')).approvals).toEqual({ needed: 2, given: 1 });
      client.close();
    });
  });
});

describe('a cancel request withdraws the hold', () => {
  test.each([
    { protocol: 'simple', bytes: TRUNCATE, before: [] },
    { protocol: 'extended', bytes: EXTENDED, before: ['ParseComplete', 'BindComplete'] },
  ])('$protocol protocol: 57014, and the session goes on', async ({ bytes, before }) => {
    const client = await ground.login();
    await client.send(bytes);
    const hold = await ground.approvals.next();
    await cancel(client.key?.processId ?? 0, client.key?.secretKey ?? 0);
    expect(answers(await client.untilReady())).toEqual([...before, 'ErrorResponse 57014', 'ReadyForQuery I']);
    expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('client_cancel');
    expect(await ground.approvals.vote('approve', hold.id)).toMatchObject({ status: 409, code: 'closed' });
    await alive(client);
    client.close();
  });

  test('in a transaction block it fails the block, as a cancelled statement does', async () => {
    const client = await ground.login();
    await ask(client, query('BEGIN'));
    await client.send(TRUNCATE);
    const hold = await ground.approvals.next();
    await cancel(client.key?.processId ?? 0, client.key?.secretKey ?? 0);
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 57014', 'ReadyForQuery E']);
    await ground.approvals.entered(hold.id, 'withdrawn');
    expect(await ask(client, query('ROLLBACK'))).toEqual(['CommandComplete ROLLBACK', 'ReadyForQuery I']);
    client.close();
  });

  test('what was sent behind it is not cancelled with it', async () => {
    const client = await ground.login();
    await client.send(Buffer.concat([TRUNCATE, query('SELECT 7')]));
    const hold = await ground.approvals.next();
    await cancel(client.key?.processId ?? 0, client.key?.secretKey ?? 0);
    expect(answers(await client.untilReady(2))).toEqual([
      'ErrorResponse 57014',
      'ReadyForQuery I',
      'RowDescription',
      'DataRow 7',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
    ]);
    await ground.approvals.entered(hold.id, 'withdrawn');
    client.close();
  });

  test('a wrong key does not', async () => {
    const client = await ground.login();
    await client.send(query("UPDATE guarded SET v = 'approved' WHERE id = 2"));
    const hold = await ground.approvals.next('UPDATE');
    await cancel(client.key?.processId ?? 0, (client.key?.secretKey ?? 0) ^ 1);
    expect((await ground.approvals.show(hold.id)).state).toBe('requested');
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toEqual(['CommandComplete UPDATE 0', 'ReadyForQuery I']);
    client.close();
  });

  test('node-postgres’s own', async () => {
    const client = new pg.Client({ connectionString: ground.url });
    await client.connect();
    const ended = client.query('DELETE FROM guarded WHERE id = $1', [1]).catch((error: unknown) => error);
    const hold = await ground.approvals.next('DELETE');
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
    await cancel(processID, secretKey);
    expect(await ended).toMatchObject({ code: '57014', severity: 'ERROR' });
    await ground.approvals.entered(hold.id, 'withdrawn');
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test('postgres.js’s own', async () => {
    const sql = postgres(ground.url, { max: 1, onnotice: () => undefined });
    const pending = sql`DELETE FROM guarded WHERE id = ${1}`;
    const ended = pending.catch((error: unknown) => error);
    const hold = await ground.approvals.next('DELETE');
    pending.cancel();
    expect(await ended).toMatchObject({ code: '57014' });
    expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('client_cancel');
    expect([...(await sql`SELECT 2 AS two`)]).toEqual([{ two: 2 }]);
    await sql.end();
  });
});

describe('the client goes away', () => {
  test.each([
    ['its connection is reset', (client: WireClient) => client.socket.resetAndDestroy()],
    ['its connection is closed', (client: WireClient) => client.socket.destroy()],
    ['it says no more', (client: WireClient) => client.socket.end()],
    ['it says goodbye', (client: WireClient) => client.socket.end(serialize.end())],
  ])('%s: withdrawn, and the session on the server ends', async (_how, leave) => {
    for (const [bytes, before] of [
      [TRUNCATE, null],
      [EXTENDED, query('BEGIN')],
    ] as const) {
      const client = await ground.login();
      if (before !== null) await ask(client, before);
      await client.send(bytes);
      const hold = await ground.approvals.next();
      leave(client);
      expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('client_gone');
      expect(await ground.approvals.vote('approve', hold.id)).toMatchObject({ status: 409, code: 'closed' });
      await gone(client.key?.processId ?? 0);
      client.close();
    }
  });
});

test('the client goes away with more sent behind the held statement: withdrawn as well, and none of that runs', async () => {
  const client = await ground.login();
  const behind = query("INSERT INTO plain VALUES (1, 'behind')");
  await client.send(Buffer.concat([TRUNCATE, ...Array.from({ length: 10 }, () => behind)]));
  const hold = await ground.approvals.next();
  client.socket.destroy();
  expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('client_gone');
  await gone(client.key?.processId ?? 0);
  expect(await ground.rows('SELECT count(*) FROM plain')).toBe('0');
});

test('the client goes away with megabytes sent behind: noticed with the next reminder at the latest', async () => {
  const real = globalThis.setTimeout;
  const hurried = vi
    .spyOn(globalThis, 'setTimeout')
    .mockImplementation((callback: () => void, ms?: number) => real(callback, ms === 30_000 ? 50 : ms));
  try {
    const client = await ground.login();
    const behind = query(`INSERT INTO plain VALUES (1, '${'x'.repeat(1_000)}')`);
    await client.send(Buffer.concat([TRUNCATE, ...Array.from({ length: 8_000 }, () => behind)]));
    const hold = await ground.approvals.next();
    client.socket.destroy();
    expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('client_gone');
    await gone(client.key?.processId ?? 0);
    expect(await ground.rows('SELECT count(*) FROM plain')).toBe('0');
  } finally {
    hurried.mockRestore();
  }
});

describe('the server goes away', () => {
  test('its session is terminated: the client is told and hung up on, the hold is withdrawn', async () => {
    const client = await ground.login();
    await client.send(TRUNCATE);
    const hold = await ground.approvals.next();
    await ground.rows(`SELECT pg_terminate_backend(${String(client.key?.processId)})`);
    expect(answers(await client.untilClosed())).toEqual(['ErrorResponse 57P01']);
    expect(client.errors.at(-1)?.severity).toBe('FATAL');
    expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('server_gone');
    expect(await ground.approvals.vote('approve', hold.id)).toMatchObject({ status: 409, code: 'closed' });
    client.close();
  });

  test('idle_in_transaction_session_timeout while it waits: likewise', async () => {
    const client = await ground.login();
    await ask(client, query('SET idle_in_transaction_session_timeout = 400'));
    await ask(client, query('BEGIN'));
    await client.send(TRUNCATE);
    const hold = await ground.approvals.next();
    expect(answers(await client.untilClosed())).toEqual(['ErrorResponse 25P03']);
    expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('server_gone');
    client.close();
  });
});

test('a shutdown withdraws what waits, and says goodbye', async () => {
  await withHoldfast({}, async ({ login, holdfast, approvals }) => {
    const client = await login();
    await client.send(TRUNCATE);
    const { id } = await approvals.next();
    await approvals.close();
    const auditLog = await readable(holdfast);
    await holdfast.close();
    const lines = answers(await client.untilClosed());
    expect(lines.at(-1)).toBe('ErrorResponse 57P01');
    expect(lines.slice(0, -1).every((line) => /^(ErrorResponse 57014|ReadyForQuery I)$/.test(line))).toBe(
      true,
    );
    const records = await auditLog();
    expect(records.filter(({ kind, hold }) => kind === 'hold' && hold === id).at(-1)).toMatchObject({
      state: 'withdrawn',
      withdrawal: 'drain',
    });
    client.close();
  });
});

describe('the policy file changes while a statement waits', () => {
  afterEach(async () => {
    await ground.holdfast.setPolicy(POLICY);
  });

  test.each([
    ['under which it would be refused', holdPolicy({ rules: { truncate: 'deny' } })],
    ['under which it would be held as well', `${POLICY}# with a comment\n`],
  ])(
    'a policy %s: the hold is withdrawn, since what was asked for is not judged by it',
    async (_what, text) => {
      const client = await ground.login();
      await client.send(TRUNCATE);
      const hold = await ground.approvals.next();
      await ground.holdfast.setPolicy(text);
      expect(answers(await client.untilReady())).toEqual(['ErrorResponse 57014', 'ReadyForQuery I']);
      expect(client.errors[0]?.message).toContain('policy');
      expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('policy');
      expect(await ground.approvals.vote('approve', hold.id)).toMatchObject({ status: 409, code: 'closed' });
      await alive(client);
      client.close();
    },
  );

  test('a policy that only observes: withdrawn; from then on nothing is held', async () => {
    const client = await ground.login();
    await client.send(TRUNCATE);
    const hold = await ground.approvals.next();
    await ground.holdfast.setPolicy(POLICY.replace('version: 1', 'version: 1\nmode: observe'));
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 57014', 'ReadyForQuery I']);
    await ground.approvals.entered(hold.id, 'withdrawn');
    expect(await ask(client, query("UPDATE guarded SET v = 'one' WHERE id = 1"))).toEqual([
      'CommandComplete UPDATE 1',
      'ReadyForQuery I',
    ]);
    expect(await ground.approvals.open()).toEqual([]);
  });

  test.each([
    ['is written again as it was', POLICY],
    ['is broken', 'version: 1\nroles:\n  - nmae: engineers\n'],
  ])('it %s: the statement goes on waiting, and its approval counts', async (_what, text) => {
    const client = await ground.login();
    await client.send(
      query('INSERT INTO guarded (id, v) SELECT coalesce(max(id), 0) + 1, $$approved$$ FROM guarded'),
    );
    const hold = await ground.approvals.next('INSERT');
    await ground.holdfast.setPolicy(text);
    expect((await ground.approvals.show(hold.id)).state).toBe('requested');
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery I']);
    client.close();
  });

  test('somebody is no approver any more: their token is refused from then on', async () => {
    await ground.holdfast.setPolicy(holdPolicy({ people: [{ name: 'max' }] }));
    const client = await ground.login();
    await client.send(TRUNCATE);
    const hold = await ground.approvals.next();
    expect((await ground.approvals.open('max')).map(({ id }) => id)).toEqual([hold.id]);
    await ground.holdfast.setPolicy(POLICY);
    expect(await ground.approvals.vote('approve', hold.id, { as: 'max' })).toMatchObject({ status: 401 });
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 57014', 'ReadyForQuery I']);
    client.close();
  });
});

/** The audit log of a Holdfast whose close() removes it: kept open, so that it can still be read. */
async function readable(
  holdfast: HoldsGround['holdfast'],
): Promise<() => ReturnType<typeof holdfast.records>> {
  const file = await open(holdfast.auditFile);
  return async () => {
    const text = (await file.readFile()).toString('utf8');
    await file.close();
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { readonly kind: string });
  };
}
