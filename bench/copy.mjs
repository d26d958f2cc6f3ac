/** COPY out of and into the server with psql's \copy, in MB/s. */
import { statSync } from 'node:fs';
import { join } from 'node:path';

import { makeDirectory, runAsync } from './processes.mjs';
import { DATABASE, USER } from './postgres.mjs';
import { median, medianRatio, rotated } from './statistics.mjs';

/** @typedef {{ out: number, in: number, outRatio: number, inRatio: number }} CopyResult MB/s, and the share of direct's */

/**
 * pgbench_accounts (about 100 MB at scale 10): one CopyData message a row on the way out, psql's
 * buffers on the way in. psql's start-up counts, for everybody alike.
 * @param {import('./contestants.mjs').Started[]} contestants direct first
 * @param {import('./options.mjs').Options} options
 * @param {import('./postgres.mjs').Postgres} postgres
 * @returns {Promise<Record<string, CopyResult | { error: string }>>}
 */
export async function measureCopy(contestants, options, postgres) {
  const path = join(makeDirectory('copy'), 'accounts.copy');
  const psql = (/** @type {number} */ port, /** @type {string} */ command) =>
    runAsync(postgres.psql, [
      ...['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', String(port), '-U', USER],
      ...['-d', DATABASE, '-c', command],
    ]);
  const rate = async (/** @type {number} */ port, /** @type {string} */ command) => {
    const begin = performance.now();
    await psql(port, command);
    return statSync(path).size / 1e6 / ((performance.now() - begin) / 1000);
  };
  await psql(postgres.port, `\\copy pgbench_accounts to '${path}'`);
  await postgres.execute('CREATE UNLOGGED TABLE bench_copy (LIKE pgbench_accounts)');

  const runs = contestants.map((contestant) => ({
    contestant,
    /** @type {number[]} */ out: [],
    /** @type {number[]} */ in: [],
    /** @type {string | null} */ error: null,
  }));
  for (let round = 0; round < options.rounds; round++) {
    for (const run of rotated(runs, round)) {
      try {
        run.out.push(await rate(run.contestant.port, `\\copy pgbench_accounts to /dev/null`));
        run.in.push(await rate(run.contestant.port, `\\copy bench_copy from '${path}'`));
      } catch (error) {
        run.error = error instanceof Error ? error.message : String(error);
      }
      await postgres.execute('TRUNCATE bench_copy');
    }
  }
  await postgres.execute('DROP TABLE bench_copy');
  const base = runs[0];
  return Object.fromEntries(
    runs.map((run) => [
      run.contestant.id,
      run.error !== null
        ? { error: run.error }
        : {
            out: median(run.out),
            in: median(run.in),
            outRatio: medianRatio(run.out, base?.out ?? []),
            inRatio: medianRatio(run.in, base?.in ?? []),
          },
    ]),
  );
}
