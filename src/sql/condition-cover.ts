/**
 * Whether the parts of one OR hold for every value together.
 *
 * Law of this file: gathers, for each thing that the parts speak of, the states they
 * ask for. Linear in the number of parts: a part is looked up by its key.
 */
import { EVERY, GREATER, IS_NULL, LESS, type Literal } from './condition-literals.js';
import { FALSE, NULL, TRUE } from './condition-parts.js';
import type { ColumnUse } from './condition-place.js';
import {
  certainlyDifferent,
  coverEverything,
  intervals,
  type Interval,
  type Numeral,
} from './condition-values.js';

/** Why a condition has the outcome that is wanted, and for which rows that is left open. */
export interface Proof {
  readonly why: () => string;
  readonly unless: readonly ColumnUse[];
  readonly requires: readonly ColumnUse[];
}

/** What was found to hold together; `first` is null where one part is enough by itself. */
export interface Found {
  readonly first: unknown;
  readonly kind: 'same' | 'opposite' | 'ranges' | 'not_null';
  readonly unless: readonly ColumnUse[];
  readonly requires: readonly ColumnUse[];
}

interface Entry {
  states: number;
  readonly node: unknown;
}

interface Subject {
  readonly found: Interval[];
  readonly words: string[];
  readonly integers: boolean;
  readonly node: unknown;
  unless: readonly ColumnUse[];
  low: boolean;
  high: boolean;
  /** How many intervals there were when they were last looked at. */
  looked: number;
}

/** So few intervals are looked at each time that one is added; more when there are twice as many, and at the end. */
const FEW = 8;
const MAX_WORDS = 8;

export class Cover {
  readonly #entries = new Map<string, Entry>();
  readonly #subjects = new Map<string, Subject>();

  /** A copy, to try something on. */
  copy(): Cover {
    const other = new Cover();
    for (const [key, entry] of this.#entries) other.#entries.set(key, { ...entry });
    for (const [key, subject] of this.#subjects) {
      other.#subjects.set(key, { ...subject, found: [...subject.found], words: [...subject.words] });
    }
    return other;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Whether one of the parts holds where the column is NULL. */
  holdsForNull(column: ColumnUse): boolean {
    return ((this.#entries.get(column.key)?.states ?? 0) & IS_NULL) !== 0;
  }

  /** Adds a part; says whether everything is covered now. */
  add(literal: Literal, outcomes: number, node: unknown): Found | null {
    const states = statesOf(literal, outcomes);
    const possible = states & literal.possible;
    if (literal.possible !== EVERY && possible === literal.possible) {
      if ((states & IS_NULL) !== 0) return { first: null, kind: 'same', unless: [], requires: [] };
      if (literal.nulls === null) return null;
      return { first: null, kind: 'same', unless: literal.nulls, requires: [] };
    }
    if (possible === 0 && (states & IS_NULL) === 0) return null;

    const entry = this.#entries.get(literal.key);
    const before = entry?.states ?? 0;
    const together = before | states;
    if (entry === undefined) this.#entries.set(literal.key, { states, node });
    else entry.states = together;
    if ((together & EVERY) === EVERY && together !== before) {
      const first = entry?.node ?? null;
      if ((together & IS_NULL) !== 0) return { first, kind: 'opposite', unless: [], requires: [] };
      const nulls = literal.textOnly ? null : literal.nulls;
      if ((states & EVERY) === EVERY) {
        // IS NOT NULL: what the catalog has to say. Nothing is known of parameters and other tables' columns.
        if (nulls !== null && !literal.parameter && nulls.every(({ own }) => own)) {
          return { first: null, kind: 'not_null', unless: [], requires: nulls };
        }
      } else if (nulls !== null) {
        return { first, kind: 'opposite', unless: nulls, requires: [] };
      }
    }
    return this.#addToSubject(literal, states, node);
  }

  #addToSubject(literal: Literal, states: number, node: unknown): Found | null {
    if (literal.subject === null || literal.nulls === null || literal.textOnly) return null;
    if (literal.number === null && literal.word === null) return null;
    const key = `${literal.number === null ? 'words' : 'numbers'} ${literal.subject}`;
    let subject = this.#subjects.get(key);
    if (subject === undefined) {
      const { nulls, length } = literal;
      const none = { words: [], high: false, looked: 0 };
      subject = { ...none, found: [], low: length, integers: length, node, unless: nulls };
      if (length) subject.found.push({ low: null, lowIn: false, high: ZERO, highIn: false });
      this.#subjects.set(key, subject);
    }
    if ((states & IS_NULL) !== 0) subject.unless = [];
    const covered =
      literal.number === null
        ? wordsCover(subject, literal.word ?? '', states)
        : numbersCover(subject, literal.number, states);
    return covered ? foundRanges(subject, node) : null;
  }

  /** Whether a part and one with the same key hold for everything together; adds nothing. */
  meets(literal: Literal, outcomes: number): Found | null {
    const entry = this.#entries.get(literal.key);
    if (entry === undefined || literal.nulls === null || literal.textOnly) return null;
    const together = entry.states | statesOf(literal, outcomes);
    if ((together & EVERY) !== EVERY || (entry.states & EVERY) === 0) return null;
    if ((statesOf(literal, outcomes) & EVERY) === EVERY) return null;
    const unless = (together & IS_NULL) !== 0 ? [] : literal.nulls;
    return { first: entry.node, kind: 'opposite', unless, requires: [] };
  }

  /** Looks at what was not looked at while it grew. */
  finish(): Found | null {
    for (const subject of this.#subjects.values()) {
      if (!subject.low || !subject.high || subject.looked === subject.found.length) continue;
      if (coverEverything(subject.found, subject.integers)) return foundRanges(subject, null);
    }
    return null;
  }
}

const ZERO = { kind: 'number', number: 0, text: '0' } as const;

function foundRanges(subject: Subject, node: unknown): Found {
  const first = subject.node === node ? null : subject.node;
  return { first, kind: 'ranges', unless: subject.unless, requires: [] };
}

function wordsCover(subject: Subject, word: string, states: number): boolean {
  if ((states & EVERY) !== (LESS | GREATER)) return false;
  if (subject.words.some((other) => certainlyDifferent(other, word))) return true;
  if (subject.words.length < MAX_WORDS) subject.words.push(word);
  return false;
}

function numbersCover(subject: Subject, number: Numeral, states: number): boolean {
  // Types without negative numbers (oid, xid) take -5 for a very large one.
  if (number.number < 0 && !subject.integers) return false;
  subject.found.push(...intervals(states & EVERY, number));
  subject.low ||= (states & LESS) !== 0;
  subject.high ||= (states & GREATER) !== 0;
  const count = subject.found.length;
  if (!subject.low || !subject.high || (count > FEW && count < subject.looked * 2)) return false;
  subject.looked = count;
  return coverEverything(subject.found, subject.integers);
}

/** The states that have a wanted outcome. */
function statesOf(literal: Literal, outcomes: number): number {
  const all = literal.twoValued ? EVERY | IS_NULL : EVERY;
  return (
    ((outcomes & TRUE) !== 0 ? literal.truth : 0) |
    ((outcomes & FALSE) !== 0 ? all & ~literal.truth : 0) |
    ((outcomes & NULL) !== 0 && !literal.twoValued ? IS_NULL : 0)
  );
}
