/** What people are asked about is what the statement really did when it was tried; nothing of it stays until they have said yes, and then nothing more. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import pg from 'pg';
import { sha256, tokenOf } from '../holds/support.js';
import { followHolds } from '../support/holds.js';
import type { Approvals } from '../support/holds.js';
import { extended, say, simple, startImpact } from './ground.js';
import type { ImpactGround } from './ground.js';

function policy(rules: string, hold = ''): string {
  return `
version: 1
roles:
  - name: counted
    access: admin
    rules: { default: allow, ${rules} }
    hold: { approvals: 1, approvers: [dba], timeout: 60s, in_transaction_timeout: 20s${hold} }
approvers:
  - { name: dana, groups: [dba], token_sha256: "${sha256(tokenOf('dana'))}" }
`;
}

const LIMIT = 'row-limit: { action: hold, statement: 5 }';
const CASCADING = 'DELETE FROM account WHERE id < 3';
const CASCADED = [
  { name: 'login', deleted: 4 },
  { name: 'member', deleted: 4 },
  { name: 'account', deleted: 2 },
  { name: 'note', updated: 2 },
];

describe('holds with measured previews', () => {
  let ground: ImpactGround;
  let approvals: Approvals;

  beforeAll(async () => {
    ground = await startImpact('impact_holds', policy(LIMIT));
    await ground.rows('ANALYZE');
    approvals = await followHolds(ground.holdfast);
  });

  afterEach(() => {
    approvals.forget();
  });

  afterAll(async () => {
    await approvals.close();
    await ground.close();
  });

  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    test(`${protocol}: tried, undone, approved, run`, async () => {
      await ground.reset();
      const before = await ground.data();
      const client = await ground.login();
      const answered = say(client, messages(CASCADING));
      const { id } = await approvals.next('DELETE');
      const hold = await approvals.show(id);
      expect(hold.impact?.measured).toBe('preview');
      expect(hold.impact?.tables).toMatchObject(CASCADED);
      expect(hold.impact?.tables.find(({ name }) => name === 'account')?.percent).toBe(20);
      expect(hold.matches[0]).toMatchObject({ rule: 'row-limit', action: 'hold' });
      expect(await ground.data()).toBe(before);
      // Nothing is open on the server while people think.
      expect(
        await ground.rows(
          `SELECT state FROM pg_stat_activity WHERE datname = current_database() AND usename = '${ground.user.name}'`,
        ),
      ).toBe('idle');
      await approvals.approve(id);
      const lines = await answered;
      expect(lines.slice(-2)).toEqual(['CommandComplete DELETE 2', 'ReadyForQuery I']);
      expect(lines.filter((line) => /^(Parse|Bind|Close)Complete/i.test(line))).toHaveLength(
        protocol === 'simple' ? 0 : 2,
      );
      expect(await ground.rows('SELECT count(*) FROM account')).toBe('8');
      client.close();
    });

    test(`${protocol}: denied, nothing stays`, async () => {
      await ground.reset();
      const before = await ground.data();
      const client = await ground.login();
      const answered = say(client, messages(CASCADING));
      const { id } = await approvals.next('DELETE');
      await approvals.deny(id, { reason: 'not today' });
      expect((await answered).slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      expect(client.errors.at(-1)?.message).toContain('not today');
      expect(await ground.data()).toBe(before);
      expect(await say(client, messages('SELECT 1'))).toContain('CommandComplete SELECT 1');
      client.close();
    });

    test(`${protocol}: in a block, undone by a savepoint, the rest of the transaction stays`, async () => {
      await ground.reset();
      const client = await ground.login();
      await say(client, simple('BEGIN'));
      await say(client, messages("INSERT INTO plain VALUES (11, 'mine')"));
      const answered = say(client, messages(CASCADING));
      const { id } = await approvals.next('DELETE');
      const hold = await approvals.show(id);
      expect(hold.in_transaction).toBe(true);
      expect(hold.impact?.tables).toMatchObject(CASCADED);
      // What was tried keeps no lock on the rows that it touched.
      await ground.rows('UPDATE account SET n = 1 WHERE id = 1 RETURNING id');
      await approvals.approve(id);
      expect((await answered).slice(-2)).toEqual(['CommandComplete DELETE 2', 'ReadyForQuery T']);
      expect(await say(client, messages('SELECT v FROM plain WHERE id = 11'))).toContain('DataRow mine');
      expect((await say(client, simple('COMMIT'))).slice(-2)).toEqual([
        'CommandComplete COMMIT',
        'ReadyForQuery I',
      ]);
      expect(await ground.rows('SELECT count(*) FROM account')).toBe('8');
      client.close();
    });

    test(`${protocol}: more rows than were approved are undone and held anew`, async () => {
      await ground.reset();
      const client = await ground.login();
      const answered = say(client, messages('DELETE FROM plain WHERE id < 8'));
      const first = await approvals.next('DELETE');
      expect((await approvals.show(first.id)).impact?.tables).toMatchObject([{ name: 'plain', deleted: 7 }]);
      await ground.rows("INSERT INTO plain SELECT i, 'more' FROM generate_series(-10, -1) i");
      await approvals.approve(first.id);
      const second = await approvals.next('DELETE');
      const hold = await approvals.show(second.id);
      expect(hold.impact?.tables).toMatchObject([{ name: 'plain', deleted: 17 }]);
      expect(hold.matches[0]?.message).toContain('more than what was approved');
      expect(await ground.rows('SELECT count(*) FROM plain')).toBe('20');
      await approvals.approve(second.id);
      expect((await answered).slice(-2)).toEqual(['CommandComplete DELETE 17', 'ReadyForQuery I']);
      client.close();
    });

    test(`${protocol}: what it returns is seen once, after the approval`, async () => {
      await ground.reset();
      const client = await ground.login();
      const answered = say(client, messages('DELETE FROM plain WHERE id < 8 RETURNING id'));
      const { id } = await approvals.next('DELETE');
      expect(client.lines.filter((line) => line.startsWith('DataRow'))).toEqual([]);
      await approvals.approve(id);
      expect((await answered).filter((line) => line.startsWith('DataRow'))).toHaveLength(7);
      client.close();
    });
  }

  test('node-postgres with parameters: who approves sees them, and the prepared statement goes on', async () => {
    await ground.reset();
    const client = new pg.Client(ground.holdfast.url(ground.database.name, ground.user.name, 'x'));
    await client.connect();
    const run = (most: number) =>
      client.query({ name: 'gone', text: 'DELETE FROM plain WHERE id <= $1', values: [most] });
    expect((await run(2)).rowCount).toBe(2);
    const waiting = run(9);
    const { id } = await approvals.next('DELETE');
    expect((await approvals.show(id)).parameters).toMatchObject([{ value: '9' }]);
    await approvals.approve(id);
    expect((await waiting).rowCount).toBe(7);
    expect((await run(10)).rowCount).toBe(1);
    await client.end();
  });

  test('a pipeline that has run something before is refused: it could not be told from that', async () => {
    await ground.reset();
    const before = await ground.data();
    const client = await ground.login();
    const lines = await say(client, [
      'Parse "" "INSERT INTO plain VALUES (11)"',
      'Bind "" ""',
      'Execute "" 0',
      `Parse "" "${CASCADING}"`,
      'Bind "" ""',
      'Execute "" 0',
      'Sync',
    ]);
    expect(lines.slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(client.errors.at(-1)?.hint).toContain('cannot wait for approval here');
    expect(await ground.data()).toBe(before);
    client.close();
  });
});

describe('holds at COMMIT', () => {
  let ground: ImpactGround;
  let approvals: Approvals;

  beforeAll(async () => {
    ground = await startImpact('impact_commit', policy('multi-statement: allow', ', at_commit: true'));
    approvals = await followHolds(ground.holdfast);
  });

  afterEach(() => {
    approvals.forget();
  });

  afterAll(async () => {
    await approvals.close();
    await ground.close();
  });

  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    for (const commit of ['COMMIT', 'END', 'COMMIT AND CHAIN']) {
      test(`${protocol}: ${commit} waits, with the whole transaction in front of the approver`, async () => {
        await ground.reset();
        const client = await ground.login();
        await say(client, simple('BEGIN'));
        await say(client, messages('DELETE FROM account WHERE id = 1'));
        await say(client, messages('SELECT count(*) FROM account'));
        await say(client, messages("UPDATE plain SET v = 'w' WHERE id = 1"));
        const answered = say(client, messages(commit));
        const { id } = await approvals.next(commit.split(' ')[0]);
        const hold = await approvals.show(id);
        expect(hold.impact?.measured).toBe('transaction');
        expect(hold.impact?.tables).toMatchObject([
          { name: 'login', deleted: 2 },
          { name: 'member', deleted: 2 },
          { name: 'account', deleted: 1 },
          { name: 'note', updated: 1 },
          { name: 'plain', updated: 1 },
        ]);
        expect(hold.statements).toEqual([
          'DELETE FROM account WHERE id = 1',
          "UPDATE plain SET v = 'w' WHERE id = 1",
        ]);
        await approvals.approve(id);
        expect((await answered).at(-2)).toBe('CommandComplete COMMIT');
        expect(await ground.rows('SELECT count(*) FROM account')).toBe('9');
        client.close();
      });
    }

    test(`${protocol}: a COMMIT that is denied leaves a transaction that can only be rolled back`, async () => {
      await ground.reset();
      const before = await ground.data();
      const client = await ground.login();
      await say(client, simple('BEGIN'));
      await say(client, messages('DELETE FROM account WHERE id = 1'));
      const answered = say(client, messages('COMMIT'));
      await approvals.deny((await approvals.next('COMMIT')).id);
      expect((await answered).slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery E']);
      expect((await say(client, simple('COMMIT'))).slice(-2)).toEqual([
        'CommandComplete ROLLBACK',
        'ReadyForQuery I',
      ]);
      expect(await ground.data()).toBe(before);
      client.close();
    });

    test(`${protocol}: what is committed by itself is tried and held, reads and no-ops pass`, async () => {
      await ground.reset();
      const client = await ground.login();
      expect(await say(client, messages('SELECT count(*) FROM plain'))).toContain('CommandComplete SELECT 1');
      expect(await say(client, messages('DELETE FROM plain WHERE id = 99'))).toContain(
        'CommandComplete DELETE 0',
      );
      const answered = say(client, messages('DELETE FROM plain WHERE id = 1'));
      const { id } = await approvals.next('DELETE');
      expect((await approvals.show(id)).impact?.tables).toMatchObject([{ name: 'plain', deleted: 1 }]);
      await approvals.approve(id);
      expect((await answered).slice(-2)).toEqual(['CommandComplete DELETE 1', 'ReadyForQuery I']);
      client.close();
    });
  }

  test('a string with a COMMIT in it is refused whole', async () => {
    await ground.reset();
    const before = await ground.data();
    const client = await ground.login();
    const lines = await say(client, simple('BEGIN; DELETE FROM plain WHERE id = 1; COMMIT'));
    expect(lines).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(await ground.data()).toBe(before);
    client.close();
  });
});
