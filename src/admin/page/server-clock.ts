/**
 * The server's time: deadlines are the server's, and this machine's clock may be off.
 *
 * Law: pure, the local time comes in. A Date header tells whole seconds at some moment
 * between call and answer, which leaves a range for the difference; each answer
 * narrows it, and one that contradicts it (a clock was set) starts anew. Of what is
 * left the latest counts: nobody is shown time that is not there.
 */
export interface ServerClock {
  /** @param date a Date header @param sentAt local time of the call @param receivedAt of its answer, milliseconds */
  learn(date: string | null, sentAt: number, receivedAt: number): void;
  /** Milliseconds since 1970, as the server has them. */
  now(): number;
}

/** @param local this machine's time, milliseconds since 1970 */
export function createServerClock(local: () => number): ServerClock {
  let least = -Infinity;
  let most = Infinity;
  return {
    learn(date, sentAt, receivedAt) {
      const second = Date.parse(date ?? '');
      if (Number.isNaN(second)) return;
      const from = second - receivedAt;
      const to = second + 1000 - sentAt;
      least = Math.max(least, from);
      most = Math.min(most, to);
      if (least <= most) return;
      least = from;
      most = to;
    },
    now: () => local() + (Number.isFinite(most) ? most : 0),
  };
}
