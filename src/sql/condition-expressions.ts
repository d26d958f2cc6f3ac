/**
 * When two expressions are certainly the same, and when an expression can be NULL.
 *
 * Law of this file: an expression gets a key only if it is deterministic within one
 * statement, by lists of what PostgreSQL's own functions and operators do. What is
 * on no list has no key, and nothing is proved of it. An operator or function that
 * somebody put before PostgreSQL's own is not looked for here.
 */
import { columnsOf, type ColumnUse, type Expression, type Place } from './condition-place.js';
import { rowOfOne, selectUnder, subselectKey } from './condition-subselects.js';
import { child, integer, isTree, list, stringNode, text, typeOf, unwrap, type Tree } from './tree.js';

/** Deeper than this no identity is proved. */
const MAX_DEPTH = 40;

const words = (line: string): ReadonlySet<string> => new Set(line.split(' '));

/** Deterministic, and not NULL if no argument is. */
const TOTAL = words(
  'lower upper initcap length char_length character_length octet_length bit_length abs ceil ceiling floor ' +
    'round trunc sign sqrt power exp mod md5 sha256 btrim ltrim rtrim left right lpad rpad repeat reverse ' +
    'replace translate strpos position starts_with ascii chr encode decode quote_ident quote_literal ' +
    'quote_nullable date_trunc timezone now transaction_timestamp statement_timestamp cardinality to_hex ' +
    'jsonb_typeof json_typeof to_json to_jsonb like_escape similar_to_escape isfinite concat',
);
/** Deterministic, but NULL also by itself. */
const PARTIAL = words(
  'to_char to_date to_timestamp to_number substring substr split_part regexp_replace regexp_match regexp_substr ' +
    'extract date_part age array_length array_upper array_lower array_position array_to_string jsonb_extract_path ' +
    'jsonb_extract_path_text json_extract_path json_extract_path_text concat_ws format jsonb_array_length ' +
    'json_array_length nullif',
);
const TOTAL_OPERATORS = words('+ - * / % ^ || = <> < <= > >= ~~ !~~ ~~* !~~* ~ !~ ~* !~* @> <@ && ? ?| ?&');
const PARTIAL_OPERATORS = words('-> ->> #> #>> #- @? @@ & | # << >> ^@');
/** Types whose casts make no NULL: not those of numbers and booleans, for which jsonb's null is one. */
const TOTAL_CASTS = words(
  'text varchar bpchar char name date time timetz timestamp timestamptz interval uuid json jsonb bytea inet cidr',
);

const KINDS: Readonly<Record<string, string>> = {
  AEXPR_OP: 'op',
  AEXPR_LIKE: 'op',
  AEXPR_ILIKE: 'op',
  AEXPR_SIMILAR: 'op',
  AEXPR_IN: 'in',
  AEXPR_OP_ANY: 'any',
  AEXPR_OP_ALL: 'all',
  AEXPR_DISTINCT: 'distinct',
  AEXPR_NOT_DISTINCT: 'not distinct',
  AEXPR_NULLIF: 'nullif',
};

/** Reads an expression; null when it is not certainly deterministic, or too deep. */
export function readExpression(value: unknown, place: Place, depth = 0): Expression | null {
  const known = place.read.get(value);
  if (known !== undefined) return known;
  const expression = depth > MAX_DEPTH ? null : read(value, place, depth + 1);
  place.read.set(value, expression);
  return expression;
}

