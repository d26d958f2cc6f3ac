/**
 * `holdfast check`: settings and policy, all their mistakes at once.
 */
import { relative, resolve } from 'node:path';
import { loadPolicy } from '../config/policy-file.js';
import { ConfigError } from '../config/problems.js';
import { defaultSettingsPath, loadSettings } from '../config/settings.js';
import type { Settings } from '../config/settings.js';
import type { Policy } from '../policy/types.js';
import type { ExitStatus, Terminal } from './terminal.js';

export interface CheckOptions {
  readonly config?: string;
  readonly policy?: string;
}

/**
 * Checks the files that are named; with none, those that `holdfast serve` would
 * use. A policy named on its own is checked on its own.
 */
export async function checkCommand(options: CheckOptions, terminal: Terminal): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  const attempt = async <T>(load: () => Promise<T>, summary: (loaded: T) => string): Promise<T | null> => {
    try {
      const loaded = await load();
      await terminal.print(summary(loaded));
      return loaded;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      status = 1;
      terminal.complain(error.message);
      return null;
    }
  };

  let policyPath = options.policy;
  if (options.policy === undefined || options.config !== undefined) {
    const path = options.config ?? defaultSettingsPath(process.cwd());
    const shown = path === undefined ? 'default settings' : display(path);
    const settings = await attempt(
      () => loadSettings(path === undefined ? undefined : shown, process.env),
      (loaded) => `${shown}: ok (${settingsSummary(loaded)})`,
    );
    policyPath ??= settings?.policy;
  }
  if (policyPath !== undefined) {
    const shown = display(policyPath);
    await attempt(
      () => loadPolicy(shown, process.env),
      (loaded) => `${shown}: ok (${policySummary(loaded)})`,
    );
  }
  return status;
}

/** A path as a person in this directory would write it. */
function display(path: string): string {
  const short = relative(process.cwd(), resolve(path));
  return short === '' || short.startsWith('..') ? path : short;
}

function settingsSummary({ environment, listen, upstream }: Settings): string {
  return `${environment}, ${listen.host}:${listen.port} before ${upstream.host}:${upstream.port}`;
}

function policySummary({ mode, roles }: Policy): string {
  const list = roles.map((role) => `${role.name} ${role.access}`).join(', ');
  return `${mode}, ${roles.length} ${roles.length === 1 ? 'role' : 'roles'}: ${list}`;
}
