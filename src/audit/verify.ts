/**
 * Checks the seals of audit files: `holdfast audit verify`.
 *
 * Law of this file: it recomputes what chain.ts defines and believes nothing else.
 * Files are read in pieces; memory does not grow with them. After a break it goes
 * on from the seal that the file names, so that one change is one report.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { OperatorError } from '../errors.js';
import {
  GENESIS_SEAL,
  LINE_HEAD_BYTES,
  MAX_SEAL_LINE_BYTES,
  parseLineHead,
  parseSealLine,
  SEAL_END,
  type Seal,
} from './chain.js';

export interface Finding {
  readonly file: string;
  /** One-based. */
  readonly line: number;
  readonly message: string;
}

export interface Verification {
  /** No problems; warnings may remain. */
  readonly ok: boolean;
  readonly problems: readonly Finding[];
  /** What cannot be called wrong: a tail that is not sealed yet, a log whose beginning is not among the files. */
  readonly warnings: readonly Finding[];
  /** Lines that are no seals. */
  readonly records: number;
  readonly seals: number;
  /** The last seal: compare it with a copy kept elsewhere to know that nothing was cut off. */
  readonly lastSeal: Seal | null;
}

const NEWLINE = 0x0a;
/** Of a line: a seal fits whole, a start record up to its previous_seal. */
const KEPT_BYTES = 512;
const PREVIOUS_SEAL = /"previous_seal":"([0-9a-f]{64})"/;

interface Line {
  /** The first KEPT_BYTES, without the newline. */
  readonly head: string;
  readonly bytes: number;
  readonly number: number;
}

interface Sink {
  /** Bytes of the current line, in pieces; `head` is what is known of its beginning. */
  data(chunk: Buffer, head: string, number: number): void;
  /** The line's newline was reached (not part of `data`). */
  line(line: Line): void;
}

/** Feeds a file's lines to the sink. Returns how many bytes follow the last newline. */
async function readLines(
  path: string,
  sink: Sink,
): Promise<{ readonly lines: number; readonly rest: number }> {
  let number = 1;
  let bytes = 0;
  let head = '';
  const take = (chunk: Buffer): void => {
    if (head.length < KEPT_BYTES) head += chunk.toString('latin1', 0, KEPT_BYTES - head.length);
    bytes += chunk.length;
    sink.data(chunk, head, number);
  };
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, end));
      sink.line({ head, bytes, number });
      start = end + 1;
      number++;
      bytes = 0;
      head = '';
    }
    take(chunk.subarray(start));
  }
  return { lines: number - 1, rest: bytes };
}

interface FileStart {
  readonly path: string;
  readonly seq: number;
}

/** The number of a file's first line, to put files in order. Infinity when it has none: reported when it is read. */
async function readFileStart(path: string): Promise<FileStart> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(LINE_HEAD_BYTES), 0, LINE_HEAD_BYTES, 0);
      const head = parseLineHead(buffer.toString('latin1', 0, bytesRead));
      return { path, seq: head?.seq ?? Number.POSITIVE_INFINITY };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new OperatorError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

interface Chain {
  previousSeal: string | null;
  /** Of the last line; null before the first. */
  seq: number | null;
  records: number;
  seals: number;
  lastSeal: Seal | null;
  readonly problems: Finding[];
  readonly warnings: Finding[];
}

