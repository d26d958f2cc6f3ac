/**
 * Incident 5, the clean-up script that emptied everything, in each form that one
 * statement can take: under the shop service's role of the shipped policy, with
 * row-limit. Under the same policy with every rule off but row-limit, so that it is
 * the count that stops them. None loses a row: the checksum of all rows is what it was.
 */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import { extended, say, simple } from './ground.js';

const LIMIT = 10;

const SHOP = `
  CREATE TABLE account (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL);
  CREATE TABLE users (id int PRIMARY KEY, home int NOT NULL REFERENCES account ON DELETE CASCADE);
  CREATE TABLE identity (id int PRIMARY KEY, users int NOT NULL REFERENCES users ON DELETE CASCADE);
  CREATE TABLE request (id int PRIMARY KEY, what text);
  INSERT INTO account SELECT n, 'Account ' || n, 'owner' || n || CASE WHEN n % 5 = 0 THEN '@test' ELSE '@mail' END || '.example'
    FROM generate_series(1, 50) n;
  INSERT INTO users SELECT n, 1 + n % 50 FROM generate_series(1, 100) n;
  INSERT INTO identity SELECT n, n FROM generate_series(1, 100) n;
  CREATE VIEW named AS SELECT id, name, email FROM account;
  CREATE FUNCTION clean_up(pattern text) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE n int; BEGIN DELETE FROM account WHERE email LIKE pattern; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
  CREATE FUNCTION clean_up_dynamically(name text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN EXECUTE format('DELETE FROM %I WHERE length(name) < 1000', name); END $$;
  CREATE PROCEDURE tidy() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM account WHERE length(name) < 1000; END $$;
  CREATE FUNCTION on_request() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN DELETE FROM account WHERE length(name) < 1000; RETURN NEW; END $$;
  CREATE TRIGGER on_request AFTER INSERT ON request FOR EACH ROW EXECUTE FUNCTION on_request();
`;

const DATA = `
  SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (
    SELECT 'a ' || a::text FROM account a UNION ALL SELECT 'u ' || u::text FROM users u
    UNION ALL SELECT 'i ' || i::text FROM identity i UNION ALL SELECT 'r ' || r::text FROM request r) AS rows(t)`;

/** Each is one way to delete every account; `first` is harmless by itself. */
const FORMS: readonly {
  readonly name: string;
  readonly first?: string;
  readonly sql: string;
  readonly copy?: string;
}[] = [
  {
    name: 'the left-over filter',
    sql: "DELETE FROM account WHERE email LIKE '%@test%' OR email NOT LIKE '%@test%'",
  },
  { name: 'a WHERE that no analysis sees through', sql: 'DELETE FROM account WHERE length(name) < 1000' },
  { name: 'a WHERE that excludes nothing today', sql: "DELETE FROM account WHERE email LIKE '%example'" },
  { name: 'one account too many', sql: 'DELETE FROM account WHERE id <= 3' },
  { name: 'a function that deletes', sql: "SELECT clean_up('%@%')" },
  { name: 'a function that deletes by dynamic SQL', sql: "SELECT clean_up_dynamically('account')" },
  { name: 'a function in a WHERE', sql: "SELECT 1 WHERE clean_up('%') > 0" },
  { name: 'through a view', sql: 'DELETE FROM named WHERE length(name) < 1000' },
  {
    name: 'a data-modifying CTE',
    sql: 'WITH gone AS (DELETE FROM account WHERE length(name) < 1000 RETURNING id) SELECT count(*) FROM gone',
  },
  {
    name: 'a DO loop',
    sql: 'DO $$ DECLARE one record; BEGIN FOR one IN SELECT id FROM account LOOP DELETE FROM account WHERE id = one.id; END LOOP; END $$',
  },
  { name: 'a procedure', sql: 'CALL tidy()' },
  {
    name: 'EXECUTE of a prepared DELETE',
    first: 'PREPARE gone (int) AS DELETE FROM account WHERE length(name) < $1',
    sql: 'EXECUTE gone (1000)',
  },
  {
    name: 'MERGE',
    sql: 'MERGE INTO account USING users ON account.id = users.home AND users.id <= 50 WHEN MATCHED THEN DELETE',
  },
  { name: 'INSERT that hits a trigger that deletes', sql: "INSERT INTO request VALUES (1, 'clean')" },
  {
    name: 'COPY that hits a trigger that deletes',
    sql: 'COPY request FROM STDIN',
    copy: '1\tclean\n',
  },
  { name: 'EXPLAIN ANALYZE', sql: 'EXPLAIN ANALYZE DELETE FROM account WHERE length(name) < 1000' },
  { name: 'an emptied table', sql: 'TRUNCATE account, users, identity' },
  {
    name: 'several statements in one string, each under the limit',
    sql: 'DELETE FROM account WHERE id = 1; DELETE FROM account WHERE id = 2; DELETE FROM account WHERE id = 3; DELETE FROM account WHERE id = 4; DELETE FROM account WHERE id = 5',
  },
];

