/** psql, where it is installed: libpq is the client that most others imitate. */
import { spawn, spawnSync } from 'node:child_process';

const version = spawnSync('psql', ['--version'], { encoding: 'utf8' });

/** libpq's major version; null where psql is not installed. */
export const psqlVersion: number | null =
  version.status === 0 ? Number(/\(PostgreSQL\) (\d+)/.exec(version.stdout)?.[1] ?? 0) : null;

export interface PsqlResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `sql` (nothing: only connects) with a connection string; unaligned, tuples only. */
export function psql(conninfo: string, sql: readonly string[], password = ''): Promise<PsqlResult> {
  return new Promise((resolve, reject) => {
    const commands = sql.flatMap((command) => ['-c', command]);
    const child = spawn('psql', ['-X', '-A', '-t', '-w', ...commands, conninfo], {
      env: { PATH: process.env['PATH'], PGPASSWORD: password, LC_ALL: 'C', PGCONNECT_TIMEOUT: '10' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({ status, stdout, stderr });
    });
  });
}
