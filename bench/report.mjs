/** The Markdown at the end. Owns: layout; figures come in measured. */
import { judge } from './goals.mjs';
import { median, medianRatio } from './statistics.mjs';

/** @typedef {{ mode: string, clients: number, tps: (id: string) => number, cpu: (id: string) => number, ratio: (id: string, base: string) => number }} LoadRow ratio: of CPU a query */
/**
 * @typedef {object} Results null: not measured
 * @property {LoadRow[]} load
 * @property {import('./judging.mjs').JudgingRow[] | null} judging
 * @property {import('./latency.mjs').LatencyResult | null} latency
 * @property {Record<string, import('./insert.mjs').InsertResult> | null} insert
 * @property {Record<string, import('./copy.mjs').CopyResult | { error: string }> | null} copy
 * @property {Record<string, { kilobytes: number, base: number } | { error: string }> | null} memory
 * @property {Record<string, { perSecond: number, cpu: number } | { error: string }> | null} connections
 * @property {import('./holds.mjs').HoldsResult | null} holds
 * @property {import('./counted.mjs').CountedResult | null} counted
 */

/** @param {import('./load.mjs').LoadResult} result @returns {LoadRow} */
export function loadRow({ mode, clients, samples }) {
  const cpus = (/** @type {string} */ id) => (samples[id] ?? []).map((sample) => sample?.cpu ?? null);
  const known = (/** @type {(number | null)[]} */ values) => values.filter((value) => value !== null);
  return {
    mode,
    clients,
    tps: (id) => median(known((samples[id] ?? []).map((sample) => sample?.tps ?? null))),
    cpu: (id) => median(known(cpus(id))),
    ratio: (id, base) => medianRatio(cpus(id), cpus(base)),
  };
}

/**
 * @param {Results} results
 * @param {{ id: string, title: string }[]} contestants
 * @param {string[]} notes
 * @returns {string}
 */
export function report(results, contestants, notes) {
  const sections = [
    ...results.load.map((row) => loadTable(row, contestants)),
    judgingTable(results),
    extrasTable(results, contestants),
    holdsTable(results),
    countedTable(results),
    contestants.some(({ id }) => id === 'holdfast') ? goalsTable(results) : '',
    notes.map((note) => `- ${note}`).join('\n'),
  ];
  return sections.filter((section) => section !== '').join('\n\n') + '\n';
}

/** @param {LoadRow} row @param {{ id: string, title: string }[]} contestants */
function loadTable(row, contestants) {
  return table(
    [
      `pgbench -S, ${row.mode}, ${row.clients} clients`,
      'tps',
      'CPU µs/query',
      'of `onread` pipe',
      'of `data` pipe',
      'of pgpool-II',
    ],
    contestants.map(({ id, title }) => [
      title,
      number(row.tps(id), 0),
      number(row.cpu(id), 1),
      times(row.ratio(id, 'onread')),
      times(row.ratio(id, 'pipe')),
      times(row.ratio(id, 'pgpool')),
    ]),
  );
}

/** @param {Results} results */
function judgingTable({ judging }) {
  if (judging === null) return '';
  return table(
    ['judging a text, µs', 'unseen: analysis', 'judgement', 'both', 'seen before'],
    judging.map(({ title, analyze, judge: judged, cached }) => [
      title,
      number(analyze, 1),
      number(judged, 1),
      number(analyze + judged, 1),
      number(cached, 2),
    ]),
  );
}

