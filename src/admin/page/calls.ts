/**
 * Calls of the API, with the session's key.
 *
 * Law: the token is used once, to sign in, and kept nowhere. The key is kept for this
 * window alone (sessionStorage), the cookie is out of a script's reach; neither is
 * worth anything without the other. Every failure has words for a person.
 */
import type { ServerClock } from './server-clock.js';
import type { Budget, BudgetReset, Hold, HoldList, Problem, Session, Vote } from './wire.js';

/** The API said no, or nothing. */
export class CallFailed extends Error {
  /** `unreachable`: there was no answer, or none that is Holdfast's. */
  readonly code: string;
  /** When it may be tried again, milliseconds from now; null: it does not say. */
  readonly retryMs: number | null;

  constructor({ code, message, hint }: Problem, retryMs: number | null = null) {
    super(hint === null ? message : `${message} ${hint}`);
    this.code = code;
    this.retryMs = retryMs;
  }
}

export interface Ballot {
  readonly reason: string;
  /** One-time code; empty: none. */
  readonly totp: string;
}

export interface Calls {
  signIn(token: string): Promise<Session>;
  /** The session that this window has; null: it has none, or it has ended. */
  resume(): Promise<Session | null>;
  signOut(): Promise<void>;
  list(query: string): Promise<HoldList>;
  show(id: string): Promise<Hold>;
  vote(id: string, choice: Vote['choice'], ballot: Ballot): Promise<Hold>;
  /** Forgets what a user of a role has spent of a write budget. */
  resetBudget(of: Pick<Budget, 'role' | 'user'>, ballot: Ballot): Promise<BudgetReset>;
  /** The stream of events: an answer whose body does not end. */
  events(signal: AbortSignal): Promise<Response>;
  /** Ends what this window knows of the session. */
  forget(): void;
}

const KEY = 'holdfast-session-key';
const KEY_HEADER = 'x-holdfast-session';

const UNREACHABLE: Problem = {
  code: 'unreachable',
  message: 'Holdfast cannot be reached.',
  hint: null,
};

/**
 * @param local this machine's time, milliseconds since 1970
 * @param onSignedOut the session of this window has ended
 */
export function createCalls(clock: ServerClock, local: () => number, onSignedOut: () => void): Calls {
  async function call(path: string, init: RequestInit = {}): Promise<Response> {
    const sentAt = local();
    const headers = new Headers(init.headers);
    const key = sessionStorage.getItem(KEY);
    if (key !== null && !headers.has('authorization')) headers.set(KEY_HEADER, key);
    const options: RequestInit = { ...init, headers, cache: 'no-store', redirect: 'error' };
    const response = await fetch(`/api/${path}`, options).catch(() => {
      throw new CallFailed(UNREACHABLE);
    });
    clock.learn(response.headers.get('date'), sentAt, local());
    if (response.ok) return response;
    const retry = Number(response.headers.get('retry-after'));
    const problem = await problemOf(response);
    if (problem.code === 'unauthenticated' && headers.has(KEY_HEADER)) {
      forget();
      onSignedOut();
    }
    throw new CallFailed(problem, retry > 0 ? retry * 1000 : null);
  }

  async function read<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await call(path, init);
    return response.json().catch(() => {
      throw new CallFailed(UNREACHABLE);
    }) as Promise<T>;
  }

  const post = (body: object): RequestInit => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

  function forget(): void {
    sessionStorage.removeItem(KEY);
  }

  return {
    forget,
    async signIn(token) {
      // What is no token cannot even be sent as a header.
      if (!/^[\x21-\x7e]+$/.test(token))
        throw new CallFailed({ code: 'invalid', message: 'That is no token.', hint: null });
      const session = await read<Session>('session', {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      });
      sessionStorage.setItem(KEY, session.key);
      return session;
    },
    async resume() {
      // Without a key there is nothing to ask: a call would count as one with a wrong token.
      if (sessionStorage.getItem(KEY) === null) return null;
      try {
        return await read<Session>('session');
      } catch (error) {
        if (!(error instanceof CallFailed) || error.code !== 'unauthenticated') throw error;
        return null;
      }
    },
    async signOut() {
      await call('session', { method: 'DELETE' });
      forget();
    },
    list: (query) => read(`holds?${query}`),
    show: (id) => read(`holds/${encodeURIComponent(id)}`),
    vote: (id, choice, ballot) => read(`holds/${encodeURIComponent(id)}/${choice}`, post(said(ballot))),
    resetBudget: ({ role, user }, ballot) => read('budgets/reset', post({ role, user, ...said(ballot) })),
    events: (signal) => call('events', { signal }),
  };
}

/** What is empty is left out. */
function said({ reason, totp }: Ballot): Partial<Ballot> {
  return { ...(reason === '' ? {} : { reason }), ...(totp === '' ? {} : { totp }) };
}

async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null);
  const error = (body as { readonly error?: Partial<Problem> } | null)?.error;
  if (typeof error?.code === 'string' && typeof error.message === 'string')
    return { code: error.code, message: error.message, hint: error.hint ?? null };
  return {
    code: 'unreachable',
    message: `Something that is not Holdfast answered, with status ${response.status.toString()}.`,
    hint: 'A proxy before it may be at fault.',
  };
}
