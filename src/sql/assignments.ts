/**
 * What UPDATE, INSERT … ON CONFLICT DO UPDATE and MERGE … UPDATE set, and whether the
 * new value builds on the old one.
 *
 * Law of this file: syntax alone. "Builds on" means that the old value can become part
 * of the new one; a mere question about it (a CASE's condition, a comparison) does not
 * count. Where a name inside a sub-select may mean another relation's column, it is
 * not taken for the old value.
 */
import { rangeName, type Collector } from './collect.js';
import type { Assignment } from './facts.js';
import {
  child,
  integer,
  isTree,
  list,
  optionalText,
  stringNode,
  text,
  typeOf,
  unwrap,
  type Tree,
} from './tree.js';

const NO_ASSIGNMENTS: readonly Assignment[] = Object.freeze([]);

/** The assignments of an UPDATE. */
export function assignmentsOfUpdate(node: Tree, collect: Collector): readonly Assignment[] {
  return assignments(node['targetList'], namesOf(node), collect);
}

/** The assignments of an INSERT's ON CONFLICT DO UPDATE. */
export function assignmentsOfConflict(node: Tree, collect: Collector): readonly Assignment[] {
  const clause = node['onConflictClause'];
  if (!isTree(clause) || clause['action'] !== 'ONCONFLICT_UPDATE') return NO_ASSIGNMENTS;
  return assignments(clause['targetList'], namesOf(node), collect);
}

/** The assignments of all WHEN clauses of a MERGE that update. */
export function assignmentsOfMerge(node: Tree, collect: Collector): readonly Assignment[] {
  const names = namesOf(node);
  const found: Assignment[] = [];
  for (const entry of list(node['mergeWhenClauses'])) {
    const when = child(unwrap(entry, 'MergeWhenClause'));
    if (when['commandType'] === 'CMD_UPDATE') found.push(...assignments(when['targetList'], names, collect));
  }
  return found;
}

/** What the target is called, and by which schema. */
interface Names {
  readonly name: string;
  readonly schema: string | null;
}

function namesOf(node: Tree): Names {
  const range = child(node['relation']);
  const alias = optionalText(child(range['alias'])['aliasname']);
  const { schema, name } = rangeName(range);
  return alias === null ? { name, schema } : { name: alias, schema: null };
}

function assignments(targets: unknown, names: Names, collect: Collector): Assignment[] {
  return list(targets).map((entry) => {
    const target = child(unwrap(entry, 'ResTarget'));
    const column = text(target['name']);
    const sources = assigned(target['val']);
    return {
      column,
      part: list(target['indirection']).length > 0,
      usesOld: sources.some((source) => flows(source, column, names)),
      value: kindOf(sources[0], 0),
      offset: collect.source().offsets.toUtf16(integer(target['location'])),
    };
  });
}

/** What is assigned: of `(a, b) = (SELECT x, y FROM t)` first this column's part, then what it is selected from. */
function assigned(value: unknown): unknown[] {
  const multiple = unwrap(value, 'MultiAssignRef');
  if (multiple === null) return [value];
  const source = multiple['source'];
  const place = integer(multiple['colno']) - 1;
  const row = unwrap(source, 'RowExpr');
  if (row !== null) {
    const args = list(row['args']);
    return [args.length === integer(multiple['ncolumns']) ? args[place] : source];
  }
  const link = unwrap(source, 'SubLink');
  const select = unwrap(link?.['subselect'], 'SelectStmt');
  const columns = list(select?.['targetList']);
  if (link === null || select === null || columns.length !== integer(multiple['ncolumns'])) return [source];
  // The same sub-select with this column alone, so that names in it are read as they stand there.
  const alone: Tree = { ...select, targetList: [columns[place]] };
  return [{ SubLink: { ...link, subselect: { SelectStmt: alone } } }];
}

/** Operators and kinds of operations whose result is only true or false. */
const QUESTIONS: ReadonlySet<string> = new Set([
  '=', '<>', '<', '<=', '>', '>=', '~~', '!~~', '~~*', '!~~*', '~', '!~', '~*', '!~*', '@>', '<@', '?', '?|', '?&',
  '&&', '@?', '@@',
]); // prettier-ignore
const QUESTIONING: ReadonlySet<string> = new Set([
  'NullTest',
  'BooleanTest',
  'JsonIsPredicate',
  'SetToDefault',
]);
/** Functions that say something about a value and keep nothing of it. */
const ABOUT: ReadonlySet<string> = new Set([
  'jsonb_typeof', 'json_typeof', 'pg_typeof', 'pg_column_size', 'octet_length', 'jsonb_exists', 'starts_with',
]); // prettier-ignore

