/**
 * Where holds are kept, as an interface: book.ts keeps them in this process,
 * holds-postgres/ in a database that several processes share.
 *
 * Law: each method is one atomic step. Nothing is decided between two of them, so
 * `claim` and `release` let a hold pass at most once, whoever else is asking.
 */
import type { Approver } from '../policy/types.js';
import type { Hold, HoldState, Vote, Withdrawal } from './hold.js';
import type { HoldEffect, Rejection } from './life-cycle.js';
import type { HoldRequest } from './request.js';

export interface HoldFilter {
  readonly states: readonly HoldState[];
  /** Only what this person may see; left out: everything. */
  readonly visibleTo?: Approver;
  /** The most that are wanted. */
  readonly limit: number;
}

export interface HoldPage {
  /** Open ones by the deadline that comes first, then closed ones, latest first. */
  readonly holds: readonly Hold[];
  /** There are more than the limit. */
  readonly more: boolean;
}

export type RefusedRequest = 'too_many_of_user' | 'too_many' | 'too_large' | 'id_taken';

export type RequestOutcome =
  | { readonly kind: 'requested'; readonly hold: Hold }
  /** A ticket for the same statement is open already; it is that one. */
  | { readonly kind: 'existing'; readonly hold: Hold }
  /** `message`: a whole sentence for the person whose statement it is. */
  | { readonly kind: 'refused'; readonly reason: RefusedRequest; readonly message: string };

export type ChangeOutcome =
  | { readonly kind: 'changed'; readonly hold: Hold }
  /** The hold as it is, and why the event did not count. */
  | { readonly kind: 'rejected'; readonly hold: Hold; readonly rejection: Rejection }
  | { readonly kind: 'unknown' };

export interface Ballot {
  readonly choice: Vote['choice'];
  readonly approver: Approver;
  readonly reason: string | null;
}

/** A hold that has changed, and by what. */
export interface HoldChange {
  readonly hold: Hold;
  readonly effects: readonly HoldEffect[];
  /** This process has made the change. Of all processes that share a store it is true in one. */
  readonly here: boolean;
  /** A session of this process has requested the hold. */
  readonly own: boolean;
}

/** Must not throw and not wait; it is called after the change is in force, changes in their order. */
export type HoldListener = (change: HoldChange) => void;

/** Waits for one hold: an object, since there are as many of them as statements that wait. */
export interface HoldWatcher {
  /** As a HoldListener is called. */
  changed(hold: Hold): void;
}

/**
 * The store could not be used. Nothing was let pass by it: what was asked for has
 * not happened, or, where `uncertain`, may have happened and does not count here.
 */
export class HoldStoreUnavailable extends Error {
  readonly uncertain: boolean;
  constructor(reason: string, options: { readonly uncertain: boolean; readonly cause: unknown }) {
    super(`the store of holds cannot be used: ${reason}`, { cause: options.cause });
    this.name = 'HoldStoreUnavailable';
    this.uncertain = options.uncertain;
  }
}

/** Every method may reject with HoldStoreUnavailable. */
export interface HoldStore {
  request(request: HoldRequest): Promise<RequestOutcome>;
  get(id: string): Promise<Hold | null>;
  list(filter: HoldFilter): Promise<HoldPage>;
  vote(id: string, ballot: Ballot): Promise<ChangeOutcome>;
  withdraw(id: string, reason: Withdrawal): Promise<ChangeOutcome>;
  /** Lets the statement of an approved hold run, once, if it has this fingerprint. */
  release(id: string, fingerprint: string): Promise<ChangeOutcome>;
  /** Releases the approved ticket for a statement with this fingerprint; null: there is none. */
  claim(fingerprint: string): Promise<Hold | null>;
  /** Changes of all holds. @returns ends the subscription */
  subscribe(listener: HoldListener): () => void;
  /** Changes of one hold, for who waits for it: one watcher each. */
  watch(id: string, watcher: HoldWatcher): void;
  /** Ends that; nothing where another watches it. */
  unwatch(id: string, watcher: HoldWatcher): void;
}
