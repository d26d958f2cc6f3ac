/**
 * The first packets of a connection, up to StartupMessage or CancelRequest, as a
 * total table: each kind of encryption may be asked for once, nothing may be asked
 * for inside TLS, exactly one StartupMessage ends it (PostgreSQL documentation,
 * "Message Flow", "Start-up" and "SSL Session Encryption").
 */
import { TLS_HANDSHAKE_BYTE } from '../protocol/constants.js';
import { readStartupPacket } from '../protocol/startup.js';
import type { StartupMessage, StartupPacket } from '../protocol/startup.js';
import { ProtocolViolation } from '../protocol/violation.js';

export type GreetingState = 'fresh' | 'ssl_refused' | 'gss_refused' | 'both_refused' | 'encrypted';

type GreetingAction = 'negotiate_ssl' | 'refuse_gss' | 'cancel' | 'start' | 'violation';

export const GREETING_TRANSITIONS: Readonly<
  Record<GreetingState, Readonly<Record<StartupPacket['kind'], GreetingAction>>>
> = {
  fresh: {
    ssl_request: 'negotiate_ssl',
    gssenc_request: 'refuse_gss',
    cancel_request: 'cancel',
    startup: 'start',
  },
  ssl_refused: {
    ssl_request: 'violation',
    gssenc_request: 'refuse_gss',
    cancel_request: 'cancel',
    startup: 'start',
  },
  gss_refused: {
    ssl_request: 'negotiate_ssl',
    gssenc_request: 'violation',
    cancel_request: 'cancel',
    startup: 'start',
  },
  both_refused: {
    ssl_request: 'violation',
    gssenc_request: 'violation',
    cancel_request: 'cancel',
    startup: 'start',
  },
  encrypted: {
    ssl_request: 'violation',
    gssenc_request: 'violation',
    cancel_request: 'cancel',
    startup: 'start',
  },
};

/** What to do next; `rest` is what the client sent behind the packet. */
export type GreetingStep =
  | { readonly kind: 'need_data' }
  /** Answer `N` and go on. */
  | { readonly kind: 'answer_no'; readonly state: GreetingState; readonly rest: Buffer }
  /** Answer `S`, then make the TLS handshake, then go on in state `encrypted`. */
  | { readonly kind: 'answer_tls' }
  /** The client speaks TLS at once; its bytes belong to the handshake. ALPN must name `postgresql`. */
  | { readonly kind: 'direct_tls' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secret: Buffer }
  | { readonly kind: 'start'; readonly message: StartupMessage; readonly rest: Buffer };

/**
 * One step of the greeting.
 * @param bytes all bytes received and not yet consumed
 * @param tls whether a TLS handshake can be offered
 * @throws ProtocolViolation when the client breaks the order, and when bytes follow an SSLRequest before the
 *   handshake: they would be plain text taken for encrypted (CVE-2021-23214)
 */
export function greet(state: GreetingState, bytes: Buffer, tls: boolean): GreetingStep {
  if (state === 'fresh' && tls && bytes[0] === TLS_HANDSHAKE_BYTE) return { kind: 'direct_tls' };
  const frame = readStartupPacket(bytes);
  if (frame === null) return { kind: 'need_data' };
  const { packet, length } = frame;
  const rest = bytes.subarray(length);
  switch (GREETING_TRANSITIONS[state][packet.kind]) {
    case 'negotiate_ssl':
      if (rest.length > 0) throw new ProtocolViolation('received unencrypted data after SSL request');
      if (tls) return { kind: 'answer_tls' };
      return { kind: 'answer_no', state: state === 'fresh' ? 'ssl_refused' : 'both_refused', rest };
    case 'refuse_gss':
      if (rest.length > 0)
        throw new ProtocolViolation('received unencrypted data after GSSAPI encryption request');
      return { kind: 'answer_no', state: state === 'fresh' ? 'gss_refused' : 'both_refused', rest };
    case 'cancel':
      if (packet.kind !== 'cancel_request') throw new Error('the greeting table does not fit its packets');
      return { kind: 'cancel', processId: packet.processId, secret: packet.secret };
    case 'start':
      if (packet.kind !== 'startup') throw new Error('the greeting table does not fit its packets');
      return { kind: 'start', message: packet, rest };
    case 'violation':
      throw new ProtocolViolation(
        `unexpected ${packet.kind === 'ssl_request' ? 'SSLRequest' : 'GSSENCRequest'} in the start-up of a connection`,
      );
  }
}
