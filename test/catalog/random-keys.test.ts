/**
 * Random graphs of foreign keys, circles among them: what the walks say is what the
 * server does.
 */
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Catalog, Relation } from '../../src/catalog/catalog.js';
import { emptiedBy, reachedByDelete, reachedByUpdate } from '../../src/catalog/closure.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { readCatalog, relationIn } from './rich-schema.js';

const TABLES = 6;

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase('keys');
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const table = fc.nat({ max: TABLES - 1 });
const action = fc.constantFrom('CASCADE', 'SET NULL', 'SET DEFAULT', 'NO ACTION', 'CASCADE');
const key = fc.record({
  from: table,
  to: table,
  onDelete: action,
  onUpdate: action,
  /** The referencing column is the table's own key, so that an update of it goes on. */
  byKey: fc.boolean(),
});

/** In each table one row with the id 1, which references the rows with the id 1. */
function schemaOf(keys: readonly (typeof key extends fc.Arbitrary<infer K> ? K : never)[]): string {
  const tables = Array.from({ length: TABLES }, (_, n) => {
    const columns = keys.flatMap((k, index) => (k.from === n && !k.byKey ? [`, k${index} int`] : []));
    return `CREATE TABLE t${n} (id int UNIQUE${columns.join('')});`;
  });
  const rows = tables.map((_, n) => {
    const ones = keys.filter((k) => k.from === n && !k.byKey).map(() => ', 1');
    return `INSERT INTO t${n} VALUES (1${ones.join('')});`;
  });
  const constraints = keys.map(
    (k, index) => `ALTER TABLE t${k.from} ADD CONSTRAINT k${index}
      FOREIGN KEY (${k.byKey ? 'id' : `k${index}`}) REFERENCES t${k.to} (id)
      ON DELETE ${k.onDelete} ON UPDATE ${k.onUpdate};`,
  );
  return [...tables, ...rows, ...constraints].join('\n');
}

/** Runs a statement; the tables whose row is gone, and those whose row is another; null when it is refused. */
async function effect(statement: string): Promise<{ gone: string[]; other: string[] } | null> {
  const look = async (): Promise<(string | null)[]> => {
    const selects = Array.from({ length: TABLES }, (_, n) => `(SELECT t::text FROM t${n} t) AS t${n}`);
    const result = await client.query<(string | null)[]>({
      text: `SELECT ${selects.join(', ')}`,
      rowMode: 'array',
    });
    return result.rows[0] ?? [];
  };
  const before = await look();
  await client.query('SAVEPOINT s');
  try {
    await client.query(statement);
    const after = await look();
    const which = (differs: (n: number) => boolean): string[] =>
      before.flatMap((_, n) => (differs(n) ? [`t${n}`] : []));
    return {
      gone: which((n) => after[n] === null),
      other: which((n) => after[n] !== null && after[n] !== before[n]),
    };
  } catch {
    return null;
  } finally {
    await client.query('ROLLBACK TO s');
  }
}

it('what is emptied, deleted and updated is what the walks say', async () => {
  const seen = { truncated: 0, deleted: 0, updated: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(key, { maxLength: 9 }), async (keys) => {
      await client.query('BEGIN');
      try {
        await client.query(schemaOf(keys));
        const catalog = await readCatalog(client);
        for (let n = 0; n < TABLES; n++) {
          const start = relationIn(catalog, `public.t${n}`);
          await compare(catalog, start, seen);
        }
      } finally {
        await client.query('ROLLBACK');
      }
    }),
    { numRuns: 20 },
  );
  expect(seen.truncated).toBeGreaterThan(10);
  expect(seen.deleted).toBeGreaterThan(0);
  expect(seen.updated).toBeGreaterThan(0);
}, 60_000);

async function compare(
  catalog: Catalog,
  start: Relation,
  seen: { truncated: number; deleted: number; updated: number },
): Promise<void> {
  const own = start.name;
  const others = (found: readonly string[]): string[] => found.filter((name) => name !== own);
  const reached = (list: ReturnType<typeof reachedByDelete>, how: 'delete' | 'update'): string[] =>
    others(list.filter((found) => found.effect === how).map((found) => found.relation.name)).sort();

  const truncated = await effect(`TRUNCATE ${own} CASCADE`);
  expect(truncated).not.toBeNull();
  const emptied = emptiedBy(catalog, [start]).map(({ name }) => name);
  expect([own, ...emptied].sort()).toEqual(truncated?.gone);
  seen.truncated += emptied.length;

  const deleted = await effect(`DELETE FROM ${own}`);
  if (deleted !== null) {
    const by = reachedByDelete(catalog, start);
    // A row that is set to null before a CASCADE comes to it stays: at most what the walk says.
    expect(reached(by, 'delete')).toEqual(expect.arrayContaining(others(deleted.gone)));
    expect(reached(by, 'update')).toEqual(expect.arrayContaining(others(deleted.other)));
    const mixed = by.some((found) => found.effect === 'update');
    if (!mixed) expect(others(deleted.gone)).toEqual(reached(by, 'delete'));
    seen.deleted += others(deleted.gone).length;
  }

  const updated = await effect(`UPDATE ${own} SET id = 2`);
  if (updated !== null) {
    const by = reachedByUpdate(catalog, start, ['id']);
    expect(by.every((found) => found.effect === 'update')).toBe(true);
    expect(reached(by, 'update')).toEqual(expect.arrayContaining(others(updated.other)));
    expect(updated.gone).toEqual([]);
    seen.updated += others(updated.other).length;
  }
}
