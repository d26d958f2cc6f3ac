/** Names and operators of a query that search_path decides about: queries of Holdfast's own must have none. */
import { loadModule, parse } from 'libpg-query';

interface Node {
  readonly [field: string]: unknown;
}
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

function each(value: unknown, visit: (kind: string, node: Node) => void): void {
  if (!isNode(value)) return;
  for (const [field, inner] of Object.entries(value)) {
    if (isNode(inner) && !Array.isArray(inner)) visit(field, inner);
    each(inner, visit);
  }
}
const spelled = (parts: unknown): string =>
  (Array.isArray(parts) ? parts : [])
    .map((part: { String?: { sval?: string } }) => part.String?.sval ?? '?')
    .join('.');

/** What PostgreSQL would look up in search_path when it reads a query, and how many names and operators were looked at. */
export async function lookedUp(sql: string): Promise<{ names: string[]; met: number }> {
  await loadModule();
  const tree: unknown = await parse(sql);
  const own = new Set<unknown>();
  each(tree, (kind, node) => {
    if (kind === 'CommonTableExpr') own.add(node['ctename']);
  });
  const found: string[] = [];
  let met = 0;
  each(tree, (kind, node) => {
    const name =
      kind === 'FuncCall'
        ? spelled(node['funcname'])
        : kind === 'TypeName' || kind === 'typeName'
          ? spelled(node['names'])
          : kind === 'CollateClause'
            ? spelled(node['collname'])
            : kind === 'A_Expr'
              ? `${String(node['kind'])} ${spelled(node['name'])}`
              : kind === 'RangeVar' && !own.has(node['relname'])
                ? `${String(node['schemaname'])}.${String(node['relname'])}`
                : kind === 'CaseExpr' && node['arg'] !== undefined
                  ? 'CASE x WHEN'
                  : kind === 'JoinExpr' && (node['usingClause'] !== undefined || node['isNatural'] === true)
                    ? 'JOIN … USING'
                    : null;
    if (name === null) return;
    met += 1;
    if (!/^(AEXPR_OP(_ANY|_ALL)? )?pg_catalog\./.test(name)) found.push(name);
  });
  return { names: found, met };
}
