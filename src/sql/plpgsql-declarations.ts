/**
 * The defaults of variables with a row type: `DECLARE r record := f()`.
 *
 * Law of this file: it looks at tokens, because the tree that the parser library gives
 * leaves these defaults out. When in doubt it says that it does not know.
 */
import { scan, type Token } from './parser.js';

/**
 * The default expressions of the given variables.
 *
 * @param records names of the variables as the server folds them, each as often as it is declared
 * @returns null where the declarations cannot be found
 */
export function recordDefaults(body: string, records: readonly string[]): readonly string[] | null {
  if (records.length === 0) return [];
  const scanned = scan(body);
  if (scanned === null) return null;
  const tokens = scanned.filter((token) => !isComment(token));
  const bytes = Buffer.from(body, 'utf8');
  const wanted = new Set(records);
  const defaults: string[] = [];
  let found = 0;
  for (let index = 1; index < tokens.length; index += 1) {
    const before = tokens[index - 1]?.text.toLowerCase();
    if (before !== ';' && before !== 'declare') continue;
    if (!wanted.has(folded(tokens[index]?.text ?? ''))) continue;
    // `r := …`, `r.a := …` and `r[1] := …` are statements, no declarations.
    if ([':=', '=', '.', '['].includes(tokens[index + 1]?.text ?? '')) continue;
    found += 1;
    const end = endOfStatement(tokens, index);
    if (end === null) return null;
    const start = tokens.slice(index + 1, end).findIndex(startsDefault);
    if (start === -1) continue;
    const sign = tokens[index + 1 + start];
    defaults.push(bytes.subarray(sign?.end, tokens[end]?.start).toString('utf8'));
  }
  return found < records.length ? null : defaults;
}

function startsDefault(token: Token): boolean {
  return token.text === ':=' || token.text === '=' || token.text.toLowerCase() === 'default';
}

/** The index of the semicolon that ends what begins at `from`; null when none does. */
function endOfStatement(tokens: readonly Token[], from: number): number | null {
  let depth = 0;
  for (let index = from; index < tokens.length; index += 1) {
    const { text } = tokens[index] ?? { text: '' };
    if (text === '(' || text === '[') depth += 1;
    if (text === ')' || text === ']') depth -= 1;
    if (text === ';' && depth <= 0) return index;
  }
  return null;
}

/** Token types SQL_COMMENT and C_COMMENT (gram.y). */
function isComment(token: Token): boolean {
  return token.type === 275 || token.type === 276;
}

/** An identifier as the tree spells it: without quotes, or in lower case; names are cut at 63 bytes. */
function folded(name: string): string {
  const plain = name.startsWith('"')
    ? name.slice(1, -1).replaceAll('""', '"')
    : name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return Buffer.byteLength(plain) <= 63 ? plain : Buffer.from(plain, 'utf8').subarray(0, 63).toString('utf8');
}
