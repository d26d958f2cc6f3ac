/** The whole corpus that Holdfast itself refuses to a role that may only read. */
import { BODIES } from './bodies.js';
import { evasions } from './evasion.js';
import type { Evasion } from './evasion.js';
import { FUNCTIONS } from './functions.js';
import { LEXER } from './lexer.js';
import { OBJECTS } from './objects.js';
import { SESSION } from './session.js';
import { STATEMENTS } from './statements.js';
import { USER_FUNCTIONS, USER_SCHEMA } from './user-functions.js';
import { WRITES, WRITES_SCHEMA } from './writes.js';

export const SCHEMA = `${WRITES_SCHEMA}${USER_SCHEMA}`;

const WRITE_EVASIONS: readonly Evasion[] = Object.entries(WRITES).flatMap(([name, statements]) =>
  evasions(
    name,
    statements.map((sql) => [sql, sql]),
  ),
);

export const CORPUS: readonly Evasion[] = [
  ...WRITE_EVASIONS,
  ...STATEMENTS,
  ...FUNCTIONS,
  ...OBJECTS,
  ...BODIES,
  ...SESSION,
  ...LEXER,
  ...USER_FUNCTIONS,
];

/** The evasions by their classes, in the order of the corpus. */
export function byClass(corpus: readonly Evasion[]): readonly (readonly [string, readonly Evasion[]])[] {
  const classes = new Map<string, Evasion[]>();
  for (const evasion of corpus) {
    const group = classes.get(evasion.class);
    if (group === undefined) classes.set(evasion.class, [evasion]);
    else group.push(evasion);
  }
  return [...classes];
}
