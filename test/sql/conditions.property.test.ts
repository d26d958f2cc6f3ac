/**
 * Soundness of the proofs, against a real server: whatever is called a tautology
 * holds for every row, but for the NULLs that it names.
 */
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyze } from '../../src/sql/analyze.js';
import type { Tautology } from '../../src/sql/facts.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { TAUTOLOGIES } from './conditions.table.js';
import { withParser } from './support.js';

withParser();

const SCHEMA = `
  CREATE TABLE u (id int, n int);
  INSERT INTO u VALUES (1, 1), (2, NULL), (NULL, 3);
  CREATE TABLE t (id int, n int, email text, name text, active bool, x float8, q numeric, data jsonb, tags int[]);
  INSERT INTO t
  SELECT id, n, s, CASE WHEN id = 5 THEN s END, (ARRAY[NULL, true, false])[1 + k % 3], x, x::numeric, NULL, NULL
  FROM (SELECT id, n, s, (row_number() OVER ())::int AS k
        FROM unnest(ARRAY[NULL, 0, 1, 2, 5, -1, 2000000000]) id,
             unnest(ARRAY[NULL, 0, 1]) n,
             unnest(ARRAY[NULL, '', 'a', 'A', E'new\\nline', '%']) s,
             generate_series(1, 4)) rows,
       LATERAL (SELECT (ARRAY[NULL, 'NaN', 'Infinity', '-Infinity', 0.5, 1e-20, 0.1]::float8[])[1 + k % 7] AS x) floats;
  UPDATE t SET name = coalesce(email, 'paid'), data = '{"a": null}', tags = '{1,2}' WHERE active;
`;

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase('conditions', SCHEMA);
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await database.drop();
});

function proofOf(condition: string): Tautology | null {
  const analysis = analyze(`DELETE FROM t WHERE ${condition}`);
  return analysis.kind === 'statements' ? (analysis.statements[0]?.actions[0]?.tautology ?? null) : null;
}

/** Conditions called tautologies that exclude a row outside of what they leave open. */
async function unsound(conditions: readonly string[]): Promise<string[]> {
  const claims = conditions.flatMap((condition) => {
    const proof = proofOf(condition);
    if (proof === null) return [];
    const columns = [...proof.unlessNull, ...proof.requiresNotNull.map(({ column }) => column)];
    const open = columns.map((column) => `"${column.replace(/^t\./, '')}" IS NOT NULL`);
    return [{ condition, test: `(${[...open, `(${condition}) IS NOT TRUE`].join(' AND ')})` }];
  });
  if (claims.length === 0) return [];
  const columns = claims.map(({ test }) => `bool_or(${test})`).join(', ');
  const { rows } = await client.query<unknown[]>({ text: `SELECT ${columns} FROM t`, rowMode: 'array' });
  return claims.filter((_, index) => rows[0]?.[index] !== false).map(({ condition }) => condition);
}

const number = fc.constantFrom('0', '1', '2', '3', '-1', '0.5', '1.0', '0.1', '2147483647', '5');
const numeric = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('id', 'n', 't.id', 'x', 'q') },
  { weight: 2, arbitrary: number },
  {
    weight: 1,
    arbitrary: fc.constantFrom('id + 1.0', 'length(email)', 'coalesce(id, 0)', 'nullif(n, 1)', 'NULL::int'),
  },
);
const string = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('email', 'name') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "'a'",
      "''",
      "'%'",
      "'new'",
      "'paid'",
      'lower(email)',
      "coalesce(name, '')",
      "email || 'x'",
    ),
  },
);
const comparison = fc.constantFrom(
  '=',
  '<>',
  '<',
  '<=',
  '>',
  '>=',
  'IS DISTINCT FROM',
  'IS NOT DISTINCT FROM',
);
const pattern = fc.constantFrom("'%'", "'%%'", "'a%'", "''", 'name', "'.*'");
const like = fc.constantFrom('LIKE', 'NOT LIKE', 'ILIKE', 'NOT ILIKE', '~~', '!~~');
const test = fc.constantFrom('IS NULL', 'IS NOT NULL');

