/**
 * Reminds those who wait for people that they still wait: everybody at their own time,
 * by one timer for all.
 *
 * Law: whoever is reminded waits the same time again, so the order of the entries is
 * that of their times, and nothing here grows with the number of those who wait.
 */
export interface Reminded {
  remind(): void;
}

export interface Reminders {
  /** Reminds it again and again, from now on; once, however often it is added. */
  add(reminded: Reminded): void;
  remove(reminded: Reminded): void;
}

export interface RemindersOptions {
  readonly everyMs: number;
  /** Milliseconds, on a clock that is not set back. */
  readonly now: () => number;
  /** Calls back once after that many milliseconds. @returns cancels it */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
}

/** Others' statements are looked at in between. */
const MOST_AT_ONCE = 50;

export function createReminders({ everyMs, now, setTimer }: RemindersOptions): Reminders {
  /** With the time of each; the first comes first. */
  const dueAt = new Map<Reminded, number>();
  let stopTimer: (() => void) | null = null;

  function wait(): void {
    const [first] = dueAt.values();
    if (first === undefined || stopTimer !== null) return;
    stopTimer = setTimer(
      () => {
        remindDue(first);
      },
      Math.max(1, Math.ceil(first - now())),
    );
  }

  /** @param first what the timer was for: that has come, also where timers and the clock do not quite agree */
  function remindDue(first: number): void {
    stopTimer = null;
    const time = now();
    const due: Reminded[] = [];
    for (const [reminded, at] of dueAt) {
      if (at > Math.max(time, first) || due.length === MOST_AT_ONCE) break;
      due.push(reminded);
    }
    // Before they are told: what they do may remove any of them.
    for (const reminded of due) {
      dueAt.delete(reminded);
      dueAt.set(reminded, time + everyMs);
    }
    wait();
    for (const reminded of due) if (dueAt.has(reminded)) reminded.remind();
  }

  return {
    add(reminded) {
      dueAt.delete(reminded);
      dueAt.set(reminded, now() + everyMs);
      wait();
    },
    remove(reminded) {
      dueAt.delete(reminded);
      if (dueAt.size > 0) return;
      stopTimer?.();
      stopTimer = null;
    },
  };
}
