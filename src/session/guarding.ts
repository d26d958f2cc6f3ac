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
import { close, flush, noticeResponse, sync } from '../protocol/encode.js';
import type { Notice } from '../protocol/encode.js';
import {
  CARRIED_EXECUTE,
  carry,
  count,
  endCarrying,
  keepSince,
  prepareCount,
  savepoint,
  undoSince,
} from './own-messages.js';
import type { Batch } from './own-messages.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { CarriedStatement, ConversationPorts, Counts, Ending, Execution, Guard } from './ports.js';
import { FAILING_EXECUTE } from './provoked.js';
import { reply } from './replies.js';
import type { Reply } from './replies.js';
import type { ConversationState } from './state.js';

const FLUSH = flush();
const SYNC = sync();
const NO_BYTES = Buffer.alloc(0);
/** Of what an execution that may be undone returns, bytes that are kept until it has been counted. */
const WITHHELD_LIMIT = 1_048_576;
/** Bytes of Binds that are kept so that they can be repeated. */
const BINDS_LIMIT = 1_048_576;

/** One execution under way. */
interface Current {
  readonly guard: Guard;
  readonly execution: Execution | null;
  /** How many of the two counts are done. */
  counted: 0 | 1 | 2;
  /** The second count has been asked for: with a COPY FROM STDIN only when its data is complete. */
  countedAgain: boolean;
  readonly counts: [(readonly (string | null)[])[], (readonly (string | null)[])[]];
  readonly savepoint: boolean;
  /** It can be undone as if it had never been sent. */
  readonly undoable: boolean;
  withheld: Buffer[];
  withheldBytes: number;
  ending: Ending | null;
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
  readonly #binds = new Map<string, Buffer>();
  #bindBytes = 0;
  #current: Current | null = null;
  #carried: Carried | null = null;
  /** What reports the last statement of a string, until that is committed. */
  #lastOfString: Buffer | null = null;
  /** A message of the client's waits for what is under way. */
  #atHand = false;
  /** The message at hand has been seen to, and is not to be handled when it is asked about again. */
  #done = false;
  /** The message at hand can be asked about again. */
  #resolved = false;
  /** Portals of the group at hand are gone, because something was undone: they are bound again first. */
  #rebind = false;
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
    return this.#current !== null || this.#carried !== null;
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

  /** Prepared statements are dropped, ours among them. */
  forgetPrepared(): void {
    this.#prepared.clear();
  }

  // ---------------------------------------------------------------- from the client

  /** Keeps a Bind, so that its portal can be made again. */
  bound(portal: string, message: Buffer): void {
    this.#bindBytes -= this.#binds.get(portal)?.length ?? 0;
    this.#binds.delete(portal);
    if (this.#bindBytes + message.length > BINDS_LIMIT) return;
    this.#bindBytes += message.length;
    this.#binds.set(portal, Buffer.from(message));
  }

  /** An Execute, `message`, is sent among what counts its effect. @returns the bytes to send in its place */
  execute(
    portal: string,
    message: Buffer,
    { guard, execution }: { readonly guard: Guard; readonly execution: Execution | null },
    changes: Reply['changes'],
  ): Buffer {
    const inBlock = this.#state.status === 'T';
    // What a pipeline has run before, without a Sync, could not be told from it.
    const undoable = guard.preview && this.#state.executed === 0 && this.#binds.has(portal);
    const batch: Batch = { bytes: [], replies: [] };
    if (this.#rebind) {
      this.#rebind = false;
      for (const [name, again] of this.#binds) {
        batch.bytes.push(close('P', name), again);
        batch.replies.push(reply('own_close'), reply('rebind'));
      }
    }
    this.#begin(batch, guard, execution, undoable, inBlock);
    batch.bytes.push(Buffer.from(message));
    batch.replies.push(reply(undoable ? 'preview_execute' : 'guarded_execute', { execution, changes }));
    if (guard.copyIn) batch.bytes.push(FLUSH);
    else this.#countAgain(batch, this.#current);
    return this.#push(batch);
  }

  /** A Query is carried. @returns the bytes to send in its place */
  query(statements: readonly CarriedStatement[]): Buffer {
    this.used = true;
    this.#atHand = true;
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

  /** Whether a Sync within copy data is to be dropped: the server would ignore it, and what is counted behind it must be sure to be read. */
  get dropsSync(): boolean {
    return this.#current !== null;
  }

  #begin(batch: Batch, guard: Guard, execution: Execution | null, undoable: boolean, inBlock: boolean): void {
    this.used = true;
    this.#atHand = true;
    this.#current = {
      guard,
      execution,
      counted: 0,
      countedAgain: false,
      counts: [[], []],
      savepoint: undoable && inBlock,
      undoable,
      withheld: [],
      withheldBytes: 0,
      ending: null,
    };
    const { name, sql } = guard.count;
    if (!this.#prepared.has(name)) {
      prepareCount(batch, name, sql);
      this.#prepared.add(name);
    }
    if (this.#current.savepoint) savepoint(batch);
    count(batch, name);
  }

  #countAgain(batch: Batch, current: Current | null): void {
    if (current === null) return;
    current.countedAgain = true;
    count(batch, current.guard.count.name);
    batch.bytes.push(FLUSH);
  }

