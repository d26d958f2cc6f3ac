/** Where the counters of a session stand, as far as that is known without reading them. */
import { beforeAll, describe, expect, it } from 'vitest';
import { KnownCounters } from '../../src/gate/known-counters.js';
import type { Counters, Reading } from '../../src/impact/counts.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import type { StatementFacts } from '../../src/sql/facts.js';

beforeAll(loadParser);

const COUNTERS: Counters = { oid: '1', inserted: 3, updated: 0, deleted: 0, file: '1' };

function reading(startsAnew: boolean): Reading<Counters> {
  return {
    transaction: '7',
    tables: new Map([['1', COUNTERS]]),
    files: '1/1',
    catalog: 2,
    startsAnew,
  };
}

const at = (idles: number, groupOutstanding = false) => ({ idles, groupOutstanding });

function factsOf(sql: string): StatementFacts | null {
  const analysis = analyze(sql);
  if (analysis.kind !== 'statements') throw new Error(sql);
  return analysis.statements[0] ?? null;
}

describe('the counters', () => {
  it('are not known before they were read, nor twice', () => {
    const counters = new KnownCounters(() => 0);
    expect(counters.take(at(0))).toBeNull();
    const read = reading(true);
    counters.read(read, at(0));
    expect(counters.take(at(0))).toBe(read);
    expect(counters.take(at(0))).toBeNull();
  });

  it('begin anew when the server has been idle, where it was told so', () => {
    const counters = new KnownCounters(() => 0);
    counters.read(reading(true), at(4));
    expect(counters.take(at(5))).toMatchObject({ tables: new Map(), catalog: 0, files: '1/1' });
  });

  it('are not known behind the end of a transaction, where the server begins anew when it likes', () => {
    const counters = new KnownCounters(() => 0);
    counters.read(reading(false), at(4));
    expect(counters.take(at(5))).toBeNull();
    const read = reading(false);
    counters.read(read, at(5));
    expect(counters.take(at(5))).toBe(read);
  });

  it('are not known while the server may become idle', () => {
    const counters = new KnownCounters(() => 0);
    counters.read(reading(true), at(4));
    expect(counters.take(at(4, true))).toBeNull();
  });

  it('are read again after a while, for what other sessions do to the tables', () => {
    let now = 0;
    const counters = new KnownCounters(() => now);
    counters.read(reading(true), at(4));
    now = 1001;
    expect(counters.take(at(4))).toBeNull();
  });

  it.each(['SELECT 1', 'BEGIN', 'COMMIT', 'ROLLBACK TO a', 'SET statement_timeout = 0', 'SHOW work_mem'])(
    'stay known behind %s',
    (sql) => {
      const counters = new KnownCounters(() => 0);
      counters.read(reading(true), at(4));
      counters.uncounted(factsOf(sql));
      expect(counters.take(at(4))).not.toBeNull();
    },
  );

  it.each([
    "PREPARE TRANSACTION 'a'",
    "COMMIT PREPARED 'a'",
    'SET CONSTRAINTS ALL IMMEDIATE',
    'INSERT INTO a VALUES (1)',
    'VACUUM a',
    'EXECUTE a',
    'FETCH a',
    'EXPLAIN ANALYZE SELECT 1',
    'DISCARD ALL',
  ])('are not known behind %s', (sql) => {
    const counters = new KnownCounters(() => 0);
    counters.read(reading(true), at(4));
    counters.uncounted(factsOf(sql));
    expect(counters.take(at(4))).toBeNull();
  });

  it('are not known behind what could not be read', () => {
    const counters = new KnownCounters(() => 0);
    counters.read(reading(true), at(4));
    counters.uncounted(null);
    expect(counters.take(at(4))).toBeNull();
  });
});
