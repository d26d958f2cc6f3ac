/**
 * What a person sees of each verdict but deny, with real clients: observe, warn,
 * confirm, hold; and statements that cannot be judged at all.
 */
import { serialize } from 'pg-protocol';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { TRANSPARENT_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { AuditRecord, TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

let database: TestDatabase;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('modes', 'CREATE TABLE t (id int)');
  user = await createUser('moded', database.name);
});

afterAll(async () => {
  await database.drop();
  await user.drop();
});

beforeEach(async () => {
  await withClient(
    (client) => client.query('TRUNCATE t; INSERT INTO t SELECT generate_series(1, 3)'),
    database.name,
  );
});

const query = (sql: string): Buffer => serialize.query(sql);
const extended = (sql: string): Buffer =>
  Buffer.concat([serialize.parse({ text: sql }), serialize.bind(), serialize.execute(), serialize.sync()]);

function login(holdfast: TestHoldfast): Promise<WireClient> {
  return wireLogin({ port: holdfast.port, user: user.name, database: database.name });
}

async function rows(): Promise<number> {
  const result = await withClient(
    (client) => client.query<{ n: number }>('SELECT count(*)::int AS n FROM t'),
    database.name,
  );
  return result.rows[0]?.n ?? -1;
}

async function send(client: WireClient, bytes: Buffer): Promise<readonly string[]> {
  await client.send(bytes);
  return (await client.untilReady()).filter((line) => !line.startsWith('ParameterStatus'));
}

async function withHoldfast(policy: string, work: (holdfast: TestHoldfast) => Promise<void>): Promise<void> {
  const holdfast = await startTestHoldfast(database, policy);
  try {
    await work(holdfast);
  } finally {
    await holdfast.close();
  }
}

function decisions(holdfast: TestHoldfast): Promise<readonly AuditRecord[]> {
  return holdfast.records().then((records) => records.filter(({ kind }) => kind === 'decision'));
}

const policy = (rules: string, access = 'write'): string =>
  `version: 1\nroles:\n  - { name: people, access: ${access}, rules: { ${rules} } }\n`;

describe('observe', () => {
  const OBSERVE = `version: 1\nmode: observe\nroles:\n  - { name: people, match: { users: ["moded_*"] }, access: read }\n`;

  test('everything is forwarded, and recorded as what would have happened', async () => {
    await withHoldfast(OBSERVE, async (holdfast) => {
      const client = await login(holdfast);
      expect(client.notices.map(({ message }) => message)).toEqual([
        `Holdfast: PRODUCTION, database ${database.name}, role people: read only. Observe mode: nothing is refused, everything is recorded.`,
      ]);
      expect(await send(client, query('DELETE FROM t'))).toEqual([
        'CommandComplete DELETE 3',
        'ReadyForQuery I',
      ]);
      expect(await send(client, extended('INSERT INTO t VALUES (1)'))).toContain(
        'CommandComplete INSERT 0 1',
      );
      // Even what the server itself does not understand: it answers.
      expect(await send(client, query('SELEC 1'))).toEqual(['ErrorResponse 42601', 'ReadyForQuery I']);
      expect(await send(client, query('SET standard_conforming_strings = off'))).toContain(
        'CommandComplete SET',
      );
      expect(await send(client, query("SELECT '\\''"))).toContain("DataRow '");
      client.close();
      expect(await rows()).toBe(1);
      const [first] = await decisions(holdfast);
      expect(first).toMatchObject({
        sql: 'DELETE FROM t',
        verdict: 'deny',
        mode: 'observe',
        operation: 'delete',
        role: 'people',
      });
      expect((first?.['matches'] as { rule: string }[]).map(({ rule }) => rule).sort()).toEqual([
        'access',
        'require-where',
      ]);
      expect(
        await metric(holdfast, 'holdfast_decisions_total', { verdict: 'deny', operation: 'delete' }),
      ).toBe(1);
    });
  });

  test('nobody is kept out, not even whom no role matches', async () => {
    await withHoldfast(OBSERVE.replace('moded_*', 'somebody_else'), async (holdfast) => {
      const client = await login(holdfast);
      expect(await send(client, query('INSERT INTO t VALUES (9)'))).toContain('CommandComplete INSERT 0 1');
      client.close();
    });
  });
});

