/**
 * What a session's transaction has come to: a statement that waits in one keeps its
 * locks, and whoever approves the statement is told so.
 *
 * Law: pure; the server's ReadyForQuery says what is open, and time comes from the caller.
 */
import type { Subject } from '../holds/hold.js';
import type { TransactionStatus } from '../protocol/constants.js';

export class TransactionBlock {
  /** When the server first reported the block that is open, milliseconds since 1970. */
  #since: number | null = null;
  /** Statements that have run since. */
  #statements = 0;

  statementEnded(operation: string): void {
    if (operation !== 'begin') this.#statements += 1;
  }

  requestEnded(status: TransactionStatus, now: number): void {
    if (status === 'I') {
      this.#since = null;
      this.#statements = 0;
    } else {
      this.#since ??= now;
    }
  }

  /**
   * The transaction in which a statement would run that is sent now; null: one of its own.
   * @param executed Executes sent since the last Sync
   */
  current(status: TransactionStatus, executed: number, now: number): Subject['inTransaction'] {
    if (status === 'I' && executed === 0) return null;
    return { since: this.#since ?? now, statements: Math.max(this.#statements, executed) };
  }
}
