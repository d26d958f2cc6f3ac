/**
 * Who may see and decide which hold, and how that is said.
 *
 * Law: a person is known by all their names at once, the approver's and those of
 * their database users. Names are compared exactly, as PostgreSQL compares role
 * names; nothing here is a pattern.
 */
import type { Approver } from '../policy/types.js';
import type { Hold, Vote } from './hold.js';

export type Ineligible = 'own_request' | 'not_in_group';

/** Every name of this person, each once. */
export function namesOf(approver: Approver): readonly string[] {
  return [...new Set([approver.name, ...approver.users])];
}

/** Whether this person is who asks. */
function isRequester(approver: Approver, user: string): boolean {
  return approver.name === user || approver.users.includes(user);
}

function inGroups(approver: Approver, groups: readonly string[]): boolean {
  return approver.groups.some((group) => groups.includes(group));
}

type Decidable = Pick<Hold, 'groups'> & { readonly subject: Pick<Hold['subject'], 'user'> };

/** Why this person cannot decide this hold, now or later; null: they can. */
export function ineligibility(hold: Decidable, approver: Approver): Ineligible | null {
  if (isRequester(approver, hold.subject.user)) return 'own_request';
  return inGroups(approver, hold.groups) ? null : 'not_in_group';
}

/** The vote that this person has cast already, under whichever entry of the policy. */
export function voteOf(votes: readonly Vote[], approver: Approver): Vote | null {
  const names = namesOf(approver);
  return votes.find((vote) => vote.names.some((name) => names.includes(name))) ?? null;
}

/** Statements hold personal data: those see them who may have to decide, and who sent them. */
export function maySee(hold: Decidable, approver: Approver): boolean {
  return inGroups(approver, hold.groups) || isRequester(approver, hold.subject.user);
}

export interface Prospects {
  /** Those who could approve: in a group, not the requester, and with a token to do it with. */
  readonly approvers: readonly Approver[];
  /** There are as many of them as approvals are needed. Otherwise to wait is pointless. */
  readonly enough: boolean;
}

/** Who could approve what this user asks for. Entries that share a name are one person. */
export function prospects(
  approvers: readonly Approver[],
  request: { readonly user: string; readonly groups: readonly string[]; readonly approvals: number },
): Prospects {
  const hold = { groups: request.groups, subject: { user: request.user } };
  const able: Approver[] = [];
  const taken = new Set<string>();
  for (const approver of approvers) {
    if (approver.tokenSha256 === undefined || ineligibility(hold, approver) !== null) continue;
    const names = namesOf(approver);
    if (names.some((name) => taken.has(name))) continue;
    for (const name of names) taken.add(name);
    able.push(approver);
  }
  return { approvers: able, enough: able.length >= request.approvals };
}

/** Names beyond this are counted, not listed: it is for a line in a terminal. */
const MOST_NAMES = 5;

/**
 * Completes the NOTICE to whoever waits: `2 approvals are needed, from any of
 * dana, kim, lee (dba, oncall).`
 */
export function whoCanApprove(
  { approvers }: Prospects,
  request: { readonly approvals: number; readonly groups: readonly string[] },
): string {
  const needed = request.approvals === 1 ? '1 approval is' : `${request.approvals.toString()} approvals are`;
  const groups = request.groups.join(', ');
  if (approvers.length === 0) return `${needed} needed, and nobody of ${groups} can give it.`;
  const names = approvers.slice(0, MOST_NAMES).map(({ name }) => name);
  const more = approvers.length - names.length;
  if (more > 0) names.push(`${more.toString()} more`);
  return `${needed} needed, from ${names.length === 1 ? '' : 'any of '}${names.join(', ')} (${groups}).`;
}
