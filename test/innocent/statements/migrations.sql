-- What migration tools send: definitions, their own tables, and the locks around them.
-- CREATE EXTENSION is none of it: that needs admin access.

--@ source ActiveRecord migrations
--@ role ddl
CREATE TABLE "schema_migrations_2" ("version" character varying NOT NULL PRIMARY KEY)

SELECT pg_try_advisory_lock(4829034820)

CREATE TABLE "articles" ("id" bigserial primary key, "title" character varying NOT NULL, "body" text, "user_id" bigint NOT NULL, "meta" jsonb DEFAULT '{}' NOT NULL, "created_at" timestamp(6) NOT NULL, "updated_at" timestamp(6) NOT NULL, CONSTRAINT "fk_rails_d3b3a4d8f2"
FOREIGN KEY ("user_id")
  REFERENCES "users" ("id")
)

CREATE UNIQUE INDEX "index_users_on_email" ON "users" ("email")

CREATE INDEX CONCURRENTLY "index_orders_on_status" ON "orders" ("status") WHERE deleted_at IS NULL

CREATE INDEX  "index_users_on_settings" ON "users" USING gin ("settings")

ALTER TABLE "users" ADD "locale" character varying DEFAULT 'en' NOT NULL

ALTER TABLE "users" ALTER COLUMN "name" SET NOT NULL

ALTER TABLE "users" ALTER COLUMN "name" SET DEFAULT 'x'

ALTER TABLE "users" ALTER COLUMN "age" TYPE bigint

ALTER TABLE "users" RENAME COLUMN "name" TO "full_name"

ALTER TABLE "orders" ADD CONSTRAINT "chk_rails_total" CHECK (total >= 0) NOT VALID

ALTER TABLE "orders" VALIDATE CONSTRAINT "orders_customer_id_fkey"

ALTER TABLE "posts" ADD CONSTRAINT "fk_rails_5b5ddfd518" FOREIGN KEY ("user_id") REFERENCES "users" ("id") ON DELETE CASCADE

DROP INDEX "orders_customer_id"

INSERT INTO "schema_migrations" ("version") VALUES ('20250101000000') RETURNING "version"

INSERT INTO "ar_internal_metadata" ("key", "value", "created_at", "updated_at") VALUES ('environment', 'production', '2025-01-01 00:00:00', '2025-01-01 00:00:00') RETURNING "key"

DELETE FROM "schema_migrations" WHERE "schema_migrations"."version" = '20250101000000'

CREATE TYPE "article_state" AS ENUM ('draft', 'published');

DO $$
BEGIN
    IF NOT EXISTS (
      SELECT 1
      FROM pg_type t
      JOIN pg_namespace n ON t.typnamespace = n.oid
      WHERE t.typname = 'article_mood'
        AND n.nspname = ANY (current_schemas(true))
    ) THEN
        CREATE TYPE "article_mood" AS ENUM ('sad', 'ok');
    END IF;
END
$$;

ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'

COMMENT ON COLUMN "users"."name" IS 'What they call themselves; not DELETE FROM users'

CREATE TABLE "events_2026" PARTITION OF "events" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')

--@ source Prisma migrations
--@ role ddl
SELECT pg_advisory_lock(72707369)

-- CreateEnum
CREATE TYPE "Status" AS ENUM ('ACTIVE', 'GONE');
-- CreateTable
CREATE TABLE "Category" (
    "id" SERIAL NOT NULL,
    "name" TEXT NOT NULL,
    "status" "Status" NOT NULL DEFAULT 'ACTIVE',
    "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Category_pkey" PRIMARY KEY ("id")
);
-- CreateIndex
CREATE UNIQUE INDEX "Category_name_key" ON "Category"("name");
-- AddForeignKey
ALTER TABLE "Post" ADD CONSTRAINT "Post_category_fkey" FOREIGN KEY ("authorId") REFERENCES "User"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AlterTable
ALTER TABLE "User" ADD COLUMN     "phone" TEXT,
ADD COLUMN     "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
ALTER COLUMN "name" DROP NOT NULL;

-- AlterEnum
ALTER TYPE "Role" ADD VALUE 'OWNER';

