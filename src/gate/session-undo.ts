/**
 * What one session has to do with the keeping of old rows: of which runs they are kept
 * and how, and what is said of that to those who approve.
 *
 * Law: approvers are told `kept` only of what stays with its old rows stored or not at
 * all. How rows are found is changed-rows-keeping.ts's and emptied-keeping.ts's.
 */
import type { OldRows } from '../holds/hold.js';
import { changed } from '../impact/impact.js';
import type { Impact } from '../impact/impact.js';
import type { CountedAnswer } from '../session/ports.js';
import type { StatementFacts } from '../sql/facts.js';
import type { UndoStore } from '../undo/store.js';
import { ChangedRowsKeeping, askWhetherKept, canBeFollowed } from './changed-rows-keeping.js';
import type { ApprovedOf } from './count-verdict.js';
import type { CountingNeeds } from './counting-needs.js';
import { EmptiedTablesKeeping, emptyingOf, isAllEmptied, mayBeKept } from './emptied-keeping.js';
import type { Trial } from './hold-subject.js';
import type { JudgedText } from './judged-text.js';
import type { Run } from './recorder.js';
import type { SessionRole } from './session-role.js';
import type { KeptOrNot, RunToKeep, UndoKeeping } from './undo-keeping.js';

export interface SessionUndoParts {
  readonly role: SessionRole;
  readonly needs: CountingNeeds;
  readonly store: UndoStore;
  readonly user: string;
  readonly environment: string;
  readonly database: string;
  /** ISO 8601. */
  readonly now: () => string;
  /** The connection is to be asked again. */
  readonly ready: () => void;
}

export class SessionUndo {
  readonly #parts: SessionUndoParts;
  /** The isolation level that a transaction of the session's own has where nothing else is said, as the last one that was tried had it. */
  #isolation = '';

  constructor(parts: SessionUndoParts) {
    this.#parts = parts;
  }

  /**
   * How the old rows of a run are kept; null: nobody asks for that, or those who approved it were told that they are not.
   * @param oldRows what they were told
   * @param alone it is a transaction of its own
   */
  keepingOf(
    facts: StatementFacts | null,
    approved: ApprovedOf,
    oldRows: OldRows,
    alone: boolean,
  ): UndoKeeping | null {
    const { needs, store } = this.#parts;
    if (!needs.keepsOldRows || approved === null || oldRows === 'not_kept') return null;
    const emptying = emptyingOf(facts);
    if (emptying !== null)
      return oldRows === 'kept' ? new EmptiedTablesKeeping(emptying, store, alone) : null;
    // Of a hold that an earlier version has written nothing is known, and they are kept.
    if (approved === 'unmeasured' || !approved.some((table) => changed(table) > 0)) return null;
    return new ChangedRowsKeeping(approved, store, alone, this.#isolation);
  }

  /** What approvers are told of the old rows of a message that has, or has not, been tried. @param reached what its names stand for */
  oldRowsOf(trial: Trial | null, { statements, scope }: JudgedText, reached: readonly JudgedText[]): OldRows {
    const { needs, store } = this.#parts;
    if (!needs.keepsOldRows) return null;
    const [record] = statements;
    const alone = record !== undefined && statements.length === 1 && reached.length === 0;
    const emptying = alone ? emptyingOf(record.facts) : null;
    const kept =
      emptying === null
        ? trial?.keepsOldRows === true
        : trial?.keepsOldRows !== false && mayBeKept(emptying, scope.catalog, store.limit);
    return kept ? 'kept' : 'not_kept';
  }

  /** Whether the old rows of what was tried would be kept when it runs again. */
  wouldBeKept(impact: Impact, facts: StatementFacts | null): boolean {
    if (!this.#parts.needs.keepsOldRows) return false;
    return emptyingOf(facts) === null ? canBeFollowed(impact, facts) : isAllEmptied(impact);
  }

  /**
   * Finds out, of what was tried, what is in the way of keeping its old rows.
   * @param alone it is a transaction of its own
   */
  askAhead(impact: Impact, facts: StatementFacts | null, alone: boolean, then: KeptOrNot): CountedAnswer {
    // Those of a TRUNCATE are read before it, so only then it is known.
    if (emptyingOf(facts) !== null) return then(null);
    return askWhetherKept(impact, (problem, isolation) => {
      if (alone) this.#isolation = isolation;
      return then(problem);
    });
  }

  /** A run that may stay with its old rows kept. @param sql the statement, for people */
  runToKeep(run: Run, sql: string, hold: string, impact: Impact, transaction: string | null): RunToKeep {
    const { role, user, environment, database, now, ready } = this.#parts;
    const { decision } = run;
    const of = {
      decision,
      hold,
      at: now(),
      environment,
      database,
      user,
      role: role.scope.role.name,
      sql,
    };
    return { of, impact, transaction, ready };
  }
}
