/**
 * What waits, by the deadline that comes first.
 *
 * Law: it follows the stream of events and nothing else. What ends is not pulled away
 * from under somebody's eyes: it says what became of it, and goes when it is put
 * away, or after a while if nobody has opened it.
 */
import { createCard } from './card.js';
import type { Card, CardOptions } from './card.js';
import type { Message } from './event-parser.js';
import { brief } from './visible.js';
import type { HoldSummary } from './wire.js';
import { countdown, environmentWords, isOpen, stateWords, verbOf } from './words.js';

export interface WaitingOptions extends Omit<CardOptions, 'onDismiss' | 'prefix'> {
  readonly list: HTMLElement;
  /** How many wait for a decision has changed, or whether there are more than the list has. */
  readonly onCount: (waiting: number, more: boolean) => void;
}

export interface Waiting {
  receive(message: Message): void;
  tick(live: boolean): void;
  /** Shows this one with everything, open or not. */
  reveal(id: string): Promise<void>;
}

/** What is fetched before anybody opens it, so that heads can name tables. */
const FETCHED_AHEAD = 30;
/** How long an ended hold that nobody has opened stays. */
const LINGER_MS = 10_000;

export function createWaiting(options: WaitingOptions): Waiting {
  const { list, calls, announce, now, onCount } = options;
  const cards = new Map<string, Card>();
  let live = true;
  let more = false;
  let begun = false;
  let ahead: Promise<void> = Promise.resolve();

  function add(hold: HoldSummary): Card {
    const card = createCard(hold, {
      ...options,
      prefix: 'hold',
      onDismiss: () => {
        remove(hold.id);
        list.focus();
      },
    });
    const deadline = ({ expires_at: at }: HoldSummary): number => Date.parse(at);
    const [later] = [...cards.values()]
      .filter((other) => deadline(other.hold()) > deadline(hold))
      .sort((a, b) => deadline(a.hold()) - deadline(b.hold()));
    // What is there stays where it is: moving it would take the focus out of it.
    list.insertBefore(card.element, later?.element ?? null);
    cards.set(hold.id, card);
    card.tick(live);
    if (cards.size <= FETCHED_AHEAD) ahead = ahead.then(() => card.load());
    return card;
  }

  function remove(id: string): void {
    cards.get(id)?.element.remove();
    cards.delete(id);
    tell();
  }

  function ended(card: Card): void {
    const { id } = card.hold();
    setTimeout(() => {
      if (!card.expanded() && cards.get(id) === card && !isOpen(card.hold().state)) remove(id);
    }, LINGER_MS);
  }

  function learn(hold: HoldSummary): void {
    const known = cards.get(hold.id);
    if (known === undefined) {
      if (!isOpen(hold.state)) return;
      const card = add(hold);
      if (begun) announce(newWords(hold, now()));
      // The only one is what everybody came for.
      if (cards.size === 1) card.expand();
      return;
    }
    const before = known.hold().state;
    known.update(hold);
    if (before === hold.state) return;
    announce(`${verbOf(hold)} by ${hold.user}: ${stateWords(hold)}`);
    if (!isOpen(hold.state)) ended(known);
  }

  function tell(): void {
    const waiting = [...cards.values()].filter((card) => card.hold().state === 'requested');
    onCount(waiting.length, more);
  }

  return {
    receive(message) {
      if (message.event === 'open') {
        const { holds } = message.data;
        ({ more } = message.data);
        const open = new Set(holds.map(({ id }) => id));
        for (const [id, card] of cards) {
          if (open.has(id) || !isOpen(card.hold().state)) continue;
          void card.vanished().then(() => {
            tell();
            ended(card);
          });
        }
        const alone = holds.length === 1 && cards.size === 0;
        for (const hold of holds) {
          if (cards.has(hold.id)) learn(hold);
          else add(hold);
        }
        if (alone) cards.get(holds[0]?.id ?? '')?.expand();
        begun = true;
      } else if (message.event === 'hold') {
        learn(message.data.hold);
      }
      tell();
    },
    tick(isLive) {
      live = isLive;
      for (const card of cards.values()) card.tick(live);
    },
    async reveal(id) {
      // The list may bring it while it is asked for.
      const asked = cards.has(id) ? null : await calls.show(id);
      const card = cards.get(id) ?? (asked === null ? null : add(asked));
      if (card === null) return;
      tell();
      card.expand();
      card.element.scrollIntoView();
    },
  };
}

function newWords(hold: HoldSummary, now: number): string {
  const left = countdown(Date.parse(hold.expires_at) - now);
  return `New: ${verbOf(hold)} by ${brief(hold.user, 40)} in ${environmentWords(hold.environment)}, ${left} left.`;
}
