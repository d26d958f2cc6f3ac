/** Shared holds in a database of a test's own: stores of one schema stand for processes. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { HoldLimits } from '../../src/holds/limits.js';
import type { HoldChange } from '../../src/holds/store.js';
import type { Faults } from '../../src/holds-postgres/faults.js';
import { openSharedHolds } from '../../src/holds-postgres/store.js';
import type { SharedHolds } from '../../src/holds-postgres/store.js';
import type { Pace } from '../../src/holds-postgres/upkeep.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';

/** So quick that a test need not wait for what happens by itself. */
export const PACE: Pace = {
  heartbeatMs: 100,
  pollMs: 200,
  budgetMs: 20,
  goneMs: 400,
  silentMs: 60_000,
  graceMs: 100,
};

export interface Opening {
  readonly limits?: Partial<HoldLimits> | undefined;
  readonly pace?: Partial<Pace>;
  readonly faults?: Faults;
}

export interface Opened {
  readonly store: SharedHolds;
  readonly owner: string;
  readonly errors: unknown[];
  /** What it was told, in order: `h1 requested here`. */
  readonly heard: string[];
  readonly problems: (string | null)[];
  /** Resolves with the first change, from now or before, that is told like this. */
  told(line: string): Promise<HoldChange>;
}

/** Stores of one schema, a new schema for each test; what went wrong in them unheard fails the test that opened them. */
export interface SharedGround {
  readonly database: TestDatabase;
  readonly schema: string;
  open(opening?: Opening, url?: string): Promise<Opened>;
}

/** Registers the hooks that make the ground of a file's tests. */
export function sharedGround(purpose: string, prefix: string): SharedGround {
  let made: TestDatabase | null = null;
  let schemas = 0;
  const opened: Opened[] = [];
  const database = (): TestDatabase => {
    if (made === null) throw new Error('the database is made before the first test');
    return made;
  };
  beforeAll(async () => {
    made = await createDatabase(purpose);
  });
  beforeEach(() => {
    schemas += 1;
  });
  afterEach(async () => {
    for (const { store, errors } of opened.splice(0)) {
      await store.close();
      expect(errors).toEqual([]);
    }
  });
  afterAll(async () => {
    await database().drop();
  });
  return {
    get database() {
      return database();
    },
    get schema() {
      return `${prefix}_${schemas.toString()}`;
    },
    async open(opening = {}, url = database().url) {
      const one = await openStore(url, this.schema, opening);
      opened.push(one);
      return one;
    },
  };
}

/** Opens the shared holds as a process of its own would. */
export async function openStore(url: string, schema: string, opening: Opening = {}): Promise<Opened> {
  const errors: unknown[] = [];
  const heard: string[] = [];
  const changes: HoldChange[] = [];
  const problems: (string | null)[] = [];
  const waiting = new Set<() => void>();
  const owner = randomBytes(6).toString('hex');
  const store = await openSharedHolds({
    url,
    schema,
    owner,
    now: () => performance.timeOrigin + performance.now(),
    setTimer: (callback, delayMs) => {
      const timer = setTimeout(callback, delayMs);
      return () => {
        clearTimeout(timer);
      };
    },
    random: Math.random,
    onError: (error) => errors.push(error),
    onProblem: (problem) => problems.push(problem),
    limits: opening.limits ?? {},
    pace: { ...PACE, ...opening.pace },
    faults: opening.faults,
  });
  store.subscribe((change) => {
    const { hold, effects, here } = change;
    for (const effect of effects) {
      const what = effect.kind === 'voted' ? `vote of ${effect.vote.approver}` : effect.to;
      heard.push(`${hold.id} ${what} ${here ? 'here' : 'elsewhere'}`);
      changes.push(change);
    }
    for (const wake of [...waiting]) wake();
  });
  return {
    store,
    owner,
    errors,
    heard,
    problems,
    told: (line) =>
      new Promise((resolve) => {
        const look = (): void => {
          const change = changes[heard.indexOf(line)];
          if (change === undefined) return;
          waiting.delete(look);
          resolve(change);
        };
        waiting.add(look);
        look();
      }),
  };
}
