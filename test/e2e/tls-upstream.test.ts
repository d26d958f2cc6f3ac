/** TLS between Holdfast and the server: each mode, certificates that do not fit, servers that misbehave. */
import { createServer } from 'node:tls';
import type { Socket } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast, TestSettings } from '../support/holdfast.js';
import { startFakeServer } from '../support/network.js';
import { createDatabase, tlsFile, tlsPath } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';

let database: TestDatabase;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('tls_upstream');
  user = await createUser('upstreamed', database.name);
});

afterAll(async () => {
  await database.drop();
  await user.drop();
});

type Target = { readonly host: string; readonly port: number };
type UpstreamTls = NonNullable<TestSettings['upstreamTls']>;

async function through<T>(
  target: Target,
  upstreamTls: UpstreamTls,
  work: (holdfast: TestHoldfast) => Promise<T>,
  limits: NonNullable<TestSettings['limits']> = {},
): Promise<T> {
  const holdfast = await startTestHoldfast(target, TRANSPARENT_POLICY, { upstreamTls, limits });
  try {
    return await work(holdfast);
  } finally {
    await holdfast.close();
  }
}

/** Whether the server sees the connection as encrypted. */
async function encrypted(holdfast: TestHoldfast): Promise<boolean> {
  const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, 'x') });
  await client.connect();
  const { rows } = await client.query<{ ssl: boolean }>(
    'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
  );
  await client.end();
  return rows[0]?.ssl === true;
}

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly metrics: Readonly<Record<'tls' | 'protocol' | 'timeout' | 'failed' | 'refused', number>>;
}

/** What a client is told when it connects. */
async function failure(holdfast: TestHoldfast): Promise<Failure> {
  const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, 'x') });
  const error = await client.connect().then(
    () => {
      throw new Error('it did not fail');
    },
    (reason: unknown) => reason as Failure,
  );
  const errors = (reason: string): Promise<number> =>
    metric(holdfast, 'holdfast_upstream_errors_total', { reason });
  const [tls, protocol, timeout, failed, refused] = await Promise.all(
    ['tls', 'protocol', 'timeout', 'failed', 'refused'].map(errors),
  );
  return {
    code: error.code,
    message: error.message,
    hint: error.hint,
    metrics: {
      tls: tls ?? 0,
      protocol: protocol ?? 0,
      timeout: timeout ?? 0,
      failed: failed ?? 0,
      refused: refused ?? 0,
    },
  };
}

const NONE = { tls: 0, protocol: 0, timeout: 0, failed: 0, refused: 0 };
const CA = tlsPath('ca.crt');

describe.skipIf(!inject('postgresTls'))('a server with TLS', () => {
  test.each<[string, UpstreamTls, boolean]>([
    ['off', { mode: 'off' }, false],
    ['prefer', { mode: 'prefer' }, true],
    ['require', { mode: 'require' }, true],
    ['verify-full', { mode: 'verify-full', ca: CA }, true],
  ])('%s', async (_name, tls, expected) => {
    expect(await through(database, tls, encrypted)).toBe(expected);
  });

  test('verify-full by host name, too', async () => {
    expect(
      await through({ host: 'localhost', port: database.port }, { mode: 'verify-full', ca: CA }, encrypted),
    ).toBe(true);
  });

  test('verify-full with an authority that did not sign it: refused', async () => {
    const tls = { mode: 'verify-full', ca: tlsPath('untrusted-server.crt') } as const;
    expect(await through(database, tls, failure)).toMatchObject({
      code: '08001',
      message: expect.stringMatching(
        /^holdfast: TLS with the server at 127\.0\.0\.1:\d+ failed: .*(certificate|signature)/,
      ) as string,
      hint: 'The database server itself cannot be reached; Holdfast is running.',
      metrics: { ...NONE, tls: 1 },
    });
  });

  test('verify-full with no authority but the system’s: refused', async () => {
    expect(await through(database, { mode: 'verify-full' }, failure)).toMatchObject({
      code: '08001',
      metrics: { ...NONE, tls: 1 },
    });
  });
});

/** A server whose TLS has this certificate; it hangs up after the handshake. */
async function tlsServer(name: string): Promise<Target & { close(): Promise<void> }> {
  const terminator = createServer({ cert: tlsFile(`${name}.crt`), key: tlsFile(`${name}.key`) }, (socket) =>
    socket.end(),
  );
  terminator.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => {
    terminator.listen({ host: '127.0.0.1', port: 0 }, resolve);
  });
  const server = await startFakeServer((socket) => {
    socket.once('data', () => {
      socket.write('S', () => {
        terminator.emit('connection', socket);
      });
    });
  });
  return {
    host: server.host,
    port: server.port,
    close: async () => {
      await server.close();
      await new Promise((resolve) => terminator.close(resolve));
    },
  };
}

