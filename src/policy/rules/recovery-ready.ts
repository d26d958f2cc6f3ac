import { z } from 'zod';
import type { RecoveryAsk } from '../live-facts.js';
import { duration } from '../option-values.js';
import { defineRule, findingsOf } from '../rule.js';
import { described } from '../words.js';

/** What may be called destructive, and the operations that each is. */
const DESTRUCTIVE: Readonly<Record<(typeof KINDS)[number], ReadonlySet<string>>> = {
  drop: new Set([
    'drop_table',
    'drop_materialized_view',
    'drop_foreign_table',
    'drop_sequence',
    'drop_schema',
    'drop_database',
    'drop_owned',
    'alter_table_drop_column',
    'alter_type_drop_attribute',
  ]),
  truncate: new Set(['truncate']),
  delete: new Set(['delete']),
  update: new Set(['update']),
  merge: new Set(['merge']),
};
const KINDS = ['drop', 'truncate', 'delete', 'update', 'merge'] as const;

/** Longest argument vector, and longest argument: what a person writes, not what a shell can take. */
const MOST_ARGUMENTS = 50;
const LONGEST_ARGUMENT = 4096;

/** Destructive statements while nothing proves that what they take away could be brought back. Incident: backups had been of an empty, retired server for months. */
export const recoveryReady = defineRule({
  id: 'recovery-ready',
  title: 'a destructive statement while the server cannot prove a recent way back',
  defaultAction: null,
  scope: 'statement',
  options: z.strictObject({
    max_age: duration().exactOptional().meta({
      description:
        "how old the last success of the server's WAL archiving may be while WAL files wait for it",
    }),
    command: z
      .array(
        z
          .string()
          .max(LONGEST_ARGUMENT)
          .refine((value) => !value.includes('\0'), 'an argument cannot hold a zero byte'),
      )
      .min(1)
      .max(MOST_ARGUMENTS)
      .refine(([program = '']) => program.startsWith('/'), 'the program is named by its absolute path')
      .exactOptional()
      .meta({
        description: 'program and arguments, run without a shell; exit status 0: there is a way back',
      }),
    deadline: duration().prefault('5s').meta({ description: 'how long the command may take' }),
    cache: duration().prefault('60s').meta({ description: 'how long an answer is good for' }),
    operations: z
      .array(z.enum(KINDS))
      .min(1)
      .default(['drop', 'truncate', 'delete', 'merge'])
      .meta({ description: 'what counts as destructive' }),
  }),
  missing: ({ max_age, command }) =>
    max_age === undefined && command === undefined
      ? 'the rule "recovery-ready" needs max_age (the server\'s WAL archiving is asked), command, or both'
      : null,
  check: ({ statement }, { operations }) =>
    findingsOf(
      statement,
      ({ operation }) => operations.some((kind) => DESTRUCTIVE[kind].has(operation)),
      (action) => ({
        message: `${described(action)} takes away what only a restore could bring back; whether there is a way back is asked when it runs.`,
        hint: 'It passes while the server, or the command of the policy, proves that there is one.',
        offset: action.offset,
      }),
    ).slice(0, 1),
  live: {
    ask: asked,
    answer: (options, facts) => {
      const recovery = facts.recovery(asked(options));
      switch (recovery.kind) {
        case 'ready':
          return null;
        case 'not_ready':
          return {
            message: `${capital(recovery.why)}, so what this takes away could not be brought back.`,
            hint: recovery.hint,
          };
        case 'unknown':
          return {
            message: `Whether what this takes away could be brought back is not known: ${recovery.why}.`,
            hint: recovery.hint,
          };
      }
    },
  },
});

interface HowToAsk {
  readonly max_age?: number;
  readonly command?: readonly string[];
  readonly deadline: number;
  readonly cache: number;
}

function asked({ max_age, command, deadline, cache }: HowToAsk): RecoveryAsk {
  return {
    kind: 'recovery',
    maxAgeMs: max_age ?? null,
    command: command ?? null,
    deadlineMs: deadline,
    cacheMs: cache,
  };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
