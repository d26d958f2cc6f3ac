import { beforeAll, describe, expect, it } from 'vitest';
import { explain, explainJson } from '../../src/gate/explain.js';
import { snippet } from '../../src/gate/explain-snippet.js';
import { wrapped } from '../../src/gate/explain-terminal.js';
import { explainText } from '../../src/gate/explain-text.js';
import { policyRefusal, policyWarning } from '../../src/gate/words.js';
import type { Catalog } from '../../src/catalog/catalog.js';
import type { Policy, Role } from '../../src/policy/types.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { role } from '../policy/hand-made.js';

beforeAll(loadParser);

const LOGIN = { user: 'dana', database: 'shop', application: '', address: '127.0.0.1' };

function text(
  sql: string,
  of: Partial<Role> = {},
  options: { color?: boolean; mode?: Policy['mode']; columns?: number; catalog?: Catalog } = {},
): string {
  const policy: Policy = { mode: options.mode ?? 'enforce', roles: [role(of)], approvers: [], sha256: '' };
  const explanation = explain({
    policy,
    environment: 'production',
    login: LOGIN,
    sql,
    analysis: analyze(sql),
    ...(options.catalog === undefined ? {} : { catalog: options.catalog }),
  });
  return explainText(explanation, { color: options.color ?? false, columns: options.columns ?? null });
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

  it('shows more of what is before where nothing comes after', () => {
    const [line = '', carets = ''] = under(`${'x, '.repeat(1000)}DROP t`, 'DROP');
    expect(line).toMatch(/^ {2}1 \| ….{94}DROP t$/);
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
note     judged by its text alone; the proxy also asks the database, and so does this with --catalog URL

statement: delete
  effects  write
  writes   t

  1 | DELETE FROM t
    |             ^

  deny by require-where: DELETE on "t" has no WHERE clause, so it would empty the table.
    hint: Add a WHERE that names the rows to delete. If every row is really meant, ask for a role whose policy allows it.`);
  });

  it('says so when no rule matches', () => {
    expect(text('SELECT 1')).toBe(
      'role     tester (admin access)\nverdict  allow\n\nstatement: select, no rule matches\n  effects  read',
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

describe('explainText, what it says of a verdict', () => {
  const explained = (sql: string, of: Partial<Role>) =>
    explain({
      policy: { mode: 'enforce', roles: [role(of)], approvers: [], sha256: '' },
      environment: 'production',
      login: LOGIN,
      sql,
      analysis: analyze(sql),
    });
  const rules = (action: 'warn' | 'confirm' | 'hold') => ({
    rules: { truncate: { action, options: {} } },
  });

  it('of hold, as a client is told', () => {
    const explanation = explained('TRUNCATE t', rules('hold'));
    expect(explainText(explanation, { color: false, columns: null })).toContain(
      'verdict  hold (it waits until it is approved; where nobody can approve it, it is refused)\n',
    );
    const unheld = 'Nobody can approve it.';
    const refusal = policyRefusal(explanation, 'id', 'production', unheld);
    expect(refusal.message).toContain('It needs approval.');
    expect(refusal.hint).toContain(unheld);
  });

  it('of confirm, as a client is told', () => {
    const explanation = explained('TRUNCATE t', rules('confirm'));
    expect(explainText(explanation, { color: false, columns: null })).toContain(
      "verdict  confirm (refused, unless SET holdfast.target = 'production' was said within five minutes before)\n",
    );
    const refusal = policyRefusal(explanation, 'id', 'production', null);
    expect(refusal.hint).toContain(
      "say within five minutes before the statement: SET holdfast.target = 'production'",
    );
  });

  it('of warn, as a client is told', () => {
    const explanation = explained('TRUNCATE t', rules('warn'));
    expect(explainText(explanation, { color: false, columns: null })).toContain(
      'verdict  warn (it runs, and the client gets a warning)\n',
    );
    expect(policyWarning(explanation.judgement, 'id')?.severity).toBe('WARNING');
  });
});

describe('explainText, what the statement touches', () => {
  it('names what a CTE hides', () => {
    expect(
      text('WITH gone AS (DELETE FROM "Orders" RETURNING *) SELECT lower(a) FROM gone, billing.invoice'),
    ).toContain(
      'statement: select\n  effects  read, write\n  reads    billing.invoice\n  writes   "Orders"\n  calls    lower()\n',
    );
    expect(text('CREATE TABLE s.t (a int)')).toContain('\n  effects  ddl\n  ddl on   s.t');
  });

  it('counts what is too much to list', () => {
    const from = Array.from({ length: 30 }, (_, at) => `t${at}`).join(', ');
    expect(text(`SELECT 1 FROM ${from}`)).toMatch(/reads {4}t0, .*, t11 and 18 more$/);
  });

  it('puts an aside about the whole text behind what decides', () => {
    const shown = text('SELECT 1; DELETE FROM t');
    expect(shown.indexOf('the whole text')).toBeGreaterThan(shown.indexOf('deny by require-where'));
    const denied = text('SELECT 1; SELECT 2', {
      rules: { 'multi-statement': { action: 'deny', options: {} } },
    });
    expect(denied.indexOf('the whole text')).toBeLessThan(denied.indexOf('statement 1 of 2'));
  });
});

describe('explainText on a terminal', () => {
  const long = `SELECT ${Array.from({ length: 40 }, (_, at) => `column_${at}`).join(', ')} FROM t; DELETE FROM t`;

  it.each([60, 80, 120, 200])('fits %s columns', (columns) => {
    const lines = text(long, {}, { columns }).split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  });

  it('uses a wide terminal for SQL, and keeps sentences short enough to read', () => {
    const lines = text(long, {}, { columns: 200 }).split('\n');
    expect(
      Math.max(...lines.filter((line) => line.includes(' | ')).map((line) => line.length)),
    ).toBeGreaterThan(150);
    for (const line of lines.filter((line) => !line.includes(' | ')))
      expect(line.length).toBeLessThanOrEqual(100);
  });

  it('breaks between words only, with its own indent', () => {
    expect(wrapped('aaaaa bbbbb ccccc ddddddddddddddddddddddddd e', '> ', '  ', 20)).toEqual([
      '> aaaaa bbbbb ccccc',
      '  ddddddddddddddddddddddddd',
      '  e',
    ]);
    expect(wrapped('漢字漢字漢字 漢字漢字', '', '', 20)).toEqual(['漢字漢字漢字', '漢字漢字']);
    expect(wrapped('a '.repeat(300).trim(), '', '', null)).toHaveLength(1);
  });
});

describe('explainText and the catalog', () => {
  it('says that the proxy would ask the database, where a rule did', () => {
    const policy: Policy = { mode: 'enforce', roles: [role({})], approvers: [], sha256: '' };
    const explanation = explain({
      policy,
      environment: 'production',
      login: LOGIN,
      sql: 'SELECT 1',
      analysis: analyze('SELECT 1'),
    });
    const judgement = { ...explanation.judgement, usedCatalog: true };
    const page = { color: false, columns: null };
    expect(explainText({ ...explanation, judgement }, page)).toContain(
      'verdict  allow\nnote     judged by its text alone; the proxy also asks the database',
    );
    expect(explainText({ ...explanation, judgement, catalog: 'shop' }, page)).toContain(
      'verdict  allow\ncatalog  shop\n',
    );
    expect(explainText({ ...explanation, catalog: 'shop' }, page)).toContain('catalog  shop, not needed\n');
    expect(explainText(explanation, page)).not.toMatch(/catalog|note/);
  });

  it('shows what a rule has to say in detail', () => {
    const policy: Policy = { mode: 'enforce', roles: [role({})], approvers: [], sha256: '' };
    const sql = 'DELETE FROM t';
    const explanation = explain({
      policy,
      environment: 'production',
      login: LOGIN,
      sql,
      analysis: analyze(sql),
    });
    const statements = explanation.judgement.statements.map((statement) => ({
      ...statement,
      matches: statement.matches.map((match) => ({ ...match, detail: 'Emptied: \u001b[2Jt (10 rows).' })),
    }));
    const detailed = { ...explanation, judgement: { ...explanation.judgement, statements } };
    expect(explainText(detailed, { color: false, columns: null })).toMatch(
      /deny by require-where: .*\n {4}detail: Emptied: \uFFFD\[2Jt \(10 rows\)\.\n {4}hint: /,
    );
    expect(explainJson(detailed).statements[0]?.matches[0]?.detail).toContain('10 rows');
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
