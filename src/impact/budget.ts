/**
 * What each user has changed lately: rows and statements in a sliding window, for
 * each role, user and length of window, across sessions.
 *
 * Law: pure; time comes in, on a clock that never goes back. Memory is bounded: a
 * window is counted in buckets, and keys beyond the limit share one count. Whatever
 * is coarse here errs towards having spent more.
 */

/** What was spent of a budget in its window. */
export interface Spent {
  readonly rows: number;
  readonly statements: number;
}

/** Whose budget, and over which window: another window is another count. */
export interface BudgetKey {
  readonly role: string;
  readonly user: string;
  /** Milliseconds. */
  readonly windowMs: number;
}

/** Limits to wait for; null: none. */
export interface BudgetLimits {
  readonly rows: number | null;
  readonly statements: number | null;
}

/** Times are milliseconds on a clock that never goes back. */
export interface WriteBudgets {
  /** Something was changed, or is about to be. Neither figure is ever negative. */
  charge(key: BudgetKey, cost: Spent, at: number): void;
  /** What was charged in the window that ends at `at`, and up to a sixtieth of a window before it. */
  spent(key: BudgetKey, at: number): Spent;
  /** Milliseconds from `at` on until less than each limit is spent, if nothing more is charged; 0: it is now. */
  clearsIn(key: BudgetKey, limits: BudgetLimits, at: number): number;
  /** Forgets what this user of this role has spent, in windows of every length. */
  reset(of: BudgetOwner): void;
  /** What is counted of whom in the windows that end at `at`; those who share a count are not among them. */
  list(at: number): readonly Counted[];
}

/** Whose budgets. */
export type BudgetOwner = Pick<BudgetKey, 'role' | 'user'>;

/** What is counted of one user in one window. Something is. */
export interface Counted {
  readonly key: BudgetKey;
  readonly spent: Spent;
  /** The beginning of the part of the window that the first of it was charged in. */
  readonly since: number;
}

/** Parts that a window is counted in. */
const BUCKETS = 60;
/** One more than there are in a window: the oldest one lies in it in part, and counts in full. */
const SLOTS = BUCKETS + 1;
const MOST_KEYS = 10_000;

interface Count {
  readonly key: BudgetKey;
  /** Milliseconds of a bucket. */
  readonly width: number;
  readonly rows: Float64Array;
  readonly statements: Float64Array;
  /** Number of the latest bucket: the time of its beginning, in widths. */
  latest: number;
}

/** @param mostKeys how many counts are kept; what is beyond shares one */
export function createWriteBudgets(mostKeys = MOST_KEYS): WriteBudgets {
  const counts = new Map<string, Count>();
  /** Of keys that there was no room for, by window. */
  const shared = new Map<number, Count>();

  function find(key: BudgetKey): Count | undefined {
    return counts.get(nameOf(key)) ?? shared.get(key.windowMs);
  }

  function create(key: BudgetKey, at: number): Count {
    if (counts.size >= mostKeys) {
      for (const [name, count] of counts) {
        if (bucketOf(count, at) - count.latest > BUCKETS) counts.delete(name);
      }
    }
    const created = newCount(key, at);
    if (counts.size < mostKeys) counts.set(nameOf(key), created);
    else shared.set(key.windowMs, created);
    return created;
  }

  return {
    charge(key, cost, at) {
      const count = find(key) ?? create(key, at);
      advance(count, at);
      const slot = count.latest % SLOTS;
      count.rows[slot] = (count.rows[slot] ?? 0) + cost.rows;
      count.statements[slot] = (count.statements[slot] ?? 0) + cost.statements;
    },
    spent(key, at) {
      const count = find(key);
      if (count === undefined) return NOTHING;
      advance(count, at);
      return sum(count, 0);
    },
    clearsIn(key, limits, at) {
      const count = find(key);
      if (count === undefined) return 0;
      advance(count, at);
      for (let gone = 0; gone <= SLOTS; gone++) {
        const { rows, statements } = sum(count, gone);
        const clear =
          (limits.rows === null || rows < limits.rows) &&
          (limits.statements === null || statements < limits.statements);
        if (clear)
          return gone === 0
            ? 0
            : (count.latest + gone) * count.width - Math.min(at, (count.latest + 1) * count.width);
      }
      // A limit of nothing is never cleared.
      return count.width * SLOTS;
    },
    reset(of) {
      for (const [name, { key }] of counts) {
        if (key.role === of.role && key.user === of.user) counts.delete(name);
      }
    },
    list(at) {
      return [...counts.values()].flatMap((count): Counted[] => {
        advance(count, at);
        const first = firstBucket(count);
        return first === null ? [] : [{ key: count.key, spent: sum(count, 0), since: first * count.width }];
      });
    },
  };
}

const NOTHING: Spent = Object.freeze({ rows: 0, statements: 0 });

function nameOf({ role, user, windowMs }: BudgetKey): string {
  return JSON.stringify([role, user, windowMs]);
}

function newCount({ role, user, windowMs }: BudgetKey, at: number): Count {
  const width = windowMs / BUCKETS;
  return {
    key: { role, user, windowMs },
    width,
    rows: new Float64Array(SLOTS),
    statements: new Float64Array(SLOTS),
    latest: Math.floor(at / width),
  };
}

function bucketOf({ width }: Count, at: number): number {
  return Math.floor(at / width);
}

/** Empties the buckets that the window has left behind. A time before the latest counts as the latest. */
function advance(count: Count, at: number): void {
  const now = bucketOf(count, at);
  if (now - count.latest > SLOTS) count.latest = now - SLOTS;
  while (count.latest < now) {
    count.latest += 1;
    const slot = count.latest % SLOTS;
    count.rows[slot] = 0;
    count.statements[slot] = 0;
  }
}

/** The sum of all buckets but the oldest `gone`. */
function sum({ latest, rows, statements }: Count, gone: number): Spent {
  const total = { rows: 0, statements: 0 };
  for (let bucket = latest - BUCKETS + gone; bucket <= latest; bucket++) {
    if (bucket < 0) continue;
    const slot = bucket % SLOTS;
    total.rows += rows[slot] ?? 0;
    total.statements += statements[slot] ?? 0;
  }
  return total;
}

/** The oldest bucket with something in it; null: there is nothing. */
function firstBucket({ latest, rows, statements }: Count): number | null {
  for (let bucket = Math.max(0, latest - BUCKETS); bucket <= latest; bucket++) {
    const slot = bucket % SLOTS;
    if ((rows[slot] ?? 0) > 0 || (statements[slot] ?? 0) > 0) return bucket;
  }
  return null;
}
