/** What is over: the closed holds that Holdfast still has, with a filter. Read when it is opened and when something ends. */
import { CallFailed } from './calls.js';
import { createCard } from './card.js';
import type { Card, CardOptions } from './card.js';
import { fill, h } from './dom.js';
import { count } from './visible.js';
import type { HoldSummary } from './wire.js';

export interface HistoryOptions extends Omit<CardOptions, 'onDismiss' | 'prefix'> {
  readonly list: HTMLElement;
  readonly status: HTMLElement;
  readonly search: HTMLInputElement;
  readonly state: HTMLSelectElement;
}

export interface History {
  load(): Promise<void>;
}

const MOST = 200;
const FETCHED_AHEAD = 20;

export function createHistory(options: HistoryOptions): History {
  const { calls, list, status, search, state } = options;
  const cards = new Map<string, Card>();
  let more = false;

  function show(): void {
    const words = search.value
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    let found = 0;
    for (const card of cards.values()) {
      const hold = card.hold();
      const text = searched(hold);
      const fits =
        (state.value === 'all' || hold.state === state.value) && words.every((word) => text.includes(word));
      card.element.hidden = !fits;
      if (fits) found++;
    }
    const all = `${count(cards.size, 'closed hold')}${more ? ', the latest' : ''}`;
    status.textContent =
      cards.size === 0
        ? 'Nothing is over yet. Holdfast forgets closed holds after a while and when it restarts; the audit log keeps them.'
        : `${found === cards.size ? all : `${found.toString()} of ${all}`}. Older ones are in the audit log.`;
  }

  /** Those that are seen first, so that their heads name tables and say why they ended. */
  async function ahead(): Promise<void> {
    for (const card of [...cards.values()].slice(0, FETCHED_AHEAD)) await card.load();
  }

  async function load(): Promise<void> {
    try {
      const answer = await calls.list(`state=closed&limit=${MOST.toString()}`);
      ({ more } = answer);
      const ids = new Set(answer.holds.map(({ id }) => id));
      for (const [id, card] of cards) {
        if (ids.has(id)) continue;
        card.element.remove();
        cards.delete(id);
      }
      // Latest first: what is new goes before what is there.
      let next = list.firstElementChild;
      for (const hold of answer.holds) {
        const known = cards.get(hold.id);
        if (known !== undefined) {
          next = known.element.nextElementSibling;
          continue;
        }
        const card = createCard(hold, { ...options, prefix: 'past' });
        cards.set(hold.id, card);
        list.insertBefore(card.element, next);
      }
      show();
      await ahead();
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      fill(status, h('strong', null, 'The history could not be read. '), error.message);
    }
  }

  search.addEventListener('input', show);
  state.addEventListener('change', show);
  return { load };
}

function searched(hold: HoldSummary): string {
  return [
    hold.id,
    hold.user,
    hold.role,
    hold.database,
    hold.application,
    hold.client,
    hold.environment,
    hold.sql_start ?? '',
    ...hold.operations,
    ...hold.rules,
  ]
    .join('\n')
    .toLowerCase();
}
