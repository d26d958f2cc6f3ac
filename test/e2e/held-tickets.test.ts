/**
 * Style `ticket`: nothing waits on the wire. The statement is refused with the hold's
 * id, and passes once when the very same comes again after its approval.
 */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { withClient } from '../support/postgres.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('held_tickets', holdPolicy().replace('style: wait', 'style: ticket'));
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

const remove = (id: string): Buffer =>
  Buffer.concat([
    serialize.parse({ text: 'DELETE FROM guarded WHERE id = $1' }),
    serialize.bind({ values: [id] }),
    serialize.execute(),
    serialize.sync(),
  ]);
const RAN = ['ParseComplete', 'BindComplete'];
const REFUSED = ['ErrorResponse 42501', 'ReadyForQuery I'];
const guarded = (): Promise<string> => ground.rows('SELECT id, v FROM guarded ORDER BY id');

test('refused with the id, passes once after the approval, in any session of the user', async () => {
  const client = await ground.login();
  await client.send(serialize.query('TRUNCATE guarded'));
  expect(answers(await client.untilReady())).toEqual(REFUSED);
  const hold = await ground.approvals.next();
  expect(client.errors[0]?.message).toContain(`hold ${hold.id}`);
  expect(client.errors[0]?.detail).toContain('1 approval is needed');

  // Asking again before it is approved asks nobody twice.
  await client.send(serialize.query('TRUNCATE guarded'));
  expect(answers(await client.untilReady())).toEqual(REFUSED);
  expect(client.errors[1]?.message).toContain(`hold ${hold.id}`);
  expect((await ground.approvals.open()).map(({ id }) => id)).toEqual([hold.id]);
  client.close();

  await ground.approvals.approve(hold.id);
  const other = await ground.login();
  await other.send(serialize.query('TRUNCATE guarded'));
  expect(answers(await other.untilReady())).toEqual(['CommandComplete TRUNCATE TABLE', 'ReadyForQuery I']);
  expect((await ground.approvals.entered(hold.id, 'released')).state).toBe('released');
  expect(await guarded()).toBe('');

  await other.send(serialize.query('TRUNCATE guarded'));
  expect(answers(await other.untilReady())).toEqual(REFUSED);
  const next = await ground.approvals.next();
  expect(next.id).not.toBe(hold.id);
  await ground.approvals.deny(next.id);
  other.close();
});

test('only with the parameters that were approved', async () => {
  const client = await ground.login();
  await client.send(remove('1'));
  expect(answers(await client.untilReady())).toEqual([...RAN, ...REFUSED]);
  const hold = await ground.approvals.next();
  await ground.approvals.approve(hold.id);
  await client.send(remove('2'));
  expect(answers(await client.untilReady())).toEqual([...RAN, ...REFUSED]);
  expect((await ground.approvals.next()).id).not.toBe(hold.id);
  await client.send(remove('1'));
  expect(answers(await client.untilReady())).toEqual([...RAN, 'CommandComplete DELETE 1', 'ReadyForQuery I']);
  expect(await guarded()).toBe('2,two');
  client.close();
});

test('only under the search_path that was approved: the same text could mean another table', async () => {
  const client = await ground.login();
  const run = async (sql: string): Promise<readonly string[]> => {
    await client.send(serialize.query(sql));
    return answers(await client.untilReady());
  };
  const sql = 'DELETE FROM guarded WHERE id = 1';
  expect(await run(sql)).toEqual(REFUSED);
  const hold = await ground.approvals.next();
  await ground.approvals.approve(hold.id);
  expect(await run("SET search_path = 'pg_catalog', 'public'")).toEqual([
    'CommandComplete SET',
    'ReadyForQuery I',
  ]);
  expect(await run(sql)).toEqual(REFUSED);
  const other = await ground.approvals.next();
  expect(other.id).not.toBe(hold.id);
  await ground.approvals.deny(other.id);
  expect(await guarded()).toBe('1,one 2,two');
  await run('RESET search_path');
  expect(await run(sql)).toEqual(['CommandComplete DELETE 1', 'ReadyForQuery I']);
  client.close();
});
