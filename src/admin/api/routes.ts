/**
 * The approvals API, under /api/: HTTP before the store of holds.
 *
 * Law of this file: nothing is answered without a token or a session that one has
 * opened (guard.ts), what does not exist included, and no body is read before. It decides nothing about
 * a hold: who may vote is the life cycle's answer, asked again when the vote is
 * cast. Nothing here may be cached, and no other site's page may read it.
 */
import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { RefusedVote, VoteRefusal } from '../../audit/records-holds.js';
import { maySee } from '../../holds/eligibility.js';
import { CLOSED_STATES, HOLD_ID, HOLD_STATES, OPEN_STATES } from '../../holds/hold.js';
import type { Hold, HoldState, Vote } from '../../holds/hold.js';
import { voteRejection } from '../../holds/life-cycle.js';
import { HoldStoreUnavailable } from '../../holds/store.js';
import type { HoldStore } from '../../holds/store.js';
import type { BudgetRecorder } from '../../gate/budget-recorder.js';
import type { Budgets } from '../../impact/budgets.js';
import type { UsedCodes } from '../../holds/used-codes.js';
import type { Logger } from '../../log.js';
import type { Approver, Policy } from '../../policy/types.js';
import { createAuthenticator } from './authentication.js';
import type { Authenticator } from './authentication.js';
import { BODY_LIMIT_BYTES, BODY_PROBLEMS, bodyWords, readBodies } from './bodies.js';
import { budgetList, budgetRoutes } from './budget-routes.js';
import { createEventStreams } from './events.js';
import { callerOf, currentApprover, guard, sendUnauthenticated } from './guard.js';
import { createOneTimeCodes } from './one-time-codes.js';
import type { OneTimeCodes, VerifyTotp } from './one-time-codes.js';
import { openApi } from './openapi.js';
import { recordedRefusal, sendCodeProblem, sendProblem, sendRetryLater } from './problems.js';
import { listQuerySchema, voteBodySchema } from './schemas.js';
import { sessionRoutes } from './session-routes.js';
import type { Sessions } from './sessions.js';
import { holdView, summaryView, whoamiView } from './views.js';

export interface ApiOptions {
  readonly store: HoldStore;
  /** The policy in force: asked anew for every call. */
  readonly policy: () => Pick<Policy, 'approvers' | 'roles'>;
  readonly budgets: Budgets;
  readonly budgetRecorder: BudgetRecorder;
  /** gate/hold-recorder.ts. */
  readonly recorder: {
    refusedVote(vote: RefusedVote): void;
    /** Resolves when everything recorded so far is durable. */
    durable(): Promise<void>;
  };
  /** Of the approvals page. */
  readonly sessions: Sessions;
  /** null: codes cannot be checked, and whoever has a TOTP secret cannot vote. */
  readonly verifyTotp: VerifyTotp | null;
  /** Remembers the codes that have counted, wherever the store keeps its holds. */
  readonly usedCodes: UsedCodes;
  /** Milliseconds since 1970, as people's clocks have it: one-time codes go by it. */
  readonly now: () => number;
  /** Milliseconds since 1970, on the clock that the store goes by; `now` where it is left out. */
  readonly holdsNow?: () => number;
  readonly logger: Logger;
  /** Between two signs of life on /api/events; 5,000 ms unless a test says otherwise. */
  readonly heartbeatMs?: number;
}

/** Below the admin port's idle timeout. */
const HEARTBEAT_MS = 5_000;
const STREAM_RETRY_MS = 30_000;

const STATES: Readonly<Record<'open' | 'closed' | 'all' | HoldState, readonly HoldState[]>> = {
  open: OPEN_STATES,
  closed: CLOSED_STATES,
  all: HOLD_STATES,
  requested: ['requested'],
  approved: ['approved'],
  denied: ['denied'],
  expired: ['expired'],
  withdrawn: ['withdrawn'],
  released: ['released'],
};

interface Services extends ApiOptions {
  readonly holdsNow: () => number;
  readonly authenticator: Authenticator;
  readonly codes: OneTimeCodes;
}

/** To be registered with the prefix /api. */
export function holdsApi(options: ApiOptions): FastifyPluginCallback {
  const { now, policy, sessions, verifyTotp, usedCodes, logger, store } = options;
  const holdsNow = options.holdsNow ?? now;
  const authenticator = createAuthenticator({ approvers: () => policy().approvers, now });
  const services: Services = {
    ...options,
    holdsNow,
    authenticator,
    codes: createOneTimeCodes({ verify: verifyTotp, used: usedCodes, now }),
  };
  const streams = createEventStreams({
    store,
    budgets: (approver) => budgetList(options, approver),
    now: holdsNow,
    current: (caller) => currentApprover({ authenticator, sessions }, caller),
    heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
    onError: (error) => {
      logger.error({ err: error }, 'the stream of holds failed');
    },
  });
  const description = openApi();

  return (api, _options, done) => {
    guard(api, services);
    answerFailures(api, services);
    readBodies(api);
    sessionRoutes(api, options);

    api.get('/whoami', (request) => whoamiView(callerOf(request).approver));
    api.get('/openapi.json', () => description);
    api.get('/holds', (request, reply) => listHolds(services, request, reply));
    api.get('/holds/:id', async (request, reply) => {
      const { approver } = callerOf(request);
      const hold = await visibleHold(services, request, approver);
      return hold === null ? sendUnknown(request, reply) : reply.send(holdView(hold, approver, holdsNow()));
    });
    for (const choice of ['approve', 'deny'] as const) {
      api.post(`/holds/:id/${choice}`, { bodyLimit: BODY_LIMIT_BYTES }, (request, reply) =>
        castVote(services, choice, request, reply),
      );
    }
    budgetRoutes(api, services);
    // HEAD would open a stream that nobody reads.
    api.get('/events', { exposeHeadRoute: false }, (request, reply) => {
      const stream = streams.open(callerOf(request));
      if (stream === null) {
        return sendRetryLater(reply, 'too_many_streams', 'Too many event streams are open.', STREAM_RETRY_MS);
      }
      return reply
        .header('content-type', 'text/event-stream; charset=utf-8')
        .header('x-accel-buffering', 'no')
        .send(stream);
    });
    done();
  };
}

