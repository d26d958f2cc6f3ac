import { z } from 'zod';
import type { Action } from '../../sql/facts.js';
import { reachOfCascade } from '../consequences.js';
import { defineRule, detail, findingsOf } from '../rule.js';
import { commandWords, targetsOf } from '../words.js';

/** CASCADE carries a command to objects that its text does not name. Incident: TRUNCATE … CASCADE on a lookup table emptied every account. */
export const cascade = defineRule({
  id: 'cascade',
  title: 'CASCADE on DROP, TRUNCATE, ALTER … DROP, DROP OWNED, REVOKE',
  defaultAction: 'deny',
  scope: 'statement',
  options: z.strictObject({}),
  check: (subject) =>
    findingsOf(
      subject.statement,
      ({ cascade: spelled }) => spelled,
      (action) => ({
        ...consequence(action),
        ...detail(reachOfCascade(subject, action)),
        offset: action.offset,
      }),
    ),
});

function consequence(action: Action): { message: string; hint: string } {
  const targets = targetsOf(action);
  const on = targets === '' ? '' : ` on ${targets}`;
  const within = action.within === '' ? '' : ` ${action.within}`;
  const command = `${commandWords(action.operation)} … CASCADE${on}${within}`;
  if (action.operation === 'truncate') {
    const them = action.targets.length === 1 ? 'it' : 'them';
    return {
      message: `${command} also empties every table that references ${them}, however far.`,
      hint: 'Name each table to truncate, without CASCADE, or use DELETE with a WHERE: foreign keys then still guard the rows.',
    };
  }
  if (action.operation === 'revoke' || action.operation.startsWith('revoke_')) {
    return {
      message: `${command} also takes the privilege away from everybody it was passed on to.`,
      hint: 'Revoke without CASCADE: PostgreSQL then names those who depend on the privilege, and you can revoke from each by name.',
    };
  }
  if (action.operation === 'drop_owned') {
    return {
      message: `${command} also drops objects of other owners that depend on what is dropped, however far.`,
      hint: 'Drop the objects by name, or move them with REASSIGN OWNED first.',
    };
  }
  return {
    message: `${command} also drops everything that depends on it, however far.`,
    hint: 'Leave CASCADE out: PostgreSQL then lists what depends on it, and you can drop each of those by name.',
  };
}
