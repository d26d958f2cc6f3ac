/**
 * The words of the audit log: one builder a kind of record.
 *
 * Law of this file: pure; text in, text out. Each builder answers a JSON object's
 * text without its opening brace, since the writer puts time and number before
 * it. Keys are snake_case and their order is fixed. Every string that did not
 * originate in Holdfast goes through jsonString.
 *
 * A decision is put together from three parts, built as seldom as they change:
 * per cached judgement, per session, per execution.
 */
import { hash } from 'node:crypto';
import type { TableImpact } from '../impact/impact.js';
import type { Match, Verdict } from '../policy/types.js';
import type { RelationUse } from '../sql/facts.js';
import { jsonString, jsonStringOrNull } from './json.js';
import type { RecordedSql } from './redact.js';

declare const jsonText: unique symbol;
/** JSON text that a builder here made: a plain string cannot slip in unescaped. */
type JsonText<Part extends string> = string & { readonly [jsonText]: Part };

/** The members of a decision that are the same for every execution of one text under one policy and role. */
export type DecisionConstant = JsonText<'decision'>;
/** The members that are the same for every record of one session, until its application_name changes. */
export type SessionConstant = JsonText<'session'>;
/** A JSON array of recorded parameters. */
export type RecordedParameters = JsonText<'parameters'>;

export interface DecisionConstantInput {
  readonly role: string;
  /** The statement's operation; of several statements, what the caller calls them. */
  readonly operation: string;
  readonly relations: readonly RelationUse[];
  readonly sql: RecordedSql;
  readonly verdict: Verdict;
  readonly matches: readonly Match[];
  /** The policy's SHA-256. */
  readonly policy: string;
  readonly mode: 'enforce' | 'observe';
}

const MAX_FLAT_CHARACTERS = 16_384;

/**
 * The same text as one piece. A string that was concatenated stays a tree of its
 * parts, and every write of a record would walk that tree again. Large texts are
 * rarely executed twice, and copying them is no bargain.
 */
function flat(text: string): string {
  return text.length > MAX_FLAT_CHARACTERS ? text : Buffer.from(text).toString();
}

/** `at or near "…"` quotes the statement's text, and there it may be a password. */
const QUOTED_NEAR = / (?:at or near|near) "[\s\S]*"/;

function relationText({ schema, name, mode }: RelationUse): string {
  return `{"schema":${jsonStringOrNull(schema)},"name":${jsonString(name)},"mode":"${mode}"}`;
}

function matchText(match: Match, redacted: boolean): string {
  const message = redacted ? match.message.replace(QUOTED_NEAR, '') : match.message;
  return (
    `{"rule":${jsonString(match.rule)},"action":"${match.action}",` +
    `"message":${jsonString(message)},"hint":${jsonStringOrNull(match.hint)}}`
  );
}

/** Everything about a decision that its text, role and policy settle; keep it with the cached judgement. */
export function decisionConstant(input: DecisionConstantInput): DecisionConstant {
  const { sql } = input;
  const text =
    `"role":${jsonString(input.role)},"operation":${jsonString(input.operation)},` +
    `"relations":[${input.relations.map(relationText).join(',')}],` +
    `"sql":${jsonStringOrNull(sql.text)},"sql_sha256":"${sql.sha256}","sql_bytes":${sql.bytes.toString()},` +
    `${sql.truncated && sql.text !== null ? '"sql_truncated":true,' : ''}"verdict":"${input.verdict}",` +
    `"matches":[${input.matches.map((match) => matchText(match, sql.redacted)).join(',')}],` +
    `"policy":${jsonString(input.policy)},"mode":"${input.mode}"}`;
  return flat(text) as DecisionConstant;
}

export interface SessionIdentity {
  readonly session: string;
  readonly user: string;
  readonly database: string;
  readonly application: string;
  /** The client's address, with its port if that is known. */
  readonly client: string;
}

/** Who acts: build it once a session, and again when application_name changes. */
export function sessionConstant(input: SessionIdentity): SessionConstant {
  const text =
    `"session":${jsonString(input.session)},"user":${jsonString(input.user)},` +
    `"database":${jsonString(input.database)},"application":${jsonString(input.application)},` +
    `"client":${jsonString(input.client)}`;
  return flat(text) as SessionConstant;
}

export const MESSAGES = ['query', 'parse', 'execute', 'bind', 'function_call', 'startup'] as const;

