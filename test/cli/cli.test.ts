import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openAuditLog } from '../../src/audit/writer.js';
import { runHere } from './run-here.js';
import { run } from './run.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const POLICY = path.join(ROOT, 'config/policy.yaml');
const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-cli-'));
const file = (name: string, text: string): string => {
  const where = path.join(directory, name);
  writeFileSync(where, text);
  return where;
};

describe('holdfast', () => {
  it('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await run(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each([
    [[]],
    [['serve']],
    [['demo']],
    [['incidents']],
    [['check']],
    [['explain']],
    [['holds']],
    [['holds', 'list']],
    [['holds', 'show']],
    [['holds', 'approve']],
    [['holds', 'deny']],
    [['budgets']],
    [['budgets', 'list']],
    [['budgets', 'reset']],
    [['test']],
    [['audit']],
    [['audit', 'verify']],
  ])('%j --help explains itself', async (command) => {
    const { status, stdout, stderr } = await runHere([...command, '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: holdfast ${command.join(' ')}`.trimEnd()));
    expect(stderr).toBe('');
  });

  it.each([
    [[]],
    [['frobnicate']],
    [['holds']],
    [['holds', 'frobnicate']],
    [['holds', 'list']], // no HOLDFAST_TOKEN
    [['holds', 'list', '--frobnicate']],
    [['holds', 'show']],
    [['holds', 'approve', 'h1', '--watch']],
    [['holds', 'deny', 'h1', 'h2']],
    [['budgets', 'list']], // no HOLDFAST_TOKEN
    [['budgets', 'reset', 'shop_app']], // no --role
    [['--frobnicate']],
    [['serve', '--frobnicate']],
    [['serve', 'extra']],
    [['serve', '--config']],
    [['demo', '--frobnicate']],
    [['incidents', '--frobnicate']],
    [['check', '--frobnicate']],
    [['check', 'file.yaml']],
    [['explain', '--frobnicate', 'SELECT 1']],
    [['explain', '--user', 'a', 'SELECT 1', 'SELECT 2']],
    [['explain', '--user', 'a', '--catalog']],
    [['test']],
    [['audit']],
    [['audit', 'verify']],
    [['audit', 'frobnicate']],
  ])('%j is wrong usage', async (command) => {
    const { status, stdout, stderr } = await runHere(command);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).not.toBe('');
  });

  it.each([
    { command: ['explain', '--help'], status: 0 },
    { command: ['holds', 'show'], status: 2 },
    { command: ['check', '--policy', 'missing.yaml'], status: 1 },
    { command: ['explain', '--policy', POLICY, '--user', 'shop_app', 'DELETE FROM accounts'], status: 1 },
    { command: ['explain', '--policy', POLICY, '--user', 'shop_app', '--jsonl', 'SELECT 1'], status: 2 },
  ])('a process of its own says of $command what is said without one', async ({ command, status }) => {
    const printed = await runHere(command);
    expect(printed.status).toBe(status);
    expect(await run(command)).toEqual(printed);
  });
});

