/**
 * What the server is asked to learn the rows that a TRUNCATE removes:
 *
 *   which tables → lock them → which tables, once more → read all of their rows → the TRUNCATE
 *
 * A query that is open on a table keeps the server from emptying it, and afterwards the
 * old file is gone; so, other than of rows that are changed (questions.ts), all of them
 * are read before. The lock is the one that TRUNCATE takes itself, and it is taken
 * first: nobody can add a row between the reading and the emptying.
 *
 * Law: as in questions.ts, names and operators are pg_catalog's. Rather a table too many
 * is read than one too few; which were emptied is looked at behind the TRUNCATE.
 */
import { arrayText, literal, relation } from './quoting.js';
import type { UndoTable } from './document.js';
import { columnsOf, is } from './questions.js';
import type { Query } from './questions.js';

/** A TRUNCATE, as far as it says which tables it empties. */
export interface Emptying {
  /** As they stand in it; without a schema it is the session's search_path that decides. */
  readonly targets: readonly { readonly schema: string | null; readonly name: string }[];
  readonly cascade: boolean;
}

type Named = Pick<UndoTable, 'schema' | 'name'>;

/** Its transaction sees what others have committed until a statement begins, and so all that a lock has waited for. Only as its very first statement. */
export const LATEST_STATE: Query = { sql: "SET transaction_isolation = 'read committed'", parameters: [] };

/**
 * The tables that a TRUNCATE empties, schema and name, each once: those that it names, what inherits from them, and with
 * CASCADE what references any of these by a foreign key. A name without a schema means what it means to the session.
 */
export function emptiedTables({ targets, cascade }: Emptying): Query {
  return {
    sql: `WITH RECURSIVE e(oid) AS (
  SELECT pg_catalog.to_regclass(CASE WHEN w.schema IS NULL THEN '' ELSE pg_catalog.quote_ident(w.schema) ${is('||')} '.' END
    ${is('||')} pg_catalog.quote_ident(w.name))::pg_catalog.oid
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS w(schema, name)
  UNION
  SELECT more.oid FROM e CROSS JOIN LATERAL (
    SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent ${is('=')} e.oid
    UNION ALL
    SELECT k.conrelid FROM pg_catalog.pg_constraint AS k
    WHERE $3 ${is('=')} 'cascade' AND k.contype ${is('=')} 'f' AND k.confrelid ${is('=')} e.oid) AS more(oid))
SELECT n.nspname, c.relname FROM e
JOIN pg_catalog.pg_class AS c ON c.oid ${is('=')} e.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${is('=')} c.relnamespace
WHERE c.relkind ${is('<>')} 'p' AND c.relpersistence ${is('<>')} 't'
ORDER BY c.oid`,
    parameters: [
      arrayText(targets.map(({ schema }) => schema)),
      arrayText(targets.map(({ name }) => name)),
      cascade ? 'cascade' : 'restrict',
    ],
  };
}

/** Keeps everybody else away from tables until the transaction ends. Outside of a block LOCK TABLE runs only within a function (PostgreSQL documentation, "LOCK"). */
export function lockTables(tables: readonly Named[]): Query {
  const list = tables.map((table) => `ONLY ${relation(table)}`).join(', ');
  return {
    sql: `DO ${literal(`BEGIN LOCK TABLE ${list} IN ACCESS EXCLUSIVE MODE; END`)} LANGUAGE plpgsql`,
    parameters: [],
  };
}

/** All rows of a table. */
export function allRows(table: UndoTable): Query {
  return { sql: `SELECT ${columnsOf(table, 't')} FROM ONLY ${relation(table)} AS t`, parameters: [] };
}

/** For each of these tables whether it holds a row, in their order. */
export function stillHold(tables: readonly Named[]): Query {
  const answers = tables.map((table) => `EXISTS (SELECT FROM ONLY ${relation(table)})`);
  return { sql: `SELECT ${answers.join(', ')}`, parameters: [] };
}

/**
 * The sequences that belong to columns of these tables, which RESTART IDENTITY begins anew: schema, name, and the last
 * value given out. Only their owner can restart them, who may read them, too.
 */
export function ownedSequences(tables: readonly Named[]): Query {
  return {
    sql: `SELECT sn.nspname, s.relname, pg_catalog.pg_sequence_last_value(s.oid)::pg_catalog.text
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS w(schema, name)
JOIN pg_catalog.pg_namespace AS n ON n.nspname ${is('=')} w.schema::pg_catalog.name
JOIN pg_catalog.pg_class AS c ON c.relnamespace ${is('=')} n.oid AND c.relname ${is('=')} w.name::pg_catalog.name
JOIN pg_catalog.pg_depend AS d ON d.refclassid ${is('=')} 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid ${is('=')} c.oid
  AND d.classid ${is('=')} 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype ${is('=')} ANY ('{a,i}'::pg_catalog."char"[])
JOIN pg_catalog.pg_class AS s ON s.oid ${is('=')} d.objid
JOIN pg_catalog.pg_namespace AS sn ON sn.oid ${is('=')} s.relnamespace
WHERE CASE WHEN s.relkind ${is('=')} 'S' AND pg_catalog.has_sequence_privilege(s.oid, 'USAGE, SELECT')
  THEN pg_catalog.pg_sequence_last_value(s.oid) IS NOT NULL ELSE false END
ORDER BY s.oid`,
    parameters: [arrayText(tables.map(({ schema }) => schema)), arrayText(tables.map(({ name }) => name))],
  };
}
