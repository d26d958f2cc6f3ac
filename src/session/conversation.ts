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
 */
import type { Refusal } from '../errors.js';
import {
  commandRows,
  decodeParameterStatus,
  decodeReadyForQuery,
  errorSqlstate,
  isFatal,
} from '../protocol/backend.js';
import {
  BACKEND,
  BACKEND_NAMES,
  FRONTEND,
  FRONTEND_NAMES,
  NAMEDATALEN,
  PQ_LARGE_MESSAGE_LIMIT,
} from '../protocol/constants.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { copyFail, errorResponse, noticeResponse, sync } from '../protocol/encode.js';
import type { Notice } from '../protocol/encode.js';
import {
  checkFrontendLength,
  decodeBind,
  decodeCopyFail,
  decodeEmpty,
  decodeExecute,
  decodeParse,
  decodeTarget,
  queryText,
} from '../protocol/frontend.js';
import { MessageAssembler } from '../protocol/assembler.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { Names } from './names.js';
import type { NameChange } from './names.js';
import type { ConversationPorts, Execution, Meaning, MessageAnswer, PassedStatement } from './ports.js';
import { FAILING_EXECUTE, FAILING_QUERY } from './provoked.js';
import { ReplyQueue, reply } from './replies.js';
import type { Reply } from './replies.js';
import { CLIENT_ACTIONS, SERVER_ACTIONS } from './transitions.js';
import type { ClientAction, ClientMode, ServerAction } from './transitions.js';

export interface ConversationLimits {
  /** Largest message of the large types (Query, Parse, Bind, FunctionCall, CopyData), bytes. */
  readonly message: number;
  /** Prepared statements and portals that a session may hold. */
  readonly names: number;
  /** Replies that may be outstanding before the client is read no further. */
  readonly outstanding: number;
}

/** What handling one client message came to. */
type Handled = 'forward' | 'discard' | 'replace' | 'wait' | 'stop';

/** Longer names are cut off by the server (NAMEDATALEN), so that two of them may be one there. */
function isTooLong(name: string): boolean {
  return name.length * 3 >= NAMEDATALEN && Buffer.byteLength(name) >= NAMEDATALEN;
}

/** What one name may stand for, before the server has confirmed any of it, without costing too much to judge. */
const MEANINGS_LIMIT = 100;

function tooManyMeanings(name: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '54000',
    message: `holdfast: too many definitions of "${name}" are under way for this use of it to be judged`,
    hint: 'Define it in the same pipeline that uses it, without a Sync between, or wait for the answers.',
    routine: 'holdfast/names',
  };
}

function tooLong(name: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '42622',
    message: `holdfast: the name that begins with "${name.slice(0, 20)}" is longer than the ${NAMEDATALEN - 1} bytes that the server tells apart`,
    routine: 'holdfast/names',
  };
}

const SYNC = sync();
const NO_MESSAGE = Buffer.alloc(0);

/** Backend messages whose body Holdfast reads; all others stream through. Indexed by type byte. */
const COLLECTED: readonly boolean[] = Array.from(
  { length: 256 },
  (_, type) =>
    type === BACKEND.CommandComplete ||
    type === BACKEND.ErrorResponse ||
    type === BACKEND.ParameterStatus ||
    type === BACKEND.ReadyForQuery,
);

export class Conversation {
  readonly #ports: ConversationPorts;
  readonly #limits: ConversationLimits;
  readonly #replies = new ReplyQueue();
  readonly #names = new Names<Meaning>();
  #status: TransactionStatus;
  #mode: ClientMode = 'ready';
  #over = false;
  /** The client said Terminate: nothing more is read of it, but the replies under way still count. */
  #terminated = false;

  /** Client side: the message being collected, what remains of a streaming CopyData, and bytes kept while the gate makes up its mind. */
  #fromClient: MessageAssembler | null = null;
  #clientStream = 0;
  #clientStreamDropped = false;
  #waiting = false;
  #backlog: Buffer[] = [];
  /** What takes the place of a refused message. */
  #replacement: Buffer = NO_MESSAGE;
  /** Place in the order of requests up to which everything has really left for the server. */
  #sentMark = 0;
  /** Copy data and ends of it that have not left: their last place, and that of the request before them. */
  #copies: { readonly request: number; place: number }[] = [];

  /** Server side: the message being collected, and what remains of one that streams through or is swallowed. */
  #fromServer: MessageAssembler | null = null;
  #serverStream = 0;
  #goodbye = false;
  /** A server message showed that the session must end, once what came before has been passed on. */
  #failure: Refusal | null = null;
  /** Holdfast's notices that wait for the end of a server message. */
  #notices: Buffer[] = [];
  /** Requests that ended in the bytes at hand, reported when those bytes have been passed on. */
  #ended: TransactionStatus[] = [];

