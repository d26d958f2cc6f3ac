/**
 * One text as a role's policy sees it: analysed, judged, and with everything
 * prepared that its records, counters and name changes need, so that a text seen
 * before costs a look-up. It holds nothing of any session.
 */
import type { RecordedParameters } from '../audit/records.js';
import { recordedSql } from '../audit/redact.js';
import type { Catalog } from '../catalog/catalog.js';
import type { RecordedSql, TextDigest } from '../audit/redact.js';
import type { Metrics } from '../metrics.js';
import { judge } from '../policy/engine.js';
import { questionsOf } from '../policy/live.js';
import type { RecoveryAsk } from '../policy/live-facts.js';
import { mayCall, measuringOf, measuringOfUnread, measures } from '../policy/measured.js';
import { recoveryAsks } from '../policy/role-rules.js';
import type { Judgement, JudgingScope, Match, Policy, Role, Verdict } from '../policy/types.js';
import { unknownCalls, unknownNames } from '../policy/unknown-names.js';
import type { NameChange } from '../session/names.js';
import type { Meaning } from '../session/ports.js';
import { INLINE_LIMIT_BYTES } from '../sql/analyze.js';
import type { Analysis, NameUse, StatementFacts } from '../sql/facts.js';
import { NO_PARAMETERS } from './kept-parameters.js';
import type { KeptParameters } from './kept-parameters.js';
import { literalSpans } from '../sql/spans.js';
import type { TextCache } from './text-cache.js';
import { statementRecord } from './statement-record.js';
import type { JudgedStatementRecord } from './statement-record.js';

/** A role's judgements in one database under one policy. */
export interface RoleScope {
  readonly policy: Policy;
  readonly role: Role;
  readonly database: string;
  /** What is known of the database; null: nothing. */
  readonly catalog: Catalog | null;
  readonly texts: TextCache<JudgedText>;
}

/** What it takes to judge: the same for every session. */
export interface JudgingContext {
  readonly environment: string;
  readonly recordSql: 'full' | 'normalized' | 'hash';
  /** Bytes of a text that are recorded at most. */
  readonly recordLimit: number;
  readonly metrics: Metrics;
}

export interface JudgedText {
  readonly scope: RoleScope;
  /** The text's bytes as Latin-1, the key of the cache; with a zero before it, which no text has, for a nested one. */
  readonly key: string;
  /** The text, or its beginning where it is longer than what is recorded. */
  readonly sql: string;
  /** Of the whole text, where `sql` is not all of it. */
  readonly whole: TextDigest | null;
  readonly analysis: Analysis;
  readonly judgement: Judgement;
  readonly verdict: Verdict;
  /** One entry a statement; exactly one, without facts, for a text that has no statement or could not be read. */
  readonly statements: readonly JudgedStatementRecord[];
  /** Names that must be looked up in the session before the verdict is complete. */
  readonly executes: readonly string[];
  readonly fetches: readonly string[];
  /** Another snapshot of the catalogs may lead to another judgement, of this text or of those that follow it in its transaction. */
  readonly asksCatalog: boolean;
  /** Names in it that the snapshot does not have, where another one may lead to another judgement. */
  readonly unknown: readonly string[];
  /** What has to be found out about the way back before it, or what follows it in its transaction, runs. */
  readonly recoveryAsks: readonly RecoveryAsk[];
  /** What its questions find may have to be approved. */
  readonly mayBeHeld: boolean;
  /** It calls code that is none of PostgreSQL's own, and that may change settings without saying so. */
  readonly runsForeignCode: boolean;
  /** Names of prepared statements that the text itself defines, before it may use them. */
  readonly prepares: ReadonlyMap<string, Meaning>;
}

/** What a prepared statement stands for whose text people must approve before it runs. */
export interface PreparedForApproval extends JudgedText {
  /** OIDs, as its Parse declared them. */
  readonly parameterTypes: readonly number[];
}

/** What a portal stands for: the texts that its statement may have had when it was bound, the latest last. */
export interface Bound {
  readonly texts: readonly JudgedText[];
  readonly parameters: RecordedParameters | null;
  readonly kept: KeptParameters;
}

/** Judges an analysed text. `sql` is the text itself; with `whole`, its beginning, and `whole` is of all of it. */
export function judgeText(
  key: string,
  sql: string,
  analysis: Analysis,
  scope: RoleScope,
  context: JudgingContext,
  whole: TextDigest | null = null,
): JudgedText {
  const judging: JudgingScope = {
    environment: context.environment,
    database: scope.database,
    catalog: scope.catalog,
    catalogUnknown: 'strict',
  };
  const judgement = judge(analysis, scope.role, judging);
  const facts = analysis.kind === 'statements' ? analysis.statements : [];
  const recorded = recordable(sql, analysis, context.recordSql);
  const prepares = new Map<string, Meaning>();
  const executes: string[] = [];
  const fetches: string[] = [];
  const statements: JudgedStatementRecord[] = [];
  for (const [index, statement] of facts.entries()) {
    const changes: NameChange<Meaning>[] = [];
    for (const use of statement.names) {
      const change = nameChange(use, sql, scope, context, whole);
      if (change?.kind === 'define_statement') prepares.set(change.name, change.meaning);
      if (change !== null) changes.push(change);
      if (use.kind === 'execute') executes.push(use.name);
      if (use.kind === 'fetch') fetches.push(use.name);
    }
    const [start, end] = statement.span;
    const matches = [...(judgement.statements[index]?.matches ?? []), ...judgement.matches];
    const alone = facts.length === 1;
    statements.push(
      statementRecord(scope, context.metrics, {
        operation: statement.operation,
        facts: statement,
        sql: recordedSql(
          alone ? sql : sql.slice(start, end),
          alone ? recorded.analysis : ofStatement(recorded.statements[index] ?? statement),
          recorded.mode,
          whole,
        ),
        verdict: judgement.verdict,
        matches,
        changes,
        measuring: measuringOf(scope.role, statement, judging),
      }),
    );
  }
  if (statements.length === 0) {
    statements.push(
      statementRecord(scope, context.metrics, {
        operation: analysis.kind === 'statements' ? 'empty' : analysis.kind,
        facts: null,
        sql: recordedSql(sql, recorded.analysis, recorded.mode, whole),
        verdict: judgement.verdict,
        matches: judgement.matches,
        changes: [],
        measuring: null,
      }),
    );
  }
  // Within a transaction the catalogs cannot be read any more, so a BEGIN asks for those behind it.
  const asksCatalog =
    judgement.usedCatalog ||
    executes.length > 0 ||
    facts.some(({ operation }) => operation === 'begin') ||
    (measures(scope.role) && facts.some(mayCall));
  return {
    scope,
    key,
    sql,
    whole,
    analysis,
    judgement,
    verdict: judgement.verdict,
    statements,
    executes,
    fetches,
    asksCatalog,
    unknown: asksCatalog && scope.catalog !== null ? unknownNames(scope.catalog, facts) : NOTHING,
    recoveryAsks: asksOf(judgement, facts, scope.role),
    mayBeHeld: questionsOf(judgement).some(({ action }) => action === 'hold'),
    runsForeignCode:
      executes.length > 0 || facts.some((statement) => runsForeignCode(statement, scope.catalog)),
    prepares,
  };
}

