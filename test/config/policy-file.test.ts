import { createHash } from 'node:crypto';
import { mkdtempSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadPolicy, parsePolicy } from '../../src/config/policy-file.js';
import { ConfigError, formatProblem } from '../../src/config/problems.js';
import { OperatorError } from '../../src/errors.js';
import type { Policy } from '../../src/policy/types.js';

function problems(text: string, env: Record<string, string> = {}): string[] {
  const parsed = parsePolicy(text, 'policy.yaml', env);
  return 'problems' in parsed ? parsed.problems.map(formatProblem) : [];
}

function policy(text: string, env: Record<string, string> = {}): Policy {
  const parsed = parsePolicy(text, 'policy.yaml', env);
  if ('problems' in parsed) throw new ConfigError(parsed.problems);
  return parsed.policy;
}

/** A policy of one role, whose lines are given. */
const oneRole = (...lines: readonly string[]): string =>
  ['version: 1', 'roles:', '  - name: app', ...lines.map((line) => `    ${line}`), ''].join('\n');

const HEAD = 'version: 1\nroles:\n  - name: app\n';

describe('a good policy', () => {
  it('of the smallest kind has careful defaults', () => {
    const text = HEAD;
    expect(policy(text)).toEqual({
      mode: 'enforce',
      roles: [{ name: 'app', match: {}, access: 'read', limits: {}, banner: true, session: {}, rules: {} }],
      approvers: [],
      sha256: createHash('sha256').update(text).digest('hex'),
    });
  });

  it('with everything in it is read into the words of the program', () => {
    const { roles, approvers, mode } = policy(
      `version: 1
mode: observe
roles:
  - name: app
    match: { users: [shop_app, "svc_*"], databases: ["*"], applications: [checkout], networks: ["10.0.0.0/8"] }
    access: write
    limits: { connections: 20, connections_percent: 12.5 }
    banner: false
    session: { statement_timeout: 30s, Work_Mem: 64MB, jit: false, extra_float_digits: 2, holdfast.x: y }
    rules:
      default: warn
      truncate: hold
      cascade: { action: deny }
      drop-table: { preview: estimate }
      protected-tables: { tables: ["audit_*"] }
    hold: { approvals: 1, approvers: [dba], timeout: 10m, in_transaction_timeout: 60s, style: ticket }
approvers:
  - { name: dana, groups: [dba], users: [eng_dana], token_sha256: "${'AB'.repeat(32)}", totp_secret: "\${TOTP}" }
`,
      { TOTP: 'JBSWY3DPEHPK3PXP' },
    );
    expect(mode).toBe('observe');
    expect(roles).toEqual([
      {
        name: 'app',
        match: {
          users: ['shop_app', 'svc_*'],
          databases: ['*'],
          applications: ['checkout'],
          networks: ['10.0.0.0/8'],
        },
        access: 'write',
        limits: { connections: 20, connectionsPercent: 12.5 },
        banner: false,
        session: {
          statement_timeout: '30s',
          work_mem: '64MB',
          jit: 'off',
          extra_float_digits: '2',
          'holdfast.x': 'y',
        },
        defaultAction: 'warn',
        rules: {
          truncate: { action: 'hold', options: {} },
          cascade: { action: 'deny', options: {} },
          // Named without action: the rule's own default, deny where it has none.
          'drop-table': { action: 'hold', options: {}, preview: 'estimate' },
          'protected-tables': { action: 'deny', options: { tables: ['audit_*'] } },
        },
        hold: {
          approvals: 1,
          approvers: ['dba'],
          timeoutMs: 600_000,
          inTransactionTimeoutMs: 60_000,
          ticketTtlMs: 600_000,
          style: 'ticket',
          atCommit: false,
        },
      },
    ]);
    expect(approvers).toEqual([
      {
        name: 'dana',
        groups: ['dba'],
        users: ['eng_dana'],
        tokenSha256: 'ab'.repeat(32),
        totpSecret: 'JBSWY3DPEHPK3PXP',
      },
    ]);
  });

  it('takes values from the environment, numbers too', () => {
    const text = oneRole('limits: { connections: "${N}" }', 'match: { users: ["${PREFIX}_*"] }');
    const [role] = policy(text, { N: '12', PREFIX: 'svc' }).roles;
    expect(role?.limits).toEqual({ connections: 12 });
    expect(role?.match).toEqual({ users: ['svc_*'] });
  });

  it('may use anchors', () => {
    const text = `version: 1
roles:
  - { name: a, match: { users: [a] }, session: &session { statement_timeout: 5s } }
  - { name: b, session: *session }
`;
    expect(policy(text).roles[1]?.session).toEqual({ statement_timeout: '5s' });
  });
});