describe('warn', () => {
  test('the statement runs, and a WARNING says why it should not have', async () => {
    await withHoldfast(policy('require-where: warn'), async (holdfast) => {
      const client = await login(holdfast);
      for (const bytes of [query('DELETE FROM t'), extended('UPDATE t SET id = 1')]) {
        const before = client.notices.length;
        const lines = await send(client, bytes);
        expect(lines.some((line) => line.startsWith('CommandComplete'))).toBe(true);
        expect(lines.filter((line) => line.startsWith('NoticeResponse'))).toEqual(['NoticeResponse 01000']);
        const notice = client.notices[before];
        expect(notice?.severity).toBe('WARNING');
        expect(notice?.message).toMatch(/^holdfast: (DELETE|UPDATE) on "t" has no WHERE clause/);
        expect(notice?.detail).toMatch(/^Decision \S+\. Rule: require-where \(warn\)\.$/);
        expect(notice?.routine).toBe('holdfast/require-where');
      }
      client.close();
      expect(await rows()).toBe(0);
      expect(await decisions(holdfast)).toMatchObject([
        { verdict: 'warn', message: 'query' },
        { verdict: 'warn', message: 'parse' },
        { verdict: 'warn', message: 'execute' },
      ]);
    });
  });

  test('with pg it is a notice event', async () => {
    await withHoldfast(policy('require-where: warn'), async (holdfast) => {
      const client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, 'x') });
      const messages: (string | undefined)[] = [];
      client.on('notice', ({ message }) => messages.push(message));
      await client.connect();
      expect((await client.query('DELETE FROM t')).rowCount).toBe(3);
      await client.end();
      expect(messages.at(-1)).toContain('has no WHERE clause');
    });
  });
});

describe('confirm', () => {
  const CONFIRM = policy('require-where: confirm');

  async function deletes(client: WireClient): Promise<boolean> {
    const lines = await send(client, query('DELETE FROM t'));
    expect(
      lines[0] === 'ErrorResponse 42501' || lines[0]?.startsWith('CommandComplete DELETE') === true,
    ).toBe(true);
    return lines[0] !== 'ErrorResponse 42501';
  }

  test('the error says what to type; typing it lets the statement pass, in this session only', async () => {
    await withHoldfast(CONFIRM, async (holdfast) => {
      const client = await login(holdfast);
      expect(await deletes(client)).toBe(false);
      const [error] = client.errors;
      expect(error?.message).toBe(
        'holdfast: DELETE on "t" has no WHERE clause, so it would empty the table. It must be confirmed: this is production.',
      );
      const typed = /SET holdfast\.target = '[^']*';/.exec(error?.hint ?? '')?.[0] ?? '';
      expect(typed).toBe("SET holdfast.target = 'production';");
      expect(await send(client, query(typed))).toEqual(['CommandComplete SET', 'ReadyForQuery I']);
      expect(await deletes(client)).toBe(true);
      expect(await send(client, extended('DELETE FROM t'))).toContain('CommandComplete DELETE 0');
      const other = await login(holdfast);
      expect(await deletes(other)).toBe(false);
      client.close();
      other.close();
      expect((await decisions(holdfast)).map((record) => record['verdict'])).toEqual([
        'confirm',
        'allow',
        'confirm',
        'confirm',
        'confirm',
        'confirm',
      ]);
    });
  });

  test('by the extended protocol, and a prepared statement that was refused before', async () => {
    await withHoldfast(CONFIRM, async (holdfast) => {
      const client = await login(holdfast);
      expect(await send(client, extended('DELETE FROM t'))).toEqual([
        'ErrorResponse 42501',
        'ReadyForQuery I',
      ]);
      await send(client, extended("SET holdfast.target TO 'production'"));
      expect(await send(client, extended('DELETE FROM t'))).toContain('CommandComplete DELETE 3');
      client.close();
    });
  });

  test.each<[string, readonly string[]]>([
    ['another value', ["SET holdfast.target = 'staging'"]],
    [
      'the right value, then another',
      ["SET holdfast.target = 'production'", "SET holdfast.target = 'staging'"],
    ],
    ['other letters', ["SET holdfast.target = 'PRODUCTION'"]],
    ['the right value, then RESET', ["SET holdfast.target = 'production'", 'RESET holdfast.target']],
    ['the right value, then DISCARD ALL', ["SET holdfast.target = 'production'", 'DISCARD ALL']],
    ['the right value, then RESET ALL', ["SET holdfast.target = 'production'", 'RESET ALL']],
    [
      'in a transaction that failed before',
      ['BEGIN', 'SELECT 1/0', "SET holdfast.target = 'production'", 'ROLLBACK'],
    ],
    ['in a transaction that was rolled back', ['BEGIN', "SET holdfast.target = 'production'", 'ROLLBACK']],
    [
      'in a transaction that failed afterwards',
      ['BEGIN', "SET holdfast.target = 'production'", 'SELECT 1/0', 'COMMIT'],
    ],
    [
      'behind a savepoint that was rolled back to',
      ['BEGIN', 'SAVEPOINT s', "SET holdfast.target = 'production'", 'ROLLBACK TO s', 'COMMIT'],
    ],
    ['in a string of statements that failed', ["SET holdfast.target = 'production'; SELECT 1/0"]],
    ['for this transaction only', ['BEGIN', "SET LOCAL holdfast.target = 'production'", 'COMMIT']],
  ])('%s does not count', async (_name, statements) => {
    await withHoldfast(CONFIRM, async (holdfast) => {
      const client = await login(holdfast);
      for (const sql of statements) await send(client, query(sql));
      expect(await deletes(client)).toBe(false);
      client.close();
      expect(await rows()).toBe(3);
    });
  });

  test('in the same string as the statement it does not count: it was not said before', async () => {
    await withHoldfast(CONFIRM, async (holdfast) => {
      const client = await login(holdfast);
      const lines = await send(client, query("SET holdfast.target = 'production'; DELETE FROM t"));
      expect(lines).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      client.close();
      expect(await rows()).toBe(3);
    });
  });

  test.each<[string, readonly string[]]>([
    ['in a transaction, while it lasts', ['BEGIN', "SET holdfast.target = 'production'"]],
    ['in a transaction that was committed', ['BEGIN', "SET holdfast.target = 'production'", 'COMMIT']],
    [
      'before a transaction that was rolled back',
      ["SET holdfast.target = 'production'", 'BEGIN', 'SELECT 1/0', 'ROLLBACK'],
    ],
  ])('%s it counts', async (_name, statements) => {
    await withHoldfast(CONFIRM, async (holdfast) => {
      const client = await login(holdfast);
      for (const sql of statements) await send(client, query(sql));
      expect(await deletes(client)).toBe(true);
      client.close();
    });
  });

  test('for five minutes', async () => {
    const clock = vi.spyOn(performance, 'now');
    try {
      await withHoldfast(CONFIRM, async (holdfast) => {
        const client = await login(holdfast);
        await send(client, query("SET holdfast.target = 'production'"));
        const said = clock.mock.results.at(-1)?.value as number;
        clock.mockReturnValue(said + 299_000);
        expect(await deletes(client)).toBe(true);
        clock.mockReturnValue(said + 301_000);
        expect(await deletes(client)).toBe(false);
        client.close();
        clock.mockRestore();
      });
    } finally {
      clock.mockRestore();
    }
  });
});

