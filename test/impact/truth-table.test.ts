/**
 * Every kind of statement × protocol × outside or inside a transaction block × under or
 * over the limit: what the client is told, what the data are afterwards, where the
 * transaction stands, what the audit log says that was done.
 *
 * Under the limit, a client is told exactly what the server tells without Holdfast.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { extended, impactOf, limitPolicy, say, simple, startImpact } from './ground.js';
import type { ImpactGround } from './ground.js';
import type { WireClient } from '../support/wire.js';

interface Kind {
  readonly name: string;
  /** Changes four rows at most, all tables together. */
  readonly under: string;
  readonly underImpact: Readonly<Record<string, string>>;
  /** Changes more. */
  readonly over: string;
  readonly overImpact: Readonly<Record<string, string>>;
  /** The version of PostgreSQL that has it. */
  readonly since?: number;
  /** The rows over the limit are the server's estimate. */
  readonly estimated?: true;
}

const KINDS: readonly Kind[] = [
  {
    name: 'INSERT',
    under: "INSERT INTO plain VALUES (11, 'x'), (12, 'y')",
    underImpact: { plain: '+2' },
    over: "INSERT INTO plain SELECT i, 'x' FROM generate_series(20, 30) i",
    overImpact: { plain: '+11' },
  },
  {
    name: 'INSERT … RETURNING',
    under: "INSERT INTO plain VALUES (11, 'x') RETURNING id",
    underImpact: { plain: '+1' },
    over: "INSERT INTO plain SELECT i, 'x' FROM generate_series(20, 30) i RETURNING id",
    overImpact: { plain: '+11' },
  },
  {
    name: 'INSERT … SELECT',
    under: 'INSERT INTO plain (id) SELECT id FROM source WHERE id < 103',
    underImpact: { plain: '+2' },
    over: 'INSERT INTO plain (id) SELECT id FROM source',
    overImpact: { plain: '+10' },
  },
  {
    name: 'INSERT … ON CONFLICT',
    under: "INSERT INTO plain VALUES (1, 'x'), (11, 'y') ON CONFLICT (id) DO UPDATE SET v = excluded.v",
    underImpact: { plain: '+1 ~1' },
    over: "INSERT INTO plain SELECT i, 'x' FROM generate_series(1, 12) i ON CONFLICT (id) DO UPDATE SET v = excluded.v",
    overImpact: { plain: '+2 ~10' },
  },
  {
    name: 'UPDATE',
    under: 'UPDATE plain SET v = id::text WHERE id < 4',
    underImpact: { plain: '~3' },
    over: 'UPDATE plain SET v = id::text WHERE id < 8',
    overImpact: { plain: '~7' },
  },
  {
    name: 'UPDATE that cascades',
    under: 'UPDATE account SET id = 101 WHERE id = 1',
    underImpact: { account: '~1', member: '~2', note: '~1' },
    over: 'UPDATE account SET id = id + 100 WHERE id < 3',
    overImpact: { account: '~2', member: '~4', note: '~2' },
  },
  {
    name: 'UPDATE with a trigger that inserts',
    under: 'UPDATE loud SET v = 1 WHERE id = 1',
    underImpact: { loud: '~1', seen: '+3' },
    over: 'UPDATE loud SET v = 1 WHERE id < 3',
    overImpact: { loud: '~2', seen: '+6' },
  },
  {
    name: 'DELETE',
    under: 'DELETE FROM plain WHERE id < 4',
    underImpact: { plain: '-3' },
    over: 'DELETE FROM plain WHERE id < 8',
    overImpact: { plain: '-7' },
  },
  {
    name: 'DELETE that cascades',
    under: 'DELETE FROM member WHERE id < 3',
    underImpact: { member: '-2', login: '-2' },
    over: 'DELETE FROM account WHERE id = 1',
    overImpact: { account: '-1', member: '-2', login: '-2', note: '~1' },
  },
  {
    name: 'MERGE',
    since: 15,
    under:
      "MERGE INTO plain USING (VALUES (1), (11)) AS s(id) ON plain.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm')",
    underImpact: { plain: '+1 -1' },
    over: "MERGE INTO plain USING generate_series(1, 12) AS s(id) ON plain.id = s.id WHEN MATCHED THEN UPDATE SET v = 'm' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm')",
    overImpact: { plain: '+2 ~10' },
  },
  {
    name: 'data-modifying CTE',
    under: 'WITH d AS (DELETE FROM plain WHERE id < 3 RETURNING id) SELECT count(*) FROM d',
    underImpact: { plain: '-2' },
    over: 'WITH d AS (DELETE FROM plain WHERE id < 9 RETURNING id) SELECT count(*) FROM d',
    overImpact: { plain: '-8' },
  },
  {
    name: 'function that deletes',
    under: 'SELECT wipe(11)',
    underImpact: {},
    over: 'SELECT wipe(9)',
    overImpact: { account: '-2', member: '-4', login: '-4', note: '~2' },
  },
  {
    name: 'partitions',
    under: 'UPDATE part SET id = id + 100 WHERE id < 3',
    underImpact: { part_low: '-2', part_high: '+2' },
    over: 'UPDATE part SET id = id + 100',
    overImpact: { part_low: '-5', part_high: '+5' },
  },
  {
    name: 'EXPLAIN ANALYZE',
    under:
      'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) DELETE FROM plain WHERE id = 1',
    underImpact: { plain: '-1' },
    over: 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) DELETE FROM plain WHERE id < 9',
    overImpact: { plain: '-8' },
  },
  {
    name: 'TRUNCATE',
    under: 'TRUNCATE deferred',
    underImpact: { deferred: '' },
    over: 'TRUNCATE plain',
    overImpact: { plain: '-10' },
    estimated: true,
  },
  {
    name: 'DO',
    under: "DO $$ BEGIN UPDATE plain SET v = 'd' WHERE id = 1; END $$",
    underImpact: { plain: '~1' },
    over: 'DO $$ BEGIN FOR i IN 1..9 LOOP DELETE FROM plain WHERE id = i; END LOOP; END $$',
    overImpact: { plain: '-9' },
  },
];

