/** Write budgets over the API: who sees them, who resets them, and what is recorded. */
import { describe, expect, it } from 'vitest';
import { HoldStoreUnavailable } from '../../src/holds/store.js';
import { createLocalBudgets } from '../../src/impact/budgets.js';
import type { BudgetKey } from '../../src/impact/budget.js';
import { DANA, T0, approver, tokenOf } from '../holds/support.js';
import { TOTI, TOTP_SECRET, call, codeAt, startApi } from './api-support.js';
import type { Answer, Api, CallOptions } from './api-support.js';

const MINUTE = 60_000;
const OF = { role: 'app', user: 'shop_app' };

function spend(api: Api, rows: number, of: Partial<BudgetKey> = {}): void {
  const key = { ...OF, windowMs: MINUTE, ...of };
  api.budgets.counts.charge(key, { rows, statements: 1 }, api.clock.now);
}

function spent(api: Api, of: Partial<BudgetKey> = {}): number {
  return api.budgets.counts.spent({ ...OF, windowMs: MINUTE, ...of }, api.clock.now).rows;
}

const reset = (api: Api, options: CallOptions = {}): Promise<Answer> =>
  call(api.port, '/api/budgets/reset', { body: OF, ...options });

describe('the list of budgets', () => {
  it('says who has used how much of what, since when, and when it is free', async () => {
    const api = await startApi();
    spend(api, 4, { user: 'svc_mail' });
    spend(api, 4);
    api.clock.now = T0 + 20_500;
    spend(api, 6);
    const answer = await call(api.port, '/api/budgets');
    expect(answer.status).toBe(200);
    const may = { allowed: true, reason: null };
    expect(answer.body).toEqual({
      more: false,
      budgets: [
        {
          ...OF,
          window_ms: MINUTE,
          limits: { rows: 10, statements: null },
          spent: { rows: 10, statements: 2 },
          since: new Date(T0).toISOString(),
          tripped: true,
          clears_at: new Date(T0 + 61_000).toISOString(),
          may_reset: may,
        },
        {
          role: 'app',
          user: 'svc_mail',
          window_ms: MINUTE,
          limits: { rows: 10, statements: null },
          spent: { rows: 4, statements: 1 },
          since: new Date(T0).toISOString(),
          tripped: false,
          clears_at: null,
          may_reset: may,
        },
      ],
    });
    api.clock.now = T0 + 5 * MINUTE;
    expect((await call(api.port, '/api/budgets')).body).toEqual({ more: false, budgets: [] });
  });

  it("is what concerns the caller: the approver groups of the role's hold, and the user", async () => {
    const api = await startApi();
    spend(api, 10);
    spend(api, 10, { role: 'svc' });
    spend(api, 10, { role: 'gone' });
    spend(api, 10, { windowMs: 2 * MINUTE, user: 'of_another_window' });
    spend(api, 10, { user: 'eng_olli' });
    const seen = async (as: string): Promise<unknown> =>
      ((await call(api.port, '/api/budgets', { as })).body['budgets'] as Record<string, unknown>[]).map(
        ({ user, role, may_reset: may }) => [role, user, (may as { allowed: boolean }).allowed],
      );
    expect(await seen('dana')).toEqual([
      ['app', 'shop_app', true],
      ['app', 'eng_olli', true],
    ]);
    // olli is in no group of the role, and sees what he has spent himself.
    expect(await seen('olli')).toEqual([['app', 'eng_olli', false]]);
  });
});

