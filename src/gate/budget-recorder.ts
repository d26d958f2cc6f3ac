/** Resets of write budgets, handed to the audit log and counted. */
import { budgetBody } from '../audit/records-budgets.js';
import type { BudgetReset } from '../audit/records-budgets.js';
import type { AuditLog } from '../audit/writer.js';
import type { Metrics } from '../metrics.js';

export interface BudgetRecorder {
  /** Somebody resets a budget, or tried to. It waits for nothing: who must know that it is written asks the log. */
  reset(reset: BudgetReset): void;
}

export function createBudgetRecorder(
  audit: Pick<AuditLog, 'append'>,
  metrics: Pick<Metrics, 'auditRecords'>,
): BudgetRecorder {
  return {
    reset(reset) {
      audit.append(budgetBody(reset));
      metrics.auditRecords.child('budget').inc();
    },
  };
}
