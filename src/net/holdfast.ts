/**
 * A running Holdfast: puts the parts together, listens, and shuts down in order.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { policyBody } from '../audit/records.js';
import { createUndoFiles } from '../audit/undo-files.js';
import { openAuditLog } from '../audit/writer.js';
import { startAdmin } from '../admin/server.js';
import { createSessions } from '../admin/api/sessions.js';
import { verifyTotp } from '../admin/api/totp.js';
import { createNotifier } from '../admin/webhooks/notifier.js';
import type { Settings } from '../config/settings.js';
import { OperatorError } from '../errors.js';
import { createBudgetRecorder } from '../gate/budget-recorder.js';
import { createAnalysisPool } from '../gate/analysis-pool.js';
import { createCatalogStore } from '../gate/catalog-store.js';
import { createPolicyStore } from '../gate/policy-store.js';
import { createRecoveryStore } from '../gate/recovery-store.js';
import type { PolicyStore } from '../gate/policy-store.js';
import type { Faults } from '../holds-postgres/faults.js';
import type { Pace } from '../holds-postgres/upkeep.js';
import type { Logger } from '../log.js';
import { createMetrics } from '../metrics.js';
import type { Metrics } from '../metrics.js';
import type { Policy } from '../policy/types.js';
import { loadParser } from '../sql/analyze.js';
import { createAdmission } from './admission.js';
import { createCancelRegistry } from './cancellation.js';
import { runCommand } from './command-runner.js';
import { createServerTls } from './client-leg.js';
import type { ServerTls } from './client-leg.js';
import { openHolds } from './holds.js';
import type { Holds } from './holds.js';
import { listen, listening } from './listener.js';
import { watchPolicy } from './policy-reload.js';
import { checkReadiness } from './readiness.js';
import type { LiveSession, ServerFacts, SessionServices } from './services.js';
import type { UpstreamOptions } from './upstream.js';

export interface HoldfastOptions {
  readonly settings: Settings;
  readonly policy: Policy;
  readonly logger: Logger;
  /** Where the analysis worker's code is; the built one unless a test runs from sources. */
  readonly workerUrl?: URL;
  /** Of a shared store of holds; tests alone have one. */
  readonly holdFaults?: Faults | undefined;
  /** How soon a shared store of holds notices what happens by itself; tests alone hurry it. */
  readonly holdPace?: Partial<Pace> | undefined;
  /** Milliseconds between two signs of life of the approvals' event streams, where a test says otherwise. */
  readonly heartbeatMs?: number | undefined;
}

export interface Holdfast {
  readonly port: number;
  readonly adminPort: number;
  readonly metrics: Metrics;
  readonly policies: PolicyStore;
  /** Reads the policy file again. */
  reload(): Promise<void>;
  /** Stops listening, lets sessions finish for limits.drain_timeout, ends the rest, closes the audit log. */
  close(): Promise<void>;
}

/** max_connections changes only with a restart of the server; it is asked anew after this, milliseconds. */
const SERVER_FACTS_VALID_MS = 60_000;
const POLICY_POLL_MS = 1_000;
/** How long the server is left alone after it has not shown its catalogs. */
const CATALOG_RETRY_MS = 5_000;
/** How long a shutdown waits for the last messages to webhooks. */
const WEBHOOK_GRACE_MS = 2_000;
const ANALYSIS_WORKERS = 2;
const ANALYSIS_DEADLINE_MS = 30_000;

