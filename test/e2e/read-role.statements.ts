/**
 * What drivers, ORMs and dashboards say on their own, as data: a read role must be
 * able to run all of it, with the answers that the server gives. Taken from their
 * sources and from recorded sessions.
 */

export interface ReadStatement {
  readonly sql: string;
  /** Bound as text; such a statement is sent by the extended protocol alone. */
  readonly parameters?: readonly (string | null)[];
  /** Its answer holds process ids, times, or what other sessions do: only its shape is compared. */
  readonly restless?: true;
}

export const READ_SCHEMA = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE TYPE pair AS (a int, b text);
  CREATE DOMAIN positive AS int CHECK (value > 0);
  CREATE TABLE customers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    feeling mood DEFAULT 'ok',
    address pair,
    age positive,
    tags text[],
    data jsonb,
    created timestamptz DEFAULT '2024-01-01T00:00:00Z',
    full_name text GENERATED ALWAYS AS (upper(email)) STORED
  );
  CREATE TABLE orders (id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES customers ON DELETE CASCADE, total numeric(10, 2) CHECK (total >= 0));
  CREATE INDEX orders_customer ON orders (customer_id) INCLUDE (total) WHERE total > 0;
  CREATE TABLE events (at date, n int) PARTITION BY RANGE (at);
  CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
  CREATE VIEW totals AS SELECT customer_id, sum(total) AS total FROM orders GROUP BY 1;
  CREATE MATERIALIZED VIEW totals_then AS SELECT * FROM totals;
  CREATE SEQUENCE counter;
  CREATE FUNCTION greet(name text DEFAULT 'you') RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'hello ' || name $$;
  CREATE FUNCTION books(text[]) RETURNS SETOF refcursor LANGUAGE plpgsql STABLE AS $$
    DECLARE c refcursor := 'books'; BEGIN OPEN c FOR SELECT unnest($1); RETURN NEXT c; END $$;
  CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER orders_noop BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION noop();
  CREATE POLICY everybody ON customers FOR SELECT USING (true);
  COMMENT ON TABLE customers IS 'DROP TABLE customers; -- only a comment';
  INSERT INTO customers (email, address, age, tags, data)
    SELECT 'c' || n || '@example.org', (n, 'street'::text)::pair, n, ARRAY['a', 'b'], jsonb_build_object('n', n) FROM generate_series(1, 20) n;
  INSERT INTO orders (customer_id, total) SELECT n, n * 1.5 FROM generate_series(1, 20) n;
  INSERT INTO events VALUES ('2024-05-05', 1);
  REFRESH MATERIALIZED VIEW totals_then;
`;

const s = (sql: string): ReadStatement => ({ sql });
const restless = (sql: string): ReadStatement => ({ sql, restless: true });
const bound = (sql: string, ...parameters: (string | null)[]): ReadStatement => ({ sql, parameters });

export const READS: Readonly<Record<string, readonly ReadStatement[]>> = {
  asyncpg: [
    s("SELECT set_config('jit', 'off', false)"),
    s(`SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new`),
    s('SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;'),
    s('RESET ALL'),
    bound(
      `SELECT t.oid, t.typelem AS elemtype, t.typtype AS kind FROM pg_catalog.pg_type AS t
       INNER JOIN pg_catalog.pg_namespace AS ns ON (ns.oid = t.typnamespace)
       WHERE t.typname = $1 AND ns.nspname = $2`,
      'mood',
      'public',
    ),
    bound(
      `WITH RECURSIVE typeinfo_tree(oid, ns, name, kind, basetype, elemtype, elemdelim, range_subtype, attrtypoids, attrnames, depth)
