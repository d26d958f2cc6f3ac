/**
 * What became of what passed, told to all parts of a session's gate that remember
 * something of it.
 *
 * Law: nothing is judged here that has not run. Every execution comes to its end once,
 * by ended() or by counted(), and its outcome is recorded then.
 */
import type { Refusal } from '../errors.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { CountedAnswer, Counts, Ending, Execution } from '../session/ports.js';
import type { DatabaseCatalog } from './catalog-store.js';
import { notCounted, notShown } from './impact-words.js';
import type { LiveRules } from './live-rules.js';
import type { Recorder, Run } from './recorder.js';
import type { SessionHolds } from './session-holds.js';
import type { SessionImpact } from './session-impact.js';
import type { SessionTarget } from './target.js';

/** Classes of SQLSTATE that are about the session or its transaction, not about counting. */
const OF_THE_SESSION = /^(25|40|53|57|58)/;

/** Operations that take back what was said in a transaction. */
const ROLLBACKS: ReadonlySet<string> = new Set(['rollback', 'rollback_to_savepoint']);

export interface AftermathParts {
  readonly clock: () => number;
  readonly catalog: DatabaseCatalog;
  readonly target: SessionTarget;
  readonly live: LiveRules;
  readonly recorder: Recorder;
  readonly holds: SessionHolds;
  readonly impact: SessionImpact;
}

export class Aftermath {
  readonly #parts: AftermathParts;
  /** Something in the transaction at hand may have changed the schema. */
  #schemaChanged = false;

  constructor(parts: AftermathParts) {
    this.#parts = parts;
  }

  /** An execution that is not counted ended, or one that is counted failed. */
  ended(execution: Execution, ending: Ending): void {
    const { clock, holds, target, live, recorder, impact } = this.#parts;
    const run = execution as Run;
    const { operation, target: named, changesSchema } = run.ending;
    const now = clock();
    if (changesSchema) this.#schemaChanged = true;
    if (!ending.skipped) holds.statementEnded(operation);
    if (ending.sqlstate !== null || ROLLBACKS.has(operation)) target.rolledBack();
    else if (named !== null && !ending.skipped) target.changed(named, now);
    live.changed(run, ending.rows ?? 0);
    recorder.outcome(run, ending, now);
    impact.ended(operation, ending);
  }

  /** A guarded execution came to its end and has been counted. */
  counted(
    execution: Execution | null,
    ending: Ending,
    before: Counts,
    after: Counts,
    undoable: boolean,
  ): CountedAnswer {
    const { operation, changesSchema } = (execution as Run).ending;
    if (changesSchema) this.#schemaChanged = true;
    this.#parts.holds.statementEnded(operation);
    return this.#parts.impact.counted(execution, ending, before, after, undoable);
  }

  /** What counts, or asks, failed. @returns what the client gets in place of the server's error; null: that error itself */
  uncounted(
    execution: Execution | null,
    sqlstate: string,
    message: string,
    what: 'counting' | 'asking',
  ): Refusal | null {
    if (execution !== null) this.ended(execution, { rows: null, sqlstate, skipped: false });
    // What ends any statement ends this one: a cancel request, a time limit, a block that has failed before.
    if (OF_THE_SESSION.test(sqlstate)) return null;
    return what === 'asking' ? notShown(sqlstate, message) : notCounted(sqlstate, message);
  }

  /** What a Sync was to commit could not be committed. */
  commitFailed(): void {
    this.#parts.impact.commitFailed();
  }

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus): void {
    const { catalog, target, impact, holds } = this.#parts;
    if (this.#schemaChanged && status === 'I') {
      this.#schemaChanged = false;
      catalog.changed();
    }
    target.requestEnded(status);
    impact.requestEnded(status);
    holds.requestEnded(status);
  }

  /** The session has ended. */
  stop(): void {
    this.#parts.impact.stop();
  }
}
