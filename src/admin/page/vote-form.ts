/**
 * Approve and deny.
 *
 * Law: the second look repeats what would run, as whom and where. Whoever is at it looks
 * again when somebody else has voted meanwhile.
 */
import type { Ballot } from './calls.js';
import { createDecisionForm } from './decision-form.js';
import { h } from './dom.js';
import { fromFirstWord } from './sql-tokens.js';
import { shown } from './text.js';
import { count } from './visible.js';
import { dangerOf, environmentWords, oldRowsWords, tableName, targetsOf, verbOf } from './words.js';
import type { Hold, Session, Vote } from './wire.js';

export interface VoteFormOptions {
  readonly session: Session;
  /** Casts the vote. @throws CallFailed with the words to show */
  readonly cast: (choice: Vote['choice'], ballot: Ballot) => Promise<void>;
}

export interface VoteForm {
  readonly element: HTMLElement;
  /** The hold as it is now, and why nobody can decide here; null: one can. */
  update(hold: Hold, dead: string | null): void;
}

export function createVoteForm({ session, cast }: VoteFormOptions): VoteForm {
  let hold: Hold | null = null;
  /** Votes that there were at the second look. */
  let seen = 0;
  const form = createDecisionForm<Vote['choice']>({
    session,
    label: 'Your decision',
    choices: [
      { name: 'approve', words: 'Approve …', kind: 'approve' },
      { name: 'deny', words: 'Deny …', kind: 'deny' },
    ],
    look(choice) {
      if (hold === null) return null;
      seen = hold.votes.length;
      return {
        label: `Sure? ${choice} ${verbOf(hold)} in ${environmentWords(hold.environment)}`,
        content: secondLook(hold, choice),
        yes: sureWords(hold, choice),
      };
    },
    send: cast,
    codeMissing: 'Your votes need the six digits of your one-time code.',
    unanswered: 'Whether your vote counts is seen here as soon as the page is live again.',
  });
  return {
    element: form.element,
    update(next, dead) {
      hold = next;
      const changed = form.asking() && next.votes.length !== seen;
      form.update(dead, changed ? 'Somebody has voted meanwhile: look again.' : null);
    },
  };
}

function sureWords(hold: Hold, choice: Vote['choice']): string {
  return choice === 'approve'
    ? `Yes, approve for ${environmentWords(hold.environment)}`
    : 'Yes, deny: it will not run';
}

function secondLook(hold: Hold, choice: Vote['choice']): HTMLElement {
  const lines = hold.sql.split('\n');
  const start = fromFirstWord(hold.sql).split('\n')[0] ?? '';
  const left = hold.approvals.needed - hold.approvals.given - 1;
  const then =
    choice === 'deny'
      ? 'Your denial ends it for everybody.'
      : left > 0
        ? `After yours ${count(left, 'more approval')} will be needed.`
        : hold.style === 'ticket'
          ? 'Yours is the last approval: it may run once, when it is sent again.'
          : 'Yours is the last approval: it runs at once.';
  const targets = targetsOf(hold).map(tableName);
  const wayBack = oldRowsWords(hold);
  return h(
    'div',
    { class: 'second-look' },
    h('p', { class: 'question' }, choice === 'approve' ? 'Let this run?' : 'Deny this?'),
    h(
      'p',
      { class: 'what' },
      h(
        'span',
        { class: `env env-${dangerOf(hold.environment)}` },
        shown(environmentWords(hold.environment)),
      ),
      ' ',
      h('strong', null, verbOf(hold)),
      ' ',
      targets.length === 0 ? null : shown(targets.join(', ')),
    ),
    h('p', { class: 'first-line' }, h('code', null, shown(start))),
    lines.length > 1
      ? h('p', { class: 'quiet' }, `This is where it begins; all ${count(lines.length, 'line')} are above.`)
      : null,
    h(
      'p',
      null,
      'As ',
      shown(hold.user),
      ` (role ${hold.role}) in database `,
      shown(hold.database),
      '. ',
      then,
    ),
    choice === 'approve' && wayBack !== null ? h('p', null, wayBack) : null,
  );
}
