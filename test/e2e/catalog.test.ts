/** What Holdfast knows of the database: read by a session for all, kept up with schema changes, strict when unknown. */
import pg from 'pg';
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { connected, startup, wire, wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

const POLICY = `
version: 1
roles:
  - name: migrations
    match: { users: ["ddl_*"] }
    access: ddl
  - name: app
    access: write
    rules: { json-overwrite: deny }
`;

let database: TestDatabase;
let migrator: TestUser;
let app: TestUser;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase(
    'catalogs',
    `CREATE TABLE users (id int PRIMARY KEY, name text, data jsonb);
     INSERT INTO users VALUES (1, 'ann', '{"phone": 1}');
     CREATE FUNCTION harmless() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
     CREATE FUNCTION volatile_one() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';`,
  );
  migrator = await createUser('ddl', database.name);
  app = await createUser('app', database.name);
  await withClient(async (client) => {
    for (const { name } of [migrator, app])
      await client.query(`ALTER ROLE ${pg.escapeIdentifier(name)} SUPERUSER`);
  });
});

afterAll(async () => {
  await database.drop();
  await migrator.drop();
  await app.drop();
});

beforeEach(async () => {
  holdfast = await startTestHoldfast(database, POLICY);
});

afterEach(async () => {
  await holdfast.close();
});

const query = (sql: string): Buffer => serialize.query(sql);
const OVERWRITE = 'UPDATE users SET data = $1 WHERE id = 1';
const RENAME = 'UPDATE users SET name = $1 WHERE id = 1';
const extended = (sql: string, ...values: string[]): Buffer =>
  Buffer.concat([
    serialize.parse({ text: sql }),
    serialize.bind({ values }),
    serialize.execute({}),
    serialize.sync(),
  ]);

function login(user: TestUser, parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: database.name, parameters });
}

async function send(client: WireClient, bytes: Buffer): Promise<readonly string[]> {
  await client.send(bytes);
  return client.untilReady();
}

const reads = (result = 'read'): Promise<number> =>
  metric(holdfast, 'holdfast_catalog_reads_total', { result });

const UPDATED = ['ParseComplete', 'BindComplete', 'CommandComplete UPDATE 1', 'ReadyForQuery I'];
const REFUSED = ['ErrorResponse 42501', 'ReadyForQuery I'];

describe('the first statement that needs it', () => {
  test('has it read, once for all sessions, and the client sees nothing of that', async () => {
    const socket = await connected(holdfast.port);
    const client = wire(socket);
    await client.send(Buffer.concat([startup(0, { user: app.name, database: database.name })]));
    await client.untilReady();
    expect(await reads()).toBe(0);
    expect(await send(client, query('SHOW lock_timeout'))).toEqual([
      'RowDescription',
      'DataRow 0',
      'CommandComplete SHOW',
      'ReadyForQuery I',
    ]);
    expect(await reads()).toBe(0);
    expect(await send(client, extended(RENAME, 'ann'))).toEqual(UPDATED);
    expect(await reads()).toBe(1);
    expect(await send(client, extended(OVERWRITE, '{}'))).toEqual(REFUSED);
    expect(client.errors[0]).toMatchObject({ routine: 'holdfast/json-overwrite' });
    const other = await login(app);
    expect(await send(other, extended(OVERWRITE, '{}'))).toEqual(REFUSED);
    expect(await send(other, query('SHOW search_path'))).toContain('DataRow "$user", public');
    expect(await reads()).toBe(1);
    client.close();
    other.close();
  });

  test('may be the first of a pipeline that came with it; all are answered in order', async () => {
    const client = await login(app);
    await client.send(Buffer.concat([extended(RENAME, 'a'), query('SELECT 1'), extended(RENAME, 'b')]));
    expect(await client.untilReady(3)).toEqual([
      ...UPDATED,
      'RowDescription',
      'DataRow 1',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
      ...UPDATED,
    ]);
    expect(await reads()).toBe(1);
    client.close();
  });

  test('is BEGIN where a transaction begins, for within one it cannot be read', async () => {
    const client = await login(app);
    await send(client, query('BEGIN ISOLATION LEVEL SERIALIZABLE'));
    expect(await reads()).toBe(1);
    expect(await send(client, extended(OVERWRITE, '{}'))).toEqual(['ErrorResponse 42501', 'ReadyForQuery E']);
    client.close();
  });
});

