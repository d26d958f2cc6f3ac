/** The approvals API on a real port, with a clock and a policy that tests change. */
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { startAdmin } from '../../src/admin/server.js';
import type { ApiOptions } from '../../src/admin/api/routes.js';
import { createSessions } from '../../src/admin/api/sessions.js';
import type { VerifyTotp } from '../../src/admin/api/one-time-codes.js';
import type { BudgetReset } from '../../src/audit/records-budgets.js';
import type { RefusedVote } from '../../src/audit/records-holds.js';
import type { Book } from '../../src/holds/book.js';
import { createLocalBudgets } from '../../src/impact/budgets.js';
import type { Budgets } from '../../src/impact/budgets.js';
import { createUsedCodes } from '../../src/holds/used-codes.js';
import { createLogger } from '../../src/log.js';
import { createMetrics } from '../../src/metrics.js';
import type { Approver, Role } from '../../src/policy/types.js';
import { DANA, KIM, LEE, OUTSIDER, approver, book, tokenOf, type Clock } from '../holds/support.js';

/** RFC 6238, appendix B: the ASCII string 12345678901234567890. */
export const TOTP_SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
export const TOTI = approver('toti', { totpSecret: TOTP_SECRET });

/** Of the API's policy: 10 rows a minute; nobody may reset those of `svc`. */
const ROLES: readonly Role[] = (['app', 'svc'] as const).map((name) => ({
  name,
  match: {},
  access: 'write',
  limits: {},
  banner: false,
  session: {},
  rules: {
    'write-budget': { action: 'deny', options: { rows: 10, window: 60_000, operations: ['delete'] } },
  },
  ...(name === 'app'
    ? {
        hold: {
          approvals: 2,
          approvers: ['dba'],
          timeoutMs: 60_000,
          inTransactionTimeoutMs: 60_000,
          ticketTtlMs: 60_000,
          style: 'wait' as const,
          atCommit: false,
        },
      }
    : {}),
}));

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

function base32(secret: string): Buffer {
  const bits = Array.from(secret, (letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
}

/** RFC 4226, section 5.3, with the time step of RFC 6238. */
export function codeAt(secret: string, now: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)));
  const mac = createHmac('sha1', base32(secret)).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 15;
  return ((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).toString().padStart(6, '0');
}

const verifyTotp: VerifyTotp = (secret, code, now) => {
  const step = [-1, 0, 1].find((delta) => codeAt(secret, now + delta * 30_000) === code);
  return step === undefined ? null : Math.floor(now / 30_000) + step;
};

export interface Api {
  readonly port: number;
  readonly store: Book;
  readonly clock: Clock;
  readonly refused: RefusedVote[];
  readonly budgets: Budgets;
  readonly resets: BudgetReset[];
  readonly log: string[];
  /** The policy in force: replace to reload. */
  approvers: readonly Approver[];
  /** The audit log cannot be written. */
  failing: boolean;
  close(): Promise<void>;
}

export async function startApi(more: Partial<ApiOptions> = {}): Promise<Api> {
  const { book: store, clock } = book();
  const log: string[] = [];
  const logger = createLogger({ level: 'info', destination: { write: (line) => log.push(line) } });
  const budgets = more.budgets ?? createLocalBudgets(() => clock.now);
  const api: Omit<Api, 'port' | 'close'> = {
    store,
    clock,
    refused: [],
    budgets,
    resets: [],
    log,
    approvers: [DANA, KIM, LEE, OUTSIDER, TOTI],
    failing: false,
  };
  const server = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    metrics: createMetrics({ processMetrics: false }),
    ready: () => Promise.resolve({ ok: true, checks: {} }),
    logger,
    api: {
      store,
      policy: () => ({ approvers: api.approvers, roles: ROLES }),
      budgets,
      budgetRecorder: { reset: (reset) => api.resets.push(reset) },
      recorder: {
        refusedVote: (vote) => api.refused.push(vote),
        durable: () => (api.failing ? Promise.reject(new Error('disk full')) : Promise.resolve()),
      },
      sessions: createSessions({ now: () => clock.now, randomBytes }),
      verifyTotp,
      usedCodes: createUsedCodes(),
      now: () => clock.now,
      logger,
      ...more,
    },
  });
  onTestFinished(() => server.close());
  return Object.assign(api, { port: server.port, close: () => server.close() });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** Of a problem; undefined where it is none. */
  readonly code: string | undefined;
  readonly body: Record<string, unknown>;
}

export interface CallOptions {
  readonly method?: string;
  /** An approver's name; null: no token. */
  readonly as?: string | null;
  readonly authorization?: string;
  /** JSON unless it is text. */
  readonly body?: object | string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function call(port: number, path: string, options: CallOptions = {}): Promise<Answer> {
  const { as = 'dana', body } = options;
  const authorization = options.authorization ?? (as === null ? undefined : `Bearer ${tokenOf(as)}`);
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port,
    path,
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    agent: false,
    headers: {
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { 'content-type': options.type ?? 'application/json' }),
      ...options.headers,
    },
  });
  outgoing.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const got = await text(response);
  let parsed: Record<string, unknown> = {};
  try {
    parsed = JSON.parse(got) as Record<string, unknown>;
  } catch {
    // Not every answer is JSON.
  }
  const error = parsed['error'] as { code?: string } | undefined;
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: got,
    code: error?.code,
    body: parsed,
  };
}
