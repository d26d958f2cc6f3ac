/**
 * What a client is told about its statement while people decide, and afterwards.
 *
 * Law: that of words.ts. Every refusal says that nothing was run, and what to do.
 */
import type { Refusal } from '../errors.js';
import { approvalsGiven } from '../holds/hold.js';
import type { Hold, Subject, Withdrawal } from '../holds/hold.js';
import { prospects } from '../holds/eligibility.js';
import type { Approver, HoldSetting, Role } from '../policy/types.js';
import type { Notice } from '../protocol/encode.js';
import { CANCELLED, INSUFFICIENT_PRIVILEGE, recordRefusal } from './words.js';

const ROUTINE = 'holdfast/hold';
const QUERY_CANCELED = '57014';

/** Why a statement of this role cannot be held for approval, for the HINT of its refusal; null: it can. */
export function cannotBeHeld(role: Role, approvers: readonly Approver[], user: string): string | null {
  const { hold } = role;
  if (hold === undefined) {
    return `Role "${role.name}" has no "hold" setting, which says who may approve, so it is refused; nothing was run.`;
  }
  const { approvers: groups, approvals } = hold;
  const able = prospects(approvers, { user, groups, approvals });
  if (able.enough) return null;
  const count = able.approvers.length;
  const needed = approvals === 1 ? '1 approval' : `${approvals.toString()} approvals`;
  const there = count === 0 ? 'nobody' : `only ${count.toString()} ${count === 1 ? 'person' : 'people'}`;
  return `It needs ${needed} from ${groups.join(', ')}, and ${there} there, other than ${user} and with a token, can give one, so it is refused; nothing was run.`;
}

/** For the HINT of a text that is longer than what is kept of it. */
export const TOO_LONG_TO_HOLD =
  'It is too long for anybody to read before approving it, so it is refused; nothing was run.';

/** `in 10 minutes`: rounded as a person would say it. */
function inWords(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1_000));
  const [amount, unit] =
    seconds < 100
      ? [seconds, 'second']
      : seconds < 100 * 60
        ? [Math.round(seconds / 60), 'minute']
        : seconds < 48 * 3_600
          ? [Math.round(seconds / 3_600), 'hour']
          : [Math.round(seconds / 86_400), 'day'];
  return `in ${amount.toString()} ${unit}${amount === 1 ? '' : 's'}`;
}

function until(hold: Hold, now: number): string {
  return `until ${new Date(hold.expiresAt).toISOString()} (${inWords(hold.expiresAt - now)})`;
}

/** Why it is held. @param subject null: what it is about is not at hand */
export function whyOf(subject: Pick<Subject, 'matches'> | null): string {
  return subject?.matches[0]?.message ?? 'The policy wants it approved.';
}

function rulesInWords({ subject }: Hold): string {
  const rules = [...new Set(subject.matches.map(({ rule, action }) => `${rule} (${action})`))];
  return `Decision ${subject.decision}. ${rules.length === 1 ? 'Rule' : 'Rules'}: ${rules.join(', ')}.`;
}

/**
 * The NOTICE to whoever waits.
 * @param who of eligibility.ts: how many approvals are needed, and from whom
 * @param again it has been said before
 */
export function holdNotice(hold: Hold, who: string, now: number, again: boolean): Notice {
  const given = `${approvalsGiven(hold).toString()} of ${hold.approvals.toString()} given.`;
  return {
    severity: 'NOTICE',
    sqlstate: '00000',
    message: again
      ? `holdfast: hold ${hold.id} still waits for approval, ${until(hold, now)}; ${given}`
      : `holdfast: ${whyOf(hold.subject)} It waits for approval as hold ${hold.id}, ${until(hold, now)}.`,
    detail: again ? who : `${who} ${rulesInWords(hold)}`,
    hint: 'Nothing has run. Cancel the statement to take it back.',
    routine: ROUTINE,
  };
}

/** Who let it run, said as it does. */
export function releaseNotice(hold: Hold): Notice {
  const by = hold.votes.filter(({ choice }) => choice === 'approve').map(({ approver }) => approver);
  return {
    severity: 'NOTICE',
    sqlstate: '00000',
    message: `holdfast: hold ${hold.id} was approved by ${by.join(', ')}; the statement runs now.`,
    routine: ROUTINE,
  };
}

