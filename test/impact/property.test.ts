/**
 * Impact equals reality, on random schemas and random writes.
 *
 *   events   what happened to a table's rows, attempts included (random-schema.ts)
 *   change   what another session sees: rows by their never-changing rid, before and after;
 *            inserted, deleted, and updated where a row is there in another version
 *   impact   what the audit log says
 *
 * For each table, after each write and for the whole transaction:
 *
 *   1. impact = events. It may be more than that in one case only: a query that failed
 *      half-way and was caught (PL/pgSQL's EXCEPTION) changed rows that no AFTER
 *      trigger has heard of.
 *   2. Of a committed transaction, impact ≥ change in each of the three, and
 *      inserted − deleted is exactly by how many rows the table has grown; it may be off
 *      only where something was taken back within the transaction.
 *   3. Of what is refused or rolled back there is no change, and its impact is recorded
 *      all the same. Of what fails by itself there is neither.
 *   4. A view's INSTEAD OF trigger is taken at the command tag's word, too: the view may
 *      be there with as many rows as its tables do not account for.
 *
 * HOLDFAST_IMPACT_CASES: how many random transactions; HOLDFAST_IMPACT_SEED: the seed to
 * begin with. Which seed failed is said, with the path to the case.
 */
import { createReadStream } from 'node:fs';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { AuditRecord, TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { limitPolicy, say, simple } from './ground.js';
import { catchesErrors, remakeText, schema, schemaText, write, writeText } from './random-schema.js';
import type { RandomSchema, WriteText } from './random-schema.js';

const CASES = Number(process.env['HOLDFAST_IMPACT_CASES'] ?? '100');
const SEED = Number(process.env['HOLDFAST_IMPACT_SEED'] ?? Date.now() % 1_000_000_000);
/** Transactions that one schema is used for. */
const TRANSACTIONS = 5;
/** Some writes are over it, most are not. */
const LIMIT = 40;

const transaction = fc.record({
  writes: fc.array(write, { minLength: 1, maxLength: 3 }),
  protocol: fc.constantFrom('simple' as const, 'extended' as const),
  block: fc.boolean(),
  savepoint: fc.boolean(),
  commit: fc.constantFrom(true, true, true, false),
});
type RandomTransaction = typeof transaction extends fc.Arbitrary<infer T> ? T : never;

type Triple = readonly [inserted: number, updated: number, deleted: number];
type Triples = ReadonlyMap<string, Triple>;

let database: TestDatabase;
let user: TestUser;
let holdfast: TestHoldfast;
let watcher: pg.Client;
const done = { cases: 0, measured: 0, refused: 0, failed: 0, moreThanEvents: 0 };
let known = 0;

beforeAll(async () => {
  database = await createDatabase('impact_random');
  user = await createUser('impact_random', database.name);
  holdfast = await startTestHoldfast(database, limitPolicy(`action: deny, statement: ${LIMIT}`));
  watcher = new pg.Client({ connectionString: database.url });
  await watcher.connect();
});

afterAll(async () => {
  await watcher.end();
  await holdfast.close();
  await database.drop();
  await user.drop();
});

/** Outcomes recorded since this was last asked. The log grows long, so only what is new of it is read. */
async function outcomes(): Promise<readonly AuditRecord[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(holdfast.auditFile, { start: known }))
    chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const whole = bytes.lastIndexOf('\n') + 1;
  known += whole;
  return bytes
    .toString('utf8', 0, whole)
    .split('\n')
    .filter((line) => line.includes('"kind":"outcome"'))
    .map((line) => JSON.parse(line) as AuditRecord);
}

async function events(leaves: readonly string[]): Promise<Triples> {
  const part = (name: string, operation: string) => `(SELECT last_value FROM e_${name}_${operation})::int`;
  const { rows } = await watcher.query<{ t: string; e: [number, number, number] }>(
    leaves
      .map(
        (name) =>
          `SELECT '${name}' AS t, ARRAY[${['insert', 'update', 'delete'].map((o) => part(name, o)).join(',')}] AS e`,
      )
      .join(' UNION ALL '),
  );
  return new Map(rows.map(({ t, e }) => [t, e]));
}

