/**
 * What tools really send and the shipped policy nevertheless refuses, with the
 * reason. Whoever makes one of these pass moves it to statements/.
 */
import type { InnocentRole } from './corpus.js';

export interface KnownRefused {
  readonly source: string;
  readonly role: InnocentRole;
  readonly sql: string;
  /** The rule that refuses it. */
  readonly rule: string;
  /** What Holdfast has to know for that: the text alone, or the catalog too. */
  readonly knowing: 'text' | 'catalog';
  /** It should pass: Holdfast is wrong. Otherwise the policy means what it says, and the tool needs another role or setting. */
  readonly overBlocked: boolean;
  readonly reason: string;
}

export const KNOWN_REFUSED: readonly KnownRefused[] = [
  {
    source: 'lib/pq',
    role: 'read',
    sql: 'BEGIN READ WRITE',
    rule: 'access',
    knowing: 'text',
    overBlocked: true,
    reason:
      'lib/pq begins every transaction that is not expressly read-only like this, so no Go program on it can use a transaction in a read role.',
  },
  {
    source: 'pgjdbc with readOnlyMode=always, HikariCP',
    role: 'read',
    sql: 'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
    rule: 'access',
    knowing: 'text',
    overBlocked: true,
    reason:
      'Sent when a connection returns to its pool; nothing is written. It would lift the read-only mode.',
  },
  {
    source: 'Tableau',
    role: 'read',
    sql: 'CREATE LOCAL TEMPORARY TABLE "#Tableau_1_Connect" ("COL" INTEGER) ON COMMIT PRESERVE ROWS',
    rule: 'access',
    knowing: 'text',
    overBlocked: false,
    reason:
      'A try that may fail: it goes on with subqueries. The server refuses it in a read-only transaction too.',
  },
  {
    source: 'Superset',
    role: 'read',
    sql: 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = 4711',
    rule: 'access',
    knowing: 'text',
    overBlocked: false,
    reason:
      'Whose session that is cannot be told. A CancelRequest through Holdfast reaches one’s own sessions.',
  },
  {
    source: 'PostgREST',
    role: 'write',
    sql: "select set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true)",
    rule: 'access',
    knowing: 'text',
    overBlocked: false,
    reason:
      'It becomes another database user for each request; what that one may do, the policy role does not know.',
  },
  {
    source: 'TypeORM',
    role: 'write',
    sql: 'CREATE EXTENSION IF NOT EXISTS "uuid-ossp"',
    rule: 'access',
    knowing: 'text',
    overBlocked: false,
    reason:
      'Sent at each start where an entity has a uuid column; a failure is only logged. installExtensions: false stops it.',
  },
  {
    source: 'Scenic',
    role: 'write',
    sql: 'REFRESH MATERIALIZED VIEW CONCURRENTLY "totals_then";',
    rule: 'access',
    knowing: 'text',
    overBlocked: false,
    reason: 'Only the owner may refresh, and what owns tables is no application role.',
  },
  {
    source: 'Knex',
    role: 'ddl',
    sql: 'update "knex_migrations_lock" set "is_locked" = $1',
    rule: 'require-where',
    knowing: 'text',
    overBlocked: false,
    reason: 'An UPDATE without WHERE, if on a table of one row: the text does not tell how many there are.',
  },
  {
    source: 'Liquibase',
    role: 'ddl',
    sql: 'DELETE FROM public.databasechangeloglock',
    rule: 'require-where',
    knowing: 'text',
    overBlocked: false,
    reason: 'As Knex: sent once, when the lock table has just been made.',
  },
  {
    source: 'Flyway',
    role: 'ddl',
    sql: "SET ROLE 'eng_dana'",
    rule: 'access',
    knowing: 'text',
    overBlocked: true,
    reason:
      'Sent after each migration with the name of the login itself, which changes nothing. The text alone does not tell that.',
  },
  {
    source: 'Django',
    role: 'ddl',
    sql: 'ALTER TABLE "shop_order" DROP COLUMN "note" CASCADE',
    rule: 'cascade',
    knowing: 'text',
    overBlocked: false,
    reason: 'RemoveField: it loses a column and whatever hangs on it.',
  },
  {
    source: 'dbt',
    role: 'ddl',
    sql: 'drop table if exists "shop"."public"."orders__dbt_backup" cascade',
    rule: 'cascade',
    knowing: 'text',
    overBlocked: false,
    reason:
      'Each run replaces tables and drops the old ones with all that depends on them. It needs a role of its own.',
  },
  {
    source: 'ActiveRecord',
    role: 'write',
    sql: `UPDATE "users" SET "settings" = '{"theme": "dark"}', "updated_at" = '2025-01-01 00:00:00' WHERE "users"."id" = 1`,
    rule: 'json-overwrite',
    knowing: 'catalog',
    overBlocked: true,
    reason:
      'ORMs keep a document in memory and write it whole when one field of it changed. That is how documents were lost, and how every json column of every ORM is saved.',
  },
  {
    source: 'SQLAlchemy',
    role: 'write',
    sql: `UPDATE products SET attributes='{"color": "red"}'::JSONB WHERE products.id = 1`,
    rule: 'json-overwrite',
    knowing: 'catalog',
    overBlocked: true,
    reason:
      'ORMs keep a document in memory and write it whole when one field of it changed. That is how documents were lost, and how every json column of every ORM is saved.',
  },
  {
    source: 'connect-pg-simple',
    role: 'write',
    sql: `INSERT INTO "sessions" (sess, expire, sid) SELECT '{}', to_timestamp(1760000000), 'abc' ON CONFLICT (sid) DO UPDATE SET sess='{}', expire=to_timestamp(1760000000) RETURNING sid`,
    rule: 'json-overwrite',
    knowing: 'catalog',
    overBlocked: true,
    reason: 'A session store: the document is the session, and it is always written whole.',
  },
  {
    source: 'Eloquent',
    role: 'write',
    sql: `insert into "products" ("sku", "name", "price", "attributes") values ('SKU-1', 'x', 1, '{}') on conflict ("sku") do update set "attributes" = "excluded"."attributes"`,
    rule: 'json-overwrite',
    knowing: 'catalog',
    overBlocked: true,
    reason: 'An upsert of whole rows, as imports and syncs do it.',
  },
  {
    source: 'Oban',
    role: 'write',
    sql: `UPDATE "jobs" AS j0 SET "payload" = '{"step": 2}' WHERE (j0."id" = 1)`,
    rule: 'json-overwrite',
    knowing: 'catalog',
    overBlocked: true,
    reason: 'A queue that keeps its state in a document.',
  },
  {
    source: 'hand-written migrations',
    role: 'ddl',
    sql: `UPDATE users SET tags = '{}' WHERE tags IS NULL`,
    rule: 'json-overwrite',
    knowing: 'text',
    overBlocked: true,
    reason:
      '{} is an empty array of PostgreSQL as well as an empty JSON object; tags is text[]. With the catalog it passes.',
  },
  {
    source: 'an application',
    role: 'read',
    sql: `SELECT order_count('new')`,
    rule: 'access',
    knowing: 'catalog',
    overBlocked: false,
    reason: 'It only reads, but nobody wrote STABLE: functions are VOLATILE unless declared otherwise.',
  },
];
