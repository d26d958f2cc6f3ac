/**
 * Where the literal constants and the comments of a text are, for what must not hold them.
 *
 * Law of this file: not part of analyze(). Scanning costs more than walking the tree
 * (about twice the parse), and only `audit.sql: normalized` and webhooks want it.
 */
import { createOffsets } from './offsets.js';
import { scan } from './parser.js';

/** Token types of literal constants (gram.y); test/sql/secrets.test.ts holds them against the lexer. */
const LITERAL_TOKENS: ReadonlySet<number> = new Set([
  260, // FCONST
  261, // SCONST
  262, // USCONST
  263, // BCONST
  264, // XCONST
  266, // ICONST
]);

const COMMENT_TOKENS: ReadonlySet<number> = new Set([
  275, // SQL_COMMENT
  276, // C_COMMENT
]);

type Span = readonly [start: number, end: number];

/**
 * The literal constants of a text that parses, as [start, end) UTF-16 offsets in the
 * order of the text: numbers, strings of every spelling, bit strings. Keywords
 * (NULL, TRUE), parameters and comments are none.
 *
 * @returns null where the lexer refuses the text; nothing of it is then known to be harmless
 */
export function literalSpans(sql: string): Span[] | null {
  return spansOf(sql, LITERAL_TOKENS);
}

/** The comments of a text that parses, likewise. */
export function commentSpans(sql: string): Span[] | null {
  return spansOf(sql, COMMENT_TOKENS);
}

function spansOf(sql: string, types: ReadonlySet<number>): Span[] | null {
  if (sql === '') return [];
  const tokens = scan(sql);
  if (tokens === null) return null;
  const offsets = createOffsets(sql);
  return tokens
    .filter((token) => types.has(token.type))
    .map((token) => [offsets.toUtf16(token.start), offsets.toUtf16(token.end)]);
}
