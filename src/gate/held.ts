/**
 * The hold of the message at hand: requesting → waiting → approved → released, or
 * refused at any of these.
 *
 * Law: a message is released only by the store, for the fingerprint of the bytes that
 * are at hand then, and passes only when that is durable; one release, one run. While
 * the store or people are asked, the message waits, and is asked about again from the
 * start when there is news. Whatever goes wrong refuses. It judges nothing.
 */
import { whoCanApprove, prospects } from '../holds/eligibility.js';
import { fingerprintOf } from '../holds/fingerprint.js';
import type { Hold, Subject, Withdrawal } from '../holds/hold.js';
import { holdTimes } from '../holds/request.js';
import { HoldStoreUnavailable } from '../holds/store.js';
import type { ChangeOutcome, HoldStore } from '../holds/store.js';
import type { Refusal } from '../errors.js';
import type { HoldSetting } from '../policy/types.js';
import type { Notice } from '../protocol/encode.js';
import { subjectOf } from './hold-subject.js';
import type { HeldMessage, HoldingSession } from './hold-subject.js';
import {
  endRefusal,
  holdNotice,
  notTaken,
  releaseNotice,
  storeFailed,
  storeUnavailable,
  ticketRefusal,
  withdrawalRefusal,
} from './hold-words.js';
import type { PolicyStore } from './policy-store.js';
import type { Run } from './recorder.js';
import { recordRefusal } from './words.js';

/** What all sessions' holds share. */
export interface HoldServices {
  readonly store: HoldStore;
  /** Resolves when everything recorded so far is durable. @throws when it could not be written */
  readonly durable: () => Promise<void>;
  readonly newId: () => string;
  /** Milliseconds since 1970, on the clock that the store goes by. */
  readonly now: () => number;
  /** Calls back once after that many milliseconds. @returns cancels it */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  /** The store threw. */
  readonly onError: (error: unknown) => void;
}

/** What a hold needs of the connection. */
export interface HoldingConnection {
  /** The message that waits can be asked about again. */
  ready(): void;
  notify(notice: Notice): void;
}

/** A released message may run: as recorded, and with what to tell the client. */
export interface Release {
  /** What was approved. */
  readonly hold: Hold;
  readonly runs: readonly Run[];
  readonly notice: Notice;
}

export type HeldAnswer = 'wait' | Refusal | Release;

/** How often a waiting client hears that its statement still waits, milliseconds. */
const REMIND_MS = 30_000;

type State =
  /** The store is at it. */
  | { readonly kind: 'asking' }
  /** People are. */
  | { readonly kind: 'waiting' }
  /** To be released when the message is asked about again. */
  | { readonly kind: 'approved' }
  /** May run, if it is still this very statement. */
  | { readonly kind: 'released'; readonly fingerprint: string }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** One message's way through the store. */
interface Attempt {
  readonly id: string;
  /** SHA-256 of the policy that it is held by. */
  readonly policy: string;
  readonly setting: HoldSetting;
  readonly why: string;
  readonly who: string;
  readonly runs: readonly Run[];
  /** What names in it stand for, which must stay what people were shown. */
  readonly reached: string;
  state: State;
  /** As the store has it; null before it has it. */
  hold: Hold | null;
  /** Why nobody waits for it any more. */
  left: Withdrawal | null;
  readonly stops: (() => void)[];
  stopReminder: () => void;
}

const ASKING: State = { kind: 'asking' };

export class Held {
  readonly #services: HoldServices;
  readonly #policies: PolicyStore;
  readonly #environment: string;
  readonly #session: HoldingSession;
  readonly #connection: HoldingConnection;
  #attempt: Attempt | null = null;

  constructor(
    services: HoldServices,
    shared: { readonly policies: PolicyStore; readonly environment: string },
    session: HoldingSession,
    connection: HoldingConnection,
  ) {
    this.#services = services;
    this.#policies = shared.policies;
    this.#environment = shared.environment;
    this.#session = session;
    this.#connection = connection;
  }

  /** The message at hand is held. */
  get open(): boolean {
    return this.#attempt !== null;
  }

