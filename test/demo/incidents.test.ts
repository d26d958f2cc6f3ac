import { beforeAll, describe, expect, it } from 'vitest';
import { INCIDENT_FORMS } from '../../src/demo/incident-forms.js';
import { replayIncidents, ruleExists, type IncidentOutcome } from '../../src/demo/incidents.js';

let outcomes: readonly IncidentOutcome[];

beforeAll(async () => {
  outcomes = await replayIncidents();
});

function outcome(id: string): IncidentOutcome {
  const found = outcomes.find(({ form }) => form.id === id);
  if (found === undefined) throw new Error(`no incident ${id}`);
  return found;
}

describe('the incidents, through a live Holdfast with the shipped policy', () => {
  it('do their damage without it', () => {
    expect(outcomes.map(({ form }) => form.id)).toEqual(INCIDENT_FORMS.map(({ id }) => id));
    for (const { form, direct } of outcomes) {
      // The server has an end of its own: its last connection.
      if (form.id !== '3b') expect(direct.error, form.id).toBeNull();
      expect(direct.after ?? 0, form.id).toBeLessThan(direct.before);
    }
  });

  it.for([
    ['1', 'deny', 'cascade'],
    ['2', 'deny', 'drop-database'],
    ['3a', 'hold', 'drop-table'],
    ['4', 'hold', 'json-overwrite'],
    ['5a', 'deny', 'tautological-where'],
  ] as const)('%s: %s by %s, and no row is lost', ([id, verdict, rule]) => {
    const { result, judged, through } = outcome(id);
    expect(result).toBe('stopped');
    expect(judged?.verdict).toBe(verdict);
    expect(judged?.rules).toContain(rule);
    expect(through.after).toBe(through.before);
    expect(through.error).toMatchObject({
      code: '42501',
      routine: expect.stringMatching(/^holdfast\//) as string,
    });
  });

  it('1: the refusal names the tables that would have been emptied, with their rows', () => {
    const { error } = outcome('1').through;
    expect(error).toMatchObject({
      detail: expect.stringContaining(
        'It would also empty "user" (about 600 rows), "user_identity" (about 600 rows), "user_in_account" (about 600 rows) and "account" (about 300 rows).',
      ) as string,
    });
  });

  it('4: the refusal shows how one field is set', () => {
    expect(outcome('4').through.error).toMatchObject({
      hint: expect.stringContaining('jsonb_set("data", ') as string,
    });
  });

  it('3: the approver sees which tables and keys would go, and denies it', () => {
    const { through, judged } = outcome('3a');
    expect(through.asked?.before).toMatchObject({
      state: 'requested',
      sql: 'DROP TABLE orders, order_items',
      environment: 'production',
      approvals: { needed: 2, given: 0 },
      matches: [
        {
          rule: 'drop-table',
          detail:
            'They hold: "order_items" (about 4,000 rows) and "orders" (about 2,000 rows). With it goes the foreign key "order_items_order_id_fkey" of "order_items".',
        },
      ],
      relations: [
        { name: 'orders', mode: 'ddl', estimated_rows: 2000 },
        { name: 'order_items', mode: 'ddl' },
      ],
    });
    expect(through.asked?.after).toMatchObject({
      state: 'denied',
      votes: [{ approver: 'lee', choice: 'deny' }],
    });
    expect(through.error?.message).toContain('lee denied hold');
    expect(judged?.verdict).toBe('hold');
  });

  it('3: what two people approve runs, and nothing else', () => {
    const { through, result, judged } = outcome('3c');
    expect(through.asked?.before).toMatchObject({ state: 'requested', approvals: { needed: 2, given: 0 } });
    expect(through.asked?.after).toMatchObject({
      state: 'approved',
      approvals: { needed: 2, given: 2 },
      votes: [{ approver: 'lee' }, { approver: 'kim' }],
    });
    expect(through).toMatchObject({ before: 2000, after: null, error: null });
    expect(judged?.verdict).toBe('hold');
    expect(result).toBe('approved');
  });

  it('5: a WHERE that nothing can see through is measured with what its foreign keys carry along, and rolled back', () => {
    const { result, judged, through } = outcome('5c');
    expect(result).toBe('stopped');
    expect(judged).toMatchObject({ verdict: 'deny', rules: ['row-limit'] });
    expect(through.after).toBe(through.before);
    expect(through.error).toMatchObject({ routine: 'holdfast/row-limit' });
    expect(through.error?.message).toContain('would change 2,100 rows, with everything that follows from it');
  });

  it('5: the loop of single deletes ends when its budget is spent: 15 accounts of 300, with what hangs on them', () => {
    const { result, judged, through } = outcome('5b');
    expect(result).toBe('stopped');
    expect(judged).toMatchObject({ verdict: 'deny', rules: ['write-budget'] });
    expect(through.error).toMatchObject({ routine: 'holdfast/write-budget' });
    expect(through.before - (through.after ?? 0)).toBe(105);
  });

  it('leave connections to others', () => {
    const { direct, through, result } = outcome('3b');
    expect(direct.after).toBe(0);
    expect(through.after).toBeGreaterThan(2);
    expect(through.error).toMatchObject({ code: '53300' });
    expect(result).toBe('stopped');
  });

  it('are called not yet stopped only where this version lacks the rule', () => {
    for (const { form, result } of outcomes) {
      const built = form.rules.some(ruleExists);
      const approved = form.people?.every(({ choice }) => choice === 'approve') === true;
      if (built) expect(result, form.id).toBe(approved ? 'approved' : 'stopped');
      else expect(['stopped', 'not yet stopped'], form.id).toContain(result);
    }
  });
});
