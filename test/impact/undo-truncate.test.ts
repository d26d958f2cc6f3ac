/**
 * The rows of tables that an approved TRUNCATE empties are kept before it runs, and the
 * script that comes of them makes the data what they were, by checksum over all tables.
 */
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { listUndoFiles, readUndoFile } from '../../src/audit/undo-files.js';
import type { UndoDocument } from '../../src/undo/document.js';
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

const policy = (rules: string): string => `
version: 1
roles:
  - name: keepers
    access: admin
    rules: { default: allow, ${rules} }
    hold: { approvals: 1, approvers: [dana], timeout: 60s, in_transaction_timeout: 20s }
    undo: capture
approvers:
  - { name: dana, groups: [dana], token_sha256: "${sha256(tokenOf('dana'))}" }
`;
/** Held by what it is, and not tried. */
const UNTRIED = 'truncate: hold';
/** Held by what it turned out to change. */
const TRIED = 'row-limit: { action: hold, statement: 1 }';

const TABLES = `
  CREATE TABLE kind (id serial PRIMARY KEY, name text UNIQUE);
  CREATE TABLE account (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind int REFERENCES kind, boss int REFERENCES account, name text, upper_name text GENERATED ALWAYS AS (upper(name)) STORED);
  CREATE TABLE login (account int NOT NULL REFERENCES account ON DELETE CASCADE, at timestamptz, data jsonb);
  ALTER TABLE kind ADD COLUMN favourite int REFERENCES account DEFERRABLE INITIALLY DEFERRED;
  CREATE TABLE part (id int, region int, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
  CREATE TABLE part_one PARTITION OF part FOR VALUES IN (1);
  CREATE TABLE part_two PARTITION OF part FOR VALUES IN (2) PARTITION BY RANGE (id);
  CREATE TABLE part_two_low PARTITION OF part_two FOR VALUES FROM (0) TO (100);
  CREATE TABLE place (id int PRIMARY KEY, part_id int, part_region int, FOREIGN KEY (part_id, part_region) REFERENCES part);
  CREATE TABLE base (a int, b text);
  CREATE TABLE derived (c float8) INHERITS (base);
  CREATE SCHEMA "odd schema";
  CREATE TABLE "odd schema"."it's $holdfast$ ""odd""" ("a;b" text, n numeric);
  CREATE TABLE watched (id int PRIMARY KEY);
  CREATE TABLE trail (what text);
  CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trail VALUES ('emptied'); RETURN NULL; END $$;
  CREATE TRIGGER watch AFTER TRUNCATE ON watched FOR EACH STATEMENT EXECUTE FUNCTION watch();
  CREATE TABLE veiled (id int);
  ALTER TABLE veiled ENABLE ROW LEVEL SECURITY;
  CREATE TABLE late (id int);
`;

const ROWS = `
  INSERT INTO kind (name) SELECT 'k' || i FROM generate_series(1, 3) i;
  INSERT INTO account (kind, boss, name) SELECT 1 + i % 3, nullif(i / 2, 0), 'a' || i FROM generate_series(1, 9) i;
  UPDATE kind SET favourite = id;
  INSERT INTO login SELECT i, '2026-03-29 02:30:00+02', '{"b": 1, "a": [1, null]}' FROM generate_series(1, 9) i, generate_series(1, 2);
  INSERT INTO part SELECT i, 1 + i % 2, 'v' FROM generate_series(1, 6) i;
  INSERT INTO place SELECT i, i, 1 + i % 2 FROM generate_series(1, 6) i;
  INSERT INTO base VALUES (1, 'same'), (1, 'same'), (2, NULL);
  INSERT INTO derived VALUES (3, 'derived', 0.1);
  INSERT INTO "odd schema"."it's $holdfast$ ""odd""" VALUES (E'tab\\there \\\\ ''quote'' $holdfast$; --', 1.50), (NULL, 'NaN');
  INSERT INTO watched VALUES (1), (2);
  INSERT INTO veiled VALUES (1), (2);
  INSERT INTO late VALUES (1), (2);
`;

