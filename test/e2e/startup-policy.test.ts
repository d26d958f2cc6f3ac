/**
 * What the policy says of a login: which role a session gets, what it may ask for
 * in its StartupMessage, and what is set on the server in its name.
 */
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { connected, startup, wire, wireLogin } from '../support/wire.js';
import type { WireClient, WireError } from '../support/wire.js';

let database: TestDatabase;
let reader: TestUser;
let writer: TestUser;
let admin: TestUser;
let locked: TestUser;
let stranger: TestUser;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('login_policy', 'CREATE TABLE t (id int)');
  reader = await createUser('reader', database.name);
  writer = await createUser('writer', database.name);
  admin = await createUser('administrator', database.name);
  locked = await createUser('locked', database.name);
  stranger = await createUser('stranger', database.name);
  await withClient((client) => client.query(`ALTER ROLE ${admin.name} REPLICATION`));
  holdfast = await startTestHoldfast(
    database,
    `
version: 1
roles:
  - name: reporting
    match: { users: ["reader_*"], applications: ["report*"] }
    access: read
    session: { statement_timeout: 7s }
  - name: by-network
    match: { users: ["reader_*"], applications: [netted], networks: ["10.0.0.0/8"] }
    access: admin
  - name: by-loopback
    match: { users: ["reader_*"], applications: [netted], networks: ["127.0.0.0/8"] }
    access: write
  - name: by-database
    match: { users: ["reader_*"], databases: [postgres] }
    access: ddl
  - name: readers
    match: { users: ["reader_*"] }
    access: read
    rules: { opaque-code: { action: deny, functions: [sneaky, lift] } }
  - name: writers
    match: { users: ["writer_*"] }
    access: write
    session:
      statement_timeout: 30s
      idle_in_transaction_session_timeout: 60s
      application_name: fixed
      search_path: public
      row_security: true
  - name: admins
    match: { users: ["administrator_*"] }
    access: admin
    rules: { default: allow }
  - name: locked-out
    match: { users: ["locked_*"] }
    access: none
`,
    { environment: 'staging' },
  );
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  for (const user of [reader, writer, admin, locked, stranger]) await user.drop();
});

/** Logs in and returns the error that it is refused with. */
async function refusal(
  user: TestUser,
  parameters: Readonly<Record<string, string>> = {},
): Promise<WireError> {
  const client = wire(await connected(holdfast.port));
  await client.send(startup(0, { user: user.name, database: database.name, ...parameters }));
  const lines = await client.untilClosed();
  expect(lines).toEqual(['ErrorResponse 42501']);
  const [error] = client.errors;
  if (error === undefined) throw new Error('no error came');
  return error;
}

function login(
  user: TestUser,
  parameters: Readonly<Record<string, string>> = {},
  name = database.name,
): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: name, parameters });
}

async function show(client: WireClient, setting: string): Promise<string> {
  await client.send(serialize.query(`SHOW ${setting}`));
  const lines = await client.untilReady();
  return lines.find((line) => line.startsWith('DataRow '))?.slice('DataRow '.length) ?? lines.join(' ');
}

async function run(client: WireClient, sql: string): Promise<readonly string[]> {
  await client.send(serialize.query(sql));
  return (await client.untilReady()).filter((line) => !line.startsWith('ParameterStatus'));
}

