/** `holdfast undo`, called in this process. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createUndoFiles } from '../../src/audit/undo-files.js';
import { undoListCommand, undoScriptCommand, undoShowCommand } from '../../src/commands/undo.js';
import type { Terminal } from '../../src/commands/terminal.js';
import { undoScript } from '../../src/undo/script.js';
import { document } from '../undo/documents.js';

let directory: string;
const DOCUMENT = document({ sql: 'UPDATE account\nSET name = \u001b[2JNULL' });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-undo-'));
  const files = createUndoFiles({
    path: join(directory, 'undo'),
    maxSize: 1_000_000,
    totalSize: 10_000_000,
    onRemoved: () => undefined,
  });
  await files.save(DOCUMENT);
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

function terminal(): { readonly out: string[]; readonly terminal: Terminal } {
  const out: string[] = [];
  return {
    out,
    terminal: {
      print: async (line) => {
        out.push(line);
      },
      complain: () => undefined,
      color: false,
      columns: null,
      input: process.stdin,
    },
  };
}

const there = (): { readonly directory: string } => ({ directory: join(directory, 'undo') });

test('list', async () => {
  const { out, terminal: to } = terminal();
  expect(await undoListCommand(there(), to)).toBe(0);
  expect(out).toEqual([
    expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}decision ab12-1-7 {2}hold 3md7dn6tkk {2}\d+ bytes$/),
  ]);
  const json = terminal();
  await undoListCommand({ ...there(), json: true }, json.terminal);
  expect(JSON.parse(json.out[0] ?? '')).toMatchObject({ decision: 'ab12-1-7', hold: '3md7dn6tkk' });
  const none = terminal();
  expect(await undoListCommand({ directory: join(directory, 'none') }, none.terminal)).toBe(0);
  expect(none.out).toEqual(['nothing is kept; roles need "undo: capture"']);
});

test('show, by the decision and by the hold', async () => {
  for (const id of ['ab12-1-7', '3md7dn6tkk']) {
    const { out, terminal: to } = terminal();
    expect(await undoShowCommand(id, there(), to)).toBe(0);
    expect(out).toEqual([
      'Decision ab12-1-7, approved as hold 3md7dn6tkk',
      '2026-01-02T03:04:05.678Z, production, database shop, user eng_dana (role engineers)',
      "Whether it was committed: SELECT pg_xact_status('731'), or the audit log.",
      '',
      '  UPDATE account',
      '  SET name = ⟨U+001B⟩[2JNULL',
      '',
      '"public"."account": 1 row deleted, 1 row changed, 1 row added',
      '',
      'To put the rows back: holdfast undo script ab12-1-7 > undo.sql',
    ]);
  }
  const { out, terminal: to } = terminal();
  await undoShowCommand('ab12-1-7', { ...there(), json: true }, to);
  expect(JSON.parse(out.join('\n'))).toEqual(DOCUMENT);
});

test('script', async () => {
  for (const overwrite of [false, true]) {
    const { out, terminal: to } = terminal();
    expect(await undoScriptCommand('ab12-1-7', { ...there(), overwrite }, to)).toBe(0);
    expect(out.join('\n')).toBe(undoScript(DOCUMENT, { overwrite }).trimEnd());
  }
});

test('what is no id, or of which nothing is kept', async () => {
  const { terminal: to } = terminal();
  await expect(undoShowCommand('../x', there(), to)).rejects.toMatchObject({
    message: '"../x" is no id of a decision or a hold',
    exitCode: 2,
  });
  await expect(undoScriptCommand('other', there(), to)).rejects.toMatchObject({
    message: `nothing is kept of "other" in ${there().directory}`,
    exitCode: 1,
  });
});
