/**
 * One execution whose effect is counted: the counts around it, and what it returns until
 * it is known whether it stays.
 *
 * Law: it is complete when it has ended and been counted, and only then is the gate
 * told, once. What is kept back of it goes to the client whole or not at all.
 */
import type { Refusal } from '../errors.js';
import { textColumns } from '../protocol/backend.js';
import { flush } from '../protocol/encode.js';
import { count, prepareCount, savepoint } from './own-messages.js';
import type { Batch } from './own-messages.js';
import type { Counts, Ending, Execution, Guard } from './ports.js';

const FLUSH = flush();
/** Of what an execution that may be undone returns, bytes that are kept until it has been counted. */
const WITHHELD_LIMIT = 1_048_576;

export class CountedExecution {
  readonly execution: Execution | null;
  /** There is a savepoint before it. */
  readonly savepoint: boolean;
  /** It can be undone as if it had never been sent. */
  readonly undoable: boolean;
  /** The portals that must be made again when it has been undone. */
  readonly portals: readonly string[];
  readonly #guard: Guard;
  readonly #counts: readonly [(readonly (string | null)[])[], (readonly (string | null)[])[]] = [[], []];
  /** How many of the two counts are done, or needless. */
  #counted: 0 | 1 | 2;
  /** The second count has been asked for: with a COPY FROM STDIN only when its data is complete. */
  #countedAgain = false;
  /** The client sends copy data for it. */
  takesData = false;
  #withheld: Buffer[] = [];
  #withheldBytes = 0;
  /** How it ended; null: it has not, or the gate has been told, and has said what is to become of it. */
  #ending: Ending | null = null;

  /**
   * @param portals those to make again when it has been undone; null: it cannot be undone
   * @param inBlock it runs in a transaction block
   */
  constructor(
    guard: Guard,
    execution: Execution | null,
    portals: readonly string[] | null,
    inBlock: boolean,
  ) {
    this.#guard = guard;
    this.#counted = guard.before === null ? 1 : 0;
    this.execution = execution;
    this.undoable = portals !== null;
    this.portals = portals ?? [];
    this.savepoint = this.undoable && inBlock;
  }

  /** What goes before its Execute. @param prepared names of the queries that the server has already */
  begin(batch: Batch, prepared: Set<string>): void {
    const { before, after } = this.#guard;
    for (const query of [before, after]) {
      if (query === null || prepared.has(query.name)) continue;
      prepareCount(batch, query.name, query.sql);
      prepared.add(query.name);
    }
    if (this.savepoint) savepoint(batch);
    if (before !== null) count(batch, before.name);
  }

  /** What goes behind its Execute: the second count, but not before a COPY's data. */
  executed(batch: Batch): void {
    if (this.#guard.copyIn) batch.bytes.push(FLUSH);
    else this.countAgain(batch);
  }

  /** The second count. */
  countAgain(batch: Batch): void {
    this.#countedAgain = true;
    count(batch, this.#guard.after.name);
    batch.bytes.push(FLUSH);
  }

  get countedAgain(): boolean {
    return this.#countedAgain;
  }

  /** A row of the count that is due. */
  row(bytes: Buffer, start: number, end: number): void {
    this.#counts[this.#counted === 0 ? 0 : 1].push(textColumns(bytes, start, end));
  }

  /** A count is complete. */
  countDone(): void {
    this.#counted = this.#counted === 0 ? 1 : 2;
  }

  get counts(): readonly [Counts, Counts] {
    return this.#counts;
  }

  /** A message of it is kept from the client. */
  withhold(message: Buffer): void {
    this.#withheldBytes += message.length;
    if (this.#withheldBytes > WITHHELD_LIMIT) this.#withheld = [];
    else this.#withheld.push(Buffer.from(message));
  }

  /** What is kept of it; a refusal where that was more than can be kept. */
  get withheld(): readonly Buffer[] | Refusal {
    return this.#withheldBytes > WITHHELD_LIMIT ? tooMuchReturned() : this.#withheld;
  }

  end(ending: Ending): void {
    this.#ending = ending;
  }

  /** It has ended, and the gate has not said yet what is to become of it. */
  get undecided(): boolean {
    return this.#ending !== null;
  }

  /** How it ended, when it has also been counted; null: something of that is to come. */
  get complete(): Ending | null {
    return this.#counted === 2 ? this.#ending : null;
  }

  /** The gate has said what is to become of it. */
  decided(): void {
    this.#ending = null;
  }
}

function tooMuchReturned(): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '54000',
    message: `holdfast: the statement returns more than the ${WITHHELD_LIMIT} bytes that can be kept back until what it changes is known`,
    hint: 'Nothing was kept of it. Leave RETURNING out, or return less.',
    routine: 'holdfast/row-limit',
  };
}
