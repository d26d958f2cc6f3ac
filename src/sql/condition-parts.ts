/**
 * Taking a condition apart: what it asks of its parts.
 *
 * Law of this file: laws of three-valued logic alone (PostgreSQL documentation,
 * "Logical Operators"). What is wanted of a condition is a set of outcomes, as bits:
 * 1 TRUE, 2 FALSE, 4 NULL; WHERE wants TRUE.
 */
import { operatorName, plainType, readExpression } from './condition-expressions.js';
import type { Place } from './condition-place.js';
import { rowOfOne } from './condition-subselects.js';
import { constantValue } from './condition-values.js';
import { child, list, text, typeOf, unwrap, type Tree } from './tree.js';

export const TRUE = 1;
export const FALSE = 2;
export const NULL = 4;
export const ANYTHING = TRUE | FALSE | NULL;

/** A condition and the outcomes that are wanted of it. */
export interface Wanted {
  readonly node: unknown;
  readonly outcomes: number;
}

/** A condition that has a wanted outcome if `any` one of its parts has one of theirs, or if all have. */
export interface Parts {
  readonly nodes: readonly unknown[];
  readonly outcomes: number;
  readonly any: boolean;
}

const TESTS: Readonly<Record<string, number>> = {
  IS_TRUE: TRUE,
  IS_NOT_TRUE: FALSE | NULL,
  IS_FALSE: FALSE,
  IS_NOT_FALSE: TRUE | NULL,
  IS_UNKNOWN: NULL,
  IS_NOT_UNKNOWN: TRUE | FALSE,
  IS_NULL: NULL,
  IS_NOT_NULL: TRUE | FALSE,
};

/** Goes through NOT, IS TRUE, IS NULL, `= true`, `(SELECT …)` and casts to boolean to what they ask about. */
export function reduced(node: unknown, outcomes: number, place: Place): Wanted {
  let at = node;
  let wanted = outcomes;
  while (wanted !== 0 && wanted !== ANYTHING) {
    const type = typeOf(at);
    const inner = child(child(at)[type]);
    if (type === 'BoolExpr' && inner['boolop'] === 'NOT_EXPR') {
      wanted = negated(wanted);
      at = list(inner['args'])[0];
    } else if (type === 'BooleanTest') {
      wanted = tested(TESTS[text(inner['booltesttype'])] ?? 0, wanted);
      at = inner['arg'];
    } else if (type === 'NullTest') {
      if (!mayAskForNull(inner['arg'], place)) break;
      wanted = tested(TESTS[text(inner['nulltesttype'])] ?? 0, wanted);
      at = inner['arg'];
    } else if (type === 'TypeCast') {
      const arg = inner['arg'];
      if (plainType(child(inner['typeName'])) !== 'bool' || !isCondition(arg)) break;
      at = arg;
    } else if (type === 'SubLink') {
      const row = rowOfOne(at);
      // Reading it is the proof that it makes no rows of its own.
      if (row === null || readExpression(row, place) === null) break;
      at = row;
    } else if (type === 'A_Expr') {
      const compared = comparedWithTruth(inner);
      if (compared === null) break;
      wanted =
        compared.test === null
          ? compared.negated
            ? negated(wanted)
            : wanted
          : tested(compared.test, wanted);
      at = compared.node;
    } else break;
  }
  return { node: at, outcomes: wanted };
}

function negated(outcomes: number): number {
  return (outcomes & NULL) | ((outcomes & TRUE) !== 0 ? FALSE : 0) | ((outcomes & FALSE) !== 0 ? TRUE : 0);
}

/** What is wanted of the argument of a test that is TRUE for `when` and FALSE for everything else. */
function tested(when: number, outcomes: number): number {
  return ((outcomes & TRUE) !== 0 ? when : 0) | ((outcomes & FALSE) !== 0 ? ANYTHING & ~when : 0);
}

function isCondition(value: unknown): boolean {
  const type = typeOf(value);
  if (type === 'A_Expr') return unwrap(value, 'A_Expr')?.['kind'] !== 'AEXPR_NULLIF';
  return type === 'BoolExpr' || type === 'BooleanTest' || type === 'NullTest';
}

/** Whether IS NULL and IS NOT NULL are opposites for it (they are not for rows), and it is no parameter, which may be NULL. */
function mayAskForNull(value: unknown, place: Place): boolean {
  if (typeOf(value) === 'BoolExpr') return true;
  const read = readExpression(value, place);
  return read !== null && !read.row && !read.parameter;
}

