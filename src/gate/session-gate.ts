/**
 * The gate of one session. It exists to fix the order for every statement:
 * analyze, judge, record, and only then answer; nothing is answered `pass` whose
 * record has not been handed to the audit log. What follows (the record durable,
 * then the bytes forwarded) is the driver's, which asks takeRecorded().
 *
 * Law: what may run now is decided here and nowhere else. What a message goes through
 * before (hearing.ts), how it is made ready (preparing.ts), how a text is read
 * (text-reader.ts), by which policy (session-role.ts), whether the server reads it
 * alike (lexer-agreement.ts), how it is approved (approval.ts), how it is recorded
 * (recorder.ts) and what becomes of it (aftermath.ts) is not known here.
 */
import type { Refusal } from '../errors.js';
import type { Match } from '../policy/types.js';
import type { HeldParameter, Withdrawal } from '../holds/hold.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { carriedStatements } from './carried-texts.js';
import type {
  CountedAnswer,
  Counts,
  Ending,
  Execution,
  Meaning,
  MessageAnswer,
  NameLookup,
  PassedStatement,
  QueryAnswer,
  StatementGate,
} from '../session/ports.js';
import type { Aftermath } from './aftermath.js';
import type { Approval } from './approval.js';
import type { CountingNeeds } from './counting-needs.js';
import { changesSchema } from './judged-text.js';
import type { Bound, JudgedText } from './judged-text.js';
import type { Hearing } from './hearing.js';
import type { LexerAgreement } from './lexer-agreement.js';
import type { LiveRules } from './live-rules.js';
import { ambiguousPortal, functionCallMatch, isAmbiguous, parametersNotKept } from './blocks.js';
import type { Passage } from './passage.js';
import type { Preparing } from './preparing.js';
import type { Recorder, Run } from './recorder.js';
import { WAIT } from './session-holds.js';
import type { SessionHolds } from './session-holds.js';
import type { SessionImpact } from './session-impact.js';
import { TRIED, functionCallUnmeasured } from './impact-words.js';
import { createSessionParts } from './session-parts.js';
import type { GateServices, GatedSession } from './session-parts.js';
import type { SessionRole } from './session-role.js';
import type { TextReader } from './text-reader.js';
import type { GatedConnection, Waits } from './waits.js';
import { INSUFFICIENT_PRIVILEGE, backstopGone, recordRefusal } from './words.js';

const NO_CHANGES: readonly never[] = [];

export class SessionGate implements StatementGate {
  readonly #clock: () => number;
  /** default_transaction_read_only = on was set at login. */
  readonly #backstop: boolean;
  readonly #waits: Waits;
  readonly #role: SessionRole;
  readonly #texts: TextReader;
  readonly #recorder: Recorder;
  readonly #lexer: LexerAgreement;
  readonly #live: LiveRules;
  readonly #passage: Passage;
  readonly #holds: SessionHolds;
  readonly #needs: CountingNeeds;
  readonly #impact: SessionImpact;
  readonly #approval: Approval;
  readonly #hearing: Hearing;
  readonly #preparing: Preparing;
  readonly #aftermath: Aftermath;

  constructor(services: GateServices, session: GatedSession, connection: GatedConnection) {
    const parts = createSessionParts(services, session, connection);
    this.#clock = services.clock;
    this.#backstop = session.backstop;
    this.#waits = parts.waits;
    this.#role = parts.role;
    this.#texts = parts.texts;
    this.#recorder = parts.recorder;
    this.#lexer = parts.lexer;
    this.#live = parts.live;
    this.#passage = parts.passage;
    this.#holds = parts.holds;
    this.#needs = parts.needs;
    this.#impact = parts.impact;
    this.#approval = parts.approval;
    this.#hearing = parts.hearing;
    this.#preparing = parts.preparing;
    this.#aftermath = parts.aftermath;
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
    return this.#approval.holding;
  }

  /** Nobody waits for the message that is held any more. */
  leaveHold(reason: Withdrawal): void {
    this.#approval.leave(reason);
  }

  /** A cancel request came for the message that waits: it is refused when it is asked about again. */
  cancelWaiting(): void {
    this.#waits.cancel();
  }

  // ---------------------------------------------------------------- messages

