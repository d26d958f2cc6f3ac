/**
 * The questions that only the moment can answer, and what their answers make of a
 * judgement.
 *
 * Law: pure. A judgement is kept by its text, so it holds the questions; whoever lets
 * the statement pass asks them anew each time.
 */
import type { LiveFacts } from './live-facts.js';
import { VERDICTS } from './types.js';
import type { Judgement, LiveQuestion, Match } from './types.js';

const NO_QUESTIONS: readonly never[] = Object.freeze([]);

/** The questions that running the text raises. A PREPARE alone runs nothing. */
export function questionsOf(judgement: Judgement): readonly LiveQuestion[] {
  const { statements } = judgement;
  if (statements.every(({ questions }) => questions.length === 0)) return NO_QUESTIONS;
  if (statements.every(({ facts }) => facts.operation === 'prepare' || facts.operation === 'empty'))
    return NO_QUESTIONS;
  return statements.flatMap(({ questions }) => questions);
}

/**
 * The judgement with what its questions found; the same object where they found nothing.
 * @param earlier statements that run before it in the same message, for each question
 */
export function withAnswers(judgement: Judgement, facts: LiveFacts, earlier = 0): Judgement {
  if (questionsOf(judgement).length === 0) return judgement;
  const asked = new Map<string, number>();
  const statements = judgement.statements.map((statement) => {
    const matches: Match[] = [];
    // One statement counts once, however many parts of it ask.
    const before = new Map(asked);
    for (const question of statement.questions) {
      const match = answerOf(question, facts, earlier + (before.get(question.rule) ?? 0));
      asked.set(question.rule, (before.get(question.rule) ?? 0) + 1);
      if (match !== null && !matches.some(({ rule }) => rule === match.rule)) matches.push(match);
    }
    if (matches.length === 0) return statement;
    return { ...statement, matches: strictestFirst([...statement.matches, ...matches]) };
  });
  if (statements.every((statement, index) => statement === judgement.statements[index])) return judgement;
  const all = strictestFirst([...statements.flatMap(({ matches }) => matches), ...judgement.matches]);
  const decisive = all[0] ?? null;
  return { ...judgement, statements, decisive, verdict: decisive?.action ?? 'allow' };
}

function answerOf(question: LiveQuestion, facts: LiveFacts, earlier: number): Match | null {
  try {
    return question.answer(facts, earlier);
  } catch (error) {
    // A defect, and one that must not let a statement pass: it denies, whatever the rule's action.
    const reason = error instanceof Error ? error.message : String(error);
    return {
      rule: question.rule,
      action: 'deny',
      message: `The rule "${question.rule}" could not be evaluated on this statement: ${reason}.`,
      hint: 'This is a defect in Holdfast; please report the statement.',
      offset: question.offset,
    };
  }
}

/** Matches strictest first; among equals the order they came in. */
export function strictestFirst(matches: readonly Match[]): Match[] {
  return [...matches].sort((a, b) => VERDICTS.indexOf(b.action) - VERDICTS.indexOf(a.action));
}