describe('holdfast check', () => {
  it('says what the shipped files say', async () => {
    const { status, stdout, stderr } = await run(['check'], { cwd: ROOT });
    expect(stderr).toBe('');
    expect(stdout).toBe(
      'config/holdfast.yaml: ok (production, 127.0.0.1:6432 before 127.0.0.1:5432)\n' +
        'config/policy.yaml: ok (enforce, 5 roles: dba admin, app write, engineers ddl, analysts read, everyone read)\n',
    );
    expect(status).toBe(0);
  });

  it('without any file checks the defaults', async () => {
    const { status, stdout } = await runHere(['check'], { cwd: directory });
    expect(stdout).toMatch(/^default settings: ok \(.*\)\n.*policy\.yaml: ok \(.*\)\n$/);
    expect(status).toBe(0);
  });

  it('prints every problem of both files, at its place', async () => {
    const config = file('bad-settings.yaml', 'listn: {}\nadmin: { port: x }\n');
    const policy = file(
      'bad-policy.yaml',
      'version: 1\nroles:\n  - name: a\n    acess: read\n    rules: { drop-tabel: deny }\n',
    );
    const { status, stdout, stderr } = await runHere(['check', '--config', config, '--policy', policy]);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr.split('\n')).toEqual([
      `${config}:1:1: unknown key "listn" (did you mean "listen"?)`,
      `${config}:2:16: expected a number, found "x"`,
      `${policy}:4:5: unknown key "acess" (did you mean "access"?)`,
      `${policy}:5:14: unknown rule "drop-tabel" (did you mean "drop-table"?)`,
      '',
    ]);
  });

  it('checks a policy alone, and follows the settings to theirs', async () => {
    const policy = file('alone.yaml', 'version: 1\nroles: [{ name: a }]\n');
    expect(await runHere(['check', '--policy', policy])).toEqual({
      status: 0,
      stdout: `${policy}: ok (enforce, 1 role: a read)\n`,
      stderr: '',
    });
    const config = file('settings.yaml', 'environment: ${ENVIRONMENT}\npolicy: missing.yaml\n');
    const followed = await run(['check', '--config', config], { env: { ENVIRONMENT: 'staging' } });
    expect(followed.status).toBe(1);
    expect(followed.stdout).toBe(`${config}: ok (staging, 127.0.0.1:6432 before 127.0.0.1:5432)\n`);
    expect(followed.stderr).toBe(
      `${path.join(directory, 'missing.yaml')}:1:1: cannot be read: no such file\n`,
    );
  });
});

