import { expect, test } from 'vitest';
import { budgetBody } from '../../src/audit/records-budgets.js';
import type { BudgetReset } from '../../src/audit/records-budgets.js';
import { createBudgetRecorder } from '../../src/gate/budget-recorder.js';
import { createMetrics } from '../../src/metrics.js';

const nasty = 'a"b\\c\n\u202e';
const RESET: BudgetReset = {
  of: { role: nasty, user: nasty },
  windowMs: 60_000,
  spent: { rows: 120, statements: 12 },
  approver: nasty,
  names: [nasty, 'x'],
  reason: nasty,
  refused: null,
  client: nasty,
};

test('a reset, and one that does not count, in which no name can forge a record', () => {
  const body = budgetBody(RESET);
  expect(body).not.toMatch(/[\n\r\u202e]/);
  const expected = {
    kind: 'budget',
    change: 'reset',
    role: nasty,
    user: nasty,
    window_ms: 60_000,
    rows: 120,
    statements: 12,
    approver: nasty,
    names: [nasty, 'x'],
    reason: nasty,
    counted: true,
    refused: null,
    client: nasty,
  };
  expect(JSON.parse(`{${body}`)).toEqual(expected);
  expect(JSON.parse(`{${budgetBody({ ...RESET, reason: null, refused: 'own_request' })}`)).toEqual({
    ...expected,
    reason: null,
    counted: false,
    refused: 'own_request',
  });
});

test('each is handed to the log, and counted as a record', async () => {
  const bodies: string[] = [];
  const metrics = createMetrics({ processMetrics: false });
  const recorder = createBudgetRecorder({ append: (body) => bodies.push(body) }, metrics);
  recorder.reset(RESET);
  recorder.reset({ ...RESET, refused: 'totp_wrong' });
  expect(bodies).toHaveLength(2);
  expect(await metrics.text()).toContain('holdfast_audit_records_total{kind="budget"} 2');
});
