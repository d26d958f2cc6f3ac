/** A database with everything by which rows are changed that no statement names, and a Holdfast that counts before it lets commit. */
import pg from 'pg';
import { expect } from 'vitest';
import { frontend } from '../session/messages.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { AuditRecord, TestHoldfast, TestSettings } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { Line, WireClient } from '../support/wire.js';

/** account ← member (ON DELETE CASCADE) ← login (CASCADE); account ← note (SET NULL). Ten accounts, each with two members, each with one login. */
const TABLES = `
  CREATE TABLE account (id int PRIMARY KEY, name text, n int NOT NULL DEFAULT 0);
  CREATE TABLE member (id int PRIMARY KEY, account int NOT NULL REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE);
  CREATE TABLE login (id int PRIMARY KEY, member int NOT NULL REFERENCES member ON DELETE CASCADE);
  CREATE TABLE note (id int PRIMARY KEY, account int REFERENCES account ON DELETE SET NULL ON UPDATE CASCADE);
  CREATE TABLE plain (id int PRIMARY KEY, v text);
  CREATE TABLE source (id int PRIMARY KEY);
  CREATE TABLE seen (id serial PRIMARY KEY, what text);
  CREATE TABLE loud (id int PRIMARY KEY, v int);
  CREATE TABLE part (id int NOT NULL, v int) PARTITION BY RANGE (id);
  CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100);
  CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (100) TO (200);
  CREATE TABLE deferred (id int PRIMARY KEY, account int REFERENCES account DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO seen (what) SELECT TG_OP FROM generate_series(1, 3); RETURN NEW; END $$;
  CREATE TRIGGER tell AFTER INSERT OR UPDATE ON loud FOR EACH ROW EXECUTE FUNCTION tell();
  CREATE FUNCTION wipe(lowest int) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE n int; BEGIN DELETE FROM account WHERE id >= lowest; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
  CREATE PROCEDURE sweep(lowest int) LANGUAGE plpgsql AS $$ BEGIN DELETE FROM account WHERE id >= lowest; END $$;
  CREATE PROCEDURE sweep_and_commit() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM account; COMMIT; END $$;
`;

const NAMES = ['login', 'member', 'note', 'deferred', 'account', 'plain', 'source', 'seen', 'loud', 'part'];

/** What the tables hold at first, and again after reset(). */
const ROWS = `
  INSERT INTO account SELECT i, 'a' || i FROM generate_series(1, 10) i;
  INSERT INTO member SELECT i, (i + 1) / 2 FROM generate_series(1, 20) i;
  INSERT INTO login SELECT i, i FROM generate_series(1, 20) i;
  INSERT INTO note SELECT i, i FROM generate_series(1, 10) i;
  INSERT INTO plain SELECT i, 'v' FROM generate_series(1, 10) i;
  INSERT INTO source SELECT i FROM generate_series(101, 110) i;
  INSERT INTO part SELECT i, 0 FROM generate_series(1, 5) i;
  INSERT INTO loud SELECT i, 0 FROM generate_series(1, 10) i;
  DELETE FROM seen;
  SELECT setval('seen_id_seq', 1, false);
`;

const DATA = `
  SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (
    SELECT 'account ' || a::text FROM account a UNION ALL SELECT 'member ' || m::text FROM member m
    UNION ALL SELECT 'login ' || l::text FROM login l UNION ALL SELECT 'note ' || n::text FROM note n
    UNION ALL SELECT 'plain ' || p::text FROM plain p UNION ALL SELECT 'part ' || p::text FROM part p
    UNION ALL SELECT 'loud ' || l::text FROM loud l UNION ALL SELECT 'seen ' || what FROM seen
    UNION ALL SELECT 'deferred ' || d::text FROM deferred d) AS data(t)`;

/** The rules of the role that everybody here has: nothing is in the way but what is counted. */
export function limitPolicy(limit: string, mode = 'enforce'): string {
  return `
version: 1
mode: ${mode}
roles:
  - name: counted
    access: admin
    rules: { default: allow, row-limit: { ${limit} } }
`;
}

