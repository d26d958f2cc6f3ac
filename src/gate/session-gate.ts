/**
 * The gate of one session. It exists to fix the order for every statement:
 * analyze, judge, record, and only then answer; nothing is answered `pass` whose
 * record has not been handed to the audit log. What follows (the record durable,
 * then the bytes forwarded) is the driver's, which asks takeRecorded().
 */
import { hash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { decisionBody, outcomeBody, recordedParameters } from '../audit/records.js';
import type { RecordedParameters, SessionConstant } from '../audit/records.js';
import type { AuditLog } from '../audit/writer.js';
import type { Refusal } from '../errors.js';
import type { CounterChild, HistogramChild } from '../metrics.js';
import { matchRole } from '../policy/match.js';
import type { Login, Match, Role } from '../policy/types.js';
import { bindParameters } from '../protocol/frontend.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { Notice } from '../protocol/encode.js';
import type {
  Ending,
  Execution,
  Meaning,
  MessageAnswer,
  NameLookup,
  PassedStatement,
  QueryAnswer,
  StatementGate,
} from '../session/ports.js';
import { INLINE_LIMIT_BYTES, analyze } from '../sql/analyze.js';
import type { Analysis } from '../sql/facts.js';
import { sharedText } from './analysis-pool.js';
import type { AnalysisPool, PooledAnalysis } from './analysis-pool.js';
import { judgeText, statementRecord, unreadText } from './judged-text.js';
import type { Bound, JudgedStatementRecord, JudgedText, JudgingContext, RoleScope } from './judged-text.js';
import type { PolicyInForce, PolicyStore } from './policy-store.js';
import { createSessionTarget } from './target.js';
import {
  INSUFFICIENT_PRIVILEGE,
  TARGET_VALID_MS,
  ambiguousName,
  backstopGone,
  lexerDisagrees,
  policyRefusal,
  policyWarning,
  recordRefusal,
  unknownStatement,
} from './words.js';

/** What all sessions' gates share. */
export interface GateServices extends JudgingContext {
  readonly policies: PolicyStore;
  readonly audit: AuditLog;
  readonly pool: AnalysisPool;
  readonly recordParameters: 'full' | 'hash' | 'omit';
  /** Largest statement, bytes. */
  readonly statementLimit: number;
  /** Milliseconds on a clock that never goes back. */
  readonly clock: () => number;
  readonly cacheHits: CounterChild;
  readonly cacheMisses: CounterChild;
  readonly decisionSeconds: HistogramChild;
  readonly decisionRecords: CounterChild;
  readonly outcomeRecords: CounterChild;
}

export interface GatedSession {
  readonly id: string;
  readonly login: Login;
  readonly constant: SessionConstant;
  readonly scope: RoleScope;
  /** The session is a replication connection, whose commands are not SQL. */
  readonly replication: boolean;
  /** default_transaction_read_only = on was set at login. */
  readonly backstop: boolean;
}

/** One execution, from the decision that let it through to its outcome. */
interface Run {
  readonly decision: string;
  readonly startedAt: number;
  readonly record: JudgedStatementRecord;
}

/** A refusal but for the decision's id, which it quotes, and how to record it when the judgement alone does not say. */
interface Block {
  readonly refusal: (decision: string) => Refusal;
  /** null: the text's own judgement is the reason. */
  readonly match: Match | null;
}

/** A text that is with the analysis pool, and what it made of it. */
interface LargeText {
  readonly text: Buffer;
  readonly startedAt: number;
  result: PooledAnalysis | null;
}

type MessageKind = 'query' | 'parse' | 'bind' | 'execute' | 'function_call';

const WAIT = { kind: 'wait' } as const;
const NO_CHANGES: readonly never[] = [];
const NO_TEXT = {
  text: null,
  sha256: hash('sha256', '', 'hex'),
  bytes: 0,
  truncated: false,
  redacted: false,
} as const;
/** Bind without parameters. */
const NO_PARAMETERS: RecordedParameters | null = null;

/** Operations that take back what was said in a transaction. */
const ROLLBACKS: ReadonlySet<string> = new Set(['rollback', 'rollback_to_savepoint']);

/** Stands in when a reload left a session without a role. */
const NO_ROLE: Role = {
  name: 'none',
  match: {},
  access: 'none',
  limits: {},
  banner: false,
  session: {},
  rules: {},
};

/** What the server's lexer must be set to for Holdfast's parser to read the same text. */
const LEXER_SETTINGS: readonly (readonly [name: string, wanted: string, synonym?: string])[] = [
  ['standard_conforming_strings', 'on'],
  // PostgreSQL reports UNICODE under the name that it was set by, for old JDBC drivers (check_client_encoding in commands/variable.c).
  ['client_encoding', 'UTF8', 'UNICODE'],
];

/** The first `limit` bytes, less what would cut a character in two. */
function beginning(text: Buffer, limit: number): Buffer {
  if (text.length <= limit) return text;
  let end = limit;
  while (end > 0 && ((text[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return text.subarray(0, end);
}

/** Whether it is open which of several texts would run, where one of them changes the session's names when it does. */
function isAmbiguous(texts: readonly JudgedText[]): boolean {
  if (texts.length < 2 || texts.every((text) => text === texts[0])) return false;
  return texts.some((text) => text.statements.some(({ changes }) => changes.length > 0));
}

function ambiguousPortal(portal: string): Match {
  return {
    rule: 'names',
    action: 'deny',
    message: `what portal "${portal}" stands for depends on requests that are still under way, and it may prepare or drop statements`,
    hint: 'Wait for the answers to what was sent, or use a name that was not used before.',
    offset: null,
  };
}

export class SessionGate implements StatementGate {
  readonly #services: GateServices;
  readonly #session: GatedSession;
  /** Called when what was answered `wait` can be asked again. */
  readonly #onReady: () => void;
  #inForce: PolicyInForce;
  #scope: RoleScope;
  #decisions = 0;
  #recorded = false;
  /** The text that is with the analysis pool, and its analysis once that is back. */
  #large: LargeText | null = null;
  readonly #target = createSessionTarget();
  /** Why nothing can be judged: the server has not reported the lexer's settings, or reported others. */
  #lexer: Refusal | null;
  #reported: ReadonlyMap<string, string> = new Map();

  constructor(services: GateServices, session: GatedSession, onReady: () => void) {
    this.#services = services;
    this.#session = session;
    this.#onReady = onReady;
    this.#inForce = services.policies.current;
    this.#scope = session.scope;
    this.#lexer = this.#lexerRefusal();
  }

  /** Decisions made so far. */
  get decisions(): number {
    return this.#decisions;
  }

  /** Whether records were handed to the audit log since this was last asked. */
  takeRecorded(): boolean {
    const recorded = this.#recorded;
    this.#recorded = false;
    return recorded;
  }

  // ---------------------------------------------------------------- messages

  query(bytes: Buffer, start: number, end: number, names: NameLookup): QueryAnswer {
    const startedAt = this.#startOfDecision();
    const judged = this.#text(bytes, start, end, startedAt);
    if (judged === null) return WAIT;
    const block = this.#block(judged) ?? this.#blockByNames(judged, names);
    if (block !== null) return this.#refuse(judged, block, 'query', null, startedAt);
    const statements: PassedStatement[] = [];
    for (const record of judged.statements) {
      const execution = this.#record(judged, record, 'query', null, startedAt);
      statements.push({ execution, changes: record.changes });
    }
    return { kind: 'pass', statements, notice: this.#warning(judged) };
  }

  parse(_name: string, bytes: Buffer, start: number, end: number): MessageAnswer {
    const startedAt = this.#startOfDecision();
    const judged = this.#text(bytes, start, end, startedAt);
    if (judged === null) return WAIT;
    const block = this.#block(judged);
    if (block !== null) return this.#refuse(judged, block, 'parse', null, startedAt);
    for (const record of judged.statements) this.#record(judged, record, 'parse', null, startedAt);
    return {
      kind: 'pass',
      execution: null,
      changes: NO_CHANGES,
      meaning: judged,
      notice: this.#warning(judged),
    };
  }

  bind(
    meanings: readonly Meaning[],
    statement: string,
    bytes: Buffer,
    start: number,
    end: number,
  ): MessageAnswer {
    this.#refresh();
    const texts = (meanings as readonly JudgedText[]).map((text) => this.#current(text));
    if (texts.length === 0) {
      // A function may have prepared it behind Holdfast's back; only who may do anything may use that.
      const unknown = this.#unread('unknown_statement', null, INSUFFICIENT_PRIVILEGE);
      if (!this.#mayDoAnything()) {
        const match: Match = {
          rule: 'names',
          action: 'deny',
          message: 'unknown prepared statement',
          hint: null,
          offset: null,
        };
        const block: Block = { refusal: () => unknownStatement(statement), match };
        return this.#refuse(unknown, block, 'bind', null, this.#services.clock());
      }
      texts.push(unknown);
    }
    for (const text of texts) {
      const block = this.#block(text);
      if (block !== null) return this.#refuse(text, block, 'bind', null, this.#services.clock());
    }
    const bound: Bound = { texts, parameters: this.#parameters(bytes, start, end) };
    return { kind: 'pass', execution: null, changes: NO_CHANGES, meaning: bound, notice: null };
  }

  execute(meanings: readonly Meaning[], portal: string, names: NameLookup): MessageAnswer {
    const startedAt = this.#services.clock();
    this.#refresh();
    const portals = meanings as readonly Bound[];
    const texts = portals.flatMap((portal) => portal.texts.map((text) => this.#current(text)));
    const parameters = portals.at(-1)?.parameters ?? null;
    for (const text of texts) {
      const block = this.#block(text) ?? this.#blockByNames(text, names);
      if (block !== null) return this.#refuse(text, block, 'execute', parameters, startedAt);
    }
    let judged = texts.at(-1) ?? null;
    if (judged !== null && isAmbiguous(texts)) {
      const match = ambiguousPortal(portal);
      const block: Block = { refusal: () => ambiguousName(match), match };
      return this.#refuse(judged, block, 'execute', parameters, startedAt);
    }
    // A portal that is not known here is one that a function opened: whoever might call the function may read from it.
    judged ??= this.#unread('fetch', null, INSUFFICIENT_PRIVILEGE);
    if (portals.length === 0) {
      const block = this.#block(judged);
      if (block !== null) return this.#refuse(judged, block, 'execute', null, startedAt);
    }
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    const execution = this.#record(judged, record, 'execute', parameters, startedAt);
    return { kind: 'pass', execution, changes: record.changes, meaning: null, notice: null };
  }

  functionCall(): MessageAnswer {
    const startedAt = this.#services.clock();
    this.#refresh();
    const allowed = this.#mayDoAnything();
    const match: Match | null = allowed
      ? null
      : {
          rule: 'access',
          action: 'deny',
          message: `FunctionCall needs admin access; role "${this.#scope.role.name}" has ${this.#scope.role.access}.`,
          hint: 'Call the function by SELECT, where the policy can see it.',
          offset: null,
        };
    const judged = this.#unread('function_call', match, INSUFFICIENT_PRIVILEGE);
    const block = this.#block(judged);
    if (block !== null) return this.#refuse(judged, block, 'function_call', null, startedAt);
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    const execution = this.#record(judged, record, 'function_call', null, startedAt);
    return { kind: 'pass', execution, changes: NO_CHANGES, meaning: null, notice: null };
  }

  // ---------------------------------------------------------------- analyze

  /** When the message at hand was first looked at: a large text is asked about twice. */
  #startOfDecision(): number {
    return this.#large?.result ? this.#large.startedAt : this.#services.clock();
  }

  /** The text judged for this session's role; null while it is with the analysis pool. */
  #text(bytes: Buffer, start: number, end: number, startedAt: number): JudgedText | null {
    this.#refresh();
    const size = end - start;
    if (size > INLINE_LIMIT_BYTES) return this.#largeText(bytes.subarray(start, end), startedAt);
    const scope = this.#scope;
    const key = bytes.toString('latin1', start, end);
    const known = scope.texts.get(key);
    if (known !== undefined) {
      this.#services.cacheHits.inc();
      return known;
    }
    const text = bytes.subarray(start, end);
    if (!isUtf8(text)) return this.#notUtf8(text);
    this.#services.cacheMisses.inc();
    const decoded = text.toString('utf8');
    // One string where both spellings agree: the text is ASCII then.
    const sql = decoded.length === key.length ? key : decoded;
    const judged = judgeText(key, sql, this.#classified(analyze(sql)), scope, this.#services);
    scope.texts.set(key, judged);
    return judged;
  }

  /** A text that is analysed by the pool, and never cached. The main thread does with it as little as it can. */
  #largeText(text: Buffer, startedAt: number): JudgedText | null {
    if (text.length > this.#services.statementLimit) return this.#tooLarge(text);
    if (!isUtf8(text)) return this.#notUtf8(text);
    const large = this.#large;
    if (large?.text.equals(text) !== true) {
      this.#analyzeElsewhere(sharedText(text), startedAt);
      return null;
    }
    if (large.result === null) return null;
    this.#large = null;
    this.#services.cacheMisses.inc();
    const { analysis, sha256 } = large.result;
    const limit = this.#services.recordLimit;
    const digest = sha256 ?? hash('sha256', text, 'hex');
    return judgeText(
      `\0sha256:${digest}`,
      beginning(text, limit).toString('utf8'),
      this.#classified(analysis),
      this.#scope,
      this.#services,
      text.length > limit ? { sha256: digest, bytes: text.length } : null,
    );
  }

  #notUtf8(text: Buffer): JudgedText {
    const match: Match = {
      rule: 'encoding',
      action: 'deny',
      message: 'the statement is not valid UTF-8, the only encoding in which statements are judged',
      hint: 'Set client_encoding to UTF8 and send UTF-8.',
      offset: null,
    };
    return this.#unread('unreadable', match, '22021', text);
  }

  /** Replication commands are not SQL; on a replication connection, which takes admin access, they pass as what they are. */
  #classified(analysis: Analysis): Analysis {
    if (!this.#session.replication || analysis.kind !== 'syntax_error') return analysis;
    return { kind: 'statements', statements: [] };
  }

  #analyzeElsewhere(text: Buffer, startedAt: number): void {
    const large: LargeText = { text, startedAt, result: null };
    this.#large = large;
    void this.#services.pool.analyze(text).then((result) => {
      if (this.#large !== large) return;
      large.result = result;
      this.#onReady();
    });
  }

  #tooLarge(text: Buffer): JudgedText {
    const match: Match = {
      rule: 'too-large',
      action: 'deny',
      message: `the statement is ${text.length} bytes long; the limit is ${this.#services.statementLimit}`,
      hint: 'Split it, or load the data with COPY. The limit is limits.statement in the settings.',
      offset: null,
    };
    return this.#unread('too_large', match, '54000', text);
  }

  #unread(operation: string, match: Match | null, sqlstate: string, text?: Buffer): JudgedText {
    const sql =
      text === undefined
        ? NO_TEXT
        : {
            text: null,
            sha256: hash('sha256', text, 'hex'),
            bytes: text.length,
            truncated: false,
            redacted: false,
          };
    return unreadText(this.#scope, this.#services, operation, match, sqlstate, sql);
  }

  /** A text that was judged before, judged by the policy in force. */
  #current(text: JudgedText): JudgedText {
    if (text.scope === this.#scope) return text;
    const known = this.#scope.texts.get(text.key);
    if (known !== undefined) return known;
    if (text.key === '') {
      // Nobody knows its text, so only who may do anything may go on using it.
      const match: Match = {
        rule: 'names',
        action: 'deny',
        message: 'what this name stands for is not known',
        hint: null,
        offset: null,
      };
      return this.#unread('unknown_statement', this.#mayDoAnything() ? null : match, INSUFFICIENT_PRIVILEGE);
    }
    const judged = judgeText(text.key, text.sql, text.analysis, this.#scope, this.#services, text.whole);
    if (text.key.length <= INLINE_LIMIT_BYTES) this.#scope.texts.set(text.key, judged);
    return judged;
  }

  // ---------------------------------------------------------------- judge

  /** Takes up a new policy, from which moment on it counts. */
  #refresh(): void {
    const inForce = this.#services.policies.current;
    if (inForce === this.#inForce) return;
    this.#inForce = inForce;
    const role = matchRole(inForce.policy, this.#session.login) ?? NO_ROLE;
    this.#scope = inForce.scope(role, this.#session.login.database);
  }

  #mayDoAnything(): boolean {
    return this.#scope.role.access === 'admin' || this.#observing();
  }

  #observing(): boolean {
    return this.#scope.policy.mode === 'observe';
  }

  /** Why `judged` may not pass now; null when it may. */
  #block(judged: JudgedText): Block | null {
    if (this.#observing()) return null;
    const lexer = this.#lexer;
    if (lexer !== null) {
      return {
        refusal: () => lexer,
        match: {
          rule: 'lexer',
          action: 'deny',
          message: lexer.message,
          hint: lexer.hint ?? null,
          offset: null,
        },
      };
    }
    switch (judged.verdict) {
      case 'allow':
      case 'warn':
        return null;
      case 'confirm':
        if (this.#confirmed()) return null;
        break;
      case 'hold':
      case 'deny':
        break;
    }
    return {
      refusal: (decision) => policyRefusal(judged, decision, this.#services.environment),
      match: null,
    };
  }

  #confirmed(): boolean {
    const { environment, clock } = this.#services;
    return this.#target.says(environment, clock() - TARGET_VALID_MS);
  }

  /** EXECUTE and FETCH are judged by what the name stands for: by everything that it may stand for. */
  #blockByNames(judged: JudgedText, names: NameLookup): Block | null {
    if (judged.executes.length === 0 && judged.fetches.length === 0) return null;
    if (this.#observing()) return null;
    const texts: JudgedText[] = [];
    for (const name of judged.executes) {
      const meanings = names.statements(name) as readonly JudgedText[];
      const own = judged.prepares.get(name);
      if (meanings.length === 0 && own === undefined && !this.#mayDoAnything()) {
        return {
          refusal: () => unknownStatement(name),
          match: {
            rule: 'names',
            action: 'deny',
            message: 'unknown prepared statement',
            hint: null,
            offset: null,
          },
        };
      }
      texts.push(...meanings);
    }
    for (const name of judged.fetches) {
      for (const portal of names.portals(name) as readonly Bound[]) texts.push(...portal.texts);
    }
    for (const text of texts) {
      const current = this.#current(text);
      // What is EXECUTEd may itself be an EXECUTE: it was judged by its names when it was prepared, and is by the server's own rule no PREPARE.
      const block = this.#block(current);
      if (block !== null) return { ...block, match: block.match ?? current.judgement.decisive };
    }
    return null;
  }

  #warning(judged: JudgedText): Notice | null {
    if (judged.verdict !== 'warn' || this.#observing()) return null;
    return policyWarning(judged.judgement, this.#lastDecision());
  }

  // ---------------------------------------------------------------- record

  #refuse(
    judged: JudgedText,
    block: Block,
    message: MessageKind,
    parameters: RecordedParameters | null,
    startedAt: number,
  ): { readonly kind: 'refuse'; readonly refusal: Refusal } {
    for (const record of judged.statements) {
      this.#record(
        judged,
        block.match === null ? record : this.#refused(judged, record, block.match),
        message,
        parameters,
        startedAt,
      );
    }
    return { kind: 'refuse', refusal: block.refusal(this.#lastDecision()) };
  }

  /** The record of a statement that is refused for another reason than its own judgement. */
  #refused(judged: JudgedText, record: JudgedStatementRecord, match: Match): JudgedStatementRecord {
    return statementRecord(judged.scope, this.#services, {
      operation: record.operation,
      facts: record.facts,
      sql: record.sql,
      verdict: match.action,
      matches: [match, ...judged.judgement.matches],
      changes: NO_CHANGES,
    });
  }

  #record(
    judged: JudgedText,
    record: JudgedStatementRecord,
    message: MessageKind,
    parameters: RecordedParameters | null,
    startedAt: number,
  ): Run {
    const { audit, clock, decisionSeconds, decisionRecords } = this.#services;
    this.#decisions += 1;
    const decision = this.#lastDecision();
    audit.append(
      decisionBody(record.decision, {
        id: decision,
        session: this.#session.constant,
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
    return { decision, startedAt: now, record };
  }

  #lastDecision(): string {
    return `${this.#session.id}-${this.#decisions}`;
  }

  #parameters(bytes: Buffer, start: number, end: number): RecordedParameters | null {
    const mode = this.#services.recordParameters;
    if (mode === 'omit') return NO_PARAMETERS;
    const { formats, values } = bindParameters(bytes, start, end);
    return values.length === 0 ? NO_PARAMETERS : recordedParameters(values, formats, mode);
  }

  ended(execution: Execution, { rows, sqlstate, skipped }: Ending): void {
    const run = execution as Run;
    const { audit, clock, outcomeRecords } = this.#services;
    const now = clock();
    if (sqlstate !== null || ROLLBACKS.has(run.record.operation)) this.#target.rolledBack();
    else if (run.record.target !== null && !skipped) this.#target.changed(run.record.target, now);
    if (rows !== null) run.record.rows.inc(rows);
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

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus): void {
    this.#target.requestEnded(status);
  }

  unrecorded(): Refusal {
    return recordRefusal();
  }

  // ---------------------------------------------------------------- lexer agreement and backstop

  parameter(name: string, value: string): Refusal | null {
    if (LEXER_SETTINGS.some(([setting]) => setting === name)) {
      this.#reported = new Map([...this.#reported, [name, value]]);
      this.#lexer = this.#lexerRefusal();
    }
    const lost = name === 'default_transaction_read_only' && value !== 'on';
    return lost && this.#session.backstop && this.#scope.role.access === 'read' && !this.#observing()
      ? backstopGone()
      : null;
  }

  #lexerRefusal(): Refusal | null {
    for (const [name, wanted, synonym] of LEXER_SETTINGS) {
      const reported = this.#reported.get(name) ?? '';
      if (reported !== wanted && reported !== synonym) return lexerDisagrees(name, reported, wanted);
    }
    return null;
  }
}
