/**
 * SCRAM-SHA-256-PLUS binds a login to the certificate that the client sees. It
 * passes where that is the server's own; where it is not, the client is told what
 * to change, and never led to a weaker login behind its back.
 */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { AUTH_PASSWORD, AUTH_USERS, createDatabase, tlsPath } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { psql, psqlVersion } from '../support/psql.js';
import type { PsqlResult } from '../support/psql.js';
import { rawConnection } from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { startup } from '../support/wire.js';

const usable = inject('postgresTls') && inject('postgresAuthUsers');

let database: TestDatabase;
/** Shows the server's own certificate. */
let same: TestHoldfast;
/** Shows another one. */
let other: TestHoldfast;
/** Shows the server's, but speaks plain text to the server. */
let plainUpstream: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('binding');
  const listenTls = (name: string) =>
    ({ mode: 'prefer', cert: tlsPath(`${name}.crt`), key: tlsPath(`${name}.key`) }) as const;
  const upstreamTls = { mode: usable ? 'require' : 'prefer' } as const;
  [same, other, plainUpstream] = await Promise.all([
    startTestHoldfast(database, TRANSPARENT_POLICY, { listenTls: listenTls('server'), upstreamTls }),
    startTestHoldfast(database, TRANSPARENT_POLICY, { listenTls: listenTls('other-server'), upstreamTls }),
    startTestHoldfast(database, TRANSPARENT_POLICY, { listenTls: listenTls('server') }),
  ]);
});

afterAll(async () => {
  await Promise.all([same.close(), other.close(), plainUpstream.close()]);
  await database.drop();
});

function withPg(holdfast: TestHoldfast, tls: boolean, enableChannelBinding: boolean): pg.Client {
  return new pg.Client({
    host: '127.0.0.1',
    port: holdfast.port,
    user: AUTH_USERS.scram,
    password: AUTH_PASSWORD,
    database: database.name,
    ssl: tls ? { rejectUnauthorized: false } : false,
    enableChannelBinding,
  });
}

function withPsql(holdfast: TestHoldfast, more: string): Promise<PsqlResult> {
  const conninfo = `host=127.0.0.1 port=${String(holdfast.port)} dbname=${database.name} user=${AUTH_USERS.scram} ${more}`;
  return psql(conninfo, ['SELECT 1'], AUTH_PASSWORD);
}

const OBSTACLE =
  'holdfast: SCRAM-SHA-256-PLUS cannot pass: it binds the login to the server’s certificate, and this connection shows Holdfast’s';
const HINT =
  'Give listen.tls the certificate and key of the server itself, or connect with channel_binding=disable.';

describe.skipIf(!usable)('with pg', () => {
  test('the same certificate on both legs: it passes', async () => {
    const client = withPg(same, true, true);
    await client.connect();
    await client.end();
  });

  test('another certificate: the error says what to change', async () => {
    const error: unknown = await withPg(other, true, true)
      .connect()
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: '28000', severity: 'FATAL', message: OBSTACLE, hint: HINT });
    await expect.poll(() => metric(other, 'holdfast_sessions')).toBe(0);
  });

  test('a client that does not bind passes with either certificate', async () => {
    for (const holdfast of [same, other]) {
      const client = withPg(holdfast, true, false);
      await client.connect();
      await client.end();
    }
  });

  test('a client without TLS before a server with TLS: works, and is not offered what it could not use', async () => {
    const client = withPg(same, false, false);
    await client.connect();
    await client.end();
    const offered = await rawConnection(same.port);
    offered.write(startup(0, { user: AUTH_USERS.scram, database: database.name }));
    const { type, body } = await offered.message();
    expect(type).toBe('R');
    expect(body.toString('latin1', 4)).toBe('SCRAM-SHA-256\0\0');
    offered.socket.destroy();
  });
});

describe.skipIf(!usable || psqlVersion === null || psqlVersion < 13)('with libpq', () => {
  test('channel_binding=require passes with the same certificate', async () => {
    expect(await withPsql(same, 'sslmode=require channel_binding=require')).toMatchObject({
      status: 0,
      stdout: '1\n',
    });
  });

  test('with another certificate it fails, by require and by prefer, and says what to change', async () => {
    for (const binding of ['require', 'prefer']) {
      const { status, stderr } = await withPsql(other, `sslmode=require channel_binding=${binding}`);
      expect(status).toBe(2);
      expect(stderr).toContain(`FATAL:  ${OBSTACLE}`);
      expect(stderr).toContain(`HINT:  ${HINT}`);
    }
  });

  test('and the hint is right: channel_binding=disable passes', async () => {
    expect(await withPsql(other, 'sslmode=require channel_binding=disable')).toMatchObject({
      status: 0,
      stdout: '1\n',
    });
  });

  test('plain text on both legs, and TLS on the client’s alone', async () => {
    expect(await withPsql(plainUpstream, 'sslmode=disable')).toMatchObject({ status: 0, stdout: '1\n' });
    expect(await withPsql(plainUpstream, 'sslmode=require')).toMatchObject({ status: 0, stdout: '1\n' });
  });

  test('TLS on the client’s alone and channel_binding=require: libpq itself refuses, for it was not offered', async () => {
    const { status, stderr } = await withPsql(plainUpstream, 'sslmode=require channel_binding=require');
    expect(status).toBe(2);
    expect(stderr).toContain('channel binding');
  });
});
