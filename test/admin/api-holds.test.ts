import { describe, expect, it } from 'vitest';
import { holdListSchema, holdSchema, whoamiSchema } from '../../src/admin/api/schemas.js';
import { T0, request } from '../holds/support.js';
import { call, startApi } from './api-support.js';

describe('GET /api/whoami', () => {
  it('is the approver whose token it is', async () => {
    const { port } = await startApi();
    const answer = await call(port, '/api/whoami', { as: 'kim' });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({ name: 'kim', groups: ['dba'], users: ['eng_kim'], totp: false });
    expect(whoamiSchema.parse(answer.body)).toEqual(answer.body);
    expect((await call(port, '/api/whoami', { as: 'toti' })).body).toMatchObject({ totp: true });
    expect(answer.text).not.toMatch(/secret|sha256/);
  });
});

describe('GET /api/holds', () => {
  it('lists what is open and visible, soonest first', async () => {
    const { port, store } = await startApi();
    await store.request(request({ id: 'h1' }));
    await store.request(
      request({ id: 'h2', timeoutMs: 1_000, subject: { sql: `SELECT '${'ä'.repeat(500)}'` } }),
    );
    await store.request(request({ id: 'theirs', groups: ['finance'] }));
    const { status, body } = await call(port, '/api/holds');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      more: false,
      holds: [{ id: 'h2' }, { id: 'h1', may_vote: { allowed: true, reason: null } }],
    });
    const { holds } = holdListSchema.parse(body);
    expect(holds[0]?.sql_start).toHaveLength(300);
    expect(holds[0]?.sql_bytes).toBe(1009);
    expect((await call(port, '/api/holds', { as: 'olli' })).body).toMatchObject({
      holds: [{ id: 'theirs' }],
    });
  });

  it('of a state, and of so many', async () => {
    const { port, store } = await startApi();
    for (const id of ['a', 'b', 'c']) await store.request(request({ id }));
    await store.withdraw('b', 'client_cancel');
    const ids = async (query: string): Promise<unknown> => {
      const { body } = await call(port, `/api/holds${query}`);
      return holdListSchema.parse(body).holds.map(({ id }) => id);
    };
    expect(await ids('?state=withdrawn')).toEqual(['b']);
    expect(await ids('?state=all')).toEqual(['a', 'c', 'b']);
    expect(await ids('?state=closed')).toEqual(['b']);
    expect(await ids('?state=open&limit=1')).toEqual(['a']);
    for (const query of [
      '?state=lost',
      '?stat=open',
      '?limit=0',
      '?limit=501',
      '?limit=1e2',
      '?state=open&state=all',
    ]) {
      expect(await call(port, `/api/holds${query}`)).toMatchObject({ status: 400, code: 'invalid_request' });
    }
  });
});

