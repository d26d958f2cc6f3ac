/**
 * The `session:` mapping of a role: server settings for each of its sessions.
 *
 * Law: the server is the judge of its settings; here is only what can be told
 * without one, so that a typing error is found by `holdfast check` and not by
 * every login failing.
 */
import { hasControlCharacter } from '../policy/glob.js';
import { ADMIN_SETTINGS, USER_SETTINGS } from '../sql/known-settings.js';
import { foldSettingName, judgeSetting } from '../sql/settings.js';
import { didYouMean } from './suggest.js';

/** Settings that take a time, in PostgreSQL's units (documentation: "Setting Parameters", "Numeric with Unit"). */
const TIMES: readonly string[] = [
  'deadlock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'lock_timeout',
  'statement_timeout',
  'tcp_user_timeout',
  'transaction_timeout',
];

const BOOLEANS: readonly string[] = [
  'default_transaction_deferrable',
  'default_transaction_read_only',
  'jit',
  'row_security',
];

/** What the server is known to have; others may exist, in extensions and later versions. */
const KNOWN: readonly string[] = [...USER_SETTINGS, ...ADMIN_SETTINGS.keys()];

/** Fields of the startup packet that are no settings. */
const NOT_SETTINGS: readonly string[] = ['database', 'options', 'replication', 'user'];

/** The text of a value as the server takes it: true and false are on and off. */
export function sessionValue(value: string | number | boolean): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
}

/** What is wrong with a setting's name, in words; null: nothing that can be told. */
export function sessionNameProblem(name: string): string | null {
  if (!/^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$/.test(name)) {
    return `"${name}" is no name of a server setting`;
  }
  const folded = foldSettingName(name);
  if (NOT_SETTINGS.includes(folded)) return `"${name}" is no server setting`;
  if (KNOWN.includes(folded) || name.includes('.')) return null;
  // Only a name that is a slip of the finger away from a known one is taken for it.
  const close = didYouMean(folded, KNOWN, 2);
  return close === '' ? null : `unknown server setting "${name}"${close}`;
}

/** What is wrong with a setting's value, in words; null: nothing that can be told. */
export function sessionValueProblem(name: string, value: string | number | boolean): string | null {
  const folded = foldSettingName(name);
  const textOf = sessionValue(value);
  if (hasControlCharacter(textOf)) return 'a value cannot hold control characters';
  if (TIMES.includes(folded)) {
    const time = /^(-?\d+(?:\.\d+)?) *([A-Za-z]*)$/.exec(textOf);
    const [, digits = '', unit = ''] = time ?? [];
    if (time === null || !['', 'us', 'ms', 's', 'min', 'h', 'd'].includes(unit)) {
      const meant = unit === 'm' ? ` (did you mean "${digits}min"?)` : '';
      return `the server takes no time "${textOf}": its units are us, ms, s, min, h, d${meant}`;
    }
  }
  if (BOOLEANS.includes(folded) && !/^(on|off|true|false|yes|no|1|0)$/i.test(textOf)) {
    return `the server takes on or off for ${folded}, not "${textOf}"`;
  }
  const prohibition = judgeSetting(folded, textOf).prohibitions[0];
  return prohibition === undefined ? null : `cannot be set: it ${prohibition.why}`;
}
