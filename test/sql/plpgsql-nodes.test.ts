/** The allow-list of PL/pgSQL's nodes against the names that the parser library can print. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { parsePlPgSql } from '../../src/sql/parser.js';
import { PL_NEVER, PL_NODES } from '../../src/sql/plpgsql-nodes.js';
import { takeApart } from '../../src/sql/plpgsql.js';
import { withParser } from './support.js';

withParser();

/** The library prints each node type under its name, and so holds all the names. */
const LIBRARY = readFileSync(
  createRequire(import.meta.url)
    .resolve('libpg-query')
    .replace(/index\.c?js$/, 'libpg-query.wasm'),
).toString('latin1');

const body = (...statements: unknown[]) => ({
  PLpgSQL_function: { datums: [], action: { PLpgSQL_stmt_block: { body: statements } } },
});

describe('the allow-list of PL/pgSQL nodes', () => {
  it('decides about every node that the library can print, exactly once', () => {
    const names = new Set(LIBRARY.match(/PLpgSQL_[a-z_]+/g));
    expect(names.size).toBeGreaterThan(35);
    expect([...Object.keys(PL_NODES), ...Object.keys(PL_NEVER)].toSorted()).toEqual([...names].toSorted());
  });

  it.each<[string, unknown, string | null]>([
    ['a statement of a later version', { PLpgSQL_stmt_future: {} }, 'PLpgSQL_stmt_future'],
    ['inside another', { PLpgSQL_stmt_loop: { body: [{ PLpgSQL_stmt_future: {} }] } }, 'PLpgSQL_stmt_future'],
    ['an expression by itself', { PLpgSQL_expr: { query: '1', parseMode: 2 } }, 'SQL in an unknown place'],
    [
      'a new field with SQL',
      { PLpgSQL_stmt_if: { future: { PLpgSQL_expr: { query: '1', parseMode: 2 } } } },
      'SQL in an unknown place',
    ],
    [
      'SQL in a form that nobody knows',
      { PLpgSQL_stmt_if: { cond: { PLpgSQL_expr: { query: '1', parseMode: 7 } } } },
      'SQL in an unknown place',
    ],
    [
      'a part without a name',
      { PLpgSQL_stmt_if: { future: { a: 1 } } },
      'an unnamed part of PLpgSQL_stmt_if',
    ],
    ['what is a property of every object', { constructor: {} }, 'an unnamed part of PLpgSQL_stmt_block'],
    ['nothing unknown', { PLpgSQL_stmt_close: { curvar: 1 } }, null],
  ])('%s', (_title, statement, unknown) => {
    expect(takeApart(body(statement))?.unknown).toBe(unknown);
  });

  it('is no body what has no action', () => {
    expect(takeApart({ PLpgSQL_function: {} })).toBeNull();
    expect(takeApart({})).toBeNull();
    expect(takeApart(null)).toBeNull();
  });

  it('goes on below a depth that no call stack holds', () => {
    let loop: unknown = { PLpgSQL_stmt_commit: {} };
    for (let depth = 0; depth < 100_000; depth += 1) loop = { PLpgSQL_stmt_loop: { body: [loop] } };
    expect(takeApart(body(loop))?.steps).toEqual([{ form: 'commit' }]);
  });
});

/**
 * What the library leaves out of its tree would be run unseen. Each body calls numbered
 * functions wherever PL/pgSQL takes an expression; all of them must come out again.
 */
const EVERYWHERE = [
  'DECLARE c CURSOR FOR SELECT f1(); d NO SCROLL CURSOR (a int, b int) IS SELECT f2(); e refcursor := f3(); BEGIN NULL; END',
  'BEGIN FOR i IN REVERSE f1()..f2() BY f3() LOOP PERFORM f4(); END LOOP; END',
  `DECLARE c refcursor; BEGIN OPEN c FOR SELECT f1(); OPEN c NO SCROLL FOR EXECUTE 'a' || f2() USING f3(), f4(); END`,
  'DECLARE c CURSOR (k int) FOR SELECT k; x int; BEGIN OPEN c(f1()); FETCH ABSOLUTE f2() FROM c INTO x; FOR r IN c(k := f3()) LOOP EXIT WHEN f4(); CONTINUE WHEN f5(); END LOOP; END',
  `BEGIN RAISE EXCEPTION 'x % %', f1(), f2() USING ERRCODE = f3(), DETAIL = f4(); END`,
  'BEGIN RAISE USING MESSAGE = f1(); ASSERT f2(), f3(); RAISE unique_violation USING COLUMN = f4(), HINT = f5(); END',
  'BEGIN CASE f1() WHEN f2(), f3() THEN PERFORM f4(); ELSE PERFORM f5(); END CASE; CASE WHEN f6() THEN PERFORM f7(); ELSE PERFORM f8(); END CASE; END',
  'BEGIN IF f1() THEN PERFORM f2(); ELSIF f3() THEN PERFORM f4(); ELSEIF f5() THEN PERFORM f6(); ELSE PERFORM f7(); END IF; END',
  'BEGIN WHILE f1() LOOP PERFORM f2(); END LOOP; LOOP PERFORM f3(); EXIT; END LOOP; END',
  'DECLARE r record; x int[]; BEGIN FOR r IN SELECT f1() LOOP PERFORM f2(); END LOOP; FOR r IN EXECUTE f3() USING f4() LOOP PERFORM f5(); END LOOP; FOREACH r IN ARRAY f6() LOOP PERFORM f7(); END LOOP; END',
  'DECLARE r record; x int[]; BEGIN EXECUTE f1() INTO STRICT r USING f2(), f3(); CALL p(f4()); x[f5()] := f6(); r.a[f7()].b := f8(); r := f9(); END',
  'BEGIN PERFORM 1; EXCEPTION WHEN others THEN PERFORM f1(); WHEN unique_violation THEN DECLARE a int := f2(); BEGIN PERFORM f3(); EXCEPTION WHEN others THEN PERFORM f4(); END; END',
  'DECLARE x int; BEGIN SELECT f1() INTO x FROM t; INSERT INTO a SELECT f2() RETURNING f3() INTO x; x = f4(); x := (SELECT f5()); GET DIAGNOSTICS x := ROW_COUNT; END',
];

describe('the library', () => {
  it.each(EVERYWHERE)('leaves nothing out of %s', (code) => {
    const trees = parsePlPgSql(`DO $body$${code}$body$`);
    expect(trees).toHaveLength(1);
    const found = takeApart(trees?.[0])?.steps.map((step) => ('query' in step ? step.query : '')) ?? [];
    expect(takeApart(trees?.[0])?.unknown).toBeNull();
    const wanted = [...new Set(code.match(/\bf\d/g))];
    expect(wanted.filter((name) => !found.some((query) => query.includes(`${name}(`)))).toEqual([]);
  });
});
