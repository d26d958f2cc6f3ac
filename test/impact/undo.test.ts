/**
 * The old rows of what was approved are kept before it commits, and the script that
 * comes of them makes the data what they were, by checksum over all tables.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { listUndoFiles, readUndoFile } from '../../src/audit/undo-files.js';
import { undoScript } from '../../src/undo/script.js';
import { sha256, tokenOf } from '../holds/support.js';
import { followHolds } from '../support/holds.js';
import type { Approvals } from '../support/holds.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { Line, WireClient } from '../support/wire.js';
import { extended, say, simple } from './ground.js';

const POLICY = `
version: 1
roles:
  - name: keepers
    access: admin
    rules: { default: allow, row-limit: { action: hold, statement: 1, tolerance: 1 }, json-overwrite: hold, drop-table: hold }
    hold: { approvals: 1, approvers: [dba], timeout: 60s, in_transaction_timeout: 20s }
    undo: capture
approvers:
  - { name: dana, groups: [dba], token_sha256: "${sha256(tokenOf('dana'))}" }
`;

const TABLES = `
  CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"');
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE TYPE pair AS (a int, b text);
  CREATE TABLE account (id int PRIMARY KEY, name text UNIQUE, members int NOT NULL DEFAULT 0, boss int REFERENCES account ON DELETE SET NULL ON UPDATE CASCADE);
  CREATE TABLE member (id int PRIMARY KEY, account int NOT NULL REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE, head int);
  CREATE TABLE login (member int NOT NULL REFERENCES member ON DELETE CASCADE ON UPDATE CASCADE, n int, PRIMARY KEY (member, n));
  CREATE TABLE note (id int PRIMARY KEY, account int DEFAULT 1 REFERENCES account ON DELETE SET DEFAULT ON UPDATE SET NULL);
  ALTER TABLE account ADD COLUMN owner int REFERENCES member ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
  CREATE TABLE typed (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, j json, b jsonb, t text, f float8, r real, n numeric(12,3), y bytea,
    i interval, z timestamptz, d date, m money, c char(5), u uuid, e mood, p positive, q pair, x xml, v varbit, s int[], k text[], g point, "odd ""name" text,
    o bool, w tsvector, h inet, double_id int GENERATED ALWAYS AS (length(t) * 2) STORED);
  CREATE TABLE loose (a int, b text, j json);
  CREATE TABLE part (id int NOT NULL, region int NOT NULL, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
  CREATE TABLE part_one PARTITION OF part FOR VALUES IN (1);
  CREATE TABLE part_two PARTITION OF part FOR VALUES IN (2);
  CREATE TABLE place (id int PRIMARY KEY, part_id int, part_region int, FOREIGN KEY (part_id, part_region) REFERENCES part ON DELETE CASCADE ON UPDATE CASCADE);
  CREATE TABLE trail (id serial PRIMARY KEY, what text);
  CREATE TABLE quiet (id int PRIMARY KEY);
  CREATE TABLE "odd $holdfast$ name" (id int PRIMARY KEY, "a
;DROP TABLE quiet" text);
  CREATE FUNCTION members() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN UPDATE account SET members = members - 1 WHERE id = OLD.account; INSERT INTO trail (what) VALUES ('gone ' || OLD.id); RETURN NULL; END $$;
  CREATE TRIGGER members AFTER DELETE ON member FOR EACH ROW EXECUTE FUNCTION members();
  CREATE FUNCTION wipe(lowest int) RETURNS void LANGUAGE sql AS 'DELETE FROM account WHERE id >= lowest';
  CREATE TABLE secret (id int PRIMARY KEY, account int REFERENCES account ON DELETE CASCADE);
  CREATE TABLE ruled (id int PRIMARY KEY, v int);
  CREATE RULE ruled AS ON INSERT TO ruled DO ALSO INSERT INTO trail (what) VALUES ('ruled');
  CREATE TABLE veiled (id int PRIMARY KEY, v int);
  ALTER TABLE veiled ENABLE ROW LEVEL SECURITY;
  CREATE POLICY few ON veiled USING (id < 3);
`;

const ROWS = `
  INSERT INTO account (id, name, members, boss) SELECT i, 'a' || i, 2, nullif(i / 2, 0) FROM generate_series(1, 10) i;
  INSERT INTO member SELECT i, (i + 1) / 2, i FROM generate_series(1, 20) i;
  UPDATE account SET owner = id * 2;
  INSERT INTO login SELECT i, n FROM generate_series(1, 20) i, generate_series(1, 2) n;
  INSERT INTO note SELECT i, i FROM generate_series(1, 10) i;
  INSERT INTO typed (j, b, t, f, r, n, y, i, z, d, m, c, u, e, p, q, x, v, s, k, g, "odd ""name", o, w, h)
    SELECT '{"b": 1,  "a": [1, 2]}', '{"x": null, "y": "ö"}', E'tab\\there \\\\ back ''quote'' \\u202e' || i, 0.1 + 0.2, 1.1, 12.5, '\\x00ff27', '1 mon -2 days 03:04:05.6',
      '2026-03-29 02:30:00+02', '0044-03-15 BC', 1234.5, 'ab', ('00000000-0000-0000-0000-00000000000' || i)::uuid, 'it''s "fine"', 7, '(1,"b,""c")', '<a>1</a>', B'101', '{1,NULL,3}',
      '{"a,b","NULL",NULL,"\\""}', '(1,2)', '', true, 'fat:1 cat:2', '10.0.0.1/24' FROM generate_series(1, 4) i;
  INSERT INTO typed (t) VALUES (NULL);
  INSERT INTO loose SELECT 1, 'same', '{"a":1}' FROM generate_series(1, 4); INSERT INTO loose VALUES (2, NULL, NULL);
  INSERT INTO part SELECT i, 1, 'v' FROM generate_series(1, 4) i;
  INSERT INTO place SELECT i, i, 1 FROM generate_series(1, 4) i;
  INSERT INTO quiet SELECT i FROM generate_series(1, 5) i;
  INSERT INTO "odd $holdfast$ name" SELECT i, E'''; DROP TABLE quiet; --\\n$holdfast$' FROM generate_series(1, 3) i;
  INSERT INTO ruled SELECT i, i FROM generate_series(1, 3) i;
  INSERT INTO veiled SELECT i, i FROM generate_series(1, 3) i;
  INSERT INTO secret SELECT i, 10 FROM generate_series(1, 2) i;
  TRUNCATE trail RESTART IDENTITY;
`;

const NAMES = [
  'account',
  'member',
  'login',
  'note',
  'typed',
  'loose',
  'part',
  'place',
  'trail',
  'quiet',
  '"odd $holdfast$ name"',
  'ruled',
  'veiled',
  'secret',
];
const DATA = `SELECT md5(string_agg(t, chr(10) ORDER BY t)) FROM (${NAMES.map(
  (name) => `SELECT '${name} ' || t::text AS t FROM ${name} AS t`,
).join(' UNION ALL ')}) AS data`;

let database: TestDatabase;
let user: TestUser;
let holdfast: TestHoldfast;
let approvals: Approvals;
let directory: string;
let version: number;

async function admin<T>(run: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(run, database.name);
}

/** The first column of what is answered. */
async function names(sql: string): Promise<readonly string[]> {
  return admin(async (client) => {
    const { rows } = await client.query<[string]>({ text: sql, rowMode: 'array' });
    return rows.map(([name]) => name);
  });
}

