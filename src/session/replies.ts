/**
 * The replies that the server owes, in the order of the requests: a queue in which
 * Holdfast's own refusals take their place in pipeline order.
 */
import type { Refusal } from '../errors.js';
import type { NameChange } from './names.js';
import type { Execution, Meaning, PassedStatement } from './ports.js';
import { SERVER_ACTIONS } from './server-transitions.js';
import type { ReplyKind, ServerAction } from './server-transitions.js';

export interface Reply {
  /** `end_copy` marks a CopyDone or CopyFail that the client sent before the server asked for data; it gets no reply. */
  readonly kind: ReplyKind | 'end_copy';
  /** What each of the server's messages means while this reply is due, by type byte. */
  readonly actions: readonly (ServerAction | undefined)[];
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
  /** It is a part of a Query that is carried by the extended protocol. */
  ofString: boolean;
  /** Its place in the order of all that was requested, counted from 0. */
  place: number;
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
    actions: SERVER_ACTIONS[kind === 'end_copy' ? 'nothing' : kind],
    statements: parts.statements ?? NONE,
    next: 0,
    execution: parts.execution ?? null,
    changes: parts.changes ?? NONE,
    refusal: parts.refusal ?? null,
    optional: false,
    copying: false,
    ofString: false,
    place: -1,
  };
}

/** What the server answers with ReadyForQuery at its end. */
const ENDS_GROUP: ReadonlySet<Reply['kind']> = new Set([
  'sync',
  'query',
  'refused_query',
  'function_call',
  'undo_sync',
  'carried_sync',
]);

/** A Sync, the client's or one of Holdfast's own: where the server stops skipping. */
export function isSync({ kind }: Pick<Reply, 'kind'>): boolean {
  return kind === 'sync' || kind === 'carried_sync' || kind === 'undo_sync';
}

/** First in, first out; `at(0)` is the oldest. */
export class ReplyQueue {
  #items: Reply[] = [];
  #head = 0;
  #places = 0;
  #lastPlace = -1;
  #lastGroup = -1;
  #groupOpen = false;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** The place that the next entry will have. */
  get places(): number {
    return this.#places;
  }

  /** The place of the entry that was pushed last, whether or not it is still there; -1 before the first. */
  get lastPlace(): number {
    return this.#lastPlace;
  }

  /** Whether something is there that ends in ReadyForQuery. */
  get groupOutstanding(): boolean {
    const head = this.#items[this.#head];
    return head !== undefined && head.place <= this.#lastGroup;
  }

  /**
   * Whether messages of the extended protocol were requested behind the last Sync or Query, answered or not: the server is
   * in a transaction then, whatever it has reported before, which ends with the next of these.
   */
  get groupOpen(): boolean {
    return this.#groupOpen;
  }

  push(item: Reply): void {
    item.place = this.takePlace();
    this.#lastPlace = item.place;
    if (ENDS_GROUP.has(item.kind)) {
      this.#lastGroup = item.place;
      this.#groupOpen = false;
    } else if (item.kind !== 'end_copy') {
      this.#groupOpen = true;
    }
    this.#items.push(item);
  }

  /** A place in the order for what gets no entry: copy data. */
  takePlace(): number {
    return this.#places++;
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

  /** Removes the Sync at `index`, which the server has ignored: it has ended nothing. */
  ignoredAt(index: number): void {
    this.removeAt(index);
    this.#groupOpen = !this.holdsGroup;
  }

  /** Whether an entry of the queue ends in ReadyForQuery. */
  get holdsGroup(): boolean {
    return this.#items.slice(this.#head).some(({ kind }) => ENDS_GROUP.has(kind));
  }

  /** Takes off the entries whose place is `mark` or behind it, oldest first. */
  cutTail(mark: number): Reply[] {
    let first = this.#items.length;
    while (first > this.#head && (this.#items[first - 1]?.place ?? -1) >= mark) first -= 1;
    return this.#items.splice(first);
  }
}
