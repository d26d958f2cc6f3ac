/**
 * Parse and Bind: what a session makes ready under a name, to be executed later.
 *
 * Law: nothing runs here, so nothing is held or counted; but what may not be executed is
 * not made ready either, and what its execution will need is kept.
 */
import { parameterTypes } from '../protocol/frontend.js';
import type { Meaning, MessageAnswer } from '../session/ports.js';
import { unknownName } from './blocks.js';
import type { CountingNeeds } from './counting-needs.js';
import type { Hearing } from './hearing.js';
import type { Bound, JudgedText } from './judged-text.js';
import type { Passage } from './passage.js';
import type { Recorder } from './recorder.js';
import { WAIT } from './session-holds.js';
import type { SessionHolds } from './session-holds.js';
import type { SessionRole } from './session-role.js';
import type { TextReader } from './text-reader.js';
import type { Waits } from './waits.js';
import { INSUFFICIENT_PRIVILEGE } from './words.js';

const NO_CHANGES: readonly never[] = [];

export class Preparing {
  readonly #clock: () => number;
  readonly #hearing: Hearing;
  readonly #waits: Waits;
  readonly #role: SessionRole;
  readonly #texts: TextReader;
  readonly #recorder: Recorder;
  readonly #passage: Passage;
  readonly #holds: SessionHolds;
  readonly #needs: CountingNeeds;

  constructor(parts: {
    readonly clock: () => number;
    readonly hearing: Hearing;
    readonly waits: Waits;
    readonly role: SessionRole;
    readonly texts: TextReader;
    readonly recorder: Recorder;
    readonly passage: Passage;
    readonly holds: SessionHolds;
    readonly needs: CountingNeeds;
  }) {
    this.#clock = parts.clock;
    this.#hearing = parts.hearing;
    this.#waits = parts.waits;
    this.#role = parts.role;
    this.#texts = parts.texts;
    this.#recorder = parts.recorder;
    this.#passage = parts.passage;
    this.#holds = parts.holds;
    this.#needs = parts.needs;
  }

  parse(bytes: Buffer, start: number, end: number): MessageAnswer {
    const startedAt = this.#texts.startOfDecision();
    const read = this.#hearing.read('parse', bytes, start, end, startedAt);
    if ('kind' in read) return read;
    const { judged, block } = read;
    if (block !== null) return this.#hearing.refuse(judged, block, 'parse', null, startedAt);
    for (const record of judged.statements) this.#recorder.decision(record, 'parse', null, startedAt);
    return {
      kind: 'pass',
      execution: null,
      changes: NO_CHANGES,
      // Nothing runs by it, so it passes; what needs approval is held when it is executed.
      meaning: this.#holds.prepared(
        judged,
        () => parameterTypes(bytes, end),
        this.#needs.mayBeHeld([judged]),
      ),
      notice: this.#hearing.warning(judged),
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
    const earlier = this.#hearing.earlier('bind', this.#clock());
    if (earlier !== null) return earlier;
    if (this.#waits.mustHoldBack()) return WAIT;
    const texts = (meanings as readonly JudgedText[]).map((text) => this.#texts.current(text));
    if (this.#hearing.mustFindOut(texts)) return WAIT;
    if (texts.length === 0) {
      // A function may have prepared it behind Holdfast's back; only who may do anything may use that.
      const unknown = this.#texts.unread('unknown_statement', null, INSUFFICIENT_PRIVILEGE);
      if (!this.#role.mayDoAnything) {
        return this.#hearing.refuse(unknown, unknownName(statement), 'bind', null, this.#clock());
      }
      texts.push(unknown);
    }
    for (const text of texts) {
      const block = this.#passage.block(text);
      if (block !== null) return this.#hearing.refuse(text, block, 'bind', null, this.#clock());
    }
    const again = this.#needs.mayBeHeld(texts);
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
}
