/**
 * Functions and views that were made straight on the server after Holdfast has read the
 * catalogs: who is counted is counted with them, and nobody else notices anything.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { withClient } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import type { WireClient } from '../support/wire.js';
import { extended, impactOf, limitPolicy, say, simple, startImpact } from './ground.js';
import type { ImpactGround } from './ground.js';

/** Many of PostgreSQL's own, as reports have them. */
const REPORT = `
  SELECT count(*), max(length(v)), lower(min(v)), coalesce(sum(id), 0), string_agg(v, ',' ORDER BY id),
    date_trunc('day', now()), extract(year FROM now()), to_char(now(), 'YYYY'), random() >= 0,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY id), uuid('0b0d6d1c-0000-4000-8000-000000000000'),
    substring(min(v) FROM 1 FOR 1), trim(min(v)), position('a' IN min(v)), json_agg(v), array_agg(id),
    (SELECT count(*) FROM generate_series(1, 3)), (SELECT count(*) > 0 FROM pg_class),
    (SELECT count(*) > 0 FROM information_schema.tables), row_number() OVER ()
  FROM plain WHERE md5(v) <> '' AND v NOT SIMILAR TO 'x' AND now() AT TIME ZONE 'UTC' IS NOT NULL`;

let ground: ImpactGround;
let client: WireClient;
let made = 0;

beforeAll(async () => {
  ground = await startImpact('impact_unknown', limitPolicy('action: deny, statement: 5'));
  client = await ground.login();
  // A view may call anything, so that the catalogs are asked whatever else the role has for rules.
  expect(await say(client, simple('SELECT * FROM plain WHERE false'))).toContain('CommandComplete SELECT 0');
  expect(await reads()).toBe(1);
});

beforeEach(async () => {
  await ground.reset();
  await ground.outcomes();
});

afterAll(async () => {
  await ground.close();
});

const reads = (): Promise<number> =>
  metric(ground.holdfast, 'holdfast_catalog_reads_total', { result: 'read' });

/** A function that deletes rows, of a name that nothing else has. It takes how many. */
async function madeDirectly(): Promise<string> {
  made += 1;
  const name = `sweep_${made}`;
  await withClient(async (direct) => {
    await direct.query(`CREATE FUNCTION ${name}(n int) RETURNS int LANGUAGE sql AS
      'WITH gone AS (DELETE FROM plain WHERE id <= n RETURNING id) SELECT count(*)::int FROM gone'`);
  }, ground.database.name);
  return name;
}

const left = (): Promise<string> => ground.rows('SELECT count(*) FROM plain');
/** What was counted since this was last asked. What was not may have been recorded late of the test before. */
const counted = async () => {
  const outcomes = await ground.outcomes();
  return outcomes.filter((outcome) => outcome['impact'] !== null).map(impactOf);
};
const lastError = (): unknown => client.errors.at(-1)?.routine;

describe.each([
  ['the simple protocol', simple],
  ['the extended protocol', extended],
])('by %s a new function', (_, send) => {
  test('is counted, and refused above the limit', async () => {
    const name = await madeDirectly();
    expect(await say(client, send(`SELECT ${name}(6)`))).toContain('ErrorResponse 42501');
    expect(lastError()).toBe('holdfast/row-limit');
    expect(await left()).toBe('10');
    expect(await say(client, send(`SELECT ${name}(5)`))).toContain('CommandComplete SELECT 1');
    expect(await left()).toBe('5');
    expect(await counted()).toEqual([{ plain: '-6' }, { plain: '-5' }]);
  });

  test('is so in a transaction, where nothing can be read', async () => {
    await say(client, simple('BEGIN'));
    const before = await reads();
    const name = await madeDirectly();
    expect(await say(client, send(`SELECT ${name}(6)`))).toContain('ErrorResponse 42501');
    expect(lastError()).toBe('holdfast/row-limit');
    await say(client, simple('ROLLBACK'));
    expect(await left()).toBe('10');
    expect(await reads()).toBe(before);
  });

  test('is so behind a view that is new, too', async () => {
    const name = await madeDirectly();
    await withClient(async (direct) => {
      await direct.query(`CREATE VIEW view_${name} AS SELECT ${name}(6) AS n`);
      await direct.query(`GRANT SELECT ON view_${name} TO PUBLIC`);
    }, ground.database.name);
    expect(await say(client, send(`SELECT n FROM view_${name}`))).toContain('ErrorResponse 42501');
    expect(lastError()).toBe('holdfast/row-limit');
    expect(await left()).toBe('10');
  });
});

