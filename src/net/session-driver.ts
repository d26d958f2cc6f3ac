/**
 * The driver of one session: it owns the two sockets and moves bytes and events
 * between them and the pure machines (session/login.ts, session/conversation.ts).
 * It decides nothing about statements; what it does decide is flow: which side is
 * read, when bytes leave, and how a session ends.
 *
 * A session's life: admitted → recorded → upstream connected → login relayed →
 * prepared → conversation → closed. Closing happens once, whatever ends it.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { sessionCloseBody, sessionConstant, sessionOpenBody } from '../audit/records.js';
import type { SessionConstant } from '../audit/records.js';
import type { Refusal } from '../errors.js';
import type { AdmittedLogin } from '../gate/login-gate.js';
import { recordRefusal } from '../gate/words.js';
import { SessionGate } from '../gate/session-gate.js';
import { cancelRequest, noticeResponse, query, readyForQuery, startupMessage } from '../protocol/encode.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { Conversation } from '../session/conversation.js';
import { Login } from '../session/login.js';
import type { LoginResult } from '../session/login.js';
import { ownQuery } from '../session/own-query.js';
import type { OwnQuery, OwnResult } from '../session/own-query.js';
import type { Cancellable } from './cancellation.js';
import { hangUp } from './client-leg.js';
import type { ClientLeg } from './client-leg.js';
import { Outgoing } from './outgoing.js';
import { readShared } from './shared-read.js';
import type { BytesHandler } from './shared-read.js';
import type { LiveSession, SessionServices } from './services.js';
import { UpstreamError, connectUpstream } from './upstream.js';
import type { Upstream } from './upstream.js';

/** Bytes for the server that may wait for the audit log before the client is read no further. */
const OUTGOING_LIMIT = 1_048_576;
/** Longest answer to a query of Holdfast's own at login, bytes. */
const OWN_ANSWER_LIMIT = 1_048_576;
/** Prepared statements and portals a session may hold, and replies that may be outstanding. */
const NAMES_LIMIT = 10_000;
const OUTSTANDING_LIMIT = 10_000;

/** Reads a socket in the way that is cheapest for it; paused until resume(). @returns the socket to use from now on */
function read(socket: Socket, encrypted: boolean, onBytes: BytesHandler, inUse: () => boolean): Socket {
  if (!encrypted) return readShared(socket, onBytes, inUse);
  socket.on('data', (bytes: Buffer) => {
    onBytes(bytes, true);
  });
  // Attaching a handler made it flow.
  socket.pause();
  return socket;
}

export class SessionDriver implements Cancellable, LiveSession {
  readonly id: string;
  secret: Buffer = Buffer.alloc(0);
  readonly #services: SessionServices;
  readonly #client: Socket;
  readonly #leg: ClientLeg;
  readonly #admitted: AdmittedLogin;
  readonly #constant: SessionConstant;
  readonly #openedAt: number;
  readonly #abort = new AbortController();
  #upstream: Upstream | null = null;
  #login: Login | null = null;
  #own: { readonly reader: OwnQuery; readonly resolve: (result: OwnResult) => void } | null = null;
  #gate: SessionGate | null = null;
  #conversation: Conversation | null = null;
  #outgoing: Outgoing | null = null;
  #serverKey: LoginResult['serverKey'] = null;
  #startupTimer: NodeJS.Timeout | null = null;
  #closed = false;
  #clientEnded = false;
  #clientPaused = false;
  #upstreamBlocked = false;
  /** Whether the bytes at hand stay as they are after their handler has returned (net/shared-read.ts). */
  #clientBytesLast = false;
  #upstreamBytesLast = false;
  /** Goes up with every answered request: a cancel request is for the request it was made during. */
  #requests = 0;
  /** Cancel requests that were sent and that the server has not yet acted on. */
  #cancelling = 0;
  /** Server bytes that came with, or during, the questions of Holdfast's own at login; they are for the conversation. */
  #unread: Buffer[] = [];

