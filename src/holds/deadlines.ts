/**
 * Deadlines in their order, for one timer that waits for the first of them.
 *
 * Law: what is removed is gone at once. Entries that stay until their time would
 * let whoever opens and withdraws holds in a loop fill the memory.
 */
interface Entry {
  readonly at: number;
  readonly id: string;
}

export interface Deadlines {
  add(at: number, id: string): void;
  /** `at` as it was added. */
  remove(at: number, id: string): void;
  first(): Entry | null;
  /** Ids, the earliest deadline first. */
  ids(): IterableIterator<string>;
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.id < b.id);
}

/** A sorted array: for ten thousand entries moving its tail is cheaper than keeping a tree. */
export function createDeadlines(): Deadlines {
  const entries: Entry[] = [];

  /** Where the entry stands, or would stand. */
  function place(entry: Entry): number {
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = entries[middle];
      if (there !== undefined && before(there, entry)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    add(at, id) {
      const entry = { at, id };
      entries.splice(place(entry), 0, entry);
    },
    remove(at, id) {
      const index = place({ at, id });
      if (entries[index]?.id === id) entries.splice(index, 1);
    },
    first: () => entries[0] ?? null,
    *ids() {
      for (const { id } of entries) yield id;
    },
  };
}
