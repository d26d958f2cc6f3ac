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
  /** What others have spent in a bucket by now: it replaces what was learnt of that bucket before. */
  learn(key: BudgetKey, of: BucketSpent, at: number): void;
  /** What is counted of whom in the windows that end at `at`; those who share a count are not among them. */
  list(at: number): readonly Counted[];
}

/** What was spent in one bucket, which is a sixtieth of a window: bucket n begins at n sixtieths since time 0. */
export interface BucketSpent extends Spent {
  readonly bucket: number;
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

interface Buckets {
  readonly rows: Float64Array;
  readonly statements: Float64Array;
}

interface Count {
  readonly key: BudgetKey;
  /** Milliseconds of a bucket. */
  readonly width: number;
  /** Spent here. */
  readonly own: Buckets;
  /** What is known to be spent elsewhere; null: nothing ever was. */
  others: Buckets | null;
  /** Number of the latest bucket: the time of its beginning, in widths. */
  latest: number;
}

/** What others have charged may lie ahead by as much as clocks differ, milliseconds; what is further is a mistake. */
const MOST_AHEAD_MS = 5_000;

/**
 * @param mostKeys how many counts are kept; what is beyond shares one
 * @param onCharge hears what is spent here in the bucket that was charged; not of a count that is shared
 */
export function createWriteBudgets(
  mostKeys = MOST_KEYS,
  onCharge?: (key: BudgetKey, of: BucketSpent) => void,
): WriteBudgets {
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
      const rows = (count.own.rows[slot] ?? 0) + cost.rows;
      const statements = (count.own.statements[slot] ?? 0) + cost.statements;
      put(count.own, slot, { rows, statements });
      if (count !== shared.get(key.windowMs))
        onCharge?.(count.key, { bucket: count.latest, rows, statements });
    },
    learn(key, of, at) {
      if (of.bucket * (key.windowMs / BUCKETS) > at + MOST_AHEAD_MS) return;
      const known = find(key);
      if (known === undefined && of.rows === 0 && of.statements === 0) return;
      const count = known ?? create(key, at);
      if (count === shared.get(key.windowMs)) return;
      advance(count, at);
      advanceTo(count, of.bucket);
      if (of.bucket < count.latest - BUCKETS) return;
      count.others ??= newBuckets();
      put(count.others, of.bucket % SLOTS, of);
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
    own: newBuckets(),
    others: null,
    latest: Math.floor(at / width),
  };
}

function newBuckets(): Buckets {
  return { rows: new Float64Array(SLOTS), statements: new Float64Array(SLOTS) };
}

function put(buckets: Buckets, slot: number, { rows, statements }: Spent): void {
  buckets.rows[slot] = rows;
  buckets.statements[slot] = statements;
}

function bucketOf({ width }: Count, at: number): number {
  return Math.floor(at / width);
}

/** Empties the buckets that the window has left behind. A time before the latest counts as the latest. */
function advance(count: Count, at: number): void {
  advanceTo(count, bucketOf(count, at));
}

function advanceTo(count: Count, bucket: number): void {
  if (bucket - count.latest > SLOTS) count.latest = bucket - SLOTS;
  while (count.latest < bucket) {
    count.latest += 1;
    const slot = count.latest % SLOTS;
    put(count.own, slot, NOTHING);
    if (count.others !== null) put(count.others, slot, NOTHING);
  }
}

/** The sum of all buckets but the oldest `gone`. */
function sum(count: Count, gone: number): Spent {
  const total = { rows: 0, statements: 0 };
  for (let bucket = count.latest - BUCKETS + gone; bucket <= count.latest; bucket++) {
    const { rows, statements } = inBucket(count, bucket);
    total.rows += rows;
    total.statements += statements;
  }
  return total;
}

function inBucket({ own, others }: Count, bucket: number): Spent {
  if (bucket < 0) return NOTHING;
  const slot = bucket % SLOTS;
  return {
    rows: (own.rows[slot] ?? 0) + (others?.rows[slot] ?? 0),
    statements: (own.statements[slot] ?? 0) + (others?.statements[slot] ?? 0),
  };
}

/** The oldest bucket with something in it; null: there is nothing. */
function firstBucket(count: Count): number | null {
  for (let bucket = count.latest - BUCKETS; bucket <= count.latest; bucket++) {
    const { rows, statements } = inBucket(count, bucket);
    if (rows > 0 || statements > 0) return bucket;
  }
  return null;
}