export interface DecisionExecution {
  /** Made by Holdfast: letters, digits, `-` and `_` only; it is not escaped. */
  readonly id: string;
  readonly session: SessionConstant;
  readonly protocol: 'simple' | 'extended';
  /** The protocol message that was judged. */
  readonly message: (typeof MESSAGES)[number];
  /** From recordedParameters; null where there are none or none may be recorded. */
  readonly parameters: RecordedParameters | null;
}

/** The body of a `decision` record. */
export function decisionBody(constant: DecisionConstant, execution: DecisionExecution): string {
  const { id, session, protocol, message, parameters } = execution;
  return (
    `"kind":"decision","id":"${id}",${session},"protocol":"${protocol}","message":"${message}",` +
    (parameters === null ? constant : `"parameters":${parameters},${constant}`)
  );
}

/** A value longer than this is recorded as hash and length even where parameters are recorded in full. */
const MAX_FULL_PARAMETER_BYTES = 65_536;

/**
 * The parameters of a Bind, for a decision.
 *
 * @param values the bytes of each parameter as the client sent them; null is SQL's NULL.
 * @param formats PostgreSQL's format codes (0 text, 1 binary): none means text for all, one counts for all.
 * @param mode `full`: text as it is, binary values as `{"binary":"<hex>"}`, values over 64 KiB as
 *   `{"sha256":…,"bytes":…}`; `hash`: each value's SHA-256 in hex; `omit`: null, nothing is recorded.
 */
export function recordedParameters(
  values: readonly (Uint8Array | null)[],
  formats: readonly number[],
  mode: 'full' | 'hash' | 'omit',
): RecordedParameters | null {
  if (mode === 'omit') return null;
  let text = '[';
  for (let index = 0; index < values.length; index++) {
    if (index > 0) text += ',';
    const value = values[index] ?? null;
    const format = formats.length === 1 ? formats[0] : formats[index];
    if (value === null) text += 'null';
    else if (mode === 'hash') text += `"${hash('sha256', value, 'hex')}"`;
    else text += fullParameter(value, format ?? 0);
  }
  return `${text}]` as RecordedParameters;
}

function fullParameter(value: Uint8Array, format: number): string {
  if (value.length > MAX_FULL_PARAMETER_BYTES) {
    return `{"sha256":"${hash('sha256', value, 'hex')}","bytes":${value.length.toString()}}`;
  }
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  return format === 0 ? jsonString(bytes.toString('utf8')) : `{"binary":"${bytes.toString('hex')}"}`;
}

/** Rows really changed in one table, foreign-key cascades included. */
export type RecordedImpact = Pick<TableImpact, 'schema' | 'name' | 'inserted' | 'updated' | 'deleted'>;

export interface Outcome {
  /** The id of the decision that this is the end of. */
  readonly decision: string;
  /** From the CommandComplete tag; null where it names none or none came. */
  readonly rows: number | null;
  /** null: not measured. */
  readonly impact: readonly RecordedImpact[] | null;
  /** The server's id of the transaction, where it was counted: pg_xact_status() tells whether that was committed. */
  readonly transaction?: string | null;
  /** It was run only to be counted, and taken back. */
  readonly undone?: boolean;
  /** The old rows of what it changed are stored, under the id of its decision. */
  readonly oldRowsKept?: boolean;
  /** What the rules that go by the count said. */
  readonly matches?: readonly Match[];
  /** Of the server's ErrorResponse, or of Holdfast's where it took the place of success; null on success. */
  readonly sqlstate: string | null;
  /** The server never ran it: an earlier message of its pipeline failed. */
  readonly skipped: boolean;
  readonly durationMs: number;
}

function impactText(impact: readonly RecordedImpact[]): string {
  const tables = impact.map(
    (table) =>
      `{"schema":${jsonString(table.schema)},"name":${jsonString(table.name)},` +
      `"inserted":${table.inserted.toString()},"updated":${table.updated.toString()},` +
      `"deleted":${table.deleted.toString()}}`,
  );
  return `[${tables.join(',')}]`;
}

/** With three decimals at most. From integers: printing a fraction costs several times as much. */
function milliseconds(value: number): string {
  const microseconds = Math.round(value * 1000);
  const whole = Math.trunc(microseconds / 1000);
  const rest = microseconds - whole * 1000;
  if (rest === 0) return whole.toString();
  return `${whole.toString()}.${rest < 100 ? (rest < 10 ? '00' : '0') : ''}${rest.toString()}`;
}

