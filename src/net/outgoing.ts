/**
 * Bytes on their way to the server. They leave in order, and none leaves before
 * the audit records that it rests on are durable.
 *
 * A segment is what the client's side produced in one go. A segment with records
 * waits for its call back from the audit log; one without records waits only for
 * those before it.
 */

export interface OutgoingPorts {
  /** Puts the chunks on the wire, all at once. */
  write(chunks: readonly Buffer[]): void;
  /** Everything up to the segment that was closed with this mark has left. */
  sent(mark: number): void;
  /** Asks the audit log; calls back later, in the order asked. */
  whenDurable(callback: (error: Error | null) => void): void;
  /** A record could not be written: everything unsent was dropped. */
  lost(): void;
}

interface Segment {
  readonly chunks: Buffer[];
  readonly mark: number;
  durable: boolean;
}

export class Outgoing {
  readonly #ports: OutgoingPorts;
  #open: Buffer[] = [];
  #segments: Segment[] = [];
  /** Call backs still to come for segments that were dropped. */
  #ignored = 0;
  #bytes = 0;
  readonly #onDurable = (error: Error | null): void => {
    this.#durable(error);
  };

  constructor(ports: OutgoingPorts) {
    this.#ports = ports;
  }

  /** Bytes waiting to leave. */
  get waiting(): number {
    return this.#bytes;
  }

  /** Adds bytes to the segment being made. They must stay as they are until they have left. */
  add(bytes: Buffer): void {
    this.#open.push(bytes);
    this.#bytes += bytes.length;
  }

  /**
   * Ends the segment.
   * @param recorded records were handed to the audit log for it, in this turn of the event loop
   * @param mark what sent() is to say when it has left
   */
  close(recorded: boolean, mark: number): void {
    if (recorded) {
      this.#segments.push({ chunks: this.#open, mark, durable: false });
      this.#open = [];
      this.#ports.whenDurable(this.#onDurable);
      return;
    }
    if (this.#open.length === 0) return;
    if (this.#segments.length > 0) {
      this.#segments.push({ chunks: this.#open, mark, durable: true });
      this.#open = [];
      return;
    }
    const chunks = this.#open;
    this.#open = [];
    this.#bytes = 0;
    this.#ports.write(chunks);
    this.#ports.sent(mark);
  }

  #durable(error: Error | null): void {
    if (this.#ignored > 0) {
      this.#ignored -= 1;
      return;
    }
    if (error !== null) {
      const waiting = this.#segments.filter((segment) => !segment.durable).length;
      this.#ignored += Math.max(0, waiting - 1);
      this.#segments = [];
      this.#open = [];
      this.#bytes = 0;
      this.#ports.lost();
      return;
    }
    const first = this.#segments.find((segment) => !segment.durable);
    if (first !== undefined) first.durable = true;
    let leaving: Buffer[] | null = null;
    let mark = 0;
    while (this.#segments[0]?.durable === true) {
      const segment = this.#segments.shift();
      if (segment === undefined) break;
      leaving = leaving === null ? segment.chunks : leaving.concat(segment.chunks);
      mark = segment.mark;
    }
    if (leaving === null) return;
    this.#bytes = 0;
    for (const segment of this.#segments) for (const chunk of segment.chunks) this.#bytes += chunk.length;
    for (const chunk of this.#open) this.#bytes += chunk.length;
    this.#ports.write(leaving);
    this.#ports.sent(mark);
  }
}
