/**
 * Whether the server can prove a way back, from what it says of its WAL archiver.
 *
 * Law: pure. Only what the server itself shows counts as proof; what it does not
 * show is `unknown`, never `ready`.
 */
import { periodWords } from './words.js';

/** Whether what is deleted now could be brought back. `why` is a clause without a full stop. */
export type Recovery =
  | { readonly kind: 'ready' }
  | { readonly kind: 'not_ready'; readonly why: string; readonly hint: string }
  | { readonly kind: 'unknown'; readonly why: string; readonly hint: string };

export const READY: Recovery = { kind: 'ready' };

/** What the server says of its archiving, as one reading found it. Times are the server's, milliseconds since 1970. */
export interface ArchiverFacts {
  /** When it was read, by the server's clock. */
  readonly now: number;
  /** `off`, `on` or `always`. */
  readonly archiveMode: string;
  /** archive_command or archive_library is set; null: the server does not show it. */
  readonly configured: boolean | null;
  readonly inRecovery: boolean;
  readonly lastArchivedWal: string | null;
  readonly lastArchivedAt: number | null;
  readonly lastFailedWal: string | null;
  readonly lastFailedAt: number | null;
  /** The WAL file that is being written; null in recovery. */
  readonly currentWal: string | null;
  /** Bytes of a WAL file. */
  readonly segmentSize: number;
}

/**
 * @param maxAgeMs how old the proof may be
 * @param sinceMs how long ago the facts were read, milliseconds
 */
export function archiverRecovery(facts: ArchiverFacts, maxAgeMs: number, sinceMs: number): Recovery {
  if (facts.inRecovery) return notReady('the server is a standby, which proves nothing', ASK_PRIMARY);
  if (facts.archiveMode === 'off') return notReady('WAL archiving is off (archive_mode = off)', SWITCH_ON);
  if (facts.configured === false) {
    return notReady(
      `WAL archiving leads nowhere (archive_mode = ${facts.archiveMode}, but archive_command and archive_library are empty)`,
      SWITCH_ON,
    );
  }
  const { lastArchivedAt, lastFailedAt } = facts;
  if (lastFailedAt !== null && (lastArchivedAt === null || lastFailedAt >= lastArchivedAt)) {
    const wal = facts.lastFailedWal === null ? '' : ` of ${facts.lastFailedWal}`;
    return notReady(
      `WAL archiving is failing: the last try${wal} failed ${periodWords(facts.now - lastFailedAt + sinceMs)} ago`,
      'Whoever runs the server finds the reason in its log. It passes again when a WAL file has been archived.',
    );
  }
  if (lastArchivedAt === null) {
    return notReady(
      'WAL archiving has archived nothing yet',
      'SELECT pg_switch_wal(), by somebody who may, archives the WAL file at hand; it passes when that has worked.',
    );
  }
  // A server that writes little archives little: what counts is that no finished file waits.
  const provenAt = nothingWaits(facts) ? facts.now : lastArchivedAt;
  const age = facts.now - provenAt + sinceMs;
  if (age <= maxAgeMs) return READY;
  return notReady(
    `the last WAL file was archived ${periodWords(facts.now - lastArchivedAt + sinceMs)} ago, and others wait for it; ${periodWords(maxAgeMs)} is what the policy allows`,
    'Whoever runs the server finds in pg_stat_archiver and its log why archiving is behind. It passes again when it has caught up.',
  );
}

function notReady(why: string, hint: string): Recovery {
  return { kind: 'not_ready', why, hint };
}

const SWITCH_ON =
  'Have WAL archiving set up on the server (archive_mode, archive_command or archive_library), with base backups, or have the policy prove the way back by a command.';
const ASK_PRIMARY = 'Send it to the primary.';

/** A WAL file's name: timeline, and the two halves of its number (XLogFileName in access/xlog_internal.h). */
const WAL_FILE = /^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})(\.|$)/;

/** Whether all WAL files but the one that is being written have been archived. What cannot be told is no. */
function nothingWaits({ lastArchivedWal, currentWal, segmentSize }: ArchiverFacts): boolean {
  const archived = segment(lastArchivedWal, segmentSize);
  const current = segment(currentWal, segmentSize);
  return archived !== null && current !== null && archived >= current - 1;
}

function segment(wal: string | null, size: number): number | null {
  const [, high, low] = WAL_FILE.exec(wal ?? '') ?? [];
  if (high === undefined || low === undefined || !(size > 0)) return null;
  return Number.parseInt(high, 16) * (2 ** 32 / size) + Number.parseInt(low, 16);
}
