/**
 * The words of the policy: verdicts, roles, rules and what a judgement holds.
 * Types only; the schema of the file is in config/, the rules in policy/rules/.
 */
import type { Catalog } from '../catalog/catalog.js';
import type { Access, StatementFacts } from '../sql/facts.js';
import type { LiveAsk, LiveFacts } from './live-facts.js';

/** Actions and verdicts, mildest first; the strictest match decides. */
export const VERDICTS = ['allow', 'warn', 'confirm', 'hold', 'deny'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** What approvers are shown of a statement whose role is counted: what it did when it was run and undone, or what the catalog says of its tables. */
export const PREVIEWS = ['measure', 'estimate'] as const;

/** One rule's entry in a role: its action and its own options. */
export interface RuleSetting {
  readonly action: Verdict;
  /** Left out: `measure`. */
  readonly preview?: (typeof PREVIEWS)[number];
  readonly options: Readonly<Record<string, unknown>>;
}

export interface RoleMatch {
  /** Glob patterns (`*` any run of characters); an empty list never occurs, an absent one matches all. */
  readonly users?: readonly string[];
  readonly databases?: readonly string[];
  readonly applications?: readonly string[];
  /** CIDR blocks. */
  readonly networks?: readonly string[];
}

export interface HoldSetting {
  readonly approvals: number;
  readonly approvers: readonly string[];
  readonly timeoutMs: number;
  readonly inTransactionTimeoutMs: number;
  /** Style `ticket`: how long after its approval the statement passes. */
  readonly ticketTtlMs: number;
  readonly style: 'wait' | 'ticket';
  /** A transaction that changed something is held when it wants to commit. */
  readonly atCommit: boolean;
}

export interface Role {
  readonly name: string;
  readonly match: RoleMatch;
  readonly access: Access;
  readonly limits: { readonly connections?: number; readonly connectionsPercent?: number };
  /** A notice at login names environment, role and access. */
  readonly banner: boolean;
  /** Server settings put on the connection at login, name → value. */
  readonly session: Readonly<Record<string, string>>;
  /** Only the rules that the role names. */
  readonly rules: Readonly<Record<string, RuleSetting>>;
  /** `rules: { default: allow }`: the action of every rule that the role does not name; undefined: each rule's own default. */
  readonly defaultAction?: Verdict;
  readonly hold?: HoldSetting;
  /** `capture`: the old rows of what was approved and changes rows are kept. */
  readonly undo?: 'capture';
}

export interface Approver {
  readonly name: string;
  readonly groups: readonly string[];
  readonly users: readonly string[];
  readonly tokenSha256?: string;
  readonly totpSecret?: string;
}

export interface Policy {
  readonly mode: 'enforce' | 'observe';
  readonly roles: readonly Role[];
  readonly approvers: readonly Approver[];
  /** SHA-256 of the file's bytes, hex. */
  readonly sha256: string;
}

/** One rule that matched one statement. */
export interface Match {
  /** A rule's id, or `access`, `syntax`, `prohibited`, `unclassified`, `too-complex`. */
  readonly rule: string;
  readonly action: Verdict;
  /** A whole sentence for a person, without the `holdfast: ` prefix. */
  readonly message: string;
  readonly hint: string | null;
  /** More for the DETAIL of the error. */
  readonly detail?: string;
  /** UTF-16 offset in the analysed text of the offending place; null where unknown. */
  readonly offset: number | null;
}

/**
 * What a rule makes of a catalog that is not there. `strict`: it could not be read
 * before a server that statements go to, so what only the catalog could clear is
 * matched. `text`: nobody asked a server (`explain` without one), so only what the
 * text itself shows is matched.
 */
export type CatalogUnknown = 'strict' | 'text';

/** What a judgement depends on beside the statement and the role. */
export interface JudgingScope {
  /** The environment's name from the settings: `production`. */
  readonly environment: string;
  readonly database: string;
  readonly catalog: Catalog | null;
  readonly catalogUnknown: CatalogUnknown;
}

/** Something about a statement that only the moment can tell. */
export interface LiveQuestion {
  readonly rule: string;
  readonly action: Verdict;
  /** What is asked and why, for `explain`: a whole sentence. */
  readonly message: string;
  /** UTF-16 offset in the analysed text of what is asked about; null where unknown. */
  readonly offset: number | null;
  readonly ask: LiveAsk;
  /**
   * The match that the answers make; null: none.
   * @param earlier how many statements that ask the same run before this one in the same message, and are not spent yet
   */
  answer(facts: LiveFacts, earlier: number): Match | null;
}

export interface JudgedStatement {
  readonly facts: StatementFacts;
  /** Strictest first. */
  readonly matches: readonly Match[];
  /** What is still to be asked each time that it is to run; a judgement that was kept knows no answers. */
  readonly questions: readonly LiveQuestion[];
}

/** The policy's word on one text for one role: the same for every session of that role, so it can be cached. */
export interface Judgement {
  readonly verdict: Verdict;
  readonly statements: readonly JudgedStatement[];
  /** Matches of the text as a whole (syntax error, multi-statement, too complex), strictest first. */
  readonly matches: readonly Match[];
  /** The match that decides the error's text and code: the strictest, first in the text. null when nothing matched. */
  readonly decisive: Match | null;
  /** SQLSTATE for a refusal of this text: 42501, 42601 (syntax), 54000, 54001. */
  readonly sqlstate: string;
  /** One-based character position for the error field P, syntax errors only. */
  readonly position: number | null;
  /** The catalog was asked for, so that another snapshot may lead to another judgement. */
  readonly usedCatalog: boolean;
}

/** Who is asking: what role matching may look at. */
export interface Login {
  readonly user: string;
  readonly database: string;
  readonly application: string;
  /** The client's IP address, textual. */
  readonly address: string;
}
