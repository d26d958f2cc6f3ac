/**
 * Drivers cannot tell that Holdfast is there: `pg` and `postgres`, and a raw client
 * for what neither of them says. Everything runs once through Holdfast and, where
 * the answers can be compared, once straight to the server.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { serialize } from 'pg-protocol';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';

const SCHEMA = `
  CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, n numeric, at timestamptz, b bytea, j jsonb, tags text[]);
  CREATE TABLE child (t int REFERENCES t DEFERRABLE INITIALLY DEFERRED, CONSTRAINT small CHECK (t < 1000));
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  INSERT INTO t SELECT n, 'row ' || n, n / 3.0, '2024-01-01T00:00:00Z', '\\xdeadbeef', '{"a": [1]}', '{a,NULL,"b c"}' FROM generate_series(1, 100) n;
  CREATE FUNCTION shout() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'hello %', 1 USING DETAIL = 'd', HINT = 'h'; RAISE WARNING 'careful'; END $$;
  CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'custom' USING ERRCODE = 'UE001', DETAIL = 'd', HINT = 'h', TABLE = 't', COLUMN = 'c', SCHEMA = 's', DATATYPE = 'y', CONSTRAINT = 'k'; END $$;
  CREATE FUNCTION books(n int) RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'books'; BEGIN OPEN c FOR SELECT id FROM t ORDER BY id LIMIT n; RETURN c; END $$;
`;
const WRITE_POLICY = `
version: 1
roles:
  - name: writers
    access: write
    rules: { opaque-code: { action: deny, functions: ['*'] } }
`;

let database: TestDatabase;
let transparent: TestHoldfast;
let holdfast: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('drivers', SCHEMA);
  user = await createUser('drivers', database.name);
  [transparent, holdfast] = await Promise.all([
    startTestHoldfast(database, TRANSPARENT_POLICY),
    startTestHoldfast(database, WRITE_POLICY),
  ]);
});

afterAll(async () => {
  await Promise.all([transparent.close(), holdfast.close()]);
  await database.drop();
  await user.drop();
});

const settings = (port: number): pg.ClientConfig => ({
  host: '127.0.0.1',
  port,
  user: user.name,
  database: database.name,
});

async function withPg<T>(port: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(settings(port));
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The same work through Holdfast and straight to the server, one after the other. */
async function both<T>(work: (client: pg.Client) => Promise<T>): Promise<void> {
  const direct = await withPg(database.port, work);
  expect(await withPg(holdfast.port, work)).toEqual(direct);
}

interface ServerError extends Error {
  readonly file?: string;
  readonly line?: string;
}
const failure = (promise: Promise<unknown>): Promise<Record<string, unknown>> =>
  promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => ({ ...(error as ServerError), message: (error as ServerError).message }),
  );

