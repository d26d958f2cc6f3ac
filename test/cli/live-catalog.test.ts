/** `--catalog`: what a real server says, and what a person reads when it says nothing. */
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { readLiveCatalog } from '../../src/commands/live-catalog.js';
import { OperatorError } from '../../src/errors.js';
import { AUTH_PASSWORD, AUTH_USERS, createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { run } from './run.js';

const PASSWORD = 'p%40ss-w0rd';
const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-catalog-'));
const policy = path.join(directory, 'policy.yaml');
writeFileSync(
  policy,
  'version: 1\nroles: [{ name: shop, match: { databases: ["catalog_*"] }, access: admin }]\n',
);

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase(
    'catalog',
    `CREATE TABLE kind (id int PRIMARY KEY);
     CREATE TABLE account (id int PRIMARY KEY, kind int NOT NULL REFERENCES kind, data jsonb);
     CREATE TABLE login (id int PRIMARY KEY, account int REFERENCES account ON DELETE CASCADE);
     INSERT INTO kind VALUES (1);
     INSERT INTO account SELECT n, 1, '{}' FROM generate_series(1, 30) AS n;
     ANALYZE;`,
  );
});
afterAll(() => database.drop());

/** The URL without its password. */
function bare(url: string): { readonly url: string; readonly password: string } {
  const parsed = new URL(url);
  const password = decodeURIComponent(parsed.password);
  parsed.password = '';
  return { url: parsed.href, password };
}

async function problem(url: string, timeouts?: { connect: number; query: number }): Promise<string> {
  const error: unknown = await readLiveCatalog(url, timeouts).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OperatorError);
  expect((error as OperatorError).exitCode).toBe(2);
  const { message } = error as OperatorError;
  expect(message).not.toContain(PASSWORD);
  expect(message).not.toContain(decodeURIComponent(PASSWORD));
  return message;
}

