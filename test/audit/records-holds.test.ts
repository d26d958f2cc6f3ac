import { describe, expect, it } from 'vitest';
import { holdBody, refusedVoteBody, releaseBody, voteBody } from '../../src/audit/records-holds.js';
import { createHoldRecorder } from '../../src/gate/hold-recorder.js';
import { createMetrics } from '../../src/metrics.js';
import { DANA, KIM, T0, book, hold, request } from '../holds/support.js';

const nasty = 'a"b\\c\n\u202e';

/** The body as the writer completes it. */
function parse(body: string): Record<string, unknown> {
  expect(body).not.toMatch(/[\n\r\u202e]/);
  return JSON.parse(`{${body}`) as Record<string, unknown>;
}

const HELD = hold({
  approvals: 2,
  groups: ['dba', 'oncall'],
  subject: {
    sql: `DROP TABLE "${nasty}"`,
    user: nasty,
    database: nasty,
    session: nasty,
    decision: nasty,
    role: nasty,
    inTransaction: { since: T0, statements: 1 },
  },
});
const VOTE = { approver: nasty, choice: 'approve', reason: nasty } as const;

const IDENTITY = {
  hold: 'h1',
  decision: nasty,
  session: nasty,
  user: nasty,
  role: nasty,
  database: nasty,
  sql_sha256: HELD.subject.sqlSha256,
  fingerprint: HELD.fingerprint,
};

describe('records of holds', () => {
  it('where a hold stands', () => {
    expect(parse(holdBody({ ...HELD, state: 'withdrawn', withdrawal: 'client_gone' }, 1234.6))).toEqual({
      kind: 'hold',
      ...IDENTITY,
      state: 'withdrawn',
      style: 'wait',
      in_transaction: true,
      old_rows: null,
      approvals: 2,
      approvals_given: 0,
      groups: ['dba', 'oncall'],
      expires_at: '2026-01-02T03:14:05.000Z',
      withdrawal: 'client_gone',
      policy: 'a'.repeat(64),
      waited_ms: 1235,
    });
  });

  it.each(['kept', 'not_kept'] as const)('with what was said of old rows: %s', (oldRows) => {
    const held = hold({ subject: { oldRows } });
    expect(parse(holdBody(held, 0))).toMatchObject({ state: 'requested', old_rows: oldRows });
  });

  it('a vote that counts, and one that does not', () => {
    const base = { kind: 'vote', ...IDENTITY, ...VOTE, approvals: 2, approvals_given: 0 };
    expect(parse(voteBody({ hold: HELD, vote: VOTE }))).toEqual({ ...base, counted: true, refused: null });
    expect(parse(refusedVoteBody({ hold: HELD, vote: VOTE, refused: 'totp_wrong', client: nasty }))).toEqual({
      ...base,
      counted: false,
      refused: 'totp_wrong',
      client: nasty,
    });
  });

  it('a release, with the people behind it', () => {
    const votes = [DANA, KIM].map(({ name }) => ({ ...VOTE, approver: name, names: [name], at: T0 }));
    expect(parse(releaseBody({ ...HELD, votes, state: 'released' }, 7))).toEqual({
      kind: 'release',
      ...IDENTITY,
      style: 'wait',
      approved_by: ['dana', 'kim'],
      policy: 'a'.repeat(64),
      waited_ms: 7,
    });
  });

  it('hold no text of the statement, whatever the settings', () => {
    const secret = hold({ subject: { sql: "ALTER ROLE x PASSWORD 'hunter2'" } });
    expect(
      holdBody(secret, 0) + releaseBody(secret, 0) + voteBody({ hold: secret, vote: VOTE }),
    ).not.toContain('hunter2');
  });
});

describe('the recorder', () => {
  const setUp = (
    failing = false,
  ): {
    store: ReturnType<typeof book>['book'];
    clock: ReturnType<typeof book>['clock'];
    records: Record<string, unknown>[];
    metrics: ReturnType<typeof createMetrics>;
    recorder: ReturnType<typeof createHoldRecorder>;
  } => {
    const { book: store, clock } = book();
    const records: Record<string, unknown>[] = [];
    const metrics = createMetrics({ processMetrics: false });
    const audit = {
      append: (body: string) => {
        records.push(parse(body));
      },
      whenDurable: (callback: (error: Error | null) => void) => {
        callback(failing ? new Error('disk full') : null);
      },
    };
    return { store, clock, records, metrics, recorder: createHoldRecorder({ store, audit, metrics }) };
  };

  it('records a life in its order and counts where holds are', async () => {
    const { store, clock, records, metrics, recorder } = setUp();
    const asked = request();
    await store.request(asked);
    await store.request(request({ id: 'h2' }));
    clock.pass(20_000);
    await store.vote('h1', { choice: 'approve', approver: DANA, reason: 'fine' });
    await store.release('h1', asked.fingerprint);
    recorder.refusedVote({ hold: hold(), vote: VOTE, refused: 'closed', client: '127.0.0.1' });
    expect(records.map(({ kind, hold: id, state, counted }) => [kind, id, state ?? counted])).toEqual([
      ['hold', 'h1', 'requested'],
      ['hold', 'h2', 'requested'],
      ['vote', 'h1', true],
      ['hold', 'h1', 'approved'],
      ['release', 'h1', undefined],
      ['vote', 'h1', false],
    ]);
    const text = await metrics.text();
    expect(text).toContain('holdfast_holds{state="requested"} 1');
    expect(text).toContain('holdfast_holds{state="approved"} 0');
    expect(text).toContain('holdfast_holds{state="released"} 1');
    expect(text).toContain('holdfast_hold_wait_seconds_count 1');
    expect(text).toContain('holdfast_hold_wait_seconds_sum 20');
    expect(text).toContain('holdfast_audit_records_total{kind="vote"} 2');
    recorder.stop();
    await store.withdraw('h2', 'client_gone');
    expect(records).toHaveLength(6);
  });

  it('says whether what it recorded is durable', async () => {
    await expect(setUp().recorder.durable()).resolves.toBeUndefined();
    await expect(setUp(true).recorder.durable()).rejects.toThrow('disk full');
  });
});
