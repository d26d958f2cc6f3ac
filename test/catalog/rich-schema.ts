/**
 * A database with every kind of thing that a snapshot tells apart, and how a snapshot
 * is read from it.
 */
import type pg from 'pg';
import type { Catalog, Relation } from '../../src/catalog/catalog.js';
import { decodeCatalog } from '../../src/catalog/decode.js';
import { CATALOG_QUERY } from '../../src/catalog/queries.js';

/** The rows as a session's own query has them: one simple Query, all columns as text. */
export async function catalogRows(client: pg.Client): Promise<(string | null)[][]> {
  const result = await client.query<(string | null)[]>({ text: CATALOG_QUERY, rowMode: 'array' });
  return result.rows;
}

export async function readCatalog(client: pg.Client): Promise<Catalog> {
  return decodeCatalog(await catalogRows(client));
}

/** The one relation with this name, given with its schema. */
export function relationIn(catalog: Catalog, qualified: string): Relation {
  const dot = qualified.indexOf('.');
  const found = catalog.relationsNamed({
    schema: qualified.slice(0, dot),
    name: qualified.slice(dot + 1),
  });
  const [relation] = found;
  if (relation === undefined || found.length > 1) {
    throw new Error(`${found.length} relations are named ${qualified}`);
  }
  return relation;
}