-- AlterEnum
BEGIN;
CREATE TYPE "Role_new" AS ENUM ('USER', 'ADMIN', 'GUEST');
ALTER TABLE "User" ALTER COLUMN "role" DROP DEFAULT;
ALTER TABLE "User" ALTER COLUMN "role" TYPE "Role_new" USING ("role"::text::"Role_new");
ALTER TYPE "Role" RENAME TO "Role_old";
ALTER TYPE "Role_new" RENAME TO "Role";
DROP TYPE "Role_old";
ALTER TABLE "User" ALTER COLUMN "role" SET DEFAULT 'USER';
COMMIT;

--@ parameters ["1", "abc", "20250101_init"]
INSERT INTO "_prisma_migrations" ("id","checksum","migration_name","started_at") VALUES ($1,$2,$3,now())

--@ parameters ["1"]
UPDATE "_prisma_migrations" SET "finished_at" = now(), "applied_steps_count" = 1 WHERE ("id" = $1)

SELECT "id", "checksum", "finished_at", "migration_name", "logs", "rolled_back_at", "started_at", "applied_steps_count" FROM "_prisma_migrations" ORDER BY "started_at" ASC

--@ source Drizzle migrations
--@ role ddl
CREATE SCHEMA IF NOT EXISTS "drizzle"

CREATE TABLE IF NOT EXISTS "__drizzle_migrations" (
			id SERIAL PRIMARY KEY,
			hash text NOT NULL,
			created_at bigint
		)

DO $$ BEGIN
 CREATE TYPE "public"."state" AS ENUM('on', 'off');
EXCEPTION
 WHEN duplicate_object THEN null;
END $$;

DO $$ BEGIN
 ALTER TABLE "posts" ADD CONSTRAINT "posts_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action;
EXCEPTION
 WHEN duplicate_object THEN null;
END $$;

CREATE TABLE IF NOT EXISTS "profiles" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"user_id" bigint NOT NULL,
	"bio" varchar(256) DEFAULT '',
	CONSTRAINT "profiles_user_id_unique" UNIQUE("user_id")
);

CREATE INDEX IF NOT EXISTS "posts_status_idx" ON "posts" USING btree ("status");

ALTER TABLE "users" ENABLE ROW LEVEL SECURITY

--@ source Sequelize migrations
--@ role ddl
CREATE TABLE IF NOT EXISTS "Session" ("id"   SERIAL , "token" VARCHAR(255), "userId" INTEGER REFERENCES "User" ("id") ON DELETE SET NULL ON UPDATE CASCADE, "createdAt" TIMESTAMP WITH TIME ZONE NOT NULL, PRIMARY KEY ("id"));

DO 'BEGIN CREATE TYPE "public"."enum_User_kind" AS ENUM(''a'', ''b''); EXCEPTION WHEN duplicate_object THEN null; END';

ALTER TABLE "public"."User" ADD COLUMN "nickname" VARCHAR(255);

ALTER TABLE "User" ALTER COLUMN "name" TYPE TEXT;

ALTER TABLE "User" ALTER COLUMN "name" DROP NOT NULL;ALTER TABLE "User" ALTER COLUMN "name" DROP DEFAULT;ALTER TABLE "User" ALTER COLUMN "name" TYPE VARCHAR(255);

INSERT INTO "SequelizeMeta" ("name") VALUES ('20250101-init.js') RETURNING "name";

SELECT "name" FROM "SequelizeMeta" AS "SequelizeMeta" ORDER BY "SequelizeMeta"."name" ASC;

DELETE FROM "SequelizeMeta" WHERE "name" = '20250101-init.js'

--@ source Knex migrations
--@ role ddl
create table if not exists "knex_migrations" ("id" serial primary key, "name" varchar(255), "batch" integer, "migration_time" timestamptz)

create table "things" ("id" serial primary key, "name" text not null, "kind" text check ("kind" in ('a', 'b')) default 'a', "created_at" timestamptz not null default CURRENT_TIMESTAMP)

alter table "users" add column "bio" text null

alter table "users" add constraint "users_name_unique" unique ("name")

select * from information_schema.tables where table_name = 'knex_migrations' and table_schema = current_schema()

update "knex_migrations_lock" set "is_locked" = 1 where "is_locked" = 0

insert into "knex_migrations" ("batch", "migration_time", "name") values (1, '2025-01-01', '001.js')

delete from "knex_migrations" where "name" = '001.js'

alter table "users" drop constraint "users_email_key"

