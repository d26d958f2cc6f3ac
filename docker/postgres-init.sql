-- A very small shop, and a user for each role of config/policy.yaml. In the
-- database all of them may do everything to the shop: what is refused is refused
-- by Holdfast.
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_app LOGIN PASSWORD 'demo' IN ROLE shop_owner;
CREATE ROLE eng_dana LOGIN PASSWORD 'demo' IN ROLE shop_owner;
CREATE ROLE dba_kim LOGIN PASSWORD 'demo' IN ROLE shop_owner;
CREATE ROLE analyst LOGIN PASSWORD 'demo' IN ROLE shop_owner;
CREATE DATABASE shop OWNER shop_owner;

\connect shop
ALTER SCHEMA public OWNER TO shop_owner;
SET ROLE shop_owner;

CREATE TABLE account_type (id int PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE account (
  id int PRIMARY KEY,
  account_type_id int NOT NULL REFERENCES account_type,
  email text NOT NULL UNIQUE
);
CREATE TABLE orders (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id int NOT NULL REFERENCES account ON DELETE CASCADE,
  status text NOT NULL,
  placed_at timestamptz NOT NULL
);
INSERT INTO account_type VALUES (1, 'free'), (2, 'team'), (3, 'business');
INSERT INTO account SELECT n, 1 + n % 3, 'owner' || n || '@mail.example' FROM generate_series(1, 300) AS n;
INSERT INTO orders (account_id, status, placed_at)
  SELECT 1 + n % 300, 'paid', timestamptz '2025-01-01 00:00+00' + n * interval '1 hour'
  FROM generate_series(1, 2000) AS n;
ANALYZE;
