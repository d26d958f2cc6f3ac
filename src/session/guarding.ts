/**
 * Executions whose effect is counted before any of it is committed.
 *
 *   count, Execute, count, Flush   →   the gate's word   →   the client's Sync, or the undoing
 *
 * Law: while one is under way its message stays at hand in the client's stream, so that
 * nothing of the client's gets past it; what tells the client that it succeeded is kept
 * back until the gate has said that it stays. A simple Query is carried by the extended
 * protocol, since only there the end of a statement is not the end of its transaction
 * (PostgreSQL documentation, chapter "Message Flow"). What is counted, and what
 * is made of it, is not known here; what one execution has come to
 * (counted-execution.ts), how far a string has been carried (carried-string.ts) and
 * what is being asked (questions.ts) have their own files.
 */
import type { Refusal } from '../errors.js';
import { errorFields } from '../protocol/backend.js';
import { flush, noticeResponse, sync } from '../protocol/encode.js';
import type { Notice } from '../protocol/encode.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { CarriedString } from './carried-string.js';
import { CountedExecution } from './counted-execution.js';
import { KeptBinds } from './kept-binds.js';
import { MessageAtHand } from './message-at-hand.js';
import { CARRIED_EXECUTE, carry, endCarrying, keepSince, undoSince } from './own-messages.js';
import type { Batch } from './own-messages.js';
import type {
  Asking,
  BeforeAnswer,
  CarriedStatement,
  ConversationPorts,
  CountedAnswer,
  Ending,
  Execution,
  Guard,
} from './ports.js';
import { FAILING_EXECUTE } from './provoked.js';
import { Questions } from './questions.js';
import { reply } from './replies.js';
import type { Reply } from './replies.js';
import type { ConversationState } from './state.js';

const FLUSH = flush();
const SYNC = sync();
const NO_BYTES = Buffer.alloc(0);

/** Something is asked before an execution, of which nothing has been sent yet. */
interface Prelude {
  readonly execution: Execution | null;
  readonly changes: Reply['changes'];
  /** What begins it. */
  readonly start: () => Buffer;
}

/** An Execute that is to be counted. */
interface Guarded {
  readonly guard: Guard;
  readonly execution: Execution | null;
  readonly changes: Reply['changes'];
}

export class Guarding {
  /** The client's message that waits for what is under way. */
  readonly atHand = new MessageAtHand();
  readonly questions = new Questions();
  readonly #state: ConversationState;
  readonly #ports: Pick<ConversationPorts, 'gate' | 'toServer'>;
  /** The queries that count which the server has. */
  readonly #prepared = new Set<string>();
  readonly #binds = new KeptBinds();
  /** Place in the order of requests where what is under way begins: what fails before it may lie before a Sync. */
  #from = 0;
  #current: CountedExecution | null = null;
  #prelude: Prelude | null = null;
  /** Asks the gate again for what it did not know yet. */
  #again: (() => void) | null = null;
  #carried: CarriedString | null = null;
  /** What reports the last statement of a string, until that is committed. */
  #lastOfString: Buffer | null = null;
  #uncommitted = false;
  #lettingGo = false;
  #inPlace: Buffer | null = null;
  /** Whether there was ever anything to guard: what follows is looked at more closely then. */
  used = false;

  constructor(state: ConversationState, ports: Pick<ConversationPorts, 'gate' | 'toServer'>) {
    this.#state = state;
    this.#ports = ports;
  }

  /** Something that was counted is not committed, as far as the server has said. */
  get uncommitted(): boolean {
    return this.#uncommitted;
  }