  constructor(ports: ConversationPorts, limits: ConversationLimits, status: TransactionStatus) {
    this.#ports = ports;
    this.#limits = limits;
    this.#status = status;
  }

  /** The server's last word on the transaction. */
  get status(): TransactionStatus {
    return this.#status;
  }

  /** The gate has not yet answered for a message. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** The server itself has told the client why it ends the connection (a FATAL error). */
  get serverSaidGoodbye(): boolean {
    return this.#goodbye;
  }

  /** Requests are under way: the server owes a reply, or the gate an answer. */
  get busy(): boolean {
    if (this.#waiting) return true;
    for (let index = 0; index < this.#replies.length; index++) {
      const item = this.#replies.at(index);
      if (item !== undefined && item.kind !== 'end_copy' && !item.optional) return true;
    }
    return false;
  }

  /** Idle between transactions, with nothing half-received: where a session can be ended without harm. */
  get idle(): boolean {
    return !this.busy && this.#status === 'I' && this.#fromClient === null && this.#mode === 'ready';
  }

  /** The client should be read no further for now: the gate has not answered, or too many replies are outstanding. */
  get congested(): boolean {
    return this.#waiting || this.#replies.length >= this.#limits.outstanding;
  }

  // ---------------------------------------------------------------- client → server

  /** Bytes from the client. They may be kept by reference until they are passed on. */
  receiveClient(chunk: Buffer): void {
    if (this.#over || this.#terminated) return;
    if (this.#waiting) {
      this.#backlog.push(Buffer.from(chunk));
      return;
    }
    this.#guard(() => {
      this.#scanClient(chunk);
    });
  }

  /** The gate can answer now what it answered `wait` to. */
  resume(): void {
    if (this.#over || !this.#waiting) return;
    this.#waiting = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    this.#guard(() => {
      for (const [index, chunk] of backlog.entries()) {
        if (this.#terminated) return;
        if (this.#isWaiting() || this.#over) {
          this.#backlog.push(...backlog.slice(index));
          return;
        }
        this.#scanClient(chunk);
      }
    });
  }

