/**
 * Where an existing audit file ends: its last seal, and what a crash left behind it.
 *
 * Law of this file: it reads backwards and changes nothing. A batch is written
 * with its seal in one piece, so bytes behind the last seal belong to a batch
 * that nobody was told about: they are a torn tail, not records.
 */
import type { AuditFiles } from './files.js';
import { MAX_SEAL_LINE_BYTES, parseSealLine, type Seal } from './chain.js';

export interface FileEnd {
  /** The last seal; null when the file has none. */
  readonly seal: Seal | null;
  /** Bytes up to and including the last seal line: what is kept. */
  readonly sealedLength: number;
  readonly length: number;
}

const FIRST_WINDOW_BYTES = 65_536;
const SEAL_KEY = Buffer.from(',"kind":"seal","sha256":"');
const NEWLINE = 0x0a;

/**
 * The last whole seal line within the window. A record cannot imitate one: the
 * quotes of SEAL_KEY are escaped inside of a JSON string.
 */
function lastSealIn(window: Buffer): { readonly seal: Seal; readonly end: number } | null {
  for (let at = window.lastIndexOf(SEAL_KEY); at >= 0; at = window.lastIndexOf(SEAL_KEY, at - 1)) {
    const start = window.lastIndexOf(NEWLINE, at) + 1;
    const end = window.indexOf(NEWLINE, at);
    if (end >= 0 && end - start <= MAX_SEAL_LINE_BYTES) {
      const seal = parseSealLine(window.toString('latin1', start, end));
      if (seal !== null) return { seal, end: end + 1 };
    }
    if (at === 0) break;
  }
  return null;
}

/** Finds the end of the sealed part. Reads the last 64 KiB, and more only when no seal is there. */
export function readFileEnd(files: AuditFiles, path: string): FileEnd {
  const fd = files.open(path, 'read');
  try {
    const { size } = files.stat(fd);
    for (let span = FIRST_WINDOW_BYTES; ; span *= 8) {
      const start = Math.max(0, size - span);
      const window = readWindow(files, fd, start, size - start);
      const found = lastSealIn(window);
      if (found !== null) return { seal: found.seal, sealedLength: start + found.end, length: size };
      if (start === 0) return { seal: null, sealedLength: 0, length: size };
    }
  } finally {
    files.close(fd);
  }
}

function readWindow(files: AuditFiles, fd: number, start: number, length: number): Buffer {
  const window = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const read = files.read(fd, window.subarray(filled), length - filled, start + filled);
    if (read === 0) break;
    filled += read;
  }
  return window.subarray(0, filled);
}

const RECORD_START = Buffer.from('{"ts":"');

/**
 * Whether a file without any seal can be the start of an audit log: it begins as
 * a record does, or with the zeros that a crash of the machine can leave.
 */
export function looksLikeAuditLog(files: AuditFiles, path: string): boolean {
  const fd = files.open(path, 'read');
  try {
    const head = readWindow(files, fd, 0, RECORD_START.length);
    return head.equals(RECORD_START.subarray(0, head.length)) || head[0] === 0;
  } finally {
    files.close(fd);
  }
}
