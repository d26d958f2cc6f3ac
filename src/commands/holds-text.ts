/**
 * Holds for a terminal of 80 columns: the table of `list`, the page of `show`, the
 * lines of `list --watch`.
 *
 * Law: text only. Everything that came from a client goes through visible.ts; the
 * statement is shown complete, character by character.
 */
import type { HoldSummaryView, HoldView, ParameterView } from '../admin/api/schemas.js';
import { painter, textOf } from '../gate/explain-terminal.js';
import type { Painter, Style } from '../gate/explain-terminal.js';
import { brief, cells, rows, shownWidth, visible } from './visible.js';
import type { Cell } from './visible.js';

export interface TextOptions {
  readonly color: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const COLUMNS = 80;
const LABEL = 11;

const STATE_STYLES: Readonly<Record<HoldSummaryView['state'], Style>> = {
  requested: 'warn',
  approved: 'allow',
  released: 'allow',
  denied: 'deny',
  expired: 'faint',
  withdrawn: 'faint',
};

/** The table, a row a hold. */
export function holdsTable(
  { holds, more }: { readonly holds: readonly HoldSummaryView[]; readonly more: boolean },
  options: TextOptions,
): string {
  if (holds.length === 0) return 'No holds.';
  const paint = painter(options.color);
  const titles = ['ID', 'STATE', 'VOTES', 'LEFT', 'WHO'];
  const table = holds.map((hold) => [
    visible(hold.id),
    hold.state,
    `${hold.approvals.given}/${hold.approvals.needed}`,
    isOpen(hold) ? duration(Date.parse(hold.expires_at) - options.now, 1) : '-',
    brief(`${hold.user}@${hold.database}`, 20),
  ]);
  const widths = titles.map((title, column) =>
    Math.max(shownWidth(title), ...table.map((row) => shownWidth(row[column] ?? ''))),
  );
  const taken = widths.reduce((sum, columns) => sum + columns + 2, 0);
  const line = (row: readonly string[], last: string): string =>
    [...row.map((text, column) => text + ' '.repeat((widths[column] ?? 0) - shownWidth(text))), last].join(
      '  ',
    );
  const lines = [paint(line(titles, 'STATEMENT'), 'strong')];
  holds.forEach((hold, index) => {
    const row = line(table[index] ?? [], brief(hold.sql_start, Math.max(20, COLUMNS - taken)));
    lines.push(row.replace(hold.state, paint(hold.state, STATE_STYLES[hold.state])));
  });
  if (more) lines.push('There are more.');
  return lines.join('\n');
}

/** One change, on one line. */
export function changeLine(
  { change, hold }: { readonly change: string; readonly hold: HoldSummaryView },
  options: TextOptions,
): string {
  const clock = new Date(options.now).toISOString().slice(11, 19);
  const votes = change === 'voted' ? ` ${hold.approvals.given}/${hold.approvals.needed}` : '';
  const word = `${visible(change)}${votes}`;
  const start = `${clock}  ${visible(hold.id)}  ${word}  ${brief(`${hold.user}@${hold.database}`, 20)}  `;
  const painted = painter(options.color)(word, STATE_STYLES[hold.state]);
  return `${start.replace(word, painted)}${brief(hold.sql_start, Math.max(20, COLUMNS - shownWidth(start)))}`;
}

/** Everything about one hold: what would run, as whom, why it waits, who has voted. */
export function holdPage(hold: HoldView, options: TextOptions): string {
  const paint = painter(options.color);
  const lines: string[] = [];
  const field = (label: string, text: string): void => {
    const wrapped = words(text, COLUMNS - LABEL);
    wrapped.forEach((part, index) => lines.push(`${(index === 0 ? label : '').padEnd(LABEL)}${part}`));
  };
  const state = stateWords(hold, options.now);
  field('hold', hold.id);
  field('state', state);
  lines[1] = (lines[1] ?? '').replace(hold.state, paint(hold.state, STATE_STYLES[hold.state]));
  field('asked by', `${hold.user} (role ${hold.role})`);
  field(
    'from',
    `${hold.application === '' ? 'an unnamed application' : hold.application} at ${hold.client}, session ${hold.session}`,
  );
  field('runs on', `${hold.environment}, database ${hold.database}`);
  if (hold.search_path !== null) field('', `search_path ${hold.search_path}`);
  if (hold.transaction !== null) {
    const { since, statements } = hold.transaction;
    field(
      'waits',
      `in a transaction of ${count(statements, 'statement')}, open for ${duration(options.now - Date.parse(since), 2)}; its locks stay while it waits`,
    );
  }
  if (hold.style === 'ticket')
    field('waits', 'not on the wire: once approved, it passes when it is sent again');
  const undo = undoWords(hold);
  if (undo !== null) field('undo', undo);
  field('decision', hold.decision);

  for (const { action, rule, message, hint, detail } of hold.matches) {
    lines.push('');
    field(action, `${rule}: ${message}`);
    if (detail !== null) field('', detail);
    if (hint !== null) field('', `hint: ${hint}`);
  }

  lines.push(...measuredLines(hold, paint));

  if (hold.relations.length > 0) {
    lines.push('', paint('relations', 'strong'));
    // What was tried or is to be committed has its rows above.
    if (hold.impact === null) lines.push(indent('numbers of rows are estimates; not measured'));
    for (const { schema, name, mode, estimated_rows: estimate, beside } of hold.relations) {
      const full = schema === null ? name : `${schema}.${name}`;
      const size = estimate === null ? '' : `, about ${Math.round(estimate).toLocaleString('en-US')} rows`;
      lines.push(...words(`${full}: ${mode}${size}`, COLUMNS - 4).map(indent));
      if (beside !== null) lines.push(...words(beside, COLUMNS - 6).map((line) => indent(indent(line))));
    }
  }

  lines.push('', paint(`statement, ${count(hold.sql_bytes, 'byte')}`, 'strong'));
  lines.push(...source(hold.sql, paint));
  const unusual = unusualWords(hold.sql);
  if (unusual !== null) {
    lines.push(...words(`note: ${unusual}`, COLUMNS).map((line) => paint(line, 'warn')));
  }
  if (hold.parameters.length > 0) {
    lines.push('', paint('parameters', 'strong'));
    hold.parameters.forEach((parameter, index) => {
      lines.push(...parameterLines(parameter, index + 1, paint));
    });
  }

  lines.push('', paint(`votes, ${votesWords(hold)}`, 'strong'));
  for (const { approver, choice, reason, at } of hold.votes) {
    const why = reason === null ? '' : `: ${reason}`;
    lines.push(...words(`${choice} by ${approver} at ${at}${why}`, COLUMNS - 4).map(indent));
  }
  const { allowed, reason } = hold.may_vote;
  lines.push(
    ...words(
      allowed ? 'You may approve or deny it.' : `You cannot vote on it: ${reason ?? ''}`,
      COLUMNS - 4,
    ).map(indent),
  );
  return lines.join('\n');
}

function isOpen({ state }: Pick<HoldSummaryView, 'state'>): boolean {
  return state === 'requested' || state === 'approved';
}

function stateWords(hold: HoldView, now: number): string {
  const left = duration(Date.parse(hold.expires_at) - now, 2);
  switch (hold.state) {
    case 'requested':
      return `requested, ${left} left`;
    case 'approved':
      return `approved, ${left} left to run it`;
    case 'withdrawn':
      return `withdrawn: ${hold.withdrawal === null ? 'for a reason unknown' : hold.withdrawal.replace('_', ' ')}`;
    case 'denied':
    case 'expired':
      return hold.state;
    case 'released':
      return 'released to run';
  }
}

/** Whether there is a way back from it; null: its role does not ask for one, or it did not run. */
function undoWords({ id, state, old_rows: oldRows, impact }: HoldView): string | null {
  if (oldRows === null || !['requested', 'approved', 'released'].includes(state)) return null;
  if (oldRows === 'kept') return `old rows are kept: holdfast undo script ${id} puts them back`;
  if (impact?.measured === 'transaction')
    return 'old rows are not kept of what is approved at its COMMIT: Holdfast cannot undo it, except statements that were approved by themselves before';
  return impact?.tables.length === 0
    ? 'it changed no row when it was tried, so there are no old rows to keep'
    : 'old rows are not kept of this: once approved, Holdfast cannot undo it';
}

/** `1 of 2 approvals; dba, oncall may vote` */
export function votesWords({ approvals, groups }: Pick<HoldSummaryView, 'approvals' | 'groups'>): string {
  return `${approvals.given} of ${count(approvals.needed, 'approval')}; from ${groups.map(visible).join(', ')}`;
}

/** The statement by its lines, numbered; a line that is too long goes on behind a dot. Nothing is left out. */
function source(sql: string, paint: Painter): string[] {
  const texts = sql.split('\n');
  const digits = texts.length.toString().length;
  const room = COLUMNS - digits - 5;
  return texts.flatMap((text, index) =>
    rows(text, room).map((row, part) => {
      const number = part === 0 ? (index + 1).toString() : '.';
      const start = `  ${number.padStart(digits)} |`;
      return row.length === 0 ? start : `${start} ${painted(row, paint)}`;
    }),
  );
}

function parameterLines(parameter: ParameterView, number: number, paint: Painter): string[] {
  const { type, type_name: name, format, value, hex } = parameter;
  const typed = name ?? (type === 0 ? 'type left to the server' : `type ${type}`);
  const binary = format === 0 ? '' : ', binary';
  if (value === null && hex === null)
    return words(`$${number} (${typed}${binary}) = NULL`, COLUMNS - 4).map(indent);
  const shown = value === null ? `\\x${hex ?? ''}` : `'${value}'`;
  // The value last: whatever it holds, nothing behind it can be taken for Holdfast's words.
  const whole = rows(`$${number} (${typed}${binary}) = ${shown}`, COLUMNS - 4);
  return whole.map((row) => indent(painted(row, paint)));
}

function painted(row: readonly Cell[], paint: Painter): string {
  return row.map(({ text, marker }) => (marker ? paint(text, 'deny') : text)).join('');
}

/** What a reader should know of letters that may be others than they look. */
function unusualWords(sql: string): string | null {
  const hidden = cells(sql.replaceAll('\n', '')).filter(({ marker }) => marker).length;
  const foreign = Array.from(sql).filter((character) => character > '\u007f').length;
  if (foreign === 0 && hidden === 0) return null;
  const beyond = `${count(foreign, 'character')} beyond ASCII, which may look like others`;
  return hidden === 0
    ? beyond
    : `${count(hidden, 'character')} that cannot be seen (shown by number); ${beyond}`;
}

function indent(text: string): string {
  return `    ${text}`;
}

/** Raw text made visible, broken at spaces; what has none is broken where the line is full. */
function words(text: string, columns: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    for (const part of rows(word, columns).map(textOf)) {
      const last = lines.at(-1) ?? '';
      if (last === '') lines[lines.length - 1] = part;
      else if (shownWidth(last) + 1 + shownWidth(part) <= columns)
        lines[lines.length - 1] = `${last} ${part}`;
      else lines.push(part);
    }
  }
  return lines;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

/** `8 min 12 s`: so many units, the largest that there are. */
export function duration(ms: number, units: number): string {
  let seconds = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [unit, length] of UNITS) {
    const whole = Math.floor(seconds / length);
    seconds -= whole * length;
    if (whole > 0) parts.push(`${whole} ${unit}`);
  }
  return parts.length === 0 ? '0 s' : parts.slice(0, units).join(' ');
}

/** What it really changed, table by table, and by which statements. */
function measuredLines({ impact, statements }: HoldView, paint: Painter): string[] {
  if (impact === null) return [];
  const heading =
    impact.measured === 'preview'
      ? 'what it changed when it was tried, and undone'
      : 'what its transaction has changed';
  const tables = impact.tables.map(({ schema, name, inserted, updated, deleted, percent }) => {
    const changes = [
      deleted > 0 ? `${count(deleted, 'row')} deleted` : '',
      updated > 0 ? `${count(updated, 'row')} updated` : '',
      inserted > 0 ? `${count(inserted, 'row')} inserted` : '',
    ].filter((change) => change !== '');
    const share = percent === null || percent === 0 ? '' : `, ${percent.toString()} % of the table`;
    return `${schema}.${name}: ${changes.join(', ')}${share}`;
  });
  return [
    '',
    paint(heading, 'strong'),
    ...(tables.length === 0 ? ['nothing'] : tables).flatMap((line) => words(line, COLUMNS - 4)).map(indent),
    ...(statements.length === 0 ? [] : ['', paint('its statements', 'strong')]),
    ...statements.flatMap((statement) => source(statement, paint)),
  ];
}
