/**
 * The innocent: what drivers, ORMs, migration tools, dashboards and people really
 * send, and what a role with the access for it must be able to run under the shipped
 * policy. The statements lie as text in statements/*.sql, in the form in which they
 * are sent; this file only reads them.
 *
 * A blank line ends a statement. Lines that begin with `--@` are about what follows:
 *
 *   --@ source NAME            who sends it; for all statements up to the next source
 *   --@ role read|write|ddl    the access that it is sent with; likewise
 *   --@ one session            they belong together: one session runs them all, in this
 *                              order; otherwise each is alone and rolled back
 *   --@ parameters JSON        for the next statement: text values, bound to $1, $2, …
 *   --@ error SQLSTATE         for the next statement: the server's own answer, where it
 *                              has not what the statement asks for
 */
import { readFileSync, readdirSync } from 'node:fs';

export const ROLES = ['read', 'write', 'ddl'] as const;
export type InnocentRole = (typeof ROLES)[number];

export interface Innocent {
  readonly source: string;
  readonly role: InnocentRole;
  readonly sql: string;
  /** Bound as text; such a statement is sent by the extended protocol, all others as a Query. */
  readonly parameters: readonly (string | null)[] | null;
  /** SQLSTATE that the server answers with. */
  readonly error: string | null;
  /** Statements with the same one run on one session, one after the other; null: alone. */
  readonly session: string | null;
  /** `prisma.sql:17`, for messages. */
  readonly place: string;
}

const DIRECTORY = new URL('statements/', import.meta.url);

/** The tables, functions and rows that the statements refer to. */
export const INNOCENT_SCHEMA = readFileSync(new URL('schema.sql', import.meta.url), 'utf8');

/** The whole corpus, in the order of file names. */
export const INNOCENTS: readonly Innocent[] = readdirSync(DIRECTORY)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .flatMap((name) => parseStatements(name, readFileSync(new URL(name, DIRECTORY), 'utf8')));

/** The statements of one file's text. @throws Error where a line cannot be understood. */
function parseStatements(file: string, text: string): readonly Innocent[] {
  const found: Innocent[] = [];
  let source: string | null = null;
  let role: InnocentRole | null = null;
  let session: string | null = null;
  let parameters: Innocent['parameters'] = null;
  let error: string | null = null;
  let lines: string[] = [];
  let first = 0;

  function directive(word: string, rest: string, place: string): void {
    switch (word) {
      case 'source':
        source = rest;
        session = null;
        return;
      case 'role':
        role = ROLES.find((name) => name === rest) ?? null;
        session = null;
        return;
      case 'one':
        session = place;
        return;
      case 'parameters':
        parameters = JSON.parse(rest) as (string | null)[];
        return;
      case 'error':
        error = rest;
        return;
      default:
        throw new Error(`${place}: there is no directive "${word}"`);
    }
  }

  function end(): void {
    // A comment by itself is about the file.
    if (lines.some((line) => !line.startsWith('--'))) {
      if (source === null || role === null) throw new Error(`${file}:${first}: it has no source or no role`);
      found.push({
        source,
        role,
        sql: lines.join('\n'),
        parameters,
        error,
        session,
        place: `${file}:${first}`,
      });
      parameters = null;
      error = null;
    }
    lines = [];
  }

  for (const [index, line] of text.split('\n').entries()) {
    const about = /^--@ (\w+) ?(.*)$/.exec(line);
    if (about !== null) directive(about[1] ?? '', about[2] ?? '', `${file}:${index + 1}`);
    else if (line === '') end();
    else {
      if (lines.length === 0) first = index + 1;
      lines.push(line);
    }
  }
  end();
  return found;
}
