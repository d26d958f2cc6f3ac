/**
 * The server's read-only mode on its own: Holdfast's judgement is switched off, so
 * that everything passes which a role with read access sends. What it is there for,
 * it must hold: no table changes, whatever is sent, as long as the mode is not
 * lifted by a statement, and a session in which it was lifted ends.
 */
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type * as Engine from '../../src/policy/engine.js';
import { READ_POLICY } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import { fingerprint } from '../e2e/fingerprint.js';
import { wireLogin } from '../support/wire.js';
import { CORPUS, SCHEMA, byClass } from './corpus/index.js';
import { UNSEEN } from './corpus/user-functions.js';
import type { Evasion } from './corpus/evasion.js';
import { ask, attemptAll, changes, createGround, extended, query } from './ground.js';
import type { Answer, Ground, Sums } from './ground.js';

vi.mock('../../src/policy/engine.js', async (original) => {
  const engine = await original<typeof Engine>();
  const judge: typeof engine.judge = (...given) => {
    const judgement = engine.judge(...given);
    return {
      ...judgement,
      verdict: 'allow',
      matches: [],
      decisive: null,
      usedCatalog: false,
      statements: judgement.statements.map(({ facts }) => ({ facts, matches: [], questions: [] })),
    };
  };
  return { ...engine, judge };
});

let ground: Ground;
let untouched: Sums;

beforeAll(async () => {
  ground = await createGround('backstop', SCHEMA, READ_POLICY);
  untouched = await tables();
});

afterAll(() => ground.close());

/** Checksums of what read-only transactions protect: rows, sequences and definitions; not the server's own files. */
async function tables(): Promise<Sums> {
  return ground.sums();
}

/**
 * Statements that a read-only transaction does not hold back, by what makes them:
 * they lift the mode, or they are none of a transaction's business.
 */
const LIFTS =
  /READ WRITE|transaction_read_only|transaction\\005f|transaction!005f|pg_settings|\blift|ROLE|AUTHORIZATION|set_config|SET role|SYSTEM|^DISCARD|standard_conforming_strings|client_encoding|NAMES|lexer/i;
const BEYOND =
  /\b(?:VACUUM|ANALY[SZE]+|CLUSTER|REINDEX|CHECKPOINT|LOAD|PROGRAM|pg_(?:create_|copy_|drop_|replication|logical|backup|switch|reload|rotate|promote|stat_|sleep|wal_|terminate|cancel|sync|log_|nextoid|restore_|clear_|import)\w*|binary_upgrade\w*|brin_\w*|gin_\w*|lo_export|lo_import|TABLESPACE|SUBSCRIPTION|TEMP\w*|pg_temp|PREPARED?|DATABASE|CONCURRENTLY|FREEZE)\b|\/tmp|holdfast-never|heap_/i;

function isHeldBack({ sql, setup = [] }: Evasion): boolean {
  return ![sql, ...setup].some((text) => LIFTS.test(text) || BEYOND.test(text));
}

describe('with nothing else in the way', () => {
  const held = [...CORPUS, ...UNSEEN].filter(isHeldBack);

  test('most of the corpus is tried', () => {
    expect(held.length).toBeGreaterThan(600);
  });

  test.each(byClass(held))('%s', async (_class, group) => {
    const codes = new Set<string>();
    const count = ({ error, lines }: Answer): boolean => {
      codes.add(error?.code ?? lines.at(-2) ?? '');
      return true;
    };
    expect(await attemptAll(ground, group, count)).toEqual([]);
    expect(changes(untouched, await tables())).toEqual([]);
    // It was the server that answered.
    expect(codes.has('42501')).toBe(false);
  });

  test('code that no name leads to', async () => {
    const isRight = ({ error }: Answer): boolean => error?.code === '25006';
    expect(await attemptAll(ground, UNSEEN, isRight)).toEqual([]);
  });
});