function read(value: unknown, place: Place, depth: number): Expression | null {
  const type = typeOf(value);
  const node = child(child(value)[type]);
  switch (type) {
    case 'ColumnRef':
      return column(node, place);
    case 'ParamRef':
      return { ...made(`$${String(integer(node['number']))}`, []), parameter: true };
    case 'A_Const':
      return constantOf(node);
    case 'TypeCast':
      return cast(node, place, depth);
    case 'CollateClause': {
      const name = list(node['collname']).map(stringNode).join('.');
      return derived(`collate ${JSON.stringify(name)}`, [node['arg']], true, place, depth);
    }
    case 'A_Expr':
      return operator(node, place, depth);
    case 'FuncCall':
      return call(node, place, depth);
    case 'BoolExpr':
      return derived(text(node['boolop']), list(node['args']), true, place, depth);
    case 'NullTest':
      return tested(text(node['nulltesttype']), node['arg'], place, depth);
    case 'BooleanTest':
      return tested(text(node['booltesttype']), node['arg'], place, depth);
    case 'CoalesceExpr':
      return first('coalesce', node, place, depth);
    case 'MinMaxExpr':
      return first(text(node['op']), node, place, depth);
    case 'RowExpr': {
      const row = derived('row', list(node['args']), true, place, depth);
      return row === null ? null : { ...row, row: true };
    }
    case 'A_ArrayExpr':
      return derived('array', list(node['elements']), true, place, depth);
    case 'List':
      return derived('list', list(node['items']), true, place, depth);
    case 'SQLValueFunction': {
      const named = text(node['op']);
      return made(
        `${named} ${String(integer(node['typmod']))}`,
        named === 'SVFOP_CURRENT_SCHEMA' ? null : [],
      );
    }
    case 'SubLink': {
      const inner = rowOfOne(value);
      if (inner !== null) return readExpression(inner, place, depth);
      const select = selectUnder(value, 'EXISTS_SUBLINK');
      const key = select === null ? null : subselectKey(select, isDeterministic);
      return key === null ? null : made(`exists ${key}`, []);
    }
    default:
      return null;
  }
}

function made(key: string, nulls: readonly ColumnUse[] | null): Expression {
  return { key, nulls, textOnly: false, parameter: false, row: false };
}

function column(node: Tree, place: Place): Expression | null {
  const fields = list(node['fields']);
  if (fields.length === 0 || fields.length > 2 || fields.some((field) => typeOf(field) !== 'String'))
    return null;
  const name = stringNode(fields[fields.length - 1]);
  const relation = fields.length === 2 ? stringNode(fields[0]) : null;
  const own = relation === null ? place.alone : relation === place.name;
  const key = JSON.stringify(own && place.alone ? name : [relation, name]);
  // A bare name that is the target's is its whole row, unless a column is called the same.
  const row = relation === null && (name === place.name || !place.alone);
  return { ...made(key, [{ key, name, relation, own }]), row };
}

function constantOf(node: Tree): Expression {
  if (node['isnull'] === true) return made('null', null);
  for (const field of ['ival', 'fval', 'sval', 'boolval', 'bsval']) {
    const value = node[field];
    if (isTree(value)) return made(`${field} ${JSON.stringify(value[field] ?? 0)}`, []);
  }
  return made('unknown constant', null);
}

/** The last name of a type that is PostgreSQL's own as far as the spelling tells; '' for arrays and other schemas. */
export function plainType(typeName: Tree): string {
  const names = list(typeName['names']).map(stringNode);
  const builtIn = names.length === 1 || (names.length === 2 && names[0] === 'pg_catalog');
  if (!builtIn || list(typeName['arrayBounds']).length > 0 || typeName['setof'] === true) return '';
  return names[names.length - 1] ?? '';
}

function cast(node: Tree, place: Place, depth: number): Expression | null {
  const type = child(node['typeName']);
  const names = list(type['names']).map(stringNode);
  if (names[0] === 'pg_catalog') names.shift();
  const modifiers = list(type['typmods']).map((entry) => readExpression(entry, place, depth)?.key ?? null);
  if (modifiers.includes(null)) return null;
  const bounds = '[]'.repeat(list(type['arrayBounds']).length);
  const arg = readExpression(node['arg'], place, depth);
  if (arg === null) return null;
  const own = typeOf(node['arg']);
  const total =
    own === 'A_Const' || own === 'ParamRef' || own === 'A_ArrayExpr' || TOTAL_CASTS.has(plainType(type));
  const key = `cast ${JSON.stringify([names, modifiers])}${bounds}(${arg.key})`;
  return { ...arg, key, nulls: total ? arg.nulls : null, row: false };
}

