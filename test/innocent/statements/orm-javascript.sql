-- Everyday work of JavaScript's ORMs: reading, writing, transactions and queues.

--@ source Prisma
--@ role write
--@ parameters ["1", "1", "0"]
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."role"::text FROM "public"."User" WHERE ("public"."User"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3

--@ parameters ["0"]
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE 1=1 ORDER BY "public"."User"."id" ASC OFFSET $1

--@ parameters ["a@example.org", "A", "2025-01-01T00:00:00Z"]
INSERT INTO "public"."User" ("email","name","updatedAt") VALUES ($1,$2,$3) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name"

--@ parameters ["A", "ADMIN", "2025-01-01T00:00:00Z", "1"]
UPDATE "public"."User" SET "name" = $1, "role" = CAST($2::text AS "public"."Role"), "updatedAt" = $3 WHERE ("public"."User"."id" = $4 AND 1=1) RETURNING "public"."User"."id", "public"."User"."role"::text

--@ parameters ["1", "1"]
UPDATE "public"."User" SET "profileViews" = ("public"."User"."profileViews" + $1) WHERE ("public"."User"."id" = $2 AND 1=1) RETURNING "public"."User"."id", "public"."User"."profileViews"

--@ parameters ["u1@example.org", "A", "2025-01-01T00:00:00Z", "B", "u1@example.org"]
INSERT INTO "public"."User" ("email","name","updatedAt") VALUES ($1,$2,$3) ON CONFLICT ("email") DO UPDATE SET "name" = $4 WHERE ("public"."User"."email" = $5 AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name"

--@ parameters ["10"]
DELETE FROM "public"."Post" WHERE ("public"."Post"."id" = $1 AND 1=1) RETURNING "public"."Post"."id", "public"."Post"."title"

--@ parameters ["8", "9"]
DELETE FROM "public"."Post" WHERE ("public"."Post"."id" IN ($1,$2) AND 1=1)

--@ parameters ["draft"]
DELETE FROM "public"."Post" WHERE "public"."Post"."title" = $1

--@ parameters ["true", "1", "Post"]
UPDATE "public"."Post" SET "published" = $1 WHERE ("public"."Post"."authorId" = $2 AND "public"."Post"."title"::text LIKE ($3 || '%'))

--@ parameters ["1", "2"]
UPDATE "public"."Post" SET "authorId" = $1 WHERE ("public"."Post"."id" = $2 AND ("public"."Post"."authorId" IS NULL OR "public"."Post"."authorId" <> 3))

--@ parameters ["1", "2", "3", "4"]
INSERT INTO "public"."_CategoryToPost" ("A","B") VALUES ($1,$2), ($3,$4) ON CONFLICT DO NOTHING

--@ parameters ["1", "2"]
DELETE FROM "public"."_CategoryToPost" WHERE (("public"."_CategoryToPost"."B" = ($1)) AND ("public"."_CategoryToPost"."A") IN ($2))

--@ parameters ["1"]
SELECT "public"."User"."id" FROM "public"."User" WHERE "public"."User"."id" = $1 FOR UPDATE

--@ parameters ["true", "10", "0"]
SELECT "t0"."id", "t0"."title", "aggr_selection_0__count"."_count$posts" FROM "public"."Post" AS "t0" LEFT JOIN (SELECT "public"."Post"."authorId", COUNT(*) AS "_count$posts" FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId") AS "aggr_selection_0__count" ON ("t0"."authorId" = "aggr_selection_0__count"."authorId") WHERE "t0"."published" = $1 LIMIT $2 OFFSET $3

--@ parameters ["1"]
SELECT "t0"."id", "User_posts"."__prisma_data__" AS "posts" FROM "public"."User" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t2"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t1"."id", 'title', "t1"."title") AS "__prisma_data__" FROM (SELECT "t0"."id", "t0"."title" FROM "public"."Post" AS "t0" WHERE "t0"."authorId" = "t0"."id" /* root select */) AS "t1" /* inner select */) AS "t2" /* middle select */) AS "t3" /* outer select */) AS "User_posts" ON true WHERE "t0"."id" = $1

SELECT COUNT(*) FROM (SELECT "public"."User"."id" FROM "public"."User" WHERE 1=1 OFFSET 0) AS "sub"

SET TRANSACTION ISOLATION LEVEL SERIALIZABLE

SELECT COUNT(*) AS "_count$_all", "public"."Post"."authorId" FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId" HAVING COUNT("public"."Post"."id") > 1

SELECT pg_advisory_lock(72707369)

--@ source Sequelize
--@ role write
SELECT 1+1 AS result

START TRANSACTION; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

--@ parameters ["7", "x@example.org"]
INSERT INTO "User" ("id","email","createdAt","updatedAt") VALUES (DEFAULT,$2,now(),now()) RETURNING "id","email",$1::int;

