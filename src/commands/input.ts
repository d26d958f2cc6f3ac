/**
 * Standard input, with an end to how much of it is held in memory.
 *
 * Law: bytes are text only when they are UTF-8; nothing is replaced silently,
 * because the replaced text would be judged instead of the real one.
 */
import { OperatorError } from '../errors.js';

/** More than any statement that the proxy takes by default. */
const MOST_BYTES = 32 * 1024 * 1024;

/** The whole input as one text. @throws OperatorError when it is too long or no UTF-8. */
export async function readAll(input: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of input) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new OperatorError('standard input is longer than 32 MB', 2);
    chunks.push(chunk);
  }
  const text = decode(Buffer.concat(chunks));
  if (text === null) throw new OperatorError('standard input is not valid UTF-8', 2);
  return text;
}

export interface Line {
  /** One-based. */
  readonly number: number;
  readonly content: { readonly text: string } | { readonly problem: string };
}

/** The lines of the input, one at a time; a line that is too long or no UTF-8 is a problem, and the next one is read. */
export async function* readLines(input: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let number = 0;
  let pending: Buffer[] = [];
  let length = 0;
  const finish = (): Line => {
    number++;
    const tooLong = length > MOST_BYTES;
    const text = tooLong ? null : decode(Buffer.concat(pending));
    pending = [];
    length = 0;
    if (tooLong) return { number, content: { problem: 'longer than 32 MB' } };
    return { number, content: text === null ? { problem: 'not valid UTF-8' } : { text } };
  };
  const add = (bytes: Buffer): void => {
    length += bytes.length;
    if (length > MOST_BYTES) pending = [];
    else pending.push(bytes);
  };
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      add(chunk.subarray(start, end));
      yield finish();
      start = end + 1;
    }
    add(chunk.subarray(start));
  }
  if (length > 0) yield finish();
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
