/** The approvals page's server side: its files, signing in and out, and what a session is worth. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { readPage } from '../../src/admin/page-files.js';
import type * as wire from '../../src/admin/page/wire.js';
import type { HoldEventView } from '../../src/admin/api/events.js';
import type {
  BudgetListView,
  BudgetResetView,
  HoldListView,
  HoldView,
  SessionView,
} from '../../src/admin/api/schemas.js';
import { createSessions } from '../../src/admin/api/sessions.js';
import { DANA, KIM, T0, request, tokenOf } from '../holds/support.js';
import { call, startApi } from './api-support.js';
import type { Answer, Api, CallOptions } from './api-support.js';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const HOUR = 3_600_000;

interface Browser {
  readonly cookie: string;
  readonly key: string;
}

const origin = (port: number): string => `http://127.0.0.1:${port.toString()}`;

/** What the page sends when somebody signs in. */
function signIn(port: number, options: CallOptions = {}): Promise<Answer> {
  return call(port, '/api/session', {
    method: 'POST',
    ...options,
    headers: { origin: origin(port), 'sec-fetch-site': 'same-origin', ...options.headers },
  });
}

async function signedIn(port: number, as = 'dana'): Promise<Browser> {
  const answer = await signIn(port, { as });
  expect(answer.status).toBe(200);
  return browserOf(answer);
}

function browserOf(answer: Answer): Browser {
  const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
  return { cookie, key: String(answer.body['key']) };
}

/** A call as the page makes it, unless `headers` say otherwise. */
function asPage(
  port: number,
  path: string,
  { cookie, key }: Browser,
  options: CallOptions = {},
): Promise<Answer> {
  return call(port, path, {
    as: null,
    ...options,
    headers: {
      cookie,
      'x-holdfast-session': key,
      origin: origin(port),
      'sec-fetch-site': 'same-origin',
      ...options.headers,
    },
  });
}

