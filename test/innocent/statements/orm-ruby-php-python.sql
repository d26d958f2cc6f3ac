-- Everyday work of the ORMs of Ruby, PHP and Python.

--@ source ActiveRecord
--@ role write
SET client_min_messages TO 'warning'

--@ parameters ["1", "1"]
SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2

--@ parameters ["u1@example.org", "1"]
SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2

--@ parameters ["r@example.org", "R", "2025-01-01 00:00:00", "2025-01-01 00:00:00"]
INSERT INTO "users" ("email", "name", "created_at", "updated_at") VALUES ($1, $2, $3, $4) RETURNING "id"

--@ parameters ["R", "2025-01-01 00:00:00", "1"]
UPDATE "users" SET "name" = $1, "updated_at" = $2 WHERE "users"."id" = $3

--@ parameters ["R", "1", "2", "0"]
UPDATE "users" SET "name" = $1, "lock_version" = $2 WHERE "users"."id" = $3 AND "users"."lock_version" = $4

--@ parameters ["1"]
UPDATE "posts" SET "comments_count" = COALESCE("posts"."comments_count", 0) + 1 WHERE "posts"."id" = $1

--@ parameters ["2025-01-01 00:00:00", "1", "2", "3"]
UPDATE "users" SET "updated_at" = $1 WHERE "users"."id" IN ($2, $3, $4)

--@ parameters ["9"]
DELETE FROM "comments" WHERE "comments"."id" = $1

--@ parameters ["9"]
DELETE FROM "comments" WHERE "comments"."id" IN (SELECT "comments"."id" FROM "comments" INNER JOIN "posts" ON "posts"."id" = "comments"."post_id" WHERE "posts"."user_id" = $1)

--@ parameters ["1"]
UPDATE "posts" SET "user_id" = NULL WHERE "posts"."user_id" = $1

SELECT "posts".* FROM "posts" WHERE "posts"."deleted_at" IS NULL AND ("posts"."published" = TRUE OR "posts"."status" != 'draft') ORDER BY "posts"."id" ASC LIMIT 1000

--@ parameters ["1", "1"]
SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2 FOR UPDATE

INSERT INTO "users" ("email","name","created_at","updated_at") VALUES ('u1@example.org', 'R', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP) ON CONFLICT ("email") DO UPDATE SET updated_at=(CASE WHEN ("users"."name" IS NOT DISTINCT FROM excluded."name") THEN "users".updated_at ELSE CURRENT_TIMESTAMP END),"name"=excluded."name" RETURNING "id"

INSERT INTO "tags" ("name") VALUES ('a'), ('b'), ('c') ON CONFLICT  DO NOTHING RETURNING "id"

--@ one session
BEGIN

SAVEPOINT active_record_1

UPDATE "users" SET "updated_at" = '2025-01-01 00:00:00' WHERE "users"."id" = 1

ROLLBACK TO SAVEPOINT active_record_1

RELEASE SAVEPOINT active_record_1

COMMIT

--@ source ActiveRecord, queues and locks
--@ role write
SELECT pg_try_advisory_lock(3205473587213645825)

SELECT pg_advisory_unlock(3205473587213645825)

SELECT pg_advisory_xact_lock(1)

UPDATE "jobs" SET locked_at = '2025-01-01 00:00:00', locked_by = 'host:app pid:1' WHERE id IN (SELECT "jobs"."id" FROM "jobs" WHERE ((run_at <= '2030-01-01 00:00:00' AND (locked_at IS NULL OR locked_at < '2025-01-01 00:00:00') OR locked_by = 'host:app pid:1') AND finished_at IS NULL) ORDER BY priority ASC, run_at ASC LIMIT 1 FOR UPDATE) RETURNING *

UPDATE "jobs" SET "locked_at" = NULL, "locked_by" = NULL WHERE "jobs"."locked_by" = 'host:app pid:1'

SELECT "jobs".* FROM "jobs" WHERE "jobs"."id" IN (WITH "rows" AS MATERIALIZED (SELECT "jobs"."id", "jobs"."queue" FROM "jobs" WHERE "jobs"."finished_at" IS NULL AND ("jobs"."run_at" <= '2030-01-01 00:00:00' OR "jobs"."run_at" IS NULL) ORDER BY priority DESC NULLS LAST, "jobs"."run_at" ASC LIMIT 1000) SELECT "rows"."id" FROM "rows" WHERE pg_try_advisory_lock(('x' || substr(md5('good_jobs' || '-' || "rows"."queue"::text), 1, 16))::bit(64)::bigint) LIMIT 1) ORDER BY priority DESC NULLS LAST

DELETE FROM "jobs" WHERE "jobs"."id" IN (SELECT "jobs"."id" FROM "jobs" WHERE "jobs"."queue" = 'default' ORDER BY "jobs"."priority" ASC, "jobs"."id" ASC LIMIT 5 FOR UPDATE SKIP LOCKED)

