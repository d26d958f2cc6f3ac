import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { acquireLock } from '../../src/audit/lock.js';
import { temporaryDirectory } from './harness.js';

interface Holder {
  readonly host: string;
  readonly pid: number;
  readonly started: string | null;
  readonly token: string;
}

function newPath(): string {
  return join(temporaryDirectory(), 'audit.jsonl');
}

function plant(path: string, holder: Partial<Holder> | string, ageMs = 0): void {
  const whole = { host: hostname(), pid: process.pid, started: null, token: 'x' };
  writeFileSync(
    `${path}.lock`,
    typeof holder === 'string' ? holder : JSON.stringify({ ...whole, ...holder }),
  );
  const then = new Date(Date.now() - ageMs);
  utimesSync(`${path}.lock`, then, then);
}

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}

describe('acquireLock', () => {
  it('keeps others out until it is released', () => {
    const path = newPath();
    const lock = acquireLock(path);
    expect(() => acquireLock(path)).toThrow(/is in use by process \d+ on host/);
    lock.release();
    expect(existsSync(`${path}.lock`)).toBe(false);
    acquireLock(path).release();
  });

  it('takes over from a process that is gone', async () => {
    const path = newPath();
    plant(path, { pid: await deadPid() });
    acquireLock(path).release();
  });

  it.runIf(existsSync('/proc/self/stat'))(
    'takes over where the pid is alive but is another process now',
    () => {
      const path = newPath();
      plant(path, { started: '1' });
      acquireLock(path).release();
    },
  );

  it('respects a holder on another host for as long as it touches the lock', () => {
    const path = newPath();
    plant(path, { host: 'elsewhere', pid: 1 }, 50_000);
    expect(() => acquireLock(path)).toThrow(/process 1 on host elsewhere/);
    plant(path, { host: 'elsewhere', pid: 1 }, 70_000);
    acquireLock(path).release();
  });

  it('respects a lock that is being written just now, and takes over one that never was', () => {
    const path = newPath();
    plant(path, '');
    expect(() => acquireLock(path)).toThrow(/an unknown process/);
    plant(path, '', 70_000);
    acquireLock(path).release();
  });

  it('puts itself back when somebody removed it, but never takes it from another', () => {
    const path = newPath();
    const lock = acquireLock(path);
    rmSync(`${path}.lock`);
    expect(lock.refresh()).toBe(true);
    plant(path, { host: 'elsewhere' });
    expect(lock.refresh()).toBe(false);
    lock.release();
    expect(readFileSync(`${path}.lock`, 'utf8')).toContain('elsewhere');
  });
});