describe('who may come in', () => {
  test('no role matches: refused, recorded and counted', async () => {
    const before = await metric(holdfast, 'holdfast_sessions_refused_total', { reason: 'policy' });
    const error = await refusal(stranger);
    expect(error).toMatchObject({
      severity: 'FATAL',
      message: 'holdfast: No role of the policy matches this session.',
      hint: 'Whoever keeps the policy can add a role for this user, database, application and network.',
      routine: 'holdfast/access',
    });
    const decision = /^Decision ([0-9a-z-]+)\.$/.exec(error.detail ?? '')?.[1];
    expect(decision).toBeDefined();
    await expect
      .poll(async () => (await holdfast.records()).find((record) => record['id'] === decision))
      .toMatchObject({
        kind: 'decision',
        message: 'startup',
        operation: 'startup',
        verdict: 'deny',
        user: stranger.name,
        database: database.name,
        role: 'none',
        sql: null,
      });
    expect(await metric(holdfast, 'holdfast_sessions_refused_total', { reason: 'policy' })).toBe(before + 1);
    expect(
      await metric(holdfast, 'holdfast_decisions_total', { operation: 'startup', verdict: 'deny' }),
    ).toBeGreaterThan(0);
    // Nothing reached the server.
    const rows = await withClient((client) =>
      client.query('SELECT 1 FROM pg_stat_activity WHERE usename = $1', [stranger.name]),
    );
    expect(rows.rowCount).toBe(0);
  });

  test('access none: refused', async () => {
    expect(await refusal(locked)).toMatchObject({
      severity: 'FATAL',
      message: 'holdfast: Role "locked-out" has no access.',
    });
  });

  test.each<[string, Readonly<Record<string, string>>, string | null, string]>([
    ['application', { application_name: 'report-7' }, null, 'reporting: read only'],
    ['another application', { application_name: 'psql' }, null, 'readers: read only'],
    [
      'network, where 127.0.0.1 is not in 10.0.0.0/8',
      { application_name: 'netted' },
      null,
      'by-loopback: read and write',
    ],
    ['database', {}, 'postgres', 'by-database: read, write and change the schema'],
  ])('the role by %s, and the banner names it', async (_name, parameters, databaseName, words) => {
    const name = databaseName ?? database.name;
    const client = await login(reader, parameters, name);
    expect(client.notices.map(({ message }) => message)).toContain(
      `Holdfast: STAGING, database ${name}, role ${words}.`,
    );
    client.close();
  });
});

describe('replication', () => {
  test.each(['database', 'true', 'on', '1', 'yes', 'TRUE', 'anything', ''])(
    '"%s" is refused below admin',
    async (replication) => {
      const error = await refusal(writer, { replication });
      expect(error.message).toBe(
        'holdfast: Replication connections need admin access; role "writers" has write.',
      );
    },
  );

  test.each(['false', 'off', 'no', '0', 'F'])('"%s" is a plain false and passes', async (replication) => {
    const client = await login(writer, { replication });
    expect(await run(client, 'SELECT 1')).toEqual([
      'RowDescription',
      'DataRow 1',
      'CommandComplete SELECT 1',
      'ReadyForQuery I',
    ]);
    client.close();
  });

  test('as admin: IDENTIFY_SYSTEM is answered and recorded, SQL works as well', async () => {
    const client = await login(admin, { replication: 'database' });
    const lines = await run(client, 'IDENTIFY_SYSTEM');
    expect(lines[1]).toMatch(new RegExp(`^DataRow \\d+,1,[0-9A-F]+/[0-9A-F]+,${database.name}$`));
    expect(lines.at(-2)).toBe('CommandComplete IDENTIFY_SYSTEM');
    expect(await run(client, 'SELECT 1')).toContain('DataRow 1');
    await expect
      .poll(async () =>
        (await holdfast.records()).filter(({ kind, user }) => kind === 'decision' && user === admin.name),
      )
      .toMatchObject([
        { sql: 'IDENTIFY_SYSTEM', verdict: 'allow' },
        { sql: 'SELECT 1', verdict: 'allow' },
      ]);
    client.close();
  });

  test('as admin: the server’s log streams through, both ways, and ends by CopyDone', async () => {
    const client = await login(admin, { replication: 'database' });
    const identity = (await run(client, 'IDENTIFY_SYSTEM'))[1]?.split(',') ?? [];
    await client.send(serialize.query(`START_REPLICATION PHYSICAL ${identity[2] ?? ''} TIMELINE 1`));
    await client.until('ReplicationStart');
    await withClient((direct) => direct.query('CREATE TABLE streamed AS SELECT 1'), database.name);
    await client.until('CopyData');
    // A standby's status: written, flushed, applied, clock, no reply wanted.
    await client.send(serialize.copyData(Buffer.concat([Buffer.from('r'), Buffer.alloc(33)])));
    await client.send(serialize.copyDone());
    const end = await client.untilReady();
    expect(end.at(-1)).toBe('ReadyForQuery I');
    expect(await run(client, 'SELECT 2')).toContain('DataRow 2');
    client.close();
  });
});

