/**
 * What would happen to a text, and why, without a server: the same matching and
 * judging that a live session gets.
 *
 * Law: decides nothing of its own. What `holdfast explain` says and what the
 * proxy does come from the same functions.
 */
import type { Catalog } from '../catalog/catalog.js';
import { judge } from '../policy/engine.js';
import { matchRole } from '../policy/match.js';
import type { Judgement, LiveQuestion, Login, Match, Policy, Role, Verdict } from '../policy/types.js';
import type { Analysis, Effect, RelationUse } from '../sql/facts.js';

export interface ExplainRequest {
  readonly policy: Policy;
  readonly environment: string;
  readonly login: Login;
  readonly sql: string;
  /** What `analyze` made of `sql`. */
  readonly analysis: Analysis;
  /** What is known of the database, where a server was asked. */
  readonly catalog?: Catalog;
}

export interface Explanation {
  readonly sql: string;
  readonly login: Login;
  readonly environment: string;
  /** The database whose catalog was known; null: it was judged by its text alone. */
  readonly catalog: string | null;
  readonly mode: Policy['mode'];
  /** null: no role matches, so the login itself would be refused. */
  readonly role: Role | null;
  readonly judgement: Judgement;
  /** What could be made of the text; the operation of a text without statements, as in the audit log. */
  readonly analysis: Analysis['kind'];
}

/** Judges a text for the session that `login` would have. */
export function explain(request: ExplainRequest): Explanation {
  const { policy, environment, login, sql, analysis } = request;
  const role = matchRole(policy, login);
  const judgement =
    role === null
      ? withoutRole(login, analysis)
      : judge(analysis, role, {
          environment,
          database: login.database,
          catalog: request.catalog ?? null,
          catalogUnknown: 'text',
        });
  return {
    sql,
    login,
    environment,
    catalog: request.catalog?.database ?? null,
    mode: policy.mode,
    role,
    judgement,
    analysis: analysis.kind,
  };
}

/** Refused at login; the statement is shown, but nothing more can be said of it. */
function withoutRole(login: Login, analysis: Analysis): Judgement {
  const match: Match = {
    rule: 'role',
    action: 'deny',
    message: `No role of the policy matches user "${login.user}" on database "${login.database}" from ${login.address}, so the login is refused.`,
    hint: 'Add a role to the policy whose match names this user; a role without match at the end takes everybody else.',
    offset: null,
  };
  const statements = analysis.kind === 'statements' ? analysis.statements : [];
  return {
    verdict: 'deny',
    statements: statements.map((facts) => ({ facts, matches: [], questions: [] })),
    matches: [match],
    decisive: match,
    sqlstate: '28000',
    position: null,
    usedCatalog: false,
  };
}

/** The JSON of `holdfast explain`; its names are a contract. */
export interface ExplainJson {
  readonly verdict: Verdict;
  readonly role: string | null;
  readonly statements: readonly ExplainedStatement[];
}

export interface ExplainedStatement {
  readonly operation: string;
  readonly effects: readonly Effect[];
  readonly relations: readonly RelationUse[];
  readonly matches: readonly ExplainedMatch[];
  /** What is asked each time that it runs, where anything is; none of it counts in `verdict`. */
  readonly asks?: readonly Pick<LiveQuestion, 'rule' | 'action' | 'message'>[];
}

/** `detail` only where a rule has more to say, such as the tables that a cascade reaches. */
export type ExplainedMatch = Pick<Match, 'rule' | 'action' | 'message' | 'hint' | 'detail'>;

export function explainedMatch({ rule, action, message, hint, detail }: Match): ExplainedMatch {
  return { rule, action, message, hint, ...(detail === undefined ? {} : { detail }) };
}

/** Every match: those of the text as a whole first, then statement by statement. */
export function allMatches(judgement: Judgement): readonly Match[] {
  return [...judgement.matches, ...judgement.statements.flatMap(({ matches }) => matches)];
}

/**
 * Every match is under `statements`, so that a script has one place to look:
 * what concerns the text as a whole is put to the statement where it was seen,
 * and a text that could not be read as statements is one of the operation
 * `syntax_error`, `too_complex` or `unclassified`, as in the audit log.
 */
export function explainJson({ role, judgement, analysis }: Explanation): ExplainJson {
  const placed: {
    operation: string;
    effects: readonly Effect[];
    relations: RelationUse[];
    matches: Match[];
    questions: readonly LiveQuestion[];
  }[] = judgement.statements.map(({ facts, matches, questions }) => ({
    operation: facts.operation,
    effects: facts.effects,
    relations: facts.relations.map(({ schema, name, mode }) => ({ schema, name, mode })),
    matches: [...matches],
    questions,
  }));
  for (const match of judgement.matches) {
    const { offset } = match;
    const at =
      offset === null
        ? 0
        : judgement.statements.findLastIndex((statement) => statement.facts.span[0] <= offset);
    const statement = placed[Math.max(at, 0)];
    if (statement !== undefined) statement.matches.push(match);
    else
      placed.push({
        operation: analysis === 'statements' ? 'empty' : analysis,
        effects: ['opaque'],
        relations: [],
        matches: [match],
        questions: [],
      });
  }
  return {
    verdict: judgement.verdict,
    role: role?.name ?? null,
    statements: placed.map(({ questions, matches, ...statement }) => ({
      ...statement,
      matches: matches.map(explainedMatch),
      ...(questions.length === 0
        ? {}
        : { asks: questions.map(({ rule, action, message }) => ({ rule, action, message })) }),
    })),
  };
}
