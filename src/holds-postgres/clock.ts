/**
 * The database's clock, as this process can tell it: the one that all deadlines go
 * by, since the processes may run on several machines.
 *
 * Law: an estimate, for what is shown and for timers. Whether something is in time is
 * decided within the transaction by the database.
 */
export interface DatabaseClock {
  /** Milliseconds since 1970, as the database has it. */
  now(): number;
  /** The database said `time` in answer to a question that was sent at `asked`, on this process's clock. */
  learn(time: number, asked: number): void;
  /** This process's clock. */
  local(): number;
}

/** @param local milliseconds since 1970, on a clock that is not set back */
export function createDatabaseClock(local: () => number): DatabaseClock {
  let ahead = 0;
  return {
    now: () => local() + ahead,
    learn(time, asked) {
      // It was read some time between question and answer.
      ahead = time - (asked + local()) / 2;
    },
    local,
  };
}
