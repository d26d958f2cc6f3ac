/**
 * Signing in to the page and out: /api/session.
 *
 * Law: the token comes as in every other call, in the header Authorization, so it
 * meets the same comparison and the same limits, and is not kept. The cookie goes to
 * the API alone, no script can read it, and no other site's page can send it.
 */
import { stringifySetCookie } from 'cookie';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../log.js';
import type { Caller } from './authentication.js';
import { SESSION_COOKIE, callerOf, sendCrossSite, sessionCookie } from './guard.js';
import { sendProblem } from './problems.js';
import { fromSameOrigin, overTls } from './same-origin.js';
import type { SessionView } from './schemas.js';
import type { OpenSession, Sessions } from './sessions.js';
import { whoamiView } from './views.js';

export interface SessionRoutesOptions {
  readonly sessions: Sessions;
  readonly logger: Logger;
}

export function sessionRoutes(api: FastifyInstance, { sessions, logger }: SessionRoutesOptions): void {
  api.post('/session', (request, reply) => {
    if (!fromSameOrigin(request.headers, request.method)) return sendCrossSite(reply);
    const caller = callerOf(request);
    const open = ownSession(sessions, caller) ?? sessions.open(caller.tokenSha256, sessionCookie(request));
    logger.info({ approver: caller.approver.name, client: request.ip }, 'signed in to the approvals page');
    setCookie(request, reply, open.id, null);
    return reply.send(sessionView(open, caller));
  });
  api.get('/session', (request, reply) => {
    const caller = callerOf(request);
    const open = ownSession(sessions, caller);
    return open === null
      ? sendProblem(reply, 'not_found', 'A token is no session.', 'POST /api/session opens one.')
      : reply.send(sessionView(open, caller));
  });
  api.delete('/session', (request, reply) => {
    const { session, approver } = callerOf(request);
    if (session === null) return sendProblem(reply, 'not_found', 'A token is no session.');
    sessions.close(session);
    logger.info({ approver: approver.name, client: request.ip }, 'signed out of the approvals page');
    setCookie(request, reply, '', 0);
    return reply.code(204).send();
  });
}

function ownSession(sessions: Sessions, { session }: Caller): OpenSession | null {
  return session === null ? null : sessions.show(session);
}

/** @param maxAge seconds; null: until the browser is closed */
function setCookie(request: FastifyRequest, reply: FastifyReply, value: string, maxAge: number | null): void {
  const cookie = stringifySetCookie({
    name: SESSION_COOKIE,
    value,
    path: '/api',
    httpOnly: true,
    sameSite: 'strict',
    secure: overTls(request.headers),
    ...(maxAge === null ? {} : { maxAge }),
  });
  reply.header('set-cookie', cookie);
}

function sessionView({ key, endsAt }: OpenSession, { approver }: Caller): SessionView {
  return { key, ends_at: new Date(endsAt).toISOString(), ...whoamiView(approver) };
}
