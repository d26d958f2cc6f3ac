/**
 * How a message that may pass comes to run: at once, tried first so that who approves it
 * sees what it changes, or held until people have approved it; and how what it does is
 * then counted.
 *
 * Law: of one message at a time. What it turned out to change when it was tried is
 * remembered until it passes or does not, and is never another message's.
 */
import type { Withdrawal } from '../holds/hold.js';
import type { Measuring } from '../policy/measured.js';
import type { Guard } from '../session/ports.js';
import type { Block } from './blocks.js';
import type { CountingNeeds } from './counting-needs.js';
import type { Release } from './held.js';
import type { JudgedText } from './judged-text.js';
import type { JudgedStatementRecord } from './statement-record.js';
import type { Run } from './recorder.js';
import type { Approvable, NotPassed, SessionHolds } from './session-holds.js';
import type { SessionImpact } from './session-impact.js';
import type { SessionUndo } from './session-undo.js';
import type { GatedConnection } from './waits.js';

/** A message that may pass, as far as it is to be approved and counted. */
export interface ToApprove extends Omit<Approvable, 'trial' | 'oldRows'> {
  /** It must be approved, by itself or by what its names stand for. */
  readonly mustApprove: boolean;
  /** Those of its texts that are held. */
  readonly held: readonly JudgedText[];
  /** What of each of its statements is counted. */
  readonly measured: readonly (Measuring | null)[];
}

/** A message that passes. */
export interface Passing {
  /** It runs only to be counted, and is undone. */
  readonly tried: boolean;
  /** What was approved; null: nothing had to be. */
  readonly released: Release | null;
}

export class Approval {
  readonly #holds: SessionHolds;
  readonly #needs: CountingNeeds;
  readonly #impact: SessionImpact;
  readonly #undo: SessionUndo;
  readonly #connection: Pick<GatedConnection, 'transaction'>;

  constructor(parts: {
    readonly holds: SessionHolds;
    readonly needs: CountingNeeds;
    readonly impact: SessionImpact;
    readonly undo: SessionUndo;
    readonly connection: Pick<GatedConnection, 'transaction'>;
  }) {
    this.#holds = parts.holds;
    this.#needs = parts.needs;
    this.#impact = parts.impact;
    this.#undo = parts.undo;
    this.#connection = parts.connection;
  }

  /** The message at hand is held. */
  get holding(): boolean {
    return this.#holds.open;
  }

  /** Nobody waits for the message at hand any more. */
  leave(reason: Withdrawal): void {
    this.#holds.leave(reason);
    this.#impact.forgetTrial();
  }

  /** The message at hand was cancelled. @returns null where it is not held */
  cancelled(): NotPassed | null {
    this.#impact.forgetTrial();
    return this.#holds.cancelled();
  }

  /** What is to be said to it without judging it, because it is held; null: judge it. */
  earlier(): NotPassed | null {
    const answer = this.#holds.earlier();
    if (answer?.kind === 'refuse') this.#impact.forgetTrial();
    return answer;
  }

  /** Its record could not be written: it does not pass. */
  unrecorded(): void {
    this.#impact.forgetTrial();
  }

  /** Why what must be counted of it cannot be; null: it can. */
  cannotMeasure(measured: readonly (Measuring | null)[]): Block | null {
    const { status } = this.#connection.transaction();
    for (const measuring of measured) {
      const block = measuring === null ? null : this.#needs.block(measuring, status);
      if (block !== null) return block;
    }
    return null;
  }

  /** Has it tried or approved, where that is needed by itself, by what it turned out to change, or since it commits. */
  of({ mustApprove, held, measured, ...message }: ToApprove): NotPassed | Passing {
    // Only what is alone in its message can be undone without what is not tried.
    if (mustApprove && measured.length === 1 && this.#isTriedFirst(measured[0] ?? null, held))
      return { tried: true, released: null };
    const { status } = this.#connection.transaction();
    const trial = this.#impact.trial ?? this.#impact.ofCommit(message.judged, status);
    const oldRows = this.#undo.oldRowsOf(trial, message.judged, message.reached);
    const answer = this.#holds.approved({ ...message, trial, oldRows });
    // A message that passes, or does not, is not the one that was tried any more.
    if (answer === null || 'runs' in answer || answer.kind === 'refuse') this.#impact.forgetTrial();
    return answer === null || 'runs' in answer ? { tried: false, released: answer } : answer;
  }

  #isTriedFirst(measuring: Measuring | null, held: readonly JudgedText[]): boolean {
    if (this.#holds.open || this.#impact.trial !== null) return false;
    return this.#needs.isTriedFirst(measuring, held);
  }

  /** How a run of it is counted; null: it is not. @param sql the statement, for people */
  guard(
    { tried, released }: Passing,
    measuring: Measuring | null,
    run: Run,
    record: JudgedStatementRecord,
    sql: string,
  ): Guard | null {
    if (measuring === null) {
      this.#impact.passes(record.facts);
      return null;
    }
    const { measured = null, oldRows = null } = released?.hold.subject ?? {};
    const approved = measured?.by === 'preview' ? measured.tables : released === null ? null : 'unmeasured';
    const hold = released?.hold.id ?? null;
    return this.#impact.guard(measuring, run, { record, sql, trial: tried, approved, oldRows, hold });
  }
}
