/**
 * The words of the audit log about write budgets: `budget` for a reset, and for one
 * that did not count.
 *
 * Law of this file: that of records.ts.
 */
import type { BudgetOwner, Spent } from '../impact/budget.js';
import { jsonString, jsonStringOrNull } from './json.js';

/** Why a reset did not count. `store_unavailable`: it could not reach all processes, and may have reached some. */
export type ResetRefusal =
  'own_request' | 'totp_required' | 'totp_wrong' | 'totp_reused' | 'totp_unavailable' | 'store_unavailable';

export interface BudgetReset {
  readonly of: BudgetOwner;
  readonly windowMs: number;
  /** What was spent in the window. */
  readonly spent: Spent;
  /** The approver's name, and all names of that person. */
  readonly approver: string;
  readonly names: readonly string[];
  readonly reason: string | null;
  /** null: it counts. */
  readonly refused: ResetRefusal | null;
  /** Where it came from. */
  readonly client: string;
}

/** The body of a `budget` record. The budget must not be reset before it is durable. */
export function budgetBody(reset: BudgetReset): string {
  const { of, windowMs, spent, approver, names, reason, refused, client } = reset;
  return (
    `"kind":"budget","change":"reset","role":${jsonString(of.role)},"user":${jsonString(of.user)},` +
    `"window_ms":${windowMs.toString()},"rows":${spent.rows.toString()},"statements":${spent.statements.toString()},` +
    `"approver":${jsonString(approver)},"names":[${names.map(jsonString).join(',')}],` +
    `"reason":${jsonStringOrNull(reason)},"counted":${refused === null ? 'true' : 'false'},` +
    `"refused":${refused === null ? 'null' : `"${refused}"`},"client":${jsonString(client)}}`
  );
}