export function qualified({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${schema}.${name}`;
}

/** For comparing with what the server says. */
export function names(
  objects: readonly { readonly schema: string; readonly name: string }[],
): readonly string[] {
  return objects.map(qualified).sort();
}

export const RICH_SCHEMA = `
CREATE SCHEMA shop;
CREATE SCHEMA "Ünï""quoted";
CREATE SCHEMA nothing;

-- Columns: json through domains over domains, NOT NULL of a domain, dropped ones.
CREATE DOMAIN shop.document AS jsonb;
CREATE DOMAIN shop.checked_document AS shop.document NOT NULL CHECK (VALUE IS NOT NULL);
CREATE DOMAIN shop.outer_document AS shop.checked_document;
CREATE DOMAIN shop.old_json AS json;
CREATE DOMAIN shop.code AS text NOT NULL;
CREATE DOMAIN shop.number AS int;
CREATE TABLE shop.columns (
  id int PRIMARY KEY,
  gone text,
  a json, b jsonb NOT NULL, c shop.document, d shop.checked_document, e shop.outer_document, f shop.old_json,
  g shop.code, h shop.number, i text, j jsonb[], "Quo""ted, column" text NOT NULL
);
ALTER TABLE shop.columns DROP COLUMN gone;
CREATE TABLE "Ünï""quoted"."Tä\\ble'" (id int, "{""a"":1}" json);
CREATE TABLE shop.empty ();

-- The same name in two schemas.
CREATE TABLE public.users (id int PRIMARY KEY, email text);
CREATE TABLE shop.users (id int PRIMARY KEY, data jsonb);

-- Foreign keys: every action, composite, to itself, in a circle, into another schema.
CREATE TABLE shop.account_type (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE shop.account (id int PRIMARY KEY, type_id int REFERENCES shop.account_type,
  region text, number int, UNIQUE (region, number),
  user_id int REFERENCES public.users ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE shop.invoice (id int PRIMARY KEY, region text, number int,
  CONSTRAINT invoice_account FOREIGN KEY (number, region) REFERENCES shop.account (number, region)
    ON DELETE CASCADE ON UPDATE CASCADE,
  UNIQUE (region, number));
CREATE TABLE shop.line (id int PRIMARY KEY, invoice_id int REFERENCES shop.invoice ON DELETE CASCADE ON UPDATE SET NULL,
  region text, number int, FOREIGN KEY (region, number) REFERENCES shop.invoice (region, number) ON UPDATE CASCADE ON DELETE SET DEFAULT);
CREATE TABLE shop.restricted (id int PRIMARY KEY, invoice_id int REFERENCES shop.invoice ON DELETE RESTRICT ON UPDATE RESTRICT);
CREATE TABLE shop.category (id int PRIMARY KEY, parent_id int REFERENCES shop.category ON DELETE CASCADE);
CREATE TABLE shop.hen (id int PRIMARY KEY, egg_id int);
CREATE TABLE shop.egg (id int PRIMARY KEY, hen_id int REFERENCES shop.hen ON DELETE CASCADE);
ALTER TABLE shop.hen ADD CONSTRAINT hen_egg FOREIGN KEY (egg_id) REFERENCES shop.egg ON DELETE SET NULL;
CREATE TABLE public.referrer (id int, account_id int REFERENCES shop.account ON DELETE SET DEFAULT);

-- Partitions of partitions, referencing and referenced; inheritance.
CREATE TABLE shop.orders (id int, day int, user_id int REFERENCES shop.users ON DELETE CASCADE, PRIMARY KEY (id, day))
  PARTITION BY RANGE (day);
CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES FROM (0) TO (10);
CREATE TABLE shop.orders_2 PARTITION OF shop.orders FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE shop.orders_2_a PARTITION OF shop.orders_2 FOR VALUES FROM (0) TO (100);
CREATE TABLE shop.orders_2_b PARTITION OF shop.orders_2 FOR VALUES FROM (100) TO (200);
CREATE TABLE shop.shipment (id int PRIMARY KEY, order_id int, order_day int,
  CONSTRAINT shipment_order FOREIGN KEY (order_id, order_day) REFERENCES shop.orders ON DELETE CASCADE);
CREATE TABLE shop.parcel (id int, shipment_id int REFERENCES shop.shipment ON DELETE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE shop.parcel_1 PARTITION OF shop.parcel DEFAULT;
CREATE TABLE shop.city (id int PRIMARY KEY, account_id int REFERENCES shop.account ON DELETE CASCADE);
CREATE TABLE shop.capital (country text) INHERITS (shop.city);
CREATE TABLE shop.second_parent (id int);
CREATE TABLE shop.both_parents () INHERITS (shop.city, shop.second_parent);
CREATE TABLE shop.in_city (id int, city_id int REFERENCES shop.city);

-- Functions: overloads, defaults, VARIADIC, procedures with OUT, windows, aggregates of every volatility.
CREATE FUNCTION shop.touch() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION shop.touch(a int, b int DEFAULT 1, c int DEFAULT 2) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION public.touch(VARIADIC a int[]) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION shop.several(a int, OUT b int, INOUT c int) LANGUAGE sql AS 'SELECT 1, 2';
CREATE PROCEDURE shop.proceed(a int, OUT b int, INOUT c int DEFAULT 1) LANGUAGE plpgsql AS 'BEGIN b := 1; END';
CREATE FUNCTION shop.add(int, int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION shop.add_stable(int, int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION shop.final(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE AGGREGATE shop.sum_volatile(int) (SFUNC = shop.add, STYPE = int);
CREATE AGGREGATE shop.sum_final(int) (SFUNC = int4pl, STYPE = int, FINALFUNC = shop.final);
CREATE AGGREGATE shop.sum_stable(int) (SFUNC = shop.add_stable, STYPE = int);
CREATE AGGREGATE shop.sum_immutable(int) (SFUNC = int4pl, STYPE = int, COMBINEFUNC = int4pl);
CREATE AGGREGATE shop.count_all(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE shop.middle(float8 ORDER BY anyelement)
  (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE FUNCTION shop.same(shop.users, shop.users) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT true';
CREATE OPERATOR shop.=== (LEFTARG = shop.users, RIGHTARG = shop.users, FUNCTION = shop.same);

-- Views: over views, with functions and operators, materialized, with rules.
CREATE VIEW shop.active AS SELECT id, shop.touch() AS touched FROM shop.users;
CREATE VIEW public.very_active AS SELECT a.id FROM shop.active a JOIN shop.account c USING (id);
CREATE VIEW shop.steady AS SELECT shop.touch(1) AS t, id FROM public.users;
CREATE VIEW shop.by_operator AS SELECT a.id FROM shop.users a, shop.users b WHERE a OPERATOR(shop.===) b;
CREATE MATERIALIZED VIEW shop.stored AS SELECT id, touched FROM shop.active;
CREATE VIEW public.on_stored AS SELECT * FROM shop.stored;
CREATE VIEW shop.of_columns AS SELECT b AS data, id, i FROM shop.columns;
CREATE VIEW shop.totals AS SELECT shop.sum_volatile(id) AS s FROM shop.users;
CREATE TABLE shop.log (what text);
CREATE TABLE shop.watched (id int);
CREATE RULE watch AS ON INSERT TO shop.watched DO ALSO INSERT INTO shop.log SELECT shop.touch()::text;
CREATE VIEW shop.redirected AS SELECT id FROM shop.watched;
CREATE RULE redirect AS ON DELETE TO shop.redirected DO INSTEAD DELETE FROM shop.city WHERE id = old.id;
CREATE TABLE shop.secured (id int);
ALTER TABLE shop.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON shop.secured USING (shop.touch() = 1);
CREATE VIEW shop.system AS SELECT relname FROM pg_class;
CREATE SEQUENCE shop.numbers;
CREATE VIEW shop.counting AS SELECT nextval('shop.numbers'::regclass) AS n;
`;

/** Rows in most tables, each with a way down, so that what happens to them can be seen. */
export const RICH_ROWS = `
INSERT INTO public.users VALUES (1, 'a'), (2, 'b');
INSERT INTO shop.users VALUES (1, '{}');
INSERT INTO shop.account_type VALUES (1, 'x');
INSERT INTO shop.account VALUES (1, 1, 'north', 1, 1);
INSERT INTO shop.invoice VALUES (1, 'north', 1);
INSERT INTO shop.line VALUES (1, 1, 'north', 1);
INSERT INTO shop.category VALUES (1, NULL), (2, 1), (3, 2);
INSERT INTO shop.hen VALUES (1, NULL);
INSERT INTO shop.egg VALUES (1, 1);
UPDATE shop.hen SET egg_id = 1;
INSERT INTO public.referrer VALUES (1, 1);
INSERT INTO shop.orders VALUES (1, 1, 1), (2, 11, 1), (150, 11, 1);
INSERT INTO shop.shipment VALUES (1, 1, 1), (2, 2, 11), (3, 150, 11);
INSERT INTO shop.parcel VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO shop.city VALUES (1, 1);
INSERT INTO shop.capital VALUES (2, 1, 'x');
INSERT INTO shop.both_parents VALUES (3, 1);
INSERT INTO shop.watched VALUES (1);
INSERT INTO shop.secured VALUES (1);
INSERT INTO shop.columns VALUES (1, '{}', '{}', '{}', '{}', '{}', '{}', 'c', 1, 'i', NULL, 'q');
`;
