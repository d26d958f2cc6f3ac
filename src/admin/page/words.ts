/**
 * What the page says about a hold, in words.
 *
 * Law: pure, from what the API says and the time alone. Text of a client comes out as
 * it is: whoever shows it makes it visible.
 */
import { count } from './visible.js';
import type { Budget, Hold, HoldSummary, Relation, State } from './wire.js';

export const STALE = 'Not connected: this may be out of date, so nothing can be decided here now.';

/** What an environment is, for its colour: what nobody knows to be harmless is not shown as harmless. */
export type Danger = 'production' | 'unknown' | 'lesser';

export function dangerOf(environment: string): Danger {
  const words = environment.toLowerCase().split(/[^a-z0-9]+/);
  const lesser = words.some((word) =>
    /^(dev|development|test|testing|local|localhost|staging|stage|qa|uat|sandbox|ci|preview|nonprod|preprod|nonproduction|preproduction)\d*$/.test(
      word,
    ),
  );
  if (lesser) return 'lesser';
  const production = words.some((word) => /^(prod|production|live|prd)\d*$/.test(word));
  const negated = words.some((word) => /^(non|pre|not)$/.test(word));
  return production ? (negated ? 'unknown' : 'production') : 'unknown';
}

/** Spelled out, whatever short name the settings have for it. */
export function environmentWords(environment: string): string {
  const full = environment.toUpperCase();
  return dangerOf(environment) === 'production' && !full.includes('PRODUCTION')
    ? `PRODUCTION (${environment})`
    : full;
}

/** `DROP TABLE`, `DELETE, then UPDATE`. */
export function verbOf({ operations }: Pick<HoldSummary, 'operations'>): string {
  const words = operations.map((operation) => operation.replaceAll('_', ' ').toUpperCase());
  const [first = 'STATEMENT', ...rest] = words;
  if (rest.length === 0) return first;
  if (rest.length === 1) return `${first}, then ${rest[0] ?? ''}`;
  return `${first}, then ${count(rest.length, 'more statement')}`;
}

export function tableName({
  schema,
  name,
}: {
  readonly schema: string | null;
  readonly name: string;
}): string {
  return schema === null ? name : `${schema}.${name}`;
}

/** The tables that the statement changes and names. */
export function targetsOf({ relations }: Pick<Hold, 'relations'>): readonly Relation[] {
  return relations.filter(({ mode, beside }) => mode !== 'read' && beside === null);
}

/** Those that change with them: by foreign keys, views, partitions, CASCADE. */
function besideOf({ relations }: Pick<Hold, 'relations'>): readonly Relation[] {
  return relations.filter(({ beside }) => beside !== null);
}

export function rowsWords(rows: number): string {
  const rounded = Math.round(rows);
  return `about ${rounded.toLocaleString('en-US')} row${rounded === 1 ? '' : 's'}`;
}

/** How much is in what it touches; null: nobody knows. */
export function stakeOf(hold: Hold): string | null {
  if (hold.impact !== undefined && hold.impact !== null) {
    const sum = (of: 'inserted' | 'updated' | 'deleted'): number =>
      (hold.impact?.tables ?? []).reduce((total, table) => total + table[of], 0);
    const parts = (['deleted', 'updated', 'inserted'] as const).flatMap((of) =>
      sum(of) === 0 ? [] : [`${count(sum(of), 'row')} ${of}`],
    );
    return parts.length === 0 ? 'no row changed when tried' : `${parts.join(', ')} when tried`;
  }
  const known = targetsOf(hold).flatMap(({ estimated_rows: rows }) => (rows === null ? [] : [rows]));
  const beside = besideOf(hold);
  const parts = [
    ...(known.length === 0 ? [] : [`${rowsWords(known.reduce((a, b) => a + b, 0))} in it`]),
    ...(beside.length === 0 ? [] : [`reaches ${count(beside.length, 'more table')}${inAll(beside)}`]),
  ];
  return parts.length === 0 ? null : parts.join('; ');
}

function inAll(relations: readonly Relation[]): string {
  const known = relations.flatMap(({ estimated_rows: rows }) => (rows === null ? [] : [rows]));
  return known.length < relations.length ? '' : ` of ${rowsWords(known.reduce((a, b) => a + b, 0))}`;
}

/** What prints the SQL that puts the old rows back. */
export function undoCommand({ id }: Pick<HoldSummary, 'id'>): string {
  return `holdfast undo script ${id}`;
}

/** Whether there is a way back from it; null: its role does not ask for one, or it did not run. */
export function oldRowsWords(hold: Hold): string | null {
  if (!isOpen(hold.state) && hold.state !== 'released') return null;
  if (hold.old_rows === 'kept') return `Old rows are kept: ${undoCommand(hold)} puts them back.`;
  if (hold.old_rows !== 'not_kept') return null;
  const { measured, tables = [] } = hold.impact ?? {};
  if (measured === 'transaction')
    return 'Old rows are not kept of what is approved at its COMMIT: Holdfast cannot undo it, except statements that were approved by themselves before.';
  return measured === 'preview' && tables.length === 0
    ? 'It changed no row when it was tried, so there are no old rows to keep.'
    : 'Old rows are not kept of this: once approved, Holdfast cannot undo it.';
}

