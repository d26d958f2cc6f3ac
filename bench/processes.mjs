/**
 * Child processes and what /proc tells of them. Owns: every process that the bench
 * starts and its temporary directory; both are gone when `cleanUp` has run.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  accessSync,
  chownSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** USER_HZ: the unit of utime and stime in /proc/PID/stat is 1/100 s on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** A run of pgbench or psql that takes longer has failed. */
const RUN_LIMIT_MS = 180_000;

/** @typedef {{ uid: number, gid: number } | Record<string, never>} Identity */
/** @typedef {{ pid: number, output: () => string, exited: boolean, stop: () => Promise<void> }} Running */

/** @type {Set<Running>} */
const running = new Set();
/** @type {string | null} */
let root = null;

/** PostgreSQL, PgBouncer and pgpool-II refuse to run as root, so root lends them another user. */
export const identity = lendIdentity();

/** @returns {Identity} */
function lendIdentity() {
  if (process.getuid?.() !== 0) return {};
  const passwd = readFileSync('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const entry = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(passwd);
    if (entry) return { uid: Number(entry[1]), gid: Number(entry[2]) };
  }
  throw new Error(
    'running as root, and there is neither a user "postgres" nor "nobody" to lend to the server',
  );
}

/**
 * A directory of its own under the bench's temporary directory, owned by `identity`.
 * @param {string} name
 */
export function makeDirectory(name) {
  if (root === null) {
    root = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
    own(root);
  }
  const path = join(root, name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  own(path);
  return path;
}

/** @param {string} path */
export function own(path) {
  if ('uid' in identity) chownSync(path, identity.uid, identity.gid);
}

/**
 * The full path of a program, looked for in `first`, PATH and where Debian puts daemons.
 * @param {string} name
 * @param {string[]} [first]
 * @returns {string | null}
 */
export function findProgram(name, first = []) {
  const places = [...first, ...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const place of places) {
    const path = join(place, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return null;
}

/**
 * Starts a long-running program; its output is kept for error messages (the last 64 KiB).
 * @param {string} program
 * @param {string[]} args
 * @param {{ identity?: Identity, stopSignal?: NodeJS.Signals }} [options] stopSignal: what ends it soonest and cleanly; SIGTERM
 * @returns {Running}
 */
export function start(program, args, options = {}) {
  const child = spawn(program, args, {
    ...(options.identity ?? {}),
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (/** @type {Buffer} */ chunk) => {
    output = (output + chunk.toString()).slice(-65536);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const gone = new Promise((resolve) => {
    child.once('error', (error) => {
      keep(Buffer.from(`${program}: ${error.message}\n`));
      resolve(null);
    });
    child.once('exit', resolve);
  });
  /** @type {Running} */
  const self = {
    pid: child.pid ?? -1,
    output: () => output,
    exited: false,
    async stop() {
      if (!self.exited && child.pid !== undefined) {
        const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
        child.kill(options.stopSignal ?? 'SIGTERM');
        await gone;
        clearTimeout(late);
      }
      running.delete(self);
    },
  };
  void gone.then(() => {
    self.exited = true;
  });
  running.add(self);
  return self;
}

/**
 * Runs a program to its end.
 * @param {string} program
 * @param {string[]} args
 * @param {{ identity?: Identity }} [options]
 * @returns {string} standard output
 */
export function run(program, args, options = {}) {
  return execFileSync(program, args, {
    ...(options.identity ?? {}),
    cwd: '/',
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });
}

/**
 * Runs a program to its end without blocking this process's event loop.
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<string>} standard output; rejects with the standard error when it fails
 */
export function runAsync(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_LIMIT_MS,
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${program} ended with ${String(code ?? signal)}: ${err.trim().slice(-600)}`));
    });
  });
}

/** Stops everything that still runs, latest first, and removes the temporary directory. */
export async function cleanUp() {
  for (const each of [...running].reverse()) await each.stop();
  if (root !== null) rmSync(root, { recursive: true, force: true });
  root = null;
}

/** @returns {Promise<number>} a TCP port of 127.0.0.1 that was free a moment ago */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/**
 * Calls `attempt` until it works.
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {Running} process_ gives up when this has ended
 * @param {number} [timeoutMs]
 * @returns {Promise<T>}
 */
export async function untilItWorks(attempt, process_, timeoutMs = 20_000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (process_.exited) throw new Error(`ended at start: ${complaint(process_.output())}`);
      if (Date.now() > deadline)
        throw new Error(`not ready after ${timeoutMs} ms: ${reason}; ${complaint(process_.output())}`);
      await sleep(50);
    }
  }
}

/** What a program's output complains of: its first line that speaks of an error, else its end. @param {string} output */
function complaint(output) {
  const line = output.split('\n').find((each) => /error|fatal/i.test(each));
  return (line ?? output.slice(-300)).trim();
}

/**
 * CPU time that a process, its threads and its descendants have used so far, in µs:
 * user and system time, with that of children that have ended and were waited for.
 * @param {number} pid
 */
export function cpuMicroseconds(pid) {
  let ticks = 0;
  for (const member of tree(pid)) {
    const stat = statFields(member);
    // proc(5): fields 14 to 17 are utime, stime, cutime, cstime; `stat` begins at field 3.
    if (stat) ticks += Number(stat[11]) + Number(stat[12]) + Number(stat[13]) + Number(stat[14]);
  }
  return (ticks / TICKS_PER_SECOND) * 1e6;
}

/**
 * Resident memory of a process and its descendants, in bytes.
 * @param {number} pid
 */
export function residentBytes(pid) {
  let bytes = 0;
  for (const member of tree(pid)) {
    try {
      const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${member}/status`, 'utf8'));
      if (line) bytes += Number(line[1]) * 1024;
    } catch {
      // ended in between
    }
  }
  return bytes;
}

/** @param {number} pid @returns {number[]} the process and all its descendants */
function tree(pid) {
  /** @type {Map<number, number[]>} */
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    const each = Number(name);
    const stat = Number.isInteger(each) ? statFields(each) : null;
    if (!stat) continue;
    const parent = Number(stat[1]);
    children.set(parent, [...(children.get(parent) ?? []), each]);
  }
  const found = [pid];
  for (const each of found) found.push(...(children.get(each) ?? []));
  return found;
}

/** @param {number} pid @returns {string[] | null} /proc/PID/stat from its third field on; the second may hold blanks */
function statFields(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}
