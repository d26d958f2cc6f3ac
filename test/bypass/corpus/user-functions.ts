/**
 * Code that somebody put into the database. What is called by name, the catalog
 * shows to be volatile: Holdfast refuses it. What no name in the statement leads to
 * (UNSEEN) is left to the server's read-only mode.
 */
import { evasions } from './evasion.js';
import type { Evasion } from './evasion.js';

export const USER_SCHEMA = `
  CREATE TABLE "Mixed Case" (id int);
  CREATE TABLE hits (n int);
  CREATE TYPE boxed AS (n int);
  CREATE FUNCTION hit(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN $1; END';
  CREATE FUNCTION hit_sql(int) RETURNS int LANGUAGE sql AS 'INSERT INTO hits VALUES ($1) RETURNING n';
  CREATE FUNCTION hit_text(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (1); RETURN $1; END';
  CREATE FUNCTION hit_bool(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN true; END';
  CREATE FUNCTION hit_pair(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN $1; END';
  CREATE FUNCTION hit_rows() RETURNS SETOF int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (1); RETURN NEXT 1; END';
  CREATE FUNCTION hit_any(VARIADIC int[]) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (1); RETURN 1; END';
  CREATE FUNCTION hit_default(a int DEFAULT 1, b int DEFAULT 2) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (a); RETURN b; END';
  CREATE FUNCTION hit_account(accounts) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (1); RETURN 1; END';
  CREATE FUNCTION "Hit Me"(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN $1; END';
  CREATE FUNCTION hit_dynamic(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END';
  CREATE FUNCTION hit_atomic() RETURNS bigint BEGIN ATOMIC INSERT INTO hits VALUES (1); SELECT 1; END;
  CREATE FUNCTION unbox(boxed) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (1); RETURN 1; END';
  CREATE FUNCTION overloaded(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
  CREATE FUNCTION overloaded(text) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO hits VALUES (1); RETURN 1; END';
  CREATE FUNCTION lower(int) RETURNS text LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO hits VALUES ($1); RETURN $1; END';
  CREATE FUNCTION extra.length(text) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO public.hits VALUES (1); RETURN 1; END';
  CREATE FUNCTION extra.hit(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.hits VALUES ($1); RETURN $1; END';
  CREATE FUNCTION lift() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT set_config('default_transaction_read_only', 'off', false) $$;
  CREATE FUNCTION lift_now() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT set_config('transaction_read_only', 'off', false) $$;
  CREATE FUNCTION lift_by_clause() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET default_transaction_read_only = off
    AS 'BEGIN INSERT INTO hits VALUES (1); RETURN 1; END';
  CREATE FUNCTION lexer() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', false) $$;
  CREATE FUNCTION innocent(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN hit($1); END';
  CREATE FUNCTION steady(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN hit($1); END';
  CREATE PROCEDURE hit_procedure() LANGUAGE plpgsql AS 'BEGIN INSERT INTO hits VALUES (1); COMMIT; END';
  CREATE FUNCTION hit_both(int, int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.hits VALUES ($1); RETURN true; END';
  CREATE OPERATOR |+| (LEFTARG = int, RIGHTARG = int, FUNCTION = hit_pair);
  CREATE OPERATOR !!! (RIGHTARG = int, FUNCTION = hit);
  CREATE OPERATOR extra.= (LEFTARG = int, RIGHTARG = int, FUNCTION = hit_both);
  CREATE CAST (boxed AS int) WITH FUNCTION unbox(boxed) AS IMPLICIT;
  CREATE DOMAIN counted AS int CHECK (hit_bool(value));
  CREATE DOMAIN counted_again AS counted;
  CREATE TYPE holder AS (c counted);
  CREATE VIEW v_audit AS SELECT what FROM audit_log;
  CREATE VIEW v_audit_again AS SELECT * FROM v_audit;
  CREATE TABLE base (what text);
  CREATE TABLE audit_child () INHERITS (base);
  INSERT INTO audit_child VALUES ('start');
  CREATE VIEW hitting AS SELECT hit(1);
  CREATE VIEW hitting_again AS SELECT * FROM hitting;
  CREATE VIEW hitting_below AS SELECT 1 AS a WHERE EXISTS (SELECT hit_rows());
  CREATE VIEW operating AS SELECT 1 |+| 2 AS a;
  CREATE AGGREGATE hit_sum (int) (SFUNC = hit_pair, STYPE = int, INITCOND = '0');
  CREATE AGGREGATE hit_last (int) (SFUNC = int4larger, STYPE = int, FINALFUNC = hit);
`;

