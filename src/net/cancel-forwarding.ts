/**
 * Passes one session's cancel requests on to the server, each over a connection of
 * its own, as PostgreSQL wants it.
 *
 * Law: a cancel request may hit only the request of the client that it was made
 * during. It is given up when that one was answered meanwhile, and while it is under
 * way the client must not be read, to which end underWay says so. Who may cancel
 * what is not decided here (net/cancellation.ts).
 */
import type { Logger } from '../log.js';
import { cancelRequest } from '../protocol/encode.js';
import type { LoginResult } from '../session/login.js';
import { connectUpstream } from './upstream.js';
import type { UpstreamOptions } from './upstream.js';

/** The server's process id and secret. */
export type ServerKey = NonNullable<LoginResult['serverKey']>;

export interface CancelForwardingPorts {
  /** Whether the session lives and the server owes it an answer. */
  busy(): boolean;
  /** underWay may have changed. */
  changed(): void;
}

export class CancelForwarding {
  readonly #session: string;
  readonly #upstream: UpstreamOptions;
  readonly #log: Logger;
  readonly #key: ServerKey;
  readonly #ports: CancelForwardingPorts;
  /** Goes up with every answered request: a cancel request is for the request it was made during. */
  #requests = 0;
  /** Cancel requests that were sent and that the server has not yet acted on. */
  #sent = 0;

  /** @param session the session's id, for the log */
  constructor(
    session: string,
    upstream: UpstreamOptions,
    log: Logger,
    key: ServerKey,
    ports: CancelForwardingPorts,
  ) {
    this.#session = session;
    this.#upstream = upstream;
    this.#log = log;
    this.#key = key;
    this.#ports = ports;
  }

  /** Whether the server may still act on a cancel request. */
  get underWay(): boolean {
    return this.#sent > 0;
  }

  /** A request of the client was answered. */
  requestEnded(): void {
    this.#requests += 1;
  }

  /** Cancels what is running. @returns whether there is something to cancel */
  cancel(): boolean {
    if (!this.#ports.busy()) return false;
    void this.#forward(this.#requests);
    return true;
  }

  async #forward(request: number): Promise<void> {
    try {
      const { socket } = await connectUpstream(this.#upstream, new AbortController().signal);
      socket.on('error', () => {
        // The server closes the connection as soon as it has read the request.
      });
      // Connecting took time; what it was meant for may be over, and the next statement must not suffer.
      if (request !== this.#requests || !this.#ports.busy()) {
        socket.destroy();
        return;
      }
      // For the same reason nothing new is read of the client until the server has acted, which it shows by closing.
      this.#sent += 1;
      this.#ports.changed();
      socket.once('close', () => {
        this.#sent -= 1;
        this.#ports.changed();
      });
      socket.setTimeout(this.#upstream.timeout, () => {
        socket.destroy();
      });
      socket.end(cancelRequest(this.#key.processId, this.#key.secret));
      socket.resume();
    } catch (error) {
      this.#log.warn({ session: this.#session, err: error }, 'a cancel request could not be forwarded');
    }
  }
}
