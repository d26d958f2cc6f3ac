/**
 * The server's own timeouts while a statement waits for approval: one
 * fails it when it is released, the other ends the session, and the hold with it.
 */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { withClient } from '../support/postgres.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('held_server_timeouts', holdPolicy());
});

afterAll(async () => {
  await ground.close();
});

const extended = (text: string): Buffer =>
  Buffer.concat([serialize.parse({ text }), serialize.bind(), serialize.execute()]);

/** Sends what is held, and has it approved when the server's timeout would be over. */
async function releasedLate(begin: string | null): Promise<readonly string[]> {
  const client = await ground.login();
  await client.send(serialize.query("SET statement_timeout = '200ms'"));
  await client.untilReady();
  if (begin !== null) {
    await client.send(serialize.query(begin));
    await client.untilReady();
  }
  await client.send(Buffer.concat([extended('TRUNCATE guarded'), serialize.sync()]));
  const hold = await ground.approvals.next('TRUNCATE');
  await withClient((other) => other.query('SELECT pg_sleep(0.5)'));
  await ground.approvals.approve(hold.id);
  const lines = answers(await client.untilReady());
  const { message } = client.errors.at(-1) ?? {};
  if (message !== undefined) expect(message).toContain('statement timeout');
  await client.send(Buffer.concat([serialize.query('ROLLBACK'), extended('SELECT 7'), serialize.sync()]));
  expect(answers(await client.untilReady(2))).toContain('DataRow 7');
  client.close();
  return lines;
}

test('statement_timeout does not count while it waits by itself: the server has nothing of it then', async () => {
  expect(await releasedLate(null)).toEqual([
    'ParseComplete',
    'BindComplete',
    'CommandComplete TRUNCATE TABLE',
    'ReadyForQuery I',
  ]);
});

test('in a transaction block it counts from Parse on: the server refuses what is released behind it, and the session goes on', async () => {
  expect(await releasedLate('BEGIN')).toEqual([
    'ParseComplete',
    'BindComplete',
    'ErrorResponse 57014',
    'ReadyForQuery E',
  ]);
});

test('idle_in_transaction_session_timeout: the session ends, and the hold with it', async () => {
  const client = await ground.login();
  await client.send(serialize.query("SET idle_in_transaction_session_timeout = '200ms'; BEGIN"));
  await client.untilReady();
  await client.send(serialize.query('TRUNCATE guarded'));
  const hold = await ground.approvals.next('TRUNCATE');
  expect(answers(await client.untilClosed())).toEqual(['ErrorResponse 25P03']);
  expect((await ground.approvals.entered(hold.id, 'withdrawn')).withdrawal).toBe('server_gone');
});
