/**
 * The policy in force, and what is derived from it for a role in a database. A
 * reload is one assignment: whoever reads `current` sees the old policy or the new
 * one, never a mixture, and everything derived goes with it.
 */
import type { Policy, Role } from '../policy/types.js';
import { createTextCache } from './text-cache.js';
import type { RoleScope } from './judged-text.js';

export interface PolicyInForce {
  readonly policy: Policy;
  /** The scope of a role of this policy; the same object for the same role and database. */
  scope(role: Role, database: string): RoleScope;
}

export interface PolicyStore {
  readonly current: PolicyInForce;
  replace(policy: Policy): void;
}

/** Judged texts kept per role and database. A text longer than the inline limit is never kept. */
const CACHED_TEXTS = 2_000;
const CACHED_CHARACTERS = 1_000_000;

function inForce(policy: Policy): PolicyInForce {
  const scopes = new Map<Role, Map<string, RoleScope>>();
  return {
    policy,
    scope(role, database) {
      let ofRole = scopes.get(role);
      if (ofRole === undefined) {
        ofRole = new Map();
        scopes.set(role, ofRole);
      }
      let scope = ofRole.get(database);
      if (scope === undefined) {
        scope = {
          policy,
          role,
          database,
          catalog: null,
          texts: createTextCache(CACHED_TEXTS, CACHED_CHARACTERS),
        };
        ofRole.set(database, scope);
      }
      return scope;
    },
  };
}

export function createPolicyStore(policy: Policy): PolicyStore {
  let current = inForce(policy);
  return {
    get current() {
      return current;
    },
    replace(next) {
      current = inForce(next);
    },
  };
}
