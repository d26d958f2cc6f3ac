/**
 * Hands changes to listeners in the order in which they happened, also when a
 * listener causes the next one: that one waits until everybody has heard of the first.
 *
 * Law: a listener that throws is a mistake in the program, which costs nobody else
 * the news.
 */
import type { HoldChange, HoldListener, HoldStore, HoldWatcher } from './store.js';

export interface Notifier {
  readonly subscribe: HoldStore['subscribe'];
  readonly watch: HoldStore['watch'];
  readonly unwatch: HoldStore['unwatch'];
  /** @param to `all`: everybody who listens; `one`: only who watches this hold */
  change(change: HoldChange, to?: 'all' | 'one'): void;
  deliver(): void;
}

export function createNotifier(onListenerError: (error: unknown) => void): Notifier {
  const ofAll = new Set<HoldListener>();
  const watchers = new Map<string, HoldWatcher>();
  const queue: (readonly [HoldChange, 'all' | 'one'])[] = [];
  let delivering = false;

  function guarded(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      onListenerError(error);
    }
  }

  return {
    subscribe(listener) {
      // An entry of its own for each subscription, also when one function subscribes twice.
      const entry: HoldListener = (change) => {
        listener(change);
      };
      ofAll.add(entry);
      return () => {
        ofAll.delete(entry);
      };
    },
    watch(id, watcher) {
      watchers.set(id, watcher);
    },
    unwatch(id, watcher) {
      if (watchers.get(id) === watcher) watchers.delete(id);
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
          const watcher = watchers.get(change.hold.id);
          if (to === 'all') {
            for (const listener of [...ofAll]) {
              guarded(() => {
                listener(change);
              });
            }
          }
          if (watcher !== undefined) {
            guarded(() => {
              watcher.changed(change.hold);
            });
          }
        }
      } finally {
        delivering = false;
      }
    },
  };
}
