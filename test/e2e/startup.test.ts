/**
 * The first packets of a connection, over real sockets: every form of start-up, in
 * and out of order, whole and broken, with what the client is answered.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { startFakeServer } from '../support/network.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import {
  GSSENC_REQUEST,
  SSL_REQUEST,
  cancelPacket,
  fieldsOf,
  onlyError,
  packet,
  rawConnection,
} from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { startup, wire } from '../support/wire.js';

let database: TestDatabase;
let user: TestUser;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('startup');
  user = await createUser('starter', database.name);
  holdfast = await startTestHoldfast(database, TRANSPARENT_POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  await user.drop();
});

function hello(minor = 0, more: Readonly<Record<string, string>> = {}): Buffer {
  return startup(minor, { user: user.name, database: database.name, ...more });
}

describe('without TLS', () => {
  test('SSLRequest is answered N, and the login goes on in plain text', async () => {
    const client = await rawConnection(holdfast.port);
    client.write(SSL_REQUEST);
    expect((await client.bytes(1)).toString()).toBe('N');
    client.write(hello());
    const messages = await client.until('Z');
    expect(messages.at(0)?.type).toBe('R');
    expect(messages.at(-1)?.body.toString()).toBe('I');
    client.socket.destroy();
  });

  test('GSSENCRequest is answered N, then SSLRequest may follow, and the other way round', async () => {
    for (const order of [
      [GSSENC_REQUEST, SSL_REQUEST],
      [SSL_REQUEST, GSSENC_REQUEST],
    ]) {
      const client = await rawConnection(holdfast.port);
      for (const request of order) {
        client.write(request);
        expect((await client.bytes(1)).toString()).toBe('N');
      }
      client.write(hello());
      await client.until('Z');
      client.socket.destroy();
    }
  });

  test.each([
    ['SSLRequest twice', [SSL_REQUEST, SSL_REQUEST]],
    ['GSSENCRequest twice', [GSSENC_REQUEST, GSSENC_REQUEST]],
    ['SSLRequest again after both', [SSL_REQUEST, GSSENC_REQUEST, SSL_REQUEST]],
  ])('%s: refused', async (_name, requests) => {
    const client = await rawConnection(holdfast.port);
    for (const request of requests.slice(0, -1)) {
      client.write(request);
      expect((await client.bytes(1)).toString()).toBe('N');
    }
    client.write(requests.at(-1) ?? Buffer.alloc(0));
    const error = onlyError(await client.rest());
    expect(error).toMatchObject({ S: 'FATAL', C: '08P01' });
    expect(error['M']).toMatch(
      /^holdfast: unexpected (SSLRequest|GSSENCRequest) in the start-up of a connection$/,
    );
  });

  test.each([
    ['SSLRequest', SSL_REQUEST, 'holdfast: received unencrypted data after SSL request'],
    ['GSSENCRequest', GSSENC_REQUEST, 'holdfast: received unencrypted data after GSSAPI encryption request'],
  ])('bytes that ride behind %s are refused', async (_name, request, message) => {
    const client = await rawConnection(holdfast.port);
    client.write(Buffer.concat([request, hello()]));
    expect(onlyError(await client.rest())).toMatchObject({ S: 'FATAL', C: '08P01', M: message });
  });
});

describe('the StartupMessage', () => {
  test('split at every byte', async () => {
    const bytes = Buffer.concat([hello()]);
    for (let split = 1; split < bytes.length; split += 7) {
      const client = await rawConnection(holdfast.port);
      client.socket.setNoDelay(true);
      await new Promise((resolve) => client.socket.write(bytes.subarray(0, split), resolve));
      await new Promise((resolve) => setImmediate(resolve));
      client.write(bytes.subarray(split));
      await client.until('Z');
      client.socket.destroy();
    }
  });

  function withLength(length: number): Buffer {
    const bytes = hello();
    bytes.writeUInt32BE(length, 0);
    return bytes;
  }
  const long = 'x'.repeat(64);
  const parameters = (...names: string[]): Buffer =>
    packet(3 << 16, Buffer.from(names.map((name) => `${name}\0`).join('')));

  test.each<[string, () => Buffer, string, RegExp]>([
    [
      'no user',
      () => startup(0, { database: 'x' }),
      '28000',
      /no PostgreSQL user name specified in startup packet/,
    ],
    ['an empty user', () => startup(0, { user: '' }), '28000', /no PostgreSQL user name specified/],
    ['no parameters at all', () => packet(3 << 16, Buffer.from([0])), '28000', /no PostgreSQL user name/],
    [
      'user twice',
      () => parameters('user', 'a', 'user', 'b', ''),
      '08P01',
      /duplicate startup parameter "user"/,
    ],
    ['any parameter twice', () => parameters('user', 'a', 'x.y', '1', 'x.y', '2', ''), '08P01', /duplicate/],
    [
      'bytes behind its terminator',
      () => parameters('user', 'a', '', 'role', 'x', ''),
      '08P01',
      /terminator as last byte/,
    ],
    ['no terminator', () => parameters('user', 'a'), '08P01', /unterminated|terminat/],
    [
      'a name without a value',
      () => packet(3 << 16, Buffer.from('user\0a\0database')),
      '08P01',
      /unterminated|terminat/,
    ],
    ['a user of 64 bytes', () => startup(0, { user: long }), '28000', /"user" is longer than 63 bytes/],
    [
      'a database of 64 bytes',
      () => startup(0, { user: 'a', database: long }),
      '28000',
      /"database" is longer than 63/,
    ],
    ['protocol 2.0', () => packet(2 << 16, Buffer.alloc(288)), '0A000', /unsupported frontend protocol 2\.0/],
    [
      'protocol 4.0',
      () => packet(4 << 16, Buffer.from('user\0a\0\0')),
      '0A000',
      /unsupported frontend protocol 4\.0/,
    ],
    [
      'an SSLRequest with a body',
      () => packet(80_877_103, Buffer.from('x')),
      '08P01',
      /invalid length of SSLRequest/,
    ],
    [
      'a CancelRequest without a key',
      () => cancelPacket(1, Buffer.alloc(0)),
      '08P01',
      /length of CancelRequest/,
    ],
    [
      'a CancelRequest with a key of 257 bytes',
      () => cancelPacket(1, Buffer.alloc(257)),
      '08P01',
      /CancelRequest/,
    ],
  ])('%s: refused', async (_name, bytes, sqlstate, message) => {
    const client = await rawConnection(holdfast.port);
    client.write(bytes());
    const error = onlyError(await client.rest());
    expect(error).toMatchObject({ S: 'FATAL', V: 'FATAL', C: sqlstate });
    expect(error['M']).toMatch(message);
    expect(error['M']).toMatch(/^holdfast: /);
  });

  test.each<[string, () => Buffer]>([
    ['length 0', () => withLength(0)],
    ['length 7', () => withLength(7)],
    ['length 10001', () => withLength(10_001)],
    ['length 4294967295', () => withLength(4_294_967_295)],
    ['an HTTP request', () => Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    [
      'a TLS handshake that nobody offered',
      () => Buffer.from([0x16, 0x03, 0x01, 0x00, 0xc8, 0x01, 0x00, 0x00]),
    ],
  ])('%s: no packet of this protocol, so hung up on without an answer', async (_name, bytes) => {
    const client = await rawConnection(holdfast.port);
    client.write(bytes());
    expect((await client.rest()).length).toBe(0);
  });

  test('data behind it is refused', async () => {
    const client = await rawConnection(holdfast.port);
    client.write(Buffer.concat([hello(), serialize.query('SELECT 1')]));
    const error = onlyError(await client.rest());
    expect(error).toMatchObject({ S: 'FATAL', C: '08P01' });
    expect(error['M']).toContain('data behind the StartupMessage');
  });

  test('a user of 63 bytes is none too long', async () => {
    const client = await rawConnection(holdfast.port);
    client.write(startup(0, { user: 'x'.repeat(63), database: database.name }));
    // The server's question for a password: the packet was taken.
    expect((await client.message()).type).toBe('R');
    client.socket.destroy();
  });

  test('a message other than a password while the server waits for one: refused', async () => {
    const client = await rawConnection(holdfast.port);
    client.write(startup(0, { user: 'scram_user', database: database.name }));
    expect((await client.message()).type).toBe('R');
    client.write(serialize.query('SELECT 1'));
    const error = onlyError(await client.rest());
    expect(error).toMatchObject({ S: 'FATAL', C: '08P01' });
    expect(error['M']).toMatch(/expected password response, got message type 81/);
  });
});

describe('protocol versions', () => {
  test.each([
    [0, 4],
    [2, 32],
  ])('3.%i: nothing to negotiate, a cancel key of %i bytes', async (minor, length) => {
    const client = await rawConnection(holdfast.port);
    client.write(hello(minor));
    const messages = await client.until('Z');
    expect(messages.some(({ type }) => type === 'v')).toBe(false);
    expect(messages.find(({ type }) => type === 'K')?.body.length).toBe(4 + length);
    client.socket.destroy();
  });

  test('3.9999 and extensions: NegotiateProtocolVersion comes first and names them', async () => {
    const client = await rawConnection(holdfast.port);
    client.write(hello(9999, { '_pq_.first': 'on', '_pq_.second': '1' }));
    const messages = await client.until('Z');
    const [first] = messages;
    expect(first?.type).toBe('v');
    expect(first?.body.readInt32BE(0)).toBe((3 << 16) | 2);
    expect(first?.body.readInt32BE(4)).toBe(2);
    expect(first?.body.toString('utf8', 8)).toBe('_pq_.first\0_pq_.second\0');
    expect(messages.filter(({ type }) => type === 'v').length).toBe(1);
    expect(messages.find(({ type }) => type === 'K')?.body.length).toBe(4 + 32);
    client.socket.destroy();
  });

  test('3.0 with an extension: the version stays, the extension is named', async () => {
    const client = await rawConnection(holdfast.port);
    client.write(hello(0, { '_pq_.report_parameters': 'x' }));
    const messages = await client.until('Z');
    expect(messages[0]?.type).toBe('v');
    expect(messages[0]?.body.readInt32BE(0)).toBe(3 << 16);
    expect(messages[0]?.body.toString('utf8', 8)).toBe('_pq_.report_parameters\0');
    client.socket.destroy();
  });

  test('a server that speaks 3.0 only, and sends no BackendKeyData: the client is told, and can work', async () => {
    const server = await startFakeServer((socket) => {
      socket.once('data', () => {
        const negotiate = Buffer.from([0x76, 0, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 0]);
        const ok = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
        const status = (name: string, value: string): Buffer => {
          const body = Buffer.from(`${name}\0${value}\0`);
          const head = Buffer.from([0x53, 0, 0, 0, 4 + body.length]);
          return Buffer.concat([head, body]);
        };
        const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
        socket.write(
          Buffer.concat([
            negotiate,
            ok,
            status('client_encoding', 'UTF8'),
            status('standard_conforming_strings', 'on'),
            ready,
          ]),
        );
      });
    });
    const old = await startTestHoldfast(server, TRANSPARENT_POLICY);
    try {
      const client = await rawConnection(old.port);
      client.write(hello(2));
      const messages = await client.until('Z');
      expect(messages[0]?.type).toBe('v');
      expect(messages[0]?.body.readInt32BE(0)).toBe(3 << 16);
      expect(messages.some(({ type }) => type === 'K')).toBe(false);
      client.socket.destroy();
    } finally {
      await old.close();
      await server.close();
    }
  });
});

test('data that a client sends as soon as it is accepted, before it hears that the server is ready', async () => {
  const client = await rawConnection(holdfast.port);
  client.write(hello());
  // AuthenticationOk, the first message.
  expect((await client.message()).type).toBe('R');
  client.write(Buffer.concat([serialize.query('SELECT 1'), serialize.query('SELECT 2')]));
  await client.until('Z');
  for (const answer of ['1', '2']) {
    const row = (await client.until('Z')).find(({ type }) => type === 'D');
    expect(row?.body.toString('latin1').at(-1)).toBe(answer);
  }
  client.socket.destroy();
});

test('a server behind a Unix socket: upstream.host is its directory', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-socket-'));
  const forward = createServer((near) => {
    const far = connect(database.port, database.host);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => {
    forward.listen(join(directory, '.s.PGSQL.5433'), resolve);
  });
  const behind = await startTestHoldfast({ host: directory, port: 5433 }, TRANSPARENT_POLICY);
  const nowhere = await startTestHoldfast({ host: directory, port: 5434 }, TRANSPARENT_POLICY);
  try {
    const client = await rawConnection(behind.port);
    client.write(hello());
    await client.until('Z');
    client.socket.destroy();
    const lost = await rawConnection(nowhere.port);
    lost.write(hello());
    expect(onlyError(await lost.rest())).toMatchObject({
      C: '08001',
      M: `holdfast: cannot reach the server at ${join(directory, '.s.PGSQL.5434')}: ENOENT`,
    });
  } finally {
    await behind.close();
    await nowhere.close();
    await new Promise((resolve) => forward.close(resolve));
    await rm(directory, { recursive: true });
  }
});

describe('CancelRequest as the first packet', () => {
  test.each([4, 32, 256])(
    'with a key of %i bytes nobody has: no answer, and it is recorded',
    async (length) => {
      const before = await metric(holdfast, 'holdfast_audit_records_total', { kind: 'cancel' });
      const client = await rawConnection(holdfast.port);
      client.write(cancelPacket(12_345, Buffer.alloc(length, 7)));
      expect((await client.rest()).length).toBe(0);
      await expect
        .poll(() => metric(holdfast, 'holdfast_audit_records_total', { kind: 'cancel' }))
        .toBe(before + 1);
      await expect
        .poll(async () => (await holdfast.records()).filter(({ kind }) => kind === 'cancel').at(-1))
        .toMatchObject({ session: null, client: '127.0.0.1', result: 'unknown_key' });
    },
  );
});

describe('a start that takes too long', () => {
  test('a client that says nothing, or half a packet, is hung up on', async () => {
    const hasty = await startTestHoldfast(database, TRANSPARENT_POLICY, { limits: { startupTimeout: 150 } });
    try {
      const silent = await rawConnection(hasty.port);
      const half = await rawConnection(hasty.port);
      half.write(hello().subarray(0, 11));
      expect((await silent.rest()).length).toBe(0);
      expect((await half.rest()).length).toBe(0);
    } finally {
      await hasty.close();
    }
  });

  test('a client that never answers the question for its password gets an error, and its slot is given back', async () => {
    const hasty = await startTestHoldfast(database, TRANSPARENT_POLICY, { limits: { startupTimeout: 150 } });
    try {
      const client = await rawConnection(hasty.port);
      client.write(startup(0, { user: 'scram_user', database: database.name }));
      expect((await client.message()).type).toBe('R');
      expect(onlyError(await client.rest())).toMatchObject({
        S: 'FATAL',
        C: '57014',
        M: 'holdfast: canceling authentication due to timeout',
        R: 'holdfast/startup-timeout',
      });
      await expect.poll(() => metric(hasty, 'holdfast_sessions')).toBe(0);
      await expect
        .poll(async () => (await hasty.records()).find(({ kind }) => kind === 'session_close'))
        .toMatchObject({ user: 'scram_user', sqlstate: '57014', decisions: 0 });
    } finally {
      await hasty.close();
    }
  });

  test('a server that never answers: the client hears it', async () => {
    const server = await startFakeServer(() => undefined);
    const hasty = await startTestHoldfast(server, TRANSPARENT_POLICY, { limits: { startupTimeout: 150 } });
    try {
      const client = await rawConnection(hasty.port);
      client.write(hello());
      expect(onlyError(await client.rest())).toMatchObject({ C: '57014' });
    } finally {
      await hasty.close();
      await server.close();
    }
  });
});

test('the banner is a notice before the first ReadyForQuery', async () => {
  const client = await rawConnection(holdfast.port);
  client.write(hello());
  const messages = await client.until('Z');
  const notice = messages.at(-2);
  expect(notice?.type).toBe('N');
  expect(fieldsOf(notice?.body ?? Buffer.alloc(0))).toMatchObject({
    S: 'NOTICE',
    C: '00000',
    M: `Holdfast: PRODUCTION, database ${database.name}, role everything: everything.`,
    R: 'holdfast/banner',
  });
  client.socket.destroy();
});

test('a client that leaves during the login leaves nothing behind', async () => {
  const client = await rawConnection(holdfast.port);
  client.write(startup(0, { user: 'scram_user', database: database.name }));
  expect((await client.message()).type).toBe('R');
  client.socket.end();
  await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
  const reset = await rawConnection(holdfast.port);
  reset.write(startup(0, { user: 'scram_user', database: database.name }));
  expect((await reset.message()).type).toBe('R');
  reset.socket.resetAndDestroy();
  await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(0);
  // And the next one is served.
  const next = wire((await rawConnection(holdfast.port)).socket);
  await next.send(hello());
  await next.untilReady();
  next.close();
});
