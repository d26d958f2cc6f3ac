/**
 * The conversation of one session after login, as a state machine without I/O:
 * bytes from either side in, bytes for either side out, through the ports.
 *
 * Laws of this file:
 * - A message reaches the server only whole, validated and answered `pass` by the
 *   gate; CopyData alone streams through. The bytes judged are the bytes sent.
 * - Everything that was sent has an entry in the reply queue, in order, so every
 *   reply is known to belong to its request.
 * - Transaction state is what the server says in ReadyForQuery and nothing else.
 * - Holdfast's own messages go to the client only between two of the server's.
 * - Anything out of order ends the session (ProtocolViolation); nothing is guessed.
 *
 * How they are kept stands in the parts that are put together here: the two streams,
 * which cut bytes into messages (client-stream, server-stream), what a message asks
 * for (requests) and what an answer means (outcomes), and COPY FROM STDIN, in which
 * both have a share (copy-in). What is left to this file is what concerns them all:
 * losing records and the end of the session.
 */
import type { Refusal } from '../errors.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { sync } from '../protocol/encode.js';
import type { Notice } from '../protocol/encode.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { ClientStream } from './client-stream.js';
import { CopyIn } from './copy-in.js';
import { GuardedOutcomes } from './guarded-outcomes.js';
import { GuardedRequests } from './guarded-requests.js';
import { Outcomes } from './outcomes.js';
import type { ConversationPorts } from './ports.js';
import { Requests } from './requests.js';
import { ServerStream } from './server-stream.js';
import { isSync, reply } from './replies.js';
import type { Reply } from './replies.js';
import { ConversationState } from './state.js';
import { UnderWay } from './under-way.js';

export interface ConversationLimits {
  /** Largest message of the large types (Query, Parse, Bind, FunctionCall, CopyData), bytes. */
  readonly message: number;
  /** Prepared statements and portals that a session may hold. */
  readonly names: number;
  /** Replies that may be outstanding before the client is read no further. */
  readonly outstanding: number;
}

const SYNC = sync();

export class Conversation {
  readonly #ports: ConversationPorts;
  readonly #outstandingLimit: number;
  readonly #state: ConversationState;
  readonly #copyIn: CopyIn;
  readonly #way: UnderWay;
  readonly #guarded: GuardedOutcomes;
  readonly #outcomes: Outcomes;
  readonly #server: ServerStream;
  readonly #requests: Requests;
  readonly #client: ClientStream;
  /** Place in the order of requests up to which everything has really left for the server. */
  #sentMark = 0;

  constructor(ports: ConversationPorts, limits: ConversationLimits, status: TransactionStatus) {
    this.#ports = ports;
    this.#outstandingLimit = limits.outstanding;
    this.#state = new ConversationState(status);
    this.#copyIn = new CopyIn(this.#state, ports, limits.message);
    this.#way = new UnderWay(this.#state, ports);
    const guardedRequests = new GuardedRequests(this.#state, this.#way);
    this.#guarded = new GuardedOutcomes(this.#state, ports.gate, this.#way, guardedRequests);
    this.#outcomes = new Outcomes(this.#state, this.#copyIn, this.#guarded, ports);
    this.#server = new ServerStream(ports, this.#outcomes, limits.message);
    this.#requests = new Requests(
      this.#state,
      this.#copyIn,
      guardedRequests,
      ports.gate,
      this.#server,
      limits.names,
    );
    this.#client = new ClientStream(ports, this.#requests, this.#copyIn, limits.message);
  }

  /** The server's last word on the transaction. */
  get status(): TransactionStatus {
    return this.#state.status;
  }

  /** Executes that have been sent since the last Sync or Query: a part of a transaction that is not committed. */
  get executed(): number {
    return this.#state.executed;
  }

  /** How often the server has reported that it is idle outside a transaction. */
  get idles(): number {
    return this.#state.idles;
  }

  /** The gate has not yet answered for a message. */
  get waiting(): boolean {
    return this.#client.waiting;
  }

