/**
 * What PostgreSQL says besides the message when its grammar refuses a text. The
 * parser library gives message and position only; SQLSTATE, HINT and DETAIL of the
 * few errors that have others than 42601 and nothing stand here, as in gram.y,
 * scan.l and parser.c.
 */

export interface GrammarError {
  readonly sqlstate: string;
  readonly detail: string | null;
  readonly hint: string | null;
}

const SYNTAX_ERROR = '42601';

interface Row {
  readonly message: RegExp;
  readonly sqlstate?: string;
  readonly detail?: string;
  readonly hint?: string;
}

const ROWS: readonly Row[] = [
  {
    message: /^unsafe use of \\' in a string literal$/,
    sqlstate: '22P06',
    hint: "Use '' to write quotes in strings. \\' is insecure in client-only encodings.",
  },
  { message: /^missing argument$/, hint: 'Use NONE to denote the missing argument of a unary operator.' },
  {
    message: /^unrecognized row security option /,
    hint: 'Only PERMISSIVE or RESTRICTIVE policies are supported currently.',
  },
  {
    message: /^invalid publication object list$/,
    detail: 'One of TABLE or TABLES IN SCHEMA must be specified before a standalone table or schema name.',
  },
  // feature_not_supported: the grammar knows the form and PostgreSQL does not have it.
  {
    message:
      /not (?:yet )?(?:implemented|supported)|cannot be (?:marked|altered to be) |^current database cannot be changed$/,
    sqlstate: '0A000',
  },
];

/** @param position one-based, in characters, as the error has it */
export function grammarError(message: string, sql: string, position: number | null): GrammarError {
  if (message === 'invalid Unicode escape') {
    return unicodeEscape(sql, position);
  }
  const row = ROWS.find((candidate) => candidate.message.test(message));
  return { sqlstate: row?.sqlstate ?? SYNTAX_ERROR, detail: row?.detail ?? null, hint: row?.hint ?? null };
}

/** Escapes are spelled in one way in E'…' (scan.l) and in another in U&'…' and U&"…" (parser.c). */
function unicodeEscape(sql: string, position: number | null): GrammarError {
  const before = position === null ? sql : sql.slice(0, position);
  const starts = [...before.matchAll(/(?:u&|e)['"]/gi)];
  const escapeString = starts.at(-1)?.[0].toLowerCase().startsWith('e') === true;
  return escapeString
    ? { sqlstate: '22025', detail: null, hint: 'Unicode escapes must be \\uXXXX or \\UXXXXXXXX.' }
    : { sqlstate: SYNTAX_ERROR, detail: null, hint: 'Unicode escapes must be \\XXXX or \\+XXXXXX.' };
}
