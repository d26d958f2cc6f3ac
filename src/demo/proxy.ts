/**
 * Holdfast as the demo and the incidents run it: the default settings and a policy,
 * the shipped one with approvers, in front of the embedded server.
 */
import path from 'node:path';
import { loadPolicy } from '../config/policy-file.js';
import { loadSettings } from '../config/settings.js';
import { createLogger } from '../log.js';
import { startHoldfast } from '../net/holdfast.js';
import type { Policy } from '../policy/types.js';

/** A worker thread runs JavaScript: the built file, also when this one runs from its source. */
const BUILT_WORKER = new URL('../../dist/sql/worker.js', import.meta.url);

export interface DemoProxyOptions {
  readonly upstream: { readonly host: string; readonly port: number };
  /** 0: the operating system chooses. */
  readonly port: number;
  /** 0: the operating system chooses. */
  readonly adminPort: number;
  readonly auditPath: string;
  readonly policyPath: string;
}

export interface DemoProxy {
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  readonly environment: string;
  readonly policy: Policy;
  close(): Promise<void>;
}

/** Starts it. @throws what the listener threw; its message names EADDRINUSE when a port is taken */
export async function startDemoProxy(options: DemoProxyOptions): Promise<DemoProxy> {
  const defaults = await loadSettings(undefined, process.env);
  const policy = await loadPolicy(options.policyPath, process.env);
  const host = '127.0.0.1';
  const settings = {
    ...defaults,
    listen: { ...defaults.listen, host, port: options.port },
    upstream: { ...defaults.upstream, ...options.upstream },
    admin: { host, port: options.adminPort },
    policy: options.policyPath,
    audit: { ...defaults.audit, path: options.auditPath },
    undo: { ...defaults.undo, path: path.join(path.dirname(options.auditPath), 'undo') },
    // Whoever presses Ctrl-C does not want to wait for a transaction left open in psql.
    limits: { ...defaults.limits, drainTimeout: 1_000 },
  };
  const logger = createLogger({ level: 'warn', pretty: true });
  const proxy = await startHoldfast({ settings, policy, logger, workerUrl: BUILT_WORKER });
  return {
    host,
    port: proxy.port,
    adminPort: proxy.adminPort,
    environment: settings.environment,
    policy,
    close: () => proxy.close(),
  };
}