describe('settings in the StartupMessage', () => {
  test.each<[string, Readonly<Record<string, string>>, RegExp]>([
    [
      'lifting read only',
      { default_transaction_read_only: 'off' },
      /"default_transaction_read_only" needs write access/,
    ],
    [
      '… in capitals',
      { Default_Transaction_READ_ONLY: 'off' },
      /"default_transaction_read_only" needs write access/,
    ],
    ['… by options', { options: '-c default_transaction_read_only=off' }, /needs write access/],
    ['… by options without a space', { options: '-cdefault_transaction_read_only=0' }, /needs write access/],
    [
      '… by a long option with dashes',
      { options: '--default-transaction-read-only=no' },
      /needs write access/,
    ],
    ['… in capitals with dashes', { options: '--Default-Transaction-Read-Only=false' }, /needs write access/],
    ['… behind others', { options: '-c geqo=off  -c default_transaction_read_only=f' }, /needs write access/],
    ['… with a backslash', { options: '-c default\\_transaction_read_only=off' }, /needs write access/],
    ['another role', { role: 'postgres' }, /"role" needs admin access/],
    ['… by options', { options: '-c role=postgres' }, /"role" needs admin access/],
    ['another user', { session_authorization: 'postgres' }, /"session_authorization" needs admin access/],
    ['triggers off', { session_replication_role: 'replica' }, /needs admin access/],
    ['libraries', { options: '-c local_preload_libraries=x' }, /needs admin access/],
    ['another encoding', { client_encoding: 'LATIN1' }, /"client_encoding" changes client_encoding/],
    ['… in capitals', { CLIENT_ENCODING: 'SJIS' }, /"client_encoding" changes client_encoding/],
    ['… by options', { options: '-c client-encoding=latin1' }, /"client_encoding" changes client_encoding/],
    ['that of a C locale', { client_encoding: 'SQL_ASCII' }, /"client_encoding" changes client_encoding/],
    ['backslashes', { options: '-c standard_conforming_strings=off' }, /standard_conforming_strings/],
    [
      'a switch that is not known',
      { options: '-B 100' },
      /"options" cannot be read: the start-up switch "-B"/,
    ],
    ['a switch without a value', { options: '-c' }, /"options" cannot be read/],
    ['a setting that is not known', { no_such_setting: '1' }, /"no_such_setting" needs admin access/],
  ])('%s: refused for a reader', async (_name, parameters, message) => {
    const error = await refusal(reader, parameters);
    expect(error.severity).toBe('FATAL');
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^holdfast: The startup parameter /);
    expect(error.hint).toBeTruthy();
  });

  test('what is prohibited is prohibited for an administrator, too', async () => {
    for (const parameters of [
      { client_encoding: 'LATIN1' },
      { options: '-c standard_conforming_strings=off' },
    ]) {
      expect((await refusal(admin, parameters)).routine).toBe('holdfast/prohibited');
    }
  });

  test.each<[string, Readonly<Record<string, string>>, string, string]>([
    ['UTF8 in PostgreSQL’s spelling', { client_encoding: 'utf-8' }, 'client_encoding', 'UTF8'],
    ['UTF8 in JDBC’s spelling', { client_encoding: 'UNICODE' }, 'client_encoding', 'UNICODE'],
    ['a harmless setting', { DateStyle: 'German' }, 'datestyle', 'German, DMY'],
    ['a harmless option', { options: '-c work_mem=1MB' }, 'work_mem', '1MB'],
    ['a harmless option with dashes', { options: '--lock-timeout=5s' }, 'lock_timeout', '5s'],
    ['a custom setting', { 'app.tenant': 'x y' }, 'app.tenant', 'x y'],
    [
      'read only, made stricter',
      { default_transaction_read_only: 'true' },
      'default_transaction_read_only',
      'on',
    ],
  ])('%s: passes for a reader, and counts', async (_name, parameters, setting, value) => {
    const client = await login(reader, parameters);
    expect(await show(client, setting)).toBe(value);
    client.close();
  });

  test('no encoding named: UTF8, whatever the database has', async () => {
    await withClient((client) =>
      client.query(
        `CREATE DATABASE latin_${database.name} TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'`,
      ),
    );
    try {
      const client = await login(writer, {}, `latin_${database.name}`);
      expect(client.lines).toContain('ParameterStatus client_encoding=UTF8');
      expect(await run(client, "SELECT 'ü'")).toContain('DataRow ü');
      client.close();
    } finally {
      await withClient((client) => client.query(`DROP DATABASE latin_${database.name} WITH (FORCE)`));
    }
  });
});