/** Starts everything. @throws OperatorError when a part cannot start; what had started is stopped again */
export async function startHoldfast(options: HoldfastOptions): Promise<Holdfast> {
  const { settings, policy, logger } = options;
  const tls = await readServerTls(settings);
  const upstream: UpstreamOptions = {
    upstream: settings.upstream,
    ca: await readCa(settings),
    timeout: settings.limits.upstreamConnectTimeout,
  };
  await loadParser();
  const metrics = createMetrics();
  const catalogs = createCatalogStore({
    maxAge: settings.catalog.maxAge,
    retryAfter: CATALOG_RETRY_MS,
    clock: () => performance.now(),
  });
  const policies = createPolicyStore(policy, catalogs);
  metrics.policyInfo.set(policy.sha256);
  const audit = await openAuditLog({
    ...settings.audit,
    now: () => new Date(),
    onFailure: (error) => {
      metrics.auditFailures.inc();
      logger.error({ err: error }, 'the audit log cannot be written; statements are refused until it can');
    },
    onWrite: (seconds) => {
      metrics.auditWriteSeconds.observe(seconds);
    },
  });
  const pool = createAnalysisPool({
    size: ANALYSIS_WORKERS,
    workerUrl: options.workerUrl ?? new URL('../sql/worker.js', import.meta.url),
    deadlineMs: ANALYSIS_DEADLINE_MS,
    stackSizeMb: 64,
  });
  audit.append(
    policyBody({
      result: 'loaded',
      sha256: policy.sha256,
      previousSha256: null,
      file: settings.policy,
      problems: [],
    }),
  );
  metrics.auditRecords.child('policy').inc();

  let holds: Holds;
  try {
    holds = await openHolds({
      settings: settings.holds,
      audit,
      metrics,
      logger,
      faults: options.holdFaults,
      pace: options.holdPace,
    });
  } catch (error) {
    await pool.close();
    await audit.close();
    throw error;
  }
  const notifier = createNotifier({
    store: holds.services.store,
    webhooks: settings.holds.webhooks,
    pageUrl: settings.holds.pageUrl ?? null,
    metrics,
    logger,
    now: () => Date.now(),
    random: Math.random,
    newId: randomUUID,
  });

  let draining = false;
  let onLastSession = (): void => undefined;
  const sessions = new Set<LiveSession>();
  const admission = createAdmission(settings.limits.connections);
  const services: SessionServices = {
    gate: {
      environment: settings.environment,
      recordSql: settings.audit.sql,
      recordLimit: settings.audit.sqlLimit,
      recordParameters: settings.audit.parameters,
      metrics,
      policies,
      catalogs,
      budgets: holds.budgets.counts,
      budgetClock: () => holds.budgets.now(),
      recovery: createRecoveryStore({ run: runCommand, clock: () => performance.now() }),
      audit,
      pool,
      statementLimit: settings.limits.statement,
      clock: () => performance.now(),
      cacheHits: metrics.analysisCache.child('hit'),
      cacheMisses: metrics.analysisCache.child('miss'),
      decisionSeconds: metrics.decisionSeconds,
      decisionRecords: metrics.auditRecords.child('decision'),
      outcomeRecords: metrics.auditRecords.child('outcome'),
      holds: holds.services,
      undo: createUndoFiles({
        ...settings.undo,
        onRemoved: (name) => {
          logger.info({ name }, 'old rows were removed to make room (undo.total_size)');
        },
      }),
    },
    upstream,
    admission,
    cancels: createCancelRegistry(),
    serverFacts: createServerFacts(),
    sessions,
    log: logger,
    upstreamErrors: metrics.upstreamErrors,
    refusedSessions: metrics.sessionsRefused,
    auditRecords: metrics.auditRecords,
    catalogReads: metrics.catalogReads,
    catalogReadSeconds: metrics.catalogReadSeconds,
    catalogTimeout: settings.catalog.timeout,
    startupTimeout: settings.limits.startupTimeout,
    messageLimit: settings.limits.message,
    draining: () => draining,
    left: (role) => {
      admission.leave(role);
      metrics.sessions.child(role.name).dec();
      if (sessions.size === 0) onLastSession();
    },
  };

  const greeting = new Set<Socket>();
  const listener = listen(services, tls, settings, greeting, () => draining);
  try {
    await listening(listener, settings.listen.host, settings.listen.port);
    const admin = await startAdmin({
      host: settings.admin.host,
      port: settings.admin.port,
      metrics,
      ready: () => checkReadiness(policies, audit, upstream, holds, draining),
      logger,
      api: {
        store: holds.services.store,
        policy: () => policies.current.policy,
        recorder: holds.recorder,
        budgets: holds.budgets,
        budgetRecorder: createBudgetRecorder(audit, metrics),
        sessions: createSessions({ now: () => Date.now(), randomBytes }),
        verifyTotp,
        usedCodes: holds.usedCodes,
        now: () => Date.now(),
        holdsNow: holds.services.now,
        ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
        logger,
      },
    });
    const reloads = watchPolicy({
      file: settings.policy,
      policies,
      audit,
      metrics,
      log: logger,
      pollMs: POLICY_POLL_MS,
    });
    const { port } = listener.address() as AddressInfo;
    return {
      port,
      adminPort: admin.port,
      metrics,
      policies,
      reload: () => reloads.reload(),
      close: async () => {
        draining = true;
        reloads.stop();
        listener.close();
        // Whoever waits hears at once that nobody will decide any more.
        const drained = holds.drain();
        for (const session of [...sessions]) session.drain();
        if (sessions.size > 0) {
          // Sessions end as they get idle; those that remain after the timeout are ended.
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, settings.limits.drainTimeout);
            onLastSession = () => {
              clearTimeout(timer);
              resolve();
            };
          });
          for (const session of [...sessions]) session.end();
        }
        for (const socket of greeting) socket.destroy();
        await admin.close();
        await pool.close();
        await drained;
        await holds.close();
        await notifier.close(WEBHOOK_GRACE_MS);
        await audit.close();
        // A copy of the last seal, outside the log: it proves later that the log was not cut off.
        logger.info({ seq: audit.head.seq, seal: audit.head.sha256 }, 'the audit log is closed');
      },
    };
  } catch (error) {
    listener.close();
    await notifier.close(0);
    await holds.close();
    await pool.close();
    await audit.close();
    throw error;
  }
}

async function readServerTls(settings: Settings): Promise<ServerTls | null> {
  const { mode, cert, key } = settings.listen.tls;
  if (mode === 'off' || cert === undefined || key === undefined) return null;
  try {
    return createServerTls(await readFile(cert, 'utf8'), await readFile(key, 'utf8'), mode === 'require');
  } catch (error) {
    throw new OperatorError(
      `listen.tls: ${cert} and ${key} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function readCa(settings: Settings): Promise<string | null> {
  const { ca } = settings.upstream.tls;
  if (ca === undefined) return null;
  try {
    return await readFile(ca, 'utf8');
  } catch (error) {
    throw new OperatorError(
      `upstream.tls.ca: ${ca} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function createServerFacts(): ServerFacts {
  let maxConnections: { readonly value: number; readonly at: number } | null = null;
  return {
    maxConnections() {
      if (maxConnections === null || performance.now() - maxConnections.at > SERVER_FACTS_VALID_MS)
        return null;
      return maxConnections.value;
    },
    setMaxConnections(value) {
      maxConnections = { value, at: performance.now() };
    },
  };
}
