/** Names that the catalog does not have: which those are, and that what uses them is counted. */
import { beforeAll, describe, expect, it } from 'vitest';
import { measuringOf } from '../../src/policy/measured.js';
import { rowLimit } from '../../src/policy/rules/row-limit.js';
import type { Role } from '../../src/policy/types.js';
import { unknownNames } from '../../src/policy/unknown-names.js';
import { analyze } from '../../src/sql/analyze.js';
import type { StatementFacts } from '../../src/sql/facts.js';
import { loadParser } from '../../src/sql/parser.js';
import { catalogOf } from '../catalog/hand-made.js';
import { role } from './hand-made.js';

const CATALOG = catalogOf({
  tables: { 'public.orders': { columns: { id: 'not null', total: '' } } },
  views: { 'public.totals': { columns: { total: '' }, reads: ['public.orders'] } },
  functions: [
    { name: 'public.price_of', volatility: 'stable', fewest: 1, most: 2 },
    { name: 'app.refresh', volatility: 'volatile' },
  ],
  types: ['public.mood'],
});

const COUNTED: Role = {
  ...role({ access: 'write' }),
  rules: { 'row-limit': { action: 'deny', options: rowLimit.options.parse({ statement: 10 }) } },
};

beforeAll(loadParser);

function factsOf(sql: string): StatementFacts {
  const analysis = analyze(sql);
  if (analysis.kind !== 'statements') throw new Error(analysis.kind);
  const [facts] = analysis.statements;
  if (facts === undefined) throw new Error('no statement');
  return facts;
}

const unknown = (sql: string): readonly string[] => unknownNames(CATALOG, [factsOf(sql)]);

const scope = (sql: string, catalog: typeof CATALOG | null = CATALOG): string | null => {
  const context = { environment: 'production', database: 'shop', catalog, catalogUnknown: 'strict' } as const;
  return measuringOf(COUNTED, factsOf(sql), context)?.scope ?? null;
};

describe('what the catalog knows', () => {
  it.each([
    'SELECT 1',
    'SELECT now(), random(), lower(total::text) FROM orders',
    'SELECT count(*), sum(total) FROM public.orders GROUP BY id HAVING count(*) > 1',
    "SELECT extract(year FROM now()), pg_catalog.length('x')",
    'SELECT price_of(id), public.price_of(id, 2) FROM totals',
    // As many arguments as anybody likes, and it is known which function is meant.
    'SELECT price_of(VARIADIC ARRAY[1, 2])',
    "SELECT uuid('0b0d6d1c-0000-4000-8000-000000000000'), mood('happy'), public.mood('sad')",
    'SELECT * FROM pg_class JOIN pg_catalog.pg_stat_activity ON true',
    'SELECT table_name FROM information_schema.tables',
    'WITH recent AS (SELECT * FROM orders) SELECT * FROM recent',
    'SELECT * FROM generate_series(1, 3) AS n',
    // A column far more often than a call, also of a sub-select.
    'SELECT o.brand_new, s.n FROM orders o, (SELECT 1 AS n) s',
  ])('%s', (sql) => {
    expect(unknown(sql)).toEqual([]);
    expect(scope(sql)).toBeNull();
  });
});

describe('what it does not know', () => {
  it.each<[string, readonly string[]]>([
    ['SELECT brand_new()', ['brand_new()']],
    ['SELECT * FROM orders WHERE brand_new(id) > 0', ['brand_new()']],
    ['SELECT * FROM brand_new(7) AS n', ['brand_new()']],
    [
      'SELECT pg_catalog.brand_new(), information_schema.brand_new()',
      ['pg_catalog.brand_new()', 'information_schema.brand_new()'],
    ],
    // PostgreSQL's own name in somebody's schema is somebody's function.
    ["SELECT public.lower('A'), app.price_of(1)", ['public.lower()', 'app.price_of()']],
    // Nothing that is known takes so many arguments.
    ['SELECT price_of(1, 2, 3)', ['price_of()']],
    ["SELECT app.mood('happy')", ['app.mood()']],
    ['SELECT * FROM brand_new', ['brand_new']],
    ['SELECT * FROM orders WHERE id IN (SELECT id FROM app.brand_new)', ['app.brand_new']],
    ['SELECT * FROM tables', ['tables']],
    ['SELECT * FROM pg_temp.mine', ['pg_temp.mine']],
    ['EXPLAIN ANALYZE SELECT brand_new()', ['brand_new()']],
    ['COPY (SELECT * FROM brand_new) TO STDOUT', ['brand_new']],
  ])('%s', (sql, names) => {
    expect(unknown(sql)).toEqual(names);
    expect(scope(sql)).toBe('changed');
  });

  it('has each name once', () => {
    const both = [factsOf('SELECT f() FROM t'), factsOf('SELECT f(1), g() FROM t')];
    expect(unknownNames(CATALOG, both)).toEqual(['f()', 't', 'g()']);
  });

  it('is counted for who is counted only', () => {
    const context = {
      environment: 'production',
      database: 'shop',
      catalog: CATALOG,
      catalogUnknown: 'strict',
    } as const;
    expect(measuringOf(role({ access: 'write' }), factsOf('SELECT brand_new()'), context)).toBeNull();
  });

  it('is looked at, and not run, where a view is made or a function written', () => {
    expect(unknown('CREATE VIEW v AS SELECT * FROM brand_new')).toEqual([]);
    expect(unknown('CREATE TABLE brand_new (id int)')).toEqual([]);
    expect(unknown('CREATE TEMP TABLE brand_new (id int)')).toEqual([]);
    expect(unknown('CREATE TEMP TABLE brand_new AS SELECT * FROM orders')).toEqual([]);
    expect(unknown('CREATE TEMP TABLE mine AS SELECT * FROM brand_new')).toEqual(['brand_new']);
    expect(unknown('SELECT * INTO TEMP brand_new FROM orders')).toEqual([]);
    expect(unknown('SELECT * INTO TEMP mine FROM brand_new')).toEqual(['brand_new']);
    expect(unknown('CREATE TEMP VIEW mine AS SELECT * FROM brand_new')).toEqual([]);
    expect(unknown('INSERT INTO brand_new SELECT * FROM orders')).toEqual(['brand_new']);
    expect(unknown('DROP TABLE brand_new')).toEqual([]);
    expect(unknown("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT brand_new()'")).toEqual([]);
  });
});

describe('without a catalog', () => {
  it('whatever calls or reads anything is counted', () => {
    expect(scope('SELECT 1', null)).toBeNull();
    expect(scope('SELECT now()', null)).toBe('changed');
    // It may be a view.
    expect(scope('SELECT * FROM orders', null)).toBe('changed');
  });
});
