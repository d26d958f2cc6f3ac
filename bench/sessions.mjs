/** What sessions cost: resident memory of idle ones, and how many can be opened in a second. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { CONTESTANTS, startContestant } from './contestants.mjs';
import { readPgbench } from './load.mjs';
import { cpuMicroseconds, makeDirectory, residentBytes, runAsync } from './processes.mjs';
import { DATABASE, USER } from './postgres.mjs';
import { median, rotated } from './statistics.mjs';
import { connect } from './wire.mjs';

const SESSIONS = 1000;
const OPENED_AT_ONCE = 20;
const SETTLE_MS = 2000;

/**
 * Growth of the resident memory over the first 1,000 sessions of a fresh process; each session has
 * logged in and run one query. Nothing is asked to collect garbage.
 * @param {string[]} ids
 * @param {import('./postgres.mjs').Postgres} postgres
 * @param {(text: string) => void} say
 * @returns {Promise<Record<string, { kilobytes: number, base: number } | { error: string }>>} KB (1,000 bytes) a session; of the process without one
 */
export async function measureMemory(ids, postgres, say) {
  /** @type {Record<string, { kilobytes: number, base: number } | { error: string }>} */
  const results = {};
  for (const contestant of CONTESTANTS) {
    if (!ids.includes(contestant.id) || !contestant.manySessions) continue;
    try {
      results[contestant.id] = await memoryOf(contestant, postgres.port);
    } catch (error) {
      results[contestant.id] = { error: error instanceof Error ? error.message : String(error) };
    }
    say(`  ${contestant.id}: ${JSON.stringify(results[contestant.id])}`);
  }
  return results;
}

/** @param {import('./contestants.mjs').Contestant} contestant @param {number} upstreamPort */
async function memoryOf(contestant, upstreamPort) {
  const fresh = await startContestant(contestant, upstreamPort);
  /** @type {import('./wire.mjs').Session[]} */
  const sessions = [];
  try {
    await sleep(SETTLE_MS / 2);
    const before = residentBytes(Number(fresh.pid));
    while (sessions.length < SESSIONS) {
      const opened = await Promise.all(
        Array.from({ length: OPENED_AT_ONCE }, async () => {
          const session = await connect({ port: fresh.port, user: USER, database: DATABASE });
          await session.query('SELECT 1');
          return session;
        }),
      );
      sessions.push(...opened);
    }
    await sleep(SETTLE_MS);
    const after = residentBytes(Number(fresh.pid));
    return { kilobytes: (after - before) / SESSIONS / 1000, base: before / 1000 };
  } finally {
    for (const session of sessions) session.end();
    await fresh.stop();
    await sleep(SETTLE_MS / 2); // PostgreSQL's own processes end meanwhile
  }
}

/**
 * pgbench -C: a connection for each `SELECT 1`, 8 at once.
 * @param {import('./contestants.mjs').Started[]} contestants
 * @param {import('./options.mjs').Options} options
 * @param {string} pgbench
 * @returns {Promise<Record<string, { perSecond: number, cpu: number } | { error: string }>>} cpu: µs a connection
 */
export async function measureConnections(contestants, options, pgbench) {
  const script = join(makeDirectory('connections'), 'one.sql');
  writeFileSync(script, 'SELECT 1;\n');
  const seconds = Math.min(options.seconds, 3);
  const runs = contestants.map((contestant) => ({
    contestant,
    /** @type {number[]} */ rates: [],
    /** @type {number[]} */ cpu: [],
    /** @type {string | null} */ error: null,
  }));
  for (let round = 0; round < options.rounds; round++) {
    for (const run of rotated(runs, round)) {
      const { pid, port } = run.contestant;
      const before = pid === null ? 0 : cpuMicroseconds(pid);
      try {
        const output = await runAsync(pgbench, [
          ...['-n', '-C', '-f', script, '-c', '8', '-j', '2', '-T', String(seconds)],
          ...['-h', '127.0.0.1', '-p', String(port), '-U', USER, DATABASE],
        ]);
        const { tps, transactions } = readPgbench(output);
        run.rates.push(tps);
        run.cpu.push(pid === null ? NaN : (cpuMicroseconds(pid) - before) / transactions);
      } catch (error) {
        run.error = error instanceof Error ? error.message : String(error);
      }
    }
  }
  return Object.fromEntries(
    runs.map(({ contestant, rates, cpu, error }) => [
      contestant.id,
      error === null ? { perSecond: median(rates), cpu: median(cpu) } : { error },
    ]),
  );
}
