/**
 * Opening an audit file: goes on behind the last seal of what is there, and keeps
 * what a crash left behind it.
 *
 * Law of this file: nothing that anybody was told is durable is ever cut off. What
 * is cut off is moved to a file of its own and named in the next `start` record.
 */
import { createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { OperatorError } from '../errors.js';
import { GENESIS_SEAL } from './chain.js';
import type { AuditFiles } from './files.js';
import { looksLikeAuditLog, readFileEnd, type FileEnd } from './tail.js';

/** Why a `start` record stands where it stands. */
export type StartReason =
  'created' | 'continued' | 'rotated' | 'write_failed' | 'file_missing' | 'file_changed';

/** Where the next batch goes, and what its seal follows. */
export interface Position {
  readonly length: number;
  readonly seq: number;
  readonly sha256: string;
}

export interface TornTail {
  readonly bytes: number;
  readonly sha256: string;
  /** Where the bytes were moved to, beside the log. */
  readonly file: string;
}

/** What the next `start` record says; it goes ahead of the next batch and is forgotten when that is written. */
export interface PendingStart {
  readonly reason: StartReason;
  readonly torn: TornTail | null;
}

export interface RecoveryOptions {
  readonly path: string;
  readonly files: AuditFiles;
  readonly timestamp: () => string;
  readonly syncDirectory: boolean;
}

export interface Opened {
  readonly fd: number;
  readonly position: Position;
  readonly start: PendingStart;
}

/** Opens the file for appending behind its last seal, or begins one behind the last seal of path.1. */
export function openForAppending(options: RecoveryOptions): Opened {
  const { path, files } = options;
  files.makeDirectory(dirname(path));
  files.remove(`${path}.new`);

  let end: FileEnd | null = files.statPath(path) === null ? null : readFileEnd(files, path);
  if (end !== null && end.seal === null && end.length > 0 && !looksLikeAuditLog(files, path)) {
    throw new OperatorError(`${path} exists and is not an audit log; nothing was changed`);
  }
  const fd = files.open(path, 'append');
  const torn = end !== null && end.length > end.sealedLength ? moveTailAside(options, fd, end) : null;
  if (options.syncDirectory) files.syncDirectory(dirname(path));

  const continued = end?.seal ?? null;
  if (continued !== null) {
    const position = { length: end?.sealedLength ?? 0, seq: continued.seq, sha256: continued.sha256 };
    return { fd, position, start: { reason: 'continued', torn } };
  }
  // No seal of its own: a crash came between rotating and the first batch, or this is the first file.
  end = files.statPath(`${path}.1`) === null ? null : readFileEnd(files, `${path}.1`);
  const before = end?.seal ?? { seq: 0, sha256: GENESIS_SEAL };
  return { fd, position: { length: 0, ...before }, start: { reason: 'created', torn } };
}

const COPY_BYTES = 1 << 20;

/** Keeps what a crash left behind the last seal in a file of its own, then cuts it off. */
function moveTailAside(options: RecoveryOptions, fd: number, end: FileEnd): TornTail {
  const { path, files } = options;
  const aside = `${path}.torn-${options.timestamp().replaceAll(/[-:.]/g, '')}`;
  const source = files.open(path, 'read');
  const target = files.open(aside, 'create');
  const chunk = Buffer.allocUnsafe(COPY_BYTES);
  const digest = createHash('sha256');
  let bytes = 0;
  try {
    for (;;) {
      const read = files.read(source, chunk, chunk.length, end.sealedLength + bytes);
      if (read === 0) break;
      digest.update(chunk.subarray(0, read));
      for (let offset = 0; offset < read;) offset += files.write(target, chunk, offset, read - offset);
      bytes += read;
    }
    files.syncNow(target);
  } finally {
    files.close(source);
    files.close(target);
  }
  files.truncate(fd, end.sealedLength);
  return { bytes, sha256: digest.digest('hex'), file: basename(aside) };
}
