/**
 * Glob patterns for users, databases, applications (names as clients send
 * them), and for tables and functions (names as PostgreSQL's grammar folds them).
 *
 * Law: `*` is the only wildcard, any run of characters, also none. A pattern
 * that means something else elsewhere (`?`, `[a-z]`, `{a,b}`, `!`) is a mistake
 * that `globProblem` reports, because a pattern that silently matches nothing
 * protects nothing.
 */
import type { RelationName } from '../sql/facts.js';

/** PostgreSQL's NAMEDATALEN - 1: longer identifiers are truncated to this many bytes (src/include/pg_config_manual.h). */
const MAX_IDENTIFIER_BYTES = 63;

/** A pattern cut at its wildcards: between two pieces stands any run of characters. */
type Pieces = readonly [string, ...string[]];

/**
 * Whether `text` matches `pattern`, case-sensitively. Linear in the length of
 * the text for each `*`: names come from clients, so no regular expression
 * that could backtrack.
 */
export function globMatches(pattern: string, text: string): boolean {
  return piecesMatch(pattern.split('*') as [string, ...string[]], text);
}

function piecesMatch(pieces: Pieces, text: string): boolean {
  const first = pieces[0];
  if (pieces.length === 1) return text === first;
  const last = pieces[pieces.length - 1] ?? '';
  if (text.length < first.length + last.length) return false;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found === -1 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}

/** What is wrong with a pattern for users, databases or applications, in words; null when nothing is. */
export function globProblem(pattern: string): string | null {
  if (pattern === '') return 'an empty pattern matches nothing; leave the list out to match all';
  if (pattern.startsWith('!'))
    return `patterns cannot be negated ("${pattern}"); put a role before this one instead`;
  const wrong = /[?[\]{}]/.exec(pattern);
  if (wrong !== null) return `"${wrong[0]}" is no wildcard here: only * is (any run of characters)`;
  if (hasControlCharacter(pattern)) return 'a pattern cannot hold control characters';
  return null;
}

/** A pattern for relations or functions; `schema` is null where it stands for every schema. */
export interface TablePattern {
  readonly text: string;
  readonly schema: Pieces | null;
  readonly name: Pieces;
}

/**
 * Reads `name` or `schema.name`. As in psql's patterns and in SQL: letters
 * outside double quotes are folded to lower case, characters inside them are
 * taken literally (`*` and `.` too), a doubled quote stands for one.
 */
export function parseTablePattern(text: string): TablePattern | { readonly problem: string } {
  const parts: [string, ...string[]][] = [];
  let part: [string, ...string[]] = [''];
  const add = (character: string): void => {
    part[part.length - 1] = (part[part.length - 1] ?? '') + character;
  };
  let inQuotes = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') {
      if (inQuotes && text.charAt(at + 1) === '"') {
        add('"');
        at++;
      } else inQuotes = !inQuotes;
    } else if (inQuotes) add(character);
    else if (character === '.') {
      parts.push(part);
      part = [''];
    } else if (character === '*') part.push('');
    else if (/[?[\]{}!]/.test(character)) {
      return {
        problem: `"${character}" is no wildcard here: only * is (any run of characters); quote a name that really holds it`,
      };
    } else if (/\s/.test(character))
      return { problem: `a name with a space must stand in double quotes: "${text}"` };
    // PostgreSQL folds ASCII letters; others only in single-byte encodings, which UTF-8 is not (downcase_identifier).
    else add(character >= 'A' && character <= 'Z' ? character.toLowerCase() : character);
  }
  if (inQuotes) return { problem: `the double quote in ${text} is never closed` };
  if (hasControlCharacter(text)) return { problem: 'a pattern cannot hold control characters' };
  parts.push(part);
  const [first, second, third] = parts;
  if (first === undefined || third !== undefined)
    return { problem: `expected name or schema.name, found ${text}` };
  for (const pieces of parts) {
    if (pieces.length === 1 && pieces[0] === '')
      return { problem: `a part of the pattern "${text}" is empty` };
    if (Buffer.byteLength(pieces.join('')) > MAX_IDENTIFIER_BYTES) {
      return {
        problem: `PostgreSQL truncates names to ${MAX_IDENTIFIER_BYTES} bytes, so "${text}" can never match; end it with * before that`,
      };
    }
  }
  return second === undefined ? { text, schema: null, name: first } : { text, schema: first, name: second };
}

/** Patterns as the policy spells them → read. A policy is judged by again and again, and never changed. */
const READ = new WeakMap<readonly string[], readonly TablePattern[]>();

/** Reads the patterns of a policy that has been checked; one that cannot be read is passed over. */
export function tablePatterns(texts: readonly string[]): readonly TablePattern[] {
  let patterns = READ.get(texts);
  if (patterns === undefined) {
    patterns = texts.map(parseTablePattern).filter((pattern) => 'text' in pattern);
    READ.set(texts, patterns);
  }
  return patterns;
}

/**
 * Whether a relation is one that the pattern means. Where the statement leaves
 * the schema to search_path the pattern's schema cannot be told, so the name
 * alone decides: the strictest reading.
 */
export function tablePatternMatches(pattern: TablePattern, relation: RelationName): boolean {
  if (!piecesMatch(pattern.name, relation.name)) return false;
  return pattern.schema === null || relation.schema === null || piecesMatch(pattern.schema, relation.schema);
}

/** Whether some relation of this schema could be one that the pattern names together with its schema. */
export function tablePatternNamesSchema(pattern: TablePattern, schema: string): boolean {
  return pattern.schema !== null && piecesMatch(pattern.schema, schema);
}

/** Characters that no name on a terminal or in a log should have (C0 and DEL). */
export function hasControlCharacter(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
