/**
 * Bytes for a socket that are written together: each write is a call of the system's,
 * and wakes whoever reads.
 */
import type { Socket } from 'node:net';

/** Bytes up to which pieces are copied into one: cheaper than handing over a list of them. */
const COPIED = 16_384;
/** Bytes that gather at most. */
const LIMIT = 65_536;

/** Writes `chunks` at once. @returns whether the socket takes more, as Socket.write does */
export function writeTogether(socket: Socket, chunks: readonly Buffer[]): boolean {
  const [first] = chunks;
  if (first === undefined) return true;
  if (chunks.length === 1) return socket.write(first);
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (length <= COPIED) return socket.write(Buffer.concat(chunks, length));
  let flowing = true;
  socket.cork();
  for (const chunk of chunks) flowing = socket.write(chunk);
  socket.uncork();
  return flowing;
}

/** What is handed over one by one leaves at once, unless it is being gathered; the order stays. */
export class Gathering {
  readonly #write: (chunks: readonly Buffer[]) => void;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #gathers = false;

  constructor(write: (chunks: readonly Buffer[]) => void) {
    this.#write = write;
  }

  /** From here on bytes are kept, up to a limit, until release(). */
  gather(): void {
    this.#gathers = true;
  }

  /** @param bytes must stay as they are until they have left */
  add(bytes: Buffer): void {
    if (!this.#gathers) {
      this.#write([bytes]);
      return;
    }
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > LIMIT) this.#leave();
  }

  /** What has gathered leaves, and what follows at once. */
  release(): void {
    this.#gathers = false;
    if (this.#chunks.length > 0) this.#leave();
  }

  #leave(): void {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    this.#write(chunks);
  }
}
