/** Bodies of functions and procedures: defined now, run later. */
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/sql/analyze.js';
import { access, actions, facts, relations, withParser } from './support.js';

withParser();

const plpgsql = (statements: string, head = 'FUNCTION f() RETURNS void') =>
  `CREATE ${head} LANGUAGE plpgsql AS $x$ BEGIN ${statements} END $x$`;

describe('what the body says is judged', () => {
  it.each<[string, string[]]>([
    [
      plpgsql('DELETE FROM t; TRUNCATE u;'),
      ['delete(t) where=none in the body of the function "f"', 'truncate(u) in the body of the function "f"'],
    ],
    [
      plpgsql('UPDATE t SET a = 1;', 'PROCEDURE shop.p(x int)'),
      ['update(t) where=none in the body of the procedure "shop.p"'],
    ],
    [
      plpgsql('NEW.a := OLD.b; DELETE FROM t WHERE id = OLD.id; RETURN NEW;', 'FUNCTION f() RETURNS trigger'),
      ['delete(t) where=present in the body of the function "f"'],
    ],
    [
      plpgsql('IF tg_tag = tg_event THEN DROP TABLE t; END IF;', 'FUNCTION f() RETURNS event_trigger'),
      ['drop_table(t) in the body of the function "f"'],
    ],
    [
      plpgsql('RETURN QUERY DELETE FROM t RETURNING id;', 'FUNCTION f() RETURNS SETOF int'),
      ['delete(t) where=none in the body of the function "f"'],
    ],
    [
      plpgsql("RETURN QUERY EXECUTE 'DELETE FROM t RETURNING id';", 'FUNCTION f() RETURNS SETOF int'),
      ['delete(t) where=none under EXECUTE in the body of the function "f"'],
    ],
    [
      plpgsql('x := 1; RETURN NEXT; DELETE FROM t WHERE x = 1;', 'FUNCTION f() RETURNS TABLE (x int)'),
      ['delete(t) where=constant in the body of the function "f"'],
    ],
    [
      "CREATE FUNCTION f(force bool) RETURNS int LANGUAGE sql AS 'DELETE FROM t WHERE force; DELETE FROM u WHERE f.force; SELECT 1'",
      [
        'delete(t) where=constant in the body of the function "f"',
        'delete(u) where=constant in the body of the function "f"',
        'select() in the body of the function "f"',
      ],
    ],
    [
      'CREATE OR REPLACE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM t; END',
      ['delete(t) where=none in the body of the function "f"'],
    ],
    [
      plpgsql('DO $y$ BEGIN DELETE FROM t; END $y$;'),
      [
        'do() in the body of the function "f"',
        'delete(t) where=none in the body of DO in the body of the function "f"',
      ],
    ],
  ])('%s', (sql, expected) => {
    expect(actions(sql).slice(1)).toEqual(expected);
    expect(facts(sql).operation).toMatch(/^create_(function|procedure)$/);
    expect(facts(sql).effects).not.toContain('opaque');
    expect(access(sql)).toBe('ddl');
  });

  it('what it needs counts, and prohibitions do', () => {
    expect(access(plpgsql("PERFORM pg_read_file('x');"))).toBe('admin');
    expect(access(plpgsql('SET ROLE postgres;'))).toBe('admin');
    expect(access("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT pg_read_file(''x'')'")).toBe(
      'admin',
    );
    expect(facts(plpgsql('SET standard_conforming_strings = off;')).prohibitions).toHaveLength(1);
  });

  it('relations come out', () => {
    expect(relations(plpgsql('INSERT INTO shop.a SELECT * FROM b;'))).toEqual(['write shop.a', 'read b']);
  });
});

describe('creating runs nothing', () => {
  it.each([
    "EXECUTE 'DROP TABLE ' || current_user;",
    'CALL p(1);',
    "DO $y$ BEGIN EXECUTE lower('X'); END $y$;",
    'DO LANGUAGE plperl $y$ 1 $y$;',
  ])('%s is no opaque code yet', (statements) => {
    const { actions: all, needs, calls } = facts(plpgsql(statements));
    expect(all.filter((action) => action.effect === 'opaque')).toEqual([]);
    expect(needs.map((need) => need.access)).toEqual(['ddl']);
    expect(calls).toEqual([]);
  });

  it('settings and names of the session stay as they are', () => {
    const { settings, names } = facts(
      plpgsql('SET search_path = a; PREPARE p AS SELECT 1; DISCARD PLANS; PERFORM 1;'),
    );
    expect(settings).toEqual([]);
    expect(names).toEqual([]);
  });
});

describe('code that was not read', () => {
  it.each([
    "CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS 'x'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN SELEC 1; END'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'x', 'y'",
  ])('%s', (sql) => {
    expect(facts(sql).effects).toContain('opaque');
    expect(actions(sql)).toEqual(['create_function(f)']);
    expect(access(sql)).toBe('ddl');
  });

  it('what is no SQL is left to the server', () => {
    const sql = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELEC 1'";
    expect(analyze(sql).kind).toBe('statements');
    expect(facts(sql).effects).toEqual(['ddl']);
  });

  it('the language of C and of PostgreSQL itself needs admin access', () => {
    expect(access("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'lib', 'f'")).toBe('admin');
    expect(access("CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'f'")).toBe('admin');
  });
});
