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
import type { ChangeOutcome, HoldStore, HoldWatcher } from '../holds/store.js';
import type { Refusal } from '../errors.js';
import type { HoldSetting } from '../policy/types.js';
import type { Notice } from '../protocol/encode.js';
import { shownBytes, subjectOf } from './hold-subject.js';
import type { HeldMessage, HoldingSession, ShownTexts } from './hold-subject.js';
import {
  endRefusal,
  holdNotice,
  notTaken,
  releaseNotice,
  storeFailed,
  storeUnavailable,
  ticketRefusal,
  whyOf,
  withdrawalRefusal,
} from './hold-words.js';
import type { PolicyStore, PolicyWatcher } from './policy-store.js';
import type { Run } from './recorder.js';
import type { Reminded, Reminders } from './reminders.js';
import { recordRefusal } from './words.js';

/** What all sessions' holds share. */
export interface HoldServices {
  readonly store: HoldStore;
  /** Resolves when everything recorded so far is durable. @throws when it could not be written */
  readonly durable: () => Promise<void>;
  readonly newId: () => string;
  /** Milliseconds since 1970, on the clock that the store goes by. */
  readonly now: () => number;
  readonly shownTexts: ShownTexts;
  /** Of those who wait, that they still do. */
  readonly reminders: Reminders;
  /** The store threw. */
  readonly onError: (error: unknown) => void;
}

/** What a hold needs of the connection. */
export interface HoldingConnection {
  /** The message that waits can be asked about again. */
  ready(): void;
  notify(notice: Notice): void;
  /** The bytes of the message at hand stay as they are, and are kept while it waits. */
  keepsMessage(): boolean;
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
export const REMIND_MS = 30_000;

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

/** One message's way through the store. There may be thousands, so it has no more than it needs. */
interface Attempt {
  readonly id: string;
  /** SHA-256 of the policy that it is held by. */
  readonly policy: string;
  readonly setting: HoldSetting;
  readonly runs: readonly Run[];
  /** What names in it stand for, which must stay what people were shown. */
  readonly reached: string;
  state: State;
  /** As the store has it; null before it has it. */
  hold: Hold | null;
  /** Why nobody waits for it any more. */
  left: Withdrawal | null;
}

const ASKING: State = { kind: 'asking' };
const WAITING: State = { kind: 'waiting' };
const APPROVED: State = { kind: 'approved' };

export class Held implements HoldWatcher, PolicyWatcher, Reminded {
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
      this.#stop(attempt);
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
    if (attempt === null) {
      if (this.#mustKeep(message)) return 'wait';
      return this.#begin(message, setting, record());
    }
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
        this.#step(attempt, this.#release(attempt, print), hold?.subject ?? null);
        return 'wait';
      case 'released':
        if (hold === null || state.fingerprint !== print || attempt.reached !== reachedBy(message)) {
          this.leave('superseded');
          return withdrawalRefusal('superseded', attempt.id);
        }
        this.#attempt = null;
        this.#stop(attempt);
        return { hold, runs: attempt.runs, notice: releaseNotice(hold) };
      case 'refused':
        this.#attempt = null;
        this.#stop(attempt);
        return state.refusal;
    }
  }