AS (
    SELECT ti.oid, ti.ns, ti.name, ti.kind, ti.basetype, ti.elemtype, ti.elemdelim, ti.range_subtype, ti.attrtypoids, ti.attrnames, 0
    FROM (SELECT
            t.oid AS oid, ns.nspname AS ns, t.typname AS name, t.typtype AS kind,
            (CASE WHEN t.typtype = 'd' THEN
                (WITH RECURSIVE typebases(oid, depth) AS (
                    SELECT t2.typbasetype AS oid, 0 AS depth FROM pg_type t2 WHERE t2.oid = t.oid
                    UNION ALL
                    SELECT t2.typbasetype AS oid, tb.depth + 1 AS depth FROM pg_type t2, typebases tb
                    WHERE tb.oid = t2.oid AND t2.typbasetype != 0
                ) SELECT oid FROM typebases ORDER BY depth DESC LIMIT 1)
             ELSE NULL END) AS basetype,
            t.typelem AS elemtype, elem_t.typdelim AS elemdelim, range_t.rngsubtype AS range_subtype,
            (CASE WHEN t.typtype = 'c' THEN
                (SELECT array_agg(ia.atttypid ORDER BY ia.attnum) FROM pg_attribute ia
                 INNER JOIN pg_class c ON (ia.attrelid = c.oid)
                 WHERE ia.attnum > 0 AND NOT ia.attisdropped AND c.reltype = t.oid)
             ELSE NULL END) AS attrtypoids,
            (CASE WHEN t.typtype = 'c' THEN
                (SELECT array_agg(ia.attname::text ORDER BY ia.attnum) FROM pg_attribute ia
                 INNER JOIN pg_class c ON (ia.attrelid = c.oid)
                 WHERE ia.attnum > 0 AND NOT ia.attisdropped AND c.reltype = t.oid)
             ELSE NULL END) AS attrnames
          FROM pg_catalog.pg_type AS t
          INNER JOIN pg_catalog.pg_namespace ns ON (ns.oid = t.typnamespace)
          LEFT JOIN pg_type elem_t ON (t.typlen = -1 AND t.typelem != 0 AND t.typelem = elem_t.oid)
          LEFT JOIN pg_range range_t ON (t.oid = range_t.rngtypid)) AS ti
    WHERE ti.oid = any($1::oid[])
    UNION ALL
    SELECT ti.oid, NULL, ti.typname::text, ti.typtype, NULL, NULL, NULL, NULL, NULL, NULL, tt.depth + 1
    FROM pg_type ti, typeinfo_tree tt
    WHERE (tt.elemtype IS NOT NULL AND ti.oid = tt.elemtype) OR (tt.attrtypoids IS NOT NULL AND ti.oid = any(tt.attrtypoids))
)
SELECT DISTINCT *, basetype::regtype::text AS basetype_name, elemtype::regtype::text AS elemtype_name
FROM typeinfo_tree ORDER BY depth DESC`,
      '{25,1009,3802}',
    ),
    s('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE; COMMIT;'),
    s('BEGIN; SAVEPOINT x; RELEASE SAVEPOINT x; ROLLBACK'),
    s('LISTEN "a channel"; UNLISTEN *'),
    s('SELECT pg_catalog.pg_backend_pid() = 0'),
  ],
  Npgsql: [
    s(`SELECT version();

SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
FROM (
    -- Arrays have typtype=b - this subquery identifies them by their typreceive and converts their typtype to a
    SELECT
        typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
        elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
        CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype,
        typ.typcategory
    FROM (
        SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
            CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
            CASE
                WHEN proc.proname='array_recv' THEN typ.typelem
                WHEN typ.typtype='r' THEN rngsubtype
                WHEN typ.typtype='m' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = typ.oid)
                WHEN typ.typtype='d' THEN typ.typbasetype
            END AS elemtypoid,
            typ.typcategory
        FROM pg_type AS typ
        LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
        LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
        LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)
    ) AS typ
    LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
    LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
    LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
) AS t
JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
WHERE
    (
    typtype IN ('b', 'r', 'm', 'e', 'd') OR -- Base, range, multirange, enum, domain
    (typtype = 'c' AND relkind='c') OR -- User-defined free-standing composites (not table composites) by default
    (typtype = 'p' AND typname IN ('record', 'void', 'unknown')) OR -- Some special supported pseudo-types
    (typtype = 'a' AND (  -- Array of...
        elemtyptype IN ('b', 'r', 'm', 'e', 'd') OR
        (elemtyptype = 'p' AND elemtypname IN ('record', 'void')) OR
        (elemtyptype = 'c' AND elemrelkind='c')
    )))
    AND typname <> 'unknown'
ORDER BY CASE
       WHEN typtype IN ('b', 'e', 'p') THEN 0
       WHEN typtype = 'c' THEN 1
       WHEN typtype = 'r' THEN 2
       WHEN typtype = 'm' THEN 3
       WHEN typtype = 'd' AND elemtyptype <> 'a' THEN 4
       WHEN typtype = 'a' THEN 5
       WHEN typtype = 'd' AND elemtyptype = 'a' THEN 6
END, t.oid;

-- Load field definitions for (free-standing) composite types
SELECT typ.oid, att.attname, att.atttypid
FROM pg_type AS typ
JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace)
JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid)
WHERE
  (typ.typtype = 'c' AND cls.relkind='c') AND
  attnum > 0 AND
  NOT attisdropped