/** Of each table's rows, the version by their rid. */
async function versions(
  leaves: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const { rows } = await watcher.query<{ t: string; rid: string; version: string }>(
    leaves
      .map(
        (name) =>
          `SELECT '${name}' AS t, rid::text, xmin::text || ctid::text || x::text AS version FROM ONLY ${name} x`,
      )
      .join(' UNION ALL '),
  );
  const tables = new Map<string, Map<string, string>>(
    leaves.map((name) => [name, new Map<string, string>()]),
  );
  for (const { t, rid, version } of rows) tables.get(t)?.set(rid, version);
  return tables;
}

function added(a: Triples, b: Triples, sign: 1 | -1): Triples {
  const result = new Map<string, Triple>();
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const [i, u, d] = a.get(name) ?? [0, 0, 0];
    const [bi, bu, bd] = b.get(name) ?? [0, 0, 0];
    const triple = [i + sign * bi, u + sign * bu, d + sign * bd] as const;
    if (triple.some((count) => count !== 0)) result.set(name, triple);
  }
  return result;
}

function difference(
  before: ReadonlyMap<string, ReadonlyMap<string, string>>,
  after: ReadonlyMap<string, ReadonlyMap<string, string>>,
): Triples {
  const result = new Map<string, Triple>();
  for (const [name, rows] of after) {
    const earlier = before.get(name) ?? new Map<string, string>();
    const inserted = [...rows.keys()].filter((rid) => !earlier.has(rid)).length;
    const deleted = [...earlier.keys()].filter((rid) => !rows.has(rid)).length;
    const updated = [...rows].filter(([rid, version]) => (earlier.get(rid) ?? version) !== version).length;
    if (inserted + deleted + updated > 0) result.set(name, [inserted, updated, deleted]);
  }
  return result;
}

function recorded(records: readonly AuditRecord[]): Triples {
  let result: Triples = new Map();
  for (const { impact } of records) {
    if (impact === null) continue;
    const tables = impact as { name: string; inserted: number; updated: number; deleted: number }[];
    const one = tables.map(({ name, inserted, updated, deleted }): [string, Triple] => [
      name,
      [inserted, updated, deleted],
    ]);
    result = added(result, new Map(one), 1);
  }
  return result;
}

function messages({ sql, copy }: WriteText, protocol: 'simple' | 'extended'): readonly string[] {
  const data = copy === null ? [] : [`CopyData ${JSON.stringify(copy)}`, 'CopyDone'];
  if (protocol === 'simple') return [...simple(sql), ...data];
  // A Parse takes one statement; several in one pipeline are the same.
  const each = sql.startsWith('DO ') ? [sql] : sql.split('; ');
  return [
    ...each.flatMap((text) => [`Parse "" ${JSON.stringify(text)}`, 'Bind "" ""', 'Execute "" 0']),
    ...data,
    'Sync',
  ];
}

/** Law 1 and 4. */
function agree(impact: Triples, real: Triples, exact: boolean, tagOf: ReadonlySet<string>): void {
  const counted = new Map([...impact].filter(([name]) => !tagOf.has(name)));
  if (exact) {
    expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(real));
    return;
  }
  atLeast(counted, real);
  if (total(counted) > total(real)) done.moreThanEvents += 1;
}

function atLeast(impact: Triples, real: Triples): void {
  for (const [name, triple] of real) {
    const counted = impact.get(name) ?? [0, 0, 0];
    for (const at of [0, 1, 2] as const)
      expect(
        counted[at],
        `${name} ${at}: ${JSON.stringify(counted)} for ${JSON.stringify(triple)}`,
      ).toBeGreaterThanOrEqual(triple[at]);
  }
}

function total(impact: Triples): number {
  return [...impact.values()].reduce((sum, [i, u, d]) => sum + i + u + d, 0);
}

