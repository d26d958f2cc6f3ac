/**
 * The format of an audit log on disk, shared by who writes it and who verifies it.
 *
 * A file is UTF-8, one JSON object a line, each line ended by one newline:
 *
 *     {"ts":"2026-01-31T12:00:00.000Z","seq":41,"kind":"decision",…}
 *     {"ts":"2026-01-31T12:00:00.000Z","seq":42,"kind":"seal","sha256":"…64 hex digits…"}
 *
 * `seq` grows by exactly one from line to line, seals included, over rotated
 * files and restarts.
 *
 * A seal's `sha256` is SHA-256 over
 *
 *   1. the 64 hex digits (ASCII) of the seal before it, or GENESIS_SEAL, then
 *   2. every byte of the file that follows the seal line before it (from the
 *      file's first byte if there is none), up to and including the `"sha256":"`
 *      of its own line.
 *
 * A seal's `ts` is that of the last record it covers.
 *
 * So a seal also covers its own time and number; what follows its digits is `"}`
 * and a newline, always. The first line of every file is a `start` record whose
 * `previous_seal` names the last seal of the file before (GENESIS_SEAL for the
 * first file ever): the chain goes on over files, and a file can be verified
 * alone from there on.
 *
 * What the chain proves: no line was changed, removed, added or reordered by
 * somebody who did not compute every later seal anew. The hash has no key, and
 * the end of a log can be cut off at a seal; against both, keep a copy of a late
 * seal elsewhere (the operator's log has one whenever the writer closes).
 */

/** What the first seal of the first file follows. */
export const GENESIS_SEAL = '0'.repeat(64);

/** Version of this format, in every start record. */
export const FORMAT = 1;

/** Behind the digits of a seal. */
export const SEAL_END = '"}\n';

/** `body` is a JSON object's text without its opening brace. */
export function formatLine(timestamp: string, seq: number, body: string): string {
  return `{"ts":"${timestamp}","seq":${seq.toString()},${body}\n`;
}

/** A seal line up to where its digits begin: the last bytes that it covers. */
export function formatSealHead(timestamp: string, seq: number): string {
  return `{"ts":"${timestamp}","seq":${seq.toString()},"kind":"seal","sha256":"`;
}

const TIMESTAMP = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
const LINE = new RegExp(String.raw`^\{"ts":"${TIMESTAMP}","seq":(\d{1,16}),"kind":"([a-z_]{1,32})"[,}]`);
const SEAL_LINE = new RegExp(
  String.raw`^\{"ts":"${TIMESTAMP}","seq":(\d{1,16}),"kind":"seal","sha256":"([0-9a-f]{64})"\}$`,
);

/** How many bytes of a line tell its number and kind. */
export const LINE_HEAD_BYTES = 128;

/** A whole seal line is never longer than this, newline excluded. */
export const MAX_SEAL_LINE_BYTES = 192;

export interface LineHead {
  readonly seq: number;
  readonly kind: string;
}

/** Number and kind of a line, from its first LINE_HEAD_BYTES or more; null: not a line of an audit log. */
export function parseLineHead(head: string): LineHead | null {
  const match = LINE.exec(head);
  if (match === null) return null;
  return { seq: Number(match[1]), kind: match[2] ?? '' };
}

export interface Seal {
  readonly seq: number;
  readonly sha256: string;
}

/** A whole seal line, without its newline; null when it is anything else. */
export function parseSealLine(line: string): Seal | null {
  const match = SEAL_LINE.exec(line);
  if (match === null) return null;
  return { seq: Number(match[1]), sha256: match[2] ?? '' };
}
