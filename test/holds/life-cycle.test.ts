import { describe, expect, it } from 'vitest';
import { HOLD_STATES, approvalsGiven, isOpen } from '../../src/holds/hold.js';
import type { Hold, HoldState } from '../../src/holds/hold.js';
import { step } from '../../src/holds/life-cycle.js';
import type { HoldEvent, RejectionReason, Step } from '../../src/holds/life-cycle.js';
import { DANA, KIM, LEE, OUTSIDER, T0, approver, hold } from './support.js';

function apply(from: Hold, ...events: HoldEvent[]): Hold {
  return events.reduce((at, event) => {
    const outcome = step(at, event);
    if ('rejected' in outcome) throw new Error(outcome.rejected.message);
    return outcome.hold;
  }, from);
}

function vote(of = DANA, choice: 'approve' | 'deny' = 'approve', at = T0 + 1000): HoldEvent {
  return { kind: 'vote', choice, approver: of, reason: null, at };
}

const FRESH = hold();
const release: HoldEvent = { kind: 'release', fingerprint: FRESH.fingerprint, at: T0 + 2000 };
const withdraw: HoldEvent = { kind: 'withdraw', reason: 'client_gone', at: T0 + 2000 };
const expire: HoldEvent = { kind: 'expire', at: T0 + 600_000 };

/** One hold in each state, each by way of events. */
const IN: Readonly<Record<HoldState, Hold>> = {
  requested: FRESH,
  approved: apply(FRESH, vote()),
  denied: apply(FRESH, vote(DANA, 'deny')),
  expired: apply(FRESH, expire),
  withdrawn: apply(FRESH, withdraw),
  released: apply(FRESH, vote(), release),
};

const EVENTS = {
  approve: vote(KIM),
  deny: vote(KIM, 'deny'),
  expire,
  withdraw,
  release,
} as const satisfies Readonly<Record<string, HoldEvent>>;

/** What each event does in each state: a state to go to, or why it does nothing. */
const TABLE: Readonly<Record<HoldState, Readonly<Record<keyof typeof EVENTS, HoldState | RejectionReason>>>> =
  {
    requested: {
      approve: 'approved',
      deny: 'denied',
      expire: 'expired',
      withdraw: 'withdrawn',
      release: 'not_approved',
    },
    approved: {
      approve: 'already_approved',
      deny: 'already_approved',
      expire: 'expired',
      withdraw: 'withdrawn',
      release: 'released',
    },
    denied: { approve: 'closed', deny: 'closed', expire: 'closed', withdraw: 'closed', release: 'closed' },
    expired: { approve: 'closed', deny: 'closed', expire: 'closed', withdraw: 'closed', release: 'closed' },
    withdrawn: { approve: 'closed', deny: 'closed', expire: 'closed', withdraw: 'closed', release: 'closed' },
    released: { approve: 'closed', deny: 'closed', expire: 'closed', withdraw: 'closed', release: 'closed' },
  };

function reasonOf(outcome: Step): RejectionReason | null {
  return 'rejected' in outcome ? outcome.rejected.reason : null;
}

describe.each(HOLD_STATES)('a hold that is %s', (state) => {
  it.each(Object.keys(EVENTS) as (keyof typeof EVENTS)[])('at %s', (name) => {
    const before = IN[state];
    const frozen = structuredClone(before);
    const outcome = step(before, EVENTS[name]);
    const wanted = TABLE[state][name];
    if ('rejected' in outcome) {
      expect(outcome.rejected.reason).toBe(wanted);
      expect(outcome.rejected.message).toMatch(/^Hold h1 .*\.$/);
    } else {
      expect(outcome.hold.state).toBe(wanted);
      expect(outcome.effects.at(-1)).toMatchObject({ kind: 'entered', from: state, to: wanted });
      expect(outcome.hold.closedAt === null).toBe(isOpen(outcome.hold.state));
    }
    expect(before).toEqual(frozen);
  });
});