describe('a change of the schema', () => {
  test.each([
    ['by itself', ['CREATE TABLE docs (id int PRIMARY KEY, body json)']],
    ['in a transaction', ['BEGIN', 'CREATE TABLE docs (id int PRIMARY KEY, body json)', 'COMMIT']],
    ['in one string', ['BEGIN; CREATE TABLE docs (id int PRIMARY KEY, body json); COMMIT']],
    ['in DO', ['DO $$ BEGIN CREATE TABLE docs (id int PRIMARY KEY, body json); END $$']],
  ])('%s counts for the next statement of every session', async (_how, statements) => {
    const people = await login(app);
    expect(await send(people, extended(RENAME, 'ann'))).toEqual(UPDATED);
    const ddl = await login(migrator);
    for (const sql of statements) expect((await send(ddl, query(sql))).join()).not.toContain('Error');
    expect(await send(people, extended('UPDATE docs SET body = $1 WHERE id = 1', '{}'))).toEqual(REFUSED);
    expect(await reads()).toBe(2);
    await send(ddl, query('DROP TABLE docs'));
    await withClient((direct) => direct.query('DROP TABLE IF EXISTS docs'), database.name);
    people.close();
    ddl.close();
  });

  test('that is rolled back, or another kind of statement, does no harm', async () => {
    const ddl = await login(migrator);
    await send(ddl, query('BEGIN; CREATE TABLE gone (body json); ROLLBACK'));
    const people = await login(app);
    expect(await send(people, extended(RENAME, 'ann'))).toEqual(UPDATED);
    const before = await reads();
    expect(await send(people, extended(RENAME, 'ann'))).toEqual(UPDATED);
    await send(people, query('CREATE TEMP TABLE mine (id int)'));
    expect(await send(people, extended(RENAME, 'ann'))).toEqual(UPDATED);
    expect(await reads()).toBe(before);
    people.close();
    ddl.close();
  });
});

describe('a session that may not be asked in between', () => {
  const group = (sql: string, ...values: string[]): Buffer => extended(sql, ...values).subarray(0, -5);

  test('messages that were answered without their Sync have begun a transaction, and what it did stays', async () => {
    const client = await login(app);
    await send(client, extended(RENAME, 'ann'));
    await client.send(Buffer.concat([group("INSERT INTO users VALUES (5, 'eve')"), serialize.flush()]));
    await client.until('CommandComplete');
    const other = await login(migrator);
    await send(other, query('CREATE TABLE between_groups (a int)'));
    // Its judgement depends on the catalogs, which have changed.
    expect(await send(client, extended('SELECT harmless() FROM between_groups'))).toEqual([
      'ParseComplete',
      'BindComplete',
      'CommandComplete SELECT 0',
      'ReadyForQuery I',
    ]);
    expect(await send(client, query('DELETE FROM users WHERE id = 5'))).toContain('CommandComplete DELETE 1');
    expect(await send(client, extended(RENAME, 'ann'))).toContain('CommandComplete UPDATE 1');
    expect(await reads('failed')).toBe(0);
    await send(other, query('DROP TABLE between_groups'));
    other.close();
    client.close();
  });

  test('the unnamed statement that it has prepared is still there behind a reading', async () => {
    const client = await login(app);
    await send(client, Buffer.concat([serialize.parse({ text: RENAME }), serialize.sync()]));
    const other = await login(migrator);
    await send(other, query('CREATE TABLE between_groups (a int)'));
    const run = Buffer.concat([serialize.bind({ values: ['ann'] }), serialize.execute({}), serialize.sync()]);
    expect(await send(client, run)).toEqual(['BindComplete', 'CommandComplete UPDATE 1', 'ReadyForQuery I']);
    expect(await reads('failed')).toBe(0);
    await send(other, query('DROP TABLE between_groups'));
    other.close();
    client.close();
  });
});

