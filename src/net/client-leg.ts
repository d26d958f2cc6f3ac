/**
 * A client's connection from its first byte to its StartupMessage or CancelRequest:
 * drives session/greeting.ts, and makes the TLS handshakes that it calls for.
 */
import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket, createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { errorResponse } from '../protocol/encode.js';
import type { Refusal } from '../errors.js';
import { ALPN_PROTOCOL } from '../protocol/constants.js';
import type { StartupMessage } from '../protocol/startup.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { greet } from '../session/greeting.js';
import type { GreetingState } from '../session/greeting.js';

const YES = Buffer.from('S');
const NO = Buffer.from('N');

/** What TLS with clients needs; null where listen.tls.mode is off. */
export interface ServerTls {
  readonly context: SecureContext;
  /** SHA-256 fingerprint of the certificate, as the tls module spells it. */
  readonly certificate: string;
  readonly required: boolean;
}

/** @param cert PEM text, the server's certificate first @throws what the crypto module throws when the PEM texts do not fit */
export function createServerTls(cert: string, key: string, required: boolean): ServerTls {
  return {
    context: createSecureContext({ cert, key, minVersion: 'TLSv1.2' }),
    certificate: new X509Certificate(cert).fingerprint256,
    required,
  };
}

export interface ClientLeg {
  readonly socket: Socket | TLSSocket;
  /** TLS version such as `TLSv1.3`; null without TLS. */
  readonly tls: string | null;
  /** Fingerprint of the certificate that the client was shown. */
  readonly certificate: string | null;
  readonly address: string;
  readonly port: number;
}

export interface GreetingHandlers {
  start(leg: ClientLeg, message: StartupMessage, rest: Buffer): void;
  cancel(processId: number, secret: Buffer, address: string): void;
  /** The connection ended, or was ended, before either. */
  gone(reason: string): void;
}

/** Tells the client why and hangs up; the socket is gone after `lingerMs` even if the client does not read. */
export function hangUp(socket: Socket, refusal: Refusal | null, lingerMs = 5_000): void {
  if (socket.destroyed) return;
  socket.on('error', ignore);
  if (refusal !== null) socket.write(errorResponse(refusal));
  socket.destroySoon();
  const timer = setTimeout(() => {
    socket.destroy();
  }, lingerMs);
  timer.unref();
  socket.once('close', () => {
    clearTimeout(timer);
  });
}

function ignore(): void {
  // The other side is gone; so be it.
}

/** Greets a client that has just connected. */
export function greetClient(accepted: Socket, tls: ServerTls | null, handlers: GreetingHandlers): void {
  let socket: Socket | TLSSocket = accepted;
  let state: GreetingState = 'fresh';
  let encrypted: TLSSocket | null = null;
  let pending: Buffer = Buffer.alloc(0);
  let over = false;

  const onClose = (): void => {
    end('closed');
  };
  const onError = (error: Error): void => {
    end(error.message);
    socket.destroy();
  };

  function detach(from: Socket): void {
    from.off('data', onData);
    from.off('close', onClose);
    from.off('end', onClose);
    from.off('error', onError);
  }

  function attach(to: Socket): void {
    to.on('data', onData);
    to.on('close', onClose);
    to.on('end', onClose);
    to.on('error', onError);
  }

  function end(reason: string): void {
    if (over) return;
    over = true;
    detach(socket);
    socket.on('error', ignore);
    socket.destroySoon();
    handlers.gone(reason);
  }

  function refuse(refusal: Refusal): void {
    over = true;
    detach(socket);
    hangUp(socket, refusal);
    handlers.gone(refusal.message);
  }

  function onData(bytes: Buffer): void {
    pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
    try {
      while (!over && step());
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      if (error.unanswered) {
        end(error.message);
        return;
      }
      refuse({
        severity: 'FATAL',
        sqlstate: error.sqlstate,
        message: `holdfast: ${error.message}`,
        routine: 'holdfast/protocol',
      });
    }
  }

  /** @returns whether there may be another step in the bytes at hand */
  function step(): boolean {
    if (pending.length === 0) return false;
    const next = greet(state, pending, tls !== null);
    switch (next.kind) {
      case 'need_data':
        return false;
      case 'answer_no':
        socket.write(NO);
        state = next.state;
        pending = next.rest;
        return true;
      case 'answer_tls':
        socket.write(YES);
        pending = Buffer.alloc(0);
        encrypt(false);
        return false;
      case 'direct_tls':
        encrypt(true);
        return false;
      case 'cancel':
        over = true;
        detach(socket);
        // Nothing is ever answered to a CancelRequest.
        hangUp(socket, null);
        handlers.cancel(next.processId, next.secret, accepted.remoteAddress ?? '');
        return false;
      case 'start':
        if (encrypted === null && tls?.required === true) {
          refuse({
            severity: 'FATAL',
            sqlstate: '28000',
            message: 'holdfast: this port accepts encrypted connections only',
            hint: 'Connect with sslmode=require or stricter.',
            routine: 'holdfast/tls',
          });
          return false;
        }
        over = true;
        socket.pause();
        detach(socket);
        handlers.start(
          {
            socket,
            tls: encrypted === null ? null : encrypted.getProtocol(),
            certificate: encrypted === null ? null : (tls?.certificate ?? null),
            address: accepted.remoteAddress ?? '',
            port: accepted.remotePort ?? 0,
          },
          next.message,
          next.rest,
        );
        return false;
    }
  }

  function encrypt(direct: boolean): void {
    if (tls === null) return;
    const hello = pending;
    pending = Buffer.alloc(0);
    detach(accepted);
    accepted.pause();
    if (hello.length > 0) accepted.unshift(hello);
    const secured = new TLSSocket(accepted, {
      isServer: true,
      secureContext: tls.context,
      ALPNProtocols: [ALPN_PROTOCOL],
    });
    socket = secured;
    state = 'encrypted';
    attach(secured);
    secured.once('secure', () => {
      if (direct && secured.alpnProtocol !== ALPN_PROTOCOL) {
        // Without it a client of another protocol could be talked into sending us its bytes (PostgreSQL refuses, too).
        end('direct TLS without ALPN');
        return;
      }
      encrypted = secured;
    });
  }

  attach(accepted);
}
