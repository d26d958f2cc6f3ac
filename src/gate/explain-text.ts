/**
 * An explanation for a person: the verdict and what it means, the offending places
 * underlined, each match with what to do instead, and what the statement touches.
 *
 * Law: lays out what explain.ts found, and finds nothing of its own. What it says
 * of a verdict agrees with what words.ts tells a client.
 */
import type { LiveQuestion, Match } from '../policy/types.js';
import type { RelationName, StatementFacts } from '../sql/facts.js';
import type { Explanation } from './explain.js';
import { snippet, utf16Offset } from './explain-snippet.js';
import { clean, painter, wrapped } from './explain-terminal.js';
import type { Page, Painter } from './explain-terminal.js';

/** More names than these are counted. */
const MOST_NAMES = 12;

/** The whole explanation, lines without a last newline. */
export function explainText(explanation: Explanation, page: Page): string {
  const { role, judgement, sql } = explanation;
  const { columns } = page;
  const paint = painter(page.color);
  const lines = heading(explanation, paint, columns);
  const block = (matches: readonly Match[], start: number | null): void => {
    for (const [offset, group] of byPlace(matches)) {
      const place = offset ?? start;
      if (place !== null) lines.push('', ...snippet(sql, place, offset !== null, paint, columns));
      for (const match of group) lines.push('', ...matchLines(match, paint, columns));
    }
  };

  const { statements } = judgement;
  const position = judgement.position === null ? null : utf16Offset(sql, judgement.position);
  const ofText = judgement.matches.map((match) =>
    position === null ? match : { ...match, offset: position },
  );
  const wholeText = (): void => {
    if (ofText.length === 0) return;
    lines.push('', paint('the whole text', 'strong'));
    block(ofText, null);
  };
  // What decides comes first; that a text holds two statements, where both may run, is an aside.
  const wholeTextDecides = ofText[0]?.action === judgement.verdict;
  if (wholeTextDecides) wholeText();
  statements.forEach(({ facts, matches, questions }, at) => {
    const number = statements.length > 1 ? ` ${at + 1} of ${statements.length}` : '';
    const title = paint(`statement${number}: ${clean(facts.operation)}`, 'strong');
    const found = matches.length > 0 || questions.length > 0;
    const end = role === null ? ', not judged' : found ? '' : ', no rule matches';
    lines.push('', title + end, ...factLines(facts, paint, columns));
    block(matches, facts.span[0]);
    for (const question of questions) lines.push('', ...questionLines(question, paint, columns));
  });
  if (!wholeTextDecides) wholeText();
  return lines.join('\n');
}

const LABEL = ' '.repeat('verdict  '.length);

function heading(explanation: Explanation, paint: Painter, columns: number | null): string[] {
  const { role, judgement, catalog } = explanation;
  const { verdict } = judgement;
  const lines = [`role     ${role === null ? 'none' : `${role.name} (${role.access} access)`}`];
  const meaning = meaningOf(explanation);
  const [first = '', ...more] = wrapped(`${verdict}${meaning}`, 'verdict  ', LABEL, columns);
  lines.push(first.replace(verdict, paint(verdict, verdict)), ...more);
  if (catalog !== null) {
    lines.push(`catalog  ${clean(catalog)}${judgement.usedCatalog ? '' : ', not needed'}`);
  } else if (judgement.usedCatalog) {
    const note =
      'judged by its text alone; the proxy also asks the database, and so does this with --catalog URL';
    lines.push(...wrapped(note, 'note     ', LABEL, columns));
  }
  return lines;
}

/** What becomes of the statement, where the verdict's word does not say it. */
function meaningOf({ judgement, mode, environment }: Explanation): string {
  const { verdict } = judgement;
  if (mode === 'observe' && verdict !== 'allow') {
    return ' (mode observe: forwarded all the same, and recorded)';
  }
  switch (verdict) {
    case 'allow':
    case 'deny':
      return '';
    case 'warn':
      return ' (it runs, and the client gets a warning)';
    case 'confirm':
      return ` (refused, unless SET holdfast.target = '${environment}' was said within five minutes before)`;
    case 'hold':
      return ' (it waits until it is approved; where nobody can approve it, it is refused)';
  }
}

function matchLines(match: Match, paint: Painter, columns: number | null): string[] {
  const head = `${match.action} by ${match.rule}: `;
  const [first = '', ...more] = wrapped(head + clean(match.message), '  ', '    ', columns);
  const lines = [first.replace(match.action, paint(match.action, match.action)), ...more];
  if (match.detail !== undefined) {
    lines.push(...wrapped(`detail: ${clean(match.detail)}`, '    ', '      ', columns));
  }
  if (match.hint !== null) lines.push(...wrapped(`hint: ${clean(match.hint)}`, '    ', '      ', columns));
  return lines;
}

/** What only the moment at which it runs can tell. */
function questionLines(question: LiveQuestion, paint: Painter, columns: number | null): string[] {
  const head = `asked when it runs, ${question.action} by ${question.rule}: `;
  const [first = '', ...more] = wrapped(head + clean(question.message), '  ', '    ', columns);
  return [first.replace(question.action, paint(question.action, question.action)), ...more];
}

/** What the statement does and touches, in a few lines: a DELETE deep in a CTE is easily overlooked. */
function factLines(facts: StatementFacts, paint: Painter, columns: number | null): string[] {
  const relations = (mode: string): string[] =>
    facts.relations.filter((use) => use.mode === mode).map(nameOf);
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['effects', facts.effects],
    ['reads', relations('read')],
    ['writes', relations('write')],
    ['ddl on', relations('ddl')],
    ['calls', facts.calls.map((call) => `${nameOf(call)}()`)],
  ];
  return rows.flatMap(([label, names]) => {
    const unique = [...new Set(names)];
    if (unique.length === 0) return [];
    const more = unique.length - MOST_NAMES;
    const list = unique.slice(0, MOST_NAMES).join(', ') + (more > 0 ? ` and ${more} more` : '');
    const [first = '', ...others] = wrapped(list, '', ' '.repeat(11), columns === null ? null : columns - 11);
    return [`  ${paint(label.padEnd(7), 'faint')}  ${first}`, ...others];
  });
}

/** As PostgreSQL shows it: quoted where it would not be read back otherwise. */
function nameOf({ schema, name }: RelationName): string {
  const quoted = (part: string): string =>
    /^[a-z_][a-z0-9_$]*$/.test(part) ? part : `"${clean(part).replaceAll('"', '""')}"`;
  return schema === null ? quoted(name) : `${quoted(schema)}.${quoted(name)}`;
}

/** Matches of the same place together, in the order of their first. */
function byPlace(matches: readonly Match[]): Map<number | null, Match[]> {
  const groups = new Map<number | null, Match[]>();
  for (const match of matches) {
    const group = groups.get(match.offset);
    if (group === undefined) groups.set(match.offset, [match]);
    else group.push(match);
  }
  return groups;
}
