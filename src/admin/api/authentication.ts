/**
 * Who calls: from an Authorization header to an approver of the policy in force.
 *
 * Law: the policy's word alone, asked anew for every call. A token is compared as
 * its SHA-256 with every approver's in constant time, and no answer tells more
 * than yes or no. Tokens must be long and random (`openssl rand -hex 32`): what a
 * person makes up is found by whoever gets hold of the hash.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { Approver } from '../../policy/types.js';
import { createFailureLimiter } from './failures.js';

export interface Caller {
  readonly approver: Approver;
  /** The token's SHA-256, hex: names the caller's credential without being one. */
  readonly tokenSha256: string;
  /** The handle of the page's session that the call came with; null: it came with the token. */
  readonly session: string | null;
}

export type Authentication =
  | { readonly kind: 'caller'; readonly caller: Caller }
  | { readonly kind: 'unauthenticated' }
  | { readonly kind: 'limited'; readonly retryAfterMs: number };

export interface Authenticator {
  /** @param address the peer's IP address */
  authenticate(header: string | undefined, address: string): Authentication;
  /** Whether this credential still is one, and whose: for what outlives a call. */
  current(tokenSha256: string): Approver | null;
}

export interface AuthenticatorOptions {
  readonly approvers: () => readonly Approver[];
  /** Milliseconds. */
  readonly now: () => number;
}

/** RFC 6750, section 2.1: b64token. Shorter ones are guessed, longer ones are none of ours. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]{16,512}=*)$/i;

/** Ten mistakes at once, then one every six seconds. */
const FAILURES = { burst: 10, refillMs: 6_000, keys: 10_000 };
/** Credentials that are remembered to have been good at an address. */
const MAX_GUESTS = 1_000;

export function createAuthenticator({ approvers, now }: AuthenticatorOptions): Authenticator {
  const byAddress = createFailureLimiter(FAILURES, now);
  const byToken = createFailureLimiter(FAILURES, now);
  /**
   * Credentials that were good at an address go on working there while others fail:
   * behind a proxy or a port forward all share one address, and whoever guesses
   * tokens there must not keep approvers from denying what waits.
   */
  const guests = new Set<string>();

  function remember(guest: string): void {
    guests.delete(guest);
    guests.add(guest);
    const [oldest] = guests;
    if (guests.size > MAX_GUESTS && oldest !== undefined) guests.delete(oldest);
  }

  function current(tokenSha256: string): Approver | null {
    const presented = Buffer.from(tokenSha256, 'hex');
    let found: Approver | null = null;
    let matches = 0;
    // All of them, also after a match: the time says nothing about which it was.
    for (const approver of approvers()) {
      const known = Buffer.from(approver.tokenSha256 ?? '', 'hex');
      if (known.length !== presented.length || !timingSafeEqual(known, presented)) continue;
      found = approver;
      matches++;
    }
    // One token for two people is nobody's.
    return matches === 1 ? found : null;
  }

  return {
    current,
    authenticate(header, address) {
      const network = networkOf(address);
      const token = BEARER.exec(header ?? '')?.[1] ?? null;
      const tokenSha256 = token === null ? null : createHash('sha256').update(token).digest('hex');
      const guest = `${network} ${tokenSha256 ?? ''}`;
      const wait = guests.has(guest)
        ? 0
        : Math.max(byAddress.waitMs(network), tokenSha256 === null ? 0 : byToken.waitMs(tokenSha256));
      if (wait > 0) return { kind: 'limited', retryAfterMs: wait };
      const approver = tokenSha256 === null ? null : current(tokenSha256);
      if (tokenSha256 === null || approver === null) {
        guests.delete(guest);
        byAddress.failed(network);
        if (tokenSha256 !== null) byToken.failed(tokenSha256);
        return { kind: 'unauthenticated' };
      }
      remember(guest);
      return { kind: 'caller', caller: { approver, tokenSha256, session: null } };
    },
  };
}

/** One client's address: of IPv6 the /64, since whoever has one address there has them all. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? `${parsed.parts.slice(0, 4).join(':')}::/64` : parsed.toString();
}