  /**
   * What is to be said to the message at hand without judging it; null: judge it.
   * @param policy SHA-256 of the policy in force
   */
  earlier(policy: string): 'wait' | Refusal | null {
    const attempt = this.#attempt;
    if (attempt === null) return null;
    const { state } = attempt;
    if (state.kind === 'refused') {
      this.#attempt = null;
      return state.refusal;
    }
    if (attempt.policy !== policy) {
      this.leave('policy');
      return withdrawalRefusal('policy', attempt.id);
    }
    return state.kind === 'asking' || state.kind === 'waiting' ? 'wait' : null;
  }

  /**
   * The message at hand must be approved: asks for that, or looks what has come of it.
   * @param setting of the role
   * @param record records the decisions, once for each message
   */
  pass(message: HeldMessage, setting: HoldSetting, record: () => readonly Run[]): HeldAnswer {
    const attempt = this.#attempt;
    if (attempt === null) return this.#begin(message, setting, record());
    const { state, hold } = attempt;
    const print = fingerprintOf(this.#subject(message, setting, attempt.runs));
    switch (state.kind) {
      case 'asking':
      case 'waiting':
        return 'wait';
      case 'approved':
        if (attempt.reached !== reachedBy(message)) {
          this.leave('superseded');
          return withdrawalRefusal('superseded', attempt.id);
        }
        attempt.state = ASKING;
        this.#step(attempt, this.#release(attempt, print));
        return 'wait';
      case 'released':
        if (hold === null || state.fingerprint !== print || attempt.reached !== reachedBy(message)) {
          this.leave('superseded');
          return withdrawalRefusal('superseded', attempt.id);
        }
        this.#attempt = null;
        stop(attempt);
        return { hold, runs: attempt.runs, notice: releaseNotice(hold) };
      case 'refused':
        this.#attempt = null;
        return state.refusal;
    }
  }

  /** Nobody waits for the message at hand any more. */
  leave(reason: Withdrawal): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    this.#attempt = null;
    attempt.left = reason;
    stop(attempt);
    const { hold } = attempt;
    // A ticket outlives whoever asked for it.
    if (hold !== null && attempt.setting.style === 'wait') this.#withdraw(hold, reason);
  }

  // ---------------------------------------------------------------- steps

