/** What rules make of a statement with a catalog, and where there is none: data for catalog-rules.test.ts. */
import { catalogOf } from '../catalog/hand-made.js';

export const SHOP = catalogOf({
  tables: {
    'public.account_type': { columns: { id: 'not null', name: '' }, rows: 4 },
    'public.account': {
      columns: { id: 'not null', email: 'not null', note: '', deleted_at: '' },
      rows: 12_345,
      references: { 'public.account_type': 'no_action' },
    },
    'public.user': {
      columns: { id: 'not null' },
      rows: 2_400_000,
      references: { 'public.account': 'cascade' },
    },
    'public.user_identity': {
      columns: { id: 'not null', data: 'json', name: '' },
      references: { 'public.user': 'cascade' },
    },
    'public.audit_event': {
      columns: { id: 'not null', account_id: '' },
      references: { 'public.account': 'set_null' },
    },
    'public.orders': { columns: { id: 'not null', total: '' }, rows: 2000 },
    'billing.invoice': {
      columns: { id: 'not null', paid: '' },
      rows: 2000,
      references: { 'public.orders': { onDelete: 'no_action', onUpdate: 'cascade', name: 'invoice_order' } },
    },
    'public.measures': { kind: 'partitioned_table', columns: { id: '' }, rows: 10 },
    'audit.measures_old': { childOf: 'public.measures', columns: { id: '' }, rows: 10 },
    'crm.contact': { columns: { id: 'not null', profile: 'json' } },
    'public.contact': { columns: { id: '', profile: '' } },
  },
  views: {
    'public.unpaid': { columns: { id: '', paid: '' }, reads: ['billing.invoice'] },
    'public.unpaid_again': { columns: { id: '' }, reads: ['public.unpaid'] },
    'public.refreshing': { columns: { id: '' }, reads: ['public.orders'], calls: ['app.refresh'] },
    'public.stored': { columns: { id: '' }, calls: ['app.refresh'], materialized: true },
  },
  functions: [
    { name: 'app.refresh' },
    { name: 'public.touch', fewest: 1, most: 2 },
    { name: 'public.lower', fewest: 2 },
    { name: 'public.total', fewest: 1 },
    { name: 'public.price', volatility: 'stable', fewest: 1 },
    { name: 'public.sum_up', fewest: 1, most: null },
    { name: 'public.gen_salt', extension: 'pgcrypto', fewest: 1 },
    { name: 'crm.gen_salt', fewest: 2 },
    { name: 'public.close_day', kind: 'procedure' },
  ],
});

/** `known`: with SHOP; `strict`: it could not be read; `text`: nobody asked a server. true: the rule matches. */
export interface CatalogCase {
  readonly rule: string;
  readonly sql: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly known: boolean;
  readonly strict: boolean;
  readonly text: boolean;
}

const cases = (
  rule: string,
  options: Readonly<Record<string, unknown>>,
  [known, strict, text]: readonly [boolean, boolean, boolean],
  statements: readonly string[],
): CatalogCase[] => statements.map((sql) => ({ rule, options, sql, known, strict, text }));

const BILLING = { tables: ['billing.*', 'audit_*'] };

