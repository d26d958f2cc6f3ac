/** Reloading the policy: what counts from when on, what a broken file does, and by which ways a reload comes about. */
import { mkdir, readlink, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serialize } from 'pg-protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestHoldfast } from '../support/holdfast.js';
import type { AuditRecord, TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { metric } from '../support/scrape.js';
import { startServing } from '../support/serve.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';

const WRITE = 'version: 1\nroles: [{ name: people, access: write }]\n';
const READ = 'version: 1\nroles: [{ name: people, access: read }]\n';
const BROKEN = 'version: 1\nroles:\n  - name: people\n    acess: read\n';

let database: TestDatabase;
let user: TestUser;
let holdfast: TestHoldfast;

beforeAll(async () => {
  database = await createDatabase('reload', 'CREATE TABLE t (id int); INSERT INTO t VALUES (1)');
  user = await createUser('reloaded', database.name);
});

afterAll(async () => {
  await database.drop();
  await user.drop();
});

beforeEach(async () => {
  holdfast = await startTestHoldfast(database, WRITE);
});

afterEach(async () => {
  await holdfast.close();
});

const query = (sql: string): Buffer => serialize.query(sql);
const UPDATE = 'UPDATE t SET id = id WHERE id = 1';
const DONE = ['CommandComplete UPDATE 1', 'ReadyForQuery I'];
const REFUSED = ['ErrorResponse 42501', 'ReadyForQuery I'];

function login(port = holdfast.port): Promise<WireClient> {
  return wireLogin({ port, user: user.name, database: database.name });
}

async function send(client: WireClient, ...parts: readonly Buffer[]): Promise<readonly string[]> {
  await client.send(Buffer.concat([...parts]));
  return client.untilReady();
}

function reloads(result: string): Promise<number> {
  return metric(holdfast, 'holdfast_policy_reloads_total', { result });
}

async function policyRecords(): Promise<readonly AuditRecord[]> {
  return (await holdfast.records()).filter(({ kind }) => kind === 'policy');
}

describe('a good policy', () => {
  test('counts for the next statement of sessions that are open, in both directions', async () => {
    const client = await login();
    expect(await send(client, query(UPDATE))).toEqual(DONE);
    await holdfast.setPolicy(READ);
    expect(await send(client, query(UPDATE))).toEqual(REFUSED);
    expect(client.errors[0]?.message).toContain('role "people" has read');
    await holdfast.setPolicy(WRITE);
    expect(await send(client, query(UPDATE))).toEqual(DONE);
    client.close();
  });

  test('is counted, shown and recorded; each decision carries the policy that made it', async () => {
    const client = await login();
    const before = holdfast.policies.current.policy.sha256;
    await send(client, query(UPDATE));
    await holdfast.setPolicy(READ);
    const after = holdfast.policies.current.policy.sha256;
    expect(after).not.toBe(before);
    await send(client, query(UPDATE));
    client.close();
    expect(await reloads('success')).toBe(1);
    expect(await metric(holdfast, 'holdfast_policy_info', { sha256: after })).toBe(1);
    expect(await metric(holdfast, 'holdfast_policy_info', { sha256: before })).toBe(0);
    await expect.poll(policyRecords).toMatchObject([
      { result: 'loaded', sha256: before, previous_sha256: null, file: holdfast.policyFile, problems: [] },
      { result: 'reloaded', sha256: after, previous_sha256: before, problems: [] },
    ]);
    const decisions = (await holdfast.records()).filter(({ kind }) => kind === 'decision');
    expect(decisions).toMatchObject([
      { policy: before, verdict: 'allow' },
      { policy: after, verdict: 'deny' },
    ]);
  });

  test('counts for statements that were prepared before: at Bind', async () => {
    const client = await login();
    await send(client, serialize.parse({ name: 'p', text: UPDATE }), serialize.sync());
    const run = [serialize.bind({ statement: 'p' }), serialize.execute(), serialize.sync()];
    expect(await send(client, ...run)).toEqual(['BindComplete', ...DONE]);
    await holdfast.setPolicy(READ);
    expect(await send(client, ...run)).toEqual(REFUSED);
    await holdfast.setPolicy(WRITE);
    expect(await send(client, ...run)).toEqual(['BindComplete', ...DONE]);
    client.close();
  });

  test('… and at Execute, for portals that were bound before', async () => {
    const client = await login();
    await client.send(
      Buffer.concat([serialize.parse({ text: UPDATE }), serialize.bind({ portal: 'c' }), serialize.flush()]),
    );
    await client.until('BindComplete');
    await holdfast.setPolicy(READ);
    expect(await send(client, serialize.execute({ portal: 'c' }), serialize.sync())).toEqual(REFUSED);
    client.close();
  });

  test('… and for PREPARE and EXECUTE', async () => {
    const client = await login();
    expect(await send(client, query(`PREPARE p AS ${UPDATE}`))).toContain('CommandComplete PREPARE');
    expect(await send(client, query('EXECUTE p'))).toEqual(DONE);
    await holdfast.setPolicy(READ);
    expect(await send(client, query('EXECUTE p'))).toEqual(REFUSED);
    client.close();
  });

  test('… and for an EXECUTE of an EXECUTE', async () => {
    const client = await login();
    await send(client, query(`PREPARE inner_one AS ${UPDATE}`));
    await send(client, serialize.parse({ name: 'outer_one', text: 'EXECUTE inner_one' }), serialize.sync());
    expect(await send(client, query('EXECUTE outer_one'))).toEqual(DONE);
    await holdfast.setPolicy(READ);
    expect(await send(client, query('EXECUTE outer_one'))).toEqual(REFUSED);
    expect(client.errors[0]?.routine).toBe('holdfast/access');
    client.close();
  });

  test('… and for a cursor that was declared before', async () => {
    const client = await login();
    await send(client, query('BEGIN; DECLARE c CURSOR FOR SELECT id FROM t FOR UPDATE'));
    expect(await send(client, query('FETCH c'))).toContain('DataRow 1');
    await holdfast.setPolicy(READ);
    expect(await send(client, query('FETCH c'))).toEqual(['ErrorResponse 42501', 'ReadyForQuery E']);
    client.close();
  });

  test('that leaves a session without a role stops its statements, and lets nobody in', async () => {
    const client = await login();
    await holdfast.setPolicy(
      'version: 1\nroles: [{ name: others, match: { users: [nobody] }, access: admin }]\n',
    );
    expect(await send(client, query('SELECT 1'))).toEqual(REFUSED);
    await expect(login()).rejects.toThrow('ErrorResponse 42501');
    client.close();
  });

  test('that is the same as before is none', async () => {
    await holdfast.setPolicy(WRITE);
    expect(await reloads('success')).toBe(0);
    expect(await reloads('unchanged')).toBeGreaterThanOrEqual(1);
    await expect.poll(async () => (await policyRecords()).length).toBe(1);
  });

  test('under constant reloading every statement is judged by one policy or the other, whole', async () => {
    const client = await login();
    const storm = { over: false };
    const reloading = (async () => {
      for (let turn = 0; !storm.over; turn++) await holdfast.setPolicy(turn % 2 === 0 ? READ : WRITE);
    })();
    for (let count = 0; count < 200; count++) {
      const lines = await send(
        client,
        serialize.parse({ text: UPDATE }),
        serialize.bind(),
        serialize.execute(),
        serialize.sync(),
      );
      expect([
        REFUSED.join(),
        ['ParseComplete', 'BindComplete', ...DONE].join(),
        ['ParseComplete', ...REFUSED].join(),
        ['ParseComplete', 'BindComplete', ...REFUSED].join(),
      ]).toContain(lines.join());
    }
    storm.over = true;
    await reloading;
    client.close();
  });
});

describe('a broken policy', () => {
  test('changes nothing; it is counted and recorded with file, line and column', async () => {
    const client = await login();
    const before = holdfast.policies.current.policy.sha256;
    await holdfast.setPolicy(BROKEN);
    expect(holdfast.policies.current.policy.sha256).toBe(before);
    expect(await send(client, query(UPDATE))).toEqual(DONE);
    client.close();
    expect(await reloads('failure')).toBeGreaterThanOrEqual(1);
    expect(await metric(holdfast, 'holdfast_policy_info', { sha256: before })).toBe(1);
    await expect
      .poll(async () => (await policyRecords()).at(-1))
      .toMatchObject({ result: 'failed', sha256: before });
    const problems = (await policyRecords()).at(-1)?.['problems'] as readonly string[];
    expect(problems.length).toBe(1);
    expect(problems[0]).toMatch(/policy\.yaml:4:5: .*acess/);
    // And a good one is taken again.
    await holdfast.setPolicy(READ);
    expect(await reloads('success')).toBe(1);
  });

  test.each<[string, () => Promise<void>]>([
    ['that is empty', () => writeFile(holdfast.policyFile, '')],
    ['that is no YAML', () => writeFile(holdfast.policyFile, 'roles: [')],
    ['that is missing', () => unlink(holdfast.policyFile)],
    ['that is a directory', () => unlink(holdfast.policyFile).then(() => mkdir(holdfast.policyFile))],
  ])('%s: the last good one stays', async (_name, change) => {
    await change();
    await holdfast.reload();
    expect(await reloads('failure')).toBeGreaterThanOrEqual(1);
    const client = await login();
    expect(await send(client, query(UPDATE))).toEqual(DONE);
    client.close();
  });
});

describe('the file is read again by itself', () => {
  async function refused(): Promise<boolean> {
    const client = await login();
    const lines = await send(client, query(UPDATE));
    client.close();
    return lines[0] === 'ErrorResponse 42501';
  }

  test('when it is written', async () => {
    await writeFile(holdfast.policyFile, READ);
    await expect.poll(() => reloads('success'), { timeout: 3_000 }).toBe(1);
    expect(await refused()).toBe(true);
  });

  test('when it is replaced, as editors do it, again and again', async () => {
    for (const [count, text] of [READ, WRITE, READ].entries()) {
      await writeFile(`${holdfast.policyFile}~`, text);
      await rename(`${holdfast.policyFile}~`, holdfast.policyFile);
      await expect.poll(() => reloads('success'), { timeout: 3_000 }).toBe(count + 1);
    }
    expect(await refused()).toBe(true);
  });

  test('when it is a link into a directory that is replaced, as Kubernetes does it', async () => {
    const { directory, policyFile } = holdfast;
    await mkdir(join(directory, 'version-1'));
    await writeFile(join(directory, 'version-1', 'policy.yaml'), WRITE);
    await symlink('version-1', join(directory, '..data'));
    await rm(policyFile);
    await symlink(join('..data', 'policy.yaml'), policyFile);
    await mkdir(join(directory, 'version-2'));
    await writeFile(join(directory, 'version-2', 'policy.yaml'), READ);
    await symlink('version-2', join(directory, '..next'));
    await rename(join(directory, '..next'), join(directory, '..data'));
    expect(await readlink(join(directory, '..data'))).toBe('version-2');
    await expect.poll(() => reloads('success'), { timeout: 3_000 }).toBe(1);
    expect(await refused()).toBe(true);
  });
});

test('SIGHUP: holdfast serve reads the policy again, keeps the last good one, and says either in its log', async () => {
  const serving = await startServing(database, WRITE);
  try {
    const client = await login(serving.port);
    expect(await send(client, query(UPDATE))).toEqual(DONE);
    await writeFile(serving.policyFile, BROKEN);
    serving.signal('SIGHUP');
    const failure = await serving.logged('the policy was not reloaded; the last good one stays in force');
    expect(failure['level']).toBe('error');
    expect(String((failure['problems'] as readonly string[])[0])).toMatch(/policy\.yaml:4:5: /);
    expect(await send(client, query(UPDATE))).toEqual(DONE);
    await writeFile(serving.policyFile, READ);
    serving.signal('SIGHUP');
    await serving.logged('policy reloaded');
    expect(await send(client, query(UPDATE))).toEqual(REFUSED);
    client.close();
    serving.signal('SIGTERM');
    expect(await serving.exited).toBe(0);
  } finally {
    await serving.dispose();
  }
});
