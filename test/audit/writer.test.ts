import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GENESIS_SEAL } from '../../src/audit/chain.js';
import { verifyAuditFiles } from '../../src/audit/verify.js';
import { openAuditLog } from '../../src/audit/writer.js';
import {
  body,
  createDisk,
  durable,
  errorWithCode,
  gist,
  openLog,
  readLog,
  record,
  temporaryDirectory,
} from './harness.js';

afterEach(() => {
  vi.useRealTimers();
});

function newPath(): string {
  return join(temporaryDirectory(), 'deep', 'audit.jsonl');
}

describe('a new log', () => {
  it('creates directory and file for the owner only, and begins with a sealed start record', async () => {
    const { path } = await openLog({ path: newPath() });
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [start, seal, ...rest] = readLog(path);
    expect(start).toMatchObject({
      seq: 1,
      kind: 'start',
      reason: 'created',
      format: 1,
      previous_seal: GENESIS_SEAL,
    });
    expect(seal).toMatchObject({ seq: 2, kind: 'seal', ts: '2026-01-31T12:00:00.123Z' });
    expect(rest).toEqual([]);
  });

  it('refuses at once where it cannot be written', async () => {
    const files = createDisk();
    files.failWrite = errorWithCode('ENOSPC');
    const path = newPath();
    await expect(openLog({ path, files })).rejects.toThrow(/audit log .* cannot be written: ENOSPC/);
    expect(existsSync(`${path}.lock`)).toBe(false);
  });

  it('refuses a file that is no audit log, and leaves it alone', async () => {
    const path = join(temporaryDirectory(), 'notes.txt');
    writeFileSync(path, 'dear diary\n');
    await expect(openLog({ path })).rejects.toThrow(/is not an audit log/);
    expect(readFileSync(path, 'utf8')).toBe('dear diary\n');
  });
});

describe('batches', () => {
  it('writes all records of one turn with one system call under one seal', async () => {
    const { log, disk, path, onWrite } = await openLog({ path: newPath() });
    const before = disk.writes;
    const answers = await Promise.all([record(log, 'a'), record(log, 'b', 'c')]);
    expect(answers).toEqual([null, null]);
    expect(disk.writes - before).toBe(1);
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'b', 'c', 'seal']);
    expect(onWrite.mock.calls.at(-1)?.[1]).toBe(3);
    expect(onWrite.mock.calls.at(-1)?.[0]).toBeGreaterThan(0);
  });

  it('seals over the digits of the seal before and every byte since', async () => {
    const { log, path } = await openLog({ path: newPath() });
    await record(log, 'a');
    const lines = readFileSync(path, 'utf8').split('\n');
    const [first, second] = [lines[1], lines[3]].map(
      (line) => (JSON.parse(line ?? '') as { sha256: string }).sha256,
    );
    const covered = `${first ?? ''}${lines[2] ?? ''}\n${(lines[3] ?? '').slice(0, -'"}'.length - 64)}`;
    expect(createHash('sha256').update(covered).digest('hex')).toBe(second);
  });

  it('numbers lines without a gap and never calls back before it returned', async () => {
    const { log, path } = await openLog({ path: newPath() });
    let returned = false;
    log.append(body('a'));
    const answered = new Promise((resolve) => {
      log.whenDurable(() => {
        resolve(returned);
      });
    });
    returned = true;
    expect(await answered).toBe(true);
    expect(readLog(path).map((line) => line['seq'])).toEqual([1, 2, 3, 4]);
  });

  it('writes records that nobody waits for within 100 ms, in one batch', async () => {
    vi.useFakeTimers();
    const { log, path } = await openLog({ path: newPath() });
    log.append(body('a'));
    log.append(body('b'));
    vi.advanceTimersByTime(99);
    expect(gist(path)).toEqual(['start', 'seal']);
    vi.advanceTimersByTime(1);
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'b', 'seal']);
  });

  it('does not wait with 256 KiB', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const { log, path } = await openLog({ path: newPath() });
    log.append(body('x'.repeat(256 * 1024)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(gist(path)).toHaveLength(4);
  });

  it('carries text of any script, and records far larger than its buffer', async () => {
    const { log, path } = await openLog({ path: newPath(), rotate: { size: 1e8, keep: 1 } });
    const large = 'Straße 東京 🚲 '.repeat(200_000);
    expect(await record(log, 'naïve', large)).toBeNull();
    expect(await record(log, 'after')).toBeNull();
    const found = gist(path).map((text) => (text === large ? 'the large one' : text.slice(0, 20)));
    expect(found).toEqual(['start', 'seal', 'naïve', 'the large one', 'seal', 'after', 'seal']);
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('answers at once when there is nothing to write', async () => {
    const { log, disk } = await openLog({ path: newPath() });
    const before = disk.writes;
    expect(await durable(log)).toBeNull();
    expect(disk.writes).toBe(before);
  });

  it('goes on when one waiter throws, and lets the defect surface', async () => {
    const { log } = await openLog({ path: newPath() });
    const surfaced = new Promise((resolve) => {
      const others = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const listener of others) process.on('uncaughtException', listener);
        resolve(error);
      });
    });
    const defect = new Error('a defect');
    log.append(body('a'));
    log.whenDurable(() => {
      throw defect;
    });
    expect(await durable(log)).toBeNull();
    expect(await surfaced).toBe(defect);
  });

  it('tells waiters after close, writes what was pending before it, and leaves a verifiable file', async () => {
    const { log, path } = await openLog({ path: newPath() });
    log.append(body('last'));
    await log.close();
    expect(gist(path)).toEqual(['start', 'seal', 'last', 'seal']);
    expect((await record(log, 'late'))?.message).toMatch(/closed/);
    expect(gist(path)).toHaveLength(4);
    const { lastSeal } = await verifyAuditFiles([path]);
    expect(lastSeal).toEqual(log.head);
  });
});

