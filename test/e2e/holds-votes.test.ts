/**
 * Who decides: how many, who does not count, what a vote is for, and what is left
 * of it in the audit log and the metrics.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { serialize } from 'pg-protocol';
import { verifyAuditFiles } from '../../src/audit/verify.js';
import { TOTP_SECRET, codeAt } from '../admin/api-support.js';
import { tokenOf } from '../holds/support.js';
import { answers, followHolds, holdPolicy, holdsCommand, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { startTestHoldfast } from '../support/holdfast.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

let ground: HoldsGround;
let client: WireClient;
/** Another database user of the person who asks. */
let other: TestUser;
let rows = 0;

beforeAll(async () => {
  ground = await startHolds('holds_votes', (user) =>
    holdPolicy({
      approvals: 2,
      people: [
        { name: 'sam', users: [user] },
        { name: 'olli', groups: ['finance'] },
        { name: 'toti', totpSecret: TOTP_SECRET },
      ],
    }),
  );
  other = await createUser('other', ground.database.name);
  client = await ground.login();
});

afterAll(async () => {
  client.close();
  await ground.close();
  await other.drop();
});

afterEach(async () => {
  // Every test leaves nothing open, and has run what it says that it has.
  expect(await ground.approvals.open()).toEqual([]);
  expect(await ground.rows('SELECT count(*) FROM guarded')).toBe(rows.toString());
});

const INSERTED = ['CommandComplete INSERT 0 1', 'ReadyForQuery I'];
const REFUSED = ['ErrorResponse 42501', 'ReadyForQuery I'];

/** Sends a statement that is held, with a number of its own. */
async function held(
  from: WireClient = client,
  id = `(SELECT coalesce(max(id), 0) + 1 FROM guarded)`,
): Promise<string> {
  await from.send(serialize.query(`INSERT INTO guarded (id) VALUES (${id})`));
  return (await ground.approvals.next('INSERT')).id;
}

async function answered(from: WireClient = client): Promise<readonly string[]> {
  return answers(await from.untilReady());
}

describe('two approvals are needed', () => {
  test('one is not enough, the same person twice is one, two people are two', async () => {
    const id = await held();
    await ground.approvals.approve(id);
    expect(await ground.approvals.show(id)).toMatchObject({
      state: 'requested',
      approvals: { needed: 2, given: 1 },
    });
    expect(await ground.approvals.vote('approve', id)).toMatchObject({ status: 409, code: 'already_voted' });
    expect(await ground.approvals.vote('deny', id)).toMatchObject({ status: 409, code: 'already_voted' });
    expect((await ground.approvals.show(id)).votes).toMatchObject([{ approver: 'dana', choice: 'approve' }]);
    expect(await ground.rows('SELECT count(*) FROM guarded')).toBe('0');
    await ground.approvals.approve(id, { as: 'kim', reason: 'looked at it' });
    expect(await answered()).toEqual(INSERTED);
    rows += 1;
    const released = await ground.approvals.entered(id, 'released');
    expect(released.votes).toMatchObject([
      { approver: 'dana', choice: 'approve', reason: null },
      { approver: 'kim', choice: 'approve', reason: 'looked at it' },
    ]);
  });

  test('one denial is enough, whoever approved before; a later vote does nothing', async () => {
    const id = await held();
    await ground.approvals.approve(id);
    await ground.approvals.deny(id, { as: 'lee' });
    expect(await answered()).toEqual(REFUSED);
    expect(await ground.approvals.vote('approve', id, { as: 'kim' })).toMatchObject({
      status: 409,
      code: 'closed',
    });
  });

  test('votes at one moment: two of three count, and it runs once', async () => {
    const id = await held();
    const votes = await Promise.all(
      ['dana', 'kim', 'lee', 'dana', 'kim'].map((as) => ground.approvals.vote('approve', id, { as })),
    );
    expect(votes.filter(({ status }) => status === 200).length).toBe(2);
    expect(await answered()).toEqual(INSERTED);
    rows += 1;
  });
});

