/**
 * Constants in conditions, and ranges of numbers that cover everything together.
 *
 * Law of this file: nothing here knows a column's type. A number written without
 * quotes is compared as a number whatever the column is (an operator for it must
 * exist); a quoted one is not, as in a text column '10' comes before '9'.
 */
import { plainType } from './condition-expressions.js';
import { rowOfOne } from './condition-subselects.js';
import { child, integer, isTree, list, parseBoolean, stringNode, text, unwrap } from './tree.js';

export interface Numeral {
  readonly kind: 'number';
  readonly number: number;
  readonly text: string;
}

export type Value =
  | Numeral
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'boolean'; readonly truth: boolean }
  | { readonly kind: 'null' };

const INTEGER_TYPES: ReadonlySet<string> = new Set(['int2', 'int4', 'int8', 'numeric']);

/** The constant that an expression is: literals, plain casts of them, small sums, `(SELECT constant)`. */
export function constantValue(value: unknown, depth = 0): Value | null {
  const literal = unwrap(value, 'A_Const');
  if (literal !== null) {
    if (literal['isnull'] === true) return { kind: 'null' };
    if (isTree(literal['ival'])) return numeral(String(integer(literal['ival']['ival'])));
    if (isTree(literal['fval'])) return numeral(text(literal['fval']['fval']));
    if (isTree(literal['sval'])) return { kind: 'string', text: text(literal['sval']['sval']) };
    if (isTree(literal['boolval'])) return { kind: 'boolean', truth: literal['boolval']['boolval'] === true };
    return null;
  }
  if (depth > 20) return null;
  const cast = unwrap(value, 'TypeCast');
  if (cast !== null) {
    const type = child(cast['typeName']);
    const inner = list(type['typmods']).length > 0 ? null : constantValue(cast['arg'], depth + 1);
    return inner === null ? null : converted(inner, plainType(type));
  }
  const operation = unwrap(value, 'A_Expr');
  if (operation !== null && operation['kind'] === 'AEXPR_OP') return sum(operation, depth);
  const row = rowOfOne(value);
  return row === null ? null : constantValue(row, depth + 1);
}

/** A constant as a truth value, where a condition is wanted; null is NULL, undefined: no such constant. */
export function truthOf(value: Value): boolean | null | undefined {
  if (value.kind === 'boolean') return value.truth;
  if (value.kind === 'null') return null;
  return value.kind === 'string' ? parseBoolean(value.text) : undefined;
}

function numeral(spelled: string): Numeral | null {
  const number = Number(spelled.replaceAll('_', ''));
  return Number.isNaN(number) ? null : { kind: 'number', number, text: spelled };
}

function isExactInteger(value: Numeral): boolean {
  return /^-?\d{1,15}(\.0{0,9})?$/.test(value.text);
}

function converted(value: Value, type: string): Value | null {
  if (value.kind === 'null') return value;
  if (type === 'bool') {
    const truth = value.kind === 'number' ? integerTruth(value) : truthOf(value);
    return truth === undefined || truth === null ? null : { kind: 'boolean', truth };
  }
  if (INTEGER_TYPES.has(type)) {
    const number = value.kind === 'string' ? numeral(value.text.trim()) : value;
    return number?.kind === 'number' && isExactInteger(number) ? number : null;
  }
  return type === 'text' && value.kind === 'string' ? value : null;
}

function integerTruth(value: Numeral): boolean | undefined {
  return isExactInteger(value) ? value.number !== 0 : undefined;
}

/** 1 + 1: exact as long as everything is a small integer. */
function sum(operation: { readonly [field: string]: unknown }, depth: number): Value | null {
  const [name, ...qualified] = list(operation['name']).map(stringNode);
  const right = constantValue(operation['rexpr'], depth + 1);
  if (right?.kind !== 'number' || !isExactInteger(right) || qualified.length > 0) return null;
  if (operation['lexpr'] === undefined) return name === '-' ? numeral(String(-right.number)) : null;
  const left = constantValue(operation['lexpr'], depth + 1);
  if (left?.kind !== 'number' || !isExactInteger(left)) return null;
  if (name === '+') return numeral(String(left.number + right.number));
  if (name === '-') return numeral(String(left.number - right.number));
  return name === '*' ? numeral(String(left.number * right.number)) : null;
}

/** How two numbers stand to each other: -1, 0, 1; null where a double cannot tell. */
function compareNumerals(left: Numeral, right: Numeral): -1 | 0 | 1 | null {
  if (left.number < right.number) return -1;
  if (left.number > right.number) return 1;
  return left.text === right.text || (isExactInteger(left) && isExactInteger(right)) ? 0 : null;
}

