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
import { RULES } from './registry.js';
import type { Rule, RuleFinding, RuleSubject } from './rule.js';
import { VERDICTS } from './types.js';
import type { JudgedStatement, Judgement, JudgingScope, Match, Role, Verdict } from './types.js';
import { described } from './words.js';

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

/** Matches strictest first; among equals the order they came in. */
function strictestFirst(matches: readonly Match[]): Match[] {
  return [...matches].sort((a, b) => severity(b.action) - severity(a.action));
}

function severity(verdict: Verdict): number {
  return VERDICTS.indexOf(verdict);
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
      judged.push({ facts, matches: [] });
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
    const own = [...prohibited(facts), ...withoutAccess(facts, role)];
    for (const rule of RULES) {
      const matches = ruleMatches(rule, subject, role);
      (rule.scope === 'text' ? ofText : own).push(...matches);
    }
    const place = (match: Match): number => match.offset ?? facts.span[0];
    const byPlace = own.sort((a, b) => place(a) - place(b));
    judged.push({ facts, matches: strictestFirst(byPlace) });
    inOrder.push(...byPlace);
    index++;
  }
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

function withoutAccess(facts: StatementFacts, role: Role): Match[] {
  const needs: readonly Need[] = facts.needs.length > 0 ? facts.needs : [ANYTHING];
  const matches = needs
    .filter((need) => level(need.access) > level(role.access))
    .map((need) => accessMatch(facts, need, role));
  // A statement that inserts into ten tables needs write access once for each reason, not for each row of VALUES.
  return matches.filter((match, at) => matches.findIndex((other) => other.message === match.message) === at);
}

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

function ruleMatches(rule: Rule, subject: RuleSubject, role: Role): Match[] {
  const setting = role.rules[rule.id];
  const action =
    setting?.action ?? (rule.defaultAction === null ? null : (role.defaultAction ?? rule.defaultAction));
  if (action === null) return [];
  const match = (finding: RuleFinding, verdict: Verdict): Match => ({
    rule: rule.id,
    action: verdict,
    message: finding.message,
    hint: finding.hint,
    ...(finding.detail === undefined ? {} : { detail: finding.detail }),
    offset: finding.offset,
  });
  try {
    return rule.check(subject, setting?.options ?? {}).map((finding) => match(finding, action));
  } catch (error) {
    // A defect, and one that must not let a statement pass: it denies, whatever the rule's action.
    const reason = error instanceof Error ? error.message : String(error);
    const finding = {
      message: `The rule "${rule.id}" could not be evaluated on this statement: ${reason}.`,
      hint: 'This is a defect in Holdfast; please report the statement.',
      offset: null,
    };
    return [match(finding, 'deny')];
  }
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