export const CASES: readonly CatalogCase[] = [
  ...cases(
    'tautological-where',
    {},
    [true, true, false],
    [
      'DELETE FROM account WHERE email IS NOT NULL',
      'UPDATE public.account SET note = 1 WHERE id IS NOT NULL AND account.email IS NOT NULL',
      // In crm it is declared NOT NULL.
      'DELETE FROM contact WHERE id IS NOT NULL',
    ],
  ),
  ...cases(
    'tautological-where',
    {},
    [false, true, false],
    [
      'DELETE FROM account WHERE note IS NOT NULL',
      'DELETE FROM public.contact WHERE id IS NOT NULL',
      'DELETE FROM scratch WHERE id IS NOT NULL',
    ],
  ),
  ...cases(
    'tautological-where',
    {},
    [true, true, true],
    ['DELETE FROM account WHERE id = id', 'DELETE FROM account WHERE $1'],
  ),
  ...cases(
    'tautological-where',
    {},
    [false, false, false],
    [
      'DELETE FROM account WHERE id = 7',
      'DELETE FROM account',
      'SELECT 1 FROM account WHERE email IS NOT NULL',
    ],
  ),

  ...cases(
    'json-overwrite',
    {},
    [true, true, false],
    [
      'UPDATE user_identity SET data = $1 WHERE id = 7',
      'UPDATE user_identity SET data = NULL WHERE id = 7',
      'UPDATE user_identity SET data = DEFAULT WHERE id = 7',
      'UPDATE user_identity u SET (name, data) = (SELECT name, other FROM staged WHERE id = u.id) WHERE id = 7',
      'INSERT INTO user_identity (id, data) VALUES (7, $1) ON CONFLICT (id) DO UPDATE SET data = EXCLUDED.data',
      'MERGE INTO user_identity u USING staged s ON u.id = s.id WHEN MATCHED THEN UPDATE SET data = s.data',
      'UPDATE contact SET profile = $1 WHERE id = 7',
    ],
  ),
  ...cases('json-overwrite', {}, [true, true, true], ["UPDATE user_identity SET data = '{}' WHERE id = 7"]),
  // A temporary table: the text alone tells.
  ...cases('json-overwrite', {}, [true, true, true], ["UPDATE scratch SET data = '{}' WHERE id = 7"]),
  ...cases(
    'json-overwrite',
    {},
    [false, true, false],
    [
      'UPDATE user_identity SET name = $1 WHERE id = 7',
      'UPDATE public.contact SET profile = $1 WHERE id = 7',
      'UPDATE scratch SET data = $1 WHERE id = 7',
    ],
  ),
  ...cases(
    'json-overwrite',
    {},
    [false, false, false],
    [
      "UPDATE user_identity SET data = data || '{}' WHERE id = 7",
      "UPDATE user_identity SET data['a'] = '1' WHERE id = 7",
      'INSERT INTO user_identity (id, data) VALUES (7, $1)',
    ],
  ),

  ...cases(
    'soft-delete',
    {},
    [true, true, false],
    ['DELETE FROM account WHERE id = 7', 'TRUNCATE public.account'],
  ),
  ...cases('soft-delete', {}, [false, true, false], ['DELETE FROM orders WHERE id = 7']),
  ...cases('soft-delete', { columns: ['note'] }, [true, true, false], ['DELETE FROM account WHERE id = 7']),
  ...cases('soft-delete', { columns: ['gone'] }, [false, true, false], ['DELETE FROM account WHERE id = 7']),
  ...cases('soft-delete', {}, [false, false, false], ['UPDATE account SET deleted_at = now() WHERE id = 7']),

  ...cases('opaque-code', {}, [true, true, false], ['SELECT app.refresh()']),
  ...cases(
    'opaque-code',
    {},
    [true, false, false],
    [
      'SELECT touch(1)',
      'SELECT touch(1, 2)',
      'SELECT sum_up(VARIADIC ARRAY[1])',
      'SELECT sum_up(1, 2, 3)',
      "SELECT lower('a', 'b')",
      'SELECT * FROM refreshing',
      'INSERT INTO orders SELECT * FROM refreshing',
      'DELETE FROM refreshing WHERE id = 7',
      'REFRESH MATERIALIZED VIEW stored',
      "SELECT gen_salt('a', 7)",
      'SELECT u.total FROM orders u, account',
    ],
  ),
  ...cases(
    'opaque-code',
    {},
    [true, true, true],
    ['CALL close_day()', "DO $$ BEGIN EXECUTE 'x' || y; END $$"],
  ),
  ...cases(
    'opaque-code',
    { functions: ['app.*', 'touch', 'close_day'] },
    [false, false, false],
    [
      'SELECT app.refresh()',
      'SELECT refresh() FROM refreshing',
      'SELECT public.touch(1)',
      'CALL close_day()',
      'CALL public.close_day()',
    ],
  ),
  ...cases('opaque-code', { functions: ['public.close_day'] }, [false, true, true], ['CALL close_day()']),
  ...cases(
    'opaque-code',
    { functions: ['other.close_day', 'f'] },
    [true, true, true],
    ['CALL close_day()', 'CALL public.close_day()', 'CALL elsewhere(f())'],
  ),
  ...cases(
    'opaque-code',
    {},
    [false, false, false],
    [
      'SELECT 1',
      'SELECT touch()',
      'SELECT touch(1, 2, 3)',
      'SELECT price(1), lower(name), now() FROM account_type',
      "SELECT gen_salt('bf')",
      'SELECT o.total FROM orders o',
      'SELECT * FROM stored',
      'SELECT pg_catalog.now()',
      'DROP VIEW refreshing',
      'INSERT INTO orders VALUES (1)',
    ],
  ),

  ...cases(
    'protected-tables',
    BILLING,
    [true, true, true],
    [
      'UPDATE invoice SET paid = true WHERE id = 7',
      'DROP SCHEMA billing',
      'ALTER TABLE audit_event ADD COLUMN a int',
      // Nothing of the name is known.
      'INSERT INTO newcomer VALUES (1)',
    ],
  ),
  ...cases(
    'protected-tables',
    BILLING,
    [false, true, true],
    [
      'INSERT INTO orders VALUES (1, 2)',
      "UPDATE user_identity SET name = 'Kim' WHERE id = 7",
      'UPDATE account SET note = 1 WHERE id = 7',
      'UPDATE orders SET total = 1 WHERE id = 7',
      'DELETE FROM orders WHERE id = 7',
      'TRUNCATE orders',
    ],
  ),
  ...cases(
    'protected-tables',
    BILLING,
    [false, false, false],
    [
      'SELECT * FROM invoice',
      'DELETE FROM public.user_identity WHERE id = 7',
      'UPDATE public.contact SET id = 1 WHERE id = 7',
      'CREATE VIEW public.v AS SELECT * FROM billing.invoice',
      'DROP VIEW public.unpaid_again',
    ],
  ),
  // What no name shows.
  ...cases(
    'protected-tables',
    BILLING,
    [true, false, false],
    [
      'UPDATE public.unpaid SET paid = true WHERE id = 7',
      'DELETE FROM public.unpaid_again WHERE id = 7',
      'DELETE FROM public.account WHERE id = 7',
      'UPDATE public.orders SET id = 8 WHERE id = 7',
      'TRUNCATE public.orders CASCADE',
      'DROP TABLE public.orders CASCADE',
      'DROP SCHEMA public CASCADE',
      'MERGE INTO public.account a USING public.orders o ON a.id = o.id WHEN MATCHED THEN DELETE',
    ],
  ),
  ...cases(
    'protected-tables',
    { tables: ['audit.*'] },
    [true, false, false],
    ['DELETE FROM public.measures WHERE id = 7', 'TRUNCATE public.measures', 'DROP TABLE public.measures'],
  ),
  ...cases(
    'protected-tables',
    { tables: ['public.measures'] },
    [true, false, false],
    ['DELETE FROM audit.measures_old WHERE id = 7', 'DROP TABLE audit.measures_old'],
  ),
];

