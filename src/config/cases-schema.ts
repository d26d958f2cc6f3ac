/**
 * The shape of a cases file: statements, and what the policy is to say of each.
 *
 * Law: the spelling of the file and nothing else. Nothing in it comes from the
 * environment: a case must mean the same wherever it is run.
 */
import { z } from 'zod';
import { isAddress } from '../policy/match.js';
import { RULES } from '../policy/registry.js';
import { VERDICTS } from '../policy/types.js';
import { describeValue, didYouMean } from './suggest.js';
import { closed, text } from './values.js';

/** Matches that are no rules of the policy (policy/engine.ts), and the refusal of a login that no role matches. */
const OTHER_MATCHES = ['access', 'prohibited', 'syntax', 'too-complex', 'unclassified', 'role'] as const;

const RULE_IDS: readonly string[] = [...RULES.map(({ id }) => id), ...OTHER_MATCHES];

function unknownRule(id: string): string {
  const close = didYouMean(id, RULE_IDS);
  return `unknown rule "${id}"${close === '' ? `; known are ${RULE_IDS.join(', ')}` : close}`;
}

/** Why a text cannot travel in the protocol (strings there end at NUL, and are UTF-8), or null. `what` begins the sentence. */
export function unsendable(value: string, what: string): string | null {
  if (value.includes('\0')) return `${what} holds a NUL character, which the protocol cannot carry`;
  if (/\p{Surrogate}/u.test(value)) {
    return `${what} holds half a surrogate pair, which UTF-8 cannot carry`;
  }
  return null;
}

/** What a session or a file is called. */
function word(what: string): z.ZodString {
  return text((value) => {
    if (value === '') return 'must not be empty';
    if (value.includes('${')) return `${what} is taken as it stands: nothing here comes from the environment`;
    return unsendable(value, what);
  });
}

const login = {
  user: word('the user').exactOptional().meta({ description: 'database user of the session' }),
  database: word('the database')
    .exactOptional()
    .meta({ description: 'database of the session; default: the name of the user' }),
  application: text((value) => unsendable(value, 'the application'))
    .exactOptional()
    .meta({ description: 'application_name of the session; default: none' }),
  address: text((value) => (isAddress(value) ? null : `${describeValue(value)} is no IP address`))
    .exactOptional()
    .meta({ description: 'IP address of the client; default: 127.0.0.1' }),
};

const testCase = closed({
  name: z.string().min(1).exactOptional().meta({ description: 'what the report calls it; default: its SQL' }),
  ...login,
  sql: text((value) => (value.trim() === '' ? 'must not be empty' : unsendable(value, 'the SQL'))).meta({
    description: 'what a client sends: one statement or several',
  }),
  verdict: z.enum(VERDICTS).meta({ description: 'what the policy is to say of it' }),
  rule: z
    .enum(RULE_IDS, { error: ({ input }) => (typeof input === 'string' ? unknownRule(input) : undefined) })
    .exactOptional()
    .meta({ description: 'this rule must be among those that match with that verdict' }),
});

export const casesSchema = closed({
  policy: word('the path').exactOptional().meta({
    description: 'the policy to test, relative to this file; default: that of --policy or the settings',
  }),
  defaults: closed(login)
    .prefault({})
    .meta({ description: 'the session of every case that does not say otherwise' }),
  cases: z.array(testCase).min(1, 'without a case nothing is tested'),
});

export type RawCases = z.output<typeof casesSchema>;
