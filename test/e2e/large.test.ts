/**
 * Statements that are large or deep: they get a verdict or a clean error, other
 * sessions are answered in the meantime, and what they took is given back.
 */
import { setTimeout } from 'node:timers/promises';
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { READ_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';

const POLICY = `
version: 1
roles:
  - name: writers
    access: write
`;
const MB = 1_048_576;
/** Between two questions: who asks all the time takes the processor from the statement that is judged. */
const BREATH_MS = 5;
const SMALL = { statement: 100_000, message: 200_000 };

let database: TestDatabase;
let holdfast: TestHoldfast;
let strict: TestHoldfast;
let readers: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('large', 'CREATE TABLE t (id int, v text, n numeric)');
  user = await createUser('large', database.name);
  [holdfast, strict, readers] = await Promise.all([
    startTestHoldfast(database, POLICY),
    startTestHoldfast(database, POLICY, { limits: SMALL }),
    startTestHoldfast(database, READ_POLICY),
  ]);
});

afterAll(async () => {
  await Promise.all([holdfast.close(), strict.close(), readers.close()]);
  await database.drop();
  await user.drop();
});

const login = (port: number): Promise<WireClient> =>
  wireLogin({ port, user: user.name, database: database.name });
const query = (sql: string): Buffer => serialize.query(sql);
const extended = (text: string): Buffer =>
  Buffer.concat([serialize.parse({ text }), serialize.bind(), serialize.execute(), serialize.sync()]);

const ROW = "(1000000, 'the quick brown fox jumps over the lazy dog', 12.5)";

/** An INSERT of about that many bytes, and its number of rows. */
function insert(bytes: number): { readonly sql: string; readonly rows: number } {
  const rows = Math.floor(bytes / (ROW.length + 2));
  return { sql: `INSERT INTO t VALUES ${Array.from({ length: rows }, () => ROW).join(', ')}`, rows };
}

async function rowsInTable(): Promise<number> {
  const { rows } = await withClient(
    (client) => client.query<{ n: number }>('SELECT count(*)::int AS n FROM t'),
    database.name,
  );
  await withClient((client) => client.query('TRUNCATE t'), database.name);
  return rows[0]?.n ?? -1;
}

/** The answer without what comes around it. */
async function outcome(client: WireClient, bytes: Buffer): Promise<string> {
  await client.send(bytes);
  const lines = await client.untilReady();
  expect(lines.filter((line) => line.startsWith('ReadyForQuery'))).toEqual(['ReadyForQuery I']);
  const told = lines.filter((line) => /^(?:CommandComplete|ErrorResponse)/.test(line));
  expect(told).toHaveLength(1);
  return told[0] ?? '';
}

describe.each([1, 10])('an INSERT of %s MB', (megabytes) => {
  const { sql, rows } = insert(megabytes * MB);

  const protocols: readonly (readonly [string, Buffer])[] = [
    ['simple', query(sql)],
    ['extended', extended(sql)],
  ];
  // The larger it is, the less the protocol matters.
  test.each(protocols.slice(0, megabytes > 1 ? 1 : 2))(
    'is run, or refused as too large (%s protocol), while another session is answered',
    async (_protocol, bytes) => {
      const [big, other] = await Promise.all([login(holdfast.port), login(holdfast.port)]);
      let done = false as boolean;
      const answer = outcome(big, bytes).finally(() => {
        done = true;
      });
      let meanwhile = 0;
      do {
        expect(await outcome(other, query(`SELECT ${meanwhile}`))).toBe('CommandComplete SELECT 1');
        meanwhile += 1;
        await setTimeout(BREATH_MS);
      } while (!done);
      const result = await answer;
      const told = /^ErrorResponse 5400[01]$/.test(result);
      if (!told) expect(result).toBe(`CommandComplete INSERT 0 ${rows}`);
      expect(await rowsInTable()).toBe(told ? 0 : rows);
      expect(meanwhile).toBeGreaterThan(2);
      // The session that sent it goes on.
      expect(await outcome(big, query('SELECT 1'))).toBe('CommandComplete SELECT 1');
      big.close();
      other.close();
    },
  );

  test.skipIf(megabytes > 1)('is refused to a role that may not write', async () => {
    const client = await login(readers.port);
    expect(await outcome(client, query(sql))).toMatch(/^ErrorResponse (?:42501|5400[01])$/);
    expect(await outcome(client, query('SELECT 1'))).toBe('CommandComplete SELECT 1');
    client.close();
  });
});

