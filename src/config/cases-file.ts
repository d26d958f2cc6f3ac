/**
 * The cases file of `holdfast test`: from bytes to cases, each with its place.
 *
 * Law: all or nothing. A file with a mistake runs no case, because a test that
 * was skipped looks like one that passed.
 */
import { dirname, resolve } from 'node:path';
import type { Login, Verdict } from '../policy/types.js';
import { casesSchema } from './cases-schema.js';
import type { RawCases } from './cases-schema.js';
import { ConfigError, sortedProblems } from './problems.js';
import type { Problem } from './problems.js';
import { parseWith } from './schema-problems.js';
import { parseYaml, readText } from './yaml-source.js';
import type { Environment, YamlSource } from './yaml-source.js';

/** A statement, who sends it, and what the policy is to say. */
export interface PolicyCase {
  /** null: it goes by its SQL. */
  readonly name: string | null;
  /** Where the case begins in its file, one-based. */
  readonly line: number;
  readonly login: Login;
  readonly sql: string;
  readonly verdict: Verdict;
  /** Must be among the rules that match with that verdict; null: whichever. */
  readonly rule: string | null;
}

export interface CasesFile {
  readonly file: string;
  /** The policy's path as the file names it, resolved against the file; null: it names none. */
  readonly policy: string | null;
  /** At least one. */
  readonly cases: readonly PolicyCase[];
}

/**
 * Reads and checks a cases file.
 * @throws ConfigError with every problem of the file, an unreadable file included.
 */
export async function loadCases(path: string): Promise<CasesFile> {
  const read = await readText(path);
  if ('problem' in read) throw new ConfigError([read.problem]);
  const parsed = parseCases(read.text, path);
  if ('problems' in parsed) throw new ConfigError(parsed.problems);
  return parsed.cases;
}

/** Cases from a file's text. Pure. `fileName` is for the problems, and what `policy` is relative to. */
export function parseCases(
  text: string,
  fileName: string,
): { readonly cases: CasesFile } | { readonly problems: readonly Problem[] } {
  const source = parseYaml(text, fileName, AS_WRITTEN);
  if (source.data() === null) {
    return source.problems.length > 0
      ? { problems: sortedProblems(source.problems) }
      : { problems: [source.problem([], 'the file is empty: it has at least one of cases')] };
  }
  const result = parseWith(casesSchema, source);
  const problems = [
    ...source.problems,
    ...usersMissing(source),
    ...('problems' in result ? result.problems : []),
  ];
  if (problems.length > 0 || 'problems' in result) return { problems: sortedProblems(problems) };
  return { cases: toCases(result.value, source) };
}

/** SQL may hold `${NAME}`; it is judged as it stands. Every variable is its own name here. */
const AS_WRITTEN: Environment = new Proxy<Record<string, string>>(
  {},
  { get: (_target, name) => (typeof name === 'string' ? `\${${name}}` : undefined) },
);

/** On the file's plain data, so that this is reported together with all other mistakes. */
function usersMissing(source: YamlSource): Problem[] {
  const data = source.data();
  if (field(field(data, 'defaults'), 'user') !== undefined) return [];
  const cases = field(data, 'cases');
  if (!Array.isArray(cases)) return [];
  return cases.flatMap((entry: unknown, at) =>
    typeof entry !== 'object' || entry === null || Array.isArray(entry) || field(entry, 'user') !== undefined
      ? []
      : [source.problem(['cases', at], 'whose statement is it? "user" is missing, here and in defaults')],
  );
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
}

function toCases(raw: RawCases, source: YamlSource): CasesFile {
  const { defaults } = raw;
  return {
    file: source.file,
    policy: raw.policy === undefined ? null : resolve(dirname(source.file), raw.policy),
    cases: raw.cases.map((entry, at) => {
      const user = entry.user ?? defaults.user ?? '';
      return {
        name: entry.name ?? null,
        line: source.problem(['cases', at], '').line,
        login: {
          user,
          // As libpq does: a client that names no database gets the one of its own name.
          database: entry.database ?? defaults.database ?? user,
          application: entry.application ?? defaults.application ?? '',
          address: entry.address ?? defaults.address ?? '127.0.0.1',
        },
        sql: entry.sql,
        verdict: entry.verdict,
        rule: entry.rule ?? null,
      };
    }),
  };
}
