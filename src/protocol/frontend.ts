/**
 * Decoding of what a client sends after start-up. Each function takes the body of
 * one whole message, `bytes[start, end)` without type byte and length word, and
 * either returns its fields or throws ProtocolViolation: what PostgreSQL itself
 * would misread or refuse must never be forwarded.
 */
import { isUtf8 } from 'node:buffer';
import { PG_MAX_AUTH_TOKEN_LENGTH, PQ_SMALL_MESSAGE_LIMIT } from './constants.js';
import type { FrontendName } from './constants.js';
import { cursor, expectEnd, readByte, readInt32, readString, readUInt16, skip } from './cursor.js';
import { ProtocolViolation } from './violation.js';

/** Which limit a message type falls under (PostgreSQL: SocketBackend in tcop/postgres.c). */
const LARGE: Readonly<Record<FrontendName, boolean>> = {
  Bind: true,
  CopyData: true,
  FunctionCall: true,
  Parse: true,
  Query: true,
  AuthenticationResponse: false,
  Close: false,
  CopyDone: false,
  CopyFail: false,
  Describe: false,
  Execute: false,
  Flush: false,
  Sync: false,
  Terminate: false,
};

/**
 * Checks the length word of a message before anything is stored for it.
 * @param length the length word: body plus itself, bytes
 * @param largeLimit limit for Query, Parse, Bind, FunctionCall and CopyData, bytes
 * @throws ProtocolViolation when it is below 4 or above the limit
 */
export function checkFrontendLength(name: FrontendName, length: number, largeLimit: number): void {
  const limit =
    name === 'AuthenticationResponse'
      ? PG_MAX_AUTH_TOKEN_LENGTH
      : LARGE[name]
        ? largeLimit
        : PQ_SMALL_MESSAGE_LIMIT;
  if (length < 4 || length > limit) {
    throw new ProtocolViolation(
      length < 4
        ? `invalid message length ${length} of ${name}`
        : `message of type ${name} is ${length} bytes long; the limit is ${limit}`,
    );
  }
}

/**
 * The text of a Query, as the bytes that will be forwarded: exactly one zero, at the end, strict UTF-8.
 * @returns [start, end) of the text in `bytes`
 */
export function queryText(bytes: Buffer, start: number, end: number): readonly [start: number, end: number] {
  const zero = bytes.indexOf(0, start);
  if (zero !== end - 1) {
    throw new ProtocolViolation(
      zero < 0 || zero >= end
        ? 'invalid Query message: the string is not terminated'
        : 'invalid Query message: a zero byte within the string',
    );
  }
  return [start, zero];
}

/** SQL text as a string. @throws ProtocolViolation 22021 when it is not valid UTF-8 */
export function sqlText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.subarray(start, end);
  if (!isUtf8(text))
    throw new ProtocolViolation('invalid byte sequence for encoding "UTF8" in query text', '22021');
  return text.toString('utf8');
}

export interface ParseMessage {
  readonly name: string;
  /** [start, end) of the SQL text in the message's bytes. */
  readonly textStart: number;
  readonly textEnd: number;
  readonly parameterTypes: number;
}

/** Parse: String name, String query, Int16 count, Int32 type OID each. */
export function decodeParse(bytes: Buffer, start: number, end: number): ParseMessage {
  const c = cursor(bytes, start, end, 'Parse');
  const name = readString(c);
  const textStart = c.position;
  const zero = bytes.indexOf(0, textStart);
  if (zero < 0 || zero >= end) throw new ProtocolViolation('invalid Parse message: unterminated string');
  c.position = zero + 1;
  const parameterTypes = readUInt16(c);
  skip(c, parameterTypes * 4);
  expectEnd(c);
  return { name, textStart, textEnd: zero, parameterTypes };
}

/** OIDs of a Parse's parameters, 0 for those that it leaves to the server; `textEnd` as decodeParse found it. */
export function parameterTypes(bytes: Buffer, textEnd: number): readonly number[] {
  const c = cursor(bytes, textEnd + 1, bytes.length, 'Parse');
  const types: number[] = [];
  for (let left = readUInt16(c); left > 0; left--) types.push(readInt32(c) >>> 0);
  return types;
}

