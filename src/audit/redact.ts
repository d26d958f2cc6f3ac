/**
 * Which of a statement's text goes into the audit log. Passwords never do.
 *
 * Law of this file: pure, and when in doubt it blots out. Where PostgreSQL's
 * grammar read the text, the facts say where its secrets and literals are; a
 * second look for words like `password` finds those that the grammar does not
 * see (comments, function bodies, conditions on a column of that name). Where the
 * grammar could not read the text, only the second look is left, and it is rough.
 */
import { hash } from 'node:crypto';
import type { Analysis } from '../sql/facts.js';

export interface RecordedSql {
  /** null: the text is not recorded. */
  readonly text: string | null;
  /**
   * SHA-256 in hex of the client's text, or, where a secret was blotted out, of what
   * is left: the hash of a text with a password in it would let anybody try passwords.
   */
  readonly sha256: string;
  /** Of the client's text, in UTF-8. */
  readonly bytes: number;
  /** `text` is only the beginning of it. */
  readonly truncated: boolean;
  /** Something was blotted out: what else quotes the text must not be recorded as it is. */
  readonly redacted: boolean;
}

/** Stands for a secret. */
const SECRET = `'***'`;
const LITERAL = '?';

const SECRET_WORD = /pass(?:word|wd|phrase)|secret/i;
const SECRET_WORDS = new RegExp(SECRET_WORD, 'gi');

/** [start, end) with what to put in its place. */
interface Blot {
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

/** Replaces the blots' ranges; of overlapping ones the first stands and swallows the rest. */
function applyBlots(text: string, blots: readonly Blot[]): string {
  if (blots.length === 0) return text;
  const sorted = blots.toSorted((left, right) => left.start - right.start || right.end - left.end);
  let result = '';
  let done = 0;
  for (const { start, end, by } of sorted) {
    if (start < done) {
      done = Math.max(done, end);
      continue;
    }
    result += text.slice(done, start) + by;
    done = end;
  }
  return result + text.slice(done);
}

type TokenKind = 'string' | 'body' | 'comment' | 'identifier';

interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
}

/**
 * What opens a quoted string, a quoted identifier, a dollar-quoted body or a
 * comment, as PostgreSQL's lexer has them ("Lexical Structure").
 */
const OPENING = /'|"|--|\/\*|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/g;
const WORD_CHARACTER = /[\w$\u0080-\uffff]/;

/** An `e` of its own before a quote lets backslashes escape. */
function isEscapeString(text: string, quoteAt: number): boolean {
  const before = text[quoteAt - 1];
  return (before === 'e' || before === 'E') && (quoteAt < 2 || !WORD_CHARACTER.test(text[quoteAt - 2] ?? ''));
}

