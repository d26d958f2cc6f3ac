/** Holds as the API shows them to one approver. */
import { approvalsGiven, charactersOf } from '../../holds/hold.js';
import type { HeldText, Hold, Measured } from '../../holds/hold.js';
import { voteRejection } from '../../holds/life-cycle.js';
import type { Approver } from '../../policy/types.js';
import { needsCode } from './one-time-codes.js';
import { parameterView } from './parameter-text.js';
import { SUMMARY_CHARACTERS } from './schemas.js';
import type { HoldSummaryView, HoldView, WhoamiView } from './schemas.js';

/** Of one character in UTF-8. */
const MOST_BYTES = 4;

function instant(at: number): string {
  return new Date(at).toISOString();
}

function common(hold: Hold, caller: Approver, now: number): Omit<HoldSummaryView, 'sql_start' | 'sql_bytes'> {
  const { subject } = hold;
  const rejection = voteRejection(hold, {
    kind: 'vote',
    choice: 'approve',
    approver: caller,
    reason: null,
    at: now,
  });
  return {
    id: hold.id,
    state: hold.state,
    style: subject.style,
    environment: subject.environment,
    user: subject.user,
    role: subject.role,
    database: subject.database,
    application: subject.application,
    client: subject.client,
    operations: [...subject.operations],
    rules: [...new Set(subject.matches.map(({ rule }) => rule))],
    requested_at: instant(hold.requestedAt),
    expires_at: instant(hold.expiresAt),
    in_transaction: subject.inTransaction !== null,
    old_rows: subject.oldRows,
    approvals: { needed: hold.approvals, given: approvalsGiven(hold) },
    groups: [...hold.groups],
    may_vote: { allowed: rejection === null, reason: rejection?.message ?? null },
  };
}

/** A hold in a list. */
export function summaryView(hold: Hold, caller: Approver, now: number): HoldSummaryView {
  const { sql, sqlBytes } = hold.subject;
  return {
    ...common(hold, caller, now),
    sql_start: firstCharacters(sql, SUMMARY_CHARACTERS),
    sql_bytes: sqlBytes,
  };
}

/** Everything that there is to see: statement and parameters complete, literals included. */
export function holdView(hold: Hold, caller: Approver, now: number): HoldView {
  const { subject } = hold;
  return {
    ...common(hold, caller, now),
    decision: subject.decision,
    session: subject.session,
    sql: charactersOf(subject.sql),
    sql_bytes: subject.sqlBytes,
    sql_sha256: subject.sqlSha256,
    fingerprint: hold.fingerprint,
    parameters: subject.parameters.map(parameterView),
    search_path: subject.searchPath,
    policy: subject.policy,
    transaction:
      subject.inTransaction === null
        ? null
        : { since: instant(subject.inTransaction.since), statements: subject.inTransaction.statements },
    matches: subject.matches.map(({ rule, action, message, hint, detail }) => ({
      rule,
      action,
      message,
      hint,
      detail: detail ?? null,
    })),
    relations: subject.relations.map(({ schema, name, mode, estimatedRows, beside }) => ({
      schema,
      name,
      mode,
      estimated_rows: estimatedRows,
      beside: beside ?? null,
    })),
    impact: subject.measured === null ? null : impactView(subject.measured),
    statements: [...(subject.measured?.statements ?? [])],
    votes: hold.votes.map(({ approver, choice, reason, at }) => ({
      approver,
      choice,
      reason,
      at: instant(at),
    })),
    approved_at: hold.approvedAt === null ? null : instant(hold.approvedAt),
    closed_at: hold.closedAt === null ? null : instant(hold.closedAt),
    withdrawal: hold.withdrawal,
  };
}

function impactView({ by, tables }: Measured): NonNullable<HoldView['impact']> {
  return {
    measured: by,
    tables: tables.map(({ schema, name, inserted, updated, deleted, rows }) => ({
      schema,
      name,
      inserted,
      updated,
      deleted,
      percent: percentOf(updated + deleted, rows),
    })),
  };
}

/** Of a table that is said to be empty, or smaller than what was changed of it, all. */
function percentOf(changed: number, rows: number | null): number | null {
  if (changed === 0) return 0;
  if (rows === null) return null;
  return rows <= changed ? 100 : Number(((changed / rows) * 100).toPrecision(3));
}

export function whoamiView(approver: Approver): WhoamiView {
  return {
    name: approver.name,
    groups: [...approver.groups],
    users: [...approver.users],
    totp: needsCode(approver),
  };
}

/** Whole characters: half a surrogate pair is no text. */
function firstCharacters(held: HeldText, most: number): string {
  // Of the bytes as many as so many characters take at most: lists are long, and so are statements.
  const text = charactersOf(typeof held === 'string' ? held : held.subarray(0, most * MOST_BYTES));
  return text.length <= most
    ? text
    : Array.from(text.slice(0, most * 2))
        .slice(0, most)
        .join('');
}
