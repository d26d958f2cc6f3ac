/**
 * One-time codes that have counted in any of the processes that share the holds.
 *
 * Law: that of holds/used-codes.ts. The row of a secret is locked and compared in one
 * statement, so of two processes that take one code at one moment one gets it. A code
 * counts when its COMMIT was answered; where that is not known it does not.
 */
import type { UsedCodes } from '../holds/used-codes.js';
import { NOW } from './changes.js';
import type { Connections } from './connections.js';
import type { SchemaNames } from './schema.js';

/** Far longer than a code is good for, also where the clocks of processes differ. */
const FORGET_MS = 24 * 3_600_000;

export interface SharedCodes extends UsedCodes {
  /** Removes what no code that is still good could be of. */
  forget(): Promise<void>;
}

export function createSharedCodes(connections: Connections, { schema }: SchemaNames): SharedCodes {
  return {
    take: (secretSha256, step) =>
      connections.transaction('code', async (query) => {
        const taken = await query(
          `INSERT INTO ${schema}.used_code AS used (secret_sha256, step, used_at) VALUES ($1, $2, ${NOW})
           ON CONFLICT (secret_sha256) DO UPDATE SET step = excluded.step, used_at = excluded.used_at
           WHERE used.step < excluded.step RETURNING step`,
          [secretSha256, step],
        );
        const counts = taken.length === 1;
        return { changed: counts, value: counts };
      }),
    async forget() {
      await connections.query(
        `DELETE FROM ${schema}.used_code WHERE used_at < ${NOW} - ${FORGET_MS.toString()}`,
      );
    },
  };
}
