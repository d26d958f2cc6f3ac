/**
 * Why a text may not pass now, where its own judgement is not the reason: a cancel
 * request, settings that may have changed how the server reads it, names
 * whose meaning is not known, or cannot be told.
 */
import type { Refusal } from '../errors.js';
import type { Match } from '../policy/types.js';
import type { JudgedText } from './judged-text.js';
import { CANCELLED, INSUFFICIENT_PRIVILEGE, ambiguousName, lexerOpen, unknownStatement } from './words.js';

/** A refusal but for the decision's id, which it quotes, and how to record it when the judgement alone does not say. */
export interface Block {
  readonly refusal: (decision: string) => Refusal;
  /** null: the text's own judgement is the reason. */
  readonly match: Match | null;
}

/**
 * Whether it is open which of several texts would run, where that matters: one of them changes the session's names
 * when it does, or people are to approve it.
 */
export function isAmbiguous(texts: readonly JudgedText[], held: boolean): boolean {
  if (texts.length < 2 || texts.every((text) => text === texts[0])) return false;
  if (held && texts.some((text) => text.key !== texts[0]?.key)) return true;
  return texts.some((text) => text.statements.some(({ changes }) => changes.length > 0));
}

export function ambiguousPortal(portal: string): Block {
  const match: Match = {
    rule: 'names',
    action: 'deny',
    message: `what portal "${portal}" stands for depends on requests that are still under way, and it may prepare or drop statements, or need approval`,
    hint: 'Wait for the answers to what was sent, or use a name that was not used before.',
    offset: null,
  };
  return { refusal: () => ambiguousName(match), match };
}

/** A portal that people must approve, whose parameters nobody could show them. */
export function parametersNotKept(portal: string): Block {
  const message = `portal "${portal}" needs approval, and its parameters are too large for that, or were not kept`;
  const match: Match = {
    rule: 'hold',
    action: 'deny',
    message,
    hint: 'Bind it again right before it is executed.',
    offset: null,
  };
  return {
    refusal: () => ({
      severity: 'ERROR',
      sqlstate: INSUFFICIENT_PRIVILEGE,
      message: `holdfast: ${message}`,
      hint: 'Nothing was run. Bind it again right before it is executed.',
      routine: 'holdfast/hold',
    }),
    match,
  };
}

/** A cancel request came for the message while it waited. */
export const CANCELLED_WHILE_WAITING: Block = {
  refusal: () => CANCELLED,
  match: { rule: 'cancel', action: 'deny', message: CANCELLED.message, hint: null, offset: null },
};

/** A text in the same group of messages as code that may have changed how the server reads texts. */
export const READING_OPEN: Block = readingOpen();

function readingOpen(): Block {
  const match: Match = {
    rule: 'lexer',
    action: 'deny',
    message:
      'a function that was called before may have changed how the server reads this text, which holds a backslash or characters beyond ASCII',
    hint: 'Send a Sync before it, so that the server reports its settings.',
    offset: null,
  };
  return { refusal: () => lexerOpen(match), match };
}

export function unknownName(name: string): Block {
  return {
    refusal: () => unknownStatement(name),
    match: {
      rule: 'names',
      action: 'deny',
      message: 'unknown prepared statement',
      hint: null,
      offset: null,
    },
  };
}

/** FunctionCall in a session that may not do everything: the function is named by its oid, which tells nothing. */
export function functionCallMatch(role: string, access: string): Match {
  return {
    rule: 'access',
    action: 'deny',
    message: `FunctionCall needs admin access; role "${role}" has ${access}.`,
    hint: 'Call the function by SELECT, where the policy can see it.',
    offset: null,
  };
}
