/**
 * A hold as a message for Slack, and for services that take its format.
 *
 * Law: nothing that a stranger chose can address anybody, link anywhere or format
 * anything. Slack's own signs (&, <, >) are escaped; the blocks are verbatim, so that
 * no address, channel or name in them becomes a link; outside of the statement, `@`, `:`
 * and `.` are followed by an invisible joiner, for services that look for names and
 * addresses in any text. No text is
 * longer than Slack takes (api.slack.com/reference/block-kit/blocks): a message that
 * is too long is not shown at all.
 */
import { approvalsGiven } from '../hold.js';
import type { Hold, OldRows } from '../hold.js';
import type { Telling, WebhookEvent } from './telling.js';

/** Characters that Slack takes: of a header, of a section's text, of one of its fields; of the text that notifications show. */
const HEADER = 150;
const SECTION = 3_000;
const FIELD = 2_000;
const TEXT = 3_000;
/** Relations and rules beyond these are counted. */
const MOST_LISTED = 10;

/** WORD JOINER: nothing is seen of it. */
const JOINER = '\u2060';

const HEADLINES: Readonly<Record<WebhookEvent, string>> = {
  requested: 'waits for approval',
  approved: 'was approved',
  denied: 'was denied',
  expired: 'expired: nothing has run',
  withdrawn: 'was withdrawn: nothing has run',
  released: 'runs now',
};

const WAYS_BACK: Readonly<Record<NonNullable<OldRows>, string>> = {
  kept: 'old rows are kept',
  not_kept: 'old rows are not kept: once approved, Holdfast cannot undo it',
};

/** The body of the request: `{ text, blocks }`. */
export function slackBody(telling: Telling): string {
  const { event, hold, disclosed, link } = telling;
  const head = headline(telling);
  const blocks: object[] = [
    { type: 'header', text: plain(head, HEADER) },
    { type: 'section', fields: fields(telling).map(([name, value]) => plain(`${name}\n${value}`, FIELD)) },
  ];
  const rules = hold.subject.matches.length === 0 ? [] : rulesInWords(telling);
  if (rules.length > 0) blocks.push({ type: 'section', text: plain(rules.join('\n'), SECTION) });
  if (event === 'requested') {
    blocks.push(
      disclosed.sql === null
        ? { type: 'section', text: plain('The statement is not shown here.', SECTION) }
        : { type: 'section', text: code(disclosed.sql) },
    );
  }
  if (link !== null) blocks.push({ type: 'section', text: linkTo(link) });
  return JSON.stringify({
    text: escaped(head, TEXT),
    blocks,
    // For incoming webhooks that would look for names, channels and addresses in the text.
    parse: 'none',
    link_names: false,
    mrkdwn: false,
    unfurl_links: false,
    unfurl_media: false,
  });
}

function headline({ event, hold }: Telling): string {
  const { environment, operations, user, database } = hold.subject;
  const commands = [...new Set(operations)].slice(0, 3).map(command);
  const what = commands.length === 0 ? 'A statement' : commands.join(', ');
  return `${environment.toUpperCase()}: ${what} of ${user} in ${database} ${HEADLINES[event]} (hold ${hold.id})`;
}

/** `drop_table` → `DROP TABLE` */
function command(operation: string): string {
  return operation.toUpperCase().replaceAll('_', ' ');
}

function fields({ event, hold }: Telling): readonly (readonly [name: string, value: string])[] {
  const { subject } = hold;
  const rows: [string, string][] = [
    ['Who', `${subject.user}, role ${subject.role}`],
    ['Where', `${subject.environment}, database ${subject.database}`],
    ['Application', subject.application === '' ? '-' : subject.application],
    [
      'Approvals',
      `${approvalsGiven(hold).toString()} of ${hold.approvals.toString()} (${hold.groups.join(', ')})`,
    ],
  ];
  const relations = relationsInWords(hold);
  if (relations !== '') rows.push(['Tables, estimated rows', relations]);
  if (event === 'requested') {
    const locks = subject.inTransaction === null ? '' : ', inside a transaction that keeps its locks';
    rows.push(['Until', `${new Date(hold.expiresAt).toISOString()}${locks}`]);
    if (subject.oldRows !== null) rows.push(['Undo', WAYS_BACK[subject.oldRows]]);
  }
  const votes = hold.votes.map(
    ({ approver, choice }) => `${choice === 'approve' ? 'approved' : 'denied'} by ${approver}`,
  );
  if (votes.length > 0) rows.push(['Votes', votes.join('\n')]);
  if (hold.withdrawal !== null) rows.push(['Withdrawn', hold.withdrawal.replaceAll('_', ' ')]);
  return rows;
}

function relationsInWords({ subject }: Hold): string {
  const lines = subject.relations
    .filter(({ mode }) => mode !== 'read')
    .map(({ schema, name, estimatedRows }) => {
      const rows = estimatedRows === null ? 'not known' : estimatedRows.toString();
      return `${schema === null ? '' : `${schema}.`}${name}: ${rows}`;
    });
  return listed(lines).join('\n');
}

function rulesInWords({ disclosed }: Telling): readonly string[] {
  return listed(
    disclosed.matches.map(
      ({ rule, action, message }) => `${rule} (${action})${message === null ? '' : `: ${message}`}`,
    ),
  );
}

function listed(lines: readonly string[]): readonly string[] {
  const more = lines.length - MOST_LISTED;
  return more <= 0 ? lines : [...lines.slice(0, MOST_LISTED), `and ${more.toString()} more`];
}

function plain(text: string, most: number): object {
  return { type: 'plain_text', text: escaped(text, most), emoji: false };
}

const FENCE = '```';

function code(sql: string): object {
  const inner = escaped(sql, SECTION - 2 * FENCE.length - 2, 'code');
  return { type: 'mrkdwn', verbatim: true, text: `${FENCE}\n${inner}\n${FENCE}` };
}

/** @param link of the settings, with an id whose letters are safe; percent signs keep the rest from ending the link */
function linkTo(link: string): object {
  const target = link.replaceAll(/[<>|\s]/g, encodeURIComponent).replaceAll('&', '&amp;');
  return { type: 'mrkdwn', verbatim: true, text: `<${target}|Look at it and decide>` };
}

/** What is not seen, or changes how the rest is seen: control, format and unassigned characters, separators. */
const UNSEEN = /(?![\n\t])[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

type Place = 'prose' | 'code';

/** Text without power, at most so many characters of it, cut between two characters. */
function escaped(text: string, most: number, place: Place = 'prose'): string {
  let result = '';
  for (const character of text) {
    const next = harmless(character, place);
    if (result.length + next.length > most - 1) return `${result}…`;
    result += next;
  }
  return result;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  // Three of them would end the code.
  ['`', `\`${JOINER}`],
]);
/** Nothing is looked for in code, and people copy it. */
const JOINED_IN_PROSE: ReadonlySet<string> = new Set(['@', ':', '.']);

function harmless(character: string, place: Place): string {
  const escape = ESCAPES.get(character);
  if (escape !== undefined) return escape;
  if (place === 'prose' && JOINED_IN_PROSE.has(character)) return `${character}${JOINER}`;
  if (!UNSEEN.test(character)) return character;
  return `⟨U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`;
}
