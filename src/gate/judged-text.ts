/**
 * One text as a role's policy sees it: analysed, judged, and with everything
 * prepared that its records, counters and name changes need, so that a text seen
 * before costs a look-up. It holds nothing of any session.
 */
import { decisionConstant } from '../audit/records.js';
import type { DecisionConstant, RecordedParameters } from '../audit/records.js';
import { recordedSql } from '../audit/redact.js';
import type { RecordedSql } from '../audit/redact.js';
import type { CounterChild, Metrics } from '../metrics.js';
import { judge } from '../policy/engine.js';
import type { Judgement, Match, Policy, Role, Verdict } from '../policy/types.js';
import type { NameChange } from '../session/names.js';
import type { Meaning } from '../session/ports.js';
import type { Analysis, NameUse, StatementFacts } from '../sql/facts.js';
import type { TextCache } from './text-cache.js';

/** A role's judgements in one database under one policy. */
export interface RoleScope {
  readonly policy: Policy;
  readonly role: Role;
  readonly database: string;
  readonly texts: TextCache<JudgedText>;
}

export interface JudgedStatementRecord {
  readonly operation: string;
  readonly decision: DecisionConstant;
  readonly decisions: CounterChild;
  readonly rows: CounterChild;
  readonly ruleMatches: readonly CounterChild[];
  /** What its success changes in the session's names. */
  readonly changes: readonly NameChange<Meaning>[];
  readonly facts: StatementFacts | null;
  readonly sql: RecordedSql;
}

/** What it takes to judge: the same for every session. */
export interface JudgingContext {
  readonly environment: string;
  readonly recordSql: 'full' | 'normalized' | 'hash';
  readonly metrics: Metrics;
}

export interface JudgedText {
  readonly scope: RoleScope;
  /** The text's bytes as Latin-1, the key of the cache; with a zero before it, which no text has, for a nested one. */
  readonly key: string;
  readonly sql: string;
  readonly analysis: Analysis;
  readonly judgement: Judgement;
  readonly verdict: Verdict;
  /** One entry a statement; exactly one, without facts, for a text that has no statement or could not be read. */
  readonly statements: readonly JudgedStatementRecord[];
  /** Names that must be looked up in the session before the verdict is complete. */
  readonly executes: readonly string[];
  readonly fetches: readonly string[];
  /** Names of prepared statements that the text itself defines, before it may use them. */
  readonly prepares: ReadonlyMap<string, Meaning>;
  /** The value of `SET holdfast.target = …`, when it is one. */
  readonly target: string | null;
}

/** What a portal stands for: the texts that its statement may have had when it was bound, the latest last. */
export interface Bound {
  readonly texts: readonly JudgedText[];
  readonly parameters: RecordedParameters | null;
}

/** The custom setting that echoes the environment's name for `confirm`. */
export const TARGET_SETTING = 'holdfast.target';

/** Judges an analysed text. `sql` is the text itself, `bytes` its size. */
export function judgeText(
  key: string,
  sql: string,
  analysis: Analysis,
  scope: RoleScope,
  context: JudgingContext,
): JudgedText {
  const judgement = judge(analysis, scope.role, {
    environment: context.environment,
    database: scope.database,
  });
  const facts = analysis.kind === 'statements' ? analysis.statements : [];
  const prepares = new Map<string, Meaning>();
  const executes: string[] = [];
  const fetches: string[] = [];
  let target: string | null = null;
  const statements: JudgedStatementRecord[] = [];
  for (const [index, statement] of facts.entries()) {
    const changes: NameChange<Meaning>[] = [];
    for (const use of statement.names) {
      const change = nameChange(use, sql, scope, context);
      if (change?.kind === 'define_statement') prepares.set(change.name, change.meaning);
      if (change !== null) changes.push(change);
      if (use.kind === 'execute') executes.push(use.name);
      if (use.kind === 'fetch') fetches.push(use.name);
    }
    for (const setting of statement.settings) if (setting.name === TARGET_SETTING) target = setting.value;
    const [start, end] = statement.span;
    const matches = [...(judgement.statements[index]?.matches ?? []), ...judgement.matches];
    const alone = facts.length === 1;
    statements.push(
      statementRecord(scope, context, {
        operation: statement.operation,
        facts: statement,
        sql: recordedSql(
          alone ? sql : sql.slice(start, end),
          alone ? analysis : ofStatement(statement),
          context.recordSql,
        ),
        verdict: judgement.verdict,
        matches,
        changes,
      }),
    );
  }
  if (statements.length === 0) {
    statements.push(
      statementRecord(scope, context, {
        operation: analysis.kind === 'statements' ? 'empty' : analysis.kind,
        facts: null,
        sql: recordedSql(sql, analysis, context.recordSql),
        verdict: judgement.verdict,
        matches: judgement.matches,
        changes: [],
      }),
    );
  }
  return {
    scope,
    key,
    sql,
    analysis,
    judgement,
    verdict: judgement.verdict,
    statements,
    executes,
    fetches,
    prepares,
    target,
  };
}