describe('who does not count', () => {
  test('whoever asks: the approver to whom the database user belongs', async () => {
    const id = await held();
    for (const choice of ['approve', 'deny'] as const) {
      expect(await ground.approvals.vote(choice, id, { as: 'sam' })).toMatchObject({
        status: 403,
        code: 'own_request',
      });
    }
    const printed = await holdsCommand(ground.holdfast, 'sam', ['approve', id]);
    expect(printed.status).toBe(1);
    expect(printed.stderr).toContain('your own request');
    expect((await ground.approvals.show(id)).approvals.given).toBe(0);
    expect((await ground.approvals.show(id, 'sam')).may_vote.allowed).toBe(false);
    await ground.approvals.deny(id);
    await answered();
  });

  test('whoever asks, under another of their database users', async () => {
    const both = await startTestHoldfast(
      ground.database,
      holdPolicy({ people: [{ name: 'sam', users: [ground.user.name, other.name] }] }),
    );
    const approvals = await followHolds(both);
    for (const user of [ground.user.name, other.name]) {
      const session = await wireLogin({ port: both.port, user, database: ground.database.name });
      await session.send(serialize.query('TRUNCATE guarded'));
      const { id } = await approvals.next();
      expect(await approvals.vote('approve', id, { as: 'sam' })).toMatchObject({ code: 'own_request' });
      expect(session.notices.at(-1)?.message).not.toContain('sam');
      await approvals.deny(id);
      expect(await answered(session)).toEqual(REFUSED);
      session.close();
    }
    await approvals.close();
    await both.close();
  });

  test('whoever is in another group: there is no such hold for them', async () => {
    const id = await held();
    expect(await ground.approvals.open('olli')).toEqual([]);
    expect(await ground.approvals.vote('approve', id, { as: 'olli' })).toMatchObject({
      status: 404,
      code: 'unknown_hold',
    });
    await ground.approvals.deny(id);
    await answered();
  });

  test('whoever has no token, or not their second factor', async () => {
    const id = await held();
    expect(await ground.approvals.vote('approve', id, { as: 'nobody' })).toMatchObject({
      status: 401,
      code: 'unauthenticated',
    });
    expect(await ground.approvals.vote('approve', id, { as: 'toti' })).toMatchObject({
      status: 403,
      code: 'totp_required',
    });
    await ground.approvals.approve(id, { as: 'toti', totp: codeAt(TOTP_SECRET, Date.now()) });
    expect((await ground.approvals.show(id)).approvals.given).toBe(1);
    await ground.approvals.deny(id);
    await answered();
  });
});

describe('a vote is for one hold and one execution', () => {
  test('votes for one hold do nothing to another with the same statement', async () => {
    const second = await ground.login();
    const id = '(SELECT coalesce(max(id), 0) + 1 FROM guarded)';
    const [one, two] = [await held(client, id), await held(second, id)];
    expect(one).not.toBe(two);
    for (const as of ['dana', 'kim']) await ground.approvals.approve(one, { as });
    expect(await answered()).toEqual(INSERTED);
    rows += 1;
    expect(await ground.approvals.show(two)).toMatchObject({
      state: 'requested',
      approvals: { needed: 2, given: 0 },
    });
    await ground.approvals.deny(two);
    expect(await answered(second)).toEqual(REFUSED);
    second.close();
  });

  test('the same statement, sent again, asks again', async () => {
    const first = await held();
    for (const as of ['kim', 'lee']) await ground.approvals.approve(first, { as });
    expect(await answered()).toEqual(INSERTED);
    rows += 1;
    const second = await held();
    expect(second).not.toBe(first);
    expect(await ground.approvals.show(second)).toMatchObject({ state: 'requested', votes: [] });
    expect(await ground.approvals.vote('approve', first)).toMatchObject({ status: 409, code: 'closed' });
    await ground.approvals.deny(second);
    expect(await answered()).toEqual(REFUSED);
  });
});

test('as many as are needed cannot approve: it is refused at once instead of waiting for nothing', async () => {
  const short = await startTestHoldfast(
    ground.database,
    holdPolicy({ approvals: 3, people: [{ name: 'dana', users: [ground.user.name] }] }),
  );
  const session = await wireLogin({
    port: short.port,
    user: ground.user.name,
    database: ground.database.name,
  });
  await session.send(serialize.query('TRUNCATE guarded'));
  expect(await answered(session)).toEqual(REFUSED);
  expect(session.errors[0]?.message).toMatch(/^holdfast: /);
  expect(session.errors[0]?.hint).toContain('3 approvals');
  session.close();
  await short.close();
});

