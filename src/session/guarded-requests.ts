/**
 * Executions whose effect is counted before any of it is committed: how they begin.
 *
 *   count, Execute, count, Flush   →   the gate's word   →   the client's Sync, or the undoing
 *
 * Law: while one is under way its message stays at hand in the client's stream, so that
 * nothing of the client's gets past it. A simple Query is carried by the extended
 * protocol, since only there the end of a statement is not the end of its transaction
 * (PostgreSQL documentation, chapter "Message Flow"). What becomes of them is
 * guarded-outcomes.ts's; what is counted, and what is made of it, is not known here; what
 * one execution has come to (counted-execution.ts), how far a string has been carried
 * (carried-string.ts) and what is being asked (questions.ts) have their own files.
 */
import { sync } from '../protocol/encode.js';
import { CarriedString } from './carried-string.js';
import { CountedExecution } from './counted-execution.js';
import type { MessageAtHand } from './message-at-hand.js';
import { CARRIED_EXECUTE, carry, endCarrying } from './own-messages.js';
import type { Batch } from './own-messages.js';
import type { NameChange } from './names.js';
import type { BeforeAnswer, CarriedStatement, Execution, Guard, Meaning } from './ports.js';
import { reply } from './replies.js';
import type { Reply } from './replies.js';
import type { ConversationState } from './state.js';
import type { UnderWay } from './under-way.js';

const SYNC = sync();

/** An Execute that is to be counted. */
interface Guarded {
  readonly guard: Guard;
  readonly execution: Execution | null;
  readonly changes: Reply['changes'];
}

export class GuardedRequests {
  readonly #state: ConversationState;
  readonly #way: UnderWay;

  constructor(state: ConversationState, way: UnderWay) {
    this.#state = state;
    this.#way = way;
  }

  get atHand(): MessageAtHand {
    return this.#way.atHand;
  }

  // ---------------------------------------------------------------- names

  /**
   * A statement's name changes its meaning; null: all do. The names of Holdfast's own can be read in
   * pg_prepared_statements, so the client may have meant one of them: it is prepared again before it counts anything.
   */
  statementChanged(name: string | null): void {
    if (name === null) {
      this.#way.prepared.clear();
      return;
    }
    this.#way.prepared.delete(name);
    this.#way.binds.statementChanged(name);
  }

  /** As far as it is a statement's. */
  nameChanged(change: NameChange<Meaning>): void {
    if (change.kind === 'drop_all_statements') this.statementChanged(null);
    else if (change.kind === 'define_statement' || change.kind === 'drop_statement')
      this.statementChanged(change.name);
  }

  portalClosed(name: string): void {
    this.#way.binds.portalClosed(name);
  }

  /** The client sent a Sync or a Query: what comes behind it is another transaction, or another command of it. */
  groupEnded(): void {
    this.#way.binds.clear();
  }

  /** A Bind was passed on. @param message it, to be kept so that its portal can be made again; null: that will not be needed */
  bound(portal: string, statement: string, message: Buffer | null): void {
    this.#way.binds.bound(portal, statement, message);
  }

  /** What makes portals again that are gone, before a message that is not counted itself. @returns the bytes, null: nothing */
  takeRebind(): Buffer | null {
    if (!this.#way.binds.someGone) return null;
    const batch: Batch = { bytes: [], replies: [] };
    this.#way.binds.repeat(batch);
    return this.#way.push(batch);
  }

  // ---------------------------------------------------------------- an Execute

  /** An Execute, `message`, is sent among what counts its effect. @returns the bytes to send in its place */
  execute(portal: string, message: Buffer, guarded: Guarded): Buffer {
    this.#way.begins();
    const kept = Buffer.from(message);
    // What a pipeline has run before, without a Sync, could not be told from it.
    const first = this.#state.executed === 0;
    return this.#afterAsking(guarded, () => this.#executeNow(portal, kept, guarded, first));
  }

  #executeNow(portal: string, message: Buffer, guarded: Guarded, first: boolean): Buffer {
    const { binds } = this.#way;
    const inBlock = this.#state.status === 'T';
    // A savepoint gives back all portals but the one that ran since.
    const portals = inBlock ? [portal] : binds.all();
    const undoable = this.#mayBeUndone(guarded.guard) && first && binds.has(portal);
    const batch: Batch = { bytes: [], replies: [] };
    binds.repeat(batch);
    return this.#run(batch, message, guarded, undoable ? portals : null);
  }

