/**
 * The worker thread that analyses what is too large for the main thread.
 *
 * Law of this file: one message in, one message out, nothing kept between them. Its
 * pool (gate/analysis-pool.ts) gives it one text at a time and a stack of its own.
 */
import { hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { analyze, loadParser } from './analyze.js';
import type { Analysis } from './facts.js';
import { isParserBroken } from './parser.js';

export interface WorkerRequest {
  readonly id: number;
  /** The text in UTF-8, in shared memory: copying a large text costs the main thread more than all its other work. */
  readonly text: Uint8Array;
}

export type WorkerReply =
  | { readonly kind: 'ready' }
  /** `broken`: the parser met an error it may not survive; this thread is to be replaced. */
  | {
      readonly kind: 'analysis';
      readonly id: number;
      readonly analysis: Analysis;
      /** Of the text, hex. */
      readonly sha256: string;
      readonly broken: boolean;
    };

if (parentPort !== null) {
  const port = parentPort;
  await loadParser();
  port.on('message', ({ id, text }: WorkerRequest) => {
    const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
    const analysis = analyze(bytes.toString('utf8'));
    const sha256 = hash('sha256', bytes, 'hex');
    port.postMessage({
      kind: 'analysis',
      id,
      analysis,
      sha256,
      broken: isParserBroken(),
    } satisfies WorkerReply);
  });
  port.postMessage({ kind: 'ready' } satisfies WorkerReply);
}
