/**
 * A write role under the shipped defaults: the everyday writes of ORMs pass, and
 * each rule stops what it is for and nothing beside it; with what people are told.
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
import { fingerprint } from './fingerprint.js';

const SCHEMA = `
  CREATE TABLE accounts (id int PRIMARY KEY, email text UNIQUE, data jsonb DEFAULT '{}', version int DEFAULT 0);
  CREATE TABLE orders (id serial PRIMARY KEY, account_id int REFERENCES accounts ON DELETE CASCADE DEFERRABLE, state text DEFAULT 'new');
  CREATE TABLE audit_log (id serial, what text);
  CREATE SCHEMA billing;
  CREATE TABLE billing.invoices (id int);
  CREATE TABLE invoices (id int);
  CREATE VIEW v AS SELECT id FROM accounts;
  CREATE SEQUENCE s;
  CREATE PROCEDURE archive() LANGUAGE sql AS 'DELETE FROM orders';
  INSERT INTO accounts (id, email) SELECT n, 'a' || n FROM generate_series(1, 20) n;
  INSERT INTO orders (account_id) SELECT n FROM generate_series(1, 20) n;
`;

const POLICY = `
version: 1
roles:
  - { name: writers, match: { applications: [writer] }, access: write }
  - name: careful
    match: { applications: [careful] }
    access: write
    rules:
      multi-statement: deny
      protected-tables: { action: deny, tables: ['audit_*', 'billing.*'] }
      truncate: warn
  - { name: engineers, match: { applications: [engineer] }, access: ddl }
  - { name: administrators, match: { applications: [administrator] }, access: admin, rules: { drop-table: confirm, opaque-code: allow } }
`;

let database: TestDatabase;
let holdfast: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('write_role', SCHEMA);
  user = await createUser('write_role', database.name);
  await withClient((client) => client.query(`ALTER ROLE ${user.name} SUPERUSER`));
  holdfast = await startTestHoldfast(database, POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  await user.drop();
});

const login = (application: string, port = holdfast.port): Promise<WireClient> =>
  wireLogin({
    port,
    user: user.name,
    database: database.name,
    parameters: { application_name: application },
  });
const query = (sql: string): Buffer => serialize.query(sql);
const extended = (text: string, values: readonly (string | null)[] = []): Buffer =>
  Buffer.concat([
    serialize.parse({ text }),
    serialize.bind({ values: [...values] }),
    serialize.execute(),
    serialize.sync(),
  ]);

describe('everyday writes pass', () => {
  const EVERYDAY: readonly (readonly [sql: string, values?: readonly string[]])[] = [
    ['UPDATE accounts SET email = $1 WHERE id = $2', ['x', '1']],
    [
      "UPDATE accounts SET data = jsonb_set(data, '{a}', $1), version = version + 1 WHERE id = $2 AND version = $3 RETURNING version",
      ['1', '2', '0'],
    ],
    [
      'INSERT INTO accounts (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email',
      ['3', 'z'],
    ],
    [
      'INSERT INTO accounts (id, email) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING RETURNING id',
      ['90', 'p', '91', 'q'],
    ],
    ['INSERT INTO orders (account_id) SELECT id FROM accounts WHERE id < 5'],
    ['INSERT INTO orders DEFAULT VALUES'],
    ["SELECT * FROM orders WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"],
    ['SELECT id FROM accounts WHERE id = $1 FOR NO KEY UPDATE', ['1']],
    [
      "UPDATE orders SET state = 'done' WHERE id = (SELECT id FROM orders WHERE state = 'new' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING *",
    ],
    ["SELECT nextval('s')"],
    ["SELECT setval(pg_get_serial_sequence('orders', 'id'), coalesce(max(id), 1)) FROM orders"],
    ['DELETE FROM orders WHERE id = $1', ['1']],
    ['DELETE FROM orders WHERE account_id IN ($1, $2, $3)', ['1', '2', '3']],
    [
      'DELETE FROM orders USING accounts WHERE accounts.id = orders.account_id AND accounts.email = $1',
      ['a4'],
    ],
    [
      "WITH gone AS (DELETE FROM orders WHERE state = 'done' RETURNING *) INSERT INTO audit_log (what) SELECT 'order ' || id FROM gone",
    ],
    ['WITH up AS (UPDATE accounts SET version = 1 WHERE id = 7 RETURNING id) SELECT * FROM up'],
    [
      'MERGE INTO accounts a USING (SELECT $1::int AS id, $2 AS email) n ON a.id = n.id WHEN MATCHED THEN UPDATE SET email = n.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (n.id, n.email)',
      ['5', 'merged'],
    ],
    ['SELECT pg_advisory_xact_lock($1)', ['42']],
    ["SELECT pg_notify('channel', 'payload')"],
    ["NOTIFY channel, 'payload'"],
    ['CREATE TEMP TABLE staging (id int) ON COMMIT DROP'],
    ['LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE NOWAIT'],
    ['SET CONSTRAINTS ALL DEFERRED'],
    ["SET LOCAL lock_timeout = '5s'"],
    ['EXPLAIN ANALYZE UPDATE accounts SET version = 2 WHERE id = 1'],
    ['UPDATE accounts SET version = 0 WHERE version IS NOT NULL AND id > 0'],
  ];

  test.each(EVERYDAY.map(([sql, values = []]) => ({ sql, values })))('$sql', async ({ sql, values }) => {
    const [through, direct] = await Promise.all([login('writer'), login('writer', database.port)]);
    const answers: (readonly string[])[] = [];
    // One after the other, each rolled back: the same rows are there for both.
    for (const client of [direct, through]) {
      await client.send(query('BEGIN'));
      await client.untilReady();
      await client.send(extended(sql, values));
      const lines = await client.untilReady();
      if (values.length === 0) {
        await client.send(query(sql));
        await client.untilReady();
        expect(client.errors.filter(({ routine }) => routine?.startsWith('holdfast/'))).toEqual([]);
      }
      answers.push(
        lines.map((line) =>
          /nextval|EXPLAIN|INSERT INTO (?:orders|audit)|setval|done/.test(sql)
            ? line.replace(/^DataRow.*/, 'DataRow')
            : line,
        ),
      );
      await client.send(query('ROLLBACK'));
      await client.untilReady();
      client.close();
    }
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[1]?.join()).not.toContain('ErrorResponse');
  });

  test('a unit of work with SAVEPOINTs', async () => {
    const client = await login('writer');
    const said: string[] = [];
    for (const sql of [
      'BEGIN',
      "INSERT INTO accounts (id, email) VALUES (200, 'unit')",
      'SAVEPOINT one',
      "INSERT INTO accounts (id, email) VALUES (201, 'unit')",
      'ROLLBACK TO SAVEPOINT one',
      'RELEASE SAVEPOINT one',
      'SAVEPOINT two',
      'DELETE FROM accounts',
      'ROLLBACK TO two',
      "UPDATE accounts SET email = 'unit of work' WHERE id = 200",
      'COMMIT',
    ]) {
      await client.send(query(sql));
      said.push(...(await client.untilReady()).filter((line) => !line.startsWith('ReadyForQuery')));
    }
    client.close();
    expect(said).toEqual([
      'CommandComplete BEGIN', 'CommandComplete INSERT 0 1', 'CommandComplete SAVEPOINT', 'ErrorResponse 23505', 'CommandComplete ROLLBACK',
      'CommandComplete RELEASE', 'CommandComplete SAVEPOINT', 'ErrorResponse 42501', 'CommandComplete ROLLBACK', 'CommandComplete UPDATE 1',
      'CommandComplete COMMIT',
    ]); // prettier-ignore
    const { rows } = await withClient(
      (direct) => direct.query('SELECT id, email FROM accounts WHERE id >= 200'),
      database.name,
    );
    expect(rows).toEqual([{ id: 200, email: 'unit of work' }]);
  });

  test('COPY FROM STDIN', async () => {
    const client = await login('writer');
    await client.send(query('COPY orders (account_id, state) FROM STDIN'));
    await client.until('CopyInResponse');
    await client.send(
      Buffer.concat([serialize.copyData(Buffer.from('1\tcopied\n2\tcopied\n')), serialize.copyDone()]),
    );
    expect(await client.untilReady()).toEqual(['CommandComplete COPY 2', 'ReadyForQuery I']);
    client.close();
  });
});