describe('pg', () => {
  test('types, text and binary', () =>
    both(async (client) => [
      (await client.query('SELECT * FROM t ORDER BY id LIMIT 3')).rows,
      (await client.query({ text: 'SELECT * FROM t WHERE id = $1', values: [1], rowMode: 'array' })).fields,
      (
        await client.query({
          text: 'SELECT $1::int4, $2::text, $3::bytea',
          values: [7, 'ünï', Buffer.from([0, 255])],
          binary: true,
        } as pg.QueryConfig)
      ).rows,
      (
        await client.query(
          "SELECT NULL, ''::text, 'NaN'::float8, 1e300, now() > '2020-01-01', ARRAY[[1,2],[3,4]], 'ok'::mood, '[1,5)'::int4range",
        )
      ).rows,
      (await client.query('SELECT $1::jsonb AS j, $2::text[] AS a', [{ a: [1, null] }, ['x', 'y,"z"']])).rows,
    ]));

  test('several statements in one query, and none', () =>
    both(async (client) => {
      const several = (await client.query(
        'SELECT 1 AS a; UPDATE t SET v = v WHERE id = 1; SELECT 2 AS b',
      )) as unknown as pg.QueryResult[];
      const none = await client.query('');
      return [
        several.map(({ command, rowCount, rows }) => ({ command, rowCount, rows })),
        none.rowCount,
        (await client.query(';')).rows,
      ];
    }));

  test('errors with all their fields', () =>
    both(async (client) => [
      await failure(client.query('SELECT fail()')),
      await failure(client.query('INSERT INTO t (id) VALUES (1)')),
      await failure(client.query('INSERT INTO child VALUES (5000)')),
      await failure(client.query('SELECT nothing FROM t')),
      await failure(client.query('SELECT 1 / $1', [0])),
      await failure(client.query('INSERT INTO child VALUES ($1)', [999])),
      await failure(client.query('SELECT $1::int', ['x'])),
      (await client.query('SELECT 1 AS still')).rows,
    ]));

  test('notices', () =>
    both(async (client) => {
      const notices: unknown[] = [];
      client.on('notice', (notice) =>
        notices.push([notice.name, notice.severity, notice.code, notice.message, notice.detail, notice.hint]),
      );
      await client.query('SELECT shout()');
      return notices;
    }));

  test('named prepared statements: prepared once, used often, dropped, made anew', () =>
    both(async (client) => {
      const seen: unknown[] = [];
      const named = { name: 'by_id', text: 'SELECT v FROM t WHERE id = $1' };
      for (const id of [1, 2, 3]) seen.push((await client.query({ ...named, values: [id] })).rows);
      seen.push(
        (await client.query("SELECT name, statement FROM pg_prepared_statements WHERE name = 'by_id'")).rows,
      );
      seen.push((await client.query('EXECUTE by_id(4)')).rows);
      await client.query('BEGIN');
      await client.query('ROLLBACK');
      seen.push((await client.query({ ...named, values: [5] })).rows);
      await client.query('DEALLOCATE by_id');
      seen.push((await failure(client.query({ ...named, values: [6] })))['code']);
      seen.push((await client.query({ ...named, name: 'by_id_again', values: [6] })).rows);
      await client.query('DISCARD ALL');
      seen.push((await failure(client.query({ ...named, name: 'by_id_again', values: [6] })))['code']);
      return seen;
    }));

  test('rows in portions (portal suspended)', () =>
    both(
      async (client) =>
        (
          await client.query<{ id: number }>({
            text: 'SELECT id FROM t ORDER BY id',
            rows: 7,
          } as pg.QueryConfig)
        ).rows,
    ));

  test('LISTEN and NOTIFY between sessions', async () => {
    await withPg(holdfast.port, async (listener) => {
      const heard = new Promise<pg.Notification>((resolve) => listener.once('notification', resolve));
      await listener.query('LISTEN news');
      await withPg(holdfast.port, (speaker) => speaker.query("NOTIFY news, 'ünï'"));
      expect(await heard).toMatchObject({ channel: 'news', payload: 'ünï' });
    });
  });

  test('a pool: many queries at once, transactions, a broken session is replaced', async () => {
    const pool = new pg.Pool({ ...settings(holdfast.port), max: 5 });
    // A session that the server ends while it is idle is an event of the pool.
    pool.on('error', () => undefined);
    try {
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, n) => pool.query<{ n: number }>('SELECT $1::int AS n', [n])),
      );
      expect(results.map(({ rows }) => rows[0]?.n)).toEqual(Array.from({ length: 100 }, (_, n) => n));
      const client = await pool.connect();
      await client.query('BEGIN');
      await client.query("UPDATE t SET v = 'never' WHERE id = 1");
      expect((await failure(client.query('DELETE FROM t')))['routine']).toBe('holdfast/require-where');
      expect((await failure(client.query('SELECT 1')))['code']).toBe('25P02');
      await client.query('ROLLBACK');
      expect((await client.query('SELECT v FROM t WHERE id = 1')).rows).toEqual([{ v: 'row 1' }]);
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const ended = new Promise((resolve) => client.once('end', resolve));
      // One for the server's FATAL, one for the end of the connection.
      client.on('error', () => undefined);
      await withClient((admin) => admin.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]));
      await ended;
      client.release(true);
      expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    } finally {
      await pool.end();
    }
  });

  test('a query that is cancelled', async () => {
    await withPg(transparent.port, async (client) => {
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const slow = failure(client.query('SELECT pg_sleep(60)'));
      await withPg(transparent.port, async (other) => {
        // Ask until the query runs: it may not have reached the server yet.
        const running =
          "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        await withClient(async (admin) => {
          while ((await admin.query(running, [rows[0]?.pid])).rowCount === 0);
        });
        await other.query('SELECT pg_cancel_backend($1)', [rows[0]?.pid]);
      });
      expect((await slow)['code']).toBe('57014');
    });
  });
});

