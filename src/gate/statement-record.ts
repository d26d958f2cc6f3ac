/**
 * Everything about one judged statement that does not change from one execution to the
 * next: the constant part of its records, its counters, what its end means.
 */
import { decisionConstant } from '../audit/records.js';
import type { DecisionConstant } from '../audit/records.js';
import type { RecordedSql } from '../audit/redact.js';
import type { CounterChild, Metrics } from '../metrics.js';
import type { Measuring } from '../policy/measured.js';
import type { Match, Policy, Role, Verdict } from '../policy/types.js';
import type { NameChange } from '../session/names.js';
import type { Meaning } from '../session/ports.js';
import type { StatementFacts } from '../sql/facts.js';
import { targetChange } from './target.js';
import type { TargetChange } from './target.js';

/** What is still needed of a statement when it has run. Kept apart: a statement that waits for people keeps nothing else. */
export interface StatementEnding {
  readonly operation: string;
  readonly rows: CounterChild;
  /** It may change what the catalogs say. */
  readonly changesSchema: boolean;
  /** What its success says about holdfast.target; null: nothing. */
  readonly target: TargetChange | null;
}

export interface JudgedStatementRecord {
  readonly operation: string;
  /** The policy role's name. */
  readonly role: string;
  /** What it takes to count what it does before that is committed; null: nobody asks. */
  readonly measuring: Measuring | null;
  readonly decision: DecisionConstant;
  readonly decisions: CounterChild;
  readonly ending: StatementEnding;
  readonly ruleMatches: readonly CounterChild[];
  /** What its success changes in the session's names. */
  readonly changes: readonly NameChange<Meaning>[];
  readonly facts: StatementFacts | null;
  readonly sql: RecordedSql;
}

/** `opaque`: what DO and CALL run may be anything. */
const SCHEMA_EFFECTS: ReadonlySet<string> = new Set(['ddl', 'admin', 'opaque']);

interface StatementParts {
  readonly operation: string;
  readonly facts: StatementFacts | null;
  readonly sql: RecordedSql;
  readonly verdict: Verdict;
  readonly matches: readonly Match[];
  readonly changes: readonly NameChange<Meaning>[];
  readonly measuring: Measuring | null;
}

/** Everything about one statement that does not change from one execution to the next. */
export function statementRecord(
  { role, policy }: { readonly role: Role; readonly policy: Policy },
  metrics: Metrics,
  parts: StatementParts,
): JudgedStatementRecord {
  return {
    operation: parts.operation,
    role: role.name,
    measuring: parts.measuring,
    decision: decisionConstant({
      role: role.name,
      operation: parts.operation,
      relations: parts.facts?.relations ?? [],
      sql: parts.sql,
      verdict: parts.verdict,
      matches: parts.matches,
      policy: policy.sha256,
      mode: policy.mode,
    }),
    decisions: metrics.decisions.child(role.name, parts.operation, parts.verdict),
    ending: {
      operation: parts.operation,
      rows: metrics.rowsAffected.child(role.name, parts.operation),
      changesSchema: parts.facts?.effects.some((effect) => SCHEMA_EFFECTS.has(effect)) ?? true,
      target: targetChange(parts.facts),
    },
    ruleMatches: parts.matches.map(({ rule, action }) => metrics.ruleMatches.child(role.name, rule, action)),
    changes: parts.changes,
    facts: parts.facts,
    sql: parts.sql,
  };
}
