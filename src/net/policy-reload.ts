/**
 * Reloading the policy: on SIGHUP and when the file changes. A good file replaces
 * the policy in one assignment; a bad one changes nothing, and is reported in the
 * log, the metrics and the audit log.
 */
import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { policyBody } from '../audit/records.js';
import type { AuditLog } from '../audit/writer.js';
import { loadPolicy } from '../config/policy-file.js';
import { ConfigError } from '../config/problems.js';
import type { PolicyStore } from '../gate/policy-store.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';

export interface PolicyReload {
  /** Reads the file now. Resolves when the result is in force and recorded; never rejects. */
  reload(): Promise<void>;
  stop(): void;
}

export interface PolicyReloadOptions {
  readonly file: string;
  readonly policies: PolicyStore;
  readonly audit: AuditLog;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** How long the file must have been left alone before it is read, milliseconds: editors write in several steps. */
  readonly settleMs: number;
}

export function watchPolicy(options: PolicyReloadOptions): PolicyReload {
  const { file, policies, audit, metrics, log } = options;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> = Promise.resolve();

  async function read(): Promise<void> {
    const previous = policies.current.policy.sha256;
    try {
      const policy = await loadPolicy(file, process.env);
      if (policy.sha256 === previous) {
        metrics.policyReloads.child('unchanged').inc();
        return;
      }
      policies.replace(policy);
      metrics.policyInfo.set(policy.sha256);
      metrics.policyReloads.child('success').inc();
      record('reloaded', policy.sha256, previous, []);
      log.info({ policy: policy.sha256 }, 'policy reloaded');
    } catch (error) {
      const problems =
        error instanceof ConfigError
          ? error.message.split('\n')
          : [error instanceof Error ? error.message : String(error)];
      metrics.policyReloads.child('failure').inc();
      record('failed', previous, previous, problems);
      log.error({ file, problems }, 'the policy was not reloaded; the last good one stays in force');
    }
  }

  function record(
    result: 'reloaded' | 'failed',
    sha256: string,
    previousSha256: string,
    problems: string[],
  ): void {
    audit.append(policyBody({ result, sha256, previousSha256, file, problems }));
    metrics.auditRecords.child('policy').inc();
  }

  function reload(): Promise<void> {
    running = running.then(read);
    return running;
  }

  // The directory, not the file: editors and ConfigMap mounts replace the file, and a watch on it would go with it.
  const watcher = watch(dirname(file), { persistent: false }, (_event, name) => {
    // A ConfigMap's new version appears as a link called ..data.
    if (name !== null && name !== basename(file) && name !== '..data') return;
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      void reload();
    }, options.settleMs);
    timer.unref();
  });
  watcher.on('error', (error) => {
    log.error({ err: error }, 'the policy file is watched no longer; SIGHUP still reloads it');
  });

  return {
    reload,
    stop() {
      if (timer !== null) clearTimeout(timer);
      watcher.close();
    },
  };
}