  #push({ bytes, replies }: Batch): Buffer {
    for (const item of replies) this.#state.replies.push(item);
    return Buffer.concat(bytes);
  }

  #send(bytes: Buffer): void {
    this.#sent = true;
    this.#ports.toServer(bytes);
  }

  /** The string's statements up to the next one that is counted, or to its end. */
  #carryOn(carried: Carried): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    const inBlock = this.#state.status === 'T';
    for (;;) {
      const statement = carried.statements[carried.next];
      if (statement === undefined) break;
      carried.next += 1;
      const { guard, execution, changes, text } = statement;
      carry(batch, text);
      if (guard === null) {
        const last = carried.next === carried.statements.length;
        batch.bytes.push(CARRIED_EXECUTE);
        batch.replies.push(reply(last ? 'carried_last' : 'carried_execute', { execution, changes }));
        continue;
      }
      // What a string has begun already is undone with it, so only a statement that is all of it can be asked about again.
      const undoable = guard.preview && carried.statements.length === 1;
      this.#begin(batch, guard, execution, undoable, inBlock);
      batch.bytes.push(CARRIED_EXECUTE);
      batch.replies.push(reply(undoable ? 'preview_execute' : 'guarded_execute', { execution, changes }));
      if (guard.copyIn) batch.bytes.push(FLUSH);
      else this.#countAgain(batch, this.#current);
      return this.#push(batch);
    }
    endCarrying(batch);
    batch.bytes.push(SYNC);
    batch.replies.push(reply('carried_sync'));
    // All that is left of it is its end.
    this.#finish();
    return this.#push(batch);
  }

  // ---------------------------------------------------------------- from the server

  /** The server reads copy data now: the client can send it. */
  copying(): void {
    if (this.#current !== null) this.#consumed();
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
    const answer = this.#ports.gate.counted(current.execution, ending, before, after, current.undoable);
    switch (answer.kind) {
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

  #endOfString(batch: Batch, carried: Carried): void {
    for (const { execution } of carried.statements.slice(carried.next)) this.#skipped(execution);
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
    this.#rebind = this.#carried === null;
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
    return this.#ports.gate.uncounted(
      this.#current?.execution ?? null,
      fields.get('C') ?? 'XX000',
      fields.get('M') ?? '',
    );
  }

  /** The server skips to the next Sync: nothing that is under way here goes on. */
  failed(): void {
    const carried = this.#carried;
    if (!this.#underWay) return;
    if (carried !== null) {
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

  /** The server has said where its transaction stands. */
  ready(status: TransactionStatus): void {
    this.#uncommitted = false;
    if (status !== 'I') return;
    this.#binds.clear();
    this.#bindBytes = 0;
    this.#rebind = false;
  }

  // ---------------------------------------------------------------- records

  /** Whether `items`, which never left for the server, are parts of a Query: then that is what is refused. */
  lost(items: readonly Reply[]): boolean {
    const ofString = this.#carried !== null || items.some(({ kind }) => kind.startsWith('carried_'));
    if (this.#underWay) this.#finish();
    this.#prepared.clear();
    this.#lastOfString = null;
    return ofString;
  }

  #finish(): void {
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
