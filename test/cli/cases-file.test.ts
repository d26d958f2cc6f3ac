/** A cases file: what it says, and every way in which it can be wrong. */
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCases } from '../../src/config/cases-file.js';
import type { CasesFile } from '../../src/config/cases-file.js';
import { formatProblem } from '../../src/config/problems.js';

function problems(text: string): string[] {
  const parsed = parseCases(text, 'cases.yaml');
  return 'problems' in parsed ? parsed.problems.map(formatProblem) : [];
}

function cases(text: string, file = 'cases.yaml'): CasesFile {
  const parsed = parseCases(text, file);
  if ('problems' in parsed) throw new Error(parsed.problems.map(formatProblem).join('\n'));
  return parsed.cases;
}

describe('a cases file', () => {
  it('says whose statement, which one, and what is expected', () => {
    expect(
      cases(`defaults: { user: shop_app, application: psql }
cases:
  - sql: SELECT 1
    verdict: allow
  - name: second
    user: eng_dana
    database: shop
    application: ''
    address: 10.0.0.1
    sql: DROP TABLE t
    verdict: hold
    rule: drop-table
`),
    ).toEqual({
      file: 'cases.yaml',
      policy: null,
      cases: [
        {
          name: null,
          line: 3,
          login: { user: 'shop_app', database: 'shop_app', application: 'psql', address: '127.0.0.1' },
          sql: 'SELECT 1',
          verdict: 'allow',
          rule: null,
        },
        {
          name: 'second',
          line: 5,
          login: { user: 'eng_dana', database: 'shop', application: '', address: '10.0.0.1' },
          sql: 'DROP TABLE t',
          verdict: 'hold',
          rule: 'drop-table',
        },
      ],
    });
  });

  it('names its policy relative to itself', () => {
    const text = 'policy: ../policy.yaml\ncases: [{ user: a, sql: SELECT 1, verdict: allow }]';
    expect(cases(text, 'a/b/cases.yaml').policy).toBe(path.resolve('a/policy.yaml'));
    expect(cases(text.replace('../', '/etc/'), 'a/b/cases.yaml').policy).toBe('/etc/policy.yaml');
  });

  it.each(['access', 'prohibited', 'syntax', 'too-complex', 'unclassified', 'role', 'multi-statement'])(
    'may expect the match %s',
    (rule) => {
      const text = `cases: [{ user: a, sql: SELECT 1, verdict: deny, rule: ${rule} }]`;
      expect(cases(text).cases[0]?.rule).toBe(rule);
    },
  );

  it('takes SQL as it stands, variables included', () => {
    const [first] = cases(`cases: [{ user: a, sql: "SELECT '\${HOME}'", verdict: allow }]`).cases;
    expect(first?.sql).toBe("SELECT '${HOME}'");
  });
});

describe('a cases file with mistakes', () => {
  it('reports all of them at their places', () => {
    expect(
      problems(`policy: \${POLICY}
default: { user: shop_app }
cases:
  - sql: SELECT 1
    verdict: alow
    rule: require-were
    adress: x
  - sql: "a\\0b"
    user: a
    address: nowhere
  - 12
  - { user: a, sql: 1, verdict: deny, rule: 7 }
  - { user: '', sql: ' ', verdict: deny, name: '' }
`),
    ).toEqual([
      'cases.yaml:1:9: the path is taken as it stands: nothing here comes from the environment',
      'cases.yaml:2:1: unknown key "default" (did you mean "defaults"?)',
      'cases.yaml:4:5: whose statement is it? "user" is missing, here and in defaults',
      'cases.yaml:5:14: expected one of allow, warn, confirm, hold, deny, found "alow" (did you mean "allow"?)',
      'cases.yaml:6:11: unknown rule "require-were" (did you mean "require-where"?)',
      'cases.yaml:7:5: unknown key "adress" (did you mean "address"?)',
      'cases.yaml:8:5: "verdict" is missing',
      'cases.yaml:8:10: the SQL holds a NUL character, which the protocol cannot carry',
      'cases.yaml:10:14: "nowhere" is no IP address',
      'cases.yaml:11:5: expected a mapping, found 12',
      expect.stringMatching(/^cases\.yaml:12:21: expected text, found 1$/),
      expect.stringMatching(/^cases\.yaml:12:45: expected one of .*, found 7$/),
      'cases.yaml:13:13: must not be empty',
      'cases.yaml:13:22: must not be empty',
      'cases.yaml:13:48: must not be empty',
    ]);
  });

  it.each([
    ['', 'cases.yaml:1:1: the file is empty: it has at least one of cases'],
    ['# nothing\n', 'cases.yaml:1:1: the file is empty: it has at least one of cases'],
    ['{}', 'cases.yaml:1:1: "cases" is missing'],
    ['cases: []', 'cases.yaml:1:8: without a case nothing is tested'],
    ['cases:', 'cases.yaml:1:7: expected a list, found nothing'],
    ['cases: { sql: SELECT 1 }', 'cases.yaml:1:8: expected a list, found a mapping'],
    ['- sql: SELECT 1', 'cases.yaml:1:1: expected a mapping, found a list'],
    ['just text', 'cases.yaml:1:1: expected a mapping, found "just text"'],
    [
      'cases: [{ user: a, sql: SELECT 1, sql: SELECT 2, verdict: allow }]',
      'cases.yaml:1:35: this key stands here twice; which of the two counts?',
    ],
    ['cases:\n\t- sql: SELECT 1', 'cases.yaml:2:1: tabs cannot indent YAML; use spaces'],
    [
      'cases: [{ user: a, sql: "SELECT \'\\uD800\'", verdict: allow }]',
      'cases.yaml:1:25: the SQL holds half a surrogate pair, which UTF-8 cannot carry',
    ],
    [
      'cases: [{ user: a, sql: SELECT 1, verdict: deny, rule: frobnicate }]',
      expect.stringMatching(/^cases\.yaml:1:56: unknown rule "frobnicate"; known are cascade, /),
    ],
  ])('%j', (text, expected) => {
    expect(problems(text)).toEqual([expected]);
  });
});
