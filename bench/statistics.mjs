/** Medians and percentiles; ratios between contestants of the same round. */

/** @param {readonly number[]} values @returns {number} NaN when there is none */
export function median(values) {
  return percentile(values, 0.5);
}

/**
 * The value below which `share` of the values lie, between two neighbours in proportion.
 * @param {readonly number[]} values
 * @param {number} share 0 to 1
 */
export function percentile(values, share) {
  if (values.length === 0) return NaN;
  const sorted = Float64Array.from(values).sort();
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)] ?? NaN;
  const high = sorted[Math.ceil(place)] ?? NaN;
  return low + (high - low) * (place - Math.floor(place));
}

/**
 * The median over rounds of value / base: both come from the same minute of the machine.
 * @param {readonly (number | null)[]} values one a round, null where the round failed
 * @param {readonly (number | null)[]} bases
 */
export function medianRatio(values, bases) {
  const ratios = values.flatMap((value, round) => {
    const base = bases[round];
    return value === null || base === null || base === undefined || base === 0 ? [] : [value / base];
  });
  return median(ratios);
}

/**
 * The contestants in another order each round, so that none always follows the same.
 * @template T
 * @param {readonly T[]} items
 * @param {number} round
 */
export function rotated(items, round) {
  const by = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(by), ...items.slice(0, by)];
}
