/**
 * Reads the fields of one message body, in the terms of the documentation's
 * "Message Data Types": Int16, Int32, String, Byten. Every read is checked
 * against the end of the body before it is made; a short or unterminated field
 * is a ProtocolViolation, never an empty value.
 */
import { isUtf8 } from 'node:buffer';
import { ProtocolViolation } from './violation.js';

export interface Cursor {
  readonly bytes: Buffer;
  position: number;
  readonly end: number;
  /** For messages: what is being read, such as `Bind`. */
  readonly what: string;
}

/** A cursor over bytes[start, end). */
export function cursor(bytes: Buffer, start: number, end: number, what: string): Cursor {
  return { bytes, position: start, end, what };
}

function need(c: Cursor, count: number): void {
  if (c.end - c.position < count) throw new ProtocolViolation(`invalid ${c.what} message: it ends too early`);
}

export function readByte(c: Cursor): number {
  need(c, 1);
  const value = c.bytes.readUInt8(c.position);
  c.position += 1;
  return value;
}

export function readInt16(c: Cursor): number {
  need(c, 2);
  const value = c.bytes.readInt16BE(c.position);
  c.position += 2;
  return value;
}

export function readUInt16(c: Cursor): number {
  need(c, 2);
  const value = c.bytes.readUInt16BE(c.position);
  c.position += 2;
  return value;
}

export function readInt32(c: Cursor): number {
  need(c, 4);
  const value = c.bytes.readInt32BE(c.position);
  c.position += 4;
  return value;
}

/** The bytes of a zero-terminated string, without the zero; they are a view, not a copy. */
export function readStringBytes(c: Cursor): Buffer {
  const zero = c.bytes.indexOf(0, c.position);
  if (zero < 0 || zero >= c.end)
    throw new ProtocolViolation(`invalid ${c.what} message: unterminated string`);
  const value = c.bytes.subarray(c.position, zero);
  c.position = zero + 1;
  return value;
}

/** A zero-terminated string in strict UTF-8. */
export function readString(c: Cursor): string {
  const value = readStringBytes(c);
  if (value.length === 0) return '';
  if (!isUtf8(value)) throw new ProtocolViolation(`invalid ${c.what} message: not valid UTF-8`, '22021');
  return value.toString('utf8');
}

export function skip(c: Cursor, count: number): void {
  need(c, count);
  c.position += count;
}

/** Nothing may follow the last field (PostgreSQL: pq_getmsgend). */
export function expectEnd(c: Cursor): void {
  if (c.position !== c.end)
    throw new ProtocolViolation(`invalid ${c.what} message: surplus bytes at its end`);
}
