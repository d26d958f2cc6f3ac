/**
 * Two processes that share their holds, as two stores of one schema: who hears what,
 * who wins, and what a lost connection leaves behind.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { OPEN_STATES } from '../../src/holds/hold.js';
import { HoldStoreUnavailable } from '../../src/holds/store.js';
import { FAULT_POINTS } from '../../src/holds-postgres/faults.js';
import type { FaultPoint } from '../../src/holds-postgres/faults.js';
import { DANA, KIM, LEE, request, sha256 } from '../holds/support.js';
import { startMiddleman } from '../support/network.js';
import type { Middleman } from '../support/network.js';
import { withClient } from '../support/postgres.js';
import { openStore, sharedGround } from './support.js';
import type { Opened, Opening } from './support.js';

const approve = { choice: 'approve', approver: DANA, reason: null } as const;
const ticket = { style: 'ticket' } as const;

const ground = sharedGround('holds_sharing', 'shared');
const open = (opening?: Opening, url?: string): Promise<Opened> => ground.open(opening, url);

const rows = (sql: string): Promise<unknown[]> =>
  withClient(async (client) => (await client.query<Record<string, unknown>>(sql)).rows, ground.database.name);

describe('two processes', () => {
  test('a hold of one is approved at the other; each change was made at one of them', async () => {
    const [a, b] = [await open(), await open()];
    const asked = request({ approvals: 2 });
    await a.store.request(asked);
    await b.told('h1 requested elsewhere');
    await b.store.vote('h1', approve);
    await a.told('h1 vote of dana elsewhere');
    await a.store.vote('h1', { ...approve, approver: KIM });
    await b.told('h1 approved elsewhere');
    expect(await a.store.release('h1', asked.fingerprint)).toMatchObject({ kind: 'changed' });
    await b.told('h1 released elsewhere');
    expect(a.heard).toEqual([
      'h1 requested here',
      'h1 vote of dana elsewhere',
      'h1 vote of kim here',
      'h1 approved here',
      'h1 released here',
    ]);
    expect(b.heard.filter((line) => line.endsWith(' here'))).toEqual(['h1 vote of dana here']);
    expect(await b.store.get('h1')).toEqual(await a.store.get('h1'));
  });

  test('votes, denials and releases at one moment: one of them wins, and all agree', async () => {
    const [a, b] = [await open(), await open()];
    for (let round = 0; round < 5; round++) {
      const id = `r${round.toString()}`;
      const asked = request({ id, approvals: 2 });
      await a.store.request(asked);
      const votes = await Promise.all(
        [DANA, KIM, LEE, DANA].map((approver, index) =>
          (index % 2 === 0 ? a : b).store.vote(id, { ...approve, approver }),
        ),
      );
      expect(votes.filter(({ kind }) => kind === 'changed')).toHaveLength(2);
      const releases = await Promise.all(
        [a, b, a, b].map(({ store }) => store.release(id, asked.fingerprint)),
      );
      expect(releases.filter(({ kind }) => kind === 'changed')).toHaveLength(1);
    }
    expect([...a.heard, ...b.heard].filter((line) => line.endsWith('released here'))).toHaveLength(5);
  });

  test('a ticket of one passes at the other, once, however many claim it', async () => {
    const [a, b] = [await open(), await open()];
    const asked = request({ subject: ticket });
    await a.store.request(asked);
    expect(await b.store.request({ ...asked, id: 'h2' })).toMatchObject({
      kind: 'existing',
      hold: { id: 'h1' },
    });
    await b.store.vote('h1', approve);
    const claims = await Promise.all(
      Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? a : b).store.claim(asked.fingerprint)),
    );
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
  });

  test('limits count in both together', async () => {
    const limits = { openPerUser: 3 };
    const [a, b] = [await open({ limits }), await open({ limits })];
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        (index % 2 === 0 ? a : b).store.request(request({ id: `h${index.toString()}` })),
      ),
    );
    expect(outcomes.filter(({ kind }) => kind === 'requested')).toHaveLength(3);
    expect(outcomes.filter(({ kind }) => kind === 'refused')).toHaveLength(5);
  });
});

describe('one-time codes', () => {
  const secret = sha256('a secret');

  test('taken at one are taken at the other', async () => {
    const [a, b] = [await open(), await open()];
    expect(await a.store.usedCodes.take(secret, 100)).toBe(true);
    expect(await b.store.usedCodes.take(secret, 100)).toBe(false);
    expect(await b.store.usedCodes.take(secret, 99)).toBe(false);
    expect(await b.store.usedCodes.take(secret, 101)).toBe(true);
    expect(await a.store.usedCodes.take(secret, 101)).toBe(false);
  });

  test('at one moment: one of them gets it', async () => {
    const [a, b] = [await open(), await open()];
    for (let step = 1; step <= 10; step++) {
      const taken = await Promise.all([a, b, b, a].map(({ store }) => store.usedCodes.take(secret, step)));
      expect(taken.filter(Boolean)).toHaveLength(1);
    }
  });

  test('are forgotten when none of them could be good any more, and not before', async () => {
    const a = await open();
    await a.store.usedCodes.take(secret, 100);
    await a.store.usedCodes.take(sha256('another'), 100);
    await rows(
      `UPDATE ${ground.schema}.used_code SET used_at = used_at - 86400001 WHERE secret_sha256 = '${secret}'`,
    );
    await expect
      .poll(() => rows(`SELECT secret_sha256 FROM ${ground.schema}.used_code`))
      .toEqual([{ secret_sha256: sha256('another') }]);
  });

  test.each(['before code', 'after code'] as const)(
    '%s the connection is lost: it does not count',
    async (lost) => {
      let armed = true;
      const a = await open({
        faults: (point: FaultPoint) => {
          if (!armed || point !== lost) return;
          armed = false;
          throw new Error('lost');
        },
      });
      await expect(a.store.usedCodes.take(secret, 100)).rejects.toThrow(HoldStoreUnavailable);
      // Where it is in the store already it is used up.
      expect(await a.store.usedCodes.take(secret, 100)).toBe(lost === 'before code');
      expect(await a.store.usedCodes.take(secret, 101)).toBe(true);
    },
  );

  test('without the store none counts', async () => {
    const middleman = await startMiddleman(ground.database);
    const a = await open({}, through(middleman));
    expect(await a.store.usedCodes.take(secret, 100)).toBe(true);
    await middleman.close();
    await expect(a.store.usedCodes.take(secret, 101)).rejects.toThrow(HoldStoreUnavailable);
  });

  test('a schema of the version before gets what it lacks, and keeps its holds', async () => {
    const a = await open();
    await a.store.request(request({ subject: ticket }));
    await a.store.close();
    await rows(`DROP TABLE ${ground.schema}.used_code`);
    await rows(`DELETE FROM ${ground.schema}.migration WHERE version = 3`);
    const b = await open();
    expect(await b.store.get('h1')).toMatchObject({ state: 'requested' });
    expect(await b.store.usedCodes.take(secret, 100)).toBe(true);
  });
});

describe('old rows', () => {
  test.each(['kept', 'not_kept', null] as const)('%s is what the others read', async (oldRows) => {
    const [a, b] = [await open(), await open()];
    await a.store.request(request({ subject: { oldRows } }));
    expect((await b.store.get('h1'))?.subject.oldRows).toBe(oldRows);
  });

  test('nothing is said of them in a hold of an earlier version', async () => {
    const a = await open();
    await a.store.request(request({ subject: { oldRows: 'kept' } }));
    await rows(`UPDATE ${ground.schema}.hold SET subject = (subject::jsonb - 'oldRows')::json`);
    const b = await open();
    expect((await b.store.get('h1'))?.subject).toMatchObject({ user: 'eng_sam', oldRows: null });
  });
});

describe('the schema', () => {
  test('is made once by processes that start at one moment', async () => {
    await Promise.all(Array.from({ length: 5 }, () => open()));
    expect(await rows(`SELECT version FROM ${ground.schema}.migration ORDER BY version`)).toEqual([
      { version: 1 },
      { version: 2 },
      { version: 3 },
    ]);
    expect(await rows(`SELECT count(*)::int FROM ${ground.schema}.process`)).toEqual([{ count: 5 }]);
  });

  test('of a later version is refused, at the start and while it runs', async () => {
    const a = await open();
    await rows(`INSERT INTO ${ground.schema}.migration (version) VALUES (99)`);
    await expect(openStore(ground.database.url, ground.schema)).rejects.toThrow(
      'the schema of the shared holds has version 99, and this Holdfast knows none above 3: run a newer Holdfast',
    );
    await expect.poll(() => a.store.problem).toContain('version 99');
    await rows(`DELETE FROM ${ground.schema}.migration WHERE version = 99`);
    await expect.poll(() => a.store.problem).toBeNull();
  });

  test('is made by a user that has no more than the README gives it', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const snippet = /```sql\n(CREATE ROLE holdfast_store[^`]+)```/.exec(readme)?.[1] ?? '';
    const name = `${ground.database.name}_own`;
    const statements = snippet
      .replaceAll('holdfast_store', name)
      .replace(/DATABASE holdfast\b/g, `DATABASE ${name}`)
      .split(';')
      .filter((sql) => sql.trim() !== '');
    expect(statements).toHaveLength(3);
    for (const sql of statements) await withClient((client) => client.query(sql));
    const url = new URL(ground.database.url);
    url.pathname = `/${name}`;
    url.username = name;
    url.password = 'change me';
    const { store } = await openStore(url.href, 'holdfast');
    expect(await store.request(request())).toMatchObject({ kind: 'requested' });
    await store.close();
    await withClient(async (client) => {
      await client.query(`DROP DATABASE ${name}`);
      await client.query(`DROP ROLE ${name}`);
    });
  });

  test('that cannot be reached is said without the password', async () => {
    const url = new URL(ground.database.url);
    url.username = 'nobody';
    url.password = 's3cret';
    const failed = await openStore(url.href, ground.schema).catch((error: unknown) => String(error));
    expect(failed).toContain('password authentication failed');
    expect(failed).not.toContain('s3cret');
  });
});

describe('the connection is lost', () => {
  /** What a life consists of, with the state that the store has after each step. */
  const LIFE = ['request', 'vote', 'release'] as const;

  test.each(FAULT_POINTS)('%s: told once where it was made, and released once at most', async (lost) => {
    const [when, kind = ''] = lost.split(' ');
    let armed = true;
    const a = await open({
      pace: { graceMs: 10_000 },
      faults: (point: FaultPoint) => {
        if (!armed || point !== lost) return;
        armed = false;
        throw new Error('lost');
      },
    });
    const asked = request({ timeoutMs: kind === 'expire' ? 150 : 60_000 });
    const steps = {
      request: () => a.store.request(asked),
      vote: () => a.store.vote('h1', approve),
      release: () => a.store.release('h1', asked.fingerprint),
      withdraw: () => a.store.withdraw('h1', 'client_gone'),
    };
    const failed = async (step: () => Promise<unknown>): Promise<void> => {
      const error = await step().then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(HoldStoreUnavailable);
      expect((error as HoldStoreUnavailable).uncertain).toBe(when === 'after');
    };
    for (const step of LIFE) {
      if (step === kind) {
        await failed(steps[step]);
        break;
      }
      await steps[step]();
      if (kind === 'expire' || (kind === 'withdraw' && step === 'vote')) break;
    }
    if (kind === 'withdraw') await failed(steps.withdraw);
    const end = {
      request: 'withdrawn',
      vote: 'approved',
      release: 'released',
      withdraw: 'withdrawn',
      expire: 'expired',
    }[kind];
    const made = when === 'after' || kind === 'withdraw' || kind === 'expire';
    if (made) await a.told(`h1 ${end ?? ''} here`);
    const hold = await a.store.get('h1');
    if (made) expect(hold?.state).toBe(end);
    else expect(hold?.state).toBe({ request: undefined, vote: 'requested', release: 'approved' }[kind]);
    expect(new Set(a.heard).size).toBe(a.heard.length);
    expect(a.heard.every((line) => line.endsWith(' here'))).toBe(true);
    // What was let go once is not let go again.
    if (lost === 'after release') expect(await steps.release()).toMatchObject({ kind: 'rejected' });
    // The store is usable.
    expect(await a.store.request(request({ id: 'h2' }))).toMatchObject({ kind: 'requested' });
  });

  test('all at once, by the server: what was missed is made up for', async () => {
    const [a, b] = [await open({ pace: { pollMs: 60_000 } }), await open()];
    await a.store.request(request());
    await b.told('h1 requested elsewhere');
    await rows(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${ground.database.name}' AND application_name = 'holdfast'`,
    );
    expect(await b.store.vote('h1', approve)).toMatchObject({ kind: 'changed' });
    await a.told('h1 approved elsewhere');
    expect(a.store.problem).toBeNull();
    expect(a.heard.filter((line) => line.includes('vote'))).toEqual(['h1 vote of dana elsewhere']);
  });

  test('a lost answer to COMMIT, on the wire: not released here, and released in the store once', async () => {
    const middleman = await startMiddleman(ground.database);
    let armed = false;
    middleman.onPassage = (passage) => {
      passage.near.prependListener('data', (bytes: Buffer) => {
        if (!armed || !bytes.includes('COMMIT')) return;
        armed = false;
        passage.far.removeAllListeners('data');
        passage.far.once('data', () => {
          passage.cut();
        });
      });
    };
    const a = await open({}, through(middleman));
    const asked = request();
    await a.store.request(asked);
    await a.store.vote('h1', approve);
    armed = true;
    await expect(a.store.release('h1', asked.fingerprint)).rejects.toMatchObject({ uncertain: true });
    await a.told('h1 released here');
    expect(a.heard.filter((line) => line.includes('released'))).toEqual(['h1 released here']);
    await a.store.close();
    await middleman.close();
  });

  test('for good: whoever waits is told at the deadline; the others withdraw it; a ticket lives on', async () => {
    const middleman = await startMiddleman(ground.database);
    const a = await open({}, through(middleman));
    const b = await open();
    const asked = request({ id: 'ticket', subject: { ...ticket, sql: 'DROP TABLE t' } });
    await a.store.request(asked);
    await a.store.request(request({ timeoutMs: 700 }));
    const told = new Promise<unknown>((resolve) => {
      a.store.watch('h1', {
        changed: (hold) => {
          if (hold.state !== 'requested') resolve([hold.state, hold.withdrawal]);
        },
      });
    });
    await middleman.close();
    await expect(a.store.request(request({ id: 'h2' }))).rejects.toThrow(HoldStoreUnavailable);
    expect(await told).toEqual(['withdrawn', 'store_gone']);
    expect(a.store.problem).toContain('ECONNREFUSED');
    expect(a.problems.filter((problem) => problem !== null)).toHaveLength(1);
    await b.told('h1 withdrawn here');
    expect(await b.store.get('h1')).toMatchObject({ withdrawal: 'holdfast_gone' });
    await b.store.vote('ticket', approve);
    expect(await b.store.claim(asked.fingerprint)).toMatchObject({ id: 'ticket', state: 'released' });
    expect(await b.store.list({ states: OPEN_STATES, limit: 10 })).toEqual({ holds: [], more: false });
  });
});

function through({ host, port }: Middleman): string {
  const url = new URL(ground.database.url);
  url.hostname = host;
  url.port = port.toString();
  return url.href;
}