describe('the truth table of measured impact', () => {
  let ground: ImpactGround;
  let version: number;
  /** One session each for all of it: what is counted of a statement is its own, whatever came before. */
  let sessions: Readonly<Record<'through' | 'direct', WireClient>>;

  beforeAll(async () => {
    ground = await startImpact('impact_table', limitPolicy('action: deny, statement: 5'));
    // As a server has it that was in use for a while; the statistics of what has just been inserted may be under way.
    await ground.rows('ANALYZE');
    await begin();
    version = Math.trunc(Number(await ground.rows('SHOW server_version_num')) / 10_000);
  });

  afterAll(async () => {
    await ground.close();
  });

  async function begin(): Promise<void> {
    sessions = { through: await ground.login('through'), direct: await ground.login('direct') };
  }

  /** Makes the server's estimates those of the rows as they are. Before version 15 sessions report late what they have changed, at their end at the latest. */
  async function estimatesAsTheyAre(): Promise<void> {
    if (version < 15) {
      for (const client of Object.values(sessions)) client.close();
      const left = `SELECT count(*) FROM pg_stat_activity WHERE usename = '${ground.user.name}'`;
      while ((await ground.rows(left)) !== '0');
      await begin();
      await ground.reset();
    }
    await ground.rows('ANALYZE plain');
  }

  const PROTOCOLS = { simple, extended } as const;

  for (const kind of KINDS) {
    for (const [protocol, messages] of Object.entries(PROTOCOLS)) {
      for (const inBlock of [false, true]) {
        const where = inBlock ? 'in a block' : 'by itself';

        test(`${kind.name}, ${protocol}, ${where}, under the limit`, async ({ skip }) => {
          if (kind.since !== undefined && version < kind.since) skip(`needs PostgreSQL ${kind.since}`);
          const said = async (way: 'through' | 'direct') => {
            await ground.reset();
            const client = sessions[way];
            const lines = [];
            if (inBlock) lines.push(await say(client, simple('BEGIN')));
            lines.push(await say(client, messages(kind.under)));
            if (inBlock) lines.push(await say(client, simple('COMMIT')));
            return { lines, data: await ground.data() };
          };
          const direct = await said('direct');
          await ground.outcomes();
          expect(await said('through')).toEqual(direct);
          const outcome = (await ground.outcomes()).find(({ impact }) => impact !== null);
          expect(impactOf(outcome)).toEqual(kind.underImpact);
          expect(outcome).toMatchObject({ sqlstate: null });
        });

        test(`${kind.name}, ${protocol}, ${where}, over the limit`, async ({ skip }) => {
          if (kind.since !== undefined && version < kind.since) skip(`needs PostgreSQL ${kind.since}`);
          await ground.reset();
          if (kind.estimated === true) await estimatesAsTheyAre();
          const before = await ground.data();
          await ground.outcomes();
          const client = sessions.through;
          if (inBlock) await say(client, simple('BEGIN'));
          const lines = await say(client, messages(kind.over));
          expect(lines.at(-1)).toBe(inBlock ? 'ReadyForQuery E' : 'ReadyForQuery I');
          expect(lines.at(-2)).toBe('ErrorResponse 42501');
          expect(lines.filter((line) => line.startsWith('ErrorResponse'))).toHaveLength(1);
          expect(lines.filter((line) => line.startsWith('CommandComplete'))).toEqual([]);
          expect(client.errors.at(-1)).toMatchObject({ routine: 'holdfast/row-limit' });
          if (inBlock)
            expect(await say(client, simple('COMMIT'))).toEqual([
              'CommandComplete ROLLBACK',
              'ReadyForQuery I',
            ]);
          expect(await ground.data()).toBe(before);
          // The session goes on.
          expect(await say(client, messages('SELECT 1'))).toContain('CommandComplete SELECT 1');
          const outcome = (await ground.outcomes()).find(({ impact }) => impact !== null);
          expect(impactOf(outcome)).toEqual(kind.overImpact);
          expect(outcome).toMatchObject({
            sqlstate: '42501',
            matches: [{ rule: 'row-limit', action: 'deny' }],
          });
        });
      }
    }
  }
});
