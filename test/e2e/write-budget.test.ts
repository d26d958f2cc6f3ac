/** The loop of small deletes, in every way that a client can send it: stopped when its budget is spent. */
import pg from 'pg';
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { budgetListSchema } from '../../src/admin/api/schemas.js';
import { verifyAuditFiles } from '../../src/audit/verify.js';
import { sha256, tokenOf } from '../holds/support.js';
import { approverCommand } from '../support/holds.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

const policy = (budget: string, more = ''): string => `
version: 1
roles:
  - name: app
    access: write
    rules: { write-budget: ${budget} }
${more}`;
const ROWS = '{ action: deny, rows: 5, window: 1h }';
const STATEMENTS = '{ action: deny, statements: 5, window: 1h }';
const DELETE = 'DELETE FROM account WHERE id = $1';

let database: TestDatabase;
let user: TestUser;
let other: TestUser;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('budget', 'CREATE TABLE account (id int PRIMARY KEY, touched int)');
  user = await createUser('budget', database.name);
  other = await createUser('other', database.name);
});

afterAll(async () => {
  await database.drop();
  await user.drop();
  await other.drop();
});

beforeEach(async () => {
  await withClient(
    (client) =>
      client.query('TRUNCATE account; INSERT INTO account SELECT n, 0 FROM generate_series(1, 50) n'),
    database.name,
  );
});

afterEach(async () => {
  await holdfast.close();
});

async function start(text: string): Promise<void> {
  holdfast = await startTestHoldfast(database, text);
}

async function connect(as: TestUser = user): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: holdfast.url(database.name, as.name, '') });
  await client.connect();
  return client;
}

function login(): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: database.name });
}

async function left(): Promise<number> {
  const { rows } = await withClient(
    (client) => client.query<{ n: string }>('SELECT count(*) AS n FROM account'),
    database.name,
  );
  return Number(rows[0]?.n);
}

/** Runs until it is refused. @returns the error */
async function loop(client: pg.Client, sql = DELETE, from = 1): Promise<pg.DatabaseError> {
  for (let id = from; id <= 50; id++) {
    try {
      await client.query(sql, sql.includes('$1') ? [id] : undefined);
    } catch (error) {
      if (error instanceof pg.DatabaseError) return error;
      throw error;
    }
  }
  throw new Error('nothing stopped the loop');
}

const execute = (sql: string, ...values: string[]): Buffer =>
  Buffer.concat([serialize.parse({ text: sql }), serialize.bind({ values }), serialize.execute({})]);

test('the loop is stopped, the error says when it passes again, and records and metrics say so too', async () => {
  await start(policy(ROWS));
  const client = await connect();
  const error = await loop(client);
  expect(error).toMatchObject({
    code: '42501',
    message: `holdfast: User "${user.name}" has changed 5 rows in the last hour; the limit is 5 rows.`,
    routine: 'holdfast/write-budget',
  });
  expect(error.hint).toMatch(
    /^It passes again in (1 hour|60 minutes|61 minutes), if nothing more is changed\. A loop that is meant to go on needs a role with a larger budget\.$/,
  );
  expect(error.detail).toMatch(/Rule: write-budget \(deny\)\.$/);
  expect(await left()).toBe(45);
  // What does not count goes on, in this session too.
  await client.query('INSERT INTO account VALUES (99, 0)');
  await client.query('SELECT * FROM account');
  await client.end();
  const decisions = (await holdfast.records()).filter(
    ({ kind, operation }) => kind === 'decision' && operation === 'delete',
  );
  expect(decisions.at(-1)).toMatchObject({
    verdict: 'deny',
    matches: [{ rule: 'write-budget', action: 'deny' }],
  });
  const passed = decisions.filter(({ message, verdict }) => message === 'execute' && verdict === 'allow');
  expect(passed).toHaveLength(5);
  expect(passed.every(({ matches }) => Array.isArray(matches) && matches.length === 0)).toBe(true);
  expect(await metric(holdfast, 'holdfast_rule_matches_total', { rule: 'write-budget' })).toBe(1);
});

test('it is one budget for all sessions of a user, and none of another user', async () => {
  await start(policy(ROWS));
  const [first, second, stranger] = [await connect(), await connect(), await connect(other)];
  await first.query('DELETE FROM account WHERE id <= 5');
  await expect(second.query(DELETE, [6])).rejects.toThrow('has changed 5 rows');
  await stranger.query(DELETE, [6]);
  expect(await left()).toBe(44);
  for (const client of [first, second, stranger]) await client.end();
});

