/**
 * What one session's statements really do: how they are counted, and what is answered
 * and recorded of each count.
 *
 * Law: it says what becomes of the count. Which statements are counted is
 * counting-needs.ts's, when messages are sent the conversation's (session/guarded-requests.ts),
 * what the rules say of a count is count-verdict.ts's, and what the counts of a
 * transaction add up to counted-transaction.ts's. What was counted is recorded before it
 * can be committed, with the server's id of the transaction, so that whoever reads the log
 * after a crash can ask the server what became of it.
 */
import type { Refusal } from '../errors.js';
import { readingsOf } from '../impact/counts.js';
import type { Counters, Reading, Scope } from '../impact/counts.js';
import { ImpactError } from '../impact/impact-error.js';
import { impactOf, sum, total } from '../impact/impact.js';
import type { Impact, Tag } from '../impact/impact.js';
import { trustsDeferred } from '../policy/measured.js';
import type { Measuring } from '../policy/measured.js';
import type { Match } from '../policy/types.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { OldRows } from '../holds/hold.js';
import type { CountedAnswer, Counts, Ending, Execution, Guard } from '../session/ports.js';
import type { StatementFacts } from '../sql/facts.js';
import { countQueriesFor } from './count-queries.js';
import { commits } from './counting-needs.js';
import type { CountingNeeds } from './counting-needs.js';
import { CountVerdict } from './count-verdict.js';
import type { ApprovedOf, Verdict } from './count-verdict.js';
import { CountedTransaction } from './counted-transaction.js';
import type { Trial } from './hold-subject.js';
import { atCommit, impactWarning, notKept, unmeasured } from './impact-words.js';
import type { JudgedText } from './judged-text.js';
import type { JudgedStatementRecord } from './statement-record.js';
import { KnownCounters } from './known-counters.js';
import type { Recorder, Run } from './recorder.js';
import type { SessionRole } from './session-role.js';
import type { TransactionState } from './waits.js';
import { emptyingOf } from './emptied-keeping.js';
import type { SessionUndo } from './session-undo.js';
import type { UndoKeeping } from './undo-keeping.js';

/** Operations whose command tag says how many rows were changed, and not how many were returned. */
const TAGGED: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'copy_from']);

/** What is known of a run that is counted. */
interface Guarded {
  readonly scope: Scope;
  /** Where the counters stood before it; null: they are read. */
  readonly known: Reading<Counters> | null;
  readonly record: JudgedStatementRecord;
  /** The statement, for people. */
  readonly sql: string;
  /** Runs only to be counted, and undone. */
  readonly trial: boolean;
  readonly approved: ApprovedOf;
  /** The hold that was approved; null: none. */
  readonly hold: string | null;
  /** Keeps its old rows; null: nobody asks for that. */
  readonly keeping: UndoKeeping | null;
}

export class SessionImpact {
  readonly #role: SessionRole;
  readonly #needs: CountingNeeds;
  readonly #recorder: Recorder;
  readonly #clock: () => number;
  readonly #verdict: CountVerdict;
  readonly #transaction: CountedTransaction;
  readonly #counters: KnownCounters;
  readonly #guarded = new WeakMap<Run, Guarded>();
  readonly #charge: (run: Run, rows: number) => void;
  readonly #undo: SessionUndo;
  readonly #standing: () => TransactionState;
  #queries = countQueriesFor(null);
  /** What the message at hand turned out to change, when it was tried. */
  #trial: Trial | null = null;

  /**
   * @param confirmed whether the session has named the environment that it means
   * @param charge what a run has changed counts for its user's budget
   */
  constructor(parts: {
    readonly role: SessionRole;
    readonly needs: CountingNeeds;
    readonly recorder: Recorder;
    readonly clock: () => number;
    readonly user: string;
    readonly environment: string;
    readonly confirmed: () => boolean;
    readonly charge: (run: Run, rows: number) => void;
    readonly undo: SessionUndo;
    /** Where the session's transaction stands. */
    readonly standing: () => TransactionState;
  }) {
    this.#role = parts.role;
    this.#needs = parts.needs;
    this.#recorder = parts.recorder;
    this.#clock = parts.clock;
    this.#charge = parts.charge;
    this.#undo = parts.undo;
    this.#standing = parts.standing;
    this.#counters = new KnownCounters(parts.clock);
    this.#verdict = new CountVerdict(parts);
    this.#transaction = new CountedTransaction(parts.recorder);
  }

