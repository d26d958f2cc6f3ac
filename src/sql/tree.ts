/**
 * Reading the syntax tree as libpg-query returns it: JSON, so everything is
 * `unknown` until looked at.
 *
 * Law of this file: accessors that never throw and never recurse. protobuf's JSON
 * leaves out fields that hold their zero value, so "absent" and "0", "" or false
 * are the same thing here.
 */

export type Tree = Readonly<Record<string, unknown>>;

const NOTHING: Tree = Object.freeze({});
const NO_NODES: readonly unknown[] = Object.freeze([]);

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An unwrapped child node; an empty one when absent. */
export function child(value: unknown): Tree {
  return isTree(value) ? value : NOTHING;
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : NO_NODES;
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function optionalText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

export function integer(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

/** The node type of a wrapped node (`{"RangeVar": {…}}` → `RangeVar`); '' for anything else, such as a null list entry. */
export function typeOf(value: unknown): string {
  if (!isTree(value)) return '';
  for (const key in value) {
    const first = key.charCodeAt(0);
    // Node types begin with a capital letter, fields never do.
    return first >= 0x41 && first <= 0x5a ? key : '';
  }
  return '';
}

/** The node inside a wrapper when it has the given type, else null. */
export function unwrap(value: unknown, type: string): Tree | null {
  if (!isTree(value)) return null;
  const node = value[type];
  return isTree(node) ? node : null;
}

/** The value of a wrapped String node, else ''. */
export function stringNode(value: unknown): string {
  return text(unwrap(value, 'String')?.['sval']);
}

/** Types whose input keeps a constant's text as it is, as far as whoever reads the constant can tell. */
const PLAIN_TYPES: ReadonlySet<string> = new Set([
  'text',
  'varchar',
  'bool',
  'int2',
  'int4',
  'int8',
  'unknown',
]);

/**
 * Whether a cast leaves a constant as it is spelled. `'role.x'::varchar(4)` does not:
 * it is the name of another setting.
 */
function keepsText(cast: Tree): boolean {
  const type = child(cast['typeName']);
  const names = list(type['names']).map(stringNode);
  const name = names[names.length - 1] ?? '';
  const builtIn = names.length === 1 || (names.length === 2 && names[0] === 'pg_catalog');
  return (
    builtIn &&
    PLAIN_TYPES.has(name) &&
    list(type['typmods']).length === 0 &&
    list(type['arrayBounds']).length === 0
  );
}

/** A constant as its text: strings, numbers, booleans, plain casts of these. `undefined`: not a constant; null: the constant NULL. */
export function constant(value: unknown): string | null | undefined {
  let node = value;
  for (;;) {
    const cast = unwrap(node, 'TypeCast');
    if (cast === null) break;
    if (!keepsText(cast)) return undefined;
    node = cast['arg'];
  }
  const literal = unwrap(node, 'A_Const');
  if (literal !== null) {
    if (literal['isnull'] === true) return null;
    return scalar(literal);
  }
  const type = typeOf(node);
  if (type === 'String' || type === 'Integer' || type === 'Float' || type === 'Boolean') {
    return scalar({ [FIELD_OF[type]]: child(node)[type] });
  }
  return undefined;
}

const FIELD_OF = { String: 'sval', Integer: 'ival', Float: 'fval', Boolean: 'boolval' } as const;

function scalar(literal: Tree): string | undefined {
  if (isTree(literal['sval'])) return text(literal['sval']['sval']);
  if (isTree(literal['ival'])) return String(integer(literal['ival']['ival']));
  if (isTree(literal['fval'])) return text(literal['fval']['fval']);
  if (isTree(literal['boolval'])) return literal['boolval']['boolval'] === true ? 'on' : 'off';
  if (isTree(literal['bsval'])) return text(literal['bsval']['bsval']);
  return undefined;
}

/** PostgreSQL's parse_bool: any unambiguous prefix of true/false/yes/no, on/off, 1/0. undefined: not a boolean. */
export function parseBoolean(value: string): boolean | undefined {
  const word = value.trim().toLowerCase();
  if (word === '') return undefined;
  if (word === '1' || word === 'on' || 'true'.startsWith(word) || 'yes'.startsWith(word)) return true;
  if (word === '0' || word === 'of' || word === 'off' || 'false'.startsWith(word) || 'no'.startsWith(word))
    return false;
  return undefined;
}
