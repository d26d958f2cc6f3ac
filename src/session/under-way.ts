/**
 * The message that Holdfast has the server do something around: what of it is under way,
 * and how that is ended.
 *
 * Law: one message at a time, which stays at hand in the client's stream until it is
 * finished here or asked about again. Only what its beginning (guarded-requests.ts) and
 * its end (guarded-outcomes.ts) both need stands here.
 */
import type { Refusal } from '../errors.js';
import { sync } from '../protocol/encode.js';
import type { CarriedString } from './carried-string.js';
import type { CountedExecution } from './counted-execution.js';
import { KeptBinds } from './kept-binds.js';
import { MessageAtHand } from './message-at-hand.js';
import type { Batch } from './own-messages.js';
import type { Asking, ConversationPorts, Execution } from './ports.js';
import { FAILING_EXECUTE } from './provoked.js';
import { Questions } from './questions.js';
import { reply } from './replies.js';
import type { Reply } from './replies.js';
import type { ConversationState } from './state.js';

const SYNC = sync();

/** Something is asked before an execution, of which nothing has been sent yet. */
export interface Prelude {
  readonly execution: Execution | null;
  readonly changes: Reply['changes'];
  /** What begins it. */
  readonly start: () => Buffer;
}

export class UnderWay {
  /** The client's message that waits for what is under way. */
  readonly atHand = new MessageAtHand();
  readonly questions = new Questions();
  readonly binds = new KeptBinds();
  /** The queries that count which the server has. */
  readonly prepared = new Set<string>();
  /** Place in the order of requests where it begins: what fails before it may lie before a Sync. */
  from = 0;
  current: CountedExecution | null = null;
  carried: CarriedString | null = null;
  prelude: Prelude | null = null;
  /** What has begun for the message at hand is being ended, of which it waits to be asked about again. */
  lettingGo = false;
  /** Asks the gate again for what it did not know yet. */
  again: (() => void) | null = null;
  /** Something that was counted is not committed, as far as the server has said. */
  uncommitted = false;
  /** Whether there was ever anything under way: what the server says is looked at more closely then. */
  used = false;
  readonly #state: ConversationState;
  readonly #ports: Pick<ConversationPorts, 'gate' | 'toServer'>;

  constructor(state: ConversationState, ports: Pick<ConversationPorts, 'gate' | 'toServer'>) {
    this.#state = state;
    this.#ports = ports;
  }

  /** Whether something is. */
  get some(): boolean {
    return this.current !== null || this.carried !== null || this.prelude !== null || this.lettingGo;
  }

  /** The message at hand waits for what begins now. */
  begins(): void {
    this.used = true;
    this.atHand.wait();
    this.from = this.#state.replies.places;
  }

  /** Takes a place in the order of requests for what is in a batch. @returns its bytes */
  push({ bytes, replies }: Batch): Buffer {
    for (const item of replies) {
      item.ofString = this.carried !== null;
      this.#state.replies.push(item);
    }
    return Buffer.concat(bytes);
  }

  /** Hands bytes over while the server's are being handled. */
  send(bytes: Buffer): void {
    this.atHand.sent();
    this.#ports.toServer(bytes);
  }

  /** @param next is told what the answers come to @returns the bytes that ask */
  ask<Next>(asking: Asking<Next>, next: (answer: Next) => void): Buffer {
    const batch: Batch = { bytes: [], replies: [] };
    this.questions.ask(batch, asking, next);
    return this.push(batch);
  }

  /** What the server has done is not to stay: it fails instead. */
  refuse(refusal: Refusal): void {
    const batch: Batch = { bytes: [FAILING_EXECUTE], replies: [reply('refused_message', { refusal })] };
    if (this.carried === null) this.#state.mode = 'skipping';
    else this.endOfString(batch, this.carried);
    this.send(this.push(batch));
    this.finish();
  }

  /** Nothing more of a string is carried; its Sync ends what was. */
  endOfString(batch: Batch, carried: CarriedString): void {
    this.skipRest(carried);
    batch.bytes.push(SYNC);
    batch.replies.push(reply('carried_sync'));
  }

  skipRest(carried: CarriedString): void {
    for (const { execution } of carried.skipRest()) this.#skipped(execution);
  }

  #skipped(execution: Execution | null): void {
    if (execution !== null) this.#ports.gate.ended(execution, { rows: null, sqlstate: null, skipped: true });
  }

  /** What was to be executed is not: the gate and the names hear it, since no reply of it is due. */
  #neverBegun(): void {
    const prelude = this.prelude;
    this.prelude = null;
    if (prelude === null) return;
    for (const change of prelude.changes) this.#state.names.abandon(change);
    this.#skipped(prelude.execution);
  }

  /** All that is left of it is its end; the message at hand has been seen to. */
  finish(): void {
    this.#neverBegun();
    this.questions.drop();
    this.again = null;
    this.current = null;
    this.carried = null;
    this.lettingGo = false;
    this.atHand.seenTo();
  }

  /** It was undone: the message at hand is asked about again. */
  askAgain(): void {
    this.current = null;
    this.carried = null;
    this.lettingGo = false;
    this.atHand.askAgain();
  }
}
