import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { DANA, KIM, request, tokenOf } from '../holds/support.js';
import { call, startApi } from './api-support.js';

interface Event {
  readonly event: string;
  readonly data: {
    readonly change?: string;
    readonly hold?: { readonly id: string };
    readonly holds?: readonly unknown[];
    readonly budgets?: readonly unknown[];
  };
}

interface Stream {
  readonly headers: IncomingMessage['headers'];
  /** Everything so far. */
  readonly text: () => string;
  /** Waits for so many events about holds. */
  events(count: number): Promise<Event[]>;
  /** The lists of budgets that came, when there are so many. */
  budgets(count: number): Promise<Event['data'][]>;
  readonly ended: Promise<unknown>;
  close(): void;
}

async function follow(port: number, as = 'dana'): Promise<Stream> {
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port,
    path: '/api/events',
    agent: false,
    headers: { authorization: `Bearer ${tokenOf(as)}` },
  });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  let text = '';
  response.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  response.on('error', () => undefined);
  const parse = (kind: (event: string) => boolean): Event[] =>
    text
      .split('\n\n')
      .slice(0, -1)
      .flatMap((block) => {
        const [, event = '', data = ''] = /event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
        return event !== '' && kind(event) ? [{ event, data: JSON.parse(data) as Event['data'] }] : [];
      });
  onTestFinished(() => {
    outgoing.destroy();
  });
  return {
    headers: response.headers,
    text: () => text,
    ended: new Promise((resolve) => response.on('close', resolve)),
    close: () => {
      outgoing.destroy();
    },
    async events(count) {
      const ofHolds = (): Event[] => parse((event) => event !== 'budgets');
      await vi.waitFor(() => {
        expect(ofHolds().length).toBeGreaterThanOrEqual(count);
      });
      return ofHolds();
    },
    async budgets(count) {
      const lists = (): Event['data'][] => parse((event) => event === 'budgets').map(({ data }) => data);
      await vi.waitFor(() => {
        expect(lists().length).toBeGreaterThanOrEqual(count);
      });
      return lists();
    },
  };
}

const OF_APP = { role: 'app', user: 'shop_app' };
const approve = { choice: 'approve', approver: DANA, reason: null } as const;

describe('GET /api/events', () => {
  it('begins with what is open, then tells each change', async () => {
    const { port, store } = await startApi();
    await store.request(request({ id: 'before' }));
    const stream = await follow(port);
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    });
    await stream.events(1);
    await store.request(request({ id: 'h1', approvals: 2, subject: { sql: 'DROP\n\nTABLE orders' } }));
    await store.vote('h1', approve);
    await store.vote('h1', { ...approve, approver: KIM });
    await store.withdraw('before', 'client_gone');
    const events = await stream.events(5);
    expect(events.map(({ event, data }) => [event, data.change, data.hold?.id])).toEqual([
      ['open', undefined, undefined],
      ['hold', 'requested', 'h1'],
      ['hold', 'voted', 'h1'],
      ['hold', 'approved', 'h1'],
      ['hold', 'withdrawn', 'before'],
    ]);
    expect(events[0]?.data.holds).toMatchObject([{ id: 'before', state: 'requested' }]);
    expect(events[2]?.data.hold).toMatchObject({ may_vote: { allowed: false } });
  });

  it('tells only of what the caller may see', async () => {
    const { port, store } = await startApi();
    await store.request(request({ id: 'before' }));
    const stream = await follow(port, 'olli');
    await store.request(request({ id: 'h1' }));
    await store.request(request({ id: 'theirs', groups: ['finance'] }));
    const events = await stream.events(2);
    expect(events.map(({ data }) => data.hold?.id)).toEqual([undefined, 'theirs']);
    expect(stream.text()).not.toMatch(/"h1"|"before"/);
  });

  it('ends when the token is none any more, at the next change or sign of life', async () => {
    const api = await startApi();
    const stream = await follow(api.port);
    await stream.events(1);
    api.approvers = [KIM];
    await api.store.request(request());
    await stream.ended;
    expect(stream.text()).not.toContain('orders');

    const other = await startApi({ heartbeatMs: 10 });
    const silent = await follow(other.port);
    other.approvers = [];
    await silent.ended;
  });

  it('gives signs of life', async () => {
    const { port } = await startApi({ heartbeatMs: 10 });
    const stream = await follow(port);
    await vi.waitFor(() => {
      expect(stream.text()).toMatch(/\n\n:\n\n:\n\n/);
    });
  });

  it('has the budgets that the caller may see behind what is open, and again when they are others', async () => {
    const api = await startApi({ heartbeatMs: 10 });
    const key = { role: 'app', user: 'shop_app', windowMs: 60_000 };
    const spend = (): void => {
      api.budgets.counts.charge(key, { rows: 6, statements: 1 }, api.clock.now);
    };
    spend();
    const [stream, outsider] = [await follow(api.port), await follow(api.port, 'olli')];
    const first = { ...OF_APP, spent: { rows: 6, statements: 1 }, tripped: false };
    expect(await stream.budgets(1)).toMatchObject([{ budgets: [first], more: false }]);
    expect(stream.text()).toMatch(/event: open\n[^\n]*\n\nevent: budgets\n/);
    spend();
    const second = { ...OF_APP, spent: { rows: 12, statements: 2 }, tripped: true };
    expect((await stream.budgets(2))[1]).toMatchObject({ budgets: [second] });
    await api.budgets.reset(key);
    expect((await stream.budgets(3))[2]).toEqual({ budgets: [], more: false });
    // Signs of life alone say nothing new.
    const silent = stream.text().length;
    await vi.waitFor(() => {
      expect(stream.text().slice(silent)).toMatch(/:\n\n:\n\n/);
    });
    expect(await stream.budgets(3)).toHaveLength(3);
    expect(await outsider.budgets(1)).toEqual([{ budgets: [], more: false }]);
  });

  it('is open four times for one, and free again when it is left', async () => {
    const { port, store } = await startApi();
    const streams = [];
    for (let at = 0; at < 4; at++) streams.push(await follow(port));
    const fifth = await call(port, '/api/events');
    expect(fifth).toMatchObject({ status: 429, code: 'too_many_streams' });
    expect(fifth.headers['retry-after']).toBe('30');
    await follow(port, 'kim');
    streams[0]?.close();
    await vi.waitFor(async () => {
      const again = await follow(port);
      await again.events(1);
    });
    // Nobody is left behind as a listener that fails.
    expect(await store.request(request())).toMatchObject({ kind: 'requested' });
  });

  it('does not keep the port from closing', async () => {
    const api = await startApi();
    const stream = await follow(api.port);
    await stream.events(1);
    await api.close();
    await stream.ended;
  });

  it('cuts off who does not read', async () => {
    const { port, store } = await startApi();
    const outgoing = httpRequest({
      host: '127.0.0.1',
      port,
      path: '/api/events',
      agent: false,
      headers: { authorization: `Bearer ${tokenOf('dana')}` },
    });
    outgoing.on('error', () => undefined);
    outgoing.end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    response.pause();
    let told = 0;
    store.subscribe(() => {
      told++;
    });
    const groups = Array.from({ length: 50 }, (_, at) => `group-${at.toString()}`);
    for (let at = 0; at < 3_000; at++) {
      await store.request(
        request({ id: `h${at}`, groups: ['dba', ...groups], subject: { sql: 'x'.repeat(300) } }),
      );
      await store.withdraw(`h${at}`, 'client_gone');
    }
    expect(told).toBe(6_000);
    // Its place is free: four more fit.
    for (let at = 0; at < 4; at++) await follow(port);
    outgoing.destroy();
  });
});