test.each([1, 3])(
  'a DELETE without WHERE behind an INSERT of %s MB is found, and stops all of it',
  async (megabytes) => {
    const client = await login(holdfast.port);
    expect(await outcome(client, query(`${insert(megabytes * MB).sql}; DELETE FROM t`))).toMatch(
      /^ErrorResponse (?:42501|5400[01])$/,
    );
    client.close();
    expect(await rowsInTable()).toBe(0);
  },
);

test('10,000 statements in one query are run, more are refused whole', async () => {
  const client = await login(holdfast.port);
  const text = (count: number): string => Array.from({ length: count }, () => 'SELECT 1').join(';');
  await client.send(query(text(10_000)));
  expect((await client.untilReady()).filter((line) => line === 'DataRow 1')).toHaveLength(10_000);
  await client.send(query(`INSERT INTO t VALUES (1); ${text(10_000)}`));
  expect(await client.untilReady()).toEqual(['ErrorResponse 54000', 'ReadyForQuery I']);
  expect(client.errors.at(-1)?.message).toContain('10001 statements');
  client.close();
  expect(await rowsInTable()).toBe(0);
});

test('a prepared statement of 1 MB is bound and run again and again', async () => {
  const { sql, rows } = insert(MB);
  const client = await login(holdfast.port);
  await client.send(Buffer.concat([serialize.parse({ text: sql, name: 'big' }), serialize.sync()]));
  await client.untilReady();
  for (let run = 0; run < 3; run++) {
    const bytes = Buffer.concat([
      serialize.bind({ statement: 'big' }),
      serialize.execute(),
      serialize.sync(),
    ]);
    expect(await outcome(client, bytes)).toBe(`CommandComplete INSERT 0 ${rows}`);
  }
  client.close();
  expect(await rowsInTable()).toBe(3 * rows);
});

test('a pipeline with a large statement in its middle stays in order', async () => {
  const client = await login(holdfast.port);
  const { sql, rows } = insert(200_000);
  await client.send(
    Buffer.concat([
      extended('SELECT 1'),
      query(sql),
      query('SELECT 2'),
      extended(sql),
      query('SELECT count(*) FROM t'),
    ]),
  );
  const lines = await client.untilReady(5);
  expect(lines.filter((line) => /^(?:DataRow|CommandComplete|ErrorResponse)/.test(line))).toEqual([
    'DataRow 1',
    'CommandComplete SELECT 1',
    `CommandComplete INSERT 0 ${rows}`,
    'DataRow 2',
    'CommandComplete SELECT 1',
    `CommandComplete INSERT 0 ${rows}`,
    `DataRow ${2 * rows}`,
    'CommandComplete SELECT 1',
  ]);
  client.close();
  await rowsInTable();
});

test('a client that goes away while its large statement is judged leaves nothing behind', async () => {
  const client = await login(holdfast.port);
  await client.send(query(insert(2 * MB).sql));
  client.close();
  const other = await login(holdfast.port);
  const { sql, rows } = insert(300_000);
  expect(await outcome(other, query(sql))).toBe(`CommandComplete INSERT 0 ${rows}`);
  other.close();
  await rowsInTable();
});

