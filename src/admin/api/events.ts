/**
 * Changes of holds, and what is spent of write budgets, as server-sent events (WHATWG
 * HTML, "Server-sent events").
 *
 * Law: a stream lives only as long as its token, or its session, is one: each event
 * asks the policy in force again, for the person and for what they may see. Streams are few and
 * their backlog is bounded; a reader that is too slow is cut off and comes again,
 * and every stream begins with what is open. Nobody says when a budget changes: they
 * are looked at with each sign of life.
 */
import { Readable } from 'node:stream';
import type { HoldChange, HoldStore } from '../../holds/store.js';
import { maySee } from '../../holds/eligibility.js';
import { OPEN_STATES } from '../../holds/hold.js';
import type { HoldState } from '../../holds/hold.js';
import type { Approver } from '../../policy/types.js';
import type { Caller } from './authentication.js';
import { MAX_LISTED } from './schemas.js';
import type { BudgetListView, HoldListView, HoldSummaryView } from './schemas.js';
import { summaryView } from './views.js';

export interface EventStreamsOptions {
  readonly store: HoldStore;
  /** What this caller may see of write budgets. */
  readonly budgets: (approver: Approver) => BudgetListView;
  /** The caller as the policy has them now; null: nobody any more. */
  readonly current: (caller: Caller) => Approver | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Between two signs of life; the admin port ends connections that are silent for longer. */
  readonly heartbeatMs: number;
  readonly onError: (error: unknown) => void;
}

export interface EventStreams {
  /** A stream for this caller; null: there are too many. */
  open(caller: Caller): Readable | null;
}

/** What the data of a `hold` event is. */
export interface HoldEventView {
  readonly change: HoldState | 'voted';
  readonly hold: HoldSummaryView;
}

const MAX_STREAMS = 16;
const MAX_STREAMS_OF_ONE = 4;
const MAX_BACKLOG_BYTES = 1024 ** 2;
const RECONNECT_MS = 3_000;

export function createEventStreams(options: EventStreamsOptions): EventStreams {
  const { store, budgets, current, now, heartbeatMs, onError } = options;
  const streams = new Map<Readable, string>();

  function room(tokenSha256: string): boolean {
    const ofOne = [...streams.values()].filter((token) => token === tokenSha256).length;
    return streams.size < MAX_STREAMS && ofOne < MAX_STREAMS_OF_ONE;
  }

  function start(stream: Readable, opener: Caller): void {
    /** Changes that came before the list of open holds was sent. */
    let early: HoldChange[] | null = [];

    const send = (text: string): void => {
      if (stream.destroyed) return;
      if (stream.readableLength + text.length > MAX_BACKLOG_BYTES) stream.destroy();
      else stream.push(text);
    };
    /** The caller as the policy has them now; without one the stream ends. */
    const caller = (): Approver | null => {
      const approver = current(opener);
      if (approver === null) stream.push(null);
      return approver;
    };
    const tell = ({ hold, effects }: HoldChange): void => {
      const approver = caller();
      if (approver === null || !maySee(hold, approver)) return;
      const entered = effects.find((effect) => effect.kind === 'entered');
      const data: HoldEventView = {
        change: entered?.to ?? 'voted',
        hold: summaryView(hold, approver, now()),
      };
      send(event('hold', data));
    };

    /** The data of the last `budgets` event. */
    let told = '';
    const tellBudgets = (approver: Approver): void => {
      const list = budgets(approver);
      const data = JSON.stringify(list);
      if (data === told) return;
      told = data;
      send(event('budgets', list));
    };

    const unsubscribe = store.subscribe((change) => {
      if (early === null) tell(change);
      else early.push(change);
    });
    const heartbeat = setInterval(() => {
      const approver = caller();
      if (approver === null) return;
      send(':\n\n');
      // What is sent before the list of open holds would not be what the stream begins with.
      if (early === null) tellBudgets(approver);
    }, heartbeatMs);
    heartbeat.unref();
    const end = (): void => {
      clearInterval(heartbeat);
      unsubscribe();
      streams.delete(stream);
    };
    stream.on('close', end);
    stream.on('end', end);

    const begin = async (): Promise<void> => {
      const approver = caller();
      if (approver === null) return;
      const { holds, more } = await store.list({
        states: OPEN_STATES,
        visibleTo: approver,
        limit: MAX_LISTED,
      });
      const list: HoldListView = { holds: holds.map((hold) => summaryView(hold, approver, now())), more };
      send(`retry: ${RECONNECT_MS.toString()}\n${event('open', list)}`);
      tellBudgets(approver);
      const missed = early ?? [];
      early = null;
      for (const change of missed) tell(change);
    };
    begin().catch((error: unknown) => {
      onError(error);
      stream.destroy();
    });
  }

  return {
    open(opener) {
      if (!room(opener.tokenSha256)) return null;
      const stream = new Readable({
        read() {
          // Events are pushed when they happen; there is nothing to fetch.
        },
      });
      streams.set(stream, opener.tokenSha256);
      start(stream, opener);
      return stream;
    },
  };
}

function event(
  name: 'open' | 'hold' | 'budgets',
  data: HoldListView | HoldEventView | BudgetListView,
): string {
  // One line: JSON has no raw line ends.
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
