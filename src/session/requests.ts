/**
 * What each of the client's messages asks for: whether it may come now, what the gate
 * says to it, and the entry in the reply queue that stands for it from then on.
 *
 * Law: a message that is forwarded, or something else in its place, has been entered
 * before; the names are told what was asked for, never that it happened. What the
 * server makes of it, and how bytes become messages, is not known here.
 */
import type { Refusal } from '../errors.js';
import { FRONTEND, FRONTEND_NAMES } from '../protocol/constants.js';
import type { Notice } from '../protocol/encode.js';
import {
  decodeBind,
  decodeCopyFail,
  decodeEmpty,
  decodeExecute,
  decodeParse,
  decodeTarget,
  queryText,
} from '../protocol/frontend.js';
import { ProtocolViolation } from '../protocol/violation.js';
import { unknownType } from './client-stream.js';
import type { ClientMessages, Handled } from './client-stream.js';
import type { CopyIn } from './copy-in.js';
import type { GuardedRequests } from './guarded-requests.js';
import {
  isTooLong,
  MEANINGS_LIMIT,
  namesRefusal,
  tooLong,
  tooManyMeanings,
  tooManyNames,
} from './name-limits.js';
import type { NameChange } from './names.js';
import type { Execution, Meaning, MessageAnswer, StatementGate } from './ports.js';
import { FAILING_EXECUTE, FAILING_QUERY } from './provoked.js';
import { reply } from './replies.js';
import type { ConversationState } from './state.js';
import { CLIENT_ACTIONS } from './client-transitions.js';
import type { ClientAction } from './client-transitions.js';

const NO_MESSAGE = Buffer.alloc(0);

/** Takes what Holdfast has to tell the client beside the server's replies. */
export interface NoticeSink {
  notify(notice: Notice): void;
}

export class Requests implements ClientMessages {
  readonly #state: ConversationState;
  readonly #copyIn: CopyIn;
  readonly #guarded: GuardedRequests;
  readonly #gate: StatementGate;
  readonly #notices: NoticeSink;
  /** Prepared statements and portals that the session may hold. */
  readonly #namesLimit: number;
  /** What takes the place of a refused message. */
  replacement: Buffer = NO_MESSAGE;

  constructor(
    state: ConversationState,
    copyIn: CopyIn,
    guarded: GuardedRequests,
    gate: StatementGate,
    notices: NoticeSink,
    namesLimit: number,
  ) {
    this.#state = state;
    this.#copyIn = copyIn;
    this.#guarded = guarded;
    this.#gate = gate;
    this.#notices = notices;
    this.#namesLimit = namesLimit;
  }

  get over(): boolean {
    return this.#state.over;
  }

  streamsCopyData(): boolean {
    return this.#action(FRONTEND.CopyData) === 'stream';
  }

  #action(type: number): ClientAction {
    const action = CLIENT_ACTIONS[this.#state.mode][type];
    if (action === undefined) return unknownType(type);
    return action;
  }

