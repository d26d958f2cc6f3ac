import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RETRIES, verdictOn } from '../../src/holds/webhooks/retry.js';
import type { Verdict } from '../../src/holds/webhooks/retry.js';
import { signatureOf } from '../../src/holds/webhooks/signature.js';
import { T0 } from '../holds/support.js';

function answered(status: number, attempt = 1, retryAfter: string | null = null): Verdict {
  return verdictOn({ kind: 'answered', status, retryAfter }, attempt, RETRIES, 1, T0);
}

describe('verdictOn', () => {
  it.each([
    [200, 'delivered'],
    [204, 'delivered'],
    [301, 'rejected'],
    [400, 'rejected'],
    [408, 'again'],
    [410, 'rejected'],
    [429, 'again'],
    [500, 'again'],
    [503, 'again'],
  ])('%i: %s', (status, kind) => {
    expect(answered(status).kind).toBe(kind);
  });

  it('doubles the delay up to a minute, and ends', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((attempt) => answered(500, attempt));
    expect(delays.map((verdict) => (verdict.kind === 'again' ? verdict.delayMs : verdict.kind))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000,
    ]);
    expect(answered(500, 8).kind).toBe('failed');
  });

  it.each([
    ['seconds', '7', 7_000],
    ['a date', new Date(T0 + 9_000).toUTCString(), 9_000],
    ['more than is bearable', '86400', 300_000],
    ['less than the delay', '0', 1_000],
    ['a date that is over', new Date(T0 - 9_000).toUTCString(), 1_000],
  ])('does as Retry-After says: %s', (_what, value, delayMs) => {
    expect(answered(429, 1, value)).toEqual({ kind: 'again', delayMs, everything: true });
  });

  it('takes no nonsense for a Retry-After', () => {
    expect(answered(429, 1, 'soon')).toEqual({ kind: 'again', delayMs: 1_000, everything: false });
  });

  it('always gives a delay that a timer can keep', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.string(),
        (attempt, random, after) => {
          const verdict = verdictOn(
            { kind: 'answered', status: 503, retryAfter: after },
            attempt,
            RETRIES,
            random,
            T0,
          );
          expect(verdict.kind === 'again' && verdict.delayMs >= 500 && verdict.delayMs <= 300_000).toBe(true);
        },
      ),
    );
  });
});

it('a signature is that of RFC 2104 with SHA-256, over time and body', () => {
  // printf '1700000000.{}' | openssl dgst -sha256 -hmac 'a secret of sixteen and more'
  expect(signatureOf('a secret of sixteen and more', '1700000000', '{}')).toBe(
    `v1=e1f870b73a9d1a20001a150a66ec4963bf3b587475435b0893f75969ff251278`,
  );
});
