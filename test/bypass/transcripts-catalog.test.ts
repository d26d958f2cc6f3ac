/**
 * What Holdfast knows of the catalog is as old as its last reading. A change counts from
 * the next statement outside of the transaction on, also of one that was sent on before the
 * change was answered. In one string or in one transaction with the change, whoever may
 * change the schema gets past rules that depend on it: these tests are expected to fail
 * until that is closed.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withClient } from '../support/postgres.js';
import { SCHEMA } from './corpus/index.js';
import { ask, createGround, query } from './ground.js';
import type { Ground } from './ground.js';

const SHIPPED = new URL('../../config/policy.yaml', import.meta.url);

let ground: Ground;

beforeAll(async () => {
  // A role that may change the schema, and for which opaque code is refused.
  ground = await createGround('eng', SCHEMA, await readFile(SHIPPED, 'utf8'));
});

afterAll(() => ground.close());

const WRITING = "LANGUAGE sql AS 'INSERT INTO hits VALUES (1) RETURNING n'";

interface Case {
  /** What there is, and Holdfast knows of. `$f`, `$v` and `$t` are names that nothing else has. */
  readonly before: readonly string[];
  /** Allowed for itself. */
  readonly change: string;
  /** Harmful once the change was made. */
  readonly use: string;
  /** True as long as no harm was done. */
  readonly fine: string;
}

const NO_HIT = 'SELECT count(*) = 0 AS fine FROM hits';

const CASES: Readonly<Record<string, Case>> = {
  'a new function': {
    before: [],
    change: `CREATE FUNCTION $f() RETURNS int ${WRITING}`,
    use: 'SELECT $f()',
    fine: NO_HIT,
  },
  'a function that is no longer immutable': {
    before: ["CREATE FUNCTION $f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'", 'SELECT $f()'],
    change: `CREATE OR REPLACE FUNCTION $f() RETURNS int VOLATILE ${WRITING}`,
    use: 'SELECT $f()',
    fine: NO_HIT,
  },
  'a function that is declared volatile': {
    before: [
      "CREATE FUNCTION $f() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN INSERT INTO hits VALUES (1); RETURN 1; END'",
    ],
    change: 'ALTER FUNCTION $f() VOLATILE',
    use: 'SELECT $f()',
    fine: NO_HIT,
  },
  'a function renamed': {
    before: [`CREATE FUNCTION old_$f() RETURNS int ${WRITING}`],
    change: 'ALTER FUNCTION old_$f() RENAME TO $f',
    use: 'SELECT $f()',
    fine: NO_HIT,
  },
  'a new view': {
    before: [],
    change: 'CREATE VIEW $v AS SELECT hit_atomic() AS a',
    use: 'SELECT * FROM $v',
    fine: NO_HIT,
  },
  'a view replaced': {
    before: ['CREATE VIEW $v AS SELECT 1::bigint AS a', 'SELECT * FROM $v'],
    change: 'CREATE OR REPLACE VIEW $v AS SELECT hit_atomic() AS a',
    use: 'SELECT * FROM $v',
    fine: NO_HIT,
  },
  'a view renamed': {
    before: ['CREATE VIEW old_$v AS SELECT hit_atomic() AS a'],
    change: 'ALTER VIEW old_$v RENAME TO $v',
    use: 'SELECT * FROM $v',
    fine: NO_HIT,
  },
  'a column that is json now': {
    before: ['CREATE TABLE $t (id int, body text)', 'INSERT INTO $t VALUES (1, \'{"a": 1}\')'],
    change: 'ALTER TABLE $t ALTER COLUMN body TYPE jsonb USING body::jsonb',
    use: "UPDATE $t SET body = '{}' WHERE id = 1",
    fine: 'SELECT body::text = \'{"a": 1}\' AS fine FROM $t',
  },
  'a column that cannot be NULL now': {
    before: ['CREATE TABLE $t (id int)', 'INSERT INTO $t VALUES (1)'],
    change: 'ALTER TABLE $t ALTER COLUMN id SET NOT NULL',
    use: 'DELETE FROM $t WHERE id IS NOT NULL',
    fine: 'SELECT count(*) = 1 AS fine FROM $t',
  },
};

const SEEN = ['one after the other', 'in one pipeline'] as const;
const UNSEEN = ['in one string', 'in one transaction'] as const;
type Way = (typeof SEEN)[number] | (typeof UNSEEN)[number];

function sent(way: Way, change: string, use: string): readonly (readonly [Buffer, number])[] {
  switch (way) {
    case 'one after the other':
      return [
        [query(change), 1],
        [query(use), 1],
      ];
    case 'in one string':
      return [[query(`${change}; ${use}`), 1]];
    case 'in one transaction':
      return [
        [query('BEGIN'), 1],
        [query(change), 1],
        [query(use), 1],
        [query('COMMIT'), 1],
      ];
    case 'in one pipeline':
      return [[Buffer.concat([query(change), query(use)]), 2]];
  }
}

let names = 0;

describe.each(Object.entries(CASES))('%s', (_what, { before, change, use, fine }) => {
  const attack = async (way: Way): Promise<void> => {
    names += 1;
    const named = (sql: string): string =>
      sql.replaceAll(/\$([fvt])\b/g, (_, kind: string) => `${kind}_${names}`);
    await withClient((direct) => direct.query('TRUNCATE hits'), ground.database.name);
    const client = await ground.login();
    for (const sql of before) expect((await ask(client, named(sql))).error, sql).toBeNull();
    // Has the catalog read, whatever the case asks for.
    await ask(client, 'SELECT steady(1) WHERE false');
    for (const [bytes, answers] of sent(way, named(change), named(use))) {
      await client.send(bytes);
      await client.untilReady(answers);
    }
    client.close();
    const { rows } = await withClient(
      (direct) => direct.query<{ fine: boolean }>(named(fine)),
      ground.database.name,
    );
    const told = client.errors.map(({ message }) => message).join('\n');
    expect(rows, told).toEqual([{ fine: true }]);
    // It was Holdfast that refused it, and not the change.
    expect(client.errors.map(({ routine }) => routine?.startsWith('holdfast/'))).toEqual([true]);
    if (way !== 'in one string')
      expect(
        client.lines.filter((line) => /^CommandComplete (?:CREATE|ALTER)/.test(line)).length,
      ).toBeGreaterThan(0);
  };

  test.each(SEEN)('%s', attack);
  test.fails.each(UNSEEN)('%s', attack);
});
