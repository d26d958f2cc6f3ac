/** Rules that only the moment can answer: what a kept judgement asks, and what the answers make of it. */
import { beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../../src/policy/engine.js';
import { questionsOf, withAnswers } from '../../src/policy/live.js';
import type { LiveFacts } from '../../src/policy/live-facts.js';
import type { Judgement, Role, RuleSetting } from '../../src/policy/types.js';
import { ruleSettings } from '../../src/config/policy-schema.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { CONTEXT, role } from './hand-made.js';

beforeAll(loadParser);

const BUDGET = { action: 'deny', rows: 10, window: 60_000, operations: ['delete', 'function'] };
const RECOVERY = {
  action: 'hold',
  max_age: 900_000,
  deadline: 5000,
  cache: 60_000,
  operations: ['delete', 'drop'],
};

function guarded(rules: Readonly<Record<string, unknown>>): Role {
  const settings: Record<string, RuleSetting> = ruleSettings(rules);
  return role({ access: 'admin', rules: settings, defaultAction: 'allow' });
}

const ROLE = guarded({ 'write-budget': BUDGET, 'recovery-ready': RECOVERY });
const judged = (sql: string, as = ROLE): Judgement => judge(analyze(sql), as, CONTEXT);

function facts(changes: Partial<LiveFacts> = {}): LiveFacts {
  return {
    user: 'ann',
    recovery: () => ({ kind: 'ready' }),
    spent: () => ({ rows: 0, statements: 0 }),
    clearsIn: () => 30_000,
    resetBy: () => [],
    ...changes,
  };
}
const spent = (rows: number): LiveFacts => facts({ spent: () => ({ rows, statements: 1 }) });

describe('a judgement', () => {
  it.each([
    ['SELECT 1', []],
    ['DELETE FROM t WHERE id = 1', ['write-budget', 'recovery-ready']],
    [
      'WITH d AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT * FROM d',
      ['write-budget', 'recovery-ready'],
    ],
    ['EXPLAIN ANALYZE DELETE FROM t WHERE id = 1', ['write-budget', 'recovery-ready']],
    ['EXPLAIN DELETE FROM t WHERE id = 1', []],
    ['DROP TABLE t', ['recovery-ready']],
    ['CALL p()', ['write-budget']],
    ["DO 'BEGIN DELETE FROM t WHERE id = 1; END'", ['write-budget', 'recovery-ready']],
    ['INSERT INTO t VALUES (1)', []],
    // A PREPARE alone runs nothing; with anything beside it, its statement may be run at once.
    ['PREPARE d AS DELETE FROM t WHERE id = 1', []],
    ['PREPARE d AS DELETE FROM t WHERE id = 1; EXECUTE d', ['write-budget', 'recovery-ready']],
  ])('of %s asks %j', (sql, rules) => {
    expect(questionsOf(judged(sql)).map(({ rule }) => rule)).toEqual(rules);
  });

  it('asks nothing where the role has no such rule', () => {
    expect(questionsOf(judged('DELETE FROM t WHERE id = 1', guarded({})))).toEqual([]);
  });

  it('stays itself while nothing is found, and is never changed', () => {
    const before = judged('DELETE FROM t WHERE id = 1');
    expect(before.verdict).toBe('allow');
    expect(withAnswers(before, facts())).toBe(before);
    const after = withAnswers(before, spent(10));
    expect(after).toMatchObject({
      verdict: 'deny',
      decisive: {
        rule: 'write-budget',
        message: 'User "ann" has changed 10 rows in the last minute; the limit is 10 rows.',
      },
      statements: [{ matches: [{ rule: 'write-budget', action: 'deny' }] }],
    });
    expect(before.statements[0]?.matches).toEqual([]);
    expect(withAnswers(before, spent(9))).toBe(before);
  });

  it('says who can reset a budget, where somebody can', () => {
    const hintOf = (groups: readonly string[]): string | null | undefined =>
      withAnswers(
        judged('DELETE FROM t WHERE id = 1'),
        facts({ spent: () => ({ rows: 10, statements: 1 }), resetBy: () => groups }),
      ).decisive?.hint;
    expect(hintOf(['dba', 'oncall'])).toContain(
      'Somebody else of dba, oncall can reset it: holdfast budgets reset.',
    );
    expect(hintOf([])).not.toContain('reset');
  });

  it('combines what is found with what the text says: the strictest decides', () => {
    const notReady = facts({
      spent: () => ({ rows: 10, statements: 1 }),
      recovery: () => ({ kind: 'not_ready', why: 'archiving is off', hint: 'Switch it on.' }),
    });
    const both = withAnswers(judged('DELETE FROM t WHERE id = 1'), notReady);
    expect(both.statements[0]?.matches.map(({ rule, action }) => `${rule} ${action}`)).toEqual([
      'write-budget deny',
      'recovery-ready hold',
    ]);
    const strict = guarded({ 'recovery-ready': RECOVERY, 'require-where': 'deny' });
    const text = withAnswers(judged('DELETE FROM t', strict), notReady);
    expect(text).toMatchObject({ verdict: 'deny', decisive: { rule: 'require-where' } });
    expect(withAnswers(judged('DELETE FROM t WHERE id = 1', strict), notReady)).toMatchObject({
      verdict: 'hold',
      decisive: {
        message: 'Archiving is off, so what this takes away could not be brought back.',
        hint: 'Switch it on.',
      },
    });
  });

  it('refuses what is not known, and what could not be asked', () => {
    const unknown = facts({ recovery: () => ({ kind: 'unknown', why: 'nobody knows', hint: 'Ask.' }) });
    expect(withAnswers(judged('DROP TABLE t'), unknown).decisive?.message).toBe(
      'Whether what this takes away could be brought back is not known: nobody knows.',
    );
    const broken = facts({
      recovery: () => {
        throw new Error('a defect');
      },
    });
    // Denied, though the rule's action is hold.
    expect(withAnswers(judged('DROP TABLE t'), broken)).toMatchObject({
      verdict: 'deny',
      decisive: { rule: 'recovery-ready', message: expect.stringContaining('a defect') as string },
    });
  });

  it('counts what runs before a statement in the same text as a row each', () => {
    const three = judged(
      'DELETE FROM t WHERE id = 1; DELETE FROM t WHERE id = 2; DELETE FROM t WHERE id = 3',
    );
    expect(withAnswers(three, spent(7))).toBe(three);
    expect(withAnswers(three, spent(8)).statements.map(({ matches }) => matches.length)).toEqual([0, 0, 1]);
    const one = judged('DELETE FROM t WHERE id = 1');
    expect(withAnswers(one, spent(8), 1)).toBe(one);
    expect(withAnswers(one, spent(8), 2).verdict).toBe('deny');
  });
});
