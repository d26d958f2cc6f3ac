/**
 * Things that happen at one moment, and an audit log that cannot be written: what
 * runs must have been released, once, by a record that is there.
 */
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { nodeFiles } from '../../src/audit/files.js';
import { verifyAuditFiles } from '../../src/audit/verify.js';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { cancelPacket, rawConnection } from '../support/raw.js';
import type { WireClient } from '../support/wire.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('holds_races', holdPolicy());
});

afterEach(() => {
  ground.hangUp();
});

afterAll(async () => {
  await ground.close();
});

const insert = (id: number): Buffer => serialize.query(`INSERT INTO guarded (id) VALUES (${id.toString()})`);
const inserted = (id: number): Promise<string> =>
  ground.rows(`SELECT count(*) FROM guarded WHERE id = ${id.toString()}`);

async function cancel({ key }: WireClient): Promise<void> {
  const secret = Buffer.alloc(4);
  secret.writeInt32BE(key?.secretKey ?? 0);
  const connection = await rawConnection(ground.holdfast.port);
  connection.write(cancelPacket(key?.processId ?? 0, secret));
  await connection.rest();
}

/** Turns of the event loop between the two, so that their order differs. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function lastState(hold: string): Promise<unknown> {
  const records = (await ground.holdfast.records()).filter((record) => record['hold'] === hold);
  const last = records.filter(({ kind }) => kind === 'hold' || kind === 'release').at(-1);
  return last?.kind === 'release' ? 'released' : last?.['state'];
}

const ROUNDS = Array.from({ length: 8 }, (_, round) => round);

describe('an approval and, at the same moment,', () => {
  test('a cancel: either it ran and its client knows, or it did not and its client knows', async () => {
    const client = await ground.login();
    for (const round of ROUNDS) {
      const id = 100 + round;
      await client.send(insert(id));
      const hold = (await ground.approvals.next()).id;
      const [vote] = await Promise.all([
        turns(round % 4 === 0 ? 3 : 0).then(() => ground.approvals.vote('approve', hold)),
        turns(round % 4 === 1 ? 12 : 0).then(() => cancel(client)),
      ]);
      const lines = answers(await client.untilReady());
      const ran = lines[0] === 'CommandComplete INSERT 0 1';
      expect(lines).toEqual([ran ? 'CommandComplete INSERT 0 1' : 'ErrorResponse 57014', 'ReadyForQuery I']);
      expect(await inserted(id)).toBe(ran ? '1' : '0');
      if (ran) expect(vote.status).toBe(200);
      await expect
        .poll(() => lastState(hold))
        // A cancel that finds it released already is the server's, which may still end it.
        .toSatisfy((state) => (ran ? state === 'released' : state === 'withdrawn' || state === 'released'));
    }
  });

  test('the end of the client: it runs once or not at all, and never without its release', async () => {
    for (const round of ROUNDS) {
      const id = 200 + round;
      const client = await ground.login();
      await client.send(insert(id));
      const hold = (await ground.approvals.next()).id;
      await Promise.all([
        turns(round % 4 === 0 ? 3 : 0).then(() => ground.approvals.vote('approve', hold)),
        turns(round % 4 === 1 ? 12 : 0).then(() => client.socket.destroy()),
      ]);
      await expect.poll(() => lastState(hold)).toMatch(/^(released|withdrawn)$/);
      await expect
        .poll(() =>
          ground.rows(`SELECT count(*) FROM pg_stat_activity WHERE pid = ${String(client.key?.processId)}`),
        )
        .toBe('0');
      if ((await inserted(id)) === '1') expect(await lastState(hold)).toBe('released');
    }
  });

  test('a denial: one of them counts, and the other one’s giver hears that it does not', async () => {
    const client = await ground.login();
    for (const round of ROUNDS) {
      const id = 300 + round;
      await client.send(insert(id));
      const hold = (await ground.approvals.next()).id;
      const order = round % 2 === 0 ? (['approve', 'deny'] as const) : (['deny', 'approve'] as const);
      const votes = await Promise.all(
        order.map((choice) =>
          ground.approvals.vote(choice, hold, { as: choice === 'deny' ? 'kim' : 'dana' }),
        ),
      );
      expect(votes.map(({ status }) => status).sort()).toEqual([200, 409]);
      const approved = votes[order.indexOf('approve')]?.status === 200;
      expect(answers(await client.untilReady())).toEqual([
        approved ? 'CommandComplete INSERT 0 1' : 'ErrorResponse 42501',
        'ReadyForQuery I',
      ]);
      expect(await inserted(id)).toBe(approved ? '1' : '0');
    }
  });

  test('another policy: what ran was released under the one by which it was approved', async () => {
    const client = await ground.login();
    for (const round of ROUNDS) {
      const id = 400 + round;
      await client.send(insert(id));
      const hold = (await ground.approvals.next()).id;
      await Promise.all([
        ground.approvals.vote('approve', hold),
        ground.holdfast.setPolicy(`${holdPolicy()}# ${id.toString()}\n`),
      ]);
      const lines = answers(await client.untilReady());
      const ran = lines[0] === 'CommandComplete INSERT 0 1';
      expect(lines).toEqual([ran ? 'CommandComplete INSERT 0 1' : 'ErrorResponse 57014', 'ReadyForQuery I']);
      expect(await inserted(id)).toBe(ran ? '1' : '0');
      await expect.poll(() => lastState(hold)).toBe(ran ? 'released' : 'withdrawn');
    }
  });
});

describe('the audit log cannot be written', () => {
  /** No room on the disk, until the returned function is called. */
  function fillDisk(): () => void {
    const spy = vi.spyOn(nodeFiles, 'write').mockImplementation(() => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    });
    return () => {
      spy.mockRestore();
    };
  }

  test('when a statement is to be held: 58030, nobody is asked', async () => {
    const client = await ground.login();
    const free = fillDisk();
    try {
      await client.send(insert(500));
      expect(answers(await client.untilReady())).toEqual(['ErrorResponse 58030', 'ReadyForQuery I']);
    } finally {
      free();
    }
    await expect.poll(() => ground.approvals.open()).toEqual([]);
    expect(await inserted(500)).toBe('0');
  });

  test('when it is approved: the approver is told, 58030 for the client, nothing has run', async () => {
    const client = await ground.login();
    await client.send(insert(501));
    await client.until('NoticeResponse');
    const hold = (await ground.approvals.next('501')).id;
    const free = fillDisk();
    try {
      expect(await ground.approvals.vote('approve', hold)).toMatchObject({
        status: 503,
        code: 'not_recorded',
      });
      expect(answers(await client.untilReady())).toEqual(['ErrorResponse 58030', 'ReadyForQuery I']);
    } finally {
      free();
    }
    expect(await inserted(501)).toBe('0');
    await client.send(insert(502));
    await ground.approvals.approve((await ground.approvals.next('502')).id);
    expect(answers(await client.untilReady())).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery I']);
  });
});

test('after all that, nothing is open, and the log is whole: one release for each row at least, none twice', async () => {
  await expect.poll(() => ground.approvals.open()).toEqual([]);
  const released = (await ground.holdfast.records())
    .filter(({ kind }) => kind === 'release')
    .map(({ hold }) => hold);
  expect(new Set(released).size).toBe(released.length);
  expect(released.length).toBeGreaterThanOrEqual(Number(await ground.rows('SELECT count(*) FROM guarded')));
  expect(await verifyAuditFiles([ground.holdfast.auditFile])).toMatchObject({ ok: true, problems: [] });
});
