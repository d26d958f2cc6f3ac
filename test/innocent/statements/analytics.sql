-- What people write, and what only looks like something else.

--@ source analytics
--@ role read
SELECT id, total, sum(total) OVER (PARTITION BY customer_id ORDER BY placed_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running, rank() OVER w, lag(total, 1, 0) OVER w FROM orders WINDOW w AS (ORDER BY total DESC)

SELECT status, currency, sum(total) FROM orders GROUP BY GROUPING SETS ((status, currency), (status), ()) ORDER BY GROUPING(status, currency)

SELECT status, currency, count(*) FROM orders GROUP BY ROLLUP (status, currency) HAVING count(*) > 1

SELECT status, currency, count(*) FROM orders GROUP BY DISTINCT CUBE (status, currency)

SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY status), percentile_disc(0.9) WITHIN GROUP (ORDER BY total) FROM orders

WITH RECURSIVE below AS (SELECT id, name, manager_id, 1 AS depth, ARRAY[id] AS path FROM employees WHERE manager_id IS NULL UNION ALL SELECT e.id, e.name, e.manager_id, b.depth + 1, b.path || e.id FROM employees e JOIN below b ON e.manager_id = b.id WHERE NOT e.id = ANY (b.path)) SELECT * FROM below ORDER BY path

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SEARCH DEPTH FIRST BY n SET ordercol SELECT sum(n) FROM t

SELECT c.id, latest.* FROM customers c LEFT JOIN LATERAL (SELECT o.id AS order_id, o.total FROM orders o WHERE o.customer_id = c.id ORDER BY o.placed_at DESC LIMIT 3) latest ON true

SELECT data ->> 'ip', data #>> '{a,b}', data @> '{"ip": "192.0.2.1"}', data ? 'ip', jsonb_path_query_first(data, '$.ip') FROM events

SELECT * FROM events WHERE jsonb_path_exists(data, '$.ip ? (@ starts with "192")') AND data @? '$.ip' AND data @@ '$.n == 1'

SELECT title, ts_rank(search, query), ts_headline('english', body, query) FROM documents, websearch_to_tsquery('english', 'quiet -storm') query WHERE search @@ query ORDER BY 2 DESC

SELECT * FROM products WHERE tags && ARRAY['a', 'b'] OR 'c' = ANY (tags) OR cardinality(tags) = 0

SELECT tag, count(*) FROM products, unnest(tags) AS tag GROUP BY tag

SELECT * FROM bookings WHERE during && tstzrange('2025-01-01', '2025-02-01', '[)') AND NOT isempty(during) AND upper(during) > now()

SELECT d::date, coalesce(n, 0) FROM generate_series('2025-01-01'::date, '2025-01-31', '1 day') d LEFT JOIN (SELECT placed_at::date AS day, count(*) AS n FROM orders GROUP BY 1) o ON o.day = d

SELECT DISTINCT ON (customer_id) customer_id, id FROM orders ORDER BY customer_id, placed_at DESC

SELECT * FROM orders WHERE (placed_at, id) < ('2025-06-02', 10) ORDER BY placed_at DESC, id DESC LIMIT 20

SELECT date_trunc('month', placed_at) AS month, count(*) FILTER (WHERE status = 'paid')::numeric / nullif(count(*), 0) AS rate FROM orders GROUP BY 1

SELECT width_bucket(total, 0, 100, 10) AS bucket, min(total), max(total), regr_slope(total, id), corr(total, id), stddev_samp(total) FROM orders GROUP BY 1

SELECT array_agg(DISTINCT status ORDER BY status), string_agg(status, ', ' ORDER BY id), jsonb_object_agg(id, total), bool_and(total > 0) FROM orders

SELECT CASE WHEN total > 10 THEN 'large' WHEN total > 5 THEN 'medium' ELSE 'small' END AS size, count(*) FROM orders GROUP BY 1

SELECT customer_id FROM orders INTERSECT SELECT id FROM customers EXCEPT ALL SELECT 1 UNION SELECT 2

