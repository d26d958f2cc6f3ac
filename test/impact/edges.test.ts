/** What is counted in other ways than statement by statement, and what cannot be counted and is refused. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { withClient } from '../support/postgres.js';
import { frontend } from '../session/messages.js';
import { extended, impactOf, limitPolicy, say, simple, startImpact } from './ground.js';
import type { ImpactGround } from './ground.js';

const MORE = `
  CREATE TABLE late (id int);
  CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM plain; RETURN NULL; END $$;
  CREATE CONSTRAINT TRIGGER later AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION later();
      CREATE TABLE late_parts (id int) PARTITION BY RANGE (id);
      CREATE TABLE late_part PARTITION OF late_parts FOR VALUES FROM (0) TO (100);
      CREATE CONSTRAINT TRIGGER later AFTER INSERT ON late_parts DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION later();
  CREATE TABLE emptier (id int);
  CREATE FUNCTION empty_plain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN TRUNCATE plain; RETURN NULL; END $$;
  CREATE FUNCTION empty_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN TRUNCATE plain; RETURN 1; END $$;
  CREATE FUNCTION by_way() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    CREATE TEMP TABLE IF NOT EXISTS way (id int); INSERT INTO way VALUES (1);
    UPDATE plain SET v = 'w' WHERE id = 1; RETURN 1; END $$;
  CREATE TRIGGER empties AFTER INSERT ON emptier FOR EACH ROW EXECUTE FUNCTION empty_plain();
`;

const copy = (rows: number, from: number) => [
  ...Array.from({ length: rows }, (_, each) => `CopyData "${(from + each).toString()}\\tc\\n"`),
  'CopyDone',
];

describe('with limits for statement and transaction', () => {
  let ground: ImpactGround;

  beforeAll(async () => {
    ground = await startImpact(
      'impact_edges',
      limitPolicy('action: deny, statement: 5, transaction: 8, tables: { source: { statement: 50 } }'),
    );
    await withClient(async (client) => {
      await client.query(MORE);
      await client.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO "${ground.user.name}"`);
      await client.query(`ALTER TABLE plain OWNER TO "${ground.user.name}"`);
    }, ground.database.name);
    await ground.rows('ANALYZE');
  });

  beforeEach(async () => {
    await ground.reset();
    await ground.outcomes();
  });

  afterAll(async () => {
    await ground.close();
  });

  test('a table that was empty when it was analysed may be dropped, one that has grown unseen may not', async () => {
    for (const [name, before, after, answer] of [
      ['never_analysed', '', '', /would change up to 292 rows/],
      ['analysed_empty', 'ANALYZE analysed_empty', '', undefined],
      [
        'grown_since',
        'ANALYZE grown_since',
        'BEGIN; INSERT INTO grown_since SELECT generate_series(1, 5000); ROLLBACK',
        /would change up to [\d,]{5,} rows/,
      ],
    ] as const) {
      await withClient(async (client) => {
        await client.query(`CREATE TABLE ${name} (id int)`);
        // Bytes without rows: what was inserted is rolled back.
        await client.query(`BEGIN; INSERT INTO ${name} VALUES (1); ROLLBACK`);
        if (before) await client.query(before);
        if (after) await client.query(after);
        await client.query(`ALTER TABLE ${name} OWNER TO "${ground.user.name}"`);
      }, ground.database.name);
      const client = await ground.login();
      await say(client, simple(`DROP TABLE ${name}`));
      client.close();
      const said = client.errors.map((one) => one.message).join();
      if (answer) {
        expect(said).toMatch(answer);
        expect(client.errors[0]?.hint).toContain(`ANALYZE "public"."${name}" tells it`);
      } else expect(said).toBe('');
    }
  });

  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    test(`${protocol}: each statement of a session is charged with its own rows, whatever came before it`, async () => {
      const client = await ground.login();
      const change = (id: number) => messages(`UPDATE plain SET v = 'c' WHERE id = ${id.toString()}`);
      const insert = (id: number) => messages(`INSERT INTO plain VALUES (${id.toString()}, 'i')`);
      const steps: readonly (readonly [lines: readonly string[], ready: number])[] = [
        [change(1), 1],
        [messages('SELECT count(*) FROM plain'), 1],
        [change(2), 1],
        // Two transactions in one go: between them the counters begin anew.
        [[...insert(300), ...change(3)], 2],
        [messages('BEGIN'), 1],
        [change(4), 1],
        [messages('SAVEPOINT a'), 1],
        [insert(301), 1],
        [messages('ROLLBACK TO a'), 1],
        [change(5), 1],
        [messages('COMMIT'), 1],
        [change(6), 1],
        // Over the limit, and taken back.
        [messages('DELETE FROM plain'), 1],
        [change(7), 1],
        // Fails, with a row inserted all the same.
        [insert(1), 1],
        [change(8), 1],
        // Fails behind one that was counted, in one string, and what it did is taken back.
        [simple('BEGIN; SAVEPOINT a'), 1],
        [simple("UPDATE plain SET v = 'c' WHERE id = 8; INSERT INTO plain VALUES (402, 'i'), (1, 'i')"), 1],
        [simple('ROLLBACK TO a'), 1],
        [change(8), 1],
        [simple('ROLLBACK'), 1],
        [messages('TRUNCATE part'), 1],
        [change(9), 1],
      ];
      for (const [lines, ready] of steps) await say(client, lines, ready);
      const outcomes = await ground.outcomes();
      const counted = outcomes.filter(({ impact }) => impact !== null).map((outcome) => impactOf(outcome));
      expect(counted).toEqual([
        { plain: '~1' },
        { plain: '~1' },
        { plain: '+1' },
        { plain: '~1' },
        { plain: '~1' },
        { plain: '+1' },
        { plain: '~1' },
        { plain: '~1' },
        { plain: '-11' },
        { plain: '~1' },
        { plain: '~1' },
        { plain: '~1' },
        { plain: '~1' },
        { part_low: '-5', part_high: '' },
        { plain: '~1' },
      ]);
      client.close();
    });
  }

  test('a function may use a temporary table, and other sessions may make tables meanwhile', async () => {
    const client = await ground.login();
    const one = async (sql: string) => {
      const lines = await say(client, simple(sql));
      expect(lines.at(-2)).toMatch(/^CommandComplete/);
      return (await ground.outcomes()).map((outcome) => impactOf(outcome));
    };
    expect(await one("UPDATE plain SET v = 'w' WHERE id = 2")).toEqual([{ plain: '~1' }]);
    await ground.rows('CREATE TABLE meanwhile (id int)');
    expect(await one("UPDATE plain SET v = 'w' WHERE id = 3")).toEqual([{ plain: '~1' }]);
    expect(await one('SELECT by_way()')).toEqual([{ plain: '~1' }]);
    expect(await one('SELECT by_way()')).toEqual([{ plain: '~1' }]);
    await ground.rows('DROP TABLE meanwhile');
    expect(await one("UPDATE plain SET v = 'w' WHERE id = 4")).toEqual([{ plain: '~1' }]);
    client.close();
  });

  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    test(`${protocol}: COPY FROM STDIN is counted when its data are complete`, async () => {
      const run = async (rows: number, from: number) => {
        const client = await ground.login();
        const start = messages('COPY plain FROM STDIN');
        // A driver sends its Sync behind the end of the data.
        await say0(
          client,
          start.filter((line) => line !== 'Sync'),
        );
        await client.until('CopyInResponse');
        const lines = await say(client, [...copy(rows, from), ...(protocol === 'extended' ? ['Sync'] : [])]);
        client.close();
        return lines;
      };
      expect(await run(4, 100)).toEqual(['CommandComplete COPY 4', 'ReadyForQuery I']);
      expect(await run(6, 200)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      expect(await ground.rows('SELECT count(*) FROM plain')).toBe('14');
      const outcomes = await ground.outcomes();
      expect(outcomes.map((outcome) => impactOf(outcome))).toEqual([{ plain: '+4' }, { plain: '+6' }]);
    });

    test(`${protocol}: a transaction has a limit for all its statements`, async () => {
      const before = await ground.data();
      const client = await ground.login();
      await say(client, simple('BEGIN'));
      for (const from of [1, 5]) {
        const lines = await say(
          client,
          messages(`DELETE FROM plain WHERE id BETWEEN ${from} AND ${from + 3}`),
        );
        expect(lines).toContain('CommandComplete DELETE 4');
      }
      expect((await say(client, messages('DELETE FROM plain WHERE id = 9'))).slice(-2)).toEqual([
        'ErrorResponse 42501',
        'ReadyForQuery E',
      ]);
      expect(client.errors.at(-1)?.message).toContain('its transaction would change 9 rows');
      await say(client, simple('COMMIT'));
      expect(await ground.data()).toBe(before);
      client.close();
    });

    test(`${protocol}: a function of CALL is counted within a block, and may not commit there`, async () => {
      const before = await ground.data();
      const client = await ground.login();
      expect((await say(client, messages('CALL sweep(9)'))).slice(-2)).toEqual([
        'ErrorResponse 42501',
        'ReadyForQuery I',
      ]);
      expect(client.errors.at(-1)?.hint).toContain('BEGIN');
      await say(client, simple('BEGIN'));
      expect(await say(client, messages('CALL sweep(9)'))).toContain('ErrorResponse 42501');
      await say(client, simple('ROLLBACK'));
      await say(client, simple('BEGIN'));
      expect(await say(client, messages('CALL sweep_and_commit()'))).toContain('ErrorResponse 2D000');
      await say(client, simple('ROLLBACK'));
      expect(await ground.data()).toBe(before);
      client.close();
    });

    test(`${protocol}: a trigger that may run at COMMIT, or empties a table, makes a statement uncountable`, async () => {
      const before = await ground.data();
      const client = await ground.login();
      expect(await say(client, messages('INSERT INTO late VALUES (1)'))).toContain('ErrorResponse 42501');
      expect(client.errors.at(-1)?.detail).toContain('deferrable trigger');
      // Its partitions have copies of the trigger.
      expect(await say(client, messages('INSERT INTO late_parts VALUES (1)'))).toContain(
        'ErrorResponse 42501',
      );
      expect(client.errors.at(-1)?.detail).toContain('"late_part" has a deferrable trigger');
      expect(await say(client, messages('INSERT INTO emptier VALUES (1)'))).toContain('ErrorResponse 42501');
      expect(client.errors.at(-1)?.message).toContain('cannot be measured');
      expect(await ground.data()).toBe(before);
      client.close();
    });

    for (const rewrite of ['ALTER TABLE plain ALTER v TYPE varchar(99)', 'CLUSTER plain USING plain_pkey']) {
      test(`${protocol}: what was rewritten by ${rewrite.slice(0, 12)} in the same transaction is emptied in its place, which is seen`, async () => {
        const before = await ground.data();
        const client = await ground.login();
        await say(client, simple('BEGIN'));
        await say(client, simple(rewrite));
        expect((await say(client, messages("UPDATE plain SET v = 'r' WHERE id = 1"))).slice(-2)).toEqual([
          'CommandComplete UPDATE 1',
          'ReadyForQuery T',
        ]);
        await say(client, simple('ROLLBACK'));
        for (const empties of ['TRUNCATE plain', 'INSERT INTO emptier VALUES (1)', 'SELECT empty_it()']) {
          await say(client, simple('BEGIN'));
          await say(client, simple(rewrite));
          expect((await say(client, messages(empties))).slice(-2), empties).toEqual([
            'ErrorResponse 42501',
            'ReadyForQuery E',
          ]);
          expect(client.errors.at(-1)?.detail, empties).toMatch(/"plain": \d+ deleted/);
          await say(client, simple('ROLLBACK'));
          const together =
            protocol === 'simple'
              ? simple(`${rewrite}; ${empties}`)
              : [...extended(rewrite).slice(0, -1), ...extended(empties)];
          expect((await say(client, together)).slice(-2), empties).toEqual([
            'ErrorResponse 42501',
            'ReadyForQuery I',
          ]);
        }
        expect(await ground.data()).toBe(before);
        client.close();
      });
    }

    test(`${protocol}: a table with a limit of its own`, async () => {
      const client = await ground.login();
      const insert = messages('INSERT INTO source SELECT i FROM generate_series(1000, 1029) i');
      expect(await say(client, insert)).toContain('CommandComplete INSERT 0 30');
      client.close();
    });

    test(`${protocol}: EXECUTE counts what its name stands for`, async () => {
      const before = await ground.data();
      const client = await ground.login();
      await say(client, simple('PREPARE wide AS DELETE FROM plain WHERE id > $1'));
      expect(await say(client, messages('EXECUTE wide(3)'))).toContain('ErrorResponse 42501');
      expect(await ground.data()).toBe(before);
      expect(await say(client, messages('EXECUTE wide(8)'))).toContain('CommandComplete DELETE 2');
      client.close();
    });
  }

  test('a string commits nothing of itself when one of its statements is above the limit', async () => {
    const before = await ground.data();
    const client = await ground.login();
    const lines = await say(
      client,
      simple('DELETE FROM plain WHERE id = 1; DELETE FROM plain WHERE id > 3; SELECT 1'),
    );
    expect(lines.slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(await ground.data()).toBe(before);
    expect(
      await say(client, simple('DELETE FROM plain WHERE id = 1; SELECT 7; DELETE FROM plain WHERE id = 2')),
    ).toEqual([
      'CommandComplete DELETE 1',
      'RowDescription',
      'DataRow 7',
      'CommandComplete SELECT 1',
      'CommandComplete DELETE 1',
      'ReadyForQuery I',
    ]);
    client.close();
  });

  test('a pipeline is rolled back whole, and each write of it was counted', async () => {
    const before = await ground.data();
    const client = await ground.login();
    const one = (sql: string) => extended(sql).slice(0, -1);
    const lines = await say(client, [
      ...one('DELETE FROM plain WHERE id = 1'),
      ...one('DELETE FROM plain WHERE id > 3'),
      ...one('DELETE FROM plain WHERE id = 2'),
      'Sync',
    ]);
    expect(lines.slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(await ground.data()).toBe(before);
    client.close();
  });

  test('what was committed has the server’s word in the log, and what was rolled back', async () => {
    const client = await ground.login();
    await say(client, simple('DELETE FROM plain WHERE id = 1'));
    await say(client, simple('BEGIN'));
    await say(client, simple('DELETE FROM plain WHERE id = 2'));
    await say(client, simple('ROLLBACK'));
    // What is recorded before it is written when its decision is.
    await say(client, simple('SELECT 1'));
    client.close();
    const ends = (await ground.records('transaction')).slice(-2);
    expect(ends.map(({ result }) => result)).toEqual(['committed', 'rolled_back']);
    for (const { transaction, result } of ends) {
      const status = await ground.rows(`SELECT pg_xact_status('${String(transaction)}'::xid8)`);
      expect(status).toBe(result === 'committed' ? 'committed' : 'aborted');
    }
  });

  test('what a pipeline has taken back itself is not said to be committed', async () => {
    const client = await ground.login();
    const one = (sql: string) => extended(sql).slice(0, -1);
    const before = (await ground.records('transaction')).length;
    for (const end of ['ROLLBACK', 'COMMIT']) {
      await say(client, [...one('DELETE FROM plain WHERE id = 1'), ...one(end), 'Sync']);
      // Answered without a Sync, and ended by a Query.
      await say0(client, [...one('DELETE FROM plain WHERE id = 2'), 'Flush']);
      await client.until('CommandComplete');
      await say(client, simple(end));
    }
    await say(client, simple('SELECT 1'));
    client.close();
    const ends = (await ground.records('transaction')).slice(before);
    const status: string[] = [];
    for (const { transaction } of ends)
      status.push(await ground.rows(`SELECT pg_xact_status('${String(transaction)}'::xid8)`));
    expect(ends.map(({ result }) => result)).toEqual(
      status.map((word) => (word === 'aborted' ? 'rolled_back' : word)),
    );
    expect(status).toHaveLength(4);
  });

  test('reads and statements that change no rows have nothing counted', async () => {
    const client = await ground.login();
    await say(client, simple('SELECT count(*) FROM plain'));
    await say(client, extended('SELECT 1'));
    await say(client, simple('CREATE TEMP TABLE t (id int)'));
    await say(client, simple('DELETE FROM plain WHERE id = 1'));
    client.close();
    // What was recorded late of the test before may be among them.
    const outcomes = (await ground.outcomes()).slice(-4);
    expect(outcomes.map(({ impact }) => impact === null)).toEqual([true, true, true, false]);
  });
});

/** Sends without waiting for the end of the request. */
async function say0(
  client: Awaited<ReturnType<ImpactGround['login']>>,
  lines: readonly string[],
): Promise<void> {
  await client.send(Buffer.concat(lines.map(frontend)));
}

