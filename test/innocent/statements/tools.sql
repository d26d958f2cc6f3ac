-- Dashboards, monitoring, editors and APIs that look at the catalogs and read tables.

--@ source pgAdmin
--@ role read
SELECT
    db.oid as did, db.datname, db.datallowconn,
    pg_catalog.pg_encoding_to_char(db.encoding) AS serverencoding,
    pg_catalog.has_database_privilege(db.oid, 'CREATE') as cancreate,
    datistemplate
FROM
    pg_catalog.pg_database db
WHERE db.datname = current_database()

SELECT
    roles.oid as id, roles.rolname as name,
    roles.rolsuper as is_superuser,
    CASE WHEN roles.rolsuper THEN true ELSE roles.rolcreaterole END as can_create_role,
    CASE WHEN roles.rolsuper THEN true ELSE roles.rolcreatedb END as can_create_db,
    CASE WHEN 'pg_signal_backend'=ANY(ARRAY(WITH RECURSIVE cte AS (
    SELECT pg_roles.oid,pg_roles.rolname FROM pg_roles
        WHERE pg_roles.oid = roles.oid
    UNION ALL
    SELECT m.roleid, pgr.rolname FROM cte cte_1
        JOIN pg_auth_members m ON m.member = cte_1.oid
        JOIN pg_roles pgr ON pgr.oid = m.roleid)
    SELECT rolname FROM cte)) THEN True
    ELSE False END as can_signal_backend
FROM pg_catalog.pg_roles as roles
WHERE rolname = current_user

SELECT nsp.oid, nsp.nspname as name, pg_catalog.has_schema_privilege(nsp.oid, 'CREATE') as can_create, pg_catalog.has_schema_privilege(nsp.oid, 'USAGE') as has_usage FROM pg_catalog.pg_namespace nsp WHERE nspname NOT LIKE E'pg\\_%' AND NOT ((nsp.nspname = 'pg_catalog' AND EXISTS (SELECT 1 FROM pg_catalog.pg_class WHERE relname = 'pg_class' AND relnamespace = nsp.oid LIMIT 1))) ORDER BY nspname

SELECT rel.oid, rel.relname AS name, (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid=rel.oid AND tgisinternal = FALSE) AS triggercount, (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid=rel.oid AND tgisinternal = FALSE AND tgenabled = 'O') AS has_enable_triggers FROM pg_catalog.pg_class rel WHERE rel.relkind IN ('r','s','t','p') AND rel.relnamespace = 2200::oid AND NOT rel.relispartition ORDER BY rel.relname

SELECT 'session_stats' AS chart_name, pg_catalog.row_to_json(t) AS chart_data FROM (SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = (SELECT datname FROM pg_catalog.pg_database WHERE oid = 5)) AS "Total", (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE state = 'active') AS "Active", (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE state = 'idle') AS "Idle") t
UNION ALL
SELECT 'tps_stats' AS chart_name, pg_catalog.row_to_json(t) AS chart_data FROM (SELECT (SELECT sum(xact_commit) + sum(xact_rollback) FROM pg_catalog.pg_stat_database) AS "Transactions") t

SELECT c.oid, a.attnum, a.attname AS colname FROM pg_attribute a, pg_class c WHERE a.attrelid = c.oid AND a.attrelid = 'orders'::regclass AND a.attnum = ANY ((SELECT con.conkey FROM pg_class rel LEFT OUTER JOIN pg_constraint con ON con.conrelid=rel.oid AND con.contype='p' WHERE rel.relkind IN ('r','s','t', 'p') AND rel.oid = 'orders'::regclass)::oid[])

SELECT pg_catalog.quote_ident('orders') || '(' || pg_catalog.pg_get_function_identity_arguments('greet'::regproc) || ')', pg_catalog.pg_get_functiondef('greet'::regproc)

SELECT * FROM public.orders
ORDER BY id ASC LIMIT 100

SELECT pg_catalog.array_to_string(c.relacl::text[], ', ') AS acl, obj_description(c.oid, 'pg_class') FROM pg_class c WHERE c.oid = 'orders'::regclass

SELECT CASE WHEN usesuper THEN pg_catalog.pg_is_in_recovery() ELSE FALSE END as inrecovery FROM pg_catalog.pg_user WHERE usename=current_user

