/**
 * The gate of one session. It exists to fix the order for every statement:
 * analyze, judge, record, and only then answer; nothing is answered `pass` whose
 * record has not been handed to the audit log. What follows (the record durable,
 * then the bytes forwarded) is the driver's, which asks takeRecorded().
 *
 * Law: what may pass now is decided here and nowhere else. How a text is read
 * (text-reader.ts), by which policy (session-role.ts), whether the server reads it
 * alike (lexer-agreement.ts) and how it is recorded (recorder.ts) is not known here.
 */
import type { RecordedParameters, SessionConstant } from '../audit/records.js';
import type { Refusal } from '../errors.js';
import type { Measuring } from '../policy/measured.js';
import type { Login, Match } from '../policy/types.js';
import type { HeldParameter, Withdrawal } from '../holds/hold.js';
import { parameterTypes } from '../protocol/frontend.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { Notice } from '../protocol/encode.js';
import { carriedStatements } from './carried-texts.js';
import type {
  CountedAnswer,
  Counts,
  Ending,
  Execution,
  Guard,
  Meaning,
  MessageAnswer,
  NameLookup,
  PassedStatement,
  QueryAnswer,
  StatementGate,
} from '../session/ports.js';
import type { HoldServices, Release } from './held.js';
import type { Bound, JudgedStatementRecord, JudgedText, RoleScope } from './judged-text.js';
import { LexerAgreement } from './lexer-agreement.js';
import { LiveRules } from './live-rules.js';
import type { LiveServices } from './live-rules.js';
import {
  CANCELLED_WHILE_WAITING,
  READING_OPEN,
  ambiguousPortal,
  functionCallMatch,
  isAmbiguous,
  parametersNotKept,
  unknownName,
} from './blocks.js';
import type { Block } from './blocks.js';
import type { CatalogStore, DatabaseCatalog } from './catalog-store.js';
import { Passage } from './passage.js';
import type { PolicyStore } from './policy-store.js';
import { Recorder } from './recorder.js';
import type { MessageKind, RecorderServices, Run } from './recorder.js';
import { SessionHolds, WAIT } from './session-holds.js';
import type { Approvable, NotPassed } from './session-holds.js';
import { SessionImpact } from './session-impact.js';
import { TRIED, functionCallUnmeasured, notCounted, notShown } from './impact-words.js';
import { SessionRole } from './session-role.js';
import { createSessionTarget } from './target.js';
import type { UndoStore } from '../undo/store.js';
import { TextReader } from './text-reader.js';
import type { ReaderServices } from './text-reader.js';
import { Waits } from './waits.js';
import type { GatedConnection } from './waits.js';
import { CANCELLED, INSUFFICIENT_PRIVILEGE, backstopGone, policyWarning, recordRefusal } from './words.js';

/** What all sessions' gates share. */
export interface GateServices extends ReaderServices, RecorderServices, LiveServices {
  readonly policies: PolicyStore;
  readonly catalogs: CatalogStore;
  readonly holds: HoldServices;
  readonly undo: UndoStore;
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
  /** What is known of the session's database. */
  readonly catalog: DatabaseCatalog;
}

const NO_CHANGES: readonly never[] = [];

/** Classes of SQLSTATE that are about the session or its transaction, not about counting. */
const OF_THE_SESSION = /^(25|40|53|57|58)/;

/** Operations that take back what was said in a transaction. */
const ROLLBACKS: ReadonlySet<string> = new Set(['rollback', 'rollback_to_savepoint']);

export class SessionGate implements StatementGate {
  readonly #services: GateServices;
  readonly #waits: Waits;
  readonly #catalog: DatabaseCatalog;
  /** default_transaction_read_only = on was set at login. */
  readonly #backstop: boolean;
  readonly #role: SessionRole;
  readonly #texts: TextReader;
  readonly #recorder: Recorder;
  readonly #target = createSessionTarget();
  readonly #lexer = new LexerAgreement();
  readonly #live: LiveRules;
  readonly #passage: Passage;
  readonly #holds: SessionHolds;
  readonly #impact: SessionImpact;
  readonly #connection: GatedConnection;
  /** Something in the transaction at hand may have changed the schema. */
  #schemaChanged = false;