export const USER_FUNCTIONS: readonly Evasion[] = [
  ...evasions('user-defined functions', [
    ['plpgsql', 'SELECT hit(1)'],
    ['sql', 'SELECT hit_sql(1)'],
    ['BEGIN ATOMIC', 'SELECT hit_atomic()'],
    ['with a schema', 'SELECT public.hit(1)'],
    ['in another schema', 'SELECT extra.hit(1)'],
    ['in another schema by search_path', 'SELECT hit(1)', 'SET search_path = extra'],
    ['quoted', 'SELECT "Hit Me"(1)'],
    ['quoted in unicode', 'SELECT U&"Hit\\0020Me"(1)'],
    ['in capitals', 'SELECT HIT(1)'],
    ['in FROM', 'SELECT * FROM hit(1)'],
    ['a set', 'SELECT * FROM hit_rows()'],
    ['a set in the select list', 'SELECT hit_rows()'],
    ['ROWS FROM', 'SELECT * FROM ROWS FROM (hit_rows(), generate_series(1, 2)) x'],
    ['LATERAL', 'SELECT * FROM accounts, LATERAL hit(id) h'],
    ['VARIADIC', 'SELECT hit_any(VARIADIC ARRAY[1, 2])'],
    ['VARIADIC by parts', 'SELECT hit_any(1, 2, 3)'],
    ['defaults', 'SELECT hit_default()'],
    ['named arguments', 'SELECT hit_default(b => 1)'],
    ['in WHERE', 'SELECT 1 FROM accounts WHERE hit_bool(id)'],
    ['in HAVING', 'SELECT count(*) FROM accounts HAVING hit_bool(1)'],
    ['in ORDER BY', 'SELECT 1 FROM accounts ORDER BY hit(id)'],
    ['in LIMIT', 'SELECT 1 LIMIT hit(1)'],
    ['in a CTE', 'WITH w AS (SELECT hit(1)) TABLE w'],
    ['in a sub-select', 'SELECT (SELECT max(hit(id)) FROM accounts)'],
    ['in VALUES', 'VALUES (hit(1))'],
    ['in CASE', 'SELECT CASE WHEN true THEN hit(1) END'],
    ['in COPY', 'COPY (SELECT hit(1)) TO STDOUT'],
    ['in a cursor', 'DECLARE c CURSOR WITH HOLD FOR SELECT hit(1)'],
    ['in PREPARE', 'PREPARE h AS SELECT hit(1)'],
    ['in EXECUTE', 'EXECUTE q(hit(1))', 'PREPARE q (int) AS SELECT $1'],
    ['in EXPLAIN ANALYZE', 'EXPLAIN ANALYZE SELECT hit(1)'],
    ['in a window', 'SELECT sum(hit(id)) OVER () FROM accounts'],
    ['as the argument of a builtin', "SELECT upper(hit_text('x'))"],
    ['dynamic SQL', "SELECT hit_dynamic('DELETE FROM orders')"],
    ['behind a read', 'SELECT 1; SELECT hit(1)'],
    ['field selection of a table', 'SELECT a.hit_account FROM accounts a'],
    ['field selection of a table, in parentheses', 'SELECT (a).hit_account FROM accounts a'],
    ['a table’s row', 'SELECT hit_account(a) FROM accounts a'],
    ['a table’s row, the star', 'SELECT hit_account(a.*) FROM accounts a'],
    ['field selection of an expression', 'SELECT (1).hit'],
    ['field selection of a composite', 'SELECT (ROW(1)::boxed).unbox'],
    ['field selection of an alias', 'SELECT x.hit FROM generate_series(1, 2) x'],
    ['overloaded, the volatile one', "SELECT overloaded('x'::text)"],
    ['overloaded, by a string without a type', "SELECT overloaded('x')"],
    ['a shadow of a builtin', 'SELECT lower(1)'],
    ['a shadow of a builtin, with its schema', 'SELECT public.lower(1)'],
    ['a shadow of a builtin by search_path', "SELECT length('x')", 'SET search_path = extra, pg_catalog'],
    ['SECURITY DEFINER that lifts the read-only mode', 'SELECT lift()'],
    ['… of the transaction', 'SELECT lift_now()'],
    ['… by its own SET clause', 'SELECT lift_by_clause()'],
    ['… and a write behind it', 'SELECT lift(); COMMIT; SELECT hit(9)'],
    ['that changes the lexer', 'SELECT lexer()'],
    ['a view', 'SELECT * FROM hitting'],
    ['a view, TABLE', 'TABLE hitting'],
    ['a view of a view', 'SELECT * FROM hitting_again'],
    ['a view that hides it in a condition', 'SELECT * FROM hitting_below'],
    ['a view with an operator', 'SELECT * FROM operating'],
    ['a view in COPY', 'COPY (TABLE hitting) TO STDOUT'],
    ['an aggregate with a volatile transition function', 'SELECT hit_sum(n) FROM generate_series(1, 3) n'],
    ['an aggregate with a volatile final function', 'SELECT hit_last(n) FROM generate_series(1, 3) n'],
    ['an aggregate as a window', 'SELECT hit_sum(n) OVER () FROM generate_series(1, 3) n'],
    ['a procedure', 'CALL hit_procedure()'],
  ]),
];

