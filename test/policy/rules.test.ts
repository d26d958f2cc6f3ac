/** Every rule on the examples of its page in docs/rules: the page says what the rule does, so it has to be true. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Catalog } from '../../src/catalog/catalog.js';
import type { Impact } from '../../src/impact/impact.js';
import { RULES, ruleById } from '../../src/policy/registry.js';
import type { Rule, RuleFinding } from '../../src/policy/rule.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { catalogOf } from '../catalog/hand-made.js';
import type { HandMadeCatalog } from '../catalog/hand-made.js';

const PAGES = new URL('../../docs/rules/', import.meta.url);

function page(rule: Rule): string {
  return readFileSync(new URL(`${rule.id}.md`, PAGES), 'utf8');
}

/** The lines of the SQL block below a heading: one text each. */
function examples(rule: Rule, heading: string): string[] {
  const section = page(rule).split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const block = /```sql\n(.*?)```/s.exec(section)?.[1] ?? '';
  return block.split('\n').filter((line) => line !== '');
}

/** The options of the YAML block on the page, which its examples are about. */
function options(rule: Rule): Record<string, unknown> {
  const block = /```yaml\n(.*?)```/s.exec(page(rule))?.[1];
  if (block === undefined) return rule.options.parse({});
  const { rules } = parse(block) as { rules: Record<string, Record<string, unknown>> };
  const { action: _action, ...own } = rules[rule.id] ?? {};
  return rule.options.parse(own);
}

/** The schema that the page's examples are about; null where they need none. */
function schema(rule: Rule): Catalog | null {
  const block = /```yaml schema\n(.*?)```/s.exec(page(rule))?.[1];
  return block === undefined ? null : catalogOf(parse(block) as HandMadeCatalog);
}

function findings(rule: Rule, sql: string): RuleFinding[] {
  const analysis = analyze(sql);
  if (analysis.kind !== 'statements') throw new Error(`${sql}: ${analysis.kind}: ${analysis.message}`);
  if (rule.measure !== undefined) {
    const impact = countedIn(sql);
    const measured = { subject: () => sql, role: 'app', statement: impact, transaction: impact };
    return [...rule.measure(measured, options(rule))];
  }
  const catalog = schema(rule);
  return analysis.statements.flatMap((statement, index) => [
    ...rule.check(
      {
        statement,
        index,
        count: analysis.statements.length,
        environment: 'production',
        databaseName: 'shop',
        catalog,
        catalogUnknown: 'text',
      },
      options(rule),
    ),
  ]);
}

/** What the comment behind an example says that the server counted: `account -300 of 300, user +2`. */
function countedIn(sql: string): Impact {
  const said = sql.split(' -- ')[1];
  if (said === undefined) throw new Error(`${sql} does not say what was counted`);
  return said.split(', ').map((table) => {
    const [, name = '', sign = '', rows = '', of] = /^(\w+) ([-~+])(\d+)(?: of (\d+))?$/.exec(table) ?? [];
    const count = (which: string): number => (sign === which ? Number(rows) : 0);
    return {
      schema: 'public',
      name,
      inserted: count('+'),
      updated: count('~'),
      deleted: count('-'),
      rows: of === undefined ? null : Number(of),
      emptied: false,
    };
  });
}

beforeAll(loadParser);

describe.each(RULES.map((rule) => [rule.id, rule] as const))('%s', (id, rule) => {
  it('has a page that says its default and shows examples of both kinds', () => {
    expect(existsSync(new URL(`${id}.md`, PAGES))).toBe(true);
    expect(page(rule)).toContain(`# \`${id}\`\n`);
    expect(page(rule)).toContain(`Default action: ${rule.defaultAction ?? 'none'}`);
    expect(examples(rule, 'Matches').length).toBeGreaterThan(0);
    expect(examples(rule, 'Does not match').length).toBeGreaterThan(0);
    for (const option of Object.keys(rule.options.shape))
      expect(page(rule)).toMatch(new RegExp(`^\\| \`${option}\` +\\|`, 'm'));
  });

  it.each(examples(rule, 'Matches'))('matches %s', (sql) => {
    const found = findings(rule, sql);
    expect(found).not.toEqual([]);
    for (const { message, hint, offset } of found) {
      expect(message).toMatch(/^\S.*\.$/);
      expect(hint).toMatch(/^\S.*\.$/);
      if (offset !== null) expect(offset).toBeLessThan(sql.length);
    }
  });

  it.each(examples(rule, 'Does not match'))('does not match %s', (sql) => {
    expect(findings(rule, sql)).toEqual([]);
  });
});

