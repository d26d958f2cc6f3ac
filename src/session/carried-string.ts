/**
 * A Query string that is carried by the extended protocol, statement by statement.
 *
 * Law: each statement is taken once, in order: it is sent, or it is skipped with all
 * behind it. Those that are not counted go on together, up to the next that is.
 */
import { CARRIED_EXECUTE, carry } from './own-messages.js';
import type { Batch } from './own-messages.js';
import type { CarriedStatement, Guard, Meaning } from './ports.js';
import type { NameChange } from './names.js';
import { reply } from './replies.js';

export class CarriedString {
  readonly #statements: readonly CarriedStatement[];
  #next = 0;

  constructor(statements: readonly CarriedStatement[]) {
    this.#statements = statements;
  }

  /** It is one statement. */
  get single(): boolean {
    return this.#statements.length === 1;
  }

  /** All of its statements have been taken. */
  get atEnd(): boolean {
    return this.#next === this.#statements.length;
  }

  /**
   * Sends the statements that are not counted, up to the next that is.
   * @param changed hears what each of them does to names
   * @returns the next that is counted, which is taken; null: there is none
   */
  carryOn(
    batch: Batch,
    changed: (change: NameChange<Meaning>) => void,
  ): { readonly statement: CarriedStatement; readonly guard: Guard } | null {
    for (;;) {
      const statement = this.#statements[this.#next];
      if (statement === undefined) return null;
      this.#next += 1;
      const { guard, execution, changes } = statement;
      if (guard !== null) return { statement, guard };
      carry(batch, statement.text);
      // Nothing of Holdfast's stays prepared behind DEALLOCATE ALL.
      for (const change of changes) changed(change);
      batch.bytes.push(CARRIED_EXECUTE);
      batch.replies.push(reply(this.atEnd ? 'carried_last' : 'carried_execute', { execution, changes }));
    }
  }

  /** Takes all that are left, which are not sent. */
  skipRest(): readonly CarriedStatement[] {
    const rest = this.#statements.slice(this.#next);
    this.#next = this.#statements.length;
    return rest;
  }
}
