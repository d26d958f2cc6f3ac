/**
 * The audit log cannot be written: nothing that needs a record reaches the server,
 * clients get 58030 where their answer was due, and as soon as there is room again
 * everything passes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { nodeFiles } from '../../src/audit/files.js';
import { verifyAuditFiles } from '../../src/audit/verify.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { startMiddleman } from '../support/network.js';
import type { Middleman } from '../support/network.js';
import { createDatabase, withClient } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { onlyError, rawConnection } from '../support/raw.js';
import { metric } from '../support/scrape.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { startup, wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

const POLICY = 'version: 1\nroles: [{ name: writers, access: write }]\n';

let database: TestDatabase;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('audit_failures', 'CREATE TABLE t (v text)');
  user = await createUser('recorded', database.name);
});

afterAll(async () => {
  await database.drop();
  await user.drop();
});

const query = (sql: string): Buffer => serialize.query(sql);
const sync = (): Buffer => serialize.sync();
const insert = (word: string): string => `INSERT INTO t VALUES ('${word}')`;
/** Parse, Bind and Execute, without Sync. */
const run = (sql: string): Buffer =>
  Buffer.concat([serialize.parse({ text: sql }), serialize.bind(), serialize.execute()]);

const LOST = ['ErrorResponse 58030', 'ReadyForQuery I'];

async function words(): Promise<string> {
  const { rows } = await withClient(
    (direct) => direct.query<{ v: string }>('SELECT v FROM t ORDER BY v'),
    database.name,
  );
  return rows.map(({ v }) => v).join(',');
}

/** No room on the disk, until the returned function is called. */
function fillDisk(): () => void {
  const spy = vi.spyOn(nodeFiles, 'write').mockImplementation(() => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  });
  return () => {
    spy.mockRestore();
  };
}