/** `1 of 2 approvals`. */
export function votesWords({ approvals: { given, needed } }: Pick<HoldSummary, 'approvals'>): string {
  return `${given} of ${count(needed, 'approval')}`;
}

/** Who else may decide. */
export function approversWords({ groups }: Pick<HoldSummary, 'groups'>): string {
  return `Members of ${groups.join(', ')} may decide; one denial ends it.`;
}

const WITHDRAWALS: ReadonlyMap<string, string> = new Map([
  ['audit', 'because the audit log could not be written'],
  ['client_cancel', 'by the person who asked: they cancelled the statement'],
  ['client_gone', 'because the client has gone away'],
  ['drain', 'because Holdfast is shutting down'],
  ['policy', 'because the policy has changed'],
  ['server_gone', 'because the connection to the server has ended'],
  ['superseded', 'because what would run is no longer what was held'],
  ['transaction_failed', 'because what came before it in its transaction has failed'],
]);

/** What has become of it, in a sentence that says whether it ran. */
export function stateWords(hold: HoldSummary & Partial<Pick<Hold, 'votes' | 'withdrawal'>>): string {
  const denial = hold.votes?.find(({ choice }) => choice === 'deny');
  const by = hold.votes?.filter(({ choice }) => choice === 'approve').map(({ approver }) => approver);
  const approvers = by === undefined || by.length === 0 ? '' : ` by ${by.join(', ')}`;
  switch (hold.state) {
    case 'requested':
      return `Waiting for approval: ${votesWords(hold)}.`;
    case 'approved':
      return hold.style === 'ticket'
        ? `Approved${approvers}. It runs when it is sent again.`
        : `Approved${approvers}. It is about to run.`;
    case 'released':
      return `Approved${approvers}, and released to run.`;
    case 'denied':
      return `Denied${denial === undefined ? '' : ` by ${denial.approver}`}. It did not run.`;
    case 'expired':
      return 'Nobody decided in time. It did not run.';
    case 'withdrawn':
      return `Withdrawn${hold.withdrawal === undefined || hold.withdrawal === null ? '' : ` ${WITHDRAWALS.get(hold.withdrawal) ?? `(${hold.withdrawal})`}`}. It did not run.`;
  }
}

export const STATE_NAMES: Readonly<Record<State, string>> = {
  requested: 'waiting',
  approved: 'approved',
  denied: 'denied',
  expired: 'expired',
  withdrawn: 'withdrawn',
  released: 'released',
};

export function isOpen(state: State): boolean {
  return state === 'requested' || state === 'approved';
}

/** `4:09`, `1 h 05 min`; from an hour on nobody counts seconds. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60)
    return `${Math.floor(minutes / 60).toString()} h ${(minutes % 60).toString().padStart(2, '0')} min`;
  return `${minutes.toString()}:${(seconds % 60).toString().padStart(2, '0')}`;
}

/** `2 min 10 s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds.toString()} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes.toString()} min ${(seconds % 60).toString()} s`;
  return `${Math.floor(minutes / 60).toString()} h ${(minutes % 60).toString()} min`;
}

/** `1 spent, 2 used in part`. */
export function budgetWords(tripped: number, others: number): string {
  return [
    ...(tripped === 0 ? [] : [`${tripped.toString()} spent`]),
    ...(others === 0 ? [] : [`${others.toString()} used in part`]),
  ].join(', ');
}

/** `12 of 10 rows and 3 statements within 1 min`. */
export function spentWords({ spent, limits, window_ms: window }: Budget): string {
  const of = (name: 'rows' | 'statements'): string => {
    const limit = limits[name];
    const noun = name === 'rows' ? 'row' : 'statement';
    return limit === null
      ? count(spent[name], noun)
      : `${spent[name].toLocaleString('en-US')} of ${count(limit, noun)}`;
  };
  return `${of('rows')} and ${of('statements')} within ${spanWords(window)}`;
}

/** `1 min`, `1 h 30 min`: a length that is said once and does not tick. */
function spanWords(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  return parts.flatMap(([number, unit]) => (number === 0 ? [] : [`${number.toString()} ${unit}`])).join(' ');
}

/** Of an instant, in the reader's own time zone; with the day where that is not today. */
export function clockTime(instant: string, now: number): string {
  const at = new Date(instant);
  const two = (number: number): string => number.toString().padStart(2, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const today = new Date(now);
  return at.toDateString() === today.toDateString()
    ? time
    : `${at.getFullYear().toString()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}
