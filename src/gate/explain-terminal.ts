/**
 * Text on a terminal: how wide it is, where it is broken, its colours.
 *
 * Law: text only. SQL and names come from strangers, so nothing of them reaches
 * the terminal that could steer it (control and format characters).
 */
import type { Verdict } from '../policy/types.js';

const TAB = '    ';
/** Longer lines are hard to read, however wide the terminal is. */
const READABLE_COLUMNS = 100;

export interface Cell {
  readonly text: string;
  readonly columns: number;
}

/** What each character looks like on a terminal, and how many columns it takes. */
export function cells(source: string): Cell[] {
  return Array.from(source, (character) => {
    if (character === '\t') return { text: TAB, columns: TAB.length };
    if (/^\p{M}$/u.test(character)) return { text: character, columns: 0 };
    if (/^[\p{C}\p{Zl}\p{Zp}]$/u.test(character)) return { text: '\uFFFD', columns: 1 };
    return { text: character, columns: isWide(character.codePointAt(0) ?? 0) ? 2 : 1 };
  });
}

/** Unicode's East Asian Wide and Fullwidth blocks and emoji (UAX #11), as terminals draw them. */
export function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0x303e) ||
    (code >= 0x3041 && code <= 0xa4cf) ||
    (code >= 0xa960 && code <= 0xa97f) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1f64f) ||
    (code >= 0x1f680 && code <= 0x1f6ff) ||
    (code >= 0x1f900 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

export function firstColumns(all: readonly Cell[], most: number): Cell[] {
  let columns = 0;
  const end = all.findIndex((cell) => (columns += cell.columns) > most);
  return end === -1 ? [...all] : all.slice(0, end);
}

export function lastColumns(all: readonly Cell[], most: number): Cell[] {
  return firstColumns(all.toReversed(), most).reverse();
}

export function width(all: readonly Cell[]): number {
  return all.reduce((sum, cell) => sum + cell.columns, 0);
}

export function textOf(all: readonly Cell[]): string {
  return all.map((cell) => cell.text).join('');
}

/** One line, and nothing that steers a terminal. */
export function clean(message: string): string {
  return message.replace(/\s+/g, ' ').replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}

/** A text on one line of at most that many columns; `…` says that something was cut off. */
export function oneLine(source: string, most: number): string {
  const all = cells(clean(source).trim());
  return width(all) <= most ? textOf(all) : `${textOf(firstColumns(all, most - 1))}…`;
}

/**
 * A text between words into lines: `first` stands before the first one, `rest`
 * before the others. Without columns (no terminal) it stays one line, for
 * programs that look for its words. A word that is too long is not broken.
 */
export function wrapped(text: string, first: string, rest: string, columns: number | null): string[] {
  if (columns === null) return [first + text];
  const most = Math.max(20, Math.min(columns, READABLE_COLUMNS));
  const lines: string[] = [];
  let line = first;
  let used = width(cells(first));
  let empty = true;
  for (const word of text.split(' ')) {
    const needed = width(cells(word));
    if (!empty && used + 1 + needed > most) {
      lines.push(line);
      line = rest;
      used = width(cells(rest));
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    used += needed + (empty ? 0 : 1);
    empty = false;
  }
  return [...lines, line];
}

export type Style = Verdict | 'strong' | 'faint';
export type Painter = (text: string, as: Style) => string;

/** SGR codes: red for what stops a statement, yellow for what delays or warns, green for what passes. */
const CODES: Readonly<Record<Style, string>> = {
  allow: '1;32',
  warn: '1;33',
  confirm: '1;33',
  hold: '1;31',
  deny: '1;31',
  strong: '1',
  faint: '2',
};

export function painter(color: boolean): Painter {
  return color ? (painted, as) => `\u001b[${CODES[as]}m${painted}\u001b[0m` : (painted) => painted;
}

/** What a text is written for: a terminal of so many columns, or null for a file or a pipe. */
export interface Page {
  readonly color: boolean;
  readonly columns: number | null;
}
