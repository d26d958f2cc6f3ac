/**
 * The catalog of a running database, for commands that are given its URL.
 *
 * Law: one connection, one query, an end to how long that may take. What is
 * complained of names the server, never the URL: a URL may hold a password.
 */
import pg from 'pg';
import type { Catalog } from '../catalog/catalog.js';
import { decodeCatalog } from '../catalog/decode.js';
import { CATALOG_QUERY } from '../catalog/queries.js';
import { OperatorError } from '../errors.js';

export interface CatalogTimeouts {
  /** Until the session is open, milliseconds. */
  readonly connect: number;
  /** For the query, milliseconds. */
  readonly query: number;
}

const TIMEOUTS: CatalogTimeouts = { connect: 10_000, query: 30_000 };

/**
 * Reads the catalog. What the URL leaves out comes from PGHOST, PGPORT, PGUSER,
 * PGPASSWORD, PGDATABASE and the password file, as the package `pg` reads them.
 * @throws OperatorError (exit code 2: nothing was judged) when the URL is none, or the server does not answer it.
 */
export async function readLiveCatalog(url: string, timeouts = TIMEOUTS): Promise<Catalog> {
  const client = openClient(url, timeouts);
  const server = serverName(client);
  // A connection that breaks while nothing is awaited says so by an event; what is awaited fails by itself.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<(string | null)[]>({ text: CATALOG_QUERY, rowMode: 'array' });
    return decodeCatalog(rows);
  } catch (error) {
    throw new OperatorError(`the catalog of ${server} cannot be read: ${reason(error, client, timeouts)}`, 2);
  } finally {
    // Also after a login that failed half-way: an open socket would keep the process. Nobody waits for the goodbye.
    void client.end().catch(() => undefined);
  }
}

const EXAMPLE = 'postgres://user@host:5432/database';

const BAD_URL = `--catalog is no valid URL: it looks like ${EXAMPLE}, and / ? # @ : in a password are written %2F %3F %23 %40 %3A`;

/**
 * One @, behind the user and before the host. Otherwise some / ? # or @ of a
 * password was not encoded, and the rest of the password would be taken for a
 * port or a database, and be shown as such.
 */
const WELL_FORMED = /^[a-z]+:\/\/([^/?#@]*@)?[^/?#@]*(\/[^/?#@]*)?(\?[^#@]*)?$/i;

function openClient(url: string, timeouts: CatalogTimeouts): pg.Client {
  if (!/^postgres(ql)?:\/\//i.test(url)) {
    throw new OperatorError(`--catalog expects the URL of a database, such as ${EXAMPLE}`, 2);
  }
  if (!WELL_FORMED.test(url)) throw new OperatorError(BAD_URL, 2);
  try {
    return new pg.Client({
      connectionString: url,
      application_name: 'holdfast',
      connectionTimeoutMillis: timeouts.connect,
      query_timeout: timeouts.query,
      // Every value as the server wrote it.
      types: { getTypeParser: () => (value: string) => value },
    });
  } catch (error) {
    const code = codeOf(error);
    const file = error instanceof Error && 'path' in error ? String(error.path) : null;
    throw new OperatorError(
      code === 'ENOENT' && file !== null ? `--catalog: ${file} cannot be read: no such file` : BAD_URL,
      2,
    );
  }
}

function serverName(client: pg.Client): string {
  const host = client.host.startsWith('/') ? `the socket in ${client.host}` : `${client.host}:${client.port}`;
  return `database "${client.database ?? ''}" on ${host}`;
}

/** Why it failed, in words. What a server says is passed on; it never repeats a password. */
function reason(error: unknown, client: pg.Client, timeouts: CatalogTimeouts): string {
  // Of a name with several addresses each has failed; the first one's reason will do.
  const cause: unknown = error instanceof AggregateError ? (error.errors as unknown[])[0] : error;
  const code = codeOf(cause);
  const message = cause instanceof Error ? cause.message : String(cause);
  switch (code ?? '') {
    case 'ECONNREFUSED':
      return 'nothing listens there (connection refused)';
    case 'ENOENT':
      return 'there is no such socket';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host name "${client.host}" cannot be resolved`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
      return 'the host cannot be reached';
    case 'ECONNRESET':
      return 'the server closed the connection';
    default:
  }
  if (/password must be a (non-empty )?string/.test(message)) {
    return `the server wants a password for user "${client.user ?? ''}": put it into PGPASSWORD`;
  }
  if (/timeout exceeded|timeout expired/.test(message)) {
    return `no session within ${timeouts.connect / 1000} s`;
  }
  if (/Query read timeout/.test(message)) return `no answer within ${timeouts.query / 1000} s`;
  return message;
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
