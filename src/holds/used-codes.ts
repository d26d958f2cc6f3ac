/**
 * One-time codes that have counted, as an interface: here they are remembered in this
 * process, in holds-postgres/ for all processes that share their holds.
 *
 * Law: one atomic step says whether a code counts and makes it count no more. What is
 * kept is bounded, and none of it is a code or a secret.
 */
export interface UsedCodes {
  /**
   * Takes the code of this time step. A code counts once, and after it no older one.
   * May reject with HoldStoreUnavailable: then the code does not count.
   *
   * @param secretSha256 names the secret that the code is made of. By secret: a renamed approver has the same codes.
   * @returns whether it counts
   */
  take(secretSha256: string, step: number): Promise<boolean>;
}

/** Secrets that are remembered; only those are that a right code came for. */
const MAX_SECRETS = 10_000;

/** Remembers in this process alone. */
export function createUsedCodes(): UsedCodes {
  const lastStep = new Map<string, number>();
  return {
    take(secretSha256, step) {
      if (step <= (lastStep.get(secretSha256) ?? -1)) return Promise.resolve(false);
      lastStep.delete(secretSha256);
      lastStep.set(secretSha256, step);
      const [oldest] = lastStep.keys();
      if (lastStep.size > MAX_SECRETS && oldest !== undefined) lastStep.delete(oldest);
      return Promise.resolve(true);
    },
  };
}
