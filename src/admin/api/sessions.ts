/**
 * Sessions of the approvals page: what a browser holds instead of a token.
 *
 * Law: a session is never more than the credential that it was opened with, and
 * knows that by its SHA-256 alone; whose that is now the policy says, at every call.
 * It takes two secrets. The id travels in a cookie that no script can read; but
 * cookies know no ports, so every other server on the same host is sent it, too. The
 * key travels in a header and is known to the page alone: each is worth nothing
 * without the other.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

/** A session as its owner knows it. */
export interface OpenSession {
  /** The cookie's value. */
  readonly id: string;
  /** The header's value. */
  readonly key: string;
  /** When it ends whatever happens, milliseconds since 1970. */
  readonly endsAt: number;
}

/** A session as the rest knows it. */
export interface KnownSession {
  /** Names it without being a secret. */
  readonly handle: string;
  readonly tokenSha256: string;
}

export interface Sessions {
  /**
   * A session for this credential: the one with this id if it is that already, so
   * that a browser's windows share one, else a new one. Its time begins anew.
   */
  open(tokenSha256: string, id: string | null): OpenSession;
  /** Whose session this is; counts as use. null: it is none, or has ended. */
  use(id: string, key: string): KnownSession | null;
  /** Whether it goes on; does not count as use. */
  alive(handle: string): boolean;
  /** The session itself, for its owner; null: it has ended. */
  show(handle: string): OpenSession | null;
  /** Ends it, if it has not ended. */
  close(handle: string): void;
}

export interface SessionLimits {
  /** From sign-in to the end, milliseconds. */
  readonly lifetimeMs: number;
  /** Without any call, milliseconds. */
  readonly idleMs: number;
  /** Of one credential; the one that was used longest ago makes room. */
  readonly ofOne: number;
  readonly inAll: number;
}

const SESSION_LIMITS: SessionLimits = {
  lifetimeMs: 8 * 3_600_000,
  idleMs: 3_600_000,
  ofOne: 8,
  inAll: 1_000,
};

export interface SessionsOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** So many bytes that nobody can guess. */
  readonly randomBytes: (count: number) => Uint8Array;
  readonly limits?: Partial<SessionLimits>;
}

interface Entry extends OpenSession {
  readonly tokenSha256: string;
  endsAt: number;
  usedAt: number;
}

const SECRET_BYTES = 32;

/** Sessions in this process: another one does not know them, and they end with it. */
export function createSessions({ now, randomBytes, limits }: SessionsOptions): Sessions {
  const { lifetimeMs, idleMs, ofOne, inAll }: SessionLimits = { ...SESSION_LIMITS, ...limits };
  /** By handle, the one that was used longest ago first. */
  const entries = new Map<string, Entry>();

  function find(handle: string): Entry | null {
    const entry = entries.get(handle);
    if (entry === undefined) return null;
    const time = now();
    if (time < entry.endsAt && time < entry.usedAt + idleMs) return entry;
    entries.delete(handle);
    return null;
  }

  function touch(handle: string, entry: Entry): void {
    entry.usedAt = now();
    entries.delete(handle);
    entries.set(handle, entry);
  }

  function makeRoom(tokenSha256: string): void {
    for (const handle of [...entries.keys()]) find(handle);
    const own = [...entries].filter(([, entry]) => entry.tokenSha256 === tokenSha256);
    const [oldest] = own.length >= ofOne ? own.map(([handle]) => handle) : entries.keys();
    if (oldest !== undefined && (own.length >= ofOne || entries.size >= inAll)) entries.delete(oldest);
  }

  return {
    open(tokenSha256, presented) {
      const known = presented === null ? null : find(handleOf(presented));
      if (presented !== null && known?.tokenSha256 === tokenSha256) {
        touch(handleOf(presented), known);
        known.endsAt = now() + lifetimeMs;
        return known;
      }
      makeRoom(tokenSha256);
      const time = now();
      const entry: Entry = {
        id: secret(randomBytes),
        key: secret(randomBytes),
        endsAt: time + lifetimeMs,
        tokenSha256,
        usedAt: time,
      };
      entries.set(handleOf(entry.id), entry);
      return entry;
    },
    use(id, key) {
      const handle = handleOf(id);
      const entry = find(handle);
      if (entry === null || !same(entry.key, key)) return null;
      touch(handle, entry);
      return { handle, tokenSha256: entry.tokenSha256 };
    },
    alive: (handle) => find(handle) !== null,
    show: find,
    close(handle) {
      entries.delete(handle);
    },
  };
}

/** Ids are looked up by their hash: the time of the look-up then tells nothing about them. */
function handleOf(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}

function same(known: string, presented: string): boolean {
  const a = Buffer.from(known);
  const b = Buffer.from(presented);
  return a.length === b.length && timingSafeEqual(a, b);
}

function secret(randomBytes: SessionsOptions['randomBytes']): string {
  return Buffer.from(randomBytes(SECRET_BYTES)).toString('base64url');
}
