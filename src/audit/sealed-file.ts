/**
 * The audit file itself: lines and their seal in, bytes on disk out, rotation,
 * and back to the last good length when a write fails.
 *
 * Law of this file: a batch is in the file whole, with its seal, or not at all;
 * what it cannot take back at once it takes back before it writes again. It knows
 * nothing of who waits for a batch or when one is due. Every call is synchronous
 * but `sync`.
 */
import { hash } from 'node:crypto';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { FORMAT, formatLine, formatSealHead, SEAL_END } from './chain.js';
import type { AuditFiles } from './files.js';
import { jsonString } from './json.js';
import { openForAppending, type PendingStart, type Position } from './recovery.js';

export interface SealedFileOptions {
  readonly path: string;
  /** `size` in bytes; `keep` old files, named path.1 (youngest) to path.<keep>. */
  readonly rotate: { readonly size: number; readonly keep: number };
  readonly files: AuditFiles;
  /** RFC 3339 with milliseconds, in UTC. */
  readonly timestamp: () => string;
  /** Renames and file creation are made to survive a power cut too. */
  readonly syncDirectory: boolean;
  /** Something that does not stop the log but that the operator should know: a rotation that failed. */
  readonly onTrouble: (error: Error) => void;
}

/** Lines to write: `timestamps[i]` belongs to `bodies[i]`. */
export interface Batch {
  readonly timestamps: readonly string[];
  readonly bodies: readonly string[];
}

export interface ChainHead {
  readonly seq: number;
  readonly sha256: string;
}

export interface SealedFile {
  /**
   * Writes a batch and its seal. Throws what the system throws; the file is then
   * as it was, or will be cut back to that before the next batch.
   */
  write(batch: Batch): void;
  /** To disk. */
  sync(): Promise<void>;
  /** Takes the last written batch back: it could not be synced. */
  undo(): void;
  /** Notes that `count` records never came to a batch; the next start record tells. */
  drop(count: number): void;
  /**
   * Looks whether the path still names the file, of the size that was written.
   * Another size is reported and noted in the log; a missing file is begun anew;
   * throws when that fails, and then so does every write until it succeeds.
   */
  check(): void;
  /** The last seal that was written. */
  head(): ChainHead;
  close(): void;
}

/** A batch is put together here; the first SEAL_HEX bytes always hold the last seal, which the next one covers. */
const BUFFER_BYTES = 1 << 20;
const SEAL_HEX = 64;
/** Room behind the text of a batch: digits and end of the seal. */
const SEAL_ROOM = SEAL_HEX + SEAL_END.length;
/** UTF-8 bytes that one UTF-16 code unit can become. */
const MAX_UTF8 = 3;

interface UndoPoint {
  readonly position: Position;
  readonly pendingStart: PendingStart | null;
  readonly dropped: number;
  /** Of the batch that would be undone. */
  readonly records: number;
}

