/**
 * Which statements are counted before they are committed, for which roles, and what
 * the rules that go by the count say.
 *
 * Law: pure. Only roles with such a rule pay for it, and only statements that may
 * change rows; of what cannot be told from the text it is assumed that they do.
 */
import type { Scope } from '../impact/counts.js';
import type { StatementFacts } from '../sql/facts.js';
import type { MeasuredSubject } from './rule.js';
import { activeRules } from './role-rules.js';
import type { ActiveRule } from './role-rules.js';
import { VERDICTS } from './types.js';
import type { JudgingScope, Match, Role } from './types.js';
import { unknownNames } from './unknown-names.js';
import { volatileCalls } from './volatile-calls.js';

/** What it takes to count what a statement does. */
export interface Measuring {
  readonly scope: Scope;
  /** It may end its own transaction (CALL, DO), so it can be counted only within a transaction block, where it may not. */
  readonly needsBlock: boolean;
  readonly copies: boolean;
  /** It changes rows, and no whole tables by itself: to try it locks nobody out of a table. */
  readonly rowsOnly: boolean;
}

/** Operations that change rows, and leave the tables that they are in. */
const CHANGES_ROWS: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'copy_from']);

/** Operations that empty, fill or drop whole tables: which, their files tell. */
const CHANGES_TABLES: ReadonlySet<string> = new Set([
  'truncate',
  'drop_table',
  'drop_materialized_view',
  'drop_schema',
  'drop_owned',
  'drop_extension',
  'create_table_as',
  'select_into',
  'refresh_materialized_view',
]);

/** Operations that run when somebody says EXECUTE or FETCH, and are counted then. */
const PREPARES_ONLY: ReadonlySet<string> = new Set(['prepare', 'declare']);

/** What a body may do to the transaction it runs in. */
const ENDS_TRANSACTION: ReadonlySet<string> = new Set(['call', 'commit', 'rollback']);

/** The rules of a role that go by what is counted. */
function measuringRules(role: Role): readonly ActiveRule[] {
  return activeRules(role).filter(({ rule, action }) => rule.measure !== undefined && action !== 'allow');
}

/** Whether what the statements of a role do is counted. */
export function measures(role: Role): boolean {
  return role.hold?.atCommit === true || role.undo === 'capture' || measuringRules(role).length > 0;
}

/**
 * Whether a statement must not run before it is approved, nor again after it was undone: a rule says `preview: estimate`.
 * @param holding ids of the rules that hold it; one that goes by the count says it for everything of its role
 */
export function runsOnce(role: Role, holding: readonly string[] = []): boolean {
  const rules = [...holding, ...measuringRules(role).map(({ rule }) => rule.id)];
  return rules.some((id) => role.rules[id]?.preview === 'estimate');
}

/** Whether what is counted may have to be approved, and the statement undone until then. */
export function mayHold(role: Role): boolean {
  return (
    role.hold !== undefined &&
    !runsOnce(role) &&
    (role.hold.atCommit || measuringRules(role).some(({ action }) => action === 'hold'))
  );
}

/** Whether a statement by itself empties, fills, drops or makes whole tables. */
export function changesWholeTables({ actions }: StatementFacts): boolean {
  return actions.some(({ operation }) => CHANGES_TABLES.has(operation));
}

/** What it takes to count what a statement does for a role; null: it changes no rows, or nobody asks. */
export function measuringOf(role: Role, facts: StatementFacts, context: JudgingScope): Measuring | null {
  if (!measures(role) || PREPARES_ONLY.has(facts.operation)) return null;
  const { actions, effects } = facts;
  const copies = actions.some(({ operation }) => operation === 'copy_from');
  const runsBody = actions.some(({ operation }) => operation === 'do' || operation === 'call');
  const opaque = effects.includes('opaque');
  const needsBlock = runsBody && (opaque || actions.some(({ operation }) => ENDS_TRANSACTION.has(operation)));
  if (runsBody || opaque || changesWholeTables(facts)) {
    return { scope: 'all', needsBlock, copies, rowsOnly: false };
  }
  if (actions.some(({ operation }) => CHANGES_ROWS.has(operation)) || mayWrite(facts, context))
    return { scope: 'changed', needsBlock, copies, rowsOnly: !copies };
  return null;
}

