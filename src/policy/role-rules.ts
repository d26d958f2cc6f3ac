/**
 * The rules that count for a role, with the action and the options that each has
 * there: worked out once for each role of a policy, because every statement asks.
 *
 * Law: a role is never changed, only replaced; what is kept here follows from it alone.
 */
import { tablePatterns } from './glob.js';
import type { TablePattern } from './glob.js';
import { RULES } from './registry.js';
import type { Rule } from './rule.js';
import { opaqueCode } from './rules/opaque-code.js';
import type { BudgetAsk, RecoveryAsk } from './live-facts.js';
import type { Role, Verdict } from './types.js';

/** A rule as one role has it. */
export interface ActiveRule {
  readonly rule: Rule;
  readonly action: Verdict;
  readonly options: Readonly<Record<string, unknown>>;
}

const OF_ROLE = new WeakMap<Role, readonly ActiveRule[]>();

/** The rules that are evaluated for a role, in the order of the registry. */
export function activeRules(role: Role): readonly ActiveRule[] {
  let active = OF_ROLE.get(role);
  if (active === undefined) {
    active = RULES.flatMap((rule) => {
      const setting = role.rules[rule.id];
      const action =
        setting?.action ?? (rule.defaultAction === null ? null : (role.defaultAction ?? rule.defaultAction));
      return action === null
        ? []
        : [{ rule, action, options: { ...defaultOptions(rule), ...setting?.options } }];
    });
    OF_ROLE.set(role, active);
  }
  return active;
}

/** What a rule's options are where nobody gives any; empty where somebody must. */
function defaultOptions(rule: Rule): Readonly<Record<string, unknown>> {
  return rule.options.safeParse({}).data ?? {};
}

const LISTED = new WeakMap<Role, readonly TablePattern[]>();

/** The functions that a role may call although they may write: the same that the rule goes by. */
export function listedFunctions(role: Role): readonly TablePattern[] {
  let listed = LISTED.get(role);
  if (listed === undefined) {
    const options = activeRules(role).find(({ rule }) => rule.id === opaqueCode.id)?.options;
    listed = tablePatterns(opaqueCode.options.parse(options ?? {}).functions);
    LISTED.set(role, listed);
  }
  return listed;
}

const NOTHING: readonly never[] = Object.freeze([]);
const ASKED = new WeakMap<Role, readonly RecoveryAsk[]>();

/** What the role's rules may ask about the way back; empty for most. */
export function recoveryAsks(role: Role): readonly RecoveryAsk[] {
  let asked = ASKED.get(role);
  if (asked === undefined) {
    asked = activeRules(role).flatMap(({ rule, options }) => {
      const ask = rule.live?.ask(options);
      return ask?.kind === 'recovery' ? [ask] : [];
    });
    if (asked.length === 0) asked = NOTHING;
    ASKED.set(role, asked);
  }
  return asked;
}

/** The budget that the users of a role have; null: none. */
export function budgetOfRole(role: Role): BudgetAsk | null {
  for (const { rule, action, options } of activeRules(role)) {
    const ask = action === 'allow' ? undefined : rule.live?.ask(options);
    if (ask?.kind === 'budget') return ask;
  }
  return null;
}
