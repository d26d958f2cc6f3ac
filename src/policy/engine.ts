/**
 * The verdict: what the policy says of one analysed text for one role.
 *
 * Law: pure and total. Every need, every prohibition and every rule is looked
 * at, nothing short-circuits, the strictest match decides. What could not be
 * told (an analysis that failed, a rule that threw) is a match that denies,
 * never a gap.
 */
import { ACCESS_LEVELS } from '../sql/facts.js';
import type { Access, Analysis, Need, StatementFacts } from '../sql/facts.js';
import { strictestFirst } from './live.js';
import { activeRules, listedFunctions } from './role-rules.js';
import type { ActiveRule } from './role-rules.js';
import { goesOnBehindItsEnd } from './transaction-ends.js';
import type { LiveRule, Rule, RuleFinding, RuleSubject } from './rule.js';
import type {
  JudgedStatement,
  Judgement,
  JudgingScope,
  LiveQuestion,
  Match,
  Role,
  Verdict,
} from './types.js';
import { volatileCalls } from './volatile-calls.js';
import type { VolatileCall } from './volatile-calls.js';
import { described } from './words.js';

const NOTHING: readonly never[] = Object.freeze([]);

/** SQLSTATE insufficient_privilege: a refusal by policy. */
const INSUFFICIENT_PRIVILEGE = '42501';
const SYNTAX_ERROR = '42601';

/**
 * Judges a text. The result depends on the arguments alone, so it can be kept
 * for as long as role, environment and database stay the same. `hold` and
 * `confirm` stay what they are: what to do about them is the gate's business.
 */
export function judge(analysis: Analysis, role: Role, context: JudgingScope): Judgement {
  switch (analysis.kind) {
    case 'statements':
      return judgeStatements(analysis.statements, role, context);
    case 'syntax_error':
      // Answered as the server would answer it, so neither prefix nor hint.
      return refusedText(
        { rule: 'syntax', action: 'deny', message: analysis.message, hint: null, offset: null },
        SYNTAX_ERROR,
        analysis.position,
      );
    case 'too_complex':
      return refusedText(
        {
          rule: 'too-complex',
          action: 'deny',
          message: analysis.message,
          hint: 'Split it into smaller statements, or send long lists as one array parameter: = ANY($1).',
          offset: null,
        },
        analysis.sqlstate,
        null,
      );
    case 'unclassified':
      return refusedText(
        {
          rule: 'unclassified',
          action: 'deny',
          message: analysis.message,
          hint: 'What nobody has decided about is refused, for every role. Write the statement in another way, or ask whoever keeps Holdfast to have this form classified.',
          offset: analysis.offset,
        },
        INSUFFICIENT_PRIVILEGE,
        null,
      );
  }
}

function refusedText(match: Match, sqlstate: string, position: number | null): Judgement {
  return {
    verdict: 'deny',
    statements: [],
    matches: [match],
    decisive: match,
    sqlstate,
    position,
    usedCatalog: false,
  };
}

function judgeStatements(
  statements: readonly StatementFacts[],
  role: Role,
  context: JudgingScope,
): Judgement {
  const rules = activeRules(role);
  let usedCatalog = false;
  const judged: JudgedStatement[] = [];
  const ofText: Match[] = [];
  // Statements come in the order of the text; so do all matches, for `decisive`.
  const inOrder: Match[] = [];
  // An empty statement (`;`, a comment) does nothing: it neither counts nor matches.
  const count = statements.filter((facts) => !isEmpty(facts)).length;
  let index = 0;
  for (const facts of statements) {
    if (isEmpty(facts)) {
      judged.push({ facts, matches: [], questions: NOTHING });
      continue;
    }
    const subject: RuleSubject = {
      statement: facts,
      index,
      count,
      environment: context.environment,
      databaseName: context.database,
      get catalog() {
        usedCatalog = true;
        return context.catalog;
      },
      catalogUnknown: context.catalogUnknown,
    };
    const own = [...prohibited(facts), ...withoutAccess(facts, role, subject)];
    const questions: LiveQuestion[] = [];
    for (const active of rules) {
      if (active.rule.live !== undefined) {
        const asked = ruleQuestions(active, active.rule.live, subject);
        if ('match' in asked) own.push(asked.match);
        else questions.push(...asked.questions);
        continue;
      }
      const matches = ruleMatches(active, subject);
      if (matches.length > 0) (active.rule.scope === 'text' ? ofText : own).push(...matches);
    }
    const place = (match: Match): number => match.offset ?? facts.span[0];
    const byPlace = own.sort((a, b) => place(a) - place(b));
    judged.push({ facts, matches: strictestFirst(byPlace), questions });
    inOrder.push(...byPlace);
    index++;
  }
  const split = goesOnBehindItsEnd(statements, role);
  if (split !== null) ofText.push(split);
  const all = strictestFirst([...inOrder, ...ofText]);
  const decisive = all[0] ?? null;
  return {
    verdict: decisive?.action ?? 'allow',
    statements: judged,
    matches: strictestFirst(ofText),
    decisive,
    sqlstate: INSUFFICIENT_PRIVILEGE,
    position: null,
    usedCatalog,
  };
}