SELECT locktype, database, relation::regclass, page, tuple, virtualxid, transactionid::text, classid::regclass, objid, mode, granted FROM pg_locks l LEFT OUTER JOIN pg_database d ON (l.database = d.oid) ORDER BY 1 LIMIT 5

--@ source DBeaver
--@ role read
SELECT current_schema(),session_user

SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass ORDER BY nspname

SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')

SELECT c.oid,c.*,t.relname as tabrelname,rt.relnamespace as refnamespace,d.description, case when c.contype='c' then "substring"(pg_get_constraintdef(c.oid), 7) else null end consrc_copy FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_constraint'::regclass WHERE c.conrelid='orders'::regclass ORDER BY c.oid

SELECT x.* FROM public.orders x WHERE x.status = 'paid' LIMIT 200

explain (FORMAT XML, ANALYSE, VERBOSE) select * from orders where id = 1

SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE 1=1 AND datallowconn AND NOT datistemplate OR db.datname ='postgres' ORDER BY db.datname

SELECT a.oid,a.*,pd.description FROM pg_catalog.pg_roles a left join pg_catalog.pg_shdescription pd on a.oid = pd.objoid ORDER BY a.rolname

select string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,delete,drop,truncate,update}'::text[])

SET SESSION application_name = 'DBeaver 24.1.0 - Main <shop>'

--@ source DataGrip
--@ role read
select set_config('application_name', 'DataGrip 2025.1', false)

select N.oid::bigint as id, datname as name, D.description, datistemplate as is_template, datallowconn as allow_connections, pg_catalog.pg_get_userbyid(N.datdba) as "owner" from pg_catalog.pg_database N left join pg_catalog.pg_shdescription D on N.oid = D.objoid order by case when datname = pg_catalog.current_database() then -1::bigint else N.oid::bigint end

select N.oid::bigint as id, N.xmin as state_number, nspname as name, D.description, pg_catalog.pg_get_userbyid(N.nspowner) as "owner" from pg_catalog.pg_namespace N left join pg_catalog.pg_description D on N.oid = D.objoid order by case when nspname = pg_catalog.current_schema() then -1::bigint else N.oid::bigint end

with languages as (select oid as lang_oid, lanname as lang from pg_catalog.pg_language), routines as (select proname as r_name, prolang as lang_oid, oid as r_id, xmin as r_state_number, proargnames as arg_names, proargmodes as arg_modes, proargtypes::int[] as in_arg_types, proallargtypes::int[] as all_arg_types, pg_catalog.pg_get_expr(proargdefaults, 0) as arg_defaults, provariadic as arg_variadic_id, prorettype as ret_type_id, proretset as ret_set, prokind as kind, provolatile as volatile_kind from pg_catalog.pg_proc where pronamespace = 2200::oid and not (prokind = 'a')) select * from routines natural join languages

select T.oid as table_id, T.relkind as table_kind, pg_catalog.pg_get_viewdef(T.oid, true) as source_text from pg_catalog.pg_class T where T.relnamespace = 2200::oid and T.relkind in ('m', 'v')

select t.* from public.orders t limit 501

select tgrelid as table_id, tgname, pg_catalog.pg_get_expr(tgqual, tgrelid) as action_condition, tgattr::varchar, tgdeferrable from pg_catalog.pg_trigger where not tgisinternal

--@ source Metabase
--@ role read
-- Metabase:: userID: 1 queryType: MBQL queryHash: 4e1b
SELECT "public"."orders"."id" AS "id", "public"."orders"."status" AS "status" FROM "public"."orders" WHERE ("public"."orders"."status" = 'paid') AND "public"."orders"."placed_at" >= timestamp with time zone '2025-01-01 00:00:00.000+00:00' LIMIT 2000

SELECT CAST("public"."orders"."placed_at" AS date) AS "placed_at", COUNT(*) AS "count" FROM "public"."orders" GROUP BY CAST("public"."orders"."placed_at" AS date) ORDER BY CAST("public"."orders"."placed_at" AS date) ASC

SELECT "source"."substring1" AS "substring2" FROM (SELECT SUBSTRING("public"."customers"."city", 1, 1234) AS "substring1" FROM "public"."customers") AS "source" LIMIT 10000

