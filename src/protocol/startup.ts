/**
 * The first packet of a connection: StartupMessage, SSLRequest, GSSENCRequest,
 * CancelRequest. Pure decoding; which of them may come when is for src/session.
 *
 * Layout (PostgreSQL documentation, "Message Formats"):
 *   Int32 length, itself included | Int32 version or request code | …
 *   StartupMessage: (String name, String value)* Byte1(0)
 */
import {
  CANCEL_REQUEST_CODE,
  MAX_CANCEL_KEY_LENGTH,
  MAX_STARTUP_PACKET_LENGTH,
  MIN_CANCEL_KEY_LENGTH,
  MIN_STARTUP_PACKET_LENGTH,
  NAMEDATALEN,
  NEGOTIATE_GSS_CODE,
  NEGOTIATE_SSL_CODE,
  PG_PROTOCOL_MAJOR,
} from './constants.js';
import { cursor, readString } from './cursor.js';
import { ProtocolViolation } from './violation.js';

export interface StartupMessage {
  readonly kind: 'startup';
  /** Minor version that the client asked for (the major one is always 3). */
  readonly minor: number;
  /** All parameters as sent, `user` and `database` among them, protocol extensions not. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Names that begin with `_pq_.`: protocol extensions, which Holdfast negotiates away. */
  readonly extensions: readonly string[];
}

export type StartupPacket =
  | { readonly kind: 'ssl_request' }
  | { readonly kind: 'gssenc_request' }
  | { readonly kind: 'cancel_request'; readonly processId: number; readonly secret: Buffer }
  | StartupMessage;

/** Result of looking for one startup packet at the beginning of `bytes`. */
export type StartupFrame = { readonly packet: StartupPacket; readonly length: number } | null;

/**
 * Takes one startup packet off the front of `bytes`.
 * @returns null while it is incomplete; the length is checked as soon as it is there.
 * @throws ProtocolViolation for any length or layout that PostgreSQL would refuse, and for
 *   duplicate parameters and over-long names, which PostgreSQL would silently resolve.
 */
export function readStartupPacket(bytes: Buffer): StartupFrame {
  if (bytes.length < 4) return null;
  const length = bytes.readUInt32BE(0);
  if (length < MIN_STARTUP_PACKET_LENGTH || length > MAX_STARTUP_PACKET_LENGTH) {
    // PostgreSQL says this in its log alone (ProcessStartupPacket in postmaster.c), and drivers rely on that.
    throw new ProtocolViolation('invalid length of startup packet', '08P01', true);
  }
  if (bytes.length < length) return null;
  return { packet: decodeStartupPacket(bytes.subarray(0, length)), length };
}

function decodeStartupPacket(bytes: Buffer): StartupPacket {
  const code = bytes.readUInt32BE(4);
  switch (code) {
    case NEGOTIATE_SSL_CODE:
      if (bytes.length !== 8) throw new ProtocolViolation('invalid length of SSLRequest');
      return { kind: 'ssl_request' };
    case NEGOTIATE_GSS_CODE:
      if (bytes.length !== 8) throw new ProtocolViolation('invalid length of GSSENCRequest');
      return { kind: 'gssenc_request' };
    case CANCEL_REQUEST_CODE: {
      const keyLength = bytes.length - 12;
      if (keyLength < MIN_CANCEL_KEY_LENGTH || keyLength > MAX_CANCEL_KEY_LENGTH) {
        throw new ProtocolViolation('invalid length of CancelRequest');
      }
      return {
        kind: 'cancel_request',
        processId: bytes.readInt32BE(8),
        secret: Buffer.from(bytes.subarray(12)),
      };
    }
    default:
      return decodeStartupMessage(bytes, code);
  }
}

function decodeStartupMessage(bytes: Buffer, version: number): StartupMessage {
  const major = version >>> 16;
  if (major !== PG_PROTOCOL_MAJOR) {
    throw new ProtocolViolation(
      `unsupported frontend protocol ${major}.${version & 0xffff}: Holdfast supports 3.0 to 3.2`,
      '0A000',
    );
  }
  // The terminator must be the very last byte: a packet that ends early or late has hidden parameters.
  const c = cursor(bytes, 8, bytes.length, 'startup');
  const parameters = new Map<string, string>();
  const extensions: string[] = [];
  for (;;) {
    const name = readString(c);
    if (name === '') break;
    const value = readString(c);
    if (name.startsWith('_pq_.')) {
      extensions.push(name);
      continue;
    }
    if (parameters.has(name)) throw new ProtocolViolation(`duplicate startup parameter "${name}"`);
    parameters.set(name, value);
  }
  if (c.position !== c.end) {
    throw new ProtocolViolation('invalid startup packet layout: expected terminator as last byte');
  }
  for (const name of ['user', 'database']) {
    const value = parameters.get(name);
    if (value !== undefined && Buffer.byteLength(value) >= NAMEDATALEN) {
      throw new ProtocolViolation(
        `startup parameter "${name}" is longer than ${NAMEDATALEN - 1} bytes`,
        '28000',
      );
    }
  }
  if ((parameters.get('user') ?? '') === '') {
    throw new ProtocolViolation('no PostgreSQL user name specified in startup packet', '28000');
  }
  return { kind: 'startup', minor: version & 0xffff, parameters, extensions };
}