ORDER BY typ.oid, att.attnum;

-- Load enum fields
SELECT pg_type.oid, enumlabel
FROM pg_enum
JOIN pg_type ON pg_type.oid=enumtypid
ORDER BY oid, enumsortorder;`),
    s('CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP'),
    s('DISCARD ALL'),
    s('BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED; COMMIT'),
  ],
  pgjdbc: [
    s('SET extra_float_digits = 3'),
    s("SET application_name = 'PostgreSQL JDBC Driver'"),
    s('SHOW TRANSACTION ISOLATION LEVEL'),
    s('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'),
    s('BEGIN READ ONLY; COMMIT'),
    s('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ'),
    s('/* ping */ SELECT 1'),
    s(`SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME,
 CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema'
 WHEN true THEN CASE
 WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' THEN CASE c.relkind
  WHEN 'r' THEN 'SYSTEM TABLE' WHEN 'v' THEN 'SYSTEM VIEW' WHEN 'i' THEN 'SYSTEM INDEX' ELSE NULL END
 ELSE NULL END
 WHEN false THEN CASE c.relkind
 WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'i' THEN 'INDEX' WHEN 'S' THEN 'SEQUENCE'
 WHEN 'v' THEN 'VIEW' WHEN 'c' THEN 'TYPE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END
 ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS,
 '' as TYPE_CAT, '' as TYPE_SCHEM, '' as TYPE_NAME, '' AS SELF_REFERENCING_COL_NAME, '' AS REF_GENERATION
 FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c
 LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass)
 WHERE c.relnamespace = n.oid AND n.nspname LIKE 'public' ORDER BY TABLE_TYPE,TABLE_SCHEM,TABLE_NAME`),
    s(`SELECT * FROM (SELECT n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,
 a.atttypmod,a.attlen,t.typtypmod,row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum,
 nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as attgenerated,
 pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype
 FROM pg_catalog.pg_namespace n
 JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)
 JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid)
 JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)
 LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum)
 LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
 LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class')
 WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND n.nspname LIKE 'public') c
 WHERE true AND attname LIKE '%' ORDER BY nspname,c.relname,attnum`),
    s(`SELECT result.TABLE_CAT, result.TABLE_SCHEM, result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME
 FROM (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME,
  (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME,
  information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM
  FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
  JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid)
  JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)
  JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE true AND ct.relname = 'orders' AND i.indisprimary) result
 where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq`),
    s(
      `SELECT t.typname,t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON (t.typnamespace = n.oid) WHERE n.nspname != 'pg_toast' AND (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))`,
    ),
    bound(
      'SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e WHERE t.oid = $1 and t.typelem = e.oid',
      '1007',
    ),
    s(
      "select string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute,action,delete,drop}'::text[])",
    ),
  ],
  psycopg: [
    s('BEGIN; SELECT 1; ROLLBACK'),
    s("SET client_encoding TO 'UTF8'"),
    s("SET datestyle TO 'ISO'; SET TIME ZONE 'UTC'"),
    s(
      "SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore' AND ns.nspname = 'public'",
    ),
    bound(
      `SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter
FROM pg_type t WHERE t.oid = to_regtype($1) ORDER BY t.oid`,
      'mood',
    ),
    bound(
      `SELECT t.typname AS name, t.oid AS oid, t.typarray AS array_oid, t.oid::regtype::text AS regtype,
 coalesce(a.fnames, '{}') AS field_names, coalesce(a.ftypes, '{}') AS field_types
