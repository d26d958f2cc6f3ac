/**
 * Strangers' text on the page: everything that is there is seen, and nothing of it
 * hides, moves or imitates another character without a trace.
 *
 * Law: pure, and no character is left out: the plain text of the pieces, with each
 * marker read back as its character, is the source. The same characters are marked
 * as on the terminal (commands/visible.ts).
 */
export interface Piece {
  readonly text: string;
  /** `marker`: stands for a character that is not shown. `foreign`: beyond ASCII, may look like another one. */
  readonly kind: 'plain' | 'marker' | 'foreign';
}

/**
 * Controls, format characters (bidirectional ones among them), private use and
 * unassigned ones, lone surrogates; line and paragraph separators; every space but
 * the common one; what fonts leave out; the bracket that marks all these.
 */
const HIDDEN = /^(?:[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\u27e8]|(?! )\p{Zs})$/u;

/** Combining marks that are stacked on one letter: more than a few of them cover what is around. */
const MOST_MARKS = 3;

export function isHidden(character: string): boolean {
  return HIDDEN.test(character);
}

/** @param lines whether line ends and tabs are shown as what they are */
export function pieces(source: string, lines: boolean): Piece[] {
  const found: { text: string; kind: Piece['kind'] }[] = [];
  let marks = 0;
  for (const character of source) {
    marks = /^\p{M}$/u.test(character) ? marks + 1 : 0;
    const layout = lines && (character === '\n' || character === '\t');
    const marked = !layout && (isHidden(character) || marks > MOST_MARKS);
    const kind = marked ? 'marker' : character > '\u007f' ? 'foreign' : 'plain';
    const text = marked ? marker(character) : character;
    const last = found.at(-1);
    if (last?.kind === kind && kind !== 'marker') last.text += text;
    else found.push({ text, kind });
  }
  return found;
}

function marker(character: string): string {
  const number = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return `⟨U+${number}⟩`;
}

/** One line of it, complete. */
export function visible(source: string): string {
  return pieces(source, false)
    .map(({ text }) => text)
    .join('');
}

/** One line of it, white space run together, cut to so many characters. */
export function brief(source: string, most: number): string {
  const line = Array.from(visible(source.trim().replace(/\s+/gu, ' ')));
  return line.length <= most ? line.join('') : `${line.slice(0, most - 1).join('')}…`;
}

/** How much of a text cannot be seen by itself; null: nothing. */
export function unusualWords(source: string): string | null {
  const all = pieces(source, true);
  const hidden = all.filter(({ kind }) => kind === 'marker').length;
  const foreign = all
    .filter(({ kind }) => kind === 'foreign')
    .reduce((sum, { text }) => sum + Array.from(text).length, 0);
  const words = [
    ...(hidden === 0 ? [] : [`${count(hidden, 'character')} that cannot be seen, shown by number`]),
    ...(foreign === 0 ? [] : [`${count(foreign, 'character')} beyond ASCII, which may look like others`]),
  ];
  return words.length === 0 ? null : `This text has ${words.join('; ')}.`;
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;
}
