/** What waiting for approval costs: memory of a session that waits, and what others notice of a thousand. */
import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { freePort, makeDirectory } from './processes.mjs';
import { DATABASE, USER } from './postgres.mjs';
import { percentile } from './statistics.mjs';
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
const QUERIES = 4_000;
const QUICK_QUERIES = 500;

/** @typedef {{ p50: number, p99: number }} Latency µs */
/**
 * @typedef {object} HoldsResult bytes a session, in use after a collection
 * @property {number} idle
 * @property {{ statement: number, bytes: number }[]} waiting by the statement's bytes
 * @property {Latency} none another session's queries while nothing waits
 * @property {Latency} many while a thousand sessions wait
 * @property {Latency} after when they are gone
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
  const queries = options.quick ? QUICK_QUERIES : QUERIES;
  const short = await measureWaiting(postgres.port, SHORT_BYTES, queries);
  const long = await measureWaiting(postgres.port, LONG_BYTES, 0);
  return {
    idle: short.idle,
    waiting: [short, long].map(({ statement, waiting }) => ({ statement, bytes: waiting })),
    none: short.none,
    many: short.many,
    after: short.after,
  };
}

/** @param {number} each */
function userOf(each) {
  return `waits_${each % USERS}`;
}

/** @param {number} upstreamPort @param {number} statement bytes @param {number} queries of the session that works */
async function measureWaiting(upstreamPort, statement, queries) {
  const holdfast = await startHoldfast(upstreamPort);
  /** @type {import('./wire.mjs').Session[]} */
  const sessions = [];
  const worker = await connect({ port: holdfast.port, user: USER, database: DATABASE });
  try {
    // A process that is cold would look as if waiting made it faster.
    await latency(worker, queries);
    const none = await latency(worker, queries);
    const before = await holdfast.memory();
    while (sessions.length < SESSIONS) {
      const opened = await Promise.all(
        Array.from({ length: OPENED_AT_ONCE }, async (_, each) => {
          const user = userOf(sessions.length + each);
          const session = await connect({ port: holdfast.port, user, database: DATABASE });
          await session.query('SELECT 1');
          return session;
        }),
      );
      sessions.push(...opened);
    }
    await sleep(SETTLE_MS);
    const idle = await holdfast.memory();
    for (const [each, session] of sessions.entries()) {
      // Nobody ever answers; the end of the session does.
      session.query(textOf(each, statement)).catch(() => undefined);
    }
    await holdfast.waiting(SESSIONS);
    await sleep(SETTLE_MS);
    const waiting = await holdfast.memory();
    const many = await latency(worker, queries);
    for (const session of sessions.splice(0)) session.end();
    await holdfast.waiting(0);
    const after = await latency(worker, queries);
    return {
      statement,
      idle: (idle - before) / SESSIONS,
      waiting: (waiting - before) / SESSIONS,
      ...{ none, many, after },
    };
  } finally {
    for (const session of [...sessions, worker]) session.end();
    await holdfast.stop();
    await sleep(SETTLE_MS); // PostgreSQL's own processes end meanwhile
  }
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

/** @param {import('./wire.mjs').Session} session @param {number} count @returns {Promise<Latency>} */
async function latency(session, count) {
  /** @type {number[]} */
  const times = [];
  for (let each = 0; each < count; each++) {
    const begin = performance.now();
    await session.query('SELECT abalance FROM pgbench_accounts WHERE aid = 4711');
    times.push((performance.now() - begin) * 1000);
  }
  // The first ones find the text out.
  const steady = times.slice(count / 10);
  return { p50: percentile(steady, 0.5), p99: percentile(steady, 0.99) };
}

/** @param {number} upstreamPort */
async function startHoldfast(upstreamPort) {
  const directory = makeDirectory(`holds-${upstreamPort}-${randomBytes(3).toString('hex')}`);
  const [port, adminPort] = [await freePort(), await freePort()];
  const token = randomBytes(24).toString('hex');
  writeFileSync(
    join(directory, 'policy.yaml'),
    `version: 1
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
`,
  );
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
  await until('Holdfast', async () => (await metrics()) !== '');
  return {
    port,
    /** Bytes in use. @returns {Promise<number>} */
    memory: () =>
      new Promise((resolve) => {
        child.once('message', (message) => resolve(/** @type {{ used: number }} */ (message).used));
        child.send('memory');
      }),
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
