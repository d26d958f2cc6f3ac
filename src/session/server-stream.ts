/**
 * The server's bytes, cut into messages on their way to the client, and Holdfast's own
 * messages put between them.
 *
 * Law: everything that the client gets passes here, in order. Only the messages whose
 * body is read are collected; all others stream through, by reference, and their
 * neighbours with them. Holdfast's own go out between two of the server's. Which
 * request a message answers is not known here.
 */
import type { Refusal } from '../errors.js';
import { MessageAssembler } from '../protocol/assembler.js';
import { BACKEND, BACKEND_NAMES } from '../protocol/constants.js';
import { errorResponse, noticeResponse } from '../protocol/encode.js';
import type { Notice } from '../protocol/encode.js';
import { ProtocolViolation } from '../protocol/violation.js';
import type { ConversationPorts } from './ports.js';

/** Backend messages whose body Holdfast reads; all others stream through. Indexed by type byte. */
const COLLECTED: readonly boolean[] = Array.from(
  { length: 256 },
  (_, type) =>
    type === BACKEND.CommandComplete ||
    type === BACKEND.ErrorResponse ||
    type === BACKEND.ParameterStatus ||
    type === BACKEND.ReadyForQuery,
);

/** Whoever knows what the server's messages mean. */
export interface ServerMessages {
  /** The session has ended. */
  readonly over: boolean;
  /** A message showed that the session must end, once what came before has been passed on: nothing more is read. */
  readonly failure: Refusal | null;
  /**
   * One message at bytes[position, position + total); for types that are not collected only the header is sure to be there.
   * @returns whether it is to be passed on
   */
  message(bytes: Buffer, position: number, total: number): boolean;
  /** Whether a message of this type that comes now is not to be passed on: it is collected then, whatever its type. */
  keepsBack(type: number): boolean;
  /** Whether a message of this type that comes now is a count: as long as the list of tables is, whatever the limit. */
  isCount(type: number): boolean;
  /** What the client gets in place of the message that was not to be passed on; null: nothing. */
  takeInPlace(): Buffer | null;
  /** All messages so far, as far as they are here, have been passed on. */
  passedOn(): void;
}

export class ServerStream {
  readonly #ports: Pick<ConversationPorts, 'toClient'>;
  readonly #messages: ServerMessages;
  /** Largest message that is collected, bytes. */
  readonly #limit: number;
  /** The message being collected, and what remains of one that streams through or is swallowed. */
  #collecting: MessageAssembler | null = null;
  #stream = 0;
  /** Holdfast's notices that wait for the end of a server message. */
  #notices: Buffer[] = [];

  constructor(ports: Pick<ConversationPorts, 'toClient'>, messages: ServerMessages, limit: number) {
    this.#ports = ports;
    this.#messages = messages;
    this.#limit = limit;
  }

  /** Bytes from the server. They may be passed on by reference. */
  receive(chunk: Buffer): void {
    let position = 0;
    let runStart = 0;
    const end = chunk.length;
    try {
      while (position < end) {
        if (this.#stream > 0) {
          const take = Math.min(this.#stream, end - position);
          position += take;
          this.#stream -= take;
          continue;
        }
        if (this.#collecting !== null) {
          position += this.#collecting.add(chunk, position);
          runStart = position;
          const { length, type } = this.#collecting;
          if (length !== null) this.#checkLength(type, length);
          const whole = this.#collecting.whole();
          if (whole !== null) {
            this.#collecting = null;
            if (this.#messages.message(whole, 0, whole.length)) this.#ports.toClient(whole);
            else this.#flushInPlace();
            if (this.#messages.failure !== null) break;
            continue;
          }
          if (length === null || this.#collects(type)) continue;
          // It streams: what was collected of it is its header.
          const header = this.#collecting.take();
          this.#collecting = null;
          if (this.#messages.message(header, 0, length + 1)) this.#ports.toClient(header);
          this.#stream = length + 1 - header.length;
          continue;
        }
        if (end - position < 5) break;
        const type = chunk[position] ?? 0;
        const length = chunk.readUInt32BE(position + 1);
        this.#checkLength(type, length);
        const total = length + 1;
        if (this.#collects(type)) {
          if (end - position < total) break;
          if (this.#messages.message(chunk, position, total)) {
            position += total;
          } else {
            if (position > runStart) this.#ports.toClient(chunk.subarray(runStart, position));
            this.#flushInPlace();
            position += total;
            runStart = position;
          }
          if (this.#messages.failure !== null) break;
          continue;
        }
        this.#messages.message(chunk, position, total);
        if (position + total > end) this.#stream = position + total - end;
        position = Math.min(position + total, end);
      }
    } finally {
      // Also when a message breaks the protocol: what came before it belongs to the client.
      if (position > runStart) this.#ports.toClient(chunk.subarray(runStart, position));
      this.#messages.passedOn();
    }
    if (this.#messages.over || this.#messages.failure !== null) return;
    if (position < end) {
      this.#collecting = new MessageAssembler();
      while (position < end) position += this.#collecting.add(chunk, position);
    }
    this.#flushNotices();
  }

  #checkLength(type: number, length: number): void {
    if (BACKEND_NAMES[type] === undefined || length < 4) {
      throw new ProtocolViolation(`invalid message from the server: type ${type}, length ${length}`);
    }
    if (length > this.#limit && this.#collects(type) && !this.#messages.isCount(type)) {
      throw new ProtocolViolation(
        `message from the server too long: type ${BACKEND_NAMES[type]}, length ${length}`,
      );
    }
  }

  #collects(type: number): boolean {
    return COLLECTED[type] === true || this.#messages.keepsBack(type);
  }

  #flushInPlace(): void {
    const bytes = this.#messages.takeInPlace();
    if (bytes !== null && bytes.length > 0) this.#ports.toClient(bytes);
  }

  /** Tells the client `notice`, as soon as no message of the server's is under way to it. */
  notify(notice: Notice): void {
    this.#notices.push(noticeResponse(notice));
    this.#flushNotices();
  }

  #betweenMessages(): boolean {
    // What is being collected of a message has not been passed on.
    return this.#stream === 0;
  }

  #flushNotices(): void {
    if (this.#notices.length === 0 || !this.#betweenMessages()) return;
    for (const notice of this.#notices) this.#ports.toClient(notice);
    this.#notices = [];
  }

  /** The session ends: the client gets `refusal` where the stream of messages allows it. */
  lastWord(refusal: Refusal): void {
    if (this.#betweenMessages()) this.#ports.toClient(errorResponse(refusal));
  }
}