async function data(): Promise<string> {
  return admin(async (client) => {
    const { rows } = await client.query<{ md5: string }>(DATA);
    return rows[0]?.md5 ?? '';
  });
}

const open: { close(): void }[] = [];

/** Closed when its test has ended, however that was: a transaction that is left would lock out the next. */
async function login(through = holdfast): Promise<WireClient> {
  const client = await wireLogin({ port: through.port, user: user.name, database: database.name });
  open.push(client);
  return client;
}

/** Another session, straight to the server. */
async function other(): Promise<pg.Client> {
  const client = new pg.Client(database.url);
  await client.connect();
  open.push({ close: () => void client.end() });
  return client;
}

beforeAll(async () => {
  database = await createDatabase('undo');
  user = await createUser('undo', database.name);
  holdfast = await startTestHoldfast(database, POLICY);
  approvals = await followHolds(holdfast);
  directory = join(dirname(holdfast.auditFile), 'undo');
  await admin((client) =>
    client.query(`${TABLES}
      GRANT ALL ON ALL TABLES IN SCHEMA public TO "${user.name}"; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO "${user.name}"`),
  );
  const [number] = await names('SHOW server_version_num');
  version = Math.trunc(Number(number) / 10_000);
});

async function reset(): Promise<void> {
  await admin((client) => client.query(`TRUNCATE ${NAMES.join(', ')} RESTART IDENTITY; ${ROWS}`));
}

