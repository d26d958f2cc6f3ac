/**
 * The relayed login, from the server's first Authentication message to its first
 * ReadyForQuery, as a state machine without I/O. Authentication is between client
 * and server; Holdfast passes it on, and changes three things only:
 *
 * - BackendKeyData carries a secret of Holdfast's own, so that cancel requests come
 *   through Holdfast. The process id stays the server's.
 * - The protocol version and extensions are negotiated by Holdfast, which must
 *   understand every message that follows.
 * - SCRAM-SHA-256-PLUS is not offered to a client that is connected without TLS,
 *   just as PostgreSQL itself does not: it could not use it. To a TLS client the
 *   list is passed on as it is, and when the client then binds to a certificate
 *   that is not the server's, it is told which setting to change. So is one without
 *   TLS that signs that it was offered none, which the server would not take.
 */
import type { Refusal } from '../errors.js';
import {
  authenticationKind,
  decodeBackendKeyData,
  decodeNegotiateProtocolVersion,
  decodeParameterStatus,
  decodeReadyForQuery,
  errorFields,
  saslMechanisms,
} from '../protocol/backend.js';
import { AUTH, BACKEND_NAMES, FRONTEND, PG_PROTOCOL_LATEST_MINOR } from '../protocol/constants.js';
import type { BackendName } from '../protocol/constants.js';
import {
  authenticationSasl,
  backendKeyData,
  errorResponse,
  negotiateProtocolVersion,
} from '../protocol/encode.js';
import { channelBindingFlag, checkFrontendLength, saslMechanism } from '../protocol/frontend.js';
import { MessageAssembler } from '../protocol/assembler.js';
import { ProtocolViolation } from '../protocol/violation.js';

/** Largest message that a server may send during login, bytes. */
const LOGIN_MESSAGE_LIMIT = 1_048_576;
const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS';

/** The client signs that the server offers no channel binding; the server, which does, takes that for somebody's in between. */
const NOT_TOLD_OF_BINDING = {
  message:
    'the client wants channel binding where it can be had, which is not without TLS, while the server offers it to Holdfast',
  hint: 'Connect with TLS, or switch channel binding off in the client (node-postgres: enableChannelBinding: false).',
};

/** `negotiating`: the server has not asked for anything. `asked`: the client owes an answer. `continued`: the same, but the server may also go on without (the last token of GSSAPI). `answered`: the server owes the next step. `accepted`: AuthenticationOk was sent. */
type LoginState = 'negotiating' | 'asked' | 'continued' | 'answered' | 'accepted';
type LoginAction =
  'authentication' | 'negotiate' | 'relay' | 'parameter' | 'key' | 'ready' | 'error' | 'violation';

const VIOLATIONS = {
  ParseComplete: 'violation',
  BindComplete: 'violation',
  CloseComplete: 'violation',
  NotificationResponse: 'violation',
  CommandComplete: 'violation',
  DataRow: 'violation',
  CopyInResponse: 'violation',
  CopyOutResponse: 'violation',
  CopyBothResponse: 'violation',
  EmptyQueryResponse: 'violation',
  RowDescription: 'violation',
  FunctionCallResponse: 'violation',
  CopyDone: 'violation',
  CopyData: 'violation',
  NoData: 'violation',
  PortalSuspended: 'violation',
  ParameterDescription: 'violation',
} as const;

const AUTHENTICATING = {
  ...VIOLATIONS,
  Authentication: 'authentication',
  ErrorResponse: 'error',
  NoticeResponse: 'relay',
  ParameterStatus: 'violation',
  BackendKeyData: 'violation',
  ReadyForQuery: 'violation',
  NegotiateProtocolVersion: 'violation',
} as const;

export const LOGIN_TRANSITIONS: Readonly<Record<LoginState, Readonly<Record<BackendName, LoginAction>>>> = {
  negotiating: { ...AUTHENTICATING, NegotiateProtocolVersion: 'negotiate' },
  // The server waits for the client, so all it may send is a goodbye (a timeout, a shutdown).
  asked: { ...AUTHENTICATING, Authentication: 'violation' },
  continued: AUTHENTICATING,
  answered: AUTHENTICATING,
  accepted: {
    ...VIOLATIONS,
    Authentication: 'violation',
    NegotiateProtocolVersion: 'violation',
    ErrorResponse: 'error',
    NoticeResponse: 'relay',
    ParameterStatus: 'parameter',
    // Servers without BackendKeyData exist; nothing waits for it.
    BackendKeyData: 'key',
    ReadyForQuery: 'ready',
  },
};