test('a simple Query, PREPARE and EXECUTE, a named statement and a CTE count alike', async () => {
  await start(policy(ROWS));
  const client = await connect();
  await client.query('DELETE FROM account WHERE id = 1');
  await client.query('PREPARE gone (int) AS DELETE FROM account WHERE id = $1');
  await client.query('EXECUTE gone(2)');
  await client.query({ name: 'named', text: DELETE, values: [3] });
  await client.query('WITH d AS (DELETE FROM account WHERE id = 4 RETURNING id) SELECT * FROM d');
  await client.query({ name: 'named', text: DELETE, values: [5] });
  for (const sql of [
    'EXECUTE gone(6)',
    'DELETE FROM account WHERE id = 6',
    'EXPLAIN ANALYZE DELETE FROM account WHERE id = 6',
  ])
    await expect(client.query(sql), sql).rejects.toThrow('has changed 5 rows');
  await expect(client.query({ name: 'named', text: DELETE, values: [6] })).rejects.toThrow(
    'has changed 5 rows',
  );
  // Preparing runs nothing.
  await client.query('PREPARE later (int) AS DELETE FROM account WHERE id = $1');
  expect(await left()).toBe(45);
  await client.end();
});

test('rows that were not changed do not count, and a transaction that is rolled back does', async () => {
  await start(policy(ROWS));
  const client = await connect();
  for (let time = 0; time < 10; time++) await client.query(DELETE, [1000]);
  await client.query('BEGIN');
  await client.query('DELETE FROM account WHERE id <= 5');
  await expect(client.query(DELETE, [6])).rejects.toThrow('has changed 5 rows');
  await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
  await client.query('ROLLBACK');
  await expect(client.query(DELETE, [6])).rejects.toThrow('has changed 5 rows');
  expect(await left()).toBe(50);
  await client.end();
});

test.each([
  ['within one group of messages', false],
  ['each with its Sync', true],
])('a pipeline %s spends its rows once', async (_, synced) => {
  await start(policy(ROWS));
  const client = await login();
  const sync = serialize.sync();
  const messages = Array.from({ length: 20 }, (_unused, at) => [
    execute(DELETE, String(at + 1)),
    ...(synced ? [sync] : []),
  ]).flat();
  await client.send(Buffer.concat([...messages, ...(synced ? [] : [sync])]));
  const lines = await client.untilReady(synced ? 20 : 1);
  const deleted = lines.filter((line) => line === 'CommandComplete DELETE 1');
  expect(deleted).toHaveLength(5);
  expect(lines.filter((line) => line.startsWith('ErrorResponse'))).toHaveLength(synced ? 15 : 1);
  expect(client.errors[0]?.message).toContain('has changed 5 rows');
  // The group without Syncs is one transaction, which the refusal takes back.
  expect(await left()).toBe(synced ? 45 : 50);
  client.close();
});

test.each([
  ['statements', Array.from({ length: 6 }, (_, at) => `DELETE FROM account WHERE id = ${at}`).join('; ')],
  [
    'EXECUTEs of what it prepares',
    `PREPARE d (int) AS DELETE FROM account WHERE id = $1; ${'EXECUTE d(1); '.repeat(6)}`,
  ],
])('a string of more %s than the budget has is refused as a whole', async (_, sql) => {
  await start(policy(STATEMENTS));
  const client = await connect();
  await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' });
  expect(await left()).toBe(50);
  await client.end();
});

test('statements are counted as they are sent, so a pipeline of them need not wait', async () => {
  await start(policy(STATEMENTS));
  const client = await login();
  const group = Array.from({ length: 8 }, (_, at) =>
    Buffer.concat([execute(DELETE, String(at)), serialize.sync()]),
  );
  await client.send(Buffer.concat(group));
  const lines = await client.untilReady(8);
  expect(lines.filter((line) => line.startsWith('CommandComplete'))).toHaveLength(5);
  expect(client.errors[0]?.message).toBe(
    `holdfast: User "${user.name}" has run 5 statements that count (UPDATE, DELETE, MERGE, TRUNCATE) in the last hour; the limit is 5 statements.`,
  );
  client.close();
});

test('the window slides: what was spent is free again when it has passed', async () => {
  await start(policy('{ action: deny, rows: 5, window: 300ms }'));
  const client = await connect();
  await client.query('DELETE FROM account WHERE id <= 5');
  await expect(client.query(DELETE, [6])).rejects.toThrow('in the last 300 milliseconds');
  await expect
    .poll(() =>
      client.query(DELETE, [6]).then(
        ({ rowCount }) => rowCount,
        () => null,
      ),
    )
    .toBe(1);
  expect(await left()).toBe(44);
  await client.end();
});

const WITH_HOLD = policy(
  ROWS,
  `    hold: { approvers: [dba] }
approvers:
  - { name: kim, groups: [dba], token_sha256: "${sha256(tokenOf('kim'))}" }
`,
);

