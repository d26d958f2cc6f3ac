/**
 * What each of the server's messages means for the requests under way: which of them
 * it answers, what has happened by it, and that the gate hears how executions ended.
 *
 * Law: a reply belongs to the oldest entry of the queue; one that does not fit it ends
 * the session. Only here do names change their meaning and the transaction its status,
 * by the server's word. How requests are judged, and bytes cut, is not known here.
 */
import type { Refusal } from '../errors.js';
import {
  commandRows,
  decodeParameterStatus,
  decodeReadyForQuery,
  errorSqlstate,
  isFatal,
} from '../protocol/backend.js';
import { BACKEND, BACKEND_NAMES } from '../protocol/constants.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { errorResponse } from '../protocol/encode.js';
import type { CopyIn } from './copy-in.js';
import type { GuardedOutcomes } from './guarded-outcomes.js';
import type { ConversationPorts, Ending, Execution } from './ports.js';
import { isSync } from './replies.js';
import type { Reply } from './replies.js';
import type { ServerMessages } from './server-stream.js';
import type { ConversationState } from './state.js';
import { KEPT_BACK, SERVER_ACTIONS } from './server-transitions.js';
import type { ServerAction } from './server-transitions.js';

export class Outcomes implements ServerMessages {
  readonly #state: ConversationState;
  readonly #copyIn: CopyIn;
  readonly #guarded: GuardedOutcomes;
  readonly #ports: Pick<ConversationPorts, 'gate' | 'requestEnded'>;
  /** The server itself has told the client why it ends the connection (a FATAL error). */
  goodbye = false;
  /** A server message showed that the session must end, once what came before has been passed on. */
  failure: Refusal | null = null;
  /** The refusal that takes the place of the server's error, once what came before it has been passed on. */
  #refusal: Refusal | null = null;
  /** Requests that ended in the bytes at hand, reported when those bytes have been passed on. */
  #ended: TransactionStatus[] = [];

  constructor(
    state: ConversationState,
    copyIn: CopyIn,
    guarded: GuardedOutcomes,
    ports: Pick<ConversationPorts, 'gate' | 'requestEnded'>,
  ) {
    this.#state = state;
    this.#copyIn = copyIn;
    this.#guarded = guarded;
    this.#ports = ports;
  }

  get over(): boolean {
    return this.#state.over;
  }

  takeInPlace(): Buffer | null {
    const refusal = this.#refusal;
    this.#refusal = null;
    return refusal === null ? this.#guarded.takeInPlace() : errorResponse(refusal);
  }

  keepsBack(type: number): boolean {
    return this.#guarded.used && KEPT_BACK.has(this.#due(type)?.actions[type]);
  }

  isCount(type: number): boolean {
    return this.#guarded.used && this.#due(type)?.actions[type] === 'count_row';
  }

