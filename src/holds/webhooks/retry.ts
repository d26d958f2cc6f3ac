/**
 * When a message is sent again that did not arrive.
 *
 * Law: pure. Only what may pass by itself is tried again: a receiver that understood
 * and said no would say so again.
 */

/** What came of one attempt: an HTTP status, or nothing. */
export type Attempted =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfter: string | null }
  /** No connection, no answer in time. */
  | { readonly kind: 'failed' };

export type Verdict =
  | { readonly kind: 'delivered' }
  /** It will not be taken. */
  | { readonly kind: 'rejected' }
  /** All attempts have been made. */
  | { readonly kind: 'failed' }
  /** `everything`: the receiver wants none of the others before that, either. */
  | { readonly kind: 'again'; readonly delayMs: number; readonly everything: boolean };

export interface RetryPolicy {
  readonly attempts: number;
  /** Before the second attempt; doubled each time. */
  readonly firstDelayMs: number;
  readonly mostDelayMs: number;
  /** The longest that a receiver may ask for. */
  readonly mostRetryAfterMs: number;
}

export const RETRIES: RetryPolicy = {
  attempts: 8,
  firstDelayMs: 1_000,
  mostDelayMs: 60_000,
  mostRetryAfterMs: 300_000,
};

const TOO_MANY_REQUESTS = 429;
const REQUEST_TIMEOUT = 408;

/**
 * @param attempt 1 for the first
 * @param random from 0 to 1: messages that failed together do not come again together
 * @param now milliseconds since 1970, for a Retry-After that is a date
 */
export function verdictOn(
  attempted: Attempted,
  attempt: number,
  policy: RetryPolicy,
  random: number,
  now: number,
): Verdict {
  if (attempted.kind === 'answered') {
    const { status } = attempted;
    if (status >= 200 && status < 300) return { kind: 'delivered' };
    // A redirect is not followed: the address in the settings is the one that was meant.
    if (status < 500 && status !== TOO_MANY_REQUESTS && status !== REQUEST_TIMEOUT)
      return { kind: 'rejected' };
  }
  if (attempt >= policy.attempts) return { kind: 'failed' };
  const most = Math.min(policy.mostDelayMs, policy.firstDelayMs * 2 ** (attempt - 1));
  const delayMs = most * (0.5 + random / 2);
  const asked = attempted.kind === 'answered' ? retryAfterMs(attempted.retryAfter, now) : null;
  if (asked === null) return { kind: 'again', delayMs, everything: false };
  return {
    kind: 'again',
    delayMs: Math.max(delayMs, Math.min(asked, policy.mostRetryAfterMs)),
    everything: true,
  };
}

/** RFC 9110, 10.2.3: seconds, or a date. */
function retryAfterMs(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
