/**
 * A held statement on the wire: what a client gets while it waits and afterwards,
 * alone, in transaction blocks and in copies. The answers must be those that
 * PostgreSQL itself would give, in their order.
 */
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { withClient } from '../support/postgres.js';
import type { WireClient } from '../support/wire.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('holds_wire', holdPolicy());
});

afterEach(() => {
  ground.hangUp();
});

afterAll(async () => {
  await ground.close();
});

beforeEach(async () => {
  await withClient(
    (client) =>
      client.query("TRUNCATE guarded, plain; INSERT INTO guarded (id, v) VALUES (1, 'one'), (2, 'two')"),
    ground.database.name,
  );
});

const query = (sql: string): Buffer => serialize.query(sql);
const parse = (text: string, name = ''): Buffer => serialize.parse({ name, text });
const bind = (values: readonly (string | null)[] = [], statement = '', portal = ''): Buffer =>
  serialize.bind({ statement, portal, values: [...values] });
const execute = (portal = ''): Buffer => serialize.execute({ portal });
const sync = (): Buffer => serialize.sync();
const copyData = (text: string): Buffer => serialize.copyData(Buffer.from(text));
const run = (sql: string, values: readonly (string | null)[] = []): Buffer =>
  Buffer.concat([parse(sql), bind(values), execute()]);

async function ask(client: WireClient, ...parts: readonly Buffer[]): Promise<readonly string[]> {
  await client.send(Buffer.concat(parts));
  return answers(await client.untilReady());
}

const RAN = ['ParseComplete', 'BindComplete'];
const guarded = (): Promise<string> => ground.rows('SELECT id, v FROM guarded ORDER BY id');

describe('what the client is told', () => {
  test('at once: which hold, why, who can approve it, until when', async () => {
    const client = await ground.login();
    const before = Date.now();
    await client.send(query('TRUNCATE guarded'));
    await client.until('NoticeResponse');
    const hold = await ground.approvals.next();
    const notice = client.notices.find(({ routine }) => routine === 'holdfast/hold');
    expect(notice).toMatchObject({ severity: 'NOTICE', code: '00000' });
    const text = `${notice?.message ?? ''}\n${notice?.detail ?? ''}\n${notice?.hint ?? ''}`;
    expect(notice?.message).toMatch(/^holdfast: /);
    expect(text).toContain(hold.id);
    expect(text).toContain('TRUNCATE');
    expect(text).toContain('1 approval is needed, from any of dana, kim, lee (dba).');
    const until = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/.exec(text)?.[0] ?? '';
    expect(Math.abs(Date.parse(until) - Date.parse(hold.expires_at))).toBeLessThanOrEqual(1_000);
    expect(Date.parse(hold.expires_at) - before).toBeGreaterThan(55_000);
    expect(await guarded()).toBe('1,one 2,two');
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toEqual(['CommandComplete TRUNCATE TABLE', 'ReadyForQuery I']);
    expect(await guarded()).toBe('');
    client.close();
  });

  test('again every 30 seconds, until it is decided', async () => {
    const real = globalThis.setTimeout;
    const hurried = vi
      .spyOn(globalThis, 'setTimeout')
      .mockImplementation((callback: () => void, ms?: number) => real(callback, ms === 30_000 ? 5 : ms));
    try {
      const client = await ground.login();
      await client.send(query('TRUNCATE guarded'));
      const hold = await ground.approvals.next();
      for (let heard = 0; heard < 3; heard++) await client.until('NoticeResponse');
      expect(client.notices.at(-1)).toMatchObject({ severity: 'NOTICE', routine: 'holdfast/hold' });
      expect(client.notices.at(-1)?.message).toContain(`hold ${hold.id} still waits`);
      expect(client.notices.at(-1)?.message).toContain(hold.expires_at.slice(0, 19));
      await ground.approvals.deny(hold.id);
      await client.untilReady();
      const said = client.notices.length;
      await ask(client, query('SELECT pg_sleep(0.05)'));
      expect(client.notices.length).toBe(said);
      client.close();
    } finally {
      hurried.mockRestore();
    }
  });

  test('denied: 42501 with who and why', async () => {
    const client = await ground.login();
    await client.send(query('TRUNCATE guarded'));
    const hold = await ground.approvals.next();
    await ground.approvals.deny(hold.id, { as: 'kim', reason: 'not on a Friday' });
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    const error = client.errors[0];
    expect(error?.severity).toBe('ERROR');
    expect(error?.message).toMatch(/^holdfast: /);
    const text = `${error?.message ?? ''}\n${error?.detail ?? ''}\n${error?.hint ?? ''}`;
    expect(text).toContain('kim');
    expect(text).toContain('not on a Friday');
    expect(text).toContain(hold.id);
    expect(await ask(client, query('SELECT count(*) FROM guarded'))).toContain('DataRow 2');
    client.close();
  });

  test.each([
    ['a NUL', 'first\u0000second', /first/],
    ['an escape sequence and lines of its own', 'no\u001b[2J\nERROR:  all is well', /no/],
    ['letters of all kinds', 'nicht löschen ✋', /nicht löschen ✋/],
  ])('a reason with %s reaches the client as words', async (_what, reason, expected) => {
    const client = await ground.login();
    await client.send(query('TRUNCATE guarded'));
    const hold = await ground.approvals.next();
    await ground.approvals.deny(hold.id, { reason });
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    const error = client.errors[0];
    const text = `${error?.message ?? ''} ${error?.detail ?? ''}`;
    expect(text).toMatch(expected);
    expect(text).not.toContain('\u001b');
    expect(text.split('\n').some((line) => line.startsWith('ERROR:'))).toBe(false);
    expect(await ask(client, query('SELECT 7'))).toEqual([
      'RowDescription',
      'DataRow 7',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
    ]);
    client.close();
  });
});