describe('holdfast explain', () => {
  const explain = (...args: readonly string[]): ReturnType<typeof run> =>
    runHere(['explain', '--policy', POLICY, ...args]);

  it('says why a statement would be refused, and where', async () => {
    const { status, stdout, stderr } = await explain('--user', 'shop_app', 'SELECT 1;\nDELETE FROM accounts');
    expect(stderr).toBe('');
    expect(status).toBe(1);
    expect(stdout).toContain('role     app (write access)\nverdict  deny\n');
    expect(stdout).toContain('  2 | DELETE FROM accounts\n    |             ^^^^^^^^\n');
    expect(stdout).toContain(
      '  deny by require-where: DELETE on "accounts" has no WHERE clause, so it would empty the table.\n    hint: Add a WHERE',
    );
    expect(stdout).not.toContain('\u001b');
  });

  it.each([
    ['shop_app', 'UPDATE accounts SET name = $1 WHERE id = $2', 0],
    ['somebody', 'SELECT 1', 0],
    ['somebody', ';', 0],
    ['dba_kim', 'DROP DATABASE shop', 0],
    ['eng_dana', 'DROP TABLE accounts', 1],
    ['somebody', 'INSERT INTO accounts VALUES (1)', 1],
    ['dba_kim', 'TRUNCATE a CASCADE', 1],
    ['dba_kim', 'SELECT * FORM t', 1],
  ] as const)('for %s %s exits with %s + verdict', async (user, sql, expected) => {
    const { status, stdout } = await explain('--user', user, '--json', sql);
    const { verdict } = JSON.parse(stdout) as { verdict: string };
    expect(status).toBe(expected);
    expect(['deny', 'hold'].includes(verdict)).toBe(expected === 1);
  });

  it('--json prints the contract', async () => {
    const { stdout } = await explain(
      '--user',
      'eng_dana',
      '--database',
      'shop',
      '--json',
      'TRUNCATE public.a CASCADE',
    );
    const answer = JSON.parse(stdout) as { statements: { matches: object[] }[] };
    expect(answer).toMatchObject({
      verdict: 'deny',
      role: 'engineers',
      statements: [
        {
          operation: 'truncate',
          relations: [{ schema: 'public', name: 'a' }],
          matches: [
            { rule: 'cascade', action: 'deny' },
            { rule: 'truncate', action: 'hold' },
          ],
        },
      ],
    });
    expect(Object.keys(answer)).toEqual(['verdict', 'role', 'statements']);
    expect(Object.keys(answer.statements[0] ?? {})).toEqual(['operation', 'effects', 'relations', 'matches']);
    expect(Object.keys(answer.statements[0]?.matches[0] ?? {})).toEqual([
      'rule',
      'action',
      'message',
      'hint',
    ]);
  });

  it('puts what concerns the whole text where scripts look', async () => {
    const syntax = await explain('--user', 'eng_dana', '--json', 'SELECT * FORM t');
    expect(JSON.parse(syntax.stdout)).toMatchObject({
      verdict: 'deny',
      statements: [{ operation: 'syntax_error', matches: [{ rule: 'syntax', action: 'deny', hint: null }] }],
    });
    const two = await explain('--user', 'eng_dana', '--json', 'SELECT 1; SELECT 2');
    expect(JSON.parse(two.stdout)).toMatchObject({
      verdict: 'allow',
      statements: [{ matches: [] }, { matches: [{ rule: 'multi-statement', action: 'allow' }] }],
    });
  });

  it('reads standard input', async () => {
    const { status, stdout } = await run(['explain', '--policy', POLICY, '--user', 'shop_app'], {
      input: "-- a comment\nUPDATE accounts SET name = 'ä'\n",
    });
    expect(status).toBe(1);
    expect(stdout).toContain("  2 | UPDATE accounts SET name = 'ä'\n    |        ^^^^^^^^\n");
  });

  it('judges what is too large for the main thread, and too deep for anybody', async () => {
    const list = Array.from({ length: 20_000 }, (_, at) => at).join(',');
    const large = await runHere(['explain', '--policy', POLICY, '--user', 'shop_app', '--json'], {
      input: `DELETE FROM accounts WHERE id IN (${list})`,
    });
    expect(JSON.parse(large.stdout)).toMatchObject({ verdict: 'allow' });
    const deep = await run(['explain', '--policy', POLICY, '--user', 'dba_kim', '--json'], {
      input: `SELECT ${'('.repeat(200_000)}1${')'.repeat(200_000)}`,
    });
    expect(deep.stderr).toBe('');
    expect(JSON.parse(deep.stdout)).toMatchObject({
      verdict: 'deny',
      statements: [{ operation: 'too_complex', matches: [{ rule: 'too-complex' }] }],
    });
  });

  it('refuses input that the protocol could not carry', async () => {
    const nul = await runHere(['explain', '--policy', POLICY, '--user', 'a'], { input: 'SELECT 1\0' });
    expect(nul).toMatchObject({ status: 2, stdout: '' });
    const latin1 = await runHere(['explain', '--policy', POLICY, '--user', 'a'], {
      input: Buffer.from([0x27, 0xff, 0x27]),
    });
    expect(latin1).toMatchObject({ status: 2, stdout: '' });
  });

  it('tells that no role matches', async () => {
    const policy = file(
      'narrow.yaml',
      'version: 1\nroles: [{ name: app, match: { users: [shop_app], networks: [10.0.0.0/8] } }]\n',
    );
    const { status, stdout } = await runHere([
      'explain',
      '--policy',
      policy,
      '--user',
      'shop_app',
      'SELECT 1',
    ]);
    expect(status).toBe(1);
    expect(stdout).toContain(
      'No role of the policy matches user "shop_app" on database "shop_app" from 127.0.0.1',
    );
    const inside = ['explain', '--policy', policy, '--user', 'shop_app', '--address', '10.1.1.1', 'SELECT 1'];
    expect((await runHere(inside)).status).toBe(0);
  });

  it('wants to know whose statement it is, and a policy that is one', async () => {
    expect(await explain('SELECT 1')).toMatchObject({ status: 2, stdout: '' });
    expect(await explain('--user', 'a', '--address', 'nowhere', 'SELECT 1')).toMatchObject({
      status: 2,
      stdout: '',
    });
    expect(await explain('--jsonl', 'SELECT 1')).toMatchObject({ status: 2, stdout: '' });
    const missing = await runHere(['explain', '--policy', 'missing.yaml', '--user', 'a', 'SELECT 1']);
    expect(missing).toEqual({
      status: 1,
      stdout: '',
      stderr: 'missing.yaml:1:1: cannot be read: no such file\n',
    });
  });

  describe('--jsonl', () => {
    const lines = async (input: string | Buffer): Promise<{ status: number | null; answers: unknown[] }> => {
      const { status, stdout } = await runHere(['explain', '--policy', POLICY, '--jsonl'], { input });
      const answers = stdout.split('\n').slice(0, -1);
      return { status, answers: answers.map((line) => JSON.parse(line) as unknown) };
    };

    it('writes one verdict a line, in order', async () => {
      const { status, answers } = await lines(
        [
          '{"sql":"SELECT 1","user":"a","database":"shop"}',
          '',
          '{"sql":"DELETE FROM t","user":"shop_app"}',
          '{"sql":"DROP TABLE t","user":"eng_dana","application":"psql","address":"10.0.0.1"}',
        ].join('\r\n'),
      );
      expect(answers).toMatchObject([
        { verdict: 'allow', role: 'everyone' },
        { verdict: 'deny', role: 'app' },
        { verdict: 'hold', role: 'engineers' },
      ]);
      expect(status).toBe(0);
    });

    it('answers a bad line with its error, goes on, and exits with 1', async () => {
      const { status, answers } = await lines(
        Buffer.concat([
          Buffer.from('nonsense\n[]\n{"sql":1,"user":"a"}\n{"user":"a"}\n{"sql":"SELECT 1"}\n'),
          Buffer.from('{"sql":"SELECT 1","user":"a","usr":"b"}\n{"sql":"SELECT \\u0000","user":"a"}\n'),
          Buffer.from('{"sql":"SELECT \'\\ud800\'","user":"a"}\n'),
          Buffer.from([0xff, 0x0a]),
          Buffer.from('{"sql":"SELECT 1","user":"a"}'),
        ]),
      );
      expect(status).toBe(1);
      expect(answers).toEqual([
        { error: 'line 1: not valid JSON' },
        { error: 'line 2: expected an object' },
        { error: 'line 3: "sql" must be text' },
        { error: 'line 4: "sql" is missing' },
        { error: 'line 5: "user" is missing' },
        { error: 'line 6: unknown key "usr"; known are sql, user, database, application, address' },
        { error: 'line 7: the SQL holds a NUL character, which the protocol cannot carry' },
        { error: 'line 8: the SQL holds half a surrogate pair, which UTF-8 cannot carry' },
        { error: 'line 9: not valid UTF-8' },
        {
          verdict: 'allow',
          role: 'everyone',
          statements: [expect.objectContaining({ operation: 'select' })],
        },
      ]);
    });
  });
});

