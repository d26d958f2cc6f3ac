/** Holds as they come in practice, for pictures of the page. */
import type { Subject } from '../../src/holds/hold.js';
import { request } from '../holds/support.js';

type Request = ReturnType<typeof request>;

const MINUTE = 60_000;

function scene(id: string, timeoutMs: number, subject: Partial<Subject>, approvals = 2): Request {
  return request({ id, timeoutMs, approvals, groups: ['dba', 'oncall'], subject });
}

/** @param now milliseconds since 1970 */
export function scenes(now: number): { readonly one: Request; readonly others: readonly Request[] } {
  const one = scene('3md7dn6tkk', 58_000, {
    sql: [
      '-- clean up accounts that nobody has used for two years',
      'DELETE FROM account',
      'WHERE id IN (',
      '  SELECT a.id FROM account a',
      '  LEFT JOIN "user" u ON u.home_account_id = a.id',
      '  WHERE u.last_login < $1::timestamptz OR u.last_login IS NULL',
      ')',
      '  AND name NOT LIKE $2;',
    ].join('\n'),
    operations: ['delete'],
    user: 'eng_dana_m',
    application: 'psql',
    client: '10.0.4.17:51724',
    parameters: [
      { type: 1184, format: 0, value: Buffer.from('2024-11-20 00:00:00+00') },
      { type: 25, format: 0, value: Buffer.from('%(keep)%') },
    ],
    inTransaction: { since: now - 95_000, statements: 3 },
    matches: [
      {
        rule: 'protected-tables',
        action: 'hold',
        message: 'DELETE from "account", which "account" protects.',
        hint: 'Mark accounts as closed instead; the nightly job removes them.',
        detail: 'By foreign keys it also deletes rows of "user", "user_in_account" and "user_identity".',
      },
    ],
    relations: [
      { schema: 'public', name: 'account', mode: 'write', estimatedRows: 302 },
      { schema: 'public', name: 'user', mode: 'read', estimatedRows: 604 },
      {
        schema: 'public',
        name: 'user',
        mode: 'write',
        estimatedRows: 604,
        beside:
          'By the foreign key "user" (home_account_id) DELETE on "account" would also delete rows of "user".',
      },
      {
        schema: 'public',
        name: 'user_in_account',
        mode: 'write',
        estimatedRows: 611,
        beside:
          'By the foreign key user_in_account (account_id) DELETE on "account" would also delete rows of "user_in_account".',
      },
      {
        schema: 'public',
        name: 'user_identity',
        mode: 'write',
        estimatedRows: 600,
        beside:
          'By the foreign key user_identity (user_id) DELETE on "account" would also delete rows of "user_identity".',
      },
    ],
  });
  const drop = scene('8w2k0xq4pe', 9 * MINUTE + 12_000, {
    sql: 'DROP TABLE orders_backup',
    operations: ['drop_table'],
    user: 'eng_sam',
    application: 'DBeaver 25.2',
    client: '10.0.4.9:60112',
    matches: [
      {
        rule: 'drop-table',
        action: 'hold',
        message: 'DROP TABLE "orders_backup" removes the table with all its rows.',
        hint: 'Rename it first, and drop it when nobody has missed it.',
        detail: '"orders_backup" holds about 2,000 rows.',
      },
    ],
    relations: [{ schema: 'public', name: 'orders_backup', mode: 'ddl', estimatedRows: 2_000 }],
  });
  const json = scene(
    'p4t9c1m7za',
    4 * MINUTE + 3_000,
    {
      sql: 'UPDATE user_identity SET data = \'{"phone": "+49 30 1234567"}\' WHERE user_id = 17',
      operations: ['update'],
      user: 'shop_app',
      role: 'app',
      application: 'backoffice',
      client: '10.0.7.3:41822',
      environment: 'staging',
      matches: [
        {
          rule: 'json-overwrite',
          action: 'hold',
          message:
            'UPDATE of "user_identity" replaces the whole of "data"; the rest of each document is gone.',
          hint: "Keep what is there: data = data || '{…}' or jsonb_set(data, …).",
        },
      ],
      relations: [{ schema: 'public', name: 'user_identity', mode: 'write', estimatedRows: 600 }],
    },
    1,
  );
  const truncate = scene('b7n3v5h2rd', 22 * MINUTE, {
    sql: 'TRUNCATE sessions, session_events',
    operations: ['truncate'],
    user: 'eng_lee',
    application: 'psql',
    client: '10.0.4.22:38010',
    style: 'ticket',
    matches: [
      {
        rule: 'truncate',
        action: 'hold',
        message: 'TRUNCATE on "sessions" and 1 more would empty the tables at once; no row trigger fires.',
        hint: null,
      },
    ],
    relations: [
      { schema: 'public', name: 'sessions', mode: 'write', estimatedRows: 1_240_512 },
      { schema: 'public', name: 'session_events', mode: 'write', estimatedRows: 48_002_113 },
    ],
  });
  return { one, others: [drop, json, truncate] };
}