describe('what resets settings', () => {
  test.each([
    'RESET ALL',
    'DISCARD ALL',
    'RESET default_transaction_read_only',
    'SET default_transaction_read_only TO DEFAULT',
    'SET SESSION AUTHORIZATION DEFAULT',
    'RESET ROLE',
  ])('%s keeps it', async (reset) => {
    const client = await ground.login();
    expect((await ask(client, reset)).error).toBeNull();
    expect((await ask(client, 'SELECT hit(1)')).error?.code).toBe('25006');
    expect((await ask(client, 'SHOW transaction_read_only')).lines).toContain('DataRow on');
    client.close();
  });

  test('the start-up parameters that Holdfast sends keep a server read only on their own', async () => {
    const { database, user } = ground;
    const direct = await wireLogin({
      host: database.host,
      port: database.port,
      user: user.name,
      database: database.name,
      parameters: { default_transaction_read_only: 'on' },
    });
    const codes: (string | undefined)[] = [];
    for (const sql of [
      'DELETE FROM orders',
      'RESET ALL',
      'DELETE FROM orders',
      'DISCARD ALL',
      'DELETE FROM orders',
    ]) {
      codes.push((await ask(direct, sql)).error?.code);
    }
    direct.close();
    expect(codes).toEqual(['25006', undefined, '25006', undefined, '25006']);
  });

  test('a client cannot start without it', async () => {
    const client = await ground.login({ application_name: 'x' });
    expect((await ask(client, 'SHOW default_transaction_read_only')).lines).toContain('DataRow on');
    client.close();
    for (const parameters of [
      { default_transaction_read_only: 'off' },
      { Default_Transaction_Read_Only: 'off' },
      { options: '-c default_transaction_read_only=off' },
      { options: '--default-transaction-read-only=off' },
      { options: '-c default_transaction_read_only=off -c default_transaction_read_only=on' },
    ] as readonly Readonly<Record<string, string>>[]) {
      await expect(ground.login(parameters), JSON.stringify(parameters)).rejects.toThrow(
        'ErrorResponse 42501',
      );
    }
  });
});

describe('a function that lifts it', () => {
  test('ends the session before it can be used', async () => {
    const client = await ground.login();
    await client.send(query('SELECT lift()'));
    expect(await client.untilClosed()).toContain('ErrorResponse 42501');
    expect(client.errors[0]).toMatchObject({ severity: 'FATAL', routine: 'holdfast/read-only' });
  });

  const leftovers = async (messages: readonly Buffer[]): Promise<readonly unknown[]> => {
    await withClient((direct) => direct.query('TRUNCATE hits'), ground.database.name);
    const client = await ground.login();
    await client.send(Buffer.concat(messages));
    await Promise.race([client.untilClosed(), client.untilReady(messages.length)]).catch(() => undefined);
    client.close();
    const { rows } = await withClient(
      (direct) => direct.query<{ n: number }>('SELECT n FROM hits'),
      ground.database.name,
    );
    return rows;
  };

  test.each<[string, readonly Buffer[]]>([
    ['one transaction', [query('BEGIN; SELECT lift(); SELECT hit(9); COMMIT')]],
    ['an implicit transaction', [query('SELECT lift(); SELECT hit(9)')]],
    ['one statement', [query('SELECT lift_now(), hit(9)')]],
    ['one statement, function by function', [query('SELECT lift(), lift_now(), hit(9)')]],
    ['one function with a SET clause of its own', [query('SELECT lift_by_clause()')]],
    ['a pipeline of Queries', [query('SELECT lift()'), query('SELECT hit(9)')]],
    ['a pipeline with Sync', [extended('SELECT lift()'), extended('SELECT hit(9)')]],
    [
      'a pipeline whose transactions are ended by statements',
      [
        Buffer.concat([
          serialize.parse({ text: 'SELECT lift()' }),
          serialize.bind(),
          serialize.execute(),
          serialize.parse({ text: 'COMMIT' }),
          serialize.bind(),
          serialize.execute(),
          serialize.sync(),
        ]),
        extended('SELECT hit(9)'),
      ],
    ],
  ])('writes nothing in %s', async (_how, messages) => {
    expect(await leftovers(messages)).toEqual([]);
  });

  // The server reports the change with ReadyForQuery: what it has been sent before that, it runs. That is why
  // Holdfast does not let such functions be called at all where it knows the catalog.
  test.fails.each<[string, readonly Buffer[]]>([
    ['one Query with a COMMIT in it', [query('SELECT lift(); COMMIT; SELECT hit(9)')]],
    [
      'one pipeline with a COMMIT in it',
      [
        Buffer.concat([
          ...['SELECT lift()', 'COMMIT', 'SELECT hit(9)'].flatMap((text) => [
            serialize.parse({ text }),
            serialize.bind(),
            serialize.execute(),
          ]),
          serialize.sync(),
        ]),
      ],
    ],
  ])('writes nothing in %s', async (_how, messages) => {
    expect(await leftovers(messages)).toEqual([]);
  });
});