interface StatementParts {
  readonly operation: string;
  readonly facts: StatementFacts | null;
  readonly sql: RecordedSql;
  readonly verdict: Verdict;
  readonly matches: readonly Match[];
  readonly changes: readonly NameChange<Meaning>[];
}

/** Everything about one statement that does not change from one execution to the next. */
export function statementRecord(
  scope: RoleScope,
  { metrics }: JudgingContext,
  parts: StatementParts,
): JudgedStatementRecord {
  const { role, policy } = scope;
  return {
    operation: parts.operation,
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
    rows: metrics.rowsAffected.child(role.name, parts.operation),
    ruleMatches: parts.matches.map(({ rule, action }) => metrics.ruleMatches.child(role.name, rule, action)),
    changes: parts.changes,
    facts: parts.facts,
    sql: parts.sql,
  };
}

/**
 * A request that is judged without reading a text: a FunctionCall, a portal that a
 * function opened, a text too large to read. `match` null: it may pass.
 */
export function unreadText(
  scope: RoleScope,
  context: JudgingContext,
  operation: string,
  match: Match | null,
  sqlstate: string,
  sql: RecordedSql,
): JudgedText {
  const matches = match === null ? [] : [match];
  const verdict = match?.action ?? 'allow';
  return {
    scope,
    key: '',
    sql: '',
    analysis: { kind: 'unclassified', message: operation, offset: null },
    judgement: { verdict, statements: [], matches, decisive: match, sqlstate, position: null },
    verdict,
    statements: [
      statementRecord(scope, context, { operation, facts: null, sql, verdict, matches, changes: [] }),
    ],
    executes: [],
    fetches: [],
    prepares: new Map(),
    target: null,
  };
}

/** One statement's analysis as if it stood alone: offsets are those of its own text. */
function ofStatement(statement: StatementFacts): Analysis {
  const [base, end] = statement.span;
  const shift = (span: readonly [number, number]): readonly [number, number] => [
    span[0] - base,
    span[1] - base,
  ];
  return {
    kind: 'statements',
    statements: [
      {
        ...statement,
        span: [0, end - base],
        secrets: statement.secrets.map(shift),
        literals: statement.literals.map(shift),
      },
    ],
  };
}

function nameChange(
  use: NameUse,
  sql: string,
  scope: RoleScope,
  context: JudgingContext,
): NameChange<Meaning> | null {
  switch (use.kind) {
    case 'prepare':
      return {
        kind: 'define_statement',
        name: use.name,
        meaning: nested(use.statement, sql, scope, context),
      };
    case 'deallocate':
      return use.name === null ? { kind: 'drop_all_statements' } : { kind: 'drop_statement', name: use.name };
    case 'declare':
      return {
        kind: 'define_portal',
        name: use.name,
        meaning: { texts: [nested(use.statement, sql, scope, context)], parameters: null } satisfies Bound,
        hold: use.hold,
      };
    case 'close':
      return use.name === null ? { kind: 'drop_all_portals' } : { kind: 'drop_portal', name: use.name };
    case 'discard':
      // DISCARD PLANS keeps prepared statements, it only plans them anew.
      return use.what === 'all' ? { kind: 'drop_all_statements' } : null;
    case 'execute':
    case 'fetch':
      return null;
  }
}

/** The statement within PREPARE or DECLARE, as a text of its own. */
function nested(
  statement: StatementFacts,
  sql: string,
  scope: RoleScope,
  context: JudgingContext,
): JudgedText {
  const [start, end] = statement.span;
  const text = sql.slice(start, end);
  return judgeText(`\0${text}`, text, ofStatement(statement), scope, context);
}