/** Whether a statement may call functions, itself or by what it reads. */
export function mayCall({ calls, relations }: StatementFacts): boolean {
  return calls.length > 0 || relations.some(({ mode }) => mode === 'read');
}

/**
 * What it takes to count a statement behind a change of the schema in its own transaction: no catalog tells then what
 * it calls. null: nothing, or nobody asks.
 */
export function measuringBehindChange(role: Role, facts: StatementFacts): Measuring | null {
  if (!measures(role) || PREPARES_ONLY.has(facts.operation) || !mayCall(facts)) return null;
  return { scope: 'changed', needsBlock: false, copies: false, rowsOnly: true };
}

/** A statement that could not be read may do anything. */
export function measuringOfUnread(role: Role): Measuring | null {
  return !measures(role) ? null : { scope: 'all', needsBlock: true, copies: false, rowsOnly: false };
}

/**
 * Functions that the policy lists as safe may write all the same, and are counted; so is what the catalog does not
 * know: to count it is never wrong.
 */
function mayWrite(statement: StatementFacts, context: JudgingScope): boolean {
  const { environment, database, catalog, catalogUnknown } = context;
  // Without a catalog nobody can tell whose function it is, nor what a view calls.
  if (catalog === null && catalogUnknown === 'strict')
    return statement.calls.length > 0 || statement.relations.some(({ mode }) => mode !== 'ddl');
  if (catalog !== null && unknownNames(catalog, [statement]).length > 0) return true;
  const subject = {
    statement,
    index: 0,
    count: 1,
    environment,
    databaseName: database,
    catalog,
    catalogUnknown,
  };
  return volatileCalls(subject, []).length > 0;
}

/** By how many percent a run may do more than what was approved, where no rule says. */
const TOLERANCE_PERCENT = 10;

/** The percent by which a run may do more of anything than what was approved. */
export function toleranceOf(role: Role): number {
  const named = measuringRules(role).map(({ options }) => options['tolerance']);
  return named.find((value) => typeof value === 'number') ?? TOLERANCE_PERCENT;
}

/** Whether deferrable triggers on a role's tables are known to change nothing when they run at COMMIT. */
export function trustsDeferred(role: Role): boolean {
  const rules = measuringRules(role);
  return rules.length > 0 && rules.every(({ options }) => options['deferred_triggers'] === 'trusted');
}

/** Everything that the rules of a role say of what was counted. */
export function judgeImpact(role: Role, measured: MeasuredSubject): Match[] {
  return measuringRules(role).flatMap(({ rule, action, options }): Match[] => {
    try {
      return (rule.measure?.(measured, options) ?? []).map((finding) => ({
        rule: rule.id,
        action,
        message: finding.message,
        hint: finding.hint,
        ...(finding.detail === undefined ? {} : { detail: finding.detail }),
        offset: null,
      }));
    } catch (error) {
      // A defect, and one that must not let a statement pass.
      const reason = error instanceof Error ? error.message : String(error);
      return [
        {
          rule: rule.id,
          action: 'deny',
          message: `The rule "${rule.id}" could not be evaluated on what this statement did: ${reason}.`,
          hint: 'This is a defect in Holdfast; please report the statement.',
          offset: null,
        },
      ];
    }
  });
}

/** Matches strictest first; among equals the order they came in. */
export function strictestFirst(matches: readonly Match[]): readonly Match[] {
  return [...matches].sort((a, b) => VERDICTS.indexOf(b.action) - VERDICTS.indexOf(a.action));
}