interface Stopped {
  readonly role: string;
  readonly rule: string;
  readonly sql: string;
  readonly message: string | RegExp;
  readonly hint?: RegExp;
}

const STOPPED: readonly Stopped[] = [
  {
    role: 'writer',
    rule: 'require-where',
    sql: 'DELETE FROM accounts',
    message: 'holdfast: DELETE on "accounts" has no WHERE clause, so it would empty the table.',
    hint: /WHERE/,
  },
  {
    role: 'writer',
    rule: 'require-where',
    sql: 'UPDATE accounts SET version = 1',
    message: /^holdfast: UPDATE on "accounts" has no WHERE clause/,
  },
  {
    role: 'writer',
    rule: 'require-where',
    sql: 'WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d',
    message: /DELETE on "orders" .*in the CTE "d"/,
  },
  {
    role: 'writer',
    rule: 'require-where',
    sql: 'EXPLAIN ANALYZE DELETE FROM orders',
    message: /DELETE on "orders"/,
  },
  {
    role: 'writer',
    rule: 'require-where',
    sql: 'PREPARE p AS DELETE FROM orders',
    message: /DELETE on "orders"/,
  },
  {
    role: 'writer',
    rule: 'require-where',
    sql: 'COPY (DELETE FROM orders RETURNING id) TO STDOUT',
    message: /DELETE on "orders"/,
  },
  {
    role: 'writer',
    rule: 'require-where',
    sql: 'MERGE INTO accounts a USING orders o ON true WHEN MATCHED THEN DELETE',
    message: /MERGE/,
  },
  {
    role: 'writer',
    rule: 'cascade',
    sql: 'TRUNCATE accounts CASCADE',
    message: /^holdfast: TRUNCATE .*CASCADE.* also empties every table that references/,
  },
  {
    role: 'engineer',
    rule: 'cascade',
    sql: 'DROP TABLE accounts CASCADE',
    message: /also drops everything that depends on it/,
    hint: /Leave CASCADE out/,
  },
  {
    role: 'engineer',
    rule: 'cascade',
    sql: 'ALTER TABLE accounts DROP CONSTRAINT accounts_pkey CASCADE',
    message: /CASCADE/,
  },
  {
    role: 'writer',
    rule: 'truncate',
    sql: 'TRUNCATE orders',
    message: /^holdfast: TRUNCATE on "orders" would empty the table at once.*needs approval/,
    hint: /DELETE with a WHERE/,
  },
  {
    role: 'engineer',
    rule: 'drop-table',
    sql: 'DROP TABLE orders',
    message: /would remove it from production, with what it holds/,
    hint: /Rename it first/,
  },
  { role: 'engineer', rule: 'drop-table', sql: 'DROP VIEW v', message: /would remove it from production/ },
  {
    role: 'administrator',
    rule: 'drop-table',
    sql: 'DROP TABLE orders',
    message: /It must be confirmed: this is production\.$/,
    hint: /SET holdfast\.target = 'production'/,
  },
  {
    role: 'engineer',
    rule: 'drop-column',
    sql: 'ALTER TABLE accounts DROP COLUMN email',
    message: /would lose what the column holds in every row/,
  },
  {
    role: 'engineer',
    rule: 'drop-schema',
    sql: 'DROP SCHEMA billing',
    message: /would remove a whole schema from production/,
  },
  {
    role: 'administrator',
    rule: 'drop-database',
    sql: 'DROP DATABASE holdfast_never',
    message: /would remove the whole database from production/,
  },
  {
    role: 'writer',
    rule: 'opaque-code',
    sql: "DO 'BEGIN EXECUTE lower(''DELETE FROM orders''); END'",
    message: /^holdfast: DO runs code whose effect cannot be told from the statement/,
    hint: /one by one/,
  },
  { role: 'writer', rule: 'opaque-code', sql: 'CALL archive()', message: /^holdfast: CALL/ },
  {
    role: 'careful',
    rule: 'multi-statement',
    sql: 'UPDATE public.accounts SET version = 1 WHERE id = 1; SELECT 1',
    message: 'holdfast: The query string holds 2 statements.',
  },
  {
    role: 'careful',
    rule: 'protected-tables',
    sql: "UPDATE audit_log SET what = 'x' WHERE id = 1",
    message: /"audit_log" is protected by "audit_\*"/,
  },
  {
    role: 'careful',
    rule: 'protected-tables',
    sql: 'INSERT INTO billing.invoices VALUES (1)',
    message: /"billing.invoices" is protected by "billing\.\*"/,
  },
  {
    role: 'careful',
    rule: 'protected-tables',
    sql: 'WITH d AS (DELETE FROM billing.invoices WHERE id = 1 RETURNING 1) SELECT 1',
    message: /is protected/,
  },
  {
    role: 'writer',
    rule: 'access',
    sql: 'CREATE TABLE x (id int)',
    message: /needs ddl access.*role "writers" has write/,
  },
  {
    role: 'writer',
    rule: 'access',
    sql: 'ALTER TABLE accounts ADD COLUMN x int',
    message: /needs ddl access/,
  },
  { role: 'engineer', rule: 'access', sql: 'CREATE ROLE holdfast_never', message: /needs admin access/ },
  {
    role: 'administrator',
    rule: 'prohibited',
    sql: "SET client_encoding = 'LATIN1'",
    message: /client_encoding/,
  },
];

