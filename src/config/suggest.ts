/**
 * What was found, and which word was meant: for keys, rules, actions and settings
 * that are misspelt.
 */
export { describeValue } from '../policy/option-values.js';

/** ` (did you mean "access"?)` where one of the candidates is at most that many edits away, else nothing. */
export function didYouMean(
  word: string,
  candidates: readonly string[],
  most = Math.max(1, Math.floor(word.length / 3)),
): string {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter((ranking) => ranking.distance <= most)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0] === undefined ? '' : ` (did you mean "${ranked[0].candidate}"?)`;
}

/** Edits (insert, remove, replace, swap neighbours) from one word to another: optimal string alignment. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replace, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}
