/**
 * The refusal table, against a real server: what a client sees when a statement is
 * refused, in both protocols, inside and outside transactions, with the client's
 * bytes split at every offset. The server fails on Holdfast's behalf, so these
 * tests also prove that PostgreSQL really behaves as src/session relies on.
 */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
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

let database: TestDatabase;
let holdfast: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase(
    'refusals',
    'CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, $$one$$)',
  );
  user = await createUser('refused', database.name);
  holdfast = await startTestHoldfast(database, POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  await user.drop();
});

const query = (sql: string): Buffer => serialize.query(sql);
const parse = (text: string, name = ''): Buffer => serialize.parse({ name, text });
const bind = (statement = '', portal = ''): Buffer => serialize.bind({ statement, portal });
const execute = (portal = ''): Buffer => serialize.execute({ portal });
const sync = (): Buffer => serialize.sync();
const copyData = (text: string): Buffer => serialize.copyData(Buffer.from(text));
const extended = (sql: string): Buffer => Buffer.concat([parse(sql), bind(), execute(), sync()]);

interface Case {
  readonly name: string;
  /** Sent and answered first, whole. */
  readonly before?: Buffer;
  /** Sent split at every offset. */
  readonly bytes: Buffer;
  readonly ready: number;
  readonly expected: readonly string[];
  /** Ids in t afterwards, after a ROLLBACK. */
  readonly rows?: string;
}

const cases: readonly Case[] = [
  {
    name: 'refused Query outside a transaction',
    bytes: query('DELETE FROM t'),
    ready: 1,
    expected: ['ErrorResponse 42501', 'ReadyForQuery I'],
  },
  {
    name: 'refused Query in a transaction, which then is a failed one',
    before: query('BEGIN'),
    bytes: Buffer.concat([query('DELETE FROM t'), query('SELECT 1'), query('COMMIT')]),
    ready: 3,
    expected: [
      'ErrorResponse 42501',
      'ReadyForQuery E',
      'ErrorResponse 25P02',
      'ReadyForQuery E',
      'CommandComplete ROLLBACK',
      'ReadyForQuery I',
    ],
  },
  {
    name: 'ROLLBACK TO after a refused Query brings the transaction back',
    before: query('BEGIN; SAVEPOINT s'),
    bytes: Buffer.concat([
      query('DELETE FROM t'),
      query('ROLLBACK TO s'),
      query('SELECT 7'),
      query('ROLLBACK'),
    ]),
    ready: 4,
    expected: [
      'ErrorResponse 42501',
      'ReadyForQuery E',
      'CommandComplete ROLLBACK',
      'ReadyForQuery T',
      'RowDescription',
      'DataRow 7',
      'CommandComplete SELECT 1',
      'ReadyForQuery T',
      'CommandComplete ROLLBACK',
      'ReadyForQuery I',
    ],
  },
  {
    name: 'Query string with several statements, one refused: none of them runs',
    bytes: query("INSERT INTO t VALUES (2, 'two'); DELETE FROM t; SELECT 1"),
    ready: 1,
    expected: ['ErrorResponse 42501', 'ReadyForQuery I'],
    rows: '1',
  },
  {
    name: 'refused Parse: one error, everything up to Sync discarded',
    bytes: extended('DELETE FROM t'),
    ready: 1,
    expected: ['ErrorResponse 42501', 'ReadyForQuery I'],
  },
  {
    name: 'refused Parse in a transaction',
    before: query('BEGIN'),
    bytes: Buffer.concat([extended('DELETE FROM t'), query('ROLLBACK')]),
    ready: 2,
    expected: ['ErrorResponse 42501', 'ReadyForQuery E', 'CommandComplete ROLLBACK', 'ReadyForQuery I'],
  },
  {
    name: 'one ReadyForQuery a Sync, and none before it',
    bytes: Buffer.concat([parse('DELETE FROM t'), bind(), execute(), sync(), sync(), extended('SELECT 1')]),
    ready: 3,
    expected: [
      'ErrorResponse 42501',
      'ReadyForQuery I',
      'ReadyForQuery I',
      'ParseComplete',
      'BindComplete',
      'DataRow 1',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
    ],
  },
  {
    name: 'pipeline INSERT, refused DROP, Sync: the INSERT is rolled back',
    bytes: Buffer.concat([
      parse("INSERT INTO t VALUES (3, 'three')"),
      bind(),
      execute(),
      parse('DROP TABLE t'),
      bind(),
      execute(),
      sync(),
    ]),
    ready: 1,
    expected: [
      'ParseComplete',
      'BindComplete',
      'CommandComplete INSERT 0 1',
      'ErrorResponse 42501',
      'ReadyForQuery I',
    ],
    rows: '1',
  },
  {
    name: 'Bind of a statement whose Parse was refused',
    bytes: Buffer.concat([parse('DELETE FROM t', 'gone'), sync(), bind('gone'), execute(), sync()]),
    ready: 2,
    expected: ['ErrorResponse 42501', 'ReadyForQuery I', 'ErrorResponse 26000', 'ReadyForQuery I'],
  },
  {
    name: 'the error that comes first is the one that counts',
    bytes: Buffer.concat([parse('SELECT no_such_column'), parse('DELETE FROM t'), bind(), execute(), sync()]),
    ready: 1,
    expected: ['ErrorResponse 42703', 'ReadyForQuery I'],
  },
  {
    name: 'refused COPY FROM STDIN with data sent eagerly',
    bytes: Buffer.concat([
      query("COPY t FROM PROGRAM 'cat'"),
      copyData('9\tnine\n'),
      serialize.copyDone(),
      query('SELECT 1'),
    ]),
    ready: 2,
    expected: [
      'ErrorResponse 42501',
      'ReadyForQuery I',
      'RowDescription',
      'DataRow 1',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
    ],
    rows: '1',
  },
  {
    name: 'COPY FROM STDIN with data sent eagerly passes as it does without Holdfast',
    before: query('BEGIN'),
    bytes: Buffer.concat([
      query('COPY t FROM STDIN'),
      copyData('5\tfive\n'),
      serialize.copyDone(),
      query('ROLLBACK'),
    ]),
    ready: 2,
    expected: [
      'CopyInResponse',
      'CommandComplete COPY 1',
      'ReadyForQuery T',
      'CommandComplete ROLLBACK',
      'ReadyForQuery I',
    ],
  },
  {
    name: 'a syntax error is answered as the server answers it',
    bytes: Buffer.concat([query('SELEC 1'), extended('SELECT 1 FROM')]),
    ready: 2,
    expected: ['ErrorResponse 42601', 'ReadyForQuery I', 'ErrorResponse 42601', 'ReadyForQuery I'],
  },
];

