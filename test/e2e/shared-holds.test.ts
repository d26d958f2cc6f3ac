/**
 * Two Holdfasts before one server that share their holds: decided at the one, run at
 * the other; and what is left when either is killed, at every step.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FAULT_POINTS } from '../../src/holds-postgres/faults.js';
import { TOTP_SECRET, codeAt } from '../admin/api-support.js';
import { PACE } from '../holds-postgres/support.js';
import { answers, followHolds, holdPolicy, startHolds } from '../support/holds.js';
import type { Approvals, HoldsGround } from '../support/holds.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { AuditRecord, TestHoldfast } from '../support/holdfast.js';
import { startMiddleman } from '../support/network.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

const KILLED = fileURLToPath(new URL('../support/killed-holdfast.mjs', import.meta.url));
const POLICY = holdPolicy({ approvals: 2 });

let store: TestDatabase;
let a: HoldsGround;
let b: TestHoldfast;
let atB: Approvals;
const shared = (): { store: 'postgres'; url: string; schema: string } => ({
  store: 'postgres',
  url: store.url,
  schema: 'holdfast',
});

beforeAll(async () => {
  store = await createDatabase('holds_store');
  a = await startHolds('shared', POLICY, { holds: shared(), holdPace: PACE });
  b = await startTestHoldfast(a.database, POLICY, { holds: shared(), holdPace: PACE });
  atB = await followHolds(b);
});

afterAll(async () => {
  await atB.close();
  await b.close();
  await a.close();
  await store.drop();
});

const login = (port: number): Promise<WireClient> =>
  wireLogin({ port, user: a.user.name, database: a.database.name });
const insert = (id: number): Buffer => serialize.query(`INSERT INTO guarded (id) VALUES (${id.toString()})`);
const inserted = (id: number): Promise<string> =>
  a.rows(`SELECT count(*) FROM guarded WHERE id = ${id.toString()}`);
const INSERTED = ['CommandComplete INSERT 0 1', 'ReadyForQuery I'];

async function recordsOf(at: Pick<TestHoldfast, 'records'>, hold: string): Promise<string[]> {
  const records = (await at.records()).filter((record) => record['hold'] === hold);
  return records.map((record) =>
    [record.kind, record['state'] ?? record['approver']].filter(Boolean).join(' '),
  );
}

describe('both live', () => {
  test('votes at either count together; the statement runs where it waits; each log has what happened there', async () => {
    const client = await a.login();
    await client.send(insert(1));
    const { id } = await atB.next('(1)');
    await atB.approve(id, { as: 'kim' });
    await a.approvals.approve(id, { as: 'dana' });
    expect(answers(await client.untilReady())).toEqual(INSERTED);
    expect(client.notices.at(-1)?.message).toContain('approved by kim, dana');
    expect(await inserted(1)).toBe('1');
    expect((await atB.entered(id, 'released')).votes).toHaveLength(2);
    await expect
      .poll(() => recordsOf(a.holdfast, id))
      .toEqual(['hold requested', 'vote dana', 'hold approved', 'release']);
    expect(await recordsOf(b, id)).toEqual(['vote kim']);
    expect(await metric(a.holdfast, 'holdfast_holds', { state: 'released' })).toBe(1);
    expect(await metric(b, 'holdfast_holds')).toBe(0);
    client.close();
  });

  test('denied at the other, with its reason', async () => {
    const client = await login(b.port);
    await client.send(insert(2));
    const { id } = await a.approvals.next('(2)');
    await a.approvals.deny(id, { as: 'lee', reason: 'not today' });
    expect(answers(await client.untilReady())).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(client.errors[0]?.message).toBe(`holdfast: lee denied hold ${id}: not today`);
    expect(await inserted(2)).toBe('0');
    client.close();
  });

  test('a ticket asked for at one passes at the other, once', async () => {
    const policy = holdPolicy().replace('style: wait', 'style: ticket');
    const one = await startTestHoldfast(a.database, policy, { holds: shared() });
    const two = await startTestHoldfast(a.database, policy, { holds: shared() });
    const first = await login(one.port);
    await first.send(insert(3));
    expect(answers(await first.untilReady())).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    first.close();
    // A ticket outlives the process that it was asked for at.
    await one.close();
    const { id } = await atB.next('(3)');
    await atB.approve(id);
    const second = await login(two.port);
    await second.send(insert(3));
    expect(answers(await second.untilReady())).toEqual(INSERTED);
    await second.send(insert(3));
    expect(answers(await second.untilReady())).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    await atB.deny((await atB.next('(3)')).id);
    second.close();
    await two.close();
  });

  test('a one-time code that was used at one process is used at the other; the next one counts', async () => {
    const policy = holdPolicy({ approvals: 2, people: [{ name: 'toti', totpSecret: TOTP_SECRET }] });
    const one = await startTestHoldfast(a.database, policy, { holds: shared() });
    const other = await startVictim('none', policy);
    const [atOne, atOther] = [await followHolds(one), await followHolds(other)];
    const client = await login(one.port);
    await client.send(insert(7));
    const { id } = await atOne.next('(7)');
    const code = codeAt(TOTP_SECRET, Date.now());
    await atOne.approve(id, { as: 'toti', totp: code });
    const second = await login(other.port);
    await second.send(insert(9));
    const { id: later } = await atOther.next('(9)');
    expect(await atOther.vote('approve', later, { as: 'toti', totp: code })).toMatchObject({
      status: 403,
      code: 'totp_reused',
    });
    expect((await atOther.show(later)).approvals.given).toBe(0);
    // Of the next time step, which counts already.
    const next = codeAt(TOTP_SECRET, Date.now() + 30_000);
    await atOther.approve(later, { as: 'toti', totp: next });
    expect(await atOne.vote('deny', id, { as: 'toti', totp: next })).toMatchObject({ code: 'already_voted' });
    for (const hold of [id, later]) await atOne.approve(hold, { as: 'kim' });
    for (const waits of [client, second]) expect(answers(await waits.untilReady())).toEqual(INSERTED);
    expect(await recordsOf(other, later)).toContain('vote toti');
    client.close();
    second.close();
    await Promise.all([atOne.close(), atOther.close()]);
    await other.dispose();
    await one.close();
  });

  test('the store away: new ones are refused, who waits is told at the deadline, nothing runs', async () => {
    const middleman = await startMiddleman(store);
    const url = new URL(store.url);
    url.port = middleman.port.toString();
    const cut = await startTestHoldfast(a.database, holdPolicy({ timeout: '900ms' }), {
      holds: { ...shared(), url: url.href },
    });
    const [waits, asks] = [await login(cut.port), await login(cut.port)];
    await waits.send(insert(4));
    await atB.next('(4)');
    await middleman.close();
    await asks.send(insert(5));
    expect(answers(await asks.untilReady())).toEqual(['ErrorResponse 58030', 'ReadyForQuery I']);
    expect(asks.errors[0]?.message).toContain('the store of holds cannot be reached; nothing was run');
    expect(answers(await waits.untilReady())).toEqual(['ErrorResponse 57014', 'ReadyForQuery I']);
    expect(waits.errors[0]?.message).toMatch(
      /the store of holds could not be reached, so hold .* could not be approved/,
    );
    await waits.send(serialize.query('SELECT 1'));
    expect(await waits.untilReady()).toContain('CommandComplete SELECT 1');
    const ready = await fetch(`http://127.0.0.1:${cut.adminPort.toString()}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({
      checks: { holds: expect.stringContaining('ECONNREFUSED') as string },
    });
    expect(await metric(cut, 'holdfast_holds_store_up')).toBe(0);
    expect(await a.rows('SELECT count(*) FROM guarded WHERE id IN (4, 5)')).toBe('0');
    waits.close();
    asks.close();
    await cut.close();
  });
});

interface Victim {
  readonly port: number;
  readonly adminPort: number;
  readonly killed: Promise<unknown>;
  records(): Promise<readonly AuditRecord[]>;
  dispose(): Promise<void>;
}

async function startVictim(point: string, policy: string): Promise<Victim> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-killed-'));
  await writeFile(join(directory, 'policy.yaml'), policy);
  const settings = {
    listen: { port: 0 },
    admin: { port: 0 },
    upstream: { host: a.database.host, port: a.database.port, tls: { mode: 'off' } },
    audit: { path: 'audit.jsonl' },
    holds: shared(),
  };
  await writeFile(join(directory, 'holdfast.yaml'), JSON.stringify(settings));
  const child = spawn(process.execPath, [KILLED, join(directory, 'holdfast.yaml'), point], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const killed = once(child, 'exit').then(([, signal]) => signal as unknown);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const [port = 0, adminPort = 0] = line.split(' ').map(Number);
  return {
    port,
    adminPort,
    killed,
    records: async () =>
      (await readFile(join(directory, 'audit.jsonl'), 'utf8'))
        .split('\n')
        .filter((text) => text.endsWith('}'))
        .map((text) => JSON.parse(text) as AuditRecord),
    async dispose() {
      child.kill('SIGKILL');
      await killed;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

describe('killed', () => {
  const points = [...FAULT_POINTS, 'before forward', 'after forward'];
  const ended: string[] = [];
  let row = 100;

  test.each(points)(
    '%s: it runs with its approvals or not at all, and once at most',
    async (point) => {
      const id = (row += 1);
      // It would withdraw what another victim has left behind, and be killed by that.
      if (point.endsWith('withdraw')) await expect.poll(() => atB.open(), { timeout: 18_000 }).toEqual([]);
      const expires = point.endsWith('expire');
      const votes = point.endsWith('vote');
      const victim = await startVictim(point, holdPolicy({ timeout: expires ? '300ms' : '60s' }));
      const survivor = votes ? await startTestHoldfast(a.database, holdPolicy(), { holds: shared() }) : null;
      try {
        const client = await login((survivor ?? victim).port);
        await client.send(insert(id));
        if (point !== 'before request') {
          const hold = await atB.next(`(${id.toString()})`);
          ended.push(hold.id);
          if (votes) {
            const approvals = await followHolds(victim).catch(() => null);
            await approvals?.vote('approve', hold.id).catch(() => null);
            await victim.killed;
            await approvals?.close().catch(() => undefined);
            if (point === 'before vote') {
              expect((await atB.show(hold.id)).approvals.given).toBe(0);
              await atB.approve(hold.id, { as: 'kim' });
            }
            expect(answers(await client.untilReady())).toEqual(INSERTED);
          } else if (point.endsWith('withdraw')) client.close();
          else if (point !== 'after request' && !expires) await atB.approve(hold.id, { as: 'kim' });
        }
        expect(await victim.killed).toBe('SIGKILL');
        client.close();
        const runs = Number(await inserted(id));
        const records = [...(await victim.records()), ...((await survivor?.records()) ?? [])];
        const releases = records.filter(({ kind, hold }) => kind === 'release' && hold === ended.at(-1));
        if (votes) expect(runs).toBe(1);
        else if (point !== 'after forward') expect(runs).toBe(0);
        expect(runs).toBeLessThanOrEqual(releases.length);
        expect(releases.length).toBeLessThanOrEqual(1);
      } finally {
        await survivor?.close();
        await victim.dispose();
      }
    },
    40_000,
  );

  test('what they have left behind is withdrawn, nothing of it runs later, and the store is usable', async () => {
    await expect.poll(() => a.approvals.open(), { timeout: 18_000 }).toEqual([]);
    const states = await Promise.all(ended.map(async (id) => (await atB.show(id)).state));
    expect(states.every((state) => ['withdrawn', 'released', 'expired'].includes(state))).toBe(true);
    expect(Number(await a.rows('SELECT count(*) FROM guarded WHERE id > 100'))).toBeLessThanOrEqual(3);
    const client = await login(b.port);
    await client.send(insert(6));
    const { id } = await a.approvals.next('(6)');
    for (const as of ['dana', 'lee']) await a.approvals.approve(id, { as });
    expect(answers(await client.untilReady())).toEqual(INSERTED);
    client.close();
  }, 40_000);
});
