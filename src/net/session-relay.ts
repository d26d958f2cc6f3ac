/**
 * A session that is open: moves bytes between its two sockets by way of the
 * conversation (session/conversation.ts), and decides the flow: which side is read,
 * and when bytes leave.
 *
 * Law: bytes for the server leave through Outgoing only, never before the records
 * they rest on are durable; neither side is read while its bytes could only be
 * stored. It decides nothing about statements, and does not know how the session was
 * opened or what its end takes.
 */
import type { Socket } from 'node:net';
import type { Refusal } from '../errors.js';
import { SessionGate } from '../gate/session-gate.js';
import type { GatedSession } from '../gate/session-parts.js';
import type { Withdrawal } from '../holds/hold.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { flush } from '../protocol/encode.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { Conversation } from '../session/conversation.js';
import type { LoginResult } from '../session/login.js';
import { CancelForwarding } from './cancel-forwarding.js';
import type { ServerKey } from './cancel-forwarding.js';
import { Gathering, writeTogether } from './gathering.js';
import { Outgoing } from './outgoing.js';
import { archiverReading } from './archiver-reader.js';
import { catalogReading } from './catalog-reader.js';
import { ServerReader } from './server-reader.js';
import type { ServerReading, Unclaimed } from './server-reader.js';
import type { SessionServices } from './services.js';

/** Bytes for the server that may wait for the audit log before the client is read no further. */
const OUTGOING_LIMIT = 1_048_576;
/** Prepared statements and portals a session may hold, and replies that may be outstanding. */
const NAMES_LIMIT = 10_000;
const OUTSTANDING_LIMIT = 10_000;

const FLUSH = flush();

export interface RelayedSession {
  readonly client: Socket;
  readonly upstream: Socket;
  readonly gated: GatedSession;
  /** null from a server that sent none: nothing can be cancelled then. */
  readonly serverKey: ServerKey | null;
  /** The server's, when the client hears that it is ready. */
  readonly status: TransactionStatus;
}

export interface RelayPorts {
  /** Whether the session has ended. */
  ended(): boolean;
  /** A request of the client was answered. */
  requestEnded(): void;
  /** The session must end; the client has been told why where that was possible. */
  close(reason: string, sqlstate: string | null): void;
}