--@ source TypeORM migrations
--@ role ddl
CREATE TABLE "migrations_2" ("id" SERIAL NOT NULL, "timestamp" bigint NOT NULL, "name" character varying NOT NULL, CONSTRAINT "PK_8c82d7f526340ab734260ea46be" PRIMARY KEY ("id"))

CREATE TYPE "public"."user_role_enum" AS ENUM('admin', 'user')

ALTER TABLE "users" ADD "role" character varying NOT NULL DEFAULT 'user'

ALTER TABLE "posts" ADD CONSTRAINT "FK_c4f9a7bd77b489e711277ee5986" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE NO ACTION ON UPDATE NO ACTION

INSERT INTO "migrations"("timestamp", "name") VALUES (1735689600000, 'Init1735689600000')

SELECT * FROM "migrations" "migrations" ORDER BY "id" DESC

DELETE FROM "migrations" WHERE "timestamp" = 1735689600000 AND "name" = 'Init1735689600000'

--@ source Django migrations
--@ role ddl
CREATE TABLE "shop_product" ("id" bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, "name" varchar(200) NOT NULL, "price" numeric(10, 2) NOT NULL)

ALTER TABLE "shop_order" ADD COLUMN "note" text DEFAULT '' NOT NULL

ALTER TABLE "shop_order" ALTER COLUMN "status" DROP DEFAULT

ALTER TABLE "shop_order" ADD CONSTRAINT "shop_order_user_fk" FOREIGN KEY ("user_id") REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED

SET CONSTRAINTS "shop_order_user_id_fkey" IMMEDIATE; ALTER TABLE "shop_order" DROP CONSTRAINT "shop_order_user_id_fkey"

CREATE INDEX "auth_user_username_like" ON "auth_user" ("username" varchar_pattern_ops)

CREATE UNIQUE INDEX "unique_open" ON "shop_order" ("user_id") WHERE "status" = 'open'

INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ('shop', '0001_initial', '2025-01-01T00:00:00+00:00'::timestamptz) RETURNING "django_migrations"."id"

DELETE FROM "django_migrations" WHERE ("django_migrations"."app" = 'shop' AND "django_migrations"."name" = '0001_initial')

UPDATE "shop_order" SET "status" = 'new' WHERE "shop_order"."status" = ''

ALTER TABLE "shop_order" ALTER COLUMN "id" TYPE bigint USING "id"::bigint

--@ source Laravel migrations
--@ role ddl
create table "failed_jobs" ("id" bigserial not null primary key, "uuid" varchar(255) not null, "payload" text not null, "failed_at" timestamp(0) without time zone default CURRENT_TIMESTAMP not null)

alter table "users" add column "two_factor_secret" text null

alter table "posts" add constraint "posts_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade

create index "posts_title_index" on "posts" ("title")

insert into "migrations" ("migration", "batch") values ('2025_01_01_000000_create_users', 1)

select "migration" from "migrations" order by "batch" asc, "migration" asc

comment on column "users"."name" is NULL

--@ source Alembic
--@ role ddl
SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relname = 'alembic_version' AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid)

INSERT INTO alembic_version (version_num) VALUES ('1975ea83b712') RETURNING alembic_version.version_num

UPDATE alembic_version SET version_num='27c6a30d7c24' WHERE alembic_version.version_num = '1975ea83b712'

DELETE FROM alembic_version WHERE alembic_version.version_num = '27c6a30d7c24'

CREATE TABLE account (
	id SERIAL NOT NULL,
	name VARCHAR(50) NOT NULL,
	description VARCHAR(200),
	PRIMARY KEY (id)
)

ALTER TABLE orders ADD COLUMN last_seen TIMESTAMP WITHOUT TIME ZONE

CREATE INDEX ix_orders_status ON orders (status)

ALTER TABLE orders ALTER COLUMN status TYPE VARCHAR(40)

ALTER TABLE orders RENAME TO purchases

--@ source Flyway
--@ role ddl
SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'public'

SELECT EXISTS (
  SELECT 1
  FROM   pg_catalog.pg_class c
  JOIN   pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE  n.nspname = 'public'
  AND    c.relname = 'flyway_schema_history'
  AND    c.relkind = 'r')

SELECT pg_try_advisory_xact_lock(77431708279161)