FROM pg_type t LEFT JOIN (SELECT attrelid, array_agg(attname) AS fnames, array_agg(atttypid) AS ftypes
 FROM (SELECT a.attrelid, a.attname, a.atttypid FROM pg_attribute a JOIN pg_type t ON t.typrelid = a.attrelid
  WHERE t.oid = to_regtype($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) x GROUP BY attrelid) a ON a.attrelid = t.typrelid
WHERE t.oid = to_regtype($1)`,
      'pair',
    ),
    s('DEALLOCATE ALL'),
    s('BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; COMMIT'),
    s('COPY (SELECT * FROM orders ORDER BY id) TO STDOUT (FORMAT BINARY)'),
  ],
  SQLAlchemy: [
    s('select pg_catalog.version()'),
    s('select current_schema()'),
    s('show standard_conforming_strings'),
    s('SHOW transaction_isolation'),
    s("SELECT CAST('test plain returns' AS VARCHAR(60)) AS anon_1"),
    s(`SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class
 JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
 WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != 'pg_catalog' ORDER BY 1`),
    s(`SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, pg_catalog.pg_attribute.atttypmod) AS format_type,
 (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 FROM pg_catalog.pg_attrdef
  WHERE pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum AND pg_catalog.pg_attribute.atthasdef) AS "default",
 pg_catalog.pg_attribute.attnotnull AS not_null, pg_catalog.pg_class.relname AS table_name, pg_catalog.pg_description.description AS comment,
 pg_catalog.pg_attribute.attgenerated AS generated,
 (SELECT json_build_object('always', pg_catalog.pg_attribute.attidentity = 'a', 'start', pg_catalog.pg_sequence.seqstart, 'increment', pg_catalog.pg_sequence.seqincrement,
   'minvalue', pg_catalog.pg_sequence.seqmin, 'maxvalue', pg_catalog.pg_sequence.seqmax, 'cache', pg_catalog.pg_sequence.seqcache, 'cycle', pg_catalog.pg_sequence.seqcycle) AS json_build_object_1
  FROM pg_catalog.pg_sequence WHERE pg_catalog.pg_attribute.attidentity != ''
  AND pg_catalog.pg_sequence.seqrelid = CAST(CAST(pg_catalog.pg_get_serial_sequence(CAST(CAST(pg_catalog.pg_attribute.attrelid AS REGCLASS) AS TEXT), pg_catalog.pg_attribute.attname) AS REGCLASS) AS OID)) AS identity_options
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > 0 AND NOT pg_catalog.pg_attribute.attisdropped
LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_description.objsubid = pg_catalog.pg_attribute.attnum
JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND pg_catalog.pg_class.relname IN ('customers') ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum`),
    bound(
      'SELECT pg_catalog.pg_type.typname FROM pg_catalog.pg_type WHERE pg_catalog.pg_type.typname = $1::VARCHAR AND pg_catalog.pg_type_is_visible(pg_catalog.pg_type.oid)',
      'mood',
    ),
  ],
  Django: [
    s("SELECT set_config('TimeZone', 'UTC', false)"),
    s(`SELECT c.relname,
 CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class')
 FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1`),
    s(`SELECT c.conname, array(SELECT attname FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx)
   JOIN pg_attribute AS ca ON cols.colid = ca.attnum WHERE ca.attrelid = c.conrelid ORDER BY cols.arridx), c.contype,
 (SELECT fkc.relname || '.' || fka.attname FROM pg_attribute AS fka JOIN pg_class AS fkc ON fka.attrelid = fkc.oid
  WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]), cl.reloptions