SELECT count(distinct "public"."orders"."status") AS "count" FROM "public"."orders"

select n.nspname as "table-schema", c.relname as "table-name", a.attname as name, case when c.relkind = 'v' then null else a.attnotnull end as required, pg_catalog.format_type(a.atttypid, a.atttypmod) as "database-type", a.attidentity <> '' or pg_get_expr(ad.adbin, ad.adrelid) like '%nextval(%' as "database-is-auto-increment" from pg_catalog.pg_class c join pg_catalog.pg_namespace n on c.relnamespace = n.oid join pg_catalog.pg_attribute a on a.attrelid = c.oid left join pg_catalog.pg_attrdef ad on a.attrelid = ad.adrelid and a.attnum = ad.adnum where n.nspname !~ '^information_schema|catalog_history|pg_' and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v', 'f', 'm', 'p')

SELECT DISTINCT nc.nspname AS "table-schema" FROM pg_namespace nc WHERE has_schema_privilege(nc.oid, 'USAGE')

--@ source Grafana
--@ role read
SELECT placed_at AS "time", total AS "value", status AS metric FROM orders WHERE placed_at BETWEEN '2025-01-01T00:00:00Z' AND '2025-12-31T00:00:00Z' ORDER BY 1

SELECT floor(extract(epoch from placed_at)/3600)*3600 AS "time", count(*) FILTER (WHERE status = 'paid') AS "paid" FROM orders WHERE placed_at >= '2025-01-01' AND 1 = 1 GROUP BY 1 ORDER BY 1

SELECT DISTINCT(status) FROM orders

SELECT
    CASE WHEN
          quote_ident(table_schema) IN (
          SELECT
            CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
          )
      THEN quote_ident(table_name)
      ELSE quote_ident(table_schema) || '.' || quote_ident(table_name)
    END AS "table"
    FROM information_schema.tables
    WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache')

--@ source Superset
--@ role read
SELECT status AS status, sum(total) AS "SUM(total)"
FROM public.orders
WHERE placed_at >= '2025-01-01 00:00:00.000000' AND placed_at < '2026-01-01 00:00:00.000000' GROUP BY status ORDER BY "SUM(total)" DESC
LIMIT 1000

SELECT DATE_TRUNC('week', placed_at) AS __timestamp, COUNT(*) AS count
FROM (SELECT * FROM orders WHERE 1 = 1) AS virtual_table GROUP BY DATE_TRUNC('week', placed_at)

SET search_path = "public"

EXPLAIN SELECT * FROM orders

SELECT * FROM public.orders LIMIT 1001

--@ source Tableau
--@ role read
BEGIN;declare "SQL_CUR0x7f2e8" cursor with hold for SELECT "orders"."status" AS "status",
  SUM("orders"."total") AS "sum:total:ok"
FROM "public"."orders" "orders"
GROUP BY 1;fetch 2048 in "SQL_CUR0x7f2e8"

SELECT CAST("orders"."status" AS TEXT) AS "status", COUNT(DISTINCT "orders"."id") AS "ctd:id:ok" FROM "public"."orders" "orders" WHERE (("orders"."placed_at" >= (TIMESTAMP '2025-01-01 00:00:00.000')) AND (CASE WHEN ("orders"."total" > 5) THEN 1 ELSE 0 END = 1)) GROUP BY 1 HAVING (COUNT(1) > 0)

--@ source Looker
--@ role read
SET SESSION statement_timeout = 120000

SELECT
    (DATE_TRUNC('month', "orders"."placed_at" )) AS "orders.placed_month",
    COUNT(DISTINCT customers."id" ) AS "customers.count",
    COALESCE(SUM(CASE WHEN ( orders."status" = 'paid' ) THEN "orders"."total" ELSE NULL END), 0) AS "orders.paid"
FROM "public"."orders" AS orders
LEFT JOIN "public"."customers" AS customers ON orders."customer_id" = customers."id"
WHERE 1=1
GROUP BY 1
ORDER BY 1 DESC
FETCH NEXT 500 ROWS ONLY

