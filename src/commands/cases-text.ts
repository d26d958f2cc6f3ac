/**
 * What a person reads of `holdfast test`: each case that is not as expected, and
 * how many there were. What is as expected is silent.
 *
 * Law: text only, and only what is safe on a terminal.
 */
import { allMatches } from '../gate/explain.js';
import { clean, oneLine, painter, wrapped } from '../gate/explain-terminal.js';
import type { Page } from '../gate/explain-terminal.js';
import { VERDICTS } from '../policy/types.js';
import type { Verdict } from '../policy/types.js';
import { decidingRules } from './run-cases.js';
import type { CaseResult } from './run-cases.js';

/** Columns of a title where no terminal says how many there are. */
const COLUMNS = 100;

/** One case that is not as expected, with an empty line at its end. */
export function mismatchText(result: CaseResult, page: Page): string {
  const { case: wanted, explanation, file } = result;
  const { role, judgement } = explanation;
  const { columns } = page;
  const paint = painter(page.color);
  const width = columns ?? COLUMNS;
  const { user, database } = wanted.login;
  const who = `${user} on ${database}`;
  const lines = [
    paint(oneLine(wanted.name ?? wanted.sql, width), 'strong'),
    paint(`  ${file}:${wanted.line}`, 'faint'),
    ...(wanted.name === null ? [] : [`  ${oneLine(wanted.sql, width - 2)}`]),
    ...wrapped(
      `as ${clean(who)}: ${role === null ? 'no role matches' : `role ${role.name} (${role.access} access)`}`,
      '  ',
      '    ',
      columns,
    ),
    paint(`  - expected ${verdictBy(wanted.verdict, wanted.rule === null ? [] : [wanted.rule])}`, 'allow'),
    paint(`  + got ${verdictBy(judgement.verdict, decidingRules(explanation))}`, 'deny'),
  ];
  const matches = allMatches(judgement);
  if (matches.length === 0) lines.push('      no rule matches');
  for (const match of matches) {
    lines.push(
      ...wrapped(`${match.action} by ${match.rule}: ${clean(match.message)}`, '      ', '        ', columns),
    );
  }
  // A catalog only ever adds matches, so it is of use where too little was found.
  const milder = VERDICTS.indexOf(judgement.verdict) < VERDICTS.indexOf(wanted.verdict);
  if (milder && judgement.usedCatalog && explanation.catalog === null) {
    const note = 'judged by its text alone; with --catalog URL the database is asked too';
    lines.push(...wrapped(note, '      ', '        ', columns));
  }
  return [...lines, ''].join('\n');
}

function verdictBy(verdict: Verdict, rules: readonly string[]): string {
  return rules.length === 0 ? verdict : `${verdict} by ${rules.join(', ')}`;
}

/** `12 cases: 11 as expected, 1 not` */
export function summaryText(results: readonly { readonly ok: boolean }[], page: Page): string {
  const paint = painter(page.color);
  const count = `${results.length} ${results.length === 1 ? 'case' : 'cases'}`;
  const good = results.filter(({ ok }) => ok).length;
  const bad = results.length - good;
  return bad === 0
    ? paint(`${count}: ${results.length === 1 ? '' : 'all '}as expected`, 'allow')
    : paint(`${count}: ${good} as expected, ${bad} not`, 'deny');
}
