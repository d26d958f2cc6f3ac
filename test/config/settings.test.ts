import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, formatProblem } from '../../src/config/problems.js';
import { defaultSettingsPath, loadSettings, parseSettings } from '../../src/config/settings.js';
import type { Settings } from '../../src/config/settings.js';

const ROOT = path.resolve(new URL('../../', import.meta.url).pathname);

function settings(text: string, env: Record<string, string> = {}): Settings {
  const { settings: parsed, problems } = parseSettings(text, '/etc/holdfast/holdfast.yaml', env);
  if (parsed === null) throw new ConfigError(problems);
  return parsed;
}

const problems = (text: string, env: Record<string, string> = {}): string[] =>
  parseSettings(text, 'holdfast.yaml', env).problems.map(formatProblem);

describe('settings', () => {
  it('have a default for everything, with the shipped policy', async () => {
    expect(await loadSettings(undefined, {})).toEqual({
      environment: 'production',
      listen: { host: '127.0.0.1', port: 6432, tls: { mode: 'off' } },
      upstream: { host: '127.0.0.1', port: 5432, tls: { mode: 'prefer' } },
      admin: { host: '127.0.0.1', port: 9432 },
      policy: path.join(ROOT, 'config/policy.yaml'),
      catalog: { maxAge: 300_000, timeout: 10_000 },
      holds: { store: 'memory', schema: 'holdfast', webhooks: [] },
      audit: {
        path: path.resolve('.holdfast/audit.jsonl'),
        durability: 'write',
        sql: 'full',
        sqlLimit: 1_048_576,
        parameters: 'hash',
        rotate: { size: 100 * 1024 ** 2, keep: 10 },
      },
      undo: {
        path: path.resolve('.holdfast/undo'),
        maxSize: 16 * 1024 ** 2,
        totalSize: 1024 ** 3,
      },
      limits: {
        connections: 1000,
        startupTimeout: 10_000,
        message: 64 * 1024 ** 2,
        statement: 16 * 1024 ** 2,
        drainTimeout: 30_000,
        upstreamConnectTimeout: 10_000,
      },
    });
  });

  it('the shipped file says the defaults', async () => {
    const shipped = await loadSettings(path.join(ROOT, 'config/holdfast.yaml'), {});
    const defaults = await loadSettings(undefined, {});
    const withoutPaths = (all: Settings): Settings => ({
      ...all,
      audit: { ...all.audit, path: '' },
      undo: { ...all.undo, path: '' },
    });
    expect(withoutPaths(shipped)).toEqual(withoutPaths(defaults));
    expect(shipped.audit.path).toBe(path.join(ROOT, '.holdfast/audit.jsonl'));
    expect(shipped.undo.path).toBe(path.join(ROOT, '.holdfast/undo'));
    expect(settings('undo: { path: rows }').undo.path).toBe('/etc/holdfast/rows');
  });

  it('a file without a word in it says the defaults too', () => {
    expect(settings('# nothing\n').listen.port).toBe(6432);
    expect(settings('').policy).toBe('/etc/holdfast/policy.yaml');
  });

  it('resolve paths from the place of the file', () => {
    const { policy, audit, listen, upstream } = settings(
      'policy: ../p.yaml\naudit: { path: /var/log/a.jsonl }\nlisten: { tls: { cert: c.pem, key: k.pem } }\nupstream: { tls: { ca: ca.pem } }\n',
    );
    expect(policy).toBe('/etc/p.yaml');
    expect(audit.path).toBe('/var/log/a.jsonl');
    expect(listen.tls).toEqual({ mode: 'prefer', cert: '/etc/holdfast/c.pem', key: '/etc/holdfast/k.pem' });
    expect(upstream.tls).toEqual({ mode: 'prefer', ca: '/etc/holdfast/ca.pem' });
  });

  it.each([
    ['64kB', 65_536],
    ['64KB', 65_536],
    ['1 MB', 1024 ** 2],
    ['65536', 65_536],
    ['"65536"', 65_536],
    ['65536B', 65_536],
  ])('read the size %s', (text, bytes) => {
    expect(settings(`audit: { rotate: { size: ${text} } }`).audit.rotate.size).toBe(bytes);
  });

  it.each([
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
  ])('read the duration %s', (text, ms) => {
    expect(settings(`limits: { startup_timeout: ${text} }`).limits.startupTimeout).toBe(ms);
  });

  it('take values from the environment, wherever they stand', () => {
    const { upstream, environment, limits } = settings(
      'environment: "${ENV}"\nupstream:\n  host: db.${ZONE}.internal\n  port: ${PORT}\nlimits: { message: "${SIZE}" }\n',
      { ENV: 'staging', ZONE: 'eu', PORT: '5433', SIZE: '32MB' },
    );
    expect(environment).toBe('staging');
    expect(upstream).toMatchObject({ host: 'db.eu.internal', port: 5433 });
    expect(limits.message).toBe(32 * 1024 ** 2);
  });

  it('do not take quoted numbers for numbers otherwise', () => {
    expect(problems('listen: { port: "6432" }')).toEqual([
      'holdfast.yaml:1:17: expected a number, found "6432"',
    ]);
  });

  it.each<[what: string, text: string, expected: readonly string[]]>([
    ['unknown key', 'listn: {}', ['1:1: unknown key "listn" (did you mean "listen"?)']],
    [
      'unknown nested key',
      'limits:\n  conections: 3\n',
      ['2:3: unknown key "conections" (did you mean "connections"?)'],
    ],
    ['wrong type', 'listen: 6432', ['1:9: expected a mapping, found 6432']],
    ['a port out of range', 'admin: { port: 70000 }', ['1:16: must be at most 65535']],
    ['no upstream port', 'upstream: { port: 0 }', ['1:19: must be at least 1']],
    [
      'a mode that is none',
      'upstream: { tls: { mode: verify } }',
      ['1:26: expected one of off, prefer, require, verify-full, found "verify"'],
    ],
    [
      'a bad size',
      'limits: { message: 64Mb }',
      ['1:20: expected a size such as 64MB (units B, kB, MB, GB), found "64Mb"'],
    ],
    ['a size out of range', 'limits: { message: 2GB }', ['1:20: must be from 64kB to 1023MB']],
    [
      'a bad duration',
      'limits: { startup_timeout: 10 }',
      ['1:28: expected a duration such as 30s (units ms, s, m, h, d), found 10'],
    ],
    [
      'an environment that nobody could echo',
      'environment: "my prod"',
      ['1:14: expected one word such as production (letters, digits, _ . -, at most 63)'],
    ],
    [
      'a missing variable',
      'upstream: { host: "${DB_HOST}" }',
      ['1:19: the environment variable DB_HOST is not set'],
    ],
    [
      'TLS without a certificate',
      'listen: { tls: { mode: require } }',
      ['1:24: mode require needs cert and key'],
    ],
    [
      'a certificate without its key',
      'listen: { tls: { cert: a.pem } }',
      ['1:16: cert and key go together: one of them is missing'],
    ],
    [
      'a statement larger than a message',
      'limits: { message: 1MB, statement: 2MB }',
      ['1:36: must not be more than limits.message: a statement comes in one message'],
    ],
    ['a key twice', 'policy: a\npolicy: b\n', ['2:1: this key stands here twice; which of the two counts?']],
    [
      'broken YAML',
      'listen: { port: 1\n',
      ['2:1: not valid YAML: Flow map in block collection must be sufficiently indented and end with a }'],
    ],
    [
      'several mistakes',
      'listn: {}\nadmin: { port: x }\nupstream: { port: "${P}" }\n',
      [
        '1:1: unknown key "listn" (did you mean "listen"?)',
        '2:16: expected a number, found "x"',
        '3:19: the environment variable P is not set',
      ],
    ],
  ])('refuse %s', (_, text, expected) => {
    expect(problems(text)).toEqual(expected.map((line) => `holdfast.yaml:${line}`));
  });
});

describe('loadSettings', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-settings-'));

  it('refuses a file that is missing', async () => {
    const file = path.join(directory, 'missing.yaml');
    await expect(loadSettings(file, {})).rejects.toThrow(`${file}:1:1: cannot be read: no such file`);
  });

  it('refuses certificates that cannot be read, each at its place', async () => {
    const file = path.join(directory, 'tls.yaml');
    writeFileSync(path.join(directory, 'server.key'), 'key');
    writeFileSync(
      file,
      'listen:\n  tls: { cert: server.crt, key: server.key }\nupstream:\n  tls: { ca: root.crt }\n',
    );
    await expect(loadSettings(file, {})).rejects.toThrow(
      [
        `${file}:2:16: ${directory}/server.crt cannot be read: no such file`,
        `${file}:4:14: ${directory}/root.crt cannot be read: no such file`,
      ].join('\n'),
    );
  });

  it('finds the settings of a directory, if there are any', () => {
    expect(defaultSettingsPath(directory)).toBeUndefined();
    mkdirSync(path.join(directory, 'config'));
    writeFileSync(path.join(directory, 'config/holdfast.yaml'), '');
    expect(defaultSettingsPath(directory)).toBe(path.join(directory, 'config/holdfast.yaml'));
  });
});
