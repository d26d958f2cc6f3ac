/**
 * Held statements of client libraries, as applications use them: they know nothing
 * of holds and see a statement that takes its time.
 */
import pg from 'pg';
import postgres from 'postgres';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { withClient } from '../support/postgres.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('holds_drivers', holdPolicy());
});

afterAll(async () => {
  await ground.close();
});

beforeEach(async () => {
  await withClient(
    (client) =>
      client.query("TRUNCATE guarded, plain; INSERT INTO guarded (id, v) VALUES (1, 'one'), (2, 'two')"),
    ground.database.name,
  );
});

const guarded = (): Promise<string> => ground.rows('SELECT id, v FROM guarded ORDER BY id');

describe('node-postgres', () => {
  let client: pg.Client;
  const notices: string[] = [];

  beforeAll(async () => {
    client = new pg.Client({ connectionString: ground.url, application_name: 'shop worker' });
    client.on('notice', ({ message }) => notices.push(message ?? ''));
    await client.connect();
  });

  afterAll(async () => {
    await client.end();
  });

  test('approvers see the statement and its parameters; with these it runs', async () => {
    const sql = 'UPDATE guarded SET v = $1, b = $3 WHERE id = $2 RETURNING id, v, b';
    const bytes = Buffer.from([0xde, 0xad, 0, 0xff]);
    const running = client.query(sql, ['été', 2, bytes]);
    const hold = await ground.approvals.next('UPDATE');
    expect(hold).toMatchObject({
      state: 'requested',
      style: 'wait',
      environment: 'production',
      user: ground.user.name,
      role: 'engineers',
      database: ground.database.name,
      application: 'shop worker',
      operations: ['update'],
      rules: ['protected-tables'],
      in_transaction: false,
      approvals: { needed: 1, given: 0 },
      groups: ['dba'],
      may_vote: { allowed: true, reason: null },
    });
    const shown = await ground.approvals.show(hold.id);
    expect(shown.sql).toBe(sql);
    expect(shown.parameters).toMatchObject([
      { format: 0, value: 'été', hex: null },
      { format: 0, value: '2', hex: null },
      { format: 1, value: null, hex: 'dead00ff' },
    ]);
    expect(shown.relations).toMatchObject([{ name: 'guarded', mode: 'write' }]);
    // PostgreSQL 18 reports it, older servers do not.
    expect([null, '"$user", public']).toContain(shown.search_path);
    expect(notices.at(-1)).toContain(hold.id);
    await ground.approvals.approve(hold.id);
    expect((await running).rows).toEqual([{ id: 2, v: 'été', b: bytes }]);
    expect(await guarded()).toBe('1,one 2,été');
  });

  test('denied: the promise is rejected, and the client can be used on', async () => {
    const failed = client.query('DELETE FROM guarded WHERE id = $1', [1]).catch((error: unknown) => error);
    const hold = await ground.approvals.next('DELETE');
    await ground.approvals.deny(hold.id, { reason: 'still needed' });
    const error = (await failed) as pg.DatabaseError;
    expect(error).toBeInstanceOf(pg.DatabaseError);
    expect(error).toMatchObject({ code: '42501', severity: 'ERROR' });
    expect(`${error.message} ${error.detail ?? ''}`).toMatch(/dana.*still needed/s);
    expect(error.routine).toMatch(/^holdfast\//);
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect(await guarded()).toBe('1,one 2,two');
  });

  test('a transaction around it, as an application writes it', async () => {
    const work = async (): Promise<string> => {
      await client.query('BEGIN');
      try {
        await client.query('INSERT INTO plain VALUES ($1, $2)', [1, 'together']);
        await client.query('DELETE FROM guarded WHERE id = $1', [1]);
        await client.query('COMMIT');
        return 'committed';
      } catch {
        await client.query('ROLLBACK');
        return 'rolled back';
      }
    };
    for (const [choice, outcome] of [
      ['deny', 'rolled back'],
      ['approve', 'committed'],
    ] as const) {
      const done = work();
      const hold = await ground.approvals.next('DELETE');
      expect(hold.in_transaction).toBe(true);
      await ground.approvals[choice](hold.id);
      expect(await done).toBe(outcome);
    }
    expect(await ground.rows('SELECT v FROM plain')).toBe('together');
    expect(await guarded()).toBe('2,two');
  });

  test('a named statement, executed with other parameters, is another hold', async () => {
    for (const id of [1, 2]) {
      const running = client.query({
        name: 'remove',
        text: 'DELETE FROM guarded WHERE id = $1',
        values: [id],
      });
      const hold = await ground.approvals.next('DELETE');
      expect((await ground.approvals.show(hold.id)).parameters).toMatchObject([{ value: id.toString() }]);
      await ground.approvals.approve(hold.id);
      expect((await running).rowCount).toBe(1);
    }
    expect(await guarded()).toBe('');
  });

  test('a pool whose other connections go on', async () => {
    const pool = new pg.Pool({ connectionString: ground.url, max: 2 });
    const held = pool.query('DELETE FROM guarded WHERE id = $1', [1]);
    const hold = await ground.approvals.next('DELETE');
    for (let n = 0; n < 5; n++) expect((await pool.query('SELECT $1::int AS n', [n])).rows).toEqual([{ n }]);
    await ground.approvals.approve(hold.id);
    expect((await held).rowCount).toBe(1);
    await pool.end();
  });
});

describe('postgres.js', () => {
  let sql: postgres.Sql;

  beforeAll(() => {
    sql = postgres(ground.url, { max: 1, onnotice: () => undefined });
  });

  afterAll(async () => {
    await sql.end();
  });

  test('approvers see the statement and its parameters; with these it runs', async () => {
    const running = sql`UPDATE guarded SET v = ${'dos'} WHERE id = ${2} RETURNING v`.execute();
    const hold = await ground.approvals.next('UPDATE');
    const shown = await ground.approvals.show(hold.id);
    expect(shown.sql).toBe('UPDATE guarded SET v = $1 WHERE id = $2 RETURNING v');
    expect(shown.parameters.map(({ value }) => value)).toEqual(['dos', '2']);
    await ground.approvals.approve(hold.id);
    expect([...(await running)]).toEqual([{ v: 'dos' }]);
    expect(await guarded()).toBe('1,one 2,dos');
  });

  test('denied: the promise is rejected, and the connection can be used on', async () => {
    const failed = sql`DELETE FROM guarded WHERE id = ${1}`.catch((error: unknown) => error);
    await ground.approvals.deny((await ground.approvals.next('DELETE')).id);
    expect(await failed).toMatchObject({ code: '42501' });
    expect([...(await sql`SELECT 1 AS one`)]).toEqual([{ one: 1 }]);
  });

  test('queries pipelined on its connection are answered each with its own', async () => {
    const before = sql`SELECT ${'before'}::text AS said`.execute();
    const held = sql`DELETE FROM guarded WHERE id = ${1} RETURNING v AS said`.execute();
    const behind = sql`SELECT ${'behind'}::text AS said`.execute();
    const hold = await ground.approvals.next('DELETE');
    expect([...(await before)]).toEqual([{ said: 'before' }]);
    await ground.approvals.approve(hold.id);
    expect([...(await held)]).toEqual([{ said: 'one' }]);
    expect([...(await behind)]).toEqual([{ said: 'behind' }]);
  });

  test('sql.begin: denied, it is rolled back; approved, it is committed', async () => {
    const work = (): Promise<unknown> =>
      sql
        .begin(async (transaction) => {
          await transaction`INSERT INTO plain VALUES (1, 'together')`;
          await transaction`DELETE FROM guarded WHERE id = ${1}`;
          return 'committed';
        })
        .catch((error: unknown) => (error as postgres.PostgresError).code);
    const denied = work();
    await ground.approvals.deny((await ground.approvals.next('DELETE')).id);
    expect(await denied).toBe('42501');
    expect(await ground.rows('SELECT count(*) FROM plain')).toBe('0');
    const approved = work();
    await ground.approvals.approve((await ground.approvals.next('DELETE')).id);
    expect(await approved).toBe('committed');
    expect(await ground.rows('SELECT count(*) FROM plain')).toBe('1');
  });

  test('COPY FROM STDIN as a stream', async () => {
    const opening = sql`COPY guarded (id, v) FROM STDIN`.writable();
    const hold = await ground.approvals.next('COPY');
    await ground.approvals.approve(hold.id);
    await pipeline(Readable.from(['3\tthree\n', '4\tfour\n']), await opening);
    expect(await guarded()).toBe('1,one 2,two 3,three 4,four');
    const refused = sql`COPY guarded (id, v) FROM STDIN`.writable().catch((error: unknown) => error);
    await ground.approvals.deny((await ground.approvals.next('COPY')).id);
    expect(await refused).toMatchObject({ code: '42501' });
    expect([...(await sql`SELECT 1 AS one`)]).toEqual([{ one: 1 }]);
  });
});
