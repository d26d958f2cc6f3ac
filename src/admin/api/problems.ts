/**
 * What the API says when it says no: one shape for every failure, and the status
 * that goes with each code.
 *
 * Law: no answer tells of a hold to somebody who may not see it, and none tells
 * why a token is not accepted.
 */
import type { FastifyReply } from 'fastify';
import type { RejectionReason } from '../../holds/life-cycle.js';
import type { CodeOutcome } from './one-time-codes.js';

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

const STATUS = {
  unauthenticated: 401,
  too_many_failures: 429,
  too_many_streams: 429,
  cross_site: 403,
  not_found: 404,
  unknown_hold: 404,
  unknown_budget: 404,
  invalid_request: 400,
  too_large: 413,
  unsupported_media_type: 415,
  totp_required: 403,
  totp_wrong: 403,
  totp_reused: 403,
  totp_unavailable: 503,
  not_recorded: 503,
  store_unavailable: 503,
  internal: 500,
  own_request: 403,
  not_in_group: 403,
  already_voted: 409,
  already_approved: 409,
  closed: 409,
  too_late: 409,
  not_due: 409,
  not_approved: 409,
  other_statement: 409,
} as const satisfies Readonly<Record<RejectionReason, number>> & Readonly<Record<string, number>>;

export type ProblemCode = keyof typeof STATUS;
export const PROBLEM_STATUSES = [...new Set(Object.values(STATUS))].sort((a, b) => a - b);

/** Ends a request with a problem. */
export function sendProblem(
  reply: FastifyReply,
  code: ProblemCode,
  message: string,
  hint: string | null = null,
): FastifyReply {
  const error: Problem = { code, message, hint };
  return reply.code(STATUS[code]).send({ error });
}

/** Ends a request that came too soon. */
export function sendRetryLater(
  reply: FastifyReply,
  code: Extract<ProblemCode, 'too_many_failures' | 'too_many_streams'>,
  message: string,
  retryAfterMs: number,
): FastifyReply {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000)).toString();
  return sendProblem(
    reply.header('retry-after', seconds),
    code,
    message,
    `Try again in ${seconds} ${seconds === '1' ? 'second' : 'seconds'}.`,
  );
}

type RefusedCode = Exclude<CodeOutcome, { readonly kind: 'accepted' }>;

/** What is recorded of it; null: nothing, or the log would grow with every guess. */
export function recordedRefusal({
  kind,
}: RefusedCode): 'totp_required' | 'totp_wrong' | 'totp_reused' | 'totp_unavailable' | null {
  if (kind === 'limited') return null;
  return kind === 'store_lost' ? 'totp_unavailable' : kind;
}

/** Ends a request whose one-time code is missing or wrong. */
export function sendCodeProblem(reply: FastifyReply, code: RefusedCode): FastifyReply {
  return code.kind === 'limited'
    ? sendRetryLater(reply, 'too_many_failures', 'Too many wrong one-time codes.', code.retryAfterMs)
    : sendProblem(reply, ...CODE_PROBLEMS[code.kind]);
}

const CODE_PROBLEMS: Readonly<
  Record<
    Exclude<RefusedCode['kind'], 'limited'>,
    readonly [code: ProblemCode, message: string, hint: string | null]
  >
> = {
  store_lost: [
    'store_unavailable',
    'The store of holds cannot be reached, so your one-time code does not count; nothing was decided.',
    'Try again with the next code; /readyz says when the store is back.',
  ],
  totp_required: [
    'totp_required',
    'What you decide needs a one-time code.',
    'Send it as "totp" in the body.',
  ],
  totp_wrong: [
    'totp_wrong',
    'The one-time code is wrong.',
    'Codes change every 30 seconds; see that the clock is right.',
  ],
  totp_reused: [
    'totp_reused',
    'The one-time code has been used.',
    'Each counts once: wait for the next one.',
  ],
  totp_unavailable: [
    'totp_unavailable',
    'One-time codes cannot be checked here, so what you decide does not count.',
    null,
  ],
};