FROM pg_constraint AS c JOIN pg_class AS cl ON c.conrelid = cl.oid WHERE cl.relname = 'orders' AND pg_catalog.pg_table_is_visible(cl.oid) ORDER BY 1`),
    s(`BEGIN; DECLARE "_django_curs_139_sync_1" NO SCROLL CURSOR FOR SELECT "orders"."id" FROM "orders" ORDER BY 1;
 FETCH FORWARD 5 FROM "_django_curs_139_sync_1"; CLOSE "_django_curs_139_sync_1"; COMMIT`),
    s(
      'DECLARE "_django_curs_2" NO SCROLL CURSOR WITH HOLD FOR SELECT "orders"."id" FROM "orders" ORDER BY 1',
    ),
    s('FETCH FORWARD 3 FROM "_django_curs_2"'),
    s('CLOSE "_django_curs_2"'),
    s(
      'SELECT "customers"."email" FROM "customers" WHERE UPPER("customers"."email"::text) LIKE UPPER(\'C1%\') ORDER BY "customers"."id" ASC LIMIT 21',
    ),
  ],
  ActiveRecord: [
    s(';'),
    s(''),
    s('-- nothing'),
    s("SET client_min_messages TO 'warning'"),
    s('SET standard_conforming_strings = on'),
    s("SET SESSION timezone TO 'UTC'"),
    s('SET intervalstyle = iso_8601'),
    s("SET SESSION statement_timeout TO '30s'"),
    s('SHOW max_identifier_length'),
    s('SHOW search_path'),
    s(
      "SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid WHERE t.typname IN ('int2', 'int4', 'mood')",
    ),
    s(`SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
 c.collname, col_description(a.attrelid, a.attnum) AS comment, attidentity AS identity, attgenerated as attgenerated
 FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
 LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"customers"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`),
    s(
      'SELECT a.attname FROM (SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx FROM pg_index WHERE indrelid = \'"orders"\'::regclass AND indisprimary) i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.idx] ORDER BY i.idx',
    ),
    s(
      "SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'orders' AND c.relkind IN ('r','v','m','p','f')",
    ),
    s('BEGIN; SAVEPOINT active_record_1; ROLLBACK TO SAVEPOINT active_record_1; ROLLBACK'),
    s('EXPLAIN SELECT "customers".* FROM "customers"'),
    s('EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF, COSTS OFF) SELECT count(*) FROM orders'),
    s('EXPLAIN DELETE FROM orders'),
  ],
  Sequelize: [
    s(
      "SET standard_conforming_strings=on;SET client_min_messages TO warning;SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE",
    ),
    s('SHOW SERVER_VERSION'),
    s(
      "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type LIKE '%TABLE' AND table_name != 'spatial_ref_sys' ORDER BY 1;",
    ),
    s(`SELECT i.relname AS name, ix.indisprimary AS primary, ix.indisunique AS unique, ix.indkey AS indkey, array_agg(a.attnum) as column_indexes, array_agg(a.attname) AS column_names, pg_get_indexdef(ix.indexrelid) AS definition
 FROM pg_class t, pg_class i, pg_index ix, pg_attribute a WHERE t.oid = ix.indrelid AND i.oid = ix.indexrelid AND a.attrelid = t.oid AND t.relkind = 'r' and t.relname = 'orders' GROUP BY i.relname, ix.indexrelid, ix.indisprimary, ix.indisunique, ix.indkey ORDER BY i.relname;`),
    s(`WITH ranges AS (SELECT pg_range.rngtypid, pg_type.typname AS rngtypname, pg_type.typarray AS rngtyparray, pg_range.rngsubtype FROM pg_range LEFT OUTER JOIN pg_type ON pg_type.oid = pg_range.rngtypid)
SELECT pg_type.typname, pg_type.typtype, pg_type.oid, pg_type.typarray, ranges.rngtypname, ranges.rngtypid, ranges.rngtyparray
 FROM pg_type LEFT OUTER JOIN ranges ON pg_type.oid = ranges.rngsubtype WHERE (pg_type.typtype IN('b', 'e'));`),
  ],
  Prisma: [
    bound(
      `SELECT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = $1), version(), current_setting('server_version_num')::integer as numeric_version`,
      'public',
    ),
    bound(
      `SELECT tbl.relname AS table_name, namespace.nspname as namespace, (tbl.relhassubclass and tbl.relkind = 'p') as is_partition,
 (tbl.relhassubclass and tbl.relkind = 'r') as has_subclass, tbl.relrowsecurity as has_row_level_security, reloptions, obj_description(tbl.oid, 'pg_class') as description
 FROM pg_class AS tbl INNER JOIN pg_namespace AS namespace ON namespace.oid = tbl.relnamespace
 WHERE ((tbl.relkind = 'r' AND relispartition = 'f') OR tbl.relkind = 'p') AND namespace.nspname = ANY ( $1 ) ORDER BY namespace, table_name`,
      '{public}',
    ),
    bound(
      `SELECT oid.namespace, info.table_name, info.column_name, format_type(att.atttypid, att.atttypmod) as formatted_type, info.numeric_precision, info.is_nullable,
 pg_get_expr(attdef.adbin, attdef.adrelid) AS column_default, info.is_identity, info.character_maximum_length, col_description(att.attrelid, ordinal_position) AS description
FROM information_schema.columns info
JOIN pg_attribute att ON att.attname = info.column_name
JOIN (SELECT pg_class.oid, relname, pg_namespace.nspname as namespace FROM pg_class JOIN pg_namespace on pg_namespace.oid = pg_class.relnamespace AND pg_namespace.nspname = ANY ( $1 ) WHERE reltype > 0) as oid
 on oid.oid = att.attrelid AND relname = info.table_name AND namespace = info.table_schema