--@ source Power BI, Excel
--@ role read
select "_"."status", "_"."total" from (select "$Table"."status", "$Table"."total", 1 as "C1" from "public"."orders" "$Table") "_" where "_"."status" = 'paid' and "_"."status" is not null limit 1001

select TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE from INFORMATION_SCHEMA.tables where TABLE_SCHEMA not in ('information_schema', 'pg_catalog') order by TABLE_SCHEMA, TABLE_NAME

--@ source postgres_exporter
--@ role read
SELECT pg_database.datname, pg_database.datconnlimit FROM pg_database;

SELECT pg_database_size(current_database())

--@ error 42501
SELECT COUNT(*) AS segments, SUM(size) AS size FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'

SELECT slot_name, slot_type, CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() - '0/0' ELSE pg_current_wal_lsn() - '0/0' END AS current_wal_lsn, COALESCE(confirmed_flush_lsn, '0/0') - '0/0' AS confirmed_flush_lsn, active FROM pg_replication_slots;

SELECT
    pg_database.datname as datname,
    tmp.mode as mode,
    COALESCE(count, 0) as count
FROM
    (
      VALUES
        ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'), ('shareupdateexclusivelock'), ('sharelock'), ('sharerowexclusivelock'), ('exclusivelock'), ('accessexclusivelock'), ('sireadlock')
    ) AS tmp(mode)
    CROSS JOIN pg_database
    LEFT JOIN (
      SELECT database, lower(mode) AS mode, count(*) AS count
      FROM pg_locks
      WHERE database IS NOT NULL
      GROUP BY database, lower(mode)
    ) AS tmp2 ON tmp.mode = tmp2.mode and pg_database.oid = tmp2.database
ORDER BY 1

SELECT
    datid, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, blk_read_time, blk_write_time, stats_reset
FROM pg_stat_database;

SELECT current_database() datname, schemaname, relname, seq_scan, seq_tup_read, idx_scan, idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup, n_dead_tup, COALESCE(last_vacuum, '1970-01-01Z') as last_vacuum, vacuum_count, pg_indexes_size(relid) AS indexes_size, pg_table_size(relid) AS table_size FROM pg_stat_user_tables

SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 ELSE GREATEST (0, EXTRACT(EPOCH FROM (now() - pg_last_xact_replay_timestamp()))) END AS lag, CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END as is_replica

SELECT extract(epoch from pg_postmaster_start_time) from pg_postmaster_start_time()

SELECT name, setting, COALESCE(unit, ''), short_desc, vartype FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real') AND name != 'sync_commit_cancel_wait'

--@ error 42P01
SELECT pg_get_userbyid(userid) as user, pg_database.datname, pg_stat_statements.queryid, pg_stat_statements.calls as calls_total, pg_stat_statements.total_exec_time / 1000.0 as seconds_total FROM pg_stat_statements JOIN pg_database ON pg_database.oid = pg_stat_statements.dbid ORDER BY seconds_total DESC LIMIT 100

WITH
    metrics AS (
        SELECT application_name, SUM(EXTRACT(EPOCH FROM (CURRENT_TIMESTAMP - state_change))::bigint)::float AS process_idle_seconds_sum, COUNT(*) AS process_idle_seconds_count
        FROM pg_stat_activity WHERE state ~ '^idle' GROUP BY state, application_name
    ), buckets AS (
        SELECT application_name, le, SUM(CASE WHEN EXTRACT(EPOCH FROM (CURRENT_TIMESTAMP - state_change)) <= le THEN 1 ELSE 0 END)::bigint AS bucket
        FROM pg_stat_activity, UNNEST(ARRAY[1, 2, 5, 15, 30, 60, 90, 120, 300]) AS le GROUP BY application_name, le ORDER BY application_name, le
    )
SELECT m.application_name, process_idle_seconds_sum, array_agg(le) FROM metrics m JOIN buckets b USING (application_name) GROUP BY 1, 2

--@ source Datadog
--@ role read
SELECT pid, state, query_start, xact_start, wait_event_type, wait_event, query, backend_type, pg_blocking_pids(pid) AS blocking_pids, client_addr FROM pg_stat_activity WHERE query != '' AND pid != pg_backend_pid() AND NOT (query ~ '^autovacuum:') AND coalesce(TRIM(query), '') <> ''

