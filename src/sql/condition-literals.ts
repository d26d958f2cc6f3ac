/**
 * The smallest parts of a condition: comparisons and other tests that are TRUE, FALSE
 * or NULL by themselves.
 *
 * Law of this file: says which states of an expression a part asks for. States are
 * bits: of a comparison 1 less, 2 equal, 4 greater; of any other test 1 true, 6 false;
 * of both 8 NULL. Parts with the same key speak of the same thing, however they are
 * spelled: `a < b` and `b >= a`, LIKE and NOT LIKE.
 */
import { functionName, operatorName, readExpression } from './condition-expressions.js';
import { columnsOf, type ColumnUse, type Expression, type Place } from './condition-place.js';
import { compareConstants, constantValue, type Numeral } from './condition-values.js';
import { isTree, list, text, typeOf, unwrap, type Tree } from './tree.js';

export const LESS = 1;
const EQUAL = 2;
export const GREATER = 4;
export const EVERY = LESS | EQUAL | GREATER;
export const IS_NULL = 8;
/** Of a test that is no comparison. */
const YES = 1;
const NO = EVERY & ~YES;

export interface Literal {
  readonly key: string;
  /** The states in which it is TRUE. */
  readonly truth: number;
  /** Never NULL: what is not true is false. */
  readonly twoValued: boolean;
  /** The states that are possible at all, but for IS_NULL. */
  readonly possible: number;
  /** As in Expression. */
  readonly nulls: readonly ColumnUse[] | null;
  readonly textOnly: boolean;
  readonly parameter: boolean;
  /** What is compared with the constant `number` or `word`, as its key. */
  readonly subject: string | null;
  readonly number: Numeral | null;
  readonly word: string | null;
  /** The subject is an integer that is never negative. */
  readonly length: boolean;
}

const COMPARISONS: Readonly<Record<string, number>> = {
  '=': EQUAL,
  '<>': LESS | GREATER,
  '<': LESS,
  '<=': LESS | EQUAL,
  '>': GREATER,
  '>=': GREATER | EQUAL,
};

/** Operators that are another one's opposite. */
const OPPOSITES: Readonly<Record<string, string>> = { '!~~': '~~', '!~~*': '~~*', '!~': '~', '!~*': '~*' };
/** NOT (x op ANY a) is x inverse ALL a. */
const INVERSE: Readonly<Record<string, string>> = {
  '=': '<>', '<>': '=', '<': '>=', '>=': '<', '>': '<=', '<=': '>', '~~': '!~~', '!~~': '~~',
  '~~*': '!~~*', '!~~*': '~~*', '~': '!~', '!~': '~', '~*': '!~*', '!~*': '~*',
}; // prettier-ignore

const LENGTHS: ReadonlySet<string> = new Set([
  'length', 'char_length', 'character_length', 'octet_length', 'bit_length', 'cardinality',
]); // prettier-ignore

/** Regular expressions that every text matches. */
const MATCH_ALL: ReadonlySet<string> = new Set([
  '',
  '.*',
  '^',
  '$',
  '^.*',
  '.*$',
  '^.*$',
  '(.*)',
  '.*?',
  '.?',
  '()',
]);

/** Reads a part of a condition that is no AND, OR, NOT; null when nothing certain is known of it. */
export function readLiteral(node: unknown, place: Place): Literal | null {
  const expression = unwrap(node, 'A_Expr');
  const literal = expression === null ? undefined : readOperation(expression, place);
  if (literal !== undefined) return literal;
  const whole = readExpression(node, place);
  return whole === null ? null : test(whole.key, YES, whole);
}

function test(
  key: string,
  truth: number,
  { nulls, textOnly, parameter }: Expression,
  possible = EVERY,
): Literal {
  const none = { subject: null, number: null, word: null, length: false };
  return { key, truth, twoValued: false, possible, nulls, textOnly, parameter, ...none };
}

/** undefined: an operator like any other. */
function readOperation(node: Tree, place: Place): Literal | null | undefined {
  const kind = text(node['kind']);
  const name = operatorName(node);
  if (kind === 'AEXPR_OP_ANY' || kind === 'AEXPR_OP_ALL') return readArrayTest(node, kind, name, place);
  const states = COMPARISONS[name];
  if (kind === 'AEXPR_DISTINCT' || kind === 'AEXPR_NOT_DISTINCT') {
    return name === '=' ? readDistinct(node, kind === 'AEXPR_DISTINCT', place) : undefined;
  }
  if (kind === 'AEXPR_OP' && states !== undefined && node['lexpr'] !== undefined) {
    return readComparison(node['lexpr'], node['rexpr'], states, place);
  }
  const like =
    kind === 'AEXPR_OP' || kind === 'AEXPR_LIKE' || kind === 'AEXPR_ILIKE' || kind === 'AEXPR_SIMILAR';
  if (!like || !(name.startsWith('~') || name in OPPOSITES)) return undefined;
  const left = readExpression(node['lexpr'], place);
  const right = readExpression(node['rexpr'], place);
  if (left === null || right === null) return null;
  const operator = OPPOSITES[name] ?? name;
  const possible = matchesAll(operator, node['rexpr']) ? YES : EVERY;
  const both = { ...left, nulls: columnsOf(left.nulls, right.nulls), textOnly: false };
  const parameter = left.parameter || right.parameter;
  const key = `${operator} ${left.key} ${right.key}`;
  return test(key, operator === name ? YES : NO, { ...both, parameter }, possible);
}