/** `x = true`, `x <> false`, `x IS DISTINCT FROM true`. */
function comparedWithTruth(node: Tree): { node: unknown; negated: boolean; test: number | null } | null {
  const kind = node['kind'];
  const distinct = kind === 'AEXPR_DISTINCT' || kind === 'AEXPR_NOT_DISTINCT';
  if (kind !== 'AEXPR_OP' && !distinct) return null;
  const right = truthConstant(node['rexpr']);
  const left = right === null ? truthConstant(node['lexpr']) : null;
  const truth = right ?? left;
  if (truth === null) return null;
  const name = operatorName(node);
  if (name !== '=' && name !== '<>') return null;
  const other = right !== null ? node['lexpr'] : node['rexpr'];
  if (!distinct) return { node: other, negated: (name === '=') !== truth, test: null };
  const same = truth ? TRUE : FALSE;
  return { node: other, negated: false, test: kind === 'AEXPR_DISTINCT' ? ANYTHING & ~same : same };
}

function truthConstant(value: unknown): boolean | null {
  if (typeOf(value) !== 'A_Const' && typeOf(value) !== 'TypeCast') return null;
  const constant = constantValue(value);
  return constant?.kind === 'boolean' ? constant.truth : null;
}

/** Divides AND, OR, IN, BETWEEN, ANY and ALL; null for what has no parts, or none that say enough. */
export function partsOf({ node, outcomes }: Wanted): Parts | null {
  const disjunction = outcomes === TRUE || outcomes === (TRUE | NULL);
  if (!disjunction && outcomes !== FALSE && outcomes !== (FALSE | NULL)) return null;
  const bool = unwrap(node, 'BoolExpr');
  if (bool !== null) {
    return { nodes: list(bool['args']), outcomes, any: (bool['boolop'] === 'OR_EXPR') === disjunction };
  }
  const operation = unwrap(node, 'A_Expr');
  if (operation === null) return null;
  const either = divided(operation);
  return either === null ? null : { nodes: either.nodes, outcomes, any: either.or === disjunction };
}

function comparison(name: string, left: unknown, right: unknown): Tree {
  return { A_Expr: { kind: 'AEXPR_OP', name: [{ String: { sval: name } }], lexpr: left, rexpr: right } };
}

/** The comparisons that a test stands for, and whether it is an OR or an AND of them. */
function divided(node: Tree): { nodes: unknown[]; or: boolean } | null {
  const left = node['lexpr'];
  const items = list(unwrap(node['rexpr'], 'List')?.['items'] ?? node['rexpr']);
  const [low, high] = items;
  const name = operatorName(node);
  switch (node['kind']) {
    case 'AEXPR_IN':
      return { nodes: items.map((item) => comparison(name, left, item)), or: name === '=' };
    case 'AEXPR_BETWEEN':
      return { nodes: [comparison('>=', left, low), comparison('<=', left, high)], or: false };
    case 'AEXPR_NOT_BETWEEN':
      return { nodes: [comparison('<', left, low), comparison('>', left, high)], or: true };
    case 'AEXPR_BETWEEN_SYM':
      return {
        nodes: [between('AEXPR_BETWEEN', left, low, high), between('AEXPR_BETWEEN', left, high, low)],
        or: true,
      };
    case 'AEXPR_NOT_BETWEEN_SYM':
      return {
        nodes: [between('AEXPR_NOT_BETWEEN', left, low, high), between('AEXPR_NOT_BETWEEN', left, high, low)],
        or: false,
      };
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL': {
      const elements = elementsOf(node['rexpr']);
      if (elements === null || name === '') return null;
      return {
        nodes: elements.map((item) => comparison(name, left, item)),
        or: node['kind'] === 'AEXPR_OP_ANY',
      };
    }
    default:
      return null;
  }
}

function between(kind: string, left: unknown, low: unknown, high: unknown): Tree {
  return {
    A_Expr: {
      kind,
      name: [{ String: { sval: 'BETWEEN' } }],
      lexpr: left,
      rexpr: { List: { items: [low, high] } },
    },
  };
}

/** The elements of ARRAY[…] and '{}'; null where they are not known, or a cast may change them. */
function elementsOf(value: unknown): readonly unknown[] | null {
  const cast = unwrap(value, 'TypeCast');
  if (cast !== null) {
    const inner = elementsOf(cast['arg']);
    return inner?.length === 0 ? inner : null;
  }
  const array = unwrap(value, 'A_ArrayExpr');
  if (array !== null) {
    const elements = list(array['elements']);
    return elements.some((element) => typeOf(element) === 'A_ArrayExpr') ? null : elements;
  }
  const constant = constantValue(value);
  return constant?.kind === 'string' && constant.text.trim() === '{}' ? [] : null;
}