describe('hold', () => {
  test('is refused where the role does not say who may approve, and says so', async () => {
    await withHoldfast(policy('truncate: hold', 'ddl'), async (holdfast) => {
      const client = await login(holdfast);
      for (const bytes of [query('TRUNCATE t'), extended('TRUNCATE t')]) {
        expect(await send(client, bytes)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      }
      const [error] = client.errors;
      expect(error?.message).toMatch(/^holdfast: .* It needs approval\.$/);
      expect(error?.hint).toContain(
        'has no "hold" setting, which says who may approve, so it is refused; nothing was run.',
      );
      expect(error?.detail).toMatch(/Rule: truncate \(hold\)\.$/);
      client.close();
      expect(await rows()).toBe(3);
      expect((await decisions(holdfast))[0]).toMatchObject({ verdict: 'hold' });
    });
  });
});

describe('where the server reads SQL otherwise than Holdfast', () => {
  async function withSetting(
    setting: string,
    level: 'ROLE' | 'DATABASE',
    work: (client: WireClient) => Promise<void>,
  ): Promise<void> {
    const target = `${level} ${pg.escapeIdentifier(level === 'ROLE' ? user.name : database.name)}`;
    await withClient((direct) => direct.query(`ALTER ${target} SET ${setting}`));
    try {
      await withHoldfast(TRANSPARENT_POLICY, async (holdfast) => {
        const client = await login(holdfast);
        await work(client);
        client.close();
      });
    } finally {
      await withClient((direct) => direct.query(`ALTER ${target} RESET ALL`));
    }
  }

  test.each(['ROLE', 'DATABASE'] as const)(
    'standard_conforming_strings off by ALTER %s: statements are refused, with the way out',
    async (level) => {
      await withSetting('standard_conforming_strings = off', level, async (client) => {
        expect(client.lines).toContain('ParameterStatus standard_conforming_strings=off');
        for (const bytes of [query('SELECT 1'), extended('SELECT 1')]) {
          expect(await send(client, bytes)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
        }
        expect(client.errors[0]).toMatchObject({
          message:
            'holdfast: the server reports standard_conforming_strings = off; statements can only be judged while it is on',
          hint: expect.stringContaining(`ALTER ${level} … RESET standard_conforming_strings`) as string,
          routine: 'holdfast/lexer',
        });
      });
    },
  );

  test('client_encoding by ALTER ROLE does not count: Holdfast asks for UTF8 at login', async () => {
    await withSetting("client_encoding = 'LATIN1'", 'ROLE', async (client) => {
      expect(client.lines).toContain('ParameterStatus client_encoding=UTF8');
      expect(await send(client, query("SELECT 'ü'"))).toContain('DataRow ü');
    });
  });

  test('a function that switches it off in mid-session: what follows is refused', async () => {
    await withClient(
      (direct) =>
        direct.query(
          "CREATE OR REPLACE FUNCTION off() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', false) $$",
        ),
      database.name,
    );
    await withHoldfast(TRANSPARENT_POLICY, async (holdfast) => {
      const client = await login(holdfast);
      expect(await send(client, query('SELECT off()'))).toContain('DataRow off');
      expect(await send(client, query('SELECT 1'))).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      expect(client.errors[0]?.routine).toBe('holdfast/lexer');
      client.close();
    });
  });
});
