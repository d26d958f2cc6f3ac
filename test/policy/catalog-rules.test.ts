/** Rules that ask the catalog: with one, without one before a server, and without a server. */
import { beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../../src/policy/engine.js';
import { RULES, ruleById } from '../../src/policy/registry.js';
import type { RuleFinding } from '../../src/policy/rule.js';
import type { JudgingScope, Role } from '../../src/policy/types.js';
import { rowsInWords } from '../../src/policy/words.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { catalogOf } from '../catalog/hand-made.js';
import { CASES, DETAILS, SHOP } from './catalog-cases.js';
import { CONTEXT, role } from './hand-made.js';

const SCOPES = {
  known: { ...CONTEXT, catalog: SHOP },
  strict: { ...CONTEXT, catalogUnknown: 'strict' },
  text: CONTEXT,
} satisfies Record<string, JudgingScope>;

function findings(
  id: string,
  sql: string,
  scope: JudgingScope,
  options: Readonly<Record<string, unknown>> = {},
): readonly RuleFinding[] {
  const rule = ruleById(id);
  if (rule === null) throw new Error(id);
  const analysis = analyze(sql);
  if (analysis.kind !== 'statements') throw new Error(`${sql}: ${analysis.message}`);
  const parsed = rule.options.parse(options);
  return analysis.statements.flatMap((statement, index) =>
    rule.check(
      {
        statement,
        index,
        count: analysis.statements.length,
        environment: scope.environment,
        databaseName: scope.database,
        catalog: scope.catalog,
        catalogUnknown: scope.catalogUnknown,
      },
      parsed,
    ),
  );
}

beforeAll(loadParser);

describe.each(['known', 'strict', 'text'] as const)('catalog: %s', (how) => {
  it.each(CASES.map((one) => [one[how] ? 'matches' : 'does not match', one.rule, one.sql, one] as const))(
    '%s: %s on %s',
    (_word, id, sql, one) => {
      const found = findings(id, sql, SCOPES[how], one.options);
      expect(found.length > 0).toBe(one[how]);
      for (const { message, hint, detail } of found) {
        expect(message).toMatch(/^\S.*\.$/);
        expect(hint).toMatch(/^\S.*\.$/);
        if (detail !== undefined) expect(detail).toMatch(/^\S.*\.$/);
      }
    },
  );
});

it('has cases of both kinds for every rule that asks the catalog', () => {
  const asking = ['tautological-where', 'json-overwrite', 'soft-delete', 'opaque-code', 'protected-tables'];
  for (const id of asking) {
    const own = CASES.filter(({ rule }) => rule === id);
    expect(
      own.some(({ known }) => known),
      id,
    ).toBe(true);
    expect(
      own.some(({ known }) => !known),
      id,
    ).toBe(true);
  }
  for (const { rule } of CASES) expect(RULES.map(({ id }) => id)).toContain(rule);
});

describe('the DETAIL', () => {
  it.each(DETAILS)('%s on %s', (id, sql, detail) => {
    expect(findings(id, sql, SCOPES.known)[0]?.detail).toBe(detail);
  });

  it('says what could not be named, before a server only', () => {
    expect(findings('cascade', 'TRUNCATE a CASCADE', SCOPES.strict)[0]?.detail).toMatch(/could not be named/);
    expect(findings('cascade', 'TRUNCATE a CASCADE', SCOPES.text)[0]?.detail).toBeUndefined();
  });

  it('lists at most twenty tables, the largest first', () => {
    const many = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [
        `public.t${String(n)}`,
        { rows: n + 1, references: { 'public.top': 'cascade' as const } },
      ]),
    );
    const catalog = catalogOf({ tables: { 'public.top': {}, ...many } });
    const detail = findings('cascade', 'TRUNCATE top CASCADE', { ...CONTEXT, catalog })[0]?.detail;
    expect(detail).toMatch(
      /^It would also empty "t29" \(about 30 rows\), .*"t10" \(about 11 rows\) and 10 more\.$/,
    );
  });
});

it.each([
  [null, 'an unknown number of rows'],
  [0, 'no rows when last counted'],
  [1, 'about 1 row'],
  [999, 'about 999 rows'],
  [12_345, 'about 12,300 rows'],
  [999_499, 'about 999,000 rows'],
  [1_234_567, 'about 1.23 million rows'],
  [40_000_000, 'about 40 million rows'],
  [7_800_000_000, 'about 7.8 billion rows'],
])('%s rows: %s', (rows, words) => {
  expect(rowsInWords(rows)).toBe(words);
});