/** Lines that tests care about: parameters may be reported whenever the server likes. */
function seen(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !line.startsWith('ParameterStatus'));
}

async function login(): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: database.name });
}

describe.each(cases)('$name', (example) => {
  test('at every split offset', async () => {
    const client = await login();
    for (let split = 0; split < example.bytes.length; split++) {
      if (example.before !== undefined) {
        await client.send(example.before);
        await client.untilReady();
      }
      await client.send(example.bytes, split);
      expect(seen(await client.untilReady(example.ready)), `split at ${split}`).toEqual(example.expected);
    }
    client.close();
    if (example.rows !== undefined) {
      const { rows } = await withClient(
        (direct) => direct.query<{ id: number }>('SELECT id FROM t ORDER BY id'),
        database.name,
      );
      expect(rows.map(({ id }) => id).join(',')).toBe(example.rows);
    }
  });
});

describe('what a refusal says', () => {
  test('message, detail with the decision, hint and routine', async () => {
    const client = await login();
    await client.send(query('DELETE FROM t'));
    await client.untilReady();
    const [error] = client.errors;
    expect(error?.severity).toBe('ERROR');
    expect(error?.message).toBe('holdfast: DELETE on "t" has no WHERE clause, so it would empty the table.');
    expect(error?.detail).toMatch(/^Decision [0-9a-z-]+\. Rule: require-where \(deny\)\.$/);
    expect(error?.hint).toContain('WHERE');
    expect(error?.routine).toBe('holdfast/require-where');
    const decision = /Decision (\S+)\./.exec(error?.detail ?? '')?.[1];
    client.close();
    const records = await holdfast.records();
    expect(records.find((record) => record['id'] === decision)).toMatchObject({
      kind: 'decision',
      verdict: 'deny',
      operation: 'delete',
      sql: 'DELETE FROM t',
      protocol: 'simple',
      user: user.name,
      role: 'writers',
    });
  });

  test('a syntax error has the position that the server would give', async () => {
    const sql = "SELECT 'ünï' fro m x";
    const client = await login();
    await client.send(query(sql));
    await client.untilReady();
    client.close();
    const direct = await withClient(
      (plain) =>
        plain.query(sql).then(
          () => null,
          (error: unknown) => error as { message: string; position: string; code: string },
        ),
      database.name,
    );
    expect(client.errors[0]).toMatchObject({
      code: direct?.code,
      message: direct?.message,
      position: direct?.position,
    });
  });
});
