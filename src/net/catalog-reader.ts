/**
 * The reading of a database's catalogs, for whoever can send it (server-reader.ts).
 *
 * Law: a reading always comes to an end in the store: read, failed or abandoned. What
 * a snapshot holds is not known here.
 */
import { catalogDecoder } from '../catalog/decode.js';
import { CATALOG_QUERY } from '../catalog/queries.js';
import type { DatabaseCatalog } from '../gate/catalog-store.js';
import type { Logger } from '../log.js';
import type { CounterChild, Family, HistogramChild } from '../metrics.js';
import type { ServerReading } from './server-reader.js';

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

/** Begins a reading in the store. @param session the session's id, for the log */
export function catalogReading(
  services: CatalogReaderServices,
  session: string,
  catalog: DatabaseCatalog,
): ServerReading {
  const { catalogTimeout, catalogReads, catalogReadSeconds, gate, log } = services;
  const reading = catalog.begin();
  const startedAt = gate.clock();
  // Row by row as they come: a large answer, decoded at once, would hold up all sessions.
  const decoder = catalogDecoder();
  let problem: Error | null = null;
  return {
    sql: CATALOG_QUERY,
    limit: ANSWER_LIMIT,
    timeout: catalogTimeout,
    onRow: (row) => {
      if (problem !== null) return;
      try {
        decoder.add(row);
      } catch (error) {
        problem = error instanceof Error ? error : new Error(String(error));
      }
    },
    finish: (result) => {
      try {
        if ('error' in result) throw new Error(`${result.error.message} (SQLSTATE ${result.error.sqlstate})`);
        if (problem !== null) throw problem;
        const read = decoder.end();
        catalogReads.child('read').inc();
        catalogReadSeconds.observe((gate.clock() - startedAt) / 1000);
        reading.done(read);
      } catch (error) {
        catalogReads.child('failed').inc();
        log.warn(
          { session, err: error },
          'the catalogs could not be read; what only they could clear is refused until they can',
        );
        reading.failed();
      }
    },
    abandoned: () => {
      reading.abandoned();
    },
  };
}