describe('a bad policy is refused, with the place and the word', () => {
  it.each<[what: string, text: string, expected: readonly string[]]>([
    ['empty', '', ['1:1: the file is empty: a policy has at least version and roles']],
    ['comments only', '# nothing\n', ['1:1: the file is empty: a policy has at least version and roles']],
    ['no mapping', 'hello', ['1:1: expected a mapping, found "hello"']],
    ['no version, no roles', 'mode: enforce\n', ['1:1: "version" is missing', '1:1: "roles" is missing']],
    ['another version', 'version: 2\nroles: [{ name: a }]\n', ['1:10: expected 1, found 2']],
    ['no role in roles', 'version: 1\nroles: []\n', ['2:8: a policy without roles refuses every login']],
    ['unknown key', oneRole('acess: write'), ['4:5: unknown key "acess" (did you mean "access"?)']],
    [
      'unknown key that is close to nothing',
      oneRole('colour: red'),
      [
        '4:5: unknown key "colour"; known are name, match, access, limits, session, banner, rules, hold, undo',
      ],
    ],
    ['wrong type', oneRole('rules: 3'), ['4:12: expected a mapping, found 3']],
    ['nothing', oneRole('match:'), ['4:11: expected a mapping, found nothing']],
    [
      'unknown access',
      oneRole('access: wirte'),
      ['4:13: expected one of none, read, write, ddl, admin, found "wirte" (did you mean "write"?)'],
    ],
    [
      'unknown rule',
      oneRole('rules: { truncat: hold }'),
      ['4:14: unknown rule "truncat" (did you mean "truncate"?)'],
    ],
    [
      'rules that need one of their options',
      oneRole('rules:', '  write-budget: { action: deny, window: 1m }', '  recovery-ready: deny'),
      [
        '5:21: the rule "write-budget" needs rows, statements or both: how much may be changed in the window',
        '6:23: the rule "recovery-ready" does nothing without options: expected a mapping with max_age, command, deadline, cache, operations',
      ],
    ],
    [
      'wrong options of rules',
      oneRole(
        'rules:',
        '  write-budget: { rows: 0, window: soon, operations: [drop] }',
        '  recovery-ready: { command: [check-backup], deadline: 40d }',
      ),
      [
        '5:29: must be at least 1',
        '5:40: expected a duration such as 30s (units ms, s, m, h, d), found "soon"',
        '5:59: expected one of insert, update, delete, merge, truncate, copy_from, function, found "drop"',
        '6:34: the program is named by its absolute path',
        '6:60: must be more than 0 and less than 25 days',
      ],
    ],
    [
      'unknown action',
      oneRole('rules: { truncate: denny }'),
      ['4:24: expected one of allow, warn, confirm, hold, deny, found "denny" (did you mean "deny"?)'],
    ],
    [
      'unknown action in a mapping',
      oneRole('rules: { truncate: { action: no } }'),
      ['4:34: expected one of allow, warn, confirm, hold, deny, found "no"'],
    ],
    [
      'unknown preview',
      oneRole('rules: { truncate: { preview: guess } }'),
      ['4:35: expected one of measure, estimate, found "guess"'],
    ],
    [
      'a rule that is no action',
      oneRole('rules: { truncate: 3 }'),
      ['4:24: expected an action (allow, warn, confirm, hold, deny) or a mapping, found 3'],
    ],
    [
      'unknown option',
      oneRole('rules: { truncate: { rows: 3 } }'),
      ['4:26: unknown key "rows"; known are action, preview'],
    ],
    [
      'missing options',
      oneRole('rules: { protected-tables: deny }'),
      ['4:32: the rule "protected-tables" does nothing without options: expected a mapping with tables'],
    ],
    [
      'an option left out',
      oneRole('rules: { protected-tables: { action: deny } }'),
      ['4:32: "tables" is missing'],
    ],
    [
      'a bad table pattern',
      oneRole('rules: { protected-tables: { tables: [ok, a.b.c] } }'),
      ['4:47: expected name or schema.name, found a.b.c'],
    ],
    [
      'a bad glob',
      oneRole('match: { users: ["a?"] }'),
      ['4:22: "?" is no wildcard here: only * is (any run of characters)'],
    ],
    [
      'an empty list',
      oneRole('match: { users: [] }'),
      ['4:21: an empty list matches nothing; leave it out to match all'],
    ],
    [
      'a bad network',
      oneRole('match: { networks: [10.0.0.1/8] }'),
      ['4:25: "10.0.0.1/8" has bits set behind its prefix; did you mean 10.0.0.0/8?'],
    ],
    ['a bad percentage', oneRole('limits: { connections_percent: 101 }'), ['4:36: must be at most 100']],
    ['a bad number', oneRole('limits: { connections: 1.5 }'), ['4:28: expected a whole number, found 1.5']],
    [
      'a bad role name',
      'version: 1\nroles: [{ name: "a b" }]\n',
      ['2:17: expected a name such as app (letters, digits, _ . -, at most 63)'],
    ],
    [
      'two roles of one name',
      'version: 1\nroles:\n  - { name: a, match: { users: [x] } }\n  - { name: a }\n',
      ['4:13: there are two roles of the name "a"'],
    ],
    [
      'a variable that is not set',
      oneRole('match: { users: ["${NOBODY}"] }'),
      ['4:22: the environment variable NOBODY is not set'],
    ],
    [
      'a variable without a name',
      oneRole('match: { users: ["${}"] }'),
      ['4:22: ${} names no environment variable: expected ${NAME}'],
    ],
    [
      'a server setting that is misspelt',
      oneRole('session: { statment_timeout: 5s }'),
      ['4:16: unknown server setting "statment_timeout" (did you mean "statement_timeout"?)'],
    ],
    [
      'a server setting that is none',
      oneRole('session: { "a b": 1 }'),
      ['4:16: "a b" is no name of a server setting'],
    ],
    [
      'a field of the startup packet',
      oneRole('session: { user: postgres }'),
      ['4:16: "user" is no server setting'],
    ],
    [
      'minutes as the server does not spell them',
      oneRole('session: { statement_timeout: 10m }'),
      ['4:35: the server takes no time "10m": its units are us, ms, s, min, h, d (did you mean "10min"?)'],
    ],
    [
      'a switch that is none',
      oneRole('session: { jit: maybe }'),
      ['4:21: the server takes on or off for jit, not "maybe"'],
    ],
    [
      'a setting that is a list',
      oneRole('session: { search_path: [a, b] }'),
      ['4:29: expected text, a number or true or false'],
    ],
    [
      'a duration without unit',
      oneRole('hold: { approvers: [x], timeout: 10 }'),
      [
        '4:25: no approver belongs to the group "x", so nobody could approve',
        '4:38: expected a duration such as 30s (units ms, s, m, h, d), found 10',
      ],
    ],
    [
      'a duration of nothing',
      `${oneRole('hold: { approvers: [x], timeout: 0s }')}approvers: [{ name: a, groups: [x] }]\n`,
      ['4:38: must be more than 0 and less than 25 days'],
    ],
    [
      'more approvals than approvers',
      `${oneRole('hold: { approvers: [x], approvals: 2 }')}approvers: [{ name: a, groups: [x] }, { name: b, groups: [y] }]\n`,
      ['4:40: 2 approvals are wanted, but only 1 approver belongs to x'],
    ],
    [
      'old rows of what nobody approves',
      oneRole('undo: capture'),
      [
        '4:11: old rows are kept of what was approved, and the role has no "hold" setting, which says who approves',
      ],
    ],
    [
      'old rows of what is not tried',
      `${oneRole('undo: capture')}    hold: { approvers: [x] }
    rules: { json-overwrite: { action: hold, preview: estimate } }
approvers: [{ name: a, groups: [x] }]
`,
      [
        '6:55: which old rows are to be kept is known when the statement has been tried: "undo" goes with preview: measure',
      ],
    ],
    [
      'a token that is no SHA-256',
      `${HEAD}approvers: [{ name: a, token_sha256: abc }]\n`,
      ['4:38: expected a SHA-256: 64 hexadecimal digits'],
    ],
    [
      'two approvers of one name',
      `${HEAD}approvers: [{ name: a }, { name: a }]\n`,
      ['4:34: there are two approvers of the name "a"'],
    ],
    [
      'a key twice',
      `${HEAD}    access: read\n    access: write\n`,
      ['5:5: this key stands here twice; which of the two counts?'],
    ],
    ['tabs', `version: 1\nroles:\n\t- name: app\n`, ['3:1: tabs cannot indent YAML; use spaces']],
  ])('%s', (_, text, expected) => {
    expect(problems(text)).toEqual(expected.map((line) => `policy.yaml:${line}`));
  });

  it('a setting that would make SQL unreadable', () => {
    const [problem, ...others] = problems(oneRole('session: { standard_conforming_strings: off }'));
    expect(problem).toMatch(/^policy\.yaml:4:45: cannot be set: /);
    expect(others).toEqual([]);
  });

  it('a read role whose transactions would not be read only', () => {
    const lifted = 'session: { default_transaction_read_only: off }';
    expect(problems(oneRole(lifted))).toEqual([
      'policy.yaml:4:47: a role of read access keeps its transactions read only',
    ]);
    expect(problems(oneRole('access: write', lifted))).toEqual([]);
    expect(problems(oneRole('session: { default_transaction_read_only: on }'))).toEqual([]);
  });

  it('and all its problems are reported at once, in the order of the file', () => {
    const found = problems(
      `version: 1
mod: observe
roles:
  - name: app
    match: { users: [shop_app] }
    acess: write
    session: { bad name: 1, statement_timeout: 10m }
    rules: { truncat: hold, cascade: denny }
  - name: app
    match: { users: ["\${NOBODY}"] }
`,
    );
    expect(found.map((line) => line.split(': ')[0])).toEqual([
      'policy.yaml:2:1',
      'policy.yaml:6:5',
      'policy.yaml:7:16',
      'policy.yaml:7:48',
      'policy.yaml:8:14',
      'policy.yaml:8:38',
      'policy.yaml:9:11',
      'policy.yaml:10:22',
    ]);
  });

  it('never shows a secret that came from the environment', () => {
    const text = `${HEAD}approvers: [{ name: a, totp_secret: "\${TOTP}", token_sha256: "\${TOKEN}" }]\n`;
    const found = problems(text, { TOTP: 'not base32!', TOKEN: 'hunter2' }).join('\n');
    expect(found).toMatch(/expected a base32 secret/);
    expect(found).not.toMatch(/hunter2|not base32/);
  });
});

