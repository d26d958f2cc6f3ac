/**
 * SQL cut into tokens, for colour alone.
 *
 * Law: pure; the tokens joined are the source, whatever it is. Nothing is decided by
 * them: the server's grammar may read a text differently (standard_conforming_strings),
 * and a wrong colour must never hide a character.
 */
export type TokenKind =
  'keyword' | 'danger' | 'string' | 'name' | 'number' | 'comment' | 'parameter' | 'other';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

/** Verbs that change or remove. */
const DANGER = new Set(
  'alter cascade copy delete drop execute grant insert merge replace revoke set truncate update'.split(' '),
);

const KEYWORDS = new Set(
  (
    'add all analyze and any array as asc begin between by case cast check column commit concurrently conflict ' +
    'constraint create cross current database default desc distinct do else end except exists explain fetch for ' +
    'foreign from full function group having if ilike in index inner intersect into is join key lateral left like ' +
    'limit lock materialized natural not nothing null nulls offset on only or order outer over partition primary ' +
    'procedure references restrict returning right role rollback schema select sequence table temporary then to ' +
    'trigger type union unique user using values view when where window with'
  ).split(' '),
);

/** In the order in which they are tried; each matches at least one character. */
const RULES: readonly (readonly [kind: TokenKind, pattern: RegExp])[] = [
  ['other', /\s+/uy],
  ['comment', /--[^\n\r]*/uy],
  // E'…' has backslash escapes; without an end the rest of the text is the string.
  ['string', /[eE]'(?:[^'\\]|''|\\[^])*(?:'|$)/uy],
  ['string', /(?:[uU]&|[bBxXnN])?'(?:[^']|'')*(?:'|$)/uy],
  ['string', /\$([\p{L}_][\p{L}\p{N}_]*)?\$[^]*?(?:\$\1\$|$)/uy],
  ['name', /(?:[uU]&)?"(?:[^"]|"")*(?:"|$)/uy],
  ['parameter', /\$\d+/uy],
  ['number', /(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?/uy],
  ['keyword', /[\p{L}_][\p{L}\p{N}_$]*/uy],
  ['other', /[^]/uy],
];

export function tokens(source: string): Token[] {
  const found: Token[] = [];
  for (let at = 0; at < source.length;) {
    const token = source.startsWith('/*', at) ? comment(source, at) : match(source, at);
    found.push(token);
    at += token.text.length;
  }
  return found;
}

/** From the first word that does something on: a harmless comment must not stand for what comes after it. */
export function fromFirstWord(source: string): string {
  let at = 0;
  for (const { kind, text } of tokens(source)) {
    if (kind !== 'comment' && text.trim() !== '') break;
    at += text.length;
  }
  return source.slice(at);
}

function match(source: string, at: number): Token {
  for (const [kind, pattern] of RULES) {
    pattern.lastIndex = at;
    const [text] = pattern.exec(source) ?? [];
    if (text !== undefined) return { kind: kind === 'keyword' ? wordKind(text) : kind, text };
  }
  return { kind: 'other', text: source.slice(at, at + 1) };
}

function wordKind(word: string): TokenKind {
  const lower = word.toLowerCase();
  if (DANGER.has(lower)) return 'danger';
  return KEYWORDS.has(lower) ? 'keyword' : 'other';
}

/** Comments nest in PostgreSQL; one without an end takes the rest of the text. */
function comment(source: string, start: number): Token {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = start;
  let depth = 0;
  for (let found = edge.exec(source); found !== null; found = edge.exec(source)) {
    depth += found[0] === '/*' ? 1 : -1;
    if (depth === 0) return { kind: 'comment', text: source.slice(start, edge.lastIndex) };
  }
  return { kind: 'comment', text: source.slice(start) };
}
