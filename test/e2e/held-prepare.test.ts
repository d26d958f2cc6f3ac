/**
 * PREPARE runs nothing, so it passes; what it prepares is held each time that it is
 * executed, whichever way that is asked for.
 */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { withClient } from '../support/postgres.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('held_prepare', holdPolicy());
});

afterAll(async () => {
  await ground.close();
});

beforeEach(async () => {
  await withClient(
    (client) => client.query("TRUNCATE guarded; INSERT INTO guarded (id, v) VALUES (1, 'one'), (2, 'two')"),
    ground.database.name,
  );
});

const PREPARE = 'PREPARE wipe AS DELETE FROM guarded WHERE id = $1';
const extended = (text: string): Buffer =>
  Buffer.concat([serialize.parse({ text }), serialize.bind(), serialize.execute(), serialize.sync()]);
const guarded = (): Promise<string> => ground.rows('SELECT id, v FROM guarded ORDER BY id');

test.each([
  { protocol: 'simple', bytes: (sql: string) => serialize.query(sql) },
  { protocol: 'extended', bytes: extended },
])('$protocol: PREPARE passes, EXECUTE is held each time', async ({ bytes }) => {
  const client = await ground.login();
  await client.send(bytes(PREPARE));
  expect(answers(await client.untilReady())).toContain('CommandComplete PREPARE');
  expect(await ground.approvals.open()).toEqual([]);

  await client.send(bytes('EXECUTE wipe (1)'));
  const first = await ground.approvals.show((await ground.approvals.next()).id);
  expect(first.sql).toBe('EXECUTE wipe (1)');
  expect(first.matches[0]?.detail).toContain('DELETE FROM guarded WHERE id = $1');
  expect(first.relations.map(({ name }) => name)).toContain('guarded');
  await ground.approvals.approve(first.id);
  expect(answers(await client.untilReady())).toContain('CommandComplete DELETE 1');

  await client.send(bytes('EXECUTE wipe (2)'));
  await ground.approvals.deny((await ground.approvals.next()).id);
  expect(answers(await client.untilReady())).toContain('ErrorResponse 42501');
  expect(await guarded()).toBe('2,two');
  client.close();
});

test('PREPARE and EXECUTE in one string are held together', async () => {
  const client = await ground.login();
  await client.send(serialize.query(`${PREPARE}; EXECUTE wipe (1)`));
  const hold = await ground.approvals.next();
  expect(hold.operations).toEqual(['prepare', 'execute']);
  await ground.approvals.deny(hold.id);
  expect(answers(await client.untilReady())).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
  expect(await guarded()).toBe('1,one 2,two');
  client.close();
});
