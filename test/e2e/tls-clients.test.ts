/** TLS between client and Holdfast: each mode, direct TLS, and what a handshake must not bring along. */
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, tlsFile, tlsPath } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { psql, psqlVersion } from '../support/psql.js';
import { GSSENC_REQUEST, SSL_REQUEST, onlyError, raw, rawConnection } from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { connected, startup } from '../support/wire.js';

const CERT = { cert: tlsPath('server.crt'), key: tlsPath('server.key') };

let database: TestDatabase;
let user: TestUser;
let off: TestHoldfast;
let prefer: TestHoldfast;
let only: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('tls_clients');
  user = await createUser('secured', database.name);
  [off, prefer, only] = await Promise.all([
    startTestHoldfast(database, TRANSPARENT_POLICY, { listenTls: { mode: 'off' } }),
    startTestHoldfast(database, TRANSPARENT_POLICY, { listenTls: { mode: 'prefer', ...CERT } }),
    startTestHoldfast(database, TRANSPARENT_POLICY, { listenTls: { mode: 'require', ...CERT } }),
  ]);
});

afterAll(async () => {
  await Promise.all([off.close(), prefer.close(), only.close()]);
  await database.drop();
  await user.drop();
});

function hello(): Buffer {
  return startup(0, { user: user.name, database: database.name });
}

/** The handshake over a socket on which it was agreed, or with which it begins. */
function handshake(
  socket: Socket,
  alpn: readonly string[] | null,
  servername = 'localhost',
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      socket,
      servername,
      ca: tlsFile('ca.crt'),
      ...(alpn === null ? {} : { ALPNProtocols: [...alpn] }),
    });
    secured.once('error', reject);
    secured.once('secureConnect', () => {
      secured.off('error', reject);
      secured.on('error', () => undefined);
      resolve(secured);
    });
  });
}

async function overTls(port: number): Promise<TLSSocket> {
  const plain = await connected(port);
  plain.write(SSL_REQUEST);
  const answer = await new Promise<Buffer>((resolve) => plain.once('data', resolve));
  expect(answer.toString()).toBe('S');
  return handshake(plain, null);
}

function client(holdfast: TestHoldfast, tls: boolean): pg.Client {
  return new pg.Client({
    host: 'localhost',
    port: holdfast.port,
    user: user.name,
    password: 'x',
    database: database.name,
    ssl: tls ? { ca: tlsFile('ca.crt') } : false,
  });
}

describe('modes', () => {
  test('off: a client that insists on TLS is told there is none; plain text works', async () => {
    await expect(client(off, true).connect()).rejects.toThrow('The server does not support SSL connections');
    const plain = client(off, false);
    await plain.connect();
    await plain.end();
  });

  test('prefer: both work, and the record says which it was', async () => {
    for (const tls of [true, false]) {
      const connection = client(prefer, tls);
      await connection.connect();
      const { rows } = await connection.query('SELECT 1 AS one');
      expect(rows).toEqual([{ one: 1 }]);
      await connection.end();
    }
    const opened = (await prefer.records()).filter(({ kind }) => kind === 'session_open');
    expect(opened.map((record) => record['tls'])).toEqual(['TLSv1.3', null]);
  });

  test('require: plain text is refused before any login', async () => {
    const refusal: unknown = await client(only, false)
      .connect()
      .catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: '28000',
      severity: 'FATAL',
      message: 'holdfast: this port accepts encrypted connections only',
      hint: 'Connect with sslmode=require or stricter.',
    });
    const secured = client(only, true);
    await secured.connect();
    await secured.end();
    const opened = (await only.records()).filter(({ kind }) => kind === 'session_open');
    expect(opened.length).toBe(1);
  });

  test.skipIf(psqlVersion === null)('libpq with sslmode=verify-full', async () => {
    const result = await psql(
      `host=localhost port=${String(only.port)} dbname=${database.name} user=${user.name} ` +
        `sslmode=verify-full sslrootcert=${tlsPath('ca.crt')}`,
      ['SELECT 1'],
    );
    expect(result).toMatchObject({ status: 0, stdout: '1\n' });
  });
});

