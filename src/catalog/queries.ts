/**
 * The query that a snapshot is read with: one SELECT that any user may run, on
 * PostgreSQL 14 and later.
 *
 * Law of this file: the query runs in a client's session, and its answer is used for
 * the sessions of others. So nothing that a user may set or create must change what
 * it says, least of all search_path:
 *  - tables, functions and types are named with pg_catalog, operators as
 *    OPERATOR(pg_catalog.…);
 *  - nothing is written that PostgreSQL looks an operator up for by its bare name:
 *    IN, BETWEEN, LIKE, IS DISTINCT FROM, CASE x WHEN, NULLIF, JOIN … USING.
 *    (AND, OR, NOT, IS NULL, COALESCE, CASE WHEN are no operators; GROUP BY and
 *    ORDER BY take a type's own default operators, whatever search_path says.)
 * It changes nothing, and locks nothing but the catalogs against their own removal
 * (AccessShare). It has to be run outside of a transaction of the client's: inside,
 * it would see what the client has not committed.
 */

const EQ = 'OPERATOR(pg_catalog.=)';
const NE = 'OPERATOR(pg_catalog.<>)';
const GE = 'OPERATOR(pg_catalog.>=)';
const LT = 'OPERATOR(pg_catalog.<)';
const OR = 'pg_catalog.bool_or';

/** An oid as a JSON number. */
const oid = (column: string): string => `${column}::pg_catalog.int8`;
/** A system catalog's own oid, as pg_depend names catalogs. */
const catalog = (name: string): string => `'pg_catalog.${name}'::pg_catalog.regclass`;
/** One row of the answer: its kind, and a JSON array. */
const row = (kind: RowKind, ...values: readonly string[]): string =>
  `'${kind}'::pg_catalog.text, pg_catalog.json_build_array(${values.join(', ')})::pg_catalog.text`;

/** The first column of each row of the answer. */
export type RowKind =
  | 'database'
  | 'schema'
  | 'relation'
  | 'child'
  | 'reads'
  | 'calls'
  | 'foreign_key'
  | 'function'
  | 'own'
  | 'types';

/**
 * The first oid that a database's own objects have (FirstNormalObjectId of access/transam.h):
 * what stands in pg_catalog with a higher one was put there by an extension or a superuser.
 */
const FIRST_OWN_OID = 16384;

/** Schemas of PostgreSQL's own, of which a snapshot has the names alone. */
const OWN_SCHEMAS = `'{pg_catalog,information_schema}'::pg_catalog.name[]`;
/** pg_class.relkind of what can hold or show rows. */
const WITH_ROWS = `'{r,p,v,m,f,S}'::pg_catalog."char"[]`;

/**
 * One simple Query. Its rows have two text columns: the kind, and a JSON array that
 * decode.ts knows the meaning of. They come in no order.
 *
 * Columns of a relation come as their names, in the order of pg_attribute.attnum
 * with null for one that was dropped, and a string with one letter for each:
 * `.` nothing special, `n` NOT NULL, `j` json, `b` both.
 */
