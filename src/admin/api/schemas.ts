/**
 * What goes over the API, in and out: the one description from which requests are
 * checked, answers are typed and openapi.json is made.
 *
 * Law: shapes only. Names are snake_case; times are RFC 3339 in UTC. What comes in
 * must be known to the last key; whoever reads an answer must bear new ones.
 */
import { z } from 'zod';
import { HOLD_ID, HOLD_STATES, OLD_ROWS, WITHDRAWALS } from '../../holds/hold.js';
import { VERDICTS } from '../../policy/types.js';
import { TOTP_CODE } from './one-time-codes.js';

const instant = z.iso.datetime();
const count = z.int().min(0);

const MAX_REASON_CHARACTERS = 500;
/** Holds of one answer. */
export const MAX_LISTED = 500;
/** Characters of the statement in a summary. */
export const SUMMARY_CHARACTERS = 300;

export const holdIdSchema = z.string().regex(HOLD_ID);

const LIST_STATES = ['open', 'closed', 'all', ...HOLD_STATES] as const;

export const listQuerySchema = z.strictObject({
  state: z.enum(LIST_STATES).default('open').meta({ description: 'open: requested or approved' }),
  limit: z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/)
    .transform(Number)
    .pipe(z.int().max(MAX_LISTED))
    .default(100),
});

export const voteBodySchema = z.strictObject({
  reason: z
    .string()
    .max(MAX_REASON_CHARACTERS)
    .exactOptional()
    .meta({ description: 'why; others and the audit log will have it' }),
  totp: z
    .string()
    .regex(TOTP_CODE)
    .exactOptional()
    .meta({ description: 'one-time code, for approvers who have a TOTP secret' }),
});

/** A name of PostgreSQL's is shorter; what is longer is nobody's. */
const MAX_NAME_CHARACTERS = 255;
const name = z.string().min(1).max(MAX_NAME_CHARACTERS);

export const budgetResetBodySchema = z.strictObject({
  role: name.meta({ description: 'role of the policy' }),
  user: name.meta({ description: 'database user whose budget it is' }),
  ...voteBodySchema.shape,
});

const vote = z.object({
  approver: z.string(),
  choice: z.enum(['approve', 'deny']),
  reason: z.string().nullable(),
  at: instant,
});

const mayVote = z.object({
  allowed: z.boolean(),
  reason: z.string().nullable().meta({ description: 'why not, in a sentence' }),
});

const summaryShape = {
  id: holdIdSchema,
  state: z.enum(HOLD_STATES),
  style: z.enum(['wait', 'ticket']),
  environment: z.string(),
  user: z.string().meta({ description: 'the database user who asks' }),
  role: z.string().meta({ description: 'role of the policy' }),
  database: z.string(),
  application: z.string(),
  client: z.string(),
  operations: z.array(z.string()),
  rules: z.array(z.string()),
  requested_at: instant,
  expires_at: instant.meta({
    description: 'until when it can be approved; once approved, until when it can run',
  }),
  in_transaction: z.boolean(),
  old_rows: z.enum(OLD_ROWS).nullable().meta({
    description:
      'kept: once approved it stays only with the old rows of all that it changes stored for holdfast undo, which finds them by the id of the hold; not_kept: it cannot be undone; null: its role does not have undo: capture',
  }),
  approvals: z.object({ needed: count, given: count }),
  groups: z.array(z.string()).meta({ description: 'whose members may approve' }),
  may_vote: mayVote.meta({ description: 'about the caller' }),
};

export const holdSummarySchema = z.object({
  ...summaryShape,
  sql_start: z.string().meta({ description: `the first ${SUMMARY_CHARACTERS} characters of the statement` }),
  sql_bytes: count,
});

const parameter = z.object({
  type: count.meta({ description: "the type's OID; 0: left to the server" }),
  type_name: z.string().nullable(),
  format: count.meta({ description: '0 text, 1 binary' }),
  value: z.string().nullable().meta({
    description: 'as text; null: SQL NULL, or a binary value of a type that is not known here',
  }),
  hex: z.string().nullable().meta({ description: 'the bytes of a binary value; null: SQL NULL, or text' }),
});

const match = z.object({
  rule: z.string(),
  action: z.enum(VERDICTS),
  message: z.string(),
  hint: z.string().nullable(),
  detail: z.string().nullable(),
});