it('has no page of a rule that does not exist', () => {
  for (const name of readdirSync(PAGES)) {
    if (name !== 'README.md') expect(ruleById(name.replace(/\.md$/, '')), name).not.toBeNull();
  }
});

describe('messages', () => {
  const messageOf = (id: string, sql: string): string | undefined => {
    const rule = ruleById(id);
    if (rule === null) throw new Error(id);
    return findings(rule, sql)[0]?.message;
  };

  it.each([
    [
      'require-where',
      'DELETE FROM accounts',
      'DELETE on "accounts" has no WHERE clause, so it would empty the table.',
    ],
    [
      'require-where',
      'UPDATE s.t SET a = 1',
      'UPDATE on "s.t" has no WHERE clause, so it would change every row of the table.',
    ],
    [
      'require-where',
      'MERGE INTO accounts USING staged ON true WHEN MATCHED THEN DELETE',
      'The condition of MERGE into "accounts" is a constant, so it cannot tell one row from another: it would change or delete every row of the table.',
    ],
    [
      'tautological-where',
      "DELETE FROM users WHERE email LIKE '%@test%' OR email NOT LIKE '%@test%'",
      'The WHERE of DELETE on "users" excludes no row: "email" LIKE \'%@test%\' OR its opposite holds whatever "email" is; it would empty the table (except rows where "email" is null).',
    ],
    [
      'tautological-where',
      'UPDATE users SET active = $2 WHERE $1',
      'The WHERE of UPDATE on "users" is the same for every row, so it cannot tell one from another: it would change every row of the table, or do nothing.',
    ],
    [
      'json-overwrite',
      "UPDATE users SET data = '{}', name = 'Kim' WHERE id = 7",
      'UPDATE on "users" would replace the whole JSON document in "data": the new value does not build on the old one.',
    ],
    [
      'soft-delete',
      'DELETE FROM users WHERE id = 7',
      'DELETE on "users" removes rows for good, though the table marks them as deleted in "deleted_at".',
    ],
    [
      'opaque-code',
      'SELECT refresh_totals()',
      'SELECT calls refresh_totals(), which may write: the catalog calls it volatile.',
    ],
    [
      'opaque-code',
      'SELECT * FROM fresh_totals',
      'SELECT uses "fresh_totals", which calls refresh_totals(), which may write: the catalog calls it volatile.',
    ],
    [
      'cascade',
      'TRUNCATE account_type CASCADE',
      'TRUNCATE … CASCADE on "account_type" also empties every table that references it, however far.',
    ],
    [
      'cascade',
      'DROP TABLE account CASCADE',
      'DROP TABLE … CASCADE on "account" also drops everything that depends on it, however far.',
    ],
    [
      'drop-table',
      'DROP TABLE a, b',
      'DROP TABLE "a" and "b" would remove them from production, with what they hold.',
    ],
    [
      'drop-database',
      'DROP DATABASE shop',
      'DROP DATABASE "shop" would remove the whole database from production. No transaction can undo it.',
    ],
    [
      'protected-tables',
      'UPDATE invoices SET paid = true WHERE id = 7',
      '"invoices" is protected by "billing.invoices", and this statement would change it.',
    ],
  ])('%s on %s', (id, sql, message) => {
    expect(messageOf(id, sql)).toBe(message);
  });
});
