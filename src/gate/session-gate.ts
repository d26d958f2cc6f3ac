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
import type { Login, Match } from '../policy/types.js';
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
import type { Bound, JudgedText, RoleScope } from './judged-text.js';
import { LexerAgreement } from './lexer-agreement.js';
import { READING_OPEN, ambiguousPortal, functionCallMatch, isAmbiguous, unknownName } from './blocks.js';
import type { Block } from './blocks.js';
import type { CatalogStore, DatabaseCatalog } from './catalog-store.js';
import type { PolicyStore } from './policy-store.js';
import { Recorder } from './recorder.js';
import type { MessageKind, RecorderServices, Run } from './recorder.js';
import { SessionRole } from './session-role.js';
import { createSessionTarget } from './target.js';
import { TextReader } from './text-reader.js';
import type { ReaderServices } from './text-reader.js';
import { Waits } from './waits.js';
import type { GatedConnection } from './waits.js';
import {
  CANCELLED,
  INSUFFICIENT_PRIVILEGE,
  TARGET_VALID_MS,
  backstopGone,
  policyRefusal,
  policyWarning,
  recordRefusal,
} from './words.js';

/** What all sessions' gates share. */
export interface GateServices extends ReaderServices, RecorderServices {
  readonly policies: PolicyStore;
  readonly catalogs: CatalogStore;
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

const WAIT = { kind: 'wait' } as const;
const NO_CHANGES: readonly never[] = [];

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
  /** Something in the transaction at hand may have changed the schema. */
  #schemaChanged = false;