  constructor(services: SessionServices, id: string, leg: ClientLeg, admitted: AdmittedLogin) {
    this.#services = services;
    this.#leg = leg;
    this.#client = read(
      leg.socket,
      leg.tls !== null,
      (bytes, lasting) => {
        this.#clientBytesLast = lasting;
        this.#fromClient(bytes);
      },
      // What goes to the server is copied when it does not last; what lasts may wait there for the audit log.
      () => true,
    );
    this.#admitted = admitted;
    this.id = id;
    this.#openedAt = services.gate.clock();
    const { user, database, application } = admitted.login;
    this.#constant = sessionConstant({
      session: this.id,
      user,
      database,
      application,
      client: `${leg.address}:${leg.port}`,
    });
  }

  // ---------------------------------------------------------------- opening

  /** Opens the session. `rest` is what the client sent behind its StartupMessage. Never throws. */
  async open(rest: Buffer): Promise<void> {
    const client = this.#client;
    this.#services.sessions.add(this);
    client.on('drain', () => {
      this.#upstream?.socket.resume();
    });
    client.on('end', () => {
      this.#clientEnd();
    });
    client.on('error', (error) => {
      this.#close(`client_error: ${error.message}`, null);
    });
    client.on('close', () => {
      this.#close('client_closed', null);
    });
    this.#startupTimer = setTimeout(() => {
      this.#fail({
        severity: 'FATAL',
        sqlstate: '57014',
        message: 'holdfast: canceling authentication due to timeout',
        hint: 'limits.startup_timeout says how long a login may take.',
        routine: 'holdfast/startup-timeout',
      });
    }, this.#services.startupTimeout);
    try {
      if (rest.length > 0) {
        throw new ProtocolViolation('data behind the StartupMessage, before it was answered');
      }
      await this.#recordOpening();
      if (this.#isClosed()) return;
      const upstream = await connectUpstream(this.#services.upstream, this.#abort.signal);
      if (this.#isClosed()) {
        upstream.socket.destroy();
        return;
      }
      const result = await this.#relayLogin(this.#attachUpstream(upstream));
      if (this.#isClosed()) return;
      this.#unread.push(result.rest);
      const status = await this.#prepare();
      if (this.#isClosed()) return;
      this.#converse(result, status);
    } catch (error) {
      this.#openingFailed(error);
    }
  }

  // A method, so that the compiler does not take the field for unchanged across an await.
  #isClosed(): boolean {
    return this.#closed;
  }

  #openingFailed(error: unknown): void {
    if (this.#closed) return;
    if (error instanceof UpstreamError) {
      this.#services.upstreamErrors.child(error.reason).inc();
      this.#services.log.warn({ session: this.id, reason: error.reason }, error.message);
      this.#fail({
        severity: 'FATAL',
        sqlstate: '08001',
        message: `holdfast: ${error.message}`,
        hint: 'The database server itself cannot be reached; Holdfast is running.',
        routine: 'holdfast/upstream',
      });
      return;
    }
    if (error instanceof ProtocolViolation) {
      this.#fail({
        severity: 'FATAL',
        sqlstate: error.sqlstate,
        message: `holdfast: ${error.message}`,
        routine: 'holdfast/protocol',
      });
      return;
    }
    this.#services.log.error({ session: this.id, err: error }, 'a login failed by a defect of Holdfast');
    this.#fail({
      severity: 'FATAL',
      sqlstate: 'XX000',
      message: 'holdfast: internal error during login',
      routine: 'holdfast/internal',
    });
  }

  /** The session's first record, durable before anything is done for it. */
  async #recordOpening(): Promise<void> {
    const { audit } = this.#services.gate;
    const { scope } = this.#admitted;
    await new Promise<void>((resolve, reject) => {
      audit.append(
        sessionOpenBody({
          session: this.#constant,
          role: scope.role.name,
          tls: this.#leg.tls,
          backendPid: null,
          policy: scope.policy.sha256,
          mode: scope.policy.mode,
        }),
      );
      this.#services.auditRecords.child('session_open').inc();
      audit.whenDurable((error) => {
        if (error === null) resolve();
        else reject(error);
      });
    }).catch(() => {
      this.#fail({ ...recordRefusal(), severity: 'FATAL' });
    });
  }

  #attachUpstream(upstream: Upstream): Upstream {
    const socket = read(
      upstream.socket,
      upstream.tls,
      (bytes, lasting) => {
        this.#upstreamBytesLast = lasting;
        this.#fromUpstream(bytes);
      },
      () => this.#client.writableLength > 0,
    );
    this.#upstream = { ...upstream, socket };
    socket.on('drain', () => {
      this.#upstreamBlocked = false;
      this.#steerClient();
    });
    socket.on('error', (error) => {
      this.#upstreamGone(error.message);
    });
    socket.on('end', () => {
      this.#upstreamGone('closed');
    });
    socket.on('close', () => {
      this.#upstreamGone('closed');
    });
    socket.resume();
    return this.#upstream;
  }

  #relayLogin(upstream: Upstream): Promise<LoginResult> {
    const { startup } = this.#admitted;
    return new Promise((resolve) => {
      const login = new Login(
        {
          clientMinor: startup.minor,
          extensions: startup.extensions,
          clientTls: this.#leg.tls !== null,
          channelBindingObstacle: this.#channelBindingObstacle(upstream),
          randomBytes,
        },
        {
          toServer: (bytes) => {
            upstream.socket.write(bytes);
          },
          toClient: (bytes) => {
            this.#client.write(bytes);
          },
          rejected: (sqlstate, message) => {
            this.#services.refusedSessions.child('login').inc();
            this.#services.log.info(
              { session: this.id, sqlstate },
              `the server refused the login: ${message}`,
            );
            this.#close('login_rejected', sqlstate);
          },
          failed: (refusal) => {
            this.#services.refusedSessions.child('login').inc();
            this.#close(refusal.message, refusal.sqlstate);
          },
          ready: resolve,
        },
      );
      this.#login = login;
      upstream.socket.write(startupMessage(login.requestMinor, this.#admitted.serverParameters));
      this.#client.resume();
    });
  }

  #channelBindingObstacle(upstream: Upstream): { message: string; hint: string } | null {
    if (upstream.certificate === null || upstream.certificate === this.#leg.certificate) return null;
    return {
      message:
        'SCRAM-SHA-256-PLUS cannot pass: it binds the login to the server’s certificate, and this connection shows Holdfast’s',
      hint: 'Give listen.tls the certificate and key of the server itself, or connect with channel_binding=disable.',
    };
  }

  /** Holdfast's own questions to the server, before the client hears that it is ready. */
  async #prepare(): Promise<TransactionStatus> {
    this.#client.pause();
    const { role } = this.#admitted.scope;
    if (role.limits.connectionsPercent === undefined) return 'I';
    let known = this.#services.serverFacts.maxConnections();
    if (known === null) {
      const result = await this.#ask('SHOW max_connections');
      const value = 'rows' in result ? Number(result.rows[0]?.[0]) : Number.NaN;
      if (!Number.isInteger(value) || value < 1) {
        this.#fail({
          severity: 'FATAL',
          sqlstate: '53300',
          message: `holdfast: the server's max_connections is not known, so the share of role "${role.name}" cannot be kept`,
          routine: 'holdfast/connections',
        });
        return 'I';
      }
      this.#services.serverFacts.setMaxConnections(value);
      known = value;
    }
    const refusal = this.#services.admission.withinShare(role, known);
    if (refusal !== null) {
      this.#services.refusedSessions.child('role_percent').inc();
      this.#fail(refusal);
    }
    return 'I';
  }

  #ask(sql: string): Promise<OwnResult> {
    return new Promise((resolve) => {
      this.#own = { reader: ownQuery(OWN_ANSWER_LIMIT), resolve };
      this.#upstream?.socket.write(query(sql));
      const unread = Buffer.concat(this.#unread);
      this.#unread = [];
      if (unread.length > 0) this.#ownAnswer(unread);
    });
  }

  // ---------------------------------------------------------------- conversation

  #converse(result: LoginResult, status: TransactionStatus): void {
    const upstream = this.#upstream;
    const login = this.#login;
    if (upstream === null || login === null) return;
    const services = this.#services;
    const { scope, backstop, replication } = this.#admitted;
    const gate = new SessionGate(
      services.gate,
      { id: this.id, login: this.#admitted.login, constant: this.#constant, scope, replication, backstop },
      () => {
        this.#conversation?.resume();
        this.#afterClient();
      },
    );
    this.#gate = gate;
    this.#serverKey = result.serverKey;
    this.#outgoing = new Outgoing({
      write: (chunks) => {
        this.#writeUpstream(chunks);
      },
      sent: (mark) => {
        this.#conversation?.sent(mark);
        if (this.#outgoing?.waiting === 0 && this.#clientEnded) upstream.socket.end();
      },
      whenDurable: (callback) => {
        services.gate.audit.whenDurable(callback);
      },
      lost: () => {
        this.#conversation?.recordsLost();
        this.#afterClient();
      },
    });
    this.#conversation = new Conversation(
      {
        gate,
        toServer: (bytes) => {
          this.#outgoing?.add(this.#clientBytesLast ? bytes : Buffer.from(bytes));
        },
        toClient: (bytes) => {
          this.#writeClient(bytes);
        },
        terminated: () => {
          this.#clientEnded = true;
        },
        requestEnded: (requestStatus) => {
          this.#requests += 1;
          gate.requestEnded(requestStatus);
          this.#drainIfIdle();
        },
        failed: (refusal) => {
          this.#close(refusal.message, refusal.sqlstate);
        },
      },
      { message: services.messageLimit, names: NAMES_LIMIT, outstanding: OUTSTANDING_LIMIT },
      status,
    );
    for (const [name, value] of result.parameters) {
      const refusal = gate.parameter(name, value);
      if (refusal !== null) {
        this.#conversation.fail(refusal);
        return;
      }
    }
    if (result.serverKey !== null && result.clientSecret !== null) {
      this.secret = result.clientSecret;
      services.cancels.add(result.serverKey.processId, this);
    }
    if (this.#startupTimer !== null) clearTimeout(this.#startupTimer);
    this.#startupTimer = null;
    const { banner } = this.#admitted;
    const greeting = banner === null ? [] : [noticeResponse(banner)];
    this.#client.write(Buffer.concat([...greeting, readyForQuery(status)]));
    const early = login.takeEarly();
    this.#login = null;
    // Before the early bytes are looked at: they may be the reason to pause it again.
    this.#client.resume();
    const unread = Buffer.concat(this.#unread);
    if (unread.length > 0) this.#fromUpstream(unread);
    if (early.length > 0) this.#fromClient(early);
    this.#drainIfIdle();
  }

  #fromClient(bytes: Buffer): void {
    if (this.#closed) return;
    if (this.#conversation !== null) {
      this.#conversation.receiveClient(bytes);
      this.#afterClient();
    } else {
      this.#login?.receiveClient(bytes);
    }
  }

  /** What the client's bytes led to leaves as one segment; then the flow is looked at. */
  #afterClient(): void {
    const conversation = this.#conversation;
    if (conversation === null || this.#closed) return;
    this.#outgoing?.close(this.#gate?.takeRecorded() ?? false, conversation.requested);
    this.#steerClient();
    if (this.#clientEnded && this.#outgoing?.waiting === 0) this.#upstream?.socket.end();
  }

  #fromUpstream(bytes: Buffer): void {
    if (this.#closed) return;
    if (this.#conversation !== null) {
      this.#conversation.receiveServer(bytes);
      if (this.#clientPaused) this.#steerClient();
      return;
    }
    if (this.#own !== null) {
      this.#ownAnswer(bytes);
      return;
    }
    this.#login?.receiveServer(bytes);
  }

  #ownAnswer(bytes: Buffer): void {
    const own = this.#own;
    if (own === null) return;
    try {
      const answer = own.reader.receive(bytes);
      if (answer === null) return;
      this.#own = null;
      this.#unread.push(...answer.relay, answer.rest);
      own.resolve(answer.result);
    } catch (error) {
      this.#openingFailed(error);
    }
  }

  #writeUpstream(chunks: readonly Buffer[]): void {
    const socket = this.#upstream?.socket;
    if (socket === undefined || socket.destroyed || socket.writableEnded) return;
    let flowing = true;
    if (chunks.length === 1 && chunks[0] !== undefined) {
      flowing = socket.write(chunks[0]);
    } else {
      socket.cork();
      for (const chunk of chunks) flowing = socket.write(chunk);
      socket.uncork();
    }
    if (!flowing) {
      this.#upstreamBlocked = true;
      this.#steerClient();
    }
  }

  #writeClient(bytes: Buffer): void {
    const client = this.#client;
    if (client.destroyed || client.writableEnded) return;
    // A client that does not read must not make Holdfast store what the server sends.
    if (!client.write(this.#upstreamBytesLast ? bytes : Buffer.from(bytes))) this.#upstream?.socket.pause();
  }

  /** Reads the client, or not: it is paused while its bytes could only be stored. */
  #steerClient(): void {
    const pause =
      this.#upstreamBlocked ||
      this.#cancelling > 0 ||
      this.#conversation?.congested === true ||
      (this.#outgoing?.waiting ?? 0) > OUTGOING_LIMIT;
    if (pause === this.#clientPaused) return;
    this.#clientPaused = pause;
    if (pause) this.#client.pause();
    else this.#client.resume();
  }

  // ---------------------------------------------------------------- cancel and drain

  /** A CancelRequest with this session's key came in. @returns whether there is something to cancel */
  cancel(): boolean {
    const key = this.#serverKey;
    if (this.#closed || key === null || this.#conversation?.busy !== true) return false;
    void this.#forwardCancel(key, this.#requests);
    return true;
  }

  async #forwardCancel(key: NonNullable<LoginResult['serverKey']>, request: number): Promise<void> {
    try {
      const { socket } = await connectUpstream(this.#services.upstream, new AbortController().signal);
      socket.on('error', () => {
        // The server closes the connection as soon as it has read the request.
      });
      // Connecting took time; what it was meant for may be over, and the next statement must not suffer.
      if (this.#closed || request !== this.#requests || this.#conversation?.busy !== true) {
        socket.destroy();
        return;
      }
      // For the same reason nothing new is read of the client until the server has acted, which it shows by closing.
      this.#cancelling += 1;
      this.#steerClient();
      socket.once('close', () => {
        this.#cancelling -= 1;
        this.#steerClient();
      });
      socket.setTimeout(this.#services.upstream.timeout, () => {
        socket.destroy();
      });
      socket.end(cancelRequest(key.processId, key.secret));
      socket.resume();
    } catch (error) {
      this.#services.log.warn({ session: this.id, err: error }, 'a cancel request could not be forwarded');
    }
  }

  /** Ends the session as soon as it is idle, when Holdfast is shutting down. */
  drain(): void {
    this.#drainIfIdle();
  }

  #drainIfIdle(): void {
    if (!this.#services.draining() || this.#closed) return;
    if (this.#conversation?.idle === true) this.end();
  }

  /** Ends the session now: the server rolls back what is open. */
  end(): void {
    this.#fail({
      severity: 'FATAL',
      sqlstate: '57P01',
      message: 'holdfast: terminating connection because Holdfast is shutting down',
      hint: 'Connect again.',
      routine: 'holdfast/shutdown',
    });
  }

  // ---------------------------------------------------------------- closing

  #clientEnd(): void {
    if (this.#closed) return;
    this.#clientEnded = true;
    // As PostgreSQL does, what was sent before the end is still answered; without a conversation there is nothing to answer.
    if (this.#conversation === null || this.#conversation.waiting) {
      this.#close('client_closed', null);
      return;
    }
    if (this.#outgoing?.waiting === 0) this.#upstream?.socket.end();
  }

  #upstreamGone(reason: string): void {
    if (this.#closed) return;
    if (this.#clientEnded) {
      this.#close('client_terminated', null);
      return;
    }
    if (this.#conversation?.serverSaidGoodbye === true) {
      this.#services.upstreamErrors.child('terminated').inc();
      this.#close('upstream_terminated', null);
      return;
    }
    this.#services.upstreamErrors.child('closed').inc();
    this.#services.log.warn({ session: this.id }, `the server's connection ended: ${reason}`);
    this.#fail({
      severity: 'FATAL',
      sqlstate: '57P01',
      message:
        'holdfast: the server closed the connection; whether a statement that was running took effect is not known',
      hint: 'Connect again. Nothing is repeated by Holdfast.',
      routine: 'holdfast/upstream',
    });
  }

  /** Ends the session with an error of Holdfast's, wherever in its life it is. */
  #fail(refusal: Refusal): void {
    if (this.#closed) return;
    if (this.#conversation !== null) {
      this.#conversation.fail(refusal);
    } else if (this.#login !== null && this.#own === null) {
      this.#login.fail(refusal);
      // A login that was over already has nothing to say.
      if (!this.#isClosed()) this.#closeWith(refusal);
    } else {
      this.#closeWith(refusal);
    }
  }

  #closeWith(refusal: Refusal): void {
    hangUp(this.#client, refusal);
    this.#close(refusal.message, refusal.sqlstate);
  }

  #close(reason: string, sqlstate: string | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#abort.abort();
    if (this.#startupTimer !== null) clearTimeout(this.#startupTimer);
    hangUp(this.#client, null);
    const upstream = this.#upstream?.socket;
    if (upstream !== undefined) hangUp(upstream, null);
    if (this.#serverKey !== null) this.#services.cancels.remove(this.#serverKey.processId, this);
    this.#services.sessions.delete(this);
    this.#services.gate.audit.append(
      sessionCloseBody({
        session: this.#constant,
        reason,
        sqlstate,
        decisions: this.#gate?.decisions ?? 0,
        durationMs: this.#services.gate.clock() - this.#openedAt,
      }),
    );
    this.#services.auditRecords.child('session_close').inc();
    this.#services.left(this.#admitted.scope.role);
  }
}