describe.each(['write', 'fsync'] as const)('durability %s', (durability) => {
  let middleman: Middleman;
  let holdfast: TestHoldfast;
  let client: WireClient;
  let free: () => void;

  beforeEach(async () => {
    await withClient((direct) => direct.query('TRUNCATE t'), database.name);
    middleman = await startMiddleman(database);
    holdfast = await startTestHoldfast(middleman, POLICY, { audit: { durability } });
    client = await login();
    free = () => undefined;
  });

  afterEach(async () => {
    free();
    client.close();
    await holdfast.close();
    await middleman.close();
  });

  function login(): Promise<WireClient> {
    return wireLogin({ port: holdfast.port, user: user.name, database: database.name });
  }

  async function send(bytes: Buffer, ready = 1): Promise<readonly string[]> {
    await client.send(bytes);
    return client.untilReady(ready);
  }

  function forwarded(): string {
    return middleman.passages[0]?.sent().toString('latin1') ?? '';
  }

  test('a statement in either protocol gets 58030 and never reaches the server; with room again it passes', async () => {
    free = fillDisk();
    expect(await send(query(insert('simple')))).toEqual(LOST);
    expect(client.errors[0]).toMatchObject({
      severity: 'ERROR',
      message: 'holdfast: the audit log cannot be written, so nothing was run',
      hint: 'Whoever runs Holdfast finds the reason in its log; statements pass again as soon as records can be written.',
      routine: 'holdfast/audit',
    });
    expect(await send(Buffer.concat([run(insert('extended')), sync()]))).toEqual(LOST);
    expect(forwarded()).not.toMatch(/simple|extended/);
    expect(await metric(holdfast, 'holdfast_audit_failures_total')).toBeGreaterThanOrEqual(2);
    const unready = await fetch(`http://127.0.0.1:${String(holdfast.adminPort)}/readyz`);
    expect(unready.status).toBe(503);
    expect(await unready.text()).toContain('the last records could not be written');
    free();
    expect(await send(query(insert('later')))).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery I']);
    expect(await send(Buffer.concat([run(insert('last')), sync()]))).toContain('CommandComplete INSERT 0 1');
    expect(await words()).toBe('last,later');
    expect((await fetch(`http://127.0.0.1:${String(holdfast.adminPort)}/readyz`)).status).toBe(200);
    const records = await holdfast.records();
    expect(records.find(({ kind, reason }) => kind === 'start' && reason === 'write_failed')).toBeDefined();
    expect(records.filter(({ kind }) => kind === 'decision').map((record) => record['sql'])).toEqual([
      insert('later'),
      insert('last'),
      insert('last'),
    ]);
    expect(await verifyAuditFiles([holdfast.auditFile])).toMatchObject({ ok: true, problems: [] });
  });

  test('a pipeline with several Syncs: one error and one ReadyForQuery each, then all is as before', async () => {
    free = fillDisk();
    const bytes = Buffer.concat([
      run(insert('a')),
      run(insert('b')),
      sync(),
      run(insert('c')),
      sync(),
      sync(),
      query(insert('d')),
      run(insert('e')),
      sync(),
    ]);
    expect(await send(bytes, 5)).toEqual([...LOST, ...LOST, 'ReadyForQuery I', ...LOST, ...LOST]);
    expect(forwarded()).not.toContain('INSERT');
    free();
    expect(await send(bytes, 5)).toEqual(
      [
        ['ParseComplete', 'BindComplete', 'CommandComplete INSERT 0 1'],
        ['ParseComplete', 'BindComplete', 'CommandComplete INSERT 0 1', 'ReadyForQuery I'],
        ['ParseComplete', 'BindComplete', 'CommandComplete INSERT 0 1', 'ReadyForQuery I'],
        ['ReadyForQuery I'],
        ['CommandComplete INSERT 0 1', 'ReadyForQuery I'],
        ['ParseComplete', 'BindComplete', 'CommandComplete INSERT 0 1', 'ReadyForQuery I'],
      ].flat(),
    );
    expect(await words()).toBe('a,b,c,d,e');
  });

  test('what a pipeline did before its record was lost is rolled back', async () => {
    await client.send(Buffer.concat([run(insert('before')), serialize.flush()]));
    await client.until('CommandComplete');
    free = fillDisk();
    expect(await send(Buffer.concat([run(insert('lost')), sync()]))).toEqual(LOST);
    free();
    expect(await words()).toBe('');
    expect(await send(query('SELECT 1'))).toContain('DataRow 1');
  });

  test('in a transaction it is the server’s transaction that fails', async () => {
    expect(await send(query('BEGIN'))).toEqual(['CommandComplete BEGIN', 'ReadyForQuery T']);
    expect(await send(query(insert('in')))).toContain('ReadyForQuery T');
    free = fillDisk();
    expect(await send(query(insert('lost')))).toEqual(['ErrorResponse 58030', 'ReadyForQuery E']);
    // A ROLLBACK is recorded like any statement.
    expect(await send(query('ROLLBACK'))).toEqual(['ErrorResponse 58030', 'ReadyForQuery E']);
    free();
    expect(await send(query('SELECT 1'))).toEqual(['ErrorResponse 25P02', 'ReadyForQuery E']);
    expect(await send(query('COMMIT'))).toEqual(['CommandComplete ROLLBACK', 'ReadyForQuery I']);
    expect(await words()).toBe('');
  });

  test('statements sent eagerly, COPY data among them: each has its answer, and no data is taken for a message', async () => {
    free = fillDisk();
    const bytes = Buffer.concat([
      query(insert('one')),
      query('COPY t FROM STDIN'),
      serialize.copyData(Buffer.from('copied\n')),
      serialize.copyDone(),
      query(insert('two')),
    ]);
    expect(await send(bytes, 3)).toEqual([...LOST, ...LOST, ...LOST]);
    free();
    expect(await send(bytes, 3)).toContain('CommandComplete COPY 1');
    expect(await words()).toBe('copied,one,two');
  });

  test('a prepared statement from before is refused as well, and works again afterwards', async () => {
    await send(Buffer.concat([serialize.parse({ name: 'p', text: 'INSERT INTO t VALUES ($1)' }), sync()]));
    const bind = (word: string): Buffer =>
      Buffer.concat([serialize.bind({ statement: 'p', values: [word] }), serialize.execute(), sync()]);
    free = fillDisk();
    expect(await send(bind('lost'))).toEqual(LOST);
    free();
    expect(await send(bind('kept'))).toEqual([
      'BindComplete',
      'CommandComplete INSERT 0 1',
      'ReadyForQuery I',
    ]);
    expect(await words()).toBe('kept');
  });

  test('what the policy refuses is refused with its own reason all the same', async () => {
    free = fillDisk();
    expect(await send(query('DELETE FROM t'))).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
  });

  test('nobody can log in, and what is under way goes on', async () => {
    await client.send(query("SELECT 'running' FROM pg_sleep(0.2)"));
    await expect.poll(forwarded).toContain('running');
    free = fillDisk();
    const late = await rawConnection(holdfast.port);
    late.write(startup(0, { user: user.name, database: database.name }));
    expect(onlyError(await late.rest())).toMatchObject({ S: 'FATAL', C: '58030' });
    expect(await client.untilReady()).toContain('DataRow running');
    expect(middleman.passages.length).toBe(1);
    await expect.poll(() => metric(holdfast, 'holdfast_sessions')).toBe(1);
    free();
    const next = await login();
    next.close();
  });
});

