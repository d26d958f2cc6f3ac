/** A directory, a clock and a disk that fails on demand, for the tests of the audit log. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { nodeFiles, type AuditFiles } from '../../src/audit/files.js';
import { openAuditLog, type AuditLog, type AuditLogOptions } from '../../src/audit/writer.js';

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-audit-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

export function errorWithCode(code: string): Error {
  return Object.assign(new Error(`${code}: a test's failure`), { code });
}

/** The real system calls, until a field says otherwise. */
export interface Disk extends AuditFiles {
  /** Bytes that still fit; a write beyond them falls short, the next one is ENOSPC. */
  space: number;
  failWrite: Error | null;
  failSync: Error | null;
  failTruncate: Error | null;
  failRename: Error | null;
  /** Syncs wait for it, if it is there. */
  syncGate: Promise<void> | null;
  /** At most so many bytes a call. */
  writeAtMost: number;
  writes: number;
  syncs: number;
}

export function createDisk(): Disk {
  const disk: Disk = {
    ...nodeFiles,
    space: Number.POSITIVE_INFINITY,
    failWrite: null,
    failSync: null,
    failTruncate: null,
    failRename: null,
    syncGate: null,
    writeAtMost: Number.POSITIVE_INFINITY,
    writes: 0,
    syncs: 0,
    write(fd, buffer, offset, length) {
      disk.writes++;
      if (disk.failWrite !== null) throw disk.failWrite;
      const fits = Math.min(length, disk.space, disk.writeAtMost);
      if (fits === 0) throw errorWithCode('ENOSPC');
      const written = nodeFiles.write(fd, buffer, offset, fits);
      disk.space -= written;
      return written;
    },
    async sync(fd) {
      disk.syncs++;
      if (disk.syncGate !== null) await disk.syncGate;
      if (disk.failSync !== null) throw disk.failSync;
      await nodeFiles.sync(fd);
    },
    truncate(fd, length) {
      if (disk.failTruncate !== null) throw disk.failTruncate;
      nodeFiles.truncate(fd, length);
    },
    rename(from, to) {
      if (disk.failRename !== null) throw disk.failRename;
      nodeFiles.rename(from, to);
    },
  };
  return disk;
}

export interface OpenLog {
  readonly log: AuditLog;
  readonly disk: Disk;
  readonly path: string;
  readonly onFailure: ReturnType<typeof vi.fn<(error: Error) => void>>;
  readonly onWrite: ReturnType<typeof vi.fn<(seconds: number, records: number) => void>>;
}

export async function openLog(
  options: Partial<AuditLogOptions> & { readonly path: string; readonly files?: Disk },
): Promise<OpenLog> {
  const disk = options.files ?? createDisk();
  const onFailure = vi.fn<(error: Error) => void>();
  const onWrite = vi.fn<(seconds: number, records: number) => void>();
  const log = await openAuditLog({
    durability: 'write',
    rotate: { size: 1_000_000, keep: 3 },
    now: () => new Date('2026-01-31T12:00:00.123Z'),
    onFailure,
    onWrite,
    ...options,
    files: disk,
  });
  onTestFinished(() => log.close());
  return { log, disk, path: options.path, onFailure, onWrite };
}

/** A record's body of a kind that needs no other fields here. */
export function body(text: string): string {
  return `"kind":"outcome","decision":${JSON.stringify(text)}}`;
}

export function durable(log: AuditLog): Promise<Error | null> {
  return new Promise((resolve) => {
    log.whenDurable(resolve);
  });
}

/** Appends the records and waits until they are durable, or the error. */
export function record(log: AuditLog, ...texts: string[]): Promise<Error | null> {
  for (const text of texts) log.append(body(text));
  return durable(log);
}

export type Line = Readonly<Record<string, unknown>>;

export function readLog(path: string): Line[] {
  const text = readFileSync(path, 'utf8');
  if (!text.endsWith('\n')) throw new Error(`${path} does not end with a newline`);
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

/** `start`, `seal`, or the text of a record made by `body`. */
export function gist(path: string): string[] {
  return readLog(path).map((line) => String(line['kind'] === 'outcome' ? line['decision'] : line['kind']));
}