export class SessionRelay {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #ports: RelayPorts;
  readonly #gate: SessionGate;
  readonly #conversation: Conversation;
  readonly #outgoing: Outgoing;
  readonly #forClient = new Gathering((chunks) => {
    this.#writeClient(chunks);
  });
  readonly #cancels: CancelForwarding | null;
  readonly #reader = new ServerReader();
  /** Physical replication takes no SQL. */
  readonly #replication: boolean;
  #clientEnded = false;
  #clientPaused = false;
  #upstreamBlocked = false;
  /** A Flush is to follow what the client's bytes at hand lead to. */
  #flushDue = false;
  /** Whether the bytes at hand stay as they are after their handler has returned (net/shared-read.ts). */
  #clientBytesLast = false;
  #upstreamBytesLast = false;

  constructor(services: SessionServices, session: RelayedSession, ports: RelayPorts) {
    this.#client = session.client;
    this.#upstream = session.upstream;
    this.#ports = ports;
    this.#replication = session.gated.replication;
    const gate = new SessionGate(services.gate, session.gated, {
      ready: () => {
        // Nothing may be sent while the server is asked; when it has answered, it is asked again anyway.
        if (!this.#reader.underWay) this.#resume();
      },
      readCatalog: () => this.#read(() => catalogReading(services, session.gated.id, session.gated.catalog)),
      readArchiver: () =>
        this.#read(() => archiverReading(services, session.gated.id, services.gate.recovery)),
      groupOutstanding: () => this.#conversation.groupOutstanding,
      owed: () => this.#conversation.owed,
      flush: () => {
        this.#flushDue = true;
      },
      transaction: () => this.#conversation,
      keepsMessage: () => this.#conversation.keepsMessage,
      notify: (notice) => {
        this.#conversation.notify(notice);
      },
    });
    this.#gate = gate;
    this.#outgoing = new Outgoing({
      write: (chunks) => {
        this.#writeUpstream(chunks);
      },
      sent: (mark) => {
        this.#conversation.sent(mark);
        this.#passOnEnd();
      },
      whenDurable: (callback) => {
        services.gate.audit.whenDurable(callback);
      },
      lost: () => {
        this.#conversation.recordsLost();
        this.#dropHeld();
        this.#afterClient();
      },
    });
    this.#conversation = new Conversation(
      {
        gate,
        toServer: (bytes) => {
          this.#outgoing.add(this.#clientBytesLast ? bytes : Buffer.from(bytes));
        },
        toClient: (bytes) => {
          this.#forClient.add(this.#upstreamBytesLast ? bytes : Buffer.from(bytes));
        },
        terminated: () => {
          this.#clientEnded = true;
        },
        requestEnded: (status) => {
          this.#cancels?.requestEnded();
          gate.requestEnded(status, this.#conversation.quiet);
          ports.requestEnded();
        },
        failed: (refusal) => {
          this.#forClient.release();
          ports.close(refusal.message, refusal.sqlstate);
        },
      },
      { message: services.messageLimit, names: NAMES_LIMIT, outstanding: OUTSTANDING_LIMIT },
      session.status,
    );
    const { serverKey, gated } = session;
    this.#cancels =
      serverKey === null
        ? null
        : new CancelForwarding(gated.id, services.upstream, services.log, serverKey, {
            busy: () => !ports.ended() && this.#conversation.busy,
            changed: () => {
              this.#steerClient();
            },
          });
  }

  /** Decisions made so far. */
  get decisions(): number {
    return this.#gate.decisions;
  }

  /** Idle between transactions, with nothing half-received: where a session can be ended without harm. */
  get idle(): boolean {
    return this.#conversation.idle;
  }

  /** Whether the client has said, or shown, that it will send nothing more. */
  get clientEnded(): boolean {
    return this.#clientEnded;
  }

  /** The server itself has told the client why it ends the connection. */
  get serverSaidGoodbye(): boolean {
    return this.#conversation.serverSaidGoodbye;
  }

  // ---------------------------------------------------------------- events

  /**
   * Hears what the server reported during login.
   * @returns whether the session may go on; if not, its end has been begun
   */
  accept(parameters: LoginResult['parameters']): boolean {
    for (const [name, value] of parameters) {
      const refusal = this.#gate.parameter(name, value);
      if (refusal !== null) {
        this.#conversation.fail(refusal);
        return false;
      }
    }
    return true;
  }

  /** Bytes of the client; `lasting`: they stay as they are after this returns. */
  receiveClient(bytes: Buffer, lasting: boolean): void {
    this.#clientBytesLast = lasting;
    this.#conversation.receiveClient(bytes);
    this.#afterClient();
  }

  /** Bytes of the server; `lasting`: they stay as they are after this returns. */
  receiveServer(bytes: Buffer, lasting: boolean): void {
    this.#upstreamBytesLast = lasting;
    this.#forClient.gather();
    if (this.#reader.underWay) this.#answer(bytes);
    else this.#converse(bytes);
    // As the server does with what comes before a Sync, unless it is much: each write wakes the client for nothing.
    if (lasting || !this.#conversation.committing) this.#forClient.release();
  }

  #converse(bytes: Buffer): void {
    this.#conversation.receiveServer(bytes);
    // What was counted may have led to bytes for the server.
    if (this.#conversation.takeSent()) this.#afterClient();
    this.#dropHeld();
    const settled = this.#gate.settling && !this.#conversation.owed;
    if (settled) this.#gate.settled();
    if (settled || (this.#gate.heldBack && !this.#conversation.groupOutstanding)) this.#resume();
    else if (this.#clientPaused) this.#steerClient();
  }

  /** The server's socket takes bytes again. */
  upstreamDrained(): void {
    this.#upstreamBlocked = false;
    this.#steerClient();
  }

  /** The client will send nothing more. */
  clientEnd(): void {
    this.#clientEnded = true;
    // As PostgreSQL does, what was sent before the end is still answered; a conversation that waits has nothing to answer.
    if (this.#conversation.waiting && !this.#conversation.counting) this.#ports.close('client_closed', null);
    else this.#passOnEnd();
  }

  /** A cancel request for this session came in. @returns whether there is something to cancel */
  cancel(): boolean {
    const { waiting, counting, quiet } = this.#conversation;
    if (waiting && !counting && (quiet || this.#gate.holding)) {
      // What the client waits for has not reached the server, which may be at a query of Holdfast's.
      this.#gate.cancelWaiting();
      if (!this.#reader.underWay) this.#resume();
      return true;
    }
    return this.#cancels?.cancel() ?? false;
  }

  /** Ends the conversation with an error of Holdfast's. */
  fail(refusal: Refusal): void {
    this.#conversation.fail(refusal);
  }

  /** The session must end, and for this reason: what is held is taken back. */
  leaveHold(reason: Withdrawal): void {
    this.#gate.leaveHold(reason);
  }

  /** The session has ended. */
  stop(): void {
    this.#forClient.release();
    this.#gate.leaveHold('client_gone');
    this.#gate.stop();
    this.#reader.stop();
  }

  // ---------------------------------------------------------------- questions of Holdfast's own

  /** @param begin begins the reading, where it is possible now */
  #read(begin: () => ServerReading): boolean {
    const { between, status } = this.#conversation;
    // Within a transaction a query would fix its snapshot, and its failure would be the transaction's.
    if (!between || status !== 'I' || this.#replication || this.#outgoing.waiting > 0) return false;
    this.#writeUpstream([this.#reader.start(begin())]);
    return true;
  }

  #answer(bytes: Buffer): void {
    let unclaimed: Unclaimed | null;
    try {
      unclaimed = this.#reader.receive(bytes);
    } catch (error) {
      this.#reader.stop();
      if (!(error instanceof ProtocolViolation)) throw error;
      this.#conversation.fail({
        severity: 'FATAL',
        sqlstate: error.sqlstate,
        message: `holdfast: ${error.message}`,
        routine: 'holdfast/protocol',
      });
      return;
    }
    if (unclaimed === null) return;
    for (const message of unclaimed.relay) this.#conversation.receiveServer(message);
    if (unclaimed.rest.length > 0) this.#conversation.receiveServer(unclaimed.rest);
    this.#resume();
  }

  // ---------------------------------------------------------------- flow

  /** The gate can answer now what it answered `wait` to. */
  #resume(): void {
    if (this.#ports.ended()) return;
    this.#conversation.resume();
    this.#afterClient();
  }

  /** What is held will not run when what came before it in its transaction has failed. */
  #dropHeld(): void {
    if (!this.#gate.holding || !this.#conversation.skipping) return;
    this.#gate.leaveHold('transaction_failed');
    this.#resume();
  }

  /** What the client's bytes led to leaves as one segment; then the flow is looked at. */
  #afterClient(): void {
    if (this.#ports.ended()) return;
    if (this.#flushDue) {
      this.#flushDue = false;
      this.#outgoing.add(FLUSH);
    }
    this.#outgoing.close(this.#gate.takeRecorded(), this.#conversation.requested);
    this.#steerClient();
    this.#passOnEnd();
  }

  /** The client's end is the server's, too, as soon as everything has left. */
  #passOnEnd(): void {
    if (this.#clientEnded && this.#outgoing.waiting === 0 && !this.#conversation.counting)
      this.#upstream.end();
  }

  #writeUpstream(chunks: readonly Buffer[]): void {
    const socket = this.#upstream;
    if (socket.destroyed || socket.writableEnded || writeTogether(socket, chunks)) return;
    this.#upstreamBlocked = true;
    this.#steerClient();
  }

  #writeClient(chunks: readonly Buffer[]): void {
    const client = this.#client;
    if (client.destroyed || client.writableEnded) return;
    // A client that does not read must not make Holdfast store what the server sends.
    if (!writeTogether(client, chunks)) this.#upstream.pause();
  }

  /** Reads the client, or not: it is paused while its bytes could only be stored. */
  #steerClient(): void {
    const pause =
      this.#upstreamBlocked ||
      this.#cancels?.underWay === true ||
      this.#conversation.congested ||
      this.#outgoing.waiting > OUTGOING_LIMIT;
    if (pause === this.#clientPaused) return;
    this.#clientPaused = pause;
    if (pause) this.#client.pause();
    else this.#client.resume();
  }
}
