/**
 * The line of a statement that something is about, with the place underlined.
 *
 * Law: columns are those of a terminal, not characters: the carets stand below
 * the word, whatever is before it.
 */
import { cells, firstColumns, lastColumns, textOf, width } from './explain-terminal.js';
import type { Painter } from './explain-terminal.js';

/** Columns of the source line that are shown where nobody says how many fit; longer lines are cut around the place. */
const WINDOW = 100;
/** However narrow a terminal is, the word and something around it should be seen. */
const LEAST_WINDOW = 30;

/**
 * The line of the text that holds `offset` (UTF-16 code units), with its number,
 * and a line of carets below the word there. `columns`: of the terminal.
 */
export function snippet(
  sql: string,
  offset: number,
  underline: boolean,
  paint: Painter = (text) => text,
  columns: number | null = null,
): string[] {
  const at = Math.min(offset, sql.length);
  const lineStart = Math.max(sql.lastIndexOf('\n', at - 1), sql.lastIndexOf('\r', at - 1)) + 1;
  const rest = sql.slice(lineStart).search(/[\r\n]/);
  const lineEnd = rest === -1 ? sql.length : lineStart + rest;
  const number = String(sql.slice(0, lineStart).split(/\r\n|\r|\n/).length);
  const margin = `  ${number} | `;
  // Two columns for the marks that something was cut off.
  const window = columns === null ? WINDOW : Math.max(LEAST_WINDOW, columns - margin.length - 2);

  const before = cells(sql.slice(lineStart, at));
  const word = wordAt(sql.slice(at, lineEnd));
  const marked = cells(word);
  const after = cells(sql.slice(at + word.length, lineEnd));

  // A line that is too long is cut: most of the window shows what comes after the place, as far as there is anything.
  const roomBefore = Math.max(Math.floor(window / 3), window - width(marked) - width(after));
  const shownBefore = lastColumns(before, roomBefore);
  const shownMarked = firstColumns(marked, window - width(shownBefore));
  const shownAfter = firstColumns(after, Math.max(0, window - width(shownBefore) - width(shownMarked)));
  const cutBefore = shownBefore.length < before.length ? '…' : '';
  const cutAfter = shownMarked.length < marked.length || shownAfter.length < after.length ? '…' : '';

  const lines = [
    `${margin}${cutBefore}${textOf(shownBefore)}${textOf(shownMarked)}${textOf(shownAfter)}${cutAfter}`,
  ];
  if (underline) {
    const indent = ' '.repeat(cutBefore.length + width(shownBefore));
    const carets = '^'.repeat(Math.max(1, width(shownMarked)));
    lines.push(`  ${' '.repeat(number.length)} | ${indent}${paint(carets, 'deny')}`);
  }
  return lines;
}

/** The word, quoted name or single character that a text begins with. */
function wordAt(from: string): string {
  return /^(?:[\p{L}\p{N}_$]+|"[^"]*"|'[^']*'|.)/su.exec(from)?.[0] ?? '';
}

/** PostgreSQL counts characters from one; JavaScript counts UTF-16 code units from zero. */
export function utf16Offset(sql: string, position: number): number {
  let offset = 0;
  for (let character = 1; character < position && offset < sql.length; character++) {
    offset += (sql.codePointAt(offset) ?? 0) > 0xffff ? 2 : 1;
  }
  return offset;
}
