/**
 * Strangers' text on a terminal: everything that is there is seen, and nothing of
 * it steers the terminal.
 *
 * Law: whoever approves decides by what is shown, so no character may hide, move
 * or imitate another without a trace. What is not plainly visible stands there by
 * its number, as ⟨U+202E⟩; the bracket itself does too, so that nobody can fake one.
 */
import { firstColumns, isWide, textOf, width } from '../gate/explain-terminal.js';
import type { Cell as TerminalCell } from '../gate/explain-terminal.js';

/**
 * Controls, format characters (bidirectional ones among them), private use and
 * unassigned ones, lone surrogates; line and paragraph separators; every space but
 * the common one; what fonts leave out (Hangul fillers, variation selectors); the
 * empty Braille cell; the bracket that marks all these.
 */
const HIDDEN = /^(?:[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\u27e8]|(?! )\p{Zs})$/u;

/** Combining marks that are stacked on one letter: more than a few of them cover what is around. */
const MOST_MARKS = 3;

export interface Cell extends TerminalCell {
  /** Stands for a character that is not shown. */
  readonly marker: boolean;
}

/** What each character looks like, and how many columns it takes. */
export function cells(source: string): Cell[] {
  let marks = 0;
  return Array.from(source, (character) => {
    marks = /^\p{M}$/u.test(character) ? marks + 1 : 0;
    if (HIDDEN.test(character) || marks > MOST_MARKS) {
      const number = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
      const text = `⟨U+${number}⟩`;
      return { text, columns: text.length, marker: true };
    }
    return { text: character, columns: columnsOf(character), marker: false };
  });
}

/** One line of it, complete. */
export function visible(source: string): string {
  return textOf(cells(source));
}

/** One line of it, white space run together, cut to so many columns. */
export function brief(source: string, columns: number): string {
  const all = cells(source.trim().replace(/\s+/gu, ' '));
  return width(all) <= columns ? textOf(all) : `${textOf(firstColumns(all, columns - 1))}…`;
}

/** Rows of at most so many columns, broken wherever they are full: no character is added or left out. */
export function rows(source: string, columns: number): Cell[][] {
  const all: Cell[][] = [[]];
  let used = 0;
  for (const cell of cells(source)) {
    if (used + cell.columns > columns && used > 0) {
      all.push([]);
      used = 0;
    }
    all.at(-1)?.push(cell);
    used += cell.columns;
  }
  return all;
}

/** The columns of text that is visible already. */
export function shownWidth(shown: string): number {
  return Array.from(shown).reduce((sum, character) => sum + columnsOf(character), 0);
}

function columnsOf(character: string): number {
  if (/^\p{M}$/u.test(character)) return 0;
  return isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
}

/** JSON on one line, with the same characters escaped as JSON does it. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
