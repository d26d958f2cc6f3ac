/**
 * What changing a server setting needs: for SET, RESET, set_config(), start-up
 * parameters, and the SET clauses of functions, roles and databases.
 *
 * Law of this file: pure, one verdict per name and value, and the only place that
 * knows which settings are dangerous. A name that is neither a known user setting
 * nor a custom one (with a dot) needs admin access.
 *
 * Deliberately left to every role: `search_path` (names stay as the statement spells
 * them), `row_security` (off only turns filtering into an error; pg_dump needs it),
 * `backslash_quote` (it decides whether \' in an E'' string is an error, never where
 * a token ends: scan.l, state xe), `transform_null_equals`, timeouts and planner costs.
 */
import type { Need, Prohibition } from './facts.js';
import { ADMIN_PREFIXES, ADMIN_SETTINGS, USER_SETTINGS } from './known-settings.js';
import { parseBoolean } from './tree.js';

export interface SettingJudgement {
  readonly needs: readonly Need[];
  readonly prohibitions: readonly Prohibition[];
}

const FINE: SettingJudgement = Object.freeze({ needs: [], prohibitions: [] });

/** A setting's value that the text does not tell, such as a bind parameter of set_config(). */
export const UNKNOWN_VALUE = Symbol('unknown value');

/**
 * Lower-cases a setting's name as guc_name_compare does: ASCII letters only, so that
 * no other letter folds into the name of a dangerous setting or out of it.
 */
export function foldSettingName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/**
 * Judges one change of a setting.
 *
 * @param name folded by foldSettingName(); for start-up options with dashes made underscores
 * @param value null for a reset (RESET, SET … TO DEFAULT): back to what the session
 *   began with, which was judged at login, and so fine but for one setting;
 *   UNKNOWN_VALUE where it is not a constant: judged as the worst value
 */
export function judgeSetting(name: string, value: string | null | typeof UNKNOWN_VALUE): SettingJudgement {
  if (value === null) {
    // PostgreSQL 14 lets RESET lift the read-only mode of a transaction that has not read yet.
    return name === 'transaction_read_only' ? READ_WRITE : FINE;
  }
  switch (name) {
    case 'client_encoding':
      return value !== UNKNOWN_VALUE && isUtf8(value) ? FINE : prohibited(CLIENT_ENCODING);
    case 'standard_conforming_strings':
      return isOn(value) ? FINE : prohibited(STANDARD_CONFORMING_STRINGS);
    case 'default_transaction_read_only':
    case 'transaction_read_only':
      return isOn(value) ? FINE : READ_WRITE;
    case 'role':
      return value === 'none' ? FINE : IDENTITY_ROLE;
    case 'session_authorization':
      return IDENTITY_AUTHORIZATION;
    default:
      return judgeByName(name);
  }
}

function judgeByName(name: string): SettingJudgement {
  if (USER_SETTINGS.has(name)) return FINE;
  const reason = ADMIN_SETTINGS.get(name);
  if (reason !== undefined) return needs('admin', `sets ${name}, which ${reason}`, null);
  if (name.includes('.')) {
    for (const [prefix, why] of ADMIN_PREFIXES) {
      if (name.startsWith(prefix)) return needs('admin', `sets ${name}, which ${why}`, null);
    }
    return FINE;
  }
  return needs('admin', `sets ${name}, which is not among the settings known to be safe`, null);
}

const CLIENT_ENCODING: Prohibition = {
  why: 'changes client_encoding: Holdfast reads statements as UTF-8 and could not tell any more what the server reads',
  hint: 'Keep client_encoding at UTF8 and convert in the client.',
  offset: null,
};
const STANDARD_CONFORMING_STRINGS: Prohibition = {
  why: 'changes standard_conforming_strings: the server would read backslashes in strings otherwise than Holdfast does',
  hint: "Keep standard_conforming_strings on, and write E'…' where backslashes are escapes.",
  offset: null,
};
const READ_WRITE = needs(
  'write',
  'lifts the read-only mode of the transaction',
  'Leave the transaction read only, or connect as a user whose role may write.',
);
const IDENTITY_ROLE = needs(
  'admin',
  'changes the role that the session acts as (SET ROLE)',
  'Connect as the user whose privileges you need. RESET ROLE and SET ROLE NONE are fine.',
);
const IDENTITY_AUTHORIZATION = needs(
  'admin',
  'changes the user that the session acts as (SET SESSION AUTHORIZATION)',
  'Connect as the user whose privileges you need. RESET SESSION AUTHORIZATION is fine.',
);

function needs(access: Need['access'], why: string, hint: string | null): SettingJudgement {
  return { needs: [{ access, why, hint, offset: null }], prohibitions: [] };
}

function prohibited(prohibition: Prohibition): SettingJudgement {
  return { needs: [], prohibitions: [prohibition] };
}

function isOn(value: string | typeof UNKNOWN_VALUE): boolean {
  return value !== UNKNOWN_VALUE && parseBoolean(value) === true;
}

/** As clean_encoding_name() does: letters and digits only, in lower case; `unicode` is PostgreSQL's older name of UTF8. */
function isUtf8(value: string): boolean {
  const name = value.replace(/[^A-Za-z0-9]/g, '').toLowerCase();
  return name === 'utf8' || name === 'unicode';
}
