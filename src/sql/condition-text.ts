/**
 * Conditions in words, for the reason of a refusal.
 *
 * Law of this file: short and readable rather than complete; names quoted, long
 * expressions cut. Nothing is decided by these texts.
 */
import { integer, isTree, list, stringNode, text, typeOf, unwrap, child, type Tree } from './tree.js';

const MAX_LENGTH = 80;
const MAX_DEPTH = 5;

const TESTS: Readonly<Record<string, string>> = {
  IS_NULL: 'IS NULL',
  IS_NOT_NULL: 'IS NOT NULL',
  IS_TRUE: 'IS TRUE',
  IS_NOT_TRUE: 'IS NOT TRUE',
  IS_FALSE: 'IS FALSE',
  IS_NOT_FALSE: 'IS NOT FALSE',
  IS_UNKNOWN: 'IS UNKNOWN',
  IS_NOT_UNKNOWN: 'IS NOT UNKNOWN',
};

const KINDS: Readonly<Record<string, string>> = {
  'AEXPR_LIKE ~~': 'LIKE',
  'AEXPR_LIKE !~~': 'NOT LIKE',
  'AEXPR_ILIKE ~~*': 'ILIKE',
  'AEXPR_ILIKE !~~*': 'NOT ILIKE',
  'AEXPR_SIMILAR ~': 'SIMILAR TO',
  'AEXPR_SIMILAR !~': 'NOT SIMILAR TO',
  'AEXPR_IN =': 'IN',
  'AEXPR_IN <>': 'NOT IN',
  'AEXPR_DISTINCT =': 'IS DISTINCT FROM',
  'AEXPR_NOT_DISTINCT =': 'IS NOT DISTINCT FROM',
};

/** An expression in short. */
export function described(value: unknown): string {
  return cut(spell(value, 0));
}

/** Cut to what fits into a sentence. */
export function cut(words: string): string {
  return words.length <= MAX_LENGTH ? words : `${words.slice(0, MAX_LENGTH - 1)}…`;
}

function spell(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) return '…';
  const type = typeOf(value);
  const node = child(child(value)[type]);
  const inner = (part: unknown): string => spell(part, depth + 1);
  switch (type) {
    case 'ColumnRef':
      return list(node['fields'])
        .map((field) => (typeOf(field) === 'String' ? `"${stringNode(field)}"` : '*'))
        .join('.');
    case 'ParamRef':
      return `$${String(integer(node['number']))}`;
    case 'A_Const':
      return constant(node);
    case 'TypeCast':
      return `${inner(node['arg'])}::${stringNode(list(child(node['typeName'])['names']).at(-1))}`;
    case 'A_Expr':
      return operation(node, inner);
    case 'FuncCall':
      return `${stringNode(list(node['funcname']).at(-1))}(${node['agg_star'] === true ? '*' : all(node['args'], inner)})`;
    case 'CoalesceExpr':
      return `coalesce(${all(node['args'], inner)})`;
    case 'BoolExpr': {
      const args = list(node['args']);
      if (node['boolop'] === 'NOT_EXPR') return `NOT ${bracketed(args[0], inner)}`;
      const shown = args.slice(0, 3).map((arg) => bracketed(arg, inner));
      if (args.length > 3) shown.push('…');
      return shown.join(node['boolop'] === 'AND_EXPR' ? ' AND ' : ' OR ');
    }
    case 'NullTest':
      return `${inner(node['arg'])} ${TESTS[text(node['nulltesttype'])] ?? ''}`;
    case 'BooleanTest':
      return `${bracketed(node['arg'], inner)} ${TESTS[text(node['booltesttype'])] ?? ''}`;
    case 'RowExpr':
      return `(${all(node['args'], inner)})`;
    case 'A_ArrayExpr':
      return `ARRAY[${all(node['elements'], inner)}]`;
    case 'List':
      return `(${all(node['items'], inner)})`;
    case 'CaseExpr':
      return 'CASE …';
    case 'SubLink':
      if (node['subLinkType'] === 'EXISTS_SUBLINK') return 'EXISTS (SELECT …)';
      return node['subLinkType'] === 'ANY_SUBLINK'
        ? `${inner(node['testexpr'])} IN (SELECT …)`
        : '(SELECT …)';
    default:
      return '…';
  }
}

function all(parts: unknown, inner: (part: unknown) => string): string {
  const entries = list(parts);
  const shown = entries.slice(0, 3).map(inner);
  if (entries.length > 3) shown.push('…');
  return shown.join(', ');
}

function bracketed(part: unknown, inner: (part: unknown) => string): string {
  const words = inner(part);
  return typeOf(part) === 'BoolExpr' ? `(${words})` : words;
}

function constant(node: Tree): string {
  if (node['isnull'] === true) return 'NULL';
  if (isTree(node['ival'])) return String(integer(node['ival']['ival']));
  if (isTree(node['fval'])) return text(node['fval']['fval']);
  if (isTree(node['boolval'])) return node['boolval']['boolval'] === true ? 'true' : 'false';
  return isTree(node['sval']) ? `'${cut(text(node['sval']['sval'])).replaceAll("'", "''")}'` : '…';
}

function operation(node: Tree, inner: (part: unknown) => string): string {
  const kind = text(node['kind']);
  const name = stringNode(list(node['name']).at(-1));
  const left = node['lexpr'] === undefined ? '' : `${inner(node['lexpr'])} `;
  if (kind.includes('BETWEEN')) {
    const [low, high] = list(unwrap(node['rexpr'], 'List')?.['items'] ?? node['rexpr']);
    return `${left}${name} ${inner(low)} AND ${inner(high)}`;
  }
  if (kind === 'AEXPR_OP_ANY' || kind === 'AEXPR_OP_ALL') {
    return `${left}${name} ${kind === 'AEXPR_OP_ANY' ? 'ANY' : 'ALL'} (${inner(node['rexpr'])})`;
  }
  if (kind === 'AEXPR_NULLIF') return `nullif(${left.trim()}, ${inner(node['rexpr'])})`;
  if (kind === 'AEXPR_SIMILAR') {
    const [pattern] = list(unwrap(node['rexpr'], 'FuncCall')?.['args']);
    return `${left}${KINDS[`${kind} ${name}`] ?? name} ${inner(pattern)}`;
  }
  return `${left}${KINDS[`${kind} ${name}`] ?? name} ${inner(node['rexpr'])}`;
}