afterEach(() => {
  for (const one of open.splice(0)) one.close();
  approvals.forget();
});

afterAll(async () => {
  await approvals.close();
  await holdfast.close();
  await database.drop();
  await user.drop();
});

/** Sends what must be approved, has it approved, and gives the id of its hold. */
async function approved(
  client: WireClient,
  lines: readonly string[],
): Promise<{ readonly id: string; readonly lines: readonly Line[] }> {
  const answer = say(client, lines);
  const { id } = await approvals.next();
  await approvals.approve(id);
  return { id, lines: await answer };
}

async function script(id: string, overwrite = false): Promise<string> {
  return undoScript(await readUndoFile(directory, id), { overwrite });
}

async function run(text: string): Promise<void> {
  await admin((client) => client.query(text));
}

const STATEMENTS: Readonly<Record<string, readonly [sql: string, tag: string]>> = {
  'a DELETE and its cascades, triggers and self-references': [
    'DELETE FROM account WHERE id BETWEEN 2 AND 4',
    'DELETE 3',
  ],
  'an UPDATE of keys, with what follows them': [
    'UPDATE account SET id = id + 100 WHERE id BETWEEN 2 AND 9',
    'UPDATE 8',
  ],
  'every kind of value': [
    `UPDATE typed SET j = NULL, b = '{}', t = NULL, f = 1, r = 2, n = 3, y = NULL, i = NULL, z = now(), d = now(), m = 0, c = 'x', u = NULL, e = 'sad', p = 8, q = NULL, x = NULL, v = NULL, s = NULL, k = '{}', g = NULL, "odd ""name" = 'y', o = NULL, w = NULL, h = NULL`,
    'UPDATE 5',
  ],
  'every kind of value, deleted': ['DELETE FROM typed', 'DELETE 5'],
  'rows without a key that are alike': [
    `DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose LIMIT 3)`,
    'DELETE 3',
  ],
  'rows without a key, changed': [`UPDATE loose SET b = coalesce(b, 'none') || '!'`, 'UPDATE 5'],
  'rows that move to another partition': ['UPDATE part SET region = 2 WHERE id < 4', 'UPDATE 3'],
  MERGE: [
    'MERGE INTO quiet USING generate_series(4, 7) AS s(k) ON quiet.id = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k)',
    'MERGE 4',
  ],
  'INSERT … ON CONFLICT': [
    "INSERT INTO account (id, name) SELECT i, 'new' || i FROM generate_series(8, 12) i ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    'INSERT 0 5',
  ],
  'a data-modifying WITH': [
    'WITH gone AS (DELETE FROM quiet WHERE id > 2 RETURNING id) UPDATE note SET account = 2 WHERE id IN (SELECT id FROM gone)',
    'UPDATE 3',
  ],
  'a function': ['SELECT wipe(7)', 'SELECT 1'],
  'names and values that look like SQL': [`UPDATE "odd $holdfast$ name" SET id = id + 10`, 'UPDATE 3'],
};

describe('what was approved and is put back', () => {
  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    for (const [what, [sql, tag]] of Object.entries(STATEMENTS)) {
      test(`${protocol}: ${what}`, async ({ skip }) => {
        if (what === 'MERGE' && version < 15) skip('needs PostgreSQL 15');
        await reset();
        const before = await data();
        const client = await login();
        const { id, lines } = await approved(client, messages(sql));
        expect(
          lines.filter((line) => /^(Error|CommandComplete|ReadyForQuery)/.test(line)),
          JSON.stringify(client.errors),
        ).toEqual([`CommandComplete ${tag}`, 'ReadyForQuery I']);
        expect(await data()).not.toBe(before);
        await run(await script(id));
        expect(await data()).toBe(before);
      });
    }
  }
});

