/**
 * Who takes part: how each intermediary is configured and started. The list is the only place
 * that knows them by name; the measurements know a port and a process id.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findProgram, freePort, identity, makeDirectory, own, start, untilItWorks } from './processes.mjs';
import { DATABASE, USER } from './postgres.mjs';
import { connect } from './wire.mjs';

/** Sessions that a contestant must be able to carry: 1,000 idle ones and the bench's own. */
const MAX_SESSIONS = 1100;
/** pgpool-II holds a process a session, and is not asked to carry idle ones. */
const PGPOOL_PROCESSES = 40;

/** @typedef {{ program: string, args: string[], identity?: import('./processes.mjs').Identity, stopSignal?: NodeJS.Signals }} Launch */
/**
 * @typedef {object} Contestant
 * @property {string} id
 * @property {string} title
 * @property {boolean} manySessions takes 1,000 sessions at once
 * @property {() => string | null} missing why it cannot take part on this machine
 * @property {(port: number, upstreamPort: number, directory: string) => Promise<Launch> | Launch} launch
 */
/**
 * @typedef {object} Started
 * @property {string} id
 * @property {string} title
 * @property {boolean} manySessions
 * @property {number} port
 * @property {number | null} pid of the intermediary; null: there is none
 * @property {() => Promise<void>} stop
 */

const bench = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
const cli = bench('../dist/cli.js');
const neverMissing = () => null;

/** @type {Contestant[]} */
export const CONTESTANTS = [
  {
    id: 'pipe',
    title: 'bare Node pipe, `data`',
    manySessions: true,
    missing: neverMissing,
    launch: (port, upstreamPort) => node(bench('pipe.mjs'), 'data', String(port), String(upstreamPort)),
  },
  {
    id: 'onread',
    title: 'bare Node pipe, `onread`',
    manySessions: true,
    missing: neverMissing,
    launch: (port, upstreamPort) => node(bench('pipe.mjs'), 'onread', String(port), String(upstreamPort)),
  },
  {
    id: 'pgbouncer',
    title: 'PgBouncer, session pooling',
    manySessions: true,
    missing: () => missingProgram('pgbouncer'),
    launch: launchPgbouncer,
  },
  {
    id: 'pgpool',
    title: 'pgpool-II',
    manySessions: false,
    missing: () => missingProgram('pgpool'),
    launch: launchPgpool,
  },
  {
    id: 'haproxy',
    title: 'HAProxy, TCP mode',
    manySessions: true,
    missing: () => missingProgram('haproxy'),
    launch: launchHaproxy,
  },
  {
    id: 'holdfast',
    title: 'Holdfast',
    manySessions: true,
    missing: () => (existsSync(cli) ? null : 'dist/cli.js is not there: run `npm run build`'),
    launch: launchHoldfast,
  },
];

/**
 * The contestant's own process, ready for queries.
 * @param {Contestant} contestant
 * @param {number} upstreamPort
 * @returns {Promise<Started>}
 */
export async function startContestant(contestant, upstreamPort) {
  const port = await freePort();
  const launch = await contestant.launch(port, upstreamPort, makeDirectory(`${contestant.id}-${port}`));
  const child = start(launch.program, launch.args, launch);
  await untilItWorks(async () => {
    const session = await connect({ port, user: USER, database: DATABASE });
    await session.query('SELECT 1').finally(() => session.end());
  }, child).catch(async (error) => {
    await child.stop();
    throw error;
  });
  return { ...contestant, port, pid: child.pid, stop: () => child.stop() };
}

/** PostgreSQL itself, as the contestant without an intermediary. @param {number} port @returns {Started} */
export function direct(port) {
  return {
    id: 'direct',
    title: 'direct',
    manySessions: true,
    port,
    pid: null,
    stop: () => Promise.resolve(),
  };
}

/** @param {string} name */
function missingProgram(name) {
  return findProgram(name) === null ? `${name} is not installed` : null;
}

/** @param {string[]} args @returns {Launch} */
function node(...args) {
  return { program: process.execPath, args };
}

/** @param {string} name @returns {string} */
function program(name) {
  const path = findProgram(name);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
}

/** @param {string} directory @param {string} name @param {string} text */
function file(directory, name, text) {
  const path = join(directory, name);
  writeFileSync(path, text);
  own(path);
  return path;
}

/** @param {number} port @param {number} upstreamPort @param {string} directory @returns {Launch} */
function launchPgbouncer(port, upstreamPort, directory) {
  const users = file(directory, 'users.txt', `"${USER}" ""\n`);
  const config = file(
    directory,
    'pgbouncer.ini',
    `[databases]
${DATABASE} = host=127.0.0.1 port=${upstreamPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = session
max_client_conn = ${MAX_SESSIONS}
default_pool_size = ${MAX_SESSIONS}
log_connections = 0
log_disconnections = 0
`,
  );
  return { program: program('pgbouncer'), args: [config], identity };
}

/** @param {number} port @param {number} upstreamPort @param {string} directory @returns {Promise<Launch>} */
async function launchPgpool(port, upstreamPort, directory) {
  const config = file(
    directory,
    'pgpool.conf',
    `backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = ${port}
socket_dir = '${directory}'
pcp_listen_addresses = ''
pcp_socket_dir = '${directory}'
pcp_port = ${await freePort()}
backend_hostname0 = '127.0.0.1'
backend_port0 = ${upstreamPort}
backend_weight0 = 1
backend_flag0 = 'ALWAYS_PRIMARY'
num_init_children = ${PGPOOL_PROCESSES}
max_pool = 1
enable_pool_hba = off
pool_passwd = ''
sr_check_period = 0
health_check_period = 0
use_watchdog = off
pid_file_name = '${directory}/pgpool.pid'
logdir = '${directory}'
work_dir = '${directory}'
memory_cache_enabled = off
`,
  );
  const pcp = file(directory, 'pcp.conf', '');
  return {
    program: program('pgpool'),
    args: ['-n', '-f', config, '-F', pcp],
    identity,
    stopSignal: 'SIGINT',
  };
}

/** @param {number} port @param {number} upstreamPort @param {string} directory @returns {Launch} */
function launchHaproxy(port, upstreamPort, directory) {
  const config = file(
    directory,
    'haproxy.cfg',
    `global
  maxconn ${MAX_SESSIONS * 2}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:${port}
  server one 127.0.0.1:${upstreamPort}
`,
  );
  return { program: program('haproxy'), args: ['-db', '-f', config], identity };
}

/**
 * Everything that the shipped settings switch on stays on: full audit, written before a statement is
 * forwarded, and metrics. The role is that of an application.
 * @param {number} port @param {number} upstreamPort @param {string} directory @returns {Promise<Launch>}
 */
async function launchHoldfast(port, upstreamPort, directory) {
  file(
    directory,
    'policy.yaml',
    `version: 1
mode: enforce
roles:
  - name: app
    match: { users: [${USER}] }
    access: write
`,
  );
  const config = file(
    directory,
    'holdfast.yaml',
    `environment: bench
listen: { host: 127.0.0.1, port: ${port}, tls: { mode: 'off' } }
upstream: { host: 127.0.0.1, port: ${upstreamPort}, tls: { mode: 'off' } }
admin: { host: 127.0.0.1, port: ${await freePort()} }
policy: policy.yaml
audit:
  path: audit.jsonl
  durability: write
  sql: full
  parameters: hash
  rotate: { size: 100MB, keep: 2 }
limits: { connections: ${MAX_SESSIONS}, startup_timeout: 10s, message: 64MB, statement: 16MB }
`,
  );
  return node(cli, 'serve', '--config', config);
}