  constructor(services: GateServices, session: GatedSession, connection: GatedConnection) {
    this.#services = services;
    this.#waits = new Waits(connection, session.catalog, services.recovery, session.backstop);
    this.#catalog = session.catalog;
    this.#backstop = session.backstop;
    this.#role = new SessionRole(services.policies, session.catalog, session.login, session.scope);
    this.#texts = new TextReader(services, this.#role, session.replication, () => {
      connection.ready();
    });
    this.#recorder = new Recorder(services, session.id, session.constant);
    this.#live = new LiveRules(services, session.login.user, this.#role);
    this.#passage = new Passage({
      environment: services.environment,
      clock: services.clock,
      user: session.login.user,
      role: this.#role,
      texts: this.#texts,
      target: this.#target,
      lexer: this.#lexer,
      live: this.#live,
    });
    this.#connection = connection;
    this.#impact = new SessionImpact({
      role: this.#role,
      recorder: this.#recorder,
      clock: services.clock,
      user: session.login.user,
      environment: services.environment,
      confirmed: () => this.#passage.confirmed(),
      charge: (run, rows) => {
        this.#live.changed(run, rows);
      },
      undo: {
        store: services.undo,
        database: session.login.database,
        now: () => new Date(services.holds.now()).toISOString(),
        ready: () => {
          connection.ready();
        },
      },
    });
    this.#holds = new SessionHolds(services, {
      session,
      connection,
      role: this.#role,
      passage: this.#passage,
      waits: this.#waits,
    });
  }

  /** Decisions made so far. */
  get decisions(): number {
    return this.#recorder.decisions;
  }

  /** Whether records were handed to the audit log since this was last asked. */
  takeRecorded(): boolean {
    return this.#recorder.takeRecorded();
  }

  /** A message waits until the server has answered what was sent before it. */
  get heldBack(): boolean {
    return this.#waits.heldBack;
  }

  /** A message that is to be held waits for the answers to what was sent before it. */
  get settling(): boolean {
    return this.#waits.settling;
  }

  /** The answers have come: the message is to be asked about again. */
  settled(): void {
    this.#waits.settled();
  }

  /** The message that waits is held until people approve it. */
  get holding(): boolean {
    return this.#holds.open;
  }

  /** Nobody waits for the message that is held any more. */
  leaveHold(reason: Withdrawal): void {
    this.#holds.leave(reason);
    this.#impact.forgetTrial();
  }

  /** A cancel request came for the message that waits: it is refused when it is asked about again. */
  cancelWaiting(): void {
    this.#waits.cancel();
  }

  // ---------------------------------------------------------------- messages

  query(bytes: Buffer, start: number, end: number, names: NameLookup): QueryAnswer {
    const startedAt = this.#texts.startOfDecision();
    const read = this.#read('query', bytes, start, end, startedAt);
    if ('kind' in read) return read;
    const byNames = this.#passage.byNames(read.judged, names);
    let { block } = read;
    if (block === null && this.#mustCountFirst([read.judged, ...byNames.reached])) return WAIT;
    const judged = this.#live.settle(read.judged);
    if (judged !== read.judged) block ??= this.#passage.block(judged);
    const measured = judged.statements.map((record) => this.#impact.measuring(record, byNames.reached));
    block ??= byNames.block ?? this.#cannotMeasure(measured) ?? this.#impact.blockOfString(judged);
    if (block !== null) return this.#refuse(judged, block, 'query', null, startedAt);
    const record = (match: Match | null): readonly Run[] =>
      this.#recorder.decisionsOf(judged, match, 'query', null, startedAt);
    const mustApprove = byNames.held.length > 0 || this.#passage.needsApproval(judged);
    const unkept = mustApprove ? this.#impact.blockOfUndo(measured) : null;
    if (unkept !== null) return this.#refuse(judged, unkept, 'query', null, startedAt);
    const tried =
      mustApprove &&
      measured.length === 1 &&
      this.#isTriedFirst(measured[0] ?? null, [judged, ...byNames.held]);
    const released = tried
      ? null
      : this.#approved({
          judged,
          text: bytes.subarray(start, end),
          reached: byNames.held,
          parameters: byNames.parameters,
          record,
        });
    if (released !== null && !('runs' in released)) return released;
    if (judged.runsForeignCode) this.#waits.ranForeignCode();
    const runs = released?.runs ?? record(tried ? TRIED : null);
    this.#live.passed(judged, runs, byNames.reached);
    const statements: PassedStatement[] = judged.statements.map(({ changes }, index) => ({
      execution: runs[index] ?? null,
      changes,
    }));
    const notice = released?.notice ?? this.#warning(judged);
    if (measured.every((one) => one === null)) return { kind: 'pass', statements, notice };
    const carried = carriedStatements(bytes, start, end, judged).map((text, index) => {
      const run = runs[index];
      const measuring = measured[index] ?? null;
      if (run === undefined) throw new Error('a statement without its decision');
      const sql = judged.sql.slice(...(judged.statements[index]?.facts?.span ?? [0]));
      const record = judged.statements[index];
      const guard = record === undefined ? null : this.#guard(measuring, run, record, sql, tried, released);
      return { text, guard, execution: run, changes: statements[index]?.changes ?? [] };
    });
    return { kind: 'carry', statements: carried, notice };
  }

  parse(_name: string, bytes: Buffer, start: number, end: number): MessageAnswer {
    const startedAt = this.#texts.startOfDecision();
    const read = this.#read('parse', bytes, start, end, startedAt);
    if ('kind' in read) return read;
    const { judged, block } = read;
    if (block !== null) return this.#refuse(judged, block, 'parse', null, startedAt);
    for (const record of judged.statements) this.#recorder.decision(record, 'parse', null, startedAt);
    return {
      kind: 'pass',
      execution: null,
      changes: NO_CHANGES,
      // Nothing runs by it, so it passes; what needs approval is held when it is executed.
      meaning: this.#holds.prepared(
        judged,
        () => parameterTypes(bytes, end),
        this.#impact.mayBeHeld([judged]),
      ),
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
    this.#role.refresh();
    const earlier = this.#earlier('bind', this.#services.clock());
    if (earlier !== null) return earlier;
    if (this.#waits.mustHoldBack()) return WAIT;
    const texts = (meanings as readonly JudgedText[]).map((text) => this.#texts.current(text));
    if (this.#mustFindOut(texts)) return WAIT;
    if (texts.length === 0) {
      // A function may have prepared it behind Holdfast's back; only who may do anything may use that.
      const unknown = this.#texts.unread('unknown_statement', null, INSUFFICIENT_PRIVILEGE);
      if (!this.#role.mayDoAnything) {
        return this.#refuse(unknown, unknownName(statement), 'bind', null, this.#services.clock());
      }
      texts.push(unknown);
    }
    for (const text of texts) {
      const block = this.#passage.block(text);
      if (block !== null) return this.#refuse(text, block, 'bind', null, this.#services.clock());
    }
    const again = this.#impact.mayBeHeld(texts);
    const kept = this.#holds.keep(texts, meanings.at(-1), bytes, start, end, again);
    const bound: Bound = { texts, parameters: this.#recorder.parameters(bytes, start, end), kept };
    return {
      kind: 'pass',
      execution: null,
      changes: NO_CHANGES,
      meaning: bound,
      notice: null,
      again: again || texts.some((text) => this.#passage.mayNeedApproval(text)),
    };
  }

  execute(meanings: readonly Meaning[], portal: string, names: NameLookup): MessageAnswer {
    const startedAt = this.#services.clock();
    this.#role.refresh();
    const earlier = this.#earlier('execute', startedAt);
    if (earlier !== null) return earlier;
    if (this.#waits.mustHoldBack()) return WAIT;
    const portals = meanings as readonly Bound[];
    const current = portals.flatMap((portal) => portal.texts.map((text) => this.#texts.current(text)));
    if (this.#mustFindOut(current) || this.#mustCountFirst(current)) return WAIT;
    const texts = this.#live.settleAll(current);
    const parameters = portals.at(-1)?.parameters ?? null;
    const held: JudgedText[] = [];
    const reached: JudgedText[] = [];
    const reachedParameters: HeldParameter[] = [];
    for (const text of texts) {
      const byNames = this.#passage.byNames(text, names);
      const block = this.#passage.block(text) ?? byNames.block;
      if (block !== null) return this.#refuse(text, block, 'execute', parameters, startedAt);
      held.push(...byNames.held);
      reached.push(...byNames.reached);
      reachedParameters.push(...byNames.parameters);
    }
    let judged = texts.at(-1) ?? null;
    const mustApprove = held.length > 0 || texts.some((text) => this.#passage.needsApproval(text));
    if (mustApprove && this.#holds.mustSettle()) return WAIT;
    if (judged !== null && isAmbiguous(texts, mustApprove)) {
      return this.#refuse(judged, ambiguousPortal(portal), 'execute', parameters, startedAt);
    }
    const kept = portals.at(-1)?.kept.values ?? null;
    if (judged !== null && mustApprove && kept === null)
      return this.#refuse(judged, parametersNotKept(portal), 'execute', parameters, startedAt);
    // A portal that is not known here is one that a function opened: whoever might call the function may read from it.
    judged ??= this.#texts.unread('fetch', null, INSUFFICIENT_PRIVILEGE);
    if (portals.length === 0) {
      const block = this.#passage.block(judged);
      if (block !== null) return this.#refuse(judged, block, 'execute', null, startedAt);
    }
    const measuring = this.#impact.measuring(judged.statements[0] ?? null, [...texts, ...reached]);
    const unmeasurable = this.#cannotMeasure([measuring]);
    if (unmeasurable !== null) return this.#refuse(judged, unmeasurable, 'execute', parameters, startedAt);
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    const text = judged;
    const recordAs = (match: Match | null): readonly Run[] =>
      this.#recorder.decisionsOf(text, match, 'execute', parameters, startedAt);
    const tried = mustApprove && this.#isTriedFirst(measuring, [...texts, ...held]);
    const released = tried
      ? null
      : this.#approved({
          judged,
          text: null,
          reached: held,
          parameters: [...(kept ?? []), ...reachedParameters],
          record: recordAs,
        });
    if (released !== null && !('runs' in released)) return released;
    if (texts.length === 0 || texts.some((text) => text.runsForeignCode)) this.#waits.ranForeignCode();
    const execution =
      released !== null
        ? (released.runs[0] ?? null)
        : tried
          ? (recordAs(TRIED)[0] ?? null)
          : this.#recorder.decision(record, 'execute', parameters, startedAt);
    if (execution === null) throw new Error('an execution without its decision');
    this.#live.passed(judged, [execution], reached);
    return {
      kind: 'pass',
      execution,
      changes: record.changes,
      meaning: null,
      // What the text itself is warned about was said at its Parse.
      notice: released?.notice ?? (current.includes(judged) ? null : this.#warning(judged)),
      guard: this.#guard(measuring, execution, record, judged.sql, tried, released),
    };
  }

  functionCall(): MessageAnswer {
    const startedAt = this.#services.clock();
    this.#role.refresh();
    const allowed = this.#role.mayDoAnything;
    const { role } = this.#role.scope;
    const match = allowed ? null : functionCallMatch(role.name, role.access);
    const judged = this.#texts.unread('function_call', match, INSUFFICIENT_PRIVILEGE);
    const measuring = this.#impact.measuring(judged.statements[0] ?? null, []);
    const block =
      this.#passage.block(judged) ??
      (measuring === null || this.#role.observing ? null : functionCallUnmeasured());
    if (block !== null) return this.#refuse(judged, block, 'function_call', null, startedAt);
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    const execution = this.#recorder.decision(record, 'function_call', null, startedAt);
    return { kind: 'pass', execution, changes: NO_CHANGES, meaning: null, notice: null };
  }

  // ---------------------------------------------------------------- what is counted

  /** Whether what must be approved is run first, to be counted and undone. */
  #isTriedFirst(measuring: Measuring | null, texts: readonly JudgedText[]): boolean {
    return !this.#holds.open && this.#impact.isTriedFirst(measuring, texts);
  }

  /** Has the message at hand approved, where that is needed by itself, by what it turned out to change, or since it commits. */
  #approved(message: Omit<Approvable, 'trial'>): NotPassed | Release | null {
    const { status } = this.#connection.transaction();
    const trial = this.#impact.trial ?? this.#impact.ofCommit(message.judged, status);
    const answer = this.#holds.approved({ ...message, trial });
    // A message that passes, or does not, is not the one that was tried any more.
    if (answer === null || 'runs' in answer || answer.kind === 'refuse') this.#impact.forgetTrial();
    return answer;
  }

  #guard(
    measuring: Measuring | null,
    run: Run,
    record: JudgedStatementRecord,
    sql: string,
    trial: boolean,
    released: Release | null,
  ): Guard | null {
    if (measuring === null) return null;
    const measured = released?.hold.subject.measured ?? null;
    const approved = measured?.by === 'preview' ? measured.tables : released === null ? null : 'unmeasured';
    const hold = released?.hold.id ?? null;
    const { status } = this.#connection.transaction();
    return this.#impact.guard(measuring, run, { record, sql, trial, approved, hold }, status);
  }

  /** Why what must be counted of the message at hand cannot be; null: it can. */
  #cannotMeasure(measured: readonly (Measuring | null)[]): Block | null {
    const { status } = this.#connection.transaction();
    for (const measuring of measured) {
      const block = measuring === null ? null : this.#impact.block(measuring, status);
      if (block !== null) return block;
    }
    return null;
  }

  /** Reads the text of the message at hand, and why it may not pass; an answer where it is not to be judged, or not yet. */
  #read(
    message: 'query' | 'parse',
    bytes: Buffer,
    start: number,
    end: number,
    startedAt: number,
  ): NotPassed | { readonly judged: JudgedText; readonly block: Block | null } {
    this.#role.refresh();
    const earlier = this.#earlier(message, startedAt);
    if (earlier !== null) return earlier;
    if (this.#waits.mustHoldBack()) return WAIT;
    const judged = this.#texts.read(bytes, start, end, startedAt);
    if (judged === null || this.#mustFindOut([judged])) return WAIT;
    switch (this.#waits.readingAgrees(judged)) {
      case 'wait':
        return WAIT;
      case 'refuse':
        return { judged, block: READING_OPEN };
      case 'yes':
        return { judged, block: this.#passage.block(judged) };
    }
  }

  /** Whether the message must wait until what its judgement depends on has been read or asked. */
  #mustFindOut(texts: readonly JudgedText[]): boolean {
    if (this.#waits.mustReadCatalog(texts.some(({ asksCatalog }) => asksCatalog))) return true;
    return this.#waits.mustAskRecovery(texts.flatMap(({ recoveryAsks }) => recoveryAsks));
  }

  /** Whether it must wait until it is known what the session has changed before. */
  #mustCountFirst(texts: readonly JudgedText[]): boolean {
    return this.#live.mustCountFirst(texts) && this.#waits.mustSettle();
  }

  /** What is to be said to the message at hand without judging it: it was cancelled, or is held; null: judge it. */
  #earlier(message: MessageKind, startedAt: number): NotPassed | null {
    if (!this.#waits.takeCancelled()) {
      const answer = this.#holds.earlier();
      if (answer?.kind === 'refuse') this.#impact.forgetTrial();
      return answer;
    }
    this.#impact.forgetTrial();
    return this.#holds.cancelled() ?? this.#refuseCancelled(message, startedAt);
  }

  // ---------------------------------------------------------------- record

  #warning(judged: JudgedText): Notice | null {
    if (judged.verdict !== 'warn' || this.#role.observing) return null;
    return policyWarning(judged.judgement, this.#recorder.lastDecision);
  }

  #refuse(
    judged: JudgedText,
    block: Block,
    message: MessageKind,
    parameters: RecordedParameters | null,
    startedAt: number,
  ): NotPassed {
    this.#holds.leave('policy');
    this.#impact.forgetTrial();
    this.#recorder.decisionsOf(judged, block.match, message, parameters, startedAt);
    return { kind: 'refuse', refusal: block.refusal(this.#recorder.lastDecision) };
  }

  #refuseCancelled(message: MessageKind, startedAt: number): NotPassed {
    const unread = this.#texts.unread('cancelled', CANCELLED_WHILE_WAITING.match, CANCELLED.sqlstate);
    return this.#refuse(unread, CANCELLED_WHILE_WAITING, message, null, startedAt);
  }

  ended(execution: Execution, ending: Ending): void {
    const run = execution as Run;
    const { operation, target, changesSchema } = run.ending;
    const now = this.#services.clock();
    if (changesSchema) this.#schemaChanged = true;
    if (!ending.skipped) this.#holds.statementEnded(operation);
    if (ending.sqlstate !== null || ROLLBACKS.has(operation)) this.#target.rolledBack();
    else if (target !== null && !ending.skipped) this.#target.changed(target, now);
    this.#live.changed(run, ending.rows ?? 0);
    this.#recorder.outcome(run, ending, now);
    this.#impact.ended(operation, ending);
  }

  counted(
    execution: Execution | null,
    ending: Ending,
    before: Counts,
    after: Counts,
    undoable: boolean,
  ): CountedAnswer {
    const { operation, changesSchema } = (execution as Run).ending;
    if (changesSchema) this.#schemaChanged = true;
    this.#holds.statementEnded(operation);
    return this.#impact.counted(execution, ending, before, after, undoable);
  }

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

  commitFailed(): void {
    this.#impact.commitFailed();
  }

  /** The session has ended. */
  stop(): void {
    this.#impact.stop();
  }

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus, quiet: boolean): void {
    this.#waits.requestEnded(quiet);
    if (this.#schemaChanged && status === 'I') {
      this.#schemaChanged = false;
      this.#catalog.changed();
    }
    this.#target.requestEnded(status);
    this.#impact.requestEnded(status);
    this.#holds.requestEnded(status);
  }

  unrecorded(): Refusal {
    this.#impact.forgetTrial();
    return recordRefusal();
  }

  // ---------------------------------------------------------------- lexer agreement and backstop

  parameter(name: string, value: string): Refusal | null {
    this.#lexer.parameter(name, value);
    this.#holds.parameter(name, value);
    const lost = name === 'default_transaction_read_only' && value !== 'on';
    return lost && this.#backstop && this.#role.scope.role.access === 'read' && !this.#role.observing
      ? backstopGone()
      : null;
  }
}
