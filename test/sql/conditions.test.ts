/** Proofs that a condition excludes no row: what is proved, and what looks alike and is a filter. */
import { describe, expect, it } from 'vitest';
import type { Tautology } from '../../src/sql/facts.js';
import { FILTERS, TAUTOLOGIES } from './conditions.table.js';
import { facts, withParser } from './support.js';

withParser();

function tautology(sql: string): Tautology | null {
  return facts(sql).actions.find(({ operation }) => /delete|update|merge/.test(operation))?.tautology ?? null;
}

/** `unless a b; requires c`: a proof's open ends. */
function open(proof: Tautology | null): string | null {
  if (proof === null) return null;
  const requires = proof.requiresNotNull.map(({ relation, column }) =>
    relation === null ? column : `${relation}.${column}`,
  );
  return [
    proof.unlessNull.length === 0 ? '' : `unless ${[...proof.unlessNull].sort().join(' ')}`,
    requires.length === 0 ? '' : `requires ${requires.join(' ')}`,
  ]
    .filter((part) => part !== '')
    .join('; ');
}

describe('conditions that exclude no row', () => {
  it.each(TAUTOLOGIES)('%s', (condition, unless, requires = '') => {
    const proof = tautology(`DELETE FROM t WHERE ${condition}`);
    expect(proof).not.toBeNull();
    if (requires === '-') return;
    const expected = [unless === '' ? '' : `unless ${unless}`, requires === '' ? '' : `requires ${requires}`];
    expect(open(proof)).toBe(expected.filter((part) => part !== '').join('; '));
    expect(proof?.because.length).toBeLessThan(260);
    expect(proof?.because).not.toMatch(/^\s*$|undefined|\[object/);
    expect(proof?.offset).toBeGreaterThanOrEqual('DELETE FROM t WHERE '.length);
  });
});

describe('conditions that look alike and are filters', () => {
  it.each(FILTERS)('%s', (condition) => {
    expect(tautology(`DELETE FROM t WHERE ${condition}`)).toBeNull();
  });
});