describe('a role that can never match', () => {
  const roles = (...list: readonly string[]): string =>
    `version: 1\nroles:\n${list.map((item) => `  - ${item}\n`).join('')}`;

  it('stands behind one that matches every session', () => {
    expect(problems(roles('{ name: everyone }', '{ name: x, match: { users: [a] } }'))).toEqual([
      'policy.yaml:4:11: role "x" can never match: role "everyone" before it matches every session'.replace(
        '4:11',
        '4:13',
      ),
    ]);
    expect(
      problems(
        roles(
          '{ name: everyone, match: { users: ["a", "*"], databases: ["**"], networks: ["0.0.0.0/0", "::/0"] } }',
          '{ name: x }',
        ),
      ),
    ).toHaveLength(1);
  });

  it('or behind one that matches all of its sessions', () => {
    expect(
      problems(
        roles(
          '{ name: services, match: { users: ["svc_*"], networks: ["10.0.0.0/8"] } }',
          '{ name: mail, match: { users: [svc_mail, "svc_m*"], networks: ["10.1.0.0/16"], databases: [shop] } }',
        ),
      ),
    ).toEqual([
      'policy.yaml:4:13: role "mail" can never match: role "services" before it matches every session that it would',
    ]);
  });

  it.each([
    ['{ name: a, match: { users: ["svc_*"] } }', '{ name: b, match: { users: ["s*"] } }'],
    ['{ name: a, match: { users: [x], databases: [shop] } }', '{ name: b, match: { users: [x] } }'],
    ['{ name: a, match: { networks: ["0.0.0.0/0"] } }', '{ name: b }'],
    ['{ name: a, match: { networks: ["10.1.0.0/16"] } }', '{ name: b, match: { networks: ["10.0.0.0/8"] } }'],
    ['{ name: a, match: { users: [a] } }', '{ name: b, match: { users: [a, b] } }'],
  ])('but not behind a narrower one: %s, %s', (first, second) => {
    expect(problems(roles(first, second))).toEqual([]);
  });
});

