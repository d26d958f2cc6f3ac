/**
 * Under the limit, clients see what they would see without Holdfast: the same work is
 * done straight to the server and through a Holdfast that counts every write, and what
 * was seen is compared: messages in their order, every field of errors and notices.
 */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { cancelPacket } from '../support/raw.js';
import { connected, wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { int32 } from '../session/messages.js';
import { extended, limitPolicy, say, simple } from './ground.js';

const SCHEMA = `
  CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, j jsonb);
  CREATE TABLE child (id int PRIMARY KEY, t int NOT NULL REFERENCES t DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE kid (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);
  CREATE TABLE loud (id int PRIMARY KEY, what text);
  CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    CASE NEW.what
      WHEN 'notice' THEN RAISE NOTICE 'row %', NEW.id USING DETAIL = 'd', HINT = 'h';
      WHEN 'warning' THEN RAISE WARNING 'careful';
      WHEN 'exception' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'UE001', DETAIL = 'd', HINT = 'h', TABLE = 'loud', CONSTRAINT = 'k';
      WHEN 'notify' THEN PERFORM pg_notify('news', NEW.id::text);
      WHEN 'nap' THEN PERFORM pg_sleep(0.5);
      WHEN 'sleep' THEN PERFORM pg_sleep(30);
      ELSE NULL;
    END CASE;
    RETURN NEW; END $$;
  CREATE TRIGGER loud BEFORE INSERT OR UPDATE ON loud FOR EACH ROW EXECUTE FUNCTION loud();
`;
const ROWS = `
  TRUNCATE t, child, kid, loud;
  INSERT INTO t SELECT n, 'row ' || n, n / 3.0, '{"a": [1]}' FROM generate_series(1, 20) n;
  INSERT INTO kid SELECT n, n FROM generate_series(1, 20) n;
`;

let database: TestDatabase;
let user: TestUser;
let holdfast: TestHoldfast;
let watcher: pg.Client;

beforeAll(async () => {
  database = await createDatabase('impact_clients', SCHEMA);
  user = await createUser('impact_clients', database.name);
  holdfast = await startTestHoldfast(
    database,
    // Without the notice at login, which nobody else has.
    limitPolicy('action: deny, statement: 1000000, transaction: 1000000').replace(
      'access: admin',
      'access: admin\n    banner: false',
    ),
  );
  watcher = new pg.Client({ connectionString: database.url });
  await watcher.connect();
});

afterAll(async () => {
  await watcher.end();
  await holdfast.close();
  await database.drop();
  await user.drop();
});

beforeEach(async () => {
  await watcher.query(ROWS);
});

/** The same work straight and through Holdfast, each on the same rows. What it answers, and the rows after it, must be the same. */
async function both<T>(work: (port: number) => Promise<T>): Promise<T> {
  const seen: { answer: T; rows: unknown }[] = [];
  for (const port of [database.port, holdfast.port]) {
    await watcher.query(ROWS);
    const answer = await work(port);
    const { rows } = await watcher.query(
      `SELECT 't' AS of, t::text FROM t UNION ALL SELECT 'c', c::text FROM child c UNION ALL SELECT 'k', k::text FROM kid k
       UNION ALL SELECT 'l', l::text FROM loud l ORDER BY 1, 2`,
    );
    seen.push({ answer, rows });
  }
  expect(seen[1]).toEqual(seen[0]);
  return (seen[0] as { answer: T }).answer;
}

function login(port: number, parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
  return wireLogin({ port, user: user.name, database: database.name, parameters });
}

/**
 * Errors and notices in full, the messages in their order. Process ids and transaction ids differ from run to run; and
 * in which of its functions the server finds a block failed (25P02) depends on the protocol that carries a Query.
 */
function heard({ lines, errors, notices }: WireClient): unknown {
  const fields = (of: object) => ({
    ...of,
    detail: String((of as { detail?: string }).detail).replaceAll(
      /(?:process|transaction) \d+/gi,
      'process N',
    ),
    length: 0,
    ...((of as { code?: string }).code === '25P02' ? { line: '', routine: '' } : {}),
  });
  return {
    lines: lines.filter((line) => !/^(ParameterStatus|BackendKeyData|Authentication)/.test(line)),
    errors: errors.map((one) => fields({ ...one, message: one.message })),
    notices: notices.map((one) => fields({ ...one, message: one.message })),
  };
}

/** Groups of messages, each answered before the next. */
function transcript(groups: readonly (readonly string[])[]): (port: number) => Promise<unknown> {
  return async (port) => {
    const client = await login(port);
    for (const lines of groups)
      await say(client, lines, lines.filter((line) => /^(Query|Sync)/.test(line)).length);
    client.close();
    return heard(client);
  };
}

const deferred = 'INSERT INTO child VALUES (1, 999)';
const raising = (what: string): string => `INSERT INTO loud VALUES (1, '${what}')`;
const PROTOCOLS = { simple, extended } as const;

describe('message by message', () => {
  for (const [protocol, messages] of Object.entries(PROTOCOLS)) {
    test.for<readonly [string, readonly (readonly string[])[]]>([
      ['RETURNING', [messages('UPDATE t SET v = v || id WHERE id < 4 RETURNING id, v, n, j')]],
      ['no row', [messages('DELETE FROM t WHERE id = -1')]],
      ['a deferred constraint, by itself', [messages(deferred), messages('SELECT 1')]],
      [
        'a deferred constraint at COMMIT',
        [messages('BEGIN'), messages(deferred), messages('COMMIT'), messages('SELECT 1')],
      ],
      [
        'a deferred constraint made immediate',
        [
          messages('BEGIN'),
          messages(deferred),
          messages('SET CONSTRAINTS ALL IMMEDIATE'),
          messages('COMMIT'),
        ],
      ],
      ['a unique violation', [messages('INSERT INTO t VALUES (1)'), messages('SELECT 1')]],
      [
        'a unique violation in a block',
        [messages('BEGIN'), messages('INSERT INTO t VALUES (1)'), messages('COMMIT')],
      ],
      ['an unknown column, with its position', [messages('UPDATE t SET nothing = 1 WHERE id = 1')]],
      ['a type error, with its position', [messages("UPDATE t SET n = 'x' WHERE id = 1")]],
      ['RAISE NOTICE', [messages(raising('notice'))]],
      ['RAISE WARNING in a block', [messages('BEGIN'), messages(raising('warning')), messages('COMMIT')]],
      ['RAISE EXCEPTION', [messages(raising('exception')), messages('SELECT 1')]],
      [
        'RAISE EXCEPTION in a block',
        [messages('BEGIN'), messages(raising('exception')), messages('ROLLBACK')],
      ],
      [
        'savepoints',
        [
          messages('BEGIN'),
          messages('SAVEPOINT a'),
          messages('INSERT INTO t VALUES (1)'),
          messages('ROLLBACK TO a'),
          messages('DELETE FROM t WHERE id = 20'),
          messages('RELEASE a'),
          messages('COMMIT'),
        ],
      ],
      [
        'in a failed block',
        [
          messages('BEGIN'),
          messages('SELECT 1/0'),
          messages('DELETE FROM t WHERE id = 1'),
          messages('ROLLBACK'),
        ],
      ],
      [
        'statement_timeout',
        [messages('SET statement_timeout = 100'), messages(raising('sleep')), messages('SELECT 1')],
      ],
      [
        'a read-only transaction',
        [messages('BEGIN READ ONLY'), messages('DELETE FROM t WHERE id = 1'), messages('ROLLBACK')],
      ],
      [
        'the transaction’s own id and settings',
        [
          messages("SET application_name = 'x'"),
          messages("UPDATE t SET v = current_setting('application_name') WHERE id = 1 RETURNING v"),
        ],
      ],
      [
        'COMMIT AND CHAIN',
        [
          messages('BEGIN'),
          messages('DELETE FROM t WHERE id = 1'),
          messages('COMMIT AND CHAIN'),
          messages('DELETE FROM t WHERE id = 2'),
          messages('ROLLBACK'),
        ],
      ],
      [
        'SQL-level cursors',
        [
          messages('BEGIN'),
          messages('DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id'),
          messages('DELETE FROM t WHERE id = 5'),
          messages('FETCH 6 FROM c'),
          messages('COMMIT'),
        ],
      ],
      [
        'WHERE CURRENT OF',
        [
          messages('BEGIN'),
          messages('DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id FOR UPDATE'),
          messages('FETCH 2 FROM c'),
          messages('DELETE FROM t WHERE CURRENT OF c'),
          messages('COMMIT'),
        ],
      ],
      [
        'PREPARE and EXECUTE',
        [
          messages('PREPARE p (int) AS DELETE FROM t WHERE id = $1 RETURNING id'),
          messages('EXECUTE p (3)'),
          messages('EXECUTE p (3)'),
          messages('DEALLOCATE p'),
        ],
      ],
      [
        'currval',
        [
          messages('CREATE TEMP SEQUENCE s'),
          messages("INSERT INTO t (id) VALUES (nextval('s') + 100) RETURNING id"),
          messages("SELECT currval('s')"),
        ],
      ],
    ])(`${protocol}: %s`, async ([, groups]) => {
      await both(transcript(groups));
    });
  }

  test('a string of statements', async () => {
    await both(
      transcript([
        simple(
          "INSERT INTO t (id) VALUES (100); UPDATE t SET v = 'x' WHERE id = 100 RETURNING v; SELECT count(*) FROM t",
        ),
        simple('DELETE FROM t WHERE id = 100; SELECT 1/0; DELETE FROM t WHERE id = 1'),
        simple(`DELETE FROM t WHERE id = 100; ${deferred}`),
        simple('BEGIN; DELETE FROM t WHERE id = 2; COMMIT; DELETE FROM t WHERE id = 3'),
        simple(' DELETE FROM t WHERE id = 4; ; UPDATE t SET wrong = 1'),
      ]),
    );
  });

  test('pipelines: named statements, portals fetched in parts, an error in the middle, several Syncs at once', async () => {
    const parts = [
      'Parse "s" "DELETE FROM t WHERE id <= $1 RETURNING id"',
      'Describe S "s"',
      'Bind "p" "s" "4"',
      'Describe P "p"',
      'Execute "p" 2',
      'Execute "p" 2',
      'Execute "p" 0',
      'Close P "p"',
      'Sync',
    ];
    await both(
      transcript([
        parts,
        [
          'Parse "" "INSERT INTO t (id) VALUES ($1)"',
          'Bind "" "" "200"',
          'Execute "" 0',
          'Bind "" "" "1"',
          'Execute "" 0',
          'Bind "" "" "201"',
          'Execute "" 0',
          'Sync',
        ],
        [
          ...extended('DELETE FROM t WHERE id = 10'),
          ...extended(deferred),
          ...extended('DELETE FROM t WHERE id = 11'),
        ],
        [
          'Bind "" "s" "12"',
          'Execute "" 0',
          'Flush',
          'Bind "" "s" "13"',
          'Execute "" 0',
          'Sync',
          'Close S "s"',
          'Sync',
        ],
      ]),
    );
  });

  test('NOTIFY arrives once committed, at others and at oneself, and never from what is rolled back', async () => {
    for (const messages of [simple, extended]) {
      const { self, other } = await both(async (port) => {
        const [client, listener] = [await login(port), await login(port)];
        for (const one of [client, listener]) await say(one, simple('LISTEN news'));
        await say(client, simple('BEGIN'));
        await say(client, messages("INSERT INTO loud VALUES (8, 'notify')"));
        await say(client, simple('ROLLBACK'));
        await say(client, messages("INSERT INTO loud VALUES (9, 'notify')"));
        const at = await listener.until('NotificationResponse');
        client.close();
        listener.close();
        // Where among the messages of its own request a notification stands is nothing that a client may go by.
        return { self: client.lines.filter((line) => line.startsWith('Notification')), other: at };
      });
      expect(self).toEqual(['NotificationResponse news 9']);
      expect(other).toEqual(['NotificationResponse news 9']);
    }
  });

  test('a cancel request stops a guarded statement', async () => {
    for (const messages of [simple, extended]) {
      await both(async (port) => {
        const client = await login(port);
        const running = say(client, messages(raising('sleep')));
        await untilActive(1);
        const secret = client.key;
        if (secret === null) throw new Error('no BackendKeyData');
        const socket = await connected(port);
        socket.end(cancelPacket(secret.processId, int32(secret.secretKey)));
        await running;
        await say(client, simple('SELECT 1'));
        client.close();
        return heard(client);
      });
    }
  });
});

/** Waits until so many sessions of the test's user run a statement that waits. */
async function untilActive(count: number): Promise<void> {
  for (;;) {
    const { rows } = await watcher.query(
      "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND state = 'active' AND wait_event_type IN ('Lock', 'Timeout')",
      [user.name],
    );
    if (rows.length >= count) return;
  }
}

describe('two sessions', () => {
  test.for(['REPEATABLE READ', 'SERIALIZABLE'])('an update conflict under %s is 40001', async (level) => {
    for (const messages of [simple, extended]) {
      const answer = await both(async (port) => {
        const [a, b] = [await login(port), await login(port)];
        await say(a, simple(`BEGIN ISOLATION LEVEL ${level}`));
        await say(a, simple('SELECT count(*) FROM t'));
        await say(b, messages("UPDATE t SET v = 'b' WHERE id = 1"));
        await say(a, messages("UPDATE t SET v = 'a' WHERE id = 1"));
        await say(a, simple('COMMIT'));
        a.close();
        b.close();
        return [heard(a), heard(b)];
      });
      expect(JSON.stringify(answer)).toContain('ErrorResponse 40001');
    }
  });

  test('write skew under SERIALIZABLE is 40001 at the commit', async () => {
    for (const messages of [simple, extended]) {
      const answer = await both(async (port) => {
        const [a, b] = [await login(port), await login(port)];
        for (const [client, id] of [
          [a, 1],
          [b, 2],
        ] as const) {
          await say(client, simple('BEGIN ISOLATION LEVEL SERIALIZABLE'));
          await say(client, simple('SELECT sum(n) FROM t WHERE id < 3'));
          await say(client, messages(`UPDATE t SET n = n + 1 WHERE id = ${id}`));
        }
        await say(a, messages('COMMIT'));
        await say(b, messages('COMMIT'));
        a.close();
        b.close();
        return [heard(a), heard(b)];
      });
      expect(JSON.stringify(answer)).toContain('ErrorResponse 40001');
    }
  });

  test('a deadlock is 40P01', async () => {
    const answer = await both(async (port) => {
      const [a, b] = [await login(port), await login(port)];
      for (const client of [a, b]) await say(client, simple('BEGIN'));
      // The one whose time is up first is the victim.
      await watcher.query(`ALTER ROLE "${user.name}" RESET ALL`);
      await say(a, simple('UPDATE t SET n = 0 WHERE id = 1'));
      await say(b, simple('UPDATE t SET n = 0 WHERE id = 2'));
      const first = say(a, simple('UPDATE t SET n = 0 WHERE id = 2'));
      await untilActive(1);
      const second = say(b, simple('UPDATE t SET n = 0 WHERE id = 1'));
      // Whoever is the victim, its ROLLBACK lets the other go on.
      const ended = await Promise.race([first.then(() => a), second.then(() => b)]);
      await say(ended, simple('ROLLBACK'));
      await Promise.all([first, second]);
      a.close();
      b.close();
      const codes = [...a.errors, ...b.errors].map(({ code, message, hint }) => ({ code, message, hint }));
      await watcher.query(ROWS);
      return codes;
    });
    expect(answer).toMatchObject([{ code: '40P01' }]);
  });

  test('lock_timeout is 55P03', async () => {
    for (const messages of [simple, extended]) {
      const answer = await both(async (port) => {
        const [a, b] = [await login(port), await login(port)];
        await say(a, simple('BEGIN'));
        await say(a, simple('UPDATE t SET n = 0 WHERE id = 1'));
        await say(b, simple('SET lock_timeout = 50'));
        await say(b, messages('DELETE FROM t WHERE id = 1'));
        await say(b, simple('SELECT 1'));
        await say(a, simple('ROLLBACK'));
        a.close();
        b.close();
        return [heard(a), heard(b)];
      });
      expect(JSON.stringify(answer)).toContain('ErrorResponse 55P03');
    }
  });
});

/** What a library tells of an error. */
function failure(error: unknown): unknown {
  const { code, message, detail, hint, severity, position, table, constraint, where, routine } =
    error as pg.DatabaseError;
  // libraries name the same things differently; what they do not have is the same on both ways.
  return { code, message, detail, hint, severity, position, table, constraint, where, routine };
}

describe('libraries', () => {
  test('node-postgres', async () => {
    await both(async (port) => {
      const client = new pg.Client({ host: '127.0.0.1', port, user: user.name, database: database.name });
      await client.connect();
      const notices: unknown[] = [];
      client.on('notice', ({ message, severity, detail, hint }) =>
        notices.push({ message, severity, detail, hint }),
      );
      const seen: unknown[] = [];
      const run = async (text: string, values?: unknown[], name?: string): Promise<void> => {
        try {
          const result = await client.query({ text, ...(values && { values }), ...(name && { name }) });
          const list = Array.isArray(result) ? (result as pg.QueryResult[]) : [result];
          seen.push(
            list.map(({ command, rowCount, rows, fields }) => ({
              command,
              rowCount,
              rows: rows as unknown[],
              fields: fields.map(({ name: field, dataTypeID }) => [field, dataTypeID]),
            })),
          );
        } catch (error) {
          seen.push(failure(error));
        }
      };
      await run('INSERT INTO t (id, v, n, j) VALUES ($1, $2, $3, $4) RETURNING *', [
        50,
        'ü',
        '1.5',
        { a: 1 },
      ]);
      for (const id of [1, 2])
        await run('UPDATE t SET v = $2 WHERE id = $1 RETURNING v', [id, 'named'], 'named');
      await run("INSERT INTO t (id) VALUES (60); UPDATE t SET v = 'x' WHERE id = 60");
      await run('INSERT INTO t (id) VALUES ($1)', [1]);
      await run('BEGIN');
      await run('SAVEPOINT s');
      await run('INSERT INTO t (id) VALUES (1)');
      await run('ROLLBACK TO s');
      await run('DELETE FROM t WHERE id = $1', [3]);
      await run('COMMIT');
      await run("INSERT INTO loud VALUES (1, 'notice'), (2, 'notice')");
      await run("INSERT INTO loud VALUES ($1, 'exception')", [3]);
      await run(deferred);
      await run('WITH d AS (DELETE FROM t WHERE id = $1 RETURNING *) SELECT id, n FROM d', [4]);
      await run('');
      // Queued without waiting.
      seen.push(
        await Promise.all(
          [5, 6, 7].map(async (id) => (await client.query('DELETE FROM t WHERE id = $1', [id])).rowCount),
        ),
      );
      await client.end();
      return { seen, notices };
    });
  });

  test('postgres.js', async () => {
    await both(async (port) => {
      const notices: unknown[] = [];
      const sql = postgres({
        host: '127.0.0.1',
        port,
        user: user.name,
        database: database.name,
        max: 1,
        onnotice: ({ message, severity }) => notices.push({ message, severity }),
      });
      const seen: unknown[] = [];
      const keep = async (work: PromiseLike<readonly unknown[] & { count?: number; command?: string }>) => {
        try {
          const result = await work;
          seen.push({ rows: [...result], count: result.count, command: result.command });
        } catch (error) {
          seen.push(failure(error));
        }
      };
      await keep(sql`INSERT INTO t ${sql({ id: 70, v: 'x', n: 2 })} RETURNING *`);
      await keep(sql`UPDATE t SET v = ${'y'} WHERE id IN ${sql([1, 2])} RETURNING id, v`);
      await keep(sql.unsafe("UPDATE t SET v = 'z' WHERE id = 1; DELETE FROM t WHERE id = 2"));
      await keep(sql`INSERT INTO t (id) VALUES (1)`);
      await keep(sql.unsafe(deferred));
      await keep(sql`INSERT INTO loud VALUES (1, 'warning')`);
      // A transaction whose statements are sent as one pipeline.
      await keep(
        sql.begin((tx) => [
          tx`DELETE FROM t WHERE id = ${10}`,
          tx`UPDATE t SET v = 'p' WHERE id = ${11}`,
          tx`INSERT INTO t (id) VALUES (${300})`,
        ]),
      );
      await keep(
        sql.begin(async (tx) => {
          await tx`DELETE FROM t WHERE id = 12`;
          await tx.savepoint((inner) => inner`INSERT INTO t (id) VALUES (13)`).catch(() => undefined);
          return await tx`UPDATE t SET v = 's' WHERE id = 13 RETURNING v`;
        }),
      );
      // A pipeline of single statements, one of which fails.
      const all = await Promise.allSettled(
        [14, 1, 15].map((id) =>
          id === 1 ? sql`INSERT INTO t (id) VALUES (1)` : sql`DELETE FROM t WHERE id = ${id}`,
        ),
      );
      seen.push(all.map(({ status }) => status));
      const cursor: unknown[] = [];
      for await (const rows of sql`UPDATE t SET v = 'c' WHERE id > 15 RETURNING id`.cursor(2))
        cursor.push([...rows]);
      seen.push(cursor);
      const copied = await sql`COPY t (id, v) FROM STDIN`.writable();
      await pipeline(Readable.from(['400\ta\n', '401\tb\n']), copied);
      await keep(sql`SELECT id, v FROM t WHERE id >= 400 ORDER BY id`);
      const news: string[] = [];
      const arrived = new Promise<void>((resolve) => {
        void sql.listen(
          'news',
          (text) => {
            news.push(text);
            resolve();
          },
          () => void sql`INSERT INTO loud VALUES (9, 'notify')`.execute(),
        );
      });
      await arrived;
      seen.push(news);
      await sql.end();
      return { seen, notices };
    });
  });
});

test('a connection that is cut while its write is counted leaves nothing behind', async () => {
  const client = await login(holdfast.port);
  const running = say(client, simple(raising('nap'))).catch(() => undefined);
  await untilActive(1);
  client.socket.resetAndDestroy();
  await once(client.socket, 'close');
  await running;
  for (;;) {
    const { rows } = await watcher.query('SELECT 1 FROM pg_stat_activity WHERE usename = $1', [user.name]);
    if (rows.length === 0) break;
  }
  expect((await watcher.query('SELECT * FROM loud')).rows).toEqual([]);
});