--@ parameters ["B", "2025-01-01 00:00:00.000 +00:00", "1"]
UPDATE "User" SET "name"=$1,"updatedAt"=$2 WHERE "id" = $3

--@ parameters ["2025-01-01 00:00:00.000 +00:00", "3"]
UPDATE "User" SET "deletedAt"=$1 WHERE "deletedAt" IS NULL AND "id" = $2

UPDATE "User" SET "profileViews"="profileViews"+ 1,"updatedAt"='2025-01-01 00:00:00.000 +00:00' WHERE "id" = 3 RETURNING *

DELETE FROM "Post" WHERE "id" IN (SELECT "id" FROM "Post" WHERE "published" = false LIMIT 1)

DELETE FROM "Post" WHERE "id" = 4

SELECT "id", "email", "name" FROM "User" AS "User" WHERE ("User"."deletedAt" IS NULL AND "User"."id" = 1) FOR UPDATE;

SELECT "User"."id", "Posts"."id" AS "Posts.id" FROM (SELECT "User"."id" FROM "User" AS "User" WHERE ("User"."deletedAt" > '2025-01-01 00:00:00.000 +00:00' OR "User"."deletedAt" IS NULL) LIMIT 10) AS "User" LEFT OUTER JOIN "Post" AS "Posts" ON "User"."id" = "Posts"."authorId";

INSERT INTO "User" ("email","name") VALUES ('u1@example.org','C'),('new@example.org','D') ON CONFLICT ("email") DO UPDATE SET "name"=EXCLUDED."name","updatedAt"=EXCLUDED."updatedAt" RETURNING "id","email";

SAVEPOINT "a6c42b57-a7e5-4ce8-9b3c-sp-1";

COMMIT;

UPDATE "User" SET "name"='x' WHERE ("id" = 1 OR "email" <> 'u1@example.org') AND "deletedAt" IS NULL

--@ source Drizzle
--@ role write
--@ parameters ["1", "1"]
select "id", "name", "email" from "users" where "users"."id" = $1 limit $2

--@ parameters ["n@example.org", "N"]
insert into "users" ("id", "email", "name", "settings") values (default, $1, $2, default) returning "id"

--@ parameters ["u1@example.org", "N", "M"]
insert into "users" ("id", "email", "name") values (default, $1, $2) on conflict ("email") do update set "name" = $3 where "users"."deleted_at" is null

--@ parameters ["N", "1"]
update "users" set "name" = $1, "updated_at" = now() where "users"."id" = $2 returning "id", "name"

--@ parameters ["10"]
delete from "comments" where "comments"."id" = $1 returning "id"

--@ parameters ["1"]
select "users"."id", "users_posts"."data" as "posts" from "users" "users" left join lateral (select coalesce(json_agg(json_build_array("users_posts"."id", "users_posts"."title")), '[]'::json) as "data" from "posts" "users_posts" where "users_posts"."user_id" = "users"."id") "users_posts" on true where "users"."id" = $1

--@ parameters ["draft"]
with "recent" as (select "id" from "posts" where "status" = $1 order by "id" limit 5) update "posts" set "views" = "posts"."views" + 1 from "recent" where "posts"."id" = "recent"."id" returning "posts"."id"

select "id" from "jobs" where "jobs"."state" = 'available' order by "jobs"."run_at" limit 5 for update skip locked

savepoint sp1

rollback to savepoint sp1

--@ source Knex
--@ role write
--@ parameters ["active", "1"]
select * from "users" where "name" = $1 or "age" > $2 order by "created_at" desc limit 10

--@ parameters ["k@example.org", "K", "k2@example.org"]
insert into "users" ("email", "name") values ($1, $2), ($3, DEFAULT) returning "id"

--@ parameters ["K", "1"]
update "users" set "name" = $1 where "id" = $2 and "deleted_at" is null

--@ parameters ["1"]
update "users" set "sign_in_count" = "sign_in_count" + 1 where "id" = $1

--@ parameters ["9"]
delete from "comments" where "post_id" = $1

--@ parameters ["2025-01-01"]
delete from "sessions" where CURRENT_TIMESTAMP >= "expire" and "expire" < $1

BEGIN;

SAVEPOINT trx2;

RELEASE trx2;

insert into "tags" ("name") values ('a') on conflict ("name") do nothing

insert into "tags" ("name") values ('a') on conflict ("name") do update set "name" = excluded."name"

select * from "users" where 1 = 1 and "age" between 1 and 100 for no key update

update "knex_migrations_lock" set "is_locked" = 1 where "is_locked" = 0

