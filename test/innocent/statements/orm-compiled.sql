-- Everyday work of the ORMs of Java, Kotlin, .NET, Go, Rust and Elixir.

--@ source Hibernate
--@ role write
select nextval('customer_seq')

--@ parameters ["h@example.org", "H", "0", "100"]
insert into customer (email,name,version,id) values ($1,$2,$3,$4)

--@ parameters ["h@example.org", "H", "1", "1", "0"]
update customer set email=$1,name=$2,version=$3 where id=$4 and version=$5

--@ parameters ["1", "0"]
delete from purchase where id=$1 and version=$2

--@ parameters ["1"]
select c1_0.id,c1_0.email,c1_0.name,c1_0.version from customer c1_0 where c1_0.id=$1 for no key update

--@ parameters ["1"]
select c1_0.id from customer c1_0 where c1_0.id=$1 for update nowait

--@ parameters ["1"]
select p1_0.customer_id,p1_0.id,p1_0.amount from purchase p1_0 where p1_0.customer_id=$1

--@ parameters ["{1,2}"]
select c1_0.id,c1_0.name from customer c1_0 where c1_0.id = any ($1::bigint[])

--@ parameters ["x"]
update customer c1_0 set active=false where c1_0.name=$1

--@ parameters ["x"]
delete from purchase p1_0 where exists(select 1 from customer c1_0 where c1_0.id=p1_0.customer_id and c1_0.name=$1)

--@ parameters ["5"]
delete from purchase p1_0 where (p1_0.id) in (select p2_0.id from purchase p2_0 where p2_0.amount<$1)

select customer0_.id as id1_0_ from customer customer0_ where customer0_.name like '%one%' escape '!' limit 10

merge into customer as t using (select 1::bigint id, 'one' name) as s on (t.id=s.id) when not matched then insert (id,name,version) values (s.id,s.name,0) when matched then update set name=s.name

create local temporary table ht_customer (id bigint not null, rn_ integer not null, primary key (rn_)) on commit drop

--@ source Spring Data, MyBatis, Quartz
--@ role write
--@ parameters [null, "M", "1"]
UPDATE customer SET email = COALESCE($1, email), name = COALESCE($2, name) WHERE id = $3

SELECT * FROM customer WHERE 1=1 AND name = 'one' AND active = true

UPDATE customer SET name = 'x' WHERE 1=1 AND id = 1

DELETE FROM purchase WHERE 1 = 1 AND customer_id = 1 AND amount < 5

UPDATE jobs SET state = 'ACQUIRED' WHERE queue = 'scheduler' AND id = 1 AND state = 'WAITING'

SELECT * FROM settings WHERE key = 'TRIGGER_ACCESS' FOR UPDATE

UPDATE settings SET value = 'locked', updated_at = timezone('utc', CURRENT_TIMESTAMP) WHERE key = 'shedlock' AND updated_at <= timezone('utc', CURRENT_TIMESTAMP)

INSERT INTO settings (key, value) VALUES ('shedlock', 'locked') ON CONFLICT (key) DO UPDATE SET value = 'locked', updated_at = now() WHERE settings.updated_at <= now()

--@ source jOOQ
--@ role write
--@ parameters ["paid", "1"]
update "public"."orders" set "status" = $1 where "public"."orders"."id" = cast($2 as bigint) returning "public"."orders"."version"

--@ parameters ["20"]
delete from "public"."orders" where ("public"."orders"."id" = $1 and true)

select "public"."orders"."id" from "public"."orders" where (true and "public"."orders"."status" = 'new') for update skip locked

insert into "public"."tags" ("name") values ('j') on conflict do nothing returning "public"."tags"."id"

--@ source Exposed
--@ role write
UPDATE users SET "name"='e' WHERE users.id = 1

INSERT INTO users (email, "name") VALUES ('e@example.org', 'e') RETURNING *

DELETE FROM comments WHERE (comments.id = 5) AND (comments.author IS NOT NULL)

