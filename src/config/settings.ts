/**
 * The settings file: config/holdfast.yaml.
 *
 * Law: every setting has a default; a file only says what differs. Nothing else
 * in the program reads settings files or knows how they spell things.
 */
import { access, constants } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ConfigError, sortedProblems } from './problems.js';
import type { Problem } from './problems.js';
import { parseWith } from './schema-problems.js';
import { duration } from '../policy/option-values.js';
import { closed, port, size, text } from './values.js';
import { urlProblem, webhookProblems, webhookSchema } from './webhook-settings.js';
import type { WebhookSettings } from './webhook-settings.js';
import { parseYaml, readText, reasonOf } from './yaml-source.js';
import type { Environment, YamlSource } from './yaml-source.js';

/** Paths are absolute, sizes in bytes, times in milliseconds. */
export interface Settings {
  /** The environment's name: shown to people, and what `confirm` wants echoed. */
  readonly environment: string;
  readonly listen: {
    readonly host: string;
    /** 0: the operating system chooses. */
    readonly port: number;
    readonly tls: {
      readonly mode: 'off' | 'prefer' | 'require';
      readonly cert?: string;
      readonly key?: string;
    };
  };
  readonly upstream: {
    readonly host: string;
    readonly port: number;
    readonly tls: { readonly mode: 'off' | 'prefer' | 'require' | 'verify-full'; readonly ca?: string };
  };
  readonly admin: { readonly host: string; readonly port: number };
  /** Path of the policy file. */
  readonly policy: string;
  readonly audit: {
    readonly path: string;
    readonly durability: 'write' | 'fsync';
    readonly sql: 'full' | 'normalized' | 'hash';
    /** Bytes of a statement that are recorded at most. */
    readonly sqlLimit: number;
    readonly parameters: 'full' | 'hash' | 'omit';
    readonly rotate: { readonly size: number; readonly keep: number };
  };
  readonly holds: {
    /** Where they are kept: in the process, or in a database that several share (`url` is there then). */
    readonly store: 'memory' | 'postgres';
    readonly url?: string;
    readonly schema: string;
    /** Of the approvals page, for links to it. */
    readonly pageUrl?: string;
    readonly webhooks: readonly WebhookSettings[];
  };
  /** Where the old rows of approved statements are kept (roles with `undo: capture`), and how much of them, bytes. */
  readonly undo: { readonly path: string; readonly maxSize: number; readonly totalSize: number };
  /** What is known of the databases' catalogs, milliseconds. */
  readonly catalog: { readonly maxAge: number; readonly timeout: number };
  readonly limits: {
    readonly connections: number;
    readonly startupTimeout: number;
    readonly message: number;
    readonly statement: number;
    readonly drainTimeout: number;
    readonly upstreamConnectTimeout: number;
  };
}

const KB = 1024;
const MB = 1024 * KB;

/** PostgreSQL's MaxAllocSize is 1 GB - 1, header included; a JavaScript string ends at 512 MB, and a statement becomes one. */
const MOST_MESSAGE = 1023 * MB;
const MOST_STATEMENT = 256 * MB;

const host = z.string().min(1);
const file = z.string().min(1);

/** It must be typed in `SET holdfast.target = '…'`, so it is one plain word. */
const environment = text((value) =>
  /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value)
    ? null
    : 'expected one word such as production (letters, digits, _ . -, at most 63)',
);