  message(type: number, bytes: Buffer, start: number, end: number): Handled {
    if (this.#guarded.atHand.takeDone()) return 'discard';
    const action = this.#action(type);
    switch (action) {
      case 'query':
        return this.#query(bytes, start, end);
      case 'parse':
        return this.#parse(bytes, start, end);
      case 'bind':
        return this.#bind(bytes, start, end);
      case 'execute':
        return this.#execute(bytes, start, end);
      case 'describe': {
        const { name } = decodeTarget('Describe', bytes, start, end);
        if (isTooLong(name)) return this.refuseMessage(tooLong(name));
        this.#state.replies.push(reply('describe'));
        return 'forward';
      }
      case 'close': {
        const { target, name } = decodeTarget('Close', bytes, start, end);
        if (isTooLong(name)) return this.refuseMessage(tooLong(name));
        if (target === 'statement') this.#guarded.statementChanged(name);
        else this.#guarded.portalClosed(name);
        this.#state.replies.push(
          reply('close', {
            changes: [{ kind: target === 'statement' ? 'drop_statement' : 'drop_portal', name }],
          }),
        );
        return 'forward';
      }
      case 'sync':
        decodeEmpty('Sync', start, end);
        this.#state.mode = 'ready';
        this.#state.executed = 0;
        this.#state.names.synced();
        this.#guarded.groupEnded();
        this.#state.replies.push(reply('sync'));
        return 'forward';
      case 'function_call':
        return this.#functionCall();
      case 'sync_in_copy': {
        decodeEmpty('Sync', start, end);
        if (this.#guarded.dropsSync) return 'discard';
        const item = reply('sync');
        item.optional = true;
        this.#state.names.synced();
        this.#state.replies.push(item);
        return 'forward';
      }
      case 'flush':
        decodeEmpty('Flush', start, end);
        return 'forward';
      case 'end_copy':
        if (type === FRONTEND.CopyFail) decodeCopyFail(bytes, start, end);
        else decodeEmpty('CopyDone', start, end);
        this.#copyIn.passed();
        if (type === FRONTEND.CopyDone && this.#state.mode === 'copying') {
          const counted = this.#guarded.copyDone(bytes.subarray(start - 5, end));
          if (counted !== null) {
            this.replacement = counted;
            return 'begin';
          }
        } else if (this.#state.mode === 'copying' && this.#guarded.copyGivenUp()) {
          return this.#begun(Buffer.from(bytes.subarray(start - 5, end)));
        }
        if (this.#state.mode === 'copying') this.#state.mode = 'ready';
        // Without a request it can only be what the server ignores.
        else if (this.#state.replies.length > 0) this.#state.replies.push(reply('end_copy'));
        return 'forward';
      case 'discard':
        return 'discard';
      case 'discard_end':
        if (type === FRONTEND.CopyFail) decodeCopyFail(bytes, start, end);
        else decodeEmpty('CopyDone', start, end);
        if (this.#guarded.copyGivenUp()) return 'wait';
        this.#state.mode = 'ready';
        return 'discard';
      case 'terminate':
        return 'stop';
      case 'stream':
        // Only an empty CopyData gets here; all others are streamed by their header.
        this.#copyIn.passed();
        return 'forward';
      case 'violation':
        throw new ProtocolViolation(
          this.#state.mode === 'copying'
            ? `unexpected message type ${FRONTEND_NAMES[type] ?? type} during COPY from stdin`
            : `unexpected message type ${FRONTEND_NAMES[type] ?? type}`,
        );
    }
  }

  #query(bytes: Buffer, start: number, end: number): Handled {
    const [textStart, textEnd] = queryText(bytes, start, end);
    const answer = this.#gate.query(bytes, textStart, textEnd, this.#state.names);
    switch (answer.kind) {
      case 'wait':
        return 'wait';
      case 'refuse':
        return this.refuseQuery(answer.refusal);
      case 'pass':
      case 'carry':
        if (tooManyNames(this.#state.names, this.#namesLimit, answer.statements)) {
          for (const { execution } of answer.statements) this.#neverRun(execution);
          return this.refuseQuery(namesRefusal(this.#state.names));
        }
        for (const { changes } of answer.statements)
          for (const change of changes) this.#request(change, 'simple');
        this.#guarded.groupEnded();
        if (answer.notice !== null) this.#notices.notify(answer.notice);
        if (answer.kind === 'carry') {
          const begun = this.#guarded.query(answer.statements);
          this.#state.executed = 0;
          return this.#begun(begun);
        }
        this.#state.executed = 0;
        this.#state.replies.push(reply('query', { statements: answer.statements }));
        return 'forward';
    }
  }

  #functionCall(): Handled {
    const answer = this.#gate.functionCall();
    switch (answer.kind) {
      case 'wait':
        return 'wait';
      case 'refuse':
        return this.refuseQuery(answer.refusal);
      case 'pass':
        this.#state.replies.push(reply('function_call', { execution: answer.execution }));
        return 'forward';
    }
  }

  #parse(bytes: Buffer, start: number, end: number): Handled {
    const { name, textStart, textEnd } = decodeParse(bytes, start, end);
    if (isTooLong(name)) return this.refuseMessage(tooLong(name));
    const answer = this.#gate.parse(name, bytes, textStart, textEnd, this.#state.names);
    if (answer.kind === 'pass' && this.#namesFull())
      return this.refuseMessage(namesRefusal(this.#state.names));
    return this.#answered('parse', answer, (meaning) => ({ kind: 'define_statement', name, meaning }));
  }

  #bind(bytes: Buffer, start: number, end: number): Handled {
    const { portal, statement, parametersStart, parametersEnd } = decodeBind(bytes, start, end);
    if (isTooLong(portal)) return this.refuseMessage(tooLong(portal));
    if (isTooLong(statement)) return this.refuseMessage(tooLong(statement));
    const meanings = this.#state.names.statements(statement);
    if (meanings.length > MEANINGS_LIMIT) return this.refuseMessage(tooManyMeanings(statement));
    const answer = this.#gate.bind(meanings, statement, bytes, parametersStart, parametersEnd);
    if (answer.kind === 'pass' && this.#namesFull())
      return this.refuseMessage(namesRefusal(this.#state.names));
    if (answer.kind === 'pass') {
      const keep = answer.again === true;
      this.#guarded.bound(portal, statement, keep ? bytes.subarray(start - 5, end) : null);
    }
    return this.#answered('bind', answer, (meaning) => ({
      kind: 'define_portal',
      name: portal,
      meaning,
      hold: false,
    }));
  }

  #execute(bytes: Buffer, start: number, end: number): Handled {
    const portal = decodeExecute(bytes, start, end);
    if (isTooLong(portal)) return this.refuseMessage(tooLong(portal));
    const meanings = this.#state.names.portals(portal);
    if (meanings.length > MEANINGS_LIMIT) return this.refuseMessage(tooManyMeanings(portal));
    const answer = this.#gate.execute(meanings, portal, this.#state.names);
    if (answer.kind === 'pass' && tooManyNames(this.#state.names, this.#namesLimit, [answer])) {
      this.#neverRun(answer.execution);
      return this.refuseMessage(namesRefusal(this.#state.names));
    }
    if (answer.kind === 'pass' && answer.guard) {
      const { guard, execution, changes, notice } = answer;
      for (const change of changes) this.#request(change, 'extended');
      const message = bytes.subarray(start - 5, end);
      const begun = this.#guarded.execute(portal, message, { guard, execution, changes });
      this.#state.executed += 1;
      if (notice !== null) this.#notices.notify(notice);
      return this.#begun(begun);
    }
    const ended = answer.kind === 'wait' && answer.people === true ? this.#guarded.letGo(portal) : null;
    if (ended !== null) return this.#begun(ended);
    const again = answer.kind === 'pass' ? this.#guarded.takeRebind() : null;
    const handled = this.#answered('execute', answer, null);
    if (again === null) return handled;
    this.replacement = Buffer.concat([again, bytes.subarray(start - 5, end)]);
    return 'replace';
  }

  /** What is counted has begun: these bytes take the message's place, and it stays at hand. */
  #begun(bytes: Buffer): Handled {
    this.replacement = bytes;
    return 'begin';
  }

  #request(change: NameChange<Meaning>, by: 'simple' | 'extended'): void {
    this.#guarded.nameChanged(change);
    this.#state.names.request(change, by);
  }

  /** Parse, Bind or Execute, answered: its place in the reply queue. */
  #answered(
    kind: 'parse' | 'bind' | 'execute',
    answer: MessageAnswer,
    define: ((meaning: Meaning) => NameChange<Meaning>) | null,
  ): Handled {
    switch (answer.kind) {
      case 'wait':
        return 'wait';
      case 'refuse':
        return this.refuseMessage(answer.refusal);
      case 'pass': {
        const changes =
          define !== null && answer.meaning !== null ? [define(answer.meaning)] : answer.changes;
        for (const change of changes) this.#request(change, 'extended');
        if (kind === 'execute') this.#state.executed += 1;
        this.#state.replies.push(reply(kind, { execution: answer.execution, changes }));
        if (answer.notice !== null) this.#notices.notify(answer.notice);
        return 'forward';
      }
    }
  }

  #namesFull(): boolean {
    return this.#state.names.size >= this.#namesLimit;
  }

  #neverRun(execution: Execution | null): void {
    if (execution !== null) this.#gate.ended(execution, { rows: null, sqlstate: null, skipped: true });
  }

  /** A Query, or what the server answers like one, is refused: what fails as one takes its place. */
  refuseQuery(refusal: Refusal): Handled {
    this.#state.replies.push(reply('refused_query', { refusal }));
    this.replacement = FAILING_QUERY;
    return 'replace';
  }

  /** A message of the extended protocol is refused: what fails in its place makes the server skip to Sync. */
  refuseMessage(refusal: Refusal): Handled {
    this.#state.replies.push(reply('refused_message', { refusal }));
    this.replacement = FAILING_EXECUTE;
    this.#state.mode = 'skipping';
    return 'replace';
  }
}
