/**
 * The admin port: /metrics for Prometheus, /healthz and /readyz for orchestrators,
 * /api/ for approvers (api/routes.ts), and their page at / (page-files.ts).
 *
 * Law of this file: it owns HTTP and nothing else. What "ready" means is the
 * caller's; what is counted is metrics.ts. Answers carry no stack traces and no
 * internals, and every request is bounded in size and time, since whoever can
 * reach the port must not be able to hurt the proxy through it.
 */
import { fastify, type FastifyInstance, type FastifyReply } from 'fastify';
import type { AddressInfo } from 'node:net';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import { holdsApi, type ApiOptions } from './api/routes.js';
import { approvalsPage, readPage } from './page-files.js';

export interface Readiness {
  readonly ok: boolean;
  /** Name of the check → `ok` or what is wrong, in words. */
  readonly checks: Readonly<Record<string, string>>;
}

export interface AdminOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
  readonly ready: () => Promise<Readiness>;
  readonly logger: Logger;
  /** How long /readyz waits for the checks; 2,000 ms unless a test says otherwise. */
  readonly readyDeadlineMs?: number;
  /** The approvals API, and the page with it; left out: there is neither. */
  readonly api?: ApiOptions;
}

export interface AdminServer {
  readonly port: number;
  /** Stops listening and ends open connections at once; resolves when both are done. */
  close(): Promise<void>;
}

const READY_DEADLINE_MS = 2_000;
/** Nothing but the API takes a body, and that sets its own limit. */
const BODY_LIMIT_BYTES = 1_024;
const MAX_HEADER_BYTES = 8_192;
/** From a connection's first byte to the whole request: a client that sends slower is cut off. */
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 64;

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

/**
 * Runs the checks, but answers within the deadline whatever they do. Callers that
 * come while a run is under way share it, so that polling cannot pile checks up.
 */
function boundedReadiness(
  ready: () => Promise<Readiness>,
  deadlineMs: number,
  logger: Logger,
): () => Promise<Readiness> {
  let running: Promise<Readiness> | null = null;

  async function run(): Promise<Readiness> {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<Readiness>((resolve) => {
      timer = setTimeout(() => {
        resolve({ ok: false, checks: { deadline: `no answer within ${deadlineMs.toString()} ms` } });
      }, deadlineMs);
    });
    try {
      return await Promise.race([ready(), deadline]);
    } catch (error) {
      logger.error({ err: error }, 'readiness checks failed to run');
      return { ok: false, checks: { readiness: 'the checks failed to run' } };
    } finally {
      clearTimeout(timer);
    }
  }

  return () => {
    running ??= run().finally(() => {
      running = null;
    });
    return running;
  };
}

function sendError(reply: FastifyReply, status: number, error: string): FastifyReply {
  return reply.code(status).headers(SECURITY_HEADERS).send({ error });
}

function addRoutes(app: FastifyInstance, options: AdminOptions): void {
  const readiness = boundedReadiness(
    options.ready,
    options.readyDeadlineMs ?? READY_DEADLINE_MS,
    options.logger,
  );

  app.get('/metrics', async (_request, reply) => {
    const text = await options.metrics.text();
    return reply.type(options.metrics.contentType).send(text);
  });
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const { ok, checks } = await readiness();
    return reply.code(ok ? 200 : 503).send({ status: ok ? 'ready' : 'not ready', checks });
  });
}

/**
 * Starts the admin server.
 *
 * @throws when the address cannot be bound (EADDRINUSE, EACCES, …).
 */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const { logger } = options;
  const app = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    forceCloseConnections: true,
    return503OnClosing: false,
    http: { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: REQUEST_TIMEOUT_MS },
    frameworkErrors: (_error, _request, reply) => {
      sendError(reply, 404, 'not found');
    },
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  // A body is neither read nor judged by its type: every verb but GET and HEAD is simply not there.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null);
  });
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(SECURITY_HEADERS);
  });
  app.setNotFoundHandler((_request, reply) => {
    sendError(reply, 404, 'not found');
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500)
      logger.error({ err: error, route: request.routeOptions.url ?? null }, 'admin request failed');
    sendError(reply, status, status >= 500 ? 'internal error' : 'bad request');
  });
  addRoutes(app, options);
  if (options.api !== undefined) {
    await app.register(holdsApi(options.api), { prefix: '/api' });
    await app.register(approvalsPage(await readPage()));
  }

  await app.listen({ host: options.host, port: options.port });
  const address = app.server.address() as AddressInfo;
  return {
    port: address.port,
    close: () => app.close(),
  };
}