/** Style `ticket`: nothing waits; the statement passes once when it comes again after its approval. */
export function ticketRefusal(hold: Hold, setting: HoldSetting, who: string, now: number): Refusal {
  const within = inWords(setting.ticketTtlMs).slice('in '.length);
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: `holdfast: ${whyOf(hold.subject)} It needs approval, which was asked for as hold ${hold.id}, ${until(hold, now)}.`,
    detail: `${who} ${rulesInWords(hold)}`,
    hint:
      hold.state === 'approved'
        ? 'It is approved: send the very same statement again, by the same user and with the same parameters.'
        : `Nothing was run. Once it is approved, send the very same statement again within ${within}, by the same user and with the same parameters.`,
    routine: ROUTINE,
  };
}

/** The store did not take it. `message`: its sentence. */
export function notTaken(why: string, message: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: `holdfast: ${why} It needs approval, and cannot wait for it.`,
    detail: message,
    hint: 'Nothing was run.',
    routine: ROUTINE,
  };
}

/** The store of holds cannot be used: nobody can be asked, and nothing is known to be approved. */
export function storeUnavailable(why: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '58030',
    message: `holdfast: ${why} It needs approval, and the store of holds cannot be reached; nothing was run`,
    hint: 'Send it again when the store is back; an approval that was given may have to be given again.',
    routine: ROUTINE,
  };
}

/** The store failed by a defect. */
export function storeFailed(): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: 'XX000',
    message: 'holdfast: internal error while the statement waited for approval; nothing was run',
    routine: ROUTINE,
  };
}

/** A hold that ended without its approvals, or came too late. */
export function endRefusal(hold: Hold): Refusal {
  const given = `${approvalsGiven(hold).toString()} of ${hold.approvals.toString()} approvals`;
  switch (hold.state) {
    case 'denied': {
      const vote = hold.votes.find(({ choice }) => choice === 'deny');
      return {
        severity: 'ERROR',
        sqlstate: INSUFFICIENT_PRIVILEGE,
        message: `holdfast: ${vote?.approver ?? 'An approver'} denied hold ${hold.id}${vote?.reason ? `: ${oneLine(vote.reason)}` : ''}`,
        detail: `${whyOf(hold.subject)} ${rulesInWords(hold)}`,
        hint: 'Nothing was run.',
        routine: ROUTINE,
      };
    }
    case 'withdrawn':
      return withdrawalRefusal(hold.withdrawal ?? 'superseded', hold.id);
    case 'requested':
    case 'approved':
    case 'expired':
      return {
        severity: 'ERROR',
        sqlstate: QUERY_CANCELED,
        message:
          hold.approvedAt === null
            ? `holdfast: hold ${hold.id} expired with ${given}; nothing was run`
            : `holdfast: hold ${hold.id} expired before the statement could run; nothing was run`,
        hint: 'Send it again, when somebody is there to approve it.',
        routine: ROUTINE,
      };
    case 'released':
      return withdrawalRefusal('superseded', hold.id);
  }
}

/** A hold that was taken back. */
export function withdrawalRefusal(reason: Withdrawal, id: string): Refusal {
  switch (reason) {
    case 'client_cancel':
      return CANCELLED;
    case 'audit':
      return recordRefusal();
    case 'policy':
      return withdrawn(`the policy has changed while hold ${id} waited`, 'Send it again: it is judged anew.');
    case 'drain':
      return withdrawn(
        `Holdfast is shutting down, and hold ${id} with it`,
        'Connect again and send it again.',
      );
    case 'store_gone':
      return withdrawn(
        `the store of holds could not be reached, so hold ${id} could not be approved in time`,
        'Send it again when the store is back.',
      );
    case 'holdfast_gone':
      return withdrawn(
        `hold ${id} was withdrawn, because this Holdfast seemed to have ended`,
        'Send it again: it is judged anew.',
      );
    case 'client_gone':
    case 'server_gone':
    case 'transaction_failed':
    case 'superseded':
      return withdrawn(`hold ${id} was withdrawn`, 'Send it again: it is judged anew.');
  }
}

/** Somebody's words on their way to a terminal: in one line, and without what would steer it. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, ' ').trim();
}

function withdrawn(why: string, hint: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: QUERY_CANCELED,
    message: `holdfast: ${why}; nothing was run`,
    hint,
    routine: ROUTINE,
  };
}