export const settingsSchema = closed({
  environment: environment
    .default('production')
    .meta({ description: 'shown to people; confirm wants it echoed' }),
  listen: closed({
    host: host.default('127.0.0.1'),
    port: port(0).default(6432),
    tls: closed({
      mode: z
        .enum(['off', 'prefer', 'require'])
        .exactOptional()
        .meta({ description: 'default: prefer with cert and key, off without' }),
      cert: file.exactOptional().meta({ description: 'certificate chain, PEM' }),
      key: file.exactOptional().meta({ description: 'private key, PEM' }),
    }).prefault({}),
  }).prefault({}),
  upstream: closed({
    host: host
      .default('127.0.0.1')
      .meta({ description: 'host name, address, or the directory of a Unix socket' }),
    port: port(1).default(5432),
    tls: closed({
      mode: z.enum(['off', 'prefer', 'require', 'verify-full']).default('prefer'),
      ca: file.exactOptional().meta({ description: 'certificate authorities to trust, PEM' }),
    }).prefault({}),
  }).prefault({}),
  admin: closed({ host: host.default('127.0.0.1'), port: port(0).default(9432) })
    .prefault({})
    .meta({ description: '/metrics /healthz /readyz' }),
  policy: file.default('policy.yaml').meta({ description: 'relative to this file' }),
  audit: closed({
    path: file.exactOptional().meta({
      description: 'relative to this file; default: .holdfast/audit.jsonl in the working directory',
    }),
    durability: z.enum(['write', 'fsync']).default('write').meta({
      description:
        'write: in the kernel before the statement is forwarded; fsync: on disk before it is forwarded',
    }),
    sql: z.enum(['full', 'normalized', 'hash']).default('full'),
    sql_limit: size({ least: 1 * KB, most: 256 * MB })
      .prefault('1MB')
      .meta({
        description: 'of a longer statement the beginning is recorded, with the size and SHA-256 of all',
      }),
    parameters: z.enum(['full', 'hash', 'omit']).default('hash'),
    rotate: closed({
      size: size({ least: 64 * KB, most: 1024 * 1024 * MB }).prefault('100MB'),
      keep: z.int().min(0).max(10_000).default(10),
    }).prefault({}),
  }).prefault({}),
  holds: closed({
    store: z.enum(['memory', 'postgres']).default('memory').meta({
      description: 'memory: of this process alone; postgres: shared by all that have the same url and schema',
    }),
    url: text(databaseUrlProblem).exactOptional().meta({
      description: 'postgres://user:${PASSWORD}@host:5432/database; for store: postgres',
    }),
    schema: text(schemaNameProblem)
      .default('holdfast')
      .meta({ description: 'made there when it is missing' }),
    page_url: text(urlProblem)
      .exactOptional()
      .meta({ description: 'address of the approvals page as people reach it, for links to it' }),
    webhooks: z.array(webhookSchema).max(20).default([]).meta({
      description: 'who is told by HTTP what becomes of statements that wait for approval',
    }),
  }).prefault({}),
  undo: closed({
    path: file.exactOptional().meta({
      description: 'a directory, relative to this file; default: undo, beside the audit log',
    }),
    max_size: size({ least: 64 * KB, most: 128 * MB })
      .prefault('16MB')
      .meta({ description: 'of one statement; what would take more is refused' }),
    total_size: size({ least: 1 * MB, most: 1024 * 1024 * MB })
      .prefault('1GB')
      .meta({ description: 'of all; the oldest go first' }),
  })
    .prefault({})
    .meta({ description: 'the old rows of approved statements, for roles with undo: capture' }),
  catalog: closed({
    max_age: duration().prefault('5m').meta({
      description: 'how old what is known of a database may get; schema changes that pass here count at once',
    }),
    timeout: duration()
      .prefault('10s')
      .meta({ description: 'how long the server may take to show its catalogs' }),
  }).prefault({}),
  limits: closed({
    connections: z.int().min(1).max(1_000_000).default(1000),
    startup_timeout: duration().prefault('10s'),
    message: size({ least: 64 * KB, most: MOST_MESSAGE }).prefault('64MB'),
    statement: size({ least: KB, most: MOST_STATEMENT }).prefault('16MB'),
    drain_timeout: duration().prefault('30s'),
    upstream_connect_timeout: duration().prefault('10s'),
  }).prefault({}),
});

