/**
 * A read role can write in no way: every spelling of a write in
 * writes-refused.statements.ts, by a superuser whom the server would let do it, is
 * refused by Holdfast itself in both protocols, and nothing in the database changes.
 * What no syntax shows is left to the server's read-only mode, which is put to the
 * test here too.
 */
import { existsSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
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
import { fingerprint } from './fingerprint.js';
import { WRITES, WRITES_SCHEMA } from './writes-refused.statements.js';

let database: TestDatabase;
let holdfast: TestHoldfast;
let user: TestUser;
/** Of the database before anything was tried. */
let untouched: Readonly<Record<string, string>>;
const victim = `victim_${randomBytes(4).toString('hex')}`;

beforeAll(async () => {
  database = await createDatabase('writes', WRITES_SCHEMA);
  user = await createUser('writes', database.name);
  await withClient(async (client) => {
    await client.query(`ALTER ROLE ${pg.escapeIdentifier(user.name)} SUPERUSER`);
    await client.query(`CREATE ROLE ${victim}; GRANT SELECT ON accounts TO ${victim}`);
  }, database.name);
  untouched = await fingerprint(database, [user.name, victim]);
  holdfast = await startTestHoldfast(database, READ_POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  await user.drop();
  await withClient((client) => client.query(`DROP ROLE IF EXISTS ${victim}`));
});

const query = (sql: string): Buffer => serialize.query(sql);
const extended = (text: string): Buffer =>
  Buffer.concat([serialize.parse({ text }), serialize.bind(), serialize.execute(), serialize.sync()]);

function spelled(sql: string): string {
  return sql
    .replaceAll('$victim', victim)
    .replaceAll('$user', user.name)
    .replaceAll('$database', database.name);
}

function login(parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: database.name, parameters });
}

const total = Object.values(WRITES).reduce((sum, { length }) => sum + length, 0);

describe.each(Object.entries(WRITES))(`of ${total} writes: %s`, (_kind, statements) => {
  test(`${statements.length} statements are refused by Holdfast and change nothing`, async () => {
    const client = await login();
    const passed: string[] = [];
    for (const sql of statements) {
      for (const [protocol, bytes] of [
        ['simple', query(spelled(sql))],
        ['extended', extended(spelled(sql))],
      ] as const) {
        const known = client.errors.length;
        await client.send(bytes);
        const lines = await client.untilReady();
        const error = client.errors[known];
        const ours = /^holdfast\/(?!syntax|unclassified|too-)/.test(error?.routine ?? '');
        const ran = lines.some(
          (line) => !/^(?:ParseComplete|BindComplete|ErrorResponse|ReadyForQuery I)/.test(line),
        );
        if (!ours || ran || client.errors.length !== known + 1) {
          passed.push(
            `${protocol}: ${sql} → ${lines.join(', ')} ${error?.routine ?? ''} ${error?.message ?? ''}`,
          );
          await client.send(query('ROLLBACK'));
          await client.untilReady();
        }
      }
    }
    client.close();
    expect(passed).toEqual([]);
    expect(await fingerprint(database, [user.name, victim])).toEqual(untouched);
  });
});

test('no file was written by the server', () => {
  expect(existsSync('/tmp/holdfast-never')).toBe(false);
});

describe('the checks themselves', () => {
  test('the fingerprint sees a change of each kind', async () => {
    const changes: readonly string[] = [
      'UPDATE accounts SET balance = balance + 1 WHERE id = 1',
      "SELECT nextval('s')",
      "SELECT lo_put(4711, 0, 'X')",
      'CREATE FUNCTION g() RETURNS int LANGUAGE sql RETURN 1',
      `ALTER ROLE ${victim} CREATEDB`,
      `ALTER ROLE ${victim} SET work_mem = '5MB'`,
      'ALTER TABLE accounts DISABLE ROW LEVEL SECURITY',
      `GRANT INSERT ON accounts TO ${victim}`,
      "COMMENT ON TABLE accounts IS 'changed'",
      'DROP TRIGGER orders_trigger ON orders',
      'REFRESH MATERIALIZED VIEW m_accounts',
    ];
    const copy = await createDatabase('writes_copy', WRITES_SCHEMA);
    try {
      const unseen: string[] = [];
      let last = JSON.stringify(await fingerprint(copy, [victim]));
      for (const sql of changes) {
        await withClient((client) => client.query(sql), copy.name);
        const now = JSON.stringify(await fingerprint(copy, [victim]));
        if (now === last) unseen.push(sql);
        last = now;
      }
      expect(unseen).toEqual([]);
    } finally {
      await withClient((client) =>
        client.query(`ALTER ROLE ${victim} NOCREATEDB; ALTER ROLE ${victim} RESET ALL`),
      );
      await copy.drop();
    }
  });

  test('a superuser may do what was refused: the server runs it when nobody stands in the way', async () => {
    await withClient(async (client) => {
      for (const sql of [
        'DELETE FROM orders',
        "SELECT nextval('s')",
        'CREATE TABLE x (id int)',
        'TRUNCATE accounts CASCADE',
      ]) {
        await client.query('BEGIN');
        await client.query(sql);
        await client.query('ROLLBACK');
      }
    }, database.name);
  });
});