LEFT JOIN pg_attrdef attdef ON attdef.adrelid = att.attrelid AND attdef.adnum = att.attnum AND table_schema = namespace
WHERE table_schema = ANY ( $1 ) ORDER BY namespace, table_name, ordinal_position`,
      '{public}',
    ),
    bound(
      `SELECT t.typname as name, e.enumlabel as value, n.nspname as namespace FROM pg_type t JOIN pg_enum e ON t.oid = e.enumtypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY ( $1 ) ORDER BY e.enumsortorder`,
      '{public}',
    ),
    bound(
      `SELECT sequencename AS sequence_name, schemaname AS namespace, start_value, min_value, max_value, increment_by, cycle, cache_size FROM pg_sequences WHERE schemaname = ANY ( $1 ) ORDER BY 1`,
      '{public}',
    ),
    bound('SELECT "public"."orders"."id" FROM "public"."orders" WHERE 1=1 LIMIT $1 OFFSET $2', '3', '0'),
  ],
  Metabase: [
    s("SET SESSION TIMEZONE TO 'UTC'"),
    s(`with table_privileges as (
 select NULL as role, t.schemaname as schema, t.objectname as table,
  pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'update') as update,
  pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'select') as select,
  pg_catalog.has_table_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'delete') as delete
 from (select schemaname, tablename as objectname from pg_catalog.pg_tables union select schemaname, viewname as objectname from pg_views
   union select schemaname, matviewname as objectname from pg_matviews) t
 where t.schemaname !~ '^pg_' and t.schemaname <> 'information_schema' and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'usage'))