function verifyFile(
  chain: Chain,
  file: string,
): { readonly sink: Sink; finish(lines: number, rest: number, last: boolean): void } {
  const problem = (line: number, message: string): void => {
    chain.problems.push({ file, line, message });
  };
  const warn = (line: number, message: string): void => {
    chain.warnings.push({ file, line, message });
  };

  /** Over the lines since the last seal; the current line's pieces wait in `current` until it is known not to be the seal. */
  let covered: Hash = createHash('sha256');
  let begun = false;
  let unsealedFrom = 1;
  let current: Buffer[] = [];
  let currentBytes = 0;
  let flushed = false;

  function begin(head: string, line: number): void {
    begun = true;
    const named = PREVIOUS_SEAL.exec(head)?.[1] ?? null;
    const isStart = parseLineHead(head)?.kind === 'start' && named !== null;
    if (!isStart) problem(line, 'the file does not begin with a start record: its beginning was removed');
    if (chain.previousSeal === null) {
      chain.previousSeal = named ?? GENESIS_SEAL;
      if (isStart && named !== GENESIS_SEAL) {
        warn(
          line,
          `the log begins before this file: its records follow the seal ${named}, which is not among the files`,
        );
      }
    }
    covered.update(chain.previousSeal);
  }

  function checkNumber(line: Line): void {
    const head = parseLineHead(line.head);
    if (head === null) {
      problem(line.number, 'not a record of an audit log');
      return;
    }
    if (chain.seq !== null && head.seq !== chain.seq + 1) {
      const expected = (chain.seq + 1).toString();
      const found = head.seq.toString();
      problem(
        line.number,
        head.seq > chain.seq
          ? `number ${found} where ${expected} belongs: records were removed or put elsewhere`
          : `number ${found} where ${expected} belongs: records were repeated, added or put elsewhere`,
      );
    }
    chain.seq = head.seq;
    if (head.kind === 'seal' && (line.bytes > MAX_SEAL_LINE_BYTES || parseSealLine(line.head) === null)) {
      problem(line.number, 'this seal is not in the form that seals have');
    }
    if (head.kind === 'start') {
      const named = PREVIOUS_SEAL.exec(line.head)?.[1];
      if (named !== undefined && chain.previousSeal !== null && named !== chain.previousSeal) {
        problem(
          line.number,
          'this start record follows another seal than the one before it: records were removed or put elsewhere',
        );
      }
    }
  }

  function release(): void {
    for (const piece of current) covered.update(piece);
    current = [];
    flushed = true;
  }

  const sink: Sink = {
    data(chunk, head, number) {
      if (chunk.length === 0) return;
      // The pieces are views of the reader's chunk, which is not reused.
      current.push(chunk);
      currentBytes += chunk.length;
      if (currentBytes <= KEPT_BYTES) return;
      if (!begun) begin(head, number);
      release();
    },
    line(line) {
      if (!begun) begin(line.head, line.number);
      checkNumber(line);
      const seal = flushed || line.bytes > MAX_SEAL_LINE_BYTES ? null : parseSealLine(line.head);
      if (seal === null) {
        release();
        covered.update('\n');
        chain.records++;
      } else {
        covered.update(
          line.head.slice(0, line.head.length - seal.sha256.length - (SEAL_END.length - 1)),
          'latin1',
        );
        if (covered.digest('hex') !== seal.sha256) {
          problem(
            line.number,
            `the seal does not fit lines ${unsealedFrom.toString()} to ${line.number.toString()}: ` +
              'something in them was changed, removed, added or reordered',
          );
        }
        chain.seals++;
        chain.lastSeal = seal;
        chain.previousSeal = seal.sha256;
        unsealedFrom = line.number + 1;
        covered = createHash('sha256').update(seal.sha256);
      }
      current = [];
      currentBytes = 0;
      flushed = false;
    },
  };

  return {
    sink,
    finish(lines, rest, last) {
      if (lines === 0 && rest === 0) {
        problem(1, 'the file is empty: its records were removed');
        return;
      }
      if (unsealedFrom === 1) {
        problem(1, 'the file has no seal at all: nothing in it is proven');
        return;
      }
      const unsealed = lines - unsealedFrom + 1;
      if (unsealed === 0 && rest === 0) return;
      const message =
        `tail not sealed: ${unsealed.toString()} lines` +
        (rest > 0 ? ` and ${rest.toString()} bytes without a line end` : '') +
        ' follow the last seal';
      // A file that was rotated away ends with a seal; one in use may be in the middle of a batch, or a crash was.
      if (last) warn(unsealedFrom, `${message} (a batch being written, or a crash)`);
      else problem(unsealedFrom, `${message}, and the next file goes on behind them`);
    },
  };
}

/**
 * Verifies audit files as one log. The order of the arguments does not matter:
 * files are put in the order of their first record.
 *
 * @throws OperatorError when a file cannot be read.
 */
export async function verifyAuditFiles(paths: readonly string[]): Promise<Verification> {
  const starts = await Promise.all(paths.map(readFileStart));
  starts.sort((left, right) => (left.seq === right.seq ? 0 : left.seq - right.seq));
  const chain: Chain = {
    previousSeal: null,
    seq: null,
    records: 0,
    seals: 0,
    lastSeal: null,
    problems: [],
    warnings: [],
  };
  for (const [index, { path }] of starts.entries()) {
    const file = verifyFile(chain, path);
    const { lines, rest } = await readLines(path, file.sink);
    file.finish(lines, rest, index === starts.length - 1);
  }
  const { problems, warnings, records, seals, lastSeal } = chain;
  return { ok: problems.length === 0, problems, warnings, records, seals, lastSeal };
}
