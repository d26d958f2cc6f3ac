/**
 * A read role under the shipped defaults runs what drivers, ORMs and dashboards say
 * on their own, and gets byte for byte the messages that the server sends without
 * Holdfast (read-role.statements.ts).
 */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { READ_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { READS, READ_SCHEMA } from './read-role.statements.js';
import type { ReadStatement } from './read-role.statements.js';

let database: TestDatabase;
let holdfast: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('reads', READ_SCHEMA);
  user = await createUser('reads', database.name);
  holdfast = await startTestHoldfast(database, READ_POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  await user.drop();
});

const login = (port: number, parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> =>
  wireLogin({ port, user: user.name, database: database.name, parameters });

function extended({ sql, parameters }: ReadStatement): Buffer {
  return Buffer.concat([
    serialize.parse({ text: sql }),
    serialize.bind({ values: [...(parameters ?? [])] }),
    serialize.describe({ type: 'P', name: '' }),
    serialize.execute(),
    serialize.sync(),
  ]);
}

/** The messages in the order in which they came, settings reported apart: the server may report them early or late. */
async function answer(client: WireClient, bytes: Buffer, restless: boolean): Promise<readonly string[]> {
  await client.send(bytes);
  const lines = await client.untilReady();
  const steady = lines.filter((line) => !line.startsWith('ParameterStatus'));
  const reported = lines.filter((line) => line.startsWith('ParameterStatus'));
  if (!restless) return [...steady, ...reported];
  return steady.filter((line) => !line.startsWith('DataRow')).map((line) => line.replace(/\d+$/, ''));
}

describe.each(Object.entries(READS))('%s', (_client, statements) => {
  test('gets from Holdfast what it gets from the server', async () => {
    const [direct, through] = await Promise.all([
      login(database.port, { default_transaction_read_only: 'on', client_encoding: 'UTF8' }),
      login(holdfast.port),
    ]);
    for (const statement of statements) {
      const restless = statement.restless === true;
      if (statement.parameters === undefined) {
        const expected = await answer(direct, serialize.query(statement.sql), restless);
        expect(
          expected.filter((line) => line.startsWith('ErrorResponse')),
          statement.sql,
        ).toEqual([]);
        expect(await answer(through, serialize.query(statement.sql), restless), statement.sql).toEqual(
          expected,
        );
        expect(
          expected.at(-1)?.startsWith('ParameterStatus') === true || expected.at(-1) === 'ReadyForQuery I',
          statement.sql,
        ).toBe(true);
      }
      // Several statements in one Parse are an error; it is the server's own, then.
      const expected = await answer(direct, extended(statement), restless);
      if (statement.parameters !== undefined) expect(expected, statement.sql).toContain('ReadyForQuery I');
      if (statement.parameters !== undefined)
        expect(expected.join(), statement.sql).not.toContain('ErrorResponse');
      expect(await answer(through, extended(statement), restless), statement.sql).toEqual(expected);
      await Promise.all([direct, through].map((client) => answer(client, serialize.query('ROLLBACK'), true)));
    }
    expect(through.errors.filter(({ routine }) => routine?.startsWith('holdfast/'))).toEqual([]);
    direct.close();
    through.close();
  });
});
