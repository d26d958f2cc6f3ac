/**
 * Proves that the condition of an UPDATE, DELETE or MERGE excludes no row.
 *
 * Law of this file: only what holds in every database is a proof; what it cannot
 * decide it leaves, and that is no accusation. It knows no types: everything here
 * holds whatever the columns are, as long as the operators are PostgreSQL's own.
 *
 * Two things are taken for granted. Parameters are not NULL: `id > $1 OR id <= $1`
 * excludes everything when one is, and is no honest filter for that. A column is not
 * of a composite type: of a row with some NULLs in it neither IS NULL nor IS NOT NULL
 * holds. (The target's own row, spelled by its name, is known as one.)
 *
 * The cost is linear in the size of the condition. What nests deeper than MAX_DEPTH
 * is left undecided.
 */
import { Cover, type Proof } from './condition-cover.js';
import { readExpression } from './condition-expressions.js';
import { readLiteral, type Literal } from './condition-literals.js';
import { ANYTHING, FALSE, NULL, partsOf, reduced, TRUE, type Wanted } from './condition-parts.js';
import { proveMembership, proveOwnRow } from './condition-membership.js';
import type { ColumnUse, Place } from './condition-place.js';
import { better, explained, isFree, proof, together } from './condition-proof.js';
import { fieldsThatMatter, limitOf, readsTarget, selectUnder, targetsOf } from './condition-subselects.js';
import { described } from './condition-text.js';
import { constantValue, truthOf } from './condition-values.js';
import { child, list, stringNode, typeOf, unwrap, type Tree } from './tree.js';

const MAX_DEPTH = 100;
/** An AND inside an OR holds if each of its parts, put in its place, makes the OR hold: tried so often at most. */
const MAX_TRIALS = 200;
const MAX_COMPOUNDS = 8;
const MAX_COPIED = 200;

/** Which conditions were proved, and what cannot be, by node and wanted outcomes. */
type Memory = Map<unknown, Map<number, Proof | null>>;

interface Session {
  readonly place: Place;
  readonly memory: Memory;
}

/** The proof that a condition holds for every row of the target; null when there is none. */
export function provesEveryRow(condition: unknown, place: Place): Proof | null {
  return mayBeProvable(condition) ? prove(condition, TRUE, { place, memory: new Map() }, 0) : null;
}

/** The proof that a condition holds for no row. */
export function provesNoRow(condition: unknown, place: Place): Proof | null {
  return prove(condition, FALSE | NULL, { place, memory: new Map() }, 0);
}

/** A quick look: `column = $1` and the like, and an AND with such a part, are what nearly all statements have. */
function mayBeProvable(condition: unknown): boolean {
  let node = condition;
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    const bool = unwrap(node, 'BoolExpr');
    if (bool?.['boolop'] !== 'AND_EXPR') break;
    node = list(bool['args'])[0];
  }
  return !isPlainFilter(node);
}

function isPlainFilter(node: unknown): boolean {
  const operation = unwrap(node, 'A_Expr');
  if (operation === null || typeOf(operation['lexpr']) !== 'ColumnRef') return false;
  const kind = operation['kind'];
  const right = typeOf(operation['rexpr']);
  if (kind === 'AEXPR_OP' || kind === 'AEXPR_OP_ANY') {
    if (right === 'ParamRef') return true;
    return (
      kind === 'AEXPR_OP' && right === 'A_Const' && !stringNode(list(operation['name'])[0]).includes('~')
    );
  }
  if (kind !== 'AEXPR_IN' || stringNode(list(operation['name'])[0]) !== '=') return false;
  const items = list(unwrap(operation['rexpr'], 'List')?.['items'] ?? operation['rexpr']);
  return items.every((item) => typeOf(item) === 'A_Const' || typeOf(item) === 'ParamRef');
}

/** Proves that the condition has one of the wanted outcomes, whatever is in the row. */
function prove(node: unknown, outcomes: number, session: Session, depth: number): Proof | null {
  if (depth > MAX_DEPTH || (outcomes === TRUE && isPlainFilter(node))) return null;
  const known = session.memory.get(node)?.get(outcomes);
  if (known !== undefined) return known;
  const found = proveAnew(node, outcomes, session, depth + 1);
  let byOutcome = session.memory.get(node);
  if (byOutcome === undefined) {
    byOutcome = new Map<number, Proof | null>();
    session.memory.set(node, byOutcome);
  }
  byOutcome.set(outcomes, found);
  return found;
}

