/**
 * How a hold begins.
 *
 * Law: that of hold.ts. What people will see and what the fingerprint is taken from
 * are one and the same subject: nobody can approve one statement and let another pass.
 */
import type { HoldSetting } from '../policy/types.js';
import { fingerprintOf } from './fingerprint.js';
import type { Hold, Subject } from './hold.js';

/** What a new hold is made of. */
export interface HoldRequest {
  readonly id: string;
  readonly subject: Subject;
  readonly approvals: number;
  readonly groups: readonly string[];
  /** How long it waits for its approvals, milliseconds. */
  readonly timeoutMs: number;
  readonly releaseWithinMs: number;
}

/** What a waiting session needs at most to notice its approval. Afterwards nobody is there to release it. */
const WAIT_RELEASE_WITHIN_MS = 10_000;

/**
 * The times of a hold under a role's setting. A statement that waits inside a
 * transaction keeps its locks, so it waits the shorter time; a ticket holds
 * nothing up.
 */
export function holdTimes(
  setting: HoldSetting,
  inTransaction: boolean,
): Pick<HoldRequest, 'timeoutMs' | 'releaseWithinMs'> {
  if (setting.style === 'ticket')
    return { timeoutMs: setting.timeoutMs, releaseWithinMs: setting.ticketTtlMs };
  return {
    timeoutMs: inTransaction
      ? Math.min(setting.timeoutMs, setting.inTransactionTimeoutMs)
      : setting.timeoutMs,
    releaseWithinMs: WAIT_RELEASE_WITHIN_MS,
  };
}

const NO_VOTES: readonly never[] = Object.freeze([]);

/** A hold as it begins. @throws RangeError for a request that could never be approved, or would be at once */
export function newHold(request: HoldRequest, now: number): Hold {
  const { id, subject, approvals, groups, timeoutMs, releaseWithinMs } = request;
  if (!Number.isSafeInteger(approvals) || approvals < 1)
    throw new RangeError('a hold needs at least one approval');
  if (groups.length === 0) throw new RangeError('a hold needs a group of approvers');
  if (!(timeoutMs > 0) || !(releaseWithinMs > 0)) throw new RangeError('a hold needs time');
  return {
    id,
    state: 'requested',
    requestedAt: now,
    expiresAt: now + timeoutMs,
    approvedAt: null,
    closedAt: null,
    withdrawal: null,
    subject,
    fingerprint: fingerprintOf(subject),
    approvals,
    groups,
    releaseWithinMs,
    votes: NO_VOTES,
  };
}

/** Without i, l, o and u: ids are read out on the telephone. */
const ID_LETTERS = '0123456789abcdefghjkmnpqrstvwxyz';
/** Random bytes that an id is made of: five bits of each count, which is 50 bits in all. */
export const HOLD_ID_BYTES = 10;

/** An id from HOLD_ID_BYTES random bytes. @throws RangeError when there are fewer */
export function holdId(random: Uint8Array): string {
  if (random.length < HOLD_ID_BYTES)
    throw new RangeError(`an id needs ${HOLD_ID_BYTES.toString()} random bytes`);
  return Array.from(random.subarray(0, HOLD_ID_BYTES), (byte) => ID_LETTERS[byte & 31]).join('');
}
