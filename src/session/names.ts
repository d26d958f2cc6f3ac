/**
 * The names that the wire protocol and SQL share: prepared statements (Parse,
 * PREPARE, EXECUTE, Close, DEALLOCATE, DISCARD) and portals (Bind, DECLARE, FETCH,
 * Close, CLOSE).
 *
 * Law: a name changes its meaning when the server confirms, never when the client
 * asks. What was asked for and is not yet confirmed stands beside the confirmed
 * meaning, and whoever uses the name must answer for all of them:
 *   `Parse("", garbage) Close(S,"s") Parse("s","SELECT 1") Sync`
 * fails at its first message and leaves the old "s" alive.
 * So candidates(name) always holds the meaning that the server will use.
 *
 * One thing narrows it: of the extended protocol's messages up to a Sync, the server
 * carries out none behind one that fails. What is asked for since the last Sync is
 * therefore certain to whoever comes before the next: a use of it that runs at all
 * runs after it. Without that, a pipeline of n messages on the unnamed statement
 * would be judged for n meanings each.
 */

type Definition<Meaning> =
  | { readonly kind: 'define_statement'; readonly name: string; readonly meaning: Meaning }
  /** Bind or DECLARE; `hold`: WITH HOLD. */
  | {
      readonly kind: 'define_portal';
      readonly name: string;
      readonly meaning: Meaning;
      readonly hold: boolean;
    };

/** A change to the names that takes effect when its confirmation arrives. */
export type NameChange<Meaning> =
  | Definition<Meaning>
  | { readonly kind: 'drop_statement'; readonly name: string }
  | { readonly kind: 'drop_all_statements' }
  | { readonly kind: 'drop_portal'; readonly name: string }
  | { readonly kind: 'drop_all_portals' };

interface Pending<Meaning> {
  readonly change: Definition<Meaning>;
  /** The stretch between two Syncs in which it was asked for; -1: by a Query, behind whose failure nothing is skipped. */
  readonly stretch: number;
}

interface Slot<Meaning> {
  confirmed: Meaning | null;
  /** WITH HOLD: survives the transaction. */
  hold: boolean;
  /** Definitions asked for and not confirmed, oldest first. */
  readonly pending: Pending<Meaning>[];
  /** What it may mean since a change that was neither confirmed nor sure to have failed. */
  doubted: Meaning[];
}

export class Names<Meaning> {
  readonly #statements = new Map<string, Slot<Meaning>>();
  readonly #portals = new Map<string, Slot<Meaning>>();
  #doubts = 0;
  #stretch = 0;

  /** How many names and doubts are held, for the session's bound on memory. */
  get size(): number {
    return this.#statements.size + this.#portals.size + this.#doubts;
  }

