/**
 * The text that a tree was parsed from, and where it stands in the text that is
 * analysed: the same at the top, a piece of it within the body of a function.
 *
 * Law of this file: positions only. A piece that stands in the outer text word for
 * word keeps its positions; of one that does not (a body in quotes with escapes in
 * it) every position is the one where it begins.
 */
import { createOffsets, type Offsets } from './offsets.js';
import { integer, type Tree } from './tree.js';

export interface Source {
  readonly text: string;
  /** The statement at hand, as it stands in `text`. */
  readonly statement: () => string;
  /** From bytes of `text` to UTF-16 offsets of the analysed text. */
  readonly offsets: Offsets;
  /** From UTF-16 offsets of `text` to those of the analysed text. */
  readonly outer: (index: number) => number;
  /** From bytes to UTF-16 offsets, both of `text`. */
  readonly local: Offsets;
  /** How many bodies it stands in. */
  readonly depth: number;
}

/** The analysed text itself. */
export function topSource(text: string, [start, end]: readonly [number, number], offsets: Offsets): Source {
  return {
    text,
    statement: () => text.slice(start, end),
    offsets,
    local: offsets,
    outer: itself,
    depth: 0,
  };
}

function itself(index: number): number {
  return index;
}

/** Where a piece of a source stands in it. */
export interface Piece {
  readonly text: string;
  /** UTF-16 offset in the outer source that belongs to offset 0 of the piece; null where the piece does not stand there word for word. */
  readonly start: number | null;
  /** What to point at when `start` is null. */
  readonly anchor: number;
}

/** @param local offsets in the piece, where somebody has them already */
export function pieceOf(
  source: Source,
  { text, start, anchor }: Piece,
  depth: number,
  local: Offsets = createOffsets(text),
): Source {
  const outer = (index: number): number => source.outer(start === null ? anchor : Math.max(start + index, 0));
  return {
    text,
    statement: () => text,
    local,
    outer,
    offsets: { toUtf16: (byte) => outer(local.toUtf16(byte)) },
    depth,
  };
}

/** The place of a raw statement in its text without white space around it; a length of 0 means "to the end". */
export function spanOf(raw: Tree, text: string, offsets: Offsets): readonly [number, number] {
  const from = integer(raw['stmt_location']);
  const length = integer(raw['stmt_len']);
  let start = offsets.toUtf16(from);
  let end = length === 0 ? text.length : offsets.toUtf16(from + length);
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return [start, end];
}

/** scanner_isspace(): what PostgreSQL's lexer skips between tokens. */
function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}
