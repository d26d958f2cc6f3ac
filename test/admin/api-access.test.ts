/** Who gets in: tokens, limits, one-time codes. */
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { createAuthenticator, networkOf } from '../../src/admin/api/authentication.js';
import { createFailureLimiter } from '../../src/admin/api/failures.js';
import { HoldStoreUnavailable } from '../../src/holds/store.js';
import { DANA, KIM, T0, approver, request, sha256, tokenOf } from '../holds/support.js';
import { TOTI, TOTP_SECRET, call, codeAt, startApi } from './api-support.js';

const good = tokenOf('dana');
const bearer = (token: string): string => `Bearer ${token}`;

describe('without a token', () => {
  it.each([
    ['GET', '/api'],
    ['GET', '/api/'],
    ['GET', '/api/holds'],
    ['HEAD', '/api/holds'],
    ['GET', '/api/holds/h1'],
    ['POST', '/api/holds/h1/approve'],
    ['POST', '/api/holds/h1/deny'],
    ['GET', '/api/budgets'],
    ['POST', '/api/budgets/reset'],
    ['GET', '/api/events'],
    ['GET', '/api/whoami'],
    ['GET', '/api/openapi.json'],
    ['GET', '/api/nothing'],
    ['OPTIONS', '/api/holds'],
    ['DELETE', '/api/holds/h1'],
  ])('%s %s is nothing', async (method, path) => {
    const { port, store } = await startApi();
    await store.request(request());
    const answer = await call(port, path, { method, as: null });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="holdfast"');
    expect(answer.text).not.toContain('orders');
    if (method !== 'HEAD') expect(answer.code).toBe('unauthenticated');
  });

  it('no body is read', async () => {
    const { port } = await startApi();
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    // A body that never comes: the answer does not wait for it.
    socket.write(
      'POST /api/holds/h1/approve HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n',
    );
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('there is no API where none is configured', async () => {
    const { startAdmin } = await import('../../src/admin/server.js');
    const { createLogger } = await import('../../src/log.js');
    const { createMetrics } = await import('../../src/metrics.js');
    const admin = await startAdmin({
      host: '127.0.0.1',
      port: 0,
      metrics: createMetrics({ processMetrics: false }),
      ready: () => Promise.resolve({ ok: true, checks: {} }),
      logger: createLogger({ level: 'fatal' }),
    });
    expect(await call(admin.port, '/api/holds')).toMatchObject({ status: 404, body: { error: 'not found' } });
    await admin.close();
  });
});

describe('with a token', () => {
  it('what there is not is not there', async () => {
    const { port } = await startApi();
    for (const [method, path] of [
      ['GET', '/api/nothing'],
      ['DELETE', '/api/holds/h1'],
      ['OPTIONS', '/api/holds'],
      ['HEAD', '/api/events'],
      ['PUT', '/api/holds/h1/approve'],
      ['GET', '/api/holds/h1/approve'],
    ] as const) {
      const answer = await call(port, path, { method });
      expect(answer.status).toBe(404);
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it('nothing may be kept or embedded, and no other site reads it', async () => {
    const { port } = await startApi();
    for (const path of ['/api/holds', '/api/nothing', '/api/holds/h1']) {
      const { headers } = await call(port, path, { headers: { origin: 'https://evil.example' } });
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
      });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });

  it('the rest of the port is as before: open, and closed to other verbs', async () => {
    const { port } = await startApi();
    expect((await call(port, '/healthz', { as: null })).status).toBe(200);
    expect(await call(port, '/nothing', { as: null })).toMatchObject({
      status: 404,
      body: { error: 'not found' },
    });
    expect((await call(port, '/metrics', { as: null, body: {} })).status).toBe(404);
  });
});

describe('a token', () => {
  it.each([
    ['cut off', bearer(good.slice(0, -1))],
    ['with more behind it', bearer(`${good}0`)],
    ['in capitals', bearer(good.toUpperCase())],
    ['that is the hash of one', bearer(sha256(good))],
    ['of nobody', bearer('x'.repeat(40))],
    ['that is empty', 'Bearer '],
    ['that is too short to be one', bearer('short')],
    ['that is very long', bearer('x'.repeat(5_000))],
    ['under another scheme', `Basic ${Buffer.from(`dana:${good}`).toString('base64')}`],
    ['without a scheme', good],
    ['twice', `Bearer ${good} ${good}`],
    ['with a second one', `Bearer ${good}, Bearer ${good}`],
  ])('%s is none', async (_what, authorization) => {
    const { port } = await startApi();
    expect(await call(port, '/api/whoami', { authorization })).toMatchObject({ status: 401 });
  });

  it('of an approver without one does not exist', async () => {
    const api = await startApi();
    api.approvers = [
      { name: 'max', groups: ['dba'], users: [] },
      approver('empty', { tokenSha256: sha256('') }),
      approver('short', { tokenSha256: sha256('short') }),
    ];
    for (const authorization of ['Bearer ', 'Bearer undefined', 'Bearer short', 'Bearer']) {
      expect((await call(api.port, '/api/whoami', { authorization })).status).toBe(401);
    }
  });

  it('that two approvers share is nobody’s', async () => {
    const api = await startApi();
    api.approvers = [DANA, { ...KIM, tokenSha256: sha256(good) }];
    expect((await call(api.port, '/api/whoami')).status).toBe(401);
  });

  it('is good no longer than the policy says', async () => {
    const api = await startApi();
    expect((await call(api.port, '/api/whoami')).status).toBe(200);
    api.approvers = [{ ...DANA, tokenSha256: sha256('another-token-of-dana') }];
    expect((await call(api.port, '/api/whoami')).status).toBe(401);
  });
});

describe('guessing', () => {
  it('gets ten tries, then has to wait, also with the right token', async () => {
    const api = await startApi();
    const guess = (at: number): Promise<{ status: number }> =>
      call(api.port, '/api/whoami', {
        authorization: bearer(`guess-number-${at.toString().padStart(10, '0')}`),
      });
    for (let at = 0; at < 10; at++) expect((await guess(at)).status).toBe(401);
    const limited = await call(api.port, '/api/whoami');
    expect(limited).toMatchObject({ status: 429, code: 'too_many_failures' });
    expect(limited.headers['retry-after']).toBe('6');
    expect(api.log.filter((line) => line.includes('without a valid token'))).toHaveLength(10);
    api.clock.now += 6_000;
    expect((await call(api.port, '/api/whoami')).status).toBe(200);
  });

  it('does not shut out who was in before from the same address', async () => {
    const api = await startApi();
    expect((await call(api.port, '/api/whoami')).status).toBe(200);
    for (let at = 0; at < 20; at++)
      await call(api.port, '/api/whoami', {
        authorization: bearer(`guess-number-${at.toString().padStart(10, '0')}`),
      });
    expect((await call(api.port, '/api/whoami')).status).toBe(200);
    expect((await call(api.port, '/api/whoami', { as: 'kim' })).status).toBe(429);
    // Who was in, and is none any more, is a stranger again.
    api.approvers = [KIM];
    expect((await call(api.port, '/api/whoami')).status).toBe(401);
    expect((await call(api.port, '/api/whoami')).status).toBe(429);
  });

  it('with one token from everywhere is limited as well', () => {
    const authenticator = createAuthenticator({ approvers: () => [DANA], now: () => T0 });
    const kinds = Array.from(
      { length: 12 },
      (_, at) => authenticator.authenticate(bearer('x'.repeat(40)), `10.0.0.${at}`).kind,
    );
    expect(kinds.slice(9)).toEqual(['unauthenticated', 'limited', 'limited']);
  });

  it('from one IPv6 network is from one address; IPv4 in IPv6 is IPv4', () => {
    expect(networkOf('2001:db8:1:2:3:4:5:6')).toBe(networkOf('2001:db8:1:2::9'));
    expect(networkOf('2001:db8:1:2::9')).not.toBe(networkOf('2001:db8:1:3::9'));
    expect(networkOf('::ffff:10.0.0.1')).toBe('10.0.0.1');
    expect(networkOf('')).toBe('');
  });

  it('fills no memory', () => {
    let now = 0;
    const limiter = createFailureLimiter({ burst: 2, refillMs: 1_000, keys: 3 }, () => now);
    for (const key of ['a', 'a', 'b', 'b', 'c', 'c']) limiter.failed(key);
    expect(limiter.waitMs('a')).toBe(1_000);
    limiter.failed('d');
    expect(limiter.waitMs('a')).toBe(0);
    expect(limiter.waitMs('b')).toBe(1_000);
    now += 999;
    expect(limiter.waitMs('b')).toBe(1);
    now -= 1_000_000;
    expect(limiter.waitMs('b')).toBeLessThanOrEqual(1_000);
  });
});

describe('one-time codes', () => {
  const vote = (
    port: number,
    totp: string | undefined,
    path = '/api/holds/h1/approve',
  ): ReturnType<typeof call> => call(port, path, { as: 'toti', body: totp === undefined ? {} : { totp } });

  it('are those of RFC 6238', () => {
    expect(codeAt(TOTP_SECRET, 59_000)).toBe('287082');
    expect(codeAt(TOTP_SECRET, 1_111_111_109_000)).toBe('081804');
    expect(codeAt(TOTP_SECRET, 20_000_000_000_000)).toBe('353130');
  });

  it('are needed for votes of who has a secret, and for nothing else', async () => {
    const { port, store, clock } = await startApi();
    await store.request(request());
    expect((await call(port, '/api/holds/h1', { as: 'toti' })).status).toBe(200);
    expect(await vote(port, undefined)).toMatchObject({ status: 403, code: 'totp_required' });
    expect(await vote(port, undefined, '/api/holds/h1/deny')).toMatchObject({
      status: 403,
      code: 'totp_required',
    });
    expect((await store.get('h1'))?.votes).toEqual([]);
    expect((await vote(port, codeAt(TOTP_SECRET, clock.now))).status).toBe(200);
  });

  it('may be a step early or late, no more', async () => {
    for (const [delta, status] of [
      [-60_000, 403],
      [-30_000, 200],
      [30_000, 200],
      [60_000, 403],
    ] as const) {
      const { port, store, clock } = await startApi();
      await store.request(request());
      expect((await vote(port, codeAt(TOTP_SECRET, clock.now + delta))).status).toBe(status);
    }
  });

  it('count once, for one vote, and no older one after it', async () => {
    const api = await startApi();
    const { port, store, clock } = api;
    for (const id of ['h1', 'h2']) await store.request(request({ id, approvals: 2 }));
    const code = codeAt(TOTP_SECRET, clock.now);
    expect((await vote(port, code)).status).toBe(200);
    expect(await vote(port, code, '/api/holds/h2/approve')).toMatchObject({
      status: 403,
      code: 'totp_reused',
    });
    expect(await vote(port, codeAt(TOTP_SECRET, clock.now - 30_000), '/api/holds/h2/approve')).toMatchObject({
      code: 'totp_reused',
    });
    // The same secret under another name has the same codes.
    api.approvers = [approver('renamed', { totpSecret: `${TOTP_SECRET.toLowerCase()}====` })];
    expect(await call(port, '/api/holds/h2/approve', { as: 'renamed', body: { totp: code } })).toMatchObject({
      code: 'totp_reused',
    });
    api.approvers = [TOTI];
    clock.now += 30_000;
    expect((await vote(port, codeAt(TOTP_SECRET, clock.now), '/api/holds/h2/approve')).status).toBe(200);
  });

  it('are not used up by a vote that cannot count', async () => {
    const { port, store, clock } = await startApi();
    await store.request(request({ id: 'own', subject: { user: 'eng_toti' } }));
    await store.request(request());
    const code = codeAt(TOTP_SECRET, clock.now);
    expect(await vote(port, code, '/api/holds/own/approve')).toMatchObject({ code: 'own_request' });
    expect((await vote(port, code)).status).toBe(200);
  });

  it('two votes at once with one code are one vote', async () => {
    const { port, store, clock } = await startApi();
    for (const id of ['h1', 'h2']) await store.request(request({ id }));
    const code = codeAt(TOTP_SECRET, clock.now);
    const answers = await Promise.all(['h1', 'h2'].map((id) => vote(port, code, `/api/holds/${id}/approve`)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 403]);
  });

  it('are not guessed: five tries, then five minutes for each', async () => {
    const api = await startApi();
    const { port, store, clock } = api;
    await store.request(request({ timeoutMs: 3_600_000 }));
    const right = codeAt(TOTP_SECRET, clock.now);
    const wrong = right === '000000' ? '000001' : '000000';
    for (let at = 0; at < 5; at++)
      expect(await vote(port, wrong)).toMatchObject({ status: 403, code: 'totp_wrong' });
    const limited = await vote(port, right);
    expect(limited).toMatchObject({ status: 429, code: 'too_many_failures' });
    expect(limited.headers['retry-after']).toBe('300');
    expect(api.refused.map(({ refused }) => refused)).toEqual(Array.from({ length: 5 }, () => 'totp_wrong'));
    // Only this credential waits.
    expect((await call(port, '/api/holds/h1', { as: 'toti' })).status).toBe(200);
    clock.now += 300_000;
    expect((await vote(port, codeAt(TOTP_SECRET, clock.now))).status).toBe(200);
  });

  it('count nothing where they cannot be remembered, and the vote does not', async () => {
    const away = new HoldStoreUnavailable('ECONNREFUSED', { uncertain: true, cause: null });
    const api = await startApi({ usedCodes: { take: () => Promise.reject(away) } });
    const { port, store, clock } = api;
    await store.request(request());
    const answer = await vote(port, codeAt(TOTP_SECRET, clock.now));
    expect(answer).toMatchObject({ status: 503, code: 'store_unavailable' });
    expect(answer.text).toContain('nothing was decided');
    expect(answer.text).not.toContain('ECONNREFUSED');
    expect((await store.get('h1'))?.votes).toEqual([]);
    expect(api.refused.map(({ refused }) => refused)).toEqual(['totp_unavailable']);
    // Who needs none votes as ever.
    expect((await call(port, '/api/holds/h1/approve', { body: {} })).status).toBe(200);
  });

  it('count nothing where they cannot be checked', async () => {
    const { port, store, clock } = await startApi({ verifyTotp: null });
    await store.request(request());
    expect(await vote(port, codeAt(TOTP_SECRET, clock.now))).toMatchObject({
      status: 503,
      code: 'totp_unavailable',
    });
    expect((await call(port, '/api/holds/h1/approve', { body: {} })).status).toBe(200);
  });
});
