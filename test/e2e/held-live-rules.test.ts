/** Rules that only the moment can answer, with the action hold: people see what was found, with its parameters, and decide. */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';

let ground: HoldsGround;

beforeAll(async () => {
  const rules = {
    'protected-tables': '{ action: allow, tables: [nothing] }',
    truncate: 'allow',
    'write-budget': '{ action: hold, rows: 2, window: 1h, operations: [delete] }',
    // The tests' server archives nothing.
    'recovery-ready': '{ action: hold, max_age: 15m, operations: [truncate] }',
  };
  ground = await startHolds('live', holdPolicy({ rules }));
});

afterAll(() => ground.close());

beforeEach(async () => {
  ground.hangUp();
  await ground.rows("INSERT INTO guarded SELECT n, 'v' FROM generate_series(1, 9) n ON CONFLICT DO NOTHING");
});

const remove = (id: number, { parse = true } = {}): Buffer =>
  Buffer.concat([
    ...(parse ? [serialize.parse({ name: 's', text: 'DELETE FROM guarded WHERE id = $1' })] : []),
    serialize.bind({ statement: 's', values: [String(id)] }),
    serialize.execute({}),
    serialize.sync(),
  ]);

test('a statement beyond the budget waits for approval, runs when it has it, and counts', async () => {
  const client = await ground.login();
  await client.send(remove(1));
  expect(answers(await client.untilReady())).toContain('CommandComplete DELETE 1');
  await client.send(remove(2, { parse: false }));
  expect(answers(await client.untilReady())).toContain('CommandComplete DELETE 1');
  for (const id of [3, 4]) {
    await client.send(remove(id, { parse: false }));
    const hold = await ground.approvals.next('DELETE FROM guarded');
    const shown = await ground.approvals.show(hold.id);
    expect(shown.matches).toMatchObject([
      {
        rule: 'write-budget',
        action: 'hold',
        message: `User "${ground.user.name}" has changed ${String(id - 1)} rows in the last hour; the limit is 2 rows.`,
      },
    ]);
    expect(JSON.stringify(shown.parameters)).toContain(`"${String(id)}"`);
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toContain('CommandComplete DELETE 1');
  }
  await client.send(remove(5, { parse: false }));
  const refused = await ground.approvals.next('DELETE FROM guarded');
  await ground.approvals.deny(refused.id);
  expect(answers(await client.untilReady())).toContain('ErrorResponse 42501');
  expect(await ground.rows('SELECT id FROM guarded ORDER BY id LIMIT 1')).toBe('5');
});

test('without a way back people decide, and are told what is wrong with it', async () => {
  const client = await ground.login();
  await client.send(serialize.query('TRUNCATE guarded'));
  const hold = await ground.approvals.next('TRUNCATE');
  const { matches } = await ground.approvals.show(hold.id);
  expect(matches[0]).toMatchObject({
    rule: 'recovery-ready',
    message: 'WAL archiving is off (archive_mode = off), so what this takes away could not be brought back.',
  });
  await ground.approvals.approve(hold.id);
  expect(answers(await client.untilReady())).toEqual(['CommandComplete TRUNCATE TABLE', 'ReadyForQuery I']);
  expect(await ground.rows('SELECT count(*) FROM guarded')).toBe('0');
});