const relation = z.object({
  schema: z.string().nullable(),
  name: z.string(),
  mode: z.enum(['read', 'write', 'ddl']),
  estimated_rows: z.number().nullable(),
  beside: z.string().nullable().meta({
    description: 'how the statement changes it without naming it: by a foreign key, a view, CASCADE',
  }),
});

const impact = z.object({
  measured: z.enum(['preview', 'transaction']).meta({
    description:
      'preview: the statement was run and undone; transaction: what the transaction that is to be committed has changed',
  }),
  tables: z.array(
    z.object({
      schema: z.string(),
      name: z.string(),
      inserted: count,
      updated: count,
      deleted: count,
      percent: z.number().nullable().meta({
        description: 'updated and deleted rows in percent of the table; null: its size is not known',
      }),
    }),
  ),
});

export const holdSchema = z.object({
  ...summaryShape,
  decision: z.string().meta({ description: 'its id in the audit log' }),
  session: z.string(),
  sql: z.string().meta({ description: 'exactly what would run' }),
  sql_bytes: count,
  sql_sha256: z.string(),
  fingerprint: z.string(),
  parameters: z.array(parameter),
  search_path: z.string().nullable(),
  policy: z.string(),
  transaction: z.object({ since: instant, statements: count }).nullable(),
  matches: z.array(match),
  relations: z.array(relation),
  impact: impact
    .nullable()
    .meta({ description: 'what it really changed when it was tried; null: not measured' }),
  statements: z
    .array(z.string())
    .meta({ description: 'of a transaction that is to be committed, the statements that changed something' }),
  votes: z.array(vote),
  approved_at: instant.nullable(),
  closed_at: instant.nullable(),
  withdrawal: z.enum(WITHDRAWALS).nullable(),
});

export const holdListSchema = z.object({
  holds: z.array(holdSummarySchema),
  more: z.boolean().meta({ description: 'there are more than the limit' }),
});

const spent = z.object({ rows: count, statements: count });

export const budgetSchema = z.object({
  role: z.string().meta({ description: 'role of the policy' }),
  user: z.string().meta({ description: 'database user' }),
  window_ms: count.meta({ description: 'how long what was changed counts' }),
  limits: z.object({ rows: count.nullable(), statements: count.nullable() }),
  spent,
  since: instant.meta({ description: 'when the first of it was spent, to a sixtieth of the window' }),
  tripped: z.boolean().meta({ description: 'a limit is reached: the rule stops what comes next' }),
  clears_at: instant
    .nullable()
    .meta({ description: 'when less than the limits is spent, if nothing more is; null: it is now' }),
  may_reset: mayVote.meta({ description: 'about the caller' }),
});

export const budgetListSchema = z.object({
  budgets: z.array(budgetSchema).meta({ description: 'tripped ones first, then by what share is spent' }),
  more: z.boolean().meta({ description: `there are more than ${MAX_LISTED}` }),
});

export const budgetResetSchema = z.object({
  role: z.string(),
  user: z.string(),
  forgotten: spent.meta({ description: 'what was spent in the window and does not count any more' }),
});

export const whoamiSchema = z.object({
  name: z.string(),
  groups: z.array(z.string()),
  users: z
    .array(z.string())
    .meta({ description: "the caller's database users; their holds are not the caller's to decide" }),
  totp: z.boolean().meta({ description: 'votes and resets need a one-time code' }),
});

export const sessionSchema = z.object({
  ...whoamiSchema.shape,
  key: z.string().meta({
    description: 'goes with the cookie, in the header X-Holdfast-Session; either alone is worth nothing',
  }),
  ends_at: instant.meta({ description: 'or after an hour without a call' }),
});

export const problemSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }),
});

export type HoldSummaryView = z.output<typeof holdSummarySchema>;
export type HoldView = z.output<typeof holdSchema>;
export type HoldListView = z.output<typeof holdListSchema>;
export type BudgetView = z.output<typeof budgetSchema>;
export type BudgetListView = z.output<typeof budgetListSchema>;
export type BudgetResetView = z.output<typeof budgetResetSchema>;
export type WhoamiView = z.output<typeof whoamiSchema>;
export type SessionView = z.output<typeof sessionSchema>;
export type ParameterView = z.output<typeof parameter>;
