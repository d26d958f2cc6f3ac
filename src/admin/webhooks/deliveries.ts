/**
 * Sends one webhook's messages, and sends them again where they did not arrive.
 *
 * Law: nobody ever waits for it. What waits to be sent is bounded in number and in
 * bytes, and what does not fit is dropped, counted and logged. The messages of one
 * hold go out in their order. Of the address nothing but the host is ever logged:
 * the rest of it may be a secret, as with Slack.
 */
import type { Logger } from '../../log.js';
import type { CounterChild, Family } from '../../metrics.js';
import { verdictOn } from '../../holds/webhooks/retry.js';
import type { Attempted, RetryPolicy } from '../../holds/webhooks/retry.js';
import { signatureOf } from '../../holds/webhooks/signature.js';

export interface Receiver {
  readonly url: string;
  /** null: what is sent is not signed. */
  readonly secret: string | null;
}

export interface DeliveryLimits {
  /** Messages that wait or are being sent. */
  readonly messages: number;
  readonly bytes: number;
  /** Requests at once. */
  readonly atOnce: number;
  /** For one attempt, milliseconds. */
  readonly timeoutMs: number;
}

export const DELIVERY_LIMITS: DeliveryLimits = {
  messages: 1_000,
  bytes: 16 * 1024 ** 2,
  atOnce: 4,
  timeoutMs: 10_000,
};

export interface DeliveryServices {
  readonly limits: DeliveryLimits;
  readonly retries: RetryPolicy;
  readonly deliveries: Family<['result'], CounterChild>;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly newId: () => string;
}

export interface Message {
  readonly event: string;
  /** Messages with the same one arrive in their order, as far as they arrive. */
  readonly holdId: string;
  readonly body: string;
}

export interface Deliveries {
  send(message: Message): void;
  /**
   * Takes no more. What waits is tried once more at once; what has not arrived when
   * the grace ends is given up.
   */
  close(graceMs: number): Promise<void>;
}

interface Delivery {
  readonly id: string;
  readonly message: Message;
  readonly bytes: number;
  attempts: number;
  notBefore: number;
  /** Ends the attempt that is under way; null: none is. */
  sending: AbortController | null;
}

type Result = 'delivered' | 'rejected' | 'failed' | 'dropped' | 'abandoned';

