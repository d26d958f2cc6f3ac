/**
 * Once for a whole test run: builds dist (worker threads and the command line are
 * tested as they ship) and starts one PostgreSQL server; stops it at the end.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbedded } from '../../src/demo/embedded.js';
import { AUTH_PASSWORD, AUTH_USERS, tlsFile } from './postgres.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SUPERUSER = 'postgres';
const PASSWORD = 'holdfast';

/** The embedded server listens on loopback alone, and a container's port is published there: `all` is no wider. */
const PG_HBA = [
  '# TYPE DATABASE USER ADDRESS METHOD',
  'local all all scram-sha-256',
  // And every member of it: users that tests make for themselves.
  `host all +${AUTH_USERS.trust} all trust`,
  `host all ${AUTH_USERS.password} all password`,
  `host all ${AUTH_USERS.md5} all md5`,
  'host all all all scram-sha-256',
  'host replication all all scram-sha-256',
  '',
].join('\n');

const SETTINGS = ['-c', 'max_connections=200', '-c', 'password_encryption=scram-sha-256'];

/** `embedded:DIRECTORY`: the embedded server of the version that is installed there (test/matrix/run.mjs). */
const OTHER_VERSION = 'embedded:';

interface Server {
  readonly url: string;
  readonly kind: 'embedded' | 'testcontainers' | 'url';
  readonly tls: boolean;
  stop(): Promise<void>;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [, server] = await Promise.all([build(), startServer(process.env['HOLDFAST_TEST_POSTGRES'] ?? '')]);
  try {
    const ours = server.kind !== 'url';
    if (ours) await createAuthUsers(server.url);
    project.provide('postgresUrl', server.url);
    project.provide('postgresKind', server.kind);
    project.provide('postgresTls', server.tls);
    project.provide('postgresAuthUsers', ours);
    project.provide('postgresPackage', packageOf(process.env['HOLDFAST_TEST_POSTGRES'] ?? ''));
  } catch (error) {
    await server.stop();
    throw error;
  }
  return () => server.stop();
}

async function startServer(choice: string): Promise<Server> {
  if (choice === '' || choice.startsWith(OTHER_VERSION)) {
    const embedded = await startEmbedded({
      directory: await mkdtemp(path.join(tmpdir(), 'holdfast-test-')),
      ephemeral: true,
      user: SUPERUSER,
      password: PASSWORD,
      ...packageOf(choice),
      postgresFlags: [...SETTINGS, '-c', 'ssl=on'],
      files: {
        'pg_hba.conf': PG_HBA,
        // The names that ssl_cert_file and ssl_key_file have by default.
        'server.crt': tlsFile('server.crt'),
        'server.key': tlsFile('server.key'),
      },
    });
    return { url: embedded.url, kind: 'embedded', tls: true, stop: () => embedded.stop() };
  }
  if (choice === 'testcontainers') {
    const { GenericContainer, Wait } = await import('testcontainers');
    const hba = '/etc/holdfast-pg_hba.conf';
    const container = await new GenericContainer('postgres:18')
      .withEnvironment({ POSTGRES_USER: SUPERUSER, POSTGRES_PASSWORD: PASSWORD })
      .withCopyContentToContainer([{ content: PG_HBA, target: hba, mode: 0o644 }])
      .withCommand(['postgres', ...SETTINGS, '-c', 'fsync=off', '-c', `hba_file=${hba}`])
      .withExposedPorts(5432)
      // The image starts the server twice: once for its own initialisation.
      .withWaitStrategy(Wait.forLogMessage('database system is ready to accept connections', 2))
      .start();
    const address = `${container.getHost()}:${String(container.getMappedPort(5432))}`;
    return {
      url: `postgres://${SUPERUSER}:${PASSWORD}@${address}/postgres`,
      kind: 'testcontainers',
      tls: false,
      stop: async () => {
        await container.stop();
      },
    };
  }
  return { url: choice, kind: 'url', tls: false, stop: () => Promise.resolve() };
}

function packageOf(choice: string): { packageDirectory?: string } {
  return choice.startsWith(OTHER_VERSION) ? { packageDirectory: choice.slice(OTHER_VERSION.length) } : {};
}

async function createAuthUsers(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const [method, user] of Object.entries(AUTH_USERS)) {
      await client.query(`SET password_encryption = '${method === 'md5' ? 'md5' : 'scram-sha-256'}'`);
      await client.query(`CREATE ROLE ${user} LOGIN PASSWORD ${pg.escapeLiteral(AUTH_PASSWORD)}`);
    }
  } finally {
    await client.end();
  }
}

/**
 * What `npm run build` writes, unless nothing under src changed since the last
 * time. Types are not looked at, which takes two thirds of the time: their check is a
 * step of its own. Other errors are printed and do not stop the run: one file in the
 * middle of an edit should not stop the tests of the others. tsc writes its output all
 * the same.
 */
async function build(): Promise<void> {
  const stamp = path.join(ROOT, 'dist', '.stamp');
  const state = await sourceState();
  if ((await readFile(stamp, 'utf8').catch(() => '')) === state) return;
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const quickly = (file: string): string[] => [
    '--noCheck',
    '--incremental',
    '--tsBuildInfoFile',
    `dist/${file}`,
  ];
  try {
    const run = (args: readonly string[]) => promisify(execFile)(process.execPath, args, { cwd: ROOT });
    await Promise.all([
      run([tsc, '-p', 'tsconfig.build.json', ...quickly('.tsbuildinfo')]),
      run([tsc, '-p', 'src/admin/page', ...quickly('.page.tsbuildinfo')]),
      run(['src/admin/page/ship.mjs']),
    ]);
    await writeFile(stamp, state);
  } catch (error) {
    const output = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    process.stderr.write(`dist was built with errors:\n${output === '' ? String(error) : output}\n`);
  }
}

async function sourceState(): Promise<string> {
  const names = (await readdir(path.join(ROOT, 'src'), { recursive: true })).filter((name) =>
    /\.(ts|mjs|json|html|css|svg)$/.test(name),
  );
  const files = ['tsconfig.json', 'tsconfig.build.json', ...names.map((name) => path.join('src', name))];
  const lines = files.sort().map(async (file) => {
    const { mtimeMs, size } = await stat(path.join(ROOT, file));
    return `${file} ${String(mtimeMs)} ${String(size)}`;
  });
  return (await Promise.all(lines)).join('\n');
}