SELECT orders.id FROM orders WHERE (orders.status = 'new') OR (orders.total > 5) FOR UPDATE

--@ source Entity Framework
--@ role write
--@ parameters ["paid", "1"]
UPDATE "Orders" SET "Status" = $1
WHERE "Id" = $2;

--@ parameters ["1", "new", "5"]
INSERT INTO "Orders" ("CustomerId", "Status", "Total")
VALUES ($1, $2, $3)
RETURNING "Id";

--@ parameters ["1"]
DELETE FROM "Orders"
WHERE "Id" = $1
RETURNING 1;

UPDATE "Orders" AS o
SET "Status" = 'closed'
WHERE o."Status" = 'new' AND o."Total" < 5.0

DELETE FROM "Orders" AS o
WHERE o."Total" < 0.0

--@ parameters ["%x%"]
SELECT o."Id", o."Status", (
    SELECT count(*)::int
    FROM "Orders" AS o0
    WHERE o0."CustomerId" = o."CustomerId") AS "Count"
FROM "Orders" AS o
WHERE o."Status" LIKE $1 OR o."Status" IS NULL
LIMIT 10

SAVEPOINT __EFSavePoint

RELEASE SAVEPOINT __EFSavePoint

SELECT EXISTS (
    SELECT 1 FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid=c.relnamespace
    WHERE n.nspname='public' AND
          c.relname='__EFMigrationsHistory'
)

--@ source GORM
--@ role write
SELECT * FROM "users" WHERE "users"."deleted_at" IS NULL ORDER BY "users"."id" LIMIT 1

INSERT INTO "users" ("created_at","updated_at","deleted_at","email","name") VALUES ('2025-01-01 00:00:00','2025-01-01 00:00:00',NULL,'g@example.org','G') RETURNING "id"

UPDATE "users" SET "name"='G',"updated_at"='2025-01-01 00:00:00' WHERE "users"."deleted_at" IS NULL AND "id" = 1

UPDATE "users" SET "deleted_at"='2025-01-01 00:00:00' WHERE "users"."id" = 1 AND "users"."deleted_at" IS NULL

DELETE FROM "comments" WHERE "comments"."id" IN (1,2)

INSERT INTO "users" ("email","name") VALUES ('u1@example.org','G') ON CONFLICT ("email") DO UPDATE SET "updated_at"='2025-01-01 00:00:00',"name"="excluded"."name" RETURNING "id"

SELECT count(*) FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA() AND table_name = 'users' AND table_type = 'BASE TABLE'

SELECT * FROM "jobs" WHERE state = 'available' LIMIT 1 FOR UPDATE SKIP LOCKED

UPDATE "accounts" SET "balance"=balance - 5 WHERE owner = 'a' AND balance >= 5

SAVEPOINT sp0x140000

--@ source sqlc, River
--@ role write
--@ parameters ["default", "5"]
-- name: JobGetAvailable :many
WITH locked_jobs AS (
    SELECT *
    FROM jobs
    WHERE state = 'available'::text
        AND queue = $1::text
        AND run_at <= now()
    ORDER BY priority ASC, run_at ASC, id ASC
    LIMIT $2::integer
    FOR UPDATE
    SKIP LOCKED
)
UPDATE jobs
SET state = 'running'::text, locked_at = now(), attempts = jobs.attempts + 1
FROM locked_jobs
WHERE jobs.id = locked_jobs.id
RETURNING jobs.*

--@ parameters [null, "x", "1"]
-- name: UpdateUser :one
UPDATE users SET name = COALESCE($1, name), email = CASE WHEN $2::text IS NOT NULL THEN $2 ELSE email END WHERE id = $3 RETURNING *

--@ parameters ["false", "x", "1"]
UPDATE users SET name = CASE WHEN $1::boolean THEN $2::text ELSE name END WHERE id = $3

SELECT pg_notify('river_insert', '{"queue":"default"}')

NOTIFY "river_control", '{"action":"pause"}'

