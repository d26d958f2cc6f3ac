/**
 * The listener: accepts connections, greets them, and opens a session for each that may
 * have one.
 *
 * Law: a connection counts as a session only when it has said who it is and been
 * admitted; until then it is one of a bounded number that are greeted, and its time is
 * limited.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { cancelBody } from '../audit/records.js';
import type { Settings } from '../config/settings.js';
import { OperatorError } from '../errors.js';
import { admitLogin } from '../gate/login-gate.js';
import type { StartupMessage } from '../protocol/startup.js';
import { greetClient, hangUp } from './client-leg.js';
import type { ClientLeg, ServerTls } from './client-leg.js';
import type { SessionServices } from './services.js';
import { SessionDriver } from './session-driver.js';
import { KEEPALIVE_MS } from './upstream.js';

/** Connections that have not said who they are, above the session limit. */
const GREETING_ALLOWANCE = 100;
const CONNECTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEPALIVE_MS,
} as const;

/** Accepts connections, greets them, and opens a session for each that may have one. `greeting` holds those that have not said who they are. */
export function listen(
  services: SessionServices,
  tls: ServerTls | null,
  settings: Settings,
  greeting: Set<Socket>,
  draining: () => boolean,
): Server {
  const idPrefix = randomBytes(4).toString('hex');
  let lastSession = 0;

  function start(leg: ClientLeg, message: StartupMessage, rest: Buffer): void {
    if (draining()) {
      services.refusedSessions.child('shutdown').inc();
      hangUp(leg.socket, {
        severity: 'FATAL',
        sqlstate: '57P03',
        message: 'holdfast: Holdfast is shutting down',
        routine: 'holdfast/shutdown',
      });
      return;
    }
    lastSession += 1;
    const id = `${idPrefix}-${lastSession.toString(36)}`;
    const login = admitLogin(message, leg.address, leg.port, id, services.gate);
    if ('refusal' in login) {
      services.refusedSessions.child('policy').inc();
      hangUp(leg.socket, login.refusal);
      return;
    }
    const { role } = login.admitted.scope;
    const refusal = services.admission.enter(role);
    if (refusal !== null) {
      services.refusedSessions.child('connections').inc();
      hangUp(leg.socket, refusal);
      return;
    }
    services.gate.metrics.sessions.child(role.name).inc();
    const session = new SessionDriver(services, id, leg, login.admitted);
    void session.open(rest);
  }

  function cancel(processId: number, secret: Buffer, address: string): void {
    const found = services.cancels.find(processId, secret);
    services.gate.audit.append(
      cancelBody({
        session: found?.id ?? null,
        client: address,
        result: found === null ? 'unknown_key' : found.cancel() ? 'forwarded' : 'not_current',
      }),
    );
    services.auditRecords.child('cancel').inc();
  }

  return createServer(CONNECTIONS, (socket: Socket) => {
    if (services.admission.sessions + greeting.size >= settings.limits.connections + GREETING_ALLOWANCE) {
      services.refusedSessions.child('flood').inc();
      socket.destroy();
      return;
    }
    greeting.add(socket);
    const timer = setTimeout(() => {
      socket.destroy();
    }, services.startupTimeout);
    const greeted = (): void => {
      greeting.delete(socket);
      clearTimeout(timer);
    };
    greetClient(socket, tls, {
      start(leg, message, rest) {
        greeted();
        start(leg, message, rest);
      },
      cancel(processId, secret, address) {
        greeted();
        cancel(processId, secret, address);
      },
      gone(reason) {
        greeted();
        services.log.debug(
          { client: socket.remoteAddress, reason },
          'a connection ended before it said who it is',
        );
      },
    });
  });
}

/** Resolves when `server` listens. @throws OperatorError when it cannot */
export function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new OperatorError(`cannot listen on ${host}:${port}: ${error.code ?? error.message}`));
    });
    server.listen({ host, port, backlog: 511 }, resolve);
  });
}
