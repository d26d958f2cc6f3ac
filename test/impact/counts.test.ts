/** The queries that count, and what is made of two readings. */
import { describe, expect, it } from 'vitest';
import { COUNT_QUERIES, COUNT_QUERIES_ANEW, readingsOf } from '../../src/impact/counts.js';
import type { Scope } from '../../src/impact/counts.js';
import { ImpactError } from '../../src/impact/impact-error.js';
import { impactOf, sum, within } from '../../src/impact/impact.js';
import type { Impact, Tag } from '../../src/impact/impact.js';
import { lookedUp } from '../support/looked-up.js';

const QUERIES = [COUNT_QUERIES, COUNT_QUERIES_ANEW].flatMap((queries) =>
  Object.entries(queries).flatMap(([scope, { before, after }]) => [
    [`${scope}, before`, before] as const,
    [`${scope}, behind${after.includes('flush') ? ', with the counters anew' : ''}`, after] as const,
  ]),
);

describe.each(QUERIES)('the query that counts: %s', (_which, sql) => {
  it('leaves nothing to search_path', async () => {
    const { names, met } = await lookedUp(sql);
    expect(names).toEqual([]);
    expect(met).toBeGreaterThan(20);
  });
});

type Row = readonly (string | null)[];
/** What the server says of a table. */
type Listed = readonly unknown[];

interface More {
  readonly schema: string;
  readonly rows: number;
  readonly live: number;
  readonly size: number | null;
  readonly file: string;
  readonly persistence: string;
}

function table(name: string, counts: readonly [number, number, number], more: Partial<More> = {}): Listed {
  const { schema = 'public', rows = 10, live = 0, size = null, file = '1' } = more;
  const { persistence = 'p' } = more;
  return [name, ...counts, file, schema, name, persistence, rows, live, size];
}

/** One answer. */
function answer(
  tables: readonly Listed[],
  { files = '1000', tracking = 'on', catalog = '0' } = {},
): readonly Row[] {
  return [[tracking, '742', files, '2', catalog, tables.length === 0 ? null : JSON.stringify(tables)]];
}

const SILENT: Tag = { rows: null, target: null };

