/**
 * Asks the server something of Holdfast's own, on the upstream connection of a session
 * that is idle, between two requests of its client, who sees nothing of it but the time
 * it takes.
 *
 * Law: whoever starts a reading has made sure that the server owes nothing and that
 * no transaction is open; while `underWay`, all that the server sends comes here, and
 * nothing else may be sent to it. A reading always comes to one of its ends. What is
 * read is not known here.
 */
import { sync } from '../protocol/encode.js';
import { statement } from '../session/own-messages.js';
import { ownQuery } from '../session/own-query.js';
import type { OwnQuery, OwnResult, OwnRow } from '../session/own-query.js';

/** What is to be read. One of `finish` and `abandoned` is called, once. */
export interface ServerReading {
  /** One SELECT that no setting of the session can change the meaning of. */
  readonly sql: string;
  /** Longest answer, bytes. */
  readonly limit: number;
  /** How long the server may take, milliseconds. */
  readonly timeout: number;
  /** Is given each row as it comes. Never throws. */
  readonly onRow: (row: OwnRow) => void;
  readonly finish: (result: OwnResult) => void;
  /** The session has ended before there was an answer. */
  readonly abandoned: () => void;
}

/** What came with and behind the answer; it is for the client. */
export interface Unclaimed {
  readonly relay: readonly Buffer[];
  readonly rest: Buffer;
}

/**
 * The settings of the session must not decide what is read, nor how long that takes: they
 * are others until the Sync. By the extended protocol and under names of its own, since
 * a Query would drop the client's unnamed statement, which it may have made ready for
 * its next message (PostgreSQL documentation, chapter "Message Flow", "Extended Query").
 */
function messages({ sql, timeout }: ServerReading): Buffer {
  return Buffer.concat([
    // First of all: SERIALIZABLE and DEFERRABLE, as defaults of the session, would wait for others.
    ...statement("SET transaction_isolation = 'read committed'"),
    ...statement('SET transaction_read_only = on'),
    ...statement('SET transaction_deferrable = off'),
    // Without a row: what comes is the answer.
    ...statement(
      `SELECT WHERE pg_catalog.set_config('statement_timeout', $1, true) IS NULL
  OR pg_catalog.set_config('lock_timeout', '0', true) IS NULL OR pg_catalog.set_config('jit', 'off', true) IS NULL`,
      [timeout.toString()],
    ),
    ...statement(sql),
    sync(),
  ]);
}

export class ServerReader {
  #underWay: { readonly reading: ServerReading; readonly answer: OwnQuery } | null = null;

  get underWay(): boolean {
    return this.#underWay !== null;
  }

  /** Begins a reading. @returns what to send to the server */
  start(reading: ServerReading): Buffer {
    if (this.#underWay !== null) throw new Error('a reading is under way already');
    this.#underWay = { reading, answer: ownQuery(reading.limit, reading.onRow) };
    return messages(reading);
  }

  /**
   * Bytes of the server, while a reading is under way.
   * @returns what is left for the client once the answer is complete; null before
   * @throws ProtocolViolation when the server sends what does not belong to an answer
   */
  receive(bytes: Buffer): Unclaimed | null {
    const current = this.#underWay;
    if (current === null) throw new Error('no reading is under way');
    const answered = current.answer.receive(bytes);
    if (answered === null) return null;
    this.#underWay = null;
    current.reading.finish(answered.result);
    return { relay: answered.relay, rest: answered.rest };
  }

  /** The session has ended. */
  stop(): void {
    const current = this.#underWay;
    this.#underWay = null;
    current?.reading.abandoned();
  }
}
