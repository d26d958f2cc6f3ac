import { describe, expect, it } from 'vitest';
import { parsePolicy } from '../../src/config/policy-file.js';

const HASH = 'ab'.repeat(32);

function problems(approvers: string): string[] {
  const parsed = parsePolicy(`version: 1\nroles: [{ name: a }]\napprovers: [${approvers}]\n`, 'p.yaml', {});
  return 'problems' in parsed ? parsed.problems.map(({ message }) => message) : [];
}

describe('approvers of a policy', () => {
  it('each have their own token and their own database users', () => {
    expect(
      problems(
        `{ name: x, users: [eng_x], token_sha256: ${HASH} }, { name: y, users: [eng_y], token_sha256: ${'cd'.repeat(32)} }`,
      ),
    ).toEqual([]);
    expect(
      problems(`{ name: x, token_sha256: ${HASH} }, { name: y, token_sha256: ${HASH.toUpperCase()} }`),
    ).toEqual(['"y" and "x" have one token; each approver needs their own']);
    expect(problems('{ name: x, users: [eng] }, { name: y, users: [other, eng] }')).toEqual([
      '"eng" is "x" already; a database user belongs to one approver',
    ]);
    expect(problems('{ name: x, users: [y] }, { name: y }')).toEqual([
      '"y" is "x" already; a database user belongs to one approver',
    ]);
    expect(problems('{ name: x }, { name: y, users: [x] }')).toEqual([
      '"x" is "x" already; a database user belongs to one approver',
    ]);
  });

  it('are named, not described', () => {
    expect(problems('{ name: x, users: ["eng_*"] }')).toEqual([
      '"eng_*": database users of an approver are names, not patterns',
    ]);
  });

  it('that are wrong otherwise are reported with the rest', () => {
    expect(problems('{ name: 1, users: eng, token_sha256: [] }, 3').length).toBeGreaterThan(2);
  });

  it('a ticket is good for ten minutes unless the role says otherwise', () => {
    const of = (hold: string): unknown => {
      const parsed = parsePolicy(
        `version: 1\nroles: [{ name: a, hold: { approvers: [g]${hold} } }]\napprovers: [{ name: x, groups: [g] }]\n`,
        'p.yaml',
        {},
      );
      return 'policy' in parsed ? parsed.policy.roles[0]?.hold?.ticketTtlMs : parsed.problems;
    };
    expect(of('')).toBe(600_000);
    expect(of(', ticket_ttl: 90s')).toBe(90_000);
  });
});
