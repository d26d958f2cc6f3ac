/** What a mismatch looks like on a terminal: colours, width, and nothing that steers it. */
import { beforeAll, describe, expect, it } from 'vitest';
import { mismatchText, summaryText } from '../../src/commands/cases-text.js';
import { runCase } from '../../src/commands/run-cases.js';
import type { CaseResult } from '../../src/commands/run-cases.js';
import type { PolicyCase } from '../../src/config/cases-file.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { role } from '../policy/hand-made.js';

beforeAll(loadParser);

function result(of: Partial<PolicyCase>): Promise<CaseResult> {
  const wanted: PolicyCase = {
    name: null,
    line: 3,
    login: { user: 'dana', database: 'shop', application: '', address: '127.0.0.1' },
    sql: 'DELETE FROM t',
    verdict: 'allow',
    rule: null,
    ...of,
  };
  return runCase('cases.yaml', wanted, {
    policy: { mode: 'enforce', roles: [role({})], approvers: [], sha256: '' },
    environment: 'production',
    catalog: null,
    analyzer: { analyze: (sql) => Promise.resolve(analyze(sql)), close: () => Promise.resolve() },
  });
}

describe('mismatchText', () => {
  it('is coloured when asked', async () => {
    const text = mismatchText(await result({}), { color: true, columns: 80 });
    expect(text).toContain('\u001b[1;32m  - expected allow\u001b[0m');
    expect(text).toContain('\u001b[1;31m  + got deny by require-where\u001b[0m');
  });

  it('fits a terminal of 80 columns', async () => {
    const name = 'a name that goes on and on '.repeat(10);
    const text = mismatchText(await result({ name, sql: `DELETE FROM t -- ${'x'.repeat(500)}` }), {
      color: false,
      columns: 80,
    });
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(text).toContain('…');
  });

  it('keeps what could steer a terminal out of it', async () => {
    const login = { user: '\u001b[2J', database: '\u202e', application: '', address: '127.0.0.1' };
    const of = { name: 'a\u001b[31m\nb', sql: 'DELETE FROM "\u001b[2J"', login };
    const text = mismatchText(await result(of), { color: false, columns: null });
    expect(text).not.toMatch(/[\u001b\u202e]/);
    expect(text).toContain('a\uFFFD[31m b\n');
  });
});

describe('summaryText', () => {
  const page = { color: false, columns: null };
  const [good, bad] = [{ ok: true }, { ok: false }];
  it.each([
    [[good], '1 case: as expected'],
    [[good, good], '2 cases: all as expected'],
    [[bad], '1 case: 0 as expected, 1 not'],
    [[good, bad, good], '3 cases: 2 as expected, 1 not'],
  ])('%j: %s', (results, expected) => {
    expect(summaryText(results, page)).toBe(expected);
  });

  it('is green or red', () => {
    expect(summaryText([good], { color: true, columns: 80 })).toBe(
      '\u001b[1;32m1 case: as expected\u001b[0m',
    );
    expect(summaryText([bad], { color: true, columns: 80 })).toMatch(/^\u001b\[1;31m/);
  });
});