test('an approver resets it: the error says who, what is spent counts no more, and the log says by whom', async () => {
  await start(WITH_HOLD);
  const client = await connect();
  const error = await loop(client);
  expect(error.hint).toContain('Somebody else of dba can reset it: holdfast budgets reset.');
  const listed = await approverCommand(holdfast, 'kim', ['budgets', 'list']);
  expect(listed.stdout).toMatch(new RegExp(`^app +${user.name} +5/5 .* spent, `, 'm'));
  const reset = await approverCommand(holdfast, 'kim', [
    'budgets',
    'reset',
    user.name,
    '--role',
    'app',
    '--reason',
    'meant',
  ]);
  expect(reset).toMatchObject({
    status: 0,
    stdout: `budget of ${user.name} (role app): reset; 5 rows and 5 statements do not count any more\n`,
  });
  expect((await loop(client, DELETE, 6)).message).toContain('has changed 5 rows');
  expect(await left()).toBe(40);
  const records = (await holdfast.records()).filter(({ kind }) => kind === 'budget');
  expect(records).toMatchObject([
    {
      change: 'reset',
      role: 'app',
      user: user.name,
      rows: 5,
      approver: 'kim',
      reason: 'meant',
      counted: true,
    },
  ]);
  expect(await verifyAuditFiles([holdfast.auditFile])).toMatchObject({ ok: true });
  await client.end();
});

test('of two Holdfasts that share a store, what is spent at one is spent at both, and so is a reset', async () => {
  const store = await createDatabase('budget_store');
  const holds = { store: 'postgres', url: store.url, schema: 'holdfast' } as const;
  holdfast = await startTestHoldfast(database, WITH_HOLD, { holds });
  const second = await startTestHoldfast(database, WITH_HOLD, { holds });
  const at = async (port: number): Promise<pg.Client> => {
    const client = new pg.Client({ host: '127.0.0.1', port, user: user.name, database: database.name });
    await client.connect();
    return client;
  };
  const [here, there] = [await at(holdfast.port), await at(second.port)];
  const rowsAt = async ({ adminPort }: TestHoldfast): Promise<unknown> => {
    const url = `http://127.0.0.1:${adminPort.toString()}/api/budgets`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${tokenOf('kim')}` } });
    return budgetListSchema.parse(await answer.json()).budgets.map(({ spent }) => spent.rows);
  };
  await loop(here);
  await expect.poll(() => rowsAt(second)).toEqual([5]);
  await expect(there.query(DELETE, [6])).rejects.toThrow('has changed 5 rows');
  await approverCommand(second, 'kim', ['budgets', 'reset', user.name, '--role', 'app']);
  expect((await there.query(DELETE, [6])).rowCount).toBe(1);
  await expect.poll(() => rowsAt(holdfast)).toEqual([1]);
  expect((await here.query(DELETE, [7])).rowCount).toBe(1);
  expect((await holdfast.records()).filter(({ kind }) => kind === 'budget')).toEqual([]);
  expect((await second.records()).filter(({ kind }) => kind === 'budget')).toHaveLength(1);
  await here.end();
  await there.end();
  await second.close();
  await holdfast.close();
  await store.drop();
});

test('with warn, confirm and observe it passes as these do, and is recorded', async () => {
  await start(policy('{ action: warn, rows: 1, window: 1h }'));
  const client = await connect();
  const notices: (string | undefined)[] = [];
  client.on('notice', ({ message }) => notices.push(message));
  await client.query(DELETE, [1]);
  expect(notices).toEqual([]);
  await client.query(DELETE, [2]);
  await client.query('DELETE FROM account WHERE id = 3');
  expect(notices).toEqual([
    `holdfast: User "${user.name}" has changed 1 row in the last hour; the limit is 1 row.`,
    `holdfast: User "${user.name}" has changed 2 rows in the last hour; the limit is 1 row.`,
  ]);
  await holdfast.setPolicy(policy('{ action: confirm, rows: 1, window: 1h }'));
  await expect(client.query(DELETE, [4])).rejects.toMatchObject({
    hint: expect.stringContaining("SET holdfast.target = 'production'") as string,
  });
  await client.query("SET holdfast.target = 'production'");
  await client.query(DELETE, [4]);
  await holdfast.setPolicy(policy(ROWS).replace('version: 1', 'version: 1\nmode: observe'));
  await client.query(DELETE, [5]);
  await client.query(DELETE, [6]);
  expect(await left()).toBe(44);
  const last = (await holdfast.records()).filter(({ kind }) => kind === 'decision').at(-1);
  expect(last).toMatchObject({ verdict: 'deny', mode: 'observe', matches: [{ rule: 'write-budget' }] });
  await client.end();
});
