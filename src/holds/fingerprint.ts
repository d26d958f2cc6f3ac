/**
 * What was approved, as one number: SHA-256 over everything that decides what a
 * statement does. A statement passes as approved only if it has the same one.
 *
 * Law: every part is written with its length before it and in a fixed order, so
 * that no two subjects have one encoding (`("ab","c")` and `("a","bc")` differ,
 * and so do NULL and the empty string).
 */
import { createHash } from 'node:crypto';
import { bytesOfText } from './hold.js';
import type { HeldParameter, Subject } from './hold.js';

/** What the fingerprint is taken from; `sql` the exact bytes that would be forwarded. */
export interface Fingerprinted extends Pick<
  Subject,
  'parameters' | 'user' | 'role' | 'database' | 'session' | 'searchPath' | 'policy' | 'environment' | 'style'
> {
  readonly sql: Uint8Array;
}

/** Another encoding gets another name, so that fingerprints kept in a table cannot be mistaken. */
const ENCODING = 'holdfast hold 1';

/**
 * Hex. With the style `wait` the session counts: what was approved for one
 * session passes in no other. A ticket is good for any session of its user.
 */
export function fingerprint(of: Fingerprinted): string {
  const hash = createHash('sha256');
  const length = Buffer.alloc(8);
  const bytes = (part: Uint8Array): void => {
    length.writeBigUInt64BE(BigInt(part.length));
    hash.update(length);
    hash.update(part);
  };
  const text = (part: string): void => {
    bytes(Buffer.from(part, 'utf8'));
  };
  const number = (part: number): void => {
    text(part.toString());
  };
  const optional = (part: Uint8Array | null): void => {
    text(part === null ? 'null' : 'value');
    if (part !== null) bytes(part);
  };

  text(ENCODING);
  text(of.style);
  if (of.style === 'wait') text(of.session);
  text(of.environment);
  text(of.policy);
  text(of.user);
  text(of.role);
  text(of.database);
  optional(of.searchPath === null ? null : Buffer.from(of.searchPath, 'utf8'));
  bytes(of.sql);
  number(of.parameters.length);
  for (const { type, format, value } of of.parameters) {
    number(type);
    number(format);
    optional(value);
  }
  return hash.digest('hex');
}

/** Of what a hold shows: its text is UTF-8, so these are the bytes that it was made of. */
export function fingerprintOf(subject: Subject): string {
  return fingerprint({ ...subject, sql: bytesOfText(subject.sql) });
}

/**
 * The parameters of a Bind, one entry each, in copies of their own: the receive
 * buffer that they lie in is used again.
 *
 * @param types OIDs from the Parse; what is missing is 0, unspecified.
 * @param formats PostgreSQL's format codes: none means text for all, one counts for all.
 */
export function heldParameters(
  types: readonly number[],
  formats: readonly number[],
  values: readonly (Uint8Array | null)[],
): readonly HeldParameter[] {
  return values.map((value, index) => ({
    type: types[index] ?? 0,
    format: (formats.length === 1 ? formats[0] : formats[index]) ?? 0,
    value: value === null ? null : Uint8Array.from(value),
  }));
}
