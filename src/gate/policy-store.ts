/**
 * The policy in force, and what is derived from it for a role in a database whose
 * catalogs are known as they are now. A reload is one assignment: whoever reads
 * `current` sees the old policy or the new one, never a mixture, and everything
 * derived goes with it.
 */
import type { Policy, Role } from '../policy/types.js';
import type { CatalogStore } from './catalog-store.js';
import { createTextCache } from './text-cache.js';
import type { JudgedText, RoleScope } from './judged-text.js';

export interface PolicyInForce {
  readonly policy: Policy;
  /**
   * The scope of a role of this policy: the same object for the same role, database and
   * snapshot of its catalogs, as long as there are not too many databases.
   */
  scope(role: Role, database: string): RoleScope;
}

/** An object, since there are as many of them as statements that wait. */
export interface PolicyWatcher {
  policyReplaced(): void;
}

export interface PolicyStore {
  readonly current: PolicyInForce;
  replace(policy: Policy): void;
  /** Tells it of each replacement. */
  watch(watcher: PolicyWatcher): void;
  /** Ends that. */
  unwatch(watcher: PolicyWatcher): void;
}

/** Judged texts kept per role and database. A text longer than the inline limit is never kept. */
const CACHED_TEXTS = 2_000;
const CACHED_CHARACTERS = 1_000_000;
/** Databases kept per role: their names come from logins that nobody has checked yet. */
const SCOPES_LIMIT = 1_000;

function inForce(policy: Policy, catalogs: CatalogStore): PolicyInForce {
  const scopes = new Map<Role, Map<string, RoleScope>>();
  return {
    policy,
    scope(role, database) {
      let ofRole = scopes.get(role);
      if (ofRole === undefined) {
        ofRole = new Map();
        scopes.set(role, ofRole);
      }
      const catalog = catalogs.current(database);
      const known = ofRole.get(database);
      if (known?.catalog === catalog) return known;
      // What was judged by an older snapshot goes with its scope.
      const texts = createTextCache<JudgedText>(CACHED_TEXTS, CACHED_CHARACTERS);
      const scope: RoleScope = { policy, role, database, catalog, texts };
      if (known === undefined && ofRole.size >= SCOPES_LIMIT) {
        for (const oldest of ofRole.keys()) {
          ofRole.delete(oldest);
          break;
        }
      }
      ofRole.set(database, scope);
      return scope;
    },
  };
}

export function createPolicyStore(policy: Policy, catalogs: CatalogStore): PolicyStore {
  let current = inForce(policy, catalogs);
  const watchers = new Set<PolicyWatcher>();
  return {
    get current() {
      return current;
    },
    replace(next) {
      current = inForce(next, catalogs);
      for (const watcher of [...watchers]) watcher.policyReplaced();
    },
    watch(watcher) {
      watchers.add(watcher);
    },
    unwatch(watcher) {
      watchers.delete(watcher);
    },
  };
}
