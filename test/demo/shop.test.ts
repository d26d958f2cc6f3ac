import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbedded, type EmbeddedServer } from '../../src/demo/embedded.js';
import { INCIDENT_FORMS } from '../../src/demo/incident-forms.js';
import {
  copyDatabase,
  createShop,
  databaseUrl,
  dropDatabase,
  SHOP_PASSWORD,
  SHOP_USERS,
  withClient,
} from '../../src/demo/shop.js';

// A server of its own: the shop's users are roles, which all databases of a server share.
let server: EmbeddedServer;

beforeAll(async () => {
  server = await startEmbedded({
    directory: await mkdtemp(path.join(tmpdir(), 'holdfast-shop-')),
    ephemeral: true,
  });
  await createShop(server.url, 'shop_template');
});

afterAll(async () => {
  await server.stop();
});

async function rows(database: string, sql: string): Promise<unknown[]> {
  return withClient(
    databaseUrl(server.url, database),
    async (client) => (await client.query(sql)).rows as unknown[],
  );
}

describe('the shop', () => {
  it('is the same each time, and made once', async () => {
    expect(await createShop(server.url, 'shop_template')).toBe(false);
    expect(await createShop(server.url, 'shop_again')).toBe(true);
    const digest = `SELECT md5(string_agg(t::text, ',' ORDER BY id)) AS md5, count(*)::int AS count FROM`;
    for (const table of ['account', '"user"', 'user_identity', 'orders', 'products', 'billing.invoice']) {
      const [one, other] = [
        await rows('shop_template', `${digest} ${table} AS t`),
        await rows('shop_again', `${digest} ${table} AS t`),
      ];
      expect(one).toEqual(other);
      expect((one[0] as { count: number }).count).toBeGreaterThan(100);
    }
    await dropDatabase(server.url, 'shop_again');
  });

  it('lets every user log in and write: only Holdfast will refuse', async () => {
    for (const { name } of SHOP_USERS) {
      const url = new URL(databaseUrl(server.url, 'shop_template'));
      url.username = name;
      url.password = SHOP_PASSWORD;
      const changed = await withClient(url.href, (client) =>
        client.query('UPDATE products SET stock = stock'),
      );
      expect(changed.rowCount).toBe(120);
    }
  });

  it('refuses DELETE on account_type where TRUNCATE CASCADE would empty five tables', async () => {
    await expect(rows('shop_template', 'DELETE FROM account_type')).rejects.toMatchObject({ code: '23503' });
    await expect(rows('shop_template', 'TRUNCATE account_type')).rejects.toMatchObject({
      code: '0A000',
      hint: expect.stringContaining('CASCADE') as string,
    });
    await copyDatabase(server.url, 'shop_template', 'truncated');
    await rows('truncated', 'TRUNCATE account_type CASCADE');
    const empty = await rows(
      'truncated',
      `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
         AND (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || oid::regclass, true, true, '')))[1]::text = '0'
       ORDER BY 1`,
    );
    expect(empty.map((row) => (row as { relname: string }).relname)).toEqual([
      'account',
      'account_type',
      'user',
      'user_identity',
      'user_in_account',
    ]);
    await dropDatabase(server.url, 'truncated');
  });

  it.for(INCIDENT_FORMS)('incident $id: each form has something to lose', async ({ count }) => {
    const [row] = (await rows('shop_template', count)) as { count: string }[];
    expect(Number(row?.count)).toBeGreaterThan(30);
  });
});
