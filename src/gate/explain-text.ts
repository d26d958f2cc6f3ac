/**
 * An explanation for a terminal: the verdict, the offending places underlined,
 * each match with its hint.
 *
 * Law: text only. SQL and names come from strangers, so nothing of them reaches
 * the terminal that could steer it (control and format characters).
 */
import type { Match, Verdict } from '../policy/types.js';
import type { Explanation } from './explain.js';

/** Columns of the source line that are shown; longer lines are cut around the place. */
const WINDOW = 100;
const TAB = '    ';

/** The whole explanation, lines without a last newline. */
export function explainText(explanation: Explanation, options: { readonly color: boolean }): string {
  const { role, judgement, sql, mode } = explanation;
  const paint = painter(options.color);
  const lines = [
    `role     ${role === null ? 'none' : `${role.name} (${role.access} access)`}`,
    `verdict  ${paint(judgement.verdict, judgement.verdict)}${mode === 'observe' && judgement.verdict !== 'allow' ? ' (mode observe: forwarded all the same, and recorded)' : ''}`,
  ];
  const block = (title: string, matches: readonly Match[], start: number | null): void => {
    lines.push('', title);
    for (const [offset, group] of byPlace(matches)) {
      const place = offset ?? start;
      if (place !== null) lines.push('', ...snippet(sql, place, offset !== null, paint));
      for (const match of group) lines.push('', ...matchLines(match, paint));
    }
  };

  const { statements } = judgement;
  const position = judgement.position === null ? null : utf16Offset(sql, judgement.position);
  const ofText = judgement.matches.map((match) =>
    position === null ? match : { ...match, offset: position },
  );
  if (ofText.length > 0) block('the whole text', ofText, null);
  statements.forEach(({ facts, matches }, at) => {
    const number = statements.length > 1 ? ` ${at + 1} of ${statements.length}` : '';
    const title = `statement${number}: ${clean(facts.operation)}`;
    if (role === null) lines.push('', `${title}, not judged`);
    else if (matches.length === 0) lines.push('', `${title}, no rule matches`);
    else block(title, matches, facts.span[0]);
  });
  return lines.join('\n');
}

function matchLines(match: Match, paint: Painter): string[] {
  const lines = [`  ${paint(match.action, match.action)} by ${match.rule}: ${clean(match.message)}`];
  if (match.hint !== null) lines.push(`    hint: ${clean(match.hint)}`);
  return lines;
}

/** Matches of the same place together, in the order of their first. */
function byPlace(matches: readonly Match[]): Map<number | null, Match[]> {
  const groups = new Map<number | null, Match[]>();
  for (const match of matches) {
    const group = groups.get(match.offset);
    if (group === undefined) groups.set(match.offset, [match]);
    else group.push(match);
  }
  return groups;
}

/** The line of the text that holds `offset`, with its number, and a line of carets below the word there. */
export function snippet(
  sql: string,
  offset: number,
  underline: boolean,
  paint: Painter = (text) => text,
): string[] {
  const at = Math.min(offset, sql.length);
  const lineStart = Math.max(sql.lastIndexOf('\n', at - 1), sql.lastIndexOf('\r', at - 1)) + 1;
  const rest = sql.slice(lineStart).search(/[\r\n]/);
  const lineEnd = rest === -1 ? sql.length : lineStart + rest;
  const number = String(sql.slice(0, lineStart).split(/\r\n|\r|\n/).length);

  const before = cells(sql.slice(lineStart, at));
  const word = wordAt(sql.slice(at, lineEnd));
  const marked = cells(word);
  const after = cells(sql.slice(at + word.length, lineEnd));

  // A line that is too long is cut: most of the window shows what comes after the place.
  const fits = width(before) + width(marked) + width(after) <= WINDOW;
  const shownBefore = fits ? before : lastColumns(before, Math.floor(WINDOW / 3));
  const shownMarked = firstColumns(marked, WINDOW);
  const shownAfter = firstColumns(after, Math.max(0, WINDOW - width(shownBefore) - width(shownMarked)));
  const cutBefore = shownBefore.length < before.length ? '…' : '';
  const cutAfter = shownMarked.length < marked.length || shownAfter.length < after.length ? '…' : '';

  const lines = [
    `  ${number} | ${cutBefore}${text(shownBefore)}${text(shownMarked)}${text(shownAfter)}${cutAfter}`,
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

interface Cell {
  readonly text: string;
  readonly columns: number;
}

/** What each character looks like on a terminal, and how many columns it takes. */
function cells(source: string): Cell[] {
  return Array.from(source, (character) => {
    if (character === '\t') return { text: TAB, columns: TAB.length };
    if (/^\p{M}$/u.test(character)) return { text: character, columns: 0 };
    if (/^[\p{C}\p{Zl}\p{Zp}]$/u.test(character)) return { text: '\uFFFD', columns: 1 };
    return { text: character, columns: isWide(character.codePointAt(0) ?? 0) ? 2 : 1 };
  });
}

/** Unicode's East Asian Wide and Fullwidth blocks and emoji (UAX #11), as terminals draw them. */
function isWide(code: number): boolean {
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

function firstColumns(all: readonly Cell[], most: number): Cell[] {
  let columns = 0;
  const end = all.findIndex((cell) => (columns += cell.columns) > most);
  return end === -1 ? [...all] : all.slice(0, end);
}

function lastColumns(all: readonly Cell[], most: number): Cell[] {
  return firstColumns(all.toReversed(), most).reverse();
}

function width(all: readonly Cell[]): number {
  return all.reduce((sum, cell) => sum + cell.columns, 0);
}

function text(all: readonly Cell[]): string {
  return all.map((cell) => cell.text).join('');
}

/** PostgreSQL counts characters from one; JavaScript counts UTF-16 code units from zero. */
function utf16Offset(sql: string, position: number): number {
  let offset = 0;
  for (let character = 1; character < position && offset < sql.length; character++) {
    offset += (sql.codePointAt(offset) ?? 0) > 0xffff ? 2 : 1;
  }
  return offset;
}

/** One line, and nothing that steers a terminal. */
function clean(message: string): string {
  return message.replace(/\s+/g, ' ').replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}

export type Painter = (text: string, as: Verdict) => string;

/** SGR colours: red for what stops a statement, yellow for what delays or warns, green for what passes. */
const COLOURS: Readonly<Record<Verdict, string>> = {
  allow: '32',
  warn: '33',
  confirm: '33',
  hold: '31',
  deny: '31',
};

function painter(color: boolean): Painter {
  return color ? (painted, as) => `\u001b[1;${COLOURS[as]}m${painted}\u001b[0m` : (painted) => painted;
}