describe('postgres', () => {
  const connect = (port: number, more: postgres.Options<Record<string, never>> = {}): postgres.Sql =>
    postgres({
      host: '127.0.0.1',
      port,
      user: user.name,
      database: database.name,
      onnotice: () => undefined,
      ...more,
    });

  test('pipelined queries, prepared and not', async () => {
    for (const prepare of [true, false]) {
      const sql = connect(holdfast.port, { max: 1, prepare });
      try {
        const results = await Promise.all(
          Array.from(
            { length: 200 },
            (_, n) => sql`SELECT ${n}::int AS n, v FROM t WHERE id = ${(n % 100) + 1}`,
          ),
        );
        expect(results.map((rows) => rows[0]?.['n'] as number)).toEqual(
          Array.from({ length: 200 }, (_, n) => n),
        );
        expect(results[5]?.[0]?.['v']).toBe('row 6');
      } finally {
        await sql.end();
      }
    }
  });

  test('a refused query in a pipeline fails alone', async () => {
    const sql = connect(holdfast.port, { max: 1 });
    try {
      const results = await Promise.allSettled([
        sql`SELECT 1 AS a`,
        sql`DELETE FROM t`,
        sql`SELECT 2 AS b`,
        sql`DROP TABLE t`,
        sql`SELECT 3 AS c`,
      ]);
      expect(results.map((result) => (result.status === 'fulfilled' ? result.value[0] : (result.reason as { routine: string }).routine))).toEqual([
        { a: 1 }, 'holdfast/require-where', { b: 2 }, 'holdfast/access', { c: 3 },
      ]); // prettier-ignore
    } finally {
      await sql.end();
    }
  });

  test('transactions and savepoints', async () => {
    const sql = connect(holdfast.port, { max: 2 });
    try {
      await sql.begin(async (inner) => {
        await inner`INSERT INTO t (id, v) VALUES (500, 'five')`;
        await inner
          .savepoint((point) => point`DELETE FROM t`)
          .catch((error: unknown) => {
            expect((error as { routine: string }).routine).toBe('holdfast/require-where');
          });
        await inner`UPDATE t SET v = 'five hundred' WHERE id = 500`;
      });
      await expect(
        sql.begin(async (inner) => {
          await inner`UPDATE t SET v = 'never' WHERE id = 500`;
          await inner`TRUNCATE t`;
        }),
      ).rejects.toMatchObject({ code: '42501' });
      expect([...(await sql`SELECT v FROM t WHERE id = 500`)]).toEqual([{ v: 'five hundred' }]);
      await sql`DELETE FROM t WHERE id = 500`;
    } finally {
      await sql.end();
    }
  });

  test('COPY streams both ways', async () => {
    const sql = connect(holdfast.port, { max: 1 });
    // One of its own: after a COPY that is read, the driver may wait for ever for the next answer, with or without Holdfast.
    const reader = connect(holdfast.port, { max: 1 });
    try {
      const lines = Array.from({ length: 20_000 }, (_, n) => `${1000 + n}\trow ünï ${n}\n`);
      await pipeline(Readable.from(lines), await sql`COPY t (id, v) FROM STDIN`.writable());
      const chunks: Buffer[] = [];
      for await (const chunk of await reader`COPY (SELECT id, v FROM t WHERE id >= 1000 ORDER BY id) TO STDOUT`.readable()) {
        chunks.push(chunk as Buffer);
      }
      expect(Buffer.concat(chunks).toString() === lines.join('')).toBe(true);
      expect((await sql`DELETE FROM t WHERE id >= 1000`).count).toBe(20_000);
    } finally {
      await Promise.all([sql.end(), reader.end({ timeout: 0 })]);
    }
  });

  test('a cursor, read in portions and left early', async () => {
    const sql = connect(holdfast.port, { max: 1 });
    try {
      const portions: number[][] = [];
      for await (const rows of sql`SELECT id FROM t ORDER BY id`.cursor(30)) {
        portions.push(rows.map((row) => row['id'] as number));
        if (portions.length === 3) break;
      }
      expect(portions.map((rows) => rows.length)).toEqual([30, 30, 30]);
      expect((await sql`SELECT 1 AS one`)[0]).toEqual({ one: 1 });
    } finally {
      await sql.end();
    }
  });

  test('LISTEN, and large parameters', async () => {
    const sql = connect(holdfast.port);
    try {
      let hear: (payload: string) => void = () => undefined;
      const heard = new Promise<string>((resolve) => (hear = resolve));
      await sql.listen('postgres_js', hear);
      await sql.notify('postgres_js', 'payload');
      expect(await heard).toBe('payload');
      const large = 'x'.repeat(3_000_000);
      expect((await sql`SELECT length(${large}) AS n`)[0]).toEqual({ n: 3_000_000 });
      const ids = Array.from({ length: 5_000 }, (_, n) => n);
      expect((await sql`SELECT count(*)::int AS n FROM t WHERE id IN ${sql(ids)}`)[0]).toEqual({ n: 100 });
    } finally {
      await sql.end();
    }
  });

  test('types, errors and counts', async () => {
    const through = connect(transparent.port, { max: 1 });
    const direct = connect(database.port, { max: 1 });
    try {
      const asked = (sql: postgres.Sql): Promise<unknown> =>
        sql`SELECT *, ${'ok'}::mood AS m FROM t ORDER BY id LIMIT 2`.then((rows) => [
          [...rows],
          rows.columns,
        ]);
      expect(JSON.stringify(await asked(through))).toBe(JSON.stringify(await asked(direct)));
      const wrong = (sql: postgres.Sql): Promise<Record<string, unknown>> =>
        failure(sql`INSERT INTO child VALUES (${5000})`);
      const [one, other] = [await wrong(through), await wrong(direct)];
      for (const field of ['code', 'constraint_name', 'table_name', 'detail', 'message'])
        expect(one[field]).toBe(other[field]);
      const { count } = await through`SELECT 1 FROM t`;
      expect(count).toBe(100);
    } finally {
      await Promise.all([through.end(), direct.end()]);
    }
  });
});

