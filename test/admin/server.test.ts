import { once } from 'node:events';
import { connect } from 'node:net';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startAdmin, type AdminOptions } from '../../src/admin/server.js';
import { createLogger } from '../../src/log.js';
import { createMetrics } from '../../src/metrics.js';

const READY = { ok: true, checks: { policy: 'ok', audit: 'ok', upstream: 'ok' } };

async function start(
  options: Partial<AdminOptions> = {},
): Promise<{ port: number; log: string[]; close(): Promise<void> }> {
  const log: string[] = [];
  const admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    metrics: createMetrics({ processMetrics: false }),
    ready: () => Promise.resolve(READY),
    logger: createLogger({ level: 'info', destination: { write: (line) => log.push(line) } }),
    ...options,
  });
  onTestFinished(() => admin.close());
  return { ...admin, log };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function ask(port: number, path: string, method = 'GET', body?: string): Promise<Answer> {
  const outgoing = request({ host: '127.0.0.1', port, path, method, agent: false });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

/** Sends bytes and collects what comes until the server closes. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(bytes);
  return text(socket);
}

describe('what it serves', () => {
  it('/metrics', async () => {
    const { port } = await start();
    const { status, headers, body } = await ask(port, '/metrics');
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(body).toContain('# TYPE holdfast_decisions_total counter');
  });

  it('/healthz', async () => {
    const { port } = await start();
    expect(await ask(port, '/healthz')).toMatchObject({ status: 200, body: '{"status":"ok"}' });
  });

  it('/readyz with every check, and 503 when one fails', async () => {
    const { port } = await start();
    const good = await ask(port, '/readyz');
    expect(good.status).toBe(200);
    expect(JSON.parse(good.body)).toEqual({ status: 'ready', checks: READY.checks });

    const checks = { audit: 'cannot be written' };
    const other = await start({ ready: () => Promise.resolve({ ok: false, checks }) });
    const bad = await ask(other.port, '/readyz');
    expect(bad.status).toBe(503);
    expect(JSON.parse(bad.body)).toEqual({ status: 'not ready', checks });
  });

  it('HEAD without a body', async () => {
    const { port } = await start();
    for (const path of ['/metrics', '/healthz', '/readyz']) {
      expect(await ask(port, path, 'HEAD')).toMatchObject({ status: 200, body: '' });
    }
  });

  it('security headers with every answer', async () => {
    const { port } = await start();
    for (const path of ['/metrics', '/readyz', '/nothing', '/%zz']) {
      expect((await ask(port, path)).headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      });
    }
  });
});

describe('what it does not serve', () => {
  it.each([
    ['GET', '/'],
    ['GET', '/metrics/'],
    ['GET', '/metrics/../etc/passwd'],
    ['GET', '/%zz'],
    ['GET', `/${'x'.repeat(5_000)}`],
    ['POST', '/metrics'],
    ['PUT', '/healthz'],
    ['DELETE', '/readyz'],
    ['OPTIONS', '/metrics'],
    ['TRACE', '/metrics'],
  ])('%s %s', async (method, path) => {
    const { port } = await start();
    const answer = await ask(port, path, method);
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body)).toEqual({ error: 'not found' });
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
  });

  it('a body is not read, whatever it is', async () => {
    const { port } = await start();
    expect(await ask(port, '/metrics', 'POST', '{"a":1}')).toMatchObject({ status: 404 });
    const large = await ask(port, '/metrics', 'POST', 'x'.repeat(100_000)).catch(() => null);
    expect(large === null || large.status >= 400).toBe(true);
    expect((await ask(port, '/healthz')).status).toBe(200);
  });

  it('headers beyond 8 KiB', async () => {
    const { port } = await start();
    const answer = await raw(port, `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('what is no HTTP', async () => {
    const { port } = await start();
    const answer = await raw(port, '\x00\x00\x00\x08\x04\xd2\x16\x2f\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).not.toMatch(/ at .*\.js/);
  });
});

describe('when something fails', () => {
  it('/readyz answers in time, whatever the checks do', async () => {
    const { port } = await start({ ready: () => new Promise(() => undefined), readyDeadlineMs: 20 });
    const { status, body } = await ask(port, '/readyz');
    expect(status).toBe(503);
    expect(JSON.parse(body)).toEqual({ status: 'not ready', checks: { deadline: 'no answer within 20 ms' } });
  });

  it('callers share one run of the checks', async () => {
    let finish = (): void => undefined;
    const ready = vi.fn(
      () =>
        new Promise<typeof READY>((resolve) => {
          finish = () => {
            resolve(READY);
          };
        }),
    );
    const { port } = await start({ ready });
    const answers = [ask(port, '/readyz'), ask(port, '/readyz')];
    // A third answer on the same server shows that both requests have arrived.
    await vi.waitFor(() => {
      expect(ready).toHaveBeenCalled();
    });
    await ask(port, '/healthz');
    finish();
    expect((await Promise.all(answers)).map((answer) => answer.status)).toEqual([200, 200]);
    expect(ready).toHaveBeenCalledTimes(1);
    const again = ask(port, '/readyz');
    await vi.waitFor(() => {
      expect(ready).toHaveBeenCalledTimes(2);
    });
    finish();
    await again;
  });

  it('says nothing of the inside: neither words nor stack', async () => {
    const failing = {
      metrics: { contentType: 'text/plain', text: () => Promise.reject(new Error('inner words')) },
      ready: () => Promise.reject(new Error('inner words')),
    };
    const { port, log } = await start(failing);
    expect(await ask(port, '/metrics')).toMatchObject({ status: 500, body: '{"error":"internal error"}' });
    const { status, body } = await ask(port, '/readyz');
    expect(status).toBe(503);
    expect(body).not.toMatch(/inner words| at /);
    expect(log).toHaveLength(2);
    expect(log.join('')).toContain('inner words');
  });

  it('does not start on a port that is taken', async () => {
    const { port } = await start();
    await expect(start({ port })).rejects.toThrow(/EADDRINUSE/);
  });
});

describe('close', () => {
  it('ends idle connections, and those in the middle of a request, at once', async () => {
    const admin = await start({ ready: () => new Promise(() => undefined) });
    const { port } = admin;
    const sockets = ['', 'GET /healthz HTTP/1.1\r\nHost: x\r\n', 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n'];
    const answers = sockets.map((bytes) => raw(port, bytes));
    expect((await ask(port, '/healthz')).status).toBe(200);
    const started = performance.now();
    await admin.close();
    await Promise.all(answers);
    expect(performance.now() - started).toBeLessThan(1_500);
    await expect(ask(port, '/healthz')).rejects.toThrow(/ECONNREFUSED/);
  });
});
