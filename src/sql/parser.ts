/**
 * The SQL parser: PostgreSQL's own grammar and lexer, compiled to WebAssembly.
 *
 * Law of this file: the only importer of libpg-query. It turns whatever the module
 * throws into a value, and it knows when the module can no longer be trusted.
 *
 * A JavaScript stack overflow inside WebAssembly leaves the module's own stack
 * pointer and memory contexts where they were: measured, a few of them make a
 * later parse of `SELECT 1` spin for ever. So after anything but an error that the
 * parser itself reported, the module is thrown away and loaded anew, and until
 * then this thread refuses to parse.
 */
import { createRequire } from 'node:module';
import { loadModule, parsePlPgSQLSync, parseSync, scanSync } from 'libpg-query';
import { isTree, list, text, type Tree } from './tree.js';

interface Parser {
  readonly loadModule: () => Promise<void>;
  readonly parseSync: (sql: string) => unknown;
  readonly scanSync: (sql: string) => unknown;
  readonly parsePlPgSQLSync: (sql: string) => unknown;
}

export type Parsed =
  | { readonly kind: 'statements'; readonly statements: readonly Tree[] }
  | { readonly kind: 'syntax_error'; readonly message: string; readonly position: number | null }
  | { readonly kind: 'too_complex'; readonly sqlstate: '54000' | '54001'; readonly message: string };

/** A token as the lexer sees it; offsets in bytes of UTF-8. */
export interface Token {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly type: number;
}

let parser: Parser | null = { loadModule, parseSync, scanSync, parsePlPgSQLSync };
let ready = false;

/** Loads the grammar; to be awaited once in each thread before the first parse. */
export async function loadParser(): Promise<void> {
  await loadModule();
  ready = true;
}

/** True when the parser of this thread met an error that it may not survive; a worker is then to be replaced. */
export function isParserBroken(): boolean {
  return parser === null;
}

/**
 * Characters that the lexer may look at again. At each comment sign, and at each of several `+` and `-` in a row, it
 * takes all operator characters behind it for a part of it, then gives them back (xcstart and operator in scan.l):
 * thousands of them in one run cost the square of their number.
 */
const MAX_SCAN_COST = 500_000;

/** Signs that become operators of one character each; two dashes would begin a comment. */
const SIGNS = /(?:\+|-(?!-)){64,}/g;

/** How many characters the lexer gives back, in sum. */
function scanCost(sql: string): number {
  let cost = 0;
  for (const [run] of sql.matchAll(SIGNS)) cost += run.length ** 2 / 2;
  let runEnd = 0;
  for (let at = sql.indexOf('/*'); at !== -1 && cost <= MAX_SCAN_COST; at = sql.indexOf('/*', at + 2)) {
    if (runEnd < at + 2) runEnd = at + 2;
    while (runEnd < sql.length && isOperatorCharacter(sql.charCodeAt(runEnd))) runEnd += 1;
    cost += runEnd - at - 2;
  }
  return cost;
}

/** op_chars of scan.l. */
const OPERATOR_CHARACTERS: ReadonlySet<number> = new Set(
  Array.from('~!@#^&|`?+-*/%<>=', (character) => character.charCodeAt(0)),
);

function isOperatorCharacter(code: number): boolean {
  return OPERATOR_CHARACTERS.has(code);
}

/** Parses one text. Never throws. */
export function parse(sql: string): Parsed {
  if (!ready || parser === null) {
    return { kind: 'too_complex', sqlstate: '54001', message: 'the SQL parser is being loaded; try again' };
  }
  if (scanCost(sql) > MAX_SCAN_COST) {
    return {
      kind: 'too_complex',
      sqlstate: '54001',
      message: 'the statement has too many operator characters in a row to be read in reasonable time',
    };
  }
  // The wrapper refuses the empty string; PostgreSQL's grammar takes it as no statement.
  if (sql === '') return { kind: 'statements', statements: [] };
  try {
    const result = parser.parseSync(sql);
    const statements = isTree(result) ? list(result['stmts']).filter(isTree) : [];
    return { kind: 'statements', statements };
  } catch (error) {
    return reported(error) ?? broken();
  }
}

/** The tokens of a text that parses, comments included; null when the lexer refuses it. */
export function scan(sql: string): readonly Token[] | null {
  if (!ready || parser === null || sql === '') return null;
  try {
    const result = parser.scanSync(sql);
    if (!isTree(result)) return null;
    return list(result['tokens'])
      .filter(isTree)
      .map((token) => ({
        start: Number(token['start'] ?? 0),
        end: Number(token['end'] ?? 0),
        text: text(token['text']),
        type: Number(token['tokenType'] ?? 0),
      }));
  } catch (error) {
    breakUnlessReported(error);
    return null;
  }
}

/**
 * The trees of the PL/pgSQL bodies in a statement (DO, CREATE FUNCTION, CREATE
 * PROCEDURE), one for each; null when the parser refuses them. Never throws.
 */
export function parsePlPgSql(statement: string): readonly unknown[] | null {
  if (!ready || parser === null || statement === '') return null;
  try {
    const result = parser.parsePlPgSQLSync(statement);
    return isTree(result) ? list(result['plpgsql_funcs']) : null;
  } catch (error) {
    breakUnlessReported(error);
    return null;
  }
}

/** For the lexer and PL/pgSQL, whose own complaints are plain Errors; a stack overflow or a trap is none. */
function breakUnlessReported(error: unknown): void {
  if (error instanceof RangeError || (error instanceof Error && error.name === 'RuntimeError')) broken();
}

/** An error that PostgreSQL's code reported itself, as a value; null for every other. */
function reported(error: unknown): Parsed | null {
  if (!(error instanceof Error) || !('sqlDetails' in error) || !isTree(error.sqlDetails)) return null;
  const { message } = error;
  if (message.startsWith('memory exhausted') || message.startsWith('stack depth limit exceeded')) {
    return {
      kind: 'too_complex',
      sqlstate: '54001',
      message: 'the statement is nested too deeply to be judged',
    };
  }
  if (message.startsWith('out of memory') || message.startsWith('invalid memory alloc')) {
    return { kind: 'too_complex', sqlstate: '54000', message: 'the statement is too large to be judged' };
  }
  const cursor = error.sqlDetails['cursorPosition'];
  // The wrapper gives 0 both for the first character and for no position at all.
  const known = typeof cursor === 'number' && (cursor > 0 || message.includes(' at or near '));
  // Zero-based characters here, one-based in the ErrorResponse field P.
  return { kind: 'syntax_error', message, position: known ? cursor + 1 : null };
}

function broken(): Parsed {
  parser = null;
  void revive();
  return {
    kind: 'too_complex',
    sqlstate: '54001',
    message: 'the statement is nested too deeply to be judged',
  };
}

/** A second, untouched instance of the module. Should loading fail, this thread goes on refusing. */
async function revive(): Promise<void> {
  try {
    const require = createRequire(import.meta.url);
    const path = require.resolve('libpg-query');
    // The package keeps its one instance in a module variable: only a fresh module has a fresh instance.
    Reflect.deleteProperty(require.cache, path);
    const fresh = require(path) as Parser;
    await fresh.loadModule();
    parser = fresh;
  } catch {
    parser = null;
  }
}
