/**
 * The settings of webhooks: `holds.webhooks`.
 *
 * Law: that of settings.ts. An address may be a secret as a whole (Slack's are), so no
 * problem quotes it.
 */
import { z } from 'zod';
import type { Problem } from './problems.js';
import { closed, text } from './values.js';
import type { YamlSource } from './yaml-source.js';

/** The state that a hold has entered. */
const EVENTS = ['requested', 'approved', 'denied', 'expired', 'withdrawn', 'released'] as const;

export interface WebhookSettings {
  readonly url: string;
  readonly format: 'json' | 'slack';
  /** Signs what is sent. */
  readonly secret?: string;
  /** Whether values of the statement are sent. */
  readonly literals: boolean;
  readonly events: readonly (typeof EVENTS)[number][];
}

const LEAST_SECRET = 16;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** What is wrong with an address to send to, or to point people at; null: nothing. */
export function urlProblem(value: string): string | null {
  if (!URL.canParse(value)) return 'expected an address such as https://host/path';
  const { protocol, hostname } = new URL(value);
  if (protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname))) return null;
  return 'expected an https: address; http: is for this machine only, since what is sent can be read on the way';
}

export const webhookSchema = closed({
  url: text(urlProblem).meta({ description: 'where to POST; https:, or http: on this machine' }),
  format: z.enum(['json', 'slack']).default('json'),
  secret: text((value) =>
    value.length >= LEAST_SECRET
      ? null
      : `expected a secret of ${LEAST_SECRET.toString()} characters or more`,
  )
    .exactOptional()
    .meta({ description: 'signs what is sent; format json needs one' }),
  literals: z
    .boolean()
    .default(false)
    .meta({ description: 'whether values in the statement and its parameters are sent' }),
  events: z
    .array(z.enum(EVENTS))
    .min(1, 'an empty list sends nothing; leave it out for all')
    .default([...EVENTS])
    .meta({ description: 'the states of a hold that are told; left out: all' }),
});

/** What the webhooks contradict, each at its place. */
export function webhookProblems(
  webhooks: readonly z.output<typeof webhookSchema>[],
  source: YamlSource,
): Problem[] {
  return webhooks.flatMap(({ format, secret }, index) =>
    format === 'json' && secret === undefined
      ? [
          source.problem(
            ['holds', 'webhooks', index],
            'format json needs a secret: without one nobody could tell whether a message is from Holdfast',
          ),
        ]
      : [],
  );
}
