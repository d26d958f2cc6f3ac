/**
 * Parameters of a Bind that are kept until its Execute, because people must see
 * them before it runs.
 *
 * Law: what a session makes Holdfast keep is bounded: the latest few portals, each
 * up to a size that people could read. What was given up is known to be missing,
 * and is never taken for empty.
 */
import { heldParameters } from '../holds/fingerprint.js';
import type { HeldParameter } from '../holds/hold.js';
import { bindParameters } from '../protocol/frontend.js';

/** A portal's parameters; `values` null: they were not kept, or are no longer. */
export interface KeptParameters {
  readonly values: readonly HeldParameter[] | null;
}

/** Of a portal that has none. */
export const NO_PARAMETERS: KeptParameters = { values: [] };
/** Of a portal that nobody had to approve when it was bound. */
export const NOT_KEPT: KeptParameters = { values: null };

/** Portals whose parameters are kept; clients execute what they have bound last. */
const MOST_PORTALS = 8;
/** Of one portal: as much as the book of holds takes. */
const MOST_BYTES = 1_048_576;

export class ParameterKeeper {
  readonly #kept: { values: readonly HeldParameter[] | null }[] = [];

  /**
   * Copies a Bind's parameters, in place of those kept longest.
   * @param types OIDs, as the Parse declared them
   * @param start `bytes[start, end)`: their formats and values
   */
  keep(types: readonly number[], bytes: Buffer, start: number, end: number): KeptParameters {
    if (end - start > MOST_BYTES) return NOT_KEPT;
    const { formats, values } = bindParameters(bytes, start, end);
    if (values.length === 0) return NO_PARAMETERS;
    const entry = { values: heldParameters(types, formats, values) };
    this.#kept.push(entry);
    if (this.#kept.length > MOST_PORTALS) {
      const oldest: { values: readonly HeldParameter[] | null } | undefined = this.#kept.shift();
      if (oldest !== undefined) oldest.values = null;
    }
    return entry;
  }
}