/** Each writes when nobody stops it; no function of somebody's own, or only a harmless one, is named in the text. */
export const UNSEEN: readonly Evasion[] = evasions('code that no name leads to', [
  ['an operator', 'SELECT 1 |+| 2'],
  ['an operator with its schema', 'SELECT 1 OPERATOR(public.|+|) 2'],
  ['a prefix operator', 'SELECT !!! 1'],
  ['an operator by ANY', 'SELECT 1 OPERATOR(extra.=) ANY (ARRAY[1, 2])'],
  ['an operator by IN', 'SELECT 1 IN (2, 3)', 'SET search_path = extra, public, pg_catalog'],
  ['an operator by CASE', 'SELECT CASE 1 WHEN 2 THEN 3 END', 'SET search_path = extra, public, pg_catalog'],
  ['an operator by NULLIF', 'SELECT nullif(1, 2)', 'SET search_path = extra, public, pg_catalog'],
  [
    'an operator by IS DISTINCT FROM',
    'SELECT 1 IS DISTINCT FROM 2',
    'SET search_path = extra, public, pg_catalog',
  ],
  [
    'an operator by USING',
    'SELECT 1 FROM (SELECT 1 AS id) a JOIN (SELECT 1 AS id) b USING (id)',
    'SET search_path = extra, public, pg_catalog',
  ],
  ['a cast', 'SELECT ROW(1)::boxed::int'],
  ['a cast by CAST', 'SELECT CAST(ROW(1)::boxed AS int)'],
  ['an implicit cast', 'SELECT abs(ROW(1)::boxed)'],
  ['a domain', 'SELECT 1::counted'],
  ['a domain over a domain', 'SELECT CAST(1 AS counted_again)'],
  ['a domain by a typed string', "SELECT counted '1'"],
  ['a domain in an array', "SELECT '{1,2}'::counted[]"],
  ['a domain in a composite', "SELECT '(1)'::holder"],
  ['a domain by a builtin: pg_input_is_valid', "SELECT pg_input_is_valid('1', 'counted')"],
  ['a domain by a builtin: json_populate_record', 'SELECT json_populate_record(NULL::holder, \'{"c": 1}\')'],
  ['a domain by a builtin: json_to_record', 'SELECT * FROM json_to_record(\'{"c": 1}\') AS x(c counted)'],
  ['a domain by JSON_VALUE', "SELECT json_value('1', '$' RETURNING counted ERROR ON ERROR)"],
  [
    'a domain by JSON_TABLE',
    "SELECT * FROM json_table('[1]', '$[*]' COLUMNS (c counted PATH '$' ERROR ON ERROR))",
  ],
  ['a domain by XMLTABLE', "SELECT * FROM xmltable('/a' PASSING xml '<a>1</a>' COLUMNS c counted PATH '.')"],
  ['a function that says it is immutable', 'SELECT innocent(1)'],
  ['… in EXPLAIN alone, where it is folded', 'EXPLAIN SELECT innocent(1)'],
  ['a function that says it is stable', 'SELECT steady(1)'],
  ['… in EXPLAIN alone, where it is estimated', 'EXPLAIN SELECT 1 FROM accounts WHERE id = steady(1)'],
]);
