/** Assignments of UPDATE, ON CONFLICT DO UPDATE and MERGE: what is set, to what, and whether it builds on the old value. */
import { describe, expect, it } from 'vitest';
import { facts, withParser } from './support.js';

withParser();

/** `column(part) value old` of all assignments. */
function assignments(sql: string): string[] {
  return facts(sql).actions.flatMap((action) =>
    action.assignments.map(({ column, part, usesOld, value }) =>
      [part ? `${column}(part)` : column, value, usesOld ? 'old' : '']
        .filter((word) => word !== '')
        .join(' '),
    ),
  );
}

describe('what the new value is', () => {
  it.each<[string, string]>([
    ['NULL', 'null'],
    ['NULL::jsonb', 'null'],
    ['DEFAULT', 'default'],
    ['$1', 'parameter'],
    ['$1::text', 'parameter'],
    ['$1::jsonb', 'json'],
    ['CAST($1 AS json)', 'json'],
    ['1', 'constant'],
    ['true', 'constant'],
    ["'x'", 'constant'],
    ["''", 'constant'],
    [`'{"phone": "1"}'`, 'json'],
    ["'[]'", 'json'],
    [`' {"a": 1}'`, 'json'],
    [`'{"phone"'`, 'constant'],
    ["'{a,b}'", 'constant'],
    [`'{"a": 1}'::jsonb`, 'json'],
    [`'{"a": 1}'::text`, 'json'],
    ["'x'::jsonb[]", 'constant'],
    ['now()', 'expression'],
    ['a + 1', 'expression'],
    ['to_jsonb($1)', 'json'],
    ["jsonb_build_object('a', 1)", 'json'],
    ['pg_catalog.json_build_array(1)', 'json'],
    ['row_to_json(u)', 'json'],
    ['jsonb_strip_nulls($1)', 'json'],
    ["JSON_OBJECT('a': 1)", 'json'],
    ['JSON_ARRAY(1, 2)', 'json'],
    ["JSON('{}')", 'json'],
    ["JSON_QUERY($1, '$.a')", 'json'],
    ["JSON_VALUE($1, '$.a')", 'expression'],
    ["coalesce($1::jsonb, '{}')", 'json'],
    ["CASE WHEN a = 1 THEN '{}'::jsonb END", 'json'],
    ['$1::jsonb || $2', 'json'],
    ["(SELECT '{}'::jsonb)", 'json'],
    ['(SELECT jsonb_agg(x) FROM u)', 'json'],
    ['(SELECT x FROM u)', 'expression'],
    ["nullif($1, 'x')", 'expression'],
  ])('%s is %s', (value, expected) => {
    expect(assignments(`UPDATE t SET data = ${value} WHERE id = 1`)).toEqual([`data ${expected}`]);
  });
});

describe('whether it builds on the old value', () => {
  it.each<string>([
    `data || '{"a": 1}'`,
    `'{"a": 1}' || data`,
    "jsonb_set(data, '{a}', '1')",
    "jsonb_set(t.data, '{a}', '1')",
    "jsonb_set(coalesce(data, '{}'), '{a}', $1)",
    "data - 'a'",
    "(data || '{}')::jsonb",
    "CASE WHEN data IS NULL THEN '{}' ELSE data || '{}' END",
    "CASE WHEN data ? 'a' THEN data ELSE '{}' END",
    'nullif(data, $1)',
    'coalesce($1, data)',
    'greatest(data, $1)',
    "(SELECT jsonb_set(t.data, '{a}', '1'))",
    "(SELECT data || '{}')",
    "(SELECT jsonb_set(t.data, '{a}', u.x) FROM u)",
    "(SELECT jsonb_object_agg(key, value) FROM jsonb_each(data) WHERE key <> 'a')",
    'ARRAY(SELECT x FROM unnest(t.data) AS x)',
    '(SELECT t.data UNION SELECT $1)',
    'row_to_json(t)',
    'to_jsonb(t.*)',
    'f(data)',
    'data',
    "JSON_OBJECT('a': data)",
    'ROW(data, 1)',
    'NOT data',
    "public.t.data || '{}'",
    "data['a']",
    'data COLLATE "C"',
  ])('%s does', (value) => {
    expect(assignments(`UPDATE public.t SET data = ${value}`)[0]).toMatch(/ old$/);
  });

  it.each<string>([
    "'{}'",
    '$1',
    'other',
    "other || '{}'",
    'u.data',
    "jsonb_set('{}', '{a}', '1')",
    "CASE WHEN data IS NULL THEN '{}' ELSE '{\"a\":1}' END",
    "CASE data WHEN '{}' THEN '[]' END",
    'nullif($1, data)',
    'data IS NULL',
    'data = $1',
    "data ? 'a'",
    'to_jsonb(data @> $1)',
    'jsonb_typeof(data)',
    'EXISTS (SELECT t.data)',
    '(SELECT data FROM u)',
    '(SELECT u.data FROM u WHERE u.id = t.id)',
    '(SELECT t.data FROM t WHERE t.id = 5)',
    '(SELECT x FROM u WHERE x = t.data)',
    '(SELECT data FROM u JOIN v ON true)',
    '(SELECT x FROM u ORDER BY t.data LIMIT 1)',
  ])('%s does not', (value) => {
    expect(assignments(`UPDATE public.t SET data = ${value}`)[0]).not.toMatch(/ old$/);
  });
});

