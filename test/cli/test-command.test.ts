/** `holdfast test`: what a person and a program see of it, and its exit statuses. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runHere } from './run-here.js';
import { run } from './run.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-test-command-'));
const file = (name: string, text: string | Buffer): string => {
  writeFileSync(path.join(directory, name), text);
  return name;
};
const test = (...args: readonly string[]): ReturnType<typeof run> =>
  runHere(['test', ...args], { cwd: directory });

file(
  'policy.yaml',
  `version: 1
roles:
  - { name: app, match: { users: [shop_app] }, access: write }
  - { name: engineers, match: { users: ['eng_*'] }, access: ddl, rules: { truncate: hold } }
`,
);
file('lax.yaml', 'version: 1\nroles: [{ name: all, access: admin, rules: { default: allow } }]\n');
file(
  'good.yaml',
  `policy: policy.yaml
defaults: { user: shop_app, database: shop }
cases:
  - { sql: "INSERT INTO t VALUES (1)", verdict: allow }
  - { sql: DELETE FROM t, verdict: deny, rule: require-where }
  - { sql: "SELECT 1; SELECT 2", verdict: allow, rule: multi-statement }
  - { sql: SELECT * FORM t, verdict: deny, rule: syntax }
  - { sql: DROP TABLE t, verdict: deny, rule: access }
  - { sql: SELECT 1, user: stranger, verdict: deny, rule: role }
`,
);

describe('holdfast test', () => {
  it('counts cases that are as expected, and says nothing else', async () => {
    expect(await test('good.yaml')).toEqual({ status: 0, stdout: '6 cases: all as expected\n', stderr: '' });
    const one = file('one.yaml', 'cases: [{ user: shop_app, sql: SELECT 1, verdict: allow }]');
    expect(await test(one, '--policy', 'policy.yaml')).toMatchObject({
      status: 0,
      stdout: '1 case: as expected\n',
    });
  });

  it('shows each case that is not, and exits with 1', async () => {
    const name = file(
      'mixed.yaml',
      `policy: policy.yaml
defaults: { user: shop_app, database: shop }
cases:
  - name: a report
    sql: SELECT 1
    verdict: allow
  - name: the clean-up script
    sql: |
      INSERT INTO orders
      SELECT * FROM old
    verdict: deny
    rule: require-where
  - sql: DELETE FROM orders
    verdict: deny
    rule: access
  - sql: SELECT 1
    user: stranger
    verdict: allow
`,
    );
    const { status, stdout, stderr } = await test(name);
    expect(stderr).toBe('');
    expect(stdout).toBe(`the clean-up script
  mixed.yaml:7
  INSERT INTO orders SELECT * FROM old
  as shop_app on shop: role app (write access)
  - expected deny by require-where
  + got allow
      no rule matches
      judged by its text alone; with --catalog URL the database is asked too

DELETE FROM orders
  mixed.yaml:13
  as shop_app on shop: role app (write access)
  - expected deny by access
  + got deny by require-where
      deny by require-where: DELETE on "orders" has no WHERE clause, so it would empty the table.

SELECT 1
  mixed.yaml:16
  as stranger on shop: no role matches
  - expected allow
  + got deny by role
      deny by role: No role of the policy matches user "stranger" on database "shop" from 127.0.0.1, so the login is refused.

4 cases: 1 as expected, 3 not
`);
    expect(status).toBe(1);
  });

  it('wants the rule among those that gave the verdict, whichever of them words the refusal', async () => {
    const name = file(
      'rules.yaml',
      `policy: policy.yaml
defaults: { user: eng_dana, database: shop }
cases:
  - { sql: TRUNCATE t CASCADE, verdict: deny, rule: cascade }
  - { sql: TRUNCATE t CASCADE, verdict: deny, rule: truncate }
  - { sql: DROP TABLE t CASCADE; DELETE FROM u, verdict: deny, rule: require-where }
`,
    );
    const { status, stdout } = await test(name, '--json');
    expect(status).toBe(1);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { ok: boolean }).ok)).toEqual([true, false, true]);
  });

  it('--json prints one object a case and no summary', async () => {
    const { status, stdout } = await test('good.yaml', '--json');
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    expect(JSON.parse(lines[1] ?? '')).toEqual({
      file: 'good.yaml',
      line: 5,
      name: null,
      user: 'shop_app',
      database: 'shop',
      sql: 'DELETE FROM t',
      ok: true,
      expected: { verdict: 'deny', rule: 'require-where' },
      got: {
        verdict: 'deny',
        role: 'app',
        rules: ['require-where'],
        matches: [
          {
            rule: 'require-where',
            action: 'deny',
            message: 'DELETE on "t" has no WHERE clause, so it would empty the table.',
            hint: expect.stringContaining('Add a WHERE') as unknown,
          },
        ],
      },
    });
  });

  it('takes several files together', async () => {
    const bad = file('bad-expectation.yaml', 'cases: [{ user: a, sql: SELECT 1, verdict: deny }]');
    const { status, stdout } = await test('good.yaml', bad, '--policy', 'lax.yaml');
    expect(status).toBe(1);
    expect(stdout).toContain('\n7 cases: 6 as expected, 1 not\n');
  });

  it('takes the policy of the file, else that of --policy, else that of the settings', async () => {
    const name = file('unnamed.yaml', 'cases: [{ user: shop_app, sql: DELETE FROM t, verdict: deny }]');
    expect((await test(name, '--policy', 'policy.yaml')).status).toBe(0);
    expect((await test(name, '--policy', 'lax.yaml')).status).toBe(1);
    const settings = file('settings.yaml', 'policy: lax.yaml\n');
    expect((await test(name, '--config', settings)).status).toBe(1);
    // Neither: the shipped one.
    expect((await test(name)).status).toBe(0);
    // The flag does not replace what a file says, and nobody is left to believe it did.
    expect(await test('good.yaml', '--policy', 'lax.yaml')).toEqual({
      status: 0,
      stdout: '6 cases: all as expected\n',
      stderr: 'good.yaml: names its own policy, policy.yaml; --policy is for files that name none\n',
    });
    expect((await test('good.yaml', '--policy', './policy.yaml')).stderr).toBe('');
  });

  it("knows the settings' environment", async () => {
    file(
      'confirm.yaml',
      'version: 1\nroles: [{ name: a, access: admin, rules: { drop-database: confirm } }]\n',
    );
    const cases = file(
      'drop.yaml',
      'policy: confirm.yaml\ncases: [{ user: a, sql: DROP DATABASE d, verdict: deny }]',
    );
    const settings = file('staging.yaml', 'environment: staging\npolicy: confirm.yaml\n');
    const { stdout } = await test(cases, '--config', settings);
    expect(stdout).toContain('from staging');
  });

  it('judges what is too large for the main thread', async () => {
    const list = Array.from({ length: 5_000 }, (_, at) => at).join(',');
    const name = file(
      'large.yaml',
      `policy: policy.yaml\ncases: [{ user: shop_app, sql: "DELETE FROM t WHERE id IN (${list})", verdict: deny }]`,
    );
    const { status, stdout } = await test(name);
    expect(status).toBe(1);
    const [title = ''] = stdout.split('\n');
    expect(title).toMatch(/^DELETE FROM t WHERE id IN \(0,1,.*…$/);
    expect(title).toHaveLength(100);
  });
});

describe('holdfast test with files that cannot be used', () => {
  it('reports the problems of all of them, runs nothing, and exits with 2', async () => {
    const cases = file('no-verdict.yaml', 'cases: [{ user: a, sql: SELECT 1 }]');
    file('broken-policy.yaml', 'version: 1\nroles: [{ name: a, acess: read }]\n');
    const other = file(
      'other.yaml',
      'policy: broken-policy.yaml\ncases: [{ user: a, sql: SELECT 1, verdict: deny }]',
    );
    const latin1 = file('latin1.yaml', Buffer.from([0x23, 0xff]));
    expect(await test('good.yaml', cases, other, other, latin1, 'missing.yaml')).toEqual({
      status: 2,
      stdout: '',
      stderr: [
        'no-verdict.yaml:1:9: "verdict" is missing',
        'latin1.yaml:1:1: is not valid UTF-8',
        'missing.yaml:1:1: cannot be read: no such file',
        'broken-policy.yaml:2:20: unknown key "acess" (did you mean "access"?)',
        '',
      ].join('\n'),
    });
  });

  it.each([
    [
      ['good.yaml', '--policy', 'nowhere.yaml', 'unnamed.yaml'],
      'nowhere.yaml:1:1: cannot be read: no such file',
    ],
    [['good.yaml', '--config', 'nowhere.yaml'], 'nowhere.yaml:1:1: cannot be read: no such file'],
    [['.'], '.:1:1: cannot be read: it is a directory'],
  ])('%j', async (args, problem) => {
    const { status, stdout, stderr } = await test(...args);
    expect(stderr).toContain(`${problem}\n`);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  it.each([
    [[]],
    [['--policy', 'policy.yaml']],
    [['good.yaml', '--frobnicate']],
    [['good.yaml', '--catalog']],
    [['good.yaml', '--catalog', 'shop']],
  ])('%j is wrong usage', async (args) => {
    const { status, stdout, stderr } = await test(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).not.toBe('');
  });

  it('--help shows what a file of cases looks like', async () => {
    const { status, stdout } = await test('--help');
    expect(status).toBe(0);
    const [, example = ''] = /A file of cases:\n\n((?: {2}.*\n)+)/.exec(stdout) ?? [];
    const name = file('example.yaml', example.replace(/^ {2}/gm, ''));
    expect(await test(name)).toEqual({ status: 0, stdout: '1 case: as expected\n', stderr: '' });
  });
});

describe('config/policy.test.yaml', () => {
  it('is what the shipped policy says', async () => {
    const { status, stdout, stderr } = await run(['test', 'config/policy.test.yaml'], { cwd: ROOT });
    expect({ stdout, stderr }).toEqual({ stdout: '14 cases: all as expected\n', stderr: '' });
    expect(status).toBe(0);
  });

  it('names its schema for editors', () => {
    const text = readFileSync(path.join(ROOT, 'config/policy.test.yaml'), 'utf8');
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./cases.schema.json');
  });
});