SELECT relname, schemaname, pg_relation_size(relid), age(relfrozenxid) FROM pg_stat_user_tables JOIN pg_class USING (relname) WHERE relkind = 'r' LIMIT 300

SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), max(now() - xact_start) FROM pg_stat_activity WHERE state IN ('active', 'idle in transaction')

SET statement_timeout=5000

SELECT system_identifier FROM pg_control_system()

--@ error 42501
SHOW data_directory

SELECT name, setting, unit, pending_restart FROM pg_settings

--@ error 42883
SELECT * FROM pg_stat_statements(showtext:=false)

--@ error 3F000
SELECT * FROM datadog.pg_stat_activity()

--@ source pgwatch, pganalyze, check_postgres
--@ role read
select /* pgwatch_generated */ (extract(epoch from now()) * 1e9)::int8 as epoch_ns, pg_stat_get_db_numbackends(oid) as numbackends, system_identifier::text as tag_sys_id from pg_database, pg_control_system() where datname = current_database()

/* pganalyze-collector */ SELECT n.nspname, c.relname, c.relkind, c.reltuples, pg_catalog.pg_stat_get_live_tuples(c.oid), pg_catalog.pg_stat_get_dead_tuples(c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','v','m','p') AND n.nspname NOT IN ('pg_catalog','information_schema')

SELECT current_database() AS db, schemaname, tablename, ROUND(CASE WHEN otta=0 OR sml.relpages=0 OR sml.relpages=otta THEN 0.0 ELSE sml.relpages/otta::numeric END,1) AS tbloat FROM (SELECT nn.nspname AS schemaname, cc.relname AS tablename, COALESCE(cc.reltuples,0) AS reltuples, COALESCE(cc.relpages,0) AS relpages, 1 AS otta FROM pg_class cc JOIN pg_namespace nn ON cc.relnamespace = nn.oid AND nn.nspname <> 'information_schema') AS sml WHERE sml.relpages - otta > 0 ORDER BY 4 DESC LIMIT 5

SELECT s.schemaname, s.relname, s.indexrelname, pg_size_pretty(pg_relation_size(s.indexrelid)) FROM pg_stat_user_indexes s JOIN pg_index i ON s.indexrelid = i.indexrelid WHERE s.idx_scan = 0 AND 0 <> ALL (i.indkey) AND NOT i.indisunique AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.conindid = s.indexrelid)

SELECT max(age(datfrozenxid)) FROM pg_database

SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bytes, count(*) FROM pg_stat_replication

SELECT blocked.pid, blocking.pid, blocking.query FROM pg_stat_activity blocked JOIN pg_stat_activity blocking ON blocking.pid = ANY(pg_blocking_pids(blocked.pid)) WHERE cardinality(pg_blocking_pids(blocked.pid)) > 0

--@ source PostgREST
--@ role read
--@ parameters ["5", "0"]
WITH pgrst_source AS ( SELECT "public"."orders"."id", "public"."orders"."status", COALESCE( "orders_order_items_1"."orders_order_items_1", '[]') AS "items" FROM "public"."orders" LEFT JOIN LATERAL ( SELECT json_agg("orders_order_items_1")::jsonb AS "orders_order_items_1" FROM (SELECT "order_items_1"."line" FROM "public"."order_items" AS "order_items_1" WHERE "order_items_1"."order_id" = "public"."orders"."id" ) AS "orders_order_items_1" ) AS "orders_order_items_1" ON TRUE WHERE "public"."orders"."status" = 'paid' LIMIT $1 OFFSET $2 ) SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t), '[]') AS body, nullif(current_setting('response.headers', true), '') AS response_headers, nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted FROM ( SELECT * FROM pgrst_source ) _postgrest_t

--@ parameters ["\"public\"", "{\"sub\":\"1\"}", "GET", "/orders"]
select set_config('search_path', $1, true), set_config('request.jwt.claims', $2, true), set_config('request.method', $3, true), set_config('request.path', $4, true)

SELECT current_setting('server_version_num')::integer, current_setting('server_version'), version()

BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY

LISTEN "pgrst"