/** Where the walk is: which names can still mean the target's row. */
interface Sight {
  /** A bare column is the target's. */
  readonly bare: boolean;
  /** The target's name is not hidden by a relation of the same name. */
  readonly qualified: boolean;
}

/** Whether the old value of the column can become part of the expression's value. */
function flows(expression: unknown, column: string, names: Names): boolean {
  const nodes: unknown[] = [expression];
  const sights: Sight[] = [{ bare: true, qualified: true }];
  while (nodes.length > 0) {
    const node = nodes.pop();
    const sight = sights.pop() ?? { bare: false, qualified: false };
    const push = (value: unknown, place: Sight = sight): void => {
      if (typeof value !== 'object' || value === null) return;
      nodes.push(value);
      sights.push(place);
    };
    if (Array.isArray(node)) {
      for (const item of node) push(item);
      continue;
    }
    if (!isTree(node)) continue;
    const type = typeOf(node);
    if (type === '') {
      for (const key in node) push(node[key]);
      continue;
    }
    const inner = child(node[type]);
    if (type === 'ColumnRef') {
      if (meansOld(list(inner['fields']), column, names, sight)) return true;
    } else if (type === 'SelectStmt') {
      pushSelect(inner, names, sight, push);
    } else if (type === 'CaseExpr') {
      push(inner['defresult']);
      for (const entry of list(inner['args'])) push(unwrap(entry, 'CaseWhen')?.['result']);
    } else if (type === 'A_Expr') {
      if (isQuestion(inner)) continue;
      push(inner['lexpr']);
      if (inner['kind'] !== 'AEXPR_NULLIF') push(inner['rexpr']);
    } else if (type === 'SubLink') {
      if (inner['subLinkType'] === 'EXPR_SUBLINK' || inner['subLinkType'] === 'ARRAY_SUBLINK')
        push(inner['subselect']);
    } else if (type === 'A_Indirection') {
      push(inner['arg']);
    } else if (type === 'FuncCall') {
      if (!ABOUT.has(stringNode(list(inner['funcname']).at(-1)))) push(inner['args']);
    } else if (!QUESTIONING.has(type)) {
      for (const key in inner) push(inner[key]);
    }
  }
  return false;
}

function isQuestion(operation: Tree): boolean {
  const kind = operation['kind'];
  if (kind === 'AEXPR_NULLIF') return false;
  return kind !== 'AEXPR_OP' || QUESTIONS.has(stringNode(list(operation['name']).at(-1)));
}

function meansOld(fields: readonly unknown[], column: string, names: Names, sight: Sight): boolean {
  const parts = fields.map((field) => (typeOf(field) === 'A_Star' ? '*' : stringNode(field)));
  const [first, second, third] = parts;
  if (parts.length === 1)
    return (first === column && sight.bare) || (first === names.name && sight.qualified);
  if (!sight.qualified) return false;
  // With a third part: schema.table.column, or a field of the column.
  if (first === names.name && (second === column || second === '*')) return true;
  if (first === names.schema && second === names.name) return third === column || third === '*';
  return first === column && sight.bare && parts.length > 1 && second === '*';
}

/** What a sub-select gives comes from its target list and, through functions and sub-selects, from its FROM. */
function pushSelect(
  select: Tree,
  names: Names,
  sight: Sight,
  push: (value: unknown, place?: Sight) => void,
): void {
  const from = list(select['fromClause']);
  const own = new Set<string>();
  for (const item of from) addNames(item, own);
  const below =
    from.length === 0 ? sight : { bare: false, qualified: sight.qualified && !own.has(names.name) };
  push(select['targetList'], below);
  push(select['valuesLists'], below);
  push(select['withClause'], sight);
  push(child(select['larg'])['SelectStmt'] === undefined ? wrapped(select['larg']) : select['larg'], sight);
  push(child(select['rarg'])['SelectStmt'] === undefined ? wrapped(select['rarg']) : select['rarg'], sight);
  from.forEach((item, index) => {
    // Before the first item of FROM there is none that could hide a name.
    const first = index === 0 && typeOf(item) !== 'JoinExpr';
    push(item, first ? sight : below);
  });
}

/** The arms of UNION come without the wrapper that other nodes have. */
function wrapped(select: unknown): unknown {
  return isTree(select) ? { SelectStmt: select } : undefined;
}

