/**
 * Strings that end a transaction and go on reading in another, for roles that only
 * read. The server's read-only mode holds from one transaction to the next only while
 * nothing lifts default_transaction_read_only; a function that does is noticed when
 * the server reports it, which is at the end of the string. What stands behind the
 * COMMIT has run by then. A DO block that ends transactions is such a string, too.
 */
import type { StatementFacts } from '../sql/facts.js';
import type { Match, Role } from './types.js';

const ENDS: ReadonlySet<string> = new Set(['commit', 'rollback', 'prepare_transaction']);

/** Whether it may run code that is none of PostgreSQL's own: calls, and whatever stands behind a relation (a view, a policy). */
function mayRunCode(facts: StatementFacts): boolean {
  return facts.calls.length > 0 || facts.relations.length > 0 || facts.names.length > 0;
}

/** The match for a text that must be sent in parts; null where it need not. */
export function goesOnBehindItsEnd(statements: readonly StatementFacts[], role: Role): Match | null {
  if (role.access !== 'read') return null;
  const code = statements.find(
    ({ operation, actions }) => operation === 'do' && actions.some((action) => ENDS.has(action.operation)),
  );
  if (code !== undefined) return match(role, code);
  if (statements.length < 3) return null;
  const first = statements.findIndex(mayRunCode);
  if (first === -1) return null;
  const end = statements.findIndex(({ operation }, index) => index > first && ENDS.has(operation));
  if (end === -1) return null;
  const behind = statements.slice(end + 1).find(mayRunCode);
  return behind === undefined ? null : match(role, behind);
}

function match(role: Role, behind: StatementFacts): Match {
  return {
    rule: 'access',
    action: 'deny',
    message: `This text ends a transaction and goes on in another; for role "${role.name}", which only reads, the server's read-only mode can be made sure of only between texts.`,
    hint: 'Send what stands behind the end of the transaction in a text of its own.',
    offset: behind.span[0],
  };
}
