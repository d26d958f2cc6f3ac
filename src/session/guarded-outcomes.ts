/**
 * What becomes of executions whose effect is counted before any of it is committed.
 *
 * Law: what tells the client that one succeeded is kept back until the gate has said that
 * it stays; what does not stay is made to fail, or undone as if it had never been sent.
 * How they begin is guarded-requests.ts's.
 */
import type { Refusal } from '../errors.js';
import { errorFields } from '../protocol/backend.js';
import { flush, noticeResponse, sync } from '../protocol/encode.js';
import type { Notice } from '../protocol/encode.js';
import { ProtocolViolation } from '../protocol/violation.js';
import type { CountedExecution } from './counted-execution.js';
import type { GuardedRequests } from './guarded-requests.js';
import { keepSince, undoSince } from './own-messages.js';
import type { Batch } from './own-messages.js';
import type { CountedAnswer, Ending, StatementGate } from './ports.js';
import { FAILING_EXECUTE } from './provoked.js';
import type { Questions } from './questions.js';
import { reply } from './replies.js';
import type { Reply } from './replies.js';
import type { ConversationState } from './state.js';
import type { UnderWay } from './under-way.js';

const FLUSH = flush();
const SYNC = sync();
const NO_BYTES = Buffer.alloc(0);

export class GuardedOutcomes {
  readonly #state: ConversationState;
  readonly #gate: StatementGate;
  readonly #way: UnderWay;
  readonly #requests: Pick<GuardedRequests, 'carryOn'>;
  /** What reports the last statement of a string, until that is committed. */
  #lastOfString: Buffer | null = null;
  #inPlace: Buffer | null = null;

  constructor(
    state: ConversationState,
    gate: StatementGate,
    way: UnderWay,
    requests: Pick<GuardedRequests, 'carryOn'>,
  ) {
    this.#state = state;
    this.#gate = gate;
    this.#way = way;
    this.#requests = requests;
  }

  /** Whether there was ever anything to guard: what follows is looked at more closely then. */
  get used(): boolean {
    return this.#way.used;
  }

  get questions(): Questions {
    return this.#way.questions;
  }

  /** What the client gets in place of the message that was kept back. */
  takeInPlace(): Buffer | null {
    const bytes = this.#inPlace;
    this.#inPlace = null;
    return bytes;
  }

  // ---------------------------------------------------------------- while it runs