  /** Sends an Execute, `message`, among what counts it. @param portals those to make again when it has been undone; null: it cannot be undone */
  #run(
    batch: Batch,
    message: Buffer,
    { guard, execution, changes }: Guarded,
    portals: readonly string[] | null,
  ): Buffer {
    const current = new CountedExecution(guard, execution, portals, this.#state.status === 'T');
    this.#way.current = current;
    current.begin(batch, this.#way.prepared);
    batch.bytes.push(message);
    batch.replies.push(
      reply(current.undoable ? 'preview_execute' : 'guarded_execute', { execution, changes }),
    );
    current.executed(batch);
    return this.#way.push(batch);
  }

  #mayBeUndone({ preview, copyIn }: Guard): boolean {
    // Where the transaction stands must be known, and not what an answer under way may change.
    return preview && !copyIn && !this.#state.replies.groupOutstanding;
  }

  /**
   * People decide about the Execute of `portal`, which may take long, and its Parse and Bind have begun a transaction that
   * has locked tables: it is ended meanwhile, and bound again when it runs. In a transaction block that is the client's.
   * @returns the bytes to send, null: there is no such transaction, or what is in it could not be made again
   */
  letGo(portal: string): Buffer | null {
    const { replies, status, executed } = this.#state;
    const { binds } = this.#way;
    const portals = binds.all();
    if (status !== 'I' || executed > 0 || !replies.groupOpen || replies.length > 0) return null;
    if (portals === null || !binds.has(portal)) return null;
    this.#way.begins();
    this.#way.lettingGo = true;
    binds.gone(portals);
    return this.#way.push({ bytes: [SYNC], replies: [reply('undo_sync')] });
  }

  // ---------------------------------------------------------------- COPY FROM STDIN

  /** The client's copy data is complete: CopyDone, `message`, is sent, and the effect counted. null: nothing is counted */
  copyDone(message: Buffer): Buffer | null {
    const { current } = this.#way;
    if (current === null) return null;
    this.atHand.wait();
    const batch: Batch = { bytes: [Buffer.from(message)], replies: [] };
    current.countAgain(batch);
    return this.#way.push(batch);
  }

  /**
   * The copy data that is counted ends without CopyDone, so the server is about to fail it: what the client sends
   * next waits for that. @returns whether there is any such
   */
  copyGivenUp(): boolean {
    if (this.#way.current === null) return false;
    this.atHand.wait();
    return true;
  }

  /** Whether a Sync within copy data is to be dropped: the server would ignore it, and what is counted behind it must be sure to be read. */
  get dropsSync(): boolean {
    return this.#way.current !== null;
  }

  // ---------------------------------------------------------------- a Query

  /** A Query is carried. @returns the bytes to send in its place */
  query(statements: readonly CarriedStatement[]): Buffer {
    this.#way.begins();
    const carried = new CarriedString(statements);
    this.#way.carried = carried;
    return this.carryOn(carried);
  }

  /** The string's statements up to the next one that is counted, or to its end. @returns the bytes to send */
  carryOn(carried: CarriedString): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    const next = carried.carryOn(batch, (change) => {
      this.nameChanged(change);
    });
    if (next !== null) {
      const { statement, guard } = next;
      const others = this.#way.push(batch);
      const guarded = { guard, execution: statement.execution, changes: statement.changes };
      const begun = this.#afterAsking(guarded, () => this.#carryGuarded(carried, statement.text, guarded));
      return Buffer.concat([others, begun]);
    }
    endCarrying(batch);
    batch.bytes.push(SYNC);
    batch.replies.push(reply('carried_sync'));
    const bytes = this.#way.push(batch);
    this.#way.finish();
    return bytes;
  }

  #carryGuarded(carried: CarriedString, text: Buffer, guarded: Guarded): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    // What a string has begun already is undone with it, so only a statement that is all of it can be asked about again.
    const undoable = this.#mayBeUndone(guarded.guard) && this.#state.executed === 0 && carried.single;
    carry(batch, text, undoable ? 'preview_describe' : 'carried_describe');
    return this.#run(batch, CARRIED_EXECUTE, guarded, undoable ? [] : null);
  }

  // ---------------------------------------------------------------- what is asked first

  /** What begins an execution, behind what is asked before it. @returns the bytes to send now */
  #afterAsking({ guard: { first }, execution, changes }: Guarded, start: () => Buffer): Buffer {
    if (first === null) return start();
    this.#way.prelude = { execution, changes, start };
    return this.#way.ask(first, (answer) => {
      this.#mayBegin(answer);
    });
  }

  #mayBegin(answer: BeforeAnswer): void {
    const { prelude } = this.#way;
    if (prelude === null) return;
    switch (answer.kind) {
      case 'ask':
        this.#way.send(
          this.#way.ask(answer, (next) => {
            this.#mayBegin(next);
          }),
        );
        return;
      case 'run':
        this.#way.prelude = null;
        this.#way.send(prelude.start());
        return;
      case 'refuse':
        this.#way.refuse(answer.refusal);
        return;
    }
  }
}