SELECT o.* FROM orders o WHERE NOT EXISTS (SELECT FROM order_items i WHERE i.order_id = o.id) AND o.total >= ALL (SELECT total FROM orders)

SELECT * FROM orders NATURAL JOIN order_items FULL JOIN products USING (id) CROSS JOIN (VALUES (1), (2)) AS v(n)

SELECT * FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY['a', 'b'])) WITH ORDINALITY AS t(n, letter, place)

SELECT * FROM orders TABLESAMPLE bernoulli (10) REPEATABLE (42)

SELECT x.* FROM json_to_recordset('[{"a":1,"b":"x"}]') AS x(a int, b text)

SELECT extract(isodow FROM placed_at), to_char(placed_at, 'YYYY-"W"IW'), age(now(), placed_at), placed_at AT TIME ZONE 'Europe/Berlin' FROM orders

SELECT (home).city, row_to_json(c), c.feeling::text FROM customers c WHERE home IS NOT NULL

SELECT regexp_replace(email, '(.).*@', '\1***@'), split_part(email, '@', 2), md5(email), encode(sha256(email::bytea), 'hex') FROM customers

SELECT * FROM totals t JOIN totals_then USING (customer_id) WHERE t.total IS DISTINCT FROM totals_then.total

EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM orders JOIN customers ON customers.id = customer_id

SELECT greet(), greet('kim'), greet(name => 'dana')

SELECT first_value(name) OVER (PARTITION BY department ORDER BY salary DESC GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) FROM employees

SELECT gen_random_uuid(), random(), clock_timestamp(), setseed(0.5), txid_current_if_assigned()

SELECT 1 WHERE 1 = 1 OR NOT false

VALUES (1, 'x'), (2, NULL) ORDER BY 1 DESC LIMIT 1

--@ source names and strings that only look like writes
--@ role read
SELECT id AS delete, status AS "update", total drop FROM orders

SELECT count(*) AS truncate, max(id) AS insert, min(id) AS "alter", 1 AS grant_ FROM orders

SELECT "table", "select", "update" FROM "delete" WHERE "update" = 'DELETE FROM orders'

SELECT 'DROP TABLE orders; --' AS note, $$DELETE FROM orders$$, $x$; TRUNCATE orders; $x$

SELECT E'it\'s; DROP TABLE orders', U&'d\0061t\+000061', B'101', X'1F'

SELECT /* DROP TABLE orders; /* nested: DELETE FROM orders */ */ id FROM orders -- ; DELETE FROM orders

-- DELETE FROM orders;
SELECT 1

SELECT * FROM orders WHERE status = 'delete' OR status LIKE 'drop%' OR data ->> 'update' = 'x'

WITH "delete" AS (SELECT 1 AS "insert"), update AS (SELECT 2 AS "truncate") SELECT * FROM "delete", update

SELECT o.status AS "UPDATE orders SET x = 1" FROM orders o

SELECT position('DELETE' IN upper(status)), overlay('truncate' placing 'x' from 1), substring('drop table' from 6) FROM orders

PREPARE delete (int) AS SELECT * FROM orders WHERE id = $1; EXECUTE delete (1); DEALLOCATE delete

SELECT to_regclass('drop'), 'orders'::regclass, quote_ident('delete'), format('DELETE FROM %I', 'orders')

TABLE "delete"

--@ source optional filters
--@ role read
--@ parameters [null]
SELECT * FROM orders WHERE $1::text IS NULL OR status = $1

--@ parameters ["paid", null]
SELECT * FROM orders WHERE coalesce($1, status) = status AND ($2::bigint IS NULL OR customer_id = $2)

--@ parameters ["true"]
SELECT * FROM orders WHERE $1::boolean OR status = 'paid'

--@ parameters ["%"]
SELECT * FROM customers WHERE name LIKE $1 OR email LIKE $1

SELECT * FROM orders WHERE true AND 1 = 1 AND status = status

