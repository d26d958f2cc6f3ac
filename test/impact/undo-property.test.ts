/**
 * What is put back is what was, on random schemas and random writes: foreign keys with
 * every action, partitions between which rows move, inheritance, triggers that change
 * other tables, generated columns, tables without a key.
 *
 * After each write that was approved and committed, the script of its old rows is run,
 * and every table holds the very rows that it held before. What was refused, or failed,
 * has changed nothing.
 *
 * HOLDFAST_UNDO_CASES: how many writes; HOLDFAST_UNDO_SEED: the seed to begin with.
 */
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readUndoFile } from '../../src/audit/undo-files.js';
import { undoScript } from '../../src/undo/script.js';
import { sha256, tokenOf } from '../holds/support.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { followHolds } from '../support/holds.js';
import type { Approvals } from '../support/holds.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { extended, say, simple } from './ground.js';
import { remakeText, schema, schemaText, write, writeText } from './random-schema.js';

const CASES = Number(process.env['HOLDFAST_UNDO_CASES'] ?? '60');
const SEED = Number(process.env['HOLDFAST_UNDO_SEED'] ?? Date.now() % 1_000_000_000);
/** Writes that one schema is used for. */
const WRITES = 6;

/** Everything that may change rows waits, however few they are: a function whose effect nobody knows, too. */
const POLICY = `
version: 1
roles:
  - name: keepers
    access: admin
    rules: { default: allow, row-limit: { action: hold, statement: 1 }, protected-tables: { action: hold, tables: ['*'] } }
    hold: { approvals: 1, approvers: [dba], timeout: 60s, in_transaction_timeout: 20s }
    undo: capture
approvers:
  - { name: dana, groups: [dba], token_sha256: "${sha256(tokenOf('dana'))}" }
`;

let database: TestDatabase;
let user: TestUser;
let holdfast: TestHoldfast;
let approvals: Approvals;
let watcher: pg.Client;
let asked: Promise<string | null> | null = null;
const done = { kept: 0, refused: 0, failed: 0 };

beforeAll(async () => {
  database = await createDatabase('undo_random');
  user = await createUser('undo_random', database.name);
  holdfast = await startTestHoldfast(database, POLICY);
  approvals = await followHolds(holdfast);
  watcher = new pg.Client({ connectionString: database.url });
  await watcher.connect();
});

afterAll(async () => {
  await approvals.close();
  await watcher.end();
  await holdfast.close();
  await database.drop();
  await user.drop();
});

async function rows(leaves: readonly string[]): Promise<readonly string[]> {
  const parts = leaves.map((name) => `SELECT '${name} ' || x::text AS row FROM ONLY ${name} x`);
  const { rows: found } = await watcher.query<{ row: string }>(`${parts.join(' UNION ALL ')} ORDER BY 1`);
  return found.map(({ row }) => row);
}

/** Sends it, has all that waits approved, and gives the last hold of it that was; null: nobody had to be asked. */
async function played(
  client: WireClient,
  lines: readonly string[],
): Promise<{ hold: string | null; error: string | null }> {
  const answer = say(client, lines);
  const over = answer.then(() => 'over' as const);
  let hold: string | null = null;
  for (;;) {
    // One question that outlasts its statement is the next one's: each hold comes once.
    asked ??= approvals.next().then(
      ({ id }) => id,
      () => null,
    );
    const news = await Promise.race([asked, over]);
    if (news === 'over') break;
    asked = null;
    if (news === null) continue;
    hold = news;
    await approvals.approve(news);
  }
  const said = await answer;
  const failed = said.find((line) => line.startsWith('ErrorResponse'));
  return { hold, error: failed === undefined ? null : (client.errors.at(-1)?.message ?? failed) };
}

test(
  'what is put back is what was',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        schema,
        fc.array(fc.tuple(write, fc.boolean()), { minLength: WRITES, maxLength: WRITES }),
        async (tables, writes) => {
          const { sql, leaves } = schemaText(tables);
          await watcher.query(remakeText(sql, user.name));
          const client = await wireLogin({ port: holdfast.port, user: user.name, database: database.name });
          try {
            for (const [one, byParts] of writes) {
              const text = writeText(tables.length, one);
              if (text.copy !== null || text.sql.includes(';')) continue;
              const before = await rows(leaves);
              const { hold, error } = await played(client, (byParts ? extended : simple)(text.sql));
              const after = await rows(leaves);
              if (error !== null) {
                expect(after, error).toEqual(before);
                if (error.startsWith('holdfast')) done.refused += 1;
                else done.failed += 1;
              } else if (hold !== null && after.join() !== before.join()) {
                await watcher.query(undoScript(await readUndoFile(directory(), hold), { overwrite: false }));
                expect(await rows(leaves), text.sql).toEqual(before);
                done.kept += 1;
              }
            }
          } finally {
            client.close();
          }
        },
      ),
      { numRuns: Math.ceil(CASES / WRITES), seed: SEED, endOnFailure: true },
    );
    if (process.env['HOLDFAST_UNDO_CASES'] !== undefined)
      process.stdout.write(`seed ${SEED}: ${JSON.stringify(done)}\n`);
    expect(done.kept).toBeGreaterThan(CASES / 10);
  },
  Math.max(60_000, CASES * 1_000),
);

function directory(): string {
  return join(dirname(holdfast.auditFile), 'undo');
}
