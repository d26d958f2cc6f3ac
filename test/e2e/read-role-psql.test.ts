/**
 * psql's backslash commands for a read role: what they print is what they print
 * without Holdfast.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { READ_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { majorVersion, run } from './programs.js';
import type { Output } from './programs.js';
import { READ_SCHEMA } from './read-role.statements.js';

const PSQL = majorVersion('psql');

let database: TestDatabase;
let holdfast: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('psql', READ_SCHEMA);
  user = await createUser('psql', database.name);
  holdfast = await startTestHoldfast(database, READ_POLICY);
});

afterAll(async () => {
  await holdfast.close();
  await database.drop();
  await user.drop();
});

function psql(port: number, input: string): Promise<Output> {
  return run('psql', ['-X', '-h', '127.0.0.1', '-p', `${port}`, '-U', user.name, '-d', database.name], {
    input,
    // What Holdfast sets at login is set here by hand.
    env: {
      PGCLIENTENCODING: 'UTF8',
      ...(port === database.port ? { PGOPTIONS: '-c default_transaction_read_only=on' } : {}),
    },
  });
}

/** Without the banner at login, which is Holdfast's own and goes to standard error. */
const withoutBanner = (text: string): string =>
  text.replace(/^NOTICE: {2}Holdfast: PRODUCTION, database .*: read only\.\n/, '');

const mark = (at: number): string => `-- command ${at}`;

/** What was printed before the first command, and of each. */
const parts = (output: string): readonly string[] => output.split(/^-- command \d+\n/m);

const ABOUT_THE_DATABASE = String.raw`
\d
\d+
\d customers
\d+ customers
\d orders
\d+ events
\d+ totals
\d+ totals_then
\d+ orders_customer
\d counter
\dt
\dt+ public.*
\di
\di+
\ds+
\dv+
\dm+
\dE
\dP+
\df
\df+
\df+ greet
\da
\da+ sum
\dn
\dn+
\dx
\dx+ plpgsql
\dT
\dT+
\dD+
\do =
\do+ ||
\dO+ "C"
\dc utf8_to_iso8859_1
\dC int
\dd
\ddp
\dp
\z customers
\dA+
\dAc btree int4
\dAf btree int4
\dAo btree integer_ops
\dAp btree integer_ops
\db
\des
\det
\deu
\dew
\dF
\dFd
\dFp
\dFt
\dL+
\dRp
\dRs
\dX
\dy
\dl
\dconfig work_mem
\drds
\sf greet
\sf+ greet
\sv totals
\sv+ totals
\l template1
\l+ template0
\du trust_user
\dg+ trust_user
`;

const AT_WORK = String.raw`
\set ECHO none
\encoding
\encoding UTF8
\pset format unaligned
SELECT count(*) FROM orders;
\pset format aligned
\x on
SELECT * FROM customers WHERE id = 1;
\x off
SELECT id, total FROM orders ORDER BY id LIMIT 3 \gx
SELECT 'SELECT ' || n FROM generate_series(1, 3) n \gexec
SELECT 7 AS seven \gset
\echo :seven
SELECT $1::int + 1 AS more \bind 4 \g
SELECT id, total FROM orders \gdesc
SELECT id, 'x' AS what, total FROM orders WHERE id < 3 ORDER BY 1 \crosstabview
\copy (SELECT * FROM orders ORDER BY id) to pstdout with (format csv, header)
\copy orders to pstdout
\lo_list
\if true
SELECT 'yes';
\endif
BEGIN;
SELECT * FROM no_such_table;
SELECT 1;
\echo :LAST_ERROR_MESSAGE
ROLLBACK;
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1 / 0;
SELECT 2;
COMMIT;
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT off
SELECT 3;
COMMIT;
\set AUTOCOMMIT on
\set FETCH_COUNT 7
SELECT id FROM orders ORDER BY id;
\unset FETCH_COUNT
SELECT 1 \; SELECT 2 \; SELECT 3;
\errverbose
\h SELECT
`;

describe.skipIf(PSQL === null)(PSQL === null ? 'psql is not installed' : `psql ${PSQL}`, () => {
  describe('one command at a time', () => {
    const commands = ABOUT_THE_DATABASE.trim().split('\n');
    let direct: Output;
    let through: Output;

    // All of them in one psql for each way: a process and a session for every command would take half a minute.
    beforeAll(async () => {
      const input = commands
        .map((command, at) => `\\echo ${mark(at)}\n\\warn ${mark(at)}\n${command}\n`)
        .join('');
      [direct, through] = await Promise.all([psql(database.port, input), psql(holdfast.port, input)]);
    });

    test('the banner comes first, and all of them are run', () => {
      expect(through.stderr).toMatch(/^NOTICE: {2}Holdfast: PRODUCTION/);
      expect([direct.status, through.status]).toEqual([0, 0]);
      for (const { stdout, stderr } of [direct, through]) {
        expect(parts(stdout)).toHaveLength(commands.length + 1);
        expect(parts(stderr)).toHaveLength(commands.length + 1);
      }
    });

    test.each(commands.map((command, at) => [command, at] as const))('%s', (_command, at) => {
      const of = ({ stdout, stderr }: Output) => [parts(stdout)[at + 1], parts(stderr)[at + 1]];
      expect(of(through)).toEqual(of(direct));
      expect(of(through).join('')).not.toContain('holdfast:');
      expect(of(direct).join('')).not.toBe('');
    });
  });

  test('a session of queries, variables, copies and errors', async () => {
    const [direct, through] = await Promise.all([psql(database.port, AT_WORK), psql(holdfast.port, AT_WORK)]);
    expect(withoutBanner(through.stderr)).toBe(direct.stderr);
    expect(through.stdout).toBe(direct.stdout);
  });

  test(String.raw`\conninfo, \timing, \c and \password of nobody`, async () => {
    const { stdout, stderr, status } = await psql(
      holdfast.port,
      '\\conninfo\n\\timing on\nSELECT 5;\n\\c\n\\timing off\nSELECT 6;\n',
    );
    expect(status).toBe(0);
    expect(stdout).toContain(`as user "${user.name}"`);
    expect(stdout).toMatch(/Time: [\d.]+ ms/);
    expect(stdout).toContain('6');
    expect(stderr.match(/Holdfast: PRODUCTION/g)).toHaveLength(2);
  });

  test('what a person reads when a write is refused', async () => {
    const { stderr, status } = await psql(
      holdfast.port,
      '\\set ON_ERROR_STOP on\nDELETE FROM orders WHERE id = 1;\n',
    );
    expect(status).toBe(3);
    expect(withoutBanner(stderr)).toMatch(
      /^ERROR: {2}holdfast: DELETE on "orders" needs write access[^\n]*\nDETAIL: {2}Decision \S+\. Rule: access \(deny\)\.\n/,
    );
  });
});