--@ source optional filters
--@ role write
--@ parameters [null, "1"]
UPDATE orders SET status = 'x' WHERE ($1::text IS NULL OR status = $1) AND customer_id = $2

--@ parameters [null]
UPDATE orders SET status = 'x' WHERE $1::text IS NULL OR status = $1

--@ parameters ["new"]
DELETE FROM comments WHERE coalesce($1, author) = author

--@ parameters ["1", "somebody"]
DELETE FROM comments WHERE ($1::bigint IS NULL OR post_id = $1) AND ($2::text IS NULL OR author = $2)

--@ parameters ["%spam%"]
DELETE FROM comments WHERE body LIKE $1

--@ parameters ["{1,2}"]
DELETE FROM comments WHERE id = ANY($1)

--@ source conditions that only look as if they were always true
--@ role write
UPDATE users SET name = 'x' WHERE deleted_at IS NULL OR deleted_at > now()

UPDATE orders SET status = 'x' WHERE id >= 1 AND id <= 100

UPDATE orders SET status = 'x' WHERE id = 1 OR status <> 'new'

UPDATE orders SET status = 'x' WHERE status <> 'x' OR total > 0

UPDATE orders SET status = 'x' WHERE status IS DISTINCT FROM 'x'

UPDATE orders SET status = 'done' WHERE status <> 'done'

UPDATE users SET deleted_at = now() WHERE deleted_at IS NULL

UPDATE users SET name = 'x' WHERE deleted_at IS NOT NULL

UPDATE users SET name = 'x' WHERE email IS NULL OR email = ''

UPDATE users SET age = 0 WHERE age < 0 OR age > 150

UPDATE users SET age = 1 WHERE age > 0 OR age < -5

UPDATE orders SET version = 1 WHERE id > 5 OR id < 5

DELETE FROM comments WHERE body LIKE '%%spam%%'

DELETE FROM comments WHERE body LIKE '_' OR body LIKE ''

DELETE FROM comments WHERE author NOT LIKE 'a%' OR body LIKE 'a%'

DELETE FROM comments WHERE author LIKE 'a%' OR author LIKE 'b%'

DELETE FROM comments WHERE NOT (author = 'somebody')

DELETE FROM comments WHERE author = body

DELETE FROM comments WHERE comments.id = (SELECT c.id FROM comments c WHERE c.author = 'nobody' LIMIT 1)

DELETE FROM comments c WHERE EXISTS (SELECT 1 FROM posts p WHERE p.id = c.post_id AND p.status = 'gone')

DELETE FROM comments c WHERE NOT EXISTS (SELECT FROM posts p WHERE p.id = c.post_id)

DELETE FROM comments WHERE id IN (SELECT id FROM comments ORDER BY created_at LIMIT 3)

DELETE FROM comments WHERE id NOT IN (SELECT min(id) FROM comments GROUP BY post_id, author)

DELETE FROM comments a USING comments b WHERE a.id < b.id AND a.post_id = b.post_id AND a.author = b.author

DELETE FROM comments WHERE (post_id, author) IN (VALUES (1, 'a'), (2, 'b'))

DELETE FROM comments WHERE ctid IN (SELECT ctid FROM comments WHERE created_at < '2000-01-01' LIMIT 1000)

DELETE FROM comments WHERE created_at < now() - interval '90 days'

DELETE FROM comments WHERE false

DELETE FROM comments WHERE 1 = 0

DELETE FROM comments WHERE 1=1 AND post_id = 5

UPDATE orders SET status = 'x' WHERE true AND id = 5

UPDATE orders SET total = total WHERE total = round(total) AND data = '{}'

UPDATE orders SET status = 'x' WHERE CASE WHEN status = 'new' THEN total > 5 ELSE false END

UPDATE orders SET status = 'x' WHERE coalesce(updated_at, placed_at) < '2024-01-01'

