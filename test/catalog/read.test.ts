/**
 * The query and its decoding, against a real server: what is in the snapshot.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Catalog, Column } from '../../src/catalog/catalog.js';
import { createDatabase, withClient, type TestDatabase } from '../support/postgres.js';
import { names, readCatalog, relationIn, RICH_ROWS, RICH_SCHEMA } from './rich-schema.js';

let database: TestDatabase;
let catalog: Catalog;

beforeAll(async () => {
  database = await createDatabase('catalog', RICH_SCHEMA + RICH_ROWS);
  catalog = await withClient(readCatalog, database.name);
});
afterAll(() => database.drop());

const relation = (name: string) => relationIn(catalog, name);
const column = (table: string, name: string): Column | undefined =>
  relation(table).columns.find((found) => found.name === name);

describe('the database', () => {
  it('has its name and the server its version', async () => {
    const version = await withClient(async (client) => {
      const result = await client.query<{ v: string }>("SELECT current_setting('server_version_num') AS v");
      return result.rows[0]?.v;
    });
    expect(catalog.database).toBe(database.name);
    expect(String(catalog.serverVersion)).toBe(version);
  });

  it('has its schemas, also empty ones, and none of the system’s', () => {
    expect(['public', 'shop', 'nothing', 'Ünï"quoted'].every((name) => catalog.hasSchema(name))).toBe(true);
    expect(['pg_catalog', 'information_schema', 'pg_toast', 'Public'].some((n) => catalog.hasSchema(n))).toBe(
      false,
    );
    expect(catalog.relationsIn('nothing')).toEqual([]);
    expect(catalog.relationsIn('pg_catalog')).toEqual([]);
    expect(catalog.relationsNamed({ schema: null, name: 'pg_class' })).toEqual([]);
  });
});

describe('what PostgreSQL has itself', () => {
  it('is there by name, all of it', async () => {
    const there = await withClient(async (client) => {
      const result = await client.query<{ kind: string; schema: string; name: string }>(`
        SELECT DISTINCT 'function' AS kind, nspname AS schema, proname AS name
        FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname IN ('pg_catalog', 'information_schema')
        UNION ALL
        SELECT 'relation', nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname IN ('pg_catalog', 'information_schema') AND relkind IN ('r', 'v')`);
      return result.rows;
    }, database.name);
    expect(there.length).toBeGreaterThan(2500);
    const missing = there.filter(
      ({ kind, schema, name }) =>
        !(kind === 'function' ? catalog.isOwnFunction(schema, name) : catalog.isOwnRelation(schema, name)),
    );
    expect(missing).toEqual([]);
  });

  it('has nothing else in it', () => {
    expect(catalog.isOwnFunction(null, 'no_such_function')).toBe(false);
    expect(catalog.isOwnFunction(null, 'add_stable')).toBe(false);
    expect(catalog.isOwnFunction('shop', 'lower')).toBe(false);
    expect(catalog.isOwnRelation(null, 'users')).toBe(false);
    expect(catalog.isOwnRelation(null, 'tables')).toBe(false);
    expect(catalog.isOwnRelation('shop', 'pg_class')).toBe(false);
  });
});

describe('types', () => {
  it('are those that a call may cast to', () => {
    expect(['uuid', 'jsonb', 'text', 'document', 'code'].every((name) => catalog.hasType(null, name))).toBe(
      true,
    );
    expect(catalog.hasType('shop', 'document')).toBe(true);
    expect(catalog.hasType('public', 'document')).toBe(false);
    expect(['users', '_text', 'no_such_type'].some((name) => catalog.hasType(null, name))).toBe(false);
  });
});

describe('relations', () => {
  it('are exactly those that the server has', async () => {
    const there = await withClient(async (client) => {
      const result = await client.query<{ schema: string; name: string }>(`
        SELECT nspname AS schema, relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname !~ '^(pg_|information_schema)' AND relkind NOT IN ('i', 'I', 't', 'c')`);
      return names(result.rows);
    }, database.name);
    const schemas = ['public', 'shop', 'Ünï"quoted'];
    expect(names(schemas.flatMap((schema) => catalog.relationsIn(schema)))).toEqual(there);
    expect(there.length).toBeGreaterThan(40);
  });

  it('are found in one schema, or in all', () => {
    expect(names(catalog.relationsNamed({ schema: null, name: 'users' }))).toEqual([
      'public.users',
      'shop.users',
    ]);
    expect(names(catalog.relationsNamed({ schema: 'shop', name: 'users' }))).toEqual(['shop.users']);
    expect(catalog.relationsNamed({ schema: 'nothing', name: 'users' })).toEqual([]);
    expect(catalog.relationsNamed({ schema: null, name: 'Users' })).toEqual([]);
    const [sorted] = [catalog.relationsIn('shop').map(({ name }) => name)];
    expect(sorted).toEqual([...sorted].sort());
  });

  it.each([
    ['shop.users', 'table'],
    ['shop.orders', 'partitioned_table'],
    ['shop.orders_2', 'partitioned_table'],
    ['shop.active', 'view'],
    ['shop.stored', 'materialized_view'],
    ['shop.numbers', 'sequence'],
  ])('%s is a %s', (name, kind) => {
    expect(relation(name).kind).toBe(kind);
    expect(catalog.relation(relation(name).oid)).toBe(relation(name));
  });

  it('have columns in their order, without those that were dropped', () => {
    expect(relation('shop.columns').columns).toEqual([
      { name: 'id', type: 'other', notNull: true },
      { name: 'a', type: 'json', notNull: false },
      { name: 'b', type: 'json', notNull: true },
      { name: 'c', type: 'json', notNull: false },
      { name: 'd', type: 'json', notNull: true },
      { name: 'e', type: 'json', notNull: true },
      { name: 'f', type: 'json', notNull: false },
      { name: 'g', type: 'other', notNull: true },
      { name: 'h', type: 'other', notNull: false },
      { name: 'i', type: 'other', notNull: false },
      { name: 'j', type: 'other', notNull: false },
      { name: 'Quo"ted, column', type: 'other', notNull: true },
    ]);
    expect(relation('Ünï"quoted.Tä\\ble\'').columns).toEqual([
      { name: 'id', type: 'other', notNull: false },
      { name: '{"a":1}', type: 'json', notNull: false },
    ]);
    expect(relation('shop.empty').columns).toEqual([]);
    expect(relation('shop.numbers').columns).toEqual([]);
    expect(column('shop.of_columns', 'data')).toEqual({ name: 'data', type: 'json', notNull: false });
  });

  it('do not trust a NOT NULL that is NOT VALID', async () => {
    if (catalog.serverVersion < 180_000) return;
    await withClient(async (client) => {
      await client.query('BEGIN');
      await client.query('CREATE TABLE unproven (a int, b int NOT NULL)');
      await client.query('ALTER TABLE unproven ADD CONSTRAINT c NOT NULL a NOT VALID');
      const { columns } = relationIn(await readCatalog(client), 'public.unproven');
      expect(columns.map(({ notNull }) => notNull)).toEqual([false, true]);
      await client.query('ROLLBACK');
    }, database.name);
  });

  it('have the planner’s estimate once there is one', async () => {
    expect(relation('shop.users').rows).toBeNull();
    expect(relation('shop.orders').rows).toBeNull();
    await withClient(async (client) => {
      await client.query('BEGIN');
      await client.query('ANALYZE shop.users, shop.orders_1, shop.orders_2_a, shop.empty');
      const analyzed = await readCatalog(client);
      expect(relationIn(analyzed, 'shop.users').rows).toBe(1);
      expect(relationIn(analyzed, 'shop.empty').rows).toBe(0);
      expect(relationIn(analyzed, 'shop.orders_2_b').rows).toBeNull();
      expect(relationIn(analyzed, 'shop.orders').rows).toBe(2);
      expect(relationIn(analyzed, 'shop.active').rows).toBeNull();
      expect(relationIn(analyzed, 'shop.numbers').rows).toBeNull();
      await client.query('ROLLBACK');
    }, database.name);
  });

  it('know their children and parents', () => {
    const children = (name: string) =>
      names(relation(name).children.flatMap((oid) => catalog.relation(oid) ?? []));
    expect(children('shop.orders')).toEqual(['shop.orders_1', 'shop.orders_2']);
    expect(children('shop.orders_2')).toEqual(['shop.orders_2_a', 'shop.orders_2_b']);
    expect(children('shop.city')).toEqual(['shop.both_parents', 'shop.capital']);
    expect(children('shop.users')).toEqual([]);
    expect(names(catalog.parentsOf(relation('shop.both_parents').oid))).toEqual([
      'shop.city',
      'shop.second_parent',
    ]);
  });

  it('know what views read, and what only rules do', () => {
    const read = (name: string, list: 'reads' | 'ruleReads' = 'reads') =>
      names(relation(name)[list].flatMap((oid) => catalog.relation(oid) ?? []));
    expect(read('public.very_active')).toEqual(['shop.account', 'shop.active']);
    expect(read('shop.stored')).toEqual(['shop.active']);
    expect(read('shop.watched')).toEqual(['shop.log']);
    expect(read('shop.watched', 'ruleReads')).toEqual(['shop.log']);
    expect(read('shop.redirected')).toEqual(['shop.city', 'shop.watched']);
    expect(read('shop.redirected', 'ruleReads')).toEqual(['shop.city']);
    expect(read('shop.system')).toEqual([]);
    expect(read('shop.counting')).toEqual(['shop.numbers']);
    expect(names(catalog.readersOf(relation('shop.users').oid))).toEqual([
      'shop.active',
      'shop.by_operator',
      'shop.totals',
    ]);
  });

  it('know what functions views, rules and row security call', () => {
    const called = (name: string, list: 'calls' | 'ruleCalls' = 'calls') =>
      names(relation(name)[list].flatMap((oid) => catalog.function(oid) ?? []));
    expect(called('shop.active')).toEqual(['shop.touch']);
    expect(called('shop.by_operator')).toEqual(['shop.same']);
    expect(called('shop.totals')).toEqual(['shop.sum_volatile']);
    expect(called('shop.secured')).toEqual(['shop.touch']);
    expect(called('shop.secured', 'ruleCalls')).toEqual([]);
    expect(called('shop.watched', 'ruleCalls')).toEqual(['shop.touch']);
    expect(called('public.on_stored')).toEqual([]);
    const [touch] = catalog.functionsNamed('shop', 'touch').filter(({ most }) => most === 0);
    expect(names(catalog.callersOf(touch?.oid ?? 0))).toEqual([
      'shop.active',
      'shop.secured',
      'shop.watched',
    ]);
  });
});

describe('foreign keys', () => {
  it('have both ends, both actions and their columns in step', () => {
    const account = relation('shop.account');
    expect(
      catalog
        .foreignKeysTo(account.oid)
        .map((key) => key.name)
        .sort(),
    ).toEqual(['city_account_id_fkey', 'invoice_account', 'referrer_account_id_fkey']);
    expect(catalog.foreignKeysTo(account.oid).find(({ name }) => name === 'invoice_account')).toEqual({
      oid: expect.any(Number) as number,
      name: 'invoice_account',
      from: relation('shop.invoice').oid,
      to: account.oid,
      onDelete: 'cascade',
      onUpdate: 'cascade',
      columns: ['number', 'region'],
      referenced: ['number', 'region'],
      partOf: null,
    });
    const actions = catalog.foreignKeysTo(relation('shop.invoice').oid).map((k) => [k.onDelete, k.onUpdate]);
    expect(actions.sort()).toEqual([
      ['cascade', 'set_null'],
      ['restrict', 'restrict'],
      ['set_default', 'cascade'],
    ]);
    expect(catalog.foreignKeysTo(relation('shop.account_type').oid)).toMatchObject([
      { onDelete: 'no_action', onUpdate: 'no_action' },
    ]);
  });

  it('of partitions are marked as parts of the whole', () => {
    const toUsers = catalog.foreignKeysTo(relation('shop.users').oid);
    const from = (key: (typeof toUsers)[number]) => catalog.relation(key.from)?.name;
    expect(toUsers.filter(({ partOf }) => partOf === null).map(from)).toEqual(['orders']);
    expect(
      toUsers
        .filter(({ partOf }) => partOf !== null)
        .map(from)
        .sort(),
    ).toEqual(['orders_1', 'orders_2', 'orders_2_a', 'orders_2_b']);
    const toLeaf = catalog.foreignKeysTo(relation('shop.orders_2_a').oid);
    expect(toLeaf).toMatchObject([{ from: relation('shop.shipment').oid }]);
    const part = catalog.foreignKey(toLeaf[0]?.partOf ?? 0);
    expect(catalog.foreignKey(part?.partOf ?? 0)).toMatchObject({ name: 'shipment_order', partOf: null });
  });
});

describe('functions', () => {
  const one = (name: string) => {
    const found = catalog.functionsNamed('shop', name);
    expect(found).toHaveLength(1);
    return found[0];
  };

  it('have all overloads under their name', () => {
    const all = catalog
      .functionsNamed(null, 'touch')
      .map(({ schema, fewest, most, volatility, language }) => {
        return [schema, fewest, most, volatility, language];
      });
    expect(all.sort()).toEqual([
      ['public', 1, null, 'immutable', 'sql'],
      ['shop', 0, 0, 'volatile', 'plpgsql'],
      ['shop', 1, 3, 'stable', 'sql'],
    ]);
    expect(catalog.functionsNamed('shop', 'touch')).toHaveLength(2);
    expect(catalog.functionsNamed(null, 'lower')).toEqual([]);
    expect(names(catalog.functionsIn('public'))).toEqual(['public.touch']);
  });

  it('count the arguments that a call gives', () => {
    expect(one('several')).toMatchObject({ kind: 'function', fewest: 2, most: 2 });
    expect(one('proceed')).toMatchObject({ kind: 'procedure', fewest: 2, most: 3, volatility: 'volatile' });
    expect(one('count_all')).toMatchObject({ kind: 'aggregate', fewest: 0, most: 0 });
    expect(one('middle')).toMatchObject({ kind: 'aggregate', fewest: 1, most: 2 });
  });

  it('that are aggregates are as volatile as what they are made of', () => {
    expect(one('sum_volatile')).toMatchObject({ kind: 'aggregate', volatility: 'volatile' });
    expect(one('sum_final')).toMatchObject({ volatility: 'volatile' });
    expect(one('sum_stable')).toMatchObject({ volatility: 'stable' });
    expect(one('sum_immutable')).toMatchObject({ volatility: 'immutable' });
  });

  it('of an extension say so', async ({ skip }) => {
    await withClient(async (client) => {
      const available = await client.query("SELECT FROM pg_available_extensions WHERE name = 'pgcrypto'");
      if (available.rows.length === 0) skip('the server has no pgcrypto');
      await client.query('BEGIN');
      await client.query('CREATE EXTENSION pgcrypto SCHEMA shop');
      const [digest] = (await readCatalog(client)).functionsNamed('shop', 'digest');
      expect(digest).toMatchObject({ extension: 'pgcrypto', language: 'c', volatility: 'immutable' });
      await client.query('ROLLBACK');
    }, database.name);
    expect(one('same')?.extension).toBeNull();
  });

  it('that somebody put into pg_catalog are there', async () => {
    await withClient(async (client) => {
      await client.query('BEGIN');
      await client.query('SET LOCAL allow_system_table_mods = on');
      await client.query("CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'");
      expect(names((await readCatalog(client)).functionsNamed(null, 'mine'))).toEqual(['pg_catalog.mine']);
      expect((await readCatalog(client)).isOwnFunction(null, 'mine')).toBe(false);
      await client.query('ROLLBACK');
    }, database.name);
  });
});
