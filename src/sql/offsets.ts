/**
 * From the parser's byte offsets to JavaScript's.
 *
 * Law of this file: PostgreSQL counts locations in bytes of UTF-8, facts count
 * UTF-16 code units. For ASCII text both are the same and nothing is computed.
 */

const STEP = 256;
const NON_ASCII = /[^\u0000-\u007f]/;

export interface Offsets {
  /** UTF-16 offset of a byte offset; offsets beyond the end give the length of the text. */
  toUtf16(byte: number): number;
}

/** Prepares conversion for one text; the table for non-ASCII text is built at the first use. */
export function createOffsets(sql: string): Offsets {
  if (!NON_ASCII.test(sql)) return { toUtf16: (byte) => Math.min(Math.max(byte, 0), sql.length) };
  let marks: Uint32Array | null = null;
  return {
    toUtf16(byte) {
      marks ??= checkpoints(sql);
      const mark = Math.min(Math.floor(Math.max(byte, 0) / STEP), marks.length / 2 - 1);
      let bytes = marks[mark * 2] ?? 0;
      let index = marks[mark * 2 + 1] ?? 0;
      while (bytes < byte && index < sql.length) {
        const code = sql.codePointAt(index) ?? 0;
        bytes += bytesOf(code);
        index += code > 0xffff ? 2 : 1;
      }
      return index;
    },
  };
}

/** For each multiple of STEP the pair (byte offset, UTF-16 offset) of the last character that starts at or before it. */
function checkpoints(sql: string): Uint32Array {
  const pairs: number[] = [0, 0];
  let bytes = 0;
  let next = STEP;
  for (let index = 0; index < sql.length;) {
    const code = sql.codePointAt(index) ?? 0;
    const width = bytesOf(code);
    if (bytes + width > next) {
      pairs.push(bytes, index);
      next += STEP;
    }
    bytes += width;
    index += code > 0xffff ? 2 : 1;
  }
  return Uint32Array.from(pairs);
}

function bytesOf(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code > 0xffff ? 4 : 3;
}
