/**
 * The shape of the policy file, rules included: derived from the registry, so a
 * new rule is known here as soon as it is listed there.
 *
 * Law: the spelling of the file and nothing else. What entries say about each
 * other is policy-checks.ts; what they mean is policy/.
 */
import { z } from 'zod';
import { duration } from '../policy/option-values.js';
import { RULES, ruleById } from '../policy/registry.js';
import type { Rule } from '../policy/rule.js';
import { PREVIEWS, VERDICTS } from '../policy/types.js';
import type { RuleSetting, Verdict } from '../policy/types.js';
import { ACCESS_LEVELS } from '../sql/facts.js';
import { describeValue, didYouMean } from './suggest.js';
import { sessionNameProblem } from './session-settings.js';
import { closed, globs, networks, text } from './values.js';

/** Role and group names end up in metrics and messages. */
const name = text((value) =>
  /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value)
    ? null
    : 'expected a name such as app (letters, digits, _ . -, at most 63)',
);

const action = z.enum(VERDICTS);
const preview = z.enum(PREVIEWS).meta({
  description:
    'hold, where the role has row-limit: measure runs the statement and undoes it before it is approved; estimate never runs it twice. Default: measure',
});

type Preview = (typeof PREVIEWS)[number];
type RuleEntry =
  Verdict | ({ readonly action?: Verdict; readonly preview?: Preview } & Readonly<Record<string, unknown>>);

/** `truncate: hold`, or `truncate: { action: hold, …options }`. */
function ruleEntry(rule: Rule): z.ZodType<RuleEntry> {
  const mapping = closed({
    action: action.exactOptional(),
    preview: preview.exactOptional(),
    ...rule.options.shape,
  }).check((context) => {
    const problem = rule.missing?.(context.value) ?? null;
    if (problem !== null) context.issues.push({ code: 'custom', input: context.value, message: problem });
  }) as unknown as z.ZodType<RuleEntry>;
  const described = { description: `${rule.title}. Default: ${rule.defaultAction ?? 'off, needs options'}` };
  if (rule.options.safeParse({}).success && rule.missing === undefined) {
    return z
      .union([action, mapping], {
        error: ({ input }) =>
          typeof input === 'object' && input !== null && !Array.isArray(input)
            ? undefined
            : `expected an action (${VERDICTS.join(', ')}) or a mapping, found ${describeValue(input)}${
                typeof input === 'string' ? didYouMean(input, VERDICTS) : ''
              }`,
      })
      .meta(described);
  }
  const needed = Object.keys(rule.options.shape).join(', ');
  return z
    .unknown()
    .check((context) => {
      const { value } = context;
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
      context.issues.push({
        code: 'custom',
        input: value,
        continue: false,
        message: `the rule "${rule.id}" does nothing without options: expected a mapping with ${needed}`,
      });
    })
    .pipe(mapping)
    .meta(described);
}

function unknownRule(id: string, known: readonly string[]): string {
  const close = didYouMean(id, known);
  return `unknown rule "${id}"${close === '' ? `; known are ${known.join(', ')}` : close}`;
}

const rules = closed(
  {
    default: action.exactOptional().meta({ description: 'the action of every rule that is not named here' }),
    ...Object.fromEntries(RULES.map((rule) => [rule.id, ruleEntry(rule).optional()])),
  },
  unknownRule,
).meta({
  description:
    'an action (allow, warn, confirm, hold, deny), or a mapping of action and options, for each rule',
});

const session = z
  .record(
    text(sessionNameProblem),
    z.union([z.string(), z.number(), z.boolean()], {
      error: () => 'expected text, a number or true or false',
    }),
  )
  .meta({ description: 'settings put on the server connection at login' });

const role = closed({
  name,
  match: closed({
    users: globs('database users').exactOptional(),
    databases: globs('databases').exactOptional(),
    applications: globs('values of application_name').exactOptional(),
    networks: networks().exactOptional(),
  })
    .prefault({})
    .meta({ description: 'which sessions have this role; the first role that matches counts; empty: all' }),
  access: z.enum(ACCESS_LEVELS).default('read').meta({ description: 'what the role may do at all' }),
  limits: closed({
    connections: z.int().min(1).exactOptional(),
    connections_percent: z.number().gt(0).max(100).exactOptional(),
  }).prefault({}),
  session: session.default({}),
  banner: z.boolean().default(true).meta({
    description:
      'whether people and programs are greeted at login with a notice that names environment, role and access',
  }),
  rules: rules.prefault({}),
  hold: closed({
    approvals: z.int().min(1).default(1),
    approvers: z.array(name).min(1).meta({ description: 'groups of approvers' }),
    timeout: duration().prefault('10m'),
    in_transaction_timeout: duration().prefault('60s'),
    ticket_ttl: duration()
      .prefault('10m')
      .meta({ description: 'style ticket: how long after its approval the statement passes, once' }),
    style: z.enum(['wait', 'ticket']).default('wait'),
    at_commit: z.boolean().default(false).meta({
      description:
        'a transaction that changed something is held when it wants to commit, with all of it in front of the approver',
    }),
  }).exactOptional(),
  undo: z.enum(['capture']).exactOptional().meta({
    description:
      'capture: the old rows of an approved statement that changes rows are stored before it commits; holdfast undo puts them back',
  }),
});

const approver = closed({
  name,
  groups: z.array(name).default([]),
  users: z.array(z.string().min(1)).default([]).meta({ description: 'the database users of this person' }),
  token_sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, 'expected a SHA-256: 64 hexadecimal digits')
    .exactOptional(),
  totp_secret: z
    .string()
    .regex(/^[A-Za-z2-7]{16,}=*$/, 'expected a base32 secret of at least 16 characters (A-Z, 2-7)')
    .exactOptional(),
});

export const policySchema = closed({
  version: z.literal(1),
  mode: z
    .enum(['enforce', 'observe'])
    .default('enforce')
    .meta({ description: 'observe: forward everything, record what would have happened' }),
  roles: z.array(role).min(1, 'a policy without roles refuses every login'),
  approvers: z.array(approver).default([]),
});

export type RawPolicy = z.output<typeof policySchema>;

/** A role's rules as the engine wants them: the action of each named rule, and its options. */
export function ruleSettings(raw: Readonly<Record<string, unknown>>): Record<string, RuleSetting> {
  const settings: Record<string, RuleSetting> = {};
  for (const [id, value] of Object.entries(raw)) {
    const rule = ruleById(id);
    if (rule === null || value === undefined) continue;
    const entry = value as RuleEntry;
    if (typeof entry === 'string') {
      settings[id] = { action: entry, options: rule.options.parse({}) };
    } else {
      const { action: named, preview: shows, ...options } = entry;
      settings[id] = {
        action: named ?? rule.defaultAction ?? 'deny',
        options,
        ...(shows === undefined ? {} : { preview: shows }),
      };
    }
  }
  return settings;
}