const simple = fc.oneof(
  fc.tuple(numeric, comparison, numeric).map((parts) => parts.join(' ')),
  fc.tuple(fc.constantFrom('id', 'x', 'q'), comparison, number).map((parts) => parts.join(' ')),
  fc.tuple(string, comparison, string).map((parts) => parts.join(' ')),
  fc.tuple(string, like, pattern).map((parts) => parts.join(' ')),
  fc.tuple(numeric, test).map((parts) => parts.join(' ')),
  fc.tuple(string, test).map((parts) => parts.join(' ')),
  fc
    .tuple(numeric, fc.constantFrom('IN', 'NOT IN'), numeric, numeric)
    .map(([a, op, b, c]) => `${a} ${op} (${b}, ${c})`),
  fc
    .tuple(
      numeric,
      fc.constantFrom('BETWEEN', 'NOT BETWEEN', 'BETWEEN SYMMETRIC', 'NOT BETWEEN SYMMETRIC'),
      numeric,
      numeric,
    )
    .map(([a, op, b, c]) => `${a} ${op} ${b} AND ${c}`),
  fc
    .tuple(
      numeric,
      comparison.filter((op) => !op.startsWith('IS')),
      fc.constantFrom('ANY', 'ALL'),
      numeric,
      numeric,
    )
    .map(([a, op, kind, b, c]) => `${a} ${op} ${kind} (ARRAY[${b}, ${c}])`),
  fc.constantFrom(
    'active',
    'true',
    'false',
    'NULL::bool',
    'active = true',
    'active <> false',
    'active IS DISTINCT FROM true',
  ),
  fc.constantFrom(
    'EXISTS (SELECT 1)',
    'EXISTS (SELECT 1 WHERE id = 1)',
    'EXISTS (SELECT 1 FROM u WHERE u.id = t.id)',
    'id IN (SELECT id FROM u)',
    '(SELECT active)',
    'ROW(id, n) = ROW(id, n)',
    '(id, n) < (n, id)',
    '(id, n) IS NULL',
    "data->>'a' = data->>'a'",
  ),
);

const condition: fc.Arbitrary<string> = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, depthSize: 'medium' },
    simple,
    fc.tuple(tie('any'), fc.constantFrom('AND', 'OR'), tie('any')).map(([a, op, b]) => `(${a}) ${op} (${b})`),
    tie('any').map((inner) => `NOT (${inner})`),
    fc
      .tuple(
        tie('any'),
        fc.constantFrom(
          'TRUE',
          'NOT TRUE',
          'FALSE',
          'NOT FALSE',
          'UNKNOWN',
          'NOT UNKNOWN',
          'NULL',
          'NOT NULL',
        ),
      )
      .map(([inner, kind]) => `(${inner}) IS ${kind}`),
    // A condition and its opposite, and parts that are likely to meet.
    fc.tuple(tie('any'), tie('any')).map(([p, other]) => `(${p}) OR (${other}) OR NOT (${p})`),
    fc.tuple(tie('any'), tie('any')).map(([p, c]) => `((${p}) AND (${c})) OR NOT (${p}) OR NOT (${c})`),
    fc
      .tuple(fc.constantFrom('id', 'x', 'q', 'n'), comparison, number, comparison, number)
      .map(([c, op, a, other, b]) => `${c} ${op} ${a} OR ${c} ${other} ${b}`),
    fc.tuple(tie('any'), tie('any'), tie('any')).map(([a, b, c]) => `CASE WHEN ${a} THEN ${b} ELSE ${c} END`),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `coalesce(${a}, ${b})`),
  ),
})).any;

describe('soundness of the proofs', () => {
  it('holds for the table of tautologies', async () => {
    const known = TAUTOLOGIES.map(([text]) => text).filter((text) => !text.includes('$'));
    expect(await unsound(known)).toEqual([]);
  });

  it('holds for conditions at random', async () => {
    let proved = 0;
    let tried = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(condition, { minLength: 150, maxLength: 150, size: 'max' }),
        async (conditions) => {
          tried += conditions.length;
          proved += conditions.filter((text) => proofOf(text) !== null).length;
          expect(await unsound(conditions)).toEqual([]);
        },
      ),
      { numRuns: 10 },
    );
    expect(proved / tried).toBeGreaterThan(0.1);
  });
});