WITH base_types AS (WITH RECURSIVE recurse AS (SELECT oid, typbasetype, typnamespace AS base_namespace, COALESCE(NULLIF(typbasetype, 0), oid) AS base_type FROM pg_type UNION SELECT t.oid, b.typbasetype, b.typnamespace AS base_namespace, COALESCE(NULLIF(b.typbasetype, 0), b.oid) AS base_type FROM recurse t JOIN pg_type b ON t.typbasetype = b.oid) SELECT oid, base_namespace, base_type FROM recurse WHERE typbasetype = 0) SELECT count(*) FROM base_types

SELECT pn.nspname AS proc_schema, p.proname AS proc_name, d.description AS proc_description, p.provolatile, lower((regexp_split_to_array((regexp_split_to_array(iso_config, '='))[2], ','))[1]) AS transaction_isolation_level FROM pg_proc p JOIN pg_namespace pn ON pn.oid = p.pronamespace LEFT JOIN pg_description as d ON d.objoid = p.oid LEFT JOIN LATERAL unnest(proconfig) iso_config ON iso_config LIKE 'default_transaction_isolation%' WHERE p.prokind = 'f' AND pn.nspname = 'public'

--@ source PostgREST
--@ role write
--@ parameters ["{\"status\": \"paid\"}", "1"]
WITH pgrst_source AS (UPDATE "public"."orders" SET "status" = "pgrst_body"."status" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT "status" FROM json_to_record(pgrst_payload.json_data) AS _("status" text) ) pgrst_body WHERE "public"."orders"."id" = $2 RETURNING 1) SELECT '' AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, array[]::text[] AS header, ''::text AS body, nullif(current_setting('response.headers', true), '') AS response_headers FROM (SELECT * FROM pgrst_source) _postgrest_t

--@ parameters ["[{\"name\": \"p\"}]"]
WITH pgrst_source AS (INSERT INTO "public"."tags"("name") SELECT "pgrst_body"."name" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT CASE WHEN json_typeof(pgrst_payload.json_data) = 'array' THEN pgrst_payload.json_data ELSE json_build_array(pgrst_payload.json_data) END AS val) pgrst_uniform_json, LATERAL (SELECT "name" FROM json_to_recordset(pgrst_uniform_json.val) AS _("name" text)) pgrst_body ON CONFLICT("name") DO UPDATE SET "name" = EXCLUDED."name" RETURNING "public"."tags".*) SELECT pg_catalog.count(_postgrest_t) AS page_total FROM (SELECT * FROM pgrst_source) _postgrest_t

WITH pgrst_source AS (DELETE FROM "public"."comments" WHERE "public"."comments"."id" = 3 RETURNING 1) SELECT pg_catalog.count(_postgrest_t) AS page_total FROM (SELECT * FROM pgrst_source) _postgrest_t

--@ source Hasura
--@ role read
SELECT coalesce(json_agg("root" ), '[]' ) AS "root" FROM (SELECT row_to_json((SELECT "_e" FROM (SELECT "_root.base"."id" AS "id", "_root.or.customer"."customer" AS "customer" ) AS "_e" ) ) AS "root" FROM (SELECT * FROM "public"."orders" WHERE (("public"."orders"."status") = (('paid')::text)) LIMIT 10 ) AS "_root.base" LEFT OUTER JOIN LATERAL (SELECT row_to_json((SELECT "_e" FROM (SELECT "_root.or.customer.base"."name" AS "name" ) AS "_e" ) ) AS "customer" FROM (SELECT * FROM "public"."customers" WHERE (("_root.base"."customer_id") = ("id")) LIMIT 1 ) AS "_root.or.customer.base" ) AS "_root.or.customer" ON ('true') ) AS "_root"

SELECT "schema".nspname AS table_schema, "table".relname AS table_name, coalesce(columns.info, '[]') AS columns FROM pg_class "table" JOIN pg_namespace "schema" ON "schema".oid = "table".relnamespace LEFT JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object('name', "column".attname, 'type', coalesce(base_type.typname, "type".typname), 'is_nullable', NOT "column".attnotnull)) AS info FROM pg_attribute "column" LEFT JOIN pg_type "type" ON "type".oid = "column".atttypid LEFT JOIN pg_type base_type ON "type".typtype = 'd' AND base_type.oid = "type".typbasetype WHERE "column".attrelid = "table".oid AND "column".attnum > 0 AND NOT "column".attisdropped) columns ON true WHERE "table".relkind IN ('r', 't', 'v', 'm', 'f', 'p') AND "schema".nspname NOT LIKE 'pg_%'

