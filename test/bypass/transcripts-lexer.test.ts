/**
 * Where a string ends depends on a setting of the server: whoever could change it
 * unseen could hide a statement within a string. Every way to change it is refused to
 * everybody, and what got past that is noticed before the next statement is judged.
 */
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { connected, startup, wire, wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { frontend } from '../session/messages.js';
import { ask, query } from './ground.js';
import { play } from './play.js';

/** Who may do anything, who may write whatever way, and who may read. */
const POLICY = `
version: 1
roles:
  - { name: everything, match: { users: ['admin_*'] }, access: admin, rules: { default: allow } }
  - { name: writers, match: { users: ['writer_*'] }, access: write, rules: { default: allow } }
  - { name: readers, access: read }
`;

const SCHEMA = `
  CREATE TABLE t (id int);
  INSERT INTO t VALUES (1);
  CREATE FUNCTION flip() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', false) $$;
  CREATE FUNCTION flip_quietly() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT flip() $$;
`;

let database: TestDatabase;
let holdfast: TestHoldfast;
let users: Readonly<Record<'admin' | 'writer' | 'reader', TestUser>>;

beforeAll(async () => {
  database = await createDatabase('lexer', SCHEMA);
  // One after the other: GRANTs on the same tables get into each other's way.
  users = {
    admin: await createUser('admin', database.name),
    writer: await createUser('writer', database.name),
    reader: await createUser('reader', database.name),
  };
  await withClient(async (client) => {
    for (const { name } of Object.values(users))
      await client.query(`ALTER ROLE ${pg.escapeIdentifier(name)} SUPERUSER`);
  });
  holdfast = await startTestHoldfast(database, POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  for (const user of Object.values(users)) await user.drop();
});

const login = (user: keyof typeof users): Promise<WireClient> =>
  wireLogin({ port: holdfast.port, user: users[user].name, database: database.name });

async function tableIsThere(): Promise<boolean> {
  const { rows } = await withClient(
    (client) => client.query<{ there: boolean }>("SELECT to_regclass('t') IS NOT NULL AS there"),
    database.name,
  );
  return rows[0]?.there === true;
}

beforeEach(async () => {
  await withClient(
    (client) => client.query('CREATE TABLE IF NOT EXISTS t (id int); TRUNCATE t; INSERT INTO t VALUES (1)'),
    database.name,
  );
});

/** One string constant and another; with standard_conforming_strings off, a string and a DROP TABLE. */
const TWO_READINGS = "SELECT '\\' || ';DROP TABLE t;--'";

describe('a backslash before a quote', () => {
  test.each(['admin', 'writer', 'reader'] as const)('is a character, for %s', async (user) => {
    const client = await login(user);
    for (const protocol of ['simple', 'extended'] as const) {
      const { lines, error } = await ask(client, TWO_READINGS, protocol);
      expect(error).toBeNull();
      expect(lines).toContain('DataRow \\;DROP TABLE t;--');
    }
    client.close();
    expect(await tableIsThere()).toBe(true);
  });

  test('in E’…’ it escapes: what follows the real end of the string is judged', async () => {
    const client = await login('writer');
    for (const protocol of ['simple', 'extended'] as const) {
      const { lines, error } = await ask(client, `SELECT E${TWO_READINGS.slice('SELECT '.length)}`, protocol);
      expect(error?.routine).toBe('holdfast/access');
      expect(lines).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    }
    client.close();
    expect(await tableIsThere()).toBe(true);
  });
});

describe('changing standard_conforming_strings or client_encoding', () => {
  const statements: readonly string[] = [
    'SET standard_conforming_strings = off',
    "SET SESSION standard_conforming_strings TO 'no'",
    'SET LOCAL standard_conforming_strings = 0',
    'SET "Standard_Conforming_Strings" = f',
    "SELECT set_config('standard_conforming_strings', 'off', true)",
    "SELECT set_config('STANDARD_CONFORMING_STRINGS', 'off', false)",
    "SELECT set_config('standard_conforming_strings', lower('OFF'), false)",
    'ALTER ROLE CURRENT_USER SET standard_conforming_strings = off',
    'ALTER ROLE ALL SET standard_conforming_strings = off',
    'ALTER ROLE ALL IN DATABASE "$database" SET standard_conforming_strings = off',
    'ALTER DATABASE "$database" SET standard_conforming_strings = off',
    'ALTER SYSTEM SET standard_conforming_strings = off',
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql SET standard_conforming_strings = off AS 'SELECT 1'",
    "CREATE PROCEDURE g() LANGUAGE sql SET standard_conforming_strings TO 'off' AS 'SELECT 1'",
    'ALTER FUNCTION flip() SET standard_conforming_strings = off',
    'ALTER ROUTINE flip() SET "standard_conforming_strings" = off',
    "SET client_encoding = 'LATIN1'",
    "SET NAMES 'SJIS'",
    "SET LOCAL client_encoding TO 'BIG5'",
    "SELECT set_config('client_encoding', 'GBK', false)",
    "ALTER ROLE CURRENT_USER SET client_encoding = 'LATIN1'",
    'ALTER DATABASE "$database" SET client_encoding = \'LATIN1\'',
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql SET client_encoding = 'LATIN1' AS 'SELECT 1'",
    'SELECT 1; SET standard_conforming_strings = off',
    'PREPARE g AS SELECT set_config($$standard_conforming_strings$$, $$off$$, false)',
    "SELECT 1 FROM t ORDER BY set_config('standard_conforming_strings', 'off', false)",
    "INSERT INTO t SELECT 1 WHERE set_config('client_encoding', 'LATIN1', false) IS NULL",
  ];

  /** In code whose text is there to be read: a DO block, a function's body. */
  const bodies: readonly string[] = [
    'DO $$ BEGIN SET standard_conforming_strings = off; END $$',
    "DO $$ BEGIN SET LOCAL client_encoding = 'LATIN1'; END $$",
    "DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$",
    "DO $$ DECLARE x text := set_config('standard_conforming_strings', 'off', false); BEGIN END $$",
    "DO $$ BEGIN IF set_config('standard_conforming_strings', 'off', false) = '' THEN NULL; END IF; END $$",
    'CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET standard_conforming_strings = off; END $$',
    "CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', false) $$",
    "CREATE FUNCTION g() RETURNS text RETURN set_config('standard_conforming_strings', 'off', false)",
    "CREATE VIEW g AS SELECT set_config('standard_conforming_strings', 'off', false)",
  ];

  async function expectProhibited(sql: string): Promise<void> {
    const client = await login('admin');
    const wrong: string[] = [];
    for (const protocol of ['simple', 'extended'] as const) {
      const { lines, error } = await ask(client, sql.replaceAll('$database', database.name), protocol);
      if (error?.routine !== 'holdfast/prohibited') {
        wrong.push(`${protocol}: ${lines.join(', ')} ${error?.routine ?? ''} ${error?.message ?? ''}`);
      }
    }
    client.close();
    // Should it have passed after all, the other tests go on.
    await withClient(async (direct) => {
      await direct.query(`ALTER DATABASE ${pg.escapeIdentifier(database.name)} RESET ALL`);
      await direct.query(`ALTER ROLE ${pg.escapeIdentifier(users.admin.name)} RESET ALL`);
      await direct.query('DROP FUNCTION IF EXISTS g()');
    }, database.name);
    expect(wrong).toEqual([]);
  }

  test.each(statements)('is refused even to who may do anything: %s', expectProhibited);

  test.each(bodies)('… within code: %s', expectProhibited);

  const parameters: readonly Readonly<Record<string, string>>[] = [
    { standard_conforming_strings: 'off' },
    { Standard_Conforming_Strings: 'off' },
    { options: '-cstandard_conforming_strings=off' },
    { options: '-c standard-conforming-strings=off' },
    { options: '--standard_conforming_strings=off' },
    { options: '--Standard-Conforming-Strings=no' },
    { options: '-c geqo=on -c standard_conforming_strings=off -c standard_conforming_strings=on' },
    { options: '-c standard_conforming\\_strings=off' },
    { options: '\t-c\tstandard_conforming_strings=off' },
    { options: '-c client_encoding=LATIN1' },
    { options: '--client-encoding=SJIS' },
    { client_encoding: 'EUC_JP' },
    { client_encoding: "'UTF8', 'LATIN1'" },
  ];

  test.each(parameters)('… by start-up parameters: %j', async (given) => {
    for (const { name } of [users.admin, users.reader]) {
      const client = wire(await connected(holdfast.port));
      await client.send(startup(0, { user: name, database: database.name, ...given }));
      expect(await client.untilClosed()).toEqual(['ErrorResponse 42501']);
      expect(client.errors[0]?.routine).toMatch(/^holdfast\/(?:prohibited|access)$/);
    }
  });

  test('setting them to what they are is nobody’s loss', async () => {
    const client = await login('reader');
    for (const sql of [
      'SET standard_conforming_strings = on',
      "SET client_encoding = 'utf-8'",
      'RESET standard_conforming_strings',
      'RESET client_encoding',
      "SELECT set_config('standard_conforming_strings', 'on', false)",
      "SET NAMES 'UTF8'",
    ]) {
      expect((await ask(client, sql)).error, sql).toBeNull();
    }
    client.close();
  });
});

describe('where a function has changed it all the same', () => {
  test('the next statement is refused, whatever it is, in both protocols', async () => {
    const client = await login('writer');
    await play(
      client,
      String.raw`
      > Query "SELECT flip()"
      < RowDescription
      < DataRow off
      < CommandComplete SELECT 1
      < ReadyForQuery I
      > Query "SELECT '\\' || ';DROP TABLE t;--'"
      < ErrorResponse 42501
      < ReadyForQuery I
      > Parse "" "SELECT '\\' || ';DROP TABLE t;--'"
      > Bind "" ""
      > Execute "" 0
      > Sync
      < ErrorResponse 42501
      < ReadyForQuery I
      `,
    );
    client.close();
    expect(await tableIsThere()).toBe(true);
  });

  test('also when it was sent in one go with what changes it', async () => {
    const client = await login('writer');
    await client.send(Buffer.concat(['SELECT flip()', TWO_READINGS].map(query)));
    await client.untilReady(2);
    client.close();
    expect(await tableIsThere()).toBe(true);
  });

  // One statement in both readings, as a Parse takes only one: two strings, or a string and a call.
  const CALL = String.raw`SELECT '\\' || ' || pg_advisory_lock(4711) IS NULL --'`;

  test.each([
    ['writer', 'flip'],
    ['reader', 'flip'],
    ['reader', 'flip_quietly'],
  ] as const)('also within one pipeline up to Sync, for a %s who calls %s()', async (user, call) => {
    const client = await login(user);
    await client.send(
      Buffer.concat(
        [
          `Parse "" "SELECT ${call}()"`,
          'Bind "" ""',
          'Execute "" 0',
          `Parse "" "${CALL}"`,
          'Bind "" ""',
          'Execute "" 0',
          'Sync',
        ].map(frontend),
      ),
    );
    await client.untilReady();
    const { rows } = await withClient(
      (direct) => direct.query("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"),
      database.name,
    );
    client.close();
    expect(rows).toEqual([]);
  });
});