describe('durability fsync', () => {
  it('calls back only when the data is on disk, and commits what gathered meanwhile as one group', async () => {
    const disk = createDisk();
    const { log, path } = await openLog({ path: newPath(), durability: 'fsync', files: disk });
    let open = (): void => undefined;
    disk.syncGate = new Promise((resolve) => {
      open = resolve;
    });
    const order: string[] = [];
    const first = record(log, 'a').then(() => order.push('a'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(disk.syncs).toBe(2);
    const others = ['b', 'c'].map((text) => record(log, text).then(() => order.push(text)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual([]);
    order.push('open');
    open();
    await Promise.all([first, ...others]);
    expect(order).toEqual(['open', 'a', 'b', 'c']);
    expect(disk.syncs).toBe(3);
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'seal', 'b', 'c', 'seal']);
  });

  it('takes a batch back whose sync failed, and goes on with the next', async () => {
    const { log, disk, path, onFailure } = await openLog({ path: newPath(), durability: 'fsync' });
    await record(log, 'a');
    disk.failSync = errorWithCode('EIO');
    expect((await record(log, 'b'))?.message).toMatch(/EIO/);
    expect(log.healthy).toBe(false);
    expect(onFailure).toHaveBeenCalledTimes(1);
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'seal']);
    disk.failSync = null;
    expect(await record(log, 'c')).toBeNull();
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'seal', 'start', 'c', 'seal']);
    expect(readLog(path)[4]).toMatchObject({ reason: 'write_failed', dropped: 1 });
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('keeps the memory that waits for a stuck disk bounded, and counts what it gave up', async () => {
    const disk = createDisk();
    const { log, path, onFailure } = await openLog({
      path: newPath(),
      durability: 'fsync',
      files: disk,
      rotate: { size: 1e9, keep: 1 },
    });
    let open = (): void => undefined;
    disk.syncGate = new Promise((resolve) => {
      open = resolve;
    });
    const first = record(log, 'a');
    await new Promise((resolve) => setImmediate(resolve));
    const mebibyte = 'x'.repeat(1024 * 1024);
    for (let index = 0; index < 70; index++) log.append(body(mebibyte));
    const second = durable(log);
    open();
    expect(await first).toBeNull();
    expect((await second)?.message).toMatch(/^\d+ audit records were lost/);
    expect(onFailure).toHaveBeenCalledTimes(1);
    expect(await record(log, 'b')).toBeNull();
    const lines = readLog(path);
    const dropped = lines.find((line) => line['reason'] === 'write_failed')?.['dropped'];
    const kept = lines.filter((line) => line['decision'] === mebibyte).length;
    expect(Number(dropped) + kept).toBe(70);
    expect(kept).toBeLessThan(65);
  });
});