  /** What the message at hand turned out to change; null: it has not been tried, or nothing of it must be approved. */
  get trial(): Trial | null {
    return this.#trial;
  }

  /** The message at hand is answered. */
  forgetTrial(): void {
    this.#trial = null;
  }

  /** What the transaction at hand has changed, where people must approve that it is committed; null: they need not. */
  ofCommit(judged: JudgedText, status: TransactionStatus): Trial | null {
    const { impact, statements } = this.#transaction;
    if (status !== 'T' || this.#role.observing) return null;
    if (!this.#needs.heldAtCommit || total(impact) === 0 || !commits(judged)) return null;
    return {
      measured: { by: 'transaction', tables: impact, statements },
      matches: [atCommit(this.#role.scope.role.name, impact, false)],
      // It has changed them already.
      keepsOldRows: false,
    };
  }

  /** A run passes that is not counted. @param facts null: it could not be read */
  passes(facts: StatementFacts | null): void {
    this.#counters.uncounted(facts);
  }

  /** How a run is counted. @param oldRows what was said of them to those who approved it */
  guard(
    { scope, copies }: Measuring,
    run: Run,
    { oldRows, ...of }: Omit<Guarded, 'scope' | 'known' | 'keeping'> & { readonly oldRows: OldRows },
  ): Guard {
    const standing = this.#standing();
    const keeping = this.#undo.keepingOf(of.record.facts, of.approved, oldRows, standing.status === 'I');
    const counters = this.#counters.take(standing);
    const known = scope === 'changed' ? counters : null;
    this.#guarded.set(run, { ...of, scope, known, keeping });
    const preview = !copies && (of.trial || this.#needs.mayHold);
    const first =
      keeping?.before((problem) => notKept(problem, run.decision, keepingBy(of.record.facts))) ?? null;
    const { before, after } = this.#queries[scope];
    return { before: known === null ? before : null, after, copyIn: copies, preview, first };
  }

  /** A guarded execution came to its end, and what the server counts has been read. */
  counted(
    execution: Execution | null,
    ending: Ending,
    before: Counts,
    after: Counts,
    undoable: boolean,
  ): CountedAnswer {
    const run = execution as Run;
    const guarded = this.#guarded.get(run);
    if (guarded === undefined) throw new Error('a run was counted that nobody guards');
    const { record, scope, known, approved, trial, keeping, hold } = guarded;
    let impact: Impact;
    let id: string | null;
    try {
      const readings = readingsOf(scope, known ?? before, after);
      // What was emptied is counted in anew.
      if (readings.scope === 'changed') this.#counters.read(readings.after, this.#standing());
      const late = trustsDeferred(this.#role.scope.role) ? 'trusted' : 'unknown';
      impact = impactOf(readings, tagOf(record.facts, ending), late);
      id = readings.after.transaction;
    } catch (error) {
      if (!(error instanceof ImpactError)) throw error;
      return this.#unmeasured(run, guarded, ending, error.message);
    }
    const { ofOneStatement } = this.#transaction;
    const transaction = sum(this.#transaction.impact, impact);
    const { matches, word } = this.#verdict.of({
      record,
      impact,
      transaction,
      ofOneStatement,
      approved,
      trial,
      undoable,
    });
    const keepsOldRows = this.#undo.wouldBeKept(impact, record.facts);
    const settle = (problem: string | null): CountedAnswer =>
      this.#settle(
        run,
        guarded,
        ending,
        { impact, id, matches, word: problem === null ? word : 'refuse', keepsOldRows },
        problem,
      );
    if (word === 'undo' && keepsOldRows)
      return this.#undo.askAhead(impact, record.facts, ofOneStatement, settle);
    if (word === 'pass' && keeping !== null && hold !== null)
      return keeping.after(this.#undo.runToKeep(run, guarded.sql, hold, impact, id), settle);
    return settle(null);
  }

  /** What was counted is recorded, and answered. @param problem why its old rows cannot be kept */
  #settle(
    run: Run,
    guarded: Guarded,
    ending: Ending,
    counted: Verdict & {
      readonly impact: Impact;
      readonly id: string | null;
      readonly keepsOldRows: boolean;
    },
    problem: string | null,
  ): CountedAnswer {
    const { impact, id, matches, word, keepsOldRows } = counted;
    const decisive = matches[0] ?? null;
    const refusal =
      problem !== null
        ? notKept(problem, run.decision, keepingBy(guarded.record.facts))
        : word === 'refuse'
          ? this.#verdict.refusal(matches, run.decision)
          : null;
    this.#record(run, guarded, ending, {
      impact,
      transaction: id,
      matches,
      refusal,
      undone: word === 'undo',
      oldRowsKept: guarded.keeping !== null && word === 'pass',
    });
    if (refusal !== null) return { kind: 'refuse', refusal };
    if (word === 'undo') {
      this.#trial = { measured: { by: 'preview', tables: impact, statements: [] }, matches, keepsOldRows };
      return { kind: 'undo' };
    }
    this.#transaction.keep(run, impact, id, guarded.sql);
    const warns = decisive?.action === 'warn' && !this.#role.observing;
    return { kind: 'pass', notice: warns ? impactWarning(decisive, run.decision) : null };
  }

  #unmeasured(run: Run, guarded: Guarded, ending: Ending, why: string): CountedAnswer {
    const refusal = this.#role.observing ? null : unmeasured(why, run.decision);
    this.#record(run, guarded, ending, {
      impact: null,
      transaction: null,
      matches: [],
      refusal,
      undone: false,
      oldRowsKept: false,
    });
    if (refusal !== null) return { kind: 'refuse', refusal };
    this.#transaction.keep(run, [], null, '');
    return { kind: 'pass', notice: null };
  }

  #record(
    run: Run,
    { record }: Guarded,
    ending: Ending,
    counted: {
      readonly impact: Impact | null;
      readonly transaction: string | null;
      readonly matches: readonly Match[];
      readonly refusal: Refusal | null;
      readonly undone: boolean;
      readonly oldRowsKept: boolean;
    },
  ): void {
    const { refusal, ...rest } = counted;
    const stays = refusal === null && !counted.undone;
    this.#charge(run, stays ? (counted.impact === null ? (ending.rows ?? 0) : total(counted.impact)) : 0);
    const { role } = record;
    this.#recorder.counted(
      run,
      ending,
      { ...rest, role, sqlstate: refusal?.sqlstate ?? null },
      this.#clock(),
    );
  }

  // ---------------------------------------------------------------- the transaction

  /** An execution that is not counted ended, or one that is counted failed. */
  ended(operation: string, ending: Ending): void {
    this.#counters.ended(operation, ending);
    this.#transaction.ended(operation, ending);
  }

  /** The commit that a Sync asked for failed. */
  commitFailed(): void {
    this.#transaction.commitFailed();
  }

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus): void {
    this.#transaction.requestEnded(status);
  }

  /** ParameterStatus from the server. */
  parameter(name: string, value: string): void {
    if (name === 'server_version') this.#queries = countQueriesFor(value);
  }

  /** The session has ended. */
  stop(): void {
    this.#transaction.stop();
  }
}

function keepingBy(facts: StatementFacts | null): 'changed' | 'emptied' {
  return emptyingOf(facts) === null ? 'changed' : 'emptied';
}

function tagOf(facts: StatementFacts | null, { rows }: Ending): Tag {
  if (facts === null || !TAGGED.has(facts.operation)) return { rows: null, target: null };
  const action = facts.actions.find(({ operation }) => operation === facts.operation);
  return { rows, target: action?.targets[0] ?? null };
}
