/**
 * Networks that misbehave: a TCP forwarder that can be cut or held, and servers
 * that answer what a test tells them.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect } from 'node:net';

/** One connection through a middleman. */
export interface Passage {
  readonly near: Socket;
  readonly far: Socket;
  /** Bytes from the near side so far. */
  readonly sent: () => Buffer;
  /** From now on, nothing passes from the near side to the far side. */
  hold(): void;
  /** What was held passes now, and everything after it. */
  release(): void;
  /** Both sides get a reset. */
  cut(): void;
}

export interface Middleman {
  readonly host: string;
  readonly port: number;
  readonly passages: readonly Passage[];
  /** The passage with this index, as soon as there is one. */
  passage(index: number): Promise<Passage>;
  /** Called for each new passage before any byte passes. */
  onPassage: (passage: Passage, index: number) => void;
  close(): Promise<void>;
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0 }, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** Forwards connections to `target`. */
export async function startMiddleman(target: {
  readonly host: string;
  readonly port: number;
}): Promise<Middleman> {
  const passages: Passage[] = [];
  const waiting: (() => void)[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host: target.host, port: target.port, noDelay: true, allowHalfOpen: true });
    const seen: Buffer[] = [];
    let held: (() => void)[] | null = null;
    const pass = (action: () => void): void => {
      if (held === null) action();
      else held.push(action);
    };
    const passage: Passage = {
      near,
      far,
      sent: () => Buffer.concat(seen),
      hold() {
        held ??= [];
      },
      release() {
        const actions = held ?? [];
        held = null;
        for (const action of actions) action();
      },
      cut() {
        near.resetAndDestroy();
        far.resetAndDestroy();
      },
    };
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    near.on('data', (bytes: Buffer) => {
      seen.push(bytes);
      pass(() => far.write(bytes));
    });
    near.on('end', () => {
      pass(() => far.end());
    });
    far.on('data', (bytes: Buffer) => near.write(bytes));
    far.on('end', () => near.end());
    near.on('close', () => far.destroy());
    passages.push(passage);
    middleman.onPassage(passage, passages.length - 1);
    for (const wake of waiting.splice(0)) wake();
  });
  const port = await listening(server);
  const middleman: Middleman = {
    host: '127.0.0.1',
    port,
    passages,
    onPassage: () => undefined,
    async passage(index) {
      for (;;) {
        const found = passages[index];
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
      }
    },
    async close() {
      for (const { near, far } of passages) {
        near.destroy();
        far.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return middleman;
}

export interface FakeServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** A server that does with each connection what `handle` does. */
export async function startFakeServer(handle: (socket: Socket) => void): Promise<FakeServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    handle(socket);
  });
  const port = await listening(server);
  return {
    host: '127.0.0.1',
    port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A port of this machine on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