function proveAnew(node: unknown, outcomes: number, session: Session, depth: number): Proof | null {
  const wanted = reduced(node, outcomes, session.place);
  if (wanted.outcomes === 0) return null;
  if (wanted.outcomes === ANYTHING) return proof(() => `${described(node)} is always true`);
  const parts = partsOf(wanted);
  if (parts === null) return proveSingle(node, wanted, session, depth);
  return parts.any ? proveAny(wanted, node, session, depth) : proveAll(wanted, session, depth);
}

/** All parts of an AND: the proofs together. */
function proveAll(condition: Wanted, session: Session, depth: number): Proof | null {
  const proofs: Proof[] = [];
  const stack: Wanted[] = [condition];
  for (let wanted = stack.pop(); wanted !== undefined; wanted = stack.pop()) {
    const parts = partsOf(wanted);
    if (parts !== null && !parts.any) {
      for (let index = parts.nodes.length - 1; index >= 0; index -= 1) {
        stack.push(reduced(parts.nodes[index], parts.outcomes, session.place));
      }
      continue;
    }
    if (wanted.outcomes === ANYTHING) continue;
    const found = wanted.outcomes === 0 ? null : prove(wanted.node, wanted.outcomes, session, depth);
    if (found === null) return null;
    if (proofs.length === 0 || found.unless.length > 0 || found.requires.length > 0) proofs.push(found);
  }
  return together(proofs, () => `${described(condition.node)} is always true`);
}

/** An OR: one part that holds by itself, or several that hold together. */
function proveAny(condition: Wanted, node: unknown, session: Session, depth: number): Proof | null {
  const { place } = session;
  const cover = new Cover();
  const compounds: Wanted[] = [];
  let best: Proof | null = null;
  const stack: Wanted[] = [condition];
  for (let wanted = stack.pop(); wanted !== undefined; wanted = stack.pop()) {
    if (wanted.outcomes === 0) continue;
    if (wanted.outcomes === ANYTHING) return proof(() => `${described(node)} is always true`);
    const parts = partsOf(wanted);
    if (parts?.any === true) {
      for (let index = parts.nodes.length - 1; index >= 0; index -= 1) {
        stack.push(reduced(parts.nodes[index], parts.outcomes, place));
      }
      continue;
    }
    if (parts !== null || !isPlain(wanted.node)) {
      const found = prove(wanted.node, wanted.outcomes, session, depth);
      if (isFree(found)) return found;
      best = better(best, found);
      if (parts !== null) {
        if (found === null && compounds.length < MAX_COMPOUNDS) compounds.push(wanted);
        continue;
      }
    }
    const literal = readLiteral(wanted.node, place);
    if (literal === null) continue;
    best = better(best, explained(cover.add(literal, wanted.outcomes, wanted.node), wanted));
    if (isFree(best)) return best;
  }
  best = better(best, explained(cover.finish(), condition));
  if (best === null && compounds.length > 0) {
    best = distribute(cover, compounds, session, depth, { left: MAX_TRIALS });
    if (best !== null) best = { ...best, why: () => `${described(node)} is always true` };
  }
  if (best === null) return null;
  const left = (columns: readonly ColumnUse[]): readonly ColumnUse[] =>
    columns.filter((column) => !cover.holdsForNull(column));
  return { why: best.why, unless: left(best.unless), requires: left(best.requires) };
}

/** a OR (b AND c) is (a OR b) AND (a OR c), in three-valued logic too. */
function distribute(
  cover: Cover,
  compounds: readonly Wanted[],
  session: Session,
  depth: number,
  trials: { left: number },
): Proof | null {
  for (const [index, compound] of compounds.entries()) {
    const others = compounds.slice(index + 1);
    const proofs: Proof[] = [];
    let all = true;
    for (const part of partsOf(compound)?.nodes ?? []) {
      const found = proveWith(
        cover,
        reduced(part, compound.outcomes, session.place),
        others,
        session,
        depth,
        trials,
      );
      if (found === null) {
        all = false;
        break;
      }
      proofs.push(found);
    }
    if (all && proofs.length > 0) return together(proofs, () => '');
  }
  return null;
}

