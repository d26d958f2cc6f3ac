/**
 * PostgreSQL's own programs, where they are installed: psql, pg_dump, pgbench. A
 * pg_dump that is older than the server refuses to work, so a server of its own
 * version can be started from the binaries that were installed with it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Major version of an installed program; null when it is not installed. */
export function majorVersion(program: string): number | null {
  try {
    const text = execFileSync(program, ['--version'], { encoding: 'utf8' });
    return Number(/(\d+)(?:\.\d+|devel|beta\d+|rc\d+)/.exec(text)?.[1] ?? Number.NaN) || null;
  } catch {
    return null;
  }
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/** Runs a program to its end; it never reads the terminal. */
export function run(
  program: string,
  parameters: readonly string[],
  options: {
    readonly input?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly account?: Account;
  } = {},
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      env: { ...process.env, LC_ALL: 'C', PGCONNECT_TIMEOUT: '10', ...options.env },
      cwd: tmpdir(),
      ...options.account,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (status) => {
      resolve({ stdout, stderr, status });
    });
    // A program that ends early does not read its input to the end.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Where the server programs of a major version are, and as whom they can run; null when they cannot. */
export function serverOf(
  major: number | null,
): { readonly directory: string; readonly account: Account | null } | null {
  if (major === null) return null;
  const directory = `/usr/lib/postgresql/${major}/bin`;
  if (!existsSync(join(directory, 'initdb'))) return null;
  if (process.getuid?.() !== 0) return { directory, account: null };
  try {
    // The server refuses to run as root.
    const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
    return { directory, account: { uid: id('-u'), gid: id('-g') } };
  } catch {
    return null;
  }
}

export interface PrivateServer {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a server that trusts everybody on loopback, superuser `postgres`. */
export async function startPrivateServer({
  directory: programs,
  account,
}: NonNullable<ReturnType<typeof serverOf>>): Promise<PrivateServer> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-server-'));
  const as = account === null ? {} : { account };
  if (account !== null) await chown(directory, account.uid, account.gid);
  const data = join(directory, 'data');
  const initdb = await run(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    as,
  );
  if (initdb.status !== 0) throw new Error(initdb.stderr);
  const port = await freePort();
  const child = spawn(
    join(programs, 'postgres'),
    [
      '-D',
      data,
      '-h',
      '127.0.0.1',
      '-p',
      `${port}`,
      '-k',
      directory,
      '-c',
      'fsync=off',
      '-c',
      'max_wal_senders=0',
      '-c',
      'wal_level=minimal',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, LC_ALL: 'C' }, ...account },
  );
  const exited = new Promise<void>((resolve) =>
    child.once('exit', () => {
      resolve();
    }),
  );
  await new Promise<void>((resolve, reject) => {
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-20_000);
      if (log.includes('ready to accept connections')) resolve();
    });
    child.once('error', reject);
    void exited.then(() => {
      reject(new Error(log));
    });
  });
  return {
    host: '127.0.0.1',
    port,
    stop: async () => {
      child.kill('SIGINT');
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((resolve) => {
    probe.close(() => {
      resolve();
    });
  });
  return port;
}
