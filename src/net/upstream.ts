/**
 * Connections to the server: TCP, then TLS as the settings want it, up to the point
 * where a StartupMessage or CancelRequest can be sent.
 */
import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { Settings } from '../config/settings.js';
import { ALPN_PROTOCOL } from '../protocol/constants.js';
import { sslRequest } from '../protocol/encode.js';

export interface Upstream {
  readonly socket: Socket | TLSSocket;
  readonly tls: boolean;
  /** SHA-256 fingerprint of the server's certificate; null without TLS. */
  readonly certificate: string | null;
}

/** Why the server could not be reached; `reason` is a metric label. */
export class UpstreamError extends Error {
  readonly reason: 'refused' | 'timeout' | 'tls' | 'protocol' | 'failed';
  constructor(reason: UpstreamError['reason'], message: string) {
    super(message);
    this.name = 'UpstreamError';
    this.reason = reason;
  }
}

export interface UpstreamOptions {
  readonly upstream: Settings['upstream'];
  /** PEM text of the authority to trust for verify-full; null: the system's. */
  readonly ca: string | null;
  /** Milliseconds for everything. */
  readonly timeout: number;
}

/** Silence after which TCP asks whether the peer is still there, milliseconds: a session may wait long for approval. */
export const KEEPALIVE_MS = 30_000;

/**
 * Connects.
 * @param signal ends the attempt, and the connection if it was made in the meantime
 * @throws UpstreamError
 */
export async function connectUpstream(options: UpstreamOptions, signal: AbortSignal): Promise<Upstream> {
  const { upstream } = options;
  // A directory is where the server's Unix socket is, as in libpq.
  const path = upstream.host.startsWith('/') ? `${upstream.host}/.s.PGSQL.${upstream.port}` : null;
  const where = path ?? `${upstream.host}:${upstream.port}`;
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(options.timeout)]);
  const socket = connectTcp({
    ...(path === null ? { host: upstream.host, port: upstream.port } : { path }),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_MS,
    allowHalfOpen: true,
  });
  const stop = (): void => {
    socket.destroy(
      new UpstreamError('timeout', `no answer from the server at ${where} within ${options.timeout} ms`),
    );
  };
  deadline.addEventListener('abort', stop);
  try {
    if (deadline.aborted) stop();
    await event(socket, 'connect', where);
    if (upstream.tls.mode === 'off') return { socket, tls: false, certificate: null };
    socket.write(sslRequest());
    const answer = await firstBytes(socket, where);
    if (answer.length !== 1) {
      // Whatever follows the answer before the handshake is plain text that would pass for encrypted.
      throw new UpstreamError(
        'protocol',
        `the server at ${where} sent more than one byte in answer to SSLRequest`,
      );
    }
    if (answer[0] === 0x4e) {
      if (upstream.tls.mode === 'prefer') return { socket, tls: false, certificate: null };
      throw new UpstreamError(
        'tls',
        `the server at ${where} does not offer TLS, which upstream.tls.mode requires`,
      );
    }
    if (answer[0] !== 0x53) {
      throw new UpstreamError('protocol', `the server at ${where} did not understand SSLRequest`);
    }
    const secured = connectTls({
      socket,
      host: upstream.host,
      ...(isIP(upstream.host) === 0 ? { servername: upstream.host } : {}),
      rejectUnauthorized: upstream.tls.mode === 'verify-full',
      ...(options.ca === null ? {} : { ca: options.ca }),
      ALPNProtocols: [ALPN_PROTOCOL],
      minVersion: 'TLSv1.2',
    });
    await event(secured, 'secureConnect', where);
    return { socket: secured, tls: true, certificate: secured.getPeerCertificate().fingerprint256 };
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    deadline.removeEventListener('abort', stop);
  }
}

function event(socket: Socket | TLSSocket, name: 'connect' | 'secureConnect', where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      reject(asUpstreamError(error, name, where));
    };
    const closed = (): void => {
      reject(new UpstreamError('failed', `the server at ${where} closed the connection`));
    };
    socket.once('error', failed);
    socket.once('close', closed);
    socket.once(name, () => {
      socket.off('error', failed);
      socket.off('close', closed);
      resolve();
    });
  });
}

function asUpstreamError(error: Error, phase: string, where: string): UpstreamError {
  if (error instanceof UpstreamError) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (phase === 'secureConnect')
    return new UpstreamError('tls', `TLS with the server at ${where} failed: ${error.message}`);
  return new UpstreamError(
    code === 'ECONNREFUSED' ? 'refused' : 'failed',
    `cannot reach the server at ${where}: ${code || error.message}`,
  );
}

function firstBytes(socket: Socket, where: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      reject(asUpstreamError(error, 'connect', where));
    };
    const closed = (): void => {
      reject(new UpstreamError('failed', `the server at ${where} closed the connection`));
    };
    socket.once('error', failed);
    socket.once('close', closed);
    socket.once('end', closed);
    socket.once('data', (bytes: Buffer) => {
      socket.pause();
      socket.off('error', failed);
      socket.off('close', closed);
      socket.off('end', closed);
      resolve(bytes);
    });
  });
}
