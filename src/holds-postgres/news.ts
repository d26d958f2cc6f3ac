/**
 * What this process knows of the shared holds, and whom it tells of what has changed.
 *
 * Law: each change that this process makes is told once as made here, with the
 * effects that it had; what others do is told as the difference to what was known.
 * Never a revision after a later one. A change whose COMMIT was not answered is
 * neither told nor forgotten until a row shows whether it was made.
 */
import { createDeadlines } from '../holds/deadlines.js';
import type { Deadlines } from '../holds/deadlines.js';
import { isOpen } from '../holds/hold.js';
import type { Hold, HoldState, Withdrawal } from '../holds/hold.js';
import type { HoldEffect } from '../holds/life-cycle.js';
import { createNotifier } from '../holds/notifier.js';
import type { HoldStore } from '../holds/store.js';
import type { Kept } from './rows.js';

/** A change of this process that may have been committed. */
export interface Unsure {
  readonly after: Kept;
  readonly effects: readonly HoldEffect[];
}

interface Known {
  readonly revision: number;
  readonly state: HoldState;
  readonly votes: number;
}

export interface News {
  readonly subscribe: HoldStore['subscribe'];
  readonly watch: HoldStore['watch'];
  readonly unwatch: HoldStore['unwatch'];
  /** This process has changed a hold. */
  changed(change: Unsure): void;
  /** This process may have changed a hold. */
  unsure(change: Unsure): void;
  /** The hold as it is. @param locked no change of it can be under way */
  seen(kept: Kept, locked: boolean): void;
  /** There is no such hold. @param locked none can be about to be there */
  absent(id: string, locked: boolean): void;
  /** Takes note of a hold without telling anybody. */
  learn(kept: Kept): void;
  /** Tells whoever waits for this hold, and nobody else, that it is no use to wait. */
  giveUp(id: string, reason: Withdrawal, at: number): void;
  /** Ids of changes that may have been made. */
  readonly unsureIds: readonly string[];
  /** Open holds that this process knows, with their revisions. */
  readonly open: ReadonlyMap<string, { readonly revision: number }>;
  /** The open ones of this process's own sessions. */
  readonly own: ReadonlyMap<string, Hold>;
  /** The deadlines of those. */
  readonly deadlines: Deadlines;
  /** The revision that was last told; 0: none. */
  revision(id: string): number;
}

/** Closed holds whose last revision is remembered, so that late notifications of them are no news. */
const MOST_ENDED = 2_000;

/** @param onOwn a hold of this process's sessions was requested, or has changed */
export function createNews(me: string, onOwn: () => void, onListenerError: (error: unknown) => void): News {
  const notifier = createNotifier(onListenerError);
  const open = new Map<string, Known>();
  const ended = new Map<string, number>();
  const own = new Map<string, Hold>();
  const deadlines = createDeadlines();
  const pending = new Map<string, Unsure>();

  const revisionOf = (id: string): number => open.get(id)?.revision ?? ended.get(id) ?? 0;

  function remember({ hold, revision, owner }: Kept): void {
    const { id } = hold;
    const before = own.get(id);
    if (before !== undefined) deadlines.remove(before.expiresAt, id);
    if (isOpen(hold.state)) {
      open.set(id, { revision, state: hold.state, votes: hold.votes.length });
      if (owner === me) {
        own.set(id, hold);
        deadlines.add(hold.expiresAt, id);
      }
    } else {
      open.delete(id);
      own.delete(id);
      ended.set(id, revision);
      const [oldest] = ended.keys();
      if (ended.size > MOST_ENDED && oldest !== undefined) ended.delete(oldest);
    }
    if (owner === me) onOwn();
  }

  function tell(kept: Kept, effects: readonly HoldEffect[], here: boolean): void {
    // A later revision that was told stays what is known.
    if (kept.revision > revisionOf(kept.hold.id)) remember(kept);
    notifier.change({ hold: kept.hold, effects, here, own: kept.owner === me });
    notifier.deliver();
  }

  /** What became of a change that may have been made. */
  function settle({ revision, changedBy, hold }: Kept, locked: boolean): void {
    const unsure = pending.get(hold.id);
    if (unsure === undefined) return;
    const { after, effects } = unsure;
    if (revision < after.revision && !locked) return;
    pending.delete(hold.id);
    if (changedBy[after.revision - 1] === me) tell(after, effects, true);
  }

  return {
    subscribe: notifier.subscribe,
    watch: notifier.watch,
    unwatch: notifier.unwatch,
    changed: ({ after, effects }) => {
      tell(after, effects, true);
    },
    unsure: (change) => {
      pending.set(change.after.hold.id, change);
    },
    seen(kept, locked) {
      settle(kept, locked);
      const { hold, revision } = kept;
      if (revision <= revisionOf(hold.id)) return;
      tell(kept, difference(open.get(hold.id) ?? null, hold), false);
    },
    absent(id, locked) {
      if (locked) pending.delete(id);
      const hold = own.get(id);
      const known = open.get(id);
      open.delete(id);
      if (hold === undefined || known === undefined) return;
      // Somebody has removed it by hand.
      const gone: Hold = { ...hold, state: 'withdrawn', withdrawal: 'store_gone', closedAt: hold.expiresAt };
      const kept: Kept = { hold: gone, revision: known.revision + 1, owner: me, changedBy: [] };
      const waitedMs = Math.max(0, hold.expiresAt - hold.requestedAt);
      tell(kept, [{ kind: 'entered', from: known.state, to: 'withdrawn', waitedMs }], true);
    },
    learn(kept) {
      if (kept.revision > revisionOf(kept.hold.id)) remember(kept);
    },
    giveUp(id, reason, at) {
      const hold = own.get(id);
      if (hold === undefined) return;
      deadlines.remove(hold.expiresAt, id);
      const over: Hold = { ...hold, state: 'withdrawn', withdrawal: reason, closedAt: at };
      notifier.change({ hold: over, effects: [], here: false, own: true }, 'one');
      notifier.deliver();
    },
    get unsureIds() {
      return [...pending.keys()];
    },
    open,
    own,
    deadlines,
    revision: revisionOf,
  };
}

/** What must have happened since. */
function difference(before: Known | null, hold: Hold): readonly HoldEffect[] {
  const effects: HoldEffect[] = hold.votes.slice(before?.votes ?? 0).map((vote) => ({ kind: 'voted', vote }));
  if (before?.state !== hold.state) {
    const at = hold.closedAt ?? hold.approvedAt ?? hold.requestedAt;
    effects.push({
      kind: 'entered',
      from: before?.state ?? null,
      to: hold.state,
      waitedMs: Math.max(0, at - hold.requestedAt),
    });
  }
  return effects;
}
