/**
 * Database users of a test's own, that log in without a password: members of the
 * role that pg_hba.conf trusts. They have every right on one database's tables.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { AUTH_USERS, withClient } from './postgres.js';

export interface TestUser {
  readonly name: string;
  drop(): Promise<void>;
}

/** A user named `<purpose>_<random>`. */
export async function createUser(purpose: string, database: string): Promise<TestUser> {
  const name = `${purpose}_${randomBytes(4).toString('hex')}`;
  const quoted = pg.escapeIdentifier(name);
  await withClient(async (client) => {
    await client.query(`CREATE ROLE ${quoted} LOGIN IN ROLE ${AUTH_USERS.trust}`);
    await client.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${quoted}`);
    await client.query(`GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${quoted}`);
    await client.query(`GRANT ALL ON SCHEMA public TO ${quoted}`);
  }, database);
  return {
    name,
    drop: () =>
      withClient(async (client) => {
        await client.query(`DROP ROLE IF EXISTS ${quoted}`);
      }),
  };
}
