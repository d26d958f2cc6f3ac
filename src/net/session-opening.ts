/**
 * Opening a session: recorded → upstream connected → login relayed → Holdfast's own
 * questions answered, in this order, each only when the one before succeeded.
 *
 * Law: it ends in ready(), in a refusal by fail(), or in nothing where the session
 * ended meanwhile. It reads and closes no socket: whoever does hands it the bytes.
 * It knows nothing of statements.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { sessionOpenBody } from '../audit/records.js';
import type { SessionConstant } from '../audit/records.js';
import type { Refusal } from '../errors.js';
import type { AdmittedLogin } from '../gate/login-gate.js';
import { recordRefusal } from '../gate/words.js';
import { query, startupMessage } from '../protocol/encode.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { Login } from '../session/login.js';
import type { LoginResult } from '../session/login.js';
import { ownQuery } from '../session/own-query.js';
import type { OwnQuery, OwnResult } from '../session/own-query.js';
import type { ClientLeg } from './client-leg.js';
import type { SessionServices } from './services.js';
import { UpstreamError, connectUpstream } from './upstream.js';
import type { Upstream } from './upstream.js';

/** Longest answer to a query of Holdfast's own at login, bytes. */
const OWN_ANSWER_LIMIT = 1_048_576;

/** The session to open. */
export interface OpeningSession {
  readonly id: string;
  readonly leg: ClientLeg;
  /** The client's socket, as it is read from now on. */
  readonly client: Socket;
  readonly admitted: AdmittedLogin;
  readonly constant: SessionConstant;
}

/** A session whose client waits for no more than its first ReadyForQuery. */
export interface Opened {
  readonly upstream: Upstream;
  readonly login: LoginResult;
  readonly status: TransactionStatus;
  /** What the client has sent behind its login. */
  readonly early: Buffer;
  /** Server bytes that came with, or during, the questions of Holdfast's own; they are for the conversation. */
  readonly unread: Buffer;
}

export interface OpeningPorts {
  /** Whether the session has ended. */
  ended(): boolean;
  /** The server was reached: its bytes are to be read from now on. @returns the connection to use in place of the one given */
  connected(upstream: Upstream): Upstream;
  ready(opened: Opened): void;
  /** The session must end with this error, which the client has not been told. */
  fail(refusal: Refusal): void;
  /** The session must end; the client has been told why. */
  close(reason: string, sqlstate: string | null): void;
}

export class SessionOpening {
  readonly #services: SessionServices;
  readonly #session: OpeningSession;
  readonly #ports: OpeningPorts;
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  #login: Login | null = null;
  #own: { readonly reader: OwnQuery; readonly resolve: (result: OwnResult) => void } | null = null;
  #unread: Buffer[] = [];

  constructor(services: SessionServices, session: OpeningSession, ports: OpeningPorts) {
    this.#services = services;
    this.#session = session;
    this.#ports = ports;
  }