describe('a reset', () => {
  it('forgets what is spent, once it is recorded', async () => {
    const api = await startApi();
    spend(api, 12);
    spend(api, 3, { user: 'svc_mail' });
    spend(api, 5, { windowMs: 5 * MINUTE });
    const answer = await reset(api, { body: { ...OF, reason: ' a planned clean-up ' } });
    expect(answer).toMatchObject({ status: 200, body: { ...OF, forgotten: { rows: 12, statements: 1 } } });
    expect([spent(api), spent(api, { user: 'svc_mail' }), spent(api, { windowMs: 5 * MINUTE })]).toEqual([
      0, 3, 0,
    ]);
    expect(api.resets).toEqual([
      {
        of: OF,
        windowMs: MINUTE,
        spent: { rows: 12, statements: 1 },
        approver: 'dana',
        names: ['dana', 'eng_dana'],
        reason: 'a planned clean-up',
        refused: null,
        client: '127.0.0.1',
      },
    ]);
    expect(await reset(api)).toMatchObject({ status: 404, code: 'unknown_budget' });
  });

  it('of nothing, or of what one may not see, is answered alike', async () => {
    const api = await startApi();
    spend(api, 12);
    spend(api, 12, { role: 'svc' });
    const calls = [
      reset(api, { as: 'olli' }),
      reset(api, { body: { ...OF, user: 'nobody' } }),
      reset(api, { body: { ...OF, role: 'svc' } }),
      reset(api, { body: { ...OF, role: 'nothing' } }),
    ];
    for (const answer of await Promise.all(calls)) {
      expect(answer).toMatchObject({ status: 404, code: 'unknown_budget' });
    }
    expect(spent(api)).toBe(12);
    expect(spent(api, { role: 'svc' })).toBe(12);
    expect(api.resets).toEqual([]);
  });

  it.each([
    ['the approver', 'dana'],
    ['a database user of the approver', 'eng_dana'],
  ])('of oneself, by the name of %s, does not count and is recorded', async (_, user) => {
    const api = await startApi();
    spend(api, 12, { user });
    expect(await reset(api, { body: { ...OF, user } })).toMatchObject({ status: 403, code: 'own_request' });
    expect(spent(api, { user })).toBe(12);
    expect(api.resets).toMatchObject([{ of: { user }, refused: 'own_request' }]);
    expect((await reset(api, { body: { ...OF, user }, as: 'kim' })).status).toBe(200);
  });

  it('needs a one-time code of who has a secret, and each counts once', async () => {
    const api = await startApi();
    spend(api, 12);
    const totp = codeAt(TOTP_SECRET, api.clock.now);
    const as = TOTI.name;
    expect((await reset(api, { as })).code).toBe('totp_required');
    expect(
      (await reset(api, { as, body: { ...OF, totp: totp === '000000' ? '000001' : '000000' } })).code,
    ).toBe('totp_wrong');
    expect(spent(api)).toBe(12);
    expect((await reset(api, { as, body: { ...OF, totp } })).status).toBe(200);
    spend(api, 12);
    expect((await reset(api, { as, body: { ...OF, totp } })).code).toBe('totp_reused');
    expect(spent(api)).toBe(12);
    expect(api.resets.map(({ refused }) => refused)).toEqual([
      'totp_required',
      'totp_wrong',
      null,
      'totp_reused',
    ]);
  });

  it('of an audit log that cannot be written does not happen', async () => {
    const api = await startApi();
    spend(api, 12);
    api.failing = true;
    expect(await reset(api)).toMatchObject({ status: 503, code: 'not_recorded' });
    expect(spent(api)).toBe(12);
  });

  it('that does not reach the other processes says so, and is recorded as that', async () => {
    const away = new HoldStoreUnavailable('gone', { uncertain: false, cause: null });
    const local = createLocalBudgets(() => T0);
    const api = await startApi({ budgets: { ...local, reset: () => Promise.reject(away) } });
    spend(api, 12);
    expect(await reset(api)).toMatchObject({ status: 503, code: 'store_unavailable' });
    expect(api.resets.map(({ refused }) => refused)).toEqual([null, 'store_unavailable']);
  });

  it.each([
    [{}],
    [{ role: 'app' }],
    [{ ...OF, user: '' }],
    [{ ...OF, user: 'x'.repeat(256) }],
    [{ ...OF, everybody: true }],
    [{ ...OF, totp: 'abc' }],
    [{ ...OF, reason: 'x'.repeat(501) }],
    [[]],
    ['no JSON'],
  ])('with the body %j is none', async (body) => {
    const api = await startApi();
    spend(api, 12);
    expect(await reset(api, { body })).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(spent(api)).toBe(12);
  });

  it('needs an approver whom the policy still has, by a call of the page itself', async () => {
    const api = await startApi();
    spend(api, 12);
    expect((await reset(api, { as: null })).status).toBe(401);
    const host = `127.0.0.1:${api.port.toString()}`;
    const headers = { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' };
    const opened = await call(api.port, '/api/session', { method: 'POST', headers });
    const cookie = opened.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    const page = { ...headers, cookie, 'x-holdfast-session': String(opened.body['key']) };
    const as = null;
    expect((await reset(api, { as, headers: { ...page, 'sec-fetch-site': 'cross-site' } })).code).toBe(
      'cross_site',
    );
    expect((await reset(api, { as, headers: { cookie } })).status).toBe(401);
    const sent = Object.entries({ role: 'app', user: 'shop_app' })
      .map((pair) => pair.join('='))
      .join('&');
    const form = { as, headers: page, body: sent, type: 'application/x-www-form-urlencoded' };
    expect((await reset(api, form)).status).toBe(415);
    expect(spent(api)).toBe(12);
    expect((await reset(api, { as, headers: page })).status).toBe(200);
    spend(api, 12);
    api.approvers = [approver('kim')];
    expect((await reset(api, { authorization: `Bearer ${tokenOf(DANA.name)}` })).status).toBe(401);
    expect(spent(api)).toBe(12);
  });
});
