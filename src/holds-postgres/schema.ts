/**
 * The schema that the holds are kept in, and its versions.
 *
 * Law: a version that was released is never changed, only followed by another. All
 * of it is one transaction under a lock, so that processes that start at once find
 * it done or do it, one of them. A schema of a later version is not touched.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { OperatorError } from '../errors.js';
import { reasonOf } from './connections.js';

/** Each leads from the version before it to its own, beginning with 1. `$S` is the schema. */
const VERSIONS: readonly string[] = [
  `
  CREATE TABLE $S.process (
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL UNIQUE,
    seen_at bigint NOT NULL
  );
  COMMENT ON TABLE $S.process IS 'The Holdfast processes; seen_at in milliseconds since 1970. A process that runs holds the advisory lock of its number.';

  CREATE SEQUENCE $S.closing;
  CREATE TABLE $S.hold (
    id text PRIMARY KEY,
    revision int NOT NULL,
    changed_by text[] NOT NULL,
    owner text NOT NULL,
    state text NOT NULL CHECK (state IN ('requested', 'approved', 'denied', 'expired', 'withdrawn', 'released')),
    style text NOT NULL CHECK (style IN ('wait', 'ticket')),
    db_user text NOT NULL,
    fingerprint text NOT NULL,
    requested_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    approved_at bigint,
    closed_at bigint,
    closing bigint,
    withdrawal text,
    approvals int NOT NULL CHECK (approvals > 0),
    approver_groups text[] NOT NULL,
    release_within_ms bigint NOT NULL,
    votes json NOT NULL,
    subject json NOT NULL,
    bytes bigint NOT NULL,
    CHECK ((closed_at IS NULL) = (state IN ('requested', 'approved'))),
    CHECK ((closing IS NULL) = (closed_at IS NULL)),
    CHECK (state NOT IN ('approved', 'released') OR json_array_length(votes) >= approvals),
    CHECK (revision = array_length(changed_by, 1))
  );
  COMMENT ON TABLE $S.hold IS 'Statements that wait for approval, and the latest that did; times in milliseconds since 1970. They hold literals and parameters. Whoever can write here can approve.';
  CREATE UNIQUE INDEX ticket ON $S.hold (fingerprint) WHERE closing IS NULL AND style = 'ticket';
  CREATE INDEX open_hold ON $S.hold (expires_at, db_user, bytes) WHERE closing IS NULL;
  CREATE INDEX closed_hold ON $S.hold (closing) WHERE closing IS NOT NULL;
  `,
  `
  CREATE TABLE $S.budget (
    role text NOT NULL,
    db_user text NOT NULL,
    window_ms bigint NOT NULL CHECK (window_ms > 0),
    bucket bigint NOT NULL,
    owner text NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    statements bigint NOT NULL CHECK (statements >= 0),
    expires_at bigint NOT NULL,
    changed xid8 NOT NULL,
    PRIMARY KEY (role, db_user, window_ms, bucket, owner)
  );
  COMMENT ON TABLE $S.budget IS 'What the users of each process have spent of their write budgets, by sixtieths of the window.';
  CREATE INDEX budget_changed ON $S.budget (changed);
  CREATE INDEX budget_expires ON $S.budget (expires_at);
  CREATE TABLE $S.budget_reset (
    role text NOT NULL,
    db_user text NOT NULL,
    reset_at bigint NOT NULL,
    changed xid8 NOT NULL,
    PRIMARY KEY (role, db_user)
  );
  COMMENT ON TABLE $S.budget_reset IS 'The latest reset of each user''s write budgets.';
  `,
  `
  CREATE TABLE $S.used_code (
    secret_sha256 text PRIMARY KEY,
    step bigint NOT NULL,
    used_at bigint NOT NULL
  );
  COMMENT ON TABLE $S.used_code IS 'The last one-time code that counted for each secret of an approver: its time step of 30 seconds. Whoever deletes here makes a code count again.';
  `,
];

/** What this program knows. */
const NEWEST_VERSION = VERSIONS.length;

export interface SchemaNames {
  /** As it stands in SQL. */
  readonly schema: string;
  /** The channel of NOTIFY. */
  readonly channel: string;
  /** The first number of the advisory locks: two schemas of one database have different ones. */
  readonly lockClass: number;
}

/** Second numbers of advisory locks that belong to no process: those count from 1. */
const LOCK_MIGRATION = 0;
export const LOCK_REQUESTS = -1;

/** @param schema a plain lower-case name of at most 40 bytes, as the settings allow it */
export function schemaNames(schema: string): SchemaNames {
  const lockClass =
    createHash('sha256').update(`holdfast holds ${schema}`).digest().readInt32BE(0) & 0x7fffffff;
  return { schema: `"${schema}"`, channel: `"${schema}_holds"`, lockClass };
}

/** The words for a schema that is too new; null: it is not. */
export function tooNew(version: number): string | null {
  if (version <= NEWEST_VERSION) return null;
  return `the schema of the shared holds has version ${version.toString()}, and this Holdfast knows none above ${NEWEST_VERSION.toString()}: run a newer Holdfast`;
}

/**
 * Makes the schema, or brings it to the newest version.
 * @throws OperatorError when the server cannot be reached, does not allow it, or has a later version
 */
export async function migrate(config: pg.ClientConfig, names: SchemaNames): Promise<void> {
  const client = new pg.Client(config);
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1, $2)', [names.lockClass, LOCK_MIGRATION]);
    await migrateLocked(client, names);
    await client.query('COMMIT');
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw new OperatorError(`holds.url: the store of holds cannot be opened: ${reasonOf(error)}`);
  } finally {
    void client.end().catch(() => undefined);
  }
}

async function migrateLocked(client: pg.Client, { schema }: SchemaNames): Promise<void> {
  const encoding = await client.query<{ server_encoding: string }>('SHOW server_encoding');
  if (encoding.rows[0]?.server_encoding !== 'UTF8') {
    throw new OperatorError('holds.url: the database of the shared holds must have the encoding UTF8');
  }
  // IF NOT EXISTS would ask for the right to create schemas although there is nothing to create.
  const found = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema.slice(1, -1)]);
  if (found.rowCount === 0) await client.query(`CREATE SCHEMA ${schema}`);
  const table = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
    `${schema}.migration`,
  ]);
  if (table.rows[0]?.there !== true) {
    await client.query(
      `CREATE TABLE ${schema}.migration (version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
    );
  }
  const { rows } = await client.query<{ version: number }>(versionQuery(schema));
  const version = rows[0]?.version ?? 0;
  const problem = tooNew(version);
  if (problem !== null) throw new OperatorError(`holds.url: ${problem}`);
  for (const [index, sql] of VERSIONS.entries()) {
    if (index < version) continue;
    await client.query(sql.replaceAll('$S', () => schema));
    await client.query(`INSERT INTO ${schema}.migration (version) VALUES ($1)`, [index + 1]);
  }
}

export function versionQuery(schema: string): string {
  return `SELECT coalesce(max(version), 0) AS version FROM ${schema}.migration`;
}