describe('settings of the role', () => {
  const wanted = [
    ['statement_timeout', '30s'],
    ['idle_in_transaction_session_timeout', '1min'],
    ['application_name', 'fixed'],
    ['search_path', 'public'],
    ['row_security', 'on'],
  ] as const;

  test('are set at login, whatever the client asked for, and come back with RESET ALL and DISCARD ALL', async () => {
    const client = await login(writer, {
      STATEMENT_TIMEOUT: '0',
      application_name: 'mine',
      options: '-c statement_timeout=0 -c idle-in-transaction-session-timeout=0',
    });
    for (const [name, value] of wanted) expect(await show(client, name)).toBe(value);
    for (const reset of [
      'RESET ALL',
      'DISCARD ALL',
      'RESET statement_timeout',
      'SET statement_timeout TO DEFAULT',
    ]) {
      expect(await run(client, 'SET statement_timeout = 1234')).toContain('CommandComplete SET');
      expect(await show(client, 'statement_timeout')).toBe('1234ms');
      await run(client, reset);
      for (const [name, value] of wanted) expect(await show(client, name)).toBe(value);
    }
    client.close();
  });

  test('the statement timeout is the server’s own', async () => {
    const client = await login(reader, { application_name: 'reports' });
    expect(await show(client, 'statement_timeout')).toBe('7s');
    client.close();
  });

  test('a value that the server does not take: the server’s error, at login', async () => {
    const broken = await startTestHoldfast(
      database,
      'version: 1\nroles: [{ name: all, access: read, session: { work_mem: many } }]\n',
    );
    try {
      const client = new pg.Client({ connectionString: broken.url(database.name, reader.name, 'x') });
      await expect(client.connect()).rejects.toThrow('invalid value for parameter "work_mem": "many"');
      await expect.poll(() => metric(broken, 'holdfast_sessions')).toBe(0);
    } finally {
      await broken.close();
    }
  });
});

describe('the read-only backstop', () => {
  test('is on from the start and comes back with RESET ALL and DISCARD ALL', async () => {
    const client = await login(reader);
    expect(await show(client, 'default_transaction_read_only')).toBe('on');
    for (const reset of ['RESET ALL', 'DISCARD ALL', 'RESET default_transaction_read_only']) {
      await run(client, reset);
      expect(await show(client, 'default_transaction_read_only')).toBe('on');
    }
    client.close();
  });

  test('outlives ALTER ROLE … SET on the server', async () => {
    await withClient((client) =>
      client.query(`ALTER ROLE ${reader.name} SET default_transaction_read_only = off`),
    );
    try {
      const client = await login(reader);
      expect(await show(client, 'default_transaction_read_only')).toBe('on');
      client.close();
    } finally {
      await withClient((client) => client.query(`ALTER ROLE ${reader.name} RESET ALL`));
    }
  });

  test('is not for those who may write', async () => {
    const client = await login(writer);
    expect(await show(client, 'default_transaction_read_only')).toBe('off');
    expect(await run(client, 'INSERT INTO t VALUES (1)')).toContain('CommandComplete INSERT 0 1');
    client.close();
  });

  test('catches a write that no statement shows, and a function that would switch it off ends the session', async () => {
    await withClient(
      (client) =>
        client.query(`
          CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (99); RETURN 1; END $$;
          CREATE FUNCTION lift() RETURNS text LANGUAGE sql AS
            $$ SELECT set_config('default_transaction_read_only', 'off', false) $$;
        `),
      database.name,
    );
    const client = await login(reader);
    expect(await run(client, 'SELECT sneaky()')).toContain('ErrorResponse 25006');
    await client.send(serialize.query('SELECT lift()'));
    const end = await client.untilClosed();
    expect(end.at(-1)).toBe('ErrorResponse 42501');
    expect(client.errors.at(-1)).toMatchObject({
      severity: 'FATAL',
      message:
        'holdfast: default_transaction_read_only was switched off in a read-only session, which ends it',
    });
    const { rows } = await withClient(
      (direct) => direct.query('SELECT count(*)::int AS n FROM t WHERE id = 99'),
      database.name,
    );
    expect(rows).toEqual([{ n: 0 }]);
  });
});
