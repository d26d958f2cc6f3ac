import { z } from 'zod';
import type { Action, FunctionCall } from '../../sql/facts.js';
import { tablePatterns } from '../glob.js';
import type { TablePattern } from '../glob.js';
import { namePattern } from '../name-pattern.js';
import { defineRule, findingsOf } from '../rule.js';
import type { RuleFinding, RuleSubject } from '../rule.js';
import { procedureListed, volatileCalls } from '../volatile-calls.js';
import { commandWords, described } from '../words.js';

/** DO and CALL, functions that run SQL from a string, and functions that may write: code whose effect the statement's text does not tell. */
export const opaqueCode = defineRule({
  id: 'opaque-code',
  title: 'DO, CALL, SQL in strings, and functions that the catalog calls volatile and nobody listed',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({
    functions: z.array(namePattern).default([]).meta({
      description:
        'functions and procedures that may be called: name or schema.name, * as wildcard, folded and quoted as in SQL',
    }),
  }),
  check: (subject, options) => {
    const listed = tablePatterns(options.functions);
    const blocks = findingsOf(
      subject.statement,
      ({ effect }) => effect === 'opaque',
      (action) => block(subject, action, listed),
    );
    const calls = volatileCalls(subject, listed);
    const strings = subject.statement.needs.filter(({ opaque }) => opaque === true);
    if (calls.length === 0 && strings.length === 0) return blocks;
    const statement = commandWords(subject.statement.operation);
    return [
      ...blocks,
      ...strings.map(({ why, hint, offset }) => ({
        message: `${statement} ${why}.`,
        hint: hint ?? STRING,
        offset,
      })),
      ...calls.map(({ why, offset }) => ({ message: `${statement} ${why}.`, hint: LIST, offset })),
    ];
  },
});

function block(subject: RuleSubject, action: Action, listed: readonly TablePattern[]): RuleFinding | null {
  if (action.operation === 'call' && procedureListed(subject, called(subject, action), listed)) return null;
  return {
    message: `${described(action)} runs code whose effect cannot be told from the statement.`,
    hint: 'Send the statements that the code would run, one by one, or ask for a role whose policy allows opaque-code.',
    offset: action.offset,
  };
}

/** The procedure of a CALL: known by its place. Where that tells of several, all of them. */
function called({ statement }: RuleSubject, { offset }: Action): readonly FunctionCall[] {
  return offset === null ? [] : statement.calls.filter((call) => call.offset === offset);
}

const STRING = 'Send the SQL itself as a statement, or ask for a role whose policy allows opaque-code.';
const LIST =
  'Send the statements that it would run, one by one. If it changes nothing, or what it changes is meant, have it listed under opaque-code: functions in the policy, or declared STABLE in the database.';
