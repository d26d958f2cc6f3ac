/** Names and values as they stand in SQL (PostgreSQL documentation, chapter "Lexical Structure"). */

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function relation({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${identifier(schema)}.${identifier(name)}`;
}

/** What a terminal obeys, or shows as something else than it is: control characters and those that turn the direction. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** For standard_conforming_strings = on, the default since PostgreSQL 9.1. What is not seen is written by its number. */
export function literal(value: string): string {
  const quoted = value.replaceAll("'", "''");
  if (quoted.search(UNSEEN) < 0) return `'${quoted}'`;
  const escaped = quoted
    .replaceAll('\\', '\\\\')
    .replaceAll(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `E'${escaped}'`;
}

/** Text for a comment, which ends with its line. */
export function seen(text: string): string {
  return text.replaceAll(UNSEEN, ' ');
}

const ESCAPED = /["\\]/;

/** An array in PostgreSQL's text form. */
export function arrayText(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : item(value))).join(',')}}`;
}

function item(value: string): string {
  // Of a hundred thousand places of rows none has any of them.
  if (!ESCAPED.test(value)) return `"${value}"`;
  return `"${value.replaceAll(/["\\]/g, (character) => `\\${character}`)}"`;
}
