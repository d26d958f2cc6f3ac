/**
 * Runs a check that the policy names, and says how it ended.
 *
 * Law: no shell, no terminal, no input, and next to nothing of Holdfast's own
 * environment, in which there may be secrets. It ends when its deadline comes, with all
 * that it started (they are one process group), and what it prints is read to the end
 * but not kept. What it means is not known here.
 */
import { spawn } from 'node:child_process';
import type { CommandEnd } from '../gate/recovery-store.js';

/** What a person is shown of the last line, characters. */
const LINE_LIMIT = 200;
/** How much of the output is kept to find the last line in, bytes. */
const TAIL_LIMIT = 4_096;
/** How long what it has started may hold its output open behind its own end, milliseconds. */
const CLOSE_GRACE_MS = 200;

const ENVIRONMENT = ['PATH', 'HOME', 'USER', 'LANG', 'TZ', 'SystemRoot'] as const;

/** Never rejects. @param deadlineMs how long it may take, milliseconds */
export function runCommand(command: readonly string[], deadlineMs: number): Promise<CommandEnd> {
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: '/',
      env: minimalEnvironment(),
      // A process group of its own, so that what it has started can be ended with it.
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    let tail = Buffer.alloc(0);
    const keep = (chunk: Buffer): void => {
      const all = Buffer.concat([tail, chunk]);
      tail = all.subarray(Math.max(0, all.length - TAIL_LIMIT));
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    let ended = false;
    const end = (how: CommandEnd): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      // Whatever it left running would keep running, unseen.
      endGroup(child.pid);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(how);
    };
    const timer = setTimeout(() => {
      end({ kind: 'late', lastLine: lastLine(tail) });
    }, deadlineMs);
    child.once('error', (error: NodeJS.ErrnoException) => {
      end({ kind: 'failed', reason: reasonOf(program, error) });
    });
    const exited = (status: number | null, signal: NodeJS.Signals | null): void => {
      end(
        status === null
          ? { kind: 'killed', signal: signal ?? 'a signal', lastLine: lastLine(tail) }
          : { kind: 'exited', status, lastLine: lastLine(tail) },
      );
    };
    child.once('close', exited);
    // `close` waits for the output, which a process that it left behind may hold open.
    child.once('exit', (status, signal) => {
      setTimeout(exited, CLOSE_GRACE_MS, status, signal).unref();
    });
  });
}

function minimalEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const name of ENVIRONMENT) {
    if (process.env[name] !== undefined) env[name] = process.env[name];
  }
  return env;
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

function reasonOf(program: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return `${program} does not exist`;
    case 'EACCES':
      return `${program} may not be executed by the user that Holdfast runs as`;
    case undefined:
    default:
      return `${program}: ${error.code ?? error.message}`;
  }
}

/** The last line with something on it, as a person may be shown it: nothing in it steers a terminal. */
function lastLine(output: Buffer): string {
  const lines = output.toString('utf8').split(/[\r\n]+/);
  const last = lines.findLast((line) => line.trim() !== '') ?? '';
  const clean = last.replace(/\p{C}/gu, ' ').replace(/\s+/g, ' ').trim();
  return clean.length <= LINE_LIMIT ? clean : `${clean.slice(0, LINE_LIMIT)}…`;
}