const CASCADING = 'DELETE FROM account WHERE id BETWEEN 2 AND 4';

function results(lines: readonly Line[]): readonly Line[] {
  return lines.filter((line) => /^(Error|CommandComplete|ReadyForQuery|ParameterStatus)/.test(line));
}

/** What approvers are told of the old rows; then it is approved. */
async function told(
  client: WireClient,
  lines: readonly string[],
): Promise<{ readonly oldRows: string | null; readonly id: string; readonly lines: readonly Line[] }> {
  const answer = say(client, lines);
  const { id } = await approvals.next();
  const { old_rows: oldRows } = await approvals.show(id);
  await approvals.approve(id);
  return { oldRows, id, lines: await answer };
}

async function isKept(id: string): Promise<boolean> {
  return (await listUndoFiles(directory)).some(({ hold }) => hold === id);
}

describe('what approvers are told of it', () => {
  const KEPT: readonly (readonly [what: string, begin: string | null, sql: string])[] = [
    ['what is above the limit', null, 'DELETE FROM quiet'],
    ['what a rule holds whatever it changes', null, `UPDATE typed SET b = '{"a": 1}' WHERE id = 1`],
    ['within a block', 'BEGIN', 'DELETE FROM quiet'],
    ['a body that is above the limit', 'BEGIN', 'DO $$ BEGIN DELETE FROM quiet; END $$'],
  ];
  for (const [what, begin, sql] of KEPT) {
    test(`they are kept: ${what}`, async () => {
      await reset();
      const client = await login();
      if (begin !== null) await say(client, simple(begin));
      const { oldRows, id, lines } = await told(client, simple(sql));
      expect(
        results(lines).some((line) => line.startsWith('Error')),
        JSON.stringify(client.errors),
      ).toBe(false);
      expect([oldRows, await isKept(id)]).toEqual(['kept', true]);
    });
  }

  const NOT_KEPT: readonly (readonly [what: string, begin: string | null, sql: string])[] = [
    ['what a rule holds untried', null, 'DROP TABLE IF EXISTS spare'],
    ['a body that empties a table', 'BEGIN', 'DO $$ BEGIN TRUNCATE quiet; END $$'],
    ['a table that is made and filled', 'BEGIN', 'CREATE TABLE made AS SELECT * FROM quiet'],
    ['what changes nothing', null, `UPDATE typed SET b = '{"a": 1}' WHERE id = 99`],
  ];
  for (const [what, begin, sql] of NOT_KEPT) {
    test(`they are not kept, and it runs: ${what}`, async () => {
      await reset();
      // How many rows a TRUNCATE takes is what the server has estimated.
      await admin((one) => one.query('ANALYZE quiet; DROP TABLE IF EXISTS spare; CREATE TABLE spare ()'));
      await admin((one) => one.query(`ALTER TABLE spare OWNER TO "${user.name}"`));
      const client = await login();
      if (begin !== null) await say(client, simple(begin));
      const { oldRows, id, lines } = await told(client, simple(sql));
      expect(results(lines)[0], JSON.stringify(client.errors)).toMatch(/^CommandComplete/);
      expect([oldRows, await isKept(id)]).toEqual(['not_kept', false]);
    });
  }

  test('they are not kept at COMMIT, but of what was approved by itself before; where nobody asks nothing is said', async () => {
    await reset();
    const rules = 'row-limit: { action: hold, statement: 3 }';
    const policy = (undo: string): string =>
      POLICY.replace(/rules: .*/, `rules: { default: allow, ${rules} }`)
        .replace('approvers: [dba], ', 'approvers: [dba], at_commit: true, ')
        .replace('    undo: capture\n', undo);
    const there = await startTestHoldfast(database, policy('    undo: capture\n'));
    const people = await followHolds(there);
    const client = await login(there);
    const ask = async (sql: string): Promise<string | null> => {
      const answer = say(client, simple(sql));
      const { id } = await people.next();
      const { old_rows: oldRows } = await people.show(id);
      await people.approve(id);
      expect(results(await answer)[0], JSON.stringify(client.errors)).toMatch(/^CommandComplete/);
      return oldRows;
    };
    const kept = (): Promise<number> =>
      listUndoFiles(join(there.directory, 'undo')).then(({ length }) => length);
    await say(client, simple('BEGIN'));
    await say(client, simple('DELETE FROM quiet WHERE id = 1'));
    expect([await ask('COMMIT'), await kept()]).toEqual(['not_kept', 0]);
    await say(client, simple('BEGIN'));
    expect([await ask('DELETE FROM quiet'), await kept()]).toEqual(['kept', 1]);
    expect([await ask('COMMIT'), await kept()]).toEqual(['not_kept', 1]);
    // By itself it is tried.
    expect([await ask('INSERT INTO quiet VALUES (1)'), await kept()]).toEqual(['kept', 2]);
    await people.close();
    await there.close();

    const without = await startTestHoldfast(database, policy(''));
    const others = await followHolds(without);
    const second = await login(without);
    const answer = say(second, simple('DELETE FROM quiet'));
    const { id } = await others.next();
    expect((await others.show(id)).old_rows).toBeNull();
    await others.approve(id);
    expect(results(await answer)[0]).toBe('CommandComplete DELETE 1');
    await others.close();
    await without.close();
  });
});

