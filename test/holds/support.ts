/** Holds, approvers and a clock, made for tests. */
import { createHash } from 'node:crypto';
import { createBook } from '../../src/holds/book.js';
import type { Book } from '../../src/holds/book.js';
import { fingerprintOf } from '../../src/holds/fingerprint.js';
import { charactersOf } from '../../src/holds/hold.js';
import type { Hold, Subject } from '../../src/holds/hold.js';
import type { HoldLimits } from '../../src/holds/limits.js';
import { newHold } from '../../src/holds/request.js';
import type { HoldRequest } from '../../src/holds/request.js';
import type { Approver } from '../../src/policy/types.js';

/** 2026-01-02T03:04:05Z */
export const T0 = Date.UTC(2026, 0, 2, 3, 4, 5);

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function approver(name: string, more: Partial<Approver> = {}): Approver {
  return { name, groups: ['dba'], users: [`eng_${name}`], tokenSha256: sha256(tokenOf(name)), ...more };
}

export function tokenOf(name: string): string {
  return `${name}-0123456789abcdef0123456789abcdef`;
}

export const DANA = approver('dana');
export const KIM = approver('kim');
export const LEE = approver('lee');
/** In no group that the holds here are for. */
export const OUTSIDER = approver('olli', { groups: ['finance'] });

export function subject(more: Partial<Subject> = {}): Subject {
  const sql = charactersOf(more.sql ?? 'DROP TABLE orders');
  return {
    decision: 's1-1',
    sql,
    sqlSha256: sha256(sql),
    sqlBytes: Buffer.byteLength(sql),
    operations: ['drop_table'],
    parameters: [],
    user: 'eng_sam',
    role: 'engineers',
    database: 'shop',
    session: 's1',
    application: 'psql',
    client: '10.0.0.5:51234',
    searchPath: '"$user", public',
    policy: 'a'.repeat(64),
    environment: 'production',
    inTransaction: null,
    matches: [{ rule: 'drop-table', action: 'hold', message: 'DROP TABLE removes a table.', hint: null }],
    relations: [{ schema: null, name: 'orders', mode: 'ddl', estimatedRows: 1_200_000 }],
    measured: null,
    oldRows: null,
    style: 'wait',
    ...more,
  };
}

export function request(
  more: Partial<Omit<HoldRequest, 'subject'>> & { subject?: Partial<Subject> } = {},
): HoldRequest & { readonly fingerprint: string } {
  const of = subject(more.subject);
  return {
    id: 'h1',
    approvals: 1,
    groups: ['dba'],
    timeoutMs: 600_000,
    releaseWithinMs: 10_000,
    fingerprint: fingerprintOf(of),
    ...more,
    subject: of,
  };
}

export function hold(more: Parameters<typeof request>[0] = {}): Hold {
  return newHold(request(more), T0);
}

export interface Clock {
  now: number;
  /** Moves on and runs what was due, in its order. */
  pass(ms: number): void;
  /** Timers that wait. */
  readonly timers: number;
  setTimer(callback: () => void, delayMs: number): () => void;
}

export function clock(): Clock {
  const waiting = new Map<number, { readonly at: number; readonly callback: () => void }>();
  let next = 0;
  return {
    now: T0,
    get timers() {
      return waiting.size;
    },
    pass(ms) {
      const end = this.now + ms;
      for (;;) {
        const due = [...waiting].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
        if (due === undefined) break;
        waiting.delete(due[0]);
        this.now = Math.max(this.now, due[1].at);
        due[1].callback();
      }
      this.now = end;
    },
    setTimer(callback, delayMs) {
      const key = next++;
      waiting.set(key, { at: this.now + delayMs, callback });
      return () => {
        waiting.delete(key);
      };
    },
  };
}

export function book(limits: Partial<HoldLimits> = {}): { readonly book: Book; readonly clock: Clock } {
  const time = clock();
  return {
    clock: time,
    book: createBook({
      now: () => time.now,
      setTimer: (callback, delayMs) => time.setTimer(callback, delayMs),
      onListenerError: (error) => {
        throw error;
      },
      limits,
    }),
  };
}