CREATE TABLE "public"."flyway_schema_history_2" (
    "installed_rank" INT NOT NULL,
    "version" VARCHAR(50),
    "description" VARCHAR(200) NOT NULL,
    "installed_on" TIMESTAMP NOT NULL DEFAULT now(),
    "success" BOOLEAN NOT NULL
);
ALTER TABLE "public"."flyway_schema_history_2" ADD CONSTRAINT "flyway_schema_history_2_pk" PRIMARY KEY ("installed_rank");
CREATE INDEX "flyway_schema_history_2_s_idx" ON "public"."flyway_schema_history_2" ("success")

INSERT INTO "public"."flyway_schema_history" ("installed_rank", "version", "description", "type", "script", "checksum", "installed_by", "execution_time", "success") VALUES (1, '1', 'init', 'SQL', 'V1__init.sql', 12345, 'eng', 20, true)

SELECT "installed_rank","version","description","type","script","checksum","installed_on","installed_by","execution_time","success" FROM "public"."flyway_schema_history" WHERE "installed_rank" > 0 ORDER BY "installed_rank"

SELECT set_config('search_path', '"public"', false)

--@ source Liquibase
--@ role ddl
SELECT COUNT(*) FROM public.databasechangeloglock

UPDATE public.databasechangeloglock SET LOCKED = TRUE, LOCKEDBY = 'host (192.0.2.1)', LOCKGRANTED = NOW() WHERE ID = 1 AND LOCKED = FALSE

UPDATE public.databasechangeloglock SET LOCKED = FALSE, LOCKEDBY = NULL, LOCKGRANTED = NULL WHERE ID = 1

INSERT INTO public.databasechangelog (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, MD5SUM, DESCRIPTION, COMMENTS, EXECTYPE, CONTEXTS, LABELS, LIQUIBASE, DEPLOYMENT_ID) VALUES ('1', 'kim', 'db.xml', NOW(), 1, '8:d41d8', 'createTable tableName=x', '', 'EXECUTED', NULL, NULL, '4.20.0', '1234567890')

UPDATE public.databasechangelog SET MD5SUM = NULL WHERE MD5SUM IS NOT NULL AND ID = '1'

--@ source Hibernate schema update
--@ role ddl
create sequence invoice_seq start with 1 increment by 50

create table invoice (id bigint not null, amount numeric(38,2), state varchar(255) check (state in ('OPEN','PAID')), primary key (id))

alter table if exists purchase add constraint FK_purchase_customer foreign key (customer_id) references customer

alter table if exists customer add column phone varchar(255)

--@ source Entity Framework migrations
--@ role ddl
CREATE TABLE IF NOT EXISTS "__EFMigrationsHistory" (
    "MigrationId" character varying(150) NOT NULL,
    "ProductVersion" character varying(32) NOT NULL,
    CONSTRAINT "PK___EFMigrationsHistory" PRIMARY KEY ("MigrationId")
);

LOCK TABLE "__EFMigrationsHistory" IN ACCESS EXCLUSIVE MODE

INSERT INTO "__EFMigrationsHistory" ("MigrationId", "ProductVersion")
VALUES ('20250101000000_Init', '9.0.0');

DO $EF$
BEGIN
    IF NOT EXISTS(SELECT 1 FROM "__EFMigrationsHistory" WHERE "MigrationId" = '20250101000000_Init') THEN
    CREATE TABLE "Customers" (
        "Id" bigint GENERATED BY DEFAULT AS IDENTITY,
        "Name" text NOT NULL,
        CONSTRAINT "PK_Customers" PRIMARY KEY ("Id")
    );
    END IF;
END $EF$;

DO $EF$
BEGIN
    IF NOT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = 'sales') THEN
        CREATE SCHEMA sales;
    END IF;
END $EF$;

--@ source goose, golang-migrate, sqlx, Diesel, Ecto
--@ role ddl
INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)

DELETE FROM goose_db_version WHERE version_id=1

SELECT EXISTS(SELECT 1 FROM information_schema.tables WHERE table_schema = (SELECT current_schema()) AND table_name = 'schema_migrations' AND table_type = 'BASE TABLE')

CREATE TABLE IF NOT EXISTS "public"."schema_migrations" (version bigint not null primary key, dirty boolean not null)

--@ parameters ["1", "init", "\\x00"]
INSERT INTO _sqlx_migrations ( version, description, success, checksum, execution_time ) VALUES ( $1, $2, TRUE, $3, -1 )

