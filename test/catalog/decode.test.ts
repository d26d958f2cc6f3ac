/**
 * An answer that is not what the query promises is refused as a whole; and catalogs
 * made by hand are what they say.
 */
import { describe, expect, it } from 'vitest';
import { decodeCatalog } from '../../src/catalog/decode.js';
import { emptiedBy, reachedByDelete, writtenThrough } from '../../src/catalog/closure.js';
import { catalogOf } from './hand-made.js';
import { names, relationIn } from './rich-schema.js';

const DATABASE = ['database', '["shop", 180001]'];
const OWN = ['own', '["pg_catalog", ["lower", "lower", "now"], ["pg_class"]]'];
const USERS = ['relation', '[20001, "public", "users", "r", 12, ["id", null, "data"], "n.j"]'];

describe('decodeCatalog', () => {
  it('takes rows in any order', () => {
    const rows = [
      ['child', '[20001, 20002]'],
      ['foreign_key', '[5, 20002, 20001, "k", "c", "a", [1], [3], 0]'],
      ['reads', '[20003, 20001, true]'],
      ['relation', '[20002, "public", "more", "r", -1, ["id"], "."]'],
      ['relation', '[20003, "public", "v", "v", 0, ["id"], "."]'],
      USERS,
      ['schema', '["public"]'],
      ['own', '["information_schema", [], ["tables"]]'],
      ['types', '["public", ["mood"]]'],
      ['types', '["pg_catalog", ["uuid"]]'],
      OWN,
      DATABASE,
    ];
    for (const order of [rows, [...rows].reverse()]) {
      const catalog = decodeCatalog(order);
      const users = relationIn(catalog, 'public.users');
      expect(catalog).toMatchObject({ database: 'shop', serverVersion: 180001 });
      expect(users).toMatchObject({ rows: 12, children: [20002] });
      expect(users.columns).toEqual([
        { name: 'id', type: 'other', notNull: true },
        { name: 'data', type: 'json', notNull: false },
      ]);
      expect(catalog.foreignKeysTo(20001)).toMatchObject([{ columns: ['id'], referenced: ['data'] }]);
      expect(names(catalog.readersOf(20001))).toEqual(['public.v']);
      expect(relationIn(catalog, 'public.more').rows).toBeNull();
      expect([null, 'pg_catalog'].map((schema) => catalog.isOwnFunction(schema, 'lower'))).toEqual([
        true,
        true,
      ]);
      expect(catalog.isOwnFunction('public', 'lower')).toBe(false);
      expect(catalog.isOwnFunction(null, 'pg_class')).toBe(false);
      // What search_path does not have by itself is found under its schema only.
      expect([null, 'information_schema'].map((schema) => catalog.isOwnRelation(schema, 'tables'))).toEqual([
        false,
        true,
      ]);
      expect(catalog.isOwnRelation(null, 'pg_class')).toBe(true);
      expect([null, 'public', 'app'].map((schema) => catalog.hasType(schema, 'mood'))).toEqual([
        true,
        true,
        false,
      ]);
      expect([null, 'public'].map((schema) => catalog.hasType(schema, 'uuid'))).toEqual([true, false]);
    }
  });

  it.each<[string, (string | null)[][], string]>([
    ['nothing', [], 'no row for the database itself'],
    ['no database', [USERS], 'no row for the database itself'],
    ['two databases', [DATABASE, DATABASE], 'two rows for the database itself'],
    ['nothing of PostgreSQL’s own', [DATABASE, USERS], 'no row for pg_catalog'],
    ['a name that is none', [DATABASE, ['own', '["pg_catalog", [1], []]']], 'value 2 is not a text'],
    ['names that are no list', [DATABASE, ['types', '["public", "mood"]']], 'value 2 is not a list'],
    ['a relation twice', [DATABASE, USERS, USERS], 'two rows with the oid 20001'],
    ['another kind', [DATABASE, ['constructor', '[]']], 'a row of kind "constructor"'],
    ['one column', [['database']], 'a row that is not of two columns'],
    ['three columns', [[...DATABASE, 'x']], 'a row that is not of two columns'],
    ['a null', [['database', null]], 'a row that is not of two columns'],
    ['no JSON', [['database', '["shop"']], 'a row of kind database that is not JSON'],
    ['no list', [['database', '{}']], 'a row of kind database that is not a list'],
    ['too few values', [['database', '["shop"]']], 'value 2 is not a whole number'],
    ['too many values', [['database', '["shop", 1, 2]']], 'a row of kind database with 3 values'],
    ['another type', [['database', '[1, 1]']], 'value 1 is not a text'],
    ['a fraction', [['database', '["shop", 1.5]']], 'value 2 is not a whole number'],
    [
      'an unknown relkind',
      [DATABASE, ['relation', '[1, "a", "b", "toString", -1, null, null]']],
      'value 4 is not one of r p v m f S',
    ],
    [
      'columns that do not match',
      [DATABASE, ['relation', '[1, "a", "b", "r", -1, ["id"], ".."]']],
      'a relation whose columns do not match',
    ],
    [
      'an unknown trait',
      [DATABASE, ['relation', '[1, "a", "b", "r", -1, ["id"], "x"]']],
      'an invalid column',
    ],
    [
      'a key of a column that was dropped',
      [DATABASE, OWN, USERS, ['foreign_key', '[5, 20001, 20001, "k", "c", "a", [2], [1], 0]']],
      'a foreign key of an unknown column',
    ],
  ])('refuses %s', (_, rows, message) => {
    expect(() => decodeCatalog(rows)).toThrow(`the answer about the catalogs has `);
    expect(() => decodeCatalog(rows)).toThrow(message);
  });
});

