/**
 * What the API answers, as far as the page reads it (the API's own description:
 * /api/openapi.json). Whoever reads an answer must bear what it does not know.
 */
export type State = 'requested' | 'approved' | 'denied' | 'expired' | 'withdrawn' | 'released';

export interface HoldSummary {
  readonly id: string;
  readonly state: State;
  readonly style: 'wait' | 'ticket';
  readonly environment: string;
  readonly user: string;
  readonly role: string;
  readonly database: string;
  readonly application: string;
  readonly client: string;
  readonly operations: readonly string[];
  readonly rules: readonly string[];
  readonly requested_at: string;
  readonly expires_at: string;
  readonly in_transaction: boolean;
  /** Whether what it changes can be undone by Holdfast once it is approved; null: its role does not ask for that. */
  readonly old_rows?: 'kept' | 'not_kept' | null;
  readonly approvals: { readonly needed: number; readonly given: number };
  readonly groups: readonly string[];
  readonly may_vote: { readonly allowed: boolean; readonly reason: string | null };
  readonly sql_start?: string;
  readonly sql_bytes: number;
}

export interface Parameter {
  readonly type: number;
  readonly type_name: string | null;
  readonly format: number;
  readonly value: string | null;
  readonly hex: string | null;
}

export interface Match {
  readonly rule: string;
  readonly action: string;
  readonly message: string;
  readonly hint: string | null;
  readonly detail: string | null;
}

export interface Relation {
  readonly schema: string | null;
  readonly name: string;
  readonly mode: 'read' | 'write' | 'ddl';
  readonly estimated_rows: number | null;
  readonly beside: string | null;
}

export interface Vote {
  readonly approver: string;
  readonly choice: 'approve' | 'deny';
  readonly reason: string | null;
  readonly at: string;
}

/** What the statement really did when it was tried. */
export interface Impact {
  readonly tables: readonly {
    readonly schema: string;
    readonly name: string;
    readonly inserted: number;
    readonly updated: number;
    readonly deleted: number;
    /** Of the table's rows; null where that is not known. */
    readonly percent: number | null;
  }[];
  readonly measured: 'preview' | 'transaction';
}

export interface Hold extends HoldSummary {
  readonly decision: string;
  readonly session: string;
  readonly sql: string;
  readonly sql_sha256: string;
  readonly fingerprint: string;
  readonly parameters: readonly Parameter[];
  readonly search_path: string | null;
  readonly policy: string;
  readonly transaction: { readonly since: string; readonly statements: number } | null;
  readonly matches: readonly Match[];
  readonly relations: readonly Relation[];
  readonly votes: readonly Vote[];
  readonly approved_at: string | null;
  readonly closed_at: string | null;
  readonly withdrawal: string | null;
  readonly impact?: Impact | null;
  /** All statements of the transaction so far, in their order. */
  readonly statements?: readonly string[];
}

export interface HoldList {
  readonly holds: readonly HoldSummary[];
  readonly more: boolean;
}

export interface HoldChange {
  readonly change: State | 'voted';
  readonly hold: HoldSummary;
}

export interface Budget {
  readonly role: string;
  readonly user: string;
  readonly window_ms: number;
  /** null: there is no such limit. */
  readonly limits: { readonly rows: number | null; readonly statements: number | null };
  readonly spent: { readonly rows: number; readonly statements: number };
  readonly since: string;
  /** A limit is reached. */
  readonly tripped: boolean;
  /** When it is free again by itself; null: it is. */
  readonly clears_at: string | null;
  readonly may_reset: { readonly allowed: boolean; readonly reason: string | null };
}

export interface BudgetList {
  readonly budgets: readonly Budget[];
  readonly more: boolean;
}

export interface BudgetReset {
  readonly role: string;
  readonly user: string;
  readonly forgotten: { readonly rows: number; readonly statements: number };
}

export interface Session {
  readonly name: string;
  readonly groups: readonly string[];
  readonly users: readonly string[];
  readonly totp: boolean;
  readonly key: string;
  readonly ends_at: string;
}

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}
