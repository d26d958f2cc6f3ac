/**
 * What a client may set at login: the startup packet's parameters are SET
 * commands in another dress, so the same needs and prohibitions hold.
 *
 * Law: pure. Which parameters the proxy itself answers or strips (`replication`,
 * `_pq_.*`) is decided elsewhere; here they are passed over.
 */
import { ACCESS_LEVELS } from '../sql/facts.js';
import { foldSettingName, judgeSetting } from '../sql/settings.js';
import { parseStartupOptions } from '../sql/startup-options.js';
import type { Match, Role } from './types.js';

/** Names of the startup packet that are no settings (PostgreSQL: "Message Formats", StartupMessage). */
const NOT_SETTINGS: ReadonlySet<string> = new Set(['user', 'database', 'options', 'replication']);

/**
 * Judges the parameters of a StartupMessage, `options` included. Empty: the
 * login may go on. Every match denies; rules are `access`, `prohibited`, and
 * `syntax` for an `options` value that cannot be read.
 */
export function judgeStartupParameters(parameters: ReadonlyMap<string, string>, role: Role): Match[] {
  const matches: Match[] = [];
  for (const [name, value] of parameters) {
    if (name === 'options') {
      const options = parseStartupOptions(value);
      if ('error' in options) {
        matches.push(
          deny(
            'syntax',
            `The startup parameter "options" cannot be read: ${options.error}.`,
            'Use only -c name=value or --name=value.',
          ),
        );
        continue;
      }
      for (const [setting, settingValue] of options.settings)
        matches.push(...judgeOne(setting, settingValue, role));
    } else if (!NOT_SETTINGS.has(name) && !name.startsWith('_pq_.'))
      matches.push(...judgeOne(name, value, role));
  }
  return matches;
}

function judgeOne(name: string, value: string, role: Role): Match[] {
  // PostgreSQL compares setting names without case, and takes a dash for an underscore on a command line.
  const folded = foldSettingName(name).replaceAll('-', '_');
  const { needs, prohibitions } = judgeSetting(folded, value);
  return [
    ...prohibitions.map(({ why, hint }) =>
      deny('prohibited', `The startup parameter "${folded}" ${why}.`, hint),
    ),
    ...needs
      .filter((need) => ACCESS_LEVELS.indexOf(need.access) > ACCESS_LEVELS.indexOf(role.access))
      .map((need) =>
        deny(
          'access',
          `The startup parameter "${folded}" needs ${need.access} access: it ${need.why}; role "${role.name}" has ${role.access}.`,
          need.hint ?? `Leave it out, or ask for a role with ${need.access} access to this database.`,
        ),
      ),
  ];
}

function deny(rule: string, message: string, hint: string | null): Match {
  return { rule, action: 'deny', message, hint, offset: null };
}
