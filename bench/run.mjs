/**
 * `npm run bench`: what an intermediary costs, each figure beside others from the same run.
 * Owns: the order of things and that nothing is left behind. See README.md here.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

import { CONTESTANTS, direct, startContestant } from './contestants.mjs';
import { measureCopy } from './copy.mjs';
import { measureCounted } from './counted.mjs';
import { measureHolds } from './holds.mjs';
import { measureInsert } from './insert.mjs';
import { measureJudging } from './judging.mjs';
import { measureLatency } from './latency.mjs';
import { measureLoad } from './load.mjs';
import { UsageError, USAGE, readOptions } from './options.mjs';
import { startPostgres } from './postgres.mjs';
import { cleanUp } from './processes.mjs';
import { loadRow, report } from './report.mjs';
import { measureConnections, measureMemory } from './sessions.mjs';

/** Measurements fail once the servers are stopped under them: nothing more is said then. */
let interrupted = false;

process.exitCode = await main();

/** @returns {Promise<number>} exit status */
async function main() {
  const options = commandLine();
  if (typeof options === 'number') return options;
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      interrupted = true;
      void cleanUp().finally(() => process.exit(130));
    });
  try {
    await measure(options);
    return 0;
  } catch (error) {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return 1;
  } finally {
    await cleanUp();
  }
}

/** @returns {import('./options.mjs').Options | number} an exit status where there is nothing to measure */
function commandLine() {
  try {
    const options = readOptions(process.argv.slice(2));
    if (options !== null) return options;
    process.stdout.write(USAGE);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

/** @param {import('./options.mjs').Options} options */
async function measure(options) {
  say('starting PostgreSQL and loading pgbench at scale 10');
  const postgres = await startPostgres();
  const { started, notes } = await startAll(options, postgres.port);
  const ids = started.map(({ id }) => id);
  const wants = (/** @type {string} */ part) => options.parts.includes(part);
  const step = (/** @type {string} */ title) => say(title);

  const load = [];
  if (wants('load')) {
    step(`pgbench -S: ${options.rounds} rounds of ${options.seconds} s each`);
    load.push(...(await measureLoad(started, options, postgres.pgbench, say)));
  }
  /** @type {import('./report.mjs').Results} */
  const results = {
    judging: null,
    load: load.map(loadRow),
    latency: null,
    insert: null,
    copy: null,
    memory: null,
    connections: null,
    holds: null,
    counted: null,
  };
  if (wants('judging')) {
    step('judging texts');
    results.judging = await measureJudging(options);
  }
  if (wants('latency')) {
    step('latency of one client');
    results.latency = await measureLatency(started, options);
  }
  if (wants('insert')) {
    step('another session during a 10 MB INSERT');
    results.insert = await measureInsert(started, options, postgres);
  }
  if (wants('copy')) {
    step('COPY');
    results.copy = await measureCopy(started, options, postgres);
  }
  if (wants('connections')) {
    step('connections per second');
    results.connections = await measureConnections(started, options, postgres.pgbench);
  }
  for (const contestant of started) await contestant.stop();
  if (wants('memory')) {
    step('memory of 1,000 idle sessions');
    results.memory = await measureMemory(ids, postgres, say);
  }

  if (wants('holds')) {
    step('1,000 sessions that wait for approval');
    results.holds = await measureHolds(options, postgres);
  }
  if (wants('counted')) {
    step('writes that are counted before they are committed');
    results.counted = await measureCounted(options, postgres);
  }

  notes.unshift(
    `${postgres.version}; Node ${process.versions.node}; ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}; ` +
      `medians of ${options.rounds} rounds of ${options.seconds} s${options.quick ? ' (quick: do not quote)' : ''}`,
  );
  process.stdout.write(`\n${report(results, started, notes)}`);
  if (options.json !== null) {
    const figures = { notes, contestants: ids, ...results, load };
    writeFileSync(options.json, JSON.stringify(figures, null, 2) + '\n');
  }
}

/**
 * @param {import('./options.mjs').Options} options
 * @param {number} postgresPort
 * @returns {Promise<{ started: import('./contestants.mjs').Started[], notes: string[] }>} notes: who is missing, and why
 */
async function startAll(options, postgresPort) {
  const unknown = (options.only ?? []).filter(
    (id) => id !== 'direct' && !CONTESTANTS.some((contestant) => contestant.id === id),
  );
  if (unknown.length > 0) throw new Error(`no such contestant: ${unknown.join(', ')}`);
  const wanted = (/** @type {string} */ id) => options.only === null || options.only.includes(id);
  // The ratios need their base: direct always takes part.
  const started = [direct(postgresPort)];
  const notes = [];
  for (const contestant of CONTESTANTS.filter(({ id }) => wanted(id))) {
    const missing = contestant.missing();
    try {
      if (missing !== null) notes.push(`${contestant.title} is missing: ${missing}`);
      else started.push(await startContestant(contestant, postgresPort));
    } catch (error) {
      notes.push(`${contestant.title} did not start: ${oneLine(error)}`);
    }
  }
  for (const note of notes) say(note);
  return { started, notes };
}

/** @param {unknown} error */
function oneLine(error) {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ');
}

/** Progress goes to standard error, so that the table can be redirected. @param {string} text */
function say(text) {
  if (!interrupted) process.stderr.write(`${text}\n`);
}
