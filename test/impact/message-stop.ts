/**
 * A TCP middleman that counts the protocol's messages and stops after any one of them:
 * so a session stands still exactly where a test wants it.
 */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** Where a session is to stop: so many messages of one side are let through, no further one. */
export interface Stop {
  readonly side: 'frontend' | 'backend';
  readonly after: number;
}

export interface StopPassage {
  /** Counting begins now, at the first message of each side that is still to come; null: nothing is stopped. */
  arm(stop: Stop | null): void;
  /** Something is held back. */
  readonly stopped: Promise<void>;
  /** Messages let through since arm(). */
  readonly passed: { readonly frontend: number; readonly backend: number };
  /** What is held back for the server goes on to it, or is dropped; then it is told that nothing more comes. Resolves when it has hung up. */
  end(held: 'deliver' | 'drop'): Promise<void>;
}

/** Cuts a stream into messages. A StartupMessage has no type byte, so nothing is counted before arm(). */
class Side {
  passed = 0;
  #after: number | null = null;
  #armed = false;
  #held: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  readonly #write: (bytes: Buffer) => void;
  readonly #onHeld: () => void;

  constructor(write: (bytes: Buffer) => void, onHeld: () => void) {
    this.#write = write;
    this.#onHeld = onHeld;
  }

  arm(after: number | null): void {
    this.#armed = true;
    this.#after = after;
  }

  receive(bytes: Buffer): void {
    if (!this.#armed) {
      this.#write(bytes);
      return;
    }
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 5) {
      const length = 1 + this.#rest.readUInt32BE(1);
      if (this.#rest.length < length) break;
      const message = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      if (this.#after === null || this.passed < this.#after) {
        this.passed += 1;
        this.#write(message);
      } else {
        this.#held.push(message);
        this.#onHeld();
      }
    }
  }

  release(): void {
    this.passed += this.#held.length;
    for (const message of this.#held.splice(0)) this.#write(message);
  }
}

export interface StopMiddleman {
  readonly host: string;
  readonly port: number;
  /** In the order in which they were made. */
  readonly passages: readonly StopPassage[];
  close(): Promise<void>;
}

export async function startStopMiddleman(target: {
  readonly host: string;
  readonly port: number;
}): Promise<StopMiddleman> {
  const passages: StopPassage[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host: target.host, port: target.port, noDelay: true, allowHalfOpen: true });
    let stop: () => void = () => undefined;
    const stopped = new Promise<void>((resolve) => {
      stop = resolve;
    });
    const gone = new Promise<void>((resolve) => {
      far.on('close', () => {
        resolve();
      });
      far.on('end', () => {
        far.destroy();
      });
    });
    const frontend = new Side((bytes) => far.write(bytes), stop);
    const backend = new Side((bytes) => {
      if (!near.destroyed) near.write(bytes);
    }, stop);
    for (const socket of [near, far]) {
      sockets.add(socket);
      // The killed side's reset; the other is told by end().
      socket.on('error', () => undefined);
    }
    near.on('data', (bytes: Buffer) => {
      frontend.receive(bytes);
    });
    far.on('data', (bytes: Buffer) => {
      backend.receive(bytes);
    });
    passages.push({
      arm(at) {
        frontend.arm(at?.side === 'frontend' ? at.after : null);
        backend.arm(at?.side === 'backend' ? at.after : null);
      },
      stopped,
      get passed() {
        return { frontend: frontend.passed, backend: backend.passed };
      },
      async end(held) {
        if (held === 'deliver') frontend.release();
        far.end();
        await gone;
      },
    });
  });
  await new Promise<void>((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0 }, resolve);
  });
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    passages,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
