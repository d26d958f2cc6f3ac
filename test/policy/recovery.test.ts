/** What the server shows of its WAL archiving, and whether that is proof. */
import { describe, expect, it } from 'vitest';
import { archiverRecovery } from '../../src/policy/recovery.js';
import type { ArchiverFacts } from '../../src/policy/recovery.js';
import { periodWords } from '../../src/policy/words.js';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 0, 1, 12);
const HEALTHY: ArchiverFacts = {
  now: NOW,
  archiveMode: 'on',
  configured: true,
  inRecovery: false,
  lastArchivedWal: '000000010000000000000041',
  lastArchivedAt: NOW - 5 * MINUTE,
  lastFailedWal: null,
  lastFailedAt: null,
  currentWal: '000000010000000000000045',
  segmentSize: 16 * 1024 * 1024,
};
const hour = (facts: Partial<ArchiverFacts>): Partial<ArchiverFacts> => ({
  lastArchivedAt: NOW - 60 * MINUTE,
  ...facts,
});

describe('there is a way back', () => {
  it.each<[string, Partial<ArchiverFacts>, number]>([
    ['while the last success is recent', {}, 0],
    ['while it still is, counted from the reading', {}, 9 * MINUTE],
    [
      'on a quiet server, whose last file has been archived',
      hour({ currentWal: '000000010000000000000042' }),
      0,
    ],
    [
      'behind the end of a log file',
      hour({ lastArchivedWal: '0000000100000007000000FF', currentWal: '000000010000000800000000' }),
      0,
    ],
    [
      'with large files',
      hour({
        segmentSize: 2 ** 30,
        lastArchivedWal: '000000010000000700000003',
        currentWal: '000000010000000800000000',
      }),
      0,
    ],
    [
      'on another timeline',
      hour({ lastArchivedWal: '000000010000000000000044', currentWal: '000000020000000000000045' }),
      0,
    ],
    ['when a backup was the last', hour({ lastArchivedWal: '000000010000000000000044.00000028.backup' }), 0],
    ['after a failure that is over', { lastFailedAt: NOW - 6 * MINUTE }, 0],
    ['where the command is not shown', { configured: null }, 0],
  ])('%s', (_, facts, since) => {
    expect(archiverRecovery({ ...HEALTHY, ...facts }, 15 * MINUTE, since)).toEqual({ kind: 'ready' });
  });
});

describe('there is none', () => {
  it.each<[Partial<ArchiverFacts>, number, string]>([
    [{ archiveMode: 'off' }, 0, 'WAL archiving is off (archive_mode = off)'],
    [
      { configured: false },
      0,
      'WAL archiving leads nowhere (archive_mode = on, but archive_command and archive_library are empty)',
    ],
    [{ inRecovery: true, currentWal: null }, 0, 'the server is a standby, which proves nothing'],
    [{ lastArchivedAt: null, lastArchivedWal: null }, 0, 'WAL archiving has archived nothing yet'],
    [
      { lastFailedAt: NOW - MINUTE, lastFailedWal: '000000010000000000000042' },
      0,
      'WAL archiving is failing: the last try of 000000010000000000000042 failed 1 minute ago',
    ],
    [
      { lastArchivedAt: null, lastFailedAt: NOW },
      2000,
      'WAL archiving is failing: the last try failed 2 seconds ago',
    ],
    [
      { lastFailedAt: HEALTHY.lastArchivedAt },
      0,
      'WAL archiving is failing: the last try failed 5 minutes ago',
    ],
    [
      hour({}),
      0,
      'the last WAL file was archived 1 hour ago, and others wait for it; 15 minutes is what the policy allows',
    ],
    [
      {},
      11 * MINUTE,
      'the last WAL file was archived 16 minutes ago, and others wait for it; 15 minutes is what the policy allows',
    ],
    // What the files' names do not tell is not taken for an empty queue.
    [
      hour({ lastArchivedWal: '00000002.history' }),
      0,
      'the last WAL file was archived 1 hour ago, and others wait for it; 15 minutes is what the policy allows',
    ],
    [
      hour({ currentWal: null }),
      0,
      'the last WAL file was archived 1 hour ago, and others wait for it; 15 minutes is what the policy allows',
    ],
    [
      hour({ segmentSize: Number.NaN, currentWal: '000000010000000000000042' }),
      0,
      'the last WAL file was archived 1 hour ago, and others wait for it; 15 minutes is what the policy allows',
    ],
  ])('%j, read %i ms ago', (facts, since, why) => {
    expect(archiverRecovery({ ...HEALTHY, ...facts }, 15 * MINUTE, since)).toMatchObject({
      kind: 'not_ready',
      why,
    });
  });
});

it.each([
  [0, '0 milliseconds'],
  [300, '300 milliseconds'],
  [999, '1 second'],
  [60_000, '1 minute'],
  [61_000, '61 seconds'],
  [119_000, '2 minutes'],
  [900_000, '15 minutes'],
  [3_600_000, '1 hour'],
  [5_400_000, '2 hours'],
  [86_400_000 * 3, '3 days'],
])('%i ms is %s', (milliseconds, words) => {
  expect(periodWords(milliseconds)).toBe(words);
});