  /** As #head, but nothing is passed over for good: what comes may be what belongs to no entry. */
  #due(type: number): Reply | undefined {
    for (let index = 0; ; index++) {
      const item = this.#state.replies.at(index);
      if (item === undefined || !isPassedOver(item, type)) return item;
    }
  }

  /** Not before the ReadyForQuery has been passed on: whoever hears of it may end the session. */
  passedOn(): void {
    const ended = this.#ended;
    if (ended.length === 0) return;
    this.#ended = [];
    for (const status of ended) this.#ports.requestEnded(status);
  }

  /** Entry that the next reply belongs to: markers without a reply, and Syncs that the server ignored, are passed over. */
  #head(type: number): Reply | undefined {
    for (;;) {
      const head = this.#state.replies.at(0);
      if (head === undefined) return undefined;
      if (!isPassedOver(head, type)) return head;
      this.#state.replies.shift();
    }
  }

  message(bytes: Buffer, position: number, total: number): boolean {
    const type = bytes[position] ?? 0;
    const start = position + 5;
    const end = position + total;
    if (type === BACKEND.NoticeResponse || type === BACKEND.NotificationResponse) return true;
    if (type === BACKEND.ParameterStatus) {
      this.#parameter(bytes, start, end);
      return true;
    }
    if (type === BACKEND.ErrorResponse && isFatal(bytes, start, end)) {
      this.goodbye = true;
      return true;
    }
    const head = this.#head(type);
    const action: ServerAction | undefined = (head?.actions ?? SERVER_ACTIONS.nothing)[type];
    switch (action) {
      case 'relay':
        if (type === BACKEND.ErrorResponse && head?.kind === 'sync') this.#ports.gate.commitFailed();
        return true;
      case 'parameter':
        return true;
      case 'finish':
        this.#state.replies.shift();
        if (head !== undefined) this.#finish(head, type, bytes, start, end);
        return true;
      case 'statement':
        if (head !== undefined) this.#statementComplete(head, type, bytes, start, end);
        return true;
      case 'query_error':
        if (head !== undefined) this.#queryError(head, errorSqlstate(bytes, start, end));
        return true;
      case 'pipeline_error':
        if (head !== undefined) this.#endExecution(head.execution, errorSqlstate(bytes, start, end));
        this.#skipToSync();
        return true;
      case 'refuse_query':
        this.#refusal = head?.refusal ?? null;
        this.#ports.gate.commitFailed();
        return false;
      case 'refuse_message':
        this.#refusal = head?.refusal ?? null;
        this.#skipToSync();
        return false;
      case 'copy_in':
        if (head !== undefined) this.#copyIn.started(head);
        if (head?.kind === 'guarded_execute') this.#guarded.copying();
        return true;
      case 'swallow':
        return false;
      case 'swallow_finish':
        this.#state.replies.shift();
        return false;
      case 'count_row':
        this.#guarded.row(bytes, start, end);
        return false;
      case 'count_done':
        this.#state.replies.shift();
        this.#guarded.countDone();
        return false;
      case 'answer_row':
        this.#guarded.questions.row(bytes, start, end);
        return false;
      case 'answer_done':
        this.#state.replies.shift();
        this.#guarded.questions.answered();
        return false;
      case 'count_error':
        this.#refusal = this.#guarded.countFailed(bytes, start, end);
        this.#skipToSync();
        return this.#refusal === null;
      case 'withhold':
        this.#guarded.withhold(bytes.subarray(position, position + total), null);
        return false;
      case 'withhold_part':
        this.#state.replies.shift();
        this.#guarded.withhold(bytes.subarray(position, position + total), null);
        return false;
      case 'withhold_finish':
        this.#state.replies.shift();
        if (head !== undefined)
          this.#guarded.withhold(
            bytes.subarray(position, position + total),
            this.#executed(head, type, bytes, start, end),
          );
        return false;
      case 'withhold_last':
        this.#state.replies.shift();
        if (head !== undefined) this.#finish(head, type, bytes, start, end);
        this.#guarded.withholdLast(bytes.subarray(position, position + total));
        return false;
      case 'undone':
        this.#state.replies.shift();
        // It was the end of a transaction of which the client hears nothing.
        if (type === BACKEND.ReadyForQuery) this.#state.idles += 1;
        this.#guarded.undone();
        return false;
      case 'carried_error':
        this.#guarded.carriedFailed();
        this.#ports.gate.commitFailed();
        return true;
      case 'carried_ready':
        this.#state.replies.shift();
        this.#guarded.carriedReady(bytes.subarray(position, position + total));
        this.#ready(head, decodeReadyForQuery(bytes, start, end));
        return false;
      case 'ready':
        this.#state.replies.shift();
        this.#ready(head, decodeReadyForQuery(bytes, start, end));
        return true;
      case 'violation':
      case undefined:
        throw new ProtocolViolation(
          `unexpected ${BACKEND_NAMES[type] ?? `message type ${type}`} from the server (${head?.kind ?? 'nothing'} was due)`,
        );
    }
  }

  #parameter(bytes: Buffer, start: number, end: number): void {
    const [name, value] = decodeParameterStatus(bytes, start, end);
    this.failure ??= this.#ports.gate.parameter(name, value);
  }

  #finish(head: Reply, type: number, bytes: Buffer, start: number, end: number): void {
    for (const change of head.changes) this.#state.names.confirm(change);
    if (head.execution !== null) {
      const rows = type === BACKEND.CommandComplete ? commandRows(bytes, start, end) : null;
      this.#ports.gate.ended(head.execution, { rows, sqlstate: null, skipped: false });
    }
    if (head.copying) this.#copyIn.succeeded();
  }

  /** A guarded execution came to its end; what it did is counted next. */
  #executed(head: Reply, type: number, bytes: Buffer, start: number, end: number): Ending {
    for (const change of head.changes) this.#state.names.confirm(change);
    if (head.copying) this.#copyIn.succeeded();
    const rows = type === BACKEND.CommandComplete ? commandRows(bytes, start, end) : null;
    return { rows, sqlstate: null, skipped: false };
  }

  #statementComplete(head: Reply, type: number, bytes: Buffer, start: number, end: number): void {
    const statement = head.statements[head.next];
    head.next += 1;
    if (statement === undefined) return;
    // Its portal was the unnamed one, and took the place of any before it.
    if (type === BACKEND.CommandComplete) this.#state.names.confirm({ kind: 'drop_portal', name: '' });
    for (const change of statement.changes) this.#state.names.confirm(change);
    if (statement.execution !== null) {
      const rows = type === BACKEND.CommandComplete ? commandRows(bytes, start, end) : null;
      this.#ports.gate.ended(statement.execution, { rows, sqlstate: null, skipped: false });
    }
    if (head.copying) this.#copyIn.succeeded(1);
    head.copying = false;
  }

  #queryError(head: Reply, sqlstate: string): void {
    this.#ports.gate.commitFailed();
    this.#endExecution(head.execution, sqlstate);
    const failed = head.statements[head.next];
    if (failed !== undefined) {
      this.#endExecution(failed.execution, sqlstate);
      const last = head.next === head.statements.length - 1;
      for (const change of failed.changes) {
        if (last) this.#state.names.doubt(change);
        else this.#state.names.abandon(change);
      }
    }
    head.next += 1;
    for (; head.next < head.statements.length; head.next++)
      this.#abandonStatement(head.statements[head.next]);
    if (head.copying) this.#copyIn.failed();
    head.copying = false;
  }

  #endExecution(execution: Execution | null, sqlstate: string): void {
    if (execution !== null) this.#ports.gate.ended(execution, { rows: null, sqlstate, skipped: false });
  }

  #abandonStatement(statement: Reply['statements'][number] | undefined): void {
    if (statement === undefined) return;
    for (const change of statement.changes) this.#state.names.abandon(change);
    if (statement.execution !== null) {
      this.#ports.gate.ended(statement.execution, { rows: null, sqlstate: null, skipped: true });
    }
  }

  /** The server will not do what `item` asked for. */
  abandon(item: Reply): void {
    for (const change of item.changes) this.#state.names.abandon(change);
    if (item.execution !== null) {
      this.#ports.gate.ended(item.execution, { rows: null, sqlstate: null, skipped: true });
    }
    for (; item.next < item.statements.length; item.next++)
      this.#abandonStatement(item.statements[item.next]);
  }

  /** An extended-protocol message failed: the server reads and ignores everything up to the next Sync. */
  #skipToSync(): void {
    const failed = this.#state.replies.shift();
    if (failed === undefined) return;
    for (const change of failed.changes) this.#state.names.abandon(change);
    if (failed.copying) this.#copyIn.failed();
    // What was done since the last Sync is undone by it, whichever message it is.
    this.#ports.gate.commitFailed();
    this.#guarded.failed(failed.place, this.#toNextSync(failed.place));
  }

  /** @returns the place of the last entry that is skipped; `failed`, the place of the one that failed, where none is */
  #toNextSync(failed: number): number {
    let last = failed;
    for (;;) {
      const head = this.#state.replies.at(0);
      if (head === undefined) {
        // The Sync is still to come; what the client sends before it would be ignored.
        this.#state.mode = 'skipping';
        return last;
      }
      if (isSync(head)) {
        if (head.optional) this.#copyIn.failedWithinSyncs();
        return last;
      }
      this.#state.replies.shift();
      this.abandon(head);
      last = head.place;
    }
  }

  #ready(head: Reply | undefined, status: TransactionStatus): void {
    this.#state.status = status;
    if (head !== undefined) {
      // A Query string that ended early, by an error, has nothing left to confirm.
      for (; head.next < head.statements.length; head.next++)
        this.#abandonStatement(head.statements[head.next]);
      if (head.kind === 'function_call' && head.next === 0 && head.execution !== null) {
        this.#ports.gate.ended(head.execution, { rows: null, sqlstate: null, skipped: false });
      }
      if (head.kind === 'query' || head.kind === 'refused_query' || head.kind === 'carried_sync') {
        // Every simple Query drops the unnamed statement before it is parsed (exec_simple_query in tcop/postgres.c).
        this.#state.names.confirm({ kind: 'drop_statement', name: '' });
      }
      // Its statements ran in the unnamed portal, as those of any Query.
      if (head.kind === 'carried_sync') this.#state.names.confirm({ kind: 'drop_portal', name: '' });
      this.#copyIn.dropEnds();
      // Whether this ReadyForQuery was for the optional Sync cannot be told, so the one behind it is optional, too.
      const next = this.#state.replies.at(0);
      if (head.optional && next?.kind === 'sync') next.optional = true;
    }
    if (status === 'I') {
      this.#state.idles += 1;
      this.#state.names.transactionEnded();
    }
    if (this.#state.mode === 'copy_failed') this.#state.mode = 'ready';
    this.#guarded.ready();
    this.#ended.push(status);
  }
}

/** Markers without a reply, and Syncs that the server ignored. */
function isPassedOver(item: Reply, type: number): boolean {
  return item.kind === 'end_copy' || (item.optional && type !== BACKEND.ReadyForQuery);
}
