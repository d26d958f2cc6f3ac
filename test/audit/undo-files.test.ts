/** Undo documents in a directory: whole or not at all, and no more than fit. */
import { mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createUndoFiles, listUndoFiles, readUndoFile } from '../../src/audit/undo-files.js';
import { UndoError } from '../../src/undo/document.js';
import type { UndoDocument } from '../../src/undo/document.js';
import type { UndoStore } from '../../src/undo/store.js';
import { document } from '../undo/documents.js';

let directory: string;
let removed: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-undo-files-'));
  removed = [];
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

function store(maxSize: number, totalSize = 1_000_000_000): UndoStore {
  return createUndoFiles({ path: directory, maxSize, totalSize, onRemoved: (name) => removed.push(name) });
}

function large(rows: number, decision = 'ab12-1-7'): UndoDocument {
  return document({
    decision,
    rows: Array.from({ length: rows }, (_, id) => ({
      table: 0,
      was: [id.toString(), 'n'.repeat(80)],
      left: null,
    })),
  });
}

test('a document is read back, by its decision and by its hold', async () => {
  const whole = large(20_000);
  await store(10_000_000).save(whole);
  expect(await readUndoFile(directory, whole.decision)).toEqual(whole);
  expect(await readUndoFile(directory, whole.hold)).toEqual(whole);
  const [kept] = await listUndoFiles(directory);
  const [name] = await readdir(directory);
  const found = await stat(join(directory, name ?? ''));
  expect(found.size).toBe(kept?.size);
  expect(found.mode & 0o777).toBe(0o600);
});

test('others have their turn while a large one is stored', async () => {
  let turns = 0;
  let saved = false;
  const turn = (): void => {
    if (saved) return;
    turns += 1;
    setImmediate(turn);
  };
  setImmediate(turn);
  await store(100_000_000).save(large(50_000));
  saved = true;
  // One for each piece at least: nobody waits for the whole.
  expect(turns).toBeGreaterThan(50);
});

test('one that is too large leaves nothing', async () => {
  await expect(store(100_000).save(large(2_000))).rejects.toThrow(UndoError);
  await expect(store(100_000).save(large(2_000))).rejects.toThrow('100000 bytes');
  expect(await readdir(directory)).toEqual([]);
  // It stood in nobody's way.
  await store(100_000).save(document());
  expect(await listUndoFiles(directory)).toHaveLength(1);
});

test('the oldest go when all take more than they may', async () => {
  const files = store(1_000_000, 250_000);
  for (const [at, decision] of ['a-1', 'a-2', 'a-3'].entries()) {
    await files.save(large(1_000, decision));
    for (const name of await readdir(directory))
      if (name.startsWith(decision))
        await utimes(join(directory, name), 1_700_000_000 + at, 1_700_000_000 + at);
  }
  expect(removed).toEqual(['a-1.3md7dn6tkk.jsonl']);
  expect((await listUndoFiles(directory)).map(({ decision }) => decision)).toEqual(['a-2', 'a-3']);
});
