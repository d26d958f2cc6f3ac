/**
 * What a session has said by `SET holdfast.target`, for the `confirm` verdict. It
 * is followed as PostgreSQL follows any setting: what was said in a transaction is
 * taken back with it, SET LOCAL goes when it ends, RESET and DISCARD ALL clear it.
 *
 * Law: pure; time comes from the caller. Where the transaction's fate is not known
 * for sure, the word is taken back: saying it again costs little.
 */
import type { TransactionStatus } from '../protocol/constants.js';
import type { StatementFacts } from '../sql/facts.js';

/** The custom setting that echoes the environment's name for `confirm`. */
const TARGET_SETTING = 'holdfast.target';

/** What one statement does to the setting. */
export interface TargetChange {
  /** null: cleared. */
  readonly value: string | null;
  /** By SET LOCAL. */
  readonly local: boolean;
}

interface Said {
  readonly value: string | null;
  /** Milliseconds. */
  readonly at: number;
}

export interface SessionTarget {
  /** A statement that changes the setting has succeeded. */
  changed(change: TargetChange, at: number): void;
  /** A statement failed, or rolled back what was open. */
  rolledBack(): void;
  /** The server is ready again. */
  requestEnded(status: TransactionStatus): void;
  /** Whether `environment` was said at `since` or later. */
  says(environment: string, since: number): boolean;
}

/** What a statement does to the setting; null: nothing. */
export function targetChange(facts: StatementFacts | null): TargetChange | null {
  let change: TargetChange | null = null;
  for (const { name, value, local } of facts?.settings ?? []) {
    if (name === TARGET_SETTING) change = { value, local };
    else if (name === '*') change = { value: null, local: false };
  }
  return change;
}

export function createSessionTarget(): SessionTarget {
  let settled: Said | null = null;
  /** Said in the transaction that is open; takes the place of `settled` when that commits. */
  let open: Said | null = null;
  /** Said by SET LOCAL in the transaction that is open. */
  let local: Said | null = null;

  function rolledBack(): void {
    open = null;
    local = null;
  }

  return {
    changed(change, at) {
      const said = { value: change.value, at };
      if (change.local) {
        local = said;
      } else {
        open = said;
        local = null;
      }
    },
    rolledBack,
    requestEnded(status) {
      if (status === 'T') return;
      if (status === 'I') settled = open ?? settled;
      rolledBack();
    },
    says(environment, since) {
      const said = local ?? open ?? settled;
      return said?.value === environment && said.at >= since;
    },
  };
}