export interface ImpactGround {
  readonly database: TestDatabase;
  readonly holdfast: TestHoldfast;
  readonly user: TestUser;
  /** Rows as they were at first. */
  reset(): Promise<void>;
  /** A checksum over all rows. */
  data(): Promise<string>;
  rows(sql: string): Promise<string>;
  /** Through Holdfast, or straight to the server. */
  login(way?: 'through' | 'direct'): Promise<WireClient>;
  /** Outcomes recorded since this was last asked. */
  outcomes(): Promise<readonly AuditRecord[]>;
  records(kind: string): Promise<readonly AuditRecord[]>;
  close(): Promise<void>;
}

async function inASessionOfItsOwn(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

export async function startImpact(
  purpose: string,
  policy: string,
  changes: TestSettings = {},
): Promise<ImpactGround> {
  const database = await createDatabase(purpose, TABLES);
  const user = await createUser(purpose, database.name);
  await withClient(async (client) => {
    await client.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO "${user.name}";
      GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO "${user.name}"`);
  }, database.name);
  const holdfast = await startTestHoldfast(database, policy, changes);
  // Rows are asked for hundreds of times: one session straight to the server, not a login each.
  const direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  const { rows: versions } = await direct.query<{ server_version_num: string }>('SHOW server_version_num');
  const flushes = Number(versions[0]?.server_version_num) >= 150_000;
  const clients = new Set<WireClient>();
  let known = 0;
  const ground: ImpactGround = {
    database,
    holdfast,
    user,
    // What it has counted for the server's estimates is there when it is done: from version 15 on a session can say so, before that its end does, and only TRUNCATE lets the estimates begin anew, whatever others have still to report.
    reset: async () => {
      const deleted = NAMES.map((name) => `DELETE FROM ${name}`).join('; ');
      if (flushes) await direct.query(`${deleted}; ${ROWS}; SELECT pg_stat_force_next_flush()`);
      else await inASessionOfItsOwn(database.url, `TRUNCATE ${NAMES.join(', ')}; ${ROWS}`);
    },
    data: () => ground.rows(DATA),
    async rows(sql) {
      const { rows } = await direct.query<unknown[]>({ text: sql, rowMode: 'array' });
      return rows.map((row) => row.map(String).join(',')).join(' ');
    },
    async login(way = 'through') {
      const port = way === 'through' ? holdfast.port : database.port;
      const client = await wireLogin({ port, user: user.name, database: database.name });
      clients.add(client);
      return client;
    },
    async outcomes() {
      const all = (await holdfast.records()).filter(({ kind }) => kind === 'outcome');
      const news = all.slice(known);
      known = all.length;
      return news;
    },
    records: async (kind) => (await holdfast.records()).filter((record) => record.kind === kind),
    async close() {
      for (const client of clients) client.close();
      await direct.end();
      await holdfast.close();
      await database.drop();
      await user.drop();
    },
  };
  await ground.reset();
  return ground;
}

/** Sends lines of a transcript in one write, and reads up to the `ready`th ReadyForQuery. */
export async function say(client: WireClient, lines: readonly string[], ready = 1): Promise<readonly Line[]> {
  await client.send(Buffer.concat(lines.map(frontend)));
  return await client.untilReady(ready);
}

export function simple(sql: string): readonly string[] {
  return [`Query ${JSON.stringify(sql)}`];
}

export function extended(sql: string): readonly string[] {
  return [`Parse "" ${JSON.stringify(sql)}`, 'Bind "" ""', 'Describe P ""', 'Execute "" 0', 'Sync'];
}

/** Impact as recorded, table → what, without what did not happen. */
export function impactOf(record: AuditRecord | undefined): Record<string, string> {
  const impact = record?.['impact'] as
    { name: string; inserted: number; updated: number; deleted: number }[] | null;
  expect(impact, JSON.stringify(record)).not.toBeNull();
  return Object.fromEntries(
    (impact ?? []).map(({ name, inserted, updated, deleted }) => [
      name,
      [inserted > 0 ? `+${inserted}` : '', updated > 0 ? `~${updated}` : '', deleted > 0 ? `-${deleted}` : '']
        .filter((part) => part !== '')
        .join(' '),
    ]),
  );
}