describe('what is left of it', () => {
  async function recordsOf(id: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return (await ground.holdfast.records()).filter(({ hold }) => hold === id);
  }

  test('the audit log has the hold, each vote and the release, with names and reasons', async () => {
    const id = await held();
    await ground.approvals.vote('approve', id, { as: 'sam', reason: 'mine is fine' });
    await ground.approvals.approve(id, { as: 'dana', reason: 'checked with "billing"' });
    await ground.approvals.approve(id, { as: 'lee' });
    expect(await answered()).toEqual(INSERTED);
    rows += 1;
    await expect.poll(async () => (await recordsOf(id)).length).toBe(6);
    const records = await recordsOf(id);
    expect(records).toMatchObject([
      { kind: 'hold', state: 'requested', approvals: 2, approvals_given: 0, groups: ['dba'], style: 'wait' },
      { kind: 'vote', approver: 'sam', choice: 'approve', counted: false, refused: 'own_request' },
      { kind: 'vote', approver: 'dana', counted: true, reason: 'checked with "billing"', approvals_given: 1 },
      { kind: 'vote', approver: 'lee', counted: true, reason: null, approvals_given: 2 },
      { kind: 'hold', state: 'approved', approvals_given: 2 },
      { kind: 'release', approved_by: ['dana', 'lee'] },
    ]);
    const all = await ground.holdfast.records();
    const decision = all.find(({ kind, id: of }) => kind === 'decision' && of === records[0]?.['decision']);
    expect(decision).toMatchObject({ verdict: 'hold', operation: 'insert', user: ground.user.name });
    for (const record of records) {
      expect(record).toMatchObject({
        user: ground.user.name,
        database: ground.database.name,
        role: 'engineers',
        decision: decision?.['id'],
        session: decision?.['session'],
        sql_sha256: decision?.['sql_sha256'],
      });
      expect(Number(record['seq'])).toBeGreaterThan(Number(decision?.['seq']));
    }
    // It ran after its release was written, and its outcome is the outcome of that decision.
    const outcome = (): Promise<Readonly<Record<string, unknown>> | undefined> =>
      ground.holdfast
        .records()
        .then((list) => list.find(({ kind, decision: of }) => kind === 'outcome' && of === decision?.['id']));
    await expect.poll(outcome).toMatchObject({ rows: 1 });
    expect(Number((await outcome())?.['seq'])).toBeGreaterThan(Number(records.at(-1)?.['seq']));
  });

  test('a denial is in it with who and why', async () => {
    const id = await held();
    await ground.approvals.deny(id, { as: 'kim', reason: 'never' });
    expect(await answered()).toEqual(REFUSED);
    await expect
      .poll(() => recordsOf(id))
      .toMatchObject([
        { kind: 'hold', state: 'requested' },
        { kind: 'vote', approver: 'kim', choice: 'deny', reason: 'never', counted: true },
        { kind: 'hold', state: 'denied' },
      ]);
  });

  test('no token is in it, and its seals hold', async () => {
    const text = JSON.stringify(await ground.holdfast.records());
    for (const name of ['dana', 'kim', 'lee', 'sam', 'toti']) expect(text).not.toContain(tokenOf(name));
    expect(await verifyAuditFiles([ground.holdfast.auditFile])).toMatchObject({ ok: true, problems: [] });
  });

  test('the metrics count holds by state, and how long people took', async () => {
    const holds = (state: string): Promise<number> => metric(ground.holdfast, 'holdfast_holds', { state });
    const waits = (): Promise<number> => metric(ground.holdfast, 'holdfast_hold_wait_seconds_count');
    const before = {
      denied: await holds('denied'),
      released: await holds('released'),
      waits: await waits(),
    };
    expect(await holds('requested')).toBe(0);
    const denied = await held();
    expect(await holds('requested')).toBe(1);
    expect(await waits()).toBe(before.waits);
    await ground.approvals.deny(denied);
    await answered();
    const released = await held();
    for (const as of ['dana', 'kim']) await ground.approvals.approve(released, { as });
    await answered();
    rows += 1;
    expect(await holds('requested')).toBe(0);
    expect(await holds('denied')).toBe(before.denied + 1);
    expect(await holds('released')).toBe(before.released + 1);
    expect(await waits()).toBe(before.waits + 2);
    expect(await metric(ground.holdfast, 'holdfast_audit_records_total', { kind: 'release' })).toBe(
      before.released + 1,
    );
    expect(
      await metric(ground.holdfast, 'holdfast_decisions_total', { verdict: 'hold', operation: 'insert' }),
    ).toBeGreaterThan(0);
  });
});