/** Opens the file; the first batch, even an empty one, begins with a `start` record. Throws what the system throws. */
export function openSealedFile(options: SealedFileOptions): SealedFile {
  const { path, files, timestamp, rotate } = options;
  const opened = openForAppending(options);

  let fd = opened.fd;
  let position = opened.position;
  let pendingStart: PendingStart | null = opened.start;
  /** Records that were given up since the last good batch. */
  let dropped = 0;
  /** As things were before the last written batch. */
  let undoPoint: UndoPoint = { position, pendingStart, dropped, records: 0 };
  /** The path no longer names the file and no new one could be made: what is written would be lost. */
  let detached = false;
  /** The file may hold bytes behind `position.length`. */
  let overhang = false;
  let rotateAt = rotate.size;
  let buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  buffer.write(position.sha256, 0, 'latin1');

  function startBody(start: PendingStart): string {
    let body =
      `"kind":"start","format":${FORMAT.toString()},"reason":"${start.reason}","previous_seal":"${position.sha256}",` +
      `"pid":${process.pid.toString()},"host":${jsonString(hostname())}`;
    if (dropped > 0) body += `,"dropped":${dropped.toString()}`;
    if (start.torn !== null) {
      const { bytes, sha256, file } = start.torn;
      body += `,"torn":{"bytes":${bytes.toString()},"sha256":"${sha256}","file":${jsonString(file)}}`;
    }
    return `${body}}`;
  }

  /** Moves the file aside when it is full. What fails here leaves the old file in use. */
  function rotateIfFull(batch: Batch): void {
    let due = position.length >= rotateAt;
    if (!due) {
      let expected = position.length;
      for (const body of batch.bodies) expected += body.length;
      due = expected >= rotateAt;
    }
    if (!due || position.length === 0) return;
    const next = `${path}.new`;
    try {
      const nextFd = files.open(next, 'replace');
      try {
        for (let index = rotate.keep - 1; index >= 1; index--) renameIfPresent(files, path, index);
        if (rotate.keep > 0) files.rename(path, `${path}.1`);
        files.rename(next, path);
        if (options.syncDirectory) files.syncDirectory(dirname(path));
      } catch (error) {
        files.close(nextFd);
        throw error;
      }
      files.close(fd);
      fd = nextFd;
      position = { ...position, length: 0 };
      pendingStart = { reason: 'rotated', torn: null };
      rotateAt = rotate.size;
    } catch (error) {
      // Try again after a while, not with every batch.
      rotateAt = position.length + Math.max(BUFFER_BYTES, Math.floor(rotate.size / 16));
      options.onTrouble(
        new Error(`audit log ${path} could not be rotated: ${messageOf(error)}`, { cause: error }),
      );
    }
  }

  function ensureCapacity(text: string): void {
    if (SEAL_HEX + text.length * MAX_UTF8 + SEAL_ROOM <= buffer.length) return;
    const needed = SEAL_HEX + Buffer.byteLength(text) + SEAL_ROOM;
    if (needed <= buffer.length) return;
    buffer = Buffer.allocUnsafeSlow(needed);
    buffer.write(position.sha256, 0, 'latin1');
  }

  /** A record of many megabytes must not keep its buffer for ever. */
  function releaseCapacity(): void {
    buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    buffer.write(position.sha256, 0, 'latin1');
  }

  function writeAll(from: number, to: number): void {
    for (let offset = from; offset < to;) {
      const written = files.write(fd, buffer, offset, to - offset);
      if (written <= 0) throw new Error('nothing was written');
      offset += written;
    }
  }

  function cutBack(): void {
    if (!overhang) return;
    files.truncate(fd, position.length);
    overhang = false;
  }

  function drop(count: number): void {
    dropped += count;
    pendingStart ??= { reason: 'write_failed', torn: null };
  }

  function giveUp(count: number): void {
    drop(count);
    overhang = true;
    try {
      cutBack();
    } catch {
      // The next write tries again, and fails if it must.
    }
  }

  /** Begins a new file where the path names none, or an empty one that is not ours (as logrotate leaves it). */
  function attach(): void {
    const named = files.statPath(path);
    const held = files.stat(fd);
    if (named !== null && named.inode === held.inode && named.device === held.device) {
      detached = false;
      if (overhang || held.size === position.length) return;
      const expected = position.length;
      position = { ...position, length: held.size };
      pendingStart = { reason: 'file_changed', torn: null };
      options.onTrouble(
        new Error(
          `audit log ${path} was changed by somebody else: ` +
            `${held.size.toString()} bytes instead of ${expected.toString()}`,
        ),
      );
      return;
    }
    detached = true;
    if (named !== null && named.size > 0) {
      throw new Error(`audit log ${path} was replaced by another file while in use`);
    }
    const nextFd = files.open(path, 'append');
    files.close(fd);
    fd = nextFd;
    position = { ...position, length: 0 };
    pendingStart = { reason: 'file_missing', torn: null };
    overhang = false;
    detached = false;
    options.onTrouble(
      new Error(`audit log ${path} was moved or removed while in use; a new file goes on from its last seal`),
    );
  }

  function write(batch: Batch): void {
    const { timestamps, bodies } = batch;
    try {
      if (detached) attach();
      cutBack();
      rotateIfFull(batch);
      let { seq } = position;
      let text = '';
      if (pendingStart !== null) text = formatLine(timestamp(), ++seq, startBody(pendingStart));
      for (let index = 0; index < bodies.length; index++) {
        text += formatLine(timestamps[index] as string, ++seq, bodies[index] as string);
      }
      text += formatSealHead(timestamps.at(-1) ?? timestamp(), ++seq);

      ensureCapacity(text);
      const covered = SEAL_HEX + buffer.write(text, SEAL_HEX, 'utf8');
      const sha256 = hash('sha256', buffer.subarray(0, covered), 'hex');
      const end = covered + buffer.write(sha256 + SEAL_END, covered, 'latin1');
      writeAll(SEAL_HEX, end);

      undoPoint = { position, pendingStart, dropped, records: bodies.length };
      position = { length: position.length + end - SEAL_HEX, seq, sha256 };
      pendingStart = null;
      dropped = 0;
      buffer.copyWithin(0, covered, covered + SEAL_HEX);
      if (buffer.length > BUFFER_BYTES) releaseCapacity();
    } catch (error) {
      giveUp(bodies.length);
      throw error;
    }
  }

  return {
    write,
    sync: () => files.sync(fd),
    undo() {
      const { records } = undoPoint;
      ({ position, pendingStart, dropped } = undoPoint);
      buffer.write(position.sha256, 0, 'latin1');
      giveUp(records);
    },
    drop,
    check: attach,
    head: () => ({ seq: position.seq, sha256: position.sha256 }),
    close() {
      files.close(fd);
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function renameIfPresent(files: AuditFiles, path: string, index: number): void {
  const from = `${path}.${index.toString()}`;
  if (files.statPath(from) !== null) files.rename(from, `${path}.${(index + 1).toString()}`);
}
