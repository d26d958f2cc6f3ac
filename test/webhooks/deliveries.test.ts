import { createHmac } from 'node:crypto';
import { Writable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { createDeliveries, DELIVERY_LIMITS } from '../../src/admin/webhooks/deliveries.js';
import type { Deliveries, DeliveryLimits, Message } from '../../src/admin/webhooks/deliveries.js';
import { RETRIES } from '../../src/holds/webhooks/retry.js';
import type { RetryPolicy } from '../../src/holds/webhooks/retry.js';
import { createLogger } from '../../src/log.js';
import { createMetrics } from '../../src/metrics.js';
import { OK, startReceiver } from './receiver.js';
import type { Receiver, Reply } from './receiver.js';

const SECRET = 'a secret of the test, and of no one else';
const QUICK: RetryPolicy = { ...RETRIES, firstDelayMs: 4, mostDelayMs: 20, mostRetryAfterMs: 60 };

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

interface Ground {
  readonly deliveries: Deliveries;
  /** Resolves when so many deliveries have ended, with how many ended how. */
  readonly ended: (count: number) => Promise<Record<string, number>>;
  readonly results: () => Record<string, number>;
  readonly log: () => string;
  /** Resolves when the log says this so many times. */
  readonly logged: (text: string, times: number) => Promise<void>;
}

function deliveriesTo(
  url: string,
  options: {
    readonly limits?: Partial<DeliveryLimits>;
    readonly retries?: RetryPolicy;
    readonly secret?: null;
  } = {},
): Ground {
  const metrics = createMetrics({ processMetrics: false });
  const counts: Record<string, number> = {};
  const waiting = new Set<() => void>();
  let log = '';
  let id = 0;
  const until = (reached: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!reached()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  const deliveries = createDeliveries(
    { url, secret: options.secret === null ? null : SECRET },
    {
      limits: { ...DELIVERY_LIMITS, timeoutMs: 2_000, ...options.limits },
      retries: options.retries ?? QUICK,
      deliveries: {
        child: (result) => ({
          inc: () => {
            metrics.webhookDeliveries.child(result).inc();
            counts[result] = (counts[result] ?? 0) + 1;
            for (const look of [...waiting]) look();
          },
        }),
      },
      logger: createLogger({
        level: 'trace',
        destination: new Writable({
          write(line: Buffer, _encoding, done) {
            log += line.toString();
            done();
            for (const look of [...waiting]) look();
          },
        }),
      }),
      now: () => Date.now(),
      random: Math.random,
      newId: () => `d${(id++).toString()}`,
    },
  );
  open.push({ close: () => deliveries.close(0) });
  return {
    deliveries,
    results: () => ({ ...counts }),
    log: () => log,
    logged: (text, times) => until(() => log.split(text).length > times),
    ended: async (count) => {
      await until(() => Object.values(counts).reduce((sum, each) => sum + each, 0) >= count);
      return { ...counts };
    },
  };
}

async function receiver(reply?: (nth: number) => Reply): Promise<Receiver> {
  const started = await startReceiver(reply);
  open.push(started);
  return started;
}

function message(more: Partial<Message> = {}): Message {
  return { event: 'requested', holdId: 'h1', body: '{"event":"requested"}', ...more };
}

describe('what is sent', () => {
  it('is the body, signed over time and body, with an id', async () => {
    const { url, received } = await receiver();
    const { deliveries, ended } = deliveriesTo(url);
    deliveries.send(message({ body: '{"ü":1}' }));
    expect(await ended(1)).toEqual({ delivered: 1 });
    const [{ headers, body, path } = { headers: {}, body: '', path: '' }] = received;
    expect(path).toBe('/hook');
    expect(body).toBe('{"ü":1}');
    const timestamp = String(headers['holdfast-timestamp']);
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(5);
    const expected = createHmac('sha256', SECRET).update(`${timestamp}.{"ü":1}`).digest('hex');
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'holdfast-event': 'requested',
      'holdfast-delivery': 'd0',
      'holdfast-signature': `v1=${expected}`,
    });
  });

  it('has no signature where there is no secret', async () => {
    const { url, received } = await receiver();
    const { deliveries, ended } = deliveriesTo(url, { secret: null });
    deliveries.send(message());
    await ended(1);
    expect(received[0]?.headers).not.toHaveProperty('holdfast-signature');
  });

  it('goes with the user and password of the address, and neither these nor its path are logged', async () => {
    const { url, received } = await receiver(() => ({ status: 404 }));
    const { deliveries, ended, log } = deliveriesTo(
      `${url.replace('http://', 'http://bob:hunter%3A2@')}/T0/sEcReT?key=query-key`,
    );
    deliveries.send(message());
    expect(await ended(1)).toEqual({ rejected: 1 });
    const pair = Buffer.from('bob:hunter:2').toString('base64');
    expect(received[0]?.headers.authorization).toBe(`Basic ${pair}`);
    expect(received[0]?.path).toBe('/hook/T0/sEcReT?key=query-key');
    expect(log()).toContain('"host":"127.0.0.1:');
    expect(log()).toContain('status 404');
    expect(log()).not.toMatch(/hunter|bob|sEcReT|query-key|hook\//);
    expect(log()).not.toContain(SECRET);
  });
});

describe('what does not arrive', () => {
  it('is sent again after 408, 429 and 5xx, with the same id and a signature that holds', async () => {
    const answers = [500, 408, 429, 503, 200];
    const { url, received } = await receiver((nth) => ({ status: answers[nth] ?? 200 }));
    const { deliveries, ended } = deliveriesTo(url);
    deliveries.send(message());
    expect(await ended(1)).toEqual({ delivered: 1 });
    expect(received.length).toBe(5);
    expect(new Set(received.map(({ headers }) => headers['holdfast-delivery']))).toEqual(new Set(['d0']));
  });

  it.each([400, 401, 404, 410, 413])('is not sent again after %i', async (status) => {
    const { url, received } = await receiver(() => ({ status }));
    const { deliveries, ended } = deliveriesTo(url);
    deliveries.send(message());
    expect(await ended(1)).toEqual({ rejected: 1 });
    expect(received.length).toBe(1);
  });

  it('follows no redirect', async () => {
    const elsewhere = await receiver();
    const { url } = await receiver(() => ({ status: 307, headers: { location: elsewhere.url } }));
    const { deliveries, ended } = deliveriesTo(url);
    deliveries.send(message());
    expect(await ended(1)).toEqual({ rejected: 1 });
    expect(elsewhere.received).toEqual([]);
  });

  it('waits as long as the receiver asks for, and so do the others, but no longer than is bearable', async () => {
    const times: number[] = [];
    const { url } = await receiver((nth) => {
      times.push(performance.now());
      // An hour, of which the policy here grants 60 ms.
      return nth === 0 ? { status: 429, headers: { 'retry-after': '3600' } } : OK;
    });
    const { deliveries, ended } = deliveriesTo(url, { limits: { atOnce: 1 } });
    deliveries.send(message());
    deliveries.send(message({ holdId: 'h2' }));
    expect(await ended(2)).toEqual({ delivered: 2 });
    const [first = 0, ...later] = times;
    expect(later.length).toBe(2);
    for (const time of later) expect(time - first).toBeGreaterThanOrEqual(50);
  });

  it('is given up when nobody listens, after as many attempts as there are', async () => {
    const gone = await startReceiver();
    await gone.close();
    const { deliveries, ended, log } = deliveriesTo(gone.url, { retries: { ...QUICK, attempts: 3 } });
    deliveries.send(message());
    expect(await ended(1)).toEqual({ failed: 1 });
    expect(log()).toContain('"attempts":3,"reason":"ECONNREFUSED"');
  });

  it('is sent again when no answer comes in time', async () => {
    const { url, received } = await receiver((nth) => (nth === 0 ? 'never' : OK));
    const { deliveries, ended } = deliveriesTo(url, { limits: { timeoutMs: 40 } });
    deliveries.send(message());
    expect(await ended(1)).toEqual({ delivered: 1 });
    expect(received.length).toBe(2);
  });

  it('comes in the order of its hold, and keeps no other hold waiting', async () => {
    const { url, received } = await receiver((nth) => (nth === 0 ? { status: 500 } : OK));
    const { deliveries, ended } = deliveriesTo(url, {
      retries: { ...QUICK, firstDelayMs: 60, mostDelayMs: 60 },
    });
    deliveries.send(message({ body: '"h1 requested"' }));
    deliveries.send(message({ body: '"h1 approved"' }));
    deliveries.send(message({ body: '"h2 requested"', holdId: 'h2' }));
    await ended(3);
    expect(
      received
        .slice(0, 2)
        .map(({ body }) => body)
        .sort(),
    ).toEqual(['"h1 requested"', '"h2 requested"']);
    expect(received.slice(2).map(({ body }) => body)).toEqual(['"h1 requested"', '"h1 approved"']);
  });
});

describe('what waits to be sent', () => {
  it('is bounded in number: the rest is dropped, counted and logged once', async () => {
    const { url, count } = await receiver(() => 'never');
    const { deliveries, results, log } = deliveriesTo(url, { limits: { messages: 10, atOnce: 2 } });
    for (let n = 0; n < 1_000; n++) deliveries.send(message({ holdId: `h${n.toString()}` }));
    expect(results()).toEqual({ dropped: 990 });
    expect(log().match(/too many messages/g)?.length).toBe(1);
    await count(2);
  });

  it('is bounded in bytes', async () => {
    const { url } = await receiver(() => 'never');
    const { deliveries, results } = deliveriesTo(url, { limits: { bytes: 10_000 } });
    for (let n = 0; n < 10; n++)
      deliveries.send(message({ body: 'x'.repeat(4_000), holdId: `h${n.toString()}` }));
    expect(results()).toEqual({ dropped: 8 });
  });

  it('occupies no more connections than are allowed', async () => {
    const { url, received, count } = await receiver(() => 'never');
    const { deliveries, results } = deliveriesTo(url, { limits: { atOnce: 3 } });
    for (let n = 0; n < 20; n++) deliveries.send(message({ holdId: `h${n.toString()}` }));
    await count(3);
    await deliveries.close(20);
    expect(received.length).toBe(3);
    expect(results()).toEqual({ abandoned: 20 });
  });

  it('is sent before the end, where it is taken in time', async () => {
    const { url } = await receiver((nth) => (nth < 2 ? { status: 503 } : OK));
    const { deliveries, results, logged } = deliveriesTo(url, {
      retries: { ...QUICK, firstDelayMs: 60_000, mostDelayMs: 60_000 },
    });
    deliveries.send(message());
    deliveries.send(message({ holdId: 'h2' }));
    await logged('is sent again', 2);
    const start = performance.now();
    await deliveries.close(2_000);
    // What waited a minute for its next attempt has it now.
    expect(performance.now() - start).toBeLessThan(1_500);
    expect(results()).toEqual({ delivered: 2 });
    deliveries.send(message());
    expect(results()).toEqual({ delivered: 2, dropped: 1 });
  });

  it('does not keep Holdfast from ending', async () => {
    const { url, count } = await receiver(() => 'never');
    const { deliveries, results } = deliveriesTo(url);
    deliveries.send(message());
    await count(1);
    const start = performance.now();
    await deliveries.close(50);
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(results()).toEqual({ abandoned: 1 });
  });
});
