/**
 * What one session's statements really do: which are counted, what is made of the
 * count, and what their transaction has come to.
 *
 * Law: it says what is to be counted and what the count means; when messages are sent
 * and what becomes of them is the conversation's (session/guarding.ts). What was counted
 * is recorded before it can be committed, with the server's id of the transaction, so
 * that whoever reads the log after a crash can ask the server what became of it.
 */
import { hash } from 'node:crypto';
import type { Refusal } from '../errors.js';
import { COUNT_QUERIES, readingsOf } from '../impact/counts.js';
import type { Scope } from '../impact/counts.js';
import { ImpactError } from '../impact/impact-error.js';
import { changed, impactOf, sum, total, within } from '../impact/impact.js';
import type { Approved, Impact, Tag } from '../impact/impact.js';
import {
  judgeImpact,
  mayHold,
  runsOnce,
  strictestFirst,
  toleranceOf,
  trustsDeferred,
} from '../policy/measured.js';
import type { Measuring } from '../policy/measured.js';
import type { Match } from '../policy/types.js';
import { commandWords, described } from '../policy/words.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { CountedAnswer, CountQuery, Counts, Ending, Execution, Guard } from '../session/ports.js';
import type { StatementFacts } from '../sql/facts.js';
import type { Block } from './blocks.js';
import type { Trial } from './hold-subject.js';
import { cannotBeHeld } from './hold-words.js';
import {
  CANNOT_BE_UNDONE,
  NOT_RUN_TWICE,
  WAITS_AT_COMMIT,
  atCommit,
  cannotBeTried,
  commitAlone,
  exceeds,
  impactRefusal,
  impactWarning,
  needsBlock,
  notKept,
  undoAlone,
  unmeasured,
} from './impact-words.js';
import type { JudgedStatementRecord, JudgedText } from './judged-text.js';
import type { Recorder, Run } from './recorder.js';
import type { SessionRole } from './session-role.js';
import type { UndoStore } from '../undo/store.js';
import { UndoCapture, askWhetherKept } from './undo-capture.js';
import type { UndoOf } from './undo-capture.js';
import { rulesOf } from './words.js';

/** The server keeps one prepared query under a name, so the name says which text it is. */
function countQuery(sql: string): CountQuery {
  return { name: `holdfast_count_${hash('sha256', sql, 'hex').slice(0, 16)}`, sql };
}

function countQueries(scope: Scope): Pick<Guard, 'before' | 'after'> {
  const { before, after } = COUNT_QUERIES[scope];
  return { before: countQuery(before), after: countQuery(after) };
}

const COUNTS: Readonly<Record<Scope, Pick<Guard, 'before' | 'after'>>> = {
  changed: countQueries('changed'),
  all: countQueries('all'),
};

/** Operations whose command tag says how many rows were changed, and not how many were returned. */
const TAGGED: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'copy_from']);

/** What is to become of what was counted. */
type Word = 'pass' | 'refuse' | 'undo';

/** What has been counted in the transaction at hand. */
interface Transaction {
  impact: Impact;
  id: string | null;
  readonly decisions: string[];
  readonly statements: string[];
  failed: boolean;
}

/** What is known of a run that is counted. */
interface Guarded {
  readonly scope: Scope;
  readonly record: JudgedStatementRecord;
  /** The statement, for people. */
  readonly sql: string;
  /** Runs only to be counted, and undone. */
  readonly trial: boolean;
  /** What was approved of it; `unmeasured`: the statement, whatever it changes; null: nothing had to be. */
  readonly approved: readonly Approved[] | 'unmeasured' | null;
  /** The hold that was approved; null: none. */
  readonly hold: string | null;
  /** Keeps its old rows; null: nobody asks for that. */
  readonly capture: UndoCapture | null;
}

/** Statements of a transaction that are shown to who approves it, at most, and characters of each. */
const MOST_STATEMENTS = 200;
const MOST_CHARACTERS = 10_000;

/** What the keeping of old rows needs to know of the session. */
export interface SessionUndo {
  readonly store: UndoStore;
  readonly database: string;
  /** ISO 8601. */
  readonly now: () => string;
  /** The connection is to be asked again. */
  readonly ready: () => void;
}

export class SessionImpact {
  readonly #role: SessionRole;
  readonly #recorder: Recorder;
  readonly #clock: () => number;
  readonly #guarded = new WeakMap<Run, Guarded>();
  readonly #user: string;
  readonly #environment: string;
  readonly #confirmed: () => boolean;
  readonly #charge: (run: Run, rows: number) => void;
  readonly #undo: SessionUndo;
  /** The isolation level that a transaction of the session's own has where nothing else is said, as the last one that was tried had it. */
  #isolation = '';
  #transaction: Transaction | null = null;
  #status: TransactionStatus = 'I';
  /** What the message at hand turned out to change, when it was tried. */
  #trial: Trial | null = null;

