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
 * is made of it, is not known here.
 */
import type { Refusal } from '../errors.js';
import { errorFields, textColumns } from '../protocol/backend.js';
import { flush, noticeResponse, sync } from '../protocol/encode.js';
import type { Notice } from '../protocol/encode.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { KeptBinds } from './kept-binds.js';
import {
  CARRIED_EXECUTE,
  ask,
  carry,
  count,
  endCarrying,
  keepSince,
  prepareCount,
  savepoint,
  undoSince,
} from './own-messages.js';
import type { Batch } from './own-messages.js';
import type {
  Asking,
  BeforeAnswer,
  CarriedStatement,
  ConversationPorts,
  CountedAnswer,
  Counts,
  Ending,
  Execution,
  Guard,
} from './ports.js';
import { FAILING_EXECUTE } from './provoked.js';
import { reply } from './replies.js';
import type { Reply } from './replies.js';
import type { ConversationState } from './state.js';

const FLUSH = flush();
const SYNC = sync();
const NO_BYTES = Buffer.alloc(0);
/** Of what an execution that may be undone returns, bytes that are kept until it has been counted. */
const WITHHELD_LIMIT = 1_048_576;

/** One execution under way. */
interface Current {
  readonly guard: Guard;
  readonly execution: Execution | null;
  /** How many of the two counts are done. */
  counted: 0 | 1 | 2;
  /** The second count has been asked for: with a COPY FROM STDIN only when its data is complete. */
  countedAgain: boolean;
  /** The client sends copy data for it. */
  takesData: boolean;
  readonly counts: [(readonly (string | null)[])[], (readonly (string | null)[])[]];
  readonly savepoint: boolean;
  /** The portals that must be made again when it has been undone. */
  readonly portals: readonly string[];
  /** It can be undone as if it had never been sent. */
  readonly undoable: boolean;
  withheld: Buffer[];
  withheldBytes: number;
  /** How it ended; null: it has not, or the gate has been told, and has said what is to become of it. */
  ending: Ending | null;
}

/** Something is asked before an execution, of which nothing has been sent yet. */
interface Prelude {
  readonly execution: Execution | null;
  readonly changes: Reply['changes'];
  /** What begins it. */
  readonly start: () => Buffer;
}

/** What is being asked. */
interface Asked {
  readonly limit: number;
  readonly questions: number;
  readonly answers: (readonly (string | null)[])[][];
  /** How many of them are complete. */
  complete: number;
  bytes: number;
  readonly then: (answers: readonly Counts[] | null) => void;
}

/** A Query that is carried. */
interface Carried {
  readonly statements: readonly CarriedStatement[];
  next: number;
}

export class Guarding {
  readonly #state: ConversationState;
  readonly #ports: Pick<ConversationPorts, 'gate' | 'toServer'>;
  readonly #prepared = new Set<string>();
  readonly #binds = new KeptBinds();
  /** Place in the order of requests where what is under way begins: what fails before it may lie before a Sync. */
  #from = 0;
  #current: Current | null = null;
  #prelude: Prelude | null = null;
  #asked: Asked | null = null;
  /** Asks the gate again for what it did not know yet. */
  #again: (() => void) | null = null;
  #carried: Carried | null = null;
  /** What reports the last statement of a string, until that is committed. */
  #lastOfString: Buffer | null = null;
  /** A message of the client's waits for what is under way. */
  #atHand = false;
  /** The message at hand has been seen to, and is not to be handled when it is asked about again. */
  #done = false;
  /** The message at hand can be asked about again. */
  #resolved = false;
  /** Portals that are gone, because something was undone: they are bound again before what comes next. */
  #rebind: readonly string[] = [];
  #uncommitted = false;
  #inPlace: Buffer | null = null;
  #sent = false;
  /** Whether there was ever anything to guard: what follows is looked at more closely then. */
  used = false;

  constructor(state: ConversationState, ports: Pick<ConversationPorts, 'gate' | 'toServer'>) {
    this.#state = state;
    this.#ports = ports;
  }

  /** The message at hand waits for the server, not for the gate. */
  get waiting(): boolean {
    return this.#atHand;
  }

  /** Something that was counted is not committed, as far as the server has said. */
  get uncommitted(): boolean {
    return this.#uncommitted;
  }