describe('simple protocol', () => {
  test('what is sent behind a held statement waits, and is answered in its order', async () => {
    const client = await ground.login();
    await client.send(
      Buffer.concat([
        query("INSERT INTO plain VALUES (1, 'before')"),
        query("UPDATE guarded SET v = 'held' WHERE id = 1"),
        query('SELECT v FROM guarded WHERE id = 1'),
        query("INSERT INTO plain VALUES (2, 'behind')"),
      ]),
    );
    expect(answers(await client.untilReady())).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery I']);
    const hold = await ground.approvals.next('UPDATE');
    expect(await ground.rows('SELECT v FROM plain')).toBe('before');
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady(3))).toEqual([
      'CommandComplete UPDATE 1',
      'ReadyForQuery I',
      'RowDescription',
      'DataRow held',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
      'CommandComplete INSERT 0 1',
      'ReadyForQuery I',
    ]);
    client.close();
  });

  test('a string of several statements is held as a whole, and shown as a whole', async () => {
    const text = "INSERT INTO plain VALUES (3, 'three'); TRUNCATE guarded; SELECT 9";
    const client = await ground.login();
    await client.send(query(text));
    const hold = await ground.approvals.next();
    expect((await ground.approvals.show(hold.id)).sql).toBe(text);
    expect(hold.operations).toEqual(['insert', 'truncate', 'select']);
    expect(await ground.rows('SELECT id FROM plain')).toBe('');
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toEqual([
      'CommandComplete INSERT 0 1',
      'CommandComplete TRUNCATE TABLE',
      'RowDescription',
      'DataRow 9',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
    ]);
    client.close();
  });

  test('approved, but the server says no: its error reaches the client', async () => {
    const client = await ground.login();
    await client.send(query("INSERT INTO guarded (id, v) VALUES (1, 'again')"));
    await ground.approvals.approve((await ground.approvals.next()).id);
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 23505', 'ReadyForQuery I']);
    client.close();
  });
});

describe('in a transaction block', () => {
  async function block(...first: readonly string[]): Promise<WireClient> {
    const client = await ground.login();
    for (const sql of ['BEGIN', ...first]) await ask(client, query(sql));
    return client;
  }

  test('it waits the shorter time, and approvers see that it does', async () => {
    const client = await block("INSERT INTO plain VALUES (1, 'same transaction')");
    await client.send(query('TRUNCATE guarded'));
    const hold = await ground.approvals.next();
    expect(hold.in_transaction).toBe(true);
    expect(Date.parse(hold.expires_at) - Date.parse(hold.requested_at)).toBe(20_000);
    const { transaction } = await ground.approvals.show(hold.id);
    expect(transaction?.statements).toBeGreaterThanOrEqual(1);
    expect(Date.parse(transaction?.since ?? '')).toBeLessThanOrEqual(Date.parse(hold.requested_at));
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toEqual(['CommandComplete TRUNCATE TABLE', 'ReadyForQuery T']);
    expect(await ground.rows('SELECT v FROM plain')).toBe('');
    expect(await ask(client, query('COMMIT'))).toEqual(['CommandComplete COMMIT', 'ReadyForQuery I']);
    expect(await ground.rows('SELECT v FROM plain')).toBe('same transaction');
    expect(await guarded()).toBe('');
    client.close();
  });

  test.each([
    { protocol: 'simple', bytes: query('TRUNCATE guarded'), before: [] },
    { protocol: 'extended', bytes: Buffer.concat([run('TRUNCATE guarded'), sync()]), before: RAN },
  ])('denied, $protocol: the block has failed; ROLLBACK ends it', async ({ bytes, before }) => {
    const client = await block("INSERT INTO plain VALUES (1, 'gone')");
    await client.send(bytes);
    await ground.approvals.deny((await ground.approvals.next()).id);
    expect(answers(await client.untilReady())).toEqual([...before, 'ErrorResponse 42501', 'ReadyForQuery E']);
    expect(await ask(client, query('SELECT 1'))).toEqual(['ErrorResponse 25P02', 'ReadyForQuery E']);
    expect(await ask(client, query('ROLLBACK'))).toEqual(['CommandComplete ROLLBACK', 'ReadyForQuery I']);
    expect(await ground.rows('SELECT v FROM plain')).toBe('');
    expect(await guarded()).toBe('1,one 2,two');
    client.close();
  });

  test('denied: ROLLBACK TO brings the block back, COMMIT keeps the rest', async () => {
    const client = await block("INSERT INTO plain VALUES (1, 'kept')", 'SAVEPOINT s');
    await client.send(query('TRUNCATE guarded'));
    await ground.approvals.deny((await ground.approvals.next()).id);
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 42501', 'ReadyForQuery E']);
    expect(await ask(client, query('ROLLBACK TO s'))).toEqual([
      'CommandComplete ROLLBACK',
      'ReadyForQuery T',
    ]);
    expect(await ask(client, query('COMMIT'))).toEqual(['CommandComplete COMMIT', 'ReadyForQuery I']);
    expect(await ground.rows('SELECT v FROM plain')).toBe('kept');
    client.close();
  });

  test('in a block that has failed already, nothing is held: the server refuses', async () => {
    const client = await block('SELECT 1/0');
    expect(await ask(client, query('TRUNCATE guarded'))).toEqual(['ErrorResponse 25P02', 'ReadyForQuery E']);
    expect(await ground.approvals.open()).toEqual([]);
    client.close();
  });
});