  /**
   * @param confirmed whether the session has named the environment that it means
   * @param charge what a run has changed counts for its user's budget
   */
  constructor(parts: {
    readonly role: SessionRole;
    readonly recorder: Recorder;
    readonly clock: () => number;
    readonly user: string;
    readonly environment: string;
    readonly confirmed: () => boolean;
    readonly charge: (run: Run, rows: number) => void;
    readonly undo: SessionUndo;
  }) {
    this.#role = parts.role;
    this.#recorder = parts.recorder;
    this.#clock = parts.clock;
    this.#user = parts.user;
    this.#environment = parts.environment;
    this.#confirmed = parts.confirmed;
    this.#charge = parts.charge;
    this.#undo = parts.undo;
  }

  /** What the message at hand turned out to change; null: it has not been tried, or nothing of it must be approved. */
  get trial(): Trial | null {
    return this.#trial;
  }

  /** The message at hand is answered. */
  forgetTrial(): void {
    this.#trial = null;
  }

  /**
   * Whether a statement that must be approved is tried first, so that who approves it sees what it changes. Only what
   * changes rows: trying a TRUNCATE or a DROP would lock out everybody.
   * @param texts those that are held
   */
  isTriedFirst(measuring: Measuring | null, texts: readonly JudgedText[]): boolean {
    if (measuring === null || measuring.scope !== 'changed' || measuring.copies || this.#trial !== null)
      return false;
    const holding = texts
      .flatMap(({ judgement }) => rulesOf(judgement))
      .filter(({ action }) => action === 'hold');
    return !runsOnce(
      this.#role.scope.role,
      holding.map(({ rule }) => rule),
    );
  }

  /** What the transaction at hand has changed, where people must approve that it is committed; null: they need not. */
  ofCommit(judged: JudgedText, status: TransactionStatus): Trial | null {
    const transaction = this.#transaction;
    if (transaction === null || status !== 'T' || this.#role.observing) return null;
    if (!this.#heldAtCommit || total(transaction.impact) === 0 || !commits(judged)) return null;
    const { role } = this.#role.scope;
    return {
      measured: { by: 'transaction', tables: transaction.impact, statements: transaction.statements },
      matches: [atCommit(role.name, transaction.impact, false)],
    };
  }

  /** Why a string cannot be held at its COMMIT; null: it need not, or can. */
  blockOfString(judged: JudgedText): Block | null {
    return this.#heldAtCommit && judged.statements.length > 1 && commits(judged) && !this.#role.observing
      ? commitAlone()
      : null;
  }

  get #heldAtCommit(): boolean {
    return this.#role.scope.role.hold?.atCommit === true;
  }

  /** What of a text, or of what its names stand for, must be counted when this statement of it runs; null: nothing. */
  measuring(own: JudgedStatementRecord | null, reached: readonly JudgedText[]): Measuring | null {
    let most: Measuring | null = own?.measuring ?? null;
    for (const { measuring } of reached.flatMap(({ statements }) => statements)) {
      if (measuring === null) continue;
      most =
        most === null
          ? measuring
          : {
              scope: most.scope === 'all' || measuring.scope === 'all' ? 'all' : 'changed',
              needsBlock: most.needsBlock || measuring.needsBlock,
              copies: most.copies || measuring.copies,
            };
    }
    return most;
  }

  /** Why what must be counted cannot be; null: it can. */
  block({ needsBlock: needs }: Measuring, status: TransactionStatus): Block | null {
    return needs && status !== 'T' && !this.#role.observing ? needsBlock() : null;
  }

  /** Whether what one of these texts turns out to change may have to be approved, and the text run again then. */
  mayBeHeld(texts: readonly JudgedText[]): boolean {
    return (
      this.#mayHold &&
      texts.some(
        ({ statements, executes }) =>
          executes.length > 0 || statements.some(({ measuring }) => measuring !== null),
      )
    );
  }

  get #mayHold(): boolean {
    return mayHold(this.#role.scope.role) && !this.#role.observing;
  }

  /** How a run is counted. */
  guard(
    { scope, copies }: Measuring,
    run: Run,
    of: Omit<Guarded, 'scope' | 'capture'>,
    status: TransactionStatus,
  ): Guard {
    const { approved } = of;
    const tables = approved === null || approved === 'unmeasured' ? [] : approved;
    const kept = this.#keepsOldRows && tables.some((table) => changed(table) > 0);
    const capture = kept ? new UndoCapture(tables, this.#undo.store, status === 'I', this.#isolation) : null;
    this.#guarded.set(run, { ...of, scope, capture });
    const preview = !copies && (of.trial || this.#mayHold);
    const first = capture?.before((problem) => notKept(problem, run.decision)) ?? null;
    return { ...COUNTS[scope], copyIn: copies, preview, first };
  }

  /** Whether old rows of what is approved are kept. */
  get #keepsOldRows(): boolean {
    return this.#role.scope.role.undo === 'capture' && !this.#role.observing;
  }

  /** Why the old rows of a message that must be approved cannot be kept; null: they can, or nobody asks. */
  blockOfUndo(measured: readonly (Measuring | null)[]): Block | null {
    const rows = measured.filter((one) => one?.scope === 'changed' && !one.copies);
    return this.#keepsOldRows && rows.length > 0 && measured.length > 1 ? undoAlone() : null;
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
    const { facts } = guarded.record;
    const earlier = this.#transaction?.impact ?? [];
    let impact: Impact;
    let id: string | null;
    try {
      const readings = readingsOf(guarded.scope, before, after);
      const late = trustsDeferred(this.#role.scope.role) ? 'trusted' : 'unknown';
      impact = impactOf(readings, tagOf(facts, ending), late);
      id = readings.after.transaction;
    } catch (error) {
      if (!(error instanceof ImpactError)) throw error;
      return this.#unmeasured(run, guarded, ending, error.message);
    }
    const matches = this.#matches(impact, sum(earlier, impact), guarded);
    const decisive = matches[0] ?? null;
    const word = this.#word(decisive, guarded, undoable);
    const settle = (problem: string | null): CountedAnswer =>
      this.#settle(
        run,
        guarded,
        ending,
        { impact, id, matches, word: problem === null ? word : 'refuse' },
        problem,
      );
    if (word === 'undo' && this.#keepsOldRows && guarded.scope === 'changed' && total(impact) > 0)
      return askWhetherKept(impact, (problem, isolation) => {
        if (this.#status === 'I') this.#isolation = isolation;
        return settle(problem);
      });
    const { capture, hold } = guarded;
    if (word === 'pass' && capture !== null && hold !== null)
      return capture.after(this.#undoOf(run, guarded.sql, hold), impact, id, this.#undo.ready, settle);
    return settle(null);
  }

  /** What was counted is recorded, and answered. @param problem why its old rows cannot be kept */
  #settle(
    run: Run,
    guarded: Guarded,
    ending: Ending,
    counted: {
      readonly impact: Impact;
      readonly id: string | null;
      readonly matches: readonly Match[];
      readonly word: Word;
    },
    problem: string | null,
  ): CountedAnswer {
    const { impact, id, matches, word } = counted;
    const decisive = matches[0] ?? null;
    const refusal =
      problem !== null
        ? notKept(problem, run.decision)
        : word === 'refuse'
          ? this.#refusal(matches, decisive, run.decision)
          : null;
    this.#record(run, guarded, ending, {
      impact,
      transaction: id,
      matches,
      refusal,
      undone: word === 'undo',
      oldRowsKept: guarded.capture !== null && word === 'pass',
    });
    if (refusal !== null) return { kind: 'refuse', refusal };
    if (word === 'undo') {
      this.#trial = { measured: { by: 'preview', tables: impact, statements: [] }, matches };
      return { kind: 'undo' };
    }
    this.#keep(run, impact, id, guarded.sql);
    const warns = decisive?.action === 'warn' && !this.#role.observing;
    return { kind: 'pass', notice: warns ? impactWarning(decisive, run.decision) : null };
  }

  #undoOf(run: Run, sql: string, hold: string): UndoOf {
    return {
      decision: run.decision,
      hold,
      at: this.#undo.now(),
      environment: this.#environment,
      database: this.#undo.database,
      user: this.#user,
      role: this.#role.scope.role.name,
      sql,
    };
  }

  /** What the rules say of what was counted, and whether it may be committed at all without people. */
  #matches(impact: Impact, transaction: Impact, { approved, record }: Guarded): readonly Match[] {
    const { role } = this.#role.scope;
    const subject = subjectOf(record.facts, record.operation);
    const all = judgeImpact(role, {
      subject,
      role: role.name,
      statement: impact,
      transaction,
    });
    // What is not in a block is committed with the statement.
    if (this.#heldAtCommit && this.#status === 'I' && total(impact) > 0)
      all.push(atCommit(role.name, impact, true));
    if (approved === null) return strictestFirst(all);
    if (approved === 'unmeasured' || within(impact, approved, toleranceOf(role)))
      return strictestFirst(all.filter(({ action }) => action !== 'hold'));
    return strictestFirst([exceeds(subject), ...all]);
  }

  #word(decisive: Match | null, { trial }: Guarded, undoable: boolean): Word {
    if (this.#role.observing) return 'pass';
    switch (decisive?.action) {
      case 'deny':
        return 'refuse';
      case 'hold':
        return undoable && this.#unheld === null ? 'undo' : 'refuse';
      case 'confirm':
        if (!this.#confirmed()) return 'refuse';
        break;
      case undefined:
      case 'allow':
      case 'warn':
        break;
    }
    if (!trial) return 'pass';
    return undoable ? 'undo' : 'refuse';
  }

  /** Why nothing of this role can be held; null: it can. */
  get #unheld(): string | null {
    const { role, policy } = this.#role.scope;
    return cannotBeHeld(role, policy.approvers, this.#user);
  }

  /** Why what must be approved is not undone for that, and run again. */
  get #notUndone(): string {
    if (!runsOnce(this.#role.scope.role)) return CANNOT_BE_UNDONE;
    return this.#heldAtCommit ? `${NOT_RUN_TWICE} ${WAITS_AT_COMMIT}` : NOT_RUN_TWICE;
  }

  #refusal(matches: readonly Match[], decisive: Match | null, decision: string): Refusal {
    if (decisive === null || decisive.action === 'warn') return cannotBeTried(decision);
    return impactRefusal(matches, decisive, decision, {
      unheld: decisive.action === 'hold' ? (this.#unheld ?? this.#notUndone) : null,
      environment: decisive.action === 'confirm' ? this.#environment : null,
    });
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
    this.#keep(run, [], null, '');
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

  #keep(run: Run, impact: Impact, id: string | null, sql: string): void {
    this.#transaction ??= { impact: [], id: null, decisions: [], statements: [], failed: false };
    const transaction = this.#transaction;
    transaction.impact = sum(transaction.impact, impact);
    transaction.id = id ?? transaction.id;
    transaction.decisions.push(run.decision);
    if (total(impact) > 0 && transaction.statements.length < MOST_STATEMENTS)
      transaction.statements.push(sql.slice(0, MOST_CHARACTERS));
  }

  // ---------------------------------------------------------------- the transaction

  /** An execution that is not counted ended, or one that is counted failed. */
  ended(operation: string, { sqlstate, skipped }: Ending): void {
    const transaction = this.#transaction;
    if (transaction === null || skipped) return;
    if (sqlstate !== null) transaction.failed = true;
    else if (ENDS.has(operation)) this.#end(ENDED_BY_ROLLBACK.has(operation) || transaction.failed);
    else if (operation === 'rollback_to_savepoint') transaction.failed = false;
  }

  /** The commit that a Sync asked for failed. */
  commitFailed(): void {
    if (this.#transaction !== null) this.#transaction.failed = true;
  }

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus): void {
    this.#status = status;
    const transaction = this.#transaction;
    if (transaction === null) return;
    if (status === 'E') transaction.failed = true;
    else if (status === 'I') this.#end(transaction.failed);
  }

  /** The session has ended. */
  stop(): void {
    const transaction = this.#transaction;
    this.#transaction = null;
    if (transaction !== null) this.#recordEnd(transaction, 'unknown');
  }

  #end(rolledBack: boolean): void {
    const transaction = this.#transaction;
    this.#transaction = null;
    if (transaction !== null) this.#recordEnd(transaction, rolledBack ? 'rolled_back' : 'committed');
  }

  #recordEnd({ impact, id, decisions }: Transaction, result: 'committed' | 'rolled_back' | 'unknown'): void {
    if (total(impact) === 0) return;
    this.#recorder.transactionEnd({ transaction: id, decisions, impact, result });
  }
}

/** Whether a text commits what its transaction has done; a ROLLBACK PREPARED or COMMIT PREPARED is another's. */
function commits({ statements }: JudgedText): boolean {
  return statements.some(({ operation }) => operation === 'commit' || operation === 'prepare_transaction');
}

/** Operations that end a transaction, whether or not another one begins at once. */
const ENDS: ReadonlySet<string> = new Set(['commit', 'rollback', 'prepare_transaction']);
const ENDED_BY_ROLLBACK: ReadonlySet<string> = new Set(['rollback']);

function tagOf(facts: StatementFacts | null, { rows }: Ending): Tag {
  if (facts === null || !TAGGED.has(facts.operation)) return { rows: null, target: null };
  const action = facts.actions.find(({ operation }) => operation === facts.operation);
  return { rows, target: action?.targets[0] ?? null };
}

function subjectOf(facts: StatementFacts | null, operation: string): string {
  const action = facts?.actions.find(({ effect }) => effect !== 'read') ?? facts?.actions[0];
  return action === undefined ? commandWords(operation) : described(action);
}