describe('holdfast audit verify', () => {
  const log = path.join(directory, 'audit.jsonl');

  it('passes a log as it was written, and finds a changed line', async () => {
    const audit = await openAuditLog({
      path: log,
      durability: 'write',
      rotate: { size: 1024 ** 2, keep: 2 },
      now: () => new Date(0),
      onFailure: (error) => {
        throw error;
      },
      onWrite: () => undefined,
    });
    audit.append('"kind":"policy","result":"loaded"}');
    await audit.close();

    const whole = await run(['audit', 'verify', log]);
    expect(whole.stderr).toBe('');
    expect(whole).toMatchObject({ status: 0 });
    expect(whole.stdout).toMatch(/^ok: \d+ records, \d+ seals?\nlast seal: [0-9a-f]{64}\n$/);

    const changed = file('changed.jsonl', readFileSync(log, 'utf8').replace('"loaded"', '"LOADED"'));
    const broken = await runHere(['audit', 'verify', changed]);
    expect(broken.status).toBe(1);
    expect(broken.stdout).toMatch(/^not ok: /);
    expect(broken.stderr).toMatch(new RegExp(`^${changed}:\\d+: `));
  });

  it('says which file cannot be read', async () => {
    const missing = path.join(directory, 'none.jsonl');
    const { status, stderr } = await runHere(['audit', 'verify', missing]);
    expect(status).toBe(1);
    expect(stderr).toContain(missing);
  });
});
