import { describe, expect, it } from 'vitest';
import { maySee, prospects, whoCanApprove } from '../../src/holds/eligibility.js';
import { HOLD_ID } from '../../src/holds/hold.js';
import { HOLD_ID_BYTES, holdId, holdTimes, newHold } from '../../src/holds/request.js';
import { DANA, KIM, LEE, OUTSIDER, T0, approver, hold, request } from './support.js';

const asked = { user: 'eng_sam', groups: ['dba'], approvals: 2 };

describe('who could approve', () => {
  it('members with a token, but not who asks', () => {
    const tokenless = { name: 'max', groups: ['dba'], users: [] };
    const all = [DANA, KIM, OUTSIDER, tokenless];
    expect(prospects(all, asked)).toEqual({ approvers: [DANA, KIM], enough: true });
    expect(prospects(all, { ...asked, user: 'eng_kim' })).toEqual({ approvers: [DANA], enough: false });
    expect(prospects(all, { ...asked, approvals: 3 }).enough).toBe(false);
  });

  it('one person with two entries is one', () => {
    expect(prospects([DANA, approver('dana2', { users: ['eng_dana'] })], asked)).toEqual({
      approvers: [DANA],
      enough: false,
    });
  });

  it('in words', () => {
    const words = (approvers: (typeof DANA)[], approvals: number): string =>
      whoCanApprove(prospects(approvers, { ...asked, approvals }), { groups: ['dba', 'oncall'], approvals });
    expect(words([DANA], 1)).toBe('1 approval is needed, from dana (dba, oncall).');
    expect(words([DANA, KIM, LEE], 2)).toBe(
      '2 approvals are needed, from any of dana, kim, lee (dba, oncall).',
    );
    expect(words([], 1)).toBe('1 approval is needed, and nobody of dba, oncall can give it.');
    const many = Array.from({ length: 8 }, (_, at) => approver(`a${at}`));
    expect(words(many, 1)).toBe(
      '1 approval is needed, from any of a0, a1, a2, a3, a4, 3 more (dba, oncall).',
    );
  });
});

describe('who may see a hold', () => {
  it('those who may have to decide it, and who sent it', () => {
    expect(maySee(hold(), DANA)).toBe(true);
    expect(maySee(hold(), OUTSIDER)).toBe(false);
    expect(maySee(hold({ subject: { user: 'eng_olli' } }), OUTSIDER)).toBe(true);
  });
});

describe('a new hold', () => {
  it('can be approved, and not at once', () => {
    for (const broken of [
      { approvals: 0 },
      { approvals: -1 },
      { approvals: Number.NaN },
      { approvals: 0.5 },
      { groups: [] },
      { timeoutMs: 0 },
      { timeoutMs: Number.NaN },
      { releaseWithinMs: 0 },
    ]) {
      expect(() => newHold(request(broken), T0)).toThrow(RangeError);
    }
  });

  it('waits less while it keeps locks; a ticket keeps none', () => {
    const setting = {
      approvals: 1,
      approvers: ['dba'],
      timeoutMs: 600_000,
      inTransactionTimeoutMs: 60_000,
      ticketTtlMs: 900_000,
      atCommit: false,
      style: 'wait',
    } as const;
    expect(holdTimes(setting, false).timeoutMs).toBe(600_000);
    expect(holdTimes(setting, true).timeoutMs).toBe(60_000);
    expect(holdTimes({ ...setting, inTransactionTimeoutMs: 700_000 }, true).timeoutMs).toBe(600_000);
    expect(holdTimes({ ...setting, style: 'ticket' }, true)).toEqual({
      timeoutMs: 600_000,
      releaseWithinMs: 900_000,
    });
  });

  it('has an id that can be read out', () => {
    const id = holdId(Uint8Array.from([0, 1, 31, 32, 255, 254, 9, 10, 100, 200]));
    expect(id).toBe('01z0zy9a48');
    expect(id).toMatch(HOLD_ID);
    expect(() => holdId(new Uint8Array(HOLD_ID_BYTES - 1))).toThrow(RangeError);
  });
});