test('a small table that nobody has analysed may be emptied and dropped, as far as its file has no room for more', async () => {
  const ground = await startImpact('impact_small', limitPolicy('action: deny, statement: 300'));
  try {
    await withClient((client) => client.query('GRANT ALL ON SCHEMA public TO PUBLIC'), ground.database.name);
    const client = await ground.login();
    await say(client, simple('CREATE TABLE small (id int); CREATE TABLE larger (id int)'));
    for (let at = 0; at < 3; at++) {
      await say(client, simple('BEGIN; INSERT INTO small VALUES (1)'));
      await say(client, simple('ROLLBACK'));
    }
    await withClient(
      (other) => other.query('BEGIN; INSERT INTO larger SELECT generate_series(1, 2000); ROLLBACK'),
      ground.database.name,
    );
    expect(await say(client, simple('TRUNCATE small'))).toContain('CommandComplete TRUNCATE TABLE');
    expect(await say(client, simple('DROP TABLE small'))).toContain('CommandComplete DROP TABLE');
    expect(await say(client, simple('DROP TABLE larger'))).toContain('ErrorResponse 42501');
    expect(client.errors.at(-1)?.hint).toContain('ANALYZE "public"."larger"');
    client.close();
  } finally {
    await ground.close();
  }
});

test('in observe mode everything is counted and nothing refused', async () => {
  const ground = await startImpact('impact_observe', limitPolicy('action: deny, statement: 5', 'observe'));
  try {
    const client = await ground.login();
    expect(await say(client, simple('DELETE FROM plain'))).toEqual([
      'CommandComplete DELETE 10',
      'ReadyForQuery I',
    ]);
    client.close();
    const [outcome] = await ground.outcomes();
    expect(impactOf(outcome)).toEqual({ plain: '-10' });
    expect(outcome).toMatchObject({ sqlstate: null, matches: [{ rule: 'row-limit', action: 'deny' }] });
  } finally {
    await ground.close();
  }
});
