/**
 * Tells the webhooks of the settings what becomes of holds.
 *
 * Law: a listener of the store like any other: it changes nothing, waits for nothing,
 * and a hold does not depend on whether anybody was told.
 */
import type { WebhookSettings } from '../../config/webhook-settings.js';
import type { Hold } from '../../holds/hold.js';
import type { HoldStore } from '../../holds/store.js';
import { RETRIES } from '../../holds/webhooks/retry.js';
import type { RetryPolicy } from '../../holds/webhooks/retry.js';
import { slackBody } from '../../holds/webhooks/slack.js';
import { jsonBody } from '../../holds/webhooks/telling.js';
import type { Telling, WebhookEvent } from '../../holds/webhooks/telling.js';
import type { Logger } from '../../log.js';
import type { Metrics } from '../../metrics.js';
import { createDeliveries, DELIVERY_LIMITS } from './deliveries.js';
import type { Deliveries, DeliveryLimits } from './deliveries.js';
import { disclose } from './disclosure.js';

export interface NotifierOptions {
  readonly store: Pick<HoldStore, 'subscribe'>;
  readonly webhooks: readonly WebhookSettings[];
  /** Of the approvals page; null: not known. */
  readonly pageUrl: string | null;
  readonly metrics: Pick<Metrics, 'webhookDeliveries'>;
  readonly logger: Logger;
  readonly now: () => number;
  readonly random: () => number;
  readonly newId: () => string;
  readonly limits?: Partial<DeliveryLimits>;
  readonly retries?: Partial<RetryPolicy>;
}

export interface Notifier {
  /** Sends what is left for so many milliseconds at most. What happens to holds from now on is not told. */
  close(graceMs: number): Promise<void>;
}

export function createNotifier(options: NotifierOptions): Notifier {
  const { store, webhooks, pageUrl, metrics, logger, now, random, newId } = options;
  const services = {
    limits: { ...DELIVERY_LIMITS, ...options.limits },
    retries: { ...RETRIES, ...options.retries },
    deliveries: metrics.webhookDeliveries,
    ...{ logger, now, random, newId },
  };
  const receivers = webhooks.map((settings) => ({
    settings,
    deliveries: createDeliveries({ url: settings.url, secret: settings.secret ?? null }, services),
  }));

  function tell(event: WebhookEvent, hold: Hold): void {
    for (const { settings, deliveries } of receivers) {
      if (settings.events.includes(event)) send(settings, deliveries, event, hold);
    }
  }

  function send(settings: WebhookSettings, deliveries: Deliveries, event: WebhookEvent, hold: Hold): void {
    const telling: Telling = {
      event,
      at: now(),
      hold,
      disclosed: disclose(hold, settings.literals),
      link: pageUrl === null ? null : linkTo(pageUrl, hold),
    };
    const body = settings.format === 'slack' ? slackBody(telling) : jsonBody(telling);
    deliveries.send({ event, holdId: hold.id, body });
  }

  const stop =
    receivers.length === 0
      ? () => undefined
      : store.subscribe(({ hold, effects, here }) => {
          // Where several processes share a store, that in which something happens tells of it.
          if (!here) return;
          for (const effect of effects) if (effect.kind === 'entered') tell(effect.to, hold);
        });

  return {
    async close(graceMs) {
      stop();
      await Promise.all(receivers.map(({ deliveries }) => deliveries.close(graceMs)));
    },
  };
}

/** The page shows the hold that the address names behind the `#`, which is sent to nobody. */
function linkTo(pageUrl: string, { id }: Hold): string {
  const url = new URL(pageUrl);
  url.hash = `hold-${id}`;
  return url.href;
}
