/**
 * How many sessions there may be: in all, of a role by number, and of a role as a
 * share of the server's max_connections, so that one role's retries cannot take
 * every connection.
 */
import type { Refusal } from '../errors.js';
import type { Role } from '../policy/types.js';

/** Behind an interface: several processes of one machine will count together. */
export interface Admission {
  /**
   * Counts a session in.
   * @returns a refusal (53300), and then it is not counted
   */
  enter(role: Role): Refusal | null;
  leave(role: Role): void;
  /** Whether the role, its sessions counted as they are, keeps within its share of `maxConnections`. */
  withinShare(role: Role, maxConnections: number): Refusal | null;
  readonly sessions: number;
}

function tooMany(message: string, hint: string): Refusal {
  return {
    severity: 'FATAL',
    sqlstate: '53300',
    message: `holdfast: ${message}`,
    hint,
    routine: 'holdfast/connections',
  };
}

const WAIT_HINT = 'Close connections that are not used, or use a connection pool.';

/** @param limit sessions in all */
export function createAdmission(limit: number): Admission {
  const byRole = new Map<string, number>();
  let all = 0;
  const count = (role: Role): number => byRole.get(role.name) ?? 0;
  return {
    get sessions() {
      return all;
    },
    enter(role) {
      if (all >= limit) return tooMany(`too many connections: the limit is ${limit}`, WAIT_HINT);
      const most = role.limits.connections;
      if (most !== undefined && count(role) >= most) {
        return tooMany(`too many connections for role "${role.name}": the limit is ${most}`, WAIT_HINT);
      }
      all += 1;
      byRole.set(role.name, count(role) + 1);
      return null;
    },
    leave(role) {
      all -= 1;
      const left = count(role) - 1;
      if (left <= 0) byRole.delete(role.name);
      else byRole.set(role.name, left);
    },
    withinShare(role, maxConnections) {
      const percent = role.limits.connectionsPercent;
      if (percent === undefined) return null;
      const most = Math.max(1, Math.floor((maxConnections * percent) / 100));
      if (count(role) <= most) return null;
      return tooMany(
        `too many connections for role "${role.name}": the limit is ${most}, ${percent} % of the server's ${maxConnections}`,
        WAIT_HINT,
      );
    },
  };
}
