/**
 * The reading of what the server says of its WAL archiving, for whoever can send it
 * (server-reader.ts).
 *
 * Law: the query runs in a client's session, and its answer is used for the sessions of
 * others. So nothing that a user may set or create must change what it says: names are
 * spelled with pg_catalog, operators as OPERATOR(pg_catalog.…). Any user may run it, on
 * PostgreSQL 14 and later.
 */
import type { RecoveryStore } from '../gate/recovery-store.js';
import type { Logger } from '../log.js';
import type { ArchiverFacts } from '../policy/recovery.js';
import type { OwnRow } from '../session/own-query.js';
import type { ServerReading } from './server-reader.js';

const ANSWER_LIMIT = 65_536;

/** A setting, empty where it is; NULL where the server does not have it, or does not show it to this user. */
const setting = (name: string): string =>
  `(SELECT setting FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) '${name}'::pg_catalog.text)`;
const milliseconds = (time: string): string =>
  `pg_catalog.date_part('epoch'::pg_catalog.text, ${time}) OPERATOR(pg_catalog.*) 1000::pg_catalog.float8`;

/** One row: FIELDS in their order. */
const ARCHIVER_QUERY = `SELECT
  ${milliseconds('pg_catalog.clock_timestamp()')},
  ${setting('archive_mode')},
  ${setting('archive_command')},
  ${setting('archive_library')},
  pg_catalog.pg_is_in_recovery(),
  a.last_archived_wal,
  ${milliseconds('a.last_archived_time')},
  a.last_failed_wal,
  ${milliseconds('a.last_failed_time')},
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL::pg_catalog.text
    ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END,
  ${setting('wal_segment_size')}
  FROM pg_catalog.pg_stat_archiver a`;

/** @throws Error on anything but the one row of ARCHIVER_QUERY */
function archiverFacts(rows: readonly OwnRow[]): ArchiverFacts {
  const [row] = rows;
  if (row?.length !== 11 || rows.length !== 1) throw new Error('the server did not answer with one row');
  const [now, mode, command, library, recovery, archived, archivedAt, failed, failedAt, current, size] = row;
  const time = (value: string | null | undefined): number | null => {
    if (value === null || value === undefined) return null;
    const number = Number(value);
    if (!Number.isFinite(number)) throw new Error(`the server shows a time that is none: ${value}`);
    return number;
  };
  const at = time(now);
  if (at === null) throw new Error('the server does not tell the time');
  if (mode !== 'off' && mode !== 'on' && mode !== 'always')
    throw new Error('the server does not show archive_mode');
  if (recovery !== 't' && recovery !== 'f')
    throw new Error('the server does not tell whether it is in recovery');
  const shown = [command, library].filter((value) => typeof value === 'string');
  return {
    now: at,
    archiveMode: mode,
    // PostgreSQL 14 has no archive_library.
    configured: shown.length === 0 ? null : shown.some((value) => value.trim() !== ''),
    inRecovery: recovery === 't',
    lastArchivedWal: archived ?? null,
    lastArchivedAt: time(archivedAt),
    lastFailedWal: failed ?? null,
    lastFailedAt: time(failedAt),
    currentWal: current ?? null,
    segmentSize: Number(size),
  };
}

/** Begins a reading in the store. @param session the session's id, for the log */
export function archiverReading(
  services: { readonly log: Logger; readonly catalogTimeout: number },
  session: string,
  store: RecoveryStore,
): ServerReading {
  const reading = store.begin();
  const rows: OwnRow[] = [];
  return {
    sql: ARCHIVER_QUERY,
    limit: ANSWER_LIMIT,
    timeout: services.catalogTimeout,
    onRow: (row) => rows.push(row),
    finish: (result) => {
      try {
        if ('error' in result) throw new Error(`${result.error.message} (SQLSTATE ${result.error.sqlstate})`);
        reading.done(archiverFacts(rows));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        services.log.warn({ session, err: error }, 'the state of WAL archiving could not be read');
        reading.failed(reason);
      }
    },
    abandoned: () => {
      reading.abandoned();
    },
  };
}
