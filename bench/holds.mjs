/** What waiting for approval costs: memory of a session that waits, and what others notice of a thousand. */
import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { freePort, makeDirectory } from './processes.mjs';
import { DATABASE, USER } from './postgres.mjs';
import { median, percentile, rotated } from './statistics.mjs';
import { connect } from './wire.mjs';

const SESSIONS = 1000;
const OPENED_AT_ONCE = 20;
/** One user may have a hundred statements that wait. */
const USERS = 10;
const SHORT_BYTES = 200;
/** Longer than what is analysed in place and remembered. */
const LONG_BYTES = 10_000;
const SETTLE_MS = 500;
const APPEARS_MS = 60_000;
/** In a round. */
const QUERIES = 4_000;
const QUICK_QUERIES = 500;
/** Statements that are held before memory is measured: what is compiled by then is no session's. */
const WARM_UP_HOLDS = 50;

/** @typedef {{ p50: number, p99: number, cpu: number }} Beside µs: another session's queries, and Holdfast's CPU time for each */
/**
 * @typedef {object} HoldsResult bytes a session, in use after a collection
 * @property {number} idle
 * @property {{ statement: number, bytes: number }[]} waiting by the statement's bytes
 * @property {{ idle: Beside, waiting: Beside }} beside another session while a thousand are idle, and while the same thousand wait; medians over rounds
 */

/**
 * @param {import('./options.mjs').Options} options
 * @param {import('./postgres.mjs').Postgres} postgres
 * @returns {Promise<HoldsResult>}
 */
export async function measureHolds(options, postgres) {
  const admin = await connect({ port: postgres.port, user: 'postgres', database: DATABASE });
  for (let each = 0; each < USERS; each++) await admin.query(`CREATE ROLE ${userOf(each)} LOGIN`);
  await admin.query('CREATE TABLE IF NOT EXISTS held (id int, v text); GRANT INSERT ON held TO PUBLIC');
  admin.end();
  const load = { rounds: options.rounds, queries: options.quick ? QUICK_QUERIES : QUERIES };
  const short = await measureWaiting(postgres.port, SHORT_BYTES, load);
  const long = await measureWaiting(postgres.port, LONG_BYTES, null);
  if (short.beside === null) throw new Error('nothing was measured beside those who wait');
  return {
    idle: short.idle,
    waiting: [short, long].map(({ statement, waiting }) => ({ statement, bytes: waiting })),
    beside: short.beside,
  };
}

/** @param {number} each */
function userOf(each) {
  return `waits_${each % USERS}`;
}

/**
 * @param {number} upstreamPort
 * @param {number} statement bytes
 * @param {{ rounds: number, queries: number } | null} load of the session beside them; null: there is none
 */
async function measureWaiting(upstreamPort, statement, load) {
  const holdfast = await startHoldfast(upstreamPort);
  /** @type {import('./wire.mjs').Session[]} */
  const sessions = [];
  const worker = await connect({ port: holdfast.port, user: USER, database: DATABASE });
  try {
    const warm = await open(holdfast.port, 1);
    for (let each = 0; each < WARM_UP_HOLDS; each++) await (await holdAll(holdfast, warm, statement))();
    warm[0]?.end();
    const before = await holdfast.memory();
    while (sessions.length < SESSIONS) sessions.push(...(await open(holdfast.port, OPENED_AT_ONCE)));
    await sleep(SETTLE_MS);
    const idle = await holdfast.memory();
    const takeBack = await holdAll(holdfast, sessions, statement);
    await sleep(SETTLE_MS);
    const waiting = await holdfast.memory();
    await takeBack();
    return {
      statement,
      idle: (idle - before) / SESSIONS,
      waiting: (waiting - before) / SESSIONS,
      beside: load === null ? null : await measureBeside(holdfast, sessions, worker, statement, load),
    };
  } finally {
    for (const session of [...sessions, worker]) session.end();
    await holdfast.stop();
    await sleep(SETTLE_MS); // PostgreSQL's own processes end meanwhile
  }
}

/** @param {number} port @param {number} count @returns {Promise<import('./wire.mjs').Session[]>} */
function open(port, count) {
  return Promise.all(
    Array.from({ length: count }, async (_, each) => {
      const session = await connect({ port, user: userOf(each), database: DATABASE });
      await session.query('SELECT 1');
      return session;
    }),
  );
}

/**
 * Has each session send a statement that waits.
 * @param {Awaited<ReturnType<typeof startHoldfast>>} holdfast
 * @param {import('./wire.mjs').Session[]} sessions
 * @param {number} statement bytes
 * @returns {Promise<() => Promise<void>>} has all of them taken back
 */
async function holdAll(holdfast, sessions, statement) {
  // Nobody ever approves them.
  const ended = sessions.map((session, each) =>
    session.query(textOf(each, statement)).catch(() => undefined),
  );
  await holdfast.waiting(sessions.length);
  return async () => {
    holdfast.changePolicy();
    await Promise.all(ended);
  };
}

/**
 * The same sessions, by turns idle and waiting, and another one that works.
 * @param {Awaited<ReturnType<typeof startHoldfast>>} holdfast
 * @param {import('./wire.mjs').Session[]} sessions
 * @param {import('./wire.mjs').Session} worker
 * @param {number} statement bytes
 * @param {{ rounds: number, queries: number }} load
 * @returns {Promise<{ idle: Beside, waiting: Beside }>}
 */