describe('GET /api/holds/:id', () => {
  it('shows the statement and its parameters complete, and all that it is about', async () => {
    const { port, store } = await startApi();
    const sql = `DELETE FROM customers WHERE name = 'O''Neil' -- ${'x'.repeat(2_000)}`;
    await store.request(
      request({
        approvals: 2,
        subject: {
          sql,
          parameters: [
            { type: 25, format: 0, value: Buffer.from('secret') },
            { type: 23, format: 1, value: Buffer.from([0, 0, 1, 0]) },
            { type: 0, format: 0, value: null },
            { type: 999, format: 1, value: Buffer.from([1, 2]) },
          ],
          inTransaction: { since: T0 - 5_000, statements: 3 },
        },
      }),
    );
    await store.vote('h1', {
      choice: 'approve',
      approver: { name: 'kim', groups: ['dba'], users: [] },
      reason: 'ok',
    });
    const { body } = await call(port, '/api/holds/h1');
    expect(holdSchema.parse(body)).toEqual(body);
    expect(body).toMatchObject({
      id: 'h1',
      state: 'requested',
      sql,
      user: 'eng_sam',
      approvals: { needed: 2, given: 1 },
      parameters: [
        { type_name: 'text', value: 'secret', hex: null },
        { type_name: 'integer', value: '256', hex: '00000100' },
        { type_name: null, value: null, hex: null },
        { type_name: null, value: null, hex: '0102' },
      ],
      transaction: { since: '2026-01-02T03:04:00.000Z', statements: 3 },
      relations: [{ name: 'orders', estimated_rows: 1_200_000 }],
      votes: [{ approver: 'kim', choice: 'approve', reason: 'ok', at: '2026-01-02T03:04:05.000Z' }],
      expires_at: '2026-01-02T03:14:05.000Z',
    });
  });

  it.each(['kept', 'not_kept', null] as const)('says whether old rows are kept: %s', async (oldRows) => {
    const { port, store } = await startApi();
    await store.request(request({ subject: { oldRows } }));
    expect((await call(port, '/api/holds/h1')).body).toMatchObject({ old_rows: oldRows });
    expect((await call(port, '/api/holds')).body).toMatchObject({ holds: [{ old_rows: oldRows }] });
  });

  it('does not tell a hold that is not for the caller from one that there is not', async () => {
    const { port, store } = await startApi();
    await store.request(request({ groups: ['finance'] }));
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/approve'],
      ['POST', '/deny'],
    ] as const) {
      const theirs = await call(port, `/api/holds/h1${path}`, { method });
      const none = await call(port, `/api/holds/h2${path}`, { method });
      expect(theirs.status).toBe(404);
      expect(theirs.text.replaceAll('h1', 'h2')).toBe(none.text);
    }
    expect((await store.get('h1'))?.votes).toEqual([]);
  });

  it('who asked sees it, and that somebody else decides', async () => {
    const { port, store } = await startApi();
    await store.request(request({ groups: ['finance'], subject: { user: 'eng_dana' } }));
    expect((await call(port, '/api/holds/h1')).body).toMatchObject({
      may_vote: { allowed: false, reason: expect.stringContaining('your own request') as string },
    });
  });

  it.each(['..', '%2e%2e', 'a%00b', 'h1%2Fapprove', 'x'.repeat(65), '__proto__', "';--"])(
    'no id: %s',
    async (id) => {
      const { port } = await startApi();
      expect((await call(port, `/api/holds/${id}`)).status).toBe(404);
    },
  );
});

