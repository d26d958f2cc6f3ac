/**
 * Where a statement holds passwords.
 *
 * Law of this file: it looks at tokens, not at the tree, because the tree does not
 * say where the literal of an option ends. When in doubt it names more, never less:
 * a blotted word is a nuisance in a record, a password in it is an incident.
 */
import type { SecretPlace } from './collect.js';
import type { Offsets } from './offsets.js';
import { scan, type Token } from './parser.js';

/** Token types of string constants (gram.y): SCONST and USCONST. */
const SCONST = 261;
const USCONST = 262;
const SQL_COMMENT = 275;
const C_COMMENT = 276;

/**
 * Connection strings and URLs that carry a password, and role statements in the body
 * of a function. Repetitions are bounded, so that no text makes the search quadratic.
 */
const PASSWORD_INSIDE =
  /pass(?:word|wd|file|phrase)\s{0,20}(?:=|'|\$|[eun]&?')|:\/\/[^\s:/@']{0,200}:[^\s@']{1,500}@/i;

/** Names of options whose value is nobody's business. */
const SECRET_OPTION = /pass|secret|token|key|pwd|credential/i;

/** A string constant, or a comment, that is secret in some kinds of statement or in all. */
interface Candidate {
  readonly start: number;
  readonly end: number;
  readonly places: readonly SecretPlace[] | 'everywhere';
}

export interface SecretFinder {
  /**
   * The spans of literals that hold passwords, as [start, end) UTF-16 offsets.
   *
   * @param span of the statement
   * @param places what kinds of statement there are in it, as the walk found them
   */
  find(
    span: readonly [number, number],
    places: ReadonlySet<SecretPlace>,
  ): (readonly [start: number, end: number])[];
}

/** Prepares the search in one text; it is scanned once, and only when there may be something to find. */
export function createSecretFinder(sql: string, offsets: Offsets): SecretFinder {
  const mentioned = PASSWORD_INSIDE.test(sql);
  let found: readonly Candidate[] | null | undefined;
  return {
    find(span, places) {
      if (!mentioned && places.size === 0) return [];
      found ??= candidates(scan(sql), offsets);
      const spans: (readonly [number, number])[] = [];
      for (const { start, end, places: where } of found) {
        if (start < span[0] || start >= span[1]) continue;
        if (where === 'everywhere' || where.some((place) => places.has(place))) spans.push([start, end]);
      }
      return spans;
    },
  };
}

function candidates(tokens: readonly Token[] | null, offsets: Offsets): readonly Candidate[] {
  // Unscannable though it parsed: say nothing of it at all.
  if (tokens === null) return [{ start: 0, end: Number.MAX_SAFE_INTEGER, places: 'everywhere' }];
  const found: Candidate[] = [];
  let word = '';
  for (const token of tokens) {
    const comment = token.type === SQL_COMMENT || token.type === C_COMMENT;
    const literal = token.type === SCONST || token.type === USCONST;
    const places = literal ? placesAfter(word) : [];
    // Without its closing quote, or 'password' would look like the beginning of one.
    const everywhere = (literal || comment) && PASSWORD_INSIDE.test(token.text.slice(1, -1));
    if (everywhere || places.length > 0) {
      const start = offsets.toUtf16(token.start);
      const end = offsets.toUtf16(token.end);
      found.push({ start, end, places: everywhere ? 'everywhere' : places });
    }
    if (!comment) word = token.text.toLowerCase();
  }
  return found;
}

/** In which statements a string constant behind this word is a secret. */
function placesAfter(word: string): SecretPlace[] {
  // What is secret in a body is secret with the whole body.
  const places: SecretPlace[] = ['body'];
  if (word === 'password') places.push('role');
  if (word === 'connection') places.push('connection');
  if (SECRET_OPTION.test(word)) places.push('options');
  return places;
}