describe('what has changed since', () => {
  test('a row that was changed: nothing is put back, but where it is said that it may be overwritten', async () => {
    await reset();
    const before = await data();
    const client = await login();
    const { id } = await approved(client, simple("UPDATE account SET name = name || '!' WHERE id < 6"));
    await run("UPDATE account SET name = 'mine' WHERE id = 3");
    const since = await data();
    await expect(run(await script(id))).rejects.toMatchObject({
      code: '40001',
      message: '1 of the rows of "public"."account" have changed since; nothing was put back',
      detail: expect.stringContaining('a3!') as string,
      hint: 'To put them back all the same: holdfast undo script --overwrite',
    });
    expect(await data()).toBe(since);
    await run(await script(id, true));
    expect(await data()).toBe(before);
  });

  test('a row that is there again, and one that is gone', async () => {
    await reset();
    const before = await data();
    const client = await login();
    const deleted = await approved(client, simple('DELETE FROM quiet WHERE id < 4'));
    await run('INSERT INTO quiet VALUES (2)');
    await expect(run(await script(deleted.id))).rejects.toMatchObject({ code: '40001' });
    await run(await script(deleted.id, true));
    expect(await data()).toBe(before);
    const changed = await approved(client, simple("UPDATE loose SET b = 'other'"));
    await run('DELETE FROM loose WHERE a = 2');
    // Without a key nobody can tell which row it was, so that cannot be overridden.
    for (const overwrite of [false, true])
      await expect(run(await script(changed.id, overwrite))).rejects.toMatchObject({
        message: '1 of the rows of "public"."loose" have changed since; nothing was put back',
      });
  });

  test('what would be deleted with a row that the statement had added', async () => {
    await reset();
    const client = await login();
    const { id } = await approved(client, simple('UPDATE part SET region = 2 WHERE id < 4'));
    await run('INSERT INTO place VALUES (99, 3, 2)');
    const since = await data();
    await expect(run(await script(id))).rejects.toMatchObject({
      message: 'other rows would be deleted with those that the statement had added; nothing was put back',
    });
    expect(await data()).toBe(since);
  });

  test('twice', async () => {
    await reset();
    const client = await login();
    const { id } = await approved(client, simple(CASCADING));
    const text = await script(id);
    await run(text);
    const back = await data();
    await expect(run(text)).rejects.toMatchObject({ code: '40001' });
    expect(await data()).toBe(back);
  });
});