DELETE FROM "sessions" WHERE (expire < '2025-01-01 00:00:00')

--@ source Rails fixtures and schema checks
--@ role write
SELECT "schema_migrations"."version" FROM "schema_migrations" ORDER BY "schema_migrations"."version" ASC

--@ parameters ["environment", "1"]
SELECT "ar_internal_metadata".* FROM "ar_internal_metadata" WHERE "ar_internal_metadata"."key" = $1 ORDER BY "ar_internal_metadata"."key" ASC LIMIT $2

SELECT x.typname, x.oid FROM (VALUES ('int4', 23)) AS x(typname, oid)

SELECT EXISTS(SELECT * FROM pg_proc WHERE proname = 'lower') AS available

SELECT setval('"public"."posts_id_seq"', (SELECT COALESCE(MAX("id") + (SELECT increment_by FROM pg_sequences WHERE sequencename = 'posts_id_seq'), (SELECT min_value FROM pg_sequences WHERE sequencename = 'posts_id_seq')) FROM "public"."posts"), false)

SET CONSTRAINTS ALL DEFERRED

--@ source Eloquent
--@ role write
--@ parameters ["1"]
select * from "users" where "users"."id" = $1 and "users"."deleted_at" is null limit 1

--@ parameters ["L", "2025-01-01 00:00:00", "1"]
update "users" set "name" = $1, "updated_at" = $2 where "id" = $3

--@ parameters ["2025-01-01 00:00:00", "1"]
update "users" set "deleted_at" = $1, "updated_at" = $1 where "id" = $2

--@ parameters ["l@example.org", "L"]
insert into "users" ("email", "name") values ($1, $2) returning "id"

--@ parameters ["l@example.org", "L"]
insert into "users" ("email", "name") values ($1, $2) on conflict ("email") do update set "name" = "excluded"."name"

--@ parameters ["9"]
delete from "comments" where "id" = $1

--@ parameters ["1"]
delete from "posts_tags" where "posts_tags"."post_id" = $1 and "posts_tags"."tag_id" in (1, 2)

update "posts" set "views" = "views" + 1, "updated_at" = '2025-01-01 00:00:00' where "id" = 1

update "jobs" set "locked_at" = 1::text::timestamptz, "attempts" = 1 where false

select exists(select * from "users" where "email" = 'u1@example.org') as "exists"

select * from "jobs" where "queue" = 'default' and (("locked_at" is null and "run_at" <= now()) or ("locked_at" <= now() - interval '90 seconds')) order by "id" asc limit 1 FOR UPDATE SKIP LOCKED

select count(*) as aggregate from "users" where ("name" = 'x' or "email" = 'y' and "age" is not null) and "deleted_at" is null

delete from "sessions" where "expire" <= '2025-01-01 00:00:00'

update "posts" as "p" set "status" = 'x' from "users" where "p"."user_id" = "users"."id" and "users"."email" = 'y'

update "posts" set "status" = 'x' where "ctid" in (select "posts"."ctid" from "posts" inner join "users" on "users"."id" = "posts"."user_id" where "users"."age" > 100)

--@ source Doctrine
--@ role write
SELECT NEXTVAL('hibernate_sequence')

--@ parameters ["D", "1"]
UPDATE users SET name = $1 WHERE id = $2

--@ parameters ["d@example.org"]
INSERT INTO users (id, email) VALUES (nextval('users_id_seq'), $1)

SELECT t0.id AS id_1, t0.email AS email_2 FROM users t0 WHERE t0.id = 1 FOR UPDATE

SAVEPOINT DOCTRINE_2

RELEASE SAVEPOINT DOCTRINE_1

--@ source Django
--@ role write
--@ parameters ["1"]
SELECT "auth_user"."id", "auth_user"."password", "auth_user"."username" FROM "auth_user" WHERE "auth_user"."id" = $1 LIMIT 21

SELECT 1 AS "a" FROM "auth_user" WHERE "auth_user"."username" = 'kim' LIMIT 1

SELECT (1) AS "a" FROM "shop_order" WHERE "shop_order"."status" = 'new' LIMIT 1

INSERT INTO "auth_user" ("password", "last_login", "is_superuser", "username", "first_name", "last_name", "email", "is_staff", "is_active", "date_joined") VALUES ('!', NULL, false, 'kim', '', '', '', false, true, '2025-01-01T00:00:00+00:00'::timestamptz) RETURNING "auth_user"."id"

UPDATE "auth_user" SET "last_login" = '2025-01-01T00:00:00+00:00'::timestamptz WHERE "auth_user"."id" = 1

UPDATE "shop_order" SET "status" = 'paid' WHERE "shop_order"."id" IN (1, 2, 3)

UPDATE "shop_order" SET "total" = ("shop_order"."total" + '1.00'::numeric(10, 2)) WHERE "shop_order"."id" = 1

