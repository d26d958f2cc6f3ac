/**
 * What an evasion is: a statement that does something, spelled so that whoever looks
 * at the text might miss it. Data only; who runs them is in corpus.test.ts.
 */
export interface Evasion {
  /** The row of the table of evasions that it belongs to. */
  readonly class: string;
  /** Unique within its class. */
  readonly name: string;
  /** `$victim`, `$user` and `$database` are replaced by names of the test's own. */
  readonly sql: string;
  /** Statements sent before it in the same session, which must pass; RESET ALL and ROLLBACK follow. */
  readonly setup?: readonly string[];
}

type Row = readonly [name: string, sql: string, ...setup: string[]];

/** The evasions of one class. */
export function evasions(name: string, rows: readonly Row[]): readonly Evasion[] {
  return rows.map(([row, sql, ...setup]) => ({
    class: name,
    name: row,
    sql,
    ...(setup.length === 0 ? {} : { setup }),
  }));
}
