import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { verifyAuditFiles, type Verification } from '../../src/audit/verify.js';
import { openLog, record, temporaryDirectory } from './harness.js';

/** Lines of a log: 1 start, 2 seal, 3 a, 4 seal, 5 b, 6 c, 7 seal, 8 d, 9 seal. */
async function writeLog(): Promise<string> {
  const path = join(temporaryDirectory(), 'audit.jsonl');
  const { log } = await openLog({ path });
  await record(log, 'a');
  await record(log, 'b', 'c');
  await record(log, 'd');
  await log.close();
  return path;
}

type Edit = (lines: string[]) => string[];

async function verifyEdited(edit: Edit): Promise<Verification> {
  const path = await writeLog();
  const lines = readFileSync(path, 'utf8').slice(0, -1).split('\n');
  writeFileSync(path, `${edit(lines).join('\n')}\n`);
  return verifyAuditFiles([path]);
}

function swap(lines: string[], first: number, second: number): string[] {
  const copy = [...lines];
  [copy[first], copy[second]] = [copy[second] as string, copy[first] as string];
  return copy;
}

describe('one file', () => {
  it('passes as it was written', async () => {
    const path = await writeLog();
    expect(await verifyAuditFiles([path])).toMatchObject({
      ok: true,
      problems: [],
      warnings: [],
      records: 5,
      seals: 4,
      lastSeal: { seq: 9 },
    });
  });

  const tampering: Readonly<Record<string, { edit: Edit; line: number; message: RegExp }>> = {
    'one byte changed': {
      edit: (lines) => lines.map((line) => line.replace('"decision":"b"', '"decision":"x"')),
      line: 7,
      message: /does not fit lines 5 to 7/,
    },
    'a time changed': {
      edit: (lines) => lines.with(4, (lines[4] ?? '').replace('12:00', '12:01')),
      line: 7,
      message: /does not fit/,
    },
    'a line removed': {
      edit: (lines) => lines.toSpliced(4, 1),
      line: 5,
      message: /number 6 where 5 belongs: records were removed/,
    },
    'a batch removed with its seal': {
      edit: (lines) => lines.toSpliced(4, 3),
      line: 5,
      message: /number 8 where 5 belongs: records were removed/,
    },
    'a line repeated': {
      edit: (lines) => lines.toSpliced(4, 0, lines[4] ?? ''),
      line: 6,
      message: /number 5 where 6 belongs: records were repeated/,
    },
    'two lines exchanged': {
      edit: (lines) => swap(lines, 4, 5),
      line: 5,
      message: /put elsewhere/,
    },
    'two batches exchanged': {
      edit: (lines) => [...lines.slice(0, 2), ...lines.slice(4, 7), ...lines.slice(2, 4), ...lines.slice(7)],
      line: 3,
      message: /put elsewhere/,
    },
    'a seal removed': {
      edit: (lines) => lines.toSpliced(3, 1),
      line: 4,
      message: /records were removed/,
    },
    "a seal's time changed": {
      edit: (lines) => lines.with(6, (lines[6] ?? '').replace('12:00', '12:01')),
      line: 7,
      message: /does not fit/,
    },
    "a seal's digits changed": {
      edit: (lines) => lines.with(3, (lines[3] ?? '').replace(/[0-9a-f]{64}/, '0'.repeat(64))),
      line: 4,
      message: /does not fit/,
    },
    'the beginning removed': {
      edit: (lines) => lines.slice(2),
      line: 1,
      message: /does not begin with a start record/,
    },
    'a foreign line put in': {
      edit: (lines) => lines.toSpliced(2, 0, 'hello'),
      line: 3,
      message: /not a record/,
    },
    'an empty line put in': {
      edit: (lines) => lines.toSpliced(2, 0, ''),
      line: 3,
      message: /not a record/,
    },
    'all seals removed': {
      edit: (lines) => lines.slice(0, 1),
      line: 1,
      message: /no seal at all/,
    },
    'line ends of another system': {
      edit: (lines) => lines.map((line) => `${line}\r`),
      line: 2,
      message: /not in the form/,
    },
  };
  it.each(Object.entries(tampering))('finds %s', async (_name, { edit, line, message }) => {
    const found = await verifyEdited(edit);
    expect(found.ok).toBe(false);
    expect(found.problems[0]).toMatchObject({ line, message: expect.stringMatching(message) as string });
  });

  it('finds a change of any single byte', async () => {
    const path = await writeLog();
    const good = readFileSync(path);
    // The first line names what it follows; from its end on nothing can change unseen. Every 7th byte keeps this quick.
    for (let at = 0; at < good.length - 1; at += 7) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 1;
      writeFileSync(path, bad);
      const { ok, warnings } = await verifyAuditFiles([path]);
      expect({ at, noticed: !ok || warnings.length > 0 }).toEqual({ at, noticed: true });
    }
  });

  it('reports one change once, and goes on', async () => {
    const found = await verifyEdited((lines) =>
      lines.map((line) => line.replace(/"decision":"[bd]"/, '"decision":"x"')),
    );
    expect(found.problems.map((problem) => problem.line)).toEqual([7, 9]);
  });

  it('cannot see a log cut off at a seal, but tells the last seal to compare', async () => {
    const whole = await verifyEdited((lines) => lines);
    const cut = await verifyEdited((lines) => lines.slice(0, 7));
    expect(cut.ok).toBe(true);
    expect(cut.lastSeal?.seq).toBe(7);
    expect(whole.lastSeal?.seq).toBe(9);
  });

  it.each([
    ['whole lines', '', 1],
    ['half a line', '{"ts":"2026', 0],
  ])('warns of a tail that is not sealed: %s', async (_name, rest, wholeLines) => {
    const path = await writeLog();
    const line = '{"ts":"2026-01-31T12:00:00.123Z","seq":10,"kind":"outcome"}\n'.repeat(wholeLines);
    writeFileSync(path, readFileSync(path, 'utf8') + line + rest);
    const found = await verifyAuditFiles([path]);
    expect(found.ok).toBe(true);
    expect(found.warnings).toEqual([
      { file: path, line: 10, message: expect.stringMatching(/^tail not sealed/) as string },
    ]);
  });

  it('finds an emptied file', async () => {
    const path = await writeLog();
    writeFileSync(path, '');
    expect((await verifyAuditFiles([path])).problems[0]?.message).toMatch(/is empty/);
  });

  it('says which file it cannot read', async () => {
    await expect(verifyAuditFiles(['/does/not/exist'])).rejects.toThrow(
      /cannot read \/does\/not\/exist: ENOENT/,
    );
  });
});

