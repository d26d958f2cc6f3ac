/**
 * Reloading the policy: on SIGHUP and when the file changes. A good file replaces
 * the policy in one assignment; a bad one changes nothing, and is reported in the
 * log, the metrics and the audit log.
 */
import { unwatchFile, watchFile } from 'node:fs';
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
  /** How often the file is looked at, milliseconds. */
  readonly pollMs: number;
}

export function watchPolicy(options: PolicyReloadOptions): PolicyReload {
  const { file, policies, audit, metrics, log } = options;
  let running: Promise<void> = Promise.resolve();

  async function read(): Promise<void> {
    const previous = policies.current.policy.sha256;
    try {
      const policy = await loadPolicy(file, process.env);
      if (policy.sha256 === previous) {
        metrics.policyReloads.child('unchanged').inc();
        log.info({ policy: policy.sha256 }, 'the policy file says what is in force already');
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

  // By asking for its state now and then: that follows a file that is replaced (editors, links of ConfigMap mounts),
  // and is not woken, as a watch on its directory is, by every record of an audit log that lies beside it.
  const changed = (): void => {
    void reload();
  };
  watchFile(file, { persistent: false, interval: options.pollMs }, changed);

  return {
    reload,
    stop() {
      unwatchFile(file, changed);
    },
  };
}
