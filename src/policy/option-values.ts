/**
 * Values that options of rules and both files share: how they are spelled, and how a
 * wrong one is shown.
 *
 * Law: schemas and words; it knows no rule and no file.
 */
import { z } from 'zod';

/** A value as a problem shows it, on one line and never long. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'string': {
      const text = JSON.stringify(value);
      return text.length > 60 ? `${text.slice(0, 60)}…` : text;
    }
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'object':
    case 'undefined':
    case 'symbol':
    case 'function':
      return value === null || value === undefined ? 'nothing' : 'a mapping';
  }
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** The longest delay that a Node timer keeps: a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A span of time in milliseconds: `500ms`, `10s`, `5m`, `2h`, `1d`. Always with its unit, and more than nothing. */
export function duration(): z.ZodType<number, string> {
  return z
    .string({ error: (issue) => `${DURATION_WORDS}, found ${describeValue(issue.input)}` })
    .regex(/^\d+(ms|s|m|h|d)$/, {
      error: (issue) => `${DURATION_WORDS}, found ${describeValue(issue.input)}`,
    })
    .transform((value) => {
      const [, digits = '', unit = ''] = /^(\d+)([a-z]+)$/.exec(value) ?? [];
      return Number(digits) * (DURATION_UNITS[unit] ?? 1);
    })
    .check((context) => {
      if (context.value > 0 && context.value <= MAX_TIMER_MS) return;
      context.issues.push({
        code: 'custom',
        input: context.value,
        message: 'must be more than 0 and less than 25 days',
      });
    });
}

const DURATION_WORDS = 'expected a duration such as 30s (units ms, s, m, h, d)';
