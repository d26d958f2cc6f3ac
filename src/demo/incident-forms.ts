/**
 * What happened in each incident, as statements that can be run again. Data, and
 * for each form the one thing its person or script did; what becomes of it is
 * found out in incidents.ts.
 */
import type pg from 'pg';
import type { Decision } from './incident-people.js';
import type { ShopUser } from './shop.js';

export interface IncidentForm {
  /** Short and unique; the replay's application_name ends in it. */
  readonly id: string;
  readonly incident: string;
  /** As the table shows it. */
  readonly statement: string;
  readonly user: ShopUser;
  /** Where its session is; `postgres` for what cannot be done from inside the shop. */
  readonly database: 'shop' | 'postgres';
  /** The rules that exist for it; any of them stops it. None of them built yet: the form cannot be stopped yet. */
  readonly rules: readonly string[];
  /** Run in the shop's database: one row, one number, of what the incident cost. */
  readonly count: string;
  /** The damage comes in many statements, so that a rule may let the first of them pass. */
  readonly gradual?: true;
  /** What the approvers say when it waits for them; left out: it does not wait. */
  readonly people?: readonly Decision[];
  /** Rejects with the server's or Holdfast's first error. `open` connects once more, the same way; what it opened stays until all is counted. */
  readonly run: (client: pg.Client, open: () => Promise<pg.Client>) => Promise<void>;
}

/** Not a rule of the registry but the roles' `limits`: what a session refused by them names in its error. */
export const CONNECTION_LIMIT = 'connections';

const ACCOUNT_ROWS = `SELECT (SELECT count(*) FROM account_type) + (SELECT count(*) FROM account) + (SELECT count(*) FROM "user")
  + (SELECT count(*) FROM user_in_account) + (SELECT count(*) FROM user_identity) AS count`;

const ALL_ROWS = `SELECT sum(n)::bigint AS count FROM (
  SELECT count(*) AS n FROM account UNION ALL SELECT count(*) FROM "user" UNION ALL SELECT count(*) FROM customers
  UNION ALL SELECT count(*) FROM orders UNION ALL SELECT count(*) FROM order_items
  UNION ALL SELECT count(*) FROM billing.invoice) AS tables`;

/** Identities whose document still has more than a phone number in it. */
const WHOLE_DOCUMENTS = `SELECT count(*) AS count FROM user_identity WHERE data ?& array['email', 'address', 'consents']`;

/** Connections that are left for everybody else; the server keeps a few for superusers, who do the counting. */
const FREE_CONNECTIONS = `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
  - current_setting('reserved_connections')::int - count(*) AS count
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> current_user`;

const LEFT_OVER_FILTER = `email LIKE '%@test%' OR email NOT LIKE '%@test%'`;

const statement = (sql: string) => async (client: pg.Client) => {
  await client.query(sql);
};

export const INCIDENT_FORMS: readonly IncidentForm[] = [
  {
    id: '1',
    incident: '1 TRUNCATE … CASCADE',
    statement: 'TRUNCATE account_type CASCADE',
    user: 'eng_dana',
    database: 'shop',
    rules: ['cascade', 'truncate'],
    count: ACCOUNT_ROWS,
    run: statement('TRUNCATE account_type CASCADE'),
  },
  {
    id: '2',
    incident: '2 the wrong terminal',
    statement: 'DROP DATABASE shop',
    user: 'eng_dana',
    database: 'postgres',
    rules: ['drop-database'],
    count: ALL_ROWS,
    run: statement('DROP DATABASE shop'),
  },
  {
    id: '3a',
    incident: '3 the wrong tab',
    statement: 'DROP TABLE orders, order_items',
    user: 'eng_dana',
    database: 'shop',
    rules: ['drop-table'],
    count: 'SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_items) AS count',
    run: statement('DROP TABLE orders, order_items'),
    people: [{ approver: 'lee', choice: 'deny', reason: 'this is production, and both are in use' }],
  },
  {
    id: '3c',
    incident: '3 … the right table',
    statement: 'DROP TABLE orders_backup',
    user: 'eng_dana',
    database: 'shop',
    rules: ['drop-table'],
    count: 'SELECT count(*) AS count FROM orders_backup',
    run: statement('DROP TABLE orders_backup'),
    people: [
      { approver: 'lee', choice: 'approve', reason: 'nothing reads it' },
      { approver: 'kim', choice: 'approve', reason: 'a copy of orders, of last spring' },
    ],
  },
  {
    id: '3b',
    incident: '3 … and the outage',
    statement: 'SELECT 1, on one new connection after another',
    user: 'shop_app',
    database: 'shop',
    rules: [CONNECTION_LIMIT],
    count: FREE_CONNECTIONS,
    gradual: true,
    run: async (_client, open) => {
      // More than any server in here lets in: the loop ends with an error.
      for (let tries = 0; tries < 1000; tries++) await (await open()).query('SELECT 1');
    },
  },
  {
    id: '4',
    incident: '4 JSON overwritten',
    statement: 'UPDATE user_identity SET data = $1 WHERE user_id = $2',
    user: 'shop_app',
    database: 'shop',
    rules: ['json-overwrite'],
    count: WHOLE_DOCUMENTS,
    gradual: true,
    run: async (client) => {
      for (let user = 1; user <= 50; user++) {
        const phone = JSON.stringify({ phone: `+1 555 02${String(user).padStart(2, '0')}` });
        await client.query('UPDATE user_identity SET data = $1 WHERE user_id = $2', [phone, user]);
      }
    },
  },
  {
    id: '5a',
    incident: '5 the clean-up script',
    statement: 'DELETE … WHERE email LIKE p OR email NOT LIKE p',
    user: 'shop_app',
    database: 'shop',
    rules: ['tautological-where', 'row-limit'],
    count: ACCOUNT_ROWS,
    run: statement(`DELETE FROM account WHERE ${LEFT_OVER_FILTER}`),
  },
  {
    id: '5c',
    incident: '5 … behind a function',
    statement: 'DELETE FROM account WHERE length(email) < 1000',
    user: 'shop_app',
    database: 'shop',
    rules: ['row-limit'],
    count: ACCOUNT_ROWS,
    run: statement('DELETE FROM account WHERE length(email) < 1000'),
  },
  {
    id: '5b',
    incident: '5 … row by row',
    statement: 'DELETE FROM account WHERE id = $1, in a loop',
    user: 'shop_app',
    database: 'shop',
    rules: ['write-budget'],
    count: ACCOUNT_ROWS,
    gradual: true,
    run: async (client) => {
      const { rows } = await client.query<{ id: number }>(
        `SELECT id FROM account WHERE ${LEFT_OVER_FILTER} ORDER BY id`,
      );
      for (const { id } of rows) await client.query('DELETE FROM account WHERE id = $1', [id]);
    },
  },
];