test('durability fsync: a record that cannot be flushed is as good as not written', async () => {
  const holdfast = await startTestHoldfast(database, POLICY, { audit: { durability: 'fsync' } });
  const client = await wireLogin({ port: holdfast.port, user: user.name, database: database.name });
  await withClient((direct) => direct.query('TRUNCATE t'), database.name);
  const spy = vi.spyOn(nodeFiles, 'sync').mockRejectedValue(new Error('EIO: i/o error, fdatasync'));
  try {
    await client.send(query(insert('lost')));
    expect(await client.untilReady()).toEqual(LOST);
  } finally {
    spy.mockRestore();
  }
  await client.send(query(insert('kept')));
  expect(await client.untilReady()).toContain('CommandComplete INSERT 0 1');
  expect(await words()).toBe('kept');
  client.close();
  expect(await verifyAuditFiles([holdfast.auditFile])).toMatchObject({ ok: true, problems: [] });
  await holdfast.close();
});

/** Mounts a small file system of its own; null where that is not permitted. */
function smallFileSystem(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null;
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]);
  if (mounted.status === 0) return directory;
  rmSync(directory, { recursive: true });
  return null;
}

test('a file system that is really full, and then is not', async (context) => {
  const directory = smallFileSystem();
  if (directory === null) {
    context.skip('mounting a file system takes root');
    return;
  }
  try {
    const path = join(directory, 'audit.jsonl');
    const holdfast = await startTestHoldfast(database, POLICY, { audit: { path } });
    const client = await wireLogin({ port: holdfast.port, user: user.name, database: database.name });
    await withClient((direct) => direct.query('TRUNCATE t'), database.name);
    const ballast = join(directory, 'ballast');
    expect(() => {
      writeFileSync(ballast, Buffer.alloc(1_000_000));
    }).toThrow('ENOSPC');
    const answers: string[] = [];
    // The file's last page still has room for a few records.
    for (let count = 0; count < 40; count++) {
      await client.send(query(`SELECT '${'x'.repeat(500)}'`));
      answers.push((await client.untilReady()).includes('ErrorResponse 58030') ? 'lost' : 'passed');
    }
    expect(answers.at(-1)).toBe('lost');
    await client.send(query(insert(`lost${'x'.repeat(500)}`)));
    expect(await client.untilReady()).toEqual(LOST);
    rmSync(ballast);
    await client.send(query(insert('kept')));
    expect(await client.untilReady()).toContain('CommandComplete INSERT 0 1');
    expect(await words()).toBe('kept');
    client.close();
    await holdfast.close();
    expect(await verifyAuditFiles([path])).toMatchObject({ ok: true, problems: [] });
  } finally {
    execFileSync('umount', [directory]);
    rmSync(directory, { recursive: true });
  }
});
