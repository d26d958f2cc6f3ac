/**
 * Nothing innocent is stopped, end to end: each statement of the corpus goes through
 * a Holdfast that has the shipped policy to a real server, with what Holdfast knows
 * of that server's catalog. What comes back is the server's own answer.
 */
import { readFileSync } from 'node:fs';
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient, WireError } from '../support/wire.js';
import { INNOCENTS, INNOCENT_SCHEMA, ROLES } from './corpus.js';
import type { Innocent, InnocentRole } from './corpus.js';
import { KNOWN_REFUSED } from './known-refused.js';

/** What names the shipped policy gives each access. */
const PURPOSES: Readonly<Record<InnocentRole, string>> = { read: 'analyst', write: 'svc', ddl: 'eng' };
/** The server that the corpus's `--@ error` lines are about; another version may lack this or that column. */
const SERVER_VERSION = 18;

let database: TestDatabase;
let holdfast: TestHoldfast;
let serverVersion = 0;
const users = new Map<InnocentRole, TestUser>();

beforeAll(async () => {
  database = await createDatabase('innocent', INNOCENT_SCHEMA);
  for (const role of ROLES) users.set(role, await createUser(PURPOSES[role], database.name));
  await withClient(async (client) => {
    // Engineers own what they change.
    await client.query(`ALTER ROLE ${users.get('ddl')?.name ?? ''} SUPERUSER`);
    const { rows } = await client.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS version`,
    );
    serverVersion = rows[0]?.version ?? 0;
  });
  const policy = readFileSync(new URL('../../config/policy.yaml', import.meta.url), 'utf8');
  holdfast = await startTestHoldfast(database, policy);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  for (const user of users.values()) await user.drop();
});

/** Statements that are about the transaction itself or cannot run in one. */
const BY_ITSELF = /^(?:BEGIN|START TRANSACTION|VACUUM|DISCARD ALL)\b|\bINDEX CONCURRENTLY\b/i;
/** What needs a savepoint of this name. */
const OF_A_SAVEPOINT = /^(?:RELEASE|ROLLBACK TO)(?: SAVEPOINT)? ("[^"]+"|\w+)/i;

function messages({ sql, parameters }: Innocent): Buffer {
  if (parameters !== null) {
    return Buffer.concat([
      serialize.parse({ text: sql }),
      serialize.bind({ values: [...parameters] }),
      serialize.describe({ type: 'P', name: '' }),
      serialize.execute(),
      serialize.sync(),
    ]);
  }
  const query = serialize.query(sql);
  return /^COPY .* FROM STDIN/i.test(sql) ? Buffer.concat([query, serialize.copyDone()]) : query;
}

/** Sends one statement, rolled back unless its session goes on, and returns the errors it got. */
async function errorsOf(client: WireClient, statement: Innocent): Promise<readonly WireError[]> {
  const before = client.errors.length;
  const parts = [messages(statement)];
  if (statement.session === null) {
    const savepoint = OF_A_SAVEPOINT.exec(statement.sql)?.[1];
    if (savepoint !== undefined) parts.unshift(serialize.query(`SAVEPOINT ${savepoint}`));
    if (!BY_ITSELF.test(statement.sql)) parts.unshift(serialize.query('BEGIN'));
    parts.push(serialize.query('ROLLBACK'));
  }
  await client.send(Buffer.concat(parts));
  await client.untilReady(parts.length);
  return client.errors.slice(before);
}

function login(role: InnocentRole, application: string): Promise<WireClient> {
  return wireLogin({
    port: holdfast.port,
    user: users.get(role)?.name ?? '',
    database: database.name,
    parameters: { application_name: application },
  });
}

describe.each(ROLES)('%s', (role) => {
  const ofRole = INNOCENTS.filter((statement) => statement.role === role);
  const sources = [...new Set(ofRole.map(({ source }) => source))];
  test.each(sources)('%s', async (source) => {
    const client = await login(role, source);
    const surprises: string[] = [];
    for (const statement of ofRole.filter((one) => one.source === source)) {
      const errors = await errorsOf(client, statement);
      const refused = errors.some(({ routine }) => routine?.startsWith('holdfast/'));
      const expected = statement.error === null ? [] : [statement.error];
      const codes = errors.map(({ code }) => code);
      if (refused || (serverVersion === SERVER_VERSION && codes.join() !== expected.join())) {
        const said = errors.map(({ code, message, detail = '' }) => `${code} ${message} ${detail}`);
        surprises.push(`${statement.place}: ${statement.sql}\n  → ${said.join('; ')}`);
      }
    }
    client.close();
    expect(surprises).toEqual([]);
  });
});

test.each(KNOWN_REFUSED.filter(({ knowing }) => knowing === 'catalog'))(
  '$source, refused by $rule: $sql',
  async ({ role, source, sql, rule }) => {
    const client = await login(role, source);
    await client.send(serialize.query(sql));
    await client.untilReady();
    client.close();
    expect(client.errors.map(({ routine }) => routine)).toEqual([`holdfast/${rule}`]);
  },
);
