/**
 * What a webhook tells of a hold, whatever its format.
 *
 * Law: plain data of what may be said; whoever makes it has left out what may not
 * (admin/webhooks/disclosure.ts). The formats beside this file add nothing to it.
 */
import { approvalsGiven } from '../hold.js';
import type { Hold, HeldRelation, HoldState, Subject, Vote } from '../hold.js';

/** The state that a hold has entered. */
export type WebhookEvent = HoldState;

interface ToldMatch {
  readonly rule: string;
  readonly action: string;
  /** null: it may quote a literal, and these are not to be said. */
  readonly message: string | null;
}

interface ToldParameter {
  /** null: not known. */
  readonly type: string | null;
  readonly format: 'text' | 'binary';
  /** Left out where it is not to be said; null: NULL. */
  readonly value?: string | null;
}

/** What of a hold depends on whether literals may be said. */
export interface Disclosure {
  /** Whether literals may be said. */
  readonly literals: boolean;
  /** null: it cannot be said; the page has it. */
  readonly sql: string | null;
  readonly matches: readonly ToldMatch[];
  readonly parameters: readonly ToldParameter[];
}

export interface Telling {
  readonly event: WebhookEvent;
  /** When it happened, milliseconds since 1970. */
  readonly at: number;
  readonly hold: Hold;
  readonly disclosed: Disclosure;
  /** Where it is decided; null: that is not known. */
  readonly link: string | null;
}

type Told = Pick<
  Subject,
  'environment' | 'user' | 'role' | 'database' | 'application' | 'client' | 'style' | 'decision'
>;

/** The generic JSON body. Names and shapes are those of the API; text is UTF-8. */
export function jsonBody({ event, at, hold, disclosed, link }: Telling): string {
  const { subject } = hold;
  const { environment, user, role, database, application, client, style, decision }: Told = subject;
  return JSON.stringify({
    event,
    at: instant(at),
    hold: {
      id: hold.id,
      state: hold.state,
      style,
      environment,
      user,
      role,
      database,
      application,
      client,
      decision,
      operations: subject.operations,
      relations: subject.relations.map(relation),
      matches: disclosed.matches,
      sql: disclosed.sql,
      sql_bytes: subject.sqlBytes,
      literals: disclosed.literals,
      parameters: disclosed.parameters,
      in_transaction: subject.inTransaction !== null,
      old_rows: subject.oldRows,
      requested_at: instant(hold.requestedAt),
      expires_at: instant(hold.expiresAt),
      approvals: { needed: hold.approvals, given: approvalsGiven(hold) },
      groups: hold.groups,
      votes: hold.votes.map((vote) => toldVote(vote, disclosed.literals)),
      withdrawal: hold.withdrawal,
    },
    link,
  });
}

function relation({ schema, name, mode, estimatedRows }: HeldRelation): object {
  return { schema, name, mode, estimated_rows: estimatedRows };
}

/** A reason is free text, which may quote what the statement may not. */
function toldVote({ approver, choice, reason, at }: Vote, literals: boolean): object {
  return { approver, choice, at: instant(at), ...(literals ? { reason } : {}) };
}

function instant(at: number): string {
  return new Date(at).toISOString();
}