/** What the DETAIL says with SHOP. */
export const DETAILS: readonly (readonly [rule: string, sql: string, detail: string | undefined])[] = [
  [
    'cascade',
    'TRUNCATE account_type CASCADE',
    'It would also empty "audit_event" (an unknown number of rows), "user_identity" (an unknown number of rows), "user" (about 2.4 million rows) and "account" (about 12,300 rows).',
  ],
  [
    'cascade',
    'TRUNCATE contact CASCADE',
    'By the foreign keys that Holdfast knows it would empty no other table.',
  ],
  [
    'cascade',
    'DROP TABLE orders CASCADE',
    'It would also drop the view "refreshing" and the foreign key "invoice_order" of "billing.invoice".',
  ],
  [
    'cascade',
    'DROP SCHEMA billing CASCADE',
    'It would drop from "billing" 1 table: "billing.invoice" (about 2,000 rows). Outside of it: the views "unpaid" and "unpaid_again".',
  ],
  [
    'cascade',
    'DROP FUNCTION app.refresh() CASCADE',
    'It would also drop the views "refreshing" and "stored".',
  ],
  ['cascade', 'DROP TYPE mood CASCADE', undefined],
  ['truncate', 'TRUNCATE account_type', '"account_type" holds about 4 rows.'],
  [
    'drop-table',
    'DROP TABLE user_identity',
    '"user_identity" holds an unknown number of rows. No foreign key that Holdfast knows of references it.',
  ],
  [
    'drop-table',
    'DROP TABLE account_type',
    '"account_type" holds about 4 rows. PostgreSQL refuses it without CASCADE, for the foreign key "account_account_type_fkey" of "account".',
  ],
  [
    'drop-table',
    'DROP TABLE account, orders',
    'They hold: "account" (about 12,300 rows) and "orders" (about 2,000 rows). PostgreSQL refuses it without CASCADE, for the foreign keys "user_account_fkey" of "user", "audit_event_account_fkey" of "audit_event" and "invoice_order" of "billing.invoice".',
  ],
  ['drop-table', 'DROP VIEW unpaid', undefined],
];
