/**
 * One-time codes by time: RFC 6238 with SHA-1, six digits and 30 seconds, which is
 * what authenticator apps make of a secret.
 */
import { Secret, TOTP } from 'otpauth';
import type { VerifyTotp } from './one-time-codes.js';

/** Steps before and after this one that count too: clocks differ, and people are slow (RFC 6238, section 5.2). */
const WINDOW = 1;

export const verifyTotp: VerifyTotp = (secret, code, now) => {
  const totp = new TOTP({ secret: Secret.fromBase32(secret), algorithm: 'SHA1', digits: 6, period: 30 });
  const delta = totp.validate({ token: code, timestamp: now, window: WINDOW });
  return delta === null ? null : totp.counter({ timestamp: now }) + delta;
};
