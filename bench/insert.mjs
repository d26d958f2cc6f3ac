/**
 * Another session's latency while one session sends a 10 MB INSERT. The INSERT goes out of a worker
 * thread (insert-worker.mjs), so that sending it does not delay the clock of the other session.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { DATABASE, USER } from './postgres.mjs';
import { percentile, rotated } from './statistics.mjs';
import { connect } from './wire.mjs';

const INSERT_BYTES = 10_000_000;
/** A query is taken to be due this often, in ms. */
const DUE_EVERY_MS = 1;

/** @typedef {{ p50: number, p99: number, max: number, insertMs: number, error: string | null }} InsertResult times of the other session's queries in ms */

/**
 * @param {import('./contestants.mjs').Started[]} contestants
 * @param {import('./options.mjs').Options} options
 * @param {import('./postgres.mjs').Postgres} postgres
 * @returns {Promise<Record<string, InsertResult>>}
 */
export async function measureInsert(contestants, options, postgres) {
  await postgres.execute('CREATE UNLOGGED TABLE bench_insert (id int, note text)');
  const runs = contestants.map((contestant) => ({
    contestant,
    /** @type {number[]} */ times: [],
    /** @type {number[]} */ inserts: [],
    /** @type {string | null} */ error: null,
  }));
  for (let round = 0; round < options.rounds; round++) {
    for (const run of rotated(runs, round)) {
      try {
        const { times, ms } = await runOnce(run.contestant.port);
        run.times.push(...times.flatMap(asIfDue));
        run.inserts.push(ms);
      } catch (error) {
        run.error = error instanceof Error ? error.message : String(error);
      }
      await postgres.execute('TRUNCATE bench_insert');
    }
  }
  await postgres.execute('DROP TABLE bench_insert');
  return Object.fromEntries(
    runs.map(({ contestant, times, inserts, error }) => [
      contestant.id,
      {
        p50: percentile(times, 0.5),
        p99: percentile(times, 0.99),
        max: percentile(times, 1),
        insertMs: percentile(inserts, 0.5),
        error,
      },
    ]),
  );
}

/**
 * @param {number} port
 * @returns {Promise<{ times: number[], ms: number }>} rejects when the INSERT or another query fails
 */
async function runOnce(port) {
  const session = await connect({ port, user: USER, database: DATABASE });
  const worker = new Worker(new URL('insert-worker.mjs', import.meta.url), {
    workerData: { port, user: USER, database: DATABASE, bytes: INSERT_BYTES },
  });
  try {
    await once(worker, 'message'); // its INSERT is built, and goes out now
    /** @type {{ ms: number, error: string | null } | null} */
    let result = null;
    const ended = once(worker, 'message').then(
      ([message]) => (result = message),
      (error) => (result = { ms: NaN, error: String(error) }),
    );
    /** @type {number[]} */
    const times = [];
    for (let aid = 1; result === null; aid++) {
      const begin = performance.now();
      await session.query(`SELECT abalance FROM pgbench_accounts WHERE aid = ${aid}`);
      times.push(performance.now() - begin);
    }
    const { ms, error } = await ended;
    if (error !== null) throw new Error(error);
    return { times, ms };
  } finally {
    session.end();
    await worker.terminate();
  }
}

/**
 * The next query starts only when the last one has ended, so a long stall would count as one slow query
 * among thousands of quick ones. Each wait is therefore counted once for every query that was due in it.
 * @param {number} wait ms
 * @returns {number[]}
 */
function asIfDue(wait) {
  const waits = [wait];
  for (let rest = wait - DUE_EVERY_MS; rest > 0; rest -= DUE_EVERY_MS) waits.push(rest);
  return waits;
}
