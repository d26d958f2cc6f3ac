/**
 * Where one session's counters stand on the server, as far as that follows from what was
 * read last, so that they need not be read again before the next statement.
 *
 * Law: what is known is never more than what the counters say; anything that might have
 * made them less, or that nobody has looked at, makes them unknown. Too little would
 * only charge a statement with rows of another; too much would hide rows.
 */
import type { Counters, Reading } from '../impact/counts.js';
import type { Ending } from '../session/ports.js';
import type { StatementFacts } from '../sql/facts.js';
import type { TransactionState } from './waits.js';

/** Milliseconds after which what other sessions have done to tables since then is looked at again. */
const LASTS_MS = 1000;

/**
 * Operations that write no row, where they are not counted, and leave the counters where they are. Not PREPARE
 * TRANSACTION, which takes them away from the session, nor SET CONSTRAINTS, which may run triggers.
 */
const LEAVES_COUNTERS: ReadonlySet<string> = new Set([
  'select',
  'values',
  'show',
  'set',
  'begin',
  'start_transaction',
  'commit',
  'rollback',
  'savepoint',
  'release_savepoint',
  'rollback_to_savepoint',
]);

const NO_TABLES: ReadonlyMap<string, Counters> = new Map();

/** Where the conversation with the server stands. */
type Standing = Pick<TransactionState, 'groupOutstanding' | 'idles'>;

interface Known {
  readonly reading: Reading<Counters>;
  /** Milliseconds. */
  readonly at: number;
  /** How often the server had been idle by then. */
  readonly idles: number;
}

export class KnownCounters {
  readonly #clock: () => number;
  #known: Known | null = null;

  /** @param clock milliseconds */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /**
   * What the next execution finds, where it is counted; it changes that, so nothing is known behind it.
   * @returns null: that is not known
   */
  take({ groupOutstanding, idles }: Standing): Reading<Counters> | null {
    const known = this.#known;
    this.#known = null;
    // Between now and the execution the server may be idle once more.
    if (known === null || groupOutstanding || this.#clock() - known.at > LASTS_MS) return null;
    const { reading } = known;
    if (known.idles === idles) return reading;
    // A server that does not begin anew at once may do so whenever it is idle.
    return reading.startsAnew ? { ...reading, tables: NO_TABLES, catalog: 0 } : null;
  }

  /** The counters were read, behind what was counted. */
  read(reading: Reading<Counters>, { idles }: Standing): void {
    this.#known = { reading, at: this.#clock(), idles };
  }

  /**
   * An execution ended that was not counted, or one that was to be and failed: what it did until then is in no reading.
   * Of a string all statements have passed before the first of them ran, so that one may have been read in between.
   */
  ended(operation: string, { sqlstate }: Ending): void {
    if (sqlstate !== null || !LEAVES_COUNTERS.has(operation)) this.#known = null;
  }

  /** A statement runs that is not counted. @param facts null: it could not be read */
  uncounted(facts: StatementFacts | null): void {
    if (facts === null || !LEAVES_COUNTERS.has(facts.operation)) this.#known = null;
  }
}
