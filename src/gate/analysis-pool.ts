/**
 * The pool of worker threads that analyse large statements.
 *
 * Law of this file: it owns the threads and the queue before them. Every text gets
 * an answer: an Analysis from a worker, or `too_complex` when its worker died, broke
 * or missed the deadline. It never retries: what killed one worker would kill the next.
 */
import { Worker } from 'node:worker_threads';
import type { Analysis } from '../sql/facts.js';
import type { WorkerReply, WorkerRequest } from '../sql/worker.js';

export interface AnalysisPoolOptions {
  /** Threads at most; they start when they are needed. */
  readonly size: number;
  /** The built src/sql/worker.ts. */
  readonly workerUrl: URL;
  /** How long one text may take, from the moment a loaded worker has it. */
  readonly deadlineMs: number;
  /** Stack of each thread: the parser recurses on depth. */
  readonly stackSizeMb: number;
  /** Heap of each thread; a tree takes some fifty times its text. Default 1024. */
  readonly heapMb?: number;
  /** How long a thread may take to load the grammar. Default 30,000. */
  readonly startDeadlineMs?: number;
}

export interface PooledAnalysis {
  readonly analysis: Analysis;
  /** Of the text, hex; null when no worker got to it. */
  readonly sha256: string | null;
}

export interface AnalysisPool {
  /** `text`: UTF-8 in shared memory (sharedText). Never rejects. */
  readonly analyze: (text: Uint8Array) => Promise<PooledAnalysis>;
  /** Ends all threads; what still waits is answered `too_complex`. */
  readonly close: () => Promise<void>;
}

interface Job {
  readonly text: Uint8Array;
  readonly answer: (analysis: Analysis, sha256: string | null) => void;
}

/** A copy of `bytes` that other threads can read without another. */
export function sharedText(bytes: Uint8Array): Buffer {
  const text = Buffer.from(new SharedArrayBuffer(bytes.length));
  text.set(bytes);
  return text;
}

interface Thread {
  readonly worker: Worker;
  state: 'loading' | 'idle' | 'busy' | 'gone';
  job: Job | null;
  timer: NodeJS.Timeout | null;
}

/** A text longer than this is the last that its thread reads. */
const REPLACE_AFTER_BYTES = 1_048_576;

const TOO_DEEP = tooComplex('54001', 'the statement is too deep to be judged');
const TOO_SLOW = tooComplex('54001', 'the statement takes too long to be judged');
const TOO_LARGE = tooComplex('54000', 'the statement is too large to be judged');
const CLOSED = tooComplex('54001', 'the proxy is shutting down');

/** Makes a pool; no thread runs before the first text comes. */
export function createAnalysisPool(options: AnalysisPoolOptions): AnalysisPool {
  const threads = new Set<Thread>();
  const queue: Job[] = [];
  let nextId = 0;
  let closed = false;

  function dispatch(): void {
    for (const thread of threads) {
      if (queue.length === 0) return;
      if (thread.state === 'idle') give(thread);
    }
    let loading = 0;
    for (const thread of threads) if (thread.state === 'loading') loading += 1;
    while (threads.size < options.size && loading < queue.length) {
      start();
      loading += 1;
    }
  }

  function give(thread: Thread): void {
    const job = queue.shift();
    if (job === undefined) return;
    nextId += 1;
    thread.state = 'busy';
    thread.job = job;
    // While it works, the process has a reason to live; idle, it has none.
    thread.worker.ref();
    limit(thread, options.deadlineMs, TOO_SLOW);
    thread.worker.postMessage({ id: nextId, text: job.text } satisfies WorkerRequest);
  }

  function start(): void {
    const worker = new Worker(options.workerUrl, {
      resourceLimits: { stackSizeMb: options.stackSizeMb, maxOldGenerationSizeMb: options.heapMb ?? 1024 },
    });
    const thread: Thread = { worker, state: 'loading', job: null, timer: null };
    threads.add(thread);
    limit(thread, options.startDeadlineMs ?? 30_000, TOO_SLOW);
    worker.on('message', (reply: WorkerReply) => {
      if (thread.state === 'gone') return;
      clear(thread);
      if (reply.kind === 'analysis') {
        const size = thread.job?.text.length ?? 0;
        thread.job?.answer(reply.analysis, reply.sha256);
        thread.job = null;
        // A WebAssembly memory never shrinks: a thread that has read a huge text would keep hundreds of megabytes.
        if (reply.broken || size > REPLACE_AFTER_BYTES) {
          retire(thread, TOO_DEEP);
          return;
        }
      }
      thread.state = 'idle';
      worker.unref();
      dispatch();
    });
    worker.on('error', (error: Error & { code?: string }) => {
      retire(thread, error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? TOO_LARGE : TOO_DEEP);
    });
    worker.on('exit', () => {
      retire(thread, TOO_DEEP);
    });
  }

  /** Takes a thread out of the pool; its text, or one that waited for a thread that never loaded, gets the answer. */
  function retire(thread: Thread, answer: Analysis): void {
    if (thread.state === 'gone') return;
    const job = thread.state === 'loading' ? queue.shift() : thread.job;
    thread.state = 'gone';
    thread.job = null;
    clear(thread);
    threads.delete(thread);
    job?.answer(closed ? CLOSED : answer, null);
    // Ends with exit code 1 in any case: there is nothing to learn from the result.
    void thread.worker.terminate();
    if (!closed) dispatch();
  }

  function limit(thread: Thread, milliseconds: number, answer: Analysis): void {
    thread.timer = setTimeout(() => {
      retire(thread, answer);
    }, milliseconds);
  }

  return {
    analyze(text) {
      if (closed) return Promise.resolve({ analysis: CLOSED, sha256: null });
      return new Promise((resolve) => {
        const answer = (analysis: Analysis, sha256: string | null): void => {
          resolve({ analysis, sha256 });
        };
        queue.push({ text, answer });
        dispatch();
      });
    },
    async close() {
      closed = true;
      for (const job of queue.splice(0)) job.answer(CLOSED, null);
      const ending = [...threads].map((thread) => thread.worker);
      for (const thread of threads) retire(thread, CLOSED);
      await Promise.all(ending.map((worker) => worker.terminate()));
    },
  };
}

function clear(thread: Thread): void {
  if (thread.timer !== null) clearTimeout(thread.timer);
  thread.timer = null;
}

function tooComplex(sqlstate: '54000' | '54001', message: string): Analysis {
  return { kind: 'too_complex', sqlstate, message };
}