  /** The bytes of the message that the gate is asked about stay as they are, and are kept while it waits. */
  get keepsMessage(): boolean {
    return this.#client.keepsMessage;
  }

  /** Whether anything was handed over for the server by what the server said. */
  takeSent(): boolean {
    return this.#way.atHand.takeSent();
  }

  /** The message at hand waits for what it does to be counted. */
  get counting(): boolean {
    return this.#way.atHand.waiting && !this.#way.lettingGo;
  }

  /** What was counted is about to be committed, or the statement of a block to be done: its Sync has been asked for. */
  get committing(): boolean {
    return this.#way.uncommitted && this.#state.replies.groupOutstanding;
  }

  /** The server itself has told the client why it ends the connection (a FATAL error). */
  get serverSaidGoodbye(): boolean {
    return this.#outcomes.goodbye;
  }

  /** Requests are under way: the server owes a reply, or the gate an answer. */
  get busy(): boolean {
    return this.waiting || this.owed;
  }

  /** The server owes a reply, apart from what it may have ignored. */
  get owed(): boolean {
    for (let index = 0; index < this.#state.replies.length; index++) {
      const item = this.#state.replies.at(index);
      if (item !== undefined && item.kind !== 'end_copy' && !item.optional) return true;
    }
    return false;
  }

  /** The server owes nothing: whatever is asked of it now is answered before anything else. Part of a message may have come. */
  get quiet(): boolean {
    return this.#state.replies.length === 0 && this.#state.mode === 'ready';
  }

  /**
   * The server owes nothing and is where its last ReadyForQuery said. Behind messages that were sent and answered without
   * a Sync (by Flush) it is not: they have begun a transaction, of which it reports nothing before that.
   */
  get between(): boolean {
    return this.quiet && !this.#state.replies.groupOpen;
  }

  /** The server owes a ReadyForQuery. */
  get groupOutstanding(): boolean {
    return this.#state.replies.groupOutstanding;
  }

  /** The server ignores everything up to the next Sync; what waits for the gate will not run. */
  get skipping(): boolean {
    return this.#state.mode === 'skipping';
  }

  /** Idle between transactions, with nothing half-received: where a session can be ended without harm. */
  get idle(): boolean {
    return (
      !this.busy &&
      this.status === 'I' &&
      !this.#client.collecting &&
      this.#state.mode === 'ready' &&
      !this.#state.replies.groupOpen
    );
  }

  /** The client should be read no further for now: too much has come that waits for the gate, or too many replies are outstanding. */
  get congested(): boolean {
    return this.#client.overfull || this.#state.replies.length >= this.#outstandingLimit;
  }

  // ---------------------------------------------------------------- bytes

