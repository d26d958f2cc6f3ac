/**
 * Undo documents as files of one directory, beside the audit log: one a decision, named
 * by it and by the hold that was approved.
 *
 * Law: only the owner of the process can read them, for they hold rows as they are in
 * the database. A document is there whole or not at all, and survives a crash from when
 * save() has resolved. When all take more than they may, the oldest go.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UndoError, tooLarge } from '../undo/document.js';
import type { UndoDocument } from '../undo/document.js';
import { decodeUndo, encodedUndo } from '../undo/encoding.js';
import type { UndoStore } from '../undo/store.js';

export interface UndoFilesOptions {
  readonly path: string;
  /** Bytes. */
  readonly maxSize: number;
  readonly totalSize: number;
  /** A file had to go. */
  readonly onRemoved: (name: string) => void;
}

const SUFFIX = '.jsonl';

/** A document that is kept. */
export interface KeptUndo {
  readonly decision: string;
  readonly hold: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** The store of documents in the directory `path`, which is made when it is first needed. */
export function createUndoFiles({ path, maxSize, totalSize, onRemoved }: UndoFilesOptions): UndoStore {
  /** One at a time: each looks how much room there is. */
  let last: Promise<void> = Promise.resolve();

  async function write(document: UndoDocument): Promise<void> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const temporary = join(path, `.${randomBytes(8).toString('hex')}`);
    try {
      const size = await writeWhole(temporary, document);
      await makeRoom(size);
      await rename(temporary, join(path, nameOf(document)));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    const directory = await open(path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  /** @returns its size, bytes */
  async function writeWhole(name: string, document: UndoDocument): Promise<number> {
    const file = await open(name, 'wx', 0o600);
    try {
      let size = 0;
      for (const piece of encodedUndo(document)) {
        const bytes = Buffer.from(piece);
        size += bytes.length;
        if (size > maxSize) throw tooLarge(maxSize);
        // The other sessions go on meanwhile.
        await file.appendFile(bytes);
      }
      await file.sync();
      return size;
    } finally {
      await file.close();
    }
  }

  async function makeRoom(size: number): Promise<void> {
    const kept = await listUndoFiles(path);
    let total = kept.reduce((sum, one) => sum + one.size, size);
    for (const one of kept) {
      if (total <= totalSize) return;
      const name = nameOf(one);
      await rm(join(path, name), { force: true });
      total -= one.size;
      onRemoved(name);
    }
  }

  return {
    limit: maxSize,
    save(document: UndoDocument): Promise<void> {
      const saved = last.then(() => write(document));
      last = saved.catch(() => undefined);
      return saved;
    },
  };
}

function nameOf({ decision, hold }: Pick<KeptUndo, 'decision' | 'hold'>): string {
  return `${decision}.${hold}${SUFFIX}`;
}

/** What is kept in a directory, oldest first; none where there is no such directory. */
export async function listUndoFiles(path: string): Promise<KeptUndo[]> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const kept: KeptUndo[] = [];
  for (const name of names) {
    const [decision, hold, rest] = name.split('.');
    if (!decision || !hold || rest !== SUFFIX.slice(1) || !name.endsWith(SUFFIX)) continue;
    const found = await stat(join(path, name)).catch(() => null);
    if (found !== null) kept.push({ decision, hold, size: found.size, at: found.mtimeMs });
  }
  return kept.sort((a, b) => a.at - b.at || (a.decision < b.decision ? -1 : 1));
}

/** Reads what is kept of a decision or a hold. @throws UndoError where there is nothing, or nothing whole */
export async function readUndoFile(path: string, id: string): Promise<UndoDocument> {
  const found = (await listUndoFiles(path)).findLast(({ decision, hold }) => decision === id || hold === id);
  if (found === undefined) throw new UndoError(`nothing is kept of "${id}" in ${path}`);
  const name = join(path, nameOf(found));
  try {
    return decodeUndo(await readFile(name, 'utf8'));
  } catch (error) {
    if (error instanceof UndoError) throw new UndoError(`${name} cannot be used: ${error.message}`);
    throw error;
  }
}