describe('each rule stops what it is for', () => {
  let before: Readonly<Record<string, string>>;
  beforeAll(async () => {
    before = await fingerprint(database, [user.name]);
  });

  test.each(STOPPED)('$role, $rule: $sql', async ({ role, rule, sql, message, hint }) => {
    const client = await login(role);
    for (const bytes of [query(sql), extended(sql)]) {
      await client.send(bytes);
      expect(await client.untilReady()).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      const error = client.errors.at(-1);
      expect(error?.routine).toBe(`holdfast/${rule}`);
      if (typeof message === 'string') expect(error?.message).toBe(message);
      else expect(error?.message).toMatch(message);
      expect(error?.detail).toMatch(new RegExp(`Decision \\S+\\. Rules?: .*${rule} \\(`));
      if (hint !== undefined) expect(error?.hint).toMatch(hint);
    }
    client.close();
  });

  test('and nothing has changed', async () => {
    expect(await fingerprint(database, [user.name])).toEqual(before);
  });

  test.each([
    ['writer', 'UPDATE accounts SET version = 1 WHERE id = 1; SELECT 1'],
    ['writer', "UPDATE audit_log SET what = 'x' WHERE id = 1"],
    ['careful', 'SELECT * FROM billing.invoices, audit_log'],
    ['careful', 'INSERT INTO public.accounts (id) SELECT 300 FROM audit_log WHERE false'],
    ['engineer', 'CREATE TABLE x (id int)'],
    ['engineer', 'DROP INDEX IF EXISTS nothing'],
    ['engineer', 'ALTER TABLE accounts ADD COLUMN x int'],
    ['engineer', "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"],
    ['administrator', 'DO $$ BEGIN PERFORM 1; END $$'],
    ['administrator', 'ALTER ROLE CURRENT_USER SET work_mem FROM CURRENT'],
    ['engineer', 'EXPLAIN DELETE FROM orders'],
  ])('and nothing beside it: %s, %s', async (role, sql) => {
    const client = await login(role);
    await client.send(query('BEGIN'));
    await client.untilReady();
    await client.send(query(sql));
    expect((await client.untilReady()).join()).not.toContain('ErrorResponse');
    await client.send(query('ROLLBACK'));
    await client.untilReady();
    client.close();
  });

  test('warn: it runs, with a notice', async () => {
    const client = await login('careful');
    await client.send(query('TRUNCATE public.invoices'));
    expect(await client.untilReady()).toEqual([
      'NoticeResponse 01000',
      'CommandComplete TRUNCATE TABLE',
      'ReadyForQuery I',
    ]);
    expect(client.notices.at(-1)).toMatchObject({ severity: 'WARNING', routine: 'holdfast/truncate' });
    client.close();
  });

  test('confirm: it runs once the environment was named, and not for another', async () => {
    const client = await login('administrator');
    const outcome = async (sql: string): Promise<string> => {
      await client.send(query(sql));
      return (await client.untilReady()).filter((line) => !line.startsWith('ParameterStatus')).join();
    };
    await outcome('CREATE TABLE doomed (id int)');
    expect(await outcome('DROP TABLE doomed')).toContain('ErrorResponse 42501');
    expect(await outcome("SET holdfast.target = 'staging'")).toContain('CommandComplete SET');
    expect(await outcome('DROP TABLE doomed')).toContain('ErrorResponse 42501');
    expect(await outcome("SET holdfast.target = 'production'")).toContain('CommandComplete SET');
    expect(await outcome('DROP TABLE doomed')).toContain('CommandComplete DROP TABLE');
    client.close();
  });
});