describe('votes', () => {
  it('count, and the answer is the hold as it is then', async () => {
    const { port, store } = await startApi();
    await store.request(request({ approvals: 2 }));
    const first = await call(port, '/api/holds/h1/approve', { body: { reason: '  looked at it ' } });
    expect(first).toMatchObject({
      status: 200,
      body: {
        state: 'requested',
        approvals: { needed: 2, given: 1 },
        votes: [{ approver: 'dana', reason: 'looked at it' }],
      },
    });
    const second = await call(port, '/api/holds/h1/approve', { as: 'kim', method: 'POST' });
    expect(second).toMatchObject({ status: 200, body: { state: 'approved' } });
    expect(holdSchema.parse(second.body)).toEqual(second.body);
  });

  it('one denial ends it', async () => {
    const { port, store } = await startApi();
    await store.request(request({ approvals: 2 }));
    await call(port, '/api/holds/h1/approve', { body: {} });
    expect(await call(port, '/api/holds/h1/deny', { as: 'kim', body: {} })).toMatchObject({
      status: 200,
      body: { state: 'denied' },
    });
    expect(await call(port, '/api/holds/h1/approve', { as: 'lee', body: {} })).toMatchObject({
      status: 409,
      code: 'closed',
    });
  });

  it('that cannot count say why, and are recorded', async () => {
    const api = await startApi();
    const { port, store } = api;
    await store.request(request({ approvals: 2 }));
    await store.request(request({ id: 'own', subject: { user: 'eng_dana' } }));
    await call(port, '/api/holds/h1/approve', { body: {} });
    expect(await call(port, '/api/holds/h1/approve', { body: {} })).toMatchObject({
      status: 409,
      code: 'already_voted',
    });
    expect(await call(port, '/api/holds/own/approve', { body: { reason: 'me' } })).toMatchObject({
      status: 403,
      code: 'own_request',
    });
    api.clock.pass(600_000);
    expect(await call(port, '/api/holds/h1/approve', { as: 'kim', body: {} })).toMatchObject({
      status: 409,
      code: 'closed',
    });
    expect(
      api.refused.map(({ hold, vote, refused, client }) => [
        hold.id,
        vote.approver,
        vote.reason,
        refused,
        client,
      ]),
    ).toEqual([
      ['h1', 'dana', null, 'already_voted', '127.0.0.1'],
      ['own', 'dana', 'me', 'own_request', '127.0.0.1'],
      ['h1', 'kim', null, 'closed', '127.0.0.1'],
    ]);
    expect(await store.get('h1')).toMatchObject({ state: 'expired', votes: [{ approver: 'dana' }] });
  });

  it('who was taken out of the group, or of the policy, does not vote any more', async () => {
    const api = await startApi();
    await api.store.request(request());
    const [dana, ...rest] = api.approvers;
    api.approvers = [{ ...dana, name: 'dana', users: [], groups: ['finance'] }, ...rest];
    expect((await call(api.port, '/api/holds/h1/approve', { body: {} })).status).toBe(404);
    api.approvers = rest;
    expect((await call(api.port, '/api/holds/h1/approve', { body: {} })).status).toBe(401);
    expect(await api.store.get('h1')).toMatchObject({ state: 'requested', votes: [] });
  });

  it('a vote that could not be recorded is no success', async () => {
    const api = await startApi();
    await api.store.request(request());
    api.failing = true;
    const answer = await call(api.port, '/api/holds/h1/approve', { body: {} });
    expect(answer).toMatchObject({ status: 503, code: 'not_recorded' });
    expect(answer.text).not.toContain('disk full');
    expect(api.log.join('')).toContain('disk full');
  });

  it('of two at once, both with the last approval, one completes it and the other hears so', async () => {
    const { port, store } = await startApi();
    await store.request(request());
    const answers = await Promise.all(
      ['dana', 'kim', 'lee'].map((as) => call(port, '/api/holds/h1/approve', { as, body: {} })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
  });
});

describe('bodies', () => {
  it.each<[string, string | object, string, number, string]>([
    ['an unknown key', { reson: 'x' }, 'application/json', 400, 'invalid_request'],
    ['another type', { reason: 1 }, 'application/json', 400, 'invalid_request'],
    ['null', { reason: null }, 'application/json', 400, 'invalid_request'],
    ['a list', '[]', 'application/json', 400, 'invalid_request'],
    ['text', '"approve"', 'application/json', 400, 'invalid_request'],
    ['no JSON', '{', 'application/json', 400, 'invalid_request'],
    ['a prototype', '{"__proto__": {"totp": "123456"}}', 'application/json', 400, 'invalid_request'],
    ['a code of another shape', { totp: '12345' }, 'application/json', 400, 'invalid_request'],
    ['a long reason', { reason: 'x'.repeat(501) }, 'application/json', 400, 'invalid_request'],
    ['a large one', { reason: 'x'.repeat(9_000) }, 'application/json', 413, 'too_large'],
    ['a form', 'reason=x', 'application/x-www-form-urlencoded', 415, 'unsupported_media_type'],
    ['plain text', '{}', 'text/plain', 415, 'unsupported_media_type'],
  ])('%s is refused', async (_what, body, type, status, code) => {
    const { port, store } = await startApi();
    await store.request(request());
    expect(await call(port, '/api/holds/h1/approve', { body, type })).toMatchObject({ status, code });
    expect(await store.get('h1')).toMatchObject({ votes: [] });
  });

  it('500 characters that JSON escapes fit', async () => {
    const { port, store } = await startApi();
    await store.request(request());
    const body = `{"reason":"${'\\u20ac'.repeat(500)}"}`;
    expect((await call(port, '/api/holds/h1/approve', { body })).status).toBe(200);
  });
});

describe('GET /api/openapi.json', () => {
  it('describes every route, with schemas that its references find', async () => {
    const { port } = await startApi();
    const { status, body, text } = await call(port, '/api/openapi.json');
    expect(status).toBe(200);
    expect(body['openapi']).toBe('3.1.0');
    expect(Object.keys(body['paths'] as object)).toEqual([
      '/api/holds',
      '/api/holds/{id}',
      '/api/holds/{id}/approve',
      '/api/holds/{id}/deny',
      '/api/budgets',
      '/api/budgets/reset',
      '/api/events',
      '/api/whoami',
      '/api/session',
      '/api/openapi.json',
    ]);
    const { schemas } = body['components'] as { schemas: Record<string, unknown> };
    const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(
      ([, name]) => name ?? '',
    );
    expect(references.length).toBeGreaterThan(10);
    for (const name of references) expect(schemas).toHaveProperty(name);
    expect(schemas['Vote']).toMatchObject({
      type: 'object',
      additionalProperties: false,
      properties: { totp: { pattern: '^[0-9]{6}$' } },
    });
    expect(text).not.toMatch(/\$ref":"(?!#\/components)/);
  });
});