async function play(
  client: WireClient,
  tables: RandomSchema,
  leaves: readonly string[],
  { writes, protocol, block, savepoint, commit }: RandomTransaction,
): Promise<void> {
  const exact = !catchesErrors(tables);
  const before = await versions(leaves);
  let impact: Triples = new Map();
  let takenBack = false;
  let stays = true;
  const views = new Set<string>();
  let seen = await events(leaves);
  const begun = block ? await say(client, simple('BEGIN')) : [];
  for (const [index, one] of writes.entries()) {
    const text = writeText(tables.length, one);
    const view = new Set(text.tagOf === null ? [] : [text.tagOf]);
    for (const name of view) views.add(name);
    const back = block && savepoint && index === 0;
    if (back) await say(client, simple('SAVEPOINT a'));
    const lines = await say(client, messages(text, protocol));
    const now = await events(leaves);
    const news = (await outcomes()).filter(({ impact: counted }) => counted !== null);
    const happened = added(now, seen, -1);
    seen = now;
    const status = lines.at(-1);
    const error = lines.find((line) => line.startsWith('ErrorResponse'));
    const counted = recorded(news);
    if (error === undefined) {
      agree(counted, happened, exact, view);
      expect(total(counted)).toBeLessThanOrEqual(news.length * LIMIT);
      done.measured += 1;
    } else if (error === 'ErrorResponse 42501') {
      // DO and CALL by themselves are refused before they run.
      const { message } = client.errors.at(-1) ?? { message: '' };
      if (news.length > 0) {
        agree(counted, happened, exact, view);
        expect(news.at(-1)).toMatchObject({ sqlstate: '42501' });
        expect(total(recorded(news.slice(-1)))).toBeGreaterThan(LIMIT);
      } else {
        expect(total(happened), message).toBe(0);
      }
      done.refused += 1;
      if (!block) takenBack = true;
    } else {
      done.failed += 1;
    }
    if (error !== undefined && !block) {
      // All of it is undone, what succeeded before in the same pipeline or string too.
      expect(status).toBe('ReadyForQuery I');
      continue;
    }
    impact = added(impact, counted, 1);
    if (status === 'ReadyForQuery E') stays = false;
    if (back) {
      await say(client, simple('ROLLBACK TO a'));
      takenBack = true;
      stays = true;
    } else if (!stays) break;
  }
  if (begun.length > 0) {
    const end = await say(client, simple(commit ? 'COMMIT' : 'ROLLBACK'));
    if (!end.includes('CommandComplete COMMIT')) stays = false;
  }
  const change = difference(before, await versions(leaves));
  await outcomes();
  if (!stays) {
    expect(Object.fromEntries(change)).toEqual({});
    return;
  }
  atLeast(impact, change);
  if (exact && !takenBack) {
    for (const name of leaves) {
      const [inserted, , deleted] = impact.get(name) ?? [0, 0, 0];
      const [more, , fewer] = change.get(name) ?? [0, 0, 0];
      expect(inserted - deleted, name).toBe(more - fewer);
    }
  }
}

test(
  'what is recorded is what happened',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        schema,
        fc.array(transaction, { minLength: TRANSACTIONS, maxLength: TRANSACTIONS }),
        async (tables, transactions) => {
          const { sql, leaves } = schemaText(tables);
          await watcher.query(remakeText(sql, user.name));
          const client = await wireLogin({ port: holdfast.port, user: user.name, database: database.name });
          try {
            for (const one of transactions) {
              await play(client, tables, leaves, one);
              done.cases += 1;
            }
          } finally {
            client.close();
          }
        },
      ),
      { numRuns: Math.ceil(CASES / TRANSACTIONS), seed: SEED, endOnFailure: true },
    );
    if (process.env['HOLDFAST_IMPACT_CASES'] !== undefined)
      process.stdout.write(`seed ${SEED}: ${JSON.stringify(done)}\n`);
    expect(done.measured).toBeGreaterThan(CASES / 4);
    expect(done.refused).toBeGreaterThan(0);
  },
  Math.max(60_000, CASES * 1_000),
);
