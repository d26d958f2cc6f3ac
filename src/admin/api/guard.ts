/**
 * The door of the API: a bearer token, or a session of the page.
 *
 * Law: nobody gets past without one of them, to routes that there are or are not,
 * and before any body is read. A session is worth what its token is worth now. Tries
 * without either are counted alike, whatever they came with.
 */
import { parseCookie } from 'cookie';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../log.js';
import type { Approver } from '../../policy/types.js';
import type { Authentication, Authenticator, Caller } from './authentication.js';
import { sendProblem, sendRetryLater } from './problems.js';
import { fromSameOrigin } from './same-origin.js';
import type { Sessions } from './sessions.js';

export interface GuardOptions {
  readonly authenticator: Authenticator;
  readonly sessions: Sessions;
  readonly logger: Logger;
}

export const SESSION_COOKIE = 'holdfast_session';
/** The session's key. No form can send it, and no other site's page: that would take a permission (CORS) that is never given. */
export const SESSION_HEADER = 'x-holdfast-session';

/** null: there is none. */
export function sessionCookie(request: FastifyRequest): string | null {
  const { cookie } = request.headers;
  return cookie === undefined ? null : (parseCookie(cookie)[SESSION_COOKIE] ?? null);
}

/** Puts the caller on each request that has one, and ends the others. */
export function guard(api: FastifyInstance, options: GuardOptions): void {
  api.decorateRequest('caller', null);
  api.addHook('onRequest', async (request, reply) => {
    const outcome = identify(request, options);
    switch (outcome.kind) {
      case 'caller':
        request.setDecorator<Caller>('caller', outcome.caller);
        return;
      case 'cross_site':
        options.logger.warn({ client: request.ip }, 'a call with a session, but from another site');
        return sendCrossSite(reply);
      case 'limited':
        return sendRetryLater(
          reply,
          'too_many_failures',
          'Too many calls with a wrong token.',
          outcome.retryAfterMs,
        );
      case 'unauthenticated':
        // Only those that are counted are logged, so strangers cannot fill the log faster than the limit.
        options.logger.warn({ client: request.ip }, 'a call of the approvals API without a valid token');
        return sendUnauthenticated(reply);
    }
  });
}

function identify(
  request: FastifyRequest,
  { authenticator, sessions }: GuardOptions,
): Authentication | { readonly kind: 'cross_site' } {
  const { headers, ip, method } = request;
  const id = sessionCookie(request);
  const key = headers[SESSION_HEADER];
  if (headers.authorization === undefined && id !== null && typeof key === 'string') {
    const caller = callerOfSession(sessions, authenticator, id, key);
    // Asked of good sessions alone: who has none is counted, wherever the call comes from.
    if (caller !== null)
      return fromSameOrigin(headers, method) ? { kind: 'caller', caller } : { kind: 'cross_site' };
  }
  return authenticator.authenticate(headers.authorization, ip);
}

function callerOfSession(
  sessions: Sessions,
  authenticator: Authenticator,
  id: string,
  key: string,
): Caller | null {
  const session = sessions.use(id, key);
  if (session === null) return null;
  const approver = authenticator.current(session.tokenSha256);
  if (approver !== null) return { approver, tokenSha256: session.tokenSha256, session: session.handle };
  sessions.close(session.handle);
  return null;
}

/** The caller as the policy has them now: for what outlives the beginning of a call. */
export function currentApprover(
  { authenticator, sessions }: Pick<GuardOptions, 'authenticator' | 'sessions'>,
  { session, tokenSha256 }: Caller,
): Approver | null {
  if (session !== null && !sessions.alive(session)) return null;
  return authenticator.current(tokenSha256);
}

export function callerOf(request: FastifyRequest): Caller {
  const caller = request.getDecorator<Caller | null>('caller');
  if (caller === null) throw new Error('a call got past the guard');
  return caller;
}

export function sendUnauthenticated(reply: FastifyReply): FastifyReply {
  return sendProblem(
    reply.header('www-authenticate', 'Bearer realm="holdfast"'),
    'unauthenticated',
    'This needs the token of an approver.',
    'Send it as: Authorization: Bearer <token>. The policy knows it by its SHA-256.',
  );
}

export function sendCrossSite(reply: FastifyReply): FastifyReply {
  return sendProblem(
    reply,
    'cross_site',
    'This call does not come from the approvals page of this Holdfast.',
    'Open the page itself. A proxy before it must pass on the headers Host and Origin.',
  );
}