export const CATALOG_QUERY = `
WITH RECURSIVE
schemas AS MATERIALIZED (
  SELECT n.oid, n.nspname
  FROM pg_catalog.pg_namespace n
  WHERE n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[])
    AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_')
    AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_toast_temp_')
),
relations AS MATERIALIZED (
  SELECT c.oid, s.nspname, c.relname, c.relkind, c.reltuples
  FROM pg_catalog.pg_class c
  JOIN schemas s ON s.oid ${EQ} c.relnamespace
  WHERE c.relkind ${EQ} ANY (${WITH_ROWS})
),
-- What a domain is over, through domains over domains.
domain_steps (oid, base, not_null) AS (
  SELECT t.oid, t.typbasetype, t.typnotnull
  FROM pg_catalog.pg_type t
  WHERE t.typtype ${EQ} 'd'
  UNION ALL
  SELECT d.oid, t.typbasetype, t.typnotnull
  FROM domain_steps d
  JOIN pg_catalog.pg_type t ON t.oid ${EQ} d.base AND t.typtype ${EQ} 'd'
),
json_types (oid) AS (
  VALUES ('pg_catalog.json'::pg_catalog.regtype::pg_catalog.oid),
         ('pg_catalog.jsonb'::pg_catalog.regtype::pg_catalog.oid)
),
types AS (
  SELECT d.oid, ${OR}(j.oid IS NOT NULL) AS json, ${OR}(d.not_null) AS not_null
  FROM domain_steps d
  LEFT JOIN json_types j ON j.oid ${EQ} d.base
  GROUP BY d.oid
  UNION ALL
  SELECT j.oid, true, false
  FROM json_types j
),
-- NOT NULL … NOT VALID (PostgreSQL 18): declared, and yet there may be nulls.
unproven AS (
  SELECT k.conrelid, k.conkey[1] AS attnum
  FROM pg_catalog.pg_constraint k
  WHERE k.contype ${EQ} 'n' AND NOT k.convalidated
),
columns AS (
  SELECT a.attrelid,
    pg_catalog.array_agg(CASE WHEN NOT a.attisdropped THEN a.attname END ORDER BY a.attnum) AS names,
    pg_catalog.string_agg(
      CASE
        WHEN (a.attnotnull AND u.attnum IS NULL) OR t.not_null THEN CASE WHEN t.json THEN 'b' ELSE 'n' END
        WHEN t.json THEN 'j'
        ELSE '.'
      END, '' ORDER BY a.attnum) AS traits
  FROM pg_catalog.pg_attribute a
  JOIN relations c ON c.oid ${EQ} a.attrelid AND c.relkind ${NE} 'S'
  LEFT JOIN types t ON t.oid ${EQ} a.atttypid
  LEFT JOIN unproven u ON u.conrelid ${EQ} a.attrelid AND u.attnum ${EQ} a.attnum
  WHERE a.attnum OPERATOR(pg_catalog.>) 0
  GROUP BY a.attrelid
),
functions AS MATERIALIZED (
  SELECT p.oid, n.nspname, p.proname, p.prokind, p.provolatile, p.prolang,
    p.pronargs, p.pronargdefaults, p.provariadic, p.proallargtypes
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid ${EQ} p.pronamespace
  LEFT JOIN schemas s ON s.oid ${EQ} n.oid
  WHERE s.oid IS NOT NULL
    OR (p.oid ${GE} ${FIRST_OWN_OID} AND n.nspname ${EQ} ANY (${OWN_SCHEMAS}))
),
-- An aggregate has no volatility of its own: the worst of the functions that it is made of.
aggregates AS (
  SELECT f.oid, g.aggkind, g.aggnumdirectargs,
    pg_catalog.max(p.provolatile::pg_catalog.text COLLATE pg_catalog."C") AS volatility
  FROM functions f
  JOIN pg_catalog.pg_aggregate g ON g.aggfnoid::pg_catalog.oid ${EQ} f.oid
  JOIN pg_catalog.pg_proc p ON p.oid ${EQ} ANY (ARRAY[
    g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn,
    g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn]::pg_catalog.oid[])
  GROUP BY f.oid, g.aggkind, g.aggnumdirectargs
),
rules AS MATERIALIZED (
  SELECT r.oid, r.ev_class, r.ev_type ${EQ} '1' AS is_query
  FROM pg_catalog.pg_rewrite r
  JOIN relations c ON c.oid ${EQ} r.ev_class
),
-- What rules and row security policies call: functions, and those behind operators.
calls AS (
  SELECT r.ev_class AS relation, r.is_query, d.refclassid, d.refobjid
  FROM rules r
  JOIN pg_catalog.pg_depend d ON d.classid ${EQ} ${catalog('pg_rewrite')} AND d.objid ${EQ} r.oid
  UNION ALL
  SELECT p.polrelid, true, d.refclassid, d.refobjid
  FROM pg_catalog.pg_policy p
  JOIN relations c ON c.oid ${EQ} p.polrelid
  JOIN pg_catalog.pg_depend d ON d.classid ${EQ} ${catalog('pg_policy')} AND d.objid ${EQ} p.oid
),
called AS (
  SELECT c.relation, c.is_query, c.refobjid AS function
  FROM calls c
  WHERE c.refclassid ${EQ} ${catalog('pg_proc')}
  UNION ALL
  SELECT c.relation, c.is_query, o.oprcode::pg_catalog.oid
  FROM calls c
  JOIN pg_catalog.pg_operator o ON o.oid ${EQ} c.refobjid
  WHERE c.refclassid ${EQ} ${catalog('pg_operator')}
)
SELECT ${row('database', 'pg_catalog.current_database()', "pg_catalog.current_setting('server_version_num')::pg_catalog.int4")}
UNION ALL
SELECT ${row('schema', 's.nspname')}
FROM schemas s
UNION ALL
SELECT ${row('relation', oid('c.oid'), 'c.nspname', 'c.relname', 'c.relkind', 'c.reltuples::pg_catalog.int8', 'a.names', 'a.traits')}
FROM relations c
LEFT JOIN columns a ON a.attrelid ${EQ} c.oid
UNION ALL
SELECT ${row('child', oid('i.inhparent'), oid('i.inhrelid'))}
FROM pg_catalog.pg_inherits i
JOIN relations p ON p.oid ${EQ} i.inhparent
JOIN relations c ON c.oid ${EQ} i.inhrelid
UNION ALL
SELECT ${row('reads', oid('r.ev_class'), oid('c.oid'), `${OR}(r.is_query)`)}
FROM rules r
JOIN pg_catalog.pg_depend d ON d.classid ${EQ} ${catalog('pg_rewrite')} AND d.objid ${EQ} r.oid
JOIN relations c ON d.refclassid ${EQ} ${catalog('pg_class')} AND c.oid ${EQ} d.refobjid
WHERE c.oid ${NE} r.ev_class
GROUP BY r.ev_class, c.oid
UNION ALL
SELECT ${row('calls', oid('c.relation'), oid('f.oid'), `${OR}(c.is_query)`)}
FROM called c
JOIN functions f ON f.oid ${EQ} c.function
GROUP BY c.relation, f.oid
UNION ALL
SELECT ${row(
  'foreign_key',
  oid('k.oid'),
  oid('k.conrelid'),
  oid('k.confrelid'),
  'k.conname',
  'k.confdeltype',
  'k.confupdtype',
  'k.conkey',
  'k.confkey',
  oid('k.conparentid'),
)}
FROM pg_catalog.pg_constraint k
JOIN relations c ON c.oid ${EQ} k.conrelid
JOIN relations r ON r.oid ${EQ} k.confrelid
WHERE k.contype ${EQ} 'f'
UNION ALL
SELECT ${row(
  'function',
  oid('f.oid'),
  'f.nspname',
  'f.proname',
  'f.prokind',
  'COALESCE(g.volatility, f.provolatile::pg_catalog.text)',
  'l.lanname',
  // CALL counts OUT arguments, all of proallargtypes; a function's call does not.
  `CASE WHEN f.prokind ${EQ} 'p' THEN COALESCE(pg_catalog.cardinality(f.proallargtypes), f.pronargs) ELSE f.pronargs END`,
  'f.pronargdefaults',
  `f.provariadic ${NE} 0`,
  // Of f(direct) WITHIN GROUP (ORDER BY …), the direct ones stand between the parentheses; null of anything else.
  `CASE WHEN g.aggkind ${NE} 'n' THEN g.aggnumdirectargs END`,
  'e.extname',
)}
FROM functions f
LEFT JOIN pg_catalog.pg_language l ON l.oid ${EQ} f.prolang
LEFT JOIN aggregates g ON g.oid ${EQ} f.oid
LEFT JOIN pg_catalog.pg_depend d ON d.classid ${EQ} ${catalog('pg_proc')} AND d.objid ${EQ} f.oid AND d.deptype ${EQ} 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid ${EQ} d.refobjid AND d.refclassid ${EQ} ${catalog('pg_extension')}
UNION ALL
-- What PostgreSQL has itself, by name, once for each function that has it.
SELECT ${row(
  'own',
  'n.nspname',
  `ARRAY(SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.pronamespace ${EQ} n.oid AND p.oid ${LT} ${FIRST_OWN_OID})`,
  `ARRAY(SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace ${EQ} n.oid AND c.relkind ${EQ} ANY (${WITH_ROWS}))`,
)}
FROM pg_catalog.pg_namespace n
WHERE n.nspname ${EQ} ANY (${OWN_SCHEMAS})
UNION ALL
-- Types that can be cast to in the shape of a call, so neither those of rows nor arrays.
SELECT ${row('types', 'n.nspname', 'pg_catalog.array_agg(t.typname)')}
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid ${EQ} t.typnamespace
LEFT JOIN schemas s ON s.oid ${EQ} n.oid
WHERE t.typrelid ${EQ} 0 AND t.typcategory ${NE} 'A'
  AND (s.oid IS NOT NULL OR n.nspname ${EQ} ANY (${OWN_SCHEMAS}))
GROUP BY n.nspname
`.trim();
