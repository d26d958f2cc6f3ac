/**
 * What is known of each database's catalogs, and when it has to be read again. The
 * reading itself is done by sessions, on their own upstream connections, one at a
 * time for each database.
 *
 * Law: a snapshot is replaced as a whole; whoever reads `current` twice without
 * waiting in between sees the same one. What could not be read is not known: a
 * reading that fails takes the old snapshot away, so that nothing is judged by what
 * may no longer be true. It runs no query and knows no session.
 */
import type { Catalog } from '../catalog/catalog.js';
import { EarlyReadings } from './early-readings.js';

export interface CatalogTimes {
  /** Age at which a snapshot is read again, milliseconds. */
  readonly maxAge: number;
  /** How long after a reading that failed the next one is tried, milliseconds. */
  readonly retryAfter: number;
  /** Milliseconds on a clock that never goes back. */
  readonly clock: () => number;
}

/** A reading under way. One of its ends must be called, once. */
export interface CatalogReading {
  done(catalog: Catalog): void;
  /** It could not be read. */
  failed(): void;
  /** The session that was to read it has ended before there was an answer; somebody else may try at once. */
  abandoned(): void;
}

export type ReadingEnd = 'done' | 'failed' | 'abandoned';

/**
 * What a statement that depends on the catalog is to do: `judge` by what there is,
 * `read` it first if that can be done, `wait` for the reading under way.
 */
export type CatalogAdvice = 'judge' | 'read' | 'wait';

/** What is known of one database. */
export interface DatabaseCatalog {
  readonly current: Catalog | null;
  advice(): CatalogAdvice;
  /** The same for a statement with names that `current` does not have, where advice() has it judged. */
  adviceOn(unknown: readonly string[]): CatalogAdvice;
  /** The reading that has just begun is to find these names. */
  seeks(unknown: readonly string[]): void;
  /** Something has changed the schema, or may have: what is known is out of date. */
  changed(): void;
  /** Begins a reading; only after advice `read`, with nothing waited for in between. */
  begin(): CatalogReading;
  /** Calls back once, when the reading under way has come to an end; at once where there is none. */
  whenRead(callback: (end: ReadingEnd) => void): void;
}

export interface CatalogStore {
  /** What is known of a database, where somebody has a session in it; null: nothing. */
  current(database: string): Catalog | null;
  /** A session in this database begins: the same object for all that overlap. To be given back by leave(). */
  enter(database: string): DatabaseCatalog;
  /** The session is over. */
  leave(database: string): void;
}

export function createCatalogStore(times: CatalogTimes): CatalogStore {
  const databases = new Map<string, { readonly known: DatabaseCatalog; sessions: number }>();
  return {
    current: (database) => databases.get(database)?.known.current ?? null,
    enter(database) {
      let entry = databases.get(database);
      if (entry === undefined) {
        entry = { known: databaseCatalog(times), sessions: 0 };
        databases.set(database, entry);
      }
      entry.sessions += 1;
      return entry.known;
    },
    leave(database) {
      const entry = databases.get(database);
      if (entry === undefined) return;
      entry.sessions -= 1;
      // A name that somebody tried to log in to is not kept, or anybody could fill the memory with names.
      if (entry.sessions === 0 && entry.known.current === null) databases.delete(database);
    },
  };
}

function databaseCatalog({ maxAge, retryAfter, clock }: CatalogTimes): DatabaseCatalog {
  let current: Catalog | null = null;
  let readAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  /** Goes up with each change of the schema; a snapshot has those before its reading began. */
  let changes = 0;
  let included = 0;
  let reading = false;
  let waiting: ((end: ReadingEnd) => void)[] = [];
  const early = new EarlyReadings(maxAge, clock);

  const end = (how: ReadingEnd): void => {
    reading = false;
    early.ended();
    const callbacks = waiting;
    waiting = [];
    for (const callback of callbacks) callback(how);
  };
  return {
    get current() {
      return current;
    },
    advice() {
      const outdated = current === null || changes !== included;
      if (reading) return outdated ? 'wait' : 'judge';
      if (clock() - failedAt < retryAfter) return 'judge';
      return outdated || clock() - readAt > maxAge ? 'read' : 'judge';
    },
    adviceOn(unknown) {
      if (current === null || clock() - failedAt < retryAfter || !early.isDue(unknown)) return 'judge';
      return reading ? 'wait' : 'read';
    },
    seeks(unknown) {
      early.began(unknown);
    },
    changed() {
      changes += 1;
    },
    begin() {
      if (reading) throw new Error('the catalog is being read already');
      reading = true;
      const before = changes;
      let ended = false;
      const once = (how: ReadingEnd, settle: () => void): void => {
        if (ended) return;
        ended = true;
        settle();
        end(how);
      };
      return {
        done: (catalog) => {
          once('done', () => {
            current = catalog;
            included = before;
            readAt = clock();
          });
        },
        failed: () => {
          once('failed', () => {
            current = null;
            failedAt = clock();
          });
        },
        abandoned: () => {
          once('abandoned', () => undefined);
        },
      };
    },
    whenRead(callback) {
      if (reading) waiting.push(callback);
      else callback('abandoned');
    },
  };
}
