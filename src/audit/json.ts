/**
 * JSON strings for a log that people read in terminals and programs read by line.
 *
 * Law of this file: whatever comes in, what goes out is one JSON string literal
 * without raw control characters, without anything invisible or bidirectional
 * that could show a reader something else than what is there, and without lone
 * surrogates, which several JSON parsers refuse.
 */

/** Printable ASCII without `"` and `\` needs no look at all: most SQL is that. */
const NEEDS_ESCAPING = /["\\\u0000-\u001f\u007f-\uffff]/;

const NOT_ASCII = /[^\u0000-\u007e]/;

/**
 * Cc: controls, of which JSON.stringify leaves DEL and the C1 range (0x9B is CSI
 * to a terminal). Cf: bidirectional overrides, zero-width characters, tags.
 * Zl, Zp: U+2028 and U+2029, line ends to some readers.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const LONE_SURROGATE = /\p{Cs}/gu;

function escapeUnits(character: string): string {
  let escaped = '';
  for (let index = 0; index < character.length; index++) {
    escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}

/** The JSON literal of a string, quotes included. Parsing it gives the string back, lone surrogates as U+FFFD. */
export function jsonString(text: string): string {
  if (!NEEDS_ESCAPING.test(text)) return `"${text}"`;
  if (!NOT_ASCII.test(text)) return JSON.stringify(text);
  return JSON.stringify(text.replace(LONE_SURROGATE, '\ufffd')).replace(INVISIBLE, escapeUnits);
}

export function jsonStringOrNull(text: string | null): string {
  return text === null ? 'null' : jsonString(text);
}
