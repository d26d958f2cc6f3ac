/**
 * What a session may ask of the names of prepared statements and portals: how long
 * they may be, how many it may hold, and how much one of them may stand for.
 *
 * Law: it counts and words the refusals; that the limits are kept, and where, is the
 * business of the requests. What a name means is not known here.
 */
import type { Refusal } from '../errors.js';
import { NAMEDATALEN } from '../protocol/constants.js';
import type { Names } from './names.js';
import type { Meaning, PassedStatement } from './ports.js';

/** Longer names are cut off by the server (NAMEDATALEN), so that two of them may be one there. */
export function isTooLong(name: string): boolean {
  return name.length * 3 >= NAMEDATALEN && Buffer.byteLength(name) >= NAMEDATALEN;
}

/** What one name may stand for, before the server has confirmed any of it, without costing too much to judge. */
export const MEANINGS_LIMIT = 100;

/** The refusal of a use of `name` for which more than MEANINGS_LIMIT meanings would have to be judged. */
export function tooManyMeanings(name: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '54000',
    message: `holdfast: too many definitions of "${name}" are under way for this use of it to be judged`,
    hint: 'Define it in the same pipeline that uses it, without a Sync between, or wait for the answers.',
    routine: 'holdfast/names',
  };
}

/** The refusal of a name that isTooLong(). */
export function tooLong(name: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '42622',
    message: `holdfast: the name that begins with "${name.slice(0, 20)}" is longer than the ${NAMEDATALEN - 1} bytes that the server tells apart`,
    routine: 'holdfast/names',
  };
}

/** Whether what SQL statements define (PREPARE, DECLARE) would be more than the session may hold. */
export function tooManyNames(
  names: Names<Meaning>,
  limit: number,
  statements: readonly Pick<PassedStatement, 'changes'>[],
): boolean {
  let defined = 0;
  for (const { changes } of statements) for (const change of changes) if ('meaning' in change) defined += 1;
  return defined > 0 && names.size + defined > limit;
}

/** The refusal of what would make the session hold more names than it may. */
export function namesRefusal(names: Names<Meaning>): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: '54000',
    message: `holdfast: this session holds ${names.size} prepared statements and portals, the most it may`,
    hint: 'Close or DEALLOCATE those that are no longer used.',
    routine: 'holdfast/names',
  };
}