UPDATE "shop_order" SET "status" = CASE WHEN ("shop_order"."id" = 1) THEN 'a' WHEN ("shop_order"."id" = 2) THEN 'b' ELSE NULL END::varchar(20) WHERE "shop_order"."id" IN (1, 2)

UPDATE "shop_order" SET "status" = 'x' WHERE NOT ("shop_order"."status" = 'y')

UPDATE "shop_order" SET "status" = 'x' WHERE ("shop_order"."user_id" IS NULL OR NOT ("shop_order"."status" = 'paid' AND "shop_order"."status" IS NOT NULL))

DELETE FROM "shop_order" WHERE "shop_order"."id" IN (1)

DELETE FROM "shop_order" WHERE "shop_order"."user_id" IN (SELECT U0."id" FROM "auth_user" U0 WHERE NOT U0."is_active")

DELETE FROM "django_session" WHERE "django_session"."expire_date" < '2025-01-01T00:00:00+00:00'::timestamptz

INSERT INTO "django_session" ("session_key", "session_data", "expire_date") VALUES ('k', 'd', '2025-01-01T00:00:00+00:00'::timestamptz) ON CONFLICT("session_key") DO UPDATE SET "session_data" = EXCLUDED."session_data", "expire_date" = EXCLUDED."expire_date"

SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."id" = 1 LIMIT 21 FOR UPDATE OF "shop_order"

SELECT "shop_order"."id" FROM "shop_order" INNER JOIN "auth_user" ON ("shop_order"."user_id" = "auth_user"."id") WHERE "auth_user"."username"::text LIKE 'k%' FOR NO KEY UPDATE SKIP LOCKED

SAVEPOINT "s139_x1"

SET CONSTRAINTS ALL IMMEDIATE

SET CONSTRAINTS ALL DEFERRED

INSERT INTO "shop_order" ("user_id", "status", "total", "created") SELECT * FROM UNNEST((ARRAY[NULL])::integer[], (ARRAY['new'])::varchar[], (ARRAY['1.00'])::numeric(10, 2)[], (ARRAY['2025-01-01T00:00:00+00:00'])::timestamp with time zone[]) RETURNING "shop_order"."id"

--@ source SQLAlchemy
--@ role write
--@ parameters ["1.5", "1"]
UPDATE orders SET total=$1::NUMERIC, updated_at=now() WHERE orders.id = $2::BIGINT

--@ parameters ["1", "new", "1.5", "2", "paid", "2.5"]
INSERT INTO orders (customer_id, status, total) SELECT p0::BIGINT, p1::VARCHAR, p2::NUMERIC FROM (VALUES ($1::BIGINT, $2::VARCHAR, $3::NUMERIC, 0), ($4::BIGINT, $5::VARCHAR, $6::NUMERIC, 1)) AS imp_sen(p0, p1, p2, sen_counter) ORDER BY sen_counter RETURNING orders.id, orders.id AS id__1

--@ parameters ["1", "1", "0"]
UPDATE orders SET version=$1::INTEGER WHERE orders.id = $2::BIGINT AND orders.version = $3::INTEGER

--@ parameters ["20"]
DELETE FROM orders WHERE orders.id = $1::BIGINT

--@ parameters ["new"]
DELETE FROM order_items USING orders WHERE order_items.order_id = orders.id AND orders.status = $1::VARCHAR

--@ parameters ["SKU-1", "P", "1"]
INSERT INTO products (sku, name, price) VALUES ($1::VARCHAR, $2::VARCHAR, $3::NUMERIC) ON CONFLICT ON CONSTRAINT products_sku_key DO UPDATE SET name = excluded.name, price = excluded.price WHERE products.price != excluded.price

select nextval('hibernate_sequence')

SAVEPOINT sa_savepoint_1

ROLLBACK TO SAVEPOINT sa_savepoint_1

SELECT orders.id FROM orders WHERE orders.status IN ('new') ORDER BY orders.id LIMIT 1 FOR UPDATE SKIP LOCKED

SELECT orders.id FROM orders WHERE (NULL IN (NULL) AND (1 != 1)) OR orders.id = 1

UPDATE orders SET status='x' WHERE orders.id IN (NULL) AND (1 != 1)

--@ source Peewee
--@ role write
--@ parameters ["P", "1"]
UPDATE "users" SET "name" = $1 WHERE ("users"."id" = $2)

--@ parameters ["2"]
DELETE FROM "comments" WHERE (("comments"."id" = $1) AND ("comments"."author" IS NOT NULL))

--@ source Procrastinate
--@ role write
LISTEN "procrastinate_any_queue"

UPDATE jobs SET state = 'todo' WHERE id IN (SELECT id FROM jobs WHERE state = 'doing' AND locked_at < now() - interval '1 hour' FOR UPDATE SKIP LOCKED)
