/** What Holdfast is held to. Owns: the limits and the judging of figures against them. */

/** @typedef {{ goal: string, measured: string, met: boolean }} Verdict */

const GOALS = {
  /** CPU a query, times that of the bare pipe. */
  pipe: 1.3,
  /** pgpool-II's CPU a query, times Holdfast's. */
  pgpool: 1.5,
  /** µs to analyse and judge a short text that was never seen before, and to find one that was. */
  unseen: 40,
  cached: 2,
  /** KB (1,000 bytes) of resident memory an idle session. */
  idleKilobytes: 40,
  /** ms: the 99th percentile of another session's queries. */
  insertP99: 20,
  /** COPY, share of direct's MB/s. */
  copy: 0.9,
};

/**
 * A line a goal whose figures were measured; a figure that is missing or no number is a goal missed.
 * @param {import('./report.mjs').Results} results
 * @returns {Verdict[]}
 */
export function judge(results) {
  return [
    ...loadGoals(results),
    ...judgingGoals(results),
    ...memoryGoals(results),
    ...insertGoals(results),
    ...copyGoals(results),
  ];
}

/** @param {import('./report.mjs').Results} results @returns {Verdict[]} */
function loadGoals(results) {
  return results.load.flatMap((row) => {
    const where = `${row.mode}, ${row.clients} clients`;
    const against = (/** @type {string} */ base) => row.ratio('holdfast', base);
    const pipe = against('onread');
    const pgpool = 1 / against('pgpool');
    return [
      atMost(`CPU a query ≤ ${GOALS.pipe} × bare pipe (\`onread\`), ${where}`, pipe, GOALS.pipe, '×'),
      atLeast(`≥ ${GOALS.pgpool} × better than pgpool-II, ${where}`, pgpool, GOALS.pgpool, '×'),
    ];
  });
}

/** @param {import('./report.mjs').Results} results @returns {Verdict[]} */
function judgingGoals({ judging }) {
  if (judging === null) return [];
  const short = judging.filter((row) => row.short);
  const unseen = Math.max(...short.map((row) => row.analyze + row.judge));
  const cached = Math.max(...short.map((row) => row.cached));
  return [
    atMost(`≤ ${GOALS.unseen} µs to judge a short unseen text`, unseen, GOALS.unseen, ' µs'),
    atMost(`≤ ${GOALS.cached} µs to judge a text seen before`, cached, GOALS.cached, ' µs'),
  ];
}

/** @param {import('./report.mjs').Results} results @returns {Verdict[]} */
function memoryGoals({ memory }) {
  if (memory === null) return [];
  const own = memory['holdfast'];
  const measured = own && 'kilobytes' in own ? own.kilobytes : NaN;
  return [atMost(`≤ ${GOALS.idleKilobytes} KB an idle session`, measured, GOALS.idleKilobytes, ' KB')];
}

/** @param {import('./report.mjs').Results} results @returns {Verdict[]} */
function insertGoals({ insert }) {
  if (insert === null) return [];
  const own = insert['holdfast'];
  const measured = own && own.error === null ? own.p99 : NaN;
  return [
    atMost(`p99 < ${GOALS.insertP99} ms while a 10 MB INSERT is judged`, measured, GOALS.insertP99, ' ms'),
  ];
}

/** @param {import('./report.mjs').Results} results @returns {Verdict[]} */
function copyGoals({ copy }) {
  if (copy === null) return [];
  const own = copy['holdfast'];
  const share = (/** @type {'outRatio' | 'inRatio'} */ key) => (own && !('error' in own) ? own[key] : NaN);
  return [
    atLeast(`COPY out ≥ ${GOALS.copy} of direct`, share('outRatio'), GOALS.copy, ''),
    atLeast(`COPY in ≥ ${GOALS.copy} of direct`, share('inRatio'), GOALS.copy, ''),
  ];
}

/** @param {string} goal @param {number} value @param {number} limit @param {string} unit @returns {Verdict} */
function atMost(goal, value, limit, unit) {
  return { goal, measured: written(value, unit), met: value <= limit };
}

/** @param {string} goal @param {number} value @param {number} limit @param {string} unit @returns {Verdict} */
function atLeast(goal, value, limit, unit) {
  return { goal, measured: written(value, unit), met: value >= limit };
}

/** @param {number} value @param {string} unit */
function written(value, unit) {
  return Number.isFinite(value) ? `${value.toFixed(2)}${unit}` : 'not measured';
}
