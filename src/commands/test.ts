/**
 * `holdfast test`: does the policy say of each statement what its authors expect?
 *
 * Law: no case runs while any of the files cannot be used, so that a count of
 * cases is always a count of all of them.
 */
import { relative, resolve } from 'node:path';
import { loadCases } from '../config/cases-file.js';
import type { CasesFile } from '../config/cases-file.js';
import { loadPolicy } from '../config/policy-file.js';
import { ConfigError } from '../config/problems.js';
import { defaultSettingsPath, loadSettings } from '../config/settings.js';
import { OperatorError } from '../errors.js';
import type { Policy } from '../policy/types.js';
import { createAnalyzer } from './analyzer.js';
import { mismatchText, summaryText } from './cases-text.js';
import { caseJson, runCase } from './run-cases.js';
import type { CaseResult } from './run-cases.js';
import type { ExitStatus, Terminal } from './terminal.js';

export interface TestOptions {
  readonly config?: string;
  readonly policy?: string;
  readonly catalog?: string;
  readonly json?: boolean;
}

/** The cases of a file, with the policy that they are about. */
interface Suite {
  readonly cases: CasesFile;
  readonly policy: Policy;
}

export async function testCommand(
  files: readonly string[],
  options: TestOptions,
  terminal: Terminal,
): Promise<ExitStatus> {
  const { suites, environment } = await load(files, options, terminal);
  const catalog =
    options.catalog === undefined
      ? null
      : await (await import('./live-catalog.js')).readLiveCatalog(options.catalog);
  const analyzer = await createAnalyzer();
  const results: CaseResult[] = [];
  try {
    for (const { cases, policy } of suites) {
      for (const wanted of cases.cases) {
        const result = await runCase(cases.file, wanted, { policy, environment, catalog, analyzer });
        results.push(result);
        if (options.json === true) await terminal.print(JSON.stringify(caseJson(result)));
        else if (!result.ok) await terminal.print(mismatchText(result, terminal));
      }
    }
  } finally {
    await analyzer.close();
  }
  if (options.json !== true) await terminal.print(summaryText(results, terminal));
  return results.every(({ ok }) => ok) ? 0 : 1;
}

/**
 * All files, or all their problems at once.
 * @throws OperatorError with exit code 2, so that a file that cannot be used differs from a case that fails.
 */
async function load(
  files: readonly string[],
  options: TestOptions,
  terminal: Terminal,
): Promise<{ readonly suites: readonly Suite[]; readonly environment: string }> {
  const problems: string[] = [];
  const attempt = async <T>(loading: () => Promise<T>): Promise<T | null> => {
    try {
      return await loading();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(error.message);
      return null;
    }
  };
  const settings = await attempt(() =>
    loadSettings(options.config ?? defaultSettingsPath(process.cwd()), process.env),
  );
  const cases: CasesFile[] = [];
  for (const file of files) {
    const loaded = await attempt(() => loadCases(file));
    if (loaded !== null) cases.push(loaded);
  }

  const fallback = options.policy ?? settings?.policy;
  const policies = new Map<string, Policy | null>();
  const suites: Suite[] = [];
  for (const loaded of cases) {
    const path = loaded.policy ?? fallback;
    if (path === undefined) continue;
    const shown = display(path);
    if (loaded.policy !== null && options.policy !== undefined && resolve(options.policy) !== loaded.policy) {
      terminal.complain(
        `${loaded.file}: names its own policy, ${shown}; --policy is for files that name none`,
      );
    }
    if (!policies.has(shown)) policies.set(shown, await attempt(() => loadPolicy(shown, process.env)));
    const policy = policies.get(shown) ?? null;
    if (policy !== null) suites.push({ cases: loaded, policy });
  }
  if (problems.length > 0 || settings === null) throw new OperatorError(problems.join('\n'), 2);
  return { suites, environment: settings.environment };
}

/** A path as a person in this directory would write it. */
function display(path: string): string {
  const short = relative(process.cwd(), resolve(path));
  return short === '' || short.startsWith('..') ? path : short;
}