UPDATE orders o SET total = s.total FROM (SELECT order_id, sum(quantity * price) AS total FROM order_items GROUP BY 1) s WHERE s.order_id = o.id

UPDATE orders SET status = 'x' FROM customers WHERE customers.id = orders.customer_id AND customers.city = 'Port 1'

UPDATE orders SET status = 'x' WHERE status BETWEEN 'a' AND 'b' OR status BETWEEN SYMMETRIC 'd' AND 'c'

UPDATE orders SET status = 'x' WHERE id % 2 = 0

UPDATE users SET admin = false WHERE admin

UPDATE users SET admin = true WHERE NOT admin AND email = 'x'

UPDATE users SET admin = false WHERE admin IS TRUE

UPDATE orders SET status = 'x' WHERE length(status) > 0 AND id = 1

UPDATE events SET kind = 'x' WHERE data ? 'ip' AND at >= '2025-01-01'

--@ source everyday writes
--@ role write
UPDATE products SET attributes = jsonb_set(attributes, '{color}', '"red"') WHERE id = 1

UPDATE products SET attributes = attributes || '{"size": 5}' WHERE sku = 'SKU-1'

UPDATE products SET attributes = attributes - 'color' WHERE attributes ? 'color'

UPDATE products SET attributes['color'] = '"blue"' WHERE id = 2

UPDATE products SET attributes = jsonb_build_object('old', attributes, 'at', now()) WHERE id = 3

UPDATE products SET attributes = coalesce(attributes, '{}') || jsonb_build_object('n', 1) WHERE id = 3

UPDATE products SET tags = array_append(tags, 'new') WHERE NOT 'new' = ANY (tags)

UPDATE products SET stock = stock - 1 WHERE id = 1 AND stock >= 1 RETURNING stock

UPDATE products SET (name, price) = (SELECT 'x', 1.5) WHERE id = 1

UPDATE customers SET home.city = 'Port' WHERE id = 1

INSERT INTO products (sku, name, price, attributes) VALUES ('n-1', 'New', 1, '{"color": "red"}') ON CONFLICT (sku) DO UPDATE SET name = EXCLUDED.name, stock = products.stock + EXCLUDED.stock

INSERT INTO products (sku, name, price) VALUES ('SKU-1', 'New', 1) ON CONFLICT (sku) DO UPDATE SET price = EXCLUDED.price WHERE products.price IS DISTINCT FROM EXCLUDED.price RETURNING (xmax = 0) AS inserted

INSERT INTO products (sku, name, price, attributes) VALUES ('SKU-2', 'New', 1, '{"a": 1}') ON CONFLICT (sku) DO UPDATE SET attributes = products.attributes || EXCLUDED.attributes

INSERT INTO orders (customer_id, total) SELECT id, 0 FROM customers WHERE city = 'Port 1' RETURNING id

INSERT INTO events VALUES ('2025-06-06', 'login', 1, '{}'), ('2025-06-07', 'logout', 1, NULL)

INSERT INTO jobs DEFAULT VALUES

WITH moved AS (DELETE FROM comments WHERE created_at < '2000-01-01' RETURNING author, body) INSERT INTO documents (title, body) SELECT author, body FROM moved

WITH new_customer AS (INSERT INTO customers (email) VALUES ('w@example.org') RETURNING id), new_order AS (INSERT INTO orders (customer_id) SELECT id FROM new_customer RETURNING id) SELECT * FROM new_order

WITH done AS (UPDATE jobs SET state = 'done', finished_at = now() WHERE id = 1 RETURNING *), gone AS (DELETE FROM sessions WHERE expire < now()) SELECT count(*) FROM done

MERGE INTO products p USING (VALUES ('SKU-1', 5), ('SKU-9999', 1)) AS n(sku, stock) ON p.sku = n.sku WHEN MATCHED THEN UPDATE SET stock = p.stock + n.stock WHEN NOT MATCHED THEN INSERT (sku, name, price, stock) VALUES (n.sku, n.sku, 0, n.stock)

