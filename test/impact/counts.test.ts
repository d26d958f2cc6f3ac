/** The queries that count, and what is made of two readings. */
import { describe, expect, it } from 'vitest';
import { COUNT_QUERIES, readingOf } from '../../src/impact/counts.js';
import type { Scope } from '../../src/impact/counts.js';
import { ImpactError } from '../../src/impact/impact-error.js';
import { impactOf, sum, within } from '../../src/impact/impact.js';
import type { Impact, Tag } from '../../src/impact/impact.js';
import { lookedUp } from '../support/looked-up.js';

describe.each(Object.entries(COUNT_QUERIES))('the query that counts: %s', (_scope, sql) => {
  it('leaves nothing to search_path', async () => {
    const { names, met } = await lookedUp(sql);
    expect(names).toEqual([]);
    expect(met).toBeGreaterThan(25);
  });
});

type Row = readonly (string | null)[];

const HEAD: Row = [null, 'on', '742', null, '1000', '2', null, null, null];

function table(
  name: string,
  counts: readonly [number, number, number],
  more: Partial<{ rows: string | null; file: string; persistence: string }> = {},
): Row {
  const { rows = '10', file = '1', persistence = 'p' } = more;
  return [name, 'public', name, persistence, ...counts.map(String), rows, file];
}

const SILENT: Tag = { rows: null, target: null };

function difference(
  before: readonly Row[],
  after: readonly Row[],
  tag = SILENT,
  scope: Scope = 'changed',
): Impact {
  return impactOf(scope, readingOf([HEAD, ...before]), readingOf([HEAD, ...after]), tag, 'unknown');
}

describe('two readings', () => {
  it('differ by what was done between them', () => {
    expect(difference([table('a', [5, 0, 1])], [table('a', [5, 2, 4]), table('b', [1, 0, 0])])).toEqual([
      { schema: 'public', name: 'a', inserted: 0, updated: 2, deleted: 3, rows: 10, emptied: false },
      { schema: 'public', name: 'b', inserted: 1, updated: 0, deleted: 0, rows: 10, emptied: false },
    ]);
  });

  it('are the same where nothing was done', () => {
    expect(difference([table('a', [5, 0, 1])], [table('a', [5, 0, 1])])).toEqual([]);
  });

  it('show no temporary table, and count its rows as accounted for', () => {
    const after = [table('t', [7, 0, 0], { persistence: 't' })];
    expect(difference([], after, { rows: 7, target: { schema: null, name: 't' } })).toEqual([]);
  });

  it('leave rows that only the command tag knows with the table that the statement names', () => {
    expect(difference([], [], { rows: 7, target: { schema: null, name: 'far' } })).toMatchObject([
      { name: 'far', updated: 7 },
    ]);
  });

  it.each([
    ['a counter that goes back', [table('a', [5, 0, 0])], [table('a', [1, 0, 0])]],
    ['a count that is no number', [], [[...table('a', [0, 0, 0]).slice(0, 4), 'x', '0', '0', '1', '1']]],
    ['a row that is not whole', [], [['1', null, 'a', 'p', '1', '0', '0', '1', '1']]],
  ])('cannot be told with %s', (_what, before, after) => {
    expect(() => difference(before, after)).toThrow(ImpactError);
  });

  it('cannot be told when other tables are there than before', () => {
    const other: Row = [null, 'on', '742', null, '1001', '2', null, null, null];
    expect(() => impactOf('changed', readingOf([HEAD]), readingOf([other]), SILENT, 'unknown')).toThrow(
      /emptied, rewrote or dropped/,
    );
  });

  it('cannot be told by a server that does not count, or answers nothing', () => {
    expect(() => readingOf([[null, 'off', null, null, '1', '1', null, null, null]])).toThrow(/track_counts/);
    expect(() => readingOf([])).toThrow(ImpactError);
  });

  it('tell what was emptied and dropped by the files, with the rows that were there', () => {
    const before = [
      table('a', [3, 0, 0], { file: '1' }),
      table('b', [0, 0, 0], { rows: null }),
      table('c', [0, 0, 0]),
    ];
    const after = [table('a', [2, 0, 0], { file: '9' }), table('c', [0, 0, 0])];
    expect(difference(before, after, SILENT, 'all')).toEqual([
      { schema: 'public', name: 'a', inserted: 2, updated: 0, deleted: 10, rows: 10, emptied: true },
      { schema: 'public', name: 'b', inserted: 0, updated: 0, deleted: 0, rows: null, emptied: true },
    ]);
  });
});

describe('what was approved', () => {
  const approved = difference([], [table('a', [0, 0, 100])]);
  const deletes = (rows: number) => difference([], [table('a', [0, 0, rows])]);

  it.each([
    [110, 10, true],
    [111, 10, false],
    [100, 0, true],
    [101, 0.5, false],
  ])('%d rows of 100 with a tolerance of %d percent: %s', (rows, percent, fits) => {
    expect(within(deletes(rows), approved, percent)).toBe(fits);
  });

  it('covers neither another table nor another kind of change', () => {
    expect(within(difference([], [table('b', [0, 0, 1])]), approved, 100)).toBe(false);
    expect(within(difference([], [table('a', [0, 1, 0])]), approved, 100)).toBe(false);
  });
});

it('adds up table by table, the largest first', () => {
  const one = difference([], [table('a', [1, 0, 0]), table('b', [0, 2, 0])]);
  expect(sum(one, difference([], [table('a', [0, 0, 5])]))).toMatchObject([
    { name: 'a', inserted: 1, deleted: 5 },
    { name: 'b', updated: 2 },
  ]);
});
