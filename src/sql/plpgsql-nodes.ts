/**
 * The nodes of PL/pgSQL that the analysis knows: an allow-list, and nothing else.
 *
 * Law of this file: data. A node type, a field with SQL in it or a list of unnamed
 * entries that is not here makes the body opaque. test/sql/plpgsql-nodes.test.ts holds
 * the list against the names that the parser library can print.
 */

export interface PlNode {
  /**
   * Fields with SQL in them. `dynamic`: an expression whose value is the SQL that is
   * run (EXECUTE), and which is itself computed like any other.
   */
  readonly sql?: Readonly<Record<string, 'static' | 'dynamic'>>;
  /** Lists of entries that hold names and numbers only. */
  readonly plain?: readonly string[];
}

const PLAIN: PlNode = {};

export const PL_NODES: Readonly<Record<string, PlNode>> = {
  PLpgSQL_function: PLAIN,
  // What is declared. The default of a PLpgSQL_rec is not in the tree: see plpgsql-declarations.ts.
  PLpgSQL_var: { sql: { default_val: 'static', cursor_explicit_expr: 'static' } },
  PLpgSQL_rec: PLAIN,
  PLpgSQL_recfield: PLAIN,
  PLpgSQL_row: { plain: ['fields'] },
  PLpgSQL_type: PLAIN,
  // Blocks and conditions.
  PLpgSQL_stmt_block: PLAIN,
  PLpgSQL_exception_block: PLAIN,
  PLpgSQL_exception: PLAIN,
  PLpgSQL_condition: PLAIN,
  PLpgSQL_stmt_if: { sql: { cond: 'static' } },
  PLpgSQL_if_elsif: { sql: { cond: 'static' } },
  PLpgSQL_stmt_case: { sql: { t_expr: 'static' } },
  PLpgSQL_case_when: { sql: { expr: 'static' } },
  PLpgSQL_stmt_exit: { sql: { cond: 'static' } },
  // Loops.
  PLpgSQL_stmt_loop: PLAIN,
  PLpgSQL_stmt_while: { sql: { cond: 'static' } },
  PLpgSQL_stmt_fori: { sql: { lower: 'static', upper: 'static', step: 'static' } },
  PLpgSQL_stmt_fors: { sql: { query: 'static' } },
  PLpgSQL_stmt_forc: { sql: { argquery: 'static' } },
  PLpgSQL_stmt_foreach_a: { sql: { expr: 'static' } },
  PLpgSQL_stmt_dynfors: { sql: { query: 'dynamic', params: 'static' } },
  // Statements of SQL.
  PLpgSQL_stmt_execsql: { sql: { sqlstmt: 'static' } },
  PLpgSQL_stmt_perform: { sql: { expr: 'static' } },
  PLpgSQL_stmt_call: { sql: { expr: 'static' } },
  PLpgSQL_stmt_dynexecute: { sql: { query: 'dynamic', params: 'static' } },
  PLpgSQL_stmt_commit: PLAIN,
  PLpgSQL_stmt_rollback: PLAIN,
  // Cursors.
  PLpgSQL_stmt_open: { sql: { query: 'static', argquery: 'static', dynquery: 'dynamic', params: 'static' } },
  PLpgSQL_stmt_fetch: { sql: { expr: 'static' } },
  PLpgSQL_stmt_close: PLAIN,
  // Values and results.
  PLpgSQL_stmt_assign: { sql: { expr: 'static' } },
  PLpgSQL_stmt_getdiag: PLAIN,
  PLpgSQL_diag_item: PLAIN,
  PLpgSQL_stmt_return: { sql: { expr: 'static' } },
  PLpgSQL_stmt_return_next: { sql: { expr: 'static' } },
  PLpgSQL_stmt_return_query: { sql: { query: 'static', dynquery: 'dynamic', params: 'static' } },
  PLpgSQL_stmt_raise: { sql: { params: 'static' } },
  PLpgSQL_raise_option: { sql: { expr: 'static' } },
  PLpgSQL_stmt_assert: { sql: { cond: 'static', message: 'static' } },
};

/** Names of the library that are no nodes of the tree by themselves; met there, they make the body opaque. */
export const PL_NEVER: Readonly<Record<string, string>> = {
  PLpgSQL_expr: 'stands only in the fields that PlNode.sql names',
  PLpgSQL_alias: 'ALIAS FOR is resolved while the body is parsed and leaves no node',
};

/** RawParseMode (parser.h): in which form the text of a PLpgSQL_expr is to be parsed. */
export const PARSE_MODES: Readonly<Record<number, 'statement' | 'expression' | 'assignment'>> = {
  0: 'statement',
  2: 'expression',
  // To a variable, a field of it, a field of a field.
  3: 'assignment',
  4: 'assignment',
  5: 'assignment',
};