  /** Bytes from the client. They may be kept by reference until they are passed on. */
  receiveClient(chunk: Buffer): void {
    if (this.#state.over) return;
    try {
      this.#client.receive(chunk);
    } catch (error) {
      this.#broken(error);
    }
  }

  /** The gate can answer now what it answered `wait` to. */
  resume(): void {
    if (this.#state.over) return;
    try {
      // What waits for the server is not for the gate to answer, but for what it has been asked about it.
      if (this.#way.atHand.waiting) this.#guarded.resume();
      else this.#client.resume();
    } catch (error) {
      this.#broken(error);
    }
  }

  /** Bytes from the server. They may be passed on by reference. */
  receiveServer(chunk: Buffer): void {
    if (this.#state.over) return;
    try {
      this.#server.receive(chunk);
      if (this.#outcomes.failure !== null) this.fail(this.#outcomes.failure);
      else if (this.#way.atHand.takeResolved()) this.#client.resume();
    } catch (error) {
      this.#broken(error);
    }
  }

  /** What handling bytes threw: a peer that breaks the protocol ends the session, anything else is a bug and goes on up. */
  #broken(error: unknown): void {
    if (!(error instanceof ProtocolViolation)) throw error;
    this.fail({
      severity: 'FATAL',
      sqlstate: error.sqlstate,
      message: `holdfast: ${error.message}`,
      routine: 'holdfast/protocol',
    });
  }

  // ---------------------------------------------------------------- records

  /** A mark for sent(): everything requested so far. */
  get requested(): number {
    return this.#state.replies.places;
  }

  /** What was requested up to `mark` has left for the server. */
  sent(mark: number): void {
    this.#sentMark = mark;
    this.#copyIn.sent(mark);
  }

  /**
   * The records of what was handed to toServer() since sent() could not be written, and none of those bytes left.
   * What they asked for is refused in its place; Syncs are kept, so that the client gets each ReadyForQuery it waits for.
   * Copy data that went with them for a COPY that had left before is missing there, perhaps from the middle of a
   * message; nothing can stand in its place, so that ends the session.
   */
  recordsLost(): void {
    if (this.#state.over) return;
    const mark = this.#sentMark;
    if (this.#copyIn.isTorn(mark)) {
      this.fail({ ...this.#ports.gate.unrecorded(), severity: 'FATAL' });
      return;
    }
    this.#copyIn.forgetUnsent();
    const before = this.#state.mode;
    const unsent = this.#state.replies.cutTail(mark);
    const underWay = this.#guarded.lost(unsent);
    // What was counted must not be committed without its record. A Sync that has left had it.
    let uncommitted = this.#way.uncommitted && !this.#state.replies.holdsGroup;
    let skipping = false;
    /** Within a Query that is carried: the whole of it fails, and its Sync is Holdfast's to send. */
    let inString = false;
    for (const item of unsent) {
      this.#outcomes.abandon(item);
      if (item.ofString) {
        if (skipping) continue;
        if (!inString) this.#refuseUnsent(item.refusal);
        inString = item.kind !== 'carried_sync';
        uncommitted = false;
        if (!inString) this.#sendSync(item);
      } else if (item.kind === 'sync') {
        if (!skipping && uncommitted) this.#refuseUnsent(null);
        skipping = false;
        uncommitted = false;
        this.#sendSync(item);
      } else if (!skipping && item.kind !== 'end_copy') {
        const refusal = item.refusal ?? this.#ports.gate.unrecorded();
        const simple =
          item.kind === 'query' || item.kind === 'refused_query' || item.kind === 'function_call';
        if (simple) this.#requests.refuseQuery(refusal);
        else this.#requests.refuseMessage(refusal);
        skipping = !simple;
        uncommitted = false;
        this.#ports.toServer(this.#requests.replacement);
      }
    }
    if (inString) this.#sendSync(reply('carried_sync'));
    if (uncommitted && !underWay && before === 'ready') {
      this.#refuseUnsent(null);
      skipping = true;
    }
    if (skipping) this.#state.mode = 'skipping';
    // Without a Sync among them, what the server has read before decides.
    else this.#state.mode = inString || unsent.some(isSync) ? 'ready' : before;
    this.#client.dropRest();
    if (this.#way.atHand.takeResolved()) this.#client.resume();
  }

  #refuseUnsent(refusal: Refusal | null): void {
    this.#requests.refuseMessage(refusal ?? this.#ports.gate.unrecorded());
    this.#ports.toServer(this.#requests.replacement);
  }

  #sendSync(item: Reply): void {
    this.#state.replies.push(item);
    this.#ports.toServer(SYNC);
  }

  /** Tells the client `notice`, as soon as no message of the server's is under way to it. */
  notify(notice: Notice): void {
    if (!this.#state.over) this.#server.notify(notice);
  }

  // ---------------------------------------------------------------- the end

  /** Ends the session: the client gets `refusal` where the stream of messages allows it, and nothing more is forwarded. */
  fail(refusal: Refusal): void {
    if (this.#state.over) return;
    this.#state.over = true;
    this.#server.lastWord(refusal);
    this.#ports.failed(refusal);
  }
}
