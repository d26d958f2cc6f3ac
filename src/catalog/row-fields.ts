/**
 * The JSON array of one row of the answer to CATALOG_QUERY, read from left to right;
 * a value that is not of the type asked for is an error.
 *
 * Law of this file: it knows no meaning of any value.
 */
import type { RowKind } from './queries.js';

/** One for all rows: begin() goes on to the next. */
export interface Fields {
  begin(kind: RowKind, body: string): void;
  text(): string;
  textOrNull(): string | null;
  number(): number;
  numberOrNull(): number | null;
  boolean(): boolean;
  numbers(): readonly number[];
  texts(): readonly string[];
  listOrNull(): readonly unknown[] | null;
  oneOf<T>(table: Readonly<Record<string, T>>): T;
  /** There must be no more. */
  end(): void;
}

export function fieldReader(): Fields {
  let kind: RowKind = 'database';
  let list: readonly unknown[] = [];
  let position = 0;
  const wrong = (wanted: string): Error =>
    unexpected(`a row of kind ${kind} whose value ${position} is not ${wanted}`);
  const next = (): unknown => list[position++];
  const asNumber = (value: unknown): number => {
    if (!Number.isSafeInteger(value)) throw wrong('a whole number');
    return value as number;
  };
  const asText = (value: unknown): string => {
    if (typeof value !== 'string') throw wrong('a text');
    return value;
  };
  const asList = (value: unknown): readonly unknown[] => {
    if (!Array.isArray(value)) throw wrong('a list');
    return value;
  };
  const orNull = <T>(read: (value: unknown) => T): T | null => {
    const value = next();
    return value === null ? null : read(value);
  };
  return {
    begin(rowKind, body) {
      kind = rowKind;
      position = 0;
      let values: unknown;
      try {
        values = JSON.parse(body);
      } catch {
        throw unexpected(`a row of kind ${kind} that is not JSON`);
      }
      if (!Array.isArray(values)) throw unexpected(`a row of kind ${kind} that is not a list`);
      list = values;
    },
    text: () => asText(next()),
    textOrNull: () => orNull(asText),
    number: () => asNumber(next()),
    numberOrNull: () => orNull(asNumber),
    boolean() {
      const value = next();
      if (typeof value !== 'boolean') throw wrong('true or false');
      return value;
    },
    numbers: () => asList(next()).map(asNumber),
    texts: () => asList(next()).map(asText),
    listOrNull: () => orNull(asList),
    oneOf(table) {
      const value = asText(next());
      const found = Object.hasOwn(table, value) ? table[value] : undefined;
      if (found === undefined) throw wrong(`one of ${Object.keys(table).join(' ')}`);
      return found;
    },
    end() {
      if (position !== list.length) throw unexpected(`a row of kind ${kind} with ${list.length} values`);
    },
  };
}

/** What the answer has and should not have, or the other way round. */
export function unexpected(what: string): Error {
  return new Error(`the answer about the catalogs has ${what}`);
}