const ALL = [
  'kind',
  'account',
  'login',
  'part',
  'place',
  'base',
  '"odd schema"."it\'s $holdfast$ ""odd"""',
  'watched',
  'trail',
  'veiled',
  'late',
];
const DATA = `SELECT md5(string_agg(t, chr(10) ORDER BY t)) FROM (${ALL.map(
  (name, at) => `SELECT '${at.toString()} ' || tableoid::regclass || t::text AS t FROM ${name} AS t`,
).join(' UNION ALL ')}) AS data`;

let database: TestDatabase;
let user: TestUser;
const through: Record<string, { readonly holdfast: TestHoldfast; readonly approvals: Approvals }> = {};

async function admin<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(work, database.name);
}

async function first(sql: string): Promise<string> {
  return admin(async (client) => {
    const { rows } = await client.query<[string]>({ text: sql, rowMode: 'array' });
    return String(rows[0]?.[0]);
  });
}

const data = (): Promise<string> => first(DATA);

const open: { close(): void }[] = [];

function at(rules: string): { readonly holdfast: TestHoldfast; readonly approvals: Approvals } {
  const one = through[rules];
  if (one === undefined) throw new Error('no such Holdfast');
  return one;
}

/** Closed when its test has ended, however that was: a transaction that is left would lock out the next. */
async function login(rules: string): Promise<WireClient> {
  const { port } = at(rules).holdfast;
  const client = await wireLogin({ port, user: user.name, database: database.name });
  open.push(client);
  return client;
}

beforeAll(async () => {
  database = await createDatabase('undo_truncate');
  user = await createUser('undo_truncate', database.name);
  await admin((client) =>
    client.query(`GRANT CREATE ON DATABASE "${database.name}" TO "${user.name}"; GRANT ALL ON SCHEMA public TO "${user.name}";
      SET ROLE "${user.name}"; ${TABLES} RESET ROLE;
      ALTER TABLE veiled OWNER TO CURRENT_USER; GRANT ALL ON veiled TO "${user.name}"`),
  );
  for (const rules of [UNTRIED, TRIED]) {
    const holdfast = await startTestHoldfast(database, policy(rules));
    through[rules] = { holdfast, approvals: await followHolds(holdfast) };
  }
});

// How many rows a TRUNCATE takes is what the server has estimated.
beforeEach(async () => {
  await admin((client) => client.query(`TRUNCATE ${ALL.join(', ')} RESTART IDENTITY; ${ROWS}; ANALYZE`));
});

afterEach(() => {
  for (const one of open.splice(0)) one.close();
  for (const { approvals } of Object.values(through)) approvals.forget();
});

afterAll(async () => {
  for (const { holdfast, approvals } of Object.values(through)) {
    await approvals.close();
    await holdfast.close();
  }
  await database.drop();
  await user.drop();
});

interface Told {
  readonly id: string;
  readonly oldRows: string | null | undefined;
  readonly lines: readonly Line[];
}

function results(lines: readonly Line[]): readonly Line[] {
  return lines.filter((line) => /^(Error|CommandComplete|ReadyForQuery|ParameterStatus)/.test(line));
}

