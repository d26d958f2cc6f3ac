/** Settings, start-up options, and the names of prepared statements and portals. */
import { describe, expect, it } from 'vitest';
import { foldSettingName, judgeSetting, UNKNOWN_VALUE } from '../../src/sql/settings.js';
import { parseStartupOptions } from '../../src/sql/startup-options.js';
import { facts, statements, withParser } from './support.js';
import { withClient } from '../support/postgres.js';
import { ADMIN_SETTINGS, USER_SETTINGS } from '../../src/sql/known-settings.js';

withParser();

describe('judgeSetting', () => {
  const verdict = (name: string, value: string | null | typeof UNKNOWN_VALUE) => {
    const { needs, prohibitions } = judgeSetting(name, value);
    return prohibitions.length > 0 ? 'prohibited' : (needs[0]?.access ?? 'read');
  };

  it.each<[string, string | null | typeof UNKNOWN_VALUE, string]>([
    ['work_mem', '1MB', 'read'],
    ['work_mem', UNKNOWN_VALUE, 'read'],
    ['work_mem', null, 'read'],
    ['row_security', 'off', 'read'],
    ['backslash_quote', 'on', 'read'],
    ['my.setting', 'x', 'read'],
    ['holdfast.target', 'production', 'read'],
    ['pgaudit.log', 'none', 'admin'],
    ['unheard_of', 'x', 'admin'],
    ['unheard_of', null, 'read'],
    ['session_replication_role', 'replica', 'admin'],
    ['role', 'none', 'read'],
    ['role', 'NONE', 'admin'],
    ['role', 'postgres', 'admin'],
    ['role', null, 'read'],
    ['role', UNKNOWN_VALUE, 'admin'],
    ['session_authorization', 'default', 'admin'],
    ['session_authorization', null, 'read'],
    ['client_encoding', 'UTF8', 'read'],
    ['client_encoding', 'utf-8', 'read'],
    ['client_encoding', 'Unicode', 'read'],
    ['client_encoding', 'LATIN1', 'prohibited'],
    ['client_encoding', 'utf16', 'prohibited'],
    ['client_encoding', '', 'prohibited'],
    ['client_encoding', UNKNOWN_VALUE, 'prohibited'],
    ['client_encoding', null, 'read'],
    ['standard_conforming_strings', 'on', 'read'],
    ['standard_conforming_strings', 'TRUE', 'read'],
    ['standard_conforming_strings', 'off', 'prohibited'],
    ['standard_conforming_strings', 'nonsense', 'prohibited'],
    ['standard_conforming_strings', UNKNOWN_VALUE, 'prohibited'],
    ['default_transaction_read_only', 'on', 'read'],
    ['default_transaction_read_only', 't', 'read'],
    ['default_transaction_read_only', 'off', 'write'],
    ['default_transaction_read_only', 'o', 'write'],
    ['default_transaction_read_only', UNKNOWN_VALUE, 'write'],
    ['default_transaction_read_only', null, 'read'],
    ['transaction_read_only', '1', 'read'],
    ['transaction_read_only', '0', 'write'],
    ['transaction_read_only', null, 'write'],
  ])('%s = %s: %s', (name, value, expected) => {
    expect(verdict(name, value)).toBe(expected);
  });

  it('folds names as PostgreSQL does: ASCII only', () => {
    expect(foldSettingName('Session_Replication_ROLE')).toBe('session_replication_role');
    // U+212A, the Kelvin sign, lower-cases to k in Unicode.
    expect(foldSettingName('wor\u212A_MEM')).toBe('wor\u212A_mem');
  });

  it('knows every setting of the test server that a session may change', async () => {
    const { rows } = await withClient((client) =>
      client.query<{ name: string; context: string }>(
        "SELECT lower(name) AS name, context FROM pg_settings WHERE name NOT LIKE '%.%'",
      ),
    );
    expect(rows.length).toBeGreaterThan(300);
    const user = rows.filter((row) => row.context === 'user').map((row) => row.name);
    expect(user.filter((name) => !USER_SETTINGS.has(name) && !ADMIN_SETTINGS.has(name))).toEqual([]);
    // None that only a superuser may change has slipped among the harmless.
    const others = rows.filter((row) => row.context !== 'user').map((row) => row.name);
    expect(others.filter((name) => USER_SETTINGS.has(name))).toEqual([]);
  });
});

describe('settings that a statement changes', () => {
  it.each<[string, unknown[]]>([
    ['SET work_mem = 64', [{ name: 'work_mem', value: '64', local: false }]],
    ['SET LOCAL "Work_Mem" TO \'64MB\'', [{ name: 'work_mem', value: '64MB', local: true }]],
    ['SET search_path = a, b', [{ name: 'search_path', value: 'a, b', local: false }]],
    ['SET jit TO on', [{ name: 'jit', value: 'on', local: false }]],
    ['SET jit TO true', [{ name: 'jit', value: 'true', local: false }]],
    ['SET jit TO DEFAULT', [{ name: 'jit', value: null, local: false }]],
    ['RESET jit', [{ name: 'jit', value: null, local: false }]],
    ['RESET ALL', [{ name: '*', value: null, local: false }]],
    ['DISCARD ALL', [{ name: '*', value: null, local: false }]],
    ['DISCARD PLANS', []],
    ["SET TIME ZONE 'UTC'", [{ name: 'timezone', value: 'UTC', local: false }]],
    ['SET ROLE x', [{ name: 'role', value: 'x', local: false }]],
    ["SET NAMES 'utf8'", [{ name: 'client_encoding', value: 'utf8', local: false }]],
    ['SET TRANSACTION READ ONLY', [{ name: 'transaction_read_only', value: '1', local: true }]],
    [
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
      [{ name: 'default_transaction_read_only', value: '0', local: false }],
    ],
    ["SELECT set_config('JIT', 'off', true)", [{ name: 'jit', value: 'off', local: true }]],
    ["SELECT set_config('jit'::text, NULL, false)", [{ name: 'jit', value: null, local: false }]],
    ["SELECT set_config('jit', $1, false)", [{ name: 'jit', value: null, local: false }]],
    ["SELECT my.set_config('jit', 'off', true)", []],
    ["SET holdfast.target = 'production'", [{ name: 'holdfast.target', value: 'production', local: false }]],
    // For later sessions, not for this one.
    ['ALTER ROLE r SET jit = off', []],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql SET jit = off AS 'SELECT 1'", []],
  ])('%s', (sql, expected) => {
    expect(facts(sql).settings).toEqual(expected);
  });
});

