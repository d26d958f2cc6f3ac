/**
 * The client's bytes, cut into messages: each is handed over whole, and what it comes
 * to is carried out on the bytes as they came, so that the bytes judged are the bytes
 * sent and runs of forwarded messages leave as one piece.
 *
 * Law: it owns every byte of the client's that has not been disposed of: the message
 * being collected, what remains of a CopyData (which alone streams through), and what
 * waits for the gate. Types and lengths are checked as soon as they are there, before
 * anything is collected for them. What a message asks for it does not know.
 */
import { MessageAssembler } from '../protocol/assembler.js';
import { FRONTEND, FRONTEND_NAMES, PQ_LARGE_MESSAGE_LIMIT } from '../protocol/constants.js';
import { checkFrontendLength } from '../protocol/frontend.js';
import { ProtocolViolation } from '../protocol/violation.js';
import type { CopyIn } from './copy-in.js';
import type { ConversationPorts } from './ports.js';

/**
 * What handling one client message came to; `stop`: it was Terminate, `wait`: the gate has not answered, `begin`: the
 * replacement is sent for it, and it is asked about again.
 */
export type Handled = 'forward' | 'discard' | 'replace' | 'begin' | 'wait' | 'stop';

/** Whoever knows what the client's messages ask for. */
export interface ClientMessages {
  /** The session has ended, perhaps in the midst of a message. */
  readonly over: boolean;
  /** What takes the place of the message that came to `replace`. */
  readonly replacement: Buffer;
  /** One whole message, body in bytes[start, end). */
  message(type: number, bytes: Buffer, start: number, end: number): Handled;
  /** Whether a CopyData that comes now is forwarded; else it is dropped. */
  streamsCopyData(): boolean;
}

/**
 * Bytes that are kept of a client for whom the gate has not answered yet. It is read
 * on up to here: whether it is still there shows in nothing else.
 */
const BACKLOG_LIMIT = 262_144;

/** @throws ProtocolViolation, worded as PostgreSQL does (SocketBackend in tcop/postgres.c) */
export function unknownType(type: number): never {
  throw new ProtocolViolation(`invalid frontend message type ${type}`);
}

