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
import { COUNT_QUERIES, readingOf } from '../impact/counts.js';
import type { Scope } from '../impact/counts.js';
import { ImpactError } from '../impact/impact-error.js';
import { impactOf, sum, total } from '../impact/impact.js';
import type { Impact, Tag } from '../impact/impact.js';
import { judgeImpact } from '../policy/measured.js';
import type { Measuring } from '../policy/measured.js';
import type { Match } from '../policy/types.js';
import { commandWords, described } from '../policy/words.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { CountedAnswer, Counts, Ending, Execution, Guard } from '../session/ports.js';
import type { StatementFacts } from '../sql/facts.js';
import type { Block } from './blocks.js';
import { impactRefusal, impactWarning, needsBlock, unmeasured } from './impact-words.js';
import type { JudgedStatementRecord, JudgedText } from './judged-text.js';
import type { Recorder, Run } from './recorder.js';
import type { SessionRole } from './session-role.js';

/** The server keeps one prepared query under a name, so the name says which text it is. */
function countQuery(scope: Scope): Guard['count'] {
  const sql = COUNT_QUERIES[scope];
  return { name: `holdfast_count_${hash('sha256', sql, 'hex').slice(0, 16)}`, sql };
}

const COUNTS: Readonly<Record<Scope, Guard['count']>> = {
  changed: countQuery('changed'),
  all: countQuery('all'),
};

/** Operations whose command tag says how many rows were changed, and not how many were returned. */
const TAGGED: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'copy_from']);

/** What has been counted in the transaction at hand. */
interface Transaction {
  impact: Impact;
  id: string | null;
  readonly decisions: string[];
  failed: boolean;
}

export class SessionImpact {
  readonly #role: SessionRole;
  readonly #recorder: Recorder;
  readonly #clock: () => number;
  readonly #scopes = new WeakMap<Run, Scope>();
  #transaction: Transaction | null = null;

  constructor(role: SessionRole, recorder: Recorder, clock: () => number) {
    this.#role = role;
    this.#recorder = recorder;
    this.#clock = clock;
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

  /** How a run is counted. */
  guard(measuring: Measuring, run: Run): Guard {
    this.#scopes.set(run, measuring.scope);
    return { count: COUNTS[measuring.scope], copyIn: measuring.copies, preview: false };
  }

  /** A guarded execution came to its end, and what the server counts has been read. */
  counted(execution: Execution | null, ending: Ending, before: Counts, after: Counts): CountedAnswer {
    const run = execution as Run;
    const facts = run.record.facts;
    const earlier = this.#transaction?.impact ?? [];
    let impact: Impact;
    let id: string | null;
    try {
      const scope = this.#scopes.get(run) ?? 'all';
      const reading = readingOf(after);
      impact = impactOf(scope, readingOf(before), reading, tagOf(facts, ending));
      id = reading.transaction;
    } catch (error) {
      if (!(error instanceof ImpactError)) throw error;
      return this.#unmeasured(run, ending, error.message);
    }
    const { scope } = this.#role;
    const matches = judgeImpact(scope.role, {
      subject: subjectOf(facts, run.record.operation),
      role: scope.role.name,
      statement: impact,
      transaction: sum(earlier, impact),
    });
    const decisive = matches[0] ?? null;
    const refusal =
      decisive === null || this.#role.observing || decisive.action === 'warn'
        ? null
        : impactRefusal(matches, decisive, run.decision);
    this.#record(run, ending, { impact, transaction: id, matches, refusal });
    if (refusal !== null) return { kind: 'refuse', refusal };
    this.#keep(run, impact, id);
    const warns = decisive?.action === 'warn' && !this.#role.observing;
    return { kind: 'pass', notice: warns ? impactWarning(decisive, run.decision) : null };
  }

  #unmeasured(run: Run, ending: Ending, why: string): CountedAnswer {
    const refusal = this.#role.observing ? null : unmeasured(why, run.decision);
    this.#record(run, ending, { impact: null, transaction: null, matches: [], refusal });
    if (refusal !== null) return { kind: 'refuse', refusal };
    this.#keep(run, [], null);
    return { kind: 'pass', notice: null };
  }

  #record(
    run: Run,
    ending: Ending,
    counted: {
      readonly impact: Impact | null;
      readonly transaction: string | null;
      readonly matches: readonly Match[];
      readonly refusal: Refusal | null;
    },
  ): void {
    const { refusal, ...rest } = counted;
    this.#recorder.counted(run, ending, { ...rest, sqlstate: refusal?.sqlstate ?? null }, this.#clock());
  }

  #keep(run: Run, impact: Impact, id: string | null): void {
    this.#transaction ??= { impact: [], id: null, decisions: [], failed: false };
    const transaction = this.#transaction;
    transaction.impact = sum(transaction.impact, impact);
    transaction.id = id ?? transaction.id;
    transaction.decisions.push(run.decision);
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

  #recordEnd(
    { impact, id, decisions }: Transaction,
    result: 'committed' | 'rolled_back' | 'unknown',
  ): void {
    if (total(impact) === 0) return;
    this.#recorder.transactionEnd({ transaction: id, decisions, impact, result });
  }
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