describe('in a transaction block', () => {
  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    test(`${protocol}: what each statement changed is kept by itself, and put back in reverse`, async () => {
      await reset();
      const client = await login();
      await say(client, simple('BEGIN'));
      await say(client, simple('INSERT INTO quiet VALUES (6)'));
      await say(client, simple("UPDATE account SET name = 'one' WHERE id = 1"));
      const first = await approved(client, messages("UPDATE account SET name = 'n' || id WHERE id < 4"));
      expect(results(first.lines)).toEqual(['CommandComplete UPDATE 3', 'ReadyForQuery T']);
      const second = await approved(client, messages('DELETE FROM quiet WHERE id > 4'));
      expect(results(second.lines)).toEqual(['CommandComplete DELETE 2', 'ReadyForQuery T']);
      expect(results(await say(client, simple('COMMIT')))).toEqual([
        'CommandComplete COMMIT',
        'ReadyForQuery I',
      ]);
      await run(await script(second.id));
      await run(await script(first.id));
      expect(
        await names(
          'SELECT name FROM (SELECT name, id FROM account WHERE id < 3 UNION ALL SELECT id::text, id FROM quiet WHERE id > 4) AS x ORDER BY id',
        ),
      ).toEqual(['one', 'a2', '5', '6']);
    });

    test(`${protocol}: rows that are changed twice are kept where the transaction sees one state, and refused where it does not`, async () => {
      await reset();
      const before = await data();
      const client = await login();
      await say(client, simple('BEGIN'));
      const refused = await approved(client, messages('DELETE FROM member WHERE account = 9'));
      expect(results(refused.lines)).toEqual(['ErrorResponse 42501', 'ReadyForQuery E']);
      expect(client.errors.at(-1)).toMatchObject({
        message:
          'holdfast: the old rows of what this statement changes cannot be kept, so it was rolled back',
      });
      await say(client, simple('ROLLBACK'));
      expect(await data()).toBe(before);
      approvals.forget();
      await say(client, simple('BEGIN ISOLATION LEVEL REPEATABLE READ'));
      const kept = await approved(client, messages('DELETE FROM member WHERE account = 9'));
      expect(results(kept.lines)).toEqual(['CommandComplete DELETE 2', 'ReadyForQuery T']);
      await say(client, simple('COMMIT'));
      await run(await script(kept.id));
      expect(await data()).toBe(before);
    });
  }
});

describe('another transaction at the same time', () => {
  /** Waits until a session waits for a lock. */
  async function blocked(): Promise<void> {
    for (;;) {
      const { rows } = await admin((client) =>
        client.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        ),
      );
      if (rows.length > 0) return;
    }
  }

  for (const [where, begin, sqlstate] of [
    ['alone it is a serialization failure', null, '40001'],
    ['in a block of READ COMMITTED it is refused', 'BEGIN', '42501'],
  ] as const) {
    test(`a row that it changes first: ${where}`, async () => {
      await reset();
      const client = await login();
      const theirs = await other();
      if (begin !== null) await say(client, simple(begin));
      const answer = say(client, simple("UPDATE account SET name = name || '!' WHERE id IN (1, 2)"));
      const { id } = await approvals.next();
      await theirs.query('BEGIN');
      await theirs.query("UPDATE account SET name = 'theirs' WHERE id = 2");
      await approvals.approve(id);
      await blocked();
      await theirs.query('COMMIT');
      expect(results(await answer).at(-2)).toBe(`ErrorResponse ${sqlstate}`);
      expect(await names('SELECT name FROM account WHERE id < 3 ORDER BY id')).toEqual(['a1', 'theirs']);
    });
  }

  test('rows that it locks or changes beside it are not taken for its own', async () => {
    await reset();
    const client = await login();
    const theirs = await other();
    await say(client, simple('BEGIN'));
    const answer = say(client, simple('UPDATE account SET members = members + 1 WHERE id IN (1, 2)'));
    const { id } = await approvals.next();
    await theirs.query('BEGIN');
    // A key that is locked is a multixact as soon as the row is updated.
    await theirs.query('INSERT INTO note VALUES (50, 1), (51, 2), (52, 5)');
    await theirs.query('UPDATE account SET members = 0 WHERE id = 5');
    await approvals.approve(id);
    expect(results(await answer)).toEqual(['CommandComplete UPDATE 2', 'ReadyForQuery T']);
    await theirs.query('COMMIT');
    await say(client, simple('COMMIT'));
    const { rows } = await readUndoFile(directory, id);
    expect(rows.map(({ was }) => was?.[1])).toEqual(['a1', 'a2']);
  });
});

