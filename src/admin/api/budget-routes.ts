/**
 * Write budgets over the API: /api/budgets.
 *
 * Law: who may reset whose budget is said by holds/eligibility.ts, as for holds: the
 * groups of the role's `hold`, and nobody their own. The answer does not tell whether
 * there is a budget that the caller may not see. A reset is recorded before it counts.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ResetRefusal } from '../../audit/records-budgets.js';
import type { BudgetRecorder } from '../../gate/budget-recorder.js';
import { ineligibility, maySee, namesOf } from '../../holds/eligibility.js';
import { HoldStoreUnavailable } from '../../holds/store.js';
import type { BudgetOwner, Counted } from '../../impact/budget.js';
import type { Budgets } from '../../impact/budgets.js';
import type { Logger } from '../../log.js';
import type { BudgetAsk } from '../../policy/live-facts.js';
import { budgetOfRole } from '../../policy/role-rules.js';
import type { Approver, Policy, Role } from '../../policy/types.js';
import type { Authenticator } from './authentication.js';
import { BODY_LIMIT_BYTES, bodyWords } from './bodies.js';
import { callerOf, currentApprover, sendUnauthenticated } from './guard.js';
import type { OneTimeCodes } from './one-time-codes.js';
import { recordedRefusal, sendCodeProblem, sendProblem } from './problems.js';
import { MAX_LISTED, budgetResetBodySchema } from './schemas.js';
import type { BudgetListView, BudgetResetView, BudgetView } from './schemas.js';
import type { Sessions } from './sessions.js';

export interface BudgetRoutesOptions {
  readonly budgets: Budgets;
  readonly budgetRecorder: BudgetRecorder;
  readonly policy: () => Pick<Policy, 'roles'>;
  readonly recorder: { durable(): Promise<void> };
  readonly codes: OneTimeCodes;
  readonly authenticator: Authenticator;
  readonly sessions: Sessions;
  readonly logger: Logger;
}

/** A user's budget under the policy in force. */
interface Budget {
  readonly role: Role;
  readonly ask: BudgetAsk;
  readonly counted: Counted;
}

/** /budgets and /budgets/reset, behind the guard. */
export function budgetRoutes(api: FastifyInstance, options: BudgetRoutesOptions): void {
  api.get('/budgets', (request, reply) => reply.send(budgetList(options, callerOf(request).approver)));
  api.post('/budgets/reset', { bodyLimit: BODY_LIMIT_BYTES }, (request, reply) =>
    resetBudget(options, request, reply),
  );
}

/** Those of the policy's roles; what was counted for another window, under an earlier policy, stops nobody. */
function budgetsOf({ budgets, policy }: Pick<BudgetRoutesOptions, 'budgets' | 'policy'>): readonly Budget[] {
  const asked = new Map(
    policy().roles.flatMap((role) => {
      const ask = budgetOfRole(role);
      return ask === null ? [] : [[role.name, { role, ask }] as const];
    }),
  );
  return budgets.counts.list(budgets.now()).flatMap((counted) => {
    const of = asked.get(counted.key.role);
    return of?.ask.windowMs === counted.key.windowMs ? [{ ...of, counted }] : [];
  });
}

/** Whom a reset is decided by, in the words of holds. */
function decidable({ role, counted }: Budget): Parameters<typeof maySee>[0] {
  return { groups: role.hold?.approvers ?? [], subject: { user: counted.key.user } };
}

/** The budgets that the caller may see, those first of which most is spent. */
export function budgetList(
  options: Pick<BudgetRoutesOptions, 'budgets' | 'policy'>,
  caller: Approver,
): BudgetListView {
  const seen = budgetsOf(options)
    .filter((budget) => maySee(decidable(budget), caller))
    .map((budget) => ({ share: shareOf(budget), budget }))
    .sort((a, b) => b.share - a.share);
  return {
    budgets: seen.slice(0, MAX_LISTED).map(({ budget }) => budgetView(options.budgets, budget, caller)),
    more: seen.length > MAX_LISTED,
  };
}

/** What is spent of the limit that is nearest; 1 and more: it is reached. */
function shareOf({ ask, counted: { spent } }: Budget): number {
  return Math.max(
    ask.rows === null ? 0 : spent.rows / ask.rows,
    ask.statements === null ? 0 : spent.statements / ask.statements,
  );
}

