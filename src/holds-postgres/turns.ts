/** One at a time for each key, in the order of asking: what this process does to one hold must be told in the order in which it is done. */
export interface Turns {
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createTurns(): Turns {
  /** The end of the last one in line. */
  const ends = new Map<string, Promise<void>>();

  return {
    async run(key, work) {
      const before = ends.get(key);
      let end: () => void = () => undefined;
      const mine = new Promise<void>((resolve) => (end = resolve));
      ends.set(key, mine);
      await before;
      try {
        return await work();
      } finally {
        if (ends.get(key) === mine) ends.delete(key);
        end();
      }
    },
  };
}
