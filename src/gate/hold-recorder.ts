/**
 * What becomes of holds, handed to the audit log and counted.
 *
 * Of several processes that share a store each records what happened in it (a vote
 * where it was cast, a release where it runs), so that the logs together have
 * everything once; and each counts the holds of its own sessions, whoever changed
 * them, so that the counts of all add up.
 *
 * Law: it listens and decides nothing, and nothing here waits by itself: whoever
 * forwards a released statement, or tells an approver that the vote counts, asks
 * for `durable` and waits.
 */
import { holdBody, refusedVoteBody, releaseBody, voteBody } from '../audit/records-holds.js';
import type { RefusedVote } from '../audit/records-holds.js';
import type { AuditLog } from '../audit/writer.js';
import type { HoldStore } from '../holds/store.js';
import type { Metrics } from '../metrics.js';

export interface HoldRecorderOptions {
  readonly store: Pick<HoldStore, 'subscribe'>;
  readonly audit: Pick<AuditLog, 'append' | 'whenDurable'>;
  readonly metrics: Pick<Metrics, 'holds' | 'holdWaitSeconds' | 'auditRecords'>;
}

export interface HoldRecorder {
  /** Records an attempt to vote that did not count. */
  refusedVote(vote: RefusedVote): void;
  /** Resolves when everything recorded so far is durable. @throws when it could not be written */
  durable(): Promise<void>;
  stop(): void;
}

/**
 * Make this before anybody else subscribes: a listener that forwards what was
 * released must find the release in the audit log's queue.
 */
export function createHoldRecorder({ store, audit, metrics }: HoldRecorderOptions): HoldRecorder {
  const append = (kind: 'hold' | 'vote' | 'release', body: string): void => {
    audit.append(body);
    metrics.auditRecords.child(kind).inc();
  };
  const stop = store.subscribe(({ hold, effects, here, own }) => {
    for (const effect of effects) {
      if (effect.kind === 'voted') {
        if (here) append('vote', voteBody({ hold, vote: effect.vote }));
        continue;
      }
      const { from, to, waitedMs } = effect;
      if (here && to === 'released') append('release', releaseBody(hold, waitedMs));
      else if (here) append('hold', holdBody(hold, waitedMs));
      if (!own) continue;
      if (from !== null) metrics.holds.child(from).dec();
      metrics.holds.child(to).inc();
      // People's part ends with their decision; how soon a ticket is used says nothing about them.
      if (from === 'requested') metrics.holdWaitSeconds.observe(waitedMs / 1000);
    }
  });
  return {
    stop,
    refusedVote: (vote) => {
      append('vote', refusedVoteBody(vote));
    },
    durable: () =>
      new Promise((resolve, reject) => {
        audit.whenDurable((error) => {
          if (error === null) resolve();
          else reject(error);
        });
      }),
  };
}
