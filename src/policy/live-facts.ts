/**
 * What rules may ask of the moment at which a statement is to run: whether the
 * server can prove a way back, and what the session's user has changed lately.
 *
 * Law: types only. An answer that is not known is no answer, and the rules refuse on it.
 */
import type { Spent } from '../impact/budget.js';
import type { Recovery } from './recovery.js';

/** How the way back is to be proven: by the server's archiver, by a command, or by both. */
export interface RecoveryAsk {
  readonly kind: 'recovery';
  /** How old the proof of the server's archiver may be, milliseconds; null: the archiver is not asked. */
  readonly maxAgeMs: number | null;
  /** An argument vector, run without a shell; null: none. */
  readonly command: readonly string[] | null;
  /** How long the command may take, milliseconds. */
  readonly deadlineMs: number;
  /** How long an answer is good for, milliseconds. */
  readonly cacheMs: number;
}

/** What may be changed in a sliding window. */
export interface BudgetAsk {
  readonly kind: 'budget';
  readonly windowMs: number;
  /** null: no limit. */
  readonly rows: number | null;
  readonly statements: number | null;
}

export type LiveAsk = RecoveryAsk | BudgetAsk;

/** The answers of the moment. */
export interface LiveFacts {
  /** The session's user, for messages. */
  readonly user: string;
  recovery(ask: RecoveryAsk): Recovery;
  spent(ask: BudgetAsk): Spent;
  /** Milliseconds until less than the limits of `ask` is spent, if nothing more is. */
  clearsIn(ask: BudgetAsk): number;
  /** Groups of which somebody may reset what this user has spent; none: nobody may. */
  resetBy(): readonly string[];
}
