/**
 * The live list: server-sent events over fetch, which unlike EventSource tells why a
 * stream was refused and lets signs of life be seen.
 *
 * Law: it says `live` only while something has come within the last seconds; whatever
 * it is, an end, an error or silence, it says so and comes again. A stream begins with
 * all that is open, so nothing is missed in between.
 */
import { CallFailed } from './calls.js';
import { createEventParser } from './event-parser.js';
import type { Message } from './event-parser.js';

export interface FollowOptions {
  readonly open: (signal: AbortSignal) => Promise<Response>;
  readonly onMessage: (message: Message) => void;
  readonly onLive: () => void;
  /** @param words why, for a person */
  readonly onLost: (words: string) => void;
  /** The session has ended; nobody follows any more. */
  readonly onSignedOut: () => void;
}

/** Heartbeats come every five seconds. */
const SILENCE_MS = 15_000;
const RETRY_MS = [500, 1_000, 2_000, 5_000] as const;
const MOST_RETRY_MS = 10_000;

/** Follows until it is stopped. @returns stops it */
export function follow(options: FollowOptions): () => void {
  const ending = new AbortController();
  void run(options, ending.signal);
  return () => {
    ending.abort();
  };
}

async function run(options: FollowOptions, ending: AbortSignal): Promise<void> {
  let failures = 0;
  const over = (): boolean => ending.aborted;
  while (!over()) {
    let words = 'The connection has ended.';
    let retryMs: number | null = null;
    try {
      await once(options, ending, () => {
        failures = 0;
        options.onLive();
      });
    } catch (error) {
      if (over()) return;
      if (error instanceof CallFailed) {
        if (error.code === 'unauthenticated') {
          options.onSignedOut();
          return;
        }
        ({ message: words, retryMs } = error);
      }
    }
    options.onLost(words);
    await pause(Math.min(retryMs ?? RETRY_MS[failures] ?? MOST_RETRY_MS, MOST_RETRY_MS), ending);
    failures++;
  }
}

async function once(options: FollowOptions, ending: AbortSignal, onLive: () => void): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => undefined, 0);
  const hear = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      silence.abort();
    }, SILENCE_MS);
  };
  hear();
  try {
    const response = await options.open(AbortSignal.any([ending, silence.signal]));
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (reader === undefined) return;
    const parseMore = createEventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      hear();
      for (const message of parseMore(value)) {
        options.onMessage(message);
        if (message.event === 'open') onLive();
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
