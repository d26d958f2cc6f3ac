/**
 * The statements of a Query string as texts of their own, for a server that is given
 * them one by one.
 *
 * Law: bytes of the string and blanks, nothing else. Each statement stands where it
 * stands in the string, since the server counts the positions in its errors from there.
 */
import type { JudgedText } from './judged-text.js';

/** One text for each statement of `bytes[start, end)`, in their order. */
export function carriedStatements(
  bytes: Buffer,
  start: number,
  end: number,
  { statements }: JudgedText,
): readonly Buffer[] {
  if (statements.length === 1) return [Buffer.from(bytes.subarray(start, end))];
  const sql = bytes.toString('utf8', start, end);
  return statements.map(({ facts }) => {
    if (facts === null) throw new Error('a statement of several without facts');
    const [from, to] = facts.span;
    // The server counts characters, not UTF-16 code units.
    const before = Array.from(sql.slice(0, from)).length;
    return Buffer.from(`${' '.repeat(before)}${sql.slice(from, to)}`, 'utf8');
  });
}
