/**
 * The replies that the server owes, in the order of the requests: a queue in which
 * Holdfast's own refusals take their place in pipeline order.
 */
import type { Refusal } from '../errors.js';
import type { NameChange } from './names.js';
import type { Execution, Meaning, PassedStatement } from './ports.js';
import type { ReplyKind } from './transitions.js';

export interface Reply {
  /** `end_copy` marks a CopyDone or CopyFail that the client sent before the server asked for data; it gets no reply. */
  readonly kind: ReplyKind | 'end_copy';
  /** Query: its statements, and the index of the one that the server is at. */
  readonly statements: readonly PassedStatement[];
  next: number;
  /** Extended protocol: what runs, and what changes when this reply is finished. */
  readonly execution: Execution | null;
  readonly changes: readonly NameChange<Meaning>[];
  /** For refused_query and refused_message. */
  readonly refusal: Refusal | null;
  /** A Sync that the server may have read, and ignored, in copy-in mode: it may get no ReadyForQuery. */
  optional: boolean;
  /** The server is in copy-in mode for this one. */
  copying: boolean;
}

const NONE: readonly never[] = [];

/** A new entry; what it does not need is empty. */
export function reply(
  kind: Reply['kind'],
  parts: {
    statements?: readonly PassedStatement[];
    execution?: Execution | null;
    changes?: readonly NameChange<Meaning>[];
    refusal?: Refusal;
  } = {},
): Reply {
  return {
    kind,
    statements: parts.statements ?? NONE,
    next: 0,
    execution: parts.execution ?? null,
    changes: parts.changes ?? NONE,
    refusal: parts.refusal ?? null,
    optional: false,
    copying: false,
  };
}

/** First in, first out; `at(0)` is the oldest. */
export class ReplyQueue {
  #items: Reply[] = [];
  #head = 0;
  #pushed = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** How many entries were ever pushed: the absolute index of the next one. */
  get pushed(): number {
    return this.#pushed;
  }

  push(item: Reply): void {
    this.#items.push(item);
    this.#pushed += 1;
  }

  at(index: number): Reply | undefined {
    return this.#items[this.#head + index];
  }

  shift(): Reply | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Removes the entry at `index`. */
  removeAt(index: number): void {
    this.#items.splice(this.#head + index, 1);
  }

  /** Takes off the entries pushed since `pushed` stood at `mark`, oldest first. */
  cutTail(mark: number): Reply[] {
    const count = Math.min(this.#pushed - mark, this.length);
    this.#pushed = mark;
    return count <= 0 ? [] : this.#items.splice(this.#items.length - count, count);
  }
}
