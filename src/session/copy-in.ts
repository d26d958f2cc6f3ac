/**
 * COPY FROM STDIN (and COPY BOTH): the client sends data while the server owes the
 * reply to the statement, so both halves of the conversation have a share in it.
 *
 * Law: it owns how a COPY changes the client's mode and the order of replies (Syncs
 * that the server may have ignored, ends of data that get no reply), and which copy
 * data has left for the server. Where the server's place in the COPY cannot be known,
 * the session ends. It sees lengths and places in the order, never the data.
 */
import { copyFail } from '../protocol/encode.js';
import { ProtocolViolation } from '../protocol/violation.js';
import type { ConversationPorts } from './ports.js';
import type { Reply } from './replies.js';
import type { ConversationState } from './state.js';

export class CopyIn {
  readonly #state: ConversationState;
  readonly #ports: Pick<ConversationPorts, 'toServer'>;
  /** Largest CopyData, bytes. */
  readonly #limit: number;
  /** Copy data and ends of it that have not left: their last place, and that of the request before them. */
  #copies: { readonly request: number; place: number }[] = [];

  constructor(state: ConversationState, ports: Pick<ConversationPorts, 'toServer'>, limit: number) {
    this.#state = state;
    this.#ports = ports;
    this.#limit = limit;
  }

  // ---------------------------------------------------------------- from the client

  /** Whether a CopyData of `length` (its length word) is one that the session may not send: stop() is due. */
  isTooMuch(length: number): boolean {
    return this.#state.mode === 'copying' && length > this.#limit;
  }

  /** A limit was reached in the middle of COPY FROM STDIN: the server is told to fail it, and what the client still sends of it is dropped. */
  stop(length: number): void {
    this.passed();
    this.#ports.toServer(
      copyFail(`holdfast: a CopyData message of ${length} bytes is over the limit of ${this.#limit}`),
    );
    this.#state.mode = 'copy_stopped';
  }

  /** Copy data, or the end of it, is being forwarded. */
  passed(): void {
    const request = this.#state.replies.lastPlace;
    const place = this.#state.replies.takePlace();
    const last = this.#copies.at(-1);
    if (last?.request === request) last.place = place;
    else this.#copies.push({ request, place });
  }

  /** What was requested up to `mark` has left for the server. */
  sent(mark: number): void {
    if (this.#copies.length > 0) this.#copies = this.#copies.filter(({ place }) => place >= mark);
  }

  /** Whether copy data that has not left, being behind `mark`, is missing in a COPY that had left before. */
  isTorn(mark: number): boolean {
    return this.#copies.some(({ request, place }) => request < mark && place >= mark);
  }

  /** What has not left never will. */
  forgetUnsent(): void {
    this.#copies = [];
  }

  // ---------------------------------------------------------------- from the server

  /** CopyInResponse or CopyBothResponse: the server now reads CopyData. */
  started(head: Reply): void {
    head.copying = true;
    for (let index = 1; ; index++) {
      const item = this.#state.replies.at(index);
      if (item === undefined) {
        this.#state.mode = 'copying';
        return;
      }
      if (item.kind === 'end_copy') {
        this.#state.replies.removeAt(index);
        return;
      }
      if (item.kind !== 'sync') {
        // The server may take it for a message within the COPY, and drop it, or may yet fail before it reads it.
        throw new ProtocolViolation('a message was sent behind COPY FROM STDIN before its data');
      }
      item.optional = true;
    }
  }

  /** A COPY FROM STDIN succeeded: the server has read up to CopyDone, so Syncs sent within it were ignored. */
  succeeded(index = 0): void {
    while (this.#state.replies.at(index)?.optional === true) this.#state.replies.ignoredAt(index);
    if (this.#state.mode === 'copying') this.#state.mode = 'ready';
  }

  /** A COPY FROM STDIN failed; the client may still be sending data, which the server ignores. */
  failed(): void {
    if (this.#state.mode === 'copying' || this.#state.mode === 'copy_stopped') this.#state.mode = 'ready';
  }

  /** A COPY FROM STDIN failed, and whether the server has read the Syncs behind it, as part of the COPY, is not known. */
  failedWithinSyncs(): void {
    for (let index = 0; ; index++) {
      const item = this.#state.replies.at(index);
      if (item === undefined) {
        this.#state.mode = 'copy_failed';
        return;
      }
      if (item.optional || item.kind === 'end_copy') continue;
      if (item.kind === 'sync') return;
      throw new ProtocolViolation('a message was sent behind a Sync within a COPY FROM STDIN that failed');
    }
  }

  /** Ends of copy data that no reply comes before: the server has ignored them, or will. */
  dropEnds(): void {
    while (this.#state.replies.at(0)?.kind === 'end_copy') this.#state.replies.shift();
  }
}
