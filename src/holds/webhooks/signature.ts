/**
 * How a receiver knows that a message is from this Holdfast, and not an old one sent
 * again: HMAC-SHA-256, with the secret that both have, over the time and the body.
 */
import { createHmac } from 'node:crypto';

/** The value of `holdfast-signature`. @param timestamp of `holdfast-timestamp`: whole seconds since 1970 */
export function signatureOf(secret: string, timestamp: string, body: string): string {
  return `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;
}
