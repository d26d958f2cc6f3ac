/**
 * The incidents in which rows were changed or removed, approved by somebody who looked
 * away, and put back: the shop is what it was, by checksum over all of its tables.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listUndoFiles, readUndoFile } from '../../src/audit/undo-files.js';
import { INCIDENT_FORMS } from '../../src/demo/incident-forms.js';
import { startEmbedded, type EmbeddedServer } from '../../src/demo/embedded.js';
import { createShop, databaseUrl, SHOP_PASSWORD, withClient } from '../../src/demo/shop.js';
import { undoScript } from '../../src/undo/script.js';
import { sha256, tokenOf } from '../holds/support.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { followHolds } from '../support/holds.js';
import type { Approvals } from '../support/holds.js';

const POLICY = `
version: 1
roles:
  - name: careless
    access: admin
    rules: { default: allow, truncate: hold, cascade: hold, tautological-where: hold, json-overwrite: hold, row-limit: { action: hold, statement: 1 } }
    hold: { approvals: 1, approvers: [dba], timeout: 60s }
    undo: capture
approvers:
  - { name: dana, groups: [dba], token_sha256: "${sha256(tokenOf('dana'))}" }
`;
/** Of a loop, so many statements are approved; then somebody looks. */
const MOST = 12;

let server: EmbeddedServer;
let holdfast: TestHoldfast;
let approvals: Approvals;

beforeAll(async () => {
  server = await startEmbedded({
    directory: await mkdtemp(path.join(tmpdir(), 'holdfast-undone-')),
    ephemeral: true,
  });
  await createShop(server.url, 'shop');
  const { hostname: host, port } = new URL(server.url);
  holdfast = await startTestHoldfast({ host, port: Number(port) }, POLICY);
  approvals = await followHolds(holdfast);
});

afterAll(async () => {
  await approvals.close();
  await holdfast.close();
  await server.stop();
});

function shop<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(databaseUrl(server.url, 'shop'), work);
}

/** Of every row of every table. */
async function checksum(): Promise<string> {
  return shop(async (client) => {
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('public', 'billing') ORDER BY 1`,
    );
    expect(tables.length).toBeGreaterThan(8);
    const { rows } = await client.query<{ md5: string }>(
      `SELECT md5(string_agg(row, chr(10) ORDER BY row)) FROM (${tables
        .map(({ name }) => `SELECT '${name.replaceAll("'", "''")} ' || t::text AS row FROM ${name} AS t`)
        .join(' UNION ALL ')}) AS rows`,
    );
    return rows[0]?.md5 ?? '';
  });
}

describe('what was approved by mistake is put back', () => {
  for (const form of INCIDENT_FORMS.filter(({ id }) => ['1', '4', '5a', '5b', '5c'].includes(id))) {
    test(`${form.incident}: ${form.statement}`, async () => {
      const before = await checksum();
      const client = new pg.Client({
        host: '127.0.0.1',
        port: holdfast.port,
        user: form.user,
        password: SHOP_PASSWORD,
        database: 'shop',
      });
      await client.connect();
      const ended = form
        .run(client, () => Promise.reject(new Error('one connection is enough')))
        .then(
          () => 'done' as const,
          () => 'stopped' as const,
        );
      const held: string[] = [];
      for (let stopped = false; !stopped;) {
        const news = await Promise.race([approvals.next().catch(() => null), ended]);
        if (news === null || typeof news === 'string') break;
        stopped = held.length === MOST;
        if (stopped) {
          await approvals.deny(news.id);
        } else {
          held.push(news.id);
          await approvals.approve(news.id);
        }
        if (form.gradual !== true) break;
      }
      await ended;
      await client.end();
      approvals.forget();
      expect(await checksum()).not.toBe(before);
      const directory = path.join(path.dirname(holdfast.auditFile), 'undo');
      const kept = new Set((await listUndoFiles(directory)).map(({ hold }) => hold));
      expect(held.every((id) => kept.has(id))).toBe(true);
      for (const id of held.reverse()) {
        const text = undoScript(await readUndoFile(directory, id), { overwrite: false });
        await shop((one) => one.query(text));
      }
      expect(await checksum()).toBe(before);
    });
  }
});