/** Whether everything that is not NULL matches the pattern. */
function matchesAll(operator: string, pattern: unknown): boolean {
  const similar = unwrap(pattern, 'FuncCall');
  if (similar !== null) {
    const args = list(similar['args']);
    const value =
      args.length === 1 && functionName(similar) === 'similar_to_escape' ? constantValue(args[0]) : null;
    return value?.kind === 'string' && /^%+$/.test(value.text);
  }
  const value = constantValue(pattern);
  if (value?.kind !== 'string') return false;
  return operator.startsWith('~~') ? /^%+$/.test(value.text) : MATCH_ALL.has(value.text);
}

function readDistinct(node: Tree, distinct: boolean, place: Place): Literal | null {
  const compared = readComparison(node['lexpr'], node['rexpr'], distinct ? LESS | GREATER : EQUAL, place);
  if (compared === null) return null;
  const same = compared.possible === EQUAL;
  if (same || constantSide(node) !== null) {
    const truth = distinct ? compared.truth | (same ? 0 : IS_NULL) : compared.truth | (same ? IS_NULL : 0);
    return { ...compared, truth, twoValued: true, nulls: same ? [] : compared.nulls };
  }
  const none = { key: '', nulls: [], textOnly: false, parameter: false, row: false };
  return test(`distinct ${compared.key}`, distinct ? YES : NO, none);
}

/** The side of IS DISTINCT FROM that is a constant and not NULL. */
function constantSide(node: Tree): unknown {
  for (const side of [node['rexpr'], node['lexpr']]) {
    const value = typeOf(side) === 'A_Const' ? constantValue(side) : null;
    if (value !== null && value.kind !== 'null') return side;
  }
  return null;
}

function readComparison(leftNode: unknown, rightNode: unknown, states: number, place: Place): Literal | null {
  const leftValue = constantValue(leftNode);
  const rightValue = constantValue(rightNode);
  const left = readExpression(leftNode, place);
  const right = readExpression(rightNode, place);
  if (left === null || right === null) return null;
  const order = leftValue === null || rightValue === null ? null : compareConstants(leftValue, rightValue);
  if (order !== null) return constants(states, order, `${left.key} ${right.key}`);
  const swap = left.key > right.key;
  const first = swap ? right : left;
  const second = swap ? left : right;
  const textual = isWord(leftValue) || isWord(rightValue) || left.key === right.key;
  const onConstant = leftValue !== null ? rightNode : rightValue !== null ? leftNode : null;
  const constant = leftValue ?? rightValue;
  const call = unwrap(onConstant, 'FuncCall');
  // Relations to a constant are kept as they stand to the subject, whichever side it is on.
  const turned = onConstant !== null ? leftValue !== null : swap;
  return {
    key:
      onConstant === null
        ? `cmp ${first.key} ${second.key}`
        : `cmp ${(turned ? right : left).key} ${(turned ? left : right).key}`,
    truth: turned ? flipped(states) : states,
    twoValued: false,
    possible: left.key === right.key ? EQUAL : EVERY,
    nulls: columnsOf(left.nulls, right.nulls),
    textOnly: !textual && (left.textOnly || right.textOnly),
    parameter: left.parameter || right.parameter,
    subject: onConstant === null ? null : (turned ? right : left).key,
    number: constant?.kind === 'number' ? constant : null,
    word: constant?.kind === 'string' ? constant.text : null,
    length: call !== null && LENGTHS.has(functionName(call)),
  };
}

/** A comparison of two constants. */
function constants(states: number, order: -1 | 0 | 1 | 'different', names: string): Literal {
  const possible = order === 'different' ? LESS | GREATER : order === 0 ? EQUAL : order < 0 ? LESS : GREATER;
  return {
    ...test('', states, { key: '', nulls: [], textOnly: false, parameter: false, row: false }, possible),
    key: `constants ${names}`,
  };
}

/** A quoted constant that can be no bound of a range of numbers or dates. */
function isWord(value: ReturnType<typeof constantValue>): boolean {
  return (
    value?.kind === 'string' &&
    /^[A-Za-z]/.test(value.text) &&
    !/^(inf|nan|now|today|tom|yes|epo)/i.test(value.text)
  );
}

function flipped(states: number): number {
  return (states & EQUAL) | ((states & LESS) !== 0 ? GREATER : 0) | ((states & GREATER) !== 0 ? LESS : 0);
}

function readArrayTest(node: Tree, kind: string, name: string, place: Place): Literal | null {
  const left = readExpression(node['lexpr'], place);
  const right = readExpression(node['rexpr'], place);
  if (left === null || right === null || name === '') return null;
  const all = kind === 'AEXPR_OP_ALL';
  const operator = all ? INVERSE[name] : name;
  if (operator === undefined) return null;
  const key = `any ${operator} ${left.key} ${right.key}`;
  const nulls = elementsNotNull(node['rexpr']) ? columnsOf(left.nulls, right.nulls) : null;
  const parameter = left.parameter || right.parameter;
  return test(key, all ? NO : YES, { ...left, nulls, parameter, textOnly: left.textOnly || right.textOnly });
}

/** Whether the array has no NULL among its elements; parameters count as having none. */
function elementsNotNull(array: unknown): boolean {
  const cast = unwrap(array, 'TypeCast');
  if (cast !== null) return elementsNotNull(cast['arg']);
  const constant = unwrap(array, 'A_Const');
  if (constant !== null) return isTree(constant['sval']) && !/null/i.test(text(constant['sval']['sval']));
  return typeOf(array) === 'ParamRef';
}