  /** Everything that prepared statement `name` may mean, the latest last; empty for an unknown name. */
  statements(name: string): readonly Meaning[] {
    return candidates(this.#statements.get(name), this.#stretch);
  }

  /** Everything that portal `name` may mean, the latest last; empty for an unknown name. */
  portals(name: string): readonly Meaning[] {
    return candidates(this.#portals.get(name), this.#stretch);
  }

  /** The client sent a Sync. */
  synced(): void {
    this.#stretch += 1;
  }

  /**
   * The client asked for `change`; the message that asks has been forwarded.
   * @param by the protocol of that message
   */
  request(change: NameChange<Meaning>, by: 'simple' | 'extended'): void {
    const stretch = by === 'simple' ? -1 : this.#stretch;
    switch (change.kind) {
      case 'define_statement':
        slotOf(this.#statements, change.name).pending.push({ change, stretch });
        break;
      case 'define_portal':
        slotOf(this.#portals, change.name).pending.push({ change, stretch });
        break;
      case 'drop_statement':
      case 'drop_all_statements':
      case 'drop_portal':
      case 'drop_all_portals':
        break;
    }
  }

  /** The server confirmed `change`. Confirmations come in the order of the requests. */
  confirm(change: NameChange<Meaning>): void {
    switch (change.kind) {
      case 'define_statement': {
        const slot = slotOf(this.#statements, change.name);
        forget(slot, change);
        this.#settle(slot);
        slot.confirmed = change.meaning;
        break;
      }
      case 'define_portal': {
        const slot = slotOf(this.#portals, change.name);
        forget(slot, change);
        slot.confirmed = change.meaning;
        slot.hold = change.hold;
        break;
      }
      case 'drop_statement':
        this.#dropStatement(change.name);
        break;
      case 'drop_all_statements':
        // The unnamed one is not in PostgreSQL's table of prepared statements, and survives (commands/prepare.c).
        for (const name of [...this.#statements.keys()]) if (name !== '') this.#dropStatement(name);
        break;
      case 'drop_portal':
        drop(this.#portals, change.name);
        break;
      case 'drop_all_portals':
        for (const name of [...this.#portals.keys()]) drop(this.#portals, name);
        break;
    }
  }

  /** The server will not carry out `change`: what asked for it failed or was skipped. */
  abandon(change: NameChange<Meaning>): void {
    switch (change.kind) {
      case 'define_statement':
        abandonIn(this.#statements, change.name, change);
        break;
      case 'define_portal':
        abandonIn(this.#portals, change.name, change);
        break;
      case 'drop_statement':
      case 'drop_all_statements':
      case 'drop_portal':
      case 'drop_all_portals':
        break;
    }
  }

  /**
   * What asked for `change` failed, but perhaps only after it had been carried out: the last statement of a Query
   * string is reported complete after the transaction has been committed, and a commit that fails (a deferred
   * constraint) does not undo PREPARE.
   */
  doubt(change: NameChange<Meaning>): void {
    this.abandon(change);
    if (change.kind !== 'define_statement') return;
    const slot = slotOf(this.#statements, change.name);
    if (slot.confirmed === change.meaning || slot.doubted.includes(change.meaning)) return;
    slot.doubted.push(change.meaning);
    this.#doubts += 1;
  }

  #dropStatement(name: string): void {
    const slot = this.#statements.get(name);
    if (slot !== undefined) this.#settle(slot);
    drop(this.#statements, name);
  }

  #settle(slot: Slot<Meaning>): void {
    if (slot.doubted.length === 0) return;
    this.#doubts -= slot.doubted.length;
    slot.doubted = [];
  }

  /** The transaction is over: portals end with it, except cursors WITH HOLD. Prepared statements survive, ROLLBACK too. */
  transactionEnded(): void {
    if (this.#portals.size === 0) return;
    for (const [name, slot] of this.#portals) if (!slot.hold) drop(this.#portals, name);
  }
}

function candidates<Meaning>(slot: Slot<Meaning> | undefined, stretch: number): readonly Meaning[] {
  if (slot === undefined) return [];
  const latest = slot.pending.at(-1);
  if (latest?.stretch === stretch) return [latest.change.meaning];
  const meanings: Meaning[] = slot.confirmed === null ? [...slot.doubted] : [slot.confirmed, ...slot.doubted];
  for (const { change } of slot.pending) meanings.push(change.meaning);
  return meanings;
}

function slotOf<Meaning>(slots: Map<string, Slot<Meaning>>, name: string): Slot<Meaning> {
  let slot = slots.get(name);
  if (slot === undefined) {
    slot = { confirmed: null, hold: false, pending: [], doubted: [] };
    slots.set(name, slot);
  }
  return slot;
}

function forget<Meaning>(slot: Slot<Meaning>, change: NameChange<Meaning>): void {
  const index = slot.pending.findIndex((pending) => pending.change === change);
  if (index >= 0) slot.pending.splice(index, 1);
}

function drop<Meaning>(slots: Map<string, Slot<Meaning>>, name: string): void {
  const slot = slots.get(name);
  if (slot === undefined) return;
  slot.confirmed = null;
  slot.hold = false;
  if (slot.pending.length === 0) slots.delete(name);
}

function abandonIn<Meaning>(
  slots: Map<string, Slot<Meaning>>,
  name: string,
  change: NameChange<Meaning>,
): void {
  const slot = slots.get(name);
  if (slot === undefined) return;
  forget(slot, change);
  if (slot.confirmed === null && slot.pending.length === 0 && slot.doubted.length === 0) slots.delete(name);
}
