/** Very many statements that wait at once: each runs exactly once, and nobody else notices. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEmbedded } from '../../src/demo/embedded.js';
import type { EmbeddedServer } from '../../src/demo/embedded.js';
import { verifyAuditFiles } from '../../src/audit/verify.js';
import { answers, followHolds, holdPolicy } from '../support/holds.js';
import type { Approvals } from '../support/holds.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { metric } from '../support/scrape.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

const SESSIONS = 200;
/** No more than a hundred statements of one user wait. */
const USERS = ['even', 'odd'] as const;

let server: EmbeddedServer;
let direct: pg.Client;
let holdfast: TestHoldfast;
let approvals: Approvals;

beforeAll(async () => {
  // A server of its own: the one that all tests share takes fewer sessions than these.
  server = await startEmbedded({
    directory: await mkdtemp(join(tmpdir(), 'holdfast-test-')),
    ephemeral: true,
    postgresFlags: ['-c', 'max_connections=260', '-c', 'shared_buffers=16MB'],
    files: { 'pg_hba.conf': 'host all postgres all scram-sha-256\nhost all all all trust\n' },
  });
  direct = new pg.Client({ connectionString: server.url });
  await direct.connect();
  await direct.query('CREATE TABLE guarded (id int, by text)');
  for (const user of USERS) {
    await direct.query(`CREATE ROLE ${user} LOGIN`);
    await direct.query(`GRANT ALL ON guarded TO ${user}`);
  }
  holdfast = await startTestHoldfast(server, holdPolicy({ timeout: '60s' }));
  approvals = await followHolds(holdfast);
});

afterAll(async () => {
  await approvals.close();
  await holdfast.close();
  await direct.end();
  await server.stop();
});

const login = (user: string): Promise<WireClient> =>
  wireLogin({ port: holdfast.port, user, database: server.database });

async function ran(): Promise<string> {
  const { rows } = await direct.query<{ ran: string }>(
    'SELECT count(*) || $1 || count(DISTINCT id) AS ran FROM guarded',
    [' '],
  );
  return rows[0]?.ran ?? '';
}

/** Half of the sessions wait in the simple protocol, half in the extended one. */
function insert(id: number): Buffer {
  if (id % 4 < 2) return serialize.query(`INSERT INTO guarded VALUES (${id.toString()}, current_user)`);
  return Buffer.concat([
    serialize.parse({ text: 'INSERT INTO guarded VALUES ($1, current_user)' }),
    serialize.bind({ values: [id.toString()] }),
    serialize.execute(),
    serialize.sync(),
  ]);
}

test('200 sessions wait, another one works on; approved, each statement runs once', async () => {
  const clients: WireClient[] = [];
  for (let id = 0; id < SESSIONS; id += 20) {
    const batch = Array.from({ length: 20 }, (_, part) => login(USERS[(id + part) % 2 === 0 ? 0 : 1]));
    clients.push(...(await Promise.all(batch)));
  }
  await Promise.all(clients.map((client, id) => client.send(insert(id))));
  const ids: string[] = [];
  while (ids.length < SESSIONS) ids.push((await approvals.next()).id);
  expect(new Set(ids).size).toBe(SESSIONS);
  expect(await metric(holdfast, 'holdfast_holds', { state: 'requested' })).toBe(SESSIONS);
  expect((await approvals.open()).length).toBe(SESSIONS);
  expect(await ran()).toBe('0 0');

  const worker = await login(USERS[0]);
  // One more of this user is refused, at once.
  await worker.send(insert(1_000));
  expect(answers(await worker.untilReady()).at(0)).toBe('ErrorResponse 42501');
  expect(`${worker.errors[0]?.message ?? ''} ${worker.errors[0]?.detail ?? ''}`).toContain(
    '100 statements of even wait for approval already.',
  );

  const took: number[] = [];
  const query = async (): Promise<void> => {
    const start = performance.now();
    await worker.send(serialize.query('SELECT 7'));
    expect(await worker.untilReady()).toContain('DataRow 7');
    took.push(performance.now() - start);
  };
  for (let n = 0; n < 100; n++) await query();
  const typical = took.sort((one, other) => one - other)[50] ?? Infinity;

  const working = { on: true };
  const work = (async () => {
    while (working.on) await query();
  })();
  const approving = (async () => {
    for (let at = 0; at < ids.length; at += 10)
      await Promise.all(ids.slice(at, at + 10).map((id) => approvals.approve(id)));
  })();
  const outcomes = await Promise.all(clients.map((client) => client.untilReady()));
  await approving;
  working.on = false;
  await work;
  for (const [id, lines] of outcomes.entries()) {
    expect(answers(lines).slice(-2), `session ${id.toString()}`).toEqual([
      'CommandComplete INSERT 0 1',
      'ReadyForQuery I',
    ]);
  }
  expect(typical).toBeLessThan(100);
  expect(await ran()).toBe(`${SESSIONS.toString()} ${SESSIONS.toString()}`);
  expect(await metric(holdfast, 'holdfast_holds', { state: 'requested' })).toBe(0);
  expect(await metric(holdfast, 'holdfast_holds', { state: 'released' })).toBe(SESSIONS);
  const records = await holdfast.records();
  const released = records.filter(({ kind }) => kind === 'release').map(({ hold }) => hold);
  expect(new Set(released)).toEqual(new Set(ids));
  expect(released.length).toBe(SESSIONS);
  expect(await verifyAuditFiles([holdfast.auditFile])).toMatchObject({ ok: true });
  for (const client of [...clients, worker]) client.close();
});
