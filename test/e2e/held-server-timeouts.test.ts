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

test('statement_timeout counts from Parse on: the server refuses what is released behind it, and the session goes on', async () => {
  const client = await ground.login();
  await client.send(serialize.query("SET statement_timeout = '200ms'"));
  await client.untilReady();
  await client.send(Buffer.concat([extended('TRUNCATE guarded'), serialize.sync()]));
  const hold = await ground.approvals.next('TRUNCATE');
  await withClient((other) => other.query('SELECT pg_sleep(0.5)'));
  await ground.approvals.approve(hold.id);
  expect(answers(await client.untilReady())).toEqual([
    'ParseComplete',
    'BindComplete',
    'ErrorResponse 57014',
    'ReadyForQuery I',
  ]);
  expect(client.errors.at(-1)?.message).toContain('statement timeout');
  await client.send(Buffer.concat([extended('SELECT 7'), serialize.sync()]));
  expect(answers(await client.untilReady())).toContain('DataRow 7');
  client.close();
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