MERGE INTO sessions s USING (SELECT 'abc' AS sid) n ON s.sid = n.sid WHEN MATCHED AND s.expire < now() THEN DELETE WHEN NOT MATCHED THEN DO NOTHING

COPY products (sku, name, price) FROM STDIN WITH (FORMAT csv, HEADER true)

SELECT id FROM jobs WHERE state = 'available' ORDER BY priority DESC, id FOR UPDATE SKIP LOCKED LIMIT 1

UPDATE jobs SET state = 'running', locked_by = 'w', locked_at = now() WHERE id = (SELECT id FROM jobs WHERE state = 'available' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING *

DELETE FROM jobs WHERE id = (SELECT id FROM jobs WHERE run_at <= now() ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING payload

SELECT pg_advisory_xact_lock(hashtext('orders'), 5), pg_notify('jobs', '1')

CREATE TEMPORARY TABLE staging (LIKE products INCLUDING DEFAULTS) ON COMMIT DROP

EXPLAIN UPDATE orders SET status = 'x'

EXPLAIN (ANALYZE, COSTS OFF) UPDATE orders SET status = 'x' WHERE id = 1

PREPARE fill (text, int) AS INSERT INTO products (sku, name, price) VALUES ($1, $1, $2); EXECUTE fill ('pp', 1); DEALLOCATE fill

BEGIN; DECLARE c CURSOR FOR SELECT * FROM orders WHERE status = 'new' FOR UPDATE; FETCH NEXT FROM c; UPDATE orders SET status = 'seen' WHERE CURRENT OF c; COMMIT

SELECT nextval('hibernate_sequence'), currval('hibernate_sequence'), lastval()

SET LOCAL lock_timeout = '2s'

SET LOCAL statement_timeout = 0

SET LOCAL synchronous_commit = off

SELECT set_config('app.user_id', '42', true)

SET app.tenant_id = '7'

LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE

BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO tags (name) VALUES ('s'); SAVEPOINT a; DELETE FROM tags WHERE name = 's'; ROLLBACK TO a; RELEASE a; COMMIT AND CHAIN; ROLLBACK

--@ source transfers
--@ role write
--@ one session
BEGIN

SELECT balance FROM accounts WHERE id IN (1, 2) ORDER BY id FOR UPDATE

--@ parameters ["10", "1"]
UPDATE accounts SET balance = balance - $1, version = version + 1 WHERE id = $2 AND balance >= $1 RETURNING balance

--@ parameters ["10", "2"]
UPDATE accounts SET balance = balance + $1 WHERE id = $2

SELECT sum(balance) FROM accounts

ROLLBACK

--@ source extensions
--@ role read
SELECT uuid_generate_v4(), uuid_generate_v5(uuid_ns_url(), 'https://example.org')

SELECT encode(digest(email, 'sha256'), 'hex'), encode(gen_random_bytes(8), 'hex') FROM customers

SELECT name, similarity(name, 'customer'), name <-> 'x' FROM customers WHERE name % 'customer' ORDER BY word_similarity('cust', name) DESC

SELECT 'a=>1, b=>2'::hstore -> 'a', (each('a=>1')).key, 'A'::citext = 'a'

--@ source extensions
--@ role write
INSERT INTO users (email, encrypted_password) VALUES ('x@example.org', crypt('secret', gen_salt('bf', 4)))

SELECT id FROM users WHERE email = 'x' AND encrypted_password = crypt('secret', encrypted_password)

INSERT INTO "Orders" ("CustomerId", "Status", "Total", "Version") VALUES (1, 'new', 5, uuid_generate_v4())

UPDATE users SET remember_token = encode(gen_random_bytes(20), 'hex') WHERE id = 1

--@ source DO with a body that can be read
--@ role write
DO $$
BEGIN
  UPDATE orders SET status = 'seen' WHERE id = 1;
  IF NOT FOUND THEN
    INSERT INTO orders (id, customer_id) VALUES (1, 1);
  END IF;
END $$
