/**
 * One case of a cases file, judged as a session's statement would be, and whether
 * that is what was expected.
 */
import type { PolicyCase } from '../config/cases-file.js';
import type { Catalog } from '../catalog/catalog.js';
import { allMatches, explain, explainedMatch } from '../gate/explain.js';
import type { ExplainedMatch, Explanation } from '../gate/explain.js';
import type { Match, Policy, Verdict } from '../policy/types.js';
import type { Analyzer } from './analyzer.js';

export interface CaseScope {
  readonly policy: Policy;
  readonly environment: string;
  readonly catalog: Catalog | null;
  readonly analyzer: Analyzer;
}

export interface CaseResult {
  readonly file: string;
  readonly case: PolicyCase;
  readonly explanation: Explanation;
  readonly ok: boolean;
}

export async function runCase(file: string, wanted: PolicyCase, scope: CaseScope): Promise<CaseResult> {
  const { policy, environment, catalog, analyzer } = scope;
  const explanation = explain({
    policy,
    environment,
    login: wanted.login,
    sql: wanted.sql,
    analysis: await analyzer.analyze(wanted.sql),
    ...(catalog === null ? {} : { catalog }),
  });
  return { file, case: wanted, explanation, ok: isAsExpected(wanted, explanation) };
}

/** The verdict is the expected one, and the expected rule among those that gave it: another one may word the refusal. */
function isAsExpected({ verdict, rule }: PolicyCase, explanation: Explanation): boolean {
  if (explanation.judgement.verdict !== verdict) return false;
  return rule === null || decidingMatches(explanation).some((match) => match.rule === rule);
}

/** The matches that make the verdict what it is. */
function decidingMatches({ judgement }: Explanation): readonly Match[] {
  return allMatches(judgement).filter((match) => match.action === judgement.verdict);
}

/** The rules that made the verdict, each once. */
export function decidingRules(explanation: Explanation): readonly string[] {
  return [...new Set(decidingMatches(explanation).map((match) => match.rule))];
}

/** A line of `holdfast test --json`; its names are a contract. */
export interface CaseJson {
  readonly file: string;
  readonly line: number;
  readonly name: string | null;
  readonly user: string;
  readonly database: string;
  readonly sql: string;
  readonly ok: boolean;
  readonly expected: { readonly verdict: Verdict; readonly rule: string | null };
  readonly got: {
    readonly verdict: Verdict;
    readonly role: string | null;
    readonly rules: readonly string[];
    readonly matches: readonly ExplainedMatch[];
  };
}

export function caseJson({ file, case: wanted, explanation, ok }: CaseResult): CaseJson {
  const { judgement, role } = explanation;
  return {
    file,
    line: wanted.line,
    name: wanted.name,
    user: wanted.login.user,
    database: wanted.login.database,
    sql: wanted.sql,
    ok,
    expected: { verdict: wanted.verdict, rule: wanted.rule },
    got: {
      verdict: judgement.verdict,
      role: role?.name ?? null,
      rules: decidingRules(explanation),
      matches: allMatches(judgement).map(explainedMatch),
    },
  };
}
