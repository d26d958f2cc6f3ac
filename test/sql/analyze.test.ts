/** analyze() as a whole: errors, limits, and that nothing makes it throw. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyze, INLINE_LIMIT_BYTES } from '../../src/sql/analyze.js';
import { ACCESS_LEVELS, EFFECTS, type Analysis } from '../../src/sql/facts.js';
import { withParser } from './support.js';

withParser();

describe('syntax errors', () => {
  it.each<[string, string, number | null]>([
    ['SELEC 1', 'syntax error at or near "SELEC"', 1],
    ['SELECT 1 FRM t x', 'syntax error at or near "t"', 14],
    // Positions count characters, not bytes and not UTF-16 units.
    ["SELECT 'é€😀' x y", 'syntax error at or near "y"', 16],
    ['SELECT (', 'syntax error at end of input', 9],
    ["SELECT 'a", 'unterminated quoted string at or near "\'a"', 8],
    ['SELECT 1; DELETE FORM t', 'syntax error at or near "FORM"', 18],
    ["SELECT E'\\xff'", 'invalid byte sequence for encoding "UTF8": 0xff', null],
    ['SELECT ?', 'syntax error at end of input', 9],
    ['\\d', 'syntax error at or near "\\"', 1],
  ])('%s', (sql, message, position) => {
    expect(analyze(sql)).toEqual({ kind: 'syntax_error', message, position });
  });

  it('one statement that does not parse refuses the whole text', () => {
    expect(analyze('DROP TABLE t; SELEC 1').kind).toBe('syntax_error');
  });
});

/** Shapes of nesting, each about so many bytes long and as deep as it can be. */
const NESTINGS: Record<string, (bytes: number) => string> = {
  sum: (bytes) => `SELECT 1${'+1'.repeat(bytes / 2)}`,
  parentheses: (bytes) => `SELECT ${'('.repeat(bytes / 2)}1${')'.repeat(bytes / 2)}`,
  arrays: (bytes) => `SELECT ARRAY${'['.repeat(bytes / 2)}1${']'.repeat(bytes / 2)}`,
  negations: (bytes) => `SELECT ${'- '.repeat(bytes / 2)}a`,
  nots: (bytes) => `SELECT ${'NOT '.repeat(bytes / 4)}a`,
  casts: (bytes) => `SELECT a${'::a'.repeat(bytes / 3)}`,
  subqueries: (bytes) => `SELECT ${'(SELECT '.repeat(bytes / 9)}1${')'.repeat(bytes / 9)}`,
  calls: (bytes) => `SELECT ${'f('.repeat(bytes / 3)}${')'.repeat(bytes / 3)}`,
  rows: (bytes) => `SELECT ${'('.repeat(bytes / 4)}1${',1)'.repeat(bytes / 4)}`,
  unions: (bytes) => `TABLE a${' UNION TABLE a'.repeat(bytes / 14)}`,
  ctes: (bytes) => `${'WITH a AS('.repeat(bytes / 20)}TABLE a${')TABLE a'.repeat(bytes / 20)}`,
  operators: (bytes) => `SELECT ${'@ '.repeat(bytes / 2)}1`,
  statements: (bytes) => 'SELECT 1;'.repeat(bytes / 9),
};

describe('depth', () => {
  it.each(Object.entries(NESTINGS))(
    '%s: everything up to the inline limit is analysed in place',
    (_name, make) => {
      const sql = make(INLINE_LIMIT_BYTES - 20);
      expect(Buffer.byteLength(sql)).toBeLessThanOrEqual(INLINE_LIMIT_BYTES);
      expect(analyze(sql).kind).toBe('statements');
    },
  );

  it('what is too deep is an answer, and the next statement is analysed as ever', async () => {
    const tooDeep = analyze(`SELECT 1${'+1'.repeat(100_000)}`);
    expect(tooDeep).toMatchObject({ kind: 'too_complex', sqlstate: '54001' });
    // The parser is loaded anew after such an accident, and refuses until it is.
    await expect.poll(() => analyze('DELETE FROM t').kind).toBe('statements');
    expect(analyze('SELEC').kind).toBe('syntax_error');
    expect(analyze(`SELECT ${'('.repeat(100_000)}`)).toMatchObject({
      kind: 'too_complex',
      sqlstate: '54001',
    });
    expect(analyze('SELECT 1').kind).toBe('statements');
  });
});

