import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { holdListSchema, holdSchema } from '../../src/admin/api/schemas.js';
import { createHoldsClient } from '../../src/commands/holds-client.js';
import { demo } from '../../src/demo/demo.js';
import { hasPsql } from '../../src/demo/demo-page.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdfast-demo-test-'));
  await chmod(directory, 0o755);
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Runs the demo, hands its page to `visit`, then stops it as Ctrl-C would. */
async function visitDemo(visit: (page: string) => Promise<void>): Promise<string> {
  const stop = new AbortController();
  let output = '';
  let ready: (() => void) | undefined;
  const page = new Promise<void>((resolve) => (ready = resolve));
  const print = (text: string) => {
    output += text;
    if (output.includes('Ctrl-C stops it all')) ready?.();
  };
  const running = demo({ directory: path.join(directory, '.holdfast'), print, signal: stop.signal });
  try {
    await Promise.race([page, running]);
    await visit(output);
  } finally {
    stop.abort();
    await running;
  }
  return output;
}

function urlOf(page: string, user: string): string {
  const found = new RegExp(`postgres://${user}:demo@127\\.0\\.0\\.1:\\d+/shop`).exec(page);
  if (found === null) throw new Error(`no URL for ${user} in:\n${page}`);
  return found[0];
}

async function query(url: string, sql: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

describe('holdfast demo', () => {
  it('shows a shop behind Holdfast, keeps it, and leaves nothing running', async () => {
    let direct = '';
    const output = await visitDemo(async (page) => {
      // What the page says of each statement is what happens.
      expect(page).toMatch(/analyst +SELECT status.* runs\n/);
      const read = await query(urlOf(page, 'analyst'), 'SELECT status, count(*) FROM orders GROUP BY status');
      expect(read.rowCount).toBe(4);

      expect(page).toMatch(/eng_dana +TRUNCATE account_type CASCADE; +deny: cascade\n/);
      await expect(query(urlOf(page, 'eng_dana'), 'TRUNCATE account_type CASCADE')).rejects.toMatchObject({
        code: '42501',
      });
      expect(page).toMatch(/shop_app +DELETE FROM orders; +deny: require-where\n/);
      await expect(query(urlOf(page, 'shop_app'), 'DELETE FROM orders')).rejects.toMatchObject({
        code: '42501',
      });

      expect(page).toMatch(/shop_app +UPDATE products .* runs\n/);
      const written = await query(urlOf(page, 'shop_app'), 'UPDATE products SET stock = 4711 WHERE id = 7');
      expect(written.rowCount).toBe(1);

      // A statement waits, and the commands of the page let it run.
      expect(page).toMatch(/eng_dana +DROP TABLE orders_backup; +hold: drop-table\n/);
      const dropping = query(urlOf(page, 'eng_dana'), 'DROP TABLE orders_backup');
      const tokens = Array.from(
        page.matchAll(/export HOLDFAST_TOKEN=([0-9a-f]{48})/g),
        ([, token]) => token ?? '',
      );
      expect(new Set(tokens).size).toBe(2);
      const admin = /http:\/\/127\.0\.0\.1:\d+(?=\/metrics)/.exec(page)?.[0] ?? '';
      const policy = await readFile(/Policy +(\S+)/.exec(page)?.[1] ?? '', 'utf8');
      for (const token of tokens) {
        const client = createHoldsClient({ url: admin, token, warn: () => undefined });
        const waiting = async () => (await client.get('holds', holdListSchema)).holds[0];
        let hold = await waiting();
        while (hold === undefined) hold = await waiting();
        await client.post(`holds/${hold.id}/approve`, {}, holdSchema);
        expect(policy).not.toContain(token);
      }
      expect((await dropping).command).toBe('DROP');

      const metrics = /http:\/\/127\.0\.0\.1:\d+\/metrics/.exec(page)?.[0] ?? '';
      expect(await (await fetch(metrics)).text()).toContain('verdict="deny"');
      direct = /Without Holdfast, to compare: (\S+)/.exec(page)?.[1] ?? '';
      expect((await query(direct, 'SELECT 1 FROM orders LIMIT 1')).rowCount).toBe(1);
    });
    expect(output).toContain('Stopping');
    await expect(query(direct, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await readFile(path.join(directory, '.holdfast', 'audit.jsonl'), 'utf8')).toContain(
      '"verdict":"deny"',
    );

    const again = await visitDemo(async (page) => {
      const kept = await query(urlOf(page, 'analyst'), 'SELECT stock FROM products WHERE id = 7');
      expect(kept.rows).toEqual([{ stock: 4711 }]);
    });
    expect(again).not.toContain('Made the database');
  });

  it.runIf(process.getuid?.() === 0)(
    'as root, in a folder that PostgreSQL’s account cannot enter, is temporary',
    async () => {
      await chmod(directory, 0o700);
      const output = await visitDemo(async (page) => {
        expect((await query(urlOf(page, 'analyst'), 'SELECT 1 FROM products')).rowCount).toBe(120);
      });
      expect(output).toContain(`cannot enter ${directory}`);
      expect(output).toContain('the data is removed');
    },
  );
});

describe('hasPsql', () => {
  it('looks along the search path', async () => {
    expect(await hasPsql('')).toBe(false);
    expect(await hasPsql(`${directory}${path.delimiter}/nowhere`)).toBe(false);
  });
});