--@ parameters ["5", "1"]
UPDATE _sqlx_migrations SET execution_time = $1 WHERE version = $2

INSERT INTO "__diesel_schema_migrations" ("version") VALUES ('20250101') ON CONFLICT DO NOTHING

CREATE OR REPLACE FUNCTION diesel_manage_updated_at(_tbl regclass) RETURNS VOID AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER set_updated_at BEFORE UPDATE ON %s
                    FOR EACH ROW EXECUTE PROCEDURE diesel_set_updated_at()', _tbl);
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION diesel_set_updated_at() RETURNS trigger AS $$
BEGIN
    IF (
        NEW IS DISTINCT FROM OLD AND
        NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at
    ) THEN
        NEW.updated_at := current_timestamp;
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

LOCK TABLE "schema_migrations" IN SHARE UPDATE EXCLUSIVE MODE

CREATE TABLE IF NOT EXISTS "things" ("id" bigserial, "name" varchar(255), "inserted_at" timestamp(0) NOT NULL, PRIMARY KEY ("id"))

INSERT INTO "schema_migrations" ("version","inserted_at") VALUES ('20250101','2025-01-01 00:00:00')

DELETE FROM "schema_migrations" AS s0 WHERE (s0."version" = '20250101'::varchar)

--@ source Hasura and Supabase migrations
--@ role ddl
CREATE TABLE "public"."profile" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), "name" text NOT NULL, "created_at" timestamptz NOT NULL DEFAULT now(), PRIMARY KEY ("id") );
COMMENT ON TABLE "public"."profile" IS E'People';

alter table "public"."orders" add column "note" text null;

CREATE OR REPLACE FUNCTION "public"."set_current_timestamp_updated_at"()
RETURNS TRIGGER AS $$
DECLARE
  _new record;
BEGIN
  _new := NEW;
  _new."updated_at" = NOW();
  RETURN _new;
END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER "set_public_users_updated_at"
BEFORE UPDATE ON "public"."users"
FOR EACH ROW
EXECUTE PROCEDURE "public"."set_current_timestamp_updated_at"();
COMMENT ON TRIGGER "set_public_users_updated_at" ON "public"."users"
IS 'trigger to set value of column "updated_at" to current timestamp on row update';

create policy "Users can see their own orders" on orders for select using (customer_id = nullif(current_setting('request.jwt.claim.sub', true), '')::bigint);

alter table orders enable row level security

alter table "public"."orders" validate constraint "orders_customer_id_fkey";

--@ source hand-written migrations
--@ role ddl
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_placed_at ON orders USING brin (placed_at)

REINDEX INDEX CONCURRENTLY orders_customer_id

DROP INDEX CONCURRENTLY IF EXISTS orders_nothing

CREATE INDEX documents_search ON documents USING gin (search)

CREATE INDEX customers_lower_email ON customers (lower(email) text_pattern_ops) INCLUDE (name)

CREATE STATISTICS orders_stats (dependencies) ON status, currency FROM orders

ANALYZE orders

VACUUM (ANALYZE) settings

CREATE VIEW open_orders AS SELECT * FROM orders WHERE status = 'new' AND deleted_at IS NULL

CREATE OR REPLACE VIEW totals AS SELECT customer_id, sum(total) AS total FROM orders GROUP BY 1

CREATE MATERIALIZED VIEW daily AS SELECT placed_at::date AS day, sum(total) AS total FROM orders GROUP BY 1 WITH NO DATA

REFRESH MATERIALIZED VIEW totals_then

CREATE SEQUENCE invoice_numbers START 1000 OWNED BY NONE

ALTER SEQUENCE hibernate_sequence INCREMENT BY 10

CREATE TYPE money_amount AS (amount numeric, currency text)

CREATE DOMAIN email AS text CHECK (value ~ '^[^@]+@[^@]+$')

ALTER TYPE mood ADD VALUE IF NOT EXISTS 'excited' AFTER 'happy'

CREATE TABLE orders_2026 (LIKE orders INCLUDING ALL)

CREATE TABLE report AS SELECT status, count(*) FROM orders GROUP BY 1

CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value bytea, expires timestamptz)

ALTER TABLE orders ADD COLUMN net numeric GENERATED ALWAYS AS (total * 0.8) STORED

ALTER TABLE orders ALTER COLUMN total SET STATISTICS 500

ALTER TABLE orders SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)