describe('approvals', () => {
  it('are complete with as many people as are needed', () => {
    const two = hold({ approvals: 2 });
    const first = step(two, vote(DANA));
    expect(first).toMatchObject({ hold: { state: 'requested' }, effects: [{ kind: 'voted' }] });
    const after = apply(two, vote(DANA), vote(KIM, 'approve', T0 + 5000));
    expect(after).toMatchObject({ state: 'approved', approvedAt: T0 + 5000, expiresAt: T0 + 15_000 });
    expect(approvalsGiven(after)).toBe(2);
  });

  it('of one person count once, also under another entry that shares a database user', () => {
    const two = apply(hold({ approvals: 2 }), vote(DANA));
    const again = approver('dana-admin', { users: ['dba_dana', 'eng_dana'] });
    const named = approver('eng_dana', { users: [] });
    for (const same of [DANA, again, named]) {
      const outcome = step(two, vote(same));
      expect(reasonOf(outcome)).toBe('already_voted');
    }
    expect(reasonOf(step(two, vote(DANA, 'deny')))).toBe('already_voted');
    expect(step(two, vote(KIM))).toMatchObject({ hold: { state: 'approved' } });
  });

  it('do not come from who asks, by any of their names', () => {
    const cases = [
      { user: 'eng_dana', by: DANA },
      { user: 'dana', by: DANA },
      { user: 'second', by: approver('dana', { users: ['first', 'second'] }) },
    ];
    for (const { user, by } of cases) {
      for (const choice of ['approve', 'deny'] as const) {
        expect(reasonOf(step(hold({ subject: { user } }), vote(by, choice)))).toBe('own_request');
      }
    }
  });

  it('compare names exactly: no patterns, no other case', () => {
    for (const users of [['eng_*'], ['ENG_SAM'], ['eng_sam '], ['eng_sa']]) {
      expect(reasonOf(step(hold(), vote(approver('dana', { users }))))).toBeNull();
    }
  });

  it('do not come from outside of its groups', () => {
    for (const by of [
      OUTSIDER,
      approver('nobody', { groups: [] }),
      approver('close', { groups: ['DBA', 'db'] }),
    ]) {
      expect(reasonOf(step(hold(), vote(by)))).toBe('not_in_group');
      expect(reasonOf(step(hold(), vote(by, 'deny')))).toBe('not_in_group');
    }
    expect(reasonOf(step(hold({ groups: ['oncall', 'finance'] }), vote(OUTSIDER)))).toBeNull();
  });

  it('do not outweigh one denial', () => {
    const denied = apply(hold({ approvals: 3 }), vote(DANA), vote(KIM), vote(LEE, 'deny'));
    expect(denied.state).toBe('denied');
    expect(denied.votes).toHaveLength(3);
  });
});

describe('time', () => {
  it('a vote at the deadline is late, one before it is not', () => {
    expect(reasonOf(step(FRESH, vote(DANA, 'approve', T0 + 599_999)))).toBeNull();
    expect(reasonOf(step(FRESH, vote(DANA, 'approve', T0 + 600_000)))).toBe('too_late');
    expect(reasonOf(step(FRESH, vote(DANA, 'deny', T0 + 600_001)))).toBe('too_late');
  });

  it('nothing expires before its time', () => {
    expect(reasonOf(step(FRESH, { kind: 'expire', at: T0 + 599_999 }))).toBe('not_due');
  });

  it('an approval is good for a while only', () => {
    const approved = IN.approved;
    const at = approved.expiresAt;
    expect(at).toBe(T0 + 11_000);
    expect(reasonOf(step(approved, { ...release, at: at - 1 }))).toBeNull();
    expect(reasonOf(step(approved, { ...release, at }))).toBe('too_late');
    expect(step(approved, { kind: 'expire', at })).toMatchObject({ hold: { state: 'expired' } });
  });
});

describe('release', () => {
  it('only of the statement that was approved', () => {
    const other: HoldEvent = { kind: 'release', fingerprint: '0'.repeat(64), at: T0 + 2000 };
    expect(reasonOf(step(IN.approved, other))).toBe('other_statement');
    expect(step(IN.approved, release)).toMatchObject({ hold: { state: 'released' } });
  });

  it('says how long it waited', () => {
    expect(step(IN.approved, release)).toMatchObject({ effects: [{ waitedMs: 2000 }] });
  });
});