export interface BindMessage {
  readonly portal: string;
  readonly statement: string;
  /** [start, end) of parameter formats and values in the message's bytes; equal when there are no parameters. */
  readonly parametersStart: number;
  readonly parametersEnd: number;
  readonly parameters: number;
}

/** Bind: String portal, String statement, formats, values, result formats. */
export function decodeBind(bytes: Buffer, start: number, end: number): BindMessage {
  const c = cursor(bytes, start, end, 'Bind');
  const portal = readString(c);
  const statement = readString(c);
  const parametersStart = c.position;
  skip(c, readUInt16(c) * 2);
  const parameters = readUInt16(c);
  for (let i = 0; i < parameters; i++) {
    const length = readInt32(c);
    if (length < -1) throw new ProtocolViolation('invalid Bind message: negative parameter length');
    if (length > 0) skip(c, length);
  }
  const parametersEnd = c.position;
  skip(c, readUInt16(c) * 2);
  expectEnd(c);
  return { portal, statement, parametersStart, parametersEnd, parameters };
}

/** Formats and values of a Bind's parameters; `bytes[start, end)` as decodeBind found them. A NULL is null; values are views. */
export function bindParameters(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly formats: readonly number[]; readonly values: readonly (Buffer | null)[] } {
  const c = cursor(bytes, start, end, 'Bind');
  const formats: number[] = [];
  for (let left = readUInt16(c); left > 0; left--) formats.push(readUInt16(c));
  const values: (Buffer | null)[] = [];
  for (let left = readUInt16(c); left > 0; left--) {
    const length = readInt32(c);
    if (length < 0) {
      values.push(null);
      continue;
    }
    const from = c.position;
    skip(c, length);
    values.push(bytes.subarray(from, c.position));
  }
  return { formats, values };
}

/** Execute: String portal, Int32 row limit. @returns the portal's name */
export function decodeExecute(bytes: Buffer, start: number, end: number): string {
  const c = cursor(bytes, start, end, 'Execute');
  const portal = readString(c);
  skip(c, 4);
  expectEnd(c);
  return portal;
}

export interface TargetMessage {
  readonly target: 'statement' | 'portal';
  readonly name: string;
}

/** Describe and Close: Byte1('S' or 'P'), String name. */
export function decodeTarget(
  what: 'Describe' | 'Close',
  bytes: Buffer,
  start: number,
  end: number,
): TargetMessage {
  const c = cursor(bytes, start, end, what);
  const kind = readByte(c);
  const name = readString(c);
  expectEnd(c);
  if (kind === 0x53) return { target: 'statement', name };
  if (kind === 0x50) return { target: 'portal', name };
  throw new ProtocolViolation(`invalid ${what} message: subtype ${kind}`);
}

/** Sync, Flush, Terminate and CopyDone have no body. */
export function decodeEmpty(what: FrontendName, start: number, end: number): void {
  if (start !== end) throw new ProtocolViolation(`invalid ${what} message: surplus bytes at its end`);
}

/** CopyFail: String reason. */
export function decodeCopyFail(bytes: Buffer, start: number, end: number): void {
  const c = cursor(bytes, start, end, 'CopyFail');
  readString(c);
  expectEnd(c);
}

/** SASLInitialResponse: String mechanism, then the response. @returns the mechanism, or null when the body has no string */
export function saslMechanism(bytes: Buffer, start: number, end: number): string | null {
  const zero = bytes.indexOf(0, start);
  return zero < 0 || zero >= end ? null : bytes.toString('latin1', start, zero);
}

/**
 * The flag of channel binding that a SASLInitialResponse begins with (RFC 5802, section 7, gs2-cbind-flag): `n` the client
 * does not support it, `y` it does, and thinks that the server does not, `p` it uses it. null: the body has no response.
 */
export function channelBindingFlag(bytes: Buffer, start: number, end: number): string | null {
  const zero = bytes.indexOf(0, start);
  const flag = zero + 1 + 4;
  return zero < 0 || flag >= end ? null : bytes.toString('latin1', flag, flag + 1);
}