/**
 * How two constants stand to each other; `different` where it is not known which is
 * less (text, whose order depends on the collation), null where nothing is known.
 */
export function compareConstants(left: Value, right: Value): -1 | 0 | 1 | 'different' | null {
  if (left.kind === 'number' && right.kind === 'number') return compareNumerals(left, right);
  if (left.kind === 'boolean' && right.kind === 'boolean')
    return left.truth === right.truth ? 0 : left.truth ? 1 : -1;
  if (left.kind === 'string' && right.kind === 'string') return left.text === right.text ? 0 : 'different';
  // A quoted constant takes the type of the other side.
  if (left.kind === 'number' && right.kind === 'string') return mixed(left, right.text);
  if (left.kind === 'string' && right.kind === 'number') {
    const turned = mixed(right, left.text);
    return turned === null ? null : turned === 0 ? 0 : turned === 1 ? -1 : 1;
  }
  return null;
}

function mixed(number: Numeral, spelled: string): -1 | 0 | 1 | null {
  const other = numeral(spelled.trim());
  if (other === null || !isExactInteger(number) || !isExactInteger(other)) return null;
  return compareNumerals(number, other);
}

/** Spellings that differ although they mean the same in some type: bool, float, date, regtype. */
const SYNONYMS =
  /^(t|true|f|false|y|yes|n|no|on|off|inf|infinity|nan|now|today|tomorrow|yesterday|epoch|zulu|z|utc|gmt|ut|allballs|dec|decimal|numeric|int|integer|bool|boolean|char|real|float)$/i;

/**
 * Whether two quoted constants are different values in every type that takes both:
 * words of plain letters with different first letters, however letters are compared.
 */
export function certainlyDifferent(left: string, right: string): boolean {
  const word = /^[A-Za-z][A-Za-z_]{2,}$/;
  return (
    word.test(left) &&
    word.test(right) &&
    !SYNONYMS.test(left) &&
    !SYNONYMS.test(right) &&
    left.charAt(0).toLowerCase() !== right.charAt(0).toLowerCase()
  );
}

/** Numbers from `low` to `high`; null: without end. `…In`: the end itself belongs to it. */
export interface Interval {
  readonly low: Numeral | null;
  readonly lowIn: boolean;
  readonly high: Numeral | null;
  readonly highIn: boolean;
}

/** The numbers that stand in one of the relations (1 less, 2 equal, 4 greater) to a constant. */
export function intervals(states: number, constant: Numeral): Interval[] {
  const found: Interval[] = [];
  const equal = (states & 2) !== 0;
  if ((states & 1) !== 0) found.push({ low: null, lowIn: false, high: constant, highIn: equal });
  if ((states & 4) !== 0) found.push({ low: constant, lowIn: equal, high: null, highIn: false });
  if (states === 2) found.push({ low: constant, lowIn: true, high: constant, highIn: true });
  return found;
}

/**
 * Whether intervals cover every value of a totally ordered type of numbers (NaN and
 * infinity are the ends of PostgreSQL's order). Two ends meet only if one of them is
 * closed and both are certainly the same number: constants that differ by less than
 * a double can tell may still leave a gap, or be one number in a float column.
 */
export function coverEverything(found: readonly Interval[], integers: boolean): boolean {
  const sorted = [...found].sort(
    (a, b) =>
      (a.low?.number ?? -Infinity) - (b.low?.number ?? -Infinity) ||
      Number(a.low !== null) - Number(b.low !== null),
  );
  let reached: { end: Numeral; inside: boolean } | null = null;
  for (const interval of sorted) {
    if (interval.low !== null && (reached === null || !touches(reached, interval, integers))) return false;
    if (interval.high === null) return true;
    const order: -1 | 0 | 1 | null = reached === null ? 1 : compareNumerals(interval.high, reached.end);
    if (reached === null || order === 1) reached = { end: interval.high, inside: interval.highIn };
    else if (order === 0 && interval.highIn) reached = { end: reached.end, inside: true };
  }
  return false;
}

function touches(reached: { end: Numeral; inside: boolean }, next: Interval, integers: boolean): boolean {
  if (next.low === null) return true;
  const order = compareNumerals(next.low, reached.end);
  if (order === -1) return true;
  if (order === 0) return reached.inside || next.lowIn;
  if (order === null || !integers) return false;
  const firstMissed =
    reached.inside || !Number.isInteger(reached.end.number)
      ? Math.floor(reached.end.number) + 1
      : reached.end.number;
  const firstThere =
    next.lowIn || !Number.isInteger(next.low.number) ? Math.ceil(next.low.number) : next.low.number + 1;
  return firstMissed >= firstThere;
}
