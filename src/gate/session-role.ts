/**
 * The role that one session has under the policy in force.
 *
 * Law: this file follows the policy, and what is known of the database, for a session,
 * and is the only one to do so: a new one counts from the next refresh() on, and what
 * is asked between two of them is asked of one policy and one snapshot. It knows no statements and blocks nothing.
 */
import { matchRole } from '../policy/match.js';
import type { Login, Role } from '../policy/types.js';
import type { DatabaseCatalog } from './catalog-store.js';
import type { RoleScope } from './judged-text.js';
import type { PolicyInForce, PolicyStore } from './policy-store.js';

/** Stands in where no role matches: a login that is refused, a session that a reload left without one. */
export const NO_ROLE: Role = {
  name: 'none',
  match: {},
  access: 'none',
  limits: {},
  banner: false,
  session: {},
  rules: {},
};

export class SessionRole {
  readonly #policies: PolicyStore;
  readonly #login: Login;
  readonly #catalog: DatabaseCatalog;
  #inForce: PolicyInForce;
  #scope: RoleScope;

  /** @param scope the role that the session was admitted with */
  constructor(policies: PolicyStore, catalog: DatabaseCatalog, login: Login, scope: RoleScope) {
    this.#policies = policies;
    this.#catalog = catalog;
    this.#login = login;
    this.#inForce = policies.current;
    this.#scope = scope;
  }

  get scope(): RoleScope {
    return this.#scope;
  }

  /** Whether nothing needs to be known of a request for it to pass. */
  get mayDoAnything(): boolean {
    return this.#scope.role.access === 'admin' || this.observing;
  }

  /** Whether the policy only watches: everything is recorded and nothing blocked. */
  get observing(): boolean {
    return this.#scope.policy.mode === 'observe';
  }

  /** Takes up a new policy and a new snapshot of the catalogs, from which moment on they count. */
  refresh(): void {
    const inForce = this.#policies.current;
    const samePolicy = inForce === this.#inForce;
    if (samePolicy && this.#catalog.current === this.#scope.catalog) return;
    this.#inForce = inForce;
    const role = samePolicy ? this.#scope.role : (matchRole(inForce.policy, this.#login) ?? NO_ROLE);
    this.#scope = inForce.scope(role, this.#login.database);
  }
}