  /** Opens the session. `rest` is what the client sent behind its StartupMessage. Never throws. */
  async run(rest: Buffer): Promise<void> {
    this.#timer = setTimeout(() => {
      this.#ports.fail({
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
      await this.#record();
      if (this.#ports.ended()) return;
      const connection = await connectUpstream(this.#services.upstream, this.#abort.signal);
      if (this.#ports.ended()) {
        connection.socket.destroy();
        return;
      }
      const upstream = this.#ports.connected(connection);
      const login = this.#startLogin(upstream);
      const result = await login.result;
      if (this.#ports.ended()) return;
      this.#unread.push(result.rest);
      const status = await this.#prepare(upstream.socket);
      if (this.#ports.ended()) return;
      this.#ports.ready({
        upstream,
        login: result,
        status,
        early: login.machine.takeEarly(),
        unread: Buffer.concat(this.#unread),
      });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Bytes of the client. */
  receiveClient(bytes: Buffer): void {
    this.#login?.receiveClient(bytes);
  }

  /** Bytes of the server. */
  receiveServer(bytes: Buffer): void {
    if (this.#own !== null) this.#ownAnswer(bytes);
    else this.#login?.receiveServer(bytes);
  }

  /** Ends a login that is being relayed with an error of Holdfast's; one that is over already, or not begun, has nothing to say. */
  endLogin(refusal: Refusal): void {
    if (this.#own === null) this.#login?.fail(refusal);
  }

  /** The opening is over: nothing may come of it any more. */
  stop(): void {
    this.#abort.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #failed(error: unknown): void {
    if (this.#ports.ended()) return;
    const { id } = this.#session;
    if (error instanceof UpstreamError) {
      this.#services.upstreamErrors.child(error.reason).inc();
      this.#services.log.warn({ session: id, reason: error.reason }, error.message);
      this.#ports.fail({
        severity: 'FATAL',
        sqlstate: '08001',
        message: `holdfast: ${error.message}`,
        hint: 'The database server itself cannot be reached; Holdfast is running.',
        routine: 'holdfast/upstream',
      });
      return;
    }
    if (error instanceof ProtocolViolation) {
      this.#ports.fail({
        severity: 'FATAL',
        sqlstate: error.sqlstate,
        message: `holdfast: ${error.message}`,
        routine: 'holdfast/protocol',
      });
      return;
    }
    this.#services.log.error({ session: id, err: error }, 'a login failed by a defect of Holdfast');
    this.#ports.fail({
      severity: 'FATAL',
      sqlstate: 'XX000',
      message: 'holdfast: internal error during login',
      routine: 'holdfast/internal',
    });
  }

  /** The session's first record, durable before anything is done for it. */
  async #record(): Promise<void> {
    const { audit } = this.#services.gate;
    const { constant, leg, admitted } = this.#session;
    const { scope } = admitted;
    await new Promise<void>((resolve, reject) => {
      audit.append(
        sessionOpenBody({
          session: constant,
          role: scope.role.name,
          tls: leg.tls,
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
      this.#ports.fail({ ...recordRefusal(), severity: 'FATAL' });
    });
  }

  // ---------------------------------------------------------------- login

  #startLogin(upstream: Upstream): { readonly machine: Login; readonly result: Promise<LoginResult> } {
    const { id, leg, client, admitted } = this.#session;
    const { startup } = admitted;
    let ready: (result: LoginResult) => void = () => undefined;
    const result = new Promise<LoginResult>((resolve) => {
      ready = resolve;
    });
    const machine = new Login(
      {
        clientMinor: startup.minor,
        extensions: startup.extensions,
        clientTls: leg.tls !== null,
        channelBindingObstacle: this.#channelBindingObstacle(upstream),
        randomBytes,
      },
      {
        toServer: (bytes) => {
          upstream.socket.write(bytes);
        },
        toClient: (bytes) => {
          client.write(bytes);
        },
        rejected: (sqlstate, message) => {
          this.#services.refusedSessions.child('login').inc();
          this.#services.log.info({ session: id, sqlstate }, `the server refused the login: ${message}`);
          this.#ports.close('login_rejected', sqlstate);
        },
        failed: (refusal) => {
          this.#services.refusedSessions.child('login').inc();
          this.#ports.close(refusal.message, refusal.sqlstate);
        },
        ready,
      },
    );
    this.#login = machine;
    upstream.socket.write(startupMessage(machine.requestMinor, admitted.serverParameters));
    client.resume();
    return { machine, result };
  }

  #channelBindingObstacle(upstream: Upstream): { message: string; hint: string } | null {
    if (upstream.certificate === null || upstream.certificate === this.#session.leg.certificate) return null;
    return {
      message:
        'SCRAM-SHA-256-PLUS cannot pass: it binds the login to the server’s certificate, and this connection shows Holdfast’s',
      hint: 'Give listen.tls the certificate and key of the server itself, or connect with channel_binding=disable.',
    };
  }

  // ---------------------------------------------------------------- own questions

  /** Holdfast's own questions to the server, before the client hears that it is ready. */
  async #prepare(server: Socket): Promise<TransactionStatus> {
    this.#session.client.pause();
    const { role } = this.#session.admitted.scope;
    if (role.limits.connectionsPercent === undefined) return 'I';
    let known = this.#services.serverFacts.maxConnections();
    if (known === null) {
      const result = await this.#ask(server, 'SHOW max_connections');
      const value = 'rows' in result ? Number(result.rows[0]?.[0]) : Number.NaN;
      if (!Number.isInteger(value) || value < 1) {
        this.#ports.fail({
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
      this.#ports.fail(refusal);
    }
    return 'I';
  }

  #ask(server: Socket, sql: string): Promise<OwnResult> {
    return new Promise((resolve) => {
      this.#own = { reader: ownQuery(OWN_ANSWER_LIMIT), resolve };
      server.write(query(sql));
      const unread = Buffer.concat(this.#unread);
      this.#unread = [];
      if (unread.length > 0) this.#ownAnswer(unread);
    });
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
      this.#failed(error);
    }
  }
}