const ROW_LIMIT = `row-limit: { action: deny, statement: ${LIMIT}, transaction: 15 }`;

/** The shipped policy, its role for the shop's service matching the test's user and counting. */
async function shipped(user: string): Promise<string> {
  const text = await readFile(new URL('../../config/policy.yaml', import.meta.url), 'utf8');
  const changed = text
    .replace("users: [shop_app, 'svc_*']", `users: ['${user}']`)
    .replace('row-limit: { action: deny, statement: 1000, transaction: 10000 }', ROW_LIMIT);
  expect(changed).toContain(ROW_LIMIT);
  expect(changed).toContain(user);
  return changed;
}

const countOnly = `
version: 1
roles:
  - name: counted
    access: admin
    rules: { default: allow, ${ROW_LIMIT} }
`;

let database: TestDatabase;
let user: TestUser;
let watcher: pg.Client;
const holdfasts = new Map<string, TestHoldfast>();

beforeAll(async () => {
  database = await createDatabase('incident5', SHOP);
  user = await createUser('incident5', database.name);
  watcher = new pg.Client({ connectionString: database.url });
  await watcher.connect();
  holdfasts.set('the shipped rules', await startTestHoldfast(database, await shipped(user.name)));
  holdfasts.set('the count alone', await startTestHoldfast(database, countOnly));
});

afterAll(async () => {
  await watcher.end();
  for (const holdfast of holdfasts.values()) await holdfast.close();
  await database.drop();
  await user.drop();
});

async function data(): Promise<string> {
  const { rows } = await watcher.query<{ md5: string }>(DATA);
  return rows[0]?.md5 ?? '';
}

for (const policy of ['the shipped rules', 'the count alone']) {
  describe(`incident 5, ${policy}`, () => {
    for (const { name, first, sql, copy } of FORMS) {
      test(`${name}, by itself and in a block`, async () => {
        const port = holdfasts.get(policy)?.port ?? 0;
        const before = await data();
        for (const inBlock of [false, true]) {
          for (const messages of [simple, extended]) {
            // Parse takes one statement.
            if (messages === extended && sql.includes('; DELETE')) continue;
            const client = await wireLogin({ port, user: user.name, database: database.name });
            if (first !== undefined) {
              const lines = await say(client, simple(first));
              expect(lines.at(-2)).toBe('CommandComplete PREPARE');
            }
            if (inBlock) await say(client, simple('BEGIN'));
            const asked = messages(sql);
            const lines =
              copy === undefined
                ? await say(client, asked)
                : await say(client, [
                    ...asked.filter((line) => line !== 'Sync'),
                    `CopyData ${JSON.stringify(copy)}`,
                    'CopyDone',
                    ...asked.filter((line) => line === 'Sync'),
                  ]);
            expect(lines.filter((line) => line.startsWith('ErrorResponse'))).toEqual(['ErrorResponse 42501']);
            // Of a string, those before the one that was too many have been reported, as the server does it.
            expect(lines.at(-2)).toBe('ErrorResponse 42501');
            expect(client.errors[0]?.message).toMatch(/^holdfast: /);
            if (policy === 'the count alone')
              expect(client.errors[0]?.routine).toMatch(/^holdfast\/(row-limit|measured|impact)/);
            if (inBlock) await say(client, simple('COMMIT'));
            // The connection ends as the server has it, before the rows are looked at.
            expect((await say(client, simple('SELECT 1'))).at(-1)).toBe('ReadyForQuery I');
            client.close();
          }
          expect(await data()).toBe(before);
        }
      });
    }

    test('what is meant and small passes', async () => {
      const client = await wireLogin({
        port: holdfasts.get(policy)?.port ?? 0,
        user: user.name,
        database: database.name,
      });
      // Account 50: two users with one identity each.
      await say(client, simple('BEGIN'));
      expect(await say(client, simple("DELETE FROM account WHERE id = 50 AND email LIKE '%@test%'"))).toEqual(
        ['CommandComplete DELETE 1', 'ReadyForQuery T'],
      );
      await say(client, simple('ROLLBACK'));
      client.close();
    });
  });
}
