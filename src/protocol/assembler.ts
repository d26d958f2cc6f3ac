/**
 * Collects one message that arrives in pieces. Memory grows with what has really
 * arrived, never with what a length word announces.
 */

/** Most messages that come in pieces are small, and these come out of Node's shared pool. */
const INITIAL_BYTES = 128;

export class MessageAssembler {
  #bytes: Buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #size = 0;

  /** Bytes collected so far. */
  get size(): number {
    return this.#size;
  }

  /** Type byte; 0 while nothing has arrived. */
  get type(): number {
    return this.#size > 0 ? (this.#bytes[0] ?? 0) : 0;
  }

  /** The length word; null while it is incomplete. The caller checks it before it adds more. */
  get length(): number | null {
    return this.#size < 5 ? null : this.#bytes.readUInt32BE(1);
  }

  /**
   * Takes what belongs to this message from chunk, from `position` on; at most the header while the length is unknown.
   * @returns how many bytes were taken
   */
  add(chunk: Buffer, position: number): number {
    const { length } = this;
    const wanted = length === null ? 5 : length + 1;
    const take = Math.min(wanted - this.#size, chunk.length - position);
    this.#reserve(this.#size + take, wanted);
    chunk.copy(this.#bytes, this.#size, position, position + take);
    this.#size += take;
    return take;
  }

  #reserve(size: number, wanted: number): void {
    if (size <= this.#bytes.length) return;
    const capacity = Math.min(Math.max(size, this.#bytes.length * 2), Math.max(wanted, size));
    const grown = Buffer.allocUnsafeSlow(capacity);
    this.#bytes.copy(grown, 0, 0, this.#size);
    this.#bytes = grown;
  }

  /** The whole message; null while it is incomplete. */
  whole(): Buffer | null {
    const { length } = this;
    return length !== null && this.#size >= length + 1 ? this.#bytes.subarray(0, length + 1) : null;
  }

  /** What has been collected, for a message that goes over to streaming. */
  take(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }
}
