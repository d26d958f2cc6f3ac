/**
 * How often something may fail before it has to wait: a bucket of failures for
 * each key that fills up again with time.
 *
 * Law: bounded memory, whatever keys strangers send. Only failures are kept, and
 * of too many keys the one that failed longest ago is forgotten.
 */
export interface FailureLimits {
  /** Failures at once. */
  readonly burst: number;
  /** One more after each of these, milliseconds. */
  readonly refillMs: number;
  /** Keys that are remembered. */
  readonly keys: number;
}

export interface FailureLimiter {
  /** Milliseconds until this key may try again; 0: now. */
  waitMs(key: string): number;
  /** A try of this key has failed. */
  failed(key: string): void;
}

/** @param now milliseconds */
export function createFailureLimiter(limits: FailureLimits, now: () => number): FailureLimiter {
  /** When the key's bucket is full again: one number tells how full it is at any time. */
  const fullAt = new Map<string, number>();
  /** An empty bucket takes this long to be full. */
  const span = limits.burst * limits.refillMs;

  return {
    waitMs(key) {
      const full = fullAt.get(key);
      if (full === undefined) return 0;
      const time = now();
      if (full <= time) {
        fullAt.delete(key);
        return 0;
      }
      // Never longer than an empty bucket takes, also when the clock was set back.
      return Math.max(0, Math.min(full - time, span) - (span - limits.refillMs));
    },
    failed(key) {
      const time = now();
      const full = Math.min(Math.max(fullAt.get(key) ?? 0, time) + limits.refillMs, time + span);
      fullAt.delete(key);
      fullAt.set(key, full);
      const [oldest] = fullAt.keys();
      if (fullAt.size > limits.keys && oldest !== undefined) fullAt.delete(oldest);
    },
  };
}
