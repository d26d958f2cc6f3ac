/** The bench's command line. Owns: flags and their defaults. */
import { parseArgs } from 'node:util';

/** The measurements, in the order in which they run. */
const PARTS = ['load', 'judging', 'latency', 'insert', 'copy', 'memory', 'connections', 'holds', 'counted'];

export const USAGE = `Usage: npm run bench -- [flags]

  --rounds N        rounds of every measurement (default 5)
  --seconds S       seconds of pgbench per contestant and round (default 5)
  --only A,B        only these contestants (their ids: ${'direct, pipe, onread, pgbouncer, pgpool, haproxy, holdfast'})
  --parts A,B       only these measurements: ${PARTS.join(', ')}
  --all             pgbench's extended protocol too, beside simple and prepared
  --quick           2 rounds of 2 seconds and smaller samples: to see that it works, not to quote
  --json FILE       write every figure to FILE as JSON too
`;

/**
 * @typedef {object} Options
 * @property {number} rounds
 * @property {number} seconds of pgbench per contestant and round
 * @property {boolean} quick smaller samples everywhere
 * @property {string[]} modes pgbench's query modes
 * @property {number[]} clients
 * @property {string[] | null} only contestants' ids, null for all
 * @property {string[]} parts
 * @property {string | null} json
 */

/** A wrong command line: the message is for the person who typed it. */
export class UsageError extends Error {}

/**
 * @param {string[]} argv without node and the script
 * @returns {Options | null} null when help was asked for
 * @throws {UsageError}
 */
export function readOptions(argv) {
  const values = parse(argv);
  if (values.help) return null;
  const parts = list(values.parts) ?? PARTS;
  const unknown = parts.filter((part) => !PARTS.includes(part));
  if (unknown.length > 0) throw new UsageError(`no such measurement: ${unknown.join(', ')}`);
  const quick = values.quick === true;
  return {
    rounds: positive('--rounds', values.rounds, quick ? 2 : 5),
    seconds: positive('--seconds', values.seconds, quick ? 2 : 5),
    quick,
    modes: values.all ? ['simple', 'extended', 'prepared'] : ['simple', 'prepared'],
    clients: [8, 32],
    only: list(values.only),
    parts,
    json: values.json ?? null,
  };
}

/** @param {string[]} argv */
function parse(argv) {
  try {
    return parseArgs({
      args: argv,
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        only: { type: 'string' },
        parts: { type: 'string' },
        json: { type: 'string' },
        all: { type: 'boolean' },
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string | undefined} text */
function list(text) {
  return text === undefined ? null : text.split(',').map((word) => word.trim());
}

/** @param {string} name @param {string | undefined} text @param {number} otherwise */
function positive(name, text, otherwise) {
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new UsageError(`${name} wants a whole number above 0`);
  return number;
}
