/** pgbench -S through each contestant: transactions per second and the intermediary's CPU time a query. */
import { cpuMicroseconds, runAsync } from './processes.mjs';
import { DATABASE, USER } from './postgres.mjs';
import { rotated } from './statistics.mjs';

/** @typedef {import('./contestants.mjs').Started} Started */
/** @typedef {{ tps: number, cpu: number | null }} Sample cpu: µs a query, null without an intermediary */
/** @typedef {{ mode: string, clients: number, samples: Record<string, (Sample | null)[]> }} LoadResult one sample a round */

/**
 * @param {Started[]} contestants
 * @param {import('./options.mjs').Options} options
 * @param {string} pgbench
 * @param {(text: string) => void} say
 * @returns {Promise<LoadResult[]>}
 */
export async function measureLoad(contestants, options, pgbench, say) {
  /** @type {LoadResult[]} */
  const results = options.modes.flatMap((mode) =>
    options.clients.map((clients) => ({
      mode,
      clients,
      samples: Object.fromEntries(contestants.map(({ id }) => [id, []])),
    })),
  );
  for (let round = 0; round < options.rounds; round++) {
    for (const { mode, clients, samples } of results) {
      for (const contestant of rotated(contestants, round)) {
        const sample = await once(contestant, mode, clients, options.seconds, pgbench).catch((error) => {
          say(`  ${contestant.id}: ${error instanceof Error ? error.message : String(error)}`);
          return null;
        });
        samples[contestant.id]?.push(sample);
        if (sample)
          say(
            `  round ${round + 1} ${mode} ${clients} ${contestant.id}: ${sample.tps.toFixed(0)} tps` +
              (sample.cpu === null ? '' : `, ${sample.cpu.toFixed(1)} µs`),
          );
      }
    }
  }
  return results;
}

/**
 * @param {Started} contestant @param {string} mode @param {number} clients @param {number} seconds @param {string} pgbench
 * @returns {Promise<Sample>}
 */
async function once(contestant, mode, clients, seconds, pgbench) {
  const before = contestant.pid === null ? null : cpuMicroseconds(contestant.pid);
  const output = await runAsync(pgbench, [
    ...['-S', '-n', '-M', mode, '-c', String(clients), '-j', '2', '-T', String(seconds)],
    ...['-h', '127.0.0.1', '-p', String(contestant.port), '-U', USER, DATABASE],
  ]);
  const used = before === null || contestant.pid === null ? null : cpuMicroseconds(contestant.pid) - before;
  const { tps, transactions } = readPgbench(output);
  return { tps, cpu: used === null ? null : used / transactions };
}

/**
 * @param {string} output
 * @returns {{ tps: number, transactions: number }}
 */
export function readPgbench(output) {
  const transactions = Number(/^number of transactions actually processed: (\d+)/m.exec(output)?.[1]);
  const tps = Number(/^tps = ([\d.]+)/m.exec(output)?.[1]);
  if (!(transactions > 0) || !(tps > 0)) throw new Error(`pgbench said: ${output.trim().slice(-300)}`);
  return { tps, transactions };
}
