import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as records from '../../src/audit/records.js';
import { recordedSql, type RecordedSql } from '../../src/audit/redact.js';
import type { Match } from '../../src/policy/types.js';

const nasty = 'a"b\\c\n\u202e';

const session = records.sessionConstant({
  session: 's1',
  user: nasty,
  database: 'shop',
  application: 'psql',
  client: '127.0.0.1:5000',
});

const who = { session: 's1', user: nasty, database: 'shop', application: 'psql', client: '127.0.0.1:5000' };

/** The body as the writer completes it. */
function parse(body: string): unknown {
  expect(body).not.toMatch(/[\n\r]/);
  return JSON.parse(`{${body}`);
}

const sql: RecordedSql = {
  text: `DELETE FROM "${nasty}"`,
  sha256: 'f'.repeat(64),
  bytes: 21,
  truncated: false,
  redacted: false,
};

const match: Match = {
  rule: 'require-where',
  action: 'deny',
  message: `it says "${nasty}"`,
  hint: null,
  offset: 3,
};

function constant(overrides: Partial<records.DecisionConstantInput> = {}): records.DecisionConstant {
  return records.decisionConstant({
    role: 'app',
    operation: 'delete',
    relations: [{ schema: null, name: nasty, mode: 'write' }],
    sql,
    verdict: 'deny',
    matches: [match],
    policy: 'a'.repeat(64),
    mode: 'enforce',
    ...overrides,
  });
}

describe('a decision', () => {
  it('has every field of the contract, escaped', () => {
    const body = records.decisionBody(constant(), {
      id: 'd1',
      session,
      protocol: 'extended',
      message: 'execute',
      parameters: records.recordedParameters([Buffer.from('1')], [], 'full'),
    });
    expect(parse(body)).toEqual({
      kind: 'decision',
      id: 'd1',
      ...who,
      protocol: 'extended',
      message: 'execute',
      parameters: ['1'],
      role: 'app',
      operation: 'delete',
      relations: [{ schema: null, name: nasty, mode: 'write' }],
      sql: sql.text,
      sql_sha256: sql.sha256,
      sql_bytes: 21,
      verdict: 'deny',
      matches: [{ rule: 'require-where', action: 'deny', message: match.message, hint: null }],
      policy: 'a'.repeat(64),
      mode: 'enforce',
    });
  });

  it('leaves parameters out where none are recorded', () => {
    const body = records.decisionBody(constant(), {
      id: 'd1',
      session,
      protocol: 'simple',
      message: 'query',
      parameters: null,
    });
    expect(parse(body)).not.toHaveProperty('parameters');
  });

  it('does not quote in a match what was blotted out of the text', () => {
    const message = `syntax error at or near "'hunter2'"`;
    const recorded = recordedSql(
      `CREATE ROLE x PASWORD PASSWORD 'hunter2'`,
      { kind: 'syntax_error', message, position: 1 },
      'full',
    );
    const body = constant({ sql: recorded, matches: [{ ...match, rule: 'syntax', message }] });
    expect(body).not.toContain('hunter2');
    expect(body).toContain('"message":"syntax error"');
  });
});

describe('parameters', () => {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

  it('as hashes', () => {
    const text = records.recordedParameters([Buffer.from('1'), null], [0], 'hash');
    expect(JSON.parse(text ?? '')).toEqual([sha256('1'), null]);
  });

  it('in full: text, binary by its format code, NULL, and hash and length of a large one', () => {
    const large = Buffer.alloc(70_000, 'x');
    const text = records.recordedParameters(
      [Buffer.from(nasty), Buffer.from([0, 255]), null, large],
      [0, 1, 0, 0],
      'full',
    );
    expect(JSON.parse(text ?? '')).toEqual([
      nasty,
      { binary: '00ff' },
      null,
      { sha256: sha256('x'.repeat(70_000)), bytes: 70_000 },
    ]);
  });

  it('one format code counts for all, and a view into a larger buffer is read where it stands', () => {
    const whole = Buffer.from('abcdef');
    const text = records.recordedParameters([whole.subarray(1, 2), whole.subarray(4)], [1], 'full');
    expect(JSON.parse(text ?? '')).toEqual([{ binary: '62' }, { binary: '6566' }]);
  });

  it('omitted', () => {
    expect(records.recordedParameters([Buffer.from('1')], [], 'omit')).toBeNull();
  });
});

describe('the other kinds', () => {
  it('outcome', () => {
    const impact = [{ schema: 'public', name: 'users', inserted: 0, updated: 1, deleted: 2 }];
    const full = { decision: 'd1', rows: 3, impact, sqlstate: null, skipped: false, durationMs: 1.23456 };
    expect(parse(records.outcomeBody(full))).toEqual({
      kind: 'outcome',
      decision: 'd1',
      rows: 3,
      impact,
      sqlstate: null,
      duration_ms: 1.235,
    });
    const failed = {
      decision: 'd1',
      rows: null,
      impact: null,
      sqlstate: '23505',
      skipped: true,
      durationMs: 2,
    };
    expect(parse(records.outcomeBody(failed))).toMatchObject({
      rows: null,
      impact: null,
      sqlstate: '23505',
      skipped: true,
    });
  });

  it('session_open and session_close', () => {
    const open = {
      session,
      role: 'app',
      tls: 'TLSv1.3',
      policy: 'a',
      mode: 'observe',
    } as const;
    expect(parse(records.sessionOpenBody(open))).toEqual({
      kind: 'session_open',
      ...who,
      role: 'app',
      tls: 'TLSv1.3',
      policy: 'a',
      mode: 'observe',
    });
    const close = { session, reason: 'client_terminated', sqlstate: null, decisions: 5, durationMs: 10 };
    expect(parse(records.sessionCloseBody(close))).toEqual({
      kind: 'session_close',
      ...who,
      reason: 'client_terminated',
      sqlstate: null,
      decisions: 5,
      duration_ms: 10,
    });
  });

  it('policy and cancel', () => {
    const failed = {
      result: 'failed',
      sha256: 'a',
      previousSha256: 'b',
      file: 'p.yaml',
      problems: [nasty, 'x'],
    } as const;
    expect(parse(records.policyBody(failed))).toEqual({
      kind: 'policy',
      result: 'failed',
      sha256: 'a',
      previous_sha256: 'b',
      file: 'p.yaml',
      problems: [nasty, 'x'],
    });
    expect(parse(records.cancelBody({ session: null, client: '::1', result: 'unknown_key' }))).toEqual({
      kind: 'cancel',
      session: null,
      client: '::1',
      result: 'unknown_key',
    });
  });
});
