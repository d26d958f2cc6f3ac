import { describe, expect, it } from 'vitest';
import { createUsedCodes } from '../../src/holds/used-codes.js';
import { sha256 } from './support.js';
import { usedCodesContract } from './used-codes-contract.js';

usedCodesContract('codes remembered in the process', () => Promise.resolve(createUsedCodes()));

describe('codes remembered in the process', () => {
  it('are of a bounded number of secrets: the one whose code was taken longest ago is forgotten', async () => {
    const used = createUsedCodes();
    const secret = (each: number): string => sha256(each.toString());
    for (let each = 0; each < 10_000; each++) await used.take(secret(each), 1);
    // The first is the latest now; the second makes room.
    expect(await used.take(secret(0), 2)).toBe(true);
    await used.take(secret(10_000), 1);
    expect(await used.take(secret(0), 2)).toBe(false);
    expect(await used.take(secret(2), 1)).toBe(false);
    expect(await used.take(secret(1), 1)).toBe(true);
  });
});