function difference(
  before: readonly Listed[],
  after: readonly Listed[],
  tag = SILENT,
  scope: Scope = 'changed',
): Impact {
  return impactOf(readingsOf(scope, answer(before), answer(after)), tag, 'unknown');
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
    ['another file', [table('a', [5, 0, 0])], [table('a', [5, 1, 0], { file: '2' })]],
    ['a count that is no number', [], [['1', 'x', 0, 0, '1', 'public', 'a', 'p', 1, 1, null, false]]],
    ['a count below nothing', [], [table('a', [-1, 0, 0])]],
    ['a count that is not whole', [], [table('a', [2 ** 53, 0, 0])]],
    ['a row that is not whole', [], [table('a', [1, 0, 0]).slice(0, 7)]],
    ['a row before it that is not whole', [['1', 1, 0, 0]], []],
    ['a table without a name', [], [table('', [1, 0, 0])]],
  ])('cannot be told with %s', (_what, before, after) => {
    expect(() => difference(before, after)).toThrow(ImpactError);
  });

  it('take no names before the statement', () => {
    expect(difference([['a', 5, 0, 1, '1']], [table('a', [5, 0, 3])])).toMatchObject([
      { name: 'a', deleted: 2 },
    ]);
    expect(() => difference([['a', 5, 0, 1, '1']], [table('a', [5, 0, 3])], SILENT, 'all')).toThrow(
      ImpactError,
    );
  });

  it('know a schema whose name SQL quotes', () => {
    const after = [table('a', [1, 0, 0], { schema: '"My ""own"" schema"' })];
    expect(difference([], after)).toMatchObject([{ schema: 'My "own" schema', name: 'a' }]);
  });

  it.each([
    ['the larger of two estimates', { rows: 10, live: 25 }, 25],
    ['the statistics, when nobody has analysed it', { rows: -1, live: 3, size: 8192 }, 3],
    ['nothing, when its file is empty', { rows: -1, live: 0, size: 0 }, 0],
    ['not known, when nothing is', { rows: -1, live: 0, size: 8192 }, null],
  ])('say of how many rows: %s', (_what, more, rows) => {
    expect(difference([], [table('a', [1, 0, 0], more)])).toMatchObject([{ rows }]);
  });

  it('refuse a table with a trigger that may run at COMMIT, unless that is known to change nothing', () => {
    const after = [[...(answer([table('a', [1, 0, 0])])[0] ?? []), '["a","a"]']];
    const readings = readingsOf('changed', answer([]), after);
    expect(() => impactOf(readings, SILENT, 'unknown')).toThrow(/deferrable trigger/);
    expect(impactOf(readings, SILENT, 'trusted')).toMatchObject([{ name: 'a', inserted: 1 }]);
  });

  it('see a temporary table that something emptied, and take what was written to it since', () => {
    const before = [table('t', [5, 0, 0], { persistence: 't' })];
    const after = [table('t', [2, 0, 0], { persistence: 't', file: '2' })];
    expect(difference(before, after, { rows: 2, target: null })).toEqual([]);
  });

  it('cannot be told when the session has changed which tables there are', () => {
    const readings = readingsOf('changed', answer([]), answer([], { files: '1001', catalog: '1' }));
    expect(() => impactOf(readings, SILENT, 'unknown')).toThrow(/emptied, rewrote or dropped/);
  });

  it.each([
    ['another session has changed which tables there are', { files: '1001', catalog: '3' }],
    ['only temporary ones came or went', { files: '1000', catalog: '4' }],
  ])('are taken for what they are when %s', (_what, behind) => {
    const before = answer([table('a', [2, 0, 0])], { catalog: '3' });
    const readings = readingsOf('changed', before, answer([table('a', [3, 0, 0])], behind));
    expect(impactOf(readings, SILENT, 'unknown')).toMatchObject([{ name: 'a', inserted: 1 }]);
  });

  it('go on from what was read behind the statement before', () => {
    const first = readingsOf('changed', answer([]), answer([table('a', [4, 0, 0])])).after;
    const second = readingsOf('changed', first, answer([table('a', [4, 0, 3])]));
    expect(impactOf(second, SILENT, 'unknown')).toMatchObject([{ name: 'a', inserted: 0, deleted: 3 }]);
    expect(() => readingsOf('all', first, answer([]))).toThrow(ImpactError);
  });

  it('say whether the counters will start anew', () => {
    const [row = []] = answer([]);
    expect(readingsOf('changed', [row], [[...row, null, '']]).after.startsAnew).toBe(true);
    expect(readingsOf('changed', [row], [[...row, null]]).after.startsAnew).toBe(false);
  });

  it.each([
    ['does not count', answer([], { tracking: 'off' }), /track_counts/],
    ['answers nothing', [], /nothing/],
    ['answers no list', [['on', null, '1', '1', '0', '{"a":1}']], /list of tables/],
    ['answers half a list', [['on', null, '1', '1', '0', '[["1",']], /list of tables/],
    ['answers no list of triggers', [['on', null, '1', '1', '0', null, '7']], /list of tables/],
    ['does not say what the session did to pg_class', [['on', null, '1', '1']], /no number/],
    ['answers a list of something else', [['on', null, '1', '1', '0', '[7]']], /not whole/],
  ] as const)('cannot be told by a server that %s', (_what, rows, message) => {
    expect(() => readingsOf('changed', rows, answer([]))).toThrow(message);
    expect(() => readingsOf('changed', answer([]), rows)).toThrow(message);
    expect(() => readingsOf('changed', rows, rows)).toThrow(ImpactError);
  });

  it('tell what was emptied and dropped by the files, with the rows that were there', () => {
    const before = [
      table('a', [3, 0, 0], { file: '1' }),
      table('b', [0, 0, 0], { rows: -1, size: 8192 }),
      table('c', [0, 0, 0]),
    ];
    const after = [table('a', [2, 0, 0], { file: '9' }), table('c', [0, 0, 0])];
    expect(difference(before, after, SILENT, 'all')).toEqual([
      { schema: 'public', name: 'a', inserted: 2, updated: 0, deleted: 10, rows: 10, emptied: true },
      {
        schema: 'public',
        name: 'b',
        inserted: 0,
        updated: 0,
        deleted: 0,
        rows: null,
        emptied: true,
        atMost: 292,
      },
    ]);
    // Of what is no heap, its size says nothing.
    const columns = [table('b', [0, 0, 0], { rows: -1, size: -1 })];
    expect(difference(columns, [], SILENT, 'all')).toEqual([
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

it('of a table that was emptied twice, what was not known of it once stays unknown', () => {
  const emptied = (rows: number | null, atMost?: number): Impact => [
    {
      schema: 'public',
      name: 'a',
      inserted: 0,
      updated: 0,
      deleted: rows ?? 0,
      rows,
      emptied: true,
      ...(atMost === undefined ? {} : { atMost }),
    },
  ];
  expect(sum(emptied(null, 292), emptied(0))).toEqual(emptied(null, 292));
  expect(sum(emptied(0), emptied(null, 292))).toEqual(emptied(null, 292));
  expect(sum(emptied(null, 292), emptied(null, 584))).toEqual(emptied(null, 876));
  expect(sum(emptied(null, 292), emptied(null))).toEqual(emptied(null));
  expect(sum(emptied(null), emptied(5))[0]).toMatchObject({ deleted: 5, rows: null });
});