ALTER TABLE bookings ADD CONSTRAINT no_empty CHECK (NOT isempty(during)) NOT VALID

CREATE UNIQUE INDEX orders_once ON orders (id, version); ALTER TABLE orders ADD CONSTRAINT orders_once UNIQUE USING INDEX orders_once

ALTER TABLE customers REPLICA IDENTITY FULL

CREATE FUNCTION order_total(order_id bigint) RETURNS numeric LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT coalesce(sum(quantity * price), 0) FROM order_items WHERE order_items.order_id = $1
$$

CREATE FUNCTION add_tax(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN amount * 1.19

CREATE FUNCTION notify_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('orders', json_build_object('id', NEW.id, 'op', TG_OP)::text);
  RETURN NULL;
END $$

CREATE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO events (at, kind, user_id) VALUES (current_date, 'delete', OLD.id);
    RETURN OLD;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO events (at, kind, user_id, data) VALUES (current_date, 'update', NEW.id, to_jsonb(NEW));
    RETURN NEW;
  END IF;
  RETURN NULL;
END $$

CREATE FUNCTION keep_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE posts SET comments_count = comments_count + 1 WHERE id = NEW.post_id;
  RETURN NEW;
END $$;
CREATE TRIGGER comments_count AFTER INSERT ON comments FOR EACH ROW EXECUTE FUNCTION keep_count()

CREATE TRIGGER orders_changed AFTER UPDATE OF status ON orders FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION touch()

DO $$
DECLARE
  n int;
BEGIN
  SELECT count(*) INTO n FROM orders WHERE status = 'new';
  IF n > 1000000 THEN
    RAISE EXCEPTION 'too many: %', n;
  END IF;
  RAISE NOTICE 'there are % new orders', n;
END $$

DO $$
BEGIN
  IF EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'name') THEN
    ALTER TABLE users RENAME COLUMN name TO full_name;
  END IF;
END $$

DO $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT id FROM orders WHERE status = 'new' ORDER BY id LIMIT 5 LOOP
    UPDATE orders SET status = 'seen' WHERE id = r.id;
  END LOOP;
END $$

DO $do$
BEGIN
  LOOP
    UPDATE orders SET data = data || '{"v": 2}' WHERE id IN (SELECT id FROM orders WHERE NOT data ? 'v' LIMIT 100);
    EXIT WHEN NOT FOUND;
  END LOOP;
END
$do$

UPDATE orders SET status = 'archived' WHERE placed_at < '2020-01-01'

UPDATE users SET tags = ARRAY[]::text[] WHERE tags IS NULL

INSERT INTO settings (key, value) SELECT 'k' || n, 'v' FROM generate_series(1, 3) n ON CONFLICT DO NOTHING

DROP FUNCTION IF EXISTS no_longer_there(int)

DROP TRIGGER IF EXISTS no_longer_there ON orders

DROP TYPE IF EXISTS no_longer_there

ALTER INDEX orders_customer_id RENAME TO orders_by_customer

GRANT SELECT ON orders TO PUBLIC

BEGIN; SET LOCAL lock_timeout = '2s'; ALTER TABLE orders ADD COLUMN checked boolean; COMMIT

SET lock_timeout TO '5s'

SET statement_timeout TO 0

--@ source pg_restore
--@ role ddl
SET check_function_bodies = false

SET default_tablespace = ''

SET default_table_access_method = heap

SET xmloption = content

CREATE TABLE public.restored (
    id bigint NOT NULL,
    body text
)

CREATE SEQUENCE public.restored_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1

ALTER TABLE ONLY public.comments ALTER COLUMN id SET DEFAULT nextval('public.comments_id_seq'::regclass)

COPY public.tags (id, name) FROM stdin

SELECT pg_catalog.setval('public.tags_id_seq', 2, true)

ALTER TABLE ONLY public.bookings ADD CONSTRAINT bookings_room CHECK (room > 0)

ALTER SEQUENCE public.comments_id_seq OWNED BY public.comments.id

CREATE INDEX posts_user_id ON public.posts USING btree (user_id)

ALTER TABLE public.tags OWNER TO CURRENT_USER

REVOKE ALL ON TABLE public.tags FROM PUBLIC

GRANT SELECT, INSERT ON TABLE public.tags TO PUBLIC

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC

REFRESH MATERIALIZED VIEW public.totals_then
