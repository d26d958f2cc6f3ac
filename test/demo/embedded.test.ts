import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { describe, expect, inject, it } from 'vitest';
import { startEmbedded } from '../../src/demo/embedded.js';
import {
  AUTH_PASSWORD,
  AUTH_USERS,
  createDatabase,
  postgresUrl,
  tlsFile,
  withClient,
} from '../support/postgres.js';

describe('the tests’ server', () => {
  it('is a PostgreSQL in UTF8 that a superuser reaches', async () => {
    const row = await withClient(async (client) => {
      const result = await client.query<{ encoding: string; super: string; version: number }>(
        `SELECT current_setting('server_encoding') AS encoding, current_setting('is_superuser') AS super,
                current_setting('server_version_num')::int AS version`,
      );
      return result.rows[0];
    });
    expect(row).toMatchObject({ encoding: 'UTF8', super: 'on' });
    expect(row?.version).toBeGreaterThanOrEqual(140000);
  });

  it('gives each test file a database of its own', async () => {
    const database = await createDatabase('own', 'CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)');
    const count = await withClient((client) => client.query('SELECT id FROM t'), database.name);
    expect(count.rowCount).toBe(2);
    await database.drop();
    const left = await withClient((c) =>
      c.query('SELECT 1 FROM pg_database WHERE datname = $1', [database.name]),
    );
    expect(left.rowCount).toBe(0);
  });

  it.runIf(inject('postgresAuthUsers')).for(Object.entries(AUTH_USERS))(
    '%s: %s logs in',
    async ([method, user]) => {
      const url = new URL(postgresUrl());
      const connect = async (password: string) => {
        const client = new pg.Client({
          host: url.hostname,
          port: Number(url.port),
          user,
          password,
          database: 'postgres',
        });
        await client.connect();
        await client.end();
      };
      await connect(AUTH_PASSWORD);
      if (method !== 'trust') await expect(connect('wrong')).rejects.toMatchObject({ code: '28P01' });
    },
  );

  it.runIf(inject('postgresTls'))('speaks TLS with a certificate of the test authority', async () => {
    const client = new pg.Client({ connectionString: postgresUrl(), ssl: { ca: tlsFile('ca.crt') } });
    await client.connect();
    const { rows } = await client.query<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    await client.end();
    expect(rows).toEqual([{ ssl: true }]);
  });
});

describe('startEmbedded', () => {
  it('keeps a cluster between starts, says which port is taken, and leaves no process', async () => {
    const parent = await mkdtemp(path.join(tmpdir(), 'holdfast-embedded-'));
    const { chmod } = await import('node:fs/promises');
    await chmod(parent, 0o755);
    const directory = path.join(parent, 'cluster');
    try {
      const first = await startEmbedded({ directory, password: 'pass:/word' });
      const client = new pg.Client({ connectionString: first.url });
      await client.connect();
      await client.query('CREATE TABLE kept (id int)');
      await client.end();

      const other = path.join(parent, 'other');
      await expect(startEmbedded({ directory: other, port: first.port, ephemeral: true })).rejects.toThrow(
        `cannot listen on 127.0.0.1:${String(first.port)}`,
      );
      expect(existsSync(other)).toBe(false);

      await first.stop();
      await first.stop();
      expect(() => process.kill(first.pid, 0)).toThrow('ESRCH');

      const second = await startEmbedded({ directory, password: 'pass:/word', port: first.port });
      const again = new pg.Client({ connectionString: second.url });
      await again.connect();
      expect((await again.query('SELECT * FROM kept')).rowCount).toBe(0);
      await again.end();
      await second.stop();
    } finally {
      await rm(parent, { recursive: true, force: true });
    }
  });
});
