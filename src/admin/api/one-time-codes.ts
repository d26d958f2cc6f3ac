/**
 * The second factor of a vote: a one-time code by time (TOTP, RFC 6238).
 *
 * Law: a code counts once (RFC 6238, section 5.2), and after it no older one, in all
 * processes that share their holds. Wrong codes are counted per credential, since a
 * stolen token must not open a million tries; each process counts those that came to
 * it. Where codes cannot be checked or remembered, none counts.
 */
import { createHash } from 'node:crypto';
import { HoldStoreUnavailable } from '../../holds/store.js';
import type { UsedCodes } from '../../holds/used-codes.js';
import type { Approver } from '../../policy/types.js';
import { createFailureLimiter } from './failures.js';
import type { Caller } from './authentication.js';

/**
 * Checks a code of six digits, SHA-1, 30 seconds a step.
 *
 * @param secret base32, as in the policy
 * @param now milliseconds since 1970
 * @returns the time step that the code is of (this one, the last or the next); null: it is wrong
 */
export type VerifyTotp = (secret: string, code: string, now: number) => number | null;

export type CodeOutcome =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'totp_required' | 'totp_wrong' | 'totp_reused' | 'totp_unavailable' }
  /** Whether it has counted before could not be asked. */
  | { readonly kind: 'store_lost' }
  | { readonly kind: 'limited'; readonly retryAfterMs: number };

export interface OneTimeCodes {
  /**
   * Takes the code, if one is needed: it counts no second time, whatever becomes of what is decided.
   */
  take(caller: Pick<Caller, 'approver' | 'tokenSha256'>, code: string | undefined): Promise<CodeOutcome>;
}

export interface OneTimeCodesOptions {
  /** null: this process cannot check codes. */
  readonly verify: VerifyTotp | null;
  readonly used: UsedCodes;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Five mistakes at once, then one every five minutes: with three steps of a million codes each, a year of guessing succeeds in one case of four. */
const FAILURES = { burst: 5, refillMs: 300_000, keys: 10_000 };
export const TOTP_CODE = /^[0-9]{6}$/;

export function createOneTimeCodes({ verify, used, now }: OneTimeCodesOptions): OneTimeCodes {
  const failures = createFailureLimiter(FAILURES, now);

  return {
    async take({ approver, tokenSha256 }, code) {
      const secret = approver.totpSecret;
      if (secret === undefined) return { kind: 'accepted' };
      if (code === undefined) return { kind: 'totp_required' };
      if (verify === null) return { kind: 'totp_unavailable' };
      const wait = failures.waitMs(tokenSha256);
      if (wait > 0) return { kind: 'limited', retryAfterMs: wait };
      const step = TOTP_CODE.test(code) ? verify(canonical(secret), code, now()) : null;
      if (step === null) {
        // Counted before anything is waited for, so that many tries at one moment are many tries.
        failures.failed(tokenSha256);
        return { kind: 'totp_wrong' };
      }
      try {
        if (await used.take(nameOf(secret), step)) return { kind: 'accepted' };
      } catch (error) {
        if (error instanceof HoldStoreUnavailable) return { kind: 'store_lost' };
        throw error;
      }
      failures.failed(tokenSha256);
      return { kind: 'totp_reused' };
    },
  };
}

/** Names a secret without being one. */
function nameOf(secret: string): string {
  return createHash('sha256').update(canonical(secret)).digest('hex');
}

/** Base32 (RFC 4648) without what does not count in it. */
function canonical(secret: string): string {
  return secret.replace(/=+$/, '').toUpperCase();
}

/** Whether votes of this approver need a code. */
export function needsCode(approver: Approver): boolean {
  return approver.totpSecret !== undefined;
}
