/**
 * The walks, compared with what the server really does, for every relation of the
 * rich schema: each statement is run and rolled back.
 */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Catalog, Relation } from '../../src/catalog/catalog.js';
import {
  droppedWith,
  droppedWithSchema,
  emptiedBy,
  reachedByDelete,
  reachedByUpdate,
  volatileCalls,
  writtenThrough,
} from '../../src/catalog/closure.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { names, qualified, readCatalog, relationIn, RICH_ROWS, RICH_SCHEMA } from './rich-schema.js';

let database: TestDatabase;
let client: pg.Client;
let catalog: Catalog;
let all: readonly Relation[];

beforeAll(async () => {
  database = await createDatabase('closure', RICH_SCHEMA + RICH_ROWS);
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  catalog = await readCatalog(client);
  all = ['public', 'shop', 'Ünï"quoted'].flatMap((schema) => catalog.relationsIn(schema));
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const relation = (name: string): Relation => relationIn(catalog, name);
const sql = ({ schema, name }: Relation): string =>
  `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
const tables = (): Relation[] => all.filter(({ kind }) => kind === 'table' || kind === 'partitioned_table');
const stored = (relations: readonly Relation[]): string[] =>
  [...new Set(relations.filter(({ kind }) => kind === 'table').map(qualified))].sort();

/** What `look` sees before and after a statement, which is rolled back; null when the server refuses it. */
async function around<T>(statement: string, look: () => Promise<T>): Promise<{ before: T; after: T } | null> {
  await client.query('BEGIN');
  try {
    const before = await look();
    const done = await client.query(statement).then(
      () => true,
      () => false,
    );
    return done ? { before, after: await look() } : null;
  } finally {
    await client.query('ROLLBACK');
  }
}

/** Names of tables → what changes when its content does. */
async function contents(): Promise<Map<string, string>> {
  const selects = tables()
    .filter(({ kind }) => kind === 'table')
    .map(
      (table) =>
        `SELECT ${pg.escapeLiteral(qualified(table))} AS name,
           string_agg(t::text, E'\\n' ORDER BY t::text) AS rows FROM ONLY ${sql(table)} t`,
    );
  const result = await client.query<{ name: string; rows: string | null }>(selects.join(' UNION ALL '));
  return new Map(result.rows.map((row) => [row.name, row.rows ?? '']));
}

function changed<T>({ before, after }: { before: Map<string, T>; after: Map<string, T> }): string[] {
  return [...before]
    .filter(([name, value]) => after.get(name) !== value)
    .map(([name]) => name)
    .sort();
}

describe('TRUNCATE … CASCADE', () => {
  /** TRUNCATE gives a table a new file, also when it was empty. */
  async function files(): Promise<Map<string, string>> {
    const result = await client.query<{ name: string; file: string }>(`
      SELECT nspname || '.' || relname AS name, pg_relation_filenode(c.oid)::text AS file
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND relnamespace >= 2200`);
    return new Map(result.rows.map((row) => [row.name, row.file]));
  }

  it('empties what emptiedBy says, for every table', async () => {
    for (const table of tables()) {
      const seen = await around(`TRUNCATE ${sql(table)} CASCADE`, files);
      if (seen === null) throw new Error(`TRUNCATE ${qualified(table)} was refused`);
      expect(stored([table, ...emptiedBy(catalog, [table])]), qualified(table)).toEqual(changed(seen));
    }
  });

  it('empties what emptiedBy says with ONLY', async () => {
    for (const table of tables().filter(({ kind }) => kind === 'table')) {
      const seen = await around(`TRUNCATE ONLY ${sql(table)} CASCADE`, files);
      if (seen === null) throw new Error(`TRUNCATE ONLY ${qualified(table)} was refused`);
      expect(stored([table, ...emptiedBy(catalog, [table], true)])).toEqual(changed(seen));
    }
  });

  it('reaches through several foreign keys, whatever their ON DELETE', () => {
    expect(names(emptiedBy(catalog, [relation('shop.account_type')]))).toEqual([
      'public.referrer',
      'shop.account',
      'shop.city',
      'shop.in_city',
      'shop.invoice',
      'shop.line',
      'shop.restricted',
    ]);
    expect(emptiedBy(catalog, [relation('shop.category')])).toEqual([]);
    expect(names(emptiedBy(catalog, [relation('shop.hen')]))).toEqual(['shop.egg']);
    expect(emptiedBy(catalog, [relation('shop.hen'), relation('shop.egg')])).toEqual([]);
  });
});

describe('DELETE', () => {
  it('changes what reachedByDelete says, for every table', async () => {
    const refused: string[] = [];
    for (const table of tables()) {
      const seen = await around(`DELETE FROM ${sql(table)}`, contents);
      if (seen === null) {
        refused.push(qualified(table));
        continue;
      }
      const own = names([table, ...everyChild(table)]);
      const reached = stored(reachedByDelete(catalog, table).map((found) => found.relation));
      const others = changed(seen).filter((name) => !own.includes(name));
      const expected = reached.filter((name) => !own.includes(name));
      // What has no row to lose cannot show that it would have lost it.
      expect(others, qualified(table)).toEqual(expected.filter((name) => seen.before.get(name) !== ''));
    }
    expect(refused).toEqual(['shop.account_type']);
  });

  it('tells rows deleted from rows updated, and by which foreign key', () => {
    const effects = reachedByDelete(catalog, relation('shop.account')).map(({ relation: r, by, effect }) => {
      return `${effect} ${qualified(r)} by ${by.name}`;
    });
    expect(effects.sort()).toEqual([
      'delete shop.city by city_account_id_fkey',
      'delete shop.invoice by invoice_account',
      'delete shop.line by line_invoice_id_fkey',
      'update public.referrer by referrer_account_id_fkey',
      'update shop.line by line_region_number_fkey',
    ]);
    // A circle: each row goes with the other, and the first may be updated before.
    expect(reachedByDelete(catalog, relation('shop.hen')).map(({ effect }) => effect)).toEqual([
      'delete',
      'update',
    ]);
    expect(reachedByDelete(catalog, relation('shop.category'))).toMatchObject([
      { relation: { name: 'category' }, effect: 'delete' },
    ]);
    expect(reachedByDelete(catalog, relation('shop.account_type'))).toEqual([]);
  });
});

describe('UPDATE', () => {
  it('changes what reachedByUpdate says, for every table with a key', async () => {
    let moved = 0;
    for (const table of tables()) {
      for (const { name } of table.columns) {
        const value = name === 'region' || name === 'code' ? "'moved'" : '99';
        const seen = await around(
          `UPDATE ${sql(table)} SET ${pg.escapeIdentifier(name)} = ${value}`,
          contents,
        );
        if (seen === null) continue;
        const own = names([table, ...everyChild(table)]);
        const others = changed(seen).filter((changedName) => !own.includes(changedName));
        const reached = stored(reachedByUpdate(catalog, table, [name]).map((found) => found.relation));
        expect(reached, `${qualified(table)}.${name}`).toEqual(expect.arrayContaining(others));
        moved += others.length;
      }
    }
    expect(moved).toBeGreaterThan(3);
  });

  it('follows columns that are set along with a key', () => {
    const reached = (name: string, columns: string[] | null) =>
      reachedByUpdate(catalog, relation(name), columns)
        .map(({ relation: r, by }) => `${qualified(r)} ${by.name}`)
        .sort();
    expect(reached('shop.account', ['region'])).toEqual([
      'shop.invoice invoice_account',
      'shop.line line_region_number_fkey',
    ]);
    expect(reached('shop.account', ['user_id'])).toEqual([]);
    expect(reached('shop.invoice', ['id'])).toEqual(['shop.line line_invoice_id_fkey']);
    expect(reached('public.users', null)).toEqual(['shop.account account_user_id_fkey']);
  });
});

describe('DROP … CASCADE', () => {
  interface There {
    readonly relations: readonly string[];
    readonly keys: readonly string[];
  }
  async function there(): Promise<There> {
    const relations = await client.query<{ name: string }>(`
      SELECT nspname || '.' || relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname !~ '^(pg_|information_schema)'`);
    const keys = await client.query<{ name: string; owner: string }>(`
      SELECT conname AS name, conrelid::oid::text AS owner FROM pg_constraint WHERE contype = 'f' AND conparentid = 0`);
    return {
      relations: relations.rows.map(({ name }) => name),
      keys: keys.rows.map(({ name, owner }) => `${owner} ${name}`),
    };
  }
  function gone(seen: { before: There; after: There } | null): There {
    if (seen === null) throw new Error('DROP was refused');
    const lost = (kind: keyof There) =>
      seen.before[kind].filter((name) => !seen.after[kind].includes(name)).sort();
    return { relations: lost('relations'), keys: lost('keys') };
  }
  /** Keys of tables that go are not told: they go with them. */
  const keysOfOthers = (keys: readonly string[], without: readonly Relation[]) =>
    keys.filter((key) => !without.some(({ oid }) => key.startsWith(`${oid} `)));

  const WORDS = {
    table: 'TABLE',
    partitioned_table: 'TABLE',
    view: 'VIEW',
    materialized_view: 'MATERIALIZED VIEW',
  };

  it('takes along what droppedWith says, for every relation', async () => {
    for (const target of all) {
      if (target.kind === 'sequence' || target.kind === 'foreign_table') continue;
      const seen = gone(await around(`DROP ${WORDS[target.kind]} ${sql(target)} CASCADE`, there));
      const { views, foreignKeys, children } = droppedWith(catalog, [target]);
      const relations = [target, ...views, ...children];
      expect(names(relations), qualified(target)).toEqual(seen.relations);
      expect(foreignKeys.map((key) => `${key.from} ${key.name}`).sort(), qualified(target)).toEqual(
        keysOfOthers(seen.keys, relations),
      );
    }
  });

  it.each(['shop', 'public', 'nothing', 'Ünï"quoted'])(
    'of the schema %s takes along what droppedWithSchema says',
    async (schema) => {
      const seen = gone(await around(`DROP SCHEMA ${pg.escapeIdentifier(schema)} CASCADE`, there));
      const dropped = droppedWithSchema(catalog, schema);
      if (dropped === null) throw new Error('there is no such schema');
      const relations = [...dropped.relations, ...dropped.views, ...dropped.children];
      expect(names(relations.filter(({ kind }) => kind !== 'sequence'))).toEqual(seen.relations);
      expect(dropped.foreignKeys.map((key) => `${key.from} ${key.name}`).sort()).toEqual(
        keysOfOthers(seen.keys, relations),
      );
    },
  );

  it('of a schema that is not there is not known', () => {
    expect(droppedWithSchema(catalog, 'elsewhere')).toBeNull();
    expect(names(droppedWithSchema(catalog, 'public')?.functions ?? [])).toEqual(['public.touch']);
  });
});

describe('what lies behind a name', () => {
  it('is what a write through it may change', () => {
    const written = (name: string) => names(writtenThrough(catalog, relation(name)));
    expect(written('shop.users')).toEqual([]);
    expect(written('public.very_active')).toEqual(['shop.account', 'shop.active', 'shop.users']);
    expect(written('shop.watched')).toEqual(['shop.log']);
    expect(written('shop.redirected')).toEqual([
      'shop.both_parents',
      'shop.capital',
      'shop.city',
      'shop.log',
      'shop.second_parent',
      'shop.watched',
    ]);
    expect(written('shop.orders')).toEqual([
      'shop.orders_1',
      'shop.orders_2',
      'shop.orders_2_a',
      'shop.orders_2_b',
    ]);
    expect(written('shop.orders_2_a')).toEqual(['shop.orders', 'shop.orders_2']);
    expect(written('public.on_stored')).toEqual(['shop.stored']);
    expect(written('shop.counting')).toEqual([]);
  });

  it('is what reading it may call', () => {
    const called = (name: string, how?: 'refresh') => names(volatileCalls(catalog, relation(name), how));
    expect(called('shop.active')).toEqual(['shop.touch']);
    expect(called('public.very_active')).toEqual(['shop.touch']);
    expect(called('shop.by_operator')).toEqual(['shop.same']);
    expect(called('shop.totals')).toEqual(['shop.sum_volatile']);
    expect(called('shop.secured')).toEqual(['shop.touch']);
    expect(called('shop.steady')).toEqual([]);
    expect(called('shop.users')).toEqual([]);
    // Only an INSERT runs the rule.
    expect(called('shop.watched')).toEqual([]);
    expect(called('shop.stored')).toEqual([]);
    expect(called('public.on_stored')).toEqual([]);
    expect(called('shop.stored', 'refresh')).toEqual(['shop.touch']);
  });
});

function everyChild(table: Relation): Relation[] {
  return table.children.flatMap((oid) => {
    const child = catalog.relation(oid);
    return child === null ? [] : [child, ...everyChild(child)];
  });
}
