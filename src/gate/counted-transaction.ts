/**
 * What the transaction at hand has come to: the sum of what was counted in it, and how
 * it ended.
 *
 * Law: only what stays is added, and an end is recorded once, when the server has
 * reported it; a transaction in which something failed was rolled back, unless it went
 * back to a savepoint since. What a count means is not known here (count-verdict.ts).
 */
import { sum, total } from '../impact/impact.js';
import type { Impact } from '../impact/impact.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { Ending } from '../session/ports.js';
import type { Recorder, Run } from './recorder.js';

/** Statements of a transaction that are shown to who approves it, at most, and characters of each. */
const MOST_STATEMENTS = 200;
const MOST_CHARACTERS = 10_000;

/** Operations that end a transaction, whether or not another one begins at once. */
const ENDS: ReadonlySet<string> = new Set(['commit', 'rollback', 'prepare_transaction']);
const ENDED_BY_ROLLBACK: ReadonlySet<string> = new Set(['rollback']);

interface Sum {
  impact: Impact;
  id: string | null;
  readonly decisions: string[];
  readonly statements: string[];
  failed: boolean;
}

export class CountedTransaction {
  readonly #recorder: Pick<Recorder, 'transactionEnd'>;
  #sum: Sum | null = null;
  #status: TransactionStatus = 'I';

  constructor(recorder: Pick<Recorder, 'transactionEnd'>) {
    this.#recorder = recorder;
  }

  /** What runs is committed with itself: there is no block. */
  get ofOneStatement(): boolean {
    return this.#status === 'I';
  }

  /** What has been counted in it and stays so far. */
  get impact(): Impact {
    return this.#sum?.impact ?? [];
  }

  /** Those of its statements that changed rows, for people. */
  get statements(): readonly string[] {
    return this.#sum?.statements ?? [];
  }

  /**
   * A run was counted, and stays.
   * @param id the server's of the transaction; null: it has none yet
   */
  keep(run: Run, impact: Impact, id: string | null, sql: string): void {
    this.#sum ??= { impact: [], id: null, decisions: [], statements: [], failed: false };
    const kept = this.#sum;
    kept.impact = sum(kept.impact, impact);
    kept.id = id ?? kept.id;
    kept.decisions.push(run.decision);
    if (total(impact) > 0 && kept.statements.length < MOST_STATEMENTS)
      kept.statements.push(sql.slice(0, MOST_CHARACTERS));
  }

  /** An execution that is not counted ended, or one that is counted failed. */
  ended(operation: string, { sqlstate, skipped }: Ending): void {
    const kept = this.#sum;
    if (kept === null || skipped) return;
    if (sqlstate !== null) kept.failed = true;
    else if (ENDS.has(operation)) this.#end(ENDED_BY_ROLLBACK.has(operation) || kept.failed);
    else if (operation === 'rollback_to_savepoint') kept.failed = false;
  }

  /** The commit that a Sync asked for failed. */
  commitFailed(): void {
    if (this.#sum !== null) this.#sum.failed = true;
  }

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus): void {
    this.#status = status;
    const kept = this.#sum;
    if (kept === null) return;
    if (status === 'E') kept.failed = true;
    else if (status === 'I') this.#end(kept.failed);
  }

  /** The session has ended. */
  stop(): void {
    this.#recordEnd('unknown');
  }

  #end(rolledBack: boolean): void {
    this.#recordEnd(rolledBack ? 'rolled_back' : 'committed');
  }

  #recordEnd(result: 'committed' | 'rolled_back' | 'unknown'): void {
    const kept = this.#sum;
    this.#sum = null;
    if (kept === null || total(kept.impact) === 0) return;
    const { impact, id, decisions } = kept;
    this.#recorder.transactionEnd({ transaction: id, decisions, impact, result });
  }
}
