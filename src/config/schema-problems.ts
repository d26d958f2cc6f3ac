/**
 * From what a schema finds wrong with a file's data to problems at their places,
 * in words for who wrote the file.
 *
 * Law: knows schemas and places, nothing of what settings or policies mean.
 */
import type { z } from 'zod';
import type { Problem } from './problems.js';
import { describeValue, didYouMean } from './suggest.js';
import type { YamlSource } from './yaml-source.js';

/** Checks the data of a file against its schema: the parsed value, or every problem with its place. */
export function parseWith<T>(
  schema: z.ZodType<T>,
  source: YamlSource,
): { readonly value: T } | { readonly problems: readonly Problem[] } {
  let result = schema.safeParse(source.data(), { error: friendly });
  // `port: ${PORT}` is text until the schema says that a number belongs there.
  if (!result.success && convertNumbers(result.error.issues, source)) {
    result = schema.safeParse(source.data(), { error: friendly });
  }
  if (result.success) return { value: result.data };
  return {
    problems: flatten(result.error.issues, [], source.data())
      .filter((found) => !source.hasProblem(found.path))
      .map((found) => source.problem(found.path, found.message, found.target)),
  };
}

type Path = readonly PropertyKey[];

interface Found {
  readonly path: Path;
  readonly message: string;
  readonly target: 'key' | 'value';
}

function convertNumbers(issues: readonly z.core.$ZodIssue[], source: YamlSource): boolean {
  let converted = false;
  for (const issue of issues) {
    if (issue.code === 'invalid_type' && issue.expected === 'number' && source.convertNumber(issue.path)) {
      converted = true;
    } else if (issue.code === 'invalid_union') {
      const nested = issue.errors.flat().map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
      if (convertNumbers(nested, source)) converted = true;
    }
  }
  return converted;
}

function flatten(issues: readonly z.core.$ZodIssue[], base: Path, data: unknown): Found[] {
  return issues.flatMap((issue): Found[] => {
    const path = [...base, ...issue.path];
    switch (issue.code) {
      case 'unrecognized_keys': {
        // `closed` words one line for each key.
        const messages = issue.message.split('\n');
        return issue.keys.map((key, at) => ({
          path: [...path, key],
          message: messages[at] ?? `unknown key "${key}"`,
          target: 'key',
        }));
      }
      case 'invalid_key':
        return issue.issues.map((inner) => ({ path, message: inner.message, target: 'key' }));
      case 'invalid_union': {
        const branch = closestBranch(issue.errors, valueAt(data, path));
        return branch === null
          ? [{ path, message: issue.message, target: 'value' }]
          : flatten(branch, path, data);
      }
      case 'custom':
      case 'invalid_element':
      case 'invalid_format':
      case 'invalid_type':
      case 'invalid_value':
      case 'not_multiple_of':
      case 'too_big':
      case 'too_small':
        return [{ path, message: issue.message, target: 'value' }];
    }
  });
}

/** Of the alternatives of a union, the one that expects the kind of value that is there; null: none does. */
function closestBranch(
  branches: readonly (readonly z.core.$ZodIssue[])[],
  value: unknown,
): readonly z.core.$ZodIssue[] | null {
  const fitting = branches.filter(
    (issues) =>
      issues.length > 0 && !issues.some((issue) => issue.path.length === 0 && wrongKind(issue, value)),
  );
  return fitting[0] ?? null;
}

function wrongKind(issue: z.core.$ZodIssue, value: unknown): boolean {
  return issue.code === 'invalid_type' || (issue.code === 'invalid_value' && typeof value !== 'string');
}

function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    data,
  );
}

/** The words for what schemas do not word themselves. */
function friendly(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return `"${String(issue.path?.at(-1) ?? 'value')}" is missing`;
      return `expected ${kindWords(issue.expected)}, found ${describeValue(issue.input)}`;
    case 'invalid_value': {
      if (issue.input === undefined) return `"${String(issue.path?.at(-1) ?? 'value')}" is missing`;
      const values = issue.values.map(String);
      const expected = values.length === 1 ? values.join('') : `one of ${values.join(', ')}`;
      const hint = typeof issue.input === 'string' ? didYouMean(issue.input, values) : '';
      return `expected ${expected}, found ${describeValue(issue.input)}${hint}`;
    }
    case 'too_small':
      return issue.origin === 'array' || issue.origin === 'string'
        ? 'must not be empty'
        : `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${String(issue.minimum)}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `must be at most ${String(issue.maximum)} characters long`
        : `must be at most ${String(issue.maximum)}`;
    // Worded by their schemas, or taken apart by `flatten`.
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'invalid_key':
    case 'invalid_union':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      return undefined;
  }
}

function kindWords(expected: string): string {
  switch (expected) {
    case 'object':
    case 'record':
      return 'a mapping';
    case 'array':
      return 'a list';
    case 'string':
      return 'text';
    case 'int':
      return 'a whole number';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    default:
      return expected;
  }
}
