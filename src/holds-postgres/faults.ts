/**
 * Where a process may die, or lose its connection, in the midst of a change of a
 * hold: the places that tests try all of.
 *
 * Law: a program that runs for real passes no hook.
 */
const CHANGES = ['request', 'vote', 'withdraw', 'expire', 'release'] as const;

/** What a transaction is for; `code`: a one-time code is taken. */
export type ChangeKind = (typeof CHANGES)[number] | 'code';

/** Just before COMMIT is sent; just after it was answered, before anybody here is told. */
export type FaultPoint = `${'before' | 'after'} ${ChangeKind}`;

/** What it throws counts as the loss of the connection at that point. */
export type Faults = (point: FaultPoint) => void | Promise<void>;

/** Every point, in the order of a hold's life. */
export const FAULT_POINTS: readonly FaultPoint[] = CHANGES.flatMap(
  (kind) => [`before ${kind}`, `after ${kind}`] as const,
);
