/**
 * Authentication is between client and server; Holdfast relays it. Each method
 * with each client, the right password and a wrong one.
 */
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { AUTH_PASSWORD, AUTH_USERS, createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { psql, psqlVersion } from '../support/psql.js';
import { metric } from '../support/scrape.js';

let database: TestDatabase;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('auth');
  holdfast = await startTestHoldfast(database, TRANSPARENT_POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
});

interface ServerError {
  readonly code: string;
  readonly message: string;
  readonly severity: string;
}

const methods = Object.entries(AUTH_USERS);

/** What `work` fails with. */
async function failure(work: Promise<unknown>): Promise<ServerError> {
  return work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as ServerError,
  );
}

describe.skipIf(!inject('postgresAuthUsers'))('authentication', () => {
  test.each(methods)('%s with pg', async (_method, user) => {
    const client = new pg.Client({ connectionString: holdfast.url(database.name, user, AUTH_PASSWORD) });
    await client.connect();
    const { rows } = await client.query('SELECT current_user AS name, $1::int + 1 AS two', [1]);
    expect(rows).toEqual([{ name: user, two: 2 }]);
    await client.end();
  });

  test.each(methods)('%s with postgres', async (_method, user) => {
    const sql = postgres({
      host: '127.0.0.1',
      port: holdfast.port,
      database: database.name,
      user,
      password: AUTH_PASSWORD,
      max: 1,
      onnotice: () => undefined,
    });
    const rows = await sql<
      { name: string; two: number }[]
    >`SELECT current_user AS name, ${1}::int + 1 AS two`;
    expect([...rows]).toEqual([{ name: user, two: 2 }]);
    await sql.end();
  });

  test.skipIf(psqlVersion === null).each(methods)('%s with psql', async (_method, user) => {
    const result = await psql(
      `host=127.0.0.1 port=${String(holdfast.port)} dbname=${database.name} user=${user}`,
      ['SELECT current_user'],
      AUTH_PASSWORD,
    );
    expect(result.stdout).toBe(`${user}\n`);
    expect(result.stderr).toContain(
      `Holdfast: PRODUCTION, database ${database.name}, role everything: everything.`,
    );
    expect(result.status).toBe(0);
  });

  test.each(methods.filter(([method]) => method !== 'trust'))(
    'a wrong password with %s: the server’s own error, and the session is recorded, closed and given back',
    async (_method, user) => {
      const refusedBefore = await metric(holdfast, 'holdfast_sessions_refused_total', { reason: 'login' });
      const direct = await failure(
        new pg.Client({
          host: database.host,
          port: database.port,
          user,
          password: 'wrong',
          database: database.name,
        }).connect(),
      );
      const through = await failure(
        new pg.Client({ connectionString: holdfast.url(database.name, user, 'wrong') }).connect(),
      );
      expect(through.code).toBe('28P01');
      expect(through.message).toBe(direct.message);
      expect(through.message).toBe(`password authentication failed for user "${user}"`);
      expect(through.severity).toBe('FATAL');
      await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
      expect(await metric(holdfast, 'holdfast_sessions_refused_total', { reason: 'login' })).toBe(
        refusedBefore + 1,
      );
      await expect
        .poll(async () =>
          (await holdfast.records())
            .filter(({ kind, user: name }) => kind.startsWith('session_') && name === user)
            .slice(-2),
        )
        .toMatchObject([
          { kind: 'session_open', role: 'everything', database: database.name, tls: null },
          { kind: 'session_close', reason: 'login_rejected', sqlstate: '28P01', decisions: 0 },
        ]);
    },
  );

  test('a user and a database that are not there: the server’s own errors', async () => {
    const client = (user: string, name: string): pg.Client =>
      new pg.Client({ connectionString: holdfast.url(name, user, AUTH_PASSWORD) });
    expect(await failure(client('nobody_of_that_name', database.name).connect())).toMatchObject({
      code: '28P01',
    });
    expect(await failure(client(AUTH_USERS.trust, 'no_such_database').connect())).toMatchObject({
      code: '3D000',
      message: 'database "no_such_database" does not exist',
    });
  });

  test('no database named: it is that of the user’s name, as with the server', async () => {
    const name = AUTH_USERS.trust;
    await withClient((client) => client.query(`CREATE DATABASE ${name}`));
    try {
      const result = await new Promise<string>((resolve, reject) => {
        const client = new pg.Client({ host: '127.0.0.1', port: holdfast.port, user: name, password: 'x' });
        client.on('notice', (notice) => {
          resolve(notice.message ?? '');
        });
        client.connect().then(() => client.end(), reject);
      });
      expect(result).toContain(`database ${name}, `);
      await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
    } finally {
      await withClient((client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`));
    }
  });
});
