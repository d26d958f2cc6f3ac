/**
 * The `options` parameter of a StartupMessage: command-line switches for the backend.
 *
 * Law of this file: split exactly as PostgreSQL splits (pg_split_opts), accept only
 * the switches that set a named parameter, and refuse everything else: a switch that
 * is not understood cannot be judged.
 */
import { foldSettingName } from './settings.js';

export type StartupOptions =
  { readonly settings: readonly (readonly [name: string, value: string])[] } | { readonly error: string };

/**
 * Reads `-c name=value`, `-cname=value` and `--name=value`. Names come back lower
 * case with dashes made underscores (ParseLongOption), in the order given; a later
 * one of the same name wins on the server.
 */
export function parseStartupOptions(options: string): StartupOptions {
  const settings: (readonly [string, string])[] = [];
  const words = splitOptions(options);
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    let assignment: string;
    if (word === '-c') {
      index += 1;
      const next = words[index];
      if (next === undefined) return { error: 'the switch -c needs a setting: -c name=value' };
      assignment = next;
    } else if (word.startsWith('--') && word.length > 2) {
      assignment = word.slice(2);
    } else if (word.startsWith('-c')) {
      assignment = word.slice(2);
    } else {
      return { error: `the start-up switch "${word}" is not supported; use -c name=value` };
    }
    const equals = assignment.indexOf('=');
    if (equals < 1) return { error: `the start-up switch "${word}" needs a value: name=value` };
    const name = foldSettingName(assignment.slice(0, equals)).replaceAll('-', '_');
    settings.push([name, assignment.slice(equals + 1)]);
  }
  return { settings };
}

/** pg_split_opts(): words end at unescaped white space; a backslash takes the next character as it is. */
function splitOptions(options: string): string[] {
  const words: string[] = [];
  let index = 0;
  while (index < options.length) {
    while (index < options.length && isSpace(options.charAt(index))) index += 1;
    if (index >= options.length) break;
    let word = '';
    let escaped = false;
    while (index < options.length) {
      const character = options.charAt(index);
      if (isSpace(character) && !escaped) break;
      if (!escaped && character === '\\') escaped = true;
      else {
        escaped = false;
        word += character;
      }
      index += 1;
    }
    words.push(word);
  }
  return words;
}

/** isspace() of the C locale. */
function isSpace(character: string): boolean {
  return character === ' ' || (character >= '\t' && character <= '\r');
}