/** A server that answers the first message with these bytes, and nothing else. */
async function fakeServer(answer: Buffer | null): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => answer !== null && socket.write(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('readLiveCatalog', () => {
  it('knows the relations of the database', async () => {
    const catalog = await readLiveCatalog(database.url);
    expect(catalog.database).toBe(database.name);
    const [account] = catalog.relationsNamed({ schema: 'public', name: 'account' });
    expect(account).toMatchObject({ kind: 'table', rows: 30 });
    expect(account?.columns.map(({ name, type, notNull }) => [name, type, notNull])).toEqual([
      ['id', 'other', true],
      ['kind', 'other', true],
      ['data', 'json', false],
    ]);
    expect(catalog.foreignKeysTo(account?.oid ?? 0)).toMatchObject([{ onDelete: 'cascade' }]);
  });

  it('says that nothing listens', async () => {
    const server = await fakeServer(null);
    await server.close();
    expect(await problem(`postgres://a:${PASSWORD}@127.0.0.1:${server.port}/shop`)).toBe(
      `the catalog of database "shop" on 127.0.0.1:${server.port} cannot be read: nothing listens there (connection refused)`,
    );
    expect(await problem(`postgres://a:${PASSWORD}@localhost:${server.port}/shop`)).toMatch(
      /: nothing listens there \(connection refused\)$/,
    );
  });

  it('waits only so long for a session, and for an answer', async () => {
    const silent = await fakeServer(null);
    // AuthenticationOk, ReadyForQuery.
    const stuck = await fakeServer(Buffer.from('520000000800000000' + '5a0000000549', 'hex'));
    try {
      const timeouts = { connect: 300, query: 300 };
      expect(await problem(`postgres://a:${PASSWORD}@127.0.0.1:${silent.port}/d`, timeouts)).toMatch(
        /: no session within 0\.3 s$/,
      );
      expect(await problem(`postgres://a:${PASSWORD}@127.0.0.1:${stuck.port}/d`, timeouts)).toMatch(
        /: no answer within 0\.3 s$/,
      );
    } finally {
      await silent.close();
      await stuck.close();
    }
  });

  it.each([
    ['shop', '--catalog expects the URL of a database, such as postgres://user@host:5432/database'],
    ['', '--catalog expects the URL of a database, such as postgres://user@host:5432/database'],
    [`host=a password=${PASSWORD}`, '--catalog expects the URL of a database'],
    [`https://a:${PASSWORD}@b/c`, '--catalog expects the URL of a database'],
    [`postgres://a:${PASSWORD}#1@b/c`, '--catalog is no valid URL'],
    [`postgres://a:1/${PASSWORD}@b/c`, '--catalog is no valid URL'],
    [`postgres://a:1?${PASSWORD}@b/c`, '--catalog is no valid URL'],
    [`postgres://a:1@${PASSWORD}@b/c`, '--catalog is no valid URL'],
    ['postgres://a@b:x/c', '--catalog is no valid URL'],
    [
      `postgres://a:${PASSWORD}@b/c?sslmode=verify-full&sslrootcert=/nowhere/ca.crt`,
      '--catalog: /nowhere/ca.crt cannot be read: no such file',
    ],
  ])('%s is no URL that it takes', async (url, expected) => {
    expect(await problem(url)).toContain(expected);
  });

  it('says which database there is not', async () => {
    const url = new URL(database.url);
    url.pathname = '/nowhere';
    expect(await problem(url.href)).toMatch(/: database "nowhere" does not exist$/);
  });

  it.skipIf(!inject('postgresAuthUsers'))(
    'passes on that the password is wrong, and never shows it',
    async () => {
      for (const user of [AUTH_USERS.scram, AUTH_USERS.md5, AUTH_USERS.password]) {
        const url = new URL(database.url);
        url.username = user;
        url.password = PASSWORD;
        expect(await problem(url.href)).toMatch(
          new RegExp(`: password authentication failed for user "${user}"$`),
        );
      }
    },
  );
});

describe.skipIf(!inject('postgresAuthUsers'))('--catalog and passwords', () => {
  const explain = (user: string, env: Record<string, string> = {}): ReturnType<typeof run> => {
    const url = new URL(database.url);
    url.username = user;
    url.password = '';
    const args = ['explain', '--policy', policy, '--user', 'a', '--catalog', url.href, 'SELECT 1'];
    return run(args, { env: { HOME: directory, ...env } });
  };

  it('takes PGPASSWORD', async () => {
    const { status, stdout, stderr } = await explain(AUTH_USERS.scram, { PGPASSWORD: AUTH_PASSWORD });
    expect(stderr).toBe('');
    expect(stdout).toContain(`catalog  ${database.name}`);
    expect(status).toBe(0);
  });

  it.each([AUTH_USERS.scram, AUTH_USERS.md5, AUTH_USERS.password])(
    'says that %s has to give one',
    async (user) => {
      const { status, stdout, stderr } = await explain(user);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(/^the catalog of database ".*" on .*: .*password.*\n$/);
    },
  );
});

describe('with a catalog', () => {
  const env = (): Record<string, string> => ({ PGPASSWORD: bare(database.url).password });
  const args = (...rest: string[]): string[] => [
    'explain',
    ...['--policy', policy, '--user', 'a', '--catalog', bare(database.url).url],
    ...rest,
  ];

  it('explain names what a TRUNCATE … CASCADE would empty, for the session of that database', async () => {
    const { status, stdout, stderr } = await run(args('TRUNCATE kind CASCADE'), { env: env() });
    expect(stderr).toBe('');
    // The role matches databases by name: none was said, so it is the catalog's.
    expect(stdout).toContain('role     shop (admin access)\nverdict  deny\n');
    expect(stdout).toContain(`\ncatalog  ${database.name}\n`);
    expect(stdout).toMatch(/\n {4}detail: .*account.*login/);
    expect(status).toBe(1);
  });

  it('explain --json and --jsonl carry the detail', async () => {
    const json = await run(args('--json', 'TRUNCATE kind CASCADE'), { env: env() });
    const jsonl = await run(args('--jsonl'), { env: env(), input: '{"sql":"TRUNCATE kind CASCADE"}\n' });
    expect(jsonl.status).toBe(0);
    expect(jsonl.stdout).toBe(json.stdout);
    const answer = JSON.parse(json.stdout) as {
      statements: { matches: { rule: string; detail?: string }[] }[];
    };
    const cascade = answer.statements[0]?.matches.find(({ rule }) => rule === 'cascade');
    expect(cascade?.detail).toContain('account');
  });

  it('explain says where the catalog was not needed', async () => {
    const { stdout } = await run(args('SELECT 1'), { env: env() });
    expect(stdout).toContain(`catalog  ${database.name}, not needed\n`);
  });

  it('test judges with it', async () => {
    const cases = path.join(directory, 'cases.yaml');
    writeFileSync(
      cases,
      `policy: policy.yaml
defaults: { user: a, database: catalog_x }
cases:
  - { sql: UPDATE account SET data = $1 WHERE id = 1, verdict: hold, rule: json-overwrite }
  - { sql: UPDATE account SET kind = $1 WHERE id = 1, verdict: allow }
  - { sql: DELETE FROM account WHERE id IS NOT NULL, verdict: deny, rule: tautological-where }
`,
    );
    const { stdout, stderr, status } = await run(['test', cases, '--catalog', bare(database.url).url], {
      env: env(),
    });
    expect({ stdout, stderr, status }).toEqual({
      stdout: '3 cases: all as expected\n',
      stderr: '',
      status: 0,
    });
  });

  it('nothing is judged when it cannot be read', async () => {
    const cases = path.join(directory, 'one.yaml');
    writeFileSync(cases, 'policy: policy.yaml\ncases: [{ user: a, sql: SELECT 1, verdict: deny }]\n');
    const gone = new URL(bare(database.url).url);
    gone.pathname = '/nowhere';
    for (const command of [
      ['explain', '--policy', policy, '--user', 'a', 'SELECT 1'],
      ['explain', '--policy', policy, '--jsonl'],
      ['test', cases],
    ]) {
      const { status, stdout, stderr } = await run([...command, '--catalog', gone.href], { env: env() });
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(/^the catalog of database "nowhere" on .* does not exist\n$/);
    }
  });
});