function isEmpty(facts: StatementFacts): boolean {
  return facts.operation === 'empty' && facts.actions.length === 0;
}

function prohibited(facts: StatementFacts): Match[] {
  return facts.prohibitions.map((prohibition) => ({
    rule: 'prohibited',
    action: 'deny',
    message: sentence(`This statement ${prohibition.why}`),
    hint: prohibition.hint,
    offset: prohibition.offset,
  }));
}

function withoutAccess(facts: StatementFacts, role: Role, subject: RuleSubject): readonly Match[] {
  const has = level(role.access);
  const needs = facts.needs.length > 0 ? facts.needs : [ANYTHING];
  const lacking = needs.filter((need) => level(need.access) > has);
  if (has < level('write')) lacking.push(...needsOfCalls(subject, role));
  if (lacking.length === 0) return NOTHING;
  const matches = lacking.map((need) => accessMatch(facts, need, role));
  // A statement that inserts into ten tables needs write access once for each reason, not for each row of VALUES.
  return matches.filter((match, at) => matches.findIndex((other) => other.message === match.message) === at);
}

/** Functions that may write need write access, however little the rule `opaque-code` has to say of them; those that it lists do not. */
function needsOfCalls(subject: RuleSubject, role: Role): Need[] {
  const need = ({ why, offset }: VolatileCall): Need => ({ access: 'write', why, hint: LIST_IT, offset });
  try {
    return volatileCalls(subject, listedFunctions(role)).map(need);
  } catch {
    // A defect; what could not be told is refused to who may not write.
    return [need({ why: 'could not be searched for functions that may write', offset: null })];
  }
}

const LIST_IT =
  'Ask for a role with write access to this database, or, if the function changes nothing, have it listed under opaque-code: functions in the policy, or declared STABLE in the database.';

/** A statement that needs nothing in particular (BEGIN, SHOW, …) is still refused to a role that may do nothing at all. */
const ANYTHING: Need = { access: 'read', why: 'is a statement', hint: null, offset: null };

function accessMatch(facts: StatementFacts, need: Need, role: Role): Match {
  const there = facts.actions.filter((action) => action.offset === need.offset);
  // "DELETE needs write access" explains itself; that a SELECT does has to be explained.
  const plain = there.find((action) => action.effect === need.access);
  const action = plain ?? there[0] ?? facts.actions[0];
  const subject = action === undefined ? 'This statement' : described(action);
  const why = plain === undefined ? `: it ${need.why}` : '';
  return {
    rule: 'access',
    action: 'deny',
    message: `${subject} needs ${need.access} access${why}; role "${role.name}" has ${role.access}.`,
    hint: need.hint ?? `Ask for a role with ${need.access} access to this database.`,
    offset: need.offset,
  };
}

function level(access: Access): number {
  return ACCESS_LEVELS.indexOf(access);
}

/** What a rule asks each time that the statement runs. */
function ruleQuestions(
  { rule, action, options }: ActiveRule,
  live: LiveRule,
  subject: RuleSubject,
): { readonly questions: readonly LiveQuestion[] } | { readonly match: Match } {
  try {
    const ask = live.ask(options);
    const questions = rule.check(subject, options).map((about): LiveQuestion => ({
      rule: rule.id,
      action,
      message: about.message,
      offset: about.offset,
      ask,
      answer: (facts, earlier) => {
        const found = live.answer(options, facts, earlier);
        return found === null ? null : match(rule, { ...found, offset: about.offset }, action);
      },
    }));
    return { questions };
  } catch (error) {
    return { match: defect(rule, error) };
  }
}

function ruleMatches(active: ActiveRule, subject: RuleSubject): readonly Match[] {
  const { rule } = active;
  try {
    const findings = rule.check(subject, active.options);
    return findings.length === 0 ? NOTHING : findings.map((finding) => match(rule, finding, active.action));
  } catch (error) {
    return [defect(rule, error)];
  }
}

/** A defect, and one that must not let a statement pass: it denies, whatever the rule's action. */
function defect(rule: Rule, error: unknown): Match {
  const reason = error instanceof Error ? error.message : String(error);
  const finding = {
    message: `The rule "${rule.id}" could not be evaluated on this statement: ${reason}.`,
    hint: 'This is a defect in Holdfast; please report the statement.',
    offset: null,
  };
  return match(rule, finding, 'deny');
}

function match(rule: Rule, finding: RuleFinding, action: Verdict): Match {
  return {
    rule: rule.id,
    action,
    message: finding.message,
    hint: finding.hint,
    ...(finding.detail === undefined ? {} : { detail: finding.detail }),
    offset: finding.offset,
  };
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