function addNames(item: unknown, found: Set<string>): void {
  const stack = [item];
  while (stack.length > 0) {
    const next = stack.pop();
    const type = typeOf(next);
    const node = child(child(next)[type]);
    const alias = text(child(node['alias'])['aliasname']);
    if (alias !== '') found.add(alias);
    else if (type === 'RangeVar') found.add(text(node['relname']));
    if (type === 'JoinExpr') stack.push(node['larg'], node['rarg']);
  }
}

/** Functions of PostgreSQL that return json or jsonb. */
const JSON_FUNCTIONS: ReadonlySet<string> = new Set([
  'to_json', 'to_jsonb', 'json_build_object', 'jsonb_build_object', 'json_build_array', 'jsonb_build_array',
  'row_to_json', 'array_to_json', 'json_object', 'jsonb_object', 'json_strip_nulls', 'jsonb_strip_nulls',
  'jsonb_set', 'jsonb_set_lax', 'jsonb_insert', 'json_agg', 'jsonb_agg', 'json_object_agg', 'jsonb_object_agg',
  'json_agg_strict', 'jsonb_agg_strict', 'json_object_agg_strict', 'jsonb_object_agg_strict',
  'json_object_agg_unique', 'jsonb_object_agg_unique', 'json_extract_path', 'jsonb_extract_path', 'jsonb_concat',
  'jsonb_delete', 'jsonb_delete_path', 'jsonb_path_query_array', 'jsonb_path_query_first', 'hstore_to_json',
  'hstore_to_jsonb',
]); // prettier-ignore
const JSON_NODES: ReadonlySet<string> = new Set([
  'JsonObjectConstructor', 'JsonArrayConstructor', 'JsonArrayQueryConstructor', 'JsonParseExpr', 'JsonScalarExpr',
  'JsonObjectAgg', 'JsonArrayAgg',
]); // prettier-ignore
const JSON_OPERATORS: ReadonlySet<string> = new Set(['||', '-', '#-', '->', '#>']);
const MAX_DEPTH = 20;

function kindOf(value: unknown, depth: number): Assignment['value'] {
  const type = typeOf(value);
  if (depth > MAX_DEPTH) return 'expression';
  const node = child(child(value)[type]);
  const inner = (part: unknown): Assignment['value'] => kindOf(part, depth + 1);
  const anyJson = (parts: readonly unknown[]): Assignment['value'] =>
    parts.some((part) => inner(part) === 'json') ? 'json' : 'expression';
  if (JSON_NODES.has(type)) return 'json';
  switch (type) {
    case 'SetToDefault':
      return 'default';
    case 'ParamRef':
      return 'parameter';
    case 'A_Const':
      if (node['isnull'] === true) return 'null';
      return isTree(node['sval']) && readsAsJson(text(node['sval']['sval'])) ? 'json' : 'constant';
    case 'TypeCast': {
      const under = inner(node['arg']);
      return under !== 'null' && isJsonType(child(node['typeName'])) ? 'json' : under;
    }
    case 'CollateClause':
      return inner(node['arg']);
    case 'FuncCall':
      return JSON_FUNCTIONS.has(stringNode(list(node['funcname']).at(-1))) ? 'json' : 'expression';
    case 'JsonFuncExpr':
      return node['op'] === 'JSON_QUERY_OP' ? 'json' : 'expression';
    case 'CoalesceExpr':
      return anyJson(list(node['args']));
    case 'CaseExpr':
      return anyJson([
        node['defresult'],
        ...list(node['args']).map((when) => unwrap(when, 'CaseWhen')?.['result']),
      ]);
    case 'A_Expr': {
      if (node['kind'] === 'AEXPR_NULLIF') return anyJson([node['lexpr']]);
      const name = stringNode(list(node['name']).at(-1));
      if (node['kind'] !== 'AEXPR_OP' || !JSON_OPERATORS.has(name)) return 'expression';
      return anyJson(name === '||' ? [node['lexpr'], node['rexpr']] : [node['lexpr']]);
    }
    case 'SubLink': {
      const [target, ...others] = list(unwrap(node['subselect'], 'SelectStmt')?.['targetList']);
      if (node['subLinkType'] !== 'EXPR_SUBLINK' || others.length > 0) return 'expression';
      return anyJson([unwrap(target, 'ResTarget')?.['val']]);
    }
    default:
      return 'expression';
  }
}

function isJsonType(type: Tree): boolean {
  const name = stringNode(list(type['names']).at(-1));
  return (name === 'json' || name === 'jsonb') && list(type['arrayBounds']).length === 0;
}

function readsAsJson(constant: string): boolean {
  if (!/^[ \t\r\n]*[[{]/.test(constant)) return false;
  try {
    JSON.parse(constant);
    return true;
  } catch {
    return false;
  }
}
