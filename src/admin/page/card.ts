/**
 * One hold on the page: a head that is read at a glance, everything below it, and
 * the decision.
 *
 * Law: what is shown is the latest that the API said; what is not live, not loaded or
 * over cannot be decided, and it says why. Nothing that somebody is looking at or
 * typing into is replaced under their hands.
 */
import { CallFailed } from './calls.js';
import type { Calls } from './calls.js';
import { detailsOf } from './details.js';
import { fill, h } from './dom.js';
import { fromFirstWord } from './sql-tokens.js';
import { shown } from './text.js';
import { brief } from './visible.js';
import { createVoteForm } from './vote-form.js';
import type { Hold, HoldSummary, Session } from './wire.js';
import {
  STALE,
  STATE_NAMES,
  clockTime,
  countdown,
  dangerOf,
  environmentWords,
  isOpen,
  stakeOf,
  stateWords,
  tableName,
  targetsOf,
  verbOf,
  votesWords,
} from './words.js';

export interface CardOptions {
  readonly calls: Calls;
  readonly session: Session;
  /** The server's time, milliseconds since 1970. */
  readonly now: () => number;
  /** A word for who does not look at the screen. */
  readonly announce: (words: string) => void;
  /** What its ids begin with: the same hold may be in two lists. */
  readonly prefix: 'hold' | 'past';
  /** Left out: it cannot be put away. */
  readonly onDismiss?: () => void;
}

export interface Card {
  readonly element: HTMLElement;
  readonly hold: () => HoldSummary;
  /** Whether everything is shown. */
  readonly expanded: () => boolean;
  update(hold: HoldSummary): void;
  /** Fetches everything, once. */
  load(): Promise<void>;
  expand(): void;
  /** It is not in the list of open holds any more: finds out why. */
  vanished(): Promise<void>;
  /** @param live whether what is shown is up to date */
  tick(live: boolean): void;
}

const URGENT_MS = 60_000;
const FIRST_LINE = 160;
/** As many as the API's summaries have. */
const SUMMARY_CHARACTERS = 300;

