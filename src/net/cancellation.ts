/**
 * Cancel requests. Clients know the server's process id and a secret of Holdfast's
 * own; a request with the right secret is passed on to the session it names, which
 * forwards it only while the statement it was meant for is still running.
 */
import { timingSafeEqual } from 'node:crypto';

export interface Cancellable {
  readonly secret: Buffer;
  /** The session's id, for the record. */
  readonly id: string;
  /** @returns whether there is something to cancel */
  cancel(): boolean;
}

/** Behind an interface, since several processes may one day share one listening port. */
export interface CancelRegistry {
  add(processId: number, session: Cancellable): void;
  remove(processId: number, session: Cancellable): void;
  /** @returns the session that the key belongs to; null when there is none */
  find(processId: number, secret: Buffer): Cancellable | null;
}

export function createCancelRegistry(): CancelRegistry {
  // Process ids repeat behind a pooler, so one id may stand for several sessions.
  const sessions = new Map<number, Set<Cancellable>>();
  return {
    add(processId, session) {
      const known = sessions.get(processId);
      if (known === undefined) sessions.set(processId, new Set([session]));
      else known.add(session);
    },
    remove(processId, session) {
      const known = sessions.get(processId);
      if (known?.delete(session) === true && known.size === 0) sessions.delete(processId);
    },
    find(processId, secret) {
      let found: Cancellable | null = null;
      for (const session of sessions.get(processId) ?? []) {
        // Every key of this process id is compared, each in constant time.
        const equal = session.secret.length === secret.length && timingSafeEqual(session.secret, secret);
        if (equal) found = session;
      }
      return found;
    },
  };
}
