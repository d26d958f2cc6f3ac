/**
 * The approvals page: signing in and out, the two views, whether it is live.
 *
 * Law: one place knows the session. Without one nothing of a hold is on the page:
 * whoever signs out, or is signed out, leaves an empty one.
 */
import { createBudgets } from './budgets.js';
import { CallFailed, createCalls } from './calls.js';
import { byId, fill, h } from './dom.js';
import { createHistory } from './history.js';
import { createServerClock } from './server-clock.js';
import { follow } from './stream.js';
import { shown } from './text.js';
import { createWaiting } from './waiting.js';
import type { Session } from './wire.js';
import { clockTime } from './words.js';

const TITLE = 'Holdfast approvals';
const ENDED = 'Your session has ended. Sign in again.';
const TICK_MS = 500;
/** Whoever reads for an hour uses the page, too. */
const KEEP_ALIVE_MS = 300_000;

const local = (): number => Date.now();
const clock = createServerClock(local);
const calls = createCalls(clock, local, () => {
  signedOut(ENDED);
});

const form = byId('sign-in-form');
const token = byId('token') as HTMLInputElement;
const signInProblem = byId('sign-in-problem');
const notice = byId('notice');
const connection = byId('connection');

/** Ends what the session that is on the page has started. */
let leave: (() => void) | null = null;

function announce(words: string): void {
  byId('announcements').textContent = words;
}

function signedOut(words: string): void {
  leave?.();
  leave = null;
  calls.forget();
  document.title = TITLE;
  byId('app').hidden = true;
  byId('person').hidden = true;
  byId('views').hidden = true;
  notice.hidden = true;
  fill(connection);
  connection.className = 'connection';
  byId('sign-in').hidden = false;
  signInProblem.textContent = words;
  token.focus();
}