  /** The server reads copy data now: the client can send it. */
  copying(): void {
    if (this.#way.current === null) return;
    this.#way.current.takesData = true;
    this.#way.atHand.seenTo();
  }

  row(bytes: Buffer, start: number, end: number): void {
    this.#way.current?.row(bytes, start, end);
  }

  /** A message of the execution's is kept from the client. `ending`: it was the last of it. */
  withhold(message: Buffer, ending: Ending | null): void {
    const { current } = this.#way;
    if (current === null) return;
    current.withhold(message);
    if (ending === null) return;
    current.end(ending);
    if (current.countedAgain) return;
    // What is asked now would stand in the midst of the client's data.
    if (current.takesData)
      throw new ProtocolViolation('the server ended a COPY before its data was complete');
    // A COPY that took no data from the client.
    const batch: Batch = { bytes: [], replies: [] };
    current.countAgain(batch);
    this.#way.send(this.#way.push(batch));
  }

  /** The last statement of a string that is carried was reported. */
  withholdLast(message: Buffer): void {
    this.#lastOfString = Buffer.from(message);
  }

  // ---------------------------------------------------------------- the gate's word

  /** A count is complete. */
  countDone(): void {
    const { current } = this.#way;
    if (current === null) return;
    current.countDone();
    const ending = current.complete;
    if (ending === null) return;
    const [before, after] = current.counts;
    this.#judged(current, this.#gate.counted(current.execution, ending, before, after, current.undoable));
  }

  /** What the gate did not know may be known now. */
  resume(): void {
    const { again } = this.#way;
    this.#way.again = null;
    again?.();
  }

  #judged(current: CountedExecution, answer: CountedAnswer): void {
    if (answer.kind !== 'ask' && answer.kind !== 'wait') current.decided();
    switch (answer.kind) {
      case 'ask':
        this.#way.send(
          this.#way.ask(answer, (next) => {
            this.#judged(current, next);
          }),
        );
        return;
      case 'wait':
        this.#way.again = () => {
          if (this.#way.current === current) this.#judged(current, answer.then());
        };
        return;
      case 'pass':
        this.#pass(current, answer.notice);
        return;
      case 'refuse':
        this.#way.refuse(answer.refusal);
        return;
      case 'undo':
        this.#undo(current);
        return;
    }
  }

  #pass(current: CountedExecution, notice: Notice | null): void {
    const { withheld } = current;
    if ('sqlstate' in withheld) {
      this.#way.refuse(withheld);
      return;
    }
    this.#way.current = null;
    this.#way.uncommitted = true;
    const batch: Batch = { bytes: [], replies: [] };
    if (current.savepoint) keepSince(batch);
    if (batch.bytes.length > 0) this.#way.send(this.#way.push(batch));
    // A record of it waits to be written.
    this.#way.atHand.sent();
    const { carried } = this.#way;
    const shown = [...(notice === null ? [] : [noticeResponse(notice)]), ...withheld];
    if (carried?.atEnd === true) {
      // Its rows may be seen now, that it succeeded not before it is committed.
      this.#lastOfString = shown.pop() ?? null;
    }
    this.#inPlace = Buffer.concat(shown);
    if (carried === null) this.#way.finish();
    else this.#way.send(this.#requests.carryOn(carried));
  }

  // ---------------------------------------------------------------- what does not stay

  #undo(current: CountedExecution): void {
    const batch: Batch = { bytes: [], replies: [] };
    if (current.savepoint) {
      undoSince(batch);
      batch.bytes.push(FLUSH);
    } else {
      batch.bytes.push(FAILING_EXECUTE, SYNC);
      batch.replies.push(reply('undo_execute'), reply('undo_sync'));
    }
    this.#way.binds.gone(current.portals);
    this.#way.send(this.#way.push(batch));
  }

  /** An undoing, or a letting go, is complete: the message is asked about again. */
  undone(): void {
    if (this.#way.current !== null && this.#way.carried === null) this.#state.executed -= 1;
    this.#way.askAgain();
  }

  /** What belongs to counting failed on the server. @returns what the client gets in its place; null: the server's error */
  countFailed(bytes: Buffer, start: number, end: number): Refusal | null {
    const { current, prepared, questions } = this.#way;
    prepared.clear();
    const fields = errorFields(bytes, start, end);
    // One that has not ended is skipped, and the gate hears that where its entry is taken off.
    const ended = current?.undecided === true;
    return this.#gate.uncounted(
      ended ? current.execution : null,
      fields.get('C') ?? 'XX000',
      fields.get('M') ?? '',
      questions.open ? 'asking' : 'counting',
    );
  }

  /**
   * A message failed, and the server skips to the next Sync. What is under way goes on only behind that Sync.
   * @param first place of the message that failed
   * @param last place of the last that is skipped
   */
  failed(first: number, last: number): void {
    const { carried, from, prepared, some } = this.#way;
    if (!some || last < from) return;
    // The query that counts may have been among what was skipped.
    prepared.clear();
    if (carried !== null && first < from) {
      // What came before the string failed without a Sync: the server skips it like any Query, up to the client's.
      this.#way.skipRest(carried);
    } else if (carried !== null) {
      // Its Sync is sent when nothing of it is under way any more.
      const batch: Batch = { bytes: [], replies: [] };
      this.#way.endOfString(batch, carried);
      this.#way.send(this.#way.push(batch));
      this.#state.mode = 'ready';
    }
    this.#way.finish();
  }

  // ---------------------------------------------------------------- the end of a transaction

  /** The string's transaction ended well, or is still open: what reports its last statement goes before `ready`. */
  carriedReady(ready: Buffer): void {
    this.#inPlace = Buffer.concat([this.#lastOfString ?? NO_BYTES, ready]);
    this.#lastOfString = null;
  }

  /** The string's end failed. */
  carriedFailed(): void {
    this.#lastOfString = null;
  }

  /** The client's transaction is committed, rolled back, or a block whose end will be asked for. */
  ready(): void {
    this.#way.uncommitted = false;
  }

  // ---------------------------------------------------------------- records

  /**
   * `items` never left for the server, and never will; whoever says so refuses them.
   * @returns whether something is still under way, all of which has left
   */
  lost(items: readonly Reply[]): boolean {
    const { current, carried, from, prepared, binds, some } = this.#way;
    prepared.clear();
    if (items.some(({ kind }) => kind === 'carried_sync')) this.#lastOfString = null;
    if (!some) return false;
    if (!items.some(({ place }) => place >= from)) return true;
    if (current !== null && current.execution !== null && current.undecided) {
      const { sqlstate } = this.#gate.unrecorded();
      this.#gate.ended(current.execution, { rows: null, sqlstate, skipped: false });
    }
    if (carried !== null) this.#way.skipRest(carried);
    binds.gone([]);
    this.#way.finish();
    return false;
  }
}
