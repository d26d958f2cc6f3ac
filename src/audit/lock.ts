/**
 * One writer a file: two chains of seals in one file would look like tampering.
 *
 * Law of this file: the lock is a file beside the log, created with O_EXCL, that
 * says who holds it. A holder that is gone leaves it behind; whether it is gone
 * is asked of the system when it ran on this host, and told by the lock's age
 * otherwise (its holder touches it while it lives).
 */
import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { OperatorError } from '../errors.js';

export interface Lock {
  /** Touches the lock, and puts it back if somebody removed it. false: somebody else holds it now. */
  refresh(): boolean;
  release(): void;
}

interface Holder {
  readonly host: string;
  readonly pid: number;
  /** When the process started, as the system counts; null where it does not tell. Tells a reused pid from its holder. */
  readonly started: string | null;
  readonly token: string;
}

/** A lock that a process on another host has not touched for so long is taken over. */
const ABANDONED_AFTER_MS = 60_000;

/** Others may be taking over the same stale lock; whoever still loses after so many turns gives up. */
const MAX_ATTEMPTS = 3;

/** How often the holder should call `refresh`. */
export const LOCK_REFRESH_MS = 10_000;

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)), counted behind the command name, which may hold spaces. */
function processStart(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid.toString()}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there is such a process, of somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function parseHolder(text: string): Holder | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    const { host, pid, started, token } = value as Record<string, unknown>;
    if (typeof host !== 'string' || typeof pid !== 'number' || typeof token !== 'string') return null;
    return { host, pid, started: typeof started === 'string' ? started : null, token };
  } catch {
    return null;
  }
}

function readLock(path: string): { readonly text: string; readonly ageMs: number } | null {
  try {
    return { text: readFileSync(path, 'utf8'), ageMs: Date.now() - statSync(path).mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function isStale(text: string, ageMs: number): boolean {
  const holder = parseHolder(text);
  // Unreadable: its writer died between creating and filling it, or is just about to fill it.
  if (holder?.host !== hostname()) return ageMs > ABANDONED_AFTER_MS;
  if (!isAlive(holder.pid)) return true;
  const started = processStart(holder.pid);
  return holder.started !== null && started !== null && holder.started !== started;
}

/** Takes a stale lock away, unless it was replaced since it was read: then the new one is put back. */
function removeStale(path: string, expected: string): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') !== expected) linkSync(aside, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process was faster, at either step.
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function tryCreate(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function describe(text: string): string {
  const holder = parseHolder(text);
  return holder === null ? 'an unknown process' : `process ${holder.pid.toString()} on host ${holder.host}`;
}

/**
 * Takes the lock of an audit log, over a dead holder if need be.
 *
 * @throws OperatorError when a living process holds it.
 */
export function acquireLock(logPath: string): Lock {
  const path = `${logPath}.lock`;
  const self: Holder = {
    host: hostname(),
    pid: process.pid,
    started: processStart(process.pid),
    token: randomUUID(),
  };
  const text = `${JSON.stringify(self)}\n`;

  for (let attempt = 0; !tryCreate(path, text); attempt++) {
    const found = readLock(path);
    // Released between the two calls: try again.
    if (found === null && attempt < MAX_ATTEMPTS) continue;
    if (found === null || attempt >= MAX_ATTEMPTS || !isStale(found.text, found.ageMs)) {
      throw new OperatorError(
        `audit log ${logPath} is in use by ${describe(found?.text ?? '')} (${path}); ` +
          'two processes cannot write one audit log. If that process is surely gone, remove the lock file.',
      );
    }
    removeStale(path, found.text);
  }

  function isOurs(): boolean {
    try {
      return readFileSync(path, 'utf8') === text;
    } catch {
      return false;
    }
  }

  return {
    refresh() {
      if (!isOurs() && !tryCreate(path, text)) return false;
      const now = new Date();
      utimesSync(path, now, now);
      return true;
    },
    release() {
      if (isOurs()) rmSync(path, { force: true });
    },
  };
}