async function measureBeside(holdfast, sessions, worker, statement, { rounds, queries }) {
  /** @type {Record<'idle' | 'waiting', Beside[]>} */
  const found = { idle: [], waiting: [] };
  // A process that is cold would look as if waiting made it faster.
  await beside(holdfast, worker, queries);
  for (let round = 0; round < rounds; round++) {
    for (const state of rotated(/** @type {const} */ (['idle', 'waiting']), round)) {
      const takeBack = state === 'idle' ? null : await holdAll(holdfast, sessions, statement);
      await sleep(SETTLE_MS);
      found[state].push(await beside(holdfast, worker, queries));
      await takeBack?.();
    }
  }
  const medians = (/** @type {Beside[]} */ all) => ({
    p50: median(all.map(({ p50 }) => p50)),
    p99: median(all.map(({ p99 }) => p99)),
    cpu: median(all.map(({ cpu }) => cpu)),
  });
  return { idle: medians(found.idle), waiting: medians(found.waiting) };
}

/**
 * A statement of so many bytes. Texts that are remembered are the same in all sessions: the memory for
 * texts is bounded by itself, whoever sends them. Others are each session's own.
 * @param {number} each @param {number} bytes
 */
function textOf(each, bytes) {
  const head = `INSERT INTO held VALUES (${bytes === SHORT_BYTES ? 0 : each}, '`;
  return `${head}${'x'.repeat(bytes - head.length - 2)}')`;
}

/**
 * @param {Awaited<ReturnType<typeof startHoldfast>>} holdfast
 * @param {import('./wire.mjs').Session} session
 * @param {number} count
 * @returns {Promise<Beside>}
 */
async function beside(holdfast, session, count) {
  // The first ones find the text out.
  await latencies(session, count / 10);
  const before = await holdfast.cpu();
  const times = await latencies(session, count);
  const cpu = ((await holdfast.cpu()) - before) / count;
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), cpu };
}

/** @param {import('./wire.mjs').Session} session @param {number} count @returns {Promise<number[]>} µs */
async function latencies(session, count) {
  /** @type {number[]} */
  const times = [];
  for (let each = 0; each < count; each++) {
    const begin = performance.now();
    await session.query('SELECT abalance FROM pgbench_accounts WHERE aid = 4711');
    times.push((performance.now() - begin) * 1000);
  }
  return times;
}

/** @param {number} upstreamPort */
async function startHoldfast(upstreamPort) {
  const directory = makeDirectory(`holds-${upstreamPort}-${randomBytes(3).toString('hex')}`);
  const [port, adminPort] = [await freePort(), await freePort()];
  const token = randomBytes(24).toString('hex');
  const policyFile = join(directory, 'policy.yaml');
  const policy = `version: 1
roles:
  - name: app
    match: { users: [${USER}] }
    access: write
  - name: waits
    match: { users: ['waits_*'] }
    access: write
    rules: { protected-tables: { action: hold, tables: [held] } }
    hold: { approvals: 2, approvers: [dba], timeout: 1h }
approvers:
  - { name: kim, groups: [dba], token_sha256: '${createHash('sha256').update(token).digest('hex')}' }
  - { name: lee, groups: [dba], token_sha256: '${createHash('sha256').update(`${token}2`).digest('hex')}' }
`;
  writeFileSync(policyFile, policy);
  let changes = 0;
  const config = join(directory, 'holdfast.yaml');
  writeFileSync(
    config,
    `environment: bench
listen: { host: 127.0.0.1, port: ${port} }
upstream: { host: 127.0.0.1, port: ${upstreamPort}, tls: { mode: 'off' } }
admin: { host: 127.0.0.1, port: ${adminPort} }
policy: policy.yaml
audit: { path: audit.jsonl }
limits: { connections: ${SESSIONS + 50}, drain_timeout: 1s }
`,
  );
  const child = fork(fileURLToPath(new URL('holds-process.mjs', import.meta.url)), [config], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const metrics = async () => (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const ask = (/** @type {'memory' | 'cpu'} */ what) =>
    new Promise((/** @type {(figure: number) => void} */ resolve) => {
      child.once('message', (figure) => resolve(Number(figure)));
      child.send(what);
    });
  await until('Holdfast', async () => (await metrics()) !== '');
  return {
    port,
    /** Bytes in use. */
    memory: () => ask('memory'),
    /** µs of CPU time so far. */
    cpu: () => ask('cpu'),
    /** What waits under one policy is taken back under the next. */
    changePolicy() {
      changes += 1;
      // At once, for it is read when it changes.
      writeFileSync(`${policyFile}.new`, `${policy}# ${changes}\n`);
      renameSync(`${policyFile}.new`, policyFile);
      child.kill('SIGHUP');
    },
    /** Resolves when so many statements wait. @param {number} count */
    waiting: (count) =>
      until(`${count} waiting statements`, async () => {
        const found = /^holdfast_holds\{state="requested"\} (\d+)$/m.exec(await metrics());
        return Number(found?.[1] ?? 0) === count;
      }),
    async stop() {
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(patience);
    },
  };
}

/** @param {string} what @param {() => Promise<boolean>} reached */
async function until(what, reached) {
  const end = performance.now() + APPEARS_MS;
  while (!(await reached().catch(() => false))) {
    if (performance.now() > end) throw new Error(`${what} did not come in time`);
    await sleep(50);
  }
}