describe('others that commit all the while, as on any server in use', () => {
  /** Takes transaction ids and commits them until it is told to end. */
  async function busily<T>(work: () => Promise<T>): Promise<T> {
    const theirs = await other();
    const end = { asked: false };
    const commits = (async () => {
      while (!end.asked) await theirs.query('SELECT pg_current_xact_id()');
    })();
    try {
      return await work();
    } finally {
      end.asked = true;
      await commits;
    }
  }

  for (const [where, begin] of [
    ['alone', []],
    ['in a block that has written nothing yet', ['BEGIN']],
    ['in a block that has', ['BEGIN', 'INSERT INTO note VALUES (60, 1)']],
  ] as const) {
    test(`what is changed, deleted and made is kept: ${where}`, async () => {
      await reset();
      const client = await login();
      for (const sql of begin) await say(client, simple(sql));
      const { id, lines } = await busily(() =>
        approved(
          client,
          simple(
            `WITH gone AS (DELETE FROM quiet WHERE id > 2), made AS (INSERT INTO quiet VALUES (11), (12))
              UPDATE loose SET b = 'new' WHERE a = 1`,
          ),
        ),
      );
      expect(results(lines)[0], JSON.stringify(client.errors)).toBe('CommandComplete UPDATE 4');
      if (begin.length > 0) await say(client, simple('COMMIT'));
      const { tables, rows } = await readUndoFile(directory, id);
      const kept = rows.map(
        ({ table, was, left }) =>
          `${tables[table]?.name ?? ''}: ${was?.[0] ?? 'none'}, ${left?.[0] ?? 'none'}`,
      );
      expect(kept.sort()).toEqual([
        ...Array<string>(4).fill('loose: 1, 1'),
        'quiet: 3, none',
        'quiet: 4, none',
        'quiet: 5, none',
        'quiet: none, 11',
        'quiet: none, 12',
      ]);
    });
  }
});

