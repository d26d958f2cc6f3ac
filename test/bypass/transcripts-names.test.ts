/**
 * Names that stand for statements and portals, against a real server: whoever may no
 * longer run what a name stands for cannot make Holdfast believe that it stands for
 * something else. And verdicts that are kept are kept for whom they were made.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { PROTOCOLS, ask } from './ground.js';
import { play } from './play.js';

const WRITE = 'version: 1\nroles: [{ name: all, access: write, rules: { default: allow } }]\n';
const READ = 'version: 1\nroles: [{ name: all, access: read }]\n';

let database: TestDatabase;
let holdfast: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('names', 'CREATE TABLE t (id int PRIMARY KEY)');
  user = await createUser('names', database.name);
  holdfast = await startTestHoldfast(database, WRITE);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  await user.drop();
});

const rows = async (): Promise<number> => {
  const result = await withClient(
    (client) => client.query<{ n: number }>('SELECT count(*)::int AS n FROM t'),
    database.name,
  );
  return result.rows[0]?.n ?? -1;
};

describe('a statement that may no longer run', () => {
  let client: WireClient;

  beforeEach(async () => {
    await withClient(
      (direct) => direct.query('TRUNCATE t; INSERT INTO t SELECT generate_series(1, 3)'),
      database.name,
    );
    await holdfast.setPolicy(WRITE);
    client = await wireLogin({ port: holdfast.port, user: user.name, database: database.name });
  });

  afterEach(async () => {
    client.close();
    expect(await rows()).toBe(3);
  });

  const PREPARED = `
    > Parse "s" "DELETE FROM t"
    > Sync
    < ParseComplete
    < ReadyForQuery I
  `;
  const REFUSED = `
    > Bind "" "s"
    > Execute "" 0
    > Sync
    < ErrorResponse 42501
    < ReadyForQuery I
    > Query "EXECUTE s"
    < ErrorResponse 42501
    < ReadyForQuery I
  `;

  const attacks: Readonly<Record<string, string>> = {
    'Close and Parse behind a Parse that fails': `
      > Parse "" "SELECT no_such_column"
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      < ErrorResponse 42703
      < ReadyForQuery I
    `,
    'Close and Parse behind a text that does not parse': `
      > Parse "" "garbage"
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      < ErrorResponse 42601
      < ReadyForQuery I
    `,
    'Close and Parse behind a Bind of nothing': `
      > Parse "x" "SELECT 1"
      > Bind "" "x" "surplus"
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      < ParseComplete
      < ErrorResponse 08P01
      < ReadyForQuery I
    `,
    'Close and Parse behind an Execute that fails': `
      > Parse "x" "SELECT 1 / (SELECT 0)"
      > Bind "" "x"
      > Execute "" 0
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      < ParseComplete
      < BindComplete
      < ErrorResponse 22012
      < ReadyForQuery I
    `,
    'a Parse of the same name': `
      > Parse "s" "SELECT 1"
      > Sync
      < ErrorResponse 42P05
      < ReadyForQuery I
    `,
    'a PREPARE of the same name': `
      > Query "PREPARE s AS SELECT 1"
      < ErrorResponse 42P05
      < ReadyForQuery I
    `,
    'a PREPARE of the same name, quoted': `
      > Query "PREPARE \\"s\\" AS SELECT 1"
      < ErrorResponse 42P05
      < ReadyForQuery I
    `,
    'a PREPARE of another case': `
      > Query "PREPARE \\"S\\" AS SELECT 1; EXECUTE \\"S\\""
      < CommandComplete PREPARE
      < RowDescription
      < DataRow 1
      < CommandComplete SELECT 1
      < ReadyForQuery I
    `,
    'DEALLOCATE behind an error in the same string': `
      > Query "SELECT 1 / 0; DEALLOCATE s; PREPARE s AS SELECT 1"
      < ErrorResponse 22012
      < ReadyForQuery I
    `,
    'DISCARD PLANS, which drops no name': `
      > Query "DISCARD PLANS"
      < CommandComplete DISCARD PLANS
      < ReadyForQuery I
    `,
    'DISCARD ALL in a transaction, which fails': `
      > Query "BEGIN; DISCARD ALL; COMMIT"
      < CommandComplete BEGIN
      < ErrorResponse 25001
      < ReadyForQuery E
      > Query "ROLLBACK"
      < CommandComplete ROLLBACK
      < ReadyForQuery I
    `,
    'a Close of a portal of that name': `
      > Close P "s"
      > Sync
      < CloseComplete
      < ReadyForQuery I
    `,
    'a cursor of that name': `
      > Query "BEGIN; DECLARE s CURSOR FOR SELECT 1; CLOSE s; COMMIT"
      < CommandComplete BEGIN
      < CommandComplete DECLARE CURSOR
      < CommandComplete CLOSE CURSOR
      < CommandComplete COMMIT
      < ReadyForQuery I
    `,
    'all of it in one pipeline': `
      > Parse "" "garbage"
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      > Bind "" "s"
      > Execute "" 0
      > Sync
      < ErrorResponse 42601
      < ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `,
  };

  test.each(Object.entries(attacks))('%s', async (_attack, script) => {
    await play(client, PREPARED);
    await holdfast.setPolicy(READ);
    await play(client, script);
    await play(client, REFUSED);
  });

  test.each<[string, string]>([
    ['EXPLAIN ANALYZE EXECUTE', '> Query "EXPLAIN ANALYZE EXECUTE s"'],
    ['CREATE TEMP TABLE AS EXECUTE', '> Query "CREATE TEMP TABLE x AS EXECUTE s"'],
    ['EXECUTE in a string of statements', '> Query "SELECT 1; EXECUTE s"'],
    ['EXECUTE by Parse', '> Parse "" "EXECUTE s"\n> Bind "" ""\n> Execute "" 0\n> Sync'],
  ])('%s of it', async (_how, sent) => {
    await play(client, PREPARED);
    await holdfast.setPolicy(READ);
    const answer =
      _how === 'EXECUTE by Parse'
        ? '< ParseComplete\n< BindComplete\n< ErrorResponse 42501\n< ReadyForQuery I'
        : '< ErrorResponse 42501\n< ReadyForQuery I';
    await play(client, `${sent}\n${answer}`);
  });

  test('prepared by SQL, run by Bind; an EXECUTE of an EXECUTE of it', async () => {
    await play(
      client,
      `
      > Query "PREPARE s AS DELETE FROM t"
      < CommandComplete PREPARE
      < ReadyForQuery I
      > Query "PREPARE other AS SELECT 2"
      < CommandComplete PREPARE
      < ReadyForQuery I
      > Parse "outer" "EXECUTE s"
      > Parse "outermost" "EXECUTE \\"outer\\""
      > Sync
      < ParseComplete
      < ParseComplete
      < ReadyForQuery I
      `,
    );
    await holdfast.setPolicy(READ);
    await play(client, REFUSED);
    for (const name of ['outer', 'outermost']) {
      await play(
        client,
        `
        > Query "EXECUTE \\"${name}\\""
        < ErrorResponse 42501
        < ReadyForQuery I
        > Query "EXECUTE other"
        < RowDescription
        < DataRow 2
        < CommandComplete SELECT 1
        < ReadyForQuery I
        `,
      );
    }
  });

  test('a portal bound before: by Execute, FETCH and MOVE, and CLOSE of it passes', async () => {
    for (const fetch of ['FETCH p', 'FETCH ALL FROM p', 'MOVE p', 'FETCH FORWARD 1 IN \\"p\\"']) {
      await holdfast.setPolicy(WRITE);
      await play(
        client,
        `
        > Query "BEGIN"
        < CommandComplete BEGIN
        < ReadyForQuery T
        > Parse "d" "DELETE FROM t RETURNING id"
        > Bind "p" "d"
        > Close S "d"
        > Sync
        < ParseComplete
        < BindComplete
        < CloseComplete
        < ReadyForQuery T
        `,
      );
      await holdfast.setPolicy(READ);
      await play(
        client,
        `
        > Query "${fetch}"
        < ErrorResponse 42501
        < ReadyForQuery E
        > Query "ROLLBACK"
        < CommandComplete ROLLBACK
        < ReadyForQuery I
        `,
      );
    }
  });

  test('a portal that was suspended half-way is not continued', async () => {
    await play(
      client,
      `
      > Query "BEGIN"
      < CommandComplete BEGIN
      < ReadyForQuery T
      > Parse "" "SELECT id FROM t ORDER BY id FOR UPDATE"
      > Bind "p" ""
      > Execute "p" 1
      > Sync
      < ParseComplete
      < BindComplete
      < DataRow 1
      < PortalSuspended
      < ReadyForQuery T
      `,
    );
    await holdfast.setPolicy(READ);
    await play(
      client,
      `
      > Execute "p" 1
      > Sync
      < ErrorResponse 42501
      < ReadyForQuery E
      > Query "ROLLBACK"
      < CommandComplete ROLLBACK
      < ReadyForQuery I
      `,
    );
  });

  test('a cursor and a portal of one name', async () => {
    await play(
      client,
      `
      > Query "BEGIN; DECLARE p CURSOR FOR SELECT id FROM t FOR UPDATE"
      < CommandComplete BEGIN
      < CommandComplete DECLARE CURSOR
      < ReadyForQuery T
      > Query "SAVEPOINT before"
      < CommandComplete SAVEPOINT
      < ReadyForQuery T
      > Parse "" "SELECT 1"
      > Bind "p" ""
      > Sync
      < ParseComplete
      < ErrorResponse 42P03
      < ReadyForQuery E
      > Query "ROLLBACK TO before"
      < CommandComplete ROLLBACK
      < ReadyForQuery T
      `,
    );
    await holdfast.setPolicy(READ);
    await play(
      client,
      `
      > Execute "p" 0
      > Sync
      < ErrorResponse 42501
      < ReadyForQuery E
      > Query "ROLLBACK"
      < CommandComplete ROLLBACK
      < ReadyForQuery I
      `,
    );
  });

  test('names of 63 bytes that more bytes are cut down to', async () => {
    const name = 's'.repeat(63);
    await play(
      client,
      `
      > Query "PREPARE ${name}xyz AS DELETE FROM t"
      < NoticeResponse 42622
      < CommandComplete PREPARE
      < ReadyForQuery I
      `,
    );
    await holdfast.setPolicy(READ);
    for (const spelled of [name, `${name}xyz`, `${name}other`]) {
      const { error } = await ask(client, `EXECUTE ${spelled}`);
      expect(error?.routine).toMatch(/^holdfast\//);
    }
    await play(
      client,
      `
      > Bind "" "${name}"
      > Execute "" 0
      > Sync
      < ErrorResponse 42501
      < ReadyForQuery I
      `,
    );
  });
});

describe('a verdict that is kept', () => {
  const POLICY = (database: string): string => `
version: 1
roles:
  - { name: writers, match: { users: ['alice_*'] }, access: write, rules: { default: allow } }
  - { name: readers, match: { users: ['bob_*'] }, access: read }
  - { name: here, match: { users: ['carol_*'], databases: [${database}] }, access: write, rules: { default: allow } }
  - { name: elsewhere, match: { users: ['carol_*'] }, access: read }
  - { name: by-application, match: { users: ['dave_*'], applications: [writing] }, access: write, rules: { default: allow } }
  - { name: else, access: read }
`;
  let here: TestDatabase;
  let there: TestDatabase;
  let shared: TestHoldfast;
  const people: Record<string, TestUser> = {};

  beforeAll(async () => {
    const schema = 'CREATE TABLE t (id int); INSERT INTO t VALUES (1)';
    [here, there] = await Promise.all([createDatabase('here', schema), createDatabase('there', schema)]);
    for (const name of ['alice', 'bob', 'carol', 'dave']) {
      people[name] = await createUser(name, here.name);
      const quoted = people[name].name;
      await withClient((client) => client.query(`GRANT ALL ON t TO ${quoted}`), there.name);
    }
    shared = await startTestHoldfast(here, POLICY(here.name));
  });

  afterAll(async () => {
    await shared.close();
    await here.drop();
    await there.drop();
    for (const person of Object.values(people)) await person.drop();
  });

  const enter = (name: string, base: TestDatabase, application = 'x'): Promise<WireClient> =>
    wireLogin({
      port: shared.port,
      user: people[name]?.name ?? '',
      database: base.name,
      parameters: { application_name: application },
    });

  /** The same bytes, in turns, by both: who may write does each time, who may not never. */
  async function inTurns(may: WireClient, mayNot: WireClient): Promise<void> {
    const texts = [
      'UPDATE t SET id = id + 1',
      'UPDATE t SET id = id + 1 /* another text */',
      `UPDATE t SET id = id + 1 /* a text that is judged elsewhere ${'x'.repeat(10_000)} */`,
    ];
    for (const sql of texts) {
      for (const first of [may, mayNot]) {
        const second = first === may ? mayNot : may;
        for (const client of [first, second, first, second]) {
          for (const protocol of PROTOCOLS) {
            const { error, lines } = await ask(client, sql, protocol);
            if (client === may) expect(lines).toContain('CommandComplete UPDATE 1');
            else expect(error?.routine).toBe('holdfast/access');
          }
        }
      }
    }
    may.close();
    mayNot.close();
  }

  test('is not another role’s', async () => {
    await inTurns(await enter('alice', here), await enter('bob', here));
  });

  test('is not another database’s', async () => {
    await inTurns(await enter('carol', here), await enter('carol', there));
  });

  test('is not another application’s', async () => {
    await inTurns(await enter('dave', here, 'writing'), await enter('dave', here, 'reading'));
  });

  test('is not the last policy’s, to and fro', async () => {
    const client = await enter('alice', here);
    const sql = 'UPDATE t SET id = id + 1';
    await play(client, `> Parse "kept" "${sql}"\n> Sync\n< ParseComplete\n< ReadyForQuery I`);
    for (const [policy, passes] of [
      [READ, false],
      [POLICY(here.name), true],
      [READ, false],
      [`${POLICY(here.name)}# changed\n`, true],
    ] as const) {
      await shared.setPolicy(policy);
      for (const protocol of PROTOCOLS) {
        expect((await ask(client, sql, protocol)).error?.routine).toBe(
          passes ? undefined : 'holdfast/access',
        );
      }
      await play(
        client,
        `
        > Bind "" "kept"
        > Execute "" 0
        > Sync
        ${passes ? '< BindComplete\n< CommandComplete UPDATE 1' : '< ErrorResponse 42501'}
        < ReadyForQuery I
        `,
      );
    }
    await shared.setPolicy(POLICY(here.name));
    client.close();
  });

  test('is not that of a text that differs in a literal, a space or a letter', async () => {
    const client = await enter('bob', here);
    expect((await ask(client, "SELECT 'a'")).error).toBeNull();
    for (const [sql, refused] of [
      ["SELECT set_config('application_name', 'a', false)", false],
      ["SELECT set_config('session_authorization', 'a', false)", true],
      ['SELECT lo_open(1, 262144) WHERE false', false],
      ['SELECT lo_open(1, 131072) WHERE false', true],
      ["SET work_mem = '5MB'", false],
      ["SET role = 'none'", false],
      ["SET role = 'None'", true],
      ['EXPLAIN (ANALYZE off) DELETE FROM t', false],
      ['EXPLAIN (ANALYZE on) DELETE FROM t', true],
    ] as const) {
      for (const protocol of PROTOCOLS) {
        const { error } = await ask(client, sql, protocol);
        expect(error?.routine?.startsWith('holdfast/') ?? false, sql).toBe(refused);
      }
    }
    client.close();
  });
});