function proveWith(
  cover: Cover,
  part: Wanted,
  others: readonly Wanted[],
  session: Session,
  depth: number,
  trials: { left: number },
): Proof | null {
  if (part.outcomes === 0) return null;
  if (part.outcomes === ANYTHING) return proof(() => '');
  const alone = prove(part.node, part.outcomes, session, depth);
  if (alone !== null) return alone;
  const parts = partsOf(part);
  const single = parts === null ? readLiteral(part.node, session.place) : null;
  const met = single === null ? null : explained(cover.meets(single, part.outcomes), part);
  if (met !== null) return met;
  if (trials.left <= 0 || cover.size > MAX_COPIED) return null;
  trials.left -= 1;
  const tried = cover.copy();
  const nodes = parts === null ? [part] : [];
  if (parts?.any === true && parts.nodes.length <= MAX_COPIED) {
    for (const inner of parts.nodes) nodes.push(reduced(inner, parts.outcomes, session.place));
  }
  let found: Proof | null = null;
  for (const wanted of nodes) {
    const literal = partsOf(wanted) === null ? readLiteral(wanted.node, session.place) : null;
    if (literal !== null)
      found = better(found, explained(tried.add(literal, wanted.outcomes, wanted.node), wanted));
  }
  found = better(found, explained(tried.finish(), part));
  return found ?? (others.length === 0 ? null : distribute(tried, others, session, depth + 1, trials));
}

/** Neither a constant nor something that has branches or rows of its own. */
function isPlain(node: unknown): boolean {
  const type = typeOf(node);
  if (type === 'A_Const' || type === 'CaseExpr' || type === 'CoalesceExpr' || type === 'BoolExpr')
    return false;
  return type !== 'TypeCast' && type !== 'SubLink';
}

/** What is no AND and no OR. `node` is how it was spelled. */
function proveSingle(node: unknown, wanted: Wanted, session: Session, depth: number): Proof | null {
  const value = constantValue(wanted.node);
  if (value !== null) {
    const truth = truthOf(value);
    if (truth === undefined) {
      const notNull = (wanted.outcomes & (TRUE | FALSE)) === (TRUE | FALSE);
      return notNull ? proof(() => `${described(node)} is always true`) : null;
    }
    const outcome = truth === null ? NULL : truth ? TRUE : FALSE;
    return (wanted.outcomes & outcome) === 0 ? null : proof(() => `${described(node)} is always true`);
  }
  const type = typeOf(wanted.node);
  const inner = child(child(wanted.node)[type]);
  if (type === 'CaseExpr') return proveCase(node, inner, wanted.outcomes, session, depth);
  if (type === 'CoalesceExpr') return proveCoalesce(inner, wanted.outcomes, session, depth);
  if (type === 'SubLink') {
    const found = proveSubLink(node, wanted, session, depth);
    if (found !== null) return found;
  }
  const literal: Literal | null = readLiteral(wanted.node, session.place);
  if (literal === null) return null;
  const cover = new Cover();
  const found = cover.add(literal, wanted.outcomes, wanted.node) ?? cover.finish();
  return explained(found, { node, outcomes: wanted.outcomes });
}

/** CASE: every branch that may be taken must have a wanted outcome. */
function proveCase(
  spelled: unknown,
  node: Tree,
  outcomes: number,
  session: Session,
  depth: number,
): Proof | null {
  const proofs: Proof[] = [];
  const done = (): Proof => ({
    ...together(proofs, () => ''),
    why: () => `${described(spelled)} is always true`,
  });
  for (const entry of list(node['args'])) {
    const when = child(unwrap(entry, 'CaseWhen'));
    const tested = node['arg'] === undefined;
    const never = tested ? prove(when['expr'], FALSE | NULL, session, depth) : null;
    if (isFree(never)) continue;
    const result = prove(when['result'], outcomes, session, depth);
    if (result === null) {
      if (never === null) return null;
      proofs.push(never);
      continue;
    }
    proofs.push(result);
    const always = tested ? prove(when['expr'], TRUE, session, depth) : null;
    if (isFree(always)) return done();
    if (always !== null && node['defresult'] === undefined) {
      proofs.push(always);
      return done();
    }
  }
  if (node['defresult'] === undefined) return (outcomes & NULL) === 0 ? null : done();
  const otherwise = prove(node['defresult'], outcomes, session, depth);
  if (otherwise === null) return null;
  proofs.push(otherwise);
  return done();
}