export function createCard(first: HoldSummary, options: CardOptions): Card {
  const { calls, session, now, announce } = options;
  let summary = first;
  let detail: Hold | null = null;
  let live = true;
  let expanded = false;
  let gone: string | null = null;
  /** Answers that come late must not replace later ones. */
  let asked = 0;
  let loading: Promise<void> | null = null;

  const bodyId = `${options.prefix}-body-${first.id}`;
  const time = h('span', { class: 'time' });
  const timeLabel = h('span', { class: 'label' });
  const clock = h('p', { class: 'left', attributes: { role: 'timer' } }, time, timeLabel);
  const toggle = h('button', {
    class: 'toggle',
    attributes: { type: 'button', 'aria-expanded': 'false', 'aria-controls': bodyId },
    on: {
      click: () => {
        setExpanded(!expanded);
      },
    },
  });
  const headline = h('h2', null, toggle);
  const stake = h('p', { class: 'stake' });
  const startLine = h(
    'p',
    { class: 'start' },
    h('code', null, shown(brief(fromFirstWord(first.sql_start ?? ''), FIRST_LINE))),
  );
  const votes = h('p', { class: 'tally' });
  const banner = h('div', { class: 'banner', attributes: { role: 'status' } });
  const problem = h('div', { class: 'problem', attributes: { role: 'alert' } });
  const details = h('div', { class: 'details' });
  const form = createVoteForm({
    session,
    async cast(choice, ballot) {
      asked++;
      const answer = await calls.vote(first.id, choice, ballot).catch((error: unknown) => {
        // Whatever it was, the hold may not be what it was.
        void reload();
        throw error;
      });
      accept(answer);
      announce(
        choice === 'deny' ? `Denied: ${verbOf(answer)}.` : `Your approval counts: ${votesWords(answer)}.`,
      );
      toggle.focus();
    },
  });
  const body = h(
    'div',
    { class: 'body', id: bodyId, attributes: { hidden: '' } },
    problem,
    details,
    form.element,
  );
  const element = h(
    'article',
    { class: 'hold', id: `${options.prefix}-${first.id}` },
    h(
      'header',
      { class: 'head' },
      h(
        'div',
        { class: 'band' },
        h('p', { class: 'env' }, shown(environmentWords(first.environment))),
        h('p', { class: 'database' }, 'database ', shown(first.database)),
        clock,
      ),
      h(
        'div',
        { class: 'gist' },
        headline,
        stake,
        h(
          'p',
          { class: 'asker' },
          h('strong', null, shown(first.user)),
          ` (role ${first.role}) from `,
          first.application === '' ? 'an unnamed application' : shown(first.application),
          ' at ',
          shown(first.client),
        ),
        startLine,
        votes,
      ),
    ),
    banner,
    body,
  );

  function setExpanded(next: boolean): void {
    expanded = next;
    body.hidden = !expanded;
    startLine.hidden = expanded;
    toggle.setAttribute('aria-expanded', expanded.toString());
    element.classList.toggle('expanded', expanded);
    if (expanded) void load();
  }

  function accept(hold: Hold): void {
    summary = { ...hold, sql_start: hold.sql.slice(0, SUMMARY_CHARACTERS) };
    detail = hold;
    gone = null;
    fill(problem);
    showHead();
    const open = details.querySelector('details')?.open ?? false;
    fill(details, detailsOf(hold, now()));
    const ids = details.querySelector('details');
    if (ids !== null) ids.open = open;
    tick(live);
  }

  async function reload(): Promise<void> {
    const mine = ++asked;
    try {
      const hold = await calls.show(first.id);
      if (mine === asked) accept(hold);
    } catch (error) {
      if (mine !== asked) return;
      if (!(error instanceof CallFailed)) throw error;
      if (error.code === 'unknown_hold') {
        gone = 'It is over, and no longer kept here; the audit log has what became of it.';
        showHead();
        tick(live);
        return;
      }
      const again = h('button', { class: 'button plain', attributes: { type: 'button' } }, 'Try again');
      again.addEventListener('click', () => void reload());
      fill(problem, h('p', null, `It could not be loaded. ${error.message}`), again);
    }
  }

  function load(): Promise<void> {
    if (detail !== null) return Promise.resolve();
    loading ??= reload().finally(() => {
      loading = null;
    });
    return loading;
  }

  function showHead(): void {
    const over = gone !== null || !isOpen(summary.state);
    element.className = `hold state-${gone === null ? summary.state : 'gone'} env-${dangerOf(summary.environment)}`;
    element.classList.toggle('expanded', expanded);
    const targets = detail === null ? [] : targetsOf(detail).map(tableName);
    fill(
      toggle,
      h('span', { class: 'verb' }, verbOf(summary)),
      targets.length === 0 ? null : [' ', h('span', { class: 'target' }, shown(targets.join(', ')))],
    );
    const risk = detail === null ? null : stakeOf(detail);
    const locks = summary.in_transaction && isOpen(summary.state) && summary.style === 'wait';
    fill(
      stake,
      risk,
      locks
        ? h('span', { class: 'locks' }, risk === null ? '' : ' · ', 'keeps its locks while it waits')
        : null,
    );
    const mine = summary.may_vote.allowed ? null : summary.may_vote.reason;
    fill(
      votes,
      h('strong', null, votesWords(summary)),
      over ? null : ` · from ${summary.groups.join(', ')}`,
      over || mine === null ? null : [' · ', h('span', { class: 'not-mine' }, 'not yours to decide')],
    );
    showBanner(over);
    form.element.hidden = over || detail === null;
  }

  function showBanner(over: boolean): void {
    const words = gone ?? stateWords(detail?.state === summary.state ? detail : summary);
    if (!over && summary.state !== 'approved') {
      fill(banner);
      return;
    }
    const denial = detail?.votes.find(({ choice, reason }) => choice === 'deny' && reason !== null)?.reason;
    const { onDismiss } = options;
    fill(
      banner,
      h(
        'p',
        null,
        h('strong', null, words),
        denial === undefined || denial === null ? null : [' ', h('q', null, shown(denial))],
      ),
      over && onDismiss !== undefined
        ? h(
            'button',
            { class: 'button plain', attributes: { type: 'button' }, on: { click: onDismiss } },
            'Put away',
          )
        : null,
    );
  }

  function tick(isLive: boolean): void {
    live = isLive;
    const left = Date.parse(summary.expires_at) - now();
    const over = gone !== null || !isOpen(summary.state);
    element.classList.toggle('urgent', !over && left < URGENT_MS);
    element.classList.toggle('stale', !live);
    time.textContent = over ? (gone === null ? STATE_NAMES[summary.state] : 'over') : countdown(left);
    timeLabel.textContent = over
      ? `requested ${clockTime(summary.requested_at, now())}`
      : summary.state === 'approved'
        ? 'left to run'
        : 'left to decide';
    if (detail !== null) form.update(detail, whyDead(left));
  }

  function whyDead(left: number): string | null {
    if (!live) return STALE;
    if (gone !== null) return gone;
    if (summary.state !== 'requested') return stateWords(summary);
    if (!summary.may_vote.allowed) return summary.may_vote.reason ?? 'You may not decide about it.';
    return left <= 0 ? 'Its time is up.' : null;
  }

  showHead();
  tick(true);
  return {
    element,
    hold: () => summary,
    expanded: () => expanded,
    load,
    tick,
    expand: () => {
      setExpanded(true);
    },
    update(hold) {
      summary = hold;
      showHead();
      tick(live);
      // Votes, reasons and why it ended are not in a summary.
      if (detail !== null || expanded) void reload();
    },
    vanished: reload,
  };
}