/** The body of an `outcome` record: what became of a forwarded statement. */
export function outcomeBody(outcome: Outcome): string {
  const {
    decision,
    rows,
    impact,
    transaction = null,
    matches = [],
    undone = false,
    oldRowsKept = false,
    sqlstate,
    skipped,
    durationMs,
  } = outcome;
  return (
    `"kind":"outcome","decision":"${decision}","rows":${rows === null ? 'null' : rows.toString()},` +
    `"impact":${impact === null ? 'null' : impactText(impact)},` +
    (transaction === null ? '' : `"transaction":${jsonString(transaction)},`) +
    (matches.length === 0
      ? ''
      : `"matches":[${matches.map((match) => matchText(match, false)).join(',')}],`) +
    (undone ? '"undone":true,' : '') +
    (oldRowsKept ? '"old_rows":"kept",' : '') +
    `"sqlstate":${jsonStringOrNull(sqlstate)},${skipped ? '"skipped":true,' : ''}` +
    `"duration_ms":${milliseconds(durationMs)}}`
  );
}

export interface TransactionEnd {
  readonly session: SessionConstant;
  /** The server's id of the transaction; null: it changed nothing that the server gave it one for. */
  readonly transaction: string | null;
  /** Ids of the decisions whose statements were counted in it. */
  readonly decisions: readonly string[];
  readonly impact: readonly RecordedImpact[];
  /** As the server has said; `unknown`: the connection ended before it did. */
  readonly result: 'committed' | 'rolled_back' | 'unknown';
}

/** The body of a `transaction` record: the end of a transaction in which something was counted. */
export function transactionBody(end: TransactionEnd): string {
  return (
    `"kind":"transaction",${end.session},"transaction":${jsonStringOrNull(end.transaction)},` +
    `"decisions":[${end.decisions.map(jsonString).join(',')}],"impact":${impactText(end.impact)},` +
    `"result":"${end.result}"}`
  );
}

export interface SessionOpen {
  readonly session: SessionConstant;
  readonly role: string;
  /** The TLS version of the client's connection such as `TLSv1.3`; null without TLS. */
  readonly tls: string | null;
  readonly policy: string;
  readonly mode: 'enforce' | 'observe';
}

export function sessionOpenBody(input: SessionOpen): string {
  return (
    `"kind":"session_open",${input.session},"role":${jsonString(input.role)},"tls":${jsonStringOrNull(input.tls)},` +
    `"policy":${jsonString(input.policy)},"mode":"${input.mode}"}`
  );
}

export interface SessionClose {
  readonly session: SessionConstant;
  /** Why, in a word or a sentence of Holdfast's own: `client_terminated`, `upstream_closed`, … */
  readonly reason: string;
  /** Of the last FATAL that the client was sent; null when it simply left. */
  readonly sqlstate: string | null;
  readonly decisions: number;
  readonly durationMs: number;
}

export function sessionCloseBody(input: SessionClose): string {
  return (
    `"kind":"session_close",${input.session},"reason":${jsonString(input.reason)},` +
    `"sqlstate":${jsonStringOrNull(input.sqlstate)},"decisions":${input.decisions.toString()},` +
    `"duration_ms":${milliseconds(input.durationMs)}}`
  );
}

export interface PolicyRecord {
  readonly result: 'loaded' | 'reloaded' | 'unchanged' | 'failed';
  /** Of the policy now in force. */
  readonly sha256: string;
  readonly previousSha256: string | null;
  readonly file: string;
  /** Why it failed: `file:line:column: message` each. */
  readonly problems: readonly string[];
}

export function policyBody(input: PolicyRecord): string {
  return (
    `"kind":"policy","result":"${input.result}","sha256":${jsonString(input.sha256)},` +
    `"previous_sha256":${jsonStringOrNull(input.previousSha256)},"file":${jsonString(input.file)},` +
    `"problems":[${input.problems.map(jsonString).join(',')}]}`
  );
}

export interface CancelRecord {
  /** The session whose statement is to be cancelled; null when the key fits none. */
  readonly session: string | null;
  /** Where the CancelRequest came from. */
  readonly client: string;
  readonly result: 'forwarded' | 'not_current' | 'unknown_key' | 'failed';
}

export function cancelBody(input: CancelRecord): string {
  return (
    `"kind":"cancel","session":${jsonStringOrNull(input.session)},"client":${jsonString(input.client)},` +
    `"result":"${input.result}"}`
  );
}
