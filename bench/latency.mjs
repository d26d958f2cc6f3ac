/** What one client waits longer for one query than without an intermediary. */
import { DATABASE, USER } from './postgres.mjs';
import { percentile, rotated } from './statistics.mjs';
import { connect } from './wire.mjs';

const SCALE_ROWS = 1_000_000;
const BLOCK = 500;
const WARM_UP = 200;

/** @typedef {{ p50: number, p99: number }} Latency µs */
/** @typedef {{ same: Record<string, Latency>, unseen: Record<string, Latency> }} LatencyResult */

/**
 * One connection a contestant, all open at once, a block of queries in turn: `same` is one text
 * repeated, `unseen` a text that never came before.
 * @param {import('./contestants.mjs').Started[]} contestants
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<LatencyResult>}
 */
export async function measureLatency(contestants, options) {
  /** @type {{ id: string, session: import('./wire.mjs').Session, same: number[], unseen: number[] }[]} */
  const open = [];
  for (const { id, port } of contestants) {
    const session = await connect({ port, user: USER, database: DATABASE });
    open.push({ id, session, same: [], unseen: [] });
  }
  let next = 0;
  const unseenText = () =>
    `SELECT abalance FROM pgbench_accounts WHERE aid = ${(next++ * 7919) % SCALE_ROWS}`;
  const sameText = () => 'SELECT abalance FROM pgbench_accounts WHERE aid = 4711';
  const blocks = options.rounds * (options.quick ? 1 : 4);
  for (let round = 0; round < blocks; round++) {
    for (const { session, same, unseen } of rotated(open, round)) {
      await timed(session, sameText, WARM_UP);
      same.push(...(await timed(session, sameText, BLOCK)));
      unseen.push(...(await timed(session, unseenText, BLOCK)));
    }
  }
  for (const { session } of open) session.end();
  const table = (/** @type {'same' | 'unseen'} */ kind) =>
    Object.fromEntries(
      open.map((each) => [each.id, { p50: percentile(each[kind], 0.5), p99: percentile(each[kind], 0.99) }]),
    );
  return { same: table('same'), unseen: table('unseen') };
}

/**
 * @param {import('./wire.mjs').Session} session
 * @param {() => string} text
 * @param {number} count
 * @returns {Promise<number[]>} µs a query
 */
async function timed(session, text, count) {
  /** @type {number[]} */
  const times = [];
  for (let each = 0; each < count; each++) {
    const sql = text();
    const begin = performance.now();
    await session.query(sql);
    times.push((performance.now() - begin) * 1000);
  }
  return times;
}
