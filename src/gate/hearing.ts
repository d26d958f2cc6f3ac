/**
 * What every message of one session goes through before it is judged, and what is said
 * to one that does not pass.
 *
 * Law: a message is heard again from the beginning each time that it has waited. What
 * refuses one is recorded before it is answered.
 */
import type { RecordedParameters } from '../audit/records.js';
import type { Notice } from '../protocol/encode.js';
import type { Approval } from './approval.js';
import { CANCELLED_WHILE_WAITING, READING_OPEN } from './blocks.js';
import type { Block } from './blocks.js';
import type { JudgedText } from './judged-text.js';
import type { LiveRules } from './live-rules.js';
import type { Passage } from './passage.js';
import type { MessageKind, Recorder } from './recorder.js';
import { WAIT } from './session-holds.js';
import type { NotPassed } from './session-holds.js';
import type { SessionRole } from './session-role.js';
import type { TextReader } from './text-reader.js';
import type { Waits } from './waits.js';
import { CANCELLED, policyWarning } from './words.js';

const NO_NAMES: readonly never[] = [];

export class Hearing {
  readonly #waits: Waits;
  readonly #role: SessionRole;
  readonly #texts: TextReader;
  readonly #recorder: Recorder;
  readonly #live: LiveRules;
  readonly #passage: Passage;
  readonly #approval: Approval;

  constructor(parts: {
    readonly waits: Waits;
    readonly role: SessionRole;
    readonly texts: TextReader;
    readonly recorder: Recorder;
    readonly live: LiveRules;
    readonly passage: Passage;
    readonly approval: Approval;
  }) {
    this.#waits = parts.waits;
    this.#role = parts.role;
    this.#texts = parts.texts;
    this.#recorder = parts.recorder;
    this.#live = parts.live;
    this.#passage = parts.passage;
    this.#approval = parts.approval;
  }

  /** Reads the text of the message at hand, and why it may not pass; an answer where it is not to be judged, or not yet. */
  read(
    message: 'query' | 'parse',
    bytes: Buffer,
    start: number,
    end: number,
    startedAt: number,
  ): NotPassed | { readonly judged: JudgedText; readonly block: Block | null } {
    this.#role.refresh();
    const earlier = this.earlier(message, startedAt);
    if (earlier !== null) return earlier;
    if (this.#waits.mustHoldBack()) return WAIT;
    const judged = this.#texts.read(bytes, start, end, startedAt);
    if (judged === null || this.mustFindOut([judged])) return WAIT;
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
  mustFindOut(texts: readonly JudgedText[]): boolean {
    const asks = texts.some(({ asksCatalog }) => asksCatalog);
    const unknown = texts.some((text) => text.unknown.length > 0)
      ? texts.flatMap((text) => text.unknown)
      : NO_NAMES;
    if (this.#waits.mustReadCatalog(asks, unknown)) return true;
    return this.#waits.mustAskRecovery(texts.flatMap(({ recoveryAsks }) => recoveryAsks));
  }

  /** Whether it must wait until it is known what the session has changed before. */
  mustCountFirst(texts: readonly JudgedText[]): boolean {
    return this.#live.mustCountFirst(texts) && this.#waits.mustSettle();
  }

  /** What is to be said to the message at hand without judging it: it was cancelled, or is held; null: judge it. */
  earlier(message: MessageKind, startedAt: number): NotPassed | null {
    if (!this.#waits.takeCancelled()) return this.#approval.earlier();
    return this.#approval.cancelled() ?? this.#refuseCancelled(message, startedAt);
  }

  /** What the client is warned of. */
  warning(judged: JudgedText): Notice | null {
    if (judged.verdict !== 'warn' || this.#role.observing) return null;
    return policyWarning(judged.judgement, this.#recorder.lastDecision);
  }

  /** It does not pass, and this is why. */
  refuse(
    judged: JudgedText,
    block: Block,
    message: MessageKind,
    parameters: RecordedParameters | null,
    startedAt: number,
  ): NotPassed {
    this.#approval.leave('policy');
    this.#recorder.decisionsOf(judged, block.match, message, parameters, startedAt);
    return { kind: 'refuse', refusal: block.refusal(this.#recorder.lastDecision) };
  }

  #refuseCancelled(message: MessageKind, startedAt: number): NotPassed {
    const unread = this.#texts.unread('cancelled', CANCELLED_WHILE_WAITING.match, CANCELLED.sqlstate);
    return this.refuse(unread, CANCELLED_WHILE_WAITING, message, null, startedAt);
  }
}
