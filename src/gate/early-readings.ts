/**
 * When a database's catalogs are read before their time, because a statement uses names
 * that they did not have.
 *
 * Law: bounded, whatever clients send. No more than one such reading in MIN_GAP_MS, nor
 * more of them than take a tenth of the server's time; and a name that was looked for in
 * vain is looked for again only after a while, each time after twice as long, up to the age
 * at which everything is read again anyway: temporary tables, which no reading will ever
 * find, cost a few readings and then none.
 */

/** Shortest time from one early reading to the next, and to the second one for the same name. */
export const MIN_GAP_MS = 1_000;
/** How many times as long as an early reading took the next one is put off. */
const REST = 10;
/** Names remembered; of more the oldest are forgotten. */
const NAMES_LIMIT = 1_000;

/** How a name was looked for. */
interface Sought {
  /** Milliseconds until it is looked for again. */
  readonly gap: number;
  readonly from: number;
}

export class EarlyReadings {
  readonly #maxAge: number;
  readonly #clock: () => number;
  readonly #sought = new Map<string, Sought>();
  #startedAt: number | null = null;
  #next = Number.NEGATIVE_INFINITY;

  /** @param maxAge age at which a snapshot is read again, milliseconds */
  constructor(maxAge: number, clock: () => number) {
    this.#maxAge = maxAge;
    this.#clock = clock;
  }

  /** Whether one of these names is worth a reading now. */
  isDue(names: readonly string[]): boolean {
    const now = this.#clock();
    if (now < this.#next) return false;
    return names.some((name) => {
      const sought = this.#sought.get(name);
      return sought === undefined || now >= sought.from + sought.gap;
    });
  }

  /** A reading has begun to find these. */
  began(names: readonly string[]): void {
    const now = this.#clock();
    this.#startedAt = now;
    this.#next = now + MIN_GAP_MS;
    for (const name of names) {
      const before = this.#sought.get(name);
      const gap = Math.min(this.#maxAge, before === undefined ? MIN_GAP_MS : before.gap * 2);
      // Behind all others: the first in the map is the one that was looked for longest ago.
      this.#sought.delete(name);
      this.#sought.set(name, { gap, from: now });
    }
    for (const oldest of this.#sought.keys()) {
      if (this.#sought.size <= NAMES_LIMIT) break;
      this.#sought.delete(oldest);
    }
  }

  /** The reading under way, whatever it was for, has come to its end. */
  ended(): void {
    if (this.#startedAt === null) return;
    const now = this.#clock();
    this.#next = Math.max(this.#next, now + REST * (now - this.#startedAt));
    this.#startedAt = null;
  }
}
