/** What is known of the way back, how long it is good for, and who has to find it out. */
import { describe, expect, it, vi } from 'vitest';
import { createRecoveryStore } from '../../src/gate/recovery-store.js';
import type { CommandEnd, RecoveryStore } from '../../src/gate/recovery-store.js';
import type { RecoveryAsk } from '../../src/policy/live-facts.js';
import type { ArchiverFacts } from '../../src/policy/recovery.js';

const MINUTE = 60_000;
const ARCHIVER: RecoveryAsk = {
  kind: 'recovery',
  maxAgeMs: 15 * MINUTE,
  command: null,
  deadlineMs: 1000,
  cacheMs: MINUTE,
};
const COMMAND: RecoveryAsk = { ...ARCHIVER, maxAgeMs: null, command: ['/bin/check'] };
const HEALTHY: ArchiverFacts = {
  now: 0,
  archiveMode: 'on',
  configured: true,
  inRecovery: false,
  lastArchivedWal: '000000010000000000000004',
  lastArchivedAt: 0,
  lastFailedWal: null,
  lastFailedAt: null,
  currentWal: '000000010000000000000005',
  segmentSize: 16_777_216,
};

interface Ground {
  readonly store: RecoveryStore;
  readonly at: (milliseconds: number) => void;
  readonly runs: { readonly command: readonly string[]; readonly end: (end: CommandEnd) => void }[];
}

function ground(): Ground {
  let now = 0;
  const runs: Ground['runs'] = [];
  return {
    store: createRecoveryStore({
      run: (command) => new Promise((end) => runs.push({ command, end })),
      clock: () => now,
    }),
    at: (milliseconds) => (now = milliseconds),
    runs,
  };
}

describe('the archiver', () => {
  it('is asked by one, the others wait, and its answer is good for as long as the rule says', () => {
    const { store, at } = ground();
    expect(store.recovery(ARCHIVER)).toMatchObject({
      kind: 'unknown',
      why: 'the server could not be asked yet',
    });
    expect(store.advice(ARCHIVER)).toBe('read');
    const reading = store.begin();
    expect(store.advice(ARCHIVER)).toBe('wait');
    expect(() => store.begin()).toThrow();
    const waited = vi.fn();
    store.whenRead(waited);
    reading.done(HEALTHY);
    expect(waited).toHaveBeenCalledExactlyOnceWith('done');
    expect(store.recovery(ARCHIVER)).toEqual({ kind: 'ready' });
    at(MINUTE);
    expect(store.advice(ARCHIVER)).toBe('judge');
    at(MINUTE + 1);
    expect(store.advice(ARCHIVER)).toBe('read');
    expect(store.advice({ ...ARCHIVER, cacheMs: 2 * MINUTE })).toBe('judge');
    // Where it cannot be asked again, the answer proves what it did when it was given.
    at(15 * MINUTE);
    expect(store.recovery(ARCHIVER)).toEqual({ kind: 'ready' });
    at(16 * MINUTE);
    expect(store.recovery(ARCHIVER)).toMatchObject({
      kind: 'unknown',
      why: 'the server was last asked 16 minutes ago, and cannot be asked within a transaction',
    });
  });

  it('is asked again soon where the answer refuses, or there was none', () => {
    const { store, at } = ground();
    store.begin().done({ ...HEALTHY, archiveMode: 'off' });
    expect(store.recovery(ARCHIVER)).toMatchObject({ kind: 'not_ready' });
    expect(store.advice(ARCHIVER)).toBe('judge');
    at(5001);
    expect(store.advice(ARCHIVER)).toBe('read');
    store.begin().failed('permission denied');
    expect(store.recovery(ARCHIVER)).toMatchObject({
      kind: 'unknown',
      why: 'the server did not say: permission denied',
    });
    at(10_003);
    const waited = vi.fn();
    const reading = store.begin();
    store.whenRead(waited);
    reading.abandoned();
    reading.done(HEALTHY);
    expect(waited).toHaveBeenCalledExactlyOnceWith('abandoned');
    expect(store.advice(ARCHIVER)).toBe('read');
    store.whenRead(waited);
    expect(waited).toHaveBeenLastCalledWith('abandoned');
  });
});

describe('a command', () => {
  it('is run once for all that ask at a time, and again when its answer is too old', async () => {
    const { store, at, runs } = ground();
    const [first, second, third] = [vi.fn(), vi.fn(), vi.fn()];
    expect(store.mustRun(COMMAND, first)).toBe(true);
    expect(store.mustRun(COMMAND, second)).toBe(true);
    expect(runs.map(({ command }) => command)).toEqual([['/bin/check']]);
    expect(store.recovery(COMMAND).kind).toBe('unknown');
    runs[0]?.end({ kind: 'exited', status: 0, lastLine: 'fine' });
    await vi.waitFor(() => {
      expect(second).toHaveBeenCalledOnce();
    });
    expect(first).toHaveBeenCalledOnce();
    expect(store.recovery(COMMAND)).toEqual({ kind: 'ready' });
    expect(store.mustRun(COMMAND, third)).toBe(false);
    at(MINUTE + 1);
    expect(store.mustRun(COMMAND, third)).toBe(true);
    expect(runs).toHaveLength(2);
    // Others may still go by the last answer for a moment, then nobody.
    at(2 * MINUTE);
    expect(store.recovery(COMMAND).kind).toBe('unknown');
    expect(store.mustRun(ARCHIVER, third)).toBe(false);
  });

  it.each<[CommandEnd, string, string]>([
    [
      { kind: 'exited', status: 2, lastLine: '' },
      'not_ready',
      'the check of the backups failed (exit status 2)',
    ],
    [
      { kind: 'exited', status: 2, lastLine: 'old' },
      'not_ready',
      'the check of the backups failed (exit status 2): old',
    ],
    [
      { kind: 'killed', signal: 'SIGKILL', lastLine: '' },
      'not_ready',
      'the check of the backups was ended by SIGKILL',
    ],
    [{ kind: 'late', lastLine: '' }, 'unknown', 'the check of the backups gave no answer within 1 second'],
    [
      { kind: 'failed', reason: 'no such file' },
      'unknown',
      'the check of the backups could not be run: no such file',
    ],
  ])('that ends with %j refuses', async (end, kind, why) => {
    const { store, at, runs } = ground();
    const called = vi.fn();
    store.mustRun(COMMAND, called);
    runs[0]?.end(end);
    await vi.waitFor(() => {
      expect(called).toHaveBeenCalled();
    });
    expect(store.recovery(COMMAND)).toMatchObject({ kind, why });
    at(5001);
    expect(store.mustRun(COMMAND, called)).toBe(true);
  });

  it('and the archiver both have to prove it, where both are asked', async () => {
    const { store, runs } = ground();
    const both = { ...COMMAND, maxAgeMs: 15 * MINUTE };
    const called = vi.fn();
    store.mustRun(both, called);
    runs[0]?.end({ kind: 'exited', status: 0, lastLine: '' });
    await vi.waitFor(() => {
      expect(called).toHaveBeenCalled();
    });
    expect(store.recovery(both).kind).toBe('unknown');
    store.begin().done(HEALTHY);
    expect(store.recovery(both).kind).toBe('ready');
    expect(store.recovery({ ...both, command: ['/bin/other'] }).kind).toBe('unknown');
  });
});
