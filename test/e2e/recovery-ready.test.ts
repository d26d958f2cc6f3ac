/** Whether there is a way back: asked of a real server that archives its WAL, or fails to, or does not; and of commands. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { startEmbedded } from '../../src/demo/embedded.js';
import type { EmbeddedServer } from '../../src/demo/embedded.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';

const policy = (options: string): string => `
version: 1
roles:
  - name: guarded
    match: { applications: [guarded] }
    access: ddl
    rules: { default: allow, recovery-ready: ${options} }
  - name: others
    access: ddl
    rules: { default: allow }
`;
const ARCHIVER = '{ action: deny, max_age: 15m, cache: 1ms }';
const DELETE = 'DELETE FROM t WHERE id = 1';

let holdfast: TestHoldfast;
const open: pg.Client[] = [];

async function connect(url: string, application = 'guarded'): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: application });
  client.on('error', () => undefined);
  await client.connect();
  open.push(client);
  return client;
}

afterEach(async () => {
  for (const client of open.splice(0)) await client.end();
  await holdfast.close();
});

describe('a server that archives', () => {
  let server: EmbeddedServer;
  let admin: pg.Client;
  const log: string[] = [];
  const through = (user = 'app'): string => holdfast.url('postgres', user, 'x');

  beforeAll(async () => {
    server = await startEmbedded({
      directory: await mkdtemp(join(tmpdir(), 'holdfast-archive-')),
      ephemeral: true,
      ...inject('postgresPackage'),
      postgresFlags: ['-c', 'archive_mode=on', '-c', 'log_statement=all'],
      files: { 'postgresql.auto.conf': "archive_command = '/bin/false'\n" },
      onLog: (line) => log.push(line),
    });
    admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await admin.query("CREATE ROLE app LOGIN PASSWORD 'x'; CREATE TABLE t (id int); GRANT ALL ON t TO app");
  });

  afterAll(async () => {
    await admin.end();
    await server.stop();
  });

  /** Waits until the archiver has said so. */
  async function archiver(condition: string): Promise<void> {
    const ask = async (): Promise<boolean> => {
      const { rows } = await admin.query<{ is: boolean }>(`SELECT ${condition} AS is FROM pg_stat_archiver`);
      return rows[0]?.is === true;
    };
    await expect.poll(ask, { timeout: 15_000, interval: 50 }).toBe(true);
  }

  async function archiveBy(command: string): Promise<void> {
    await admin.query(`ALTER SYSTEM SET archive_command = '${command}'`);
    await admin.query('SELECT pg_reload_conf()');
  }

  test('proves nothing before it has archived anything, nor while that fails; then it does', async () => {
    holdfast = await startTestHoldfast(server, policy(ARCHIVER));
    const client = await connect(through());
    await expect(client.query(DELETE)).rejects.toMatchObject({
      code: '42501',
      message:
        'holdfast: WAL archiving has archived nothing yet, so what this takes away could not be brought back.',
      routine: 'holdfast/recovery-ready',
    });
    await admin.query('SELECT pg_switch_wal()');
    await archiver('failed_count > 0');
    await expect(client.query(DELETE)).rejects.toMatchObject({
      message: expect.stringMatching(
        /^holdfast: WAL archiving is failing: the last try of [0-9A-F]{24} failed \d+ \w+ ago, so what this takes away could not be brought back\.$/,
      ) as string,
    });
    await archiveBy('/bin/true');
    await archiver('archived_count > 0 AND last_archived_time > last_failed_time');
    expect((await client.query(DELETE)).rowCount).toBe(0);
    // In a transaction, and where the statement is prepared, as well.
    await client.query('BEGIN');
    await client.query({ name: 'd', text: DELETE });
    await client.query('TRUNCATE t').catch((error: unknown) => {
      // Only the server minds: the table is not the user's own.
      expect(String(error)).toContain('must be owner');
    });
    await client.query('ROLLBACK');
    await archiveBy('');
    const empty = async (): Promise<string> =>
      client.query(DELETE).then(
        () => 'passed',
        (error: unknown) => String(error),
      );
    await expect
      .poll(empty, { timeout: 5000 })
      .toContain('WAL archiving leads nowhere (archive_mode = on, but');
    await archiveBy('/bin/true');
    await expect.poll(empty, { timeout: 5000 }).toBe('passed');
  });

  test('is asked before what needs it, by BEGIN, by pipelines; once for all; and never for other roles', async () => {
    await archiveBy('/bin/true');
    await admin.query('SELECT pg_switch_wal()');
    await archiver(
      "archived_count > 0 AND last_archived_time > coalesce(last_failed_time, last_archived_time - interval '1s')",
    );
    holdfast = await startTestHoldfast(server, policy('{ action: deny, max_age: 15m }'));
    const asked = (): number =>
      log.filter((line) => line.includes('FROM pg_catalog.pg_stat_archiver a')).length;
    const before = asked();
    const stranger = await connect(through(), 'stranger');
    for (const sql of ['BEGIN', DELETE, 'ROLLBACK', 'SELECT 1']) await stranger.query(sql);
    const client = await connect(through());
    for (const sql of ['SELECT 1', 'INSERT INTO t VALUES (1)', 'UPDATE t SET id = 1'])
      await client.query(sql);
    expect(asked()).toBe(before);
    await client.query('BEGIN');
    await client.query(DELETE);
    await client.query('COMMIT');
    const second = await connect(through());
    await second.query(DELETE);
    await expect.poll(asked).toBe(before + 1);
  });

  test('a pipeline waits until it can be asked; a group that has begun cannot, and is told so', async () => {
    holdfast = await startTestHoldfast(
      server,
      policy('{ action: deny, max_age: 15m, operations: [delete] }'),
    );
    const { port } = holdfast;
    const client = await connect(through());
    // Two requests at once: the second waits for the answer to the first.
    const both = await Promise.all([client.query('SELECT 1'), client.query(DELETE)]);
    expect(both[1].command).toBe('DELETE');
    await holdfast.close();
    holdfast = await startTestHoldfast(
      server,
      policy('{ action: deny, max_age: 15m, operations: [delete] }'),
    );
    expect(holdfast.port).not.toBe(port);
    const raw = new pg.Client({ connectionString: through(), application_name: 'guarded' });
    await raw.connect();
    open.push(raw);
    const { connection } = raw as unknown as { connection: { stream: NodeJS.WritableStream } };
    const failed = new Promise<pg.DatabaseError>((resolve) => {
      (connection as unknown as NodeJS.EventEmitter).once('errorMessage', resolve);
    });
    raw.on('error', () => undefined);
    connection.stream.write(
      Buffer.concat([
        serialize.parse({ text: 'SELECT 1' }),
        serialize.parse({ text: DELETE }),
        serialize.bind({}),
        serialize.execute({}),
        serialize.sync(),
      ]),
    );
    expect(await failed).toMatchObject({
      message:
        'holdfast: Whether what this takes away could be brought back is not known: the server could not be asked yet.',
      hint: 'Send it outside of a transaction and by itself, or begin the transaction anew: the server is asked before BEGIN.',
    });
  });
});

