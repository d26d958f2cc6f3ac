/**
 * What one session hands to the audit log about its statements: a decision for each,
 * and the outcome of each that passed, with the counters that go with them.
 *
 * Law: this file numbers the session's decisions, and nothing else makes their ids.
 * It decides nothing: what it is told is what it records. It does not wait for a
 * record to be durable; whoever forwards bytes asks takeRecorded() and waits.
 */
import { decisionBody, outcomeBody, recordedParameters, transactionBody } from '../audit/records.js';
import type { RecordedParameters, SessionConstant, TransactionEnd } from '../audit/records.js';
import type { AuditLog } from '../audit/writer.js';
import type { Impact } from '../impact/impact.js';
import { total } from '../impact/impact.js';
import type { CounterChild, HistogramChild } from '../metrics.js';
import type { Match } from '../policy/types.js';
import { bindParameters } from '../protocol/frontend.js';
import type { Ending } from '../session/ports.js';
import { statementRecord } from './statement-record.js';
import type { JudgedText, JudgingContext } from './judged-text.js';
import type { JudgedStatementRecord, StatementEnding } from './statement-record.js';

export interface RecorderServices extends JudgingContext {
  readonly audit: AuditLog;
  readonly recordParameters: 'full' | 'hash' | 'omit';
  /** Milliseconds on a clock that never goes back. */
  readonly clock: () => number;
  readonly decisionSeconds: HistogramChild;
  readonly decisionRecords: CounterChild;
  readonly outcomeRecords: CounterChild;
}

/** One execution, from the decision that let it through to its outcome. */
export interface Run {
  readonly decision: string;
  readonly startedAt: number;
  readonly ending: StatementEnding;
}

export type MessageKind = 'query' | 'parse' | 'bind' | 'execute' | 'function_call';

const NO_CHANGES: readonly never[] = [];
/** Bind without parameters. */
const NO_PARAMETERS: RecordedParameters | null = null;

export class Recorder {
  readonly #services: RecorderServices;
  readonly #session: string;
  readonly #constant: SessionConstant;
  #decisions = 0;
  #recorded = false;

  /** @param session the session's id, with which those of its decisions begin */
  constructor(services: RecorderServices, session: string, constant: SessionConstant) {
    this.#services = services;
    this.#session = session;
    this.#constant = constant;
  }

  /** Decisions made so far. */
  get decisions(): number {
    return this.#decisions;
  }

  /** The id of the latest decision. */
  get lastDecision(): string {
    return `${this.#session}-${this.#decisions}`;
  }

  /** Whether decisions were handed to the audit log since this was last asked. */
  takeRecorded(): boolean {
    const recorded = this.#recorded;
    this.#recorded = false;
    return recorded;
  }

  /** Records one statement's decision. `startedAt`: when its message was first looked at. */
  decision(
    record: JudgedStatementRecord,
    message: MessageKind,
    parameters: RecordedParameters | null,
    startedAt: number,
  ): Run {
    const { audit, clock, decisionSeconds, decisionRecords } = this.#services;
    this.#decisions += 1;
    const decision = this.lastDecision;
    audit.append(
      decisionBody(record.decision, {
        id: decision,
        session: this.#constant,
        protocol: message === 'query' || message === 'function_call' ? 'simple' : 'extended',
        message,
        parameters,
      }),
    );
    this.#recorded = true;
    record.decisions.inc();
    for (const matched of record.ruleMatches) matched.inc();
    decisionRecords.inc();
    const now = clock();
    decisionSeconds.observe((now - startedAt) / 1000);
    return { decision, startedAt: now, ending: record.ending };
  }

  /**
   * Records the decision for every statement of a text.
   * @param match why, where it is for another reason than the text's own judgement
   */
  decisionsOf(
    judged: JudgedText,
    match: Match | null,
    message: MessageKind,
    parameters: RecordedParameters | null,
    startedAt: number,
  ): readonly Run[] {
    return judged.statements.map((record) =>
      this.decision(
        match === null ? record : this.#decided(judged, record, match),
        message,
        parameters,
        startedAt,
      ),
    );
  }

  /** The record of a statement that is refused or held for another reason than its own judgement. */
  #decided(judged: JudgedText, record: JudgedStatementRecord, match: Match): JudgedStatementRecord {
    return statementRecord(judged.scope, this.#services.metrics, {
      operation: record.operation,
      facts: record.facts,
      sql: record.sql,
      verdict: match.action,
      matches: [match, ...judged.judgement.matches],
      changes: NO_CHANGES,
      measuring: record.measuring,
    });
  }

  /** Records how an execution ended, at `now`. */
  outcome(run: Run, { rows, sqlstate, skipped }: Ending, now: number): void {
    const { audit, outcomeRecords } = this.#services;
    if (rows !== null) run.ending.rows.inc(rows);
    audit.append(
      outcomeBody({
        decision: run.decision,
        rows,
        impact: null,
        sqlstate,
        skipped,
        durationMs: now - run.startedAt,
      }),
    );
    outcomeRecords.inc();
  }

  /**
   * Records how a counted execution ended, before what it did may be committed.
   * @param sqlstate of the refusal that takes the place of its success; null: it stays
   */
  counted(
    run: Run,
    { rows }: Ending,
    counted: {
      /** The policy role's name. */
      readonly role: string;
      readonly impact: Impact | null;
      readonly transaction: string | null;
      readonly matches: readonly Match[];
      readonly sqlstate: string | null;
      /** It was only tried. */
      readonly undone: boolean;
      /** Its old rows are stored. */
      readonly oldRowsKept: boolean;
    },
    now: number,
  ): void {
    const { audit, outcomeRecords, metrics } = this.#services;
    const { impact, sqlstate, matches, transaction, undone, oldRowsKept } = counted;
    if (sqlstate === null && !undone) run.ending.rows.inc(impact === null ? (rows ?? 0) : total(impact));
    for (const { rule, action } of matches) metrics.ruleMatches.child(counted.role, rule, action).inc();
    audit.append(
      outcomeBody({
        decision: run.decision,
        rows,
        impact,
        transaction,
        matches,
        undone,
        oldRowsKept,
        sqlstate,
        skipped: false,
        durationMs: now - run.startedAt,
      }),
    );
    this.#recorded = true;
    outcomeRecords.inc();
  }

  /** Records the end of a transaction in which something was counted. */
  transactionEnd(end: Omit<TransactionEnd, 'session'>): void {
    const { audit, metrics } = this.#services;
    audit.append(transactionBody({ ...end, session: this.#constant }));
    metrics.auditRecords.child('transaction').inc();
  }

  /** What is recorded of a Bind's parameters; `bytes[start, end)`: their formats and values. */
  parameters(bytes: Buffer, start: number, end: number): RecordedParameters | null {
    const mode = this.#services.recordParameters;
    if (mode === 'omit') return NO_PARAMETERS;
    const { formats, values } = bindParameters(bytes, start, end);
    return values.length === 0 ? NO_PARAMETERS : recordedParameters(values, formats, mode);
  }
}