describe('COPY FROM STDIN with data sent eagerly', () => {
  const COPY = 'COPY guarded (id, v) FROM STDIN';
  const data = Buffer.concat([copyData('3\tthree\n4\tfo'), copyData('ur\n'), serialize.copyDone()]);
  const behind = query('SELECT 7');
  const seven = ['RowDescription', 'DataRow 7', 'CommandComplete SELECT 1', 'ReadyForQuery I'];

  test.each([
    { protocol: 'simple', start: query(COPY), end: Buffer.alloc(0), before: [] },
    { protocol: 'extended', start: run(COPY), end: sync(), before: RAN },
  ])('$protocol: released, the rows are there; denied, the data is discarded', async (example) => {
    const bytes = Buffer.concat([example.start, data, example.end, behind]);
    const client = await ground.login();
    await client.send(bytes);
    await ground.approvals.approve((await ground.approvals.next('COPY')).id);
    expect(answers(await client.untilReady(2))).toEqual([
      ...example.before,
      'CopyInResponse',
      'CommandComplete COPY 2',
      'ReadyForQuery I',
      ...seven,
    ]);
    expect(await guarded()).toBe('1,one 2,two 3,three 4,four');
    await ground.rows('DELETE FROM guarded WHERE id > 2');
    await client.send(bytes);
    await ground.approvals.deny((await ground.approvals.next('COPY')).id);
    expect(answers(await client.untilReady(2))).toEqual([
      ...example.before,
      'ErrorResponse 42501',
      'ReadyForQuery I',
      ...seven,
    ]);
    expect(await guarded()).toBe('1,one 2,two');
    client.close();
  });

  test.each(['approve', 'deny'] as const)(
    'megabytes of it wait without being lost or kept: %s',
    async (fate) => {
      const line = `${'x'.repeat(1_000)}\n`;
      const chunks = Array.from({ length: 4_000 }, (_, id) => copyData(`${(id + 10).toString()}\t${line}`));
      const client = await ground.login();
      await client.send(Buffer.concat([query(COPY), ...chunks, serialize.copyDone(), behind]));
      await ground.approvals[fate]((await ground.approvals.next('COPY')).id);
      const outcome =
        fate === 'approve' ? ['CopyInResponse', 'CommandComplete COPY 4000'] : ['ErrorResponse 42501'];
      expect(answers(await client.untilReady(2))).toEqual([...outcome, 'ReadyForQuery I', ...seven]);
      expect(await ground.rows('SELECT count(*) FROM guarded WHERE id >= 10')).toBe(
        fate === 'approve' ? '4000' : '0',
      );
      client.close();
    },
  );

  test('CopyFail instead of data: the server fails the COPY', async () => {
    const client = await ground.login();
    await client.send(
      Buffer.concat([query(COPY), copyData('5\tfive\n'), serialize.copyFail('thought better'), behind]),
    );
    await ground.approvals.approve((await ground.approvals.next('COPY')).id);
    expect(answers(await client.untilReady(2))).toEqual([
      'CopyInResponse',
      'ErrorResponse 57014',
      'ReadyForQuery I',
      ...seven,
    ]);
    client.close();
  });
});
