/** What it costs that a write is counted before it is committed, and what those notice of it whose writes are not. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePort, makeDirectory, start, untilItWorks } from './processes.mjs';
import { DATABASE, USER } from './postgres.mjs';
import { percentile, rotated } from './statistics.mjs';
import { connect } from './wire.mjs';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const COUNTED_USER = 'counted';
const BLOCK = 200;
const WARM_UP = 100;
/** Statements of each kind and way before anything is timed: a process that has run for minutes has compiled its code. */
const FIRST_WARM_UP = 4000;
/** Texts that come again: what it costs to judge them is the same for all. */
const TEXTS = 50;

/** @typedef {{ p50: number, p99: number }} Latency µs */
/**
 * @typedef {object} CountedResult one client, one statement at a time
 * @property {Record<'direct' | 'plain' | 'counted', Latency>} update autocommit
 * @property {Record<'direct' | 'plain' | 'counted', Latency>} select
 */

/** @param {number} each */
const updateText = (each) =>
  `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = ${1 + (each % TEXTS)}`;
/** @param {number} each */
const selectText = (each) => `SELECT abalance FROM pgbench_accounts WHERE aid = ${1 + (each % TEXTS)}`;

/**
 * @param {import('./options.mjs').Options} options
 * @param {import('./postgres.mjs').Postgres} postgres
 * @returns {Promise<CountedResult>}
 */
export async function measureCounted(options, postgres) {
  const admin = await connect({ port: postgres.port, user: 'postgres', database: DATABASE });
  await admin.query(`CREATE ROLE ${COUNTED_USER} LOGIN; GRANT SELECT, UPDATE ON pgbench_accounts TO PUBLIC`);
  admin.end();
  const holdfast = await startHoldfast(postgres.port);
  const ways = [
    { way: 'direct', port: postgres.port, user: USER },
    { way: 'plain', port: holdfast.port, user: USER },
    { way: 'counted', port: holdfast.port, user: COUNTED_USER },
  ];
  /** @type {{ way: string, session: import('./wire.mjs').Session, update: number[], select: number[] }[]} */
  const open = [];
  try {
    for (const { way, port, user } of ways)
      open.push({
        way,
        session: await connect({ port, user, database: DATABASE }),
        update: [],
        select: [],
      });
    for (const { session } of open) {
      await timed(session, updateText, options.quick ? WARM_UP : FIRST_WARM_UP);
      await timed(session, selectText, options.quick ? WARM_UP : FIRST_WARM_UP);
    }
    const blocks = options.rounds * (options.quick ? 1 : 4);
    for (let round = 0; round < blocks; round++) {
      for (const { session, update, select } of rotated(open, round)) {
        await timed(session, updateText, WARM_UP);
        update.push(...(await timed(session, updateText, BLOCK)));
        await timed(session, selectText, WARM_UP);
        select.push(...(await timed(session, selectText, BLOCK)));
      }
    }
  } finally {
    for (const { session } of open) session.end();
    await holdfast.stop();
  }
  const figures = (/** @type {'update' | 'select'} */ kind) =>
    /** @type {Record<'direct' | 'plain' | 'counted', Latency>} */ (
      Object.fromEntries(
        open.map((each) => [
          each.way,
          { p50: percentile(each[kind], 0.5), p99: percentile(each[kind], 0.99) },
        ]),
      )
    );
  return { update: figures('update'), select: figures('select') };
}

/** @param {import('./wire.mjs').Session} session @param {(each: number) => string} text @param {number} count */
async function timed(session, text, count) {
  /** @type {number[]} */
  const times = [];
  for (let each = 0; each < count; each++) {
    const begin = performance.now();
    await session.query(text(each));
    times.push((performance.now() - begin) * 1000);
  }
  return times;
}

/** @param {number} upstreamPort */
async function startHoldfast(upstreamPort) {
  const directory = makeDirectory(`counted-${upstreamPort}`);
  const port = await freePort();
  writeFileSync(
    join(directory, 'policy.yaml'),
    `version: 1
roles:
  - name: app
    match: { users: [${USER}] }
    access: write
  - name: counted
    match: { users: [${COUNTED_USER}] }
    access: write
    rules: { row-limit: { action: deny, statement: 1000, transaction: 10000 } }
`,
  );
  const config = join(directory, 'holdfast.yaml');
  writeFileSync(
    config,
    `environment: bench
listen: { host: 127.0.0.1, port: ${port}, tls: { mode: 'off' } }
upstream: { host: 127.0.0.1, port: ${upstreamPort}, tls: { mode: 'off' } }
admin: { host: 127.0.0.1, port: ${await freePort()} }
policy: policy.yaml
audit: { path: audit.jsonl }
`,
  );
  const child = start(process.execPath, [CLI, 'serve', '--config', config]);
  await untilItWorks(async () => {
    const session = await connect({ port, user: USER, database: DATABASE });
    await session.query('SELECT 1').finally(() => session.end());
  }, child);
  return { port, stop: () => child.stop() };
}