/** Whose value comes from all its parts; `total`: it is NULL only where one of them is. */
function derived(
  name: string,
  parts: readonly unknown[],
  total: boolean,
  place: Place,
  depth: number,
): Expression | null {
  let nulls: readonly ColumnUse[] | null = total ? [] : null;
  let textOnly = false;
  let parameter = false;
  const keys: string[] = [];
  for (const part of parts) {
    const inner = readExpression(part, place, depth);
    if (inner === null) return null;
    keys.push(inner.key);
    nulls = columnsOf(nulls, inner.nulls);
    textOnly ||= inner.textOnly;
    parameter ||= inner.parameter;
  }
  return { key: `${name}(${keys.join(',')})`, nulls, textOnly, parameter, row: false };
}

/** A test that is never NULL itself. */
function tested(name: string, arg: unknown, place: Place, depth: number): Expression | null {
  const inner = derived(name, [arg], true, place, depth);
  return inner === null ? null : made(inner.key, []);
}

/** COALESCE, GREATEST, LEAST: not NULL as soon as one of their arguments is not. */
function first(name: string, node: Tree, place: Place, depth: number): Expression | null {
  const all = derived(name, list(node['args']), true, place, depth);
  if (all === null) return null;
  let best: Expression | null = null;
  for (const arg of list(node['args'])) {
    const inner = readExpression(arg, place, depth);
    if (inner === null || inner.nulls === null || inner.parameter) continue;
    if (inner.nulls.length < (best?.nulls?.length ?? Infinity)) best = inner;
  }
  return { ...(best ?? { ...all, nulls: null }), key: all.key };
}

/** The name of an operator that is PostgreSQL's own as far as the spelling tells; '' otherwise. */
export function operatorName(node: Tree): string {
  const names = list(node['name']);
  const builtIn = names.length === 1 || (names.length === 2 && stringNode(names[0]) === 'pg_catalog');
  return builtIn ? stringNode(names[names.length - 1]) : '';
}

function operator(node: Tree, place: Place, depth: number): Expression | null {
  const kind = KINDS[text(node['kind'])];
  const name = operatorName(node);
  const total = TOTAL_OPERATORS.has(name);
  if (kind === undefined || (!total && !PARTIAL_OPERATORS.has(name))) return null;
  const right = node['rexpr'];
  const parts = node['lexpr'] === undefined ? [right] : [node['lexpr'], right];
  const whole = derived(
    `${kind} ${name} ${String(parts.length)}`,
    parts,
    total && kind !== 'nullif',
    place,
    depth,
  );
  if (whole === null) return null;
  return kind === 'distinct' || kind === 'not distinct' ? made(whole.key, []) : whole;
}

/** The name of a function that is PostgreSQL's own as far as the spelling tells, called without DISTINCT, OVER and the like; '' otherwise. */
export function functionName(node: Tree): string {
  for (const field in node) {
    if (field !== 'funcname' && field !== 'args' && field !== 'funcformat' && field !== 'location') return '';
  }
  const names = list(node['funcname']).map(stringNode);
  if (names.length > 2 || (names.length === 2 && names[0] !== 'pg_catalog')) return '';
  return names[names.length - 1] ?? '';
}

function isDeterministic(node: Tree): boolean {
  const name = functionName(node);
  return TOTAL.has(name) || PARTIAL.has(name);
}

function call(node: Tree, place: Place, depth: number): Expression | null {
  const name = functionName(node);
  const total = TOTAL.has(name);
  if (!total && !PARTIAL.has(name)) return null;
  const whole = derived(name, list(node['args']), total, place, depth);
  if (whole === null || (name !== 'lower' && name !== 'upper')) return whole;
  return { ...whole, textOnly: whole.textOnly || !isText(list(node['args'])[0]) };
}

/** Whether an expression is text by its own form. */
function isText(value: unknown): boolean {
  const cast = unwrap(value, 'TypeCast');
  if (cast !== null) return ['text', 'varchar', 'bpchar'].includes(plainType(child(cast['typeName'])));
  return isTree(unwrap(value, 'A_Const')?.['sval']);
}