describe('the wire', () => {
  const login = (port: number): Promise<WireClient> =>
    wireLogin({ port, user: user.name, database: database.name });
  const query = (sql: string): Buffer => serialize.query(sql);
  const parse = (text: string, name = ''): Buffer => serialize.parse({ text, name });
  const bind = (statement = '', portal = '', values: readonly (string | null)[] = []): Buffer =>
    serialize.bind({ statement, portal, values: [...values] });
  const execute = (portal = '', rows = 0): Buffer => serialize.execute({ portal, rows });
  const describePortal = (name: string): Buffer => serialize.describe({ type: 'P', name });
  const describeStatement = (name: string): Buffer => serialize.describe({ type: 'S', name });
  const closePortal = (name: string): Buffer => serialize.close({ type: 'P', name });
  const closeStatement = (name: string): Buffer => serialize.close({ type: 'S', name });
  const sync = serialize.sync();
  const steps = (...messages: readonly Buffer[]): Buffer => Buffer.concat([...messages, sync]);

  const conversations: readonly (readonly [string, readonly Buffer[]])[] = [
    [
      'PREPARE in SQL, used by the protocol',
      [
        query('PREPARE p (int) AS SELECT $1 + 1'),
        steps(bind('p', '', ['4']), execute()),
        steps(describeStatement('p')),
        query('DEALLOCATE p'),
        steps(bind('p', '', ['4'])),
      ],
    ],
    [
      'Parse, used by SQL',
      [
        steps(parse('SELECT $1::int * 2', 'q')),
        query('EXECUTE q(21)'),
        query('DEALLOCATE q'),
        query('EXECUTE q(21)'),
      ],
    ],
    [
      'Parse of a name that is there',
      [
        steps(parse('SELECT 1', 'r')),
        steps(parse('SELECT 2', 'r')),
        query('EXECUTE r'),
        steps(closeStatement('r'), parse('SELECT 3', 'r')),
        query('EXECUTE r'),
      ],
    ],
    [
      'a failed Parse leaves the old statement',
      [
        steps(parse('SELECT 1', 's')),
        Buffer.concat([parse('SELECT garbage from'), closeStatement('s'), parse('SELECT 2', 's'), sync]),
        query('EXECUTE s'),
      ],
    ],
    [
      'names in quotes, in upper case, and cut at 63 bytes',
      [
        query('PREPARE "Quoted" AS SELECT 1; PREPARE Folded AS SELECT 2'),
        steps(bind('Quoted'), execute(), bind('folded'), execute()),
        steps(bind('Folded')),
        query(`PREPARE ${'n'.repeat(70)} AS SELECT 3`),
        query(`EXECUTE ${'n'.repeat(63)}`),
        steps(bind('n'.repeat(63)), execute()),
      ],
    ],
    [
      'DEALLOCATE ALL and DISCARD ALL',
      [
        steps(parse('SELECT 1', 'a'), parse('SELECT 2', 'b')),
        query('DEALLOCATE ALL'),
        steps(bind('a')),
        steps(parse('SELECT 1', 'a')),
        query('DISCARD ALL'),
        steps(bind('a')),
      ],
    ],
    [
      'statements survive ROLLBACK',
      [query('BEGIN'), steps(parse('SELECT 7', 'v')), query('ROLLBACK'), query('EXECUTE v')],
    ],
    [
      'DECLARE, FETCH, MOVE, CLOSE',
      [
        query('BEGIN'),
        query('DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY id'),
        query('FETCH 2 FROM c'),
        query('MOVE 3 IN c'),
        query('FETCH BACKWARD 1 FROM c'),
        query('FETCH ABSOLUTE -1 FROM c'),
        query('CLOSE c'),
        query('FETCH c'),
        query('ROLLBACK'),
      ],
    ],
    [
      'Execute of a DECLAREd cursor, FETCH of a bound portal',
      [
        query('BEGIN'),
        query('DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id'),
        steps(describePortal('c'), execute('c', 2)),
        query('FETCH 1 FROM c'),
        steps(parse('SELECT id FROM t ORDER BY id'), bind('', 'portal'), execute('portal', 3)),
        query('FETCH 2 FROM portal'),
        steps(closePortal('portal')),
        query('FETCH 2 FROM portal'),
        query('ROLLBACK'),
      ],
    ],
    [
      'WITH HOLD survives COMMIT',
      [
        query('BEGIN'),
        query('DECLARE h CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id'),
        query('DECLARE g CURSOR FOR SELECT 1'),
        query('COMMIT'),
        query('FETCH 2 FROM h'),
        steps(execute('h', 1)),
        query('FETCH 1 FROM g'),
        query('CLOSE ALL'),
        query('FETCH h'),
      ],
    ],
    [
      'a cursor that a function opens',
      [
        query('BEGIN'),
        query('SELECT books(3)'),
        query('FETCH 2 FROM books'),
        query('FETCH ALL IN books'),
        query('COMMIT'),
      ],
    ],
    [
      'portals end with their transaction',
      [
        steps(parse('SELECT id FROM t ORDER BY id'), bind('', 'x'), execute('x', 1)),
        steps(execute('x', 1)),
        query('SELECT 1'),
      ],
    ],
    [
      'a portal is read on after a failure in a savepoint',
      [
        query('BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id'),
        query('SAVEPOINT s'),
        query('FETCH 1 FROM c'),
        query('SELECT 1/0'),
        query('ROLLBACK TO s'),
        query('FETCH 1 FROM c'),
        query('ROLLBACK'),
      ],
    ],
    [
      'UPDATE … WHERE CURRENT OF',
      [
        query('BEGIN'),
        query('DECLARE c CURSOR FOR SELECT * FROM t ORDER BY id FOR UPDATE'),
        query('MOVE 2 FROM c'),
        query("UPDATE t SET v = 'here' WHERE CURRENT OF c RETURNING id"),
        query('DELETE FROM t WHERE CURRENT OF c'),
        query('ROLLBACK'),
      ],
    ],
    [
      'a pipeline with an implicit transaction',
      [
        steps(
          parse('INSERT INTO t (id, v) VALUES (900, $1)', 'i'),
          bind('i', '', ['x']),
          execute(),
          parse('SELECT 1/0'),
          bind(),
          execute(),
          parse('SELECT 1'),
        ),
        query('SELECT count(*) FROM t WHERE id = 900'),
      ],
    ],
    [
      'Flush between messages',
      [
        Buffer.concat([
          parse('SELECT 1'),
          serialize.flush(),
          bind(),
          serialize.flush(),
          execute(),
          serialize.flush(),
          sync,
        ]),
      ],
    ],
    [
      'an empty statement by the extended protocol',
      [
        steps(parse(''), bind(), describePortal(''), execute()),
        steps(parse('-- nothing'), bind(), execute()),
      ],
    ],
    [
      'COPY by the extended protocol',
      [
        Buffer.concat([
          parse('COPY t (id, v) FROM STDIN'),
          bind(),
          execute(),
          serialize.copyData(Buffer.from('901\tnine\n')),
          serialize.copyDone(),
          sync,
        ]),
        query('DELETE FROM t WHERE id = 901'),
        query('COPY (SELECT 1) TO STDOUT'),
      ],
    ],
    [
      'COPY that the client breaks off, and rows that are wrong',
      [
        Buffer.concat([query('COPY t (id, v) FROM STDIN'), serialize.copyFail('enough')]),
        Buffer.concat([
          query('COPY t (id, v) FROM STDIN'),
          serialize.copyData(Buffer.from('no number\tx\n')),
          serialize.copyDone(),
        ]),
        query('SELECT 1'),
      ],
    ],
    [
      'a deferred constraint that fails at COMMIT',
      [
        query('INSERT INTO child VALUES (777)'),
        query('BEGIN'),
        query('INSERT INTO child VALUES (777)'),
        query('COMMIT'),
        steps(parse('INSERT INTO child VALUES (777)'), bind(), execute()),
      ],
    ],
    [
      'settings reported',
      [
        query("SET application_name = 'renamed'; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'"),
        query("SELECT now() IS NOT NULL, current_setting('TimeZone')"),
        query('RESET ALL'),
      ],
    ],
    [
      'one statement prepared by another: EXPLAIN EXECUTE, CREATE TABLE AS EXECUTE',
      [
        query('PREPARE e AS SELECT id FROM t WHERE id < 3 ORDER BY id'),
        query('EXPLAIN (COSTS off) EXECUTE e'),
        query('CREATE TEMP TABLE made AS EXECUTE e'),
        query('SELECT * FROM made'),
        query('DISCARD TEMP'),
      ],
    ],
  ];

  describe.each([
    ['admin', (): number => transparent.port],
    ['write', (): number => holdfast.port],
  ])('as %s', (_access, port) => {
    test.each(conversations)('%s', async (_what, messages) => {
      const transcripts: (readonly string[])[] = [];
      for (const at of [database.port, port()]) {
        const client = await login(at);
        const lines: string[] = [];
        for (const message of messages) {
          await client.send(message);
          const part = [...(await client.untilReady())];
          // A setting may be reported anywhere before ReadyForQuery.
          lines.push(
            ...part.filter((line) => !line.startsWith('ParameterStatus')),
            ...part.filter((line) => line.startsWith('ParameterStatus')).sort(),
          );
        }
        client.close();
        transcripts.push(lines);
      }
      expect(transcripts[1]).toEqual(transcripts[0]);
    });
  });

  test('binary parameters and results', async () => {
    const number = Buffer.alloc(4);
    number.writeInt32BE(41);
    const transcripts: (readonly string[])[] = [];
    for (const at of [database.port, holdfast.port]) {
      const client = await login(at);
      await client.send(
        steps(
          parse('SELECT $1::int4 + 1, $2::bytea'),
          serialize.bind({ values: [number, Buffer.from([0, 1, 255])], binary: true }),
          execute(),
        ),
      );
      transcripts.push(await client.untilReady());
      client.close();
    }
    expect(transcripts[1]).toEqual(transcripts[0]);
    expect(transcripts[1]?.[2]).toMatch(/^DataRow/);
  });

  describe('large objects by FunctionCall', () => {
    /** FunctionCall with binary arguments and result. */
    function call(oid: number, ...values: readonly Buffer[]): Buffer {
      const body = Buffer.concat([
        Buffer.from(Uint32Array.of(oid).buffer).swap32(),
        Buffer.from([0, 1, 0, 1, 0, values.length]),
        ...values.flatMap((value) => [Buffer.from(Uint32Array.of(value.length).buffer).swap32(), value]),
        Buffer.from([0, 1]),
      ]);
      return Buffer.concat([
        Buffer.from('F'),
        Buffer.from(Uint32Array.of(body.length + 4).buffer).swap32(),
        body,
      ]);
    }
    const int = (value: number): Buffer => Buffer.from(Int32Array.of(value).buffer).swap32();
    /** lo_creat, lo_open, lowrite, lo_lseek, loread, lo_close, lo_unlink in pg_proc. */
    const [LO_CREAT, LO_OPEN, LOWRITE, LO_LSEEK, LOREAD, LO_CLOSE, LO_UNLINK] = [
      957, 952, 955, 956, 954, 953, 964,
    ];

    test('work for an administrator', async () => {
      const client = await login(transparent.port);
      const raw: Buffer[] = [];
      client.socket.on('data', (bytes: Buffer) => raw.push(bytes));
      const ask = async (message: Buffer): Promise<Buffer> => {
        raw.length = 0;
        await client.send(message);
        await client.untilReady();
        // FunctionCallResponse is unknown to the client's parser, which reports it without an SQLSTATE.
        expect(client.lines.filter((line) => /^ErrorResponse \w{5}$/.test(line))).toEqual([]);
        const bytes = Buffer.concat(raw);
        if (bytes[0] !== 'V'.charCodeAt(0)) return Buffer.alloc(0);
        return bytes.subarray(9, 9 + bytes.readInt32BE(5));
      };
      await ask(query('BEGIN'));
      const oid = await ask(call(LO_CREAT, int(0x60000)));
      const fd = await ask(call(LO_OPEN, oid, int(0x60000)));
      expect((await ask(call(LOWRITE, fd, Buffer.from('large object')))).readInt32BE()).toBe(12);
      await ask(call(LO_LSEEK, fd, int(6), int(0)));
      expect((await ask(call(LOREAD, fd, int(100)))).toString()).toBe('object');
      await ask(call(LO_CLOSE, fd));
      await ask(call(LO_UNLINK, oid));
      await ask(query('COMMIT'));
      client.close();
    });

    test('are refused below, in a transaction as a server error would be', async () => {
      const client = await login(holdfast.port);
      await client.send(call(LO_CREAT, int(0x60000)));
      expect(await client.untilReady()).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      await client.send(query('BEGIN'));
      await client.untilReady();
      await client.send(call(LO_CREAT, int(0x60000)));
      expect(await client.untilReady()).toEqual(['ErrorResponse 42501', 'ReadyForQuery E']);
      await client.send(query('ROLLBACK'));
      expect(await client.untilReady()).toEqual(['CommandComplete ROLLBACK', 'ReadyForQuery I']);
      await client.send(
        query(
          "SELECT lo_from_bytea(990011, 'by SQL'); SELECT lo_get(990011) = 'by SQL'; SELECT lo_unlink(990011)",
        ),
      );
      expect((await client.untilReady()).filter((line) => line.startsWith('DataRow'))).toEqual([
        'DataRow 990011',
        'DataRow t',
        'DataRow 1',
      ]);
      client.close();
    });
  });
});
