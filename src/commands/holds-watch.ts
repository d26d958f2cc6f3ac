/**
 * `holdfast holds list --watch`: follows /api/events and comes again when the
 * stream breaks off.
 *
 * Law: a stream begins with everything that is open, so nothing that was missed
 * while it was broken stays unseen.
 */
import { z } from 'zod';
import { holdListSchema, holdSummarySchema } from '../admin/api/schemas.js';
import type { HoldListView, HoldSummaryView } from '../admin/api/schemas.js';
import { OperatorError } from '../errors.js';
import type { HoldsClient } from './holds-client.js';

export type WatchEvent =
  | { readonly event: 'open'; readonly data: HoldListView }
  | { readonly event: 'hold'; readonly data: { readonly change: string; readonly hold: HoldSummaryView } };

const changeSchema = z.object({ change: z.string(), hold: holdSummarySchema });

export interface WatchOptions {
  readonly onEvent: (event: WatchEvent) => Promise<void>;
  readonly onBroken: (why: string) => void;
  /** Ends the watching. */
  readonly signal: AbortSignal;
  readonly reconnectMs?: number;
  /** Without a sign of life for so long the stream counts as broken. */
  readonly silenceMs?: number;
}

const RECONNECT_MS = 1_000;
/** Waiting doubles up to this: a token that is no longer good must not be tried again and again. */
const MAX_RECONNECT_MS = 60_000;
const SILENCE_MS = 20_000;
/** One event: 500 summaries of some kilobytes each. */
const MAX_EVENT_CHARACTERS = 16 * 1024 ** 2;

/** Follows until the signal. @throws OperatorError when the first attempt fails; later ones are made again */
export async function watchHolds(client: HoldsClient, options: WatchOptions): Promise<void> {
  const { signal, onBroken } = options;
  const ended = (): boolean => signal.aborted;
  const first = options.reconnectMs ?? RECONNECT_MS;
  let wait = first;
  let stream: EventStream | null = await openStream(client, options);
  while (!ended()) {
    try {
      stream ??= await openStream(client, options);
      wait = first;
      await readEvents(stream, options.onEvent);
      if (!ended()) onBroken(`${client.url} ended the stream`);
    } catch (error) {
      if (ended()) return;
      if (!(error instanceof OperatorError)) throw error;
      onBroken(error.message);
    }
    stream = null;
    await pause(wait, signal);
    wait = Math.min(wait * 2, MAX_RECONNECT_MS);
  }
}

interface EventStream {
  readonly url: string;
  readonly bytes: ReadableStream<Uint8Array>;
  /** To be called for each sign of life; without one the stream is ended. */
  readonly alive: () => void;
  readonly silent: () => boolean;
  /** It will not be read any further. */
  readonly done: () => void;
}

async function openStream(client: HoldsClient, options: WatchOptions): Promise<EventStream> {
  const silence = new AbortController();
  const start = (): NodeJS.Timeout =>
    setTimeout(() => {
      silence.abort();
    }, options.silenceMs ?? SILENCE_MS);
  let timer = start();
  const done = (): void => {
    clearTimeout(timer);
  };
  try {
    return {
      url: client.url,
      bytes: await client.stream('events', AbortSignal.any([options.signal, silence.signal])),
      alive: () => {
        clearTimeout(timer);
        timer = start();
      },
      silent: () => silence.signal.aborted,
      done,
    };
  } catch (error) {
    done();
    throw error;
  }
}

/** One stream, to its end. */
async function readEvents(stream: EventStream, onEvent: WatchOptions['onEvent']): Promise<void> {
  const decoder = new TextDecoder();
  let pending = '';
  try {
    for await (const chunk of chunks(stream)) {
      stream.alive();
      pending += decoder.decode(chunk, { stream: true });
      if (pending.length > MAX_EVENT_CHARACTERS) throw new OperatorError('an event is too long');
      const blocks = pending.split('\n\n');
      pending = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = parseEvent(block, stream.url);
        if (event !== null) await onEvent(event);
      }
    }
  } finally {
    stream.done();
  }
}

/** Failures of the network, and of nothing else, get words. */
async function* chunks(stream: EventStream): AsyncGenerator<Uint8Array> {
  const reader = stream.bytes.getReader();
  try {
    for (;;) {
      const read = await reader.read().catch(() => null);
      if (read === null) {
        throw new OperatorError(
          stream.silent() ? `${stream.url} has gone silent` : `the stream from ${stream.url} broke off`,
        );
      }
      if (read.done) return;
      yield read.value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** An event as Holdfast writes them: one `event:` and one `data:` line. Comments and others are null. */
function parseEvent(block: string, url: string): WatchEvent | null {
  const field = (name: string): string | null =>
    block
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2) ?? null;
  const event = field('event');
  const text = field('data');
  if (text === null) return null;
  try {
    const data: unknown = JSON.parse(text);
    if (event === 'open') return { event, data: holdListSchema.parse(data) };
    return event === 'hold' ? { event, data: changeSchema.parse(data) } : null;
  } catch {
    throw new OperatorError(`${url} sent an event that is none of Holdfast's`);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
