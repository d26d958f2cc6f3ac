/**
 * Everything about one hold, below its head: what would run, why it waits, what it
 * touches, who has voted.
 *
 * Law: the statement is shown complete, and nothing of the API's answer that helps to
 * decide is left out. From data to elements, without a state of its own.
 */
import { h } from './dom.js';
import type { Child } from './dom.js';
import { paragraph, shown, statement } from './text.js';
import { count, unusualWords } from './visible.js';
import type { Hold, Impact, Match, Parameter, Relation, Vote } from './wire.js';
import {
  approversWords,
  clockTime,
  duration,
  isOpen,
  oldRowsWords,
  rowsWords,
  stateWords,
  tableName,
  undoCommand,
  votesWords,
} from './words.js';

/** @param now the server's time, milliseconds since 1970 */
export function detailsOf(hold: Hold, now: number): HTMLElement[] {
  const sections: (HTMLElement | null)[] = [
    warnings(hold, now),
    impactSection(hold.impact ?? null),
    oldRowsNotice(hold),
    statementSection(hold),
    parametersSection(hold.parameters),
    transactionSection(hold.statements ?? null),
    section('Why it waits', h('ul', { class: 'matches' }, hold.matches.map(matchItem))),
    tablesSection(hold),
    votesSection(hold, now),
    facts(hold, now),
  ];
  return sections.filter((part) => part !== null);
}

function section(title: string, ...children: readonly Child[]): HTMLElement {
  return h('section', { class: 'part' }, h('h3', null, title), children);
}

function warnings(hold: Hold, now: number): HTMLElement | null {
  if (!isOpen(hold.state)) return null;
  if (hold.style === 'ticket')
    return h(
      'p',
      { class: 'notice' },
      'Nobody waits on the wire for this: once approved, it runs when the same user sends the very same statement again.',
    );
  if (hold.transaction === null) return null;
  const { since, statements } = hold.transaction;
  return h(
    'p',
    { class: 'notice notice-locks' },
    h('strong', null, 'It keeps its locks while it waits. '),
    `It is inside a transaction of ${count(statements, 'statement')} so far, open for ${duration(now - Date.parse(since))} (since ${clockTime(since, now)}). Whoever needs what these have locked waits, too.`,
  );
}

function impactSection(impact: Impact | null): HTMLElement | null {
  if (impact === null) return null;
  const cell = (rows: number): HTMLElement =>
    h('td', { class: rows === 0 ? 'number zero' : 'number' }, rows.toLocaleString('en-US'));
  const head = ['Table', 'Deleted', 'Updated', 'Inserted', 'Of the table'];
  return h(
    'section',
    { class: 'part impact' },
    h('h3', null, 'What it really did when tried'),
    h(
      'div',
      { class: 'scroll' },
      h(
        'table',
        null,
        h(
          'thead',
          null,
          h(
            'tr',
            null,
            head.map((title) => h('th', { attributes: { scope: 'col' } }, title)),
          ),
        ),
        h(
          'tbody',
          null,
          impact.tables.map((table) =>
            h(
              'tr',
              null,
              h('th', { attributes: { scope: 'row' } }, shown(tableName(table))),
              cell(table.deleted),
              cell(table.updated),
              cell(table.inserted),
              h(
                'td',
                { class: 'number' },
                table.percent === null
                  ? 'not known'
                  : `${(Math.round(table.percent * 10) / 10).toString()} %`,
              ),
            ),
          ),
        ),
      ),
    ),
    h(
      'p',
      { class: 'quiet' },
      impact.tables.length === 0 ? 'No row changed. ' : null,
      impact.measured === 'preview'
        ? 'Measured by running it and rolling it back; rows that cascade are counted.'
        : 'Measured in its transaction, which is not committed yet; rows that cascade are counted.',
    ),
  );
}

function oldRowsNotice(hold: Hold): HTMLElement | null {
  const words = oldRowsWords(hold);
  if (words === null) return null;
  const command = undoCommand(hold);
  const [before = '', after] = words.split(command);
  return h(
    'p',
    { class: `notice old-rows${after === undefined ? '' : ' kept'}` },
    after === undefined ? h('strong', null, words) : [before, h('code', null, command), after],
  );
}

function statementSection(hold: Hold): HTMLElement {
  const unusual = unusualWords(hold.sql);
  const lines = hold.sql.split('\n').length;
  return h(
    'section',
    { class: 'part' },
    h(
      'h3',
      null,
      'The whole statement',
      h('small', null, ` ${count(lines, 'line')}, ${count(hold.sql_bytes, 'byte')}`),
    ),
    unusual === null ? null : h('p', { class: 'notice notice-text' }, unusual),
    statement(hold.sql),
  );
}

