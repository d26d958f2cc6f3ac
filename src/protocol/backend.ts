/**
 * Decoding of the few backend messages whose content Holdfast must know. Bodies
 * are `bytes[start, end)` without type byte and length word.
 */
import type { TransactionStatus } from './constants.js';
import { cursor, expectEnd, readByte, readInt16, readInt32, readString, readStringBytes } from './cursor.js';
import { ProtocolViolation } from './violation.js';

/** ReadyForQuery: Byte1 status. */
export function decodeReadyForQuery(bytes: Buffer, start: number, end: number): TransactionStatus {
  const status = end - start === 1 ? bytes[start] : undefined;
  switch (status) {
    case 0x49:
      return 'I';
    case 0x54:
      return 'T';
    case 0x45:
      return 'E';
    case undefined:
    default:
      throw new ProtocolViolation('invalid ReadyForQuery message');
  }
}

/** ParameterStatus: String name, String value. Values may be in any encoding, so they are read as Latin-1 bytes. */
export function decodeParameterStatus(
  bytes: Buffer,
  start: number,
  end: number,
): readonly [name: string, value: string] {
  const c = cursor(bytes, start, end, 'ParameterStatus');
  const name = readStringBytes(c).toString('latin1');
  const value = readStringBytes(c).toString('latin1');
  expectEnd(c);
  return [name, value];
}

/** BackendKeyData: Int32 process id, then the secret key (4 bytes in protocol 3.0, up to 256 in 3.2). */
export function decodeBackendKeyData(
  bytes: Buffer,
  start: number,
  end: number,
): { processId: number; secret: Buffer } {
  const c = cursor(bytes, start, end, 'BackendKeyData');
  const processId = readInt32(c);
  return { processId, secret: Buffer.from(bytes.subarray(c.position, end)) };
}

/** NegotiateProtocolVersion: Int32 newest minor version, Int32 count, String each. */
export function decodeNegotiateProtocolVersion(
  bytes: Buffer,
  start: number,
  end: number,
): { minor: number; unrecognized: readonly string[] } {
  const c = cursor(bytes, start, end, 'NegotiateProtocolVersion');
  // Servers since 17 send the whole version (3 << 16 | minor), earlier ones the minor alone.
  const minor = readInt32(c) & 0xffff;
  const count = readInt32(c);
  const unrecognized: string[] = [];
  for (let i = 0; i < count; i++) unrecognized.push(readString(c));
  expectEnd(c);
  return { minor, unrecognized };
}

/** Authentication: Int32 kind. */
export function authenticationKind(bytes: Buffer, start: number, end: number): number {
  return readInt32(cursor(bytes, start, end, 'Authentication'));
}

/** AuthenticationSASL: Int32(10), String mechanism…, Byte1(0). */
export function saslMechanisms(bytes: Buffer, start: number, end: number): readonly string[] {
  const c = cursor(bytes, start + 4, end, 'AuthenticationSASL');
  const names: string[] = [];
  for (;;) {
    const name = readString(c);
    if (name === '') return names;
    names.push(name);
  }
}

/** Fields of an ErrorResponse or NoticeResponse by their one-letter code. Text is decoded leniently: it is for people. */
export function errorFields(bytes: Buffer, start: number, end: number): ReadonlyMap<string, string> {
  const c = cursor(bytes, start, end, 'ErrorResponse');
  const fields = new Map<string, string>();
  while (c.position < c.end) {
    const code = readByte(c);
    if (code === 0) break;
    fields.set(String.fromCharCode(code), readStringBytes(c).toString('utf8'));
  }
  return fields;
}

/** One field of an ErrorResponse without decoding the rest; null where it has none. */
function errorField(bytes: Buffer, start: number, end: number, wanted: number): string | null {
  let position = start;
  while (position < end) {
    const code = bytes[position];
    if (code === 0 || code === undefined) break;
    const zero = bytes.indexOf(0, position + 1);
    if (zero < 0 || zero >= end) break;
    if (code === wanted) return bytes.toString('latin1', position + 1, zero);
    position = zero + 1;
  }
  return null;
}

/** SQLSTATE of an ErrorResponse; 'XX000' where it has none. */
export function errorSqlstate(bytes: Buffer, start: number, end: number): string {
  return errorField(bytes, start, end, 0x43) ?? 'XX000';
}

/** Whether the server ends the connection with this ErrorResponse (field V, never translated). */
export function isFatal(bytes: Buffer, start: number, end: number): boolean {
  const severity = errorField(bytes, start, end, 0x56);
  return severity === 'FATAL' || severity === 'PANIC';
}

/** The number at the end of a CommandComplete tag; null for commands without one. Reads digits only, makes no string. */
export function commandRows(bytes: Buffer, start: number, end: number): number | null {
  let rows = 0;
  let scale = 1;
  let position = end - 2;
  for (; position >= start; position--) {
    const byte = bytes[position] ?? 0;
    if (byte < 0x30 || byte > 0x39) break;
    rows += (byte - 0x30) * scale;
    scale *= 10;
  }
  return scale === 1 || bytes[position] !== 0x20 ? null : rows;
}

/** DataRow of a query of Holdfast's own, whose columns are all text. NULL is null. */
export function textColumns(bytes: Buffer, start: number, end: number): readonly (string | null)[] {
  const c = cursor(bytes, start, end, 'DataRow');
  const count = readInt16(c);
  const columns: (string | null)[] = [];
  for (let i = 0; i < count; i++) {
    const length = readInt32(c);
    if (length < 0) {
      columns.push(null);
      continue;
    }
    if (c.end - c.position < length)
      throw new ProtocolViolation('invalid DataRow message: it ends too early');
    columns.push(bytes.toString('utf8', c.position, c.position + length));
    c.position += length;
  }
  expectEnd(c);
  return columns;
}
