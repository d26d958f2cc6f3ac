/** Texts that end a transaction and go on in another: refused to those who only read. */
import { beforeAll, describe, expect, test } from 'vitest';
import { judge } from '../../src/policy/engine.js';
import type { Access } from '../../src/sql/facts.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { CONTEXT, role } from './hand-made.js';

beforeAll(loadParser);

const verdict = (sql: string, access: Access = 'read'): string =>
  judge(analyze(sql), role({ access, rules: { 'opaque-code': { action: 'allow', options: {} } } }), CONTEXT)
    .verdict;

describe('to a role that reads', () => {
  test.each([
    'SELECT f(); COMMIT; SELECT g()',
    'SELECT * FROM v; END; SELECT * FROM w',
    'BEGIN; SELECT f(); ROLLBACK; TABLE v',
    'SELECT f(); COMMIT AND CHAIN; SELECT 1; SELECT g()',
    'SELECT f(); ABORT; EXECUTE s',
    'DO $$ BEGIN PERFORM f(); COMMIT; PERFORM g(); END $$',
  ])('%s is refused', (sql) => {
    expect(verdict(sql)).toBe('deny');
    expect(verdict(sql, 'write')).toBe('allow');
  });

  test.each([
    'BEGIN; SELECT f(); SELECT * FROM t; COMMIT',
    'ROLLBACK; BEGIN; SELECT * FROM t',
    'SELECT * FROM t; COMMIT; BEGIN',
    'COMMIT; SELECT f()',
    'DO $$ BEGIN PERFORM f(); PERFORM g(); END $$',
    'SELECT f(); COMMIT; SELECT 1',
    'SELECT f(); ROLLBACK TO SAVEPOINT a; SELECT g()',
    'SELECT f(); SELECT g(); SELECT h()',
  ])('%s passes', (sql) => {
    expect(verdict(sql)).toBe('allow');
  });
});

test('the refusal says what to do, and where', () => {
  const sql = 'SELECT f(); COMMIT; SELECT g()';
  const { decisive } = judge(analyze(sql), role({ access: 'read' }), CONTEXT);
  expect(decisive).toMatchObject({
    rule: 'access',
    offset: sql.indexOf('SELECT g'),
    hint: 'Send what stands behind the end of the transaction in a text of its own.',
  });
});