function answerFailures(api: FastifyInstance, { logger }: Services): void {
  api.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not_found', 'There is nothing here.'));
  api.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const problem = BODY_PROBLEMS.get(error.statusCode ?? 500);
    if (problem !== undefined) return sendProblem(reply, ...problem);
    if (error instanceof HoldStoreUnavailable) return sendStoreUnavailable(reply, error);
    logger.error({ err: error, route: request.routeOptions.url ?? null }, 'an API call failed');
    return sendProblem(reply, 'internal', 'Holdfast failed to answer; its log says why.');
  });
}

function sendUnknown(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const id = idOf(request);
  return sendProblem(
    reply,
    'unknown_hold',
    id === null ? 'That is no id of a hold.' : `There is no hold ${id} that you may see.`,
    'Closed holds are forgotten after a while; the audit log keeps them.',
  );
}

function sendStoreUnavailable(reply: FastifyReply, { uncertain }: HoldStoreUnavailable): FastifyReply {
  return sendProblem(
    reply,
    'store_unavailable',
    uncertain
      ? 'The store of holds was lost while your vote was written: it is not known whether it counts.'
      : 'The store of holds cannot be reached; no vote was cast.',
    uncertain
      ? 'Look at the hold when the store is back.'
      : 'Try again; /readyz says when the store is back.',
  );
}

function idOf(request: FastifyRequest): string | null {
  const { id } = request.params as { readonly id: string };
  return HOLD_ID.test(id) ? id : null;
}

/** null: there is none, or none for this caller; the answer must not tell which. */
async function visibleHold(
  { store }: Services,
  request: FastifyRequest,
  caller: Approver,
): Promise<Hold | null> {
  const id = idOf(request);
  const hold = id === null ? null : await store.get(id);
  return hold !== null && maySee(hold, caller) ? hold : null;
}

async function listHolds(
  { store, holdsNow }: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { approver } = callerOf(request);
  const query = listQuerySchema.safeParse(request.query);
  if (!query.success) {
    const states = Object.keys(STATES).join(', ');
    return sendProblem(reply, 'invalid_request', 'The query cannot be read.', `?state= is one of ${states}.`);
  }
  const { state, limit } = query.data;
  const { holds, more } = await store.list({ states: STATES[state], visibleTo: approver, limit });
  return reply.send({ holds: holds.map((hold) => summaryView(hold, approver, holdsNow())), more });
}

const VOTE_HINT = 'The body is a JSON object: {"reason": "…", "totp": "123456"}, both optional.';

async function castVote(
  services: Services,
  choice: Vote['choice'],
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { codes, recorder, store, holdsNow, logger } = services;
  const caller = callerOf(request);
  // A body may have taken its time: whoever is no approver any more does not vote.
  const approver = currentApprover(services, caller);
  if (approver === null) return sendUnauthenticated(reply);
  const body = voteBodySchema.safeParse(request.body ?? {});
  if (!body.success) {
    return sendProblem(reply, 'invalid_request', bodyWords(body.error.issues), VOTE_HINT);
  }
  const hold = await visibleHold(services, request, approver);
  if (hold === null) return sendUnknown(request, reply);

  const reason = body.data.reason?.trim() ?? '';
  const ballot = { choice, approver, reason: reason === '' ? null : reason };
  const refuse = (of: Hold, refused: VoteRefusal): void => {
    const vote = { choice, approver: approver.name, reason: ballot.reason };
    recorder.refusedVote({ hold: of, vote, refused, client: request.ip });
  };
  // Before the code is looked at: a vote that cannot count must not use one up.
  const early = voteRejection(hold, { kind: 'vote', ...ballot, at: holdsNow() });
  if (early !== null) {
    refuse(hold, early.reason);
    return sendProblem(reply, early.reason, early.message);
  }
  const code = await codes.take({ ...caller, approver }, body.data.totp);
  if (code.kind !== 'accepted') {
    const refused = recordedRefusal(code);
    if (refused !== null) refuse(hold, refused);
    return sendCodeProblem(reply, code);
  }

  const outcome = await store.vote(hold.id, ballot);
  if (outcome.kind === 'unknown') return sendUnknown(request, reply);
  if (outcome.kind === 'rejected') {
    refuse(outcome.hold, outcome.rejection.reason);
    return sendProblem(reply, outcome.rejection.reason, outcome.rejection.message);
  }
  try {
    await recorder.durable();
  } catch (error) {
    logger.error({ err: error, hold: hold.id }, 'a vote could not be recorded');
    return sendProblem(
      reply,
      'not_recorded',
      `Your vote on hold ${hold.id} is cast, but the audit log cannot be written; while it cannot, nothing is released.`,
    );
  }
  return reply.send(holdView(outcome.hold, approver, holdsNow()));
}
