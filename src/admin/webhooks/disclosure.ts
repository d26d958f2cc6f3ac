/**
 * What a webhook may say of a hold.
 *
 * Law: passwords that stand in the SQL are never said. Unless the setting says
 * otherwise no value of the statement is, either: it is shown with its literals as `?`
 * and without comments, parameters without values, and the words of a rule only where
 * they quote no expression. When in doubt it is left out: the page has it all. The
 * SHA-256 is not told, for it would let anybody try what the literals are.
 */
import { recordedSql, withoutLiterals } from '../../audit/redact.js';
import { charactersOf } from '../../holds/hold.js';
import type { HeldMatch, Hold, Subject } from '../../holds/hold.js';
import type { Disclosure } from '../../holds/webhooks/telling.js';
import { ruleById } from '../../policy/registry.js';
import { analyze, INLINE_LIMIT_BYTES } from '../../sql/analyze.js';
import { commentSpans, literalSpans } from '../../sql/spans.js';
import { parameterView } from '../api/parameter-text.js';

/** Parameters beyond these, and what is longer of one, are not sent. */
const MOST_PARAMETERS = 50;
const MOST_VALUE_CHARACTERS = 500;

/** @param literals whether the webhook's setting permits them */
export function disclose({ subject }: Pick<Hold, 'subject'>, literals: boolean): Disclosure {
  const { sql, redacted } = sqlOf(subject, literals);
  return {
    literals,
    sql,
    // What quotes a text with a password in it may quote the password.
    matches: subject.matches.map((match) => told(match, literals && !redacted)),
    parameters: subject.parameters.slice(0, MOST_PARAMETERS).map((parameter) => {
      const { type_name: type, format, value, hex } = parameterView(parameter);
      const form = format === 0 ? 'text' : 'binary';
      if (!literals) return { type, format: form };
      const bytes = hex === null ? null : `\\x${hex}`;
      return { type, format: form, value: (value ?? bytes)?.slice(0, MOST_VALUE_CHARACTERS) ?? null };
    }),
  };
}

interface ToldSql {
  readonly sql: string | null;
  /** A password was taken out, or there may be one. */
  readonly redacted: boolean;
}

const NOTHING: ToldSql = { sql: null, redacted: true };

/** Long texts are not said: nobody reads them there, and they are not analysed beside the sessions' own. */
function sqlOf(subject: Subject, literals: boolean): ToldSql {
  if (subject.sqlBytes > INLINE_LIMIT_BYTES) return NOTHING;
  const sql = charactersOf(subject.sql);
  const analysis = analyze(sql);
  if (analysis.kind !== 'statements') return NOTHING;
  if (literals) {
    const { text, redacted } = recordedSql(sql, analysis, 'full');
    return { sql: text, redacted };
  }
  const [values, comments] = [literalSpans(sql), commentSpans(sql)];
  if (values === null || comments === null) return NOTHING;
  return { sql: withoutLiterals(sql, { literals: values, comments }).trim(), redacted: true };
}

/**
 * Outside of quoted names, what a rule says of names alone has neither digits nor
 * the signs of strings and operators; where it has, it may quote an expression.
 */
const QUOTED_NAMES = /"(?:[^"]|"")*"/g;
const NAMES_ONLY = /^[\p{L}\s.,:;()…*-]*$/u;

function told({ rule, action, message }: HeldMatch, literals: boolean): Disclosure['matches'][number] {
  const harmless = literals || NAMES_ONLY.test(message.replaceAll(QUOTED_NAMES, ''));
  return { rule, action, message: harmless ? message : (ruleById(rule)?.title ?? null) };
}