  get #underWay(): boolean {
    return this.#current !== null || this.#carried !== null || this.#prelude !== null;
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
    this.#rebind = [];
  }

  // ---------------------------------------------------------------- from the client

  /** A Bind was passed on. @param message it, to be kept so that its portal can be made again; null: that will not be needed */
  bound(portal: string, statement: string, message: Buffer | null): void {
    this.#binds.bound(portal, statement, message);
  }

  /** What makes portals again that are gone, before a message that is not counted itself. @returns the bytes, null: nothing */
  takeRebind(): Buffer | null {
    if (this.#rebind.length === 0) return null;
    const batch: Batch = { bytes: [], replies: [] };
    this.#repeatBinds(batch);
    return this.#push(batch);
  }

  #repeatBinds(batch: Batch): void {
    this.#binds.repeat(batch, this.#rebind);
    this.#rebind = [];
  }

  /** Where the transaction stands is known, and not what an answer under way may change. */
  get #settled(): boolean {
    return !this.#state.replies.groupOutstanding;
  }

  /** An Execute, `message`, is sent among what counts its effect. @returns the bytes to send in its place */
  execute(
    portal: string,
    message: Buffer,
    { guard, execution }: { readonly guard: Guard; readonly execution: Execution | null },
    changes: Reply['changes'],
  ): Buffer {
    const kept = Buffer.from(message);
    // What a pipeline has run before, without a Sync, could not be told from it.
    const first = this.#state.executed === 0;
    return this.#afterAsking(guard, execution, changes, () =>
      this.#executeNow(portal, kept, { guard, execution, first }, changes),
    );
  }

  #executeNow(
    portal: string,
    message: Buffer,
    {
      guard,
      execution,
      first,
    }: { readonly guard: Guard; readonly execution: Execution | null; readonly first: boolean },
    changes: Reply['changes'],
  ): Buffer {
    const inBlock = this.#state.status === 'T';
    // A savepoint gives back all portals but the one that ran since.
    const portals = inBlock ? [portal] : this.#binds.all();
    const undoable = this.#mayBeUndone(guard) && first && this.#binds.has(portal) && portals !== null;
    const batch: Batch = { bytes: [], replies: [] };
    if (guard.first === null) this.#from = this.#state.replies.places;
    this.#repeatBinds(batch);
    this.#begin(batch, guard, execution, undoable ? portals : null, inBlock);
    batch.bytes.push(message);
    batch.replies.push(reply(undoable ? 'preview_execute' : 'guarded_execute', { execution, changes }));
    if (guard.copyIn) batch.bytes.push(FLUSH);
    else this.#countAgain(batch, this.#current);
    return this.#push(batch);
  }

  /** A Query is carried. @returns the bytes to send in its place */
  query(statements: readonly CarriedStatement[]): Buffer {
    this.used = true;
    this.#atHand = true;
    this.#from = this.#state.replies.places;
    this.#carried = { statements, next: 0 };
    return this.#carryOn(this.#carried);
  }

  /** The client's copy data is complete: CopyDone, `message`, is sent, and the effect counted. null: nothing is counted */
  copyDone(message: Buffer): Buffer | null {
    const current = this.#current;
    if (current === null) return null;
    this.#atHand = true;
    const batch: Batch = { bytes: [Buffer.from(message)], replies: [] };
    this.#countAgain(batch, current);
    return this.#push(batch);
  }

  /**
   * The copy data that is counted ends without CopyDone, so the server is about to fail it: what the client sends
   * next waits for that. @returns whether there is any such
   */
  copyGivenUp(): boolean {
    if (this.#current === null) return false;
    this.#atHand = true;
    return true;
  }

  /** Whether a Sync within copy data is to be dropped: the server would ignore it, and what is counted behind it must be sure to be read. */
  get dropsSync(): boolean {
    return this.#current !== null;
  }

  #begin(
    batch: Batch,
    guard: Guard,
    execution: Execution | null,
    /** The portals to make again when it has been undone; null: it cannot be undone. */
    portals: readonly string[] | null,
    inBlock: boolean,
  ): void {
    const undoable = portals !== null;
    this.used = true;
    this.#atHand = true;
    this.#current = {
      guard,
      execution,
      counted: 0,
      countedAgain: false,
      takesData: false,
      counts: [[], []],
      savepoint: undoable && inBlock,
      portals: portals ?? [],
      undoable,
      withheld: [],
      withheldBytes: 0,
      ending: null,
    };
    for (const { name, sql } of [guard.before, guard.after]) {
      if (this.#prepared.has(name)) continue;
      prepareCount(batch, name, sql);
      this.#prepared.add(name);
    }
    if (this.#current.savepoint) savepoint(batch);
    count(batch, guard.before.name);
  }

  #countAgain(batch: Batch, current: Current | null): void {
    if (current === null) return;
    current.countedAgain = true;
    count(batch, current.guard.after.name);
    batch.bytes.push(FLUSH);
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
    this.#sent = true;
    this.#ports.toServer(bytes);
  }

  /** The string's statements up to the next one that is counted, or to its end. */
  #carryOn(carried: Carried): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    for (;;) {
      const statement = carried.statements[carried.next];
      if (statement === undefined) break;
      carried.next += 1;
      const { guard, execution, changes } = statement;
      if (guard === null) {
        carry(batch, statement.text);
        // Nothing of Holdfast's stays prepared behind DEALLOCATE ALL.
        for (const change of changes) this.#nameChanged(change);
        const last = carried.next === carried.statements.length;
        batch.bytes.push(CARRIED_EXECUTE);
        batch.replies.push(reply(last ? 'carried_last' : 'carried_execute', { execution, changes }));
        continue;
      }
      const others = this.#push(batch);
      return Buffer.concat([
        others,
        this.#afterAsking(guard, execution, changes, () => this.#carryGuarded(carried, statement, guard)),
      ]);
    }
    endCarrying(batch);
    batch.bytes.push(SYNC);
    batch.replies.push(reply('carried_sync'));
    const bytes = this.#push(batch);
    // All that is left of it is its end.
    this.#finish();
    return bytes;
  }

  #carryGuarded(carried: Carried, { execution, changes, text }: CarriedStatement, guard: Guard): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    const inBlock = this.#state.status === 'T';
    // What a string has begun already is undone with it, so only a statement that is all of it can be asked about again.
    const undoable =
      this.#mayBeUndone(guard) && this.#state.executed === 0 && carried.statements.length === 1;
    carry(batch, text, undoable ? 'preview_describe' : 'carried_describe');
    this.#begin(batch, guard, execution, undoable ? [] : null, inBlock);
    batch.bytes.push(CARRIED_EXECUTE);
    batch.replies.push(reply(undoable ? 'preview_execute' : 'guarded_execute', { execution, changes }));
    if (guard.copyIn) batch.bytes.push(FLUSH);
    else this.#countAgain(batch, this.#current);
    return this.#push(batch);
  }

  #nameChanged(change: Reply['changes'][number]): void {
    if (change.kind === 'drop_all_statements') this.statementChanged(null);
    else if (change.kind === 'define_statement' || change.kind === 'drop_statement')
      this.statementChanged(change.name);
  }

  // ---------------------------------------------------------------- questions

  /** What begins an execution, behind what is asked before it. @returns the bytes to send now */
  #afterAsking(
    { first }: Guard,
    execution: Execution | null,
    changes: Reply['changes'],
    start: () => Buffer,
  ): Buffer {
    if (first === null) return start();
    this.used = true;
    this.#atHand = true;
    if (this.#carried === null) this.#from = this.#state.replies.places;
    this.#prelude = { execution, changes, start };
    return this.#ask(first, (answer) => {
      this.#mayBegin(answer);
    });
  }

  #ask<Next>({ questions, limit, then }: Asking<Next>, next: (answer: Next) => void): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    for (const question of questions) ask(batch, question);
    batch.bytes.push(FLUSH);
    this.#asked = {
      limit,
      questions: questions.length,
      answers: questions.map(() => []),
      complete: 0,
      bytes: 0,
      then: (answers) => {
        next(then(answers));
      },
    };
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

  answerRow(bytes: Buffer, start: number, end: number): void {
    const asked = this.#asked;
    if (asked === null) return;
    asked.bytes += end - start;
    if (asked.bytes <= asked.limit) asked.answers[asked.complete]?.push(textColumns(bytes, start, end));
    else asked.answers.length = 0;
  }

  answerDone(): void {
    const asked = this.#asked;
    if (asked === null) return;
    asked.complete += 1;
    if (asked.complete < asked.questions) return;
    this.#asked = null;
    asked.then(asked.bytes > asked.limit ? null : asked.answers);
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
    this.#consumed();
  }

  row(bytes: Buffer, start: number, end: number): void {
    const current = this.#current;
    if (current === null) return;
    current.counts[current.counted === 0 ? 0 : 1].push(textColumns(bytes, start, end));
  }

  /** A message of the execution's is kept from the client. `ending`: it was the last of it. */
  withhold(message: Buffer, ending: Ending | null): void {
    const current = this.#current;
    if (current === null) return;
    current.withheldBytes += message.length;
    if (current.withheldBytes > WITHHELD_LIMIT) current.withheld = [];
    else current.withheld.push(Buffer.from(message));
    if (ending === null) return;
    current.ending = ending;
    if (current.countedAgain) return;
    // What is asked now would stand in the midst of the client's data.
    if (current.takesData)
      throw new ProtocolViolation('the server ended a COPY before its data was complete');
    // A COPY that took no data from the client.
    const batch: Batch = { bytes: [], replies: [] };
    this.#countAgain(batch, current);
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
    current.counted = current.counted === 0 ? 1 : 2;
    if (current.counted === 2 && current.ending !== null) this.#decide(current, current.ending);
  }

  #decide(current: Current, ending: Ending): void {
    const [before, after] = current.counts as readonly [Counts, Counts];
    const { gate } = this.#ports;
    this.#judged(current, gate.counted(current.execution, ending, before, after, current.undoable));
  }

  #judged(current: Current, answer: CountedAnswer): void {
    if (answer.kind !== 'ask' && answer.kind !== 'wait') current.ending = null;
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
        if (current.withheldBytes > WITHHELD_LIMIT) {
          this.#refuse(tooMuchReturned());
          return;
        }
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

  #pass(current: Current, notice: Notice | null): void {
    this.#current = null;
    this.#uncommitted = true;
    const batch: Batch = { bytes: [], replies: [] };
    if (current.savepoint) keepSince(batch);
    if (batch.bytes.length > 0) this.#send(this.#push(batch));
    // A record of it waits to be written.
    this.#sent = true;
    const carried = this.#carried;
    const shown = [...(notice === null ? [] : [noticeResponse(notice)]), ...current.withheld];
    if (carried !== null && carried.next === carried.statements.length) {
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

  #skipRest(carried: Carried): void {
    for (const { execution } of carried.statements.slice(carried.next)) this.#skipped(execution);
    carried.next = carried.statements.length;
  }

  #endOfString(batch: Batch, carried: Carried): void {
    this.#skipRest(carried);
    batch.bytes.push(SYNC);
    batch.replies.push(reply('carried_sync'));
  }

  #skipped(execution: Execution | null): void {
    if (execution !== null) this.#ports.gate.ended(execution, { rows: null, sqlstate: null, skipped: true });
  }

  #undo(current: Current): void {
    const batch: Batch = { bytes: [], replies: [] };
    if (current.savepoint) {
      undoSince(batch);
      batch.bytes.push(FLUSH);
    } else {
      batch.bytes.push(FAILING_EXECUTE, SYNC);
      batch.replies.push(reply('undo_execute'), reply('undo_sync'));
    }
    this.#rebind = current.portals;
    this.#send(this.#push(batch));
  }

  /** An undoing is complete: the message is asked about again. */
  undone(): void {
    if (this.#carried === null) this.#state.executed -= 1;
    this.#current = null;
    this.#carried = null;
    this.#atHand = false;
    this.#resolved = true;
  }

  /** What belongs to counting failed on the server. @returns what the client gets in its place; null: the server's error */
  countFailed(bytes: Buffer, start: number, end: number): Refusal | null {
    this.#prepared.clear();
    const fields = errorFields(bytes, start, end);
    const current = this.#current;
    const asked = this.#asked !== null;
    // One that has not ended is skipped, and the gate hears that where its entry is taken off.
    const ended = current !== null && current.ending !== null;
    return this.#ports.gate.uncounted(
      ended ? current.execution : null,
      fields.get('C') ?? 'XX000',
      fields.get('M') ?? '',
      asked ? 'asking' : 'counting',
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
    if (current !== null && current.execution !== null && current.ending !== null) {
      const { sqlstate } = this.#ports.gate.unrecorded();
      this.#ports.gate.ended(current.execution, { rows: null, sqlstate, skipped: false });
    }
    if (this.#carried !== null) this.#skipRest(this.#carried);
    this.#rebind = [];
    this.#finish();
    return false;
  }

  #finish(): void {
    this.#neverBegun();
    this.#asked = null;
    this.#again = null;
    this.#current = null;
    this.#carried = null;
    this.#consumed();
  }

  #consumed(): void {
    if (!this.#atHand) return;
    this.#atHand = false;
    this.#done = true;
    this.#resolved = true;
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