describe('what is recorded when records are normalized', () => {
  let normalized: TestHoldfast;
  beforeAll(async () => {
    normalized = await startTestHoldfast(database, POLICY, { audit: { sql: 'normalized' } });
  });
  afterAll(() => normalized.close());

  test('no literal of any statement', async () => {
    const client = await login('writer', normalized.port);
    const texts = [
      "INSERT INTO accounts (id, email) VALUES (400, 'confidential one')",
      "SELECT 'ünï', 'confidential two' WHERE 'confidential three' <> $$confidential four$$; SELECT E'confidential\\'five', 6789012",
      "PREPARE p AS SELECT 'confidential six'; EXECUTE p",
      "DELETE FROM accounts WHERE email = 'confidential seven'; DELETE FROM accounts",
      `SELECT '${'confidential eight '.repeat(1000)}'`,
      "SELEC 'confidential nine'",
    ];
    for (const sql of texts) {
      await client.send(query(sql));
      await client.untilReady();
      await client.send(extended(sql));
      await client.untilReady();
    }
    client.close();
    const records = await normalized.records();
    const decisions = records.filter(({ kind }) => kind === 'decision').map(({ sql }) => sql);
    expect(JSON.stringify(decisions)).not.toContain('confidential');
    expect(JSON.stringify(decisions)).not.toContain('6789012');
    expect(decisions).toContain('INSERT INTO accounts (id, email) VALUES (?, ?)');
    await withClient((direct) => direct.query('DELETE FROM accounts WHERE id = 400'), database.name);
  });
});