describe('the checks themselves', () => {
  test('the fingerprint sees a change of each kind', { timeout: 60_000 }, async () => {
    const { victim } = ground;
    const statements: readonly string[] = [
      'UPDATE accounts SET balance = balance + 1 WHERE id = 1',
      "SELECT nextval('s')",
      "SELECT lo_put(4711, 0, 'X')",
      'CREATE FUNCTION g() RETURNS int LANGUAGE sql RETURN 1',
      `ALTER ROLE ${victim} CREATEDB`,
      `ALTER ROLE ${victim} SET work_mem = '5MB'`,
      'ALTER TABLE accounts DISABLE ROW LEVEL SECURITY',
      `GRANT INSERT ON accounts TO ${victim}`,
      "COMMENT ON TABLE accounts IS 'changed'",
      'DROP TRIGGER orders_trigger ON orders',
      'REFRESH MATERIALIZED VIEW m_accounts',
    ];
    const copy = await createDatabase('backstop_copy', SCHEMA);
    try {
      const unseen: string[] = [];
      let last = await fingerprint(copy, [victim]);
      for (const sql of statements) {
        await withClient((client) => client.query(sql), copy.name);
        const now = await fingerprint(copy, [victim]);
        if (changes(last, now).length === 0) unseen.push(sql);
        last = now;
      }
      expect(unseen).toEqual([]);
    } finally {
      await withClient((client) =>
        client.query(`ALTER ROLE ${victim} NOCREATEDB; ALTER ROLE ${victim} RESET ALL`),
      );
      await copy.drop();
    }
  });

  test('a superuser may do what was refused: the server runs it when nobody stands in the way', async () => {
    await withClient(async (client) => {
      for (const sql of [
        'DELETE FROM orders',
        "SELECT nextval('s')",
        'CREATE TABLE x (id int)',
        'TRUNCATE accounts CASCADE',
      ]) {
        await client.query('BEGIN');
        await client.query(sql);
        await client.query('ROLLBACK');
      }
    }, ground.database.name);
  });
});

describe('large objects by FunctionCall', () => {
  test('are refused', async () => {
    const client = await ground.login();
    // FunctionCall: oid of lo_unlink, one text argument.
    const body = Buffer.alloc(4 + 2 + 2 + 4 + 4 + 2);
    body.writeUInt32BE(964, 0);
    body.writeUInt16BE(0, 4);
    body.writeUInt16BE(1, 6);
    body.writeUInt32BE(4, 8);
    body.write('4711', 12);
    body.writeUInt16BE(0, 16);
    const head = Buffer.alloc(5);
    head.write('F');
    head.writeUInt32BE(4 + body.length, 1);
    await client.send(Buffer.concat([head, body]));
    expect(await client.untilReady()).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    client.close();
    const { rows } = await withClient(
      (direct) => direct.query('SELECT count(*)::int AS n FROM pg_largeobject'),
      ground.database.name,
    );
    expect(rows).toEqual([{ n: 1 }]);
  });
});