describe('a reading that does not succeed', () => {
  /** Nobody can read the catalog that this locks until the returned function is called. */
  async function lockCatalog(): Promise<() => Promise<void>> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query('BEGIN; LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE');
    return () => client.end();
  }

  test('leaves what only it could clear refused, and all else passes', async () => {
    await holdfast.close();
    holdfast = await startTestHoldfast(database, POLICY, { catalog: { maxAge: 60_000, timeout: 50 } });
    const unlock = await lockCatalog();
    const client = await login(app);
    expect(await send(client, extended(RENAME, 'ann'))).toEqual(REFUSED);
    expect(client.errors[0]?.detail).toContain('not known');
    expect(await reads('failed')).toBe(1);
    expect(await send(client, query("UPDATE users SET name = name || '' WHERE id = 1"))).toEqual([
      'CommandComplete UPDATE 1',
      'ReadyForQuery I',
    ]);
    await unlock();
    client.close();
  });

  test('because its client went away leaves it to the next', async () => {
    const unlock = await lockCatalog();
    const first = await login(app);
    const second = await login(app);
    await first.send(extended(RENAME, 'ann'));
    await waiting(1);
    await second.send(extended(RENAME, 'ann'));
    first.close();
    // Now the second one reads. The server itself notices only later that the first one is gone.
    await waiting(2);
    await unlock();
    expect(await second.untilReady()).toEqual(UPDATED);
    expect(await reads()).toBe(1);
    expect(await reads('failed')).toBe(0);
    second.close();
  });

  test('is not what a cancel request hits: the statement that waits for it is', async () => {
    const unlock = await lockCatalog();
    const client = await login(app);
    await client.send(extended(RENAME, 'ann'));
    await waiting(1);
    const { key } = client;
    const cancel = await connected(holdfast.port);
    cancel.end(serialize.cancel(key?.processId ?? 0, key?.secretKey ?? 0));
    await new Promise((resolve) => cancel.once('close', resolve));
    await unlock();
    expect(await client.untilReady()).toEqual(['ErrorResponse 57014', 'ReadyForQuery I']);
    expect(await reads()).toBe(1);
    expect(await send(client, extended(RENAME, 'ann'))).toEqual(UPDATED);
    client.close();
  });

  /** Resolves when this many sessions wait for a lock in the database. */
  async function waiting(count: number): Promise<void> {
    await withClient(async (direct) => {
      for (;;) {
        const { rows } = await direct.query<{ n: number }>(
          "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'",
          [database.name],
        );
        if (rows[0]?.n === count) return;
      }
    });
  }
});

describe('functions', () => {
  test('are judged by what the catalog says of them', async () => {
    const client = await login(app);
    expect(await send(client, query('SELECT harmless()'))).toContain('CommandComplete SELECT 1');
    expect(await send(client, query('SELECT volatile_one()'))).toEqual(REFUSED);
    expect(client.errors[0]).toMatchObject({ routine: 'holdfast/opaque-code' });
    expect(await send(client, query('SELECT now(), random(), no_such_function()'))).toEqual([
      'ErrorResponse 42883',
      'ReadyForQuery I',
    ]);
    client.close();
  });

  test.each([
    ['alone', (sql: string) => query(sql), 1],
    ['by the extended protocol', (sql: string) => extended(sql), 1],
    // Nothing can be read before the first one is answered.
    ['behind another statement', (sql: string) => Buffer.concat([query('SELECT 1'), query(sql)]), 2],
  ])('made straight on the server are judged %s like any other', async (_how, bytes, answers) => {
    const client = await login(app);
    await send(client, query('SELECT harmless()'));
    expect(await reads()).toBe(1);
    await withClient(async (direct) => {
      await direct.query("CREATE FUNCTION brand_new() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'");
      try {
        await client.send(bytes('SELECT brand_new()'));
        expect((await client.untilReady(answers)).slice(-2)).toEqual(REFUSED);
        expect(client.errors[0]).toMatchObject({ routine: 'holdfast/opaque-code' });
        expect(await reads()).toBe(2);
      } finally {
        await direct.query('DROP FUNCTION brand_new()');
      }
    }, database.name);
    client.close();
  });

  test('that no reading finds have it done once, and all wait for it that come meanwhile', async () => {
    const [client, other] = [await login(app), await login(app)];
    await send(client, query('SELECT harmless()'));
    const answers = await Promise.all([
      send(client, query('SELECT no_such_function()')),
      send(other, query('SELECT no_such_function()')),
    ]);
    for (const answer of answers) expect(answer).toEqual(['ErrorResponse 42883', 'ReadyForQuery I']);
    expect(await reads()).toBe(2);
    expect(await send(client, query('SELECT lower(name) FROM users'))).toContain('CommandComplete SELECT 1');
    expect(await reads()).toBe(2);
    client.close();
    other.close();
  });
});
