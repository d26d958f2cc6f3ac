/** How often the catalogs are read before their time, whatever clients ask for. */
import { describe, expect, it } from 'vitest';
import { EarlyReadings, MIN_GAP_MS } from '../../src/gate/early-readings.js';

const MAX_AGE = 300_000;

function readings() {
  let now = 0;
  const early = new EarlyReadings(MAX_AGE, () => now);
  return {
    due: (...names: readonly string[]) => early.isDue(names),
    at: (milliseconds: number) => {
      now = milliseconds;
    },
    /** A reading that takes so long. */
    read: (names: readonly string[], took = 5) => {
      early.began(names);
      now += took;
      early.ended();
    },
    early,
  };
}

describe('early readings', () => {
  it('are due at once for a name that was never looked for, and then not again in a moment', () => {
    const { due, at, read } = readings();
    expect(due('f()')).toBe(true);
    read(['f()']);
    expect(due('f()')).toBe(false);
    // Nor for another one: whoever misspells a function in a loop may misspell it differently each time.
    expect(due('g()')).toBe(false);
    at(MIN_GAP_MS);
    expect(due('g()')).toBe(true);
  });

  it('are due for a statement where they are for one of its names', () => {
    const { due, at, read } = readings();
    read(['f()']);
    at(MIN_GAP_MS);
    read(['f()']);
    at(2 * MIN_GAP_MS);
    expect(due('f()')).toBe(false);
    expect(due('f()', 'g()')).toBe(true);
    expect(due()).toBe(false);
  });

  it('come ever later for a name that is never found, up to the age at which everything is read anyway', () => {
    const { due, at, read } = readings();
    const times: number[] = [];
    for (let now = 0; now <= 2_000_000; now += 1_000) {
      at(now);
      if (!due('tmp')) continue;
      times.push(now / 1000);
      read(['tmp'], 0);
    }
    expect(times).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111, 1411, 1711]);
  });

  it('take no more than a tenth of the time', () => {
    const { due, at, read } = readings();
    read(['a'], 400);
    at(4_399);
    expect(due('b')).toBe(false);
    at(4_400);
    expect(due('b')).toBe(true);
  });

  it('are not put off by a reading that was for something else', () => {
    const { due, at, early } = readings();
    at(5_000);
    early.ended();
    expect(due('f()')).toBe(true);
  });

  it('remember only so many names, the latest', () => {
    const { due, at, read } = readings();
    for (const [now, names] of [
      [0, ['first']],
      [1_000, ['first']],
      [3_000, ['first', 'second']],
    ] as const) {
      at(now);
      read(names);
    }
    at(4_000);
    expect(due('first')).toBe(false);
    read(Array.from({ length: 999 }, (_, n) => `f_${n}`));
    at(5_000);
    expect(due('first')).toBe(true);
    expect(due('f_0')).toBe(true);
    read(['f_0']);
    at(6_000);
    expect(due('f_0')).toBe(false);
  });
});
