/**
 * The life of a hold: one pure step from an event to the next hold.
 *
 *   requested → approved | denied | expired | withdrawn
 *   approved  → released | expired | withdrawn
 *
 * Law: every transition of a hold is in the table below, and a cell that is
 * missing does not compile. An event that cannot count changes nothing and says
 * why. Time decides by the event's own `at`, not by a timer: what comes at the
 * deadline or later is late, also when nobody has noticed the deadline yet.
 */
import type { Approver } from '../policy/types.js';
import { ineligibility, namesOf, voteOf } from './eligibility.js';
import type { Ineligible } from './eligibility.js';
import { approvalsGiven } from './hold.js';
import type { Hold, HoldState, Vote, Withdrawal } from './hold.js';

export type HoldEvent =
  | {
      readonly kind: 'vote';
      readonly choice: Vote['choice'];
      readonly approver: Approver;
      readonly reason: string | null;
      readonly at: number;
    }
  | { readonly kind: 'expire'; readonly at: number }
  | { readonly kind: 'withdraw'; readonly reason: Withdrawal; readonly at: number }
  | { readonly kind: 'release'; readonly fingerprint: string; readonly at: number };

export type HoldEffect =
  | { readonly kind: 'voted'; readonly vote: Vote }
  /** `from` null: it was requested. `waitedMs`: since it was requested. */
  | {
      readonly kind: 'entered';
      readonly from: HoldState | null;
      readonly to: HoldState;
      readonly waitedMs: number;
    };

export type RejectionReason =
  | Ineligible
  /** This person has voted on it. */
  | 'already_voted'
  /** It has its approvals; votes no longer count. */
  | 'already_approved'
  /** It has ended. */
  | 'closed'
  /** Its deadline has passed. */
  | 'too_late'
  /** Its deadline has not come. */
  | 'not_due'
  /** It has not got its approvals. */
  | 'not_approved'
  /** What is to be released is not what was approved. */
  | 'other_statement';

export interface Rejection {
  readonly reason: RejectionReason;
  /** A whole sentence for a person. */
  readonly message: string;
}

export type Step =
  { readonly hold: Hold; readonly effects: readonly HoldEffect[] } | { readonly rejected: Rejection };

type EventOf<Kind extends HoldEvent['kind']> = Extract<HoldEvent, { readonly kind: Kind }>;
type Row = { readonly [Kind in HoldEvent['kind']]: (hold: Hold, event: EventOf<Kind>) => Step };

const ENDED: Row = { vote: closed, expire: closed, withdraw: closed, release: closed };

const TABLE: Readonly<Record<HoldState, Row>> = {
  requested: { vote, expire, withdraw, release: releaseUnapproved },
  approved: { vote: voteLate, expire, withdraw, release },
  denied: ENDED,
  expired: ENDED,
  withdrawn: ENDED,
  released: ENDED,
};

/** What becomes of a hold by an event. Pure: the hold that goes in stays as it is. */
export function step(hold: Hold, event: HoldEvent): Step {
  const row = TABLE[hold.state];
  switch (event.kind) {
    case 'vote':
      return row.vote(hold, event);
    case 'expire':
      return row.expire(hold, event);
    case 'withdraw':
      return row.withdraw(hold, event);
    case 'release':
      return row.release(hold, event);
  }
}

function vote(hold: Hold, { choice, approver, reason, at }: EventOf<'vote'>): Step {
  const ineligible = ineligibility(hold, approver);
  if (ineligible !== null) return reject(ineligible, ineligibleWords(ineligible, hold));
  const earlier = voteOf(hold.votes, approver);
  if (earlier !== null) {
    return reject(
      'already_voted',
      `${earlier.approver} has voted on hold ${hold.id} already; a vote stands.`,
    );
  }
  if (at >= hold.expiresAt) return tooLate(hold);
  const cast: Vote = { approver: approver.name, names: namesOf(approver), choice, reason, at };
  const voted: Hold = { ...hold, votes: [...hold.votes, cast] };
  const effects: HoldEffect[] = [{ kind: 'voted', vote: cast }];
  if (choice === 'deny') return enter(voted, 'denied', at, { closedAt: at }, effects);
  if (approvalsGiven(voted) < hold.approvals) return { hold: voted, effects };
  return enter(voted, 'approved', at, { approvedAt: at, expiresAt: at + hold.releaseWithinMs }, effects);
}

function voteLate(hold: Hold, { approver }: EventOf<'vote'>): Step {
  const ineligible = ineligibility(hold, approver);
  if (ineligible !== null) return reject(ineligible, ineligibleWords(ineligible, hold));
  return reject('already_approved', `Hold ${hold.id} has its approvals already; no further vote counts.`);
}

function expire(hold: Hold, { at }: EventOf<'expire'>): Step {
  return at < hold.expiresAt
    ? reject('not_due', `Hold ${hold.id} has time left.`)
    : enter(hold, 'expired', at, { closedAt: at });
}

function withdraw(hold: Hold, { reason, at }: EventOf<'withdraw'>): Step {
  return enter(hold, 'withdrawn', at, { closedAt: at, withdrawal: reason });
}

function release(hold: Hold, { fingerprint, at }: EventOf<'release'>): Step {
  if (at >= hold.expiresAt) return tooLate(hold);
  if (fingerprint !== hold.fingerprint) {
    return reject('other_statement', `What was approved as hold ${hold.id} is not what is to run now.`);
  }
  return enter(hold, 'released', at, { closedAt: at });
}

function releaseUnapproved(hold: Hold): Step {
  const given = approvalsGiven(hold).toString();
  return reject('not_approved', `Hold ${hold.id} has ${given} of ${hold.approvals.toString()} approvals.`);
}

function closed(hold: Hold): Step {
  return reject('closed', `Hold ${hold.id} ${ENDINGS[hold.state]} already; it cannot change any more.`);
}

const ENDINGS: Readonly<Record<HoldState, string>> = {
  requested: 'is open',
  approved: 'is approved',
  denied: 'was denied',
  expired: 'expired',
  withdrawn: 'was withdrawn',
  released: 'was released to run',
};

function enter(
  hold: Hold,
  to: HoldState,
  at: number,
  change: Partial<Pick<Hold, 'approvedAt' | 'closedAt' | 'expiresAt' | 'withdrawal'>>,
  before: readonly HoldEffect[] = [],
): Step {
  const waitedMs = Math.max(0, at - hold.requestedAt);
  return {
    hold: { ...hold, ...change, state: to },
    effects: [...before, { kind: 'entered', from: hold.state, to, waitedMs }],
  };
}

function tooLate(hold: Hold): Step {
  return reject('too_late', `Hold ${hold.id} expired at ${new Date(hold.expiresAt).toISOString()}.`);
}

function reject(reason: RejectionReason, message: string): Step {
  return { rejected: { reason, message } };
}

function ineligibleWords(why: Ineligible, hold: Hold): string {
  switch (why) {
    case 'own_request':
      return `Hold ${hold.id} is your own request: ${hold.subject.user} is one of your database users. Somebody else must decide; to take it back, cancel the statement.`;
    case 'not_in_group':
      return `Hold ${hold.id} is for ${hold.groups.join(', ')}, and you are in none of these groups.`;
  }
}

/** Whether a vote would count now, without casting it; null: it would. */
export function voteRejection(hold: Hold, event: EventOf<'vote'>): Rejection | null {
  const outcome = step(hold, event);
  return 'rejected' in outcome ? outcome.rejected : null;
}