/** What an Analysis must look like, whatever the text was. */
function expectWellFormed(sql: string, analysis: Analysis): void {
  // It crosses thread boundaries by structured clone, and is kept in caches.
  expect(structuredClone(analysis)).toEqual(analysis);
  if (analysis.kind !== 'statements') return;
  expect(analysis.statements.length).toBeGreaterThan(0);
  for (const statement of analysis.statements) {
    expect(statement.operation).toMatch(/^[a-z][a-z_]*$/);
    expect(statement.span[0]).toBeGreaterThanOrEqual(0);
    expect(statement.span[1]).toBeLessThanOrEqual(sql.length);
    expect(statement.effects).toEqual(EFFECTS.filter((effect) => statement.effects.includes(effect)));
    if (statement.operation === 'empty') continue;
    expect(statement.actions.length).toBeGreaterThan(0);
    expect(statement.needs.length).toBeGreaterThan(0);
    for (const { access, offset } of statement.needs) {
      expect(ACCESS_LEVELS).toContain(access);
      if (offset !== null) expect(offset).toBeLessThan(sql.length);
    }
    // What writes can never need less than write access.
    const level = Math.max(...statement.needs.map((need) => ACCESS_LEVELS.indexOf(need.access)));
    const writes = statement.effects.some((effect) => effect === 'write' || effect === 'opaque');
    if (writes) expect(level).toBeGreaterThanOrEqual(ACCESS_LEVELS.indexOf('write'));
    if (statement.effects.includes('ddl')) expect(level).toBeGreaterThanOrEqual(ACCESS_LEVELS.indexOf('ddl'));
    if (statement.effects.includes('admin')) expect(level).toBe(ACCESS_LEVELS.indexOf('admin'));
    for (const [start, end] of statement.secrets) expect(start).toBeLessThan(end);
  }
}

const CORPUS = [
  'SELECT a.b, count(*) FROM t a JOIN u USING (id) WHERE x = $1 GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 LIMIT 3',
  'WITH d AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT * FROM d',
  "INSERT INTO t (a, b) VALUES (1, 'x'), (2, E'\\'') ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING id",
  'MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.a THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)',
  'CREATE TABLE IF NOT EXISTS t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text DEFAULT now(), CHECK (a > 1))',
  'ALTER TABLE t DROP COLUMN a CASCADE, ALTER b TYPE int USING b::int, ADD CONSTRAINT c FOREIGN KEY (b) REFERENCES u',
  'CREATE FUNCTION f(a int DEFAULT 1) RETURNS TABLE (x int) LANGUAGE sql SET search_path = a AS $$ SELECT 1 $$',
  'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC DELETE FROM t; SELECT 1; END',
  "COPY (SELECT 1) TO PROGRAM 'x' WITH (FORMAT csv, HEADER)",
  "EXPLAIN (ANALYZE, FORMAT json) UPDATE t SET a = set_config('role', 'x', false)",
  "CREATE ROLE r PASSWORD 'é' VALID UNTIL 'x'; SET TIME ZONE INTERVAL '1' HOUR TO MINUTE; SET TRANSACTION READ WRITE",
  "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM JSON_TABLE(a, '$' COLUMNS (x int PATH '$.x')) j",
  'GRANT SELECT (a) ON t TO u WITH GRANT OPTION; REVOKE r FROM u CASCADE; DROP FUNCTION f(int), g(text) CASCADE',
  'CREATE RULE r AS ON UPDATE TO t DO INSTEAD (DELETE FROM u; NOTIFY x); DO $$ BEGIN END $$; CALL p(1)',
];

/** The caller guarantees valid UTF-8, in which these cannot be. */
const LONE_SURROGATES = /\p{Surrogate}/gu;

describe('properties', () => {
  it('never throws, on any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const sql = text.replaceAll('\0', '').replace(LONE_SURROGATES, '');
        expectWellFormed(sql, analyze(sql));
      }),
      { numRuns: 500 },
    );
  });

  it('never throws, on statements cut, spliced and peppered', () => {
    const words = CORPUS.flatMap((sql) => sql.split(/\b/)).concat([
      ';',
      '(',
      ')',
      "'",
      '$$',
      '--',
      '/*',
      'é',
      '😀',
    ]);
    const mutation = fc.record({
      sql: fc.constantFrom(...CORPUS),
      other: fc.constantFrom(...CORPUS),
      at: fc.nat(200),
      length: fc.nat(30),
      word: fc.constantFrom(...words),
      how: fc.constantFrom('delete', 'insert', 'splice', 'join'),
    });
    fc.assert(
      fc.property(mutation, ({ sql, other, at, length, word, how }) => {
        const place = at % sql.length;
        const mutated = {
          delete: sql.slice(0, place) + sql.slice(place + length),
          insert: `${sql.slice(0, place)} ${word} ${sql.slice(place)}`,
          splice: sql.slice(0, place) + other.slice(place),
          join: `${sql}; ${other}`,
        }[how].replace(LONE_SURROGATES, '');
        expectWellFormed(mutated, analyze(mutated));
      }),
      { numRuns: 3000 },
    );
  });

  it('finds a hidden write behind any harmless statements', () => {
    const harmless = fc.constantFrom(
      'SELECT 1',
      'BEGIN',
      "SELECT '; --'",
      '',
      'COMMIT',
      '/* ; */',
      'SELECT $$;$$',
    );
    fc.assert(
      fc.property(
        fc.array(harmless, { maxLength: 6 }),
        fc.array(harmless, { maxLength: 6 }),
        (before, after) => {
          const sql = [...before, 'DELETE FROM t', ...after].join('; ');
          const analysis = analyze(sql);
          if (analysis.kind !== 'statements') throw new Error(sql);
          const actions = analysis.statements.flatMap((statement) => statement.actions);
          expect(actions.filter((action) => action.operation === 'delete')).toHaveLength(1);
        },
      ),
    );
  });
});