function budgetView(budgets: Budgets, budget: Budget, caller: Approver): BudgetView {
  const { ask, counted } = budget;
  const { key, spent, since } = counted;
  const at = budgets.now();
  const tripped = shareOf(budget) >= 1;
  const why = ineligibility(decidable(budget), caller);
  return {
    role: key.role,
    user: key.user,
    window_ms: key.windowMs,
    limits: { rows: ask.rows, statements: ask.statements },
    spent: { rows: spent.rows, statements: spent.statements },
    since: instant(since),
    tripped,
    clears_at: tripped ? instant(at + budgets.counts.clearsIn(key, ask, at)) : null,
    may_reset: {
      allowed: why === null,
      reason: why === 'own_request' ? OWN_BUDGET : why === null ? null : NOT_IN_GROUP,
    },
  };
}

const OWN_BUDGET = 'It is your own budget: somebody else must reset it.';
const NOT_IN_GROUP = 'You are in none of the groups that may reset it.';
const RESET_HINT =
  'The body is a JSON object: {"role": "…", "user": "…", "reason": "…", "totp": "123456"}, the last two optional.';

async function resetBudget(
  options: BudgetRoutesOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { budgets, budgetRecorder, codes, logger, recorder } = options;
  const caller = callerOf(request);
  // A body may have taken its time: whoever is no approver any more decides nothing.
  const approver = currentApprover(options, caller);
  if (approver === null) return sendUnauthenticated(reply);
  const body = budgetResetBodySchema.safeParse(request.body ?? {});
  if (!body.success) return sendProblem(reply, 'invalid_request', bodyWords(body.error.issues), RESET_HINT);
  const of: BudgetOwner = { role: body.data.role, user: body.data.user };
  const budget = budgetsOf(options).find(
    ({ counted: { key } }) => key.role === of.role && key.user === of.user,
  );
  if (budget === undefined || !maySee(decidable(budget), approver)) return sendUnknown(reply, of);

  const reason = body.data.reason?.trim() ?? '';
  const { key, spent } = budget.counted;
  const record = (refused: ResetRefusal | null): void => {
    budgetRecorder.reset({
      of,
      windowMs: key.windowMs,
      spent,
      approver: approver.name,
      names: namesOf(approver),
      reason: reason === '' ? null : reason,
      refused,
      client: request.ip,
    });
  };
  // Who may see it is the user or in a group, so what is left is that it is one's own.
  if (ineligibility(decidable(budget), approver) !== null) {
    record('own_request');
    return sendProblem(reply, 'own_request', OWN_BUDGET);
  }
  const code = await codes.take({ ...caller, approver }, body.data.totp);
  if (code.kind !== 'accepted') {
    const refused = recordedRefusal(code);
    if (refused !== null) record(refused);
    return sendCodeProblem(reply, code);
  }
  record(null);
  try {
    await recorder.durable();
  } catch (error) {
    logger.error({ err: error, ...of }, 'the reset of a budget could not be recorded');
    return sendProblem(
      reply,
      'not_recorded',
      'The audit log cannot be written, so the budget was not reset.',
      'Try again; /readyz says when the log can be written.',
    );
  }
  try {
    await budgets.reset(of);
  } catch (error) {
    if (!(error instanceof HoldStoreUnavailable)) throw error;
    record('store_unavailable');
    return sendProblem(
      reply,
      'store_unavailable',
      'The shared store cannot be reached; whether the budget was reset is not known.',
      'Try again; /readyz says when the store is back.',
    );
  }
  logger.info({ ...of, approver: approver.name }, 'a write budget was reset');
  const answer: BudgetResetView = { ...of, forgotten: { rows: spent.rows, statements: spent.statements } };
  return reply.send(answer);
}

function sendUnknown(reply: FastifyReply, { role, user }: BudgetOwner): FastifyReply {
  return sendProblem(
    reply,
    'unknown_budget',
    `User "${user}" of role "${role}" has spent nothing that you may see.`,
    'Whoever is in one of the approver groups of the role\'s "hold" sees and resets the budgets of its users.',
  );
}

function instant(at: number): string {
  return new Date(at).toISOString();
}