SELECT "__subs"."result_id" , "__fld_resp"."root" AS "result" FROM UNNEST('{1}'::int[], '{"{}"}'::json[]) AS "__subs"("result_id", "result_vars") LEFT OUTER JOIN LATERAL (SELECT json_build_object('n', count(*)) AS "root" FROM orders) AS "__fld_resp" ON ('true')

--@ source Hasura
--@ role write
WITH "orders__mutation_result_alias" AS (UPDATE "public"."orders" SET "status" = 'paid' WHERE ((("public"."orders"."id") = (('1')::bigint)) AND ('true')) RETURNING * , ('true')::boolean AS "check__constraint"), "orders__all_columns_alias" AS (SELECT "id" , "status" FROM "orders__mutation_result_alias") SELECT json_build_object('affected_rows', (SELECT COUNT(*) FROM "orders__all_columns_alias" ) )

WITH "tags__mutation_result_alias" AS (INSERT INTO "public"."tags" ( "name" ) VALUES (('h')::text) ON CONFLICT ON CONSTRAINT "tags_name_key" DO NOTHING RETURNING * , ('true')::boolean AS "check__constraint") SELECT json_build_object('affected_rows', (SELECT COUNT(*) FROM "tags__mutation_result_alias"))

SET LOCAL "hasura.user" = '{"x-hasura-role":"admin"}'

--@ source Supabase Studio
--@ role read
with records as (select c.oid::int8 as "id", nc.nspname as "schema", c.relname as "name", c.relrowsecurity as "rls_enabled", pg_size_pretty(pg_total_relation_size(format('%I.%I', nc.nspname, c.relname))) as "size" from pg_namespace nc join pg_class c on nc.oid = c.relnamespace where c.relkind in ('r', 'p') and not pg_is_other_temp_schema(nc.oid) and (pg_has_role(c.relowner, 'USAGE') or has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') or has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))) select coalesce(jsonb_agg(jsonb_build_object('name', "name")), '[]'::jsonb) from records

explain with _base_query as (select * from public.orders order by orders.id asc nulls last limit 100 offset 0) select id, case when octet_length(status::text) > 10240 then left(status::text, 10240) || '...' else status::text end from _base_query

SELECT name FROM pg_timezone_names

with tables as (SELECT c.oid :: int8 AS id, nc.nspname AS schema, c.relname AS name FROM pg_namespace nc JOIN pg_class c ON nc.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')) select *, COALESCE((SELECT array_agg(row_to_json(p)) FROM pg_policies p WHERE p.tablename = tables.name), '{}') AS policies from tables where schema IN ('public')

SELECT i.schemaname, i.indexname, i.indexdef FROM pg_indexes i WHERE i.tablename = 'orders'

--@ source Debezium, Airbyte, Fivetran
--@ role read
SELECT xmin, xmin::text::bigint, * FROM "public"."orders" WHERE xmin::text::bigint > 0 ORDER BY xmin::text::bigint LIMIT 10

SELECT (case pg_is_in_recovery() when 't' then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end) AS pg_current_wal_lsn

SELECT count(1) AS ct, MAX("id") FROM "public"."orders"

SELECT ctid::text, * FROM "public"."orders" WHERE ctid > '(0,0)'::tid AND ctid <= '(1000,0)'::tid

select txid_snapshot_xmin(txid_current_snapshot())

SELECT * FROM pg_publication WHERE pubname = 'dbz_publication'

--@ source dbt
--@ role read
/* {"app": "dbt", "node_id": "model.shop.orders"} */
select * from (
        select status, count(*) from "public"."orders" group by 1
    ) as __dbt_sbq
    where false
    limit 0

select 'shop' as database, tablename as name, schemaname as schema, 'table' as type from pg_tables where schemaname ilike 'public' union all select 'shop' as database, viewname as name, schemaname as schema, 'view' as type from pg_views where schemaname ilike 'public'

select distinct nspname from pg_namespace
