/**
 * The system calls that the audit writer makes, behind an interface so that tests
 * can let a disk fill up or a write fall short.
 *
 * Law of this file: no decisions. Everything throws what `node:fs` throws.
 */
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';

export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
  readonly size: number;
}

export interface AuditFiles {
  /** Creates what is missing, for the owner only. */
  makeDirectory(path: string): void;
  /** `append`: created if missing; `create`: must not exist; `replace`: emptied if it exists. All write at the end. */
  open(path: string, how: 'append' | 'create' | 'replace' | 'read'): number;
  /** Returns how many bytes were written, which may be fewer than asked. */
  write(fd: number, buffer: Buffer, offset: number, length: number): number;
  read(fd: number, buffer: Buffer, length: number, position: number): number;
  truncate(fd: number, length: number): void;
  /** fdatasync(2), off the main thread. */
  sync(fd: number): Promise<void>;
  syncNow(fd: number): void;
  /** Makes renames and new names in a directory survive a power cut. */
  syncDirectory(path: string): void;
  rename(from: string, to: string): void;
  /** No error if there is none. */
  remove(path: string): void;
  /** null if there is none. */
  statPath(path: string): FileIdentity | null;
  stat(fd: number): FileIdentity;
  close(fd: number): void;
}

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_TRUNC, O_WRONLY } = constants;
const OPEN_FLAGS = {
  append: O_WRONLY | O_CREAT | O_APPEND,
  create: O_WRONLY | O_CREAT | O_APPEND | O_EXCL,
  replace: O_WRONLY | O_CREAT | O_APPEND | O_TRUNC,
  read: O_RDONLY,
} as const;

/** Records hold SQL and names: nobody but the owner reads them. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

function identity(stats: { dev: number; ino: number; size: number }): FileIdentity {
  return { device: stats.dev, inode: stats.ino, size: stats.size };
}

export const nodeFiles: AuditFiles = {
  makeDirectory(path) {
    mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
  },
  open: (path, how) => openSync(path, OPEN_FLAGS[how], FILE_MODE),
  write: (fd, buffer, offset, length) => writeSync(fd, buffer, offset, length),
  read: (fd, buffer, length, position) => readSync(fd, buffer, 0, length, position),
  truncate: ftruncateSync,
  sync: (fd) =>
    new Promise((resolve, reject) => {
      fdatasync(fd, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    }),
  syncNow: fsyncSync,
  syncDirectory(path) {
    const fd = openSync(path, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },
  rename: renameSync,
  remove(path) {
    rmSync(path, { force: true });
  },
  statPath(path) {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats === undefined ? null : identity(stats);
  },
  stat: (fd) => identity(fstatSync(fd)),
  close: closeSync,
};