describe('the tests’ server, which archives nothing; and commands', () => {
  let database: TestDatabase;
  let user: TestUser;
  let directory: string;
  const through = (): string => holdfast.url(database.name, user.name, 'x');

  beforeAll(async () => {
    database = await createDatabase('recovery', 'CREATE TABLE t (id int)');
    user = await createUser('recovery', database.name);
    directory = await mkdtemp(join(tmpdir(), 'holdfast-check-'));
  });

  afterAll(async () => {
    await database.drop();
    await user.drop();
    await rm(directory, { recursive: true, force: true });
  });

  async function script(body: string): Promise<string> {
    const file = join(directory, 'check');
    await rm(file, { force: true });
    await writeFile(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    return file;
  }

  async function start(command: readonly string[], more = ''): Promise<pg.Client> {
    holdfast = await startTestHoldfast(
      database,
      policy(`{ action: deny, command: ${JSON.stringify(command)}, cache: 60s${more} }`),
    );
    return connect(through());
  }

  test('archiving that is off is no way back; reading and inserting go on', async () => {
    holdfast = await startTestHoldfast(database, policy(ARCHIVER));
    const client = await connect(through());
    await client.query('INSERT INTO t VALUES (1)');
    await expect(client.query(DELETE)).rejects.toMatchObject({
      message:
        'holdfast: WAL archiving is off (archive_mode = off), so what this takes away could not be brought back.',
      hint: 'Have WAL archiving set up on the server (archive_mode, archive_command or archive_library), with base backups, or have the policy prove the way back by a command.',
    });
    await expect(client.query('WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d')).rejects.toThrow(
      'is off',
    );
    await client.query('PREPARE d AS DELETE FROM t');
    await expect(client.query('EXECUTE d')).rejects.toThrow('is off');
    expect((await client.query('SELECT * FROM t')).rowCount).toBe(1);
    // A session whose settings and names would fool the question.
    const other = await connect(through());
    await other.query(
      "SET search_path = 'pg_temp'; SET statement_timeout = '1ms'; SET default_transaction_isolation = serializable",
    );
    await expect(other.query('DELETE FROM public.t')).rejects.toThrow('is off');
  });

  test('a command that exits with 0 lets it pass, and is run once for all in its time', async () => {
    const runs = join(directory, 'runs');
    const client = await start([await script(`echo "$1,$2,$HOME_SWEET,$(pwd)" >> ${runs}`), 'a b', '$HOME']);
    const others = await Promise.all([connect(through()), connect(through())]);
    await Promise.all([client, ...others].map((each) => each.query(DELETE)));
    await client.query(DELETE);
    expect(await readFile(runs, 'utf8')).toBe('a b,$HOME,,/\n');
  });

  test.each<[string, string, string, RegExp]>([
    [
      'fails',
      'echo first; echo "last backup: none" >&2; exit 3',
      '',
      /^holdfast: The check of the backups failed \(exit status 3\): last backup: none, so what this takes away could not be brought back\.$/,
    ],
    ['is killed', 'kill -TERM $$', '', /^holdfast: The check of the backups was ended by SIGTERM, so /],
    [
      'hangs, with what it has started',
      'echo waiting; sleep 600 & sleep 600',
      ', deadline: 1s',
      /^holdfast: Whether what this takes away could be brought back is not known: the check of the backups gave no answer within 1 second: waiting\.$/,
    ],
    [
      'prints without end',
      'while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done',
      ', deadline: 1s',
      /gave no answer within 1 second: x{1,200}/,
    ],
    [
      'prints one long line with control characters',
      `printf '\\033[31m'; head -c 100000 /dev/zero | tr '\\0' y; exit 1`,
      '',
      /failed \(exit status 1\): y{200}…, so/,
    ],
  ])('a command that %s refuses, with its last line', async (_, body, more, message) => {
    const client = await start([await script(body)], more);
    await expect(client.query(DELETE)).rejects.toMatchObject({
      code: '42501',
      message: expect.stringMatching(message) as string,
    });
    // Nobody else is disturbed.
    expect((await client.query('SELECT 1')).rowCount).toBe(1);
  });

  test('a command that is not there, or is no program, refuses', async () => {
    const client = await start(['/nowhere/check']);
    await expect(client.query(DELETE)).rejects.toThrow(
      'is not known: the check of the backups could not be run: /nowhere/check does not exist.',
    );
    await holdfast.setPolicy(policy(`{ action: deny, command: ["${directory}"] }`));
    await expect(client.query(DELETE)).rejects.toThrow('could not be run:');
  });

  test('who waits for a command can cancel, and the session goes on', async () => {
    holdfast = await startTestHoldfast(
      database,
      policy(`{ action: deny, command: ["${await script('sleep 600')}"], deadline: 1s }`),
    );
    const client = await wireLogin({
      port: holdfast.port,
      user: user.name,
      database: database.name,
      parameters: { application_name: 'guarded' },
    });
    await client.send(serialize.query(DELETE));
    const { key } = client;
    if (key === null) throw new Error('there is no key');
    const canceller = new pg.Client({ connectionString: through() });
    await canceller.connect();
    await canceller.end();
    const socket = (await import('node:net')).connect(holdfast.port, '127.0.0.1');
    await new Promise<void>((resolve) => {
      socket.once('close', () => {
        resolve();
      });
      socket.end(serialize.cancel(key.processId, key.secretKey));
    });
    expect(await client.untilReady()).toEqual(['ErrorResponse 57014', 'ReadyForQuery I']);
    await client.send(serialize.query('SELECT 1'));
    expect(await client.untilReady()).toContain('DataRow 1');
    client.close();
  });
});