function signedIn(session: Session): void {
  byId('sign-in').hidden = true;
  byId('app').hidden = false;
  byId('person').hidden = false;
  byId('views').hidden = false;
  fill(byId('who'), h('strong', null, shown(session.name)), ` · ${session.groups.join(', ')}`);
  // New elements: nothing of an earlier session is left in them.
  const waitingList = renewed('waiting-list');
  const historyList = renewed('history-list');
  const budgetsList = renewed('budgets-list');
  const search = renewed('history-search') as HTMLInputElement;
  const state = renewed('history-state') as HTMLSelectElement;

  const shared = { calls, session, now: () => clock.now(), announce };
  const history = createHistory({
    ...shared,
    list: historyList,
    status: byId('history-status'),
    search,
    state,
  });
  const waiting = createWaiting({
    ...shared,
    list: waitingList,
    onCount: (count, more) => {
      document.title = count === 0 ? TITLE : `(${count.toString()}${more ? '+' : ''}) ${TITLE}`;
      byId('waiting-count').textContent = count.toString();
      byId('nothing').hidden = waitingList.childElementCount > 0;
      byId('more').hidden = !more;
    },
  });

  const budgets = createBudgets({
    ...shared,
    section: byId('budgets') as HTMLDetailsElement,
    summary: byId('budgets-summary'),
    list: budgetsList,
    more: byId('budgets-more'),
    home: byId('main'),
    onCount: (tripped) => {
      byId('to-budgets').hidden = tripped === 0;
      byId('budgets-count').textContent = tripped.toString();
    },
  });

  let lostAt: number | null = null;
  let live = false;
  let lastKeptAlive = local();

  const showLive = (): void => {
    live = true;
    lostAt = null;
    notice.hidden = true;
    connection.className = 'connection live';
    fill(connection, h('span', { class: 'dot' }), 'Live');
    waiting.tick(true);
    budgets.tick(true);
  };
  const showLost = (words: string): void => {
    live = false;
    lostAt ??= clock.now();
    connection.className = 'connection lost';
    fill(connection, h('span', { class: 'dot' }), 'Reconnecting …');
    notice.hidden = false;
    const since = clockTime(new Date(lostAt).toISOString(), clock.now());
    fill(
      notice,
      h('strong', null, `Not live since ${since}. `),
      `What is below may be out of date. ${words}`,
    );
    waiting.tick(false);
    budgets.tick(false);
  };

  function showView(): void {
    // The link that skips to the holds is no view.
    if (location.hash === '#main') return;
    const past = location.hash === '#history';
    byId('waiting').hidden = past;
    byId('history').hidden = !past;
    byId('to-waiting').setAttribute('aria-current', past ? 'false' : 'page');
    byId('to-history').setAttribute('aria-current', past ? 'page' : 'false');
    if (past) void history.load();
    // It may have been out of sight until now.
    if (location.hash === '#budgets') byId('budgets').scrollIntoView();
    const id = /^#hold-([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
    if (id !== undefined) {
      waiting.reveal(id).catch((error: unknown) => {
        announce(error instanceof CallFailed ? error.message : 'The page failed; reload it.');
      });
    }
  }

  function keepAlive(): void {
    if (local() - lastKeptAlive < KEEP_ALIVE_MS) return;
    lastKeptAlive = local();
    // Whether it has ended is told by the call itself, and that nobody answers by the stream.
    calls.resume().catch(() => undefined);
  }

  fill(connection, h('span', { class: 'dot' }), 'Connecting …');
  const stop = follow({
    open: (signal) => calls.events(signal),
    onMessage: (message) => {
      if (message.event === 'budgets') budgets.receive(message.data);
      else waiting.receive(message);
      const over = message.event === 'hold' && !['requested', 'voted'].includes(message.data.change);
      if (over && location.hash === '#history') void history.load();
    },
    onLive: () => {
      const first = !live && lostAt === null;
      showLive();
      if (first) showView();
    },
    onLost: showLost,
    onSignedOut: () => {
      signedOut(ENDED);
    },
  });
  const ticking = setInterval(() => {
    waiting.tick(live);
    budgets.tick(live);
  }, TICK_MS);
  window.addEventListener('hashchange', showView);
  document.addEventListener('pointerdown', keepAlive);
  document.addEventListener('keydown', keepAlive);
  showView();

  leave = () => {
    stop();
    clearInterval(ticking);
    window.removeEventListener('hashchange', showView);
    document.removeEventListener('pointerdown', keepAlive);
    document.removeEventListener('keydown', keepAlive);
    byId('budgets').hidden = true;
    byId('to-budgets').hidden = true;
    for (const id of ['waiting-list', 'history-list', 'budgets-list', 'who', 'announcements']) fill(byId(id));
  };
}

/** The element, replaced by one that nobody listens to. */
function renewed(id: string): HTMLElement {
  const old = byId(id);
  const fresh = old.cloneNode(old instanceof HTMLSelectElement) as HTMLElement;
  old.replaceWith(fresh);
  return fresh;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  signInProblem.textContent = '';
  const given = token.value.trim();
  token.value = '';
  calls.signIn(given).then(signedIn, (error: unknown) => {
    signInProblem.textContent =
      error instanceof CallFailed
        ? error.code === 'unauthenticated'
          ? 'That is not the token of an approver in the policy in force.'
          : error.message
        : 'The page failed; reload it.';
    token.focus();
  });
});

byId('sign-out').addEventListener('click', () => {
  calls.signOut().then(
    () => {
      signedOut('You are signed out.');
    },
    (error: unknown) => {
      if (error instanceof CallFailed && error.code === 'unauthenticated') return;
      const words = error instanceof CallFailed ? error.message : '';
      fill(notice, h('strong', null, 'You are still signed in. '), words);
      notice.hidden = false;
    },
  );
});

function start(): void {
  calls.resume().then(
    (session) => {
      if (session !== null) signedIn(session);
      // One that has ended has said so already.
      else if (byId('sign-in').hidden) signedOut('');
    },
    (error: unknown) => {
      signedOut(error instanceof CallFailed ? error.message : 'The page failed; reload it.');
    },
  );
}

start();