describe('rotated files', () => {
  async function writeFiles(): Promise<readonly [string, string, string]> {
    const path = join(temporaryDirectory(), 'audit.jsonl');
    const { log } = await openLog({ path, rotate: { size: 700, keep: 9 } });
    while (!existsSync(`${path}.2`)) await record(log, 'a record');
    await record(log, 'another');
    await log.close();
    return [`${path}.2`, `${path}.1`, path];
  }

  it('pass in whatever order they are given', async () => {
    const [oldest, middle, youngest] = await writeFiles();
    for (const paths of [
      [oldest, middle, youngest],
      [youngest, middle, oldest],
    ]) {
      expect(await verifyAuditFiles(paths)).toMatchObject({ ok: true, problems: [], warnings: [] });
    }
  });

  it('pass alone, with a warning that something came before', async () => {
    const [, , youngest] = await writeFiles();
    const found = await verifyAuditFiles([youngest]);
    expect(found.ok).toBe(true);
    expect(found.warnings[0]?.message).toMatch(/begins before this file/);
  });

  it('fail when one in the middle is missing', async () => {
    const [oldest, , youngest] = await writeFiles();
    const { problems } = await verifyAuditFiles([oldest, youngest]);
    expect(problems.map((problem) => problem.message)).toEqual([
      expect.stringMatching(/records were removed/),
      expect.stringMatching(/follows another seal/),
      expect.stringMatching(/does not fit/),
    ]);
  });

  it('fail when the end of a middle one is cut off, at a seal or not', async () => {
    const [oldest, middle, youngest] = await writeFiles();
    const lines = readFileSync(middle, 'utf8').slice(0, -1).split('\n');
    writeFileSync(middle, `${lines.slice(0, -2).join('\n')}\n`);
    expect((await verifyAuditFiles([oldest, middle, youngest])).ok).toBe(false);
    writeFileSync(middle, `${lines.slice(0, -1).join('\n')}\n`);
    const { problems } = await verifyAuditFiles([oldest, middle, youngest]);
    expect(problems[0]).toMatchObject({
      file: middle,
      message: expect.stringMatching(/tail not sealed/) as string,
    });
  });
});

describe('size', () => {
  it('reads a file larger than its pieces, with lines across them', async () => {
    const path = join(temporaryDirectory(), 'audit.jsonl');
    const { log } = await openLog({ path, rotate: { size: 1e9, keep: 1 } });
    for (let index = 0; index < 30; index++) await record(log, 'x'.repeat(70_000 + index), 'y');
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, warnings: [], records: 61, seals: 31 });
  });

  it('does not take a large foreign file without a newline for a log', async () => {
    const path = join(temporaryDirectory(), 'core');
    writeFileSync(path, Buffer.alloc(3_000_000, 'x'));
    const found = await verifyAuditFiles([path]);
    expect(found.ok).toBe(false);
  });
});