describe('names of prepared statements and portals', () => {
  it.each<[string, unknown[]]>([
    ['PREPARE "S" (int) AS SELECT $1', [{ kind: 'prepare', name: 'S' }]],
    ['EXECUTE s(1)', [{ kind: 'execute', name: 's' }]],
    ['EXPLAIN ANALYZE EXECUTE s', [{ kind: 'execute', name: 's' }]],
    ['EXPLAIN EXECUTE s', [{ kind: 'execute', name: 's' }]],
    ['CREATE TABLE x AS EXECUTE s(1)', [{ kind: 'execute', name: 's' }]],
    ['CREATE TEMP TABLE x AS EXECUTE s', [{ kind: 'execute', name: 's' }]],
    ['EXPLAIN ANALYZE CREATE TABLE x AS EXECUTE s', [{ kind: 'execute', name: 's' }]],
    ['DEALLOCATE s', [{ kind: 'deallocate', name: 's' }]],
    ['DEALLOCATE PREPARE ALL', [{ kind: 'deallocate', name: null }]],
    ['DECLARE c CURSOR FOR SELECT 1', [{ kind: 'declare', name: 'c', hold: false }]],
    ['DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1', [{ kind: 'declare', name: 'c', hold: true }]],
    ['EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT 1', []],
    ['FETCH ALL FROM c', [{ kind: 'fetch', name: 'c' }]],
    ['MOVE c', [{ kind: 'fetch', name: 'c' }]],
    ['CLOSE c', [{ kind: 'close', name: 'c' }]],
    ['CLOSE ALL', [{ kind: 'close', name: null }]],
    ['DISCARD ALL', [{ kind: 'discard', what: 'all' }]],
    ['DISCARD TEMP', [{ kind: 'discard', what: 'temp' }]],
    ['SELECT 1', []],
  ])('%s', (sql, expected) => {
    expect(facts(sql).names).toMatchObject(expected);
    expect(facts(sql).names).toHaveLength(expected.length);
  });

  it('PREPARE and DECLARE carry the facts of their statement as if it stood alone', () => {
    const [prepared] = facts('PREPARE s AS DELETE FROM t WHERE true').names;
    if (prepared?.kind !== 'prepare') throw new Error('no PREPARE');
    expect(prepared.statement).toMatchObject({
      operation: 'delete',
      effects: ['write'],
      relations: [{ schema: null, name: 't', mode: 'write' }],
      actions: [{ operation: 'delete', where: 'constant', within: '' }],
      needs: [{ access: 'write' }],
      names: [],
    });
    const [declared] = facts("DECLARE c CURSOR FOR SELECT nextval('s')").names;
    if (declared?.kind !== 'declare') throw new Error('no DECLARE');
    expect(declared.statement).toMatchObject({ operation: 'select', needs: [{ access: 'write' }] });
  });

  it('each statement of a string has its own', () => {
    const all = statements('PREPARE a AS SELECT 1; EXECUTE a; DEALLOCATE a').map(
      (statement) => statement.names[0]?.kind,
    );
    expect(all).toEqual(['prepare', 'execute', 'deallocate']);
  });
});

describe('parseStartupOptions', () => {
  it.each<[string, [string, string][]]>([
    ['', []],
    ['   ', []],
    ['-c jit=off', [['jit', 'off']]],
    ['-cjit=off', [['jit', 'off']]],
    ['--jit=off', [['jit', 'off']]],
    ['--Statement-Timeout=5s', [['statement_timeout', '5s']]],
    [
      '-c  search_path=a,b\t--jit=on',
      [
        ['search_path', 'a,b'],
        ['jit', 'on'],
      ],
    ],
    [String.raw`-c search_path=a\ b\\c`, [['search_path', String.raw`a b\c`]]],
    [String.raw`--a=\-\c`, [['a', '-c']]],
    ['-c a=b=c', [['a', 'b=c']]],
    ['-c a=', [['a', '']]],
    ['-c --role=x', [['__role', 'x']]],
    [String.raw`\-c role=x`, [['role', 'x']]],
    ['-c a=1\\', [['a', '1']]],
    [
      '-c geqo=off\n-c geqo=on',
      [
        ['geqo', 'off'],
        ['geqo', 'on'],
      ],
    ],
  ])('%j', (options, settings) => {
    expect(parseStartupOptions(options)).toEqual({ settings });
  });

  it.each([
    '-c',
    '-c jit',
    '--jit',
    '--',
    '-',
    '-d 5',
    '-f s',
    'jit=off',
    '-ecjit=off',
    '-c =x',
    '--=x',
    '-W 5',
    '-S 64',
  ])('refuses %j', (options) => {
    expect(parseStartupOptions(options)).toHaveProperty('error');
  });
});