describe('a catalog made by hand', () => {
  const catalog = catalogOf({
    tables: {
      'public.accounts': {},
      'public.users': {
        columns: { id: 'not null', data: 'json', doc: 'json not null', email: '' },
        rows: 12_000,
        references: { 'public.accounts': 'cascade' },
      },
      'public.old_users': { childOf: 'public.users' },
      'log.visits': {
        references: { 'public.users': [{ onDelete: 'set_null' }, { name: 'second', columns: ['by'] }] },
      },
    },
    views: { 'public.active': { reads: ['public.users'], calls: ['public.touch'] } },
    functions: [{ name: 'public.touch', volatility: 'stable', fewest: 1 }],
  });

  it('is walked like one that was read', () => {
    expect(relationIn(catalog, 'public.users')).toMatchObject({
      rows: 12_000,
      columns: [
        { name: 'id', type: 'other', notNull: true },
        { name: 'data', type: 'json', notNull: false },
        { name: 'doc', type: 'json', notNull: true },
        { name: 'email', type: 'other', notNull: false },
      ],
    });
    expect(names(emptiedBy(catalog, [relationIn(catalog, 'public.accounts')]))).toEqual([
      'log.visits',
      'public.users',
    ]);
    expect(
      reachedByDelete(catalog, relationIn(catalog, 'public.accounts')).map(({ effect }) => effect),
    ).toEqual(['delete', 'update']);
    expect(names(writtenThrough(catalog, relationIn(catalog, 'public.active')))).toEqual([
      'public.old_users',
      'public.users',
    ]);
    expect(catalog.functionsNamed(null, 'touch')).toMatchObject([
      { fewest: 1, most: 1, volatility: 'stable' },
    ]);
    expect(catalog.hasSchema('log')).toBe(true);
  });

  it('does not refer to what nobody gave', () => {
    expect(() => catalogOf({ views: { 'public.v': { reads: ['public.t'] } } })).toThrow('no "public.t"');
    expect(() => catalogOf({ tables: { users: {} } })).toThrow('"users" has no schema');
  });
});
