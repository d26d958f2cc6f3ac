/**
 * Where evasions are tried out: a database full of things to lose, a superuser who
 * could lose them, and Holdfast between the two. Says what came of each statement,
 * and what became of the database.
 */
import { randomBytes } from 'node:crypto';
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { fingerprint } from '../e2e/fingerprint.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient, WireError } from '../support/wire.js';
import type { Evasion } from './corpus/evasion.js';

export const PROTOCOLS = ['simple', 'extended'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** What came of one statement. */
export interface Answer {
  readonly lines: readonly string[];
  /** The one error of it; null when there was none, or more than one. */
  readonly error: WireError | null;
}

export type Sums = Readonly<Record<string, string>>;

export interface Ground {
  readonly database: TestDatabase;
  readonly holdfast: TestHoldfast;
  readonly user: TestUser;
  /** A database user who has some rights to lose. */
  readonly victim: string;
  /** An evasion's text with the names of this ground. */
  spelled(sql: string): string;
  login(parameters?: Readonly<Record<string, string>>): Promise<WireClient>;
  /** Checksums of all data and the whole catalog. */
  sums(): Promise<Sums>;
  close(): Promise<void>;
}

/**
 * @param purpose what the user's name begins with
 */
export async function createGround(purpose: string, schema: string, policy: string): Promise<Ground> {
  const database = await createDatabase(purpose, schema);
  const user = await createUser(purpose, database.name);
  const victim = `victim_${randomBytes(4).toString('hex')}`;
  await withClient(async (client) => {
    await client.query(`ALTER ROLE ${pg.escapeIdentifier(user.name)} SUPERUSER`);
    await client.query(`CREATE ROLE ${victim}; GRANT SELECT ON accounts TO ${victim}`);
  }, database.name);
  const holdfast = await startTestHoldfast(database, policy);
  return {
    database,
    holdfast,
    user,
    victim,
    spelled: (sql) =>
      sql.replaceAll('$victim', victim).replaceAll('$user', user.name).replaceAll('$database', database.name),
    login: (parameters = {}) =>
      wireLogin({ port: holdfast.port, user: user.name, database: database.name, parameters }),
    sums: () => fingerprint(database, [user.name, victim]),
    close: async () => {
      await holdfast.close();
      await database.drop();
      await user.drop();
      await withClient((client) => client.query(`DROP ROLE IF EXISTS ${victim}`));
    },
  };
}

export const query = (sql: string): Buffer => serialize.query(sql);
export const extended = (text: string): Buffer =>
  Buffer.concat([serialize.parse({ text }), serialize.bind(), serialize.execute(), serialize.sync()]);

/** Sends one statement and reads its whole answer. */
export async function ask(client: WireClient, sql: string, protocol: Protocol = 'simple'): Promise<Answer> {
  const known = client.errors.length;
  await client.send(protocol === 'simple' ? query(sql) : extended(sql));
  const lines = await client.untilReady();
  const errors = client.errors.slice(known);
  return { lines, error: errors.length === 1 ? (errors[0] ?? null) : null };
}

/** Whether nothing but refusing came of it: no row, no notice, no command complete. */
export function onlyRefused({ lines }: Answer): boolean {
  return lines.every((line) => /^(?:ParseComplete|BindComplete|ErrorResponse|ReadyForQuery [IE])/.test(line));
}

/**
 * Tries one evasion by one protocol, its setup before it.
 * @returns what is wrong, or null
 */
async function attempt(
  ground: Ground,
  client: WireClient,
  evasion: Evasion,
  protocol: Protocol,
  isRight: (answer: Answer) => boolean,
): Promise<string | null> {
  const setup = evasion.setup ?? [];
  for (const sql of setup) {
    const { error, lines } = await ask(client, ground.spelled(sql));
    if (error !== null)
      return `${describe(evasion, protocol)}: its setup failed: ${lines.join(', ')} ${error.message}`;
  }
  const answer = await ask(client, ground.spelled(evasion.sql), protocol);
  const right = isRight(answer);
  if (setup.length > 0 || !right) await ask(client, 'ROLLBACK; DEALLOCATE ALL; UNLISTEN *; RESET ALL');
  if (right) return null;
  const { lines, error } = answer;
  return `${describe(evasion, protocol)} → ${lines.join(', ')} ${error?.routine ?? ''} ${error?.message ?? ''}`;
}

function describe({ name, sql }: Evasion, protocol: Protocol): string {
  const text = name === sql ? '' : `${name}: `;
  return `${protocol}: ${text}${sql.length > 200 ? `${sql.slice(0, 200)}…` : sql}`;
}

/**
 * Tries all evasions of a class by both protocols in one session, opening another
 * where one was ended.
 * @returns what is wrong
 */
export async function attemptAll(
  ground: Ground,
  group: readonly Evasion[],
  isRight: (answer: Answer, evasion: Evasion) => boolean,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  let client = await ground.login();
  for (const evasion of group) {
    for (const protocol of PROTOCOLS) {
      try {
        const problem = await attempt(ground, client, evasion, protocol, (answer) =>
          isRight(answer, evasion),
        );
        if (problem !== null) wrong.push(problem);
      } catch (error) {
        // The session was ended: said by the last error, or by the end of the connection alone.
        const why = client.errors.at(-1)?.message ?? String(error);
        wrong.push(`${describe(evasion, protocol)} ended the session: ${why}`);
        client = await ground.login();
      }
    }
  }
  client.close();
  return wrong;
}

/** Which sums differ, by name. */
export function changes(before: Sums, after: Sums): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => before[name] !== after[name]);
}

/** Tries each evasion on its own and says which of them change something, and what. Slow: for when a class as a whole did. */
export async function culprits(ground: Ground, group: readonly Evasion[]): Promise<readonly string[]> {
  const found: string[] = [];
  let before = await ground.sums();
  for (const evasion of group) {
    await attemptAll(ground, [evasion], () => true);
    const after = await ground.sums();
    const changed = changes(before, after);
    if (changed.length > 0) found.push(`${evasion.name}: ${evasion.sql} changed ${changed.join(', ')}`);
    before = after;
  }
  return found;
}
