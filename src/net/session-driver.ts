/**
 * The driver of one session: it owns the two sockets and the session's life:
 * admitted → opening (session-opening.ts) → open (session-relay.ts) → closed. What
 * happens to a socket is handed to the stage that the session is in.
 *
 * Law: closing happens once, whatever ends the session, and here. The driver decides
 * nothing about statements, and nothing about when bytes leave.
 */
import type { Socket } from 'node:net';
import { sessionCloseBody, sessionConstant } from '../audit/records.js';
import type { SessionConstant } from '../audit/records.js';
import type { Refusal } from '../errors.js';
import type { AdmittedLogin } from '../gate/login-gate.js';
import type { DatabaseCatalog } from '../gate/catalog-store.js';
import type { Role } from '../policy/types.js';
import { noticeResponse, readyForQuery } from '../protocol/encode.js';
import type { Cancellable } from './cancellation.js';
import type { ServerKey } from './cancel-forwarding.js';
import { hangUp } from './client-leg.js';
import type { ClientLeg } from './client-leg.js';
import type { LiveSession, SessionServices } from './services.js';
import { SessionOpening } from './session-opening.js';
import type { Opened } from './session-opening.js';
import { SessionRelay } from './session-relay.js';
import { readShared } from './shared-read.js';
import type { BytesHandler } from './shared-read.js';
import type { Upstream } from './upstream.js';

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
  readonly #role: Role;
  /** null once the session is open: most of it is what the client sent at login, which an idle session need not keep. */
  #admitted: AdmittedLogin | null;
  readonly #constant: SessionConstant;
  readonly #openedAt: number;
  readonly #database: string;
  readonly #catalog: DatabaseCatalog;
  /** null once the session is open. */
  #opening: SessionOpening | null;
  /** null until the session is open. */
  #relay: SessionRelay | null = null;
  #upstream: Upstream | null = null;
  #serverKey: ServerKey | null = null;
  #closed = false;

  constructor(services: SessionServices, id: string, leg: ClientLeg, admitted: AdmittedLogin) {
    this.#services = services;
    this.#client = read(
      leg.socket,
      leg.tls !== null,
      (bytes, lasting) => {
        this.#fromClient(bytes, lasting);
      },
      // What goes to the server is copied when it does not last; what lasts may wait there for the audit log.
      () => true,
    );
    this.#admitted = admitted;
    this.#role = admitted.scope.role;
    this.id = id;
    this.#openedAt = services.gate.clock();
    this.#catalog = services.gate.catalogs.enter(admitted.login.database);
    this.#database = admitted.login.database;
    const { user, database, application } = admitted.login;
    this.#constant = sessionConstant({
      session: this.id,
      user,
      database,
      application,
      client: `${leg.address}:${leg.port}`,
    });
    this.#opening = new SessionOpening(
      services,
      { id, leg, client: this.#client, admitted, constant: this.#constant },
      {
        ended: () => this.#closed,
        connected: (upstream) => this.#attachUpstream(upstream),
        ready: (opened) => {
          this.#converse(opened);
        },
        fail: (refusal) => {
          this.#fail(refusal);
        },
        close: (reason, sqlstate) => {
          this.#close(reason, sqlstate);
        },
      },
    );
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
    await this.#opening?.run(rest);
  }

  #attachUpstream(upstream: Upstream): Upstream {
    const socket = read(
      upstream.socket,
      upstream.tls,
      (bytes, lasting) => {
        this.#fromUpstream(bytes, lasting);
      },
      () => this.#client.writableLength > 0,
    );
    this.#upstream = { ...upstream, socket };
    socket.on('drain', () => {
      this.#relay?.upstreamDrained();
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

  // ---------------------------------------------------------------- open

  #converse({ upstream, login, status, early, unread }: Opened): void {
    const services = this.#services;
    const admitted = this.#admitted;
    if (admitted === null) return;
    this.#admitted = null;
    const { scope, backstop, replication, banner } = admitted;
    const relay = new SessionRelay(
      services,
      {
        client: this.#client,
        upstream: upstream.socket,
        gated: {
          id: this.id,
          login: admitted.login,
          constant: this.#constant,
          scope,
          replication,
          backstop,
          catalog: this.#catalog,
        },
        serverKey: login.serverKey,
        status,
      },
      {
        ended: () => this.#closed,
        requestEnded: () => {
          this.#drainIfIdle();
        },
        close: (reason, sqlstate) => {
          this.#close(reason, sqlstate);
        },
      },
    );
    this.#opening?.stop();
    this.#opening = null;
    this.#relay = relay;
    this.#serverKey = login.serverKey;
    if (!relay.accept(login.parameters)) return;
    if (login.serverKey !== null && login.clientSecret !== null) {
      this.secret = login.clientSecret;
      services.cancels.add(login.serverKey.processId, this);
    }
    const greeting = banner === null ? [] : [noticeResponse(banner)];
    this.#client.write(Buffer.concat([...greeting, readyForQuery(status)]));
    // Before the early bytes are looked at: they may be the reason to pause it again.
    this.#client.resume();
    if (unread.length > 0) this.#fromUpstream(unread, false);
    if (early.length > 0) this.#fromClient(early, false);
    this.#drainIfIdle();
  }

  /** `lasting`: the bytes stay as they are after this returns (net/shared-read.ts). */
  #fromClient(bytes: Buffer, lasting: boolean): void {
    if (this.#closed) return;
    if (this.#relay !== null) this.#relay.receiveClient(bytes, lasting);
    else this.#opening?.receiveClient(bytes);
  }

  #fromUpstream(bytes: Buffer, lasting: boolean): void {
    if (this.#closed) return;
    if (this.#relay !== null) this.#relay.receiveServer(bytes, lasting);
    else this.#opening?.receiveServer(bytes);
  }

  // ---------------------------------------------------------------- cancel and drain

  /** A CancelRequest with this session's key came in. @returns whether there is something to cancel */
  cancel(): boolean {
    return this.#relay?.cancel() ?? false;
  }

  /** Ends the session as soon as it is idle, when Holdfast is shutting down. */
  drain(): void {
    this.#drainIfIdle();
  }

  #drainIfIdle(): void {
    if (!this.#services.draining() || this.#closed) return;
    if (this.#relay?.idle === true) this.end();
  }

  /** Ends the session now: the server rolls back what is open. */
  end(): void {
    this.#relay?.leaveHold('drain');
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
    // Without a conversation there is nothing to answer.
    if (this.#relay === null) this.#close('client_closed', null);
    else this.#relay.clientEnd();
  }

  #upstreamGone(reason: string): void {
    if (this.#closed) return;
    this.#relay?.leaveHold(this.#relay.clientEnded ? 'client_gone' : 'server_gone');
    if (this.#relay?.clientEnded === true) {
      this.#close('client_terminated', null);
      return;
    }
    if (this.#relay?.serverSaidGoodbye === true) {
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
    if (this.#relay !== null) {
      this.#relay.fail(refusal);
      return;
    }
    this.#opening?.endLogin(refusal);
    // A login that was over already has nothing to say.
    if (!this.#isClosed()) this.#closeWith(refusal);
  }

  // A method, so that the compiler does not take the field for unchanged across a call.
  #isClosed(): boolean {
    return this.#closed;
  }

  #closeWith(refusal: Refusal): void {
    hangUp(this.#client, refusal);
    this.#close(refusal.message, refusal.sqlstate);
  }

  #close(reason: string, sqlstate: string | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#opening?.stop();
    this.#relay?.stop();
    this.#services.gate.catalogs.leave(this.#database);
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
        decisions: this.#relay?.decisions ?? 0,
        durationMs: this.#services.gate.clock() - this.#openedAt,
      }),
    );
    this.#services.auditRecords.child('session_close').inc();
    this.#services.left(this.#role);
  }
}