  get #underWay(): boolean {
    return this.#current !== null || this.#carried !== null || this.#prelude !== null || this.#lettingGo;
  }

  /** What has begun for the message at hand is being ended, of which it waits to be asked about again. */
  get lettingGo(): boolean {
    return this.#lettingGo;
  }

  /** What the client gets in place of the message that was kept back. */
  takeInPlace(): Buffer | null {
    const bytes = this.#inPlace;
    this.#inPlace = null;
    return bytes;
  }

  /**
   * A statement's name changes its meaning; null: all do. The names of Holdfast's own can be read in
   * pg_prepared_statements, so the client may have meant one of them: it is prepared again before it counts anything.
   */
  statementChanged(name: string | null): void {
    if (name === null) {
      this.#prepared.clear();
      return;
    }
    this.#prepared.delete(name);
    this.#binds.statementChanged(name);
  }

  portalClosed(name: string): void {
    this.#binds.portalClosed(name);
  }

  /** The client sent a Sync or a Query: what comes behind it is another transaction, or another command of it. */
  groupEnded(): void {
    this.#binds.clear();
  }

  // ---------------------------------------------------------------- from the client

  /** A Bind was passed on. @param message it, to be kept so that its portal can be made again; null: that will not be needed */
  bound(portal: string, statement: string, message: Buffer | null): void {
    this.#binds.bound(portal, statement, message);
  }

  /** What makes portals again that are gone, before a message that is not counted itself. @returns the bytes, null: nothing */
  takeRebind(): Buffer | null {
    if (!this.#binds.someGone) return null;
    const batch: Batch = { bytes: [], replies: [] };
    this.#binds.repeat(batch);
    return this.#push(batch);
  }

  /**
   * People decide about the Execute of `portal`, which may take long, and its Parse and Bind have begun a transaction that
   * has locked tables: it is ended meanwhile, and bound again when it runs. In a transaction block that is the client's.
   * @returns the bytes to send, null: there is no such transaction, or what is in it could not be made again
   */
  letGo(portal: string): Buffer | null {
    const { replies, status, executed } = this.#state;
    const portals = this.#binds.all();
    if (status !== 'I' || executed > 0 || !replies.groupOpen || replies.length > 0) return null;
    if (portals === null || !this.#binds.has(portal)) return null;
    this.used = true;
    this.#lettingGo = true;
    this.#from = replies.places;
    this.atHand.wait();
    this.#binds.gone(portals);
    return this.#push({ bytes: [SYNC], replies: [reply('undo_sync')] });
  }

  /** Where the transaction stands is known, and not what an answer under way may change. */
  get #settled(): boolean {
    return !this.#state.replies.groupOutstanding;
  }

  /** An Execute, `message`, is sent among what counts its effect. @returns the bytes to send in its place */
  execute(portal: string, message: Buffer, guarded: Guarded): Buffer {
    const kept = Buffer.from(message);
    // What a pipeline has run before, without a Sync, could not be told from it.
    const first = this.#state.executed === 0;
    return this.#afterAsking(guarded, () => this.#executeNow(portal, kept, guarded, first));
  }

  #executeNow(portal: string, message: Buffer, guarded: Guarded, first: boolean): Buffer {
    const inBlock = this.#state.status === 'T';
    // A savepoint gives back all portals but the one that ran since.
    const portals = inBlock ? [portal] : this.#binds.all();
    const undoable = this.#mayBeUndone(guarded.guard) && first && this.#binds.has(portal);
    const batch: Batch = { bytes: [], replies: [] };
    if (guarded.guard.first === null) this.#from = this.#state.replies.places;
    this.#binds.repeat(batch);
    return this.#run(batch, message, guarded, undoable ? portals : null);
  }

  /** A Query is carried. @returns the bytes to send in its place */
  query(statements: readonly CarriedStatement[]): Buffer {
    this.used = true;
    this.atHand.wait();
    this.#from = this.#state.replies.places;
    this.#carried = new CarriedString(statements);
    return this.#carryOn(this.#carried);
  }

  /** The client's copy data is complete: CopyDone, `message`, is sent, and the effect counted. null: nothing is counted */
  copyDone(message: Buffer): Buffer | null {
    const current = this.#current;
    if (current === null) return null;
    this.atHand.wait();
    const batch: Batch = { bytes: [Buffer.from(message)], replies: [] };
    current.countAgain(batch);
    return this.#push(batch);
  }

  /**
   * The copy data that is counted ends without CopyDone, so the server is about to fail it: what the client sends
   * next waits for that. @returns whether there is any such
   */
  copyGivenUp(): boolean {
    if (this.#current === null) return false;
    this.atHand.wait();
    return true;
  }

  /** Whether a Sync within copy data is to be dropped: the server would ignore it, and what is counted behind it must be sure to be read. */
  get dropsSync(): boolean {
    return this.#current !== null;
  }

  /** Sends an Execute, `message`, among what counts it. @param portals those to make again when it has been undone; null: it cannot be undone */
  #run(
    batch: Batch,
    message: Buffer,
    { guard, execution, changes }: Guarded,
    portals: readonly string[] | null,
  ): Buffer {
    this.used = true;
    this.atHand.wait();
    const current = new CountedExecution(guard, execution, portals, this.#state.status === 'T');
    this.#current = current;
    current.begin(batch, this.#prepared);
    batch.bytes.push(message);
    batch.replies.push(
      reply(current.undoable ? 'preview_execute' : 'guarded_execute', { execution, changes }),
    );
    current.executed(batch);
    return this.#push(batch);
  }

  #mayBeUndone({ preview, copyIn }: Guard): boolean {
    return preview && !copyIn && this.#settled;
  }

  #push({ bytes, replies }: Batch): Buffer {
    for (const item of replies) {
      item.ofString = this.#carried !== null;
      this.#state.replies.push(item);
    }
    return Buffer.concat(bytes);
  }

  #send(bytes: Buffer): void {
    this.atHand.sent();
    this.#ports.toServer(bytes);
  }

  /** The string's statements up to the next one that is counted, or to its end. */
  #carryOn(carried: CarriedString): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    const next = carried.carryOn(batch, (change) => {
      this.#nameChanged(change);
    });
    if (next !== null) {
      const { statement, guard } = next;
      const others = this.#push(batch);
      const guarded = { guard, execution: statement.execution, changes: statement.changes };
      const begun = this.#afterAsking(guarded, () => this.#carryGuarded(carried, statement.text, guarded));
      return Buffer.concat([others, begun]);
    }
    endCarrying(batch);
    batch.bytes.push(SYNC);
    batch.replies.push(reply('carried_sync'));
    const bytes = this.#push(batch);
    // All that is left of it is its end.
    this.#finish();
    return bytes;
  }

  #carryGuarded(carried: CarriedString, text: Buffer, guarded: Guarded): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    // What a string has begun already is undone with it, so only a statement that is all of it can be asked about again.
    const undoable = this.#mayBeUndone(guarded.guard) && this.#state.executed === 0 && carried.single;
    carry(batch, text, undoable ? 'preview_describe' : 'carried_describe');
    return this.#run(batch, CARRIED_EXECUTE, guarded, undoable ? [] : null);
  }

  #nameChanged(change: Reply['changes'][number]): void {
    if (change.kind === 'drop_all_statements') this.statementChanged(null);
    else if (change.kind === 'define_statement' || change.kind === 'drop_statement')
      this.statementChanged(change.name);
  }

  // ---------------------------------------------------------------- questions

  /** What begins an execution, behind what is asked before it. @returns the bytes to send now */
  #afterAsking({ guard: { first }, execution, changes }: Guarded, start: () => Buffer): Buffer {
    if (first === null) return start();
    this.used = true;
    this.atHand.wait();
    if (this.#carried === null) this.#from = this.#state.replies.places;
    this.#prelude = { execution, changes, start };
    return this.#ask(first, (answer) => {
      this.#mayBegin(answer);
    });
  }

  #ask<Next>(asking: Asking<Next>, next: (answer: Next) => void): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    this.questions.ask(batch, asking, next);
    return this.#push(batch);
  }

  #mayBegin(answer: BeforeAnswer): void {
    const prelude = this.#prelude;
    if (prelude === null) return;
    switch (answer.kind) {
      case 'ask':
        this.#send(
          this.#ask(answer, (next) => {
            this.#mayBegin(next);
          }),
        );
        return;
      case 'run':
        this.#prelude = null;
        this.#send(prelude.start());
        return;
      case 'refuse':
        this.#refuse(answer.refusal);
        return;
    }
  }

  /** What was to be executed is not: the gate and the names hear it, since no reply of it is due. */
  #neverBegun(): void {
    const prelude = this.#prelude;
    this.#prelude = null;
    if (prelude === null) return;
    for (const change of prelude.changes) this.#state.names.abandon(change);
    this.#skipped(prelude.execution);
  }

  /** What the gate did not know may be known now. */
  resume(): void {
    const again = this.#again;
    this.#again = null;
    again?.();
  }

  // ---------------------------------------------------------------- from the server

  /** The server reads copy data now: the client can send it. */
  copying(): void {
    if (this.#current === null) return;
    this.#current.takesData = true;
    this.atHand.seenTo();
  }

  row(bytes: Buffer, start: number, end: number): void {
    this.#current?.row(bytes, start, end);
  }

  /** A message of the execution's is kept from the client. `ending`: it was the last of it. */
  withhold(message: Buffer, ending: Ending | null): void {
    const current = this.#current;
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
    this.#send(this.#push(batch));
  }

  /** The last statement of a string that is carried was reported. */
  withholdLast(message: Buffer): void {
    this.#lastOfString = Buffer.from(message);
  }

  /** A count is complete. */
  countDone(): void {
    const current = this.#current;
    if (current === null) return;
    current.countDone();
    const ending = current.complete;
    if (ending === null) return;
    const [before, after] = current.counts;
    const { gate } = this.#ports;
    this.#judged(current, gate.counted(current.execution, ending, before, after, current.undoable));
  }

  #judged(current: CountedExecution, answer: CountedAnswer): void {
    if (answer.kind !== 'ask' && answer.kind !== 'wait') current.decided();
    switch (answer.kind) {
      case 'ask':
        this.#send(
          this.#ask(answer, (next) => {
            this.#judged(current, next);
          }),
        );
        return;
      case 'wait':
        this.#again = () => {
          if (this.#current === current) this.#judged(current, answer.then());
        };
        return;
      case 'pass':
        this.#pass(current, answer.notice);
        return;
      case 'refuse':
        this.#refuse(answer.refusal);
        return;
      case 'undo':
        this.#undo(current);
        return;
    }
  }

  #pass(current: CountedExecution, notice: Notice | null): void {
    const { withheld } = current;
    if ('sqlstate' in withheld) {
      this.#refuse(withheld);
      return;
    }
    this.#current = null;
    this.#uncommitted = true;
    const batch: Batch = { bytes: [], replies: [] };
    if (current.savepoint) keepSince(batch);
    if (batch.bytes.length > 0) this.#send(this.#push(batch));
    // A record of it waits to be written.
    this.atHand.sent();
    const carried = this.#carried;
    const shown = [...(notice === null ? [] : [noticeResponse(notice)]), ...withheld];
    if (carried?.atEnd === true) {
      // Its rows may be seen now, that it succeeded not before it is committed.
      this.#lastOfString = shown.pop() ?? null;
    }
    this.#inPlace = Buffer.concat(shown);
    if (carried === null) this.#finish();
    else this.#send(this.#carryOn(carried));
  }

  /** What the server has done is not to stay: it fails instead. */
  #refuse(refusal: Refusal): void {
    const batch: Batch = { bytes: [FAILING_EXECUTE], replies: [reply('refused_message', { refusal })] };
    if (this.#carried === null) this.#state.mode = 'skipping';
    else this.#endOfString(batch, this.#carried);
    this.#send(this.#push(batch));
    this.#finish();
  }

  #skipRest(carried: CarriedString): void {
    for (const { execution } of carried.skipRest()) this.#skipped(execution);
  }

  #endOfString(batch: Batch, carried: CarriedString): void {
    this.#skipRest(carried);
    batch.bytes.push(SYNC);
    batch.replies.push(reply('carried_sync'));
  }

  #skipped(execution: Execution | null): void {
    if (execution !== null) this.#ports.gate.ended(execution, { rows: null, sqlstate: null, skipped: true });
  }

  #undo(current: CountedExecution): void {
    const batch: Batch = { bytes: [], replies: [] };
    if (current.savepoint) {
      undoSince(batch);
      batch.bytes.push(FLUSH);
    } else {
      batch.bytes.push(FAILING_EXECUTE, SYNC);
      batch.replies.push(reply('undo_execute'), reply('undo_sync'));
    }
    this.#binds.gone(current.portals);
    this.#send(this.#push(batch));
  }

  /** An undoing is complete: the message is asked about again. */
  undone(): void {
    if (this.#current !== null && this.#carried === null) this.#state.executed -= 1;
    this.#current = null;
    this.#carried = null;
    this.#lettingGo = false;
    this.atHand.askAgain();
  }

  /** What belongs to counting failed on the server. @returns what the client gets in its place; null: the server's error */
  countFailed(bytes: Buffer, start: number, end: number): Refusal | null {
    this.#prepared.clear();
    const fields = errorFields(bytes, start, end);
    const current = this.#current;
    // One that has not ended is skipped, and the gate hears that where its entry is taken off.
    const ended = current?.undecided === true;
    return this.#ports.gate.uncounted(
      ended ? current.execution : null,
      fields.get('C') ?? 'XX000',
      fields.get('M') ?? '',
      this.questions.open ? 'asking' : 'counting',
    );
  }

  /**
   * A message failed, and the server skips to the next Sync. What is under way goes on only behind that Sync.
   * @param first place of the message that failed
   * @param last place of the last that is skipped
   */
  failed(first: number, last: number): void {
    const carried = this.#carried;
    if (!this.#underWay || last < this.#from) return;
    // The query that counts may have been among what was skipped.
    this.#prepared.clear();
    if (carried !== null && first < this.#from) {
      // What came before the string failed without a Sync: the server skips it like any Query, up to the client's.
      this.#skipRest(carried);
    } else if (carried !== null) {
      // Its Sync is sent when nothing of it is under way any more.
      const batch: Batch = { bytes: [], replies: [] };
      this.#endOfString(batch, carried);
      this.#send(this.#push(batch));
      this.#state.mode = 'ready';
    }
    this.#finish();
  }

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
    this.#uncommitted = false;
  }

  // ---------------------------------------------------------------- records

  /**
   * `items` never left for the server, and never will; whoever says so refuses them.
   * @returns whether something is still under way, all of which has left
   */
  lost(items: readonly Reply[]): boolean {
    this.#prepared.clear();
    if (items.some(({ kind }) => kind === 'carried_sync')) this.#lastOfString = null;
    if (!this.#underWay) return false;
    if (!items.some(({ place }) => place >= this.#from)) return true;
    const current = this.#current;
    if (current !== null && current.execution !== null && current.undecided) {
      const { sqlstate } = this.#ports.gate.unrecorded();
      this.#ports.gate.ended(current.execution, { rows: null, sqlstate, skipped: false });
    }
    if (this.#carried !== null) this.#skipRest(this.#carried);
    this.#binds.gone([]);
    this.#finish();
    return false;
  }

  #finish(): void {
    this.#neverBegun();
    this.questions.drop();
    this.#again = null;
    this.#current = null;
    this.#carried = null;
    this.#lettingGo = false;
    this.atHand.seenTo();
  }
}
