/**
 * The client's message that waits for what Holdfast has the server do around it.
 *
 * Law: while one waits, nothing of the client's gets past it. It stops waiting in one of
 * two ways: it has been seen to, or it is asked about as if it had just come. Whoever
 * drives the conversation takes each word once.
 */
export class MessageAtHand {
  #waiting = false;
  #done = false;
  #resolved = false;
  #sent = false;

  /** The message at hand waits for the server, not for the gate. */
  get waiting(): boolean {
    return this.#waiting;
  }

  wait(): void {
    this.#waiting = true;
  }

  /** It has been seen to, if it waits, and is not to be handled when it is asked about again. */
  seenTo(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#done = true;
    this.#resolved = true;
  }

  /** It is asked about again: what had become of it was undone. */
  askAgain(): void {
    this.#waiting = false;
    this.#resolved = true;
  }

  /** Something was handed over for the server, or for the log. */
  sent(): void {
    this.#sent = true;
  }

  /** Whether the message at hand is to be asked about again. */
  takeResolved(): boolean {
    const resolved = this.#resolved;
    this.#resolved = false;
    if (resolved) this.#sent = true;
    return resolved;
  }

  /** Whether something was handed over for the server, or the message at hand resolved, since this was last asked. */
  takeSent(): boolean {
    const sent = this.#sent;
    this.#sent = false;
    return sent;
  }

  /** Whether the message at hand has been seen to already. */
  takeDone(): boolean {
    const done = this.#done;
    this.#done = false;
    return done;
  }
}