describe('loadPolicy', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-policy-'));
  const failure = async (file: string): Promise<ConfigError> => {
    const error: unknown = await loadPolicy(file, {}).then(
      () => null,
      (reason: unknown) => reason,
    );
    if (!(error instanceof ConfigError)) throw new Error('expected a ConfigError', { cause: error });
    return error;
  };

  it('hashes the bytes of the file', async () => {
    const file = path.join(directory, 'good.yaml');
    const bytes = Buffer.from(`\uFEFF${HEAD}`);
    writeFileSync(file, bytes);
    expect((await loadPolicy(file, {})).sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it('names the file that cannot be read', async () => {
    const missing = path.join(directory, 'missing.yaml');
    const error = await failure(missing);
    expect(error).toBeInstanceOf(OperatorError);
    expect(error.exitCode).toBe(1);
    expect(error.message).toBe(`${missing}:1:1: cannot be read: no such file`);
    const folder = path.join(directory, 'folder');
    mkdirSync(folder);
    expect((await failure(folder)).message).toBe(`${folder}:1:1: cannot be read: it is a directory`);
  });

  it('refuses a file that is no UTF-8', async () => {
    const file = path.join(directory, 'latin1.yaml');
    writeFileSync(file, Buffer.from([0x61, 0xff]));
    expect((await failure(file)).message).toBe(`${file}:1:1: is not valid UTF-8`);
  });

  it('puts all problems into the message, one a line', async () => {
    const file = path.join(directory, 'bad.yaml');
    writeFileSync(file, 'version: 1\nroles:\n  - name: a\n    x: 1\n    y: 2\n');
    const error = await failure(file);
    expect(error.problems).toHaveLength(2);
    expect(error.message.split('\n')).toEqual(error.problems.map(formatProblem));
  });

  it('loads the shipped policy', async () => {
    const shipped = new URL('../../config/policy.yaml', import.meta.url).pathname;
    const { mode, roles, sha256 } = await loadPolicy(shipped, {});
    expect(mode).toBe('enforce');
    expect(roles.map(({ name, access }) => `${name} ${access}`)).toEqual([
      'dba admin',
      'app write',
      'engineers ddl',
      'analysts read',
      'everyone read',
    ]);
    expect(sha256).toBe(createHash('sha256').update(readFileSync(shipped)).digest('hex'));
  });
});
