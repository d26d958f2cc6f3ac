/**
 * Which statements of one session are counted, and what has to be so for that: what its
 * role asks, and what the texts at hand are.
 *
 * Law: nothing is counted, remembered or recorded here. A policy that only watches
 * never keeps anything from passing.
 */
import { mayHold, measuringBehindChange, runsOnce } from '../policy/measured.js';
import type { Measuring } from '../policy/measured.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { Block } from './blocks.js';
import { commitAlone, needsBlock, undoAlone } from './impact-words.js';
import type { JudgedText } from './judged-text.js';
import type { JudgedStatementRecord } from './statement-record.js';
import type { SessionRole } from './session-role.js';
import { rulesOf } from './words.js';

export class CountingNeeds {
  readonly #role: SessionRole;

  constructor(role: SessionRole) {
    this.#role = role;
  }

  /**
   * What of a text, or of what its names stand for, must be counted when this statement of it runs; null: nothing.
   * @param schemaChanged what came before it in its transaction may have changed the schema
   */
  measuring(
    own: JudgedStatementRecord | null,
    reached: readonly JudgedText[],
    schemaChanged: boolean,
  ): Measuring | null {
    const { role } = this.#role.scope;
    const of = ({ measuring, facts }: JudgedStatementRecord): Measuring | null =>
      measuring ?? (schemaChanged && facts !== null ? measuringBehindChange(role, facts) : null);
    let most = own === null ? null : of(own);
    for (const { statements } of reached) for (const record of statements) most = both(most, of(record));
    return schemaChanged ? behindChange(most) : most;
  }

  /** Why what must be counted cannot be; null: it can. */
  block({ needsBlock: needs }: Measuring, status: TransactionStatus): Block | null {
    return needs && status !== 'T' && !this.#role.observing ? needsBlock() : null;
  }

  /** Whether what one of these texts turns out to change may have to be approved, and the text run again then. */
  mayBeHeld(texts: readonly JudgedText[]): boolean {
    return (
      this.mayHold &&
      texts.some(
        ({ statements, executes }) =>
          executes.length > 0 || statements.some(({ measuring }) => measuring !== null),
      )
    );
  }

  /** Whether what is counted may have to be approved. */
  get mayHold(): boolean {
    return mayHold(this.#role.scope.role) && !this.#role.observing;
  }

  /**
   * Whether a statement that must be approved is tried first, so that who approves it sees what it changes. Only what
   * changes rows: trying a TRUNCATE or a DROP would lock out everybody.
   * @param texts those that are held
   */
  isTriedFirst(measuring: Measuring | null, texts: readonly JudgedText[]): boolean {
    if (measuring?.rowsOnly !== true) return false;
    const holding = texts
      .flatMap(({ judgement }) => rulesOf(judgement))
      .filter(({ action }) => action === 'hold');
    return !runsOnce(
      this.#role.scope.role,
      holding.map(({ rule }) => rule),
    );
  }

  /** Why a string cannot be held at its COMMIT; null: it need not, or can. */
  blockOfString(judged: JudgedText): Block | null {
    return this.heldAtCommit && judged.statements.length > 1 && commits(judged) && !this.#role.observing
      ? commitAlone()
      : null;
  }

  /** Whether people must approve that a transaction of this role is committed. */
  get heldAtCommit(): boolean {
    return this.#role.scope.role.hold?.atCommit === true;
  }

  /** Whether old rows of what is approved are kept. */
  get keepsOldRows(): boolean {
    return this.#role.scope.role.undo === 'capture' && !this.#role.observing;
  }

  /** Why the old rows of a message that must be approved cannot be kept; null: they can, or nobody asks. */
  blockOfUndo(measured: readonly (Measuring | null)[]): Block | null {
    const rows = measured.filter((one) => one?.rowsOnly === true);
    return this.keepsOldRows && rows.length > 0 && measured.length > 1 ? undoAlone() : null;
  }
}

/**
 * A table whose file is the transaction's own is emptied without getting another one, and without a trace in the catalogs:
 * whatever runs then may do that, by a trigger or a function, and is counted with the sizes of all such files.
 */
function behindChange(measuring: Measuring | null): Measuring | null {
  return measuring?.scope === 'changed' ? { ...measuring, scope: 'remade' } : measuring;
}

/** What it takes to count both. */
function both(a: Measuring | null, b: Measuring | null): Measuring | null {
  if (a === null || b === null) return a ?? b;
  return {
    scope: a.scope === 'all' || b.scope === 'all' ? 'all' : 'changed',
    needsBlock: a.needsBlock || b.needsBlock,
    copies: a.copies || b.copies,
    rowsOnly: a.rowsOnly && b.rowsOnly,
  };
}

/** Whether a text commits what its transaction has done; a ROLLBACK PREPARED or COMMIT PREPARED is another's. */
export function commits({ statements }: JudgedText): boolean {
  return statements.some(({ operation }) => operation === 'commit' || operation === 'prepare_transaction');
}