const NOTHING: readonly never[] = Object.freeze([]);

function asksOf(judgement: Judgement, facts: readonly StatementFacts[], role: Role): readonly RecoveryAsk[] {
  const asks = recoveryAsks(role);
  if (asks.length === 0) return NOTHING;
  const own = questionsOf(judgement).some(({ ask }) => ask.kind === 'recovery');
  // What a name stands for is looked up later.
  if (own || facts.some(({ names }) => names.some(({ kind }) => kind === 'execute' || kind === 'fetch')))
    return asks;
  if (!facts.some(({ operation }) => operation === 'begin')) return NOTHING;
  // Within a transaction the server cannot be asked any more; a command can still be run.
  return asks.filter(({ maxAgeMs }) => maxAgeMs !== null).map((ask) => ({ ...ask, command: null }));
}

/** Whether a text may change what the catalogs say when it runs. */
export function changesSchema({ statements }: JudgedText): boolean {
  return statements.some(({ ending }) => ending.changesSchema);
}

interface Recordable {
  readonly analysis: Analysis;
  readonly statements: readonly StatementFacts[];
  readonly mode: JudgingContext['recordSql'];
}

/**
 * The analysis with the places of its literals, which only `normalized` records
 * want. Finding them takes longer than parsing, so a text too large to be parsed
 * here is recorded by its hash, as is one whose literals cannot be told.
 */
function recordable(sql: string, analysis: Analysis, mode: JudgingContext['recordSql']): Recordable {
  if (analysis.kind !== 'statements') return { analysis, statements: [], mode };
  const { statements } = analysis;
  if (mode !== 'normalized') return { analysis, statements, mode };
  const spans = sql.length > INLINE_LIMIT_BYTES ? null : literalSpans(sql);
  if (spans === null) return { analysis, statements, mode: 'hash' };
  const located = statements.map((statement) => {
    const [from, to] = statement.span;
    return { ...statement, literals: spans.filter(([start, end]) => start >= from && end <= to) };
  });
  return { analysis: { kind: 'statements', statements: located }, statements: located, mode };
}

function runsForeignCode(statement: StatementFacts, catalog: Catalog | null): boolean {
  const { effects, calls, relations } = statement;
  if (effects.includes('opaque')) return true;
  if (calls.length === 0 && relations.length === 0) return false;
  if (catalog === null) return calls.length > 0;
  return (
    calls.some(({ schema, name }) => catalog.functionsNamed(schema, name).length > 0) ||
    unknownCalls(catalog, statement).length > 0 ||
    relations.some((use) => catalog.relationsNamed(use).some((relation) => relation.calls.length > 0))
  );
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
    whole: null,
    analysis: { kind: 'unclassified', message: operation, offset: null },
    judgement: {
      verdict,
      statements: [],
      matches,
      decisive: match,
      sqlstate,
      position: null,
      usedCatalog: false,
    },
    verdict,
    statements: [
      statementRecord(scope, context.metrics, {
        operation,
        facts: null,
        sql,
        verdict,
        matches,
        changes: [],
        measuring: measuringOfUnread(scope.role),
      }),
    ],
    executes: [],
    fetches: [],
    asksCatalog: false,
    unknown: NOTHING,
    recoveryAsks: NOTHING,
    mayBeHeld: false,
    runsForeignCode: true,
    prepares: new Map(),
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
  whole: TextDigest | null,
): NameChange<Meaning> | null {
  switch (use.kind) {
    case 'prepare':
      return {
        kind: 'define_statement',
        name: use.name,
        meaning: nested(use.statement, sql, scope, context, whole),
      };
    case 'deallocate':
      return use.name === null ? { kind: 'drop_all_statements' } : { kind: 'drop_statement', name: use.name };
    case 'declare':
      return {
        kind: 'define_portal',
        name: use.name,
        meaning: {
          texts: [nested(use.statement, sql, scope, context, whole)],
          parameters: null,
          kept: NO_PARAMETERS,
        } satisfies Bound,
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
  whole: TextDigest | null,
): JudgedText {
  const [start, end] = statement.span;
  const text = sql.slice(start, end);
  return judgeText(`\0${text}`, text, ofStatement(statement), scope, context, whole);
}