it.each([
  ['DELETE FROM account WHERE id = 7', 'UPDATE "account" SET "deleted_at" = now() WHERE …'],
  ['TRUNCATE public.account', 'UPDATE "public"."account" SET "deleted_at" = now().'],
])('soft-delete shows what to do instead of %s', (sql, update) => {
  expect(findings('soft-delete', sql, SCOPES.known)[0]?.hint).toContain(update);
});

it('json-overwrite shows jsonb_set and || with the column', () => {
  const update = findings(
    'json-overwrite',
    'UPDATE user_identity SET data = $1 WHERE id = 7',
    SCOPES.known,
  )[0];
  expect(update?.hint).toContain('SET "data" = jsonb_set("data", ');
  expect(update?.hint).toContain('SET "data" = "data" || ');
  const conflict = 'INSERT INTO user_identity VALUES (1) ON CONFLICT (id) DO UPDATE SET data = EXCLUDED.data';
  expect(findings('json-overwrite', conflict, SCOPES.known)[0]?.hint).toContain('"user_identity"."data" || ');
});

it('protected-tables says by which way a table is reached', () => {
  const options = { tables: ['billing.*', 'audit_*'] };
  const said = (sql: string): string[] =>
    findings('protected-tables', sql, SCOPES.known, options).map(({ message }) => message);
  expect(said('DELETE FROM account WHERE id = 7')).toEqual([
    'By the foreign key "audit_event_account_fkey" of "audit_event" DELETE on "account" would also change rows of "public.audit_event", which "audit_*" protects.',
  ]);
  expect(said('UPDATE unpaid SET paid = true WHERE id = 7')).toEqual([
    'UPDATE on "unpaid" would also change rows of "billing.invoice", which "billing.*" protects.',
  ]);
  expect(said('TRUNCATE orders CASCADE')).toEqual([
    'TRUNCATE … CASCADE on "orders" would also empty "billing.invoice", which "billing.*" protects.',
  ]);
});

describe('access and functions that may write', () => {
  const reader = (functions: readonly string[] = []): Role =>
    role({
      name: 'everyone',
      access: 'read',
      rules: { 'opaque-code': { action: 'allow', options: { functions } } },
    });
  const verdict = (sql: string, who: Role): string => judge(analyze(sql), who, SCOPES.known).verdict;

  it('needs write access, whatever the action of opaque-code', () => {
    const judgement = judge(analyze('SELECT app.refresh()'), reader(), SCOPES.known);
    expect(judgement.verdict).toBe('deny');
    expect(judgement.decisive?.rule).toBe('access');
    expect(judgement.decisive?.message).toContain('calls app.refresh(), which may write');
    expect(verdict('SELECT * FROM refreshing', reader())).toBe('deny');
  });

  it('does not for what is listed, stable, of PostgreSQL or known to be harmless', () => {
    expect(verdict('SELECT app.refresh()', reader(['app.*']))).toBe('allow');
    expect(verdict('SELECT * FROM refreshing', reader(['refresh']))).toBe('allow');
    expect(verdict('SELECT price(1), now(), count(*) FROM orders', reader())).toBe('allow');
    expect(verdict("SELECT gen_salt('bf')", reader())).toBe('allow');
  });

  it('is no question for a role that writes', () => {
    const writer = role({ access: 'write', rules: { 'opaque-code': { action: 'allow', options: {} } } });
    expect(verdict('SELECT app.refresh()', writer)).toBe('allow');
  });
});

describe('usedCatalog', () => {
  const used = (sql: string): boolean =>
    judge(analyze(sql), role({ access: 'write' }), SCOPES.known).usedCatalog;

  it.each(['SELECT 1', 'BEGIN', 'SET a.b = 1', 'INSERT INTO orders VALUES (1)', 'COPY orders FROM STDIN'])(
    'not for %s',
    (sql) => {
      expect(used(sql)).toBe(false);
    },
  );

  it.each([
    'SELECT touch(1)',
    'SELECT * FROM orders',
    'UPDATE orders SET total = 1 WHERE id = 7',
    'TRUNCATE orders',
  ])('for %s', (sql) => {
    expect(used(sql)).toBe(true);
  });
});