function endOfQuoted(text: string, from: number, quote: string, backslash: boolean): number {
  for (let at = from; at < text.length; at++) {
    if (backslash && text[at] === '\\') at++;
    else if (text[at] === quote) {
      if (text[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  return text.length;
}

/** Block comments nest. */
function endOfBlockComment(text: string, from: number): number {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = from;
  let depth = 1;
  for (let match = edge.exec(text); match !== null; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return text.length;
}

function endOf(text: string, marker: string, from: number): number {
  const at = text.indexOf(marker, from);
  return at < 0 ? text.length : at + marker.length;
}

/** Quoted and commented stretches of a text, in order; one that does not end runs to the end of the text. */
function* tokens(text: string): Generator<Token> {
  const opening = new RegExp(OPENING);
  for (let match = opening.exec(text); match !== null; match = opening.exec(text)) {
    const start = match.index;
    const mark = match[0];
    const inside = opening.lastIndex;
    if (mark.startsWith('$') && start > 0 && WORD_CHARACTER.test(text[start - 1] ?? '')) {
      // Inside of an identifier such as `a$b$` a dollar sign opens nothing.
      opening.lastIndex = start + 1;
      continue;
    }
    let token: Token;
    if (mark === `'`) {
      token = { kind: 'string', start, end: endOfQuoted(text, inside, mark, isEscapeString(text, start)) };
    } else if (mark === '"') {
      token = { kind: 'identifier', start, end: endOfQuoted(text, inside, mark, false) };
    } else if (mark === '--') {
      token = { kind: 'comment', start, end: endOf(text, '\n', inside) };
    } else if (mark === '/*') {
      token = { kind: 'comment', start, end: endOfBlockComment(text, inside) };
    } else {
      token = { kind: 'body', start, end: endOf(text, mark, inside) };
    }
    yield token;
    opening.lastIndex = token.end;
  }
}

/**
 * What may stand between a word like `password` and a string that is its value:
 * the rest of a name, an operator, the call that wraps it (`= crypt('…'`), the
 * letter of an escape string.
 */
const LEAD_TO_VALUE =
  /^\w*"?\s*(?:=>|:=|<>|!=|[=:]|(?:not\s+)?(?:i?like|in)\b)?\s*(?:[\w.]*\(\s*)?(?:e|n|u&)?$/i;

/** A string that begins further behind the word than this is not its value. */
const MAX_LEAD_CHARACTERS = 128;

/** Inside of a string, body or comment: a value without quotes, as in `password=x host=y`. */
const BARE_VALUE = /^(\w*\s*(?:=>|:=|[=:])?\s*)([^\s,;)]+)/;

/** Where a statement inside of a body ends, as far as one can tell without reading it. */
const STATEMENT_END = /;[ \t]*(?:\r?\n|$)/;

/** A token longer than this, or with more secret words, is blotted out from its first such word: each word costs a look at all that follows. */
const MAX_TOKEN_CHARACTERS = 16_384;
const MAX_TOKEN_WORDS = 20;

/**
 * The value behind a word like `password` inside of a string, body or comment,
 * whose own quoting nobody has read: all from the first quote to the last of that
 * statement, or one bare word.
 */
function blotWithin(text: string, wordEnd: number, tokenEnd: number): Blot | null {
  const rest = text.slice(wordEnd, tokenEnd);
  const statementEnd = rest.search(STATEMENT_END);
  const statement = statementEnd < 0 ? rest : rest.slice(0, statementEnd);
  const first = statement.search(/['"$]/);
  if (first >= 0) {
    const last = Math.max(statement.lastIndexOf(`'`), statement.lastIndexOf('"'), statement.lastIndexOf('$'));
    // One quote alone opens what the statement's end was mistaken to end.
    const end = last > first ? last + 1 : rest.length;
    return { start: wordEnd + first, end: wordEnd + end, by: SECRET };
  }
  const bare = BARE_VALUE.exec(statement.slice(0, MAX_LEAD_CHARACTERS * 2));
  if (bare === null) return null;
  const start = wordEnd + (bare[1] ?? '').length;
  return { start, end: start + (bare[2] ?? '').length, by: '***' };
}

/** Values that follow a word like `password` in a text that the grammar could read. */
function blotsBySecretWord(text: string): Blot[] {
  const wordEnds = Array.from(text.matchAll(SECRET_WORDS), (match) => match.index + match[0].length);
  const blots: Blot[] = [];
  let next = 0;
  for (const { kind, start, end } of tokens(text)) {
    while (next < wordEnds.length && (wordEnds[next] as number) <= start) next++;
    const before = wordEnds[next - 1];
    if (kind === 'string' || kind === 'body') {
      const near = before !== undefined && start - before <= MAX_LEAD_CHARACTERS;
      if (near && LEAD_TO_VALUE.test(text.slice(before, start))) {
        blots.push({ start, end, by: SECRET });
        continue;
      }
    }
    if (kind === 'identifier') continue;
    const inside = contentEnd(text, kind, end);
    let done = start;
    for (let words = 1; next < wordEnds.length && (wordEnds[next] as number) <= end; next++, words++) {
      const wordEnd = wordEnds[next] as number;
      // The blot of an earlier word swallowed this one.
      if (wordEnd < done) continue;
      const tooMuch = end - start > MAX_TOKEN_CHARACTERS || words > MAX_TOKEN_WORDS;
      const blot = tooMuch ? { start: wordEnd, end: inside, by: ' ***' } : blotWithin(text, wordEnd, inside);
      if (blot === null) continue;
      blots.push(blot);
      done = blot.end;
    }
  }
  return blots;
}

/** Without the mark that closes the token, so that a blot leaves the token closed. */
function contentEnd(text: string, kind: TokenKind, end: number): number {
  switch (kind) {
    case 'string':
    case 'identifier':
      return end - 1;
    case 'comment':
      return text.endsWith('*/', end) ? end - 2 : end;
    case 'body':
      return text.lastIndexOf('$', end - 2);
  }
}

/** A text that the grammar could not read: every string, and all behind the word. */
function redactUnread(text: string): string {
  const word = SECRET_WORD.exec(text);
  if (word === null) return text;
  const cut = word.index + word[0].length;
  const blots: Blot[] = [{ start: cut, end: text.length, by: ' ***' }];
  for (const { kind, start, end } of tokens(text)) {
    if (start >= cut) break;
    if (kind === 'string' || kind === 'body') blots.push({ start, end, by: SECRET });
  }
  return applyBlots(text, blots);
}

interface Found {
  readonly secrets: readonly Blot[];
  readonly literals: readonly Blot[];
}

function findBlots(text: string, analysis: Analysis & { readonly kind: 'statements' }): Found {
  const secrets: Blot[] = [];
  const literals: Blot[] = [];
  for (const statement of analysis.statements) {
    // Of a text whose beginning alone is at hand, some lie behind it.
    for (const [start, end] of statement.secrets) {
      if (start < text.length) secrets.push({ start, end, by: SECRET });
    }
    for (const [start, end] of statement.literals) {
      if (start < text.length) literals.push({ start, end, by: LITERAL });
    }
  }
  if (SECRET_WORD.test(text)) secrets.push(...blotsBySecretWord(text));
  return { secrets, literals };
}

/** Of a text of which only the beginning is at hand. */
export interface TextDigest {
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * A text as the audit log may have it.
 *
 * @param mode `full`: as it is but for secrets; `normalized`: literals as `?` too, and nothing of a text
 *   that the grammar could not read; `hash`: no text.
 * @param whole null: `sql` is all there is; otherwise `sql` is the beginning of a text with this digest. Its
 *   hash is then of all of it: who wants to try passwords against it must first know the rest, which is not recorded.
 */
export function recordedSql(
  sql: string,
  analysis: Analysis,
  mode: 'full' | 'normalized' | 'hash',
  whole: TextDigest | null = null,
): RecordedSql {
  const bytes = whole?.bytes ?? Buffer.byteLength(sql);
  const truncated = whole !== null;
  if (analysis.kind !== 'statements') {
    const text = redactUnread(sql);
    return {
      text: mode === 'full' ? text : null,
      sha256: whole?.sha256 ?? hash('sha256', text, 'hex'),
      bytes,
      truncated,
      redacted: text !== sql,
    };
  }
  const { secrets, literals } = findBlots(sql, analysis);
  const clean = applyBlots(sql, secrets);
  const recorded = {
    sha256: whole?.sha256 ?? hash('sha256', clean, 'hex'),
    bytes,
    truncated,
    redacted: secrets.length > 0,
  };
  switch (mode) {
    case 'full':
      return { ...recorded, text: clean };
    case 'normalized':
      return { ...recorded, text: applyBlots(sql, [...secrets, ...literals]) };
    case 'hash':
      return { ...recorded, text: null };
  }
}

/** The literals and comments of a text that parses, as UTF-16 offsets. */
export interface TextSpans {
  readonly literals: readonly (readonly [start: number, end: number])[];
  readonly comments: readonly (readonly [start: number, end: number])[];
}

/** A text for readers who may not see its values: literals as `?`, comments, which may quote them, left out. */
export function withoutLiterals(sql: string, { literals, comments }: TextSpans): string {
  return applyBlots(sql, [
    ...literals.map(([start, end]) => ({ start, end, by: LITERAL })),
    ...comments.map(([start, end]) => ({ start, end, by: ' ' })),
  ]);
}
