/**
 * The worker thread that analyses what is too large for the main thread.
 *
 * Law of this file: one message in, one message out, nothing kept between them. Its
 * pool (gate/analysis-pool.ts) gives it one text at a time and a stack of its own.
 */
import { parentPort } from 'node:worker_threads';
import { analyze, loadParser } from './analyze.js';
import type { Analysis } from './facts.js';
import { isParserBroken } from './parser.js';

export interface WorkerRequest {
  readonly id: number;
  readonly sql: string;
}

export type WorkerReply =
  | { readonly kind: 'ready' }
  /** `broken`: the parser met an error it may not survive; this thread is to be replaced. */
  | { readonly kind: 'analysis'; readonly id: number; readonly analysis: Analysis; readonly broken: boolean };

if (parentPort !== null) {
  const port = parentPort;
  await loadParser();
  port.on('message', ({ id, sql }: WorkerRequest) => {
    const analysis = analyze(sql);
    port.postMessage({ kind: 'analysis', id, analysis, broken: isParserBroken() } satisfies WorkerReply);
  });
  port.postMessage({ kind: 'ready' } satisfies WorkerReply);
}