describe('a function that the transaction itself has changed', () => {
  /** One that no catalog calls volatile, and what makes it delete. */
  async function harmless(): Promise<readonly [name: string, change: string]> {
    made += 1;
    const name = `calm_${made}`;
    await say(
      client,
      simple(`CREATE FUNCTION ${name}(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n'`),
    );
    await ground.outcomes();
    return [
      name,
      `CREATE OR REPLACE FUNCTION ${name}(n int) RETURNS int LANGUAGE plpgsql AS
        'BEGIN EXECUTE ''DELETE FROM plain WHERE id <= $1'' USING n; RETURN n; END'`,
    ];
  }

  test.each([
    ['the simple protocol', simple],
    ['the extended protocol', extended],
  ])('is counted in its block, by %s', async (_, send) => {
    const [name, change] = await harmless();
    await say(client, send(`SELECT ${name}(1)`));
    await say(client, send('BEGIN'));
    await say(client, send(change));
    expect(await say(client, send(`SELECT ${name}(6)`))).toContain('ErrorResponse 42501');
    expect(lastError()).toBe('holdfast/row-limit');
    await say(client, send('ROLLBACK'));
    expect(await left()).toBe('10');
    // What the function does cannot be read, so that making it is counted, too.
    expect(await counted()).toEqual([{}, { plain: '-6' }]);
  });

  test('is counted in its string', async () => {
    const [name, change] = await harmless();
    expect(await say(client, simple(`${change}; SELECT ${name}(6)`))).toContain('ErrorResponse 42501');
    expect(lastError()).toBe('holdfast/row-limit');
    expect(await say(client, simple(`SELECT ${name}(6)`))).toContain('DataRow 6');
    expect(await left()).toBe('10');
  });

  test('is not, when it has not been changed', async () => {
    const [name] = await harmless();
    await say(client, simple('BEGIN'));
    await say(client, simple(`SELECT ${name}(1)`));
    await say(client, simple("UPDATE plain SET v = 'w' WHERE id = 1"));
    await say(client, simple('COMMIT'));
    expect(await counted()).toEqual([{ plain: '~1' }]);
  });
});

test('a new function is counted when a statement runs that was prepared with it', async () => {
  const name = await madeDirectly();
  await say(client, [`Parse "s" "SELECT ${name}(1)"`, 'Sync']);
  await say(client, ['Bind "" "s"', 'Execute "" 0', 'Sync']);
  expect(await left()).toBe('9');
  expect(await counted()).toEqual([{ plain: '-1' }]);
});

test('an ordinary SELECT with much of PostgreSQL’s own has nothing read, and is not counted', async () => {
  const before = await reads();
  for (const send of [simple, extended]) {
    expect(await say(client, send(REPORT))).toContain('CommandComplete SELECT 1');
  }
  expect(await reads()).toBe(before);
  // What is counted is recorded before it is answered, and all that was before it.
  await say(client, simple("UPDATE plain SET v = 'w' WHERE id = 1"));
  const impacts = (await ground.outcomes()).slice(-3).map((outcome) => outcome['impact'] !== null);
  expect(impacts).toEqual([false, false, true]);
});

test('whoever misspells functions in a loop has the catalogs read once in a while, and gets PostgreSQL’s answer', async () => {
  const before = await reads();
  const startedAt = performance.now();
  for (let n = 0; n < 100; n++) {
    const wrong = n % 2 === 0 ? 'lowr' : `lowr_${n}`;
    expect(await say(client, simple(`SELECT ${wrong}('A')`))).toContain('ErrorResponse 42883');
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const more = (await reads()) - before;
  expect(more).toBeLessThanOrEqual(1 + Math.ceil(seconds));
  expect(more).toBeLessThan(50);
});

test('a temporary table, which no reading finds, works as ever', async () => {
  await say(client, simple('CREATE TEMP TABLE mine (id int)'));
  await say(client, simple('INSERT INTO mine SELECT generate_series(1, 5000)'));
  const before = await reads();
  const startedAt = performance.now();
  for (let n = 0; n < 50; n++) {
    expect(await say(client, extended('SELECT count(*) FROM mine'))).toContain('DataRow 5000');
  }
  const more = (await reads()) - before;
  expect(more).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - startedAt) / 1000));
  expect(more).toBeLessThan(25);
  expect(await say(client, extended('SELECT id FROM mine'))).toContain('CommandComplete SELECT 5000');
  expect(await say(client, simple('COPY mine TO STDOUT'))).toContain('CommandComplete COPY 5000');
  expect(await say(client, simple('SELECT 1; SELECT count(*) FROM mine'))).toContain('DataRow 5000');
  const parts = ['Parse "" "SELECT id FROM mine"', 'Bind "" ""', 'Execute "" 100', 'Execute "" 0', 'Sync'];
  const rows = (await say(client, parts)).filter((line) => !line.startsWith('DataRow'));
  expect(rows).toEqual([
    'ParseComplete',
    'BindComplete',
    'PortalSuspended',
    'CommandComplete SELECT 4900',
    'ReadyForQuery I',
  ]);
  await say(client, simple('BEGIN; DECLARE c CURSOR FOR SELECT id FROM mine'));
  expect(await say(client, simple('FETCH 10 FROM c'))).toContain('CommandComplete FETCH 10');
  await say(client, simple('COMMIT'));
});
