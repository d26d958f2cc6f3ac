/**
 * The tests' PostgreSQL server, from a test file's side: its address, databases of
 * one's own on it, and the users that log in by each authentication method.
 *
 * The server itself is started once by global-setup.ts. HOLDFAST_TEST_POSTGRES
 * chooses it: unset, the embedded one; `embedded:DIRECTORY`, that of another version,
 * installed there; `testcontainers`, a container of
 * postgres:18; anything else is taken as the URL of a superuser on a server that
 * is already there.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { inject } from 'vitest';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A superuser's URL. */
    postgresUrl: string;
    postgresKind: 'embedded' | 'testcontainers' | 'url';
    /** The server speaks TLS with test/support/tls/server.crt. */
    postgresTls: boolean;
    /** The users of AUTH_USERS are there, each with its own method in pg_hba.conf. */
    postgresAuthUsers: boolean;
    /** For startEmbedded, so that a server of a test's own is of the same version. */
    postgresPackage: { packageDirectory?: string };
  }
}

/** One user for each way to log in; all have the password AUTH_PASSWORD, and no rights. */
export const AUTH_USERS = {
  trust: 'trust_user',
  password: 'password_user',
  md5: 'md5_user',
  scram: 'scram_user',
} as const;
export const AUTH_PASSWORD = 'test password, ünïcode';

/** The path of a file in test/support/tls. */
export function tlsPath(name: string): string {
  return fileURLToPath(new URL(`tls/${name}`, import.meta.url));
}

/** The text of a file in test/support/tls. */
export function tlsFile(name: string): string {
  return readFileSync(tlsPath(name), 'utf8');
}

/** The superuser's URL for a database, `postgres` when none is named. */
export function postgresUrl(database?: string): string {
  const url = new URL(inject('postgresUrl'));
  if (database !== undefined) url.pathname = `/${database}`;
  return url.href;
}

/** Sessions that are not in use, by their URL, for whoever asks next in this process: a new one costs the server more than most tests do. */
const idle = new Map<string, pg.Client>();

/** Runs `work` with a superuser client, straight to the server: a session as new, though others may have used it before. */
export async function withClient<T>(work: (client: pg.Client) => Promise<T>, database?: string): Promise<T> {
  const url = postgresUrl(database);
  const client = idle.get(url) ?? (await connected(url));
  idle.delete(url);
  socketOf(client).ref();
  try {
    return await work(client);
  } finally {
    await putBack(url, client);
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  // Its database may be dropped while nobody uses it.
  client.on('error', () => {
    if (idle.get(url) === client) idle.delete(url);
  });
  await client.connect();
  return client;
}

async function putBack(url: string, client: pg.Client): Promise<void> {
  try {
    await client.query('DISCARD ALL');
  } catch {
    // In a transaction, or gone.
    await client.end();
    return;
  }
  const other = idle.get(url);
  idle.set(url, client);
  // No process goes on for its sake.
  socketOf(client).unref();
  await other?.end();
}

function socketOf(client: pg.Client): Socket {
  return (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream;
}

export interface TestDatabase {
  readonly name: string;
  /** A superuser's URL for this database. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Removes the database, with whoever is still connected to it. */
  drop(): Promise<void>;
}

/** A new database for one test file, named `<prefix>_<random>`; `sql` is run in it. */
export async function createDatabase(prefix: string, sql?: string): Promise<TestDatabase> {
  const name = `${prefix}_${randomBytes(5).toString('hex')}`;
  await withClient((client) => client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`));
  if (sql !== undefined) await withClient((client) => client.query(sql), name);
  const url = new URL(postgresUrl(name));
  return {
    name,
    url: url.href,
    host: url.hostname,
    port: Number(url.port === '' ? '5432' : url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    drop: async () => {
      await withClient((client) =>
        client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`),
      );
    },
  };
}