select t.* from table_privileges t order by 2, 3`),
    s(
      `SELECT DATE_TRUNC('month', "public"."customers"."created") AS "created", SUM("public"."orders"."total") AS "sum" FROM "public"."customers" JOIN "public"."orders" ON "public"."orders"."customer_id" = "public"."customers"."id" GROUP BY 1 ORDER BY 1`,
    ),
    s('SELECT TRUE AS "_" FROM "public"."customers" WHERE 1 <> 1 LIMIT 0'),
  ],
  pgAdmin: [
    restless(
      "SET DateStyle=ISO; SET client_min_messages=notice; SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='UTF8';",
    ),
    s(
      "SELECT db.oid as did, db.datname, db.datallowconn, pg_encoding_to_char(db.encoding) AS serverencoding, has_database_privilege(db.oid, 'CREATE') as cancreate, datistemplate FROM pg_catalog.pg_database db WHERE db.datname = current_database()",
    ),
    s(
      'SELECT roles.oid as id, roles.rolname as name, roles.rolsuper as is_superuser, CASE WHEN roles.rolsuper THEN true ELSE roles.rolcreaterole END as can_create_role FROM pg_catalog.pg_roles as roles WHERE rolname = current_user',
    ),
    restless(
      'SELECT gss_authenticated, encrypted FROM pg_catalog.pg_stat_gssapi WHERE pid = pg_backend_pid()',
    ),
    restless(
      `SELECT pid, datname, usename, application_name, client_addr, pg_catalog.to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') AS backend_start, state, wait_event_type || ': ' || wait_event AS wait_event, array_to_string(pg_catalog.pg_blocking_pids(pid), ', ') AS blocking_pids, query FROM pg_catalog.pg_stat_activity WHERE datname = (SELECT datname FROM pg_catalog.pg_database WHERE datname = current_database()) ORDER BY pid`,
    ),
    restless(
      `SELECT 'session_stats' AS chart_name, pg_catalog.row_to_json(t) AS chart_data FROM (SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity) AS "Total") t UNION ALL SELECT 'tps_stats', pg_catalog.row_to_json(t) FROM (SELECT (SELECT sum(xact_commit) FROM pg_catalog.pg_stat_database) AS "Commits") t`,
    ),
    s(
      'SELECT CASE WHEN usesuper THEN pg_catalog.pg_is_in_recovery() ELSE FALSE END as inrecovery, CASE WHEN usesuper AND pg_catalog.pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE FALSE END as isreplaypaused FROM pg_catalog.pg_user WHERE usename=current_user',
    ),
    s(
      "SELECT rel.oid, rel.relname AS name, (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid=rel.oid AND tgisinternal = FALSE) AS triggercount, pg_catalog.pg_get_partkeydef(rel.oid), (SELECT count(1) FROM pg_catalog.pg_inherits WHERE inhrelid=rel.oid LIMIT 1) as is_inherits FROM pg_catalog.pg_class rel WHERE rel.relkind IN ('r','s','t','p') AND rel.relnamespace = 'public'::regnamespace ORDER BY rel.relname",
    ),
    s(
      "SELECT pg_catalog.pg_get_viewdef('totals'::regclass, true), pg_catalog.pg_get_functiondef('greet'::regproc), pg_catalog.pg_get_constraintdef(c.oid, true), pg_catalog.pg_get_triggerdef(t.oid) FROM pg_constraint c, pg_trigger t WHERE c.conname = 'orders_pkey' AND t.tgname = 'orders_noop'",
    ),
    restless(
      "SELECT pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size('orders')), pg_catalog.pg_relation_size('orders'), pg_stat_get_live_tuples('orders'::regclass), pg_stat_get_numscans('orders'::regclass)",
    ),
    restless(
      'SELECT locktype, relation::regclass, mode, granted FROM pg_catalog.pg_locks WHERE pid = pg_backend_pid()',
    ),
  ],
  DBeaver: [
    s('SELECT current_schema(),session_user = current_user'),
    s(
      "SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass WHERE n.nspname = 'public'",
    ),
    s("select * from pg_catalog.pg_settings where name='standard_conforming_strings'"),
    s(
      "SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr,  pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass WHERE c.relnamespace='public'::regnamespace AND c.relkind not in ('i','I','c') ORDER BY c.oid",
    ),
    s(
      "SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum) LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid WHERE NOT a.attisdropped AND c.relname = 'customers' ORDER BY a.attnum",
    ),
    restless(
      "select c.oid,pg_catalog.pg_total_relation_size(c.oid) as total_rel_size,pg_catalog.pg_relation_size(c.oid) as rel_size FROM pg_class c WHERE c.relnamespace='public'::regnamespace ORDER BY 1",
    ),
    s(
      "SELECT p.oid,p.*, pg_catalog.pg_get_expr(p.proargdefaults, 0) as arg_defaults FROM pg_catalog.pg_proc p WHERE p.pronamespace='public'::regnamespace ORDER BY p.proname",
    ),
    s('SELECT x.oid,x.* FROM pg_catalog.pg_event_trigger x'),
    s(
      "SELECT oid, setting, short_desc FROM pg_settings, pg_type WHERE pg_settings.name = 'max_index_keys' AND typname = 'int4'",
    ),
  ],
  DataGrip: [
    restless(
      "select round(extract(epoch from pg_catalog.pg_postmaster_start_time() at time zone 'UTC')) as startup_time, version()",
    ),
    restless(
      'select case when pg_catalog.pg_is_in_recovery() then null else (pg_catalog.txid_current() % (2^32)::bigint)::bigint end as current_txid',
    ),
    restless(
      'select L.transactionid::varchar::bigint as transaction_id from pg_catalog.pg_locks L where L.transactionid is not null order by pg_catalog.age(L.transactionid) desc limit 1',
    ),
    s(
      "select T.oid as object_id, T.relname as object_name, pg_catalog.pg_get_userbyid(T.relowner) as owner, T.relacl, xmin = xmin as same from pg_catalog.pg_class T where relnamespace = 'public'::regnamespace order by 2",
    ),
    restless('select pg_catalog.pg_current_xact_id_if_assigned(), pg_catalog.pg_current_snapshot()'),
  ],
  Grafana: [
    s(
      "SELECT quote_ident(table_name) FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY CASE WHEN quote_ident(table_schema) = 'public' THEN 0 ELSE 1 END, 1",
    ),
    s(
      'SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns WHERE table_name = \'orders\' ORDER BY 1',
    ),
    s(
      'SELECT floor(extract(epoch from created)/60)*60 AS "time", avg(age) AS "value" FROM customers WHERE created BETWEEN \'2023-12-31T00:00:00Z\' AND \'2024-02-01T00:00:00Z\' GROUP BY 1 ORDER BY 1',
    ),
    s('SHOW server_version'),
    s("SELECT current_setting('server_version_num')::int/100 as version"),
    s("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"),
    restless('SELECT datname, xact_commit, blks_hit FROM pg_stat_database'),
    restless(
      'SELECT pg_database_size(current_database()), pg_is_in_recovery(), pg_current_wal_lsn() IS NOT NULL, pg_last_xact_replay_timestamp(), pg_conf_load_time()',
    ),
    restless(
      'SELECT * FROM pg_stat_replication; SELECT * FROM pg_stat_bgwriter; SELECT * FROM pg_stat_user_tables; SELECT * FROM pg_statio_user_indexes; SELECT * FROM pg_stat_archiver; SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) FROM pg_replication_slots',
    ),
    restless(
      'SELECT * FROM pg_stat_progress_vacuum; SELECT * FROM pg_stat_io; SELECT * FROM pg_stat_wal; SELECT * FROM pg_stat_slru; SELECT * FROM pg_stat_ssl WHERE pid = pg_backend_pid(); SELECT * FROM pg_prepared_xacts; SELECT * FROM pg_cursors; SELECT * FROM pg_prepared_statements',
    ),
  ],
  pg_dump: [
    s("SELECT pg_catalog.set_config('search_path', '', false)"),
    s(
      "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'",
    ),
    s(
      'SET DATESTYLE = ISO; SET INTERVALSTYLE = POSTGRES; SET extra_float_digits TO 3; SET synchronize_seqscans TO off',
    ),
    s(
      'SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET transaction_timeout = 0',
    ),
    s('SET row_security = off'),
    s('SET quote_all_identifiers = true'),
    s(
      'BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; LOCK TABLE public.orders IN ACCESS SHARE MODE; COPY public.orders (id, customer_id, total) TO stdout; COMMIT',
    ),
    restless('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_catalog.pg_export_snapshot(); COMMIT'),
    s('SELECT last_value, is_called FROM public.counter'),
    s(
      "SELECT sequence_name.seqtypid::regtype, pg_get_sequence_data('public.counter'::regclass) FROM pg_sequence sequence_name WHERE seqrelid = 'public.counter'::regclass",
    ),
    s(
      "PREPARE dumpFunc(pg_catalog.oid) AS SELECT proretset, prosrc, probin, provolatile, proisstrict, prosecdef, lanname, pg_catalog.pg_get_function_sqlbody(p.oid) FROM pg_catalog.pg_proc p, pg_catalog.pg_language l WHERE p.oid = $1 AND l.oid = p.prolang; EXECUTE dumpFunc('public.greet'::regproc)",
    ),
    s('RESET ALL'),
  ],
  'names and strings that only look like writes': [
    s('SELECT id AS delete, total AS "update", customer_id insert FROM orders ORDER BY 1 LIMIT 2'),
    s('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders'),
    s(
      "SELECT 'DROP TABLE customers; DELETE FROM orders' AS \"TRUNCATE\", $$; COMMIT; $$, E'\\'; DROP TABLE x --'",
    ),
    s('SELECT /* DELETE FROM orders; */ 1 -- DROP TABLE orders'),
    s('SELECT mode() WITHIN GROUP (ORDER BY id) FROM orders'),
    s("SELECT '\\' || ';DROP TABLE t;--'"),
    s('TABLE orders'),
    s('VALUES (1), (2)'),
    s('WITH "delete" AS (SELECT 1 AS n), "update" AS (SELECT n + 1 FROM "delete") TABLE "update"'),
    s("SELECT * FROM (VALUES (1, 'x')) AS truncate(id, drop)"),
    s("SELECT greet('nextval'), greet(), currval('counter') IS NULL FROM orders WHERE false"),
    s(
      "SELECT data -> 'n', data @> '{\"n\": 1}', tags[1], (address).a, age + 1, feeling FROM customers ORDER BY id",
    ),
    s(
      'SELECT * FROM totals; SELECT * FROM totals_then ORDER BY 1; SELECT * FROM events; SELECT last_value, is_called FROM counter',
    ),
    s('COPY orders TO STDOUT'),
    s('COPY (SELECT * FROM orders ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)'),
    s(
      'BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; LOCK TABLE customers, orders IN ACCESS SHARE MODE; COMMIT',
    ),
    s('PREPARE q (int) AS SELECT $1 + 1; EXECUTE q (1); DEALLOCATE q'),
    s("BEGIN; SELECT books(ARRAY['one', 'two']); FETCH ALL FROM books; COMMIT"),
    s('SET search_path = pg_catalog; SELECT count(*) FROM public.orders; RESET search_path'),
    s('SELECT lo_get(0) FROM orders WHERE false'),
    s('SELECT random() < 2, clock_timestamp() > now(), gen_random_uuid() IS NOT NULL, uuidv7() IS NOT NULL'),
    s("SELECT * FROM json_table('[{\"a\": 1}]', '$[*]' COLUMNS (a int PATH '$.a')) j"),
    s("SELECT xmlelement(name drop, xmlattributes('a' AS b)), json_object('delete': 1)"),
    s(
      'SELECT * FROM orders TABLESAMPLE system (100) REPEATABLE (1) ORDER BY id FETCH FIRST 2 ROWS WITH TIES',
    ),
    s(
      "SELECT pg_typeof(1), pg_column_size(1), pg_size_pretty(1::bigint), pg_input_is_valid('x', 'int'), pg_describe_object('pg_class'::regclass, 0, 0) IS NULL",
    ),
    s(
      "SELECT has_table_privilege('orders', 'INSERT'), to_regclass('orders'), obj_description('customers'::regclass)",
    ),
  ],
};