describe('certificates', () => {
  test('verify-full, the right authority, the wrong host name: refused', async () => {
    const server = await tlsServer('other-server');
    try {
      const { code, message } = await through(server, { mode: 'verify-full', ca: CA }, failure);
      expect(code).toBe('08001');
      expect(message).toMatch(/IP: 127\.0\.0\.1 is not in the cert's list|does not match certificate/);
    } finally {
      await server.close();
    }
  });

  test('verify-full, the right name, self-signed: refused; require does not look', async () => {
    const server = await tlsServer('untrusted-server');
    try {
      expect(await through(server, { mode: 'verify-full', ca: CA }, failure)).toMatchObject({
        code: '08001',
        metrics: { ...NONE, tls: 1 },
      });
      // The handshake is made, and then the server hangs up.
      const relaxed = await through(server, { mode: 'require' }, failure);
      expect(relaxed.message).toContain('the server closed the connection');
      expect(relaxed.metrics.tls).toBe(0);
    } finally {
      await server.close();
    }
  });

  test('an authority that cannot be read stops the start', async () => {
    await expect(
      through(database, { mode: 'verify-full', ca: '/nowhere/ca.crt' }, () => Promise.resolve()),
    ).rejects.toThrow(/upstream\.tls\.ca: \/nowhere\/ca\.crt cannot be read/);
  });
});

/** Answers SSLRequest with these bytes. */
async function answering(
  bytes: string,
  work: (target: Target) => Promise<void>,
  after?: (socket: Socket) => void,
): Promise<void> {
  const server = await startFakeServer((socket) => {
    socket.once('data', () => {
      socket.write(bytes);
      after?.(socket);
    });
  });
  try {
    await work(server);
  } finally {
    await server.close();
  }
}

describe('answers to SSLRequest', () => {
  test('N: prefer goes on in plain text, require and verify-full refuse', async () => {
    await answering('N', async (server) => {
      const hasty = { startupTimeout: 150 };
      // The fake server never answers the StartupMessage, which shows that it was sent.
      expect((await through(server, { mode: 'prefer' }, failure, hasty)).code).toBe('57014');
      for (const tls of [{ mode: 'require' }, { mode: 'verify-full', ca: CA }] as const) {
        const { code, message, metrics } = await through(server, tls, failure);
        expect(code).toBe('08001');
        expect(message).toBe(
          `holdfast: the server at 127.0.0.1:${String(server.port)} does not offer TLS, which upstream.tls.mode requires`,
        );
        expect(metrics).toEqual({ ...NONE, tls: 1 });
      }
    });
  });

  test.each(['Sx', 'NE', 'S\x16\x03\x01'])(
    'surplus bytes behind it (%j): refused in every mode',
    async (bytes) => {
      await answering(bytes, async (server) => {
        for (const mode of ['prefer', 'require'] as const) {
          expect(await through(server, { mode }, failure)).toMatchObject({
            code: '08001',
            message: `holdfast: the server at 127.0.0.1:${String(server.port)} sent more than one byte in answer to SSLRequest`,
            metrics: { ...NONE, protocol: 1 },
          });
        }
      });
    },
  );

  test('E, as of a server that knows no SSLRequest: refused, and what it says is not passed on', async () => {
    await answering('E', async (server) => {
      expect(await through(server, { mode: 'prefer' }, failure)).toMatchObject({
        code: '08001',
        message: `holdfast: the server at 127.0.0.1:${String(server.port)} did not understand SSLRequest`,
        metrics: { ...NONE, protocol: 1 },
      });
    });
  });

  test('the connection closed: refused', async () => {
    await answering(
      '',
      async (server) => {
        const { code, metrics } = await through(server, { mode: 'prefer' }, failure);
        expect(code).toBe('08001');
        expect(metrics).toEqual({ ...NONE, failed: 1 });
      },
      (socket) => socket.end(),
    );
  });

  test('silence, and silence in the handshake: refused after limits.upstream_connect_timeout', async () => {
    for (const bytes of ['', 'S']) {
      await answering(bytes, async (server) => {
        expect(
          await through(server, { mode: 'require' }, failure, { upstreamConnectTimeout: 100 }),
        ).toMatchObject({
          code: '08001',
          message: `holdfast: no answer from the server at 127.0.0.1:${String(server.port)} within 100 ms`,
          metrics: { ...NONE, timeout: 1 },
        });
      });
    }
  });
});