export interface LoginOptions {
  /** Minor protocol version that the client asked for. */
  readonly clientMinor: number;
  /** `_pq_.` extensions that the client asked for; Holdfast understands none. */
  readonly extensions: readonly string[];
  /** The client's leg is encrypted. */
  readonly clientTls: boolean;
  /** null: channel binding can pass; otherwise what to say to a client that tries it. */
  readonly channelBindingObstacle: { readonly message: string; readonly hint: string } | null;
  /** Makes `length` random bytes for the cancel secret. */
  readonly randomBytes: (length: number) => Buffer;
}

export interface LoginResult {
  /** The server's process id and secret; null from a server that sends none. */
  readonly serverKey: { readonly processId: number; readonly secret: Buffer } | null;
  /** The secret that the client was given. */
  readonly clientSecret: Buffer | null;
  readonly parameters: ReadonlyMap<string, string>;
  /** Server bytes behind ReadyForQuery; normally none. */
  readonly rest: Buffer;
}

export interface LoginPorts {
  toServer(bytes: Buffer): void;
  toClient(bytes: Buffer): void;
  /** The server refused the login; its error has been passed on. */
  rejected(sqlstate: string, message: string): void;
  /** The login cannot go on; the client has been told. */
  failed(refusal: Refusal): void;
  /** The server is ready. Its ReadyForQuery was not passed on: that is for the caller, when Holdfast is ready, too. */
  ready(result: LoginResult): void;
}

export class Login {
  readonly #options: LoginOptions;
  readonly #ports: LoginPorts;
  #state: LoginState = 'negotiating';
  #over = false;
  #fromServer = new MessageAssembler();
  #fromClient = new MessageAssembler();
  /** Client bytes that came after AuthenticationOk; they are for the conversation. */
  #early: Buffer[] = [];
  #earlySize = 0;
  #minor: number;
  #negotiated = false;
  #serverKey: LoginResult['serverKey'] = null;
  #clientSecret: Buffer | null = null;
  readonly #parameters = new Map<string, string>();

  constructor(options: LoginOptions, ports: LoginPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#minor = Math.min(options.clientMinor, PG_PROTOCOL_LATEST_MINOR);
  }

  /** The minor version to ask the server for. */
  get requestMinor(): number {
    return Math.min(this.#options.clientMinor, PG_PROTOCOL_LATEST_MINOR);
  }

  /** Client bytes received after the client was accepted, in order. */
  takeEarly(): Buffer {
    const bytes = Buffer.concat(this.#early);
    this.#early = [];
    return bytes;
  }

  receiveServer(chunk: Buffer): void {
    this.#guard(() => {
      let position = 0;
      while (position < chunk.length && !this.#over) {
        position += this.#fromServer.add(chunk, position);
        const { length } = this.#fromServer;
        if (length === null) continue;
        if (length < 4 || length > LOGIN_MESSAGE_LIMIT) {
          throw new ProtocolViolation(`invalid message length ${length} from the server`);
        }
        const whole = this.#fromServer.whole();
        if (whole === null) continue;
        this.#fromServer = new MessageAssembler();
        this.#serverMessage(whole, chunk.subarray(position));
      }
    });
  }