function parametersSection(parameters: readonly Parameter[]): HTMLElement | null {
  if (parameters.length === 0) return null;
  const item = (parameter: Parameter, index: number): HTMLElement => {
    const type =
      parameter.type_name ?? (parameter.type === 0 ? 'type left to the server' : `type ${parameter.type}`);
    return h(
      'li',
      null,
      h('code', { class: 'sql-parameter' }, `$${(index + 1).toString()}`),
      ' ',
      value(parameter),
      ' ',
      h('small', { class: 'quiet' }, parameter.format === 0 ? type : `${type}, sent in binary`),
    );
  };
  return section('Parameters', h('ol', { class: 'parameters' }, parameters.map(item)));
}

function value({ value: text, hex }: Parameter): HTMLElement {
  if (text !== null)
    return h('code', { class: 'value' }, text === '' ? h('em', null, 'empty') : paragraph(text));
  if (hex === null) return h('em', null, 'NULL');
  return h('code', { class: 'value' }, `\\x${hex}`);
}

function transactionSection(statements: readonly string[] | null): HTMLElement | null {
  if (statements === null || statements.length === 0) return null;
  return section(
    'The transaction so far',
    h(
      'ol',
      { class: 'so-far' },
      statements.map((sql) => h('li', null, statement(sql))),
    ),
  );
}

function matchItem({ rule, action, message, detail, hint }: Match): HTMLElement {
  return h(
    'li',
    null,
    h('p', null, h('span', { class: `action action-${action}` }, `${action}: ${rule}`), ' ', shown(message)),
    detail === null ? null : h('p', { class: 'detail' }, paragraph(detail)),
    hint === null ? null : h('p', { class: 'quiet' }, 'Hint to the person: ', shown(hint)),
  );
}

const MODES: Readonly<Record<Relation['mode'], string>> = {
  ddl: 'changes the table itself',
  write: 'changes rows',
  read: 'reads',
};

/** What changes comes first, then what changes with it. */
function rank({ mode, beside }: Relation): number {
  if (beside !== null) return 1;
  return mode === 'read' ? 2 : 0;
}

function tablesSection({ relations, impact }: Hold): HTMLElement | null {
  if (relations.length === 0) return null;
  const row = (relation: Relation): HTMLElement =>
    h(
      'tr',
      { class: relation.beside === null ? relation.mode : 'beside' },
      h('th', { attributes: { scope: 'row' } }, shown(tableName(relation))),
      h(
        'td',
        null,
        relation.beside === null
          ? MODES[relation.mode]
          : [h('strong', null, 'not named: '), shown(relation.beside)],
      ),
      h(
        'td',
        { class: 'number' },
        relation.estimated_rows === null ? 'not known' : rowsWords(relation.estimated_rows),
      ),
    );
  const head = ['Table', 'What happens to it', 'Rows in it'];
  return section(
    'Tables',
    h(
      'div',
      { class: 'scroll' },
      h(
        'table',
        { class: 'tables' },
        h(
          'thead',
          null,
          h(
            'tr',
            null,
            head.map((title) => h('th', { attributes: { scope: 'col' } }, title)),
          ),
        ),
        h('tbody', null, [...relations].sort((a, b) => rank(a) - rank(b)).map(row)),
      ),
    ),
    impact === null ? h('p', { class: 'quiet' }, 'Numbers of rows are estimates; not measured.') : null,
  );
}

function votesSection(hold: Hold, now: number): HTMLElement {
  const item = ({ approver, choice, reason, at }: Vote): HTMLElement =>
    h(
      'li',
      null,
      h('strong', { class: choice }, choice === 'approve' ? 'approved' : 'denied'),
      ' by ',
      shown(approver),
      ` at ${clockTime(at, now)}`,
      reason === null ? ', without a reason' : [': ', h('q', null, shown(reason))],
    );
  return section(
    `Votes: ${votesWords(hold)}`,
    hold.votes.length === 0 ? null : h('ul', { class: 'votes' }, hold.votes.map(item)),
    isOpen(hold.state)
      ? h('p', { class: 'quiet' }, shown(approversWords(hold)))
      : h('p', null, stateWords(hold)),
  );
}

function facts(hold: Hold, now: number): HTMLElement {
  const list: readonly (readonly [string, string])[] = [
    ['Hold', hold.id],
    ['Requested', `${clockTime(hold.requested_at, now)} (${hold.requested_at})`],
    ...(hold.closed_at === null
      ? []
      : [['Ended', `${clockTime(hold.closed_at, now)} (${hold.closed_at})`] as const]),
    ['Session', hold.session],
    ['Decision', `${hold.decision} in the audit log`],
    ['search_path', hold.search_path ?? 'not known'],
    ['SHA-256 of the text', hold.sql_sha256],
    ['Fingerprint', hold.fingerprint],
    ['Policy', hold.policy],
  ];
  return h(
    'details',
    { class: 'part facts' },
    h('summary', null, 'Ids and hashes'),
    h(
      'dl',
      null,
      list.flatMap(([name, text]) => [h('dt', null, name), h('dd', null, h('code', null, shown(text)))]),
    ),
  );
}