/** @param {Results} results @param {{ id: string, title: string }[]} contestants */
function extrasTable(results, contestants) {
  /** @type {[string, (id: string) => string][]} */
  const columns = [];
  const { latency, insert, copy, memory, connections } = results;
  if (latency) {
    const added = (/** @type {'same' | 'unseen'} */ kind) => (/** @type {string} */ id) => {
      const own = latency[kind][id];
      const base = id === 'direct' ? null : latency[kind]['direct'];
      if (!own) return '-';
      if (!base) return `${number(own.p50, 0)} / ${number(own.p99, 0)}`;
      return `${signed(own.p50 - base.p50)} / ${signed(own.p99 - base.p99)}`;
    };
    columns.push(['latency µs p50 / p99, same text', added('same')]);
    columns.push(['latency µs p50 / p99, unseen text', added('unseen')]);
  }
  if (insert) {
    columns.push(['other session during 10 MB INSERT, p99 / max ms', (id) => insertCell(insert[id])]);
    columns.push(['10 MB INSERT ms', (id) => number(insert[id]?.insertMs, 0)]);
  }
  if (copy) columns.push(['COPY out / in MB/s (of direct)', (id) => copyCell(copy[id])]);
  if (memory)
    columns.push(['KB an idle session', (id) => cell(memory[id], (figures) => number(figures.kilobytes, 1))]);
  if (connections)
    columns.push([
      'connections/s (CPU µs each)',
      (id) =>
        cell(connections[id], (figures) => `${number(figures.perSecond, 0)} (${number(figures.cpu, 0)})`),
    ]);
  if (columns.length === 0) return '';
  return table(
    ['', ...columns.map(([title]) => title)],
    contestants.map(({ id, title }) => [title, ...columns.map(([, of]) => of(id))]),
  );
}

/** @param {Results} results */
function holdsTable({ holds }) {
  if (holds === null) return '';
  const beside = (/** @type {import('./holds.mjs').Beside} */ { p50, p99, cpu }) =>
    `${number(p50, 0)} / ${number(p99, 0)} / ${number(cpu, 0)}`;
  return table(
    ['waiting for approval', ''],
    [
      ['bytes an idle session', number(holds.idle, 0)],
      ...holds.waiting.map(({ statement, bytes }) => [
        `bytes a session that waits, statement of ${statement} bytes`,
        `${number(bytes, 0)} (idle + statement ${signed(bytes - holds.idle - statement)})`,
      ]),
      ['another session, µs p50 / p99 / CPU a query: 1,000 idle', beside(holds.beside.idle)],
      ['… the same 1,000 wait', beside(holds.beside.waiting)],
    ],
  );
}

/** @param {Results} results */
function countedTable({ counted }) {
  if (counted === null) return '';
  const { update, select } = counted;
  const row = (/** @type {'direct' | 'plain' | 'counted'} */ way) => [
    `${number(update[way].p50, 0)} / ${number(update[way].p99, 0)}`,
    `${number(select[way].p50, 0)} / ${number(select[way].p99, 0)}`,
  ];
  return table(
    ['one client, µs p50 / p99', 'UPDATE', 'SELECT'],
    [
      ['direct', ...row('direct')],
      ['Holdfast, a role whose writes are not counted', ...row('plain')],
      ['Holdfast, a role with row-limit', ...row('counted')],
    ],
  );
}

/** @param {import('./insert.mjs').InsertResult | undefined} result */
function insertCell(result) {
  if (!result) return '-';
  if (result.error !== null) return `failed: ${result.error}`;
  return `${number(result.p99, 1)} / ${number(result.max, 1)}`;
}

/** @param {import('./copy.mjs').CopyResult | { error: string } | undefined} result */
function copyCell(result) {
  return cell(
    result,
    (figures) =>
      `${number(figures.out, 0)} / ${number(figures.in, 0)} (${number(figures.outRatio, 2)} / ${number(figures.inRatio, 2)})`,
  );
}

/**
 * @template {object} T
 * @param {T | { error: string } | undefined} result
 * @param {(figures: T) => string} write
 */
function cell(result, write) {
  if (!result) return '-';
  return 'error' in result ? 'failed' : write(/** @type {T} */ (result));
}

/** @param {Results} results */
function goalsTable(results) {
  const verdicts = judge(results);
  if (verdicts.length === 0) return '';
  return table(
    ['Holdfast: goal', 'measured', ''],
    verdicts.map(({ goal, measured, met }) => [goal, measured, met ? 'met' : '**missed**']),
  );
}

/** @param {number | undefined} value @param {number} digits */
function number(value, digits) {
  return value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);
}

/** @param {number} value */
function signed(value) {
  return value < 0 ? number(value, 0) : `+${number(value, 0)}`;
}

/** @param {number} value */
function times(value) {
  return Number.isFinite(value) ? `${value.toFixed(2)}×` : '-';
}

/** @param {string[]} head @param {string[][]} rows */
function table(head, rows) {
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((each) => each.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '--:'))), ...rows.map(line)].join(
    '\n',
  );
}