  receiveClient(chunk: Buffer): void {
    this.#guard(() => {
      let position = 0;
      while (position < chunk.length && !this.#over) {
        if (this.#state === 'accepted') {
          this.#keepEarly(chunk.subarray(position));
          return;
        }
        if (this.#state !== 'asked' && this.#state !== 'continued') {
          throw new ProtocolViolation('authentication response that nobody asked for');
        }
        position += this.#fromClient.add(chunk, position);
        if (this.#fromClient.type !== FRONTEND.AuthenticationResponse) {
          throw new ProtocolViolation(
            `expected password response, got message type ${this.#fromClient.type}`,
          );
        }
        const { length } = this.#fromClient;
        if (length === null) continue;
        checkFrontendLength('AuthenticationResponse', length, 0);
        const whole = this.#fromClient.whole();
        if (whole === null) continue;
        this.#fromClient = new MessageAssembler();
        this.#clientAnswer(whole);
      }
    });
  }

  #keepEarly(bytes: Buffer): void {
    this.#earlySize += bytes.length;
    if (this.#earlySize > LOGIN_MESSAGE_LIMIT)
      throw new ProtocolViolation('too much data before ReadyForQuery');
    this.#early.push(Buffer.from(bytes));
  }

  #guard(work: () => void): void {
    if (this.#over) return;
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

  /** Ends the login with an error of Holdfast's. */
  fail(refusal: Refusal): void {
    if (this.#over) return;
    this.#over = true;
    this.#ports.toClient(errorResponse(refusal));
    this.#ports.failed(refusal);
  }

  #clientAnswer(message: Buffer): void {
    const problem = this.#bindingProblem(message);
    if (problem !== null) {
      this.fail({
        severity: 'FATAL',
        sqlstate: '28000',
        message: `holdfast: ${problem.message}`,
        hint: problem.hint,
        routine: 'holdfast/channel-binding',
      });
      return;
    }
    this.#plus = 'not offered';
    this.#state = 'answered';
    this.#ports.toServer(message);
  }

  /** Why the server would not take the client's answer, for what it was not told of channel binding, or binds to; null: nothing. */
  #bindingProblem(message: Buffer): { readonly message: string; readonly hint: string } | null {
    const { channelBindingObstacle } = this.#options;
    if (this.#plus === 'offered' && saslMechanism(message, 5, message.length) === SCRAM_PLUS)
      return channelBindingObstacle;
    return this.#plus === 'withheld' && channelBindingFlag(message, 5, message.length) === 'y'
      ? NOT_TOLD_OF_BINDING
      : null;
  }

  /** Whether the server offers SCRAM-SHA-256-PLUS, and the client has been told. */
  #plus: 'not offered' | 'offered' | 'withheld' = 'not offered';

  #serverMessage(message: Buffer, rest: Buffer): void {
    const type = message[0] ?? 0;
    const name = BACKEND_NAMES[type];
    const start = 5;
    const end = message.length;
    const action = name === undefined ? 'violation' : LOGIN_TRANSITIONS[this.#state][name];
    switch (action) {
      case 'authentication':
        this.#negotiate();
        this.#authentication(message, start, end);
        return;
      case 'negotiate': {
        const { minor } = decodeNegotiateProtocolVersion(message, start, end);
        this.#minor = Math.min(this.#minor, minor);
        return;
      }
      case 'relay':
        this.#ports.toClient(message);
        return;
      case 'parameter': {
        const [parameter, value] = decodeParameterStatus(message, start, end);
        this.#parameters.set(parameter, value);
        this.#ports.toClient(message);
        return;
      }
      case 'key':
        this.#key(message, start, end);
        return;
      case 'ready':
        decodeReadyForQuery(message, start, end);
        this.#over = true;
        this.#ports.ready({
          serverKey: this.#serverKey,
          clientSecret: this.#clientSecret,
          parameters: this.#parameters,
          rest: Buffer.from(rest),
        });
        return;
      case 'error': {
        const fields = errorFields(message, start, end);
        this.#over = true;
        this.#ports.toClient(message);
        this.#ports.rejected(fields.get('C') ?? 'XX000', fields.get('M') ?? '');
        return;
      }
      case 'violation':
        throw new ProtocolViolation(
          `unexpected ${name ?? `message type ${type}`} from the server during login`,
        );
    }
  }

  /** Tells the client, before anything else, what of its wishes cannot be had. */
  #negotiate(): void {
    if (this.#negotiated) return;
    this.#negotiated = true;
    const { clientMinor, extensions } = this.#options;
    if (this.#minor < clientMinor || extensions.length > 0) {
      this.#ports.toClient(negotiateProtocolVersion(this.#minor, extensions));
    }
  }

  #authentication(message: Buffer, start: number, end: number): void {
    const kind = authenticationKind(message, start, end);
    switch (kind) {
      case AUTH.Ok:
        if (this.#fromClient.size > 0)
          throw new ProtocolViolation('authentication response that nobody asked for');
        this.#state = 'accepted';
        this.#ports.toClient(message);
        return;
      case AUTH.SASLFinal:
        // The server's signature; AuthenticationOk follows without an answer from the client.
        this.#state = 'answered';
        this.#ports.toClient(message);
        return;
      case AUTH.GSSContinue:
        this.#state = 'continued';
        this.#ports.toClient(message);
        return;
      case AUTH.SASL: {
        this.#state = 'asked';
        const offered = saslMechanisms(message, start, end);
        this.#plus = !offered.includes(SCRAM_PLUS)
          ? 'not offered'
          : this.#options.clientTls
            ? 'offered'
            : 'withheld';
        this.#ports.toClient(
          this.#plus === 'withheld'
            ? authenticationSasl(offered.filter((mechanism) => mechanism !== SCRAM_PLUS))
            : message,
        );
        return;
      }
      default:
        this.#state = 'asked';
        this.#ports.toClient(message);
    }
  }

  #key(message: Buffer, start: number, end: number): void {
    this.#serverKey = decodeBackendKeyData(message, start, end);
    // Four bytes is all that protocol 3.0 has room for; 32 is what PostgreSQL itself uses since 3.2.
    this.#clientSecret = this.#options.randomBytes(this.#minor >= 2 ? 32 : 4);
    this.#ports.toClient(backendKeyData(this.#serverKey.processId, this.#clientSecret));
  }
}
