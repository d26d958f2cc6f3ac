/**
 * Holds as rows of the table, and back.
 *
 * Law: what is read is checked: a row that is not what this program writes is no
 * hold, and whatever needed it fails. Bytes of parameters are base64, since JSON
 * has no bytes; the columns are json, not jsonb, which could not keep every text.
 */
import type { QueryResultRow } from 'pg';
import { z } from 'zod';
import { HOLD_STATES, OLD_ROWS, WITHDRAWALS, charactersOf, isOpen } from '../holds/hold.js';
import type { Hold, Subject, Vote } from '../holds/hold.js';
import { bytesOf } from '../holds/limits.js';
import { VERDICTS } from '../policy/types.js';

/** A hold as the store keeps it. */
export interface Kept {
  readonly hold: Hold;
  /** Counts its changes, beginning with 1. */
  readonly revision: number;
  /** The process whose session has requested it. */
  readonly owner: string;
  /** The process that made each change, in their order. */
  readonly changedBy: readonly string[];
}

/** bigint comes as text. */
const integer = z.coerce.number().int();
const nullableInteger = z.preprocess((value) => (value === null ? null : Number(value)), z.int().nullable());

const subjectSchema = z.strictObject({
  decision: z.string(),
  sql: z.string(),
  sqlSha256: z.string(),
  sqlBytes: z.int(),
  operations: z.array(z.string()),
  parameters: z.array(
    z
      .strictObject({ type: z.int(), format: z.int(), value: z.base64().nullable() })
      .transform((parameter) => ({
        ...parameter,
        value: parameter.value === null ? null : Uint8Array.from(Buffer.from(parameter.value, 'base64')),
      })),
  ),
  user: z.string(),
  role: z.string(),
  database: z.string(),
  session: z.string(),
  application: z.string(),
  client: z.string(),
  searchPath: z.string().nullable(),
  policy: z.string(),
  environment: z.string(),
  inTransaction: z.strictObject({ since: z.number(), statements: z.int() }).nullable(),
  matches: z.array(
    z.strictObject({
      rule: z.string(),
      action: z.enum(VERDICTS),
      message: z.string(),
      hint: z.string().nullable(),
      detail: z.string().exactOptional(),
    }),
  ),
  relations: z.array(
    z.strictObject({
      schema: z.string().nullable(),
      name: z.string(),
      mode: z.enum(['read', 'write', 'ddl']),
      estimatedRows: z.number().nullable(),
      beside: z.string().exactOptional(),
    }),
  ),
  measured: z
    .strictObject({
      by: z.enum(['preview', 'transaction']),
      tables: z.array(
        z.strictObject({
          schema: z.string(),
          name: z.string(),
          inserted: z.int(),
          updated: z.int(),
          deleted: z.int(),
          rows: z.number().nullable(),
        }),
      ),
      statements: z.array(z.string()),
    })
    .nullable(),
  // Holds of earlier versions do not say it.
  oldRows: z.enum(OLD_ROWS).nullable().default(null),
  style: z.enum(['wait', 'ticket']),
}) satisfies z.ZodType<Subject>;

const voteSchema = z.strictObject({
  approver: z.string(),
  names: z.array(z.string()),
  choice: z.enum(['approve', 'deny']),
  reason: z.string().nullable(),
  at: z.number(),
}) satisfies z.ZodType<Vote>;

const rowSchema = z.object({
  id: z.string(),
  revision: z.int(),
  changed_by: z.array(z.string()),
  owner: z.string(),
  state: z.enum(HOLD_STATES),
  fingerprint: z.string(),
  requested_at: integer,
  expires_at: integer,
  approved_at: nullableInteger,
  closed_at: nullableInteger,
  withdrawal: z.enum(WITHDRAWALS).nullable(),
  approvals: z.int().min(1),
  approver_groups: z.array(z.string()),
  release_within_ms: integer,
  votes: z.array(voteSchema),
  subject: subjectSchema,
});

/** What COLUMNS selects. */
export type Row = QueryResultRow;

export const COLUMNS = Object.keys(rowSchema.shape).join(', ');

/** @throws ZodError for what is no hold */
export function fromRow(row: Row): Kept {
  const read = rowSchema.parse(row);
  return {
    revision: read.revision,
    owner: read.owner,
    changedBy: read.changed_by,
    hold: {
      id: read.id,
      state: read.state,
      requestedAt: read.requested_at,
      expiresAt: read.expires_at,
      approvedAt: read.approved_at,
      closedAt: read.closed_at,
      withdrawal: read.withdrawal,
      subject: read.subject,
      fingerprint: read.fingerprint,
      approvals: read.approvals,
      groups: read.approver_groups,
      releaseWithinMs: read.release_within_ms,
      votes: read.votes,
    },
  };
}

/** INSERT of a hold: its values by column. `closing` is left out: it is open. */
export function insertion(schema: string, { hold, revision, owner, changedBy }: Kept): [string, unknown[]] {
  const { subject } = hold;
  const values: Readonly<Record<string, unknown>> = {
    id: hold.id,
    revision,
    changed_by: changedBy,
    owner,
    state: hold.state,
    style: subject.style,
    db_user: subject.user,
    fingerprint: hold.fingerprint,
    requested_at: hold.requestedAt,
    expires_at: hold.expiresAt,
    approvals: hold.approvals,
    approver_groups: hold.groups,
    release_within_ms: hold.releaseWithinMs,
    votes: JSON.stringify(hold.votes),
    subject: JSON.stringify({
      ...subject,
      sql: charactersOf(subject.sql),
      parameters: subject.parameters.map(parameterJson),
    }),
    bytes: bytesOf(subject),
  };
  const columns = Object.keys(values);
  const places = columns.map((_, index) => `$${(index + 1).toString()}`);
  return [
    `INSERT INTO ${schema}.hold (${columns.join(', ')}) VALUES (${places.join(', ')})`,
    Object.values(values),
  ];
}

/** UPDATE of a hold from the revision before. The subject stays: it is what people have seen. */
export function update(schema: string, { hold, revision, changedBy }: Kept): [string, unknown[]] {
  const closing = isOpen(hold.state) ? 'NULL' : `nextval('${schema}.closing')`;
  return [
    `UPDATE ${schema}.hold SET revision = $2, changed_by = $3, state = $4, expires_at = $5, approved_at = $6,
       closed_at = $7, withdrawal = $8, votes = $9, closing = ${closing}
     WHERE id = $1 AND revision = $2 - 1 RETURNING id`,
    [
      hold.id,
      revision,
      changedBy,
      hold.state,
      hold.expiresAt,
      hold.approvedAt,
      hold.closedAt,
      hold.withdrawal,
      JSON.stringify(hold.votes),
    ],
  ];
}

function parameterJson({ type, format, value }: Subject['parameters'][number]): object {
  return { type, format, value: value === null ? null : Buffer.from(value).toString('base64') };
}