  query(bytes: Buffer, start: number, end: number, names: NameLookup): QueryAnswer {
    const startedAt = this.#texts.startOfDecision();
    const read = this.#hearing.read('query', bytes, start, end, startedAt);
    if ('kind' in read) return read;
    const byNames = this.#passage.byNames(read.judged, names);
    let { block } = read;
    if (block === null && this.#hearing.mustCountFirst([read.judged, ...byNames.reached])) return WAIT;
    const judged = this.#live.settle(read.judged);
    if (judged !== read.judged) block ??= this.#passage.block(judged);
    let changed = this.#waits.schemaChanged;
    const measured = judged.statements.map((record) => {
      const measuring = this.#needs.measuring(record, byNames.reached, changed);
      changed ||= record.ending.changesSchema;
      return measuring;
    });
    block ??= byNames.block ?? this.#approval.cannotMeasure(measured) ?? this.#needs.blockOfString(judged);
    if (block !== null) return this.#hearing.refuse(judged, block, 'query', null, startedAt);
    const record = (match: Match | null): readonly Run[] =>
      this.#recorder.decisionsOf(judged, match, 'query', null, startedAt);
    const mustApprove = byNames.held.length > 0 || this.#passage.needsApproval(judged);
    const unkept = mustApprove ? this.#needs.blockOfUndo(measured) : null;
    if (unkept !== null) return this.#hearing.refuse(judged, unkept, 'query', null, startedAt);
    const passing = this.#approval.of({
      mustApprove,
      held: [judged, ...byNames.held],
      measured,
      judged,
      text: bytes.subarray(start, end),
      reached: byNames.held,
      parameters: byNames.parameters,
      record,
    });
    if ('kind' in passing) return passing;
    const { tried, released } = passing;
    if (judged.runsForeignCode) this.#waits.ranForeignCode();
    if ([judged, ...byNames.reached].some(changesSchema)) this.#waits.changesSchema();
    const runs = released?.runs ?? record(tried ? TRIED : null);
    this.#live.passed(judged, runs, byNames.reached);
    const statements: PassedStatement[] = judged.statements.map(({ changes }, index) => ({
      execution: runs[index] ?? null,
      changes,
    }));
    const notice = released?.notice ?? this.#hearing.warning(judged);
    if (measured.every((one) => one === null)) {
      for (const { facts } of judged.statements) this.#impact.passes(facts);
      return { kind: 'pass', statements, notice };
    }
    const carried = carriedStatements(bytes, start, end, judged).map((text, index) => {
      const run = runs[index];
      const measuring = measured[index] ?? null;
      if (run === undefined) throw new Error('a statement without its decision');
      const sql = judged.sql.slice(...(judged.statements[index]?.facts?.span ?? [0]));
      const record = judged.statements[index];
      const guard = record === undefined ? null : this.#approval.guard(passing, measuring, run, record, sql);
      return { text, guard, execution: run, changes: statements[index]?.changes ?? [] };
    });
    return { kind: 'carry', statements: carried, notice };
  }

  parse(_name: string, bytes: Buffer, start: number, end: number): MessageAnswer {
    return this.#preparing.parse(bytes, start, end);
  }

  bind(
    meanings: readonly Meaning[],
    statement: string,
    bytes: Buffer,
    start: number,
    end: number,
  ): MessageAnswer {
    return this.#preparing.bind(meanings, statement, bytes, start, end);
  }

  execute(meanings: readonly Meaning[], portal: string, names: NameLookup): MessageAnswer {
    const startedAt = this.#clock();
    this.#role.refresh();
    const earlier = this.#hearing.earlier('execute', startedAt);
    if (earlier !== null) return earlier;
    if (this.#waits.mustHoldBack()) return WAIT;
    const portals = meanings as readonly Bound[];
    const current = portals.flatMap((portal) => portal.texts.map((text) => this.#texts.current(text)));
    if (this.#hearing.mustFindOut(current) || this.#hearing.mustCountFirst(current)) return WAIT;
    const texts = this.#live.settleAll(current);
    const parameters = portals.at(-1)?.parameters ?? null;
    const held: JudgedText[] = [];
    const reached: JudgedText[] = [];
    const reachedParameters: HeldParameter[] = [];
    for (const text of texts) {
      const byNames = this.#passage.byNames(text, names);
      const block = this.#passage.block(text) ?? byNames.block;
      if (block !== null) return this.#hearing.refuse(text, block, 'execute', parameters, startedAt);
      held.push(...byNames.held);
      reached.push(...byNames.reached);
      reachedParameters.push(...byNames.parameters);
    }
    let judged = texts.at(-1) ?? null;
    const mustApprove = held.length > 0 || texts.some((text) => this.#passage.needsApproval(text));
    if (mustApprove && this.#holds.mustSettle()) return WAIT;
    if (judged !== null && isAmbiguous(texts, mustApprove)) {
      return this.#hearing.refuse(judged, ambiguousPortal(portal), 'execute', parameters, startedAt);
    }
    const kept = portals.at(-1)?.kept.values ?? null;
    if (judged !== null && mustApprove && kept === null)
      return this.#hearing.refuse(judged, parametersNotKept(portal), 'execute', parameters, startedAt);
    // A portal that is not known here is one that a function opened: whoever might call the function may read from it.
    judged ??= this.#texts.unread('fetch', null, INSUFFICIENT_PRIVILEGE);
    if (portals.length === 0) {
      const block = this.#passage.block(judged);
      if (block !== null) return this.#hearing.refuse(judged, block, 'execute', null, startedAt);
    }
    const measuring = this.#needs.measuring(
      judged.statements[0] ?? null,
      [...texts, ...reached],
      this.#waits.schemaChanged,
    );
    const unmeasurable = this.#approval.cannotMeasure([measuring]);
    if (unmeasurable !== null)
      return this.#hearing.refuse(judged, unmeasurable, 'execute', parameters, startedAt);
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    const text = judged;
    const recordAs = (match: Match | null): readonly Run[] =>
      this.#recorder.decisionsOf(text, match, 'execute', parameters, startedAt);
    const passing = this.#approval.of({
      mustApprove,
      held: [...texts, ...held],
      measured: [measuring],
      judged,
      text: null,
      reached: held,
      parameters: [...(kept ?? []), ...reachedParameters],
      record: recordAs,
    });
    if ('kind' in passing) return passing;
    const { tried, released } = passing;
    if (texts.length === 0 || texts.some((text) => text.runsForeignCode)) this.#waits.ranForeignCode();
    if (texts.some(changesSchema) || reached.some(changesSchema)) this.#waits.changesSchema();
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
      notice: released?.notice ?? (current.includes(judged) ? null : this.#hearing.warning(judged)),
      guard: this.#approval.guard(passing, measuring, execution, record, judged.sql),
    };
  }

  functionCall(): MessageAnswer {
    const startedAt = this.#clock();
    this.#role.refresh();
    const allowed = this.#role.mayDoAnything;
    const { role } = this.#role.scope;
    const match = allowed ? null : functionCallMatch(role.name, role.access);
    const judged = this.#texts.unread('function_call', match, INSUFFICIENT_PRIVILEGE);
    const measuring = this.#needs.measuring(judged.statements[0] ?? null, [], false);
    const block =
      this.#passage.block(judged) ??
      (measuring === null || this.#role.observing ? null : functionCallUnmeasured());
    if (block !== null) return this.#hearing.refuse(judged, block, 'function_call', null, startedAt);
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    const execution = this.#recorder.decision(record, 'function_call', null, startedAt);
    this.#impact.passes(null);
    return { kind: 'pass', execution, changes: NO_CHANGES, meaning: null, notice: null };
  }

  // ---------------------------------------------------------------- what became of it

  ended(execution: Execution, ending: Ending): void {
    this.#aftermath.ended(execution, ending);
  }

  counted(
    execution: Execution | null,
    ending: Ending,
    before: Counts,
    after: Counts,
    undoable: boolean,
  ): CountedAnswer {
    return this.#aftermath.counted(execution, ending, before, after, undoable);
  }

  uncounted(
    execution: Execution | null,
    sqlstate: string,
    message: string,
    what: 'counting' | 'asking',
  ): Refusal | null {
    return this.#aftermath.uncounted(execution, sqlstate, message, what);
  }

  commitFailed(): void {
    this.#aftermath.commitFailed();
  }

  /** The session has ended. */
  stop(): void {
    this.#aftermath.stop();
  }

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus, quiet: boolean): void {
    this.#waits.requestEnded(status, quiet);
    this.#aftermath.requestEnded(status);
  }

  unrecorded(): Refusal {
    this.#approval.unrecorded();
    return recordRefusal();
  }

  // ---------------------------------------------------------------- lexer agreement and backstop

  parameter(name: string, value: string): Refusal | null {
    this.#lexer.parameter(name, value);
    this.#holds.parameter(name, value);
    this.#impact.parameter(name, value);
    const lost = name === 'default_transaction_read_only' && value !== 'on';
    return lost && this.#backstop && this.#role.scope.role.access === 'read' && !this.#role.observing
      ? backstopGone()
      : null;
  }
}