describe('the handshake', () => {
  test('GSSENCRequest first, then TLS', async () => {
    const plain = await connected(prefer.port);
    plain.write(GSSENC_REQUEST);
    expect((await new Promise<Buffer>((resolve) => plain.once('data', resolve))).toString()).toBe('N');
    plain.write(SSL_REQUEST);
    expect((await new Promise<Buffer>((resolve) => plain.once('data', resolve))).toString()).toBe('S');
    const secured = raw(await handshake(plain, null));
    secured.write(hello());
    await secured.until('Z');
    secured.socket.destroy();
  });

  test('bytes that ride behind SSLRequest are refused, be they a StartupMessage or the handshake itself', async () => {
    for (const surplus of [hello(), Buffer.from([0x16]), Buffer.from([0])]) {
      const plain = await rawConnection(prefer.port);
      plain.write(Buffer.concat([SSL_REQUEST, surplus]));
      // No S before it: nothing was agreed.
      expect(onlyError(await plain.rest())).toMatchObject({
        S: 'FATAL',
        C: '08P01',
        M: 'holdfast: received unencrypted data after SSL request',
      });
    }
  });

  test.each([
    ['SSLRequest', SSL_REQUEST],
    ['GSSENCRequest', GSSENC_REQUEST],
  ])('%s inside TLS is refused', async (_name, request) => {
    const secured = raw(await overTls(prefer.port));
    secured.write(request);
    expect(onlyError(await secured.rest())).toMatchObject({ S: 'FATAL', C: '08P01' });
  });

  test('plain bytes in place of the handshake end the connection', async () => {
    const plain = await rawConnection(prefer.port);
    plain.write(SSL_REQUEST);
    expect((await plain.bytes(1)).toString()).toBe('S');
    plain.write(hello());
    // Nothing but, perhaps, a TLS alert.
    const rest = await plain.rest();
    expect(rest.length === 0 || rest[0] === 0x15).toBe(true);
    expect(rest.includes('Holdfast')).toBe(false);
  });

  test('a client that leaves in the middle of it leaves nothing behind', async () => {
    const hasty = await startTestHoldfast(database, TRANSPARENT_POLICY, {
      listenTls: { mode: 'prefer', ...CERT },
      limits: { startupTimeout: 150 },
    });
    try {
      const gone = await rawConnection(hasty.port);
      gone.write(SSL_REQUEST);
      await gone.bytes(1);
      gone.write(Buffer.from([0x16, 0x03, 0x01]));
      gone.socket.resetAndDestroy();
      // One that stays and says nothing more is hung up on.
      const silent = await rawConnection(hasty.port);
      silent.write(SSL_REQUEST);
      await silent.bytes(1);
      await silent.rest();
      expect(await metric(hasty, 'holdfast_sessions')).toBe(0);
    } finally {
      await hasty.close();
    }
  });
});

describe('direct TLS', () => {
  test('with ALPN postgresql it works', async () => {
    const socket = await handshake(await connected(prefer.port), ['postgresql']);
    expect(socket.alpnProtocol).toBe('postgresql');
    const secured = raw(socket);
    secured.write(hello());
    await secured.until('Z');
    secured.socket.destroy();
  });

  test('without ALPN it is refused', async () => {
    const secured = raw(await handshake(await connected(prefer.port), null));
    secured.write(hello());
    expect((await secured.rest()).length).toBe(0);
  });

  test('with the ALPN of another protocol it is refused', async () => {
    await expect(handshake(await connected(prefer.port), ['http/1.1'])).rejects.toThrow(
      /alert|closed|disconnected/,
    );
  });
});

test('a certificate whose key does not fit stops the start, and says which files', async () => {
  const key = tlsPath('other-server.key');
  await expect(
    startTestHoldfast(database, TRANSPARENT_POLICY, { listenTls: { mode: 'prefer', cert: CERT.cert, key } }),
  ).rejects.toThrow(/listen\.tls: .*server\.crt and .*other-server\.key cannot be used/);
});