  // A method, so that the compiler does not narrow the field across calls that change it.
  #isWaiting(): boolean {
    return this.#waiting;
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      this.fail({
        severity: 'FATAL',
        sqlstate: error.sqlstate,
        message: `holdfast: ${error.message}`,
        routine: 'holdfast/protocol',
      });
    }
  }

  #scanClient(chunk: Buffer): void {
    let position = 0;
    let runStart = 0;
    const end = chunk.length;
    while (position < end) {
      if (this.#clientStream > 0) {
        const take = Math.min(this.#clientStream, end - position);
        if (this.#clientStreamDropped) {
          if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
          runStart = position + take;
        } else {
          this.#copyPassed();
        }
        position += take;
        this.#clientStream -= take;
        continue;
      }
      if (this.#fromClient !== null) {
        const taken = this.#fromClient.add(chunk, position);
        position += taken;
        runStart = position;
        this.#checkClientHeader(this.#fromClient);
        const whole = this.#fromClient.whole();
        if (whole === null) {
          // A header that came in pieces may announce CopyData, which streams.
          this.#streamAssembled();
          continue;
        }
        this.#fromClient = null;
        if (!this.#deliver(whole, 0, whole.length, chunk, position)) return;
        continue;
      }
      if (end - position < 5) break;
      const type = chunk[position] ?? 0;
      const length = chunk.readUInt32BE(position + 1);
      this.#checkClientMessage(type, length);
      const total = length + 1;
      if (type === FRONTEND.CopyData) {
        if (this.#isTooMuchCopyData(length)) {
          if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
          runStart = position;
          this.#stopCopy(length);
        }
        const drop = this.#action(type) !== 'stream';
        if (drop) {
          if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
          runStart = Math.min(position + total, end);
        }
        this.#clientStream = total;
        this.#clientStreamDropped = drop;
        continue;
      }
      if (end - position < total) break;
      const handled = this.#clientMessage(type, chunk, position + 5, position + total);
      if (handled === 'forward') {
        position += total;
        continue;
      }
      if (handled === 'stop') {
        this.#ports.toServer(chunk.subarray(runStart, position + total));
        this.#ports.terminated();
        return;
      }
      if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
      if (handled === 'wait') {
        this.#waiting = true;
        this.#backlog.unshift(Buffer.from(chunk.subarray(position)));
        return;
      }
      if (handled === 'replace') this.#ports.toServer(this.#replacement);
      position += total;
      runStart = position;
    }
    if (position > runStart) this.#ports.toServer(chunk.subarray(runStart, position));
    if (position < end) {
      this.#fromClient = new MessageAssembler();
      while (position < end) position += this.#fromClient.add(chunk, position);
      this.#checkClientHeader(this.#fromClient);
    }
  }

  /** Handles one whole message that was collected; `rest` is what follows it in the chunk. @returns whether to go on */
  #deliver(whole: Buffer, start: number, end: number, rest: Buffer, position: number): boolean {
    const handled = this.#clientMessage(whole[start] ?? 0, whole, start + 5, end);
    switch (handled) {
      case 'forward':
        this.#ports.toServer(whole);
        return true;
      case 'replace':
        this.#ports.toServer(this.#replacement);
        return true;
      case 'discard':
        return true;
      case 'wait':
        this.#waiting = true;
        if (position < rest.length) this.#backlog.unshift(Buffer.from(rest.subarray(position)));
        this.#backlog.unshift(whole);
        return false;
      case 'stop':
        this.#ports.toServer(whole);
        this.#ports.terminated();
        return false;
    }
  }

  #checkClientHeader(assembler: MessageAssembler): void {
    const length = assembler.length;
    if (length !== null) this.#checkClientMessage(assembler.type, length);
    else if (assembler.size > 0 && FRONTEND_NAMES[assembler.type] === undefined)
      this.#unknownType(assembler.type);
  }

  #checkClientMessage(type: number, length: number): void {
    const name = FRONTEND_NAMES[type];
    if (name === undefined) this.#unknownType(type);
    // CopyData is never collected, so that its size costs nothing; what the server accepts of it is looked at where it streams.
    else
      checkFrontendLength(name, length, name === 'CopyData' ? PQ_LARGE_MESSAGE_LIMIT : this.#limits.message);
  }

  #unknownType(type: number): never {
    throw new ProtocolViolation(`invalid frontend message type ${type}`);
  }

  /** A CopyData whose header came in pieces goes over to streaming. */
  #streamAssembled(): void {
    const assembler = this.#fromClient;
    if (assembler === null || assembler.length === null || assembler.type !== FRONTEND.CopyData) return;
    const held = assembler.take();
    if (this.#isTooMuchCopyData(assembler.length)) this.#stopCopy(assembler.length);
    const drop = this.#action(FRONTEND.CopyData) !== 'stream';
    if (!drop) {
      this.#copyPassed();
      this.#ports.toServer(held);
    }
    this.#clientStream = assembler.length + 1 - held.length;
    this.#clientStreamDropped = drop;
    this.#fromClient = null;
  }

  #isTooMuchCopyData(length: number): boolean {
    return this.#mode === 'copying' && length > this.#limits.message;
  }

  /** A limit was reached in the middle of COPY FROM STDIN: the server is told to fail it, and what the client still sends of it is dropped. */
  #stopCopy(length: number): void {
    this.#copyPassed();
    this.#ports.toServer(
      copyFail(
        `holdfast: a CopyData message of ${length} bytes is over the limit of ${this.#limits.message}`,
      ),
    );
    this.#mode = 'copy_stopped';
  }

  #action(type: number): ClientAction {
    const action = CLIENT_ACTIONS[this.#mode][type];
    if (action === undefined) return this.#unknownType(type);
    return action;
  }

  /** One whole message, body in bytes[start, end). */
  #clientMessage(type: number, bytes: Buffer, start: number, end: number): Handled {
    const action = this.#action(type);
    switch (action) {
      case 'query':
        return this.#query(bytes, start, end);
      case 'parse':
        return this.#parse(bytes, start, end);
      case 'bind':
        return this.#bind(bytes, start, end);
      case 'execute':
        return this.#execute(bytes, start, end);
      case 'describe': {
        const { name } = decodeTarget('Describe', bytes, start, end);
        if (isTooLong(name)) return this.#refuseMessage(tooLong(name));
        this.#replies.push(reply('describe'));
        return 'forward';
      }
      case 'close': {
        const { target, name } = decodeTarget('Close', bytes, start, end);
        if (isTooLong(name)) return this.#refuseMessage(tooLong(name));
        this.#replies.push(
          reply('close', {
            changes: [{ kind: target === 'statement' ? 'drop_statement' : 'drop_portal', name }],
          }),
        );
        return 'forward';
      }
      case 'sync':
        decodeEmpty('Sync', start, end);
        this.#mode = 'ready';
        this.#names.synced();
        this.#replies.push(reply('sync'));
        return 'forward';
      case 'function_call':
        return this.#functionCall();
      case 'sync_in_copy': {
        decodeEmpty('Sync', start, end);
        const item = reply('sync');
        item.optional = true;
        this.#names.synced();
        this.#replies.push(item);
        return 'forward';
      }
      case 'flush':
        decodeEmpty('Flush', start, end);
        return 'forward';
      case 'end_copy':
        if (type === FRONTEND.CopyFail) decodeCopyFail(bytes, start, end);
        else decodeEmpty('CopyDone', start, end);
        this.#copyPassed();
        if (this.#mode === 'copying') this.#mode = 'ready';
        // Without a request it can only be what the server ignores.
        else if (this.#replies.length > 0) this.#replies.push(reply('end_copy'));
        return 'forward';
      case 'discard':
        return 'discard';
      case 'discard_end':
        if (type === FRONTEND.CopyFail) decodeCopyFail(bytes, start, end);
        else decodeEmpty('CopyDone', start, end);
        this.#mode = 'ready';
        return 'discard';
      case 'terminate':
        this.#terminated = true;
        return 'stop';
      case 'stream':
        // Only an empty CopyData gets here; all others are streamed by their header.
        this.#copyPassed();
        return 'forward';
      case 'violation':
        throw new ProtocolViolation(
          this.#mode === 'copying'
            ? `unexpected message type ${FRONTEND_NAMES[type] ?? type} during COPY from stdin`
            : `unexpected message type ${FRONTEND_NAMES[type] ?? type}`,
        );
    }
  }

  #query(bytes: Buffer, start: number, end: number): Handled {
    const [textStart, textEnd] = queryText(bytes, start, end);
    const answer = this.#ports.gate.query(bytes, textStart, textEnd, this.#names);
    switch (answer.kind) {
      case 'wait':
        return 'wait';
      case 'refuse':
        return this.#refuseQuery(answer.refusal);
      case 'pass':
        if (this.#tooManyNames(answer.statements)) {
          for (const { execution } of answer.statements) this.#neverRun(execution);
          return this.#refuseQuery(this.#namesRefusal());
        }
        for (const { changes } of answer.statements)
          for (const change of changes) this.#names.request(change, 'simple');
        this.#replies.push(reply('query', { statements: answer.statements }));
        if (answer.notice !== null) this.#notify(answer.notice);
        return 'forward';
    }
  }

  #functionCall(): Handled {
    const answer = this.#ports.gate.functionCall();
    switch (answer.kind) {
      case 'wait':
        return 'wait';
      case 'refuse':
        return this.#refuseQuery(answer.refusal);
      case 'pass':
        this.#replies.push(reply('function_call', { execution: answer.execution }));
        return 'forward';
    }
  }

  #parse(bytes: Buffer, start: number, end: number): Handled {
    const { name, textStart, textEnd } = decodeParse(bytes, start, end);
    if (isTooLong(name)) return this.#refuseMessage(tooLong(name));
    const answer = this.#ports.gate.parse(name, bytes, textStart, textEnd, this.#names);
    if (answer.kind === 'pass' && this.#namesFull()) return this.#refuseMessage(this.#namesRefusal());
    return this.#message('parse', answer, (meaning) => ({ kind: 'define_statement', name, meaning }));
  }

  #bind(bytes: Buffer, start: number, end: number): Handled {
    const { portal, statement, parametersStart, parametersEnd } = decodeBind(bytes, start, end);
    if (isTooLong(portal)) return this.#refuseMessage(tooLong(portal));
    if (isTooLong(statement)) return this.#refuseMessage(tooLong(statement));
    const meanings = this.#names.statements(statement);
    if (meanings.length > MEANINGS_LIMIT) return this.#refuseMessage(tooManyMeanings(statement));
    const answer = this.#ports.gate.bind(meanings, statement, bytes, parametersStart, parametersEnd);
    if (answer.kind === 'pass' && this.#namesFull()) return this.#refuseMessage(this.#namesRefusal());
    return this.#message('bind', answer, (meaning) => ({
      kind: 'define_portal',
      name: portal,
      meaning,
      hold: false,
    }));
  }

  #execute(bytes: Buffer, start: number, end: number): Handled {
    const portal = decodeExecute(bytes, start, end);
    if (isTooLong(portal)) return this.#refuseMessage(tooLong(portal));
    const meanings = this.#names.portals(portal);
    if (meanings.length > MEANINGS_LIMIT) return this.#refuseMessage(tooManyMeanings(portal));
    const answer = this.#ports.gate.execute(meanings, portal, this.#names);
    if (answer.kind === 'pass' && this.#tooManyNames([answer])) {
      this.#neverRun(answer.execution);
      return this.#refuseMessage(this.#namesRefusal());
    }
    return this.#message('execute', answer, null);
  }

  /** Parse, Bind or Execute, answered: its place in the reply queue. */
  #message(
    kind: 'parse' | 'bind' | 'execute',
    answer: MessageAnswer,
    define: ((meaning: Meaning) => NameChange<Meaning>) | null,
  ): Handled {
    switch (answer.kind) {
      case 'wait':
        return 'wait';
      case 'refuse':
        return this.#refuseMessage(answer.refusal);
      case 'pass': {
        const changes =
          define !== null && answer.meaning !== null ? [define(answer.meaning)] : answer.changes;
        for (const change of changes) this.#names.request(change, 'extended');
        this.#replies.push(reply(kind, { execution: answer.execution, changes }));
        if (answer.notice !== null) this.#notify(answer.notice);
        return 'forward';
      }
    }
  }

  #namesFull(): boolean {
    return this.#names.size >= this.#limits.names;
  }

  /** Whether what SQL statements define (PREPARE, DECLARE) would be more than the session may hold. */
  #tooManyNames(statements: readonly Pick<PassedStatement, 'changes'>[]): boolean {
    let defined = 0;
    for (const { changes } of statements) for (const change of changes) if ('meaning' in change) defined += 1;
    return defined > 0 && this.#names.size + defined > this.#limits.names;
  }

  #neverRun(execution: Execution | null): void {
    if (execution !== null) this.#ports.gate.ended(execution, { rows: null, sqlstate: null, skipped: true });
  }

  #namesRefusal(): Refusal {
    return {
      severity: 'ERROR',
      sqlstate: '54000',
      message: `holdfast: this session holds ${this.#names.size} prepared statements and portals, the most it may`,
      hint: 'Close or DEALLOCATE those that are no longer used.',
      routine: 'holdfast/names',
    };
  }

  #refuseQuery(refusal: Refusal): Handled {
    this.#replies.push(reply('refused_query', { refusal }));
    this.#replacement = FAILING_QUERY;
    return 'replace';
  }

  #refuseMessage(refusal: Refusal): Handled {
    this.#replies.push(reply('refused_message', { refusal }));
    this.#replacement = FAILING_EXECUTE;
    this.#mode = 'skipping';
    return 'replace';
  }

  // ---------------------------------------------------------------- records

  /** A mark for sent(): everything requested so far. */
  get requested(): number {
    return this.#replies.places;
  }

  /** What was requested up to `mark` has left for the server. */
  sent(mark: number): void {
    this.#sentMark = mark;
    if (this.#copies.length > 0) this.#copies = this.#copies.filter(({ place }) => place >= mark);
  }

  /** Copy data, or the end of it, is being forwarded. */
  #copyPassed(): void {
    const request = this.#replies.lastPlace;
    const place = this.#replies.takePlace();
    const last = this.#copies.at(-1);
    if (last?.request === request) last.place = place;
    else this.#copies.push({ request, place });
  }

  /**
   * The records of what was handed to toServer() since sent() could not be written, and none of those bytes left.
   * What they asked for is refused in its place; Syncs are kept, so that the client gets each ReadyForQuery it waits for.
   * Copy data that went with them for a COPY that had left before is missing there, perhaps from the middle of a
   * message; nothing can stand in its place, so that ends the session.
   */
  recordsLost(): void {
    if (this.#over) return;
    const mark = this.#sentMark;
    if (this.#copies.some(({ request, place }) => request < mark && place >= mark)) {
      this.fail({ ...this.#ports.gate.unrecorded(), severity: 'FATAL' });
      return;
    }
    this.#copies = [];
    const before = this.#mode;
    const unsent = this.#replies.cutTail(this.#sentMark);
    let skipping = false;
    for (const item of unsent) {
      this.#abandon(item);
      if (item.kind === 'sync') {
        skipping = false;
        this.#replies.push(item);
        this.#ports.toServer(SYNC);
      } else if (!skipping && item.kind !== 'end_copy') {
        const refusal = item.refusal ?? this.#ports.gate.unrecorded();
        const simple =
          item.kind === 'query' || item.kind === 'refused_query' || item.kind === 'function_call';
        if (simple) this.#refuseQuery(refusal);
        else this.#refuseMessage(refusal);
        skipping = !simple;
        this.#ports.toServer(this.#replacement);
      }
    }
    if (skipping) this.#mode = 'skipping';
    // Without a Sync among them, what the server has read before decides.
    else this.#mode = unsent.some(({ kind }) => kind === 'sync') ? 'ready' : before;
    // The first part of a CopyData under way is gone; so must be its rest.
    if (this.#clientStream > 0) this.#clientStreamDropped = true;
  }

  // ---------------------------------------------------------------- server → client

  /** Bytes from the server. They may be passed on by reference. */
  receiveServer(chunk: Buffer): void {
    if (this.#over) return;
    this.#guard(() => {
      this.#scanServer(chunk);
    });
  }

  #scanServer(chunk: Buffer): void {
    let position = 0;
    let runStart = 0;
    const end = chunk.length;
    try {
      while (position < end) {
        if (this.#serverStream > 0) {
          const take = Math.min(this.#serverStream, end - position);
          position += take;
          this.#serverStream -= take;
          continue;
        }
        if (this.#fromServer !== null) {
          position += this.#fromServer.add(chunk, position);
          runStart = position;
          const { length, type } = this.#fromServer;
          if (length !== null) this.#checkServerLength(type, length);
          const whole = this.#fromServer.whole();
          if (whole !== null) {
            this.#fromServer = null;
            if (this.#serverMessage(whole, 0, whole.length)) this.#ports.toClient(whole);
            else this.#flushRefusal();
            if (this.#failure !== null) break;
            continue;
          }
          if (length === null || COLLECTED[type] === true) continue;
          // It streams: what was collected of it is its header.
          const header = this.#fromServer.take();
          this.#fromServer = null;
          if (this.#serverMessage(header, 0, length + 1)) this.#ports.toClient(header);
          this.#serverStream = length + 1 - header.length;
          continue;
        }
        if (end - position < 5) break;
        const type = chunk[position] ?? 0;
        const length = chunk.readUInt32BE(position + 1);
        this.#checkServerLength(type, length);
        const total = length + 1;
        if (COLLECTED[type] === true) {
          if (end - position < total) break;
          if (this.#serverMessage(chunk, position, total)) {
            position += total;
          } else {
            if (position > runStart) this.#ports.toClient(chunk.subarray(runStart, position));
            this.#flushRefusal();
            position += total;
            runStart = position;
          }
          if (this.#failure !== null) break;
          continue;
        }
        this.#serverMessage(chunk, position, total);
        if (position + total > end) this.#serverStream = position + total - end;
        position = Math.min(position + total, end);
      }
    } finally {
      // Also when a message breaks the protocol: what came before it belongs to the client.
      if (position > runStart) this.#ports.toClient(chunk.subarray(runStart, position));
      this.#reportEnded();
    }
    if (this.#over) return;
    if (this.#failure !== null) {
      this.fail(this.#failure);
      return;
    }
    if (position < end) {
      this.#fromServer = new MessageAssembler();
      while (position < end) position += this.#fromServer.add(chunk, position);
    }
    this.#flushNotices();
  }

  /** Not before the ReadyForQuery has been passed on: whoever hears of it may end the session. */
  #reportEnded(): void {
    const ended = this.#ended;
    if (ended.length === 0) return;
    this.#ended = [];
    for (const status of ended) this.#ports.requestEnded(status);
  }

  #checkServerLength(type: number, length: number): void {
    if (BACKEND_NAMES[type] === undefined || length < 4) {
      throw new ProtocolViolation(`invalid message from the server: type ${type}, length ${length}`);
    }
    if (COLLECTED[type] === true && length > this.#limits.message) {
      throw new ProtocolViolation(
        `message from the server too long: type ${BACKEND_NAMES[type]}, length ${length}`,
      );
    }
  }

  /** The refusal that takes the place of the server's error, once what came before it has been passed on. */
  #refusalForClient: Refusal | null = null;

  #flushRefusal(): void {
    const refusal = this.#refusalForClient;
    if (refusal === null) return;
    this.#refusalForClient = null;
    this.#ports.toClient(errorResponse(refusal));
  }

  /** Entry that the next reply belongs to: markers without a reply, and Syncs that the server ignored, are passed over. */
  #head(type: number): Reply | undefined {
    for (;;) {
      const head = this.#replies.at(0);
      if (head === undefined) return undefined;
      const passed = head.kind === 'end_copy' || (head.optional && type !== BACKEND.ReadyForQuery);
      if (!passed) return head;
      this.#replies.shift();
    }
  }

  /**
   * One message of the server's at bytes[position, position + total); for types that are not collected only the header is sure to be there.
   * @returns whether it is to be passed on
   */
  #serverMessage(bytes: Buffer, position: number, total: number): boolean {
    const type = bytes[position] ?? 0;
    const start = position + 5;
    const end = position + total;
    if (type === BACKEND.NoticeResponse || type === BACKEND.NotificationResponse) return true;
    if (type === BACKEND.ParameterStatus) {
      this.#parameter(bytes, start, end);
      return true;
    }
    if (type === BACKEND.ErrorResponse && isFatal(bytes, start, end)) {
      this.#goodbye = true;
      return true;
    }
    const head = this.#head(type);
    const kind = head === undefined || head.kind === 'end_copy' ? 'nothing' : head.kind;
    const action: ServerAction | undefined = SERVER_ACTIONS[kind][type];
    switch (action) {
      case 'relay':
        return true;
      case 'parameter':
        return true;
      case 'finish':
        this.#replies.shift();
        if (head !== undefined) this.#finish(head, type, bytes, start, end);
        return true;
      case 'statement':
        if (head !== undefined) this.#statementComplete(head, type, bytes, start, end);
        return true;
      case 'query_error':
        if (head !== undefined) this.#queryError(head, errorSqlstate(bytes, start, end));
        return true;
      case 'pipeline_error':
        if (head !== undefined) this.#endExecution(head.execution, errorSqlstate(bytes, start, end));
        this.#skipToSync();
        return true;
      case 'refuse_query':
        this.#refusalForClient = head?.refusal ?? null;
        return false;
      case 'refuse_message':
        this.#refusalForClient = head?.refusal ?? null;
        this.#skipToSync();
        return false;
      case 'copy_in':
        if (head !== undefined) this.#copyIn(head);
        return true;
      case 'ready':
        this.#replies.shift();
        this.#ready(head, decodeReadyForQuery(bytes, start, end));
        return true;
      case 'violation':
      case undefined:
        throw new ProtocolViolation(
          `unexpected ${BACKEND_NAMES[type] ?? `message type ${type}`} from the server (${kind} was due)`,
        );
    }
  }

  #parameter(bytes: Buffer, start: number, end: number): void {
    const [name, value] = decodeParameterStatus(bytes, start, end);
    this.#failure ??= this.#ports.gate.parameter(name, value);
  }

  #finish(head: Reply, type: number, bytes: Buffer, start: number, end: number): void {
    for (const change of head.changes) this.#names.confirm(change);
    if (head.execution !== null) {
      const rows = type === BACKEND.CommandComplete ? commandRows(bytes, start, end) : null;
      this.#ports.gate.ended(head.execution, { rows, sqlstate: null, skipped: false });
    }
    if (head.copying) this.#copyEnded();
  }

  #statementComplete(head: Reply, type: number, bytes: Buffer, start: number, end: number): void {
    const statement = head.statements[head.next];
    head.next += 1;
    if (statement === undefined) return;
    // Its portal was the unnamed one, and took the place of any before it.
    if (type === BACKEND.CommandComplete) this.#names.confirm({ kind: 'drop_portal', name: '' });
    for (const change of statement.changes) this.#names.confirm(change);
    if (statement.execution !== null) {
      const rows = type === BACKEND.CommandComplete ? commandRows(bytes, start, end) : null;
      this.#ports.gate.ended(statement.execution, { rows, sqlstate: null, skipped: false });
    }
    if (head.copying) this.#copyEnded(1);
    head.copying = false;
  }

  #queryError(head: Reply, sqlstate: string): void {
    this.#endExecution(head.execution, sqlstate);
    const failed = head.statements[head.next];
    if (failed !== undefined) {
      this.#endExecution(failed.execution, sqlstate);
      const last = head.next === head.statements.length - 1;
      for (const change of failed.changes) {
        if (last) this.#names.doubt(change);
        else this.#names.abandon(change);
      }
    }
    head.next += 1;
    for (; head.next < head.statements.length; head.next++)
      this.#abandonStatement(head.statements[head.next]);
    if (head.copying) this.#copyFailed();
    head.copying = false;
  }

  #endExecution(execution: Execution | null, sqlstate: string): void {
    if (execution !== null) this.#ports.gate.ended(execution, { rows: null, sqlstate, skipped: false });
  }

  #abandonStatement(statement: Reply['statements'][number] | undefined): void {
    if (statement === undefined) return;
    for (const change of statement.changes) this.#names.abandon(change);
    if (statement.execution !== null) {
      this.#ports.gate.ended(statement.execution, { rows: null, sqlstate: null, skipped: true });
    }
  }

  /** The server will not do what `item` asked for. */
  #abandon(item: Reply): void {
    for (const change of item.changes) this.#names.abandon(change);
    if (item.execution !== null) {
      this.#ports.gate.ended(item.execution, { rows: null, sqlstate: null, skipped: true });
    }
    for (; item.next < item.statements.length; item.next++)
      this.#abandonStatement(item.statements[item.next]);
  }

  /** An extended-protocol message failed: the server reads and ignores everything up to the next Sync. */
  #skipToSync(): void {
    const failed = this.#replies.shift();
    if (failed !== undefined) {
      for (const change of failed.changes) this.#names.abandon(change);
      if (failed.copying) this.#copyFailed();
    }
    for (;;) {
      const head = this.#replies.at(0);
      if (head === undefined) {
        // The Sync is still to come; what the client sends before it would be ignored.
        this.#mode = 'skipping';
        return;
      }
      if (head.kind === 'sync') {
        if (head.optional) this.#unsettled();
        return;
      }
      this.#replies.shift();
      this.#abandon(head);
    }
  }

  /** A COPY FROM STDIN failed, and whether the server has read the Syncs behind it, as part of the COPY, is not known. */
  #unsettled(): void {
    for (let index = 0; ; index++) {
      const item = this.#replies.at(index);
      if (item === undefined) {
        this.#mode = 'copy_failed';
        return;
      }
      if (item.optional || item.kind === 'end_copy') continue;
      if (item.kind === 'sync') return;
      throw new ProtocolViolation('a message was sent behind a Sync within a COPY FROM STDIN that failed');
    }
  }

  /** CopyInResponse or CopyBothResponse: the server now reads CopyData. */
  #copyIn(head: Reply): void {
    head.copying = true;
    for (let index = 1; ; index++) {
      const item = this.#replies.at(index);
      if (item === undefined) {
        this.#mode = 'copying';
        return;
      }
      if (item.kind === 'end_copy') {
        this.#replies.removeAt(index);
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
  #copyEnded(index = 0): void {
    while (this.#replies.at(index)?.optional === true) this.#replies.removeAt(index);
    if (this.#mode === 'copying') this.#mode = 'ready';
  }

  /** A COPY FROM STDIN failed; the client may still be sending data, which the server ignores. */
  #copyFailed(): void {
    if (this.#mode === 'copying' || this.#mode === 'copy_stopped') this.#mode = 'ready';
  }

  /** Ends of copy data that no reply comes before: the server has ignored them, or will. */
  #dropEndedCopies(): void {
    while (this.#replies.at(0)?.kind === 'end_copy') this.#replies.shift();
  }

  #ready(head: Reply | undefined, status: TransactionStatus): void {
    this.#status = status;
    if (head !== undefined) {
      // A Query string that ended early, by an error, has nothing left to confirm.
      for (; head.next < head.statements.length; head.next++)
        this.#abandonStatement(head.statements[head.next]);
      if (head.kind === 'function_call' && head.next === 0 && head.execution !== null) {
        this.#ports.gate.ended(head.execution, { rows: null, sqlstate: null, skipped: false });
      }
      if (head.kind === 'query' || head.kind === 'refused_query') {
        // Every simple Query drops the unnamed statement before it is parsed (exec_simple_query in tcop/postgres.c).
        this.#names.confirm({ kind: 'drop_statement', name: '' });
      }
      this.#dropEndedCopies();
      // Whether this ReadyForQuery was for the optional Sync cannot be told, so the one behind it is optional, too.
      const next = this.#replies.at(0);
      if (head.optional && next?.kind === 'sync') next.optional = true;
    }
    if (status === 'I') this.#names.transactionEnded();
    if (this.#mode === 'copy_failed') this.#mode = 'ready';
    this.#ended.push(status);
  }

  // ---------------------------------------------------------------- Holdfast's own words

  #notify(notice: Notice): void {
    this.#notices.push(noticeResponse(notice));
    this.#flushNotices();
  }

  #betweenServerMessages(): boolean {
    // What is being collected of a message has not been passed on.
    return this.#serverStream === 0;
  }

  #flushNotices(): void {
    if (this.#notices.length === 0 || !this.#betweenServerMessages()) return;
    for (const notice of this.#notices) this.#ports.toClient(notice);
    this.#notices = [];
  }

  /** Ends the session: the client gets `refusal` where the stream of messages allows it, and nothing more is forwarded. */
  fail(refusal: Refusal): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#betweenServerMessages()) this.#ports.toClient(errorResponse(refusal));
    this.#ports.failed(refusal);
  }
}
