import { beforeAll, describe, expect, it } from 'vitest';
import { explain, explainJson } from '../../src/gate/explain.js';
import { explainText, snippet } from '../../src/gate/explain-text.js';
import type { Policy, Role } from '../../src/policy/types.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { role } from '../policy/hand-made.js';

beforeAll(loadParser);

const LOGIN = { user: 'dana', database: 'shop', application: '', address: '127.0.0.1' };

function text(
  sql: string,
  of: Partial<Role> = {},
  options: { color?: boolean; mode?: Policy['mode'] } = {},
): string {
  const policy: Policy = { mode: options.mode ?? 'enforce', roles: [role(of)], approvers: [], sha256: '' };
  const explanation = explain({
    policy,
    environment: 'production',
    login: LOGIN,
    sql,
    analysis: analyze(sql),
  });
  return explainText(explanation, { color: options.color ?? false });
}

describe('snippet', () => {
  const under = (sql: string, word: string): string[] => snippet(sql, sql.indexOf(word), true);

  it('underlines the word in its line', () => {
    expect(under('SELECT 1;\n  DELETE FROM t', 'DELETE')).toEqual([
      '  2 |   DELETE FROM t',
      '    |   ^^^^^^',
    ]);
    expect(under('a\r\nb\rc DROP', 'DROP')).toEqual(['  3 | c DROP', '    |   ^^^^']);
  });

  it('underlines a quoted name as one word', () => {
    expect(under('TRUNCATE "my table"', '"my')).toEqual([
      '  1 | TRUNCATE "my table"',
      '    |          ^^^^^^^^^^',
    ]);
  });

  it('counts tabs, wide characters and combining marks as a terminal shows them', () => {
    expect(under('\tDROP', 'DROP')).toEqual(['  1 |     DROP', '    |     ^^^^']);
    expect(under("'漢字' DROP", 'DROP')).toEqual(["  1 | '漢字' DROP", '    |        ^^^^']);
    expect(under("'e\u0301' DROP", 'DROP')).toEqual(["  1 | 'e\u0301' DROP", '    |     ^^^^']);
    expect(under("'😀' DROP", 'DROP')).toEqual(["  1 | '😀' DROP", '    |      ^^^^']);
  });

  it('shows a line that fits as a whole', () => {
    const line = `${'x'.repeat(60)} DROP`;
    expect(under(line, 'DROP')[0]).toBe(`  1 | ${line}`);
  });

  it('cuts a long line around the place', () => {
    const [line = '', carets = ''] = under(`${'x, '.repeat(1000)}DROP${', y'.repeat(1000)}`, 'DROP');
    expect(line.length).toBeLessThan(120);
    expect(line).toMatch(/^ {2}1 \| ….*DROP.*…$/);
    expect(carets.indexOf('^^^^')).toBe(line.indexOf('DROP'));
  });

  it('keeps what could steer a terminal out of it', () => {
    const [line = ''] = under('\u001b[31m\u202e\u0007 DROP', 'DROP');
    expect(line).toBe('  1 | \uFFFD[31m\uFFFD\uFFFD DROP');
  });

  it('has a place for the end of the text', () => {
    expect(snippet('SELECT', 6, true)).toEqual(['  1 | SELECT', '    |       ^']);
    expect(snippet('', 0, true)).toEqual(['  1 | ', '    | ^']);
  });
});

describe('explainText', () => {
  it('shows role, verdict, place, message and hint', () => {
    expect(text('DELETE FROM t')).toBe(`role     tester (admin access)
verdict  deny

statement: delete

  1 | DELETE FROM t
    |             ^

  deny by require-where: DELETE on "t" has no WHERE clause, so it would empty the table.
    hint: Add a WHERE that names the rows to delete. If every row is really meant, ask for a role whose policy allows it.`);
  });

  it('says so when no rule matches', () => {
    expect(text('SELECT 1')).toBe(
      'role     tester (admin access)\nverdict  allow\n\nstatement: select, no rule matches',
    );
  });

  it('finds the place of a syntax error behind characters outside the basic plane', () => {
    const shown = text("SELECT '😀' FORM t x");
    expect(shown).toContain('verdict  deny');
    const [, line = '', carets = ''] = /(.*FORM t x)\n(.*\^)/.exec(shown) ?? [];
    // The emoji takes two columns and two UTF-16 code units, so the columns agree.
    expect(line.slice(carets.indexOf('^'))).toMatch(/^(t|x)/);
  });

  it('says what observe mode does', () => {
    expect(text('DELETE FROM t', {}, { mode: 'observe' })).toContain(
      'verdict  deny (mode observe: forwarded all the same, and recorded)',
    );
  });

  it('is coloured only when asked', () => {
    expect(text('DELETE FROM t', {}, { color: true })).toContain('\u001b[1;31mdeny\u001b[0m');
    expect(text('DELETE FROM t')).not.toContain('\u001b');
  });

  it('shows names of strangers without their control characters', () => {
    expect(text('DELETE FROM "\u001b[2J"')).not.toContain('\u001b');
  });
});

describe('explainJson', () => {
  it('has a verdict for a session that no role matches', () => {
    const policy: Policy = { mode: 'enforce', roles: [], approvers: [], sha256: '' };
    const explanation = explain({
      policy,
      environment: 'production',
      login: LOGIN,
      sql: 'SELECT 1',
      analysis: analyze('SELECT 1'),
    });
    expect(explainJson(explanation)).toMatchObject({
      verdict: 'deny',
      role: null,
      statements: [{ operation: 'select', matches: [{ rule: 'role', action: 'deny' }] }],
    });
  });
});