export function createDeliveries({ url, secret }: Receiver, services: DeliveryServices): Deliveries {
  const { limits, retries, logger } = services;
  const target = addressOf(url);
  const { host } = target;
  /** In the order in which they came. */
  const waiting = new Set<Delivery>();
  let bytes = 0;
  let sending = 0;
  let pausedUntil = 0;
  let dropped = 0;
  let closing = false;
  let timer: NodeJS.Timeout | null = null;
  let onEmpty = (): void => undefined;

  const count = (result: Result): void => {
    services.deliveries.child(result).inc();
  };

  function drop(): void {
    count('dropped');
    dropped += 1;
    if (dropped === 1) logger.error({ host }, 'webhook: too many messages wait to be sent; more are dropped');
  }

  function end(delivery: Delivery, result: Result): void {
    waiting.delete(delivery);
    bytes -= delivery.bytes;
    count(result);
    if (waiting.size === 0) onEmpty();
  }

  /** Begins what may begin now, and sees to it that the rest is looked at in its time. */
  function work(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const now = services.now();
    const ready = (time: number): boolean => closing || time <= now;
    let next = Infinity;
    const ahead = new Set<string>();
    for (const delivery of waiting) {
      if (sending >= limits.atOnce) return;
      const { message, notBefore } = delivery;
      if (ahead.has(message.holdId)) continue;
      ahead.add(message.holdId);
      if (delivery.sending !== null) continue;
      const time = Math.max(notBefore, pausedUntil);
      if (ready(time)) void attempt(delivery);
      else next = Math.min(next, time);
    }
    if (next < Infinity) timer = setTimeout(work, next - now).unref();
  }

  async function attempt(delivery: Delivery): Promise<void> {
    const aborting = new AbortController();
    const tooLate = setTimeout(() => {
      aborting.abort(new Error('timeout'));
    }, limits.timeoutMs).unref();
    delivery.sending = aborting;
    delivery.attempts += 1;
    sending += 1;
    const answer = await post(delivery, aborting.signal);
    clearTimeout(tooLate);
    sending -= 1;
    delivery.sending = null;
    if (waiting.has(delivery)) judge(delivery, answer);
    work();
  }

  function judge(delivery: Delivery, { attempted, why }: Answer): void {
    const now = services.now();
    const { attempts, message } = delivery;
    const verdict = verdictOn(attempted, attempts, retries, services.random(), now);
    const fields = { host, event: message.event, hold: message.holdId, attempts, reason: why };
    switch (verdict.kind) {
      case 'delivered':
        if (dropped > 0) logger.warn({ host, dropped }, 'webhook: messages are delivered again');
        dropped = 0;
        end(delivery, 'delivered');
        return;
      case 'rejected':
        logger.error(fields, 'webhook: the receiver does not take a message');
        end(delivery, 'rejected');
        return;
      case 'failed':
        logger.error(fields, 'webhook: a message could not be delivered');
        end(delivery, 'failed');
        return;
      case 'again':
        if (closing) {
          logger.error(fields, 'webhook: a message could not be delivered before the end');
          end(delivery, 'abandoned');
          return;
        }
        logger.debug(fields, 'webhook: a message is sent again');
        delivery.notBefore = now + verdict.delayMs;
        if (verdict.everything) pausedUntil = Math.max(pausedUntil, delivery.notBefore);
        return;
    }
  }

  interface Answer {
    readonly attempted: Attempted;
    /** For the log. */
    readonly why: string;
  }

  /** One attempt. It is signed anew, so that the receiver may refuse old messages. */
  async function post({ id, message: { body, event } }: Delivery, signal: AbortSignal): Promise<Answer> {
    const timestamp = Math.floor(services.now() / 1_000).toString();
    try {
      const response = await fetch(target.url, {
        method: 'POST',
        redirect: 'manual',
        signal,
        headers: {
          ...target.headers,
          'content-type': 'application/json',
          'user-agent': 'holdfast',
          'holdfast-event': event,
          'holdfast-delivery': id,
          'holdfast-timestamp': timestamp,
          ...(secret === null ? {} : { 'holdfast-signature': signatureOf(secret, timestamp, body) }),
        },
        body,
      });
      // Nothing of it is read: a receiver could send without end.
      response.body?.cancel().catch(() => undefined);
      const { status } = response;
      const retryAfter = response.headers.get('retry-after');
      return { attempted: { kind: 'answered', status, retryAfter }, why: `status ${status.toString()}` };
    } catch (error) {
      return { attempted: { kind: 'failed' }, why: signal.aborted ? 'no answer in time' : reasonOf(error) };
    }
  }

  return {
    send(message) {
      const size = Buffer.byteLength(message.body);
      if (closing || waiting.size >= limits.messages || bytes + size > limits.bytes) {
        drop();
        return;
      }
      bytes += size;
      waiting.add({ id: services.newId(), message, bytes: size, attempts: 0, notBefore: 0, sending: null });
      work();
    },
    async close(graceMs) {
      closing = true;
      work();
      if (waiting.size > 0) {
        await new Promise<void>((resolve) => {
          const patience = setTimeout(resolve, graceMs);
          onEmpty = () => {
            clearTimeout(patience);
            resolve();
          };
        });
      }
      if (waiting.size > 0)
        logger.error({ host, messages: waiting.size }, 'webhook: messages are given up at the end');
      for (const delivery of [...waiting]) {
        end(delivery, 'abandoned');
        delivery.sending?.abort();
      }
      if (timer !== null) clearTimeout(timer);
    },
  };
}

interface Address {
  readonly url: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** fetch takes no user and password in an address. */
function addressOf(text: string): Address {
  const url = new URL(text);
  const { username, password, host } = url;
  url.username = '';
  url.password = '';
  url.hash = '';
  if (username === '' && password === '') return { url: url.href, host, headers: {} };
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { url: url.href, host, headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } };
}

/** A code or a name: an error's message may quote the address. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const cause: unknown = error.cause;
  const code = cause instanceof Error && 'code' in cause ? cause.code : null;
  return typeof code === 'string' ? code : error.name;
}