test('parameters of 10 MB pass, as a value and not as a statement', async () => {
  const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, '') });
  await client.connect();
  try {
    const value = 'ü'.repeat(5 * MB);
    const { rows } = await client.query<{ n: number; same: boolean }>(
      'SELECT length($1::text) AS n, md5($1::text) = md5($2::text) AS same',
      [value, value],
    );
    expect(rows).toEqual([{ n: 5 * MB, same: true }]);
  } finally {
    await client.end();
  }
});

describe('the limits', () => {
  const tooLong = `SELECT '${'x'.repeat(SMALL.statement)}'`;
  const tooLarge = `SELECT '${'x'.repeat(SMALL.message)}'`;

  test.each([
    ['simple', query(tooLong)],
    ['extended', extended(tooLong)],
  ])(
    'a statement over limits.statement gets 54000 and the session goes on (%s)',
    async (_protocol, bytes) => {
      const client = await login(strict.port);
      expect(await outcome(client, bytes)).toBe('ErrorResponse 54000');
      expect(client.errors.at(-1)).toMatchObject({ routine: 'holdfast/too-large' });
      expect(client.errors.at(-1)?.message).toMatch(
        /^holdfast: the statement is \d+ bytes long; the limit is 100000/,
      );
      expect(await outcome(client, query('SELECT 1'))).toBe('CommandComplete SELECT 1');
      client.close();
    },
  );

  test('a statement of exactly limits.statement passes', async () => {
    const client = await login(strict.port);
    const sql = `SELECT '${'x'.repeat(SMALL.statement - "SELECT ''".length)}'`;
    expect(Buffer.byteLength(sql)).toBe(SMALL.statement);
    expect(await outcome(client, query(sql))).toBe('CommandComplete SELECT 1');
    expect(await outcome(client, query(`${sql} `))).toBe('ErrorResponse 54000');
    client.close();
  });

  test.each([
    ['Query', query(tooLarge)],
    ['Parse', extended(tooLarge)],
    [
      'Bind',
      Buffer.concat([
        serialize.parse({ text: 'SELECT $1' }),
        serialize.bind({ values: [tooLarge] }),
        serialize.sync(),
      ]),
    ],
  ])('a %s over limits.message ends the session with 08P01', async (_message, bytes) => {
    const client = await login(strict.port);
    await client.send(bytes);
    const lines = await client.untilClosed();
    expect(lines.at(-1)).toBe('ErrorResponse 08P01');
    expect(client.errors.at(-1)?.severity).toBe('FATAL');
    client.close();
  });
});

