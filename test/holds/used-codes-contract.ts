/** What everything that remembers one-time codes does, wherever it keeps them. */
import { describe, expect, it } from 'vitest';
import type { UsedCodes } from '../../src/holds/used-codes.js';
import { sha256 } from './support.js';

const ONE = sha256('one secret');
const OTHER = sha256('another secret');

/** @param open one that remembers nothing yet */
export function usedCodesContract(name: string, open: () => Promise<UsedCodes>): void {
  describe(name, () => {
    it('a code counts once, and after it no older one, but the next', async () => {
      const used = await open();
      expect(await used.take(ONE, 55_000_000)).toBe(true);
      expect(await used.take(ONE, 55_000_000)).toBe(false);
      expect(await used.take(ONE, 54_999_999)).toBe(false);
      expect(await used.take(ONE, 55_000_001)).toBe(true);
      expect(await used.take(ONE, 55_000_000)).toBe(false);
    });

    it('codes of another secret are others', async () => {
      const used = await open();
      expect(await used.take(ONE, 7)).toBe(true);
      expect(await used.take(OTHER, 7)).toBe(true);
      expect(await used.take(OTHER, 6)).toBe(false);
    });

    it('the very first time step is one', async () => {
      const used = await open();
      expect(await used.take(ONE, 0)).toBe(true);
      expect(await used.take(ONE, 0)).toBe(false);
    });

    it('of many that take one code at one moment, one gets it', async () => {
      const used = await open();
      const taken = await Promise.all(Array.from({ length: 12 }, () => used.take(ONE, 9)));
      expect(taken.filter(Boolean)).toHaveLength(1);
    });
  });
}
