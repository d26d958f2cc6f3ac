/**
 * Hands changes to listeners in the order in which they happened, also when a
 * listener causes the next one: that one waits until everybody has heard of the first.
 *
 * Law: a listener that throws is a mistake in the program, which costs nobody else
 * the news.
 */
import type { HoldChange, HoldListener, HoldStore } from './store.js';

export interface Notifier {
  readonly subscribe: HoldStore['subscribe'];
  /** @param to `all`: everybody who listens; `one`: only who listens for this hold alone */
  change(change: HoldChange, to?: 'all' | 'one'): void;
  deliver(): void;
}

export function createNotifier(onListenerError: (error: unknown) => void): Notifier {
  const ofAll = new Set<HoldListener>();
  const ofOne = new Map<string, Set<HoldListener>>();
  const queue: (readonly [HoldChange, 'all' | 'one'])[] = [];
  let delivering = false;

  function tell(listener: HoldListener, change: HoldChange): void {
    try {
      listener(change);
    } catch (error) {
      onListenerError(error);
    }
  }

  return {
    subscribe(listener, id) {
      // An entry of its own for each subscription, also when one function subscribes twice.
      const entry: HoldListener = (change) => {
        listener(change);
      };
      if (id === undefined) {
        ofAll.add(entry);
        return () => {
          ofAll.delete(entry);
        };
      }
      const listeners = ofOne.get(id) ?? new Set();
      ofOne.set(id, listeners.add(entry));
      return () => {
        listeners.delete(entry);
        if (listeners.size === 0 && ofOne.get(id) === listeners) ofOne.delete(id);
      };
    },
    change(change, to = 'all') {
      queue.push([change, to]);
    },
    deliver() {
      if (delivering) return;
      delivering = true;
      try {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          const [change, to] = next;
          const one = ofOne.get(change.hold.id) ?? [];
          for (const listener of to === 'all' ? [...ofAll, ...one] : [...one]) tell(listener, change);
        }
      } finally {
        delivering = false;
      }
    },
  };
}
