/**
 * What SQL there is in a body of PL/pgSQL, in the order in which the tree has it.
 *
 * Law of this file: the tree of PL/pgSQL only. It takes the pieces of SQL out and
 * says what it could not understand; what the pieces do is found out elsewhere. It
 * never throws and never recurses.
 */
import { PARSE_MODES, PL_NODES, type PlNode } from './plpgsql-nodes.js';
import { child, integer, isTree, list, text, typeOf, type Tree } from './tree.js';

/** One piece of SQL in a body. */
export interface PlQuery {
  readonly form: 'statement' | 'expression' | 'assignment';
  /** An expression whose value is run as SQL. */
  readonly dynamic: boolean;
  readonly query: string;
  /** Of the body, counted from 1; 0 where it is not known. */
  readonly line: number;
}

export type PlStep = PlQuery | { readonly form: 'commit' | 'rollback' };

export interface PlBody {
  readonly steps: readonly PlStep[];
  readonly variables: PlVariables;
  /** Variables declared with a row type: the tree does not say whether they have a default. */
  readonly records: readonly string[];
  /** What nobody has decided about; null when there is nothing. */
  readonly unknown: string | null;
}

/** Names that a statement of the body may mean instead of columns. */
export interface PlVariables {
  /** Variables of one value. */
  readonly scalars: ReadonlySet<string>;
  /** Variables that have fields, or may have. */
  readonly rows: ReadonlySet<string>;
  /** Names of blocks, by which variables are qualified. */
  readonly labels: ReadonlySet<string>;
}

/**
 * Takes the body apart.
 *
 * @param tree of one PLpgSQL_function; null when it is none
 */
export function takeApart(tree: unknown): PlBody | null {
  const root = child(tree)['PLpgSQL_function'];
  // For a body in another language the library gives a function without any action.
  if (!isTree(root) || !isTree(root['action'])) return null;
  const steps: PlStep[] = [];
  const scalars = new Set<string>();
  const rows = new Set<string>();
  const labels = new Set<string>();
  let unknown: string | null = null;

  const types: string[] = ['PLpgSQL_function'];
  const nodes: Tree[] = [root];
  const lines: number[] = [0];
  const roles: (string | undefined)[] = [undefined];

  const push = (value: unknown, key: string, spec: PlNode, line: number, owner: string): void => {
    const type = typeOf(value);
    if (type === '' || !isTree(value)) {
      if (spec.plain?.includes(key) !== true) unknown ??= `an unnamed part of ${owner}`;
      return;
    }
    types.push(type);
    nodes.push(child(value[type]));
    lines.push(line);
    roles.push(type === 'PLpgSQL_expr' ? (spec.sql?.[key] ?? 'unknown') : undefined);
  };

  for (;;) {
    const type = types.pop();
    const node = nodes.pop();
    const role = roles.pop();
    const outerLine = lines.pop() ?? 0;
    if (type === undefined || node === undefined) break;
    if (role !== undefined) {
      const form = PARSE_MODES[integer(node['parseMode'])];
      const query = node['query'];
      if (role === 'unknown' || form === undefined || typeof query !== 'string') {
        unknown ??= 'SQL in an unknown place';
      } else {
        steps.push({ form, dynamic: role === 'dynamic', query, line: outerLine });
      }
      continue;
    }
    const spec = Object.hasOwn(PL_NODES, type) ? PL_NODES[type] : undefined;
    if (spec === undefined) {
      unknown ??= type;
      continue;
    }
    const line = integer(node['lineno']) > 0 ? integer(node['lineno']) : outerLine;
    if (typeof node['label'] === 'string') labels.add(node['label']);
    if (type === 'PLpgSQL_stmt_commit') steps.push({ form: 'commit' });
    if (type === 'PLpgSQL_stmt_rollback') steps.push({ form: 'rollback' });
    if (type === 'PLpgSQL_rec') rows.add(text(node['refname']));
    if (type === 'PLpgSQL_var') {
      const typeName = text(child(child(node['datatype'])['PLpgSQL_type'])['typname']);
      (isPlainType(typeName) ? scalars : rows).add(text(node['refname']));
    }
    const keys = Object.keys(node);
    for (let index = keys.length - 1; index >= 0; index -= 1) {
      const key = keys[index] ?? '';
      const value = node[key];
      if (typeof value !== 'object' || value === null) continue;
      if (!Array.isArray(value)) push(value, key, spec, line, type);
      const entries = list(value);
      for (let entry = entries.length - 1; entry >= 0; entry -= 1)
        push(entries[entry], key, spec, line, type);
    }
  }
  // Of the datums only: the loops and INTO lists that use a record repeat it.
  const records = list(root['datums'])
    .map((datum) => child(child(datum)['PLpgSQL_rec']))
    .filter(isDeclared)
    .map((record) => text(record['refname']));
  return { steps, variables: { scalars, rows, labels }, records, unknown };
}

/** Parameters have no line; the variables that loops make for themselves have no type. */
function isDeclared(record: Tree): boolean {
  return record['lineno'] !== undefined && record['datatype'] !== undefined;
}

/** Types that have no fields, whatever the database. Of others the name does not tell. */
function isPlainType(name: string): boolean {
  return /^(?:"?(?:bool(?:ean)?|int(?:[248]|eger)?|bigint|smallint|numeric|decimal|real|float[48]?|double precision|text|varchar|character varying|char|character|name|uuid|jsonb?|bytea|date|time|timestamp|timestamptz|interval|oid|refcursor)"?)(?:\s*\(.*\)|\s+with.*|\[\])*$/i.test(
    name,
  );
}