/** Functions behind things that are no calls: no syntax shows that they write. */
const HIDDEN = `
  CREATE TABLE hits (n int);
  CREATE FUNCTION hit(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN $1; END';
  CREATE FUNCTION hit_bool(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN true; END';
  CREATE FUNCTION hit_pair(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN $1; END';
  CREATE OPERATOR |+| (LEFTARG = int, RIGHTARG = int, FUNCTION = hit_pair);
  CREATE TYPE boxed AS (n int);
  CREATE FUNCTION unbox(boxed) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (1); RETURN 1; END';
  CREATE CAST (boxed AS int) WITH FUNCTION unbox(boxed);
  CREATE DOMAIN counted AS int CHECK (hit_bool(value));
  CREATE VIEW hitting AS SELECT hit(1);
  CREATE AGGREGATE hit_sum (int) (SFUNC = hit_pair, STYPE = int, INITCOND = '0');
  CREATE FUNCTION loosen() RETURNS text LANGUAGE sql AS $$ SELECT set_config('default_transaction_read_only', 'off', false) $$;
  CREATE FUNCTION loosen_now() RETURNS text LANGUAGE sql AS $$ SELECT set_config('transaction_read_only', 'off', false) $$;
`;

describe('the backstop', () => {
  beforeAll(() => withClient((client) => client.query(HIDDEN), database.name));

  test.each([
    ['a function', 'SELECT hit(1)'],
    ['an operator', 'SELECT 1 |+| 2'],
    ['a cast', 'SELECT ROW(1)::boxed::int'],
    ['a domain', 'SELECT 1::counted'],
    ['a view', 'SELECT * FROM hitting'],
    ['an aggregate', 'SELECT hit_sum(n) FROM generate_series(1, 3) n'],
  ])('%s that writes passes Holdfast and is stopped by the server', async (_what, sql) => {
    const client = await login();
    for (const bytes of [query(sql), extended(sql)]) {
      await client.send(bytes);
      expect((await client.untilReady()).filter((line) => line.startsWith('Error'))).toEqual([
        'ErrorResponse 25006',
      ]);
    }
    client.close();
  });

  test.each([
    'RESET ALL',
    'DISCARD ALL',
    'RESET default_transaction_read_only',
    'SET default_transaction_read_only TO DEFAULT',
    'SET SESSION AUTHORIZATION DEFAULT',
    'RESET ROLE',
  ])('%s keeps it', async (reset) => {
    const client = await login();
    await client.send(query(reset));
    expect(await client.untilReady()).not.toContain('ErrorResponse 42501');
    await client.send(query('SELECT hit(1)'));
    expect(await client.untilReady()).toContain('ErrorResponse 25006');
    await client.send(query('SHOW transaction_read_only'));
    expect(await client.untilReady()).toContain('DataRow on');
    client.close();
  });

  test('the start-up parameters that Holdfast sends keep a server read only on their own', async () => {
    const direct = await wireLogin({
      host: database.host,
      port: database.port,
      user: user.name,
      database: database.name,
      parameters: { default_transaction_read_only: 'on' },
    });
    const seen: string[] = [];
    for (const sql of [
      'DELETE FROM orders',
      'RESET ALL',
      'DELETE FROM orders',
      'DISCARD ALL',
      'DELETE FROM orders',
    ]) {
      await direct.send(query(sql));
      seen.push(
        ...(await direct.untilReady()).filter((line) => !/^(?:ReadyForQuery|ParameterStatus)/.test(line)),
      );
    }
    direct.close();
    expect(seen).toEqual([
      'ErrorResponse 25006',
      'CommandComplete RESET',
      'ErrorResponse 25006',
      'CommandComplete DISCARD ALL',
      'ErrorResponse 25006',
    ]);
  });

  test('a client cannot start without it', async () => {
    const client = await login({ application_name: 'x' });
    await client.send(query('SHOW default_transaction_read_only'));
    expect(await client.untilReady()).toContain('DataRow on');
    client.close();
    for (const parameters of [
      { default_transaction_read_only: 'off' },
      { Default_Transaction_Read_Only: 'off' },
      { options: '-c default_transaction_read_only=off' },
      { options: '--default-transaction-read-only=off' },
      { options: '-c default_transaction_read_only=off -c default_transaction_read_only=on' },
    ] as readonly Readonly<Record<string, string>>[]) {
      await expect(login(parameters), JSON.stringify(parameters)).rejects.toThrow('ErrorResponse 42501');
    }
  });

  test('a function that switches it off ends the session before it can be used', async () => {
    const client = await login();
    await client.send(query('SELECT loosen()'));
    const lines = await client.untilClosed();
    expect(lines).toContain('ErrorResponse 42501');
    expect(client.errors[0]).toMatchObject({ severity: 'FATAL', routine: 'holdfast/read-only' });
  });

  const leftovers = async (messages: readonly Buffer[]): Promise<readonly unknown[]> => {
    await withClient((direct) => direct.query('TRUNCATE hits'), database.name);
    const client = await login();
    await client.send(Buffer.concat(messages));
    await Promise.race([client.untilClosed(), client.untilReady(messages.length)]).catch(() => undefined);
    client.close();
    const { rows } = await withClient(
      (direct) => direct.query<{ n: number }>('SELECT n FROM hits'),
      database.name,
    );
    return rows;
  };

  test.each([
    ['one transaction', [query('BEGIN; SELECT loosen(); SELECT hit(9); COMMIT')]],
    ['an implicit transaction', [query('SELECT loosen(); SELECT hit(9)')]],
    ['one statement', [query('SELECT loosen_now(), hit(9)')]],
    ['one statement, function by function', [query('SELECT loosen(), loosen_now(), hit(9)')]],
  ] as readonly (readonly [string, readonly Buffer[]])[])(
    'and nothing is written in %s',
    async (_how, messages) => {
      expect(await leftovers(messages)).toEqual([]);
    },
  );

  // The server reports the change with ReadyForQuery: what it has been sent before that, it runs.
  test.fails.each([
    ['one Query with a COMMIT in it', [query('SELECT loosen(); COMMIT; SELECT hit(9)')]],
    ['a pipeline of Queries', [query('SELECT loosen()'), query('SELECT hit(9)')]],
    ['a pipeline with Sync', [extended('SELECT loosen()'), extended('SELECT hit(9)')]],
  ] as readonly (readonly [string, readonly Buffer[]])[])('nor in %s', async (_how, messages) => {
    expect(await leftovers(messages)).toEqual([]);
  });
});

describe('large objects by FunctionCall', () => {
  test('are refused', async () => {
    const client = await login();
    // FunctionCall: oid of lo_unlink, one text argument.
    const body = Buffer.alloc(4 + 2 + 2 + 4 + 4 + 2);
    body.writeUInt32BE(964, 0);
    body.writeUInt16BE(0, 4);
    body.writeUInt16BE(1, 6);
    body.writeUInt32BE(4, 8);
    body.write('4711', 12);
    body.writeUInt16BE(0, 16);
    const head = Buffer.alloc(5);
    head.write('F');
    head.writeUInt32BE(4 + body.length, 1);
    await client.send(Buffer.concat([head, body]));
    expect(await client.untilReady()).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    client.close();
    const { rows } = await withClient(
      (direct) => direct.query('SELECT count(*)::int AS n FROM pg_largeobject'),
      database.name,
    );
    expect(rows).toEqual([{ n: 1 }]);
  });
});