--@ source Kysely
--@ role write
--@ parameters ["1", "2"]
update "accounts" set "balance" = "balance" - $1, "version" = "version" + 1 where "id" = $2 and "balance" >= $1 returning "balance"

--@ parameters ["o"]
insert into "accounts" ("owner") values ($1) returning *

select "o"."id", sum("i"."quantity" * "i"."price") as "total" from "orders" as "o" inner join "order_items" as "i" on "i"."order_id" = "o"."id" group by "o"."id" having sum("i"."quantity") > 1

--@ source TypeORM
--@ role write
SELECT * FROM current_schema()

SELECT * FROM current_database()

SELECT version();

SELECT VERSION() AS "version"

START TRANSACTION

--@ parameters ["t@example.org", "T"]
INSERT INTO "users"("email", "name", "created_at") VALUES ($1, $2, DEFAULT) RETURNING "created_at", "id"

--@ parameters ["T", "1"]
UPDATE "users" SET "name" = $1, "updated_at" = CURRENT_TIMESTAMP WHERE "id" IN ($2) RETURNING "updated_at"

--@ parameters ["1"]
UPDATE "users" SET "deleted_at" = CURRENT_TIMESTAMP, "updated_at" = CURRENT_TIMESTAMP WHERE "id" IN ($1)

--@ parameters ["1", "2", "3"]
DELETE FROM "posts_tags" WHERE ("post_id" = $1 AND "tag_id" = $2) OR ("post_id" = $1 AND "tag_id" = $3)

--@ parameters ["1"]
SELECT DISTINCT "distinctAlias"."user_id" AS "ids_user_id" FROM (SELECT "user"."id" AS "user_id", "user"."email" AS "user_email" FROM "users" "user" WHERE ( (("user"."id" = $1)) ) AND ( "user"."deleted_at" IS NULL )) "distinctAlias" ORDER BY "user_id" ASC LIMIT 1

--@ parameters ["1"]
SELECT "user"."id" AS "user_id" FROM "users" "user" WHERE "user"."id" = $1 FOR NO KEY UPDATE NOWAIT

SELECT * FROM "typeorm_metadata" WHERE "type" = 'VIEW'

DELETE FROM "typeorm_metadata" WHERE "type" = 'GENERATED_COLUMN' AND "name" = 'x' AND "table" = 'y'

--@ source Objection
--@ role write
--@ parameters ["1", "2"]
update "posts" set "views" = "views" + CAST($1 as int) where "posts"."id" = $2

--@ parameters ["1"]
select "posts".* from "posts" inner join "posts_tags" on "posts"."id" = "posts_tags"."post_id" where "posts_tags"."tag_id" in ($1)

--@ source pg-boss
--@ role write
--@ parameters ["default"]
WITH next as (
  SELECT id
  FROM jobs
  WHERE queue = $1
    AND state < 'completed'
    AND run_at < now()
  ORDER BY priority desc, run_at, id
  LIMIT 5
  FOR UPDATE SKIP LOCKED
)
UPDATE jobs j SET
  state = 'active',
  locked_at = now(),
  attempts = CASE WHEN locked_at IS NOT NULL THEN attempts + 1 ELSE attempts END
FROM next
WHERE j.id = next.id
RETURNING j.id, queue, payload, EXTRACT(epoch FROM run_at) as run_at

--@ parameters ["{1,2}"]
WITH results AS (
  UPDATE jobs
  SET finished_at = now(),
    state = 'completed'
  WHERE id IN (SELECT UNNEST($1::bigint[]))
    AND state = 'active'
  RETURNING *
)
SELECT COUNT(*) FROM results

DELETE FROM jobs WHERE finished_at < (now() - interval '7 days') OR (state = 'created' AND run_at < now() - interval '14 days')

--@ source graphile-worker
--@ role write
--@ parameters ["worker-1", "{default}"]
with j as (
  select jobs.queue, jobs.priority, jobs.run_at, jobs.id
    from jobs
    where jobs.locked_at is null
    and jobs.queue = any($2::text[])
    and run_at <= now()
    order by priority asc, run_at asc
    limit 1
    for update
    skip locked
)
  update jobs
    set
      attempts = jobs.attempts + 1,
      locked_by = $1::text,
      locked_at = now()
    from j
    where jobs.id = j.id
    returning *

LISTEN "jobs:insert"

--@ source connect-pg-simple
--@ role write
--@ parameters ["abc"]
SELECT sess FROM "sessions" WHERE sid = $1 AND expire >= to_timestamp(1760000000)

--@ parameters ["1760000000", "abc"]
UPDATE "sessions" SET expire = to_timestamp($1) WHERE sid = $2 RETURNING sid

DELETE FROM "sessions" WHERE expire < to_timestamp(1760000000)

DELETE FROM "sessions" WHERE sid = 'abc'
