/**
 * The kinds of value that both files use: closed mappings, sizes, durations,
 * patterns, networks.
 *
 * Law: every kind says in its own words what it expects; each stays a schema,
 * so that the shipped JSON Schemas come from the same source.
 */
import { z } from 'zod';
import { globProblem } from '../policy/glob.js';
import { parseNetwork } from '../policy/match.js';
import { describeValue, didYouMean } from './suggest.js';

/**
 * A mapping that knows all its keys. The error for unknown keys has one line
 * for each of them, in their order (problems.ts puts each at its place).
 */
export function closed<S extends z.ZodRawShape>(
  shape: S,
  unknownKey: (key: string, known: readonly string[]) => string = unknownKeyWords,
): z.ZodObject<S, z.core.$strict> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => unknownKey(key, known)).join('\n')
        : undefined,
  });
}

function unknownKeyWords(key: string, known: readonly string[]): string {
  const close = didYouMean(key, known);
  return `unknown key "${key}"${close === '' ? `; known are ${known.join(', ')}` : close}`;
}

/** Bytes of each unit. As in PostgreSQL's settings the multiplier is 1024. */
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1024,
  KB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
};

/** A number of bytes: `64MB`, `512kB`, or a bare number. */
export function size(range: {
  readonly least: number;
  readonly most: number;
}): z.ZodType<number, string | number> {
  const expected = 'expected a size such as 64MB (units B, kB, MB, GB)';
  const error = (issue: { readonly input?: unknown }): string =>
    `${expected}, found ${describeValue(issue.input)}`;
  const scalar = z.union([z.int().min(0), z.string().regex(/^\d+ ?(B|kB|KB|MB|GB)?$/, { error })], { error });
  return scalar.transform(sizeBytes).check((context) => {
    const { least, most } = range;
    if (context.value >= least && context.value <= most) return;
    context.issues.push({
      code: 'custom',
      input: context.value,
      message: `must be from ${sizeWords(least)} to ${sizeWords(most)}`,
    });
  });
}

function sizeBytes(value: string | number): number {
  if (typeof value === 'number') return value;
  const [, digits = '', unit = 'B'] = /^(\d+) ?(\w+)?$/.exec(value) ?? [];
  return Number(digits) * (SIZE_UNITS[unit] ?? 1);
}

function sizeWords(bytes: number): string {
  for (const unit of ['GB', 'MB', 'kB']) {
    const factor = SIZE_UNITS[unit] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}

/** Text that a function may find fault with, in words. */
export function text(problemOf: (value: string) => string | null): z.ZodString {
  return z.string().check((context) => {
    const problem = problemOf(context.value);
    if (problem !== null) context.issues.push({ code: 'custom', input: context.value, message: problem });
  });
}

/** A list of glob patterns; left out, it matches everything. */
export function globs(of: string): z.ZodArray<z.ZodString> {
  return z
    .array(text(globProblem))
    .min(1, 'an empty list matches nothing; leave it out to match all')
    .meta({ description: `${of}; * stands for any run of characters; left out: all` });
}

export function networks(): z.ZodArray<z.ZodString> {
  return z
    .array(
      text((value) => {
        const network = parseNetwork(value);
        return 'problem' in network ? network.problem : null;
      }),
    )
    .min(1, 'an empty list matches nothing; leave it out to match all')
    .meta({ description: 'CIDR blocks such as 10.0.0.0/8; left out: all' });
}

/** A port; `least` 0 lets the operating system choose one. */
export function port(least: 0 | 1): z.ZodInt {
  return z.int().min(least).max(65_535);
}
