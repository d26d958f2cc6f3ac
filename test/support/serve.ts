/** `holdfast serve` as it ships: dist/cli.js as a process of its own, in front of the tests' PostgreSQL. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

export interface Serving {
  readonly port: number;
  readonly adminPort: number;
  readonly policyFile: string;
  readonly log: readonly LogLine[];
  /** The first log line with this message, from the beginning of the log. */
  logged(message: string): Promise<LogLine>;
  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGKILL'): void;
  /** Its audit log. */
  readonly auditFile: string;
  /** The exit status; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Ends it if it still runs, and removes its files. */
  dispose(): Promise<void>;
}

/** Starts it and waits until it says that it is running. */
export async function startServing(
  upstream: { readonly host: string; readonly port: number },
  policy: string,
  limits = 'drain_timeout: 5s',
): Promise<Serving> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-serve-'));
  const policyFile = join(directory, 'policy.yaml');
  const settingsFile = join(directory, 'holdfast.yaml');
  await writeFile(policyFile, policy);
  await writeFile(
    settingsFile,
    [
      'listen: { host: 127.0.0.1, port: 0 }',
      `upstream: { host: ${upstream.host}, port: ${String(upstream.port)}, tls: { mode: off } }`,
      'admin: { host: 127.0.0.1, port: 0 }',
      'audit: { path: audit.jsonl }',
      `limits: { ${limits} }`,
      '',
    ].join('\n'),
  );
  const child = spawn(process.execPath, [CLI, 'serve', '--config', settingsFile], {
    cwd: directory,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const log: LogLine[] = [];
  let wake: (() => void)[] = [];
  let running = true;
  const lines = createInterface({ input: child.stderr });
  lines.on('line', (line) => {
    log.push(line.startsWith('{') ? (JSON.parse(line) as LogLine) : { msg: line });
    for (const waiter of wake.splice(0)) waiter();
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (status) => {
      running = false;
      resolve(status);
      for (const waiter of wake.splice(0)) waiter();
    });
  });

  async function logged(message: string): Promise<LogLine> {
    for (;;) {
      const found = log.find(({ msg }) => msg.startsWith(message));
      if (found !== undefined) return found;
      if (!running)
        throw new Error(`it ended without saying "${message}":\n${log.map(({ msg }) => msg).join('\n')}`);
      await new Promise<void>((resolve) => {
        wake = [...wake, resolve];
      });
    }
  }

  async function dispose(): Promise<void> {
    if (running) child.kill('SIGKILL');
    await exited;
    await rm(directory, { recursive: true, force: true });
  }

  try {
    const started = await logged('holdfast is running');
    const portOf = (address: unknown): number => Number(String(address).split(':').at(-1));
    return {
      port: portOf(started['listen']),
      adminPort: portOf(started['admin']),
      policyFile,
      auditFile: join(directory, 'audit.jsonl'),
      log,
      logged,
      signal: (name) => {
        child.kill(name);
      },
      exited,
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