/** Sends what must be approved, has it approved, and says what approvers were told of its old rows. */
async function approved(
  client: WireClient,
  rules: string,
  lines: readonly string[],
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<Told> {
  const { approvals } = at(rules);
  const answer = say(client, lines);
  const { id } = await approvals.next();
  const { old_rows: oldRows } = await approvals.show(id);
  await meanwhile();
  await approvals.approve(id);
  return { id, oldRows, lines: results(await answer) };
}

const directory = (rules: string): string => join(dirname(at(rules).holdfast.auditFile), 'undo');

async function document(rules: string, id: string): Promise<UndoDocument> {
  return readUndoFile(directory(rules), id);
}

async function putBack(rules: string, id: string, overwrite = false): Promise<void> {
  const script = undoScript(await document(rules, id), { overwrite });
  await admin((client) => client.query(script));
}

async function isKept(rules: string, id: string): Promise<boolean> {
  return (await listUndoFiles(directory(rules))).some(({ hold }) => hold === id);
}

const STATEMENTS = [
  'TRUNCATE kind CASCADE',
  'TRUNCATE account, kind, login RESTART IDENTITY',
  'TRUNCATE part CASCADE',
  'TRUNCATE ONLY base, part_two CASCADE',
  'TRUNCATE base, "odd schema"."it\'s $holdfast$ ""odd"""',
];

describe('what was emptied and is put back', () => {
  for (const [how, rules] of Object.entries({ untried: UNTRIED, tried: TRIED })) {
    for (const [protocol, messages] of Object.entries({ simple, extended })) {
      for (const sql of STATEMENTS) {
        test(`${how}, ${protocol}: ${sql}`, async () => {
          const before = await data();
          const client = await login(rules);
          const { id, oldRows, lines } = await approved(client, rules, messages(sql));
          expect(lines, JSON.stringify(client.errors)).toEqual([
            'CommandComplete TRUNCATE TABLE',
            'ReadyForQuery I',
          ]);
          expect(oldRows).toBe('kept');
          expect(await data()).not.toBe(before);
          await putBack(rules, id);
          expect(await data()).toBe(before);
        });
      }
    }
  }

  test('ONLY: what inherits from the table is not emptied, and not kept', async () => {
    const client = await login(UNTRIED);
    const { id } = await approved(client, UNTRIED, simple('TRUNCATE ONLY base'));
    const { tables, rows } = await document(UNTRIED, id);
    expect(tables.map(({ name }) => name)).toEqual(['base']);
    expect(rows.map(({ was, left }) => [was, left])).toEqual([
      [['1', 'same'], null],
      [['1', 'same'], null],
      [['2', null], null],
    ]);
  });

  test('a name without a schema means what it means to the session', async () => {
    await admin((client) =>
      client.query(
        `SET ROLE "${user.name}"; CREATE TABLE "odd schema".late (id int); INSERT INTO "odd schema".late VALUES (7)`,
      ),
    );
    const client = await login(UNTRIED);
    await say(client, simple('SET search_path = "odd schema", public'));
    const { id, lines } = await approved(client, UNTRIED, simple('TRUNCATE late'));
    expect(lines.at(-1)).toBe('ReadyForQuery I');
    const { tables, rows } = await document(UNTRIED, id);
    expect([tables.map(({ schema }) => schema), rows.map(({ was }) => was)]).toEqual([
      ['odd schema'],
      [['7']],
    ]);
    expect(await first('SELECT count(*) FROM late')).toBe('2');
    await admin((one) => one.query('DROP TABLE "odd schema".late'));
  });

  test('sequences go on behind what they had given out', async () => {
    const client = await login(UNTRIED);
    const { id } = await approved(client, UNTRIED, simple('TRUNCATE account, kind, login RESTART IDENTITY'));
    expect(await first("SELECT nextval('kind_id_seq')")).toBe('1');
    await putBack(UNTRIED, id);
    expect(await first("SELECT nextval('kind_id_seq')")).toBe('4');
    expect(await first("INSERT INTO account (name) VALUES ('new') RETURNING id")).toBe('10');
    // One that is further already stays there.
    await admin((one) => one.query("TRUNCATE account, kind, login; SELECT setval('kind_id_seq', 50)"));
    await putBack(UNTRIED, id);
    expect(await first("SELECT nextval('kind_id_seq')")).toBe('51');
  });

  test('where rows are there again under their keys it refuses, and puts them back if that is said', async () => {
    const before = await data();
    const client = await login(UNTRIED);
    const { id } = await approved(client, UNTRIED, simple('TRUNCATE part CASCADE'));
    await admin((one) => one.query("INSERT INTO part VALUES (1, 2, 'mine')"));
    const since = await data();
    await expect(putBack(UNTRIED, id)).rejects.toMatchObject({ code: '40001' });
    expect(await data()).toBe(since);
    await putBack(UNTRIED, id, true);
    expect(await data()).toBe(before);
  });
});

describe('the transaction that it runs in', () => {
  for (const [how, rules] of Object.entries({ untried: UNTRIED, tried: TRIED })) {
    test(`${how}, in a block: rows of its own are among them`, async () => {
      const client = await login(rules);
      await say(client, simple('BEGIN'));
      await say(client, simple('INSERT INTO late VALUES (3)'));
      const { id, lines } = await approved(client, rules, simple('TRUNCATE late'));
      expect(lines, JSON.stringify(client.errors)).toEqual([
        'CommandComplete TRUNCATE TABLE',
        'ReadyForQuery T',
      ]);
      expect(results(await say(client, simple('COMMIT'))).at(-1)).toBe('ReadyForQuery I');
      expect((await document(rules, id)).rows.map(({ was }) => was)).toEqual([['1'], ['2'], ['3']]);
      await putBack(rules, id);
      expect(await first('SELECT array_agg(id ORDER BY id)::text FROM late')).toBe('{1,2,3}');
    });
  }

  test('in a block that sees one state it is refused: what others have added since could not be read', async () => {
    const before = await data();
    const client = await login(UNTRIED);
    await say(client, simple('BEGIN ISOLATION LEVEL REPEATABLE READ'));
    const { lines } = await approved(client, UNTRIED, simple('TRUNCATE late'));
    expect(lines).toEqual(['ErrorResponse 42501', 'ReadyForQuery E']);
    expect(client.errors.at(-1)).toMatchObject({
      message: 'holdfast: the old rows of what this statement changes cannot be kept, so it was rolled back',
      detail: expect.stringContaining(
        'REPEATABLE READ, and does not see rows that others have added',
      ) as string,
      hint: expect.stringContaining('outside of a transaction block') as string,
    });
    await say(client, simple('ROLLBACK'));
    expect(await data()).toBe(before);
  });

  test('by itself it sees all that was committed before its lock, whatever the isolation level of the session', async () => {
    const client = await login(UNTRIED);
    await say(
      client,
      simple("SET default_transaction_isolation = 'serializable'; SET datestyle = 'SQL, DMY'"),
    );
    const theirs = new pg.Client(database.url);
    await theirs.connect();
    open.push({ close: () => void theirs.end() });
    await theirs.query('BEGIN');
    await theirs.query('INSERT INTO late VALUES (3)');
    const answer = approved(client, UNTRIED, simple('TRUNCATE late, login'));
    for (let blocked = '0'; blocked === '0';)
      blocked = await first(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
    await theirs.query('COMMIT');
    const { id, lines } = await answer;
    expect(lines).toEqual(['CommandComplete TRUNCATE TABLE', 'ReadyForQuery I']);
    const { tables, rows } = await document(UNTRIED, id);
    const late = tables.findIndex(({ name }) => name === 'late');
    expect(rows.filter(({ table }) => table === late).map(({ was }) => was)).toEqual([['1'], ['2'], ['3']]);
    expect(rows.find(({ table }) => table !== late)?.was?.[1]).toBe('2026-03-29 00:30:00+00');
    const after = await say(
      client,
      simple("SELECT current_setting('datestyle') || ' ' || current_setting('transaction_isolation')"),
    );
    expect(after).toContain('DataRow SQL, DMY serializable');
  });
});

describe('what cannot be kept', () => {
  test('a trigger that changes other rows: refused untried; tried, approvers are told, and it runs', async () => {
    const before = await data();
    const client = await login(UNTRIED);
    const refused = await approved(client, UNTRIED, simple('TRUNCATE watched'));
    expect([refused.oldRows, ...refused.lines]).toEqual(['kept', 'ErrorResponse 42501', 'ReadyForQuery I']);
    expect(client.errors.at(-1)?.detail).toContain(
      'The reason: something that it ran (a trigger) has changed rows of "public"."trail", too',
    );
    expect(await data()).toBe(before);
    const second = await login(TRIED);
    const ran = await approved(second, TRIED, simple('TRUNCATE watched'));
    expect([ran.oldRows, ...ran.lines]).toEqual([
      'not_kept',
      'CommandComplete TRUNCATE TABLE',
      'ReadyForQuery I',
    ]);
    expect(await isKept(TRIED, ran.id)).toBe(false);
  });

  test('rows that are hidden from the user', async () => {
    const client = await login(UNTRIED);
    const { lines } = await approved(client, UNTRIED, simple('TRUNCATE veiled'));
    expect(lines).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(client.errors.at(-1)?.detail).toContain('row-level security hides rows of "public"."veiled"');
    expect(await first('SELECT count(*) FROM veiled')).toBe('2');
  });

  test('more than may be kept: by the catalogs approvers are told and it runs; else it is refused', async () => {
    const small = await startTestHoldfast(database, policy(UNTRIED), { undo: { maxSize: 2_000 } });
    const people = await followHolds(small);
    const ask = async (sql: string): Promise<readonly unknown[]> => {
      const client = await wireLogin({ port: small.port, user: user.name, database: database.name });
      open.push(client);
      const answer = say(client, simple(sql));
      const { id } = await people.next();
      const { old_rows: oldRows } = await people.show(id);
      await people.approve(id);
      return [oldRows, results(await answer)[0], client.errors.at(-1)?.detail];
    };
    await admin((one) => one.query('INSERT INTO late SELECT i FROM generate_series(1, 1000) i'));
    expect(await ask('TRUNCATE late')).toEqual([
      'kept',
      'ErrorResponse 42501',
      expect.stringContaining('they are more than the 2000 bytes that are kept of one statement'),
    ]);
    expect(await first('SELECT count(*) FROM late')).toBe('1002');
    await admin((one) => one.query('ANALYZE late'));
    await people.close();
    await small.close();
    const knowing = await startTestHoldfast(database, policy(UNTRIED), { undo: { maxSize: 2_000 } });
    const others = await followHolds(knowing);
    const client = await wireLogin({ port: knowing.port, user: user.name, database: database.name });
    open.push(client);
    const answer = say(client, simple('TRUNCATE late'));
    const { id } = await others.next();
    expect((await others.show(id)).old_rows).toBe('not_kept');
    await others.approve(id);
    expect(results(await answer)[0]).toBe('CommandComplete TRUNCATE TABLE');
    expect(await listUndoFiles(join(knowing.directory, 'undo'))).toEqual([]);
    await others.close();
    await knowing.close();
  });

  test('what names a TRUNCATE, and what comes with other statements, is not kept, and approvers are told', async () => {
    const client = await login(UNTRIED);
    await say(client, simple('PREPARE emptying AS SELECT 1'));
    const { oldRows, lines, id } = await approved(client, UNTRIED, simple('TRUNCATE late; SELECT 1'));
    expect([oldRows, lines.at(0)]).toEqual(['not_kept', 'CommandComplete TRUNCATE TABLE']);
    expect(await isKept(UNTRIED, id)).toBe(false);
  });

  test('what is not there fails as it would without Holdfast', async () => {
    const before = await data();
    const client = await login(UNTRIED);
    const { lines } = await approved(client, UNTRIED, simple('TRUNCATE nowhere'));
    expect(lines).toEqual(['ErrorResponse 42P01', 'ReadyForQuery I']);
    expect(await data()).toBe(before);
  });
});
