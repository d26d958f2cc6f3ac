/**
 * A hold: one statement that waits for people, and everything they must see to
 * decide about it.
 *
 * Law of this folder: pure. No clock, no sockets, no randomness: times, ids and
 * timers are handed in. Holds are plain data and never changed, only replaced, so
 * that a store may keep them in memory or in a table.
 */
import type { HoldSetting, Match } from '../policy/types.js';
import type { RelationUse } from '../sql/facts.js';

export const HOLD_STATES = ['requested', 'approved', 'denied', 'expired', 'withdrawn', 'released'] as const;
export type HoldState = (typeof HOLD_STATES)[number];

/** Still able to lead to an execution. */
export const OPEN_STATES = ['requested', 'approved'] as const satisfies readonly HoldState[];
export const CLOSED_STATES = [
  'denied',
  'expired',
  'withdrawn',
  'released',
] as const satisfies readonly HoldState[];

export function isOpen(state: HoldState): boolean {
  return state === 'requested' || state === 'approved';
}

/** Why a hold ended before people or time ended it. `audit`: it could not be recorded. `holdfast_gone`: the process that it waited in is. `store_gone`: the store of holds could not be reached. `superseded`: what would run is no longer what was held. `transaction_failed`: what came before it did. */
export const WITHDRAWALS = [
  'audit',
  'client_cancel',
  'client_gone',
  'drain',
  'holdfast_gone',
  'policy',
  'server_gone',
  'store_gone',
  'superseded',
  'transaction_failed',
] as const;
export type Withdrawal = (typeof WITHDRAWALS)[number];

/** One parameter of a Bind, complete. */
export interface HeldParameter {
  /** The type's OID as the Parse declared it; 0 where it left that to the server. */
  readonly type: number;
  /** PostgreSQL's format code: 0 text, 1 binary. */
  readonly format: number;
  /** The bytes as they would be forwarded; null is SQL's NULL. */
  readonly value: Uint8Array | null;
}

export interface HeldRelation extends RelationUse {
  /** The planner's estimate; null where there is none. */
  readonly estimatedRows: number | null;
  /** How the statement changes it without naming it, in a sentence; left out: it names it. */
  readonly beside?: string;
}

/** Rows of one table that were changed. */
export interface HeldImpact {
  readonly schema: string;
  readonly name: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** About how many rows the table had; null: not known. */
  readonly rows: number | null;
}

/** What was really changed, as the server counted it. */
export interface Measured {
  /** `preview`: the statement was run and undone. `transaction`: what the transaction has changed that is to be committed. */
  readonly by: 'preview' | 'transaction';
  readonly tables: readonly HeldImpact[];
  /** The statements of the transaction that changed something, in their order; of a preview none. */
  readonly statements: readonly string[];
}

/**
 * Whether it stays, once approved, only with the old rows of all that it changes stored for `holdfast undo`;
 * null: its role does not ask for that.
 */
export const OLD_ROWS = ['kept', 'not_kept'] as const;
export type OldRows = (typeof OLD_ROWS)[number] | null;

export type HeldMatch = Pick<Match, 'rule' | 'action' | 'message' | 'hint' | 'detail'>;

/**
 * A text: its characters, or their UTF-8 bytes where it is long and the message that it
 * came in is kept anyway. What waits is then in memory once.
 */
export type HeldText = string | Uint8Array;

export function charactersOf(text: HeldText): string {
  return typeof text === 'string' ? text : viewOf(text).toString('utf8');
}

export function bytesOfText(text: HeldText): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text, 'utf8') : text;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** What would run, as whom and where: what approvers decide about. */
export interface Subject {
  /** The id of the decision that holds it, for the audit log. */
  readonly decision: string;
  /** The text as it would be forwarded, all of it. */
  readonly sql: HeldText;
  /** SHA-256 of the text's bytes, hex. */
  readonly sqlSha256: string;
  /** UTF-8 bytes of the text. */
  readonly sqlBytes: number;
  /** One a statement of the text, such as `drop_table`. */
  readonly operations: readonly string[];
  readonly parameters: readonly HeldParameter[];
  /** The database user of the session: who asks. */
  readonly user: string;
  /** The policy role. */
  readonly role: string;
  readonly database: string;
  readonly session: string;
  readonly application: string;
  /** The client's address. */
  readonly client: string;
  /** As the session has it; null where that is not known. */
  readonly searchPath: string | null;
  /** The SHA-256 of the policy that was in force, hex. */
  readonly policy: string;
  readonly environment: string;
  /** The transaction block that it waits in; null outside of one. `since`: milliseconds since 1970. */
  readonly inTransaction: { readonly since: number; readonly statements: number } | null;
  /** Strictest first. */
  readonly matches: readonly HeldMatch[];
  readonly relations: readonly HeldRelation[];
  /** null: nothing was measured. */
  readonly measured: Measured | null;
  readonly oldRows: OldRows;
  /** `wait`: the statement waits on the wire. `ticket`: it was refused, and passes once when it comes again after the approval. */
  readonly style: HoldSetting['style'];
}

export interface Vote {
  /** The approver's name in the policy. */
  readonly approver: string;
  /** All names of that person: the approver's and those of their database users. */
  readonly names: readonly string[];
  readonly choice: 'approve' | 'deny';
  readonly reason: string | null;
  /** Milliseconds since 1970, as every time here. */
  readonly at: number;
}

export interface Hold {
  readonly id: string;
  readonly state: HoldState;
  readonly requestedAt: number;
  /** In `requested`: until when it can be approved. In `approved`: until when it can be released. */
  readonly expiresAt: number;
  /** When its approvals were complete; null until then. */
  readonly approvedAt: number | null;
  /** When it became denied, expired, withdrawn or released; null while it is open. */
  readonly closedAt: number | null;
  readonly withdrawal: Withdrawal | null;
  readonly subject: Subject;
  /** Of the subject, see fingerprint.ts: only a statement with the same one is what was approved. */
  readonly fingerprint: string;
  /** How many approvals it needs. */
  readonly approvals: number;
  /** The groups whose members may approve. */
  readonly groups: readonly string[];
  /** How long after its approval it can be released, milliseconds. */
  readonly releaseWithinMs: number;
  readonly votes: readonly Vote[];
}

/** The approvals given so far. */
export function approvalsGiven({ votes }: Pick<Hold, 'votes'>): number {
  return votes.filter(({ choice }) => choice === 'approve').length;
}

/** What an id looks like: safe in a URL, a log and a command line. */
export const HOLD_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
