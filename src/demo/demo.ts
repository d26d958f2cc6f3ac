/**
 * `holdfast demo`: a real PostgreSQL with a small shop in it, Holdfast in front of
 * it with the shipped policy and two people who approve, and a page of things to try. Everything is under
 * `.holdfast/` in the working directory, and everything stops with Ctrl-C.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { writePolicyWithApprovers } from './approvers.js';
import { closedDirectory, serverAccount } from './embedded-binaries.js';
import { startEmbedded, type EmbeddedServer } from './embedded.js';
import { demoPage, hasPsql } from './demo-page.js';
import { startDemoProxy, type DemoProxy } from './proxy.js';
import { createShop } from './shop.js';

const SERVER_PORT = 55_432;
const PROXY_PORT = 6432;
const ADMIN_PORT = 9432;

export interface DemoOptions {
  /** Where it keeps its things; `.holdfast` in the working directory when absent. */
  readonly directory?: string;
  readonly print?: (text: string) => void;
  /** Ends the demo; SIGINT and SIGTERM when absent. */
  readonly signal?: AbortSignal;
}

/**
 * Runs until it is told to stop.
 *
 * @throws OperatorError when the embedded PostgreSQL is not installed or does not start.
 */
export async function demo(options: DemoOptions = {}): Promise<void> {
  const print = options.print ?? toStandardOutput;
  const directory = path.resolve(options.directory ?? '.holdfast');
  const stopped = stopRequest(options.signal);
  const place = await serverDirectory(directory, print);
  try {
    print('Starting PostgreSQL …\n');
    const server = await startEmbedded({
      directory: place.directory,
      preferredPort: SERVER_PORT,
      password: await superuserPassword(place.temporary ? null : `${place.directory}.password`),
      ephemeral: place.temporary,
    });
    try {
      if (await createShop(server.url)) print('Made the database shop.\n');
      const auditPath = path.join(directory, 'audit.jsonl');
      const policyPath = path.join(directory, 'policy.yaml');
      const approvers = await writePolicyWithApprovers(policyPath);
      const proxy = await startBeside(server, { auditPath, policyPath });
      try {
        print(
          await demoPage({
            proxy,
            server,
            approvers,
            auditPath,
            policyPath,
            kept: !place.temporary,
            psql: await hasPsql(process.env['PATH'] ?? ''),
          }),
        );
        const gone = server.exited.then(() => 'PostgreSQL ended by itself.\n');
        print(await Promise.race([stopped, gone]));
      } finally {
        await proxy.close();
      }
    } finally {
      await server.stop();
    }
  } finally {
    if (place.temporary) await rm(place.directory, { recursive: true, force: true });
  }
}

/** The well-known ports where they are free, else others. */
async function startBeside(
  server: EmbeddedServer,
  paths: { readonly auditPath: string; readonly policyPath: string },
): Promise<DemoProxy> {
  const upstream = { host: server.host, port: server.port };
  try {
    return await startDemoProxy({ upstream, port: PROXY_PORT, adminPort: ADMIN_PORT, ...paths });
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('EADDRINUSE'))) throw error;
    return startDemoProxy({ upstream, port: 0, adminPort: 0, ...paths });
  }
}

/**
 * `<directory>/postgres`, unless root runs the demo and the server's account cannot
 * enter that: then a new temporary directory, and the shop is made anew each time.
 */
async function serverDirectory(
  directory: string,
  print: (text: string) => void,
): Promise<{ directory: string; temporary: boolean }> {
  await mkdir(directory, { recursive: true });
  const closed = await closedDirectory(directory, await serverAccount());
  if (closed === null) return { directory: path.join(directory, 'postgres'), temporary: false };
  print(
    `PostgreSQL does not run as root, and its account cannot enter ${closed}: this run's data is temporary.\n`,
  );
  const temporary = await mkdtemp(path.join(tmpdir(), 'holdfast-demo-'));
  await chmod(temporary, 0o755);
  return { directory: temporary, temporary: true };
}

/** Random and kept beside the cluster: the server listens for everybody on this machine, and its superuser can run programs. */
async function superuserPassword(file: string | null): Promise<string> {
  const password = randomBytes(18).toString('base64url');
  if (file === null) return password;
  const known = await readFile(file, 'utf8').catch(() => null);
  if (known !== null) return known.trim();
  await writeFile(file, `${password}\n`, { mode: 0o600 });
  return password;
}

/** Resolves with what to print when somebody wants the demo to end. */
function stopRequest(signal: AbortSignal | undefined): Promise<string> {
  return new Promise((resolve) => {
    const stop = () => {
      resolve('\nStopping …\n');
    };
    if (signal !== undefined) {
      if (signal.aborted) stop();
      signal.addEventListener('abort', stop, { once: true });
      return;
    }
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  });
}

function toStandardOutput(text: string): void {
  process.stdout.write(text);
}
