/**
 * The audit log's queue: who waits for which records, when a batch is due, and
 * what becomes of both when the disk says no.
 *
 * Law of this file: a callback of `whenDurable` hears null only if every record
 * appended before it is in the file under a seal (and, with `fsync`, on disk).
 * Records are given up only together with an error to those who wait for them,
 * and the loss is counted in the log itself. Appending is a push and no more:
 * formatting, hashing and the system call happen once a batch.
 */
import { dirname } from 'node:path';
import { OperatorError } from '../errors.js';
import { nodeFiles, type AuditFiles } from './files.js';
import { acquireLock, LOCK_REFRESH_MS, type Lock } from './lock.js';
import { openSealedFile, type ChainHead, type SealedFile } from './sealed-file.js';

export interface AuditLogOptions {
  readonly path: string;
  /** `write`: handed to the kernel; `fsync`: on disk. */
  readonly durability: 'write' | 'fsync';
  /** `size` in bytes; `keep` old files. */
  readonly rotate: { readonly size: number; readonly keep: number };
  readonly now: () => Date;
  /** A batch could not be written, or the file is not what it should be. Once a failed batch. */
  readonly onFailure: (error: Error) => void;
  /** A batch is durable: how long that took, and how many records it had (seals and start records not counted). */
  readonly onWrite: (seconds: number, records: number) => void;
  /** The system calls; tests put failing ones here. */
  readonly files?: AuditFiles;
}

export interface AuditLog {
  /** `body`: a JSON object's text without its opening brace, without raw newlines (records.ts builds them). */
  append(body: string): void;
  /**
   * Calls back, never before it returns, when what was appended is durable, or with the reason why it is not.
   * To be called in the same turn of the event loop as the appends that it is for.
   */
  whenDurable(callback: (error: Error | null) => void): void;
  /** false from a failed batch to the next good one. */
  readonly healthy: boolean;
  /** The last seal in the file: a copy of it elsewhere proves that the log was not cut off or rewritten. */
  readonly head: ChainHead;
  /** Writes what is pending, to disk, and lets the file go. Later appends are lost and their waiters told so. */
  close(): Promise<void>;
}

/** How long a record may wait that nobody waits for. */
const LAZY_MS = 100;
const LAZY_CHARACTERS = 256 * 1024;

/** Characters that may queue up behind a slow disk; records beyond are given up, with an error to their waiters. */
const MAX_PENDING_CHARACTERS = 64 * 1024 * 1024;

/** While unhealthy a batch is tried this often even if nobody appends: a proxy that reports itself unready gets no work. */
const RETRY_MS = 1_000;

type Waiter = (error: Error | null) => void;

