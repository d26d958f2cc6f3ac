/**
 * Approve and deny: a reason, a one-time code where one is needed, and a second look.
 *
 * Law: no single press decides. The second look repeats what would run, as whom and
 * where; its button is dead for a moment and is not where the first one was, so
 * neither a double click nor a held key gets through. Nothing can be sent while the
 * hold cannot be decided.
 */
import { CallFailed } from './calls.js';
import type { Ballot } from './calls.js';
import { h, fill } from './dom.js';
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

/** How long the second look's button stays dead. */
const ARM_MS = 700;
const MOST_CHARACTERS = 500;

let forms = 0;

export function createVoteForm({ session, cast }: VoteFormOptions): VoteForm {
  forms++;
  const own = `vote-${forms.toString()}`;
  let hold: Hold | null = null;
  let dead: string | null = null;
  let busy = false;
  let asked: { readonly choice: Vote['choice']; readonly votes: number } | null = null;

  const reason = h('textarea', {
    id: `${own}-reason`,
    attributes: { rows: '2', maxlength: MOST_CHARACTERS.toString() },
  });
  const code = h('input', {
    id: `${own}-code`,
    class: 'code',
    attributes: {
      inputmode: 'numeric',
      autocomplete: 'one-time-code',
      maxlength: '6',
      pattern: '[0-9]{6}',
      placeholder: '123456',
    },
  });
  const deny = button('Deny …', 'deny', () => {
    ask('deny');
  });
  const approve = button('Approve …', 'approve', () => {
    ask('approve');
  });
  const problem = h('p', { class: 'problem', attributes: { role: 'alert' } });
  const why = h('p', { class: 'dead' });
  const confirm = h('div', {
    class: 'confirm',
    attributes: { role: 'group', tabindex: '-1', hidden: '' },
    on: {
      keydown: (event) => {
        if ((event as KeyboardEvent).key === 'Escape') back();
      },
    },
  });
  const first = h('div', { class: 'choices' }, approve, deny);
  const element = h(
    'form',
    {
      class: 'vote',
      attributes: { novalidate: '', 'aria-label': 'Your decision' },
      on: {
        submit: (event) => {
          event.preventDefault();
        },
      },
    },
    h(
      'div',
      { class: 'fields' },
      h(
        'div',
        { class: 'field grow' },
        h('label', { attributes: { for: reason.id } }, 'Reason', h('small', null, ' others will read it')),
        reason,
      ),
      session.totp
        ? h('div', { class: 'field' }, h('label', { attributes: { for: code.id } }, 'One-time code'), code)
        : null,
    ),
    problem,
    why,
    first,
    confirm,
  );

  function ask(choice: Vote['choice']): void {
    if (hold === null || dead !== null || busy) return;
    problem.textContent = '';
    if (session.totp && !/^[0-9]{6}$/.test(code.value.trim())) {
      problem.textContent = 'Your votes need the six digits of your one-time code.';
      code.focus();
      return;
    }
    asked = { choice, votes: hold.votes.length };
    const sure = button(sureWords(hold, choice), choice, () => {
      void send(choice);
    });
    sure.disabled = true;
    setTimeout(() => {
      sure.disabled = dead !== null || busy;
    }, ARM_MS);
    fill(
      confirm,
      secondLook(hold, choice),
      h('div', { class: 'choices' }, button('Back', 'plain', back), sure),
    );
    confirm.setAttribute(
      'aria-label',
      `Sure? ${choice} ${verbOf(hold)} in ${environmentWords(hold.environment)}`,
    );
    confirm.className = `confirm confirm-${choice}`;
    first.hidden = true;
    confirm.hidden = false;
    confirm.focus();
  }

  function close(): void {
    asked = null;
    confirm.hidden = true;
    first.hidden = false;
    fill(confirm);
  }

  function back(): void {
    const { choice } = asked ?? { choice: 'approve' };
    close();
    (choice === 'approve' ? approve : deny).focus();
  }

  async function send(choice: Vote['choice']): Promise<void> {
    if (dead !== null || busy) return;
    busy = true;
    show();
    try {
      await cast(choice, { reason: reason.value.trim(), totp: session.totp ? code.value.trim() : '' });
    } catch (error) {
      problem.textContent = failureWords(error);
      if (!(error instanceof CallFailed)) throw error;
    } finally {
      busy = false;
      // Each code counts once.
      code.value = '';
      close();
      show();
    }
  }

  function show(): void {
    why.textContent = dead ?? '';
    why.hidden = dead === null;
    for (const control of element.querySelectorAll('button')) control.disabled = dead !== null || busy;
  }

  return {
    element,
    update(next, nextDead) {
      const changed = asked !== null && next.votes.length !== asked.votes;
      hold = next;
      if (dead === nextDead && !changed) return;
      dead = nextDead;
      if (asked !== null && !busy) {
        close();
        if (dead === null) problem.textContent = 'Somebody has voted meanwhile: look again.';
      }
      show();
    },
  };
}

function failureWords(error: unknown): string {
  if (!(error instanceof CallFailed)) return 'The page failed; reload it.';
  return error.code === 'unreachable'
    ? `${error.message} Whether your vote counts is seen here as soon as the page is live again.`
    : error.message;
}

function button(words: string, kind: string, press: () => void): HTMLButtonElement {
  return h(
    'button',
    { class: `button ${kind}`, attributes: { type: 'button' }, on: { click: press } },
    words,
  );
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
    choice === 'approve' && wayBack !== null ? h('p', { class: 'old-rows' }, wayBack) : null,
  );
}
