/**
 * What one session has to do with approval: which of its messages need it, what of
 * them is kept for it, and what surrounds a statement that people decide about.
 *
 * Law: between the gate, which judges and records, and the hold of the message at
 * hand (held.ts). It never makes a message pass that the gate has not judged.
 */
import type { Refusal } from '../errors.js';
import type { HeldParameter, OldRows, Withdrawal } from '../holds/hold.js';
import type { Match } from '../policy/types.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { Meaning } from '../session/ports.js';
import { Held } from './held.js';
import type { HoldServices, Release } from './held.js';
import type { HoldingSession, Trial } from './hold-subject.js';
import type { JudgedText, PreparedForApproval } from './judged-text.js';
import { NOT_KEPT, ParameterKeeper } from './kept-parameters.js';
import type { KeptParameters } from './kept-parameters.js';
import type { Passage } from './passage.js';
import type { PolicyStore } from './policy-store.js';
import type { Run } from './recorder.js';
import type { SessionRole } from './session-role.js';
import { TransactionBlock } from './transaction-block.js';
import type { GatedConnection, Waits } from './waits.js';
import { CANCELLED } from './words.js';

/** The answers to a message that does not pass, or not yet. */
export type NotPassed =
  | { readonly kind: 'wait'; readonly people?: boolean }
  | { readonly kind: 'refuse'; readonly refusal: Refusal };

export const WAIT: NotPassed = { kind: 'wait' };
/** It is held. */
const WAIT_FOR_PEOPLE: NotPassed = { kind: 'wait', people: true };

/** A message that passes but for what people must approve. */
export interface Approvable {
  /** The text as it would be forwarded. */
  readonly judged: JudgedText;
  /** Its bytes within the message at hand; null: the message has only a name for it. */
  readonly text: Uint8Array | null;
  /** What its names stand for that must be approved. */
  readonly reached: readonly JudgedText[];
  readonly parameters: readonly HeldParameter[];
  /** What it turned out to change, where that is to be approved; null: nothing was measured. */
  readonly trial: Trial | null;
  readonly oldRows: OldRows;
  /**
   * Records its decisions.
   * @param match why it is held, where that is not its own judgement
   */
  readonly record: (match: Match | null) => readonly Run[];
}

export interface SessionHoldsParts {
  readonly session: HoldingSession;
  readonly connection: GatedConnection;
  readonly role: SessionRole;
  readonly passage: Passage;
  readonly waits: Waits;
}

export class SessionHolds {
  readonly #parts: SessionHoldsParts;
  readonly #now: () => number;
  readonly #held: Held;
  readonly #keeper = new ParameterKeeper();
  readonly #transaction = new TransactionBlock();
  /** As the server reports it, where it does (PostgreSQL 18); null: not known. */
  #searchPath: string | null = null;

  constructor(
    services: {
      readonly holds: HoldServices;
      readonly policies: PolicyStore;
      readonly environment: string;
    },
    parts: SessionHoldsParts,
  ) {
    this.#parts = parts;
    this.#now = services.holds.now;
    this.#held = new Held(services.holds, services, parts.session, parts.connection);
  }

  /** The message at hand is held. */
  get open(): boolean {
    return this.#held.open;
  }

  /** Nobody waits for the message at hand any more. */
  leave(reason: Withdrawal): void {
    this.#held.leave(reason);
  }

  // ---------------------------------------------------------------- the message at hand

  /** It was cancelled. @returns null where it is not held */
  cancelled(): NotPassed | null {
    if (!this.#held.open) return null;
    this.#held.leave('client_cancel');
    return { kind: 'refuse', refusal: CANCELLED };
  }

  /** What is to be said to it without judging it, because it is held; null: judge it. */
  earlier(): NotPassed | null {
    const answer = this.#held.earlier(this.#parts.role.scope.policy.sha256);
    if (answer === null) return null;
    return answer === 'wait' ? WAIT_FOR_PEOPLE : { kind: 'refuse', refusal: answer };
  }

  /** Whether it must wait to be held, because the server has not answered all that came before. */
  mustSettle(): boolean {
    return !this.#held.open && this.#parts.waits.mustSettle();
  }

  /**
   * Has it approved, where that is needed.
   * @returns null where there is nothing to approve
   */
  approved({ record, ...message }: Approvable): NotPassed | Release | null {
    const { judged, reached, trial } = message;
    const { role, passage, connection } = this.#parts;
    const { hold } = role.scope.role;
    const own = passage.needsApproval(judged);
    if (hold === undefined || (!own && reached.length === 0 && trial === null)) {
      // What was held may have become harmless while it waited.
      this.#held.leave('superseded');
      return null;
    }
    if (this.mustSettle()) return WAIT;
    const { status, executed } = connection.transaction();
    // The server refuses all but the end of a block that has failed (25P02), so there is nothing to approve.
    if (!this.#held.open && status === 'E' && executed === 0 && !endsTransaction(judged)) return null;
    const inTransaction = this.#transaction.current(status, executed, this.#now());
    const answer = this.#held.pass({ ...message, inTransaction, searchPath: this.#searchPath }, hold, () =>
      record(trial?.matches[0] ?? (own ? null : (reached[0]?.judgement.decisive ?? null))),
    );
    if (answer === 'wait') return WAIT_FOR_PEOPLE;
    return 'runs' in answer ? answer : { kind: 'refuse', refusal: answer };
  }

  // ---------------------------------------------------------------- what is kept

  /** What the name of a Parse is to mean. @param types the parameters' OIDs, asked for where they are kept @param always as in keep() */
  prepared(judged: JudgedText, types: () => readonly number[], always: boolean): Meaning {
    if (!always && !this.#parts.passage.needsApproval(judged) && !judged.mayBeHeld) return judged;
    return { ...judged, parameterTypes: types() } satisfies PreparedForApproval;
  }

  /**
   * Keeps the parameters of a Bind, `bytes[start, end)`, where they may have to be shown.
   * @param meaning of the prepared statement, the latest
   * @param always what it turns out to change may have to be approved
   */
  keep(
    texts: readonly JudgedText[],
    meaning: Meaning | undefined,
    bytes: Buffer,
    start: number,
    end: number,
    always: boolean,
  ): KeptParameters {
    if (!always && !texts.some((text) => this.#parts.passage.mayNeedApproval(text))) return NOT_KEPT;
    const { parameterTypes } = (meaning ?? {}) as Partial<PreparedForApproval>;
    return this.#keeper.keep(parameterTypes ?? [], bytes, start, end);
  }

  // ---------------------------------------------------------------- what surrounds it

  statementEnded(operation: string): void {
    this.#transaction.statementEnded(operation);
  }

  requestEnded(status: TransactionStatus): void {
    this.#transaction.requestEnded(status, this.#now());
  }

  parameter(name: string, value: string): void {
    if (name === 'search_path') this.#searchPath = value;
  }
}

function endsTransaction({ statements }: JudgedText): boolean {
  return statements.some(({ facts }) => facts?.effects.includes('transaction') !== false);
}
