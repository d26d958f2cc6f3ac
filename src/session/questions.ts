/**
 * What the server is asked within the client's transaction, and its answers.
 *
 * Law: one list of questions at a time; who asked hears of it once, when all of them are
 * answered, and is told of answers above its limit that they were too many, not a part
 * of them.
 */
import { textColumns } from '../protocol/backend.js';
import { flush } from '../protocol/encode.js';
import { ask } from './own-messages.js';
import type { Batch } from './own-messages.js';
import type { Asking, Counts } from './ports.js';

const FLUSH = flush();

/** What is being asked. */
interface Asked {
  readonly limit: number;
  readonly questions: number;
  readonly answers: (readonly (string | null)[])[][];
  /** How many of them are complete. */
  complete: number;
  bytes: number;
  readonly then: (answers: readonly Counts[] | null) => void;
}

export class Questions {
  #asked: Asked | null = null;

  /** Something is asked, and not answered yet. */
  get open(): boolean {
    return this.#asked !== null;
  }

  /** @param next is told what the answers come to */
  ask<Next>(batch: Batch, { questions, limit, then }: Asking<Next>, next: (answer: Next) => void): void {
    for (const question of questions) ask(batch, question);
    batch.bytes.push(FLUSH);
    this.#asked = {
      limit,
      questions: questions.length,
      answers: questions.map(() => []),
      complete: 0,
      bytes: 0,
      then: (answers) => {
        next(then(answers));
      },
    };
  }

  /** A row of the answer that is due. */
  row(bytes: Buffer, start: number, end: number): void {
    const asked = this.#asked;
    if (asked === null) return;
    asked.bytes += end - start;
    if (asked.bytes <= asked.limit) asked.answers[asked.complete]?.push(textColumns(bytes, start, end));
    else asked.answers.length = 0;
  }

  /** The answer that is due is complete. */
  answered(): void {
    const asked = this.#asked;
    if (asked === null) return;
    asked.complete += 1;
    if (asked.complete < asked.questions) return;
    this.#asked = null;
    asked.then(asked.bytes > asked.limit ? null : asked.answers);
  }

  /** No answer is waited for any more. */
  drop(): void {
    this.#asked = null;
  }
}
