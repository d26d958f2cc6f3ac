/**
 * Held statements of the extended protocol: pipelines, prepared statements and
 * portals. Each Execute is held for what it would run, with what it was bound to.
 */
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { withClient } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import type { WireClient } from '../support/wire.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('holds_extended', holdPolicy());
});

afterEach(() => {
  ground.hangUp();
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

const query = (sql: string): Buffer => serialize.query(sql);
const parse = (text: string, name = ''): Buffer => serialize.parse({ name, text });
const bind = (values: readonly (string | null)[] = [], statement = '', portal = ''): Buffer =>
  serialize.bind({ statement, portal, values: [...values] });
const execute = (portal = ''): Buffer => serialize.execute({ portal });
const sync = (): Buffer => serialize.sync();
const run = (sql: string, values: readonly (string | null)[] = []): Buffer =>
  Buffer.concat([parse(sql), bind(values), execute()]);

async function ask(client: WireClient, ...parts: readonly Buffer[]): Promise<readonly string[]> {
  await client.send(Buffer.concat(parts));
  return answers(await client.untilReady());
}

const RAN = ['ParseComplete', 'BindComplete'];
const guarded = (): Promise<string> => ground.rows('SELECT id, v FROM guarded ORDER BY id');

describe('extended protocol', () => {
  test('Parse and Bind pass, Describe too; Execute waits', async () => {
    const client = await ground.login();
    await client.send(
      Buffer.concat([
        parse('DELETE FROM guarded WHERE id = $1 RETURNING v'),
        bind(['1']),
        serialize.describe({ type: 'P' }),
        serialize.flush(),
      ]),
    );
    expect(answers(await client.until('RowDescription'))).toEqual([...RAN, 'RowDescription']);
    expect(await ground.approvals.open()).toEqual([]);
    await client.send(Buffer.concat([execute(), sync()]));
    const hold = await ground.approvals.next();
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toEqual([
      'DataRow one',
      'CommandComplete DELETE 1',
      'ReadyForQuery I',
    ]);
    expect(await guarded()).toBe('2,two');
    client.close();
  });

  describe('what waits by itself has nothing open on the server meanwhile', () => {
    const locks = (): Promise<string> =>
      ground.rows(`SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE l.relation = 'guarded'::regclass AND a.pid <> pg_backend_pid()`);
    const open = (): Promise<string> =>
      ground.rows(`SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`);

    /** Until the server has read what it was sent: there is nothing else to wait for. */
    async function letGo(): Promise<void> {
      while ((await open()) !== '0');
    }

    test.each([
      ['in one go', false],
      ['a message at a time', true],
    ])('no lock and no transaction; bound again when it is approved: %s', async (_how, slowly) => {
      const client = await ground.login();
      await ask(client, parse('SELECT v FROM guarded WHERE id = $1', 'other'), sync());
      const messages = [
        parse('DELETE FROM guarded WHERE id = $1 RETURNING v'),
        bind(['1'], '', 'first'),
        execute('first'),
        bind(['2'], 'other', 'second'),
        execute('second'),
        sync(),
      ];
      if (slowly) {
        for (const message of messages) {
          await client.send(Buffer.concat([message, serialize.flush()]));
        }
      } else {
        await client.send(Buffer.concat(messages));
      }
      const hold = await ground.approvals.next();
      await letGo();
      expect(await locks()).toBe('0');
      // Nobody else is kept out.
      await ground.rows('ALTER TABLE guarded ADD COLUMN since int');
      await ground.rows('ALTER TABLE guarded DROP COLUMN since');
      await ground.approvals.approve(hold.id);
      expect(answers(await client.untilReady())).toEqual([
        ...RAN,
        'DataRow one',
        'CommandComplete DELETE 1',
        'BindComplete',
        'DataRow two',
        'CommandComplete SELECT 1',
        'ReadyForQuery I',
      ]);
      expect(await guarded()).toBe('2,two');
      expect(await ask(client, run('SELECT 7'), sync())).toContain('DataRow 7');
      client.close();
    });

    test('denied, it fails as it would have, and the session goes on', async () => {
      const client = await ground.login();
      const asked = async (end: (id: string) => Promise<unknown>): Promise<readonly string[]> => {
        await client.send(
          Buffer.concat([run('DELETE FROM guarded WHERE id = $1', ['1']), run('SELECT 7'), sync()]),
        );
        const { id } = await ground.approvals.next();
        await letGo();
        await end(id);
        return answers(await client.untilReady());
      };
      expect(await asked((id) => ground.approvals.deny(id))).toEqual([
        ...RAN,
        'ErrorResponse 42501',
        'ReadyForQuery I',
      ]);
      expect(await ask(client, run('SELECT 7'), sync())).toContain('DataRow 7');
      expect(await guarded()).toBe('1,one 2,two');
      client.close();
    });

    test('what ran before it in its transaction keeps that open: it is the client’s', async () => {
      const client = await ground.login();
      await client.send(
        Buffer.concat([
          run("INSERT INTO plain VALUES ($1, 'a')", ['1']),
          run('DELETE FROM guarded WHERE id = $1', ['1']),
          sync(),
        ]),
      );
      const hold = await ground.approvals.next();
      expect(await open()).toBe('1');
      await ground.approvals.deny(hold.id);
      expect(answers(await client.untilReady()).at(-2)).toBe('ErrorResponse 42501');
      expect(await ground.rows('SELECT count(*) FROM plain')).toBe('0');
      client.close();
    });
  });

  describe.each([
    {
      fate: 'approved',
      middle: ['CommandComplete DROP TABLE', ...RAN, 'DataRow 7', 'CommandComplete SELECT 1'],
    },
    { fate: 'denied', middle: ['ErrorResponse 42501'] },
  ])('a pipeline INSERT; held DROP; SELECT: $fate', ({ fate, middle }) => {
    const table = `doomed_${fate}`;
    const bytes = Buffer.concat([
      run("INSERT INTO plain VALUES ($1, 'first group')", ['1']),
      sync(),
      run("INSERT INTO plain VALUES ($1, 'second group')", ['2']),
      run(`DROP TABLE ${table}`),
      run('SELECT 7'),
      sync(),
      run("INSERT INTO plain VALUES ($1, 'third group')", ['3']),
      sync(),
      sync(),
    ]);
    const inserted = [...RAN, 'CommandComplete INSERT 0 1'];
    const expected = [
      ...inserted,
      'ReadyForQuery I',
      ...inserted,
      ...RAN,
      ...middle,
      'ReadyForQuery I',
      ...inserted,
      'ReadyForQuery I',
      'ReadyForQuery I',
    ];

    test('answers in order, one ReadyForQuery a Sync; the group lives and dies together', async () => {
      const client = await ground.login();
      const splits = Array.from({ length: 4 }, (_, part) => Math.floor((bytes.length * part) / 4));
      for (const split of splits) {
        await ground.rows('TRUNCATE plain');
        await ground.table(table);
        await client.send(bytes, split);
        const hold = await ground.approvals.next(table);
        // The first group is over; the second has not ended, and the third has not begun.
        expect(await ground.rows('SELECT id FROM plain')).toBe('1');
        if (fate === 'approved') await ground.approvals.approve(hold.id);
        else await ground.approvals.deny(hold.id);
        expect(answers(await client.untilReady(4)), `split at ${split.toString()}`).toEqual(expected);
        expect(await ground.rows('SELECT id FROM plain ORDER BY id')).toBe(
          fate === 'approved' ? '1 2 3' : '1 3',
        );
        expect(await ground.rows(`SELECT to_regclass('${table}') IS NULL`)).toBe(String(fate === 'approved'));
        await ground.rows(`DROP TABLE IF EXISTS ${table}`);
      }
      client.close();
    });
  });

  test('two held statements of one pipeline are two holds, one after the other', async () => {
    const client = await ground.login();
    await client.send(
      Buffer.concat([
        run('DELETE FROM guarded WHERE id = $1', ['1']),
        run('DELETE FROM guarded WHERE id = $1', ['2']),
        sync(),
      ]),
    );
    const first = await ground.approvals.next('DELETE');
    expect((await ground.approvals.show(first.id)).parameters).toMatchObject([{ value: '1' }]);
    expect((await ground.approvals.open()).map(({ id }) => id)).toEqual([first.id]);
    await ground.approvals.approve(first.id);
    const second = await ground.approvals.next('DELETE');
    expect((await ground.approvals.show(second.id)).parameters).toMatchObject([{ value: '2' }]);
    await ground.approvals.deny(second.id);
    expect(answers(await client.untilReady())).toEqual([
      ...RAN,
      'CommandComplete DELETE 1',
      ...RAN,
      'ErrorResponse 42501',
      'ReadyForQuery I',
    ]);
    // What the first did is rolled back with its group.
    expect(await guarded()).toBe('1,one 2,two');
    client.close();
  });

  test('a prepared statement is held each time that it is executed, with what it was bound to', async () => {
    const client = await ground.login();
    await ask(client, parse('UPDATE guarded SET v = $2 WHERE id = $1', 'change'), sync());
    for (const values of [
      ['1', 'uno'],
      ['2', null],
    ]) {
      await client.send(Buffer.concat([bind(values, 'change'), execute(), sync()]));
      const hold = await ground.approvals.next('UPDATE');
      const { parameters } = await ground.approvals.show(hold.id);
      expect(parameters.map(({ value }) => value)).toEqual(values);
      await ground.approvals.approve(hold.id);
      expect(answers(await client.untilReady())).toEqual([
        'BindComplete',
        'CommandComplete UPDATE 1',
        'ReadyForQuery I',
      ]);
    }
    expect(await guarded()).toBe('1,uno 2,null');
    client.close();
  });

  test('FETCH from a portal runs what was bound: approvers see with which parameters', async () => {
    const client = await ground.login();
    await ask(client, query('BEGIN'));
    await client.send(
      Buffer.concat([
        parse('DELETE FROM guarded WHERE id = $1 RETURNING id'),
        bind(['00002'], '', 'p'),
        query('FETCH ALL FROM p'),
      ]),
    );
    const hold = await ground.approvals.show((await ground.approvals.next()).id);
    expect(JSON.stringify(hold)).toContain('DELETE FROM guarded WHERE id = $1');
    expect(JSON.stringify(hold)).toContain('00002');
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toContain('DataRow 2');
    expect(await ask(client, query('COMMIT'))).toEqual(['CommandComplete COMMIT', 'ReadyForQuery I']);
    expect(await guarded()).toBe('1,one');
  });

  test('EXECUTE is held for what the name stands for', async () => {
    const client = await ground.login();
    await ask(client, parse('DELETE FROM guarded WHERE id = $1', 'gone'), sync());
    await client.send(query('EXECUTE gone (1)'));
    const hold = await ground.approvals.show((await ground.approvals.next()).id);
    expect(hold.sql).toBe('EXECUTE gone (1)');
    expect(hold.rules).toEqual(['protected-tables']);
    expect(hold.matches[0]?.detail).toContain('DELETE FROM guarded WHERE id = $1');
    await ground.approvals.approve(hold.id);
    expect(answers(await client.untilReady())).toEqual(['CommandComplete DELETE 1', 'ReadyForQuery I']);
    expect(await guarded()).toBe('2,two');
  });

  test('parameters that nobody could read: refused at once', async () => {
    const client = await ground.login();
    const values = ['1', 'x'.repeat(2 * 1024 * 1024)];
    expect(await ask(client, run('UPDATE guarded SET v = $2 WHERE id = $1', values), sync())).toEqual([
      ...RAN,
      'ErrorResponse 42501',
      'ReadyForQuery I',
    ]);
    expect(await ground.approvals.open()).toEqual([]);
  });

  test.each([
    ['at Bind', 'SELECT 1/0', ['ParseComplete', 'ErrorResponse 22012', 'ReadyForQuery I']],
    ['at Execute', 'SELECT 1 / count(*) FROM plain', [...RAN, 'ErrorResponse 22012', 'ReadyForQuery I']],
  ])(
    'an error of the server before it, %s: nothing is held, all up to Sync is discarded',
    async (_at, sql, expected) => {
      const before = await metric(ground.holdfast, 'holdfast_holds');
      const client = await ground.login();
      expect(await ask(client, run(sql), run('TRUNCATE guarded'), sync(), run('SELECT 7'), sync())).toEqual(
        expected,
      );
      expect(answers(await client.untilReady())).toContain('DataRow 7');
      expect(await ground.approvals.open()).toEqual([]);
      // In all states, and so ever.
      expect(await metric(ground.holdfast, 'holdfast_holds')).toBe(before);
    },
  );
});