--@ source Diesel
--@ role write
--@ parameters ["1"]
SELECT "users"."id", "users"."name" FROM "users" WHERE ("users"."id" = $1)

--@ parameters ["D", "1"]
UPDATE "users" SET "name" = $1 WHERE ("users"."id" = $2) RETURNING "users"."id"

--@ parameters ["d@example.org"]
INSERT INTO "users" ("id", "email") VALUES (DEFAULT, $1) ON CONFLICT ("email") DO NOTHING

--@ parameters ["%spam%"]
DELETE  FROM "comments" WHERE ("comments"."body" LIKE $1)

SAVEPOINT diesel_savepoint_1

RELEASE SAVEPOINT diesel_savepoint_1

ROLLBACK TO SAVEPOINT diesel_savepoint_1

--@ source sqlx
--@ role write
SELECT current_database()

--@ parameters ["s@example.org"]
INSERT INTO users ( email ) VALUES ( $1 ) RETURNING id

--@ parameters ["{1,2}", "{a,b}"]
UPDATE users SET name = u.name FROM UNNEST($1::bigint[], $2::text[]) AS u(id, name) WHERE users.id = u.id

SAVEPOINT _sqlx_savepoint_1

--@ source SeaORM
--@ role write
--@ parameters ["S", "1"]
UPDATE "users" SET "name" = $1 WHERE "users"."id" = $2 RETURNING "id", "name"

--@ parameters ["1"]
DELETE FROM "posts" WHERE "posts"."id" = $1

--@ source Ecto
--@ role write
--@ parameters ["1"]
SELECT u0."id", u0."email", u0."name" FROM "users" AS u0 WHERE (u0."id" = $1)

--@ parameters ["E", "2025-01-01T00:00:00Z", "1"]
UPDATE "users" SET "name" = $1, "updated_at" = $2 WHERE "id" = $3

--@ parameters ["e@example.org", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]
INSERT INTO "users" ("email","created_at","updated_at") VALUES ($1,$2,$3) ON CONFLICT ("email") DO UPDATE SET "email" = EXCLUDED."email" RETURNING "id"

--@ parameters ["1"]
DELETE FROM "comments" WHERE "id" = $1

--@ parameters ["1"]
UPDATE "posts" AS p0 SET "views" = p0."views" + $1 WHERE (p0."status" = 'draft')

UPDATE "users" AS u0 SET "name" = 'x' FROM "posts" AS p1 WHERE (p1."user_id" = u0."id") AND (p1."status" = 'gone')

DELETE FROM "posts" AS p0 USING "users" AS u1 WHERE (u1."id" = p0."user_id") AND NOT (u1."deleted_at" IS NULL)

SELECT TRUE FROM "users" AS u0 WHERE (u0."email" = 'x') LIMIT 1

WITH "subset" AS MATERIALIZED (SELECT sj0."id" AS "id" FROM "jobs" AS sj0 WHERE (sj0."state" = 'available') AND (sj0."queue" = 'default') ORDER BY sj0."priority", sj0."run_at", sj0."id" LIMIT 10 FOR UPDATE SKIP LOCKED) UPDATE "jobs" AS o0 SET "state" = 'executing', "locked_at" = now(), "attempts" = o0."attempts" + 1 FROM "subset" AS f1 WHERE (o0."id" = f1."id") AND (o0."attempts" < 20) RETURNING o0."id"

UPDATE "jobs" AS o0 SET "state" = 'available' FROM (SELECT so0."id" AS "id", so0."state" AS "state" FROM "jobs" AS so0 WHERE (so0."state" IN ('scheduled','retryable')) AND (so0."run_at" <= now()) LIMIT 5000) AS s1 WHERE (o0."id" = s1."id") RETURNING o0."id"

SELECT pg_try_advisory_xact_lock(428836387984)

LISTEN "public.oban_insert"

SELECT pg_notify('public.oban_signal', payload) FROM json_array_elements_text('["x"]'::json) AS payload