/** One @, behind the user and before the host: else a part of a password would be taken for something else. Never quotes it. */
function databaseUrlProblem(value: string): string | null {
  return /^postgres(ql)?:\/\/([^/?#@]*@)?[^/?#@]*(\/[^/?#@]*)?(\?[^#@]*)?$/i.test(value)
    ? null
    : 'expected the URL of a database such as postgres://user@host:5432/database; / ? # @ : in a password are written %2F %3F %23 %40 %3A';
}

function schemaNameProblem(value: string): string | null {
  return /^(?!pg_)[a-z_][a-z0-9_]{0,39}$/.test(value)
    ? null
    : 'expected a name of lower-case letters, digits and _, at most 40, that does not begin with pg_';
}

type RawSettings = z.output<typeof settingsSchema>;

/** The policy that comes with the package; from src/config and dist/config alike. */
const SHIPPED_POLICY = fileURLToPath(new URL('../../config/policy.yaml', import.meta.url));

/** Where the settings are when nobody says: `config/holdfast.yaml` below `directory` if it is there, else nowhere (defaults). */
export function defaultSettingsPath(directory: string): string | undefined {
  const path = resolve(directory, 'config/holdfast.yaml');
  return existsSync(path) ? path : undefined;
}

/**
 * Reads the settings; with no path, the defaults and the shipped policy.
 * The policy file is not looked at: `loadPolicy` does, and says what is wrong with it.
 * @throws ConfigError with every problem of the file; certificates and keys that cannot be read included.
 */
export async function loadSettings(path: string | undefined, env: Environment): Promise<Settings> {
  if (path === undefined) {
    return toSettings(settingsSchema.parse({ policy: SHIPPED_POLICY }), process.cwd());
  }
  const read = await readText(path);
  if ('problem' in read) throw new ConfigError([read.problem]);
  const parsed = parseSettings(read.text, path, env);
  const problems = [...parsed.problems];
  if (parsed.settings !== null) problems.push(...(await unreadableFiles(parsed.settings, parsed.source)));
  if (parsed.settings === null || problems.length > 0) throw new ConfigError(sortedProblems(problems));
  return parsed.settings;
}

/** Settings from a file's text. Pure: files that the settings name are not looked at. `settings` is null when there are problems. */
export function parseSettings(
  content: string,
  path: string,
  env: Environment,
): {
  readonly settings: Settings | null;
  readonly problems: readonly Problem[];
  readonly source: YamlSource;
} {
  const source = parseYaml(content, path, env);
  const failed = (problems: readonly Problem[]): ReturnType<typeof parseSettings> => ({
    settings: null,
    problems: sortedProblems([...source.problems, ...problems]),
    source,
  });
  const empty = source.data() === null;
  if (empty && source.problems.length > 0) return failed([]);
  // A file in which every line is commented out says: all defaults.
  const result = empty ? { value: settingsSchema.parse({}) } : parseWith(settingsSchema, source);
  if ('problems' in result) return failed(result.problems);
  const problems = [...source.problems, ...contradictions(result.value, source)];
  if (problems.length > 0) return failed(problems);
  return { settings: toSettings(result.value, dirname(resolve(path))), problems: [], source };
}

function contradictions(raw: RawSettings, source: YamlSource): Problem[] {
  const problems: Problem[] = [];
  const { mode, cert, key } = raw.listen.tls;
  const wantsTls = mode === 'prefer' || mode === 'require';
  if ((cert === undefined) !== (key === undefined)) {
    problems.push(source.problem(['listen', 'tls'], 'cert and key go together: one of them is missing'));
  } else if (wantsTls && cert === undefined) {
    problems.push(source.problem(['listen', 'tls', 'mode'], `mode ${mode} needs cert and key`));
  }
  problems.push(...webhookProblems(raw.holds.webhooks, source));
  if (raw.holds.store === 'postgres' && raw.holds.url === undefined) {
    problems.push(source.problem(['holds'], 'store: postgres needs the url of its database'));
  } else if (raw.holds.store === 'memory' && raw.holds.url !== undefined) {
    problems.push(source.problem(['holds', 'url'], 'there is a url, but not store: postgres'));
  }
  if (raw.undo.max_size > raw.undo.total_size) {
    problems.push(source.problem(['undo', 'max_size'], 'must not be more than undo.total_size'));
  }
  if (raw.limits.statement > raw.limits.message) {
    problems.push(
      source.problem(
        ['limits', 'statement'],
        'must not be more than limits.message: a statement comes in one message',
      ),
    );
  }
  return problems;
}

async function unreadableFiles(settings: Settings, source: YamlSource): Promise<Problem[]> {
  const named: readonly (readonly [readonly string[], string | undefined])[] = [
    [['listen', 'tls', 'cert'], settings.listen.tls.cert],
    [['listen', 'tls', 'key'], settings.listen.tls.key],
    [['upstream', 'tls', 'ca'], settings.upstream.tls.ca],
  ];
  const problems: Problem[] = [];
  for (const [path, name] of named) {
    if (name === undefined) continue;
    try {
      await access(name, constants.R_OK);
    } catch (error) {
      problems.push(source.problem(path, `${name} cannot be read: ${reasonOf(error)}`));
    }
  }
  return problems;
}

function toSettings(raw: RawSettings, directory: string): Settings {
  const auditPath =
    raw.audit.path === undefined ? resolve('.holdfast/audit.jsonl') : resolve(directory, raw.audit.path);
  const { cert, key } = raw.listen.tls;
  const { ca } = raw.upstream.tls;
  return {
    environment: raw.environment,
    listen: {
      host: raw.listen.host,
      port: raw.listen.port,
      tls: {
        mode: raw.listen.tls.mode ?? (cert === undefined ? 'off' : 'prefer'),
        ...(cert === undefined ? {} : { cert: resolve(directory, cert) }),
        ...(key === undefined ? {} : { key: resolve(directory, key) }),
      },
    },
    upstream: {
      host: raw.upstream.host,
      port: raw.upstream.port,
      tls: { mode: raw.upstream.tls.mode, ...(ca === undefined ? {} : { ca: resolve(directory, ca) }) },
    },
    admin: raw.admin,
    policy: resolve(directory, raw.policy),
    audit: {
      path: auditPath,
      durability: raw.audit.durability,
      sql: raw.audit.sql,
      sqlLimit: raw.audit.sql_limit,
      parameters: raw.audit.parameters,
      rotate: raw.audit.rotate,
    },
    holds: {
      store: raw.holds.store,
      schema: raw.holds.schema,
      webhooks: raw.holds.webhooks,
      ...(raw.holds.url === undefined ? {} : { url: raw.holds.url }),
      ...(raw.holds.page_url === undefined ? {} : { pageUrl: raw.holds.page_url }),
    },
    undo: {
      path:
        raw.undo.path === undefined ? join(dirname(auditPath), 'undo') : resolve(directory, raw.undo.path),
      maxSize: raw.undo.max_size,
      totalSize: raw.undo.total_size,
    },
    catalog: { maxAge: raw.catalog.max_age, timeout: raw.catalog.timeout },
    limits: {
      connections: raw.limits.connections,
      startupTimeout: raw.limits.startup_timeout,
      message: raw.limits.message,
      statement: raw.limits.statement,
      drainTimeout: raw.limits.drain_timeout,
      upstreamConnectTimeout: raw.limits.upstream_connect_timeout,
    },
  };
}
