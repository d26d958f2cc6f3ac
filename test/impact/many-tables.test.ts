/** A database with thousands of tables, names that SQL quotes, and a small limit for messages: what is counted is right all the same. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { withClient } from '../support/postgres.js';
import { extended, impactOf, limitPolicy, say, simple, startImpact } from './ground.js';
import type { ImpactGround } from './ground.js';

const TABLES = 5000;
const PARTITIONS = 800;
/** Of one list of tables that is answered: far more than limits.message below. */
const LONG = 64 * 1024;

/** One transaction may not lock as many tables as are made. */
const EACH = 1000;
const MAKE = Array.from(
  { length: TABLES / EACH },
  (_, each) => `DO $$ BEGIN
    FOR i IN ${each * EACH + 1}..${(each + 1) * EACH} LOOP
      EXECUTE format('CREATE TABLE "Many ""tables"""."t %s" (id int)', i);
    END LOOP; END $$`,
);

describe('with thousands of tables', () => {
  let ground: ImpactGround;
  /** Outcomes of what was counted: others may be written late. */
  const counted = async () => (await ground.outcomes()).filter(({ impact }) => impact !== null);

  beforeAll(async () => {
    ground = await startImpact('impact_many', limitPolicy('action: deny, statement: 800'), {
      limits: { message: LONG, statement: LONG },
    });
    await withClient(async (client) => {
      await client.query('CREATE SCHEMA "Many ""tables"""');
      for (const sql of MAKE) await client.query(sql);
      await client.query(`
        CREATE TABLE sliced (id int NOT NULL, v int NOT NULL DEFAULT 0) PARTITION BY LIST (id);
        DO $$ BEGIN FOR i IN 1..${PARTITIONS} LOOP
          EXECUTE format('CREATE TABLE sliced_%s PARTITION OF sliced FOR VALUES IN (%s)', i, i);
        END LOOP; END $$`);
      await client.query(`GRANT ALL ON SCHEMA "Many ""tables""" TO "${ground.user.name}";
        GRANT ALL ON sliced TO "${ground.user.name}"`);
      await client.query(`
        DO $$ BEGIN FOR i IN 1..3 LOOP
          EXECUTE format('ALTER TABLE "Many ""tables"""."t %s" OWNER TO "${ground.user.name}"', i);
        END LOOP; END $$`);
      await client.query(`INSERT INTO "Many ""tables"""."t 1" SELECT generate_series(1, 20)`);
      await client.query(`INSERT INTO "Many ""tables"""."t 2" SELECT generate_series(1, 900)`);
      await client.query(`INSERT INTO sliced SELECT generate_series(1, ${PARTITIONS})`);
    }, ground.database.name);
    // By another session, which has no inserts of its own to report on top.
    await ground.rows('ANALYZE "Many ""tables"""."t 1", "Many ""tables"""."t 2"');
  }, 180_000);

  beforeEach(async () => {
    await ground.outcomes();
  });

  afterAll(async () => {
    await ground.close();
  });

  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    test(`${protocol}: the one table that is written to is found, under its name`, async () => {
      const client = await ground.login();
      const update = messages('UPDATE "Many ""tables"""."t 1" SET id = id WHERE id < 4');
      expect(await say(client, update)).toContain('CommandComplete UPDATE 3');
      expect(await say(client, messages('DELETE FROM "Many ""tables"""."t 2"'))).toContain(
        'ErrorResponse 42501',
      );
      expect(client.errors.at(-1)?.detail).toContain('"Many "tables".t 2": 900 deleted (all of about 900)');
      client.close();
      const outcomes = await counted();
      expect(outcomes.map((outcome) => impactOf(outcome))).toEqual([{ 't 1': '~3' }, { 't 2': '-900' }]);
      expect(outcomes[0]?.['impact']).toMatchObject([{ schema: 'Many "tables"' }]);
    });

    test(`${protocol}: hundreds of partitions are each counted`, async () => {
      const client = await ground.login();
      expect(await say(client, messages('UPDATE sliced SET v = v + 1'))).toContain(
        `CommandComplete UPDATE ${PARTITIONS}`,
      );
      client.close();
      const [outcome] = await counted();
      const impact = impactOf(outcome);
      expect(Object.keys(impact)).toHaveLength(PARTITIONS);
      expect(new Set(Object.values(impact))).toEqual(new Set(['~1']));
      expect(JSON.stringify(outcome?.['impact']).length).toBeGreaterThan(LONG / 2);
    });

    test(`${protocol}: a table that is emptied, and one that is dropped, among all of them`, async () => {
      const client = await ground.login();
      await say(client, simple('BEGIN'));
      expect(await say(client, messages('TRUNCATE "Many ""tables"""."t 1"'))).toContain(
        'CommandComplete TRUNCATE TABLE',
      );
      expect(await say(client, messages('DROP TABLE "Many ""tables"""."t 2"'))).toContain(
        'ErrorResponse 42501',
      );
      expect(client.errors.at(-1)?.message).toContain('900 rows');
      await say(client, simple('ROLLBACK'));
      client.close();
      const outcomes = await counted();
      expect(outcomes.map((outcome) => impactOf(outcome))).toEqual([{ 't 1': '-20' }, { 't 2': '-900' }]);
    });
  }
});