describe('deep statements get a verdict or a clean error', () => {
  const nest = (open: string, inner: string, close: string, depth: number): string =>
    open.repeat(depth) + inner + close.repeat(depth);
  const chain = (part: string, between: string, count: number): string =>
    Array.from({ length: count }, () => part).join(between);

  const cases: readonly (readonly [string, string])[] = [
    ['10,000 parentheses', `SELECT ${nest('(', '1', ')', 10_000)}`],
    ['4,000 parentheses', `SELECT ${nest('(', '1', ')', 4_000)}`],
    ['10,000 NOT', `SELECT ${'NOT '.repeat(10_000)}true`],
    ['2,000 NOT', `SELECT ${'NOT '.repeat(2_000)}true`],
    ['10,000 signs', `SELECT ${'- '.repeat(10_000)}1`],
    ['a sum of 4,000 terms', `SELECT ${chain('1', '+', 4_000)}`],
    ['a sum of 50,000 terms', `SELECT ${chain('1', '+', 50_000)}`],
    ['AND of 20,000 terms', `SELECT 1 WHERE ${chain('true', ' AND ', 20_000)}`],
    ['500 sub-selects', `SELECT ${nest('(SELECT ', '1', ')', 500)}`],
    ['5,000 sub-selects', `SELECT ${nest('(SELECT ', '1', ')', 5_000)}`],
    ['300 sub-selects in FROM', `SELECT * FROM ${nest('(SELECT * FROM ', '(SELECT 1) x', ') x', 300)}`],
    ['2,000 CASE', `SELECT ${nest('CASE WHEN true THEN ', '1', ' END', 2_000)}`],
    ['10,000 casts', `SELECT 1${'::int'.repeat(10_000)}`],
    ['3,000 arrays', `SELECT ${nest('ARRAY[', '1', ']', 3_000)}`],
    ['UNION of 5,000', chain('SELECT 1', ' UNION ALL ', 5_000)],
    ['1,000 CTEs within each other', nest('WITH x AS (', 'SELECT 1', ') SELECT 1', 1_000)],
    ['3,000 calls', `SELECT ${nest('abs(', '1', ')', 3_000)}`],
    ['5,000 joins', `SELECT 1 FROM ${chain('t', ' CROSS JOIN ', 5_000).replace('t', 't AS first')}`],
    ['5,000 statements', chain('SELECT 1', ';', 5_000)],
    ['10,000 open parentheses', `SELECT ${'('.repeat(10_000)}`],
    ['5,000 comments within each other', `SELECT 1 ${nest('/*', ' ', '*/', 5_000)}`],
  ];

  test.each(cases)('%s', async (_what, sql) => {
    for (const [bytes, several] of [
      [query(sql), sql.includes(';')],
      [extended(sql), false],
    ] as const) {
      const client = await login(readers.port);
      await client.send(bytes);
      const lines = await client.untilReady();
      expect(lines.at(-1)).toBe('ReadyForQuery I');
      const errors = lines.filter((line) => line.startsWith('ErrorResponse'));
      expect(errors.length).toBeLessThan(2);
      // Beside Holdfast's own limits: the server's stack (54001), its grammar's (42601), too many columns or tables (54011, 42712).
      for (const error of errors) expect(error).toMatch(/^ErrorResponse (?:5400[01]|42601|42712)$/);
      if (errors.length === 0) expect(lines.some((line) => line.startsWith('CommandComplete'))).toBe(true);
      if (several) expect(lines.filter((line) => line === 'DataRow 1')).toHaveLength(5_000);
      expect(await outcome(client, query('SELECT 1'))).toBe('CommandComplete SELECT 1');
      client.close();
    }
  });

  test.each([
    ['under 10,000 parentheses', `SELECT ${nest('(', "nextval('s')", ')', 10_000)}`],
    ['under 4,000 parentheses', `SELECT ${nest('(', "nextval('s')", ')', 4_000)}`],
    ['at the end of a sum of 50,000', `SELECT ${chain('1', '+', 50_000)} + nextval('s')`],
    ['under 2,000 sub-selects', `SELECT ${nest('(SELECT ', "nextval('s')", ')', 2_000)}`],
    ['under 500 CTEs', nest('WITH x AS (', "SELECT nextval('s')", ') SELECT 1', 500)],
    ['behind 1 MB of comment', `SELECT /* ${'x'.repeat(MB)} */ nextval('s')`],
  ])('a write %s does not get through to the server', async (_where, sql) => {
    const client = await login(readers.port);
    for (const bytes of [query(sql), extended(sql)]) {
      expect(await outcome(client, bytes)).toMatch(/^ErrorResponse/);
      expect(client.errors.at(-1)?.routine).toMatch(/^holdfast\//);
    }
    client.close();
  });
});

test('large statements do not stay in memory', async () => {
  const collect = (globalThis as { gc?: () => void }).gc;
  const held = (): number => {
    collect?.();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + external + arrayBuffers;
  };
  const client = await login(holdfast.port);
  const once = async (): Promise<void> => {
    const { sql } = insert(MB);
    expect(await outcome(client, query(sql))).toMatch(/^CommandComplete/);
  };
  await once();
  const before = held();
  for (let run = 0; run < 6; run++) await once();
  // A text's tree is some fifty times its size: six of them kept would be 300 MB.
  expect(held() - before).toBeLessThan(150 * MB);
  client.close();
  await rowsInTable();
});
