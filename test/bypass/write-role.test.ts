/**
 * A role that may write, under the policy as shipped: what empties, overwrites or
 * hides is refused by the rule that is there for it, and changes nothing; the same
 * for CASCADE in the hands of those who may do anything.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCHEMA } from './corpus/index.js';
import { CASCADES } from './corpus/objects.js';
import { DANGEROUS, EVERYDAY } from './corpus/write-role.js';
import { PROTOCOLS, ask, changes, createGround, onlyRefused } from './ground.js';
import type { Ground, Protocol, Sums } from './ground.js';

const SHIPPED = new URL('../../config/policy.yaml', import.meta.url);

async function groundFor(purpose: string): Promise<Ground> {
  return createGround(purpose, SCHEMA, await readFile(SHIPPED, 'utf8'));
}

/** What is wrong with the answers to `sql` by both protocols; each must be a refusal by one of `rules`. */
async function problems(ground: Ground, sql: string, rules: readonly string[]): Promise<readonly string[]> {
  const client = await ground.login();
  const found: string[] = [];
  const expected = rules.map((rule) => `holdfast/${rule}`);
  const tries: readonly Protocol[] = PROTOCOLS;
  for (const protocol of tries) {
    const answer = await ask(client, ground.spelled(sql), protocol);
    const routine = answer.error?.routine ?? '';
    if (onlyRefused(answer) && expected.includes(routine)) continue;
    found.push(`${protocol}: ${sql} → ${answer.lines.join(', ')} ${routine} ${answer.error?.message ?? ''}`);
  }
  client.close();
  return found;
}

describe('the role "app"', () => {
  let ground: Ground;
  let untouched: Sums;

  beforeAll(async () => {
    ground = await groundFor('svc');
    untouched = await ground.sums();
  });

  afterAll(() => ground.close());

  test.each(Object.entries(DANGEROUS))('%s', async (_kind, statements) => {
    const wrong: string[] = [];
    for (const [sql, ...rules] of statements) wrong.push(...(await problems(ground, sql, rules)));
    const now = await ground.sums();
    const changed = changes(untouched, now);
    untouched = now;
    expect(wrong).toEqual([]);
    expect(changed).toEqual([]);
  });

  /** Temporary things may be made by who may write; they run other people's code when they are used. */
  const temporary: Readonly<Record<string, readonly string[]>> = {
    'a view that calls a function': ['CREATE TEMP VIEW peek AS SELECT hit(1) AS a', 'SELECT * FROM peek'],
    'a view of a view': ['CREATE TEMP VIEW peek AS SELECT * FROM hitting', 'SELECT * FROM peek'],
    'a table whose default calls a function': [
      'CREATE TEMP TABLE peek (a int DEFAULT hit(1))',
      'INSERT INTO peek DEFAULT VALUES',
    ],
    'a table whose check calls a function': [
      'CREATE TEMP TABLE peek (a int CHECK (hit_bool(a)))',
      'INSERT INTO peek VALUES (1)',
    ],
    'a view that is deleted through': [
      'CREATE TEMP VIEW peek AS SELECT * FROM accounts',
      'DELETE FROM peek WHERE id IS NOT NULL',
    ],
    'a view on a protected table': [
      'CREATE TEMP VIEW peek AS SELECT * FROM audit_log',
      "DELETE FROM peek WHERE what = 'start'",
    ],
    'a view whose column is a document': [
      'CREATE TEMP VIEW peek AS SELECT id, data AS d FROM accounts',
      "UPDATE peek SET d = '{}' WHERE id = 1",
    ],
    'a table in the shadow of another': [
      'CREATE TEMP TABLE accounts (id int)',
      'DELETE FROM public.accounts WHERE email IS NOT NULL',
    ],
  };

  test.each(Object.entries(temporary))('temporary things: %s', async (_what, statements) => {
    const before = await ground.sums();
    const client = await ground.login();
    for (const sql of statements) await ask(client, sql);
    const refused = client.errors.some(({ routine }) => routine?.startsWith('holdfast/') === true);
    const said = client.lines.filter((line) => /^(?:Command|Error)/.test(line)).join(', ');
    client.close();
    const changed = changes(before, await ground.sums()).filter((name) =>
      /^(?:hits|accounts|audit_log|orders)$/.test(name),
    );
    expect({ refused, changed }, said).toEqual({ refused: true, changed: [] });
  });

  test('everyday statements pass', async () => {
    const refused: string[] = [];
    const client = await ground.login();
    for (const sql of EVERYDAY) {
      for (const protocol of PROTOCOLS) {
        const begun = await ask(client, 'BEGIN');
        expect(begun.error).toBeNull();
        const { error } = await ask(client, sql, protocol);
        if (error !== null) refused.push(`${protocol}: ${sql} → ${error.code} ${error.message}`);
        await ask(client, 'ROLLBACK');
      }
    }
    client.close();
    expect(refused).toEqual([]);
  });

  test('there are enough of them', () => {
    expect(Object.values(DANGEROUS).flat().length).toBeGreaterThanOrEqual(80);
  });
});

describe('the role "dba", which may do anything', () => {
  let ground: Ground;

  beforeAll(async () => {
    ground = await groundFor('dba');
  });

  afterAll(() => ground.close());

  test(`CASCADE on ${CASCADES.length} kinds of objects is refused by the rule`, async () => {
    const before = await ground.sums();
    const wrong: string[] = [];
    for (const { sql } of CASCADES) wrong.push(...(await problems(ground, sql, ['cascade'])));
    expect(wrong).toEqual([]);
    expect(changes(before, await ground.sums())).toEqual([]);
  });
});