  constructor(services: GateServices, session: GatedSession, connection: GatedConnection) {
    this.#services = services;
    this.#waits = new Waits(connection, session.catalog, session.backstop);
    this.#catalog = session.catalog;
    this.#backstop = session.backstop;
    this.#role = new SessionRole(services.policies, session.catalog, session.login, session.scope);
    this.#texts = new TextReader(services, this.#role, session.replication, () => {
      connection.ready();
    });
    this.#recorder = new Recorder(services, session.id, session.constant);
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

  /** A cancel request came for the message that waits: it is refused when it is asked about again. */
  cancelWaiting(): void {
    this.#waits.cancel();
  }

  // ---------------------------------------------------------------- messages

  query(bytes: Buffer, start: number, end: number, names: NameLookup): QueryAnswer {
    const startedAt = this.#texts.startOfDecision();
    this.#role.refresh();
    if (this.#waits.takeCancelled()) return this.#refuseCancelled('query', startedAt);
    if (this.#waits.mustHoldBack()) return WAIT;
    const judged = this.#texts.read(bytes, start, end, startedAt);
    if (judged === null || this.#waits.mustReadCatalog(judged.asksCatalog)) return WAIT;
    const reading = this.#waits.readingAgrees(judged.whole === null ? judged.sql : '\\');
    if (reading === 'wait') return WAIT;
    const block =
      reading === 'refuse' ? READING_OPEN : (this.#block(judged) ?? this.#blockByNames(judged, names));
    if (block !== null) return this.#refuse(judged, block, 'query', null, startedAt);
    if (judged.runsForeignCode) this.#waits.ranForeignCode();
    const statements: PassedStatement[] = [];
    for (const record of judged.statements) {
      const execution = this.#recorder.decision(record, 'query', null, startedAt);
      statements.push({ execution, changes: record.changes });
    }
    return { kind: 'pass', statements, notice: this.#warning(judged) };
  }

  parse(_name: string, bytes: Buffer, start: number, end: number): MessageAnswer {
    const startedAt = this.#texts.startOfDecision();
    this.#role.refresh();
    if (this.#waits.takeCancelled()) return this.#refuseCancelled('parse', startedAt);
    if (this.#waits.mustHoldBack()) return WAIT;
    const judged = this.#texts.read(bytes, start, end, startedAt);
    if (judged === null || this.#waits.mustReadCatalog(judged.asksCatalog)) return WAIT;
    const reading = this.#waits.readingAgrees(judged.whole === null ? judged.sql : '\\');
    if (reading === 'wait') return WAIT;
    const block = reading === 'refuse' ? READING_OPEN : this.#block(judged);
    if (block !== null) return this.#refuse(judged, block, 'parse', null, startedAt);
    for (const record of judged.statements) this.#recorder.decision(record, 'parse', null, startedAt);
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
    this.#role.refresh();
    if (this.#waits.takeCancelled()) return this.#refuseCancelled('bind', this.#services.clock());
    if (this.#waits.mustHoldBack()) return WAIT;
    const texts = (meanings as readonly JudgedText[]).map((text) => this.#texts.current(text));
    if (this.#waits.mustReadCatalog(texts.some(({ asksCatalog }) => asksCatalog))) return WAIT;
    if (texts.length === 0) {
      // A function may have prepared it behind Holdfast's back; only who may do anything may use that.
      const unknown = this.#texts.unread('unknown_statement', null, INSUFFICIENT_PRIVILEGE);
      if (!this.#role.mayDoAnything) {
        return this.#refuse(unknown, unknownName(statement), 'bind', null, this.#services.clock());
      }
      texts.push(unknown);
    }
    for (const text of texts) {
      const block = this.#block(text);
      if (block !== null) return this.#refuse(text, block, 'bind', null, this.#services.clock());
    }
    const bound: Bound = { texts, parameters: this.#recorder.parameters(bytes, start, end) };
    return { kind: 'pass', execution: null, changes: NO_CHANGES, meaning: bound, notice: null };
  }

  execute(meanings: readonly Meaning[], portal: string, names: NameLookup): MessageAnswer {
    const startedAt = this.#services.clock();
    this.#role.refresh();
    if (this.#waits.takeCancelled()) return this.#refuseCancelled('execute', startedAt);
    if (this.#waits.mustHoldBack()) return WAIT;
    const portals = meanings as readonly Bound[];
    const texts = portals.flatMap((portal) => portal.texts.map((text) => this.#texts.current(text)));
    if (this.#waits.mustReadCatalog(texts.some(({ asksCatalog }) => asksCatalog))) return WAIT;
    const parameters = portals.at(-1)?.parameters ?? null;
    for (const text of texts) {
      const block = this.#block(text) ?? this.#blockByNames(text, names);
      if (block !== null) return this.#refuse(text, block, 'execute', parameters, startedAt);
    }
    let judged = texts.at(-1) ?? null;
    if (judged !== null && isAmbiguous(texts)) {
      return this.#refuse(judged, ambiguousPortal(portal), 'execute', parameters, startedAt);
    }
    // A portal that is not known here is one that a function opened: whoever might call the function may read from it.
    judged ??= this.#texts.unread('fetch', null, INSUFFICIENT_PRIVILEGE);
    if (portals.length === 0) {
      const block = this.#block(judged);
      if (block !== null) return this.#refuse(judged, block, 'execute', null, startedAt);
    }
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    if (texts.length === 0 || texts.some((text) => text.runsForeignCode)) this.#waits.ranForeignCode();
    const execution = this.#recorder.decision(record, 'execute', parameters, startedAt);
    return { kind: 'pass', execution, changes: record.changes, meaning: null, notice: null };
  }

  functionCall(): MessageAnswer {
    const startedAt = this.#services.clock();
    this.#role.refresh();
    const allowed = this.#role.mayDoAnything;
    const { role } = this.#role.scope;
    const match = allowed ? null : functionCallMatch(role.name, role.access);
    const judged = this.#texts.unread('function_call', match, INSUFFICIENT_PRIVILEGE);
    const block = this.#block(judged);
    if (block !== null) return this.#refuse(judged, block, 'function_call', null, startedAt);
    const record = judged.statements[0];
    if (record === undefined) throw new Error('a judged text has at least one record');
    const execution = this.#recorder.decision(record, 'function_call', null, startedAt);
    return { kind: 'pass', execution, changes: NO_CHANGES, meaning: null, notice: null };
  }

  // ---------------------------------------------------------------- judge

  /** Why `judged` may not pass now; null when it may. */
  #block(judged: JudgedText): Block | null {
    if (this.#role.observing) return null;
    const lexer = this.#lexer.refusal;
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

  /**
   * EXECUTE and FETCH are judged by what the name stands for: by everything that it may stand for, and where that is
   * an EXECUTE again (a Parse may be one), by what that one's name stands for.
   */
  #blockByNames(judged: JudgedText, names: NameLookup): Block | null {
    if (judged.executes.length === 0 && judged.fetches.length === 0) return null;
    if (this.#role.observing) return null;
    // Grows while it is gone through.
    const reached = [judged];
    for (const text of reached) {
      const meanings: JudgedText[] = [];
      for (const name of text.executes) {
        const known = names.statements(name) as readonly JudgedText[];
        if (known.length === 0 && !judged.prepares.has(name) && !this.#role.mayDoAnything)
          return unknownName(name);
        meanings.push(...known);
      }
      for (const name of text.fetches) {
        for (const portal of names.portals(name) as readonly Bound[]) meanings.push(...portal.texts);
      }
      for (const meaning of meanings) {
        const current = this.#texts.current(meaning);
        if (reached.includes(current)) continue;
        const block = this.#block(current);
        if (block !== null) return { ...block, match: block.match ?? current.judgement.decisive };
        reached.push(current);
      }
    }
    return null;
  }

  #warning(judged: JudgedText): Notice | null {
    if (judged.verdict !== 'warn' || this.#role.observing) return null;
    return policyWarning(judged.judgement, this.#recorder.lastDecision);
  }

  // ---------------------------------------------------------------- record

  #refuse(
    judged: JudgedText,
    block: Block,
    message: MessageKind,
    parameters: RecordedParameters | null,
    startedAt: number,
  ): { readonly kind: 'refuse'; readonly refusal: Refusal } {
    this.#recorder.refusal(judged, block.match, message, parameters, startedAt);
    return { kind: 'refuse', refusal: block.refusal(this.#recorder.lastDecision) };
  }

  #refuseCancelled(
    message: MessageKind,
    startedAt: number,
  ): { readonly kind: 'refuse'; readonly refusal: Refusal } {
    const match: Match = {
      rule: 'cancel',
      action: 'deny',
      message: CANCELLED.message,
      hint: null,
      offset: null,
    };
    const unread = this.#texts.unread('cancelled', match, CANCELLED.sqlstate);
    return this.#refuse(unread, { refusal: () => CANCELLED, match }, message, null, startedAt);
  }

  ended(execution: Execution, ending: Ending): void {
    const run = execution as Run;
    const { operation, target } = run.record;
    const now = this.#services.clock();
    if (run.record.changesSchema) this.#schemaChanged = true;
    if (ending.sqlstate !== null || ROLLBACKS.has(operation)) this.#target.rolledBack();
    else if (target !== null && !ending.skipped) this.#target.changed(target, now);
    this.#recorder.outcome(run, ending, now);
  }

  /** The server has reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus, quiet: boolean): void {
    this.#waits.requestEnded(quiet);
    if (this.#schemaChanged && status === 'I') {
      this.#schemaChanged = false;
      this.#catalog.changed();
    }
    this.#target.requestEnded(status);
  }

  unrecorded(): Refusal {
    return recordRefusal();
  }

  // ---------------------------------------------------------------- lexer agreement and backstop

  parameter(name: string, value: string): Refusal | null {
    this.#lexer.parameter(name, value);
    const lost = name === 'default_transaction_read_only' && value !== 'on';
    return lost && this.#backstop && this.#role.scope.role.access === 'read' && !this.#role.observing
      ? backstopGone()
      : null;
  }
}
