/**
 * How much may be kept of holds, and what is said when it is too much.
 *
 * Law: every store has the same bounds and the same sentences, wherever it keeps
 * its holds; what anybody can make a store keep is bounded.
 */
import type { Subject } from './hold.js';
import type { RequestOutcome } from './store.js';

export interface HoldLimits {
  /** Open holds of one database user. */
  readonly openPerUser: number;
  readonly open: number;
  /** Closed holds that are remembered, the latest ones. */
  readonly closed: number;
  /** Of one hold: what is longer nobody would read. */
  readonly bytesPerHold: number;
  /** Of all holds, open and closed. */
  readonly bytes: number;
}

export const DEFAULT_LIMITS: HoldLimits = {
  openPerUser: 100,
  open: 10_000,
  closed: 1_000,
  bytesPerHold: 1024 ** 2,
  bytes: 128 * 1024 ** 2,
};

/** What a hold takes beside its texts, roughly. */
const OVERHEAD_BYTES = 2_048;

/** Bytes that a subject takes, by its texts. */
export function bytesOf(subject: Subject): number {
  let bytes = OVERHEAD_BYTES + subject.sqlBytes;
  for (const { value } of subject.parameters) bytes += (value?.length ?? 0) + 16;
  for (const { message, hint, detail } of subject.matches) {
    bytes += message.length + (hint?.length ?? 0) + (detail?.length ?? 0);
  }
  return bytes + subject.relations.length * 128;
}

/** What is there before a request is taken. */
export interface Kept {
  readonly open: number;
  readonly openOfUser: number;
  readonly openBytes: number;
}

export type Refused = Extract<RequestOutcome, { readonly kind: 'refused' }>;

/** Why a subject is too long for any store; null: it is not. @param bytes of bytesOf */
export function tooLarge(limits: HoldLimits, bytes: number): Refused | null {
  if (bytes - OVERHEAD_BYTES <= limits.bytesPerHold) return null;
  const most = limits.bytesPerHold.toString();
  return {
    kind: 'refused',
    reason: 'too_large',
    message: `The statement and its parameters are longer than ${most} bytes, which nobody could read before approving.`,
  };
}

/** Why there is no room for another hold of this user; null: there is. @param bytes of bytesOf */
export function noRoom(limits: HoldLimits, kept: Kept, user: string, bytes: number): Refused | null {
  if (kept.openOfUser >= limits.openPerUser) {
    return {
      kind: 'refused',
      reason: 'too_many_of_user',
      message: `${limits.openPerUser.toString()} statements of ${user} wait for approval already.`,
    };
  }
  if (kept.open >= limits.open || kept.openBytes + bytes > limits.bytes) {
    return {
      kind: 'refused',
      reason: 'too_many',
      message: `${kept.open.toString()} statements wait for approval already, and no more can.`,
    };
  }
  return null;
}

export function idTaken(id: string): Refused {
  return { kind: 'refused', reason: 'id_taken', message: `There is a hold ${id} already.` };
}