  #begin(message: HeldMessage, setting: HoldSetting, runs: readonly Run[]): 'wait' {
    const { policy } = message.judged.scope;
    const { user } = this.#session.login;
    const { approvers: groups, approvals } = setting;
    const subject = this.#subject(message, setting, runs);
    const attempt: Attempt = {
      id: this.#services.newId(),
      policy: policy.sha256,
      setting,
      why: subject.matches[0]?.message ?? 'The policy wants it approved.',
      who: whoCanApprove(prospects(policy.approvers, { user, groups, approvals }), { approvals, groups }),
      runs,
      reached: reachedBy(message),
      state: ASKING,
      hold: null,
      left: null,
      stops: [],
      stopReminder: () => undefined,
    };
    this.#attempt = attempt;
    attempt.stops.push(
      this.#services.store.subscribe(({ hold }) => {
        this.#changed(attempt, hold);
      }, attempt.id),
      this.#policies.onReplace(() => {
        this.#askAgain(attempt);
      }),
    );
    this.#step(attempt, this.#request(attempt, subject));
    return 'wait';
  }

  #subject(message: HeldMessage, setting: HoldSetting, runs: readonly Run[]): Subject {
    const decision = runs.at(-1)?.decision ?? '';
    return subjectOf(message, this.#session, setting, this.#environment, decision);
  }

  async #request(attempt: Attempt, subject: Subject): Promise<void> {
    const { store, now } = this.#services;
    const { setting, id, who } = attempt;
    if (setting.style === 'ticket') {
      const print = fingerprintOf(subject);
      const ticket = await store.claim(print);
      if (ticket !== null) {
        await this.#recorded(attempt, ticket, { kind: 'released', fingerprint: print });
        return;
      }
    }
    const outcome = await store.request({
      id,
      subject,
      approvals: setting.approvals,
      groups: setting.approvers,
      ...holdTimes(setting, subject.inTransaction !== null),
    });
    if (outcome.kind === 'refused') {
      this.#refuse(attempt, notTaken(attempt.why, outcome.message));
      return;
    }
    const { hold } = outcome;
    if (setting.style === 'ticket') {
      await this.#recorded(attempt, hold, {
        kind: 'refused',
        refusal: ticketRefusal(hold, setting, who, now()),
      });
      return;
    }
    await this.#recorded(attempt, hold, { kind: 'waiting' });
    if (attempt.state.kind !== 'waiting' || attempt.left !== null) return;
    this.#remind(attempt, false);
    this.#look(attempt);
  }

  async #release(attempt: Attempt, print: string): Promise<void> {
    const outcome: ChangeOutcome = await this.#services.store.release(attempt.id, print);
    switch (outcome.kind) {
      case 'changed':
        await this.#recorded(attempt, outcome.hold, { kind: 'released', fingerprint: print });
        return;
      case 'rejected':
        if (outcome.rejection.reason === 'other_statement') this.#withdraw(outcome.hold, 'superseded');
        this.#refuse(attempt, endRefusal(outcome.hold));
        return;
      case 'unknown':
        this.#refuse(attempt, withdrawalRefusal('superseded', attempt.id));
        return;
    }
  }

  /** Goes on to `next` when all that has been recorded of it is durable. */
  async #recorded(attempt: Attempt, hold: Hold, next: State): Promise<void> {
    attempt.hold ??= hold;
    let durable = true;
    try {
      await this.#services.durable();
    } catch {
      durable = false;
    }
    if (attempt.left !== null) {
      // It was given up before the store had it.
      if (attempt.setting.style === 'wait') this.#withdraw(hold, attempt.left);
      return;
    }
    if (!durable) {
      this.#refuse(attempt, recordRefusal());
      this.#withdraw(hold, 'audit');
      return;
    }
    attempt.state = next;
    if (next.kind !== 'waiting') this.#askAgain(attempt);
  }

  /** A step that fails must not leave the client waiting, nor anybody with a hold that nobody waits for. */
  #step(attempt: Attempt, step: Promise<void>): void {
    step.catch((error: unknown) => {
      this.#services.onError(error);
      const lost = error instanceof HoldStoreUnavailable;
      this.#refuse(attempt, lost ? storeUnavailable(attempt.why) : storeFailed());
      const { hold, setting } = attempt;
      if (hold !== null && setting.style === 'wait') this.#withdraw(hold, 'store_gone');
    });
  }

  // ---------------------------------------------------------------- news

  #changed(attempt: Attempt, hold: Hold): void {
    attempt.hold = hold;
    this.#look(attempt);
  }

  /** Where the hold stands that people decide about. */
  #look(attempt: Attempt): void {
    const { hold, state } = attempt;
    // What changes in the midst of a step is looked at behind it.
    if (hold === null || state.kind !== 'waiting' || hold.state === 'requested') return;
    if (hold.state === 'approved') {
      attempt.state = { kind: 'approved' };
      this.#askAgain(attempt);
    } else {
      this.#refuse(attempt, endRefusal(hold));
    }
  }

  #refuse(attempt: Attempt, refusal: Refusal): void {
    attempt.state = { kind: 'refused', refusal };
    stop(attempt);
    this.#askAgain(attempt);
  }

  /** Not within the store's news: others are still to hear it. */
  #askAgain(attempt: Attempt): void {
    queueMicrotask(() => {
      if (this.#attempt === attempt) this.#connection.ready();
    });
  }

  #remind(attempt: Attempt, again: boolean): void {
    const { hold, who } = attempt;
    if (hold === null) return;
    if (hold.state === 'requested')
      this.#connection.notify(holdNotice(hold, who, this.#services.now(), again));
    attempt.stopReminder = this.#services.setTimer(() => {
      if (this.#attempt === attempt) this.#remind(attempt, true);
    }, REMIND_MS);
  }

  #withdraw(hold: Hold, reason: Withdrawal): void {
    // One that has ended already rejects it, which is as well.
    this.#services.store.withdraw(hold.id, reason).catch(this.#services.onError);
  }
}

function reachedBy({ reached }: HeldMessage): string {
  return JSON.stringify(reached.map(({ key }) => key));
}

function stop(attempt: Attempt): void {
  for (const end of attempt.stops) end();
  attempt.stopReminder();
}