describe('the files', () => {
  it.each([
    ['/', 'text/html; charset=utf-8', '<!doctype html>'],
    ['/page/page.css', 'text/css; charset=utf-8', ':root'],
    ['/page/main.js', 'text/javascript; charset=utf-8', 'import '],
    ['/page/icon.svg', 'image/svg+xml', '<svg'],
  ])('%s, to everybody and with a strict policy', async (path, type, start) => {
    const { port } = await startApi();
    const answer = await call(port, path, { as: null });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': type,
      'content-security-policy': POLICY,
      'cross-origin-opener-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cache-control': 'no-store',
    });
    expect(answer.text).toContain(start);
    expect(await call(port, path, { as: null, method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });

  it('need nothing from elsewhere and have nothing inline', async () => {
    const files = await readPage();
    const index = files.find(({ path }) => path === '/')?.content.toString() ?? '';
    expect(index).not.toMatch(/<style|<script(?![^>]* src="\/page\/)|\son[a-z]+=|style=|javascript:/i);
    const paths = new Set(files.map(({ path }) => path));
    for (const [, path = ''] of index.matchAll(/(?:src|href)="(\/[^"]*)"/g)) expect(paths).toContain(path);
    for (const { path, content } of files) {
      const source = content.toString().replace('http://www.w3.org/2000/svg', '');
      expect(source, path).not.toMatch(/https?:\/\/|@import|url\(|innerHTML|outerHTML|insertAdjacent|eval\(/);
      for (const [, module = ''] of source.matchAll(/from '\.\/([^']+)'/g))
        expect(paths).toContain(`/page/${module}`);
    }
  });

  it.each([
    ['GET', '/index.html'],
    ['GET', '/page'],
    ['GET', '/page/'],
    ['GET', '/page/nothing.js'],
    ['GET', '/page/ship.mjs'],
    ['GET', '/page/tsconfig.json'],
    ['GET', '/page/../../../package.json'],
    ['GET', '/page/..%2f..%2fcli.js'],
    ['GET', '/page/%2e%2e/server.js'],
    ['POST', '/'],
    ['POST', '/page/main.js'],
  ])('%s %s is not one of them', async (method, path) => {
    const { port } = await startApi();
    const answer = await call(port, path, { method, as: null });
    expect(answer).toMatchObject({ status: 404, body: { error: 'not found' } });
    expect(answer.headers['content-security-policy']).toBe("default-src 'none'; frame-ancestors 'none'");
  });

  it('that were not built stop the start, and say what to do', async () => {
    await expect(readPage(new URL('file:///nowhere/'))).rejects.toThrow('npm run build puts it there');
  });

  it('read what the API answers', () => {
    expectTypeOf<HoldView>().toExtend<wire.Hold>();
    expectTypeOf<HoldListView>().toExtend<wire.HoldList>();
    expectTypeOf<HoldEventView>().toExtend<wire.HoldChange>();
    expectTypeOf<SessionView>().toExtend<wire.Session>();
    expectTypeOf<BudgetListView>().toExtend<wire.BudgetList>();
    expectTypeOf<BudgetResetView>().toExtend<wire.BudgetReset>();
  });
});

describe('signing in', () => {
  it('gives a cookie that no script and no other site can use, and the key to it', async () => {
    const { port } = await startApi();
    const answer = await signIn(port);
    expect(answer.headers['set-cookie']).toEqual([
      expect.stringMatching(/^holdfast_session=[\w-]{43}; Path=\/api; HttpOnly; SameSite=Strict$/),
    ]);
    expect(answer.body).toEqual({
      name: 'dana',
      groups: ['dba'],
      users: ['eng_dana'],
      totp: false,
      key: expect.stringMatching(/^[\w-]{43}$/) as string,
      ends_at: new Date(T0 + 8 * HOUR).toISOString(),
    });
    expect(answer.text + String(answer.headers['set-cookie'])).not.toContain(tokenOf('dana'));
    const browser = browserOf(answer);
    expect(await asPage(port, '/api/whoami', browser)).toMatchObject({ status: 200, body: { name: 'dana' } });
    expect((await asPage(port, '/api/session', browser)).body).toEqual(answer.body);
  });

  it('over TLS gives one that goes over TLS alone', async () => {
    const { port } = await startApi();
    const host = 'approvals.example';
    for (const headers of [
      { origin: `https://${host}`, 'sec-fetch-site': 'same-origin' },
      { origin: `https://${host}`, host },
    ]) {
      const answer = await call(port, '/api/session', { method: 'POST', headers });
      expect(answer.headers['set-cookie']?.[0]).toMatch(/; HttpOnly; Secure; SameSite=Strict$/);
    }
  });

  it('needs the token of an approver, and is limited as every call is', async () => {
    const api = await startApi();
    for (let at = 0; at < 10; at++) {
      const answer = await signIn(api.port, { authorization: `Bearer wrong-token-number-${at.toString()}` });
      expect(answer.status).toBe(401);
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
    expect(await signIn(api.port)).toMatchObject({ status: 429, code: 'too_many_failures' });
    api.clock.now += 6_000;
    expect((await signIn(api.port)).status).toBe(200);
  });

  it('from another site gives no cookie, also with the right token', async () => {
    const { port } = await startApi();
    for (const headers of [
      { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const answer = await signIn(port, { headers });
      expect(answer).toMatchObject({ status: 403, code: 'cross_site' });
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
    expect((await call(port, '/api/session', { method: 'POST' })).code).toBe('cross_site');
  });

  it('in a second window of the browser goes on with the same session; somebody else gets another', async () => {
    const { port, clock } = await startApi();
    const first = await signedIn(port);
    clock.now += HOUR / 2;
    const again = await signIn(port, { headers: { cookie: first.cookie } });
    expect(browserOf(again)).toEqual(first);
    expect(again.body['ends_at']).toBe(new Date(T0 + 8.5 * HOUR).toISOString());
    const kim = browserOf(await signIn(port, { as: 'kim', headers: { cookie: first.cookie } }));
    expect(kim.cookie).not.toBe(first.cookie);
    expect(kim.key).not.toBe(first.key);
    expect(await asPage(port, '/api/whoami', kim)).toMatchObject({ body: { name: 'kim' } });
    expect((await asPage(port, '/api/whoami', { cookie: kim.cookie, key: first.key })).status).toBe(401);
  });

  it('with a cookie that somebody has made up gives a new one', async () => {
    const { port } = await startApi();
    const fixed = { cookie: `holdfast_session=${'a'.repeat(43)}` };
    expect(browserOf(await signIn(port, { headers: fixed })).cookie).not.toBe(fixed.cookie);
  });
});

describe('a session', () => {
  it('is nothing without both of its secrets', async () => {
    const { port } = await startApi();
    const { cookie, key } = await signedIn(port);
    const whoami = async (headers: Record<string, string>): Promise<number> =>
      (await call(port, '/api/whoami', { as: null, headers })).status;
    expect(await whoami({ cookie })).toBe(401);
    expect(await whoami({ 'x-holdfast-session': key })).toBe(401);
    expect(await whoami({ cookie, 'x-holdfast-session': '' })).toBe(401);
    expect(await whoami({ cookie, 'x-holdfast-session': `${key}x` })).toBe(401);
    expect(await whoami({ cookie: `${cookie}x`, 'x-holdfast-session': key })).toBe(401);
    expect(await whoami({ cookie, 'x-holdfast-session': key })).toBe(200);
  });

  it('ends by signing out', async () => {
    const { port } = await startApi();
    const browser = await signedIn(port);
    const out = await asPage(port, '/api/session', browser, { method: 'DELETE' });
    expect(out.status).toBe(204);
    expect(out.headers['set-cookie']?.[0]).toMatch(/^holdfast_session=; Max-Age=0; Path=\/api; HttpOnly/);
    expect((await asPage(port, '/api/whoami', browser)).status).toBe(401);
    expect((await asPage(port, '/api/session', browser, { method: 'DELETE' })).status).toBe(401);
  });

  it('ends after an hour without a call, and after eight hours in any case', async () => {
    const { port, clock } = await startApi();
    const idle = await signedIn(port);
    clock.now += HOUR - 1;
    expect((await asPage(port, '/api/whoami', idle)).status).toBe(200);
    clock.now += HOUR;
    expect((await asPage(port, '/api/whoami', idle)).status).toBe(401);
    const used = await signedIn(port);
    for (let at = 0; at < 15; at++) {
      clock.now += HOUR / 2;
      expect((await asPage(port, '/api/whoami', used)).status).toBe(200);
    }
    clock.now += HOUR / 2;
    expect((await asPage(port, '/api/whoami', used)).status).toBe(401);
  });

  it('ends with its token, for good', async () => {
    const api = await startApi();
    const browser = await signedIn(api.port);
    api.approvers = [KIM];
    expect((await asPage(api.port, '/api/whoami', browser)).status).toBe(401);
    api.approvers = [DANA, KIM];
    expect((await asPage(api.port, '/api/whoami', browser)).status).toBe(401);
  });

  it.each([
    [
      'is signed out',
      (api: Api, browser: Browser) => asPage(api.port, '/api/session', browser, { method: 'DELETE' }),
    ],
    ['has expired', async (api: Api) => (api.clock.now += HOUR)],
    ['has lost its token', async (api: Api) => (api.approvers = [KIM])],
  ])('that %s ends its stream of events', async (_what, end) => {
    const api = await startApi({ heartbeatMs: 10 });
    const browser = await signedIn(api.port);
    const outgoing = httpRequest({
      host: '127.0.0.1',
      port: api.port,
      path: '/api/events',
      agent: false,
      headers: { cookie: browser.cookie, 'x-holdfast-session': browser.key },
    });
    outgoing.end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(200);
    const all = text(response);
    await end(api, browser);
    await api.store.request(request());
    expect(await all).not.toContain('orders');
  });

  it('counts wrong secrets as wrong tokens', async () => {
    const { port } = await startApi();
    const { cookie } = await signedIn(port, 'kim');
    for (let at = 0; at < 10; at++)
      expect((await asPage(port, '/api/whoami', { cookie, key: `guess-${at.toString()}` })).status).toBe(401);
    expect((await asPage(port, '/api/whoami', { cookie, key: 'guess' })).status).toBe(429);
    expect((await signIn(port, { as: 'dana' })).status).toBe(429);
  });

  it('that is good goes on while others guess', async () => {
    const { port } = await startApi();
    const browser = await signedIn(port);
    for (let at = 0; at < 12; at++) await call(port, '/api/whoami', { as: null });
    expect((await call(port, '/api/whoami', { as: null })).status).toBe(429);
    expect((await asPage(port, '/api/whoami', browser)).status).toBe(200);
  });

  it('shows and decides what its token does, and no more', async () => {
    const { port, store } = await startApi();
    await store.request(request());
    await store.request(request({ id: 'own', subject: { user: 'eng_dana' } }));
    const outsider = await signedIn(port, 'olli');
    expect((await asPage(port, '/api/holds', outsider)).body['holds']).toEqual([]);
    expect((await asPage(port, '/api/holds/h1', outsider)).status).toBe(404);
    expect((await asPage(port, '/api/holds/h1/approve', outsider, { body: {} })).status).toBe(404);
    const dana = await signedIn(port);
    expect(await asPage(port, '/api/holds/own/approve', dana, { body: {} })).toMatchObject({
      status: 403,
      code: 'own_request',
    });
    const toti = await signedIn(port, 'toti');
    expect((await asPage(port, '/api/holds/h1/approve', toti, { body: {} })).code).toBe('totp_required');
    expect(await asPage(port, '/api/holds/h1/approve', dana, { body: { reason: 'ok' } })).toMatchObject({
      status: 200,
      body: { state: 'approved', votes: [{ approver: 'dana', reason: 'ok' }] },
    });
  });

  it('of a bearer token there is none to show or to end', async () => {
    const { port } = await startApi();
    expect((await call(port, '/api/session')).code).toBe('not_found');
    expect((await call(port, '/api/session', { method: 'DELETE' })).code).toBe('not_found');
  });
});

describe('a call from another site with the cookie of an approver', () => {
  it.each<[string, Record<string, string>]>([
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['another port of the same host', { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:1' }],
    ['a link or the address bar', { 'sec-fetch-site': 'none' }],
  ])('%s decides and reads nothing', async (_what, headers) => {
    const { port, store } = await startApi();
    await store.request(request());
    const browser = await signedIn(port);
    for (const path of ['/api/holds/h1/approve', '/api/holds/h1/deny']) {
      expect(await asPage(port, path, browser, { body: {}, headers })).toMatchObject({
        status: 403,
        code: 'cross_site',
      });
    }
    expect((await asPage(port, '/api/holds', browser, { headers })).code).toBe('cross_site');
    expect((await asPage(port, '/api/session', browser, { method: 'DELETE', headers })).status).toBe(403);
    expect((await store.get('h1'))?.votes).toEqual([]);
  });

  it.each<[string, Record<string, string>]>([
    ['another origin', { origin: 'http://evil.example' }],
    ['another port', { origin: 'http://127.0.0.1:1' }],
    ['an opaque origin', { origin: 'null' }],
    ['none', {}],
  ])('from a browser that says no more than its origin: %s', async (_what, headers) => {
    const { port, store } = await startApi();
    await store.request(request());
    const { cookie, key } = await signedIn(port);
    const answer = await call(port, '/api/holds/h1/approve', {
      as: null,
      body: {},
      headers: { cookie, 'x-holdfast-session': key, ...headers },
    });
    expect(answer).toMatchObject({ status: 403, code: 'cross_site' });
    expect((await store.get('h1'))?.votes).toEqual([]);
    const own = { cookie, 'x-holdfast-session': key, origin: origin(port) };
    expect((await call(port, '/api/holds/h1/approve', { as: null, body: {}, headers: own })).status).toBe(
      200,
    );
  });

  it('that a form can make has no key and no JSON', async () => {
    const { port, store } = await startApi();
    await store.request(request());
    const { cookie, key } = await signedIn(port);
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data']) {
      const form = { as: null, body: '{"reason":"x"}', type };
      expect((await call(port, '/api/holds/h1/approve', { ...form, headers: { cookie } })).status).toBe(401);
      expect((await asPage(port, '/api/holds/h1/approve', { cookie, key }, form)).status).toBe(415);
    }
    expect((await store.get('h1'))?.votes).toEqual([]);
  });

  it('never gets the permission to send the key', async () => {
    const { port } = await startApi();
    const { headers } = await call(port, '/api/holds/h1/approve', {
      method: 'OPTIONS',
      as: null,
      headers: {
        origin: 'https://evil.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-holdfast-session',
      },
    });
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('sessions in memory', () => {
  it('are so many of one, and so many in all: the one that was used longest ago makes room', () => {
    let next = 0;
    const sessions = createSessions({
      now: () => T0,
      randomBytes: (count) => new Uint8Array(count).fill(next++),
      limits: { ofOne: 2, inAll: 3 },
    });
    const open = (token: string): { readonly id: string; readonly key: string } => sessions.open(token, null);
    const alive = ({ id, key }: { readonly id: string; readonly key: string }): boolean =>
      sessions.use(id, key) !== null;
    const [a, b] = [open('a'), open('a')];
    expect(alive(a)).toBe(true);
    const c = open('a');
    expect([a, b, c].map(alive)).toEqual([true, false, true]);
    const [x, y] = [open('x'), open('y')];
    expect([x, y, c, a].map(alive)).toEqual([true, true, true, false]);
  });
});