describe('every form of SET', () => {
  it.each<[string, string[]]>([
    ['UPDATE t SET a = 1, b = DEFAULT', ['a constant', 'b default']],
    [`UPDATE t SET data['phone'] = '"1"'`, ['data(part) constant']],
    ["UPDATE t SET address.street = 'x'", ['address(part) constant']],
    ['UPDATE t SET (a, data) = ($1, $2::jsonb)', ['a parameter', 'data json']],
    ['UPDATE t SET (a, data) = ROW(a + 1, DEFAULT)', ['a expression old', 'data default']],
    ["UPDATE t SET (a, data) = (SELECT 1, t.data || '{}')", ['a expression', 'data json old']],
    ['UPDATE t SET (a, data) = (SELECT t.data, t.a)', ['a expression', 'data expression']],
    ['UPDATE t SET (a, data) = (SELECT u.a, u.data FROM u)', ['a expression', 'data expression']],
    ['UPDATE t SET (data) = ($1)', ['data parameter']],
    ["UPDATE t AS x SET data = x.data || '{}'", ['data json old']],
    ["UPDATE t AS x SET data = t.data || '{}' FROM t", ['data json']],
    ['UPDATE t SET data = u.data FROM u WHERE u.id = t.id', ['data expression']],
    ['UPDATE t SET data = t.data || u.data FROM u WHERE u.id = t.id', ['data expression old']],
    ['WITH x AS (UPDATE t SET data = $1 RETURNING 1) SELECT 1', ['data parameter']],
    ['INSERT INTO t (id, data) VALUES (1, $1)', []],
    ['INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING', []],
    ['INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET data = excluded.data', ['data expression']],
    [
      'INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET data = t.data || excluded.data',
      ['data expression old'],
    ],
    ["INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET data = data || '{}'", ['data json old']],
    [
      "INSERT INTO t AS x VALUES (1) ON CONFLICT (id) DO UPDATE SET data = x.data - 'a', n = 1",
      ['data expression old', 'n constant'],
    ],
    [
      'MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.x THEN UPDATE SET data = s.data WHEN MATCHED THEN UPDATE SET data = t.data || s.data WHEN NOT MATCHED THEN INSERT VALUES (1)',
      ['data expression', 'data expression old'],
    ],
    ['DELETE FROM t', []],
    ['SELECT 1', []],
  ])('%s', (sql, expected) => {
    expect(assignments(sql)).toEqual(expected);
  });

  it('says where each stands, in UTF-16 code units', () => {
    const sql = "UPDATE t SET näme = 'é', data = $1";
    expect(
      facts(sql).actions[0]?.assignments.map(({ offset }) => sql.slice(offset ?? 0).split(' ')[0]),
    ).toEqual(['näme', 'data']);
  });
});

describe('the columns that ALTER TABLE drops', () => {
  it.each<[string, string[][]]>([
    ['ALTER TABLE t DROP COLUMN a', [[], ['a']]],
    ['ALTER TABLE t DROP a CASCADE, ADD b int, DROP COLUMN IF EXISTS "C d"', [[], ['a'], ['C d']]],
    ['ALTER TABLE t DROP CONSTRAINT a', [[], []]],
    ['ALTER TYPE t DROP ATTRIBUTE a', [[], []]],
    ['ALTER TABLE t ADD COLUMN a int', [[]]],
  ])('%s', (sql, expected) => {
    expect(facts(sql).actions.map(({ columns }) => columns)).toEqual(expected);
  });
});