/** COALESCE: the first argument that is not NULL decides. */
function proveCoalesce(node: Tree, outcomes: number, session: Session, depth: number): Proof | null {
  const proofs: Proof[] = [];
  const args = list(node['args']);
  for (const [index, arg] of args.entries()) {
    const decides = prove(arg, outcomes & ~NULL, session, depth);
    const last = index === args.length - 1;
    if (decides !== null && (isFree(decides) || last)) {
      proofs.push(decides);
      return together(proofs, () => 'coalesce() is always true');
    }
    const open = prove(arg, (outcomes & ~NULL) | NULL, session, depth);
    if (open === null || (last && (outcomes & NULL) === 0)) {
      if (decides === null) return null;
      proofs.push(decides);
      return together(proofs, () => 'coalesce() is always true');
    }
    proofs.push(open);
  }
  return together(proofs, () => 'coalesce() is always true');
}

function proveSubLink(spelled: unknown, wanted: Wanted, session: Session, depth: number): Proof | null {
  const membership = selectUnder(wanted.node, 'ANY_SUBLINK');
  if (membership !== null) {
    return (wanted.outcomes & TRUE) === 0 ? null : proveMembership(wanted.node, membership, session.place);
  }
  const select = selectUnder(wanted.node, 'EXISTS_SUBLINK');
  if (select === null) return null;
  const why = (): string => `${described(spelled)} is always true`;
  if ((wanted.outcomes & TRUE) !== 0) {
    const found = proveRows(select, session, depth);
    if (found !== null) return { ...found, why };
  }
  return (wanted.outcomes & FALSE) !== 0 && hasNoRows(select, session, depth) ? proof(why) : null;
}

/** Proves that a sub-select gives a row. */
function proveRows(select: Tree, session: Session, depth: number): Proof | null {
  if (depth > MAX_DEPTH || limitOf(select) !== 'all' || hidesNames(select)) return null;
  const plain = (value: unknown): boolean => readExpression(value, session.place) !== null;
  const fields = fieldsThatMatter(select).filter((field) => field !== 'limitCount');
  if (fields.every((field) => field === 'valuesLists')) {
    if (fields.length > 0) return list(select['valuesLists']).length > 0 ? proof(() => '') : null;
    return targetsOf(select, plain) === 'unknown' ? null : proof(() => '');
  }
  if (fields.some((field) => field !== 'fromClause' && field !== 'whereClause')) return null;
  const targets = targetsOf(select, plain);
  if (targets === 'aggregate') return proof(() => '');
  if (targets === 'unknown') return null;
  if (select['fromClause'] === undefined) return prove(select['whereClause'], TRUE, session, depth);
  const name = readsTarget(select, session.place);
  if (name === null) return null;
  return select['whereClause'] === undefined
    ? proof(() => '')
    : proveOwnRow(select['whereClause'], name, session.place);
}

/** A WITH clause may give the target's name to something else. */
function hidesNames(select: Tree): boolean {
  return select['withClause'] !== undefined && select['whereClause'] !== undefined;
}

/** Whether a sub-select gives no row, whatever is NULL. */
function hasNoRows(select: Tree, session: Session, depth: number): boolean {
  if (limitOf(select) === 'none') return true;
  const where = select['whereClause'];
  if (hidesNames(select)) return false;
  if (where === undefined || select['groupClause'] !== undefined || select['havingClause'] !== undefined)
    return false;
  if (fieldsThatMatter(select).includes('groupingSets') || select['op'] !== 'SETOP_NONE') return false;
  const plain = (value: unknown): boolean => readExpression(value, session.place) !== null;
  if (targetsOf(select, plain) !== 'plain') return false;
  // Inside, the names may be those of other relations.
  const place: Place = { ...session.place, alone: false, read: new Map() };
  return isFree(prove(where, FALSE | NULL, { place, memory: new Map() }, depth));
}
