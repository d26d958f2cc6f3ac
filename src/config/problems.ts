/**
 * Mistakes in configuration files, each at its place: `file:line:column: message`.
 *
 * Law: a file is never half accepted. All its mistakes are reported at once,
 * because who repairs one wants to run the check once, not ten times.
 */
import { OperatorError } from '../errors.js';

export interface Problem {
  readonly file: string;
  /** One-based. */
  readonly line: number;
  /** One-based, in UTF-16 code units. */
  readonly column: number;
  readonly message: string;
}

/** A file that cannot be used. Its message is all problems, one a line; exit code 1. */
export class ConfigError extends OperatorError {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'), 1);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** `config/policy.yaml:3:5: unknown key "acess" (did you mean "access"?)` */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`;
}

/** In the order of the file, each once. */
export function sortedProblems(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return [...problems]
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .filter((problem) => {
      const text = formatProblem(problem);
      return !seen.has(text) && seen.add(text);
    });
}
