/**
 * The words of the audit log about holds: `hold` for where a hold stands, `vote`
 * for what an approver said, `release` for the moment it may run.
 *
 * Law of this file: that of records.ts. The statement itself is in the decision
 * that a hold names, under the settings of the audit log; here it is only its
 * SHA-256, so that these records hold no literal whatever the settings say.
 */
import { approvalsGiven } from '../holds/hold.js';
import type { Hold, Vote } from '../holds/hold.js';
import type { RejectionReason } from '../holds/life-cycle.js';
import { jsonString, jsonStringOrNull } from './json.js';

function names(list: readonly string[]): string {
  return `[${list.map(jsonString).join(',')}]`;
}

function instant(at: number): string {
  return `"${new Date(at).toISOString()}"`;
}

/** Which hold it is, and whose. */
function identity({ id, fingerprint, subject }: Hold): string {
  return (
    `"hold":${jsonString(id)},"decision":${jsonString(subject.decision)},"session":${jsonString(subject.session)},` +
    `"user":${jsonString(subject.user)},"role":${jsonString(subject.role)},"database":${jsonString(subject.database)},` +
    `"sql_sha256":${jsonString(subject.sqlSha256)},"fingerprint":${jsonString(fingerprint)}`
  );
}

/** The body of a `hold` record: a hold has entered its state. `waitedMs`: since it was requested. */
export function holdBody(hold: Hold, waitedMs: number): string {
  const { subject } = hold;
  return (
    `"kind":"hold",${identity(hold)},"state":"${hold.state}","style":"${subject.style}",` +
    `"in_transaction":${subject.inTransaction === null ? 'false' : 'true'},` +
    `"old_rows":${jsonStringOrNull(subject.oldRows)},` +
    `"approvals":${hold.approvals.toString()},"approvals_given":${approvalsGiven(hold).toString()},` +
    `"groups":${names(hold.groups)},"expires_at":${instant(hold.expiresAt)},` +
    `"withdrawal":${jsonStringOrNull(hold.withdrawal)},"policy":${jsonString(subject.policy)},` +
    `"waited_ms":${Math.round(waitedMs).toString()}}`
  );
}

export interface VoteRecord {
  readonly hold: Hold;
  readonly vote: Pick<Vote, 'approver' | 'choice' | 'reason'>;
}

/** The body of a `vote` record for a vote that counts. `hold`: with this vote. */
export function voteBody({ hold, vote }: VoteRecord): string {
  return (
    `"kind":"vote",${identity(hold)},"approver":${jsonString(vote.approver)},"choice":"${vote.choice}",` +
    `"reason":${jsonStringOrNull(vote.reason)},"counted":true,"refused":null,` +
    `"approvals":${hold.approvals.toString()},"approvals_given":${approvalsGiven(hold).toString()}}`
  );
}

/** Why an attempt to vote did not count: the life cycle's reasons, and those of the second factor. */
export type VoteRefusal =
  RejectionReason | 'totp_required' | 'totp_wrong' | 'totp_reused' | 'totp_unavailable';

export interface RefusedVote extends VoteRecord {
  readonly refused: VoteRefusal;
  /** Where it came from. */
  readonly client: string;
}

/** The body of a `vote` record for an attempt that did not count. */
export function refusedVoteBody({ hold, vote, refused, client }: RefusedVote): string {
  return (
    `"kind":"vote",${identity(hold)},"approver":${jsonString(vote.approver)},"choice":"${vote.choice}",` +
    `"reason":${jsonStringOrNull(vote.reason)},"counted":false,"refused":"${refused}","client":${jsonString(client)},` +
    `"approvals":${hold.approvals.toString()},"approvals_given":${approvalsGiven(hold).toString()}}`
  );
}

/**
 * The body of a `release` record: who approved what may run now. The statement must
 * not be forwarded before this record is durable.
 */
export function releaseBody(hold: Hold, waitedMs: number): string {
  const approvedBy = hold.votes.filter(({ choice }) => choice === 'approve').map(({ approver }) => approver);
  return (
    `"kind":"release",${identity(hold)},"style":"${hold.subject.style}","approved_by":${names(approvedBy)},` +
    `"policy":${jsonString(hold.subject.policy)},"waited_ms":${Math.round(waitedMs).toString()}}`
  );
}