/** Of just that size: a small one out of Node's pool would keep others' bytes in memory for as long as people take. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

export class ClientStream {
  readonly #ports: Pick<ConversationPorts, 'toServer' | 'terminated'>;
  readonly #messages: ClientMessages;
  readonly #copyIn: CopyIn;
  /** Largest message that is collected, bytes. */
  readonly #limit: number;
  /** The message being collected, what remains of a streaming CopyData, and bytes kept while the gate makes up its mind. */
  #collecting: MessageAssembler | null = null;
  #stream = 0;
  #streamDropped = false;
  #waiting = false;
  /** What waits, in buffers of its own: a message that the gate was asked about stands alone in one, the first. */
  #backlog: Buffer[] = [];
  /** Bytes in the backlog that came since the gate was first asked. */
  #backlogSize = 0;
  /** The client said Terminate: nothing more is read of it, but the replies under way still count. */
  #terminated = false;
  /** The message that the gate is asked about is one of the backlog's. */
  #keepsMessage = false;

  constructor(
    ports: Pick<ConversationPorts, 'toServer' | 'terminated'>,
    messages: ClientMessages,
    copyIn: CopyIn,
    limit: number,
  ) {
    this.#ports = ports;
    this.#messages = messages;
    this.#copyIn = copyIn;
    this.#limit = limit;
  }

  /** The gate has not yet answered for a message. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** The bytes of the message that the gate is asked about stay as they are, and are kept while it waits. */
  get keepsMessage(): boolean {
    return this.#keepsMessage;
  }

  /** So much has come since the gate was asked that no more should be read. */
  get overfull(): boolean {
    return this.#waiting && this.#backlogSize >= BACKLOG_LIMIT;
  }

  /** Part of a message has come, and is kept until its rest has. */
  get collecting(): boolean {
    return this.#collecting !== null;
  }

  /** Bytes from the client. They may be kept by reference until they are passed on. */
  receive(chunk: Buffer): void {
    if (this.#terminated) return;
    if (this.#waiting) {
      this.#backlog.push(copyOf(chunk));
      this.#backlogSize += chunk.length;
      return;
    }
    this.#scan(chunk, false);
  }

  /** The gate can answer now what it answered `wait` to. */
  resume(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    this.#backlogSize = 0;
    for (const [index, chunk] of backlog.entries()) {
      if (this.#terminated) return;
      // By its getter, so that the compiler does not narrow the field across calls that change it.
      if (this.waiting || this.#messages.over) {
        for (const rest of backlog.slice(index)) {
          this.#backlog.push(rest);
          this.#backlogSize += rest.length;
        }
        return;
      }
      this.#scan(chunk, true);
    }
  }

  /** The first part of a CopyData under way is gone; so must be its rest. */
  dropRest(): void {
    if (this.#stream > 0) this.#streamDropped = true;
  }

  /** @param own the chunk is the backlog's */
  #scan(chunk: Buffer, own: boolean): void {
    let position = 0;
    let runStart = 0;
    const end = chunk.length;
    while (position < end) {
      if (this.#stream > 0) {
        const take = Math.min(this.#stream, end - position);
        if (this.#streamDropped) {
          if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
          runStart = position + take;
        } else {
          this.#copyIn.passed();
        }
        position += take;
        this.#stream -= take;
        continue;
      }
      if (this.#collecting !== null) {
        const taken = this.#collecting.add(chunk, position);
        position += taken;
        runStart = position;
        this.#checkHeader(this.#collecting);
        const whole = this.#collecting.whole();
        if (whole === null) {
          // A header that came in pieces may announce CopyData, which streams.
          this.#streamAssembled();
          continue;
        }
        this.#collecting = null;
        if (!this.#deliver(whole, 0, whole.length, chunk, position)) return;
        continue;
      }
      if (end - position < 5) break;
      const type = chunk[position] ?? 0;
      const length = chunk.readUInt32BE(position + 1);
      this.#checkMessage(type, length);
      const total = length + 1;
      if (type === FRONTEND.CopyData) {
        if (this.#copyIn.isTooMuch(length)) {
          if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
          runStart = position;
          this.#copyIn.stop(length);
        }
        const drop = !this.#messages.streamsCopyData();
        if (drop) {
          if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
          runStart = Math.min(position + total, end);
        }
        this.#stream = total;
        this.#streamDropped = drop;
        continue;
      }
      if (end - position < total) break;
      const kept = own && total === end;
      this.#keepsMessage = kept;
      const handled = this.#messages.message(type, chunk, position + 5, position + total);
      this.#keepsMessage = false;
      if (handled === 'forward') {
        position += total;
        continue;
      }
      if (handled === 'stop') {
        this.#terminated = true;
        this.#ports.toServer(chunk.subarray(runStart, position + total));
        this.#ports.terminated();
        return;
      }
      if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
      if (handled === 'begin') this.#ports.toServer(this.#messages.replacement);
      if (handled === 'wait' || handled === 'begin') {
        const message = kept ? chunk : copyOf(chunk.subarray(position, position + total));
        this.#keep(message, chunk.subarray(position + total));
        return;
      }
      if (handled === 'replace') this.#ports.toServer(this.#messages.replacement);
      position += total;
      runStart = position;
    }
    if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
    if (position < end) {
      this.#collecting = new MessageAssembler();
      while (position < end) position += this.#collecting.add(chunk, position);
      this.#checkHeader(this.#collecting);
    }
  }

  /** Handles one whole message that was collected; `rest` is what follows it in the chunk. @returns whether to go on */
  #deliver(whole: Buffer, start: number, end: number, rest: Buffer, position: number): boolean {
    const handled = this.#messages.message(whole[start] ?? 0, whole, start + 5, end);
    switch (handled) {
      case 'forward':
        this.#ports.toServer(whole);
        return true;
      case 'replace':
        this.#ports.toServer(this.#messages.replacement);
        return true;
      case 'discard':
        return true;
      case 'begin':
      case 'wait':
        if (handled === 'begin') this.#ports.toServer(this.#messages.replacement);
        this.#keep(copyOf(whole), rest.subarray(position));
        return false;
      case 'stop':
        this.#terminated = true;
        this.#ports.toServer(whole);
        this.#ports.terminated();
        return false;
    }
  }

  /** @param message a buffer of its own @param rest what came with it */
  #keep(message: Buffer, rest: Buffer): void {
    this.#waiting = true;
    const before = this.#backlog;
    this.#backlog = rest.length === 0 ? [message] : [message, copyOf(rest)];
    this.#backlog.push(...before);
  }

  #checkHeader(assembler: MessageAssembler): void {
    const length = assembler.length;
    if (length !== null) this.#checkMessage(assembler.type, length);
    else if (assembler.size > 0 && FRONTEND_NAMES[assembler.type] === undefined) unknownType(assembler.type);
  }

  #checkMessage(type: number, length: number): void {
    const name = FRONTEND_NAMES[type];
    if (name === undefined) unknownType(type);
    // CopyData is never collected, so that its size costs nothing; what the server accepts of it is looked at where it streams.
    else checkFrontendLength(name, length, name === 'CopyData' ? PQ_LARGE_MESSAGE_LIMIT : this.#limit);
  }

  /** A CopyData whose header came in pieces goes over to streaming. */
  #streamAssembled(): void {
    const assembler = this.#collecting;
    if (assembler === null || assembler.length === null || assembler.type !== FRONTEND.CopyData) return;
    const held = assembler.take();
    if (this.#copyIn.isTooMuch(assembler.length)) this.#copyIn.stop(assembler.length);
    const drop = !this.#messages.streamsCopyData();
    if (!drop) {
      this.#copyIn.passed();
      this.#ports.toServer(held);
    }
    this.#stream = assembler.length + 1 - held.length;
    this.#streamDropped = drop;
    this.#collecting = null;
  }
}