describe('what cannot be kept', () => {
  async function refused(client: WireClient, sql: string, detail: string): Promise<void> {
    const before = await data();
    expect(results(await say(client, simple(sql)))).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(client.errors.at(-1)?.detail).toContain(detail);
    expect(await data()).toBe(before);
    expect(await approvals.open()).toEqual([]);
  }

  test('is refused before anybody is asked', async () => {
    await reset();
    await admin((client) => client.query(`REVOKE SELECT ON secret FROM "${user.name}"`));
    const client = await login();
    await refused(
      client,
      'DELETE FROM account WHERE id = 10',
      'may not read all of "public"."secret" (GRANT SELECT)',
    );
    await admin((one) => one.query(`GRANT SELECT ON secret TO "${user.name}"`));
    await refused(client, 'UPDATE veiled SET v = 0', 'row-level security hides rows of "public"."veiled"');
    await refused(
      client,
      'UPDATE ruled SET v = 0',
      '"public"."ruled", or a table that its foreign keys lead to, has rules',
    );
  });

  test('a string of several statements', async () => {
    await reset();
    const client = await login();
    const before = await data();
    expect(results(await say(client, simple("UPDATE typed SET b = '{}' WHERE id = 1; SELECT 1")))).toEqual([
      'ErrorResponse 42501',
      'ReadyForQuery I',
    ]);
    expect(client.errors.at(-1)).toMatchObject({ hint: 'Send each statement by itself.' });
    expect(await data()).toBe(before);
  });

  test('nobody was asked, or somebody said no: nothing is kept', async () => {
    await reset();
    const kept = await listUndoFiles(directory);
    const client = await login();
    expect(results(await say(client, simple('DELETE FROM quiet WHERE id = 1')))).toEqual([
      'CommandComplete DELETE 1',
      'ReadyForQuery I',
    ]);
    const answer = say(client, simple('DELETE FROM quiet'));
    await approvals.deny((await approvals.next()).id);
    expect(results(await answer)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(await listUndoFiles(directory)).toEqual(kept);
  });

  test('more than may be kept, and a directory that cannot be written', async () => {
    await reset();
    const before = await data();
    const small = await startTestHoldfast(database, POLICY, { undo: { maxSize: 400 } });
    const people = await followHolds(small);
    const client = await login(small);
    const ask = async (): Promise<readonly Line[]> => {
      const answer = say(client, simple(CASCADING));
      await people.approve((await people.next()).id);
      return results(await answer);
    };
    expect(await ask()).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(client.errors.at(-1)?.detail).toContain(
      'they are more than the 400 bytes that are kept of one statement',
    );
    await writeFile(join(holdfast.directory, 'file'), '');
    const broken = await startTestHoldfast(database, POLICY);
    await writeFile(join(broken.directory, 'undo'), '');
    const others = await followHolds(broken);
    const second = await login(broken);
    const answer = say(second, simple(CASCADING));
    await others.approve((await others.next()).id);
    expect(results(await answer)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(second.errors.at(-1)?.detail).toContain('they could not be stored');
    expect(await data()).toBe(before);
    for (const one of [client, second]) {
      expect(results(await say(one, simple('DELETE FROM quiet WHERE id = 9'))).at(-1)).toBe(
        'ReadyForQuery I',
      );
    }
    await people.close();
    await others.close();
    await small.close();
    await broken.close();
  });
});

describe('what the client sees, and what is left', () => {
  test('its settings and the isolation level are what they were, and it hears nothing of them', async () => {
    await reset();
    const before = await data();
    const client = await login();
    await say(
      client,
      simple(
        "SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET extra_float_digits = 0; SET search_path = pg_catalog, public",
      ),
    );
    for (const begin of [[], simple('BEGIN ISOLATION LEVEL REPEATABLE READ')]) {
      if (begin.length > 0) await say(client, begin);
      const { id, lines } = await approved(
        client,
        simple('UPDATE typed SET f = 2, i = NULL, z = NULL WHERE id < 4 RETURNING d'),
      );
      expect(lines.filter((line) => line.startsWith('DataRow'))).toEqual(
        Array(3).fill('DataRow 15/03/0044 BC'),
      );
      expect(results(lines).filter((line) => line.startsWith('Parameter'))).toEqual([]);
      const after = await say(
        client,
        simple(
          "SELECT current_setting('datestyle') || ' ' || current_setting('intervalstyle') || ' ' || current_setting('extra_float_digits') || ' ' || current_setting('search_path')",
        ),
      );
      expect(after).toContain('DataRow SQL, DMY sql_standard 0 pg_catalog, public');
      if (begin.length > 0) await say(client, simple('COMMIT'));
      expect(await say(client, simple('SHOW transaction_isolation'))).toContain('DataRow read committed');
      await run(await script(id));
      expect(await data()).toBe(before);
    }
  });

  test('files that only the owner can read, and no more of them than there is room for', async () => {
    await reset();
    const client = await login();
    const { id } = await approved(client, simple('DELETE FROM quiet'));
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    const [kept] = (await listUndoFiles(directory)).filter(({ hold }) => hold === id);
    expect(kept).toBeDefined();
    const name = join(directory, `${kept?.decision ?? ''}.${id}.jsonl`);
    expect((await stat(name)).mode & 0o777).toBe(0o600);
    expect(await readUndoFile(directory, kept?.decision ?? '')).toMatchObject({
      hold: id,
      sql: 'DELETE FROM quiet',
      user: user.name,
    });
    await writeFile(name, (await readFile(name, 'utf8')).replace('"5"', '"6"'));
    await expect(readUndoFile(directory, id)).rejects.toThrow('it has been changed');
    const room = await startTestHoldfast(database, POLICY, { undo: { totalSize: 2_000 } });
    const people = await followHolds(room);
    const second = await login(room);
    const ids: string[] = [];
    for (let at = 0; at < 5; at++) {
      const answer = say(second, simple('UPDATE loose SET a = a + 1'));
      const hold = await people.next();
      await people.approve(hold.id);
      expect(results(await answer)).toEqual(['CommandComplete UPDATE 5', 'ReadyForQuery I']);
      ids.push(hold.id);
    }
    const left = await listUndoFiles(join(room.directory, 'undo'));
    expect(left.reduce((sum, one) => sum + one.size, 0)).toBeLessThanOrEqual(2_000);
    expect(left.map(({ hold }) => hold)).toEqual(ids.slice(-left.length));
    expect(left.length).toBeGreaterThan(0);
    await people.close();
    await room.close();
  });
});
