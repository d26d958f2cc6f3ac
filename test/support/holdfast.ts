/**
 * A real Holdfast in the test's own process, in front of the tests' PostgreSQL.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadPolicy } from '../../src/config/policy-file.js';
import { loadSettings } from '../../src/config/settings.js';
import type { Settings } from '../../src/config/settings.js';
import type { Pace } from '../../src/holds-postgres/upkeep.js';
import { createLogger } from '../../src/log.js';
import { startHoldfast } from '../../src/net/holdfast.js';
import type { Holdfast } from '../../src/net/holdfast.js';

/** A role that may do everything, so that clients cannot tell that Holdfast is there. */
export const TRANSPARENT_POLICY = `
version: 1
roles:
  - name: everything
    access: admin
    rules: { default: allow }
`;

/** The shipped defaults with read access. */
export const READ_POLICY = `
version: 1
roles:
  - name: readers
    access: read
`;

export interface TestHoldfast extends Holdfast {
  /** Directory of its settings, policy and audit log. */
  readonly directory: string;
  readonly policyFile: string;
  readonly auditFile: string;
  /** URL of a database through Holdfast, for a client library; user and password as given. */
  url(database: string, user: string, password: string): string;
  /** All audit records written so far, oldest first. */
  records(): Promise<readonly AuditRecord[]>;
  /** The policy file's new text; in force when this resolves, if it is valid. */
  setPolicy(text: string): Promise<void>;
}

export type AuditRecord = Readonly<Record<string, unknown>> & { readonly kind: string };

/** What a test changes of the settings. */
export interface TestSettings {
  readonly environment?: string;
  readonly listenTls?: Settings['listen']['tls'];
  readonly upstreamTls?: Settings['upstream']['tls'];
  readonly audit?: Partial<Settings['audit']>;
  readonly undo?: Partial<Settings['undo']>;
  readonly catalog?: Settings['catalog'];
  readonly holds?: Partial<Settings['holds']>;
  readonly limits?: Partial<Settings['limits']>;
  readonly holdPace?: Partial<Pace>;
  /** Milliseconds. */
  readonly heartbeatMs?: number;
}

const WORKER = new URL('../../dist/sql/worker.js', import.meta.url);

/** Starts one. Its close() also removes its directory. */
export async function startTestHoldfast(
  upstream: { readonly host: string; readonly port: number },
  policy: string,
  changes: TestSettings = {},
): Promise<TestHoldfast> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  const policyFile = join(directory, 'policy.yaml');
  await writeFile(policyFile, policy);
  const defaults = await loadSettings(undefined, {});
  const auditFile = changes.audit?.path ?? join(directory, 'audit.jsonl');
  const settings: Settings = {
    ...defaults,
    environment: changes.environment ?? 'production',
    listen: { host: '127.0.0.1', port: 0, tls: changes.listenTls ?? { mode: 'off' } },
    upstream: { host: upstream.host, port: upstream.port, tls: changes.upstreamTls ?? { mode: 'off' } },
    admin: { host: '127.0.0.1', port: 0 },
    policy: policyFile,
    audit: { ...defaults.audit, ...changes.audit, path: auditFile },
    undo: { ...defaults.undo, ...changes.undo, path: join(dirname(auditFile), 'undo') },
    catalog: changes.catalog ?? defaults.catalog,
    holds: { ...defaults.holds, ...changes.holds },
    limits: { ...defaults.limits, drainTimeout: 200, ...changes.limits },
  };
  const holdfast = await startHoldfast({
    settings,
    policy: await loadPolicy(policyFile, {}),
    logger: createLogger({ level: 'silent' }),
    workerUrl: WORKER,
    holdPace: changes.holdPace,
    heartbeatMs: changes.heartbeatMs,
  });
  let closed: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closed ??= holdfast.close().then(() => rm(directory, { recursive: true, force: true }));
    return closed;
  };
  return {
    port: holdfast.port,
    adminPort: holdfast.adminPort,
    metrics: holdfast.metrics,
    policies: holdfast.policies,
    reload: () => holdfast.reload(),
    close,
    directory,
    policyFile,
    auditFile,
    url: (database, user, password) =>
      `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${holdfast.port}/${database}`,
    records: async () => {
      const text = await readFile(auditFile, 'utf8');
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as AuditRecord);
    },
    setPolicy: async (text) => {
      await writeFile(policyFile, text);
      await holdfast.reload();
    },
  };
}