  /** Nobody waits for the message at hand any more. */
  leave(reason: Withdrawal): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    this.#attempt = null;
    attempt.left = reason;
    this.#stop(attempt);
    const { hold } = attempt;
    // A ticket outlives whoever asked for it.
    if (hold !== null && attempt.setting.style === 'wait') this.#withdraw(hold, reason);
  }

  // ---------------------------------------------------------------- steps

  /** A long text is shown from the message itself, so that it is in memory once: then it must be one that is kept. */
  #mustKeep(message: HeldMessage): boolean {
    if (shownBytes(message) === null || this.#connection.keepsMessage()) return false;
    // It is kept when it has been answered `wait`.
    queueMicrotask(() => {
      if (this.#attempt === null) this.#connection.ready();
    });
    return true;
  }

  #begin(message: HeldMessage, setting: HoldSetting, runs: readonly Run[]): 'wait' {
    const subject = this.#subject(message, setting, runs);
    const attempt: Attempt = {
      id: this.#services.newId(),
      policy: message.judged.scope.policy.sha256,
      setting,
      runs,
      reached: reachedBy(message),
      state: ASKING,
      hold: null,
      left: null,
    };
    this.#attempt = attempt;
    this.#services.store.watch(attempt.id, this);
    this.#policies.watch(this);
    this.#step(attempt, this.#request(attempt, subject), subject);
    return 'wait';
  }

  #subject(message: HeldMessage, setting: HoldSetting, runs: readonly Run[]): Subject {
    const decision = runs.at(-1)?.decision ?? '';
    return subjectOf(message, this.#services.shownTexts, this.#session, setting, this.#environment, decision);
  }

  async #request(attempt: Attempt, subject: Subject): Promise<void> {
    const { store, now } = this.#services;
    const { setting, id } = attempt;
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
      this.#refuse(attempt, notTaken(whyOf(subject), outcome.message));
      return;
    }
    const { hold } = outcome;
    if (setting.style === 'ticket') {
      await this.#recorded(attempt, hold, {
        kind: 'refused',
        refusal: ticketRefusal(hold, setting, this.#who(attempt), now()),
      });
      return;
    }
    await this.#recorded(attempt, hold, WAITING);
    if (attempt.state.kind !== 'waiting' || attempt.left !== null) return;
    this.#tellWaiting(attempt, false);
    this.#services.reminders.add(this);
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
  #step(attempt: Attempt, step: Promise<void>, subject: Subject | null): void {
    step.catch((error: unknown) => {
      this.#services.onError(error);
      const lost = error instanceof HoldStoreUnavailable;
      this.#refuse(attempt, lost ? storeUnavailable(whyOf(subject)) : storeFailed());
      const { hold, setting } = attempt;
      if (hold !== null && setting.style === 'wait') this.#withdraw(hold, 'store_gone');
    });
  }

  // ---------------------------------------------------------------- news

  changed(hold: Hold): void {
    const attempt = this.#attempt;
    if (attempt?.id !== hold.id) return;
    attempt.hold = hold;
    this.#look(attempt);
  }

  policyReplaced(): void {
    if (this.#attempt !== null) this.#askAgain(this.#attempt);
  }

  remind(): void {
    if (this.#attempt !== null) this.#tellWaiting(this.#attempt, true);
  }

  /** Where the hold stands that people decide about. */
  #look(attempt: Attempt): void {
    const { hold, state } = attempt;
    // What changes in the midst of a step is looked at behind it.
    if (hold === null || state.kind !== 'waiting' || hold.state === 'requested') return;
    if (hold.state === 'approved') {
      attempt.state = APPROVED;
      this.#askAgain(attempt);
    } else {
      this.#refuse(attempt, endRefusal(hold));
    }
  }

  #refuse(attempt: Attempt, refusal: Refusal): void {
    attempt.state = { kind: 'refused', refusal };
    this.#stop(attempt);
    this.#askAgain(attempt);
  }

  /** Not within the store's news: others are still to hear it. */
  #askAgain(attempt: Attempt): void {
    queueMicrotask(() => {
      if (this.#attempt === attempt) this.#connection.ready();
    });
  }

  #tellWaiting(attempt: Attempt, again: boolean): void {
    const { hold } = attempt;
    if (hold?.state !== 'requested') return;
    this.#connection.notify(holdNotice(hold, this.#who(attempt), this.#services.now(), again));
  }

  /** Who may approve it, in words; by the policy in force, since another one takes it back. */
  #who({ setting }: Attempt): string {
    const { approvers: groups, approvals } = setting;
    const { user } = this.#session.login;
    const able = prospects(this.#policies.current.policy.approvers, { user, groups, approvals });
    return whoCanApprove(able, { approvals, groups });
  }

  /** Nothing more is heard of it. */
  #stop({ id }: Attempt): void {
    this.#services.store.unwatch(id, this);
    // Of the attempt at hand, unless that is another by now.
    if (this.#attempt !== null && this.#attempt.id !== id) return;
    this.#policies.unwatch(this);
    this.#services.reminders.remove(this);
  }

  #withdraw(hold: Hold, reason: Withdrawal): void {
    // One that has ended already rejects it, which is as well.
    this.#services.store.withdraw(hold.id, reason).catch(this.#services.onError);
  }
}

function reachedBy({ reached }: HeldMessage): string {
  return reached.length === 0 ? '' : JSON.stringify(reached.map(({ key }) => key));
}
