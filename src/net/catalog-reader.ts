/**
 * Reads a database's catalogs on the upstream connection of a session that is idle,
 * between two requests of its client, who sees nothing of it but the time it takes.
 *
 * Law: whoever starts a reading has made sure that the server owes nothing and that
 * no transaction is open; while `underWay`, all that the server sends comes here, and
 * nothing else may be sent to it. A reading always comes to an end in the store: read,
 * failed or abandoned. What a snapshot holds is not known here.
 */
import { catalogDecoder } from '../catalog/decode.js';
import type { Catalog } from '../catalog/catalog.js';
import { CATALOG_QUERY } from '../catalog/queries.js';
import type { CatalogReading, DatabaseCatalog } from '../gate/catalog-store.js';
import type { Logger } from '../log.js';
import type { CounterChild, Family, HistogramChild } from '../metrics.js';
import { query } from '../protocol/encode.js';
import { ownQuery } from '../session/own-query.js';
import type { OwnQuery, OwnResult } from '../session/own-query.js';

/** Longest answer, bytes: some hundred thousand columns. */
const ANSWER_LIMIT = 256 * 1_048_576;

export interface CatalogReaderServices {
  readonly log: Logger;
  /** How long the server may take, milliseconds. */
  readonly catalogTimeout: number;
  readonly catalogReads: Family<['result'], CounterChild>;
  readonly catalogReadSeconds: HistogramChild;
  readonly gate: { readonly clock: () => number };
}

/** What came with and behind the answer; it is for the client. */
export interface Unclaimed {
  readonly relay: readonly Buffer[];
  readonly rest: Buffer;
}

interface UnderWay {
  readonly reading: CatalogReading;
  readonly answer: OwnQuery;
  /** The snapshot, when all rows have come. @throws Error when they do not make one */
  readonly catalog: () => Catalog;
  readonly startedAt: number;
}

/**
 * The settings of the session must not decide what is read, nor how long that takes;
 * in one string with the query, SET LOCAL ends with it (the string is a transaction of
 * its own, PostgreSQL documentation, chapter "Message Flow", "Multiple Statements in a
 * Simple Query").
 */
function text(timeout: number): string {
  return [
    // First of all: SERIALIZABLE and DEFERRABLE, as defaults of the session, would wait for others.
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE',
    `SET LOCAL statement_timeout = ${timeout}`,
    'SET LOCAL lock_timeout = 0',
    'SET LOCAL jit = off',
    CATALOG_QUERY,
  ].join('; ');
}

export class CatalogReader {
  readonly #services: CatalogReaderServices;
  readonly #session: string;
  readonly #catalog: DatabaseCatalog;
  #underWay: UnderWay | null = null;

  /** @param session the session's id, for the log */
  constructor(services: CatalogReaderServices, session: string, catalog: DatabaseCatalog) {
    this.#services = services;
    this.#session = session;
    this.#catalog = catalog;
  }

  get underWay(): boolean {
    return this.#underWay !== null;
  }

  /** Begins a reading. @returns what to send to the server */
  start(): Buffer {
    const { catalogTimeout, gate } = this.#services;
    // Row by row as they come: a large answer, decoded at once, would hold up all sessions.
    const decoder = catalogDecoder();
    let problem: Error | null = null;
    this.#underWay = {
      reading: this.#catalog.begin(),
      answer: ownQuery(ANSWER_LIMIT, (row) => {
        if (problem !== null) return;
        try {
          decoder.add(row);
        } catch (error) {
          problem = error instanceof Error ? error : new Error(String(error));
        }
      }),
      catalog: () => {
        if (problem !== null) throw problem;
        return decoder.end();
      },
      startedAt: gate.clock(),
    };
    return query(text(catalogTimeout));
  }

  /**
   * Bytes of the server, while a reading is under way.
   * @returns what is left for the client once the answer is complete; null before
   * @throws ProtocolViolation when the server sends what does not belong to an answer
   */
  receive(bytes: Buffer): Unclaimed | null {
    const current = this.#underWay;
    if (current === null) throw new Error('no reading of the catalog is under way');
    const answered = current.answer.receive(bytes);
    if (answered === null) return null;
    this.#underWay = null;
    this.#finish(current, answered.result);
    return { relay: answered.relay, rest: answered.rest };
  }

  /** The session has ended. */
  stop(): void {
    const current = this.#underWay;
    this.#underWay = null;
    current?.reading.abandoned();
  }

  #finish({ reading, catalog: read, startedAt }: UnderWay, result: OwnResult): void {
    const { catalogReads, catalogReadSeconds, gate, log } = this.#services;
    try {
      if ('error' in result) throw new Error(`${result.error.message} (SQLSTATE ${result.error.sqlstate})`);
      const catalog = read();
      catalogReads.child('read').inc();
      catalogReadSeconds.observe((gate.clock() - startedAt) / 1000);
      reading.done(catalog);
    } catch (error) {
      catalogReads.child('failed').inc();
      log.warn(
        { session: this.#session, err: error },
        'the catalogs could not be read; what only they could clear is refused until they can',
      );
      reading.failed();
    }
  }
}