/** RFC 3339 in UTC, formatted at most once a millisecond. */
function createTimestamp(now: () => Date): () => string {
  let lastMs = Number.NaN;
  let lastText = '';
  return () => {
    const date = now();
    const ms = date.getTime();
    if (ms !== lastMs) {
      lastMs = ms;
      lastText = date.toISOString();
    }
    return lastText;
  };
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/**
 * Opens an audit log: takes its lock, goes on behind its last seal (what a crash
 * left behind that is moved aside), and writes a `start` record.
 *
 * @throws OperatorError when the log is in use, is no audit log, or cannot be written.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const files = options.files ?? nodeFiles;
  const timestamp = createTimestamp(options.now);
  const synced = options.durability === 'fsync';
  let file: SealedFile | null = null;
  let lock: Lock | null = null;
  try {
    files.makeDirectory(dirname(options.path));
    lock = acquireLock(options.path);
    file = openSealedFile({
      path: options.path,
      rotate: options.rotate,
      files,
      timestamp,
      syncDirectory: synced,
      onTrouble: options.onFailure,
    });
    file.write({ timestamps: [], bodies: [] });
    if (synced) await file.sync();
  } catch (error) {
    file?.close();
    lock?.release();
    if (error instanceof OperatorError) throw error;
    throw new OperatorError(`audit log ${options.path} cannot be written: ${toError(error).message}`);
  }
  return createQueue(options, file, lock, timestamp);
}

function createQueue(
  options: AuditLogOptions,
  file: SealedFile,
  lock: Lock,
  timestamp: () => string,
): AuditLog {
  const synced = options.durability === 'fsync';

  let timestamps: string[] = [];
  let bodies: string[] = [];
  let pendingCharacters = 0;
  let waiters: Waiter[] = [];
  /** Records that were given up because too many were gathering; the waiters of that batch hear it. */
  let overflowed = 0;

  let scheduled = false;
  let lazyTimer: NodeJS.Timeout | null = null;
  let retryTimer: NodeJS.Timeout | null = null;
  /** The sync that is under way, and who waits for it. */
  let syncing: { readonly done: Promise<void>; readonly waiters: Waiter[] } | null = null;

  let healthy = true;
  /** Another process holds the lock: writing would make two chains of one. */
  let stolen: Error | null = null;
  let closed = false;
  let released = false;
  let closing: Promise<void> | null = null;

  function schedule(): void {
    if (scheduled || closed) return;
    scheduled = true;
    setImmediate(flush);
  }

  function answer(list: readonly Waiter[], error: Error | null): void {
    for (const waiter of list) {
      try {
        waiter(error);
      } catch (thrown) {
        // One session's defect must not keep the others waiting; it still surfaces, as an uncaught exception.
        setImmediate(() => {
          throw thrown;
        });
      }
    }
  }

  function succeed(list: readonly Waiter[], startedAt: number, records: number, loss: Error | null): void {
    healthy = true;
    options.onWrite((performance.now() - startedAt) / 1000, records);
    if (loss !== null) options.onFailure(loss);
    answer(list, loss);
  }

  function fail(list: readonly Waiter[], reason: unknown): void {
    const error = toError(reason);
    healthy = false;
    if (!closed) retryTimer ??= setTimeout(retry, RETRY_MS).unref();
    options.onFailure(error);
    answer(list, error);
  }

  function retry(): void {
    retryTimer = null;
    if (!healthy) flush();
  }

  /** Writes what has gathered, as one batch. While unhealthy it writes even an empty one: that is the probe. */
  function flush(): void {
    scheduled = false;
    // The sync's end flushes again; behind the end of `close` the descriptor may be another file's.
    if (syncing !== null || released) return;
    const batch = { timestamps, bodies };
    const list = waiters;
    const loss =
      overflowed === 0
        ? null
        : new Error(`${overflowed.toString()} audit records were lost: too many waited for the disk`);
    if (overflowed > 0) file.drop(overflowed);
    timestamps = [];
    bodies = [];
    pendingCharacters = 0;
    waiters = [];
    overflowed = 0;
    if (batch.bodies.length === 0 && healthy) {
      answer(list, loss);
      return;
    }

    const startedAt = performance.now();
    try {
      if (stolen !== null) {
        file.drop(batch.bodies.length);
        throw stolen;
      }
      file.write(batch);
    } catch (error) {
      fail(list, error);
      return;
    }
    if (!synced) {
      succeed(list, startedAt, batch.bodies.length, loss);
      return;
    }
    const done = file.sync().then(
      () => {
        syncing = null;
        succeed(list, startedAt, batch.bodies.length, loss);
      },
      (error: unknown) => {
        syncing = null;
        file.undo();
        fail(list, error);
      },
    );
    syncing = { done: done.then(flushLeftOver), waiters: list };
  }

  function flushLeftOver(): void {
    if (bodies.length > 0 || waiters.length > 0) flush();
  }

  function flushLazily(): void {
    lazyTimer = null;
    if (bodies.length > 0) flush();
  }

  const refresh = setInterval(() => {
    if (syncing !== null) return;
    try {
      file.check();
      stolen = lock.refresh()
        ? null
        : new Error(`another process took the lock of audit log ${options.path}`);
      if (stolen !== null) throw stolen;
    } catch (error) {
      fail([], error);
    }
  }, LOCK_REFRESH_MS).unref();

  async function settle(): Promise<void> {
    while (syncing !== null) await syncing.done;
  }

  async function finish(): Promise<void> {
    closed = true;
    clearInterval(refresh);
    if (lazyTimer !== null) clearTimeout(lazyTimer);
    if (retryTimer !== null) clearTimeout(retryTimer);
    try {
      await settle();
      if (bodies.length > 0 || waiters.length > 0) flush();
      await settle();
      await file.sync();
    } catch (error) {
      options.onFailure(toError(error));
    } finally {
      released = true;
      file.close();
      lock.release();
    }
  }

  return {
    append(body) {
      if (closed) return;
      if (pendingCharacters > 0 && pendingCharacters + body.length > MAX_PENDING_CHARACTERS) {
        overflowed++;
        return;
      }
      timestamps.push(timestamp());
      bodies.push(body);
      pendingCharacters += body.length;
      if (pendingCharacters >= LAZY_CHARACTERS) schedule();
      else lazyTimer ??= setTimeout(flushLazily, LAZY_MS).unref();
    },
    whenDurable(callback) {
      if (closed) {
        setImmediate(callback, new Error('the audit log is closed'));
      } else if (bodies.length === 0 && overflowed === 0 && syncing !== null) {
        syncing.waiters.push(callback);
      } else {
        waiters.push(callback);
        schedule();
      }
    },
    get healthy() {
      return healthy;
    },
    get head() {
      return file.head();
    },
    close() {
      closing ??= finish();
      return closing;
    },
  };
}
