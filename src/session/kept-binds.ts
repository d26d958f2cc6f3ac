/**
 * The client's Binds, kept so that their portals can be made again: what is undone takes
 * its portals with it.
 *
 * Law: a Bind is repeated only where it must come to what it came to before. So it is
 * kept up to the next Sync or Query, no longer than its statement and its portal are
 * what they were, and where one portal cannot be made again, all() says so.
 */
import { close } from '../protocol/encode.js';
import type { Batch } from './own-messages.js';
import { reply } from './replies.js';

/** Bytes of Binds that are kept. */
const BINDS_LIMIT = 1_048_576;

interface KeptBind {
  readonly statement: string;
  readonly message: Buffer;
}

export class KeptBinds {
  readonly #binds = new Map<string, KeptBind>();
  #bytes = 0;
  /** There is a portal that cannot be made again. */
  #incomplete = false;
  /** Portals that are gone, because something was undone: they are bound again before what comes next. */
  #gone: readonly string[] = [];

  /** The client bound `portal` to `statement`. @param message the Bind; null: it is not kept */
  bound(portal: string, statement: string, message: Buffer | null): void {
    this.portalClosed(portal);
    if (message === null || this.#bytes + message.length > BINDS_LIMIT) {
      this.#incomplete = true;
      return;
    }
    this.#bytes += message.length;
    this.#binds.set(portal, { statement, message: Buffer.from(message) });
  }

  /** The name stands for another statement from here on, or for none. */
  statementChanged(name: string): void {
    for (const [portal, { statement }] of this.#binds) {
      if (statement !== name) continue;
      this.portalClosed(portal);
      this.#incomplete = true;
    }
  }

  portalClosed(portal: string): void {
    const kept = this.#binds.get(portal);
    if (kept === undefined) return;
    this.#bytes -= kept.message.length;
    this.#binds.delete(portal);
  }

  clear(): void {
    this.#binds.clear();
    this.#bytes = 0;
    this.#incomplete = false;
    this.#gone = [];
  }

  /** Whether `portal` can be made again. */
  has(portal: string): boolean {
    return this.#binds.has(portal);
  }

  /** Those portals whose making again is all that is needed when the transaction is gone; null: not all can be. */
  all(): readonly string[] | null {
    return this.#incomplete ? null : [...this.#binds.keys()];
  }

  /** These are gone with what was undone. */
  gone(portals: readonly string[]): void {
    this.#gone = portals;
  }

  get someGone(): boolean {
    return this.#gone.length > 0;
  }

  /** Has those that are gone made again. */
  repeat(batch: Batch): void {
    for (const portal of this.#gone) {
      const kept = this.#binds.get(portal);
      if (kept === undefined) continue;
      batch.bytes.push(close('P', portal), kept.message);
      batch.replies.push(reply('own_close'), reply('rebind'));
    }
    this.#gone = [];
  }
}
