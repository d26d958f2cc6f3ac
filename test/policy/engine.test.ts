import { describe, expect, it } from 'vitest';
import { judge } from '../../src/policy/engine.js';
import { RULES } from '../../src/policy/registry.js';
import type { Judgement, Match } from '../../src/policy/types.js';
import { CONTEXT, DELETE_ALL, SELECT_ONE, action, facts, role, statements, table } from './hand-made.js';

const brief = (matches: readonly Match[] | undefined): string[] =>
  (matches ?? []).map((match) => `${match.action} ${match.rule}`);
const ofFirst = (judgement: Judgement): readonly Match[] => judgement.statements[0]?.matches ?? [];

describe('judge', () => {
  it('allows what nothing speaks against', () => {
    const judgement = judge(statements(SELECT_ONE), role({ access: 'read' }), CONTEXT);
    expect(judgement.verdict).toBe('allow');
    expect(judgement.decisive).toBeNull();
    expect(ofFirst(judgement)).toEqual([]);
    expect(judgement.position).toBeNull();
  });

  it('denies a DELETE without WHERE, in words that say what would happen and what to do', () => {
    const judgement = judge(statements(DELETE_ALL), role(), CONTEXT);
    expect(judgement.verdict).toBe('deny');
    expect(judgement.sqlstate).toBe('42501');
    expect(judgement.decisive).toEqual({
      rule: 'require-where',
      action: 'deny',
      message: 'DELETE on "accounts" has no WHERE clause, so it would empty the table.',
      hint: 'Add a WHERE that names the rows to delete. If every row is really meant, ask for a role whose policy allows it.',
      offset: 0,
    });
  });

  it('evaluates everything: lacking access does not hide the rule that matches too', () => {
    const judgement = judge(statements(DELETE_ALL), role({ name: 'everyone', access: 'read' }), CONTEXT);
    expect(brief(ofFirst(judgement))).toEqual(['deny access', 'deny require-where']);
    expect(judgement.decisive?.message).toMatch(
      /^DELETE on "accounts" needs write access.*; role "everyone" has read\.$/,
    );
    expect(judgement.decisive?.hint).toBe('Ask for a role with write access to this database.');
  });

  it('does not soften lacking access by any action', () => {
    const lenient = role({
      access: 'read',
      defaultAction: 'allow',
      rules: { 'require-where': { action: 'allow', options: {} } },
    });
    const judgement = judge(statements(DELETE_ALL), lenient, CONTEXT);
    expect(judgement.verdict).toBe('deny');
    expect(brief(ofFirst(judgement))).toEqual(['deny access', 'allow require-where']);
  });

  it('denies what is prohibited whatever the access', () => {
    const prohibition = { why: 'the text after it could not be read', hint: 'Leave it on.', offset: 4 };
    const statement = facts([action({ operation: 'set', effect: 'session' })], {
      prohibitions: [prohibition],
    });
    const judgement = judge(statements(statement), role({ access: 'admin' }), CONTEXT);
    expect(judgement.verdict).toBe('deny');
    expect(judgement.decisive).toMatchObject({
      rule: 'prohibited',
      action: 'deny',
      hint: 'Leave it on.',
      offset: 4,
    });
  });

  it('takes the strictest of all matches, and of equals the first in the text', () => {
    const one = facts([action({ operation: 'truncate', targets: [table('a')], offset: 2 })], {
      span: [2, 20],
    });
    const two = facts(
      [action({ operation: 'drop_schema', effect: 'ddl', targets: [table('s')], offset: 30 })],
      { span: [30, 40] },
    );
    const three = facts(
      [action({ operation: 'drop_database', effect: 'admin', targets: [table('d')], offset: 50 })],
      { span: [50, 60] },
    );
    const judgement = judge(statements(one, two, three), role(), CONTEXT);
    expect(judgement.verdict).toBe('deny');
    expect(judgement.decisive?.rule).toBe('drop-schema');
    expect(brief(judgement.matches)).toEqual(['allow multi-statement']);
    expect(judgement.statements.map(({ matches }) => brief(matches))).toEqual([
      ['hold truncate'],
      ['deny drop-schema'],
      ['deny drop-database'],
    ]);
  });

  it('sorts the matches of one statement strictest first', () => {
    const statement = facts([action({ operation: 'truncate', targets: [table('a')], cascade: true })]);
    expect(brief(ofFirst(judge(statements(statement), role(), CONTEXT)))).toEqual([
      'deny cascade',
      'hold truncate',
    ]);
    const turned = role({ rules: { cascade: { action: 'warn', options: {} } } });
    const judgement = judge(statements(statement), turned, CONTEXT);
    expect(brief(ofFirst(judgement))).toEqual(['hold truncate', 'warn cascade']);
    expect(judgement.verdict).toBe('hold');
  });

  it("uses the role's default for every rule that the role does not name", () => {
    const warned = role({ defaultAction: 'warn', rules: { cascade: { action: 'deny', options: {} } } });
    const statement = facts([action({ operation: 'truncate', targets: [table('a')], cascade: true })]);
    expect(brief(ofFirst(judge(statements(statement), warned, CONTEXT)))).toEqual([
      'deny cascade',
      'warn truncate',
    ]);
  });

  it('leaves a rule that needs options alone, also under a default', () => {
    const statement = facts([action({ operation: 'insert', targets: [table('audit_log')] })], {
      relations: [{ ...table('audit_log'), mode: 'write' }],
    });
    expect(judge(statements(statement), role({ defaultAction: 'deny' }), CONTEXT).verdict).toBe('allow');
    const guarded = role({
      rules: { 'protected-tables': { action: 'hold', options: { tables: ['audit_*'] } } },
    });
    expect(judge(statements(statement), guarded, CONTEXT).verdict).toBe('hold');
  });

  it('allows an empty text, an empty statement, and does not count it', () => {
    const empty = facts([]);
    for (const analysis of [statements(), statements(empty)]) {
      const judgement = judge(analysis, role({ access: 'none', defaultAction: 'deny' }), CONTEXT);
      expect(judgement.verdict).toBe('allow');
    }
    const judgement = judge(statements(empty, SELECT_ONE, empty), role({ defaultAction: 'deny' }), CONTEXT);
    expect(judgement.verdict).toBe('allow');
    expect(judgement.statements).toHaveLength(3);
  });

  it('gives a role of access none nothing at all', () => {
    const begin = facts([action({ operation: 'begin', effect: 'transaction' })]);
    const judgement = judge(statements(begin), role({ access: 'none' }), CONTEXT);
    expect(judgement.verdict).toBe('deny');
    expect(brief(ofFirst(judgement))).toEqual(['deny access']);
    expect(judge(statements(begin), role({ access: 'read' }), CONTEXT).verdict).toBe('allow');
  });

  it('reports multi-statement once, for the text', () => {
    const strict = role({ rules: { 'multi-statement': { action: 'deny', options: {} } } });
    const second = { ...SELECT_ONE, span: [10, 18] as const };
    const judgement = judge(statements(SELECT_ONE, second, second), strict, CONTEXT);
    expect(judgement.matches).toHaveLength(1);
    expect(judgement.decisive).toMatchObject({
      rule: 'multi-statement',
      offset: 10,
      message: 'The query string holds 3 statements.',
    });
    expect(judge(statements(SELECT_ONE), strict, CONTEXT).verdict).toBe('allow');
  });

  it('answers a syntax error as the server would', () => {
    const judgement = judge(
      { kind: 'syntax_error', message: 'syntax error at or near "FORM"', position: 10 },
      role(),
      CONTEXT,
    );
    expect(judgement).toMatchObject({ verdict: 'deny', sqlstate: '42601', position: 10 });
    expect(judgement.decisive).toEqual({
      rule: 'syntax',
      action: 'deny',
      message: 'syntax error at or near "FORM"',
      hint: null,
      offset: null,
    });
  });

  it('denies what could not be told', () => {
    const unclassified = judge(
      { kind: 'unclassified', message: 'x is unknown', offset: 3 },
      role({ defaultAction: 'allow' }),
      CONTEXT,
    );
    expect(unclassified).toMatchObject({
      verdict: 'deny',
      sqlstate: '42501',
      decisive: { rule: 'unclassified', offset: 3 },
    });
    expect(unclassified.decisive?.hint).not.toBeNull();
    const deep = judge({ kind: 'too_complex', sqlstate: '54001', message: 'too deep' }, role(), CONTEXT);
    expect(deep).toMatchObject({
      verdict: 'deny',
      sqlstate: '54001',
      decisive: { rule: 'too-complex', message: 'too deep' },
    });
    expect(
      judge({ kind: 'too_complex', sqlstate: '54000', message: 'too large' }, role(), CONTEXT).sqlstate,
    ).toBe('54000');
  });

  it('denies when a rule throws, even one that is set to allow', () => {
    const broken = role({ rules: { 'protected-tables': { action: 'allow', options: {} } } });
    const judgement = judge(statements(SELECT_ONE), broken, CONTEXT);
    expect(judgement.verdict).toBe('deny');
    expect(judgement.decisive?.rule).toBe('protected-tables');
    expect(judgement.decisive?.message).toMatch(/could not be evaluated/);
  });

  it('reports each reason for lacking access once', () => {
    const need = { access: 'write' as const, why: 'calls nextval(), which advances a sequence', hint: null };
    const statement = facts([action({ operation: 'select', effect: 'read' })], {
      needs: [
        { ...need, offset: 7 },
        { ...need, offset: 20 },
        { access: 'read', why: 'reads', hint: null, offset: 0 },
      ],
    });
    const judgement = judge(statements(statement), role({ name: 'everyone', access: 'read' }), CONTEXT);
    expect(ofFirst(judgement)).toHaveLength(1);
    expect(judgement.decisive?.message).toBe(
      'SELECT needs write access: it calls nextval(), which advances a sequence; role "everyone" has read.',
    );
  });
});

describe('registry', () => {
  it('has unique ids in kebab case, each with a title', () => {
    const ids = RULES.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const rule of RULES) {
      expect(rule.id).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(rule.title).not.toBe('');
      // An option called `action` could not be told from the action in the policy file; a rule called `default` not from the default.
      expect(Object.keys(rule.options.shape)).not.toContain('action');
      expect(rule.id).not.toBe('default');
      const needsOptions = !rule.options.safeParse({}).success || typeof rule.missing?.({}) === 'string';
      expect(rule.defaultAction === null).toBe(needsOptions);
    }
  });
});
