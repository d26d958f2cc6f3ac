/** row-limit on what was counted: sums, shares, tables with limits of their own, and what a person reads. */
import { describe, expect, it } from 'vitest';
import type { TableImpact } from '../../src/impact/impact.js';
import { judgeImpact, mayHold, measures, toleranceOf } from '../../src/policy/measured.js';
import { rowLimit } from '../../src/policy/rules/row-limit.js';
import type { Role } from '../../src/policy/types.js';
import { role } from './hand-made.js';

function table(name: string, change: Partial<TableImpact>): TableImpact {
  return {
    schema: 'public',
    name,
    inserted: 0,
    updated: 0,
    deleted: 0,
    rows: 1000,
    emptied: false,
    ...change,
  };
}

function limited(options: Record<string, unknown>, action: 'deny' | 'hold' | 'allow' = 'deny'): Role {
  return {
    ...role({ access: 'write' }),
    name: 'app',
    rules: { 'row-limit': { action, options: rowLimit.options.parse(options) } },
  };
}

function messages(
  options: Record<string, unknown>,
  statement: readonly TableImpact[],
  transaction = statement,
): string[] {
  return judgeImpact(limited(options), {
    subject: () => 'DELETE on "a"',
    role: 'app',
    statement,
    transaction,
  }).map(({ message }) => message);
}

describe('row-limit', () => {
  it('adds up what was inserted, updated and deleted in all tables', () => {
    const impact = [table('a', { inserted: 3, updated: 3 }), table('b', { deleted: 4 })];
    expect(messages({ statement: 10 }, impact)).toEqual([]);
    expect(messages({ statement: 9 }, impact)).toEqual([
      'DELETE on "a" would change 10 rows, with everything that follows from it; role "app" may change 9 in one statement.',
    ]);
  });

  it('looks at the transaction as a whole', () => {
    const one = [table('a', { deleted: 4 })];
    expect(messages({ statement: 5, transaction: 10 }, one, [table('a', { deleted: 11 })])).toEqual([
      'With this statement its transaction would change 11 rows; role "app" may change 10 in one transaction.',
    ]);
  });

  it('looks at the share of each table, and takes a table of unknown size for changed whole', () => {
    const share = { statement: 1000, table_percent: 20 };
    expect(messages(share, [table('a', { deleted: 200 })])).toEqual([]);
    expect(messages(share, [table('a', { deleted: 201 })])).toEqual([
      'DELETE on "a" would change 20 % of the rows of "a"; role "app" may change 20 % of a table in one statement.',
    ]);
    expect(messages(share, [table('a', { inserted: 900 })])).toEqual([]);
    expect(messages(share, [table('a', { updated: 1, rows: null })])[0]).toContain(
      'how many rows it has is not known',
    );
  });

  it('takes tables with limits of their own out of the sums', () => {
    const own = {
      statement: 5,
      transaction: 5,
      tables: { 'events_*': { statement: 100, transaction: 150 } },
    };
    expect(messages(own, [table('events_1', { inserted: 90 }), table('a', { inserted: 5 })])).toEqual([]);
    expect(messages(own, [table('events_1', { inserted: 101 })])[0]).toContain('101 rows of "events_1"');
    expect(
      messages(own, [table('events_1', { inserted: 1 })], [table('events_1', { inserted: 151 })])[0],
    ).toContain('in one transaction');
    expect(messages(own, [table('events_1', { inserted: 1 }), table('a', { inserted: 6 })])[0]).toContain(
      '6 rows',
    );
  });

  it('counts an emptied table of unknown size as above every limit', () => {
    expect(messages({ statement: 1_000_000 }, [table('a', { emptied: true, rows: null })])[0]).toContain(
      'an unknown number of rows',
    );
  });

  it('counts as many rows as an emptied table had room for, where that is all that is known', () => {
    const small = table('a', { emptied: true, rows: null, atMost: 292 });
    expect(messages({ statement: 300 }, [small])).toEqual([]);
    expect(messages({ statement: 300 }, [small, table('b', { deleted: 9 })])).toEqual([
      'DELETE on "a" would change up to 301 rows, with everything that follows from it; role "app" may change 300 in one statement.',
    ]);
    expect(messages({ statement: 300, table_percent: 99 }, [small])[0]).toContain('100 % of the rows of "a"');
    const [match] = judgeImpact(limited({ statement: 1 }), {
      subject: () => 'TRUNCATE on "a"',
      role: 'app',
      statement: [{ ...small, inserted: 1 }],
      transaction: [],
    });
    expect(match).toMatchObject({
      detail: 'Counted: "a": emptied, how many rows is not known (292 rows at most), 1 inserted.',
      hint: 'The server does not know how many rows there are; ANALYZE "public"."a" tells it. If all of them are meant, ask for a role that may change more.',
    });
  });

  it('lists tables in the detail', () => {
    const [match] = judgeImpact(limited({ statement: 1 }), {
      subject: () => 'DELETE on "a"',
      role: 'app',
      statement: [table('a', { deleted: 1000 }), table('b', { updated: 10, inserted: 1 })],
      transaction: [],
    });
    expect(match?.detail).toBe(
      'Counted: "a": 1,000 deleted (all of about 1,000); "b": 10 updated (1 % of about 1,000), 1 inserted.',
    );
  });
});

describe('who pays for it', () => {
  it('is nobody without the rule, or with it at allow', () => {
    expect(measures(role({ access: 'write' }))).toBe(false);
    expect(measures(limited({ statement: 1 }, 'allow'))).toBe(false);
    expect(measures(limited({ statement: 1 }))).toBe(true);
  });

  it('may be held only by a role that says who approves', () => {
    expect(mayHold(limited({ statement: 1 }, 'hold'))).toBe(false);
  });

  it('has a tolerance of ten percent unless it says otherwise', () => {
    expect(toleranceOf(limited({ statement: 1 }))).toBe(10);
    expect(toleranceOf(limited({ statement: 1, tolerance: 3 }))).toBe(3);
  });
});
