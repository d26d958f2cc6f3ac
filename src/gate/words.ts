/**
 * What clients are told: refusals, notices and the login banner, in PostgreSQL's
 * form (message, DETAIL, HINT). The policy supplies the reasons; this file only
 * puts them into the fields of design.md's section 5.
 */
import type { Refusal } from '../errors.js';
import { VERDICTS } from '../policy/types.js';
import type { Judgement, Match, Role } from '../policy/types.js';
import type { Notice } from '../protocol/encode.js';
import type { Access } from '../sql/facts.js';
import { grammarError } from '../sql/grammar-errors.js';

/** SQLSTATE insufficient_privilege. */
export const INSUFFICIENT_PRIVILEGE = '42501';

/** How long `SET holdfast.target` counts, milliseconds. */
export const TARGET_VALID_MS = 5 * 60_000;

/** Strictest first, each rule once. */
export function rulesOf(judgement: Judgement): readonly Match[] {
  const matches = [...judgement.matches, ...judgement.statements.flatMap((statement) => statement.matches)];
  matches.sort((a, b) => VERDICTS.indexOf(b.action) - VERDICTS.indexOf(a.action));
  return matches.filter((match, index) => matches.findIndex((other) => other.rule === match.rule) === index);
}

function detail(judgement: Judgement, decision: string): string {
  const rules = rulesOf(judgement).map(({ rule, action }) => `${rule} (${action})`);
  const more = judgement.decisive?.detail;
  return `${more === undefined ? '' : `${more} `}Decision ${decision}. ${rules.length === 1 ? 'Rule' : 'Rules'}: ${rules.join(', ')}.`;
}

/**
 * The error for a text that the policy refuses, or wants confirmed or held.
 * @param unheld why what needs approval cannot wait for it, for the HINT
 */
export function policyRefusal(
  { judgement, sql }: { readonly judgement: Judgement; readonly sql: string },
  decision: string,
  environment: string,
  unheld: string | null,
): Refusal {
  const decisive = judgement.decisive;
  if (decisive === null) throw new Error('a judgement without a match refuses nothing');
  const hints = decisive.hint === null ? [] : [decisive.hint];
  let message = decisive.message;
  if (decisive.action === 'confirm') {
    message = `${message} It must be confirmed: this is ${environment}.`;
    hints.push(
      `If you mean ${environment}, say within five minutes before the statement: SET holdfast.target = '${environment}';`,
    );
  } else if (decisive.action === 'hold') {
    message = `${message} It needs approval.`;
    if (unheld !== null) hints.push(unheld);
  }
  const routine = `holdfast/${decisive.rule}`;
  if (decisive.rule === 'syntax') return syntaxError(message, sql, judgement.position, routine);
  return {
    severity: 'ERROR',
    sqlstate: judgement.sqlstate,
    message: `holdfast: ${message}`,
    detail: detail(judgement, decision),
    ...(hints.length === 0 ? {} : { hint: hints.join(' ') }),
    routine,
  };
}

/** As the server would answer: its words, its SQLSTATE, and nothing about Holdfast but the routine. */
function syntaxError(message: string, sql: string, position: number | null, routine: string): Refusal {
  const { sqlstate, detail: more, hint } = grammarError(message, sql, position);
  return {
    severity: 'ERROR',
    sqlstate,
    message,
    ...(more === null ? {} : { detail: more }),
    ...(hint === null ? {} : { hint }),
    ...(position === null ? {} : { position }),
    routine,
  };
}

/** What a `warn` verdict says to the client; the statement runs. */
export function policyWarning(judgement: Judgement, decision: string): Notice | null {
  const decisive = judgement.decisive;
  if (decisive === null) return null;
  return {
    severity: 'WARNING',
    sqlstate: '01000',
    message: `holdfast: ${decisive.message}`,
    detail: detail(judgement, decision),
    ...(decisive.hint === null ? {} : { hint: decisive.hint }),
    routine: `holdfast/${decisive.rule}`,
  };
}

export function recordRefusal(): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '58030',
    message: 'holdfast: the audit log cannot be written, so nothing was run',
    hint: 'Whoever runs Holdfast finds the reason in its log; statements pass again as soon as records can be written.',
    routine: 'holdfast/audit',
  };
}

/** In PostgreSQL's words (ProcessInterrupts): clients look for them. */
export const CANCELLED: Refusal = {
  severity: 'ERROR',
  sqlstate: '57014',
  message: 'canceling statement due to user request',
  routine: 'holdfast/cancel',
};

/** A name whose meaning cannot be told now. */
export function ambiguousName({ message, hint }: Match): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '54000',
    message: `holdfast: ${message}`,
    ...(hint === null ? {} : { hint }),
    routine: 'holdfast/names',
  };
}

/** How a text is read cannot be told now. */
export function lexerOpen({ message, hint }: Match): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: `holdfast: ${message}`,
    ...(hint === null ? {} : { hint }),
    routine: 'holdfast/lexer',
  };
}

/** As the server says it: drivers look for this SQLSTATE and prepare anew. */
export function unknownStatement(name: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '26000',
    message:
      name === ''
        ? 'unnamed prepared statement does not exist'
        : `prepared statement "${name}" does not exist`,
    routine: 'holdfast/names',
  };
}

/** The server reads SQL in another way than Holdfast does, so nothing can be judged. */
export function lexerDisagrees(setting: string, value: string, wanted: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: `holdfast: the server reports ${setting} = ${value === '' ? '(nothing)' : value}; statements can only be judged while it is ${wanted}`,
    hint: `Set it where it comes from: ALTER ROLE … RESET ${setting}, ALTER DATABASE … RESET ${setting}, or the server's configuration; then connect again.`,
    routine: 'holdfast/lexer',
  };
}

/** The read-only backstop went away under a read role. */
export function backstopGone(): Refusal {
  return {
    severity: 'FATAL',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: 'holdfast: default_transaction_read_only was switched off in a read-only session, which ends it',
    hint: 'Something that a statement called changed the setting, or a pooler before the server did not take it over at login.',
    routine: 'holdfast/read-only',
  };
}

const ACCESS_WORDS: Readonly<Record<Access, string>> = {
  none: 'no access',
  read: 'read only',
  write: 'read and write',
  ddl: 'read, write and change the schema',
  admin: 'everything',
};

/** What a person reads at login: `Holdfast: PRODUCTION, database shop, role everyone: read only.` */
export function banner(environment: string, database: string, role: Role, observing: boolean): Notice {
  const mode = observing ? ' Observe mode: nothing is refused, everything is recorded.' : '';
  return {
    severity: 'NOTICE',
    sqlstate: '00000',
    message: `Holdfast: ${environment.toUpperCase()}, database ${database}, role ${role.name}: ${ACCESS_WORDS[role.access]}.${mode}`,
    routine: 'holdfast/banner',
  };
}