describe('a disk that fails', () => {
  it('tells those who wait, cuts a short write back, and recovers with the next batch', async () => {
    const { log, disk, path, onFailure } = await openLog({ path: newPath() });
    await record(log, 'a');
    const good = readFileSync(path);
    disk.space = 40;
    expect((await record(log, 'b', 'c'))?.message).toMatch(/ENOSPC/);
    expect(log.healthy).toBe(false);
    expect(onFailure).toHaveBeenCalledTimes(1);
    expect(readFileSync(path).equals(good)).toBe(true);

    disk.space = 0;
    expect((await record(log, 'd'))?.message).toMatch(/ENOSPC/);
    disk.space = Number.POSITIVE_INFINITY;
    expect(await record(log, 'e')).toBeNull();
    expect(log.healthy).toBe(true);
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'seal', 'start', 'e', 'seal']);
    expect(readLog(path)[4]).toMatchObject({ seq: 5, reason: 'write_failed', dropped: 3 });
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('continues a write that fell short but may go on', async () => {
    const { log, disk, path } = await openLog({ path: newPath() });
    disk.writeAtMost = 7;
    expect(await record(log, 'a')).toBeNull();
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'seal']);
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('writes nothing behind a torn batch that it could not cut off', async () => {
    const { log, disk, path } = await openLog({ path: newPath() });
    disk.space = 40;
    disk.failTruncate = errorWithCode('EIO');
    expect((await record(log, 'a'))?.message).toMatch(/ENOSPC/);
    disk.space = Number.POSITIVE_INFINITY;
    expect((await record(log, 'b'))?.message).toMatch(/EIO/);
    disk.failTruncate = null;
    expect(await record(log, 'c')).toBeNull();
    expect(gist(path)).toEqual(['start', 'seal', 'start', 'c', 'seal']);
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('gets well by itself when nobody sends records any more', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { log, disk, path, onFailure } = await openLog({ path: newPath() });
    disk.failWrite = errorWithCode('ENOSPC');
    await record(log, 'a');
    vi.advanceTimersByTime(1_000);
    expect(log.healthy).toBe(false);
    expect(onFailure).toHaveBeenCalledTimes(2);
    disk.failWrite = null;
    vi.advanceTimersByTime(1_000);
    expect(log.healthy).toBe(true);
    expect(gist(path)).toEqual(['start', 'seal', 'start', 'seal']);
  });

  it('closes without an error of its own', async () => {
    const { log, disk, path } = await openLog({ path: newPath() });
    disk.failWrite = errorWithCode('ENOSPC');
    log.append(body('a'));
    await log.close();
    expect(existsSync(`${path}.lock`)).toBe(false);
  });
});

describe('rotation', () => {
  it('moves full files aside, keeps so many, and the chain goes on over all of them', async () => {
    const { log, path } = await openLog({ path: newPath(), rotate: { size: 1_000, keep: 2 } });
    for (let index = 0; index < 20; index++)
      expect(await record(log, `record ${index.toString()}`)).toBeNull();
    expect(existsSync(`${path}.2`)).toBe(true);
    expect(existsSync(`${path}.3`)).toBe(false);
    expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(1_300);

    const sealBefore = readLog(`${path}.1`).at(-1)?.['sha256'];
    expect(readLog(path)[0]).toMatchObject({ kind: 'start', reason: 'rotated', previous_seal: sealBefore });
    const found = await verifyAuditFiles([path, `${path}.1`, `${path}.2`]);
    expect(found).toMatchObject({ ok: true, problems: [] });
    // The oldest files are gone by design: the log says so, as a warning.
    expect(found.warnings.map((warning) => warning.message)).toEqual([
      expect.stringMatching(/begins before this file/),
    ]);
  });

  it('keeps no old file with keep 0', async () => {
    const { log, path } = await openLog({ path: newPath(), rotate: { size: 500, keep: 0 } });
    for (let index = 0; index < 9; index++) expect(await record(log, 'record')).toBeNull();
    expect(existsSync(`${path}.1`)).toBe(false);
    expect(statSync(path).size).toBeLessThan(1_000);
    expect((await verifyAuditFiles([path])).ok).toBe(true);
  });

  it('stays with the old file when renaming fails, says so once, and loses nothing', async () => {
    const { log, disk, path, onFailure } = await openLog({ path: newPath(), rotate: { size: 500, keep: 2 } });
    disk.failRename = errorWithCode('EACCES');
    for (let index = 0; index < 9; index++) expect(await record(log, index.toString())).toBeNull();
    expect(onFailure).toHaveBeenCalledTimes(1);
    expect(onFailure.mock.calls[0]?.[0].message).toMatch(/could not be rotated: EACCES/);
    expect(gist(path).filter((text) => /^\d$/.test(text))).toHaveLength(9);
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('begins the new file anew when its first batch cannot be written', async () => {
    const { log, disk, path } = await openLog({ path: newPath(), rotate: { size: 500, keep: 2 } });
    await record(log, 'a'.repeat(400));
    disk.failWrite = errorWithCode('ENOSPC');
    await record(log, 'b');
    disk.failWrite = null;
    expect(await record(log, 'c')).toBeNull();
    expect(readLog(path)[0]).toMatchObject({ kind: 'start', reason: 'rotated', dropped: 1 });
    const all = [path, `${path}.1`, `${path}.2`];
    expect(await verifyAuditFiles(all)).toMatchObject({ ok: true, warnings: [] });
  });
});

describe('starting again', () => {
  it('goes on behind the last seal', async () => {
    const path = newPath();
    const first = await openLog({ path });
    await record(first.log, 'a');
    await first.log.close();
    const second = await openLog({ path });
    await record(second.log, 'b');
    expect(gist(path)).toEqual(['start', 'seal', 'a', 'seal', 'start', 'seal', 'b', 'seal']);
    expect(readLog(path)[4]).toMatchObject({
      seq: 5,
      reason: 'continued',
      previous_seal: first.log.head.sha256,
    });
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [], records: 4, seals: 4 });
  });

  const torn = {
    'half a line': '{"ts":"2026-01-31T12:00:00.123Z","seq":5,"kind":"deci',
    'whole lines without their seal': '{"ts":"2026-01-31T12:00:00.123Z","seq":5,"kind":"outcome"}\n',
    'half a seal': '{"ts":"2026-01-31T12:00:00.123Z","seq":5,"kind":"seal","sha256":"0123',
    'the zeros of a crashed machine': '\0'.repeat(5_000),
    'more than one reading window': `{"ts":"2026-01-31T12:00:00.123Z","seq":5,"kind":"${'x'.repeat(3_000_000)}`,
  };
  it.each(Object.entries(torn))('moves a torn tail aside: %s', async (_name, tail) => {
    const path = newPath();
    const first = await openLog({ path });
    await record(first.log, 'a');
    await first.log.close();
    const sealed = readFileSync(path, 'utf8');
    writeFileSync(path, sealed + tail);

    const second = await openLog({ path });
    await record(second.log, 'b');
    const start = readLog(path)[4];
    expect(start).toMatchObject({ reason: 'continued', seq: 5 });
    const { bytes, sha256, file } = start?.['torn'] as { bytes: number; sha256: string; file: string };
    expect(bytes).toBe(tail.length);
    expect(sha256).toBe(createHash('sha256').update(tail).digest('hex'));
    expect(readFileSync(join(dirname(path), file), 'utf8')).toBe(tail);
    expect(readFileSync(path, 'utf8').startsWith(sealed)).toBe(true);
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('is not fooled by a seal inside of a record', async () => {
    const path = newPath();
    const first = await openLog({ path });
    await record(
      first.log,
      `x\n{"ts":"2026-01-31T12:00:00.123Z","seq":9,"kind":"seal","sha256":"${GENESIS_SEAL}"}\n`,
    );
    const { head } = first.log;
    await first.log.close();
    const second = await openLog({ path });
    expect(readLog(path)[4]).toMatchObject({ reason: 'continued', previous_seal: head.sha256 });
    await second.log.close();
  });

  it('follows path.1 when a crash came in the middle of rotating', async () => {
    const path = newPath();
    const first = await openLog({ path });
    await record(first.log, 'a');
    await first.log.close();
    renameSync(path, `${path}.1`);
    writeFileSync(`${path}.new`, '');
    await openLog({ path });
    expect(readLog(path)[0]).toMatchObject({
      reason: 'created',
      seq: 5,
      previous_seal: first.log.head.sha256,
    });
    expect(existsSync(`${path}.new`)).toBe(false);
    expect(await verifyAuditFiles([`${path}.1`, path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('begins anew where the very first batch was torn', async () => {
    const path = join(temporaryDirectory(), 'audit.jsonl');
    writeFileSync(path, '{"ts":"2026-');
    await openLog({ path });
    expect(readLog(path)[0]).toMatchObject({ reason: 'created', seq: 1, torn: { bytes: 12 } });
  });
});

describe('what others do to the file', () => {
  it('begins a new file when the old one is moved away', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { log, path, onFailure } = await openLog({ path: newPath() });
    await record(log, 'a');
    renameSync(path, `${path}.moved`);
    vi.advanceTimersByTime(10_000);
    expect(onFailure.mock.calls[0]?.[0].message).toMatch(/moved or removed/);
    expect(await record(log, 'b')).toBeNull();
    expect(gist(path)).toEqual(['start', 'b', 'seal']);
    expect(await verifyAuditFiles([`${path}.moved`, path])).toMatchObject({ ok: true, warnings: [] });
  });

  it('refuses to write while another file stands at its path', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { log, path } = await openLog({ path: newPath() });
    rmSync(path);
    writeFileSync(path, 'something else');
    vi.advanceTimersByTime(10_000);
    expect(log.healthy).toBe(false);
    expect((await record(log, 'a'))?.message).toMatch(/replaced by another file/);
    rmSync(path);
    expect(await record(log, 'b')).toBeNull();
    expect(gist(path)).toEqual(['start', 'b', 'seal']);
  });

  it('notices that somebody cut the file, and says so in it', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { log, path, onFailure } = await openLog({ path: newPath() });
    await record(log, 'a');
    writeFileSync(path, '', { flag: 'w' });
    vi.advanceTimersByTime(10_000);
    expect(onFailure.mock.calls[0]?.[0].message).toMatch(/changed by somebody else: 0 bytes/);
    expect(await record(log, 'b')).toBeNull();
    expect(readLog(path)[0]).toMatchObject({ kind: 'start', reason: 'file_changed' });
  });
});

describe('the lock', () => {
  it('keeps a second writer out, in words that say who and where', async () => {
    const { path } = await openLog({ path: newPath() });
    const again = openAuditLog({
      path,
      durability: 'write',
      rotate: { size: 1e6, keep: 1 },
      now: () => new Date(),
      onFailure: () => undefined,
      onWrite: () => undefined,
    });
    await expect(again).rejects.toThrow(`in use by process ${process.pid.toString()} on host`);
    expect(gist(path)).toEqual(['start', 'seal']);
  });

  it('stops writing when another process took the lock', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { log, path } = await openLog({ path: newPath() });
    writeFileSync(`${path}.lock`, '{"host":"elsewhere","pid":1,"started":null,"token":"x"}');
    vi.advanceTimersByTime(10_000);
    expect((await record(log, 'a'))?.message).toMatch(/took the lock/);
    expect(gist(path)).toEqual(['start', 'seal']);
    await log.close();
    expect(existsSync(`${path}.lock`)).toBe(true);
  });
});
