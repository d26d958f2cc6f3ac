/** Where passwords and literals stand in a text. */
import { describe, expect, it } from 'vitest';
import { scan } from '../../src/sql/parser.js';
import { literalSpans } from '../../src/sql/spans.js';
import { statements, withParser } from './support.js';

withParser();

const secrets = (sql: string) =>
  statements(sql).flatMap((statement) => statement.secrets.map((span) => sql.slice(...span)));

describe('secrets', () => {
  it.each<[string, string[]]>([
    ["CREATE ROLE r PASSWORD 'x'", ["'x'"]],
    ["CREATE USER u WITH LOGIN ENCRYPTED PASSWORD 'x' VALID UNTIL '2030-01-01'", ["'x'"]],
    ["ALTER ROLE r WITH PASSWORD /* now */ 'x'", ["'x'"]],
    ["ALTER USER \"ü\" PASSWORD 'pä''ss😀'", ["'pä''ss😀'"]],
    ["ALTER USER u PASSWORD E'a\\'b'", ["E'a\\'b'"]],
    ["ALTER USER u PASSWORD U&'\\0061'", ["U&'\\0061'"]],
    ['ALTER USER u PASSWORD $x$secret$x$', ['$x$secret$x$']],
    ["ALTER USER u PASSWORD 'a'\n  'b'", ["'a'\n  'b'"]],
    ['ALTER USER u PASSWORD NULL', []],
    ["CREATE GROUP g PASSWORD 'x'", ["'x'"]],
    ["SELECT 1; ALTER ROLE r PASSWORD 'x'; SELECT 'y'", ["'x'"]],
    ["CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'bob', password 'x')", ["'x'"]],
    ["ALTER USER MAPPING FOR u SERVER s OPTIONS (SET password 'x', ADD sslkey 'k')", ["'x'", "'k'"]],
    ["CREATE SERVER s FOREIGN DATA WRAPPER f OPTIONS (host 'h', access_token 'x')", ["'x'"]],
    ["CREATE SUBSCRIPTION s CONNECTION 'host=h password=x' PUBLICATION p", ["'host=h password=x'"]],
    ["CREATE SUBSCRIPTION s CONNECTION 'service=x' PUBLICATION p", ["'service=x'"]],
    ["ALTER SUBSCRIPTION s CONNECTION 'host=h'", ["'host=h'"]],
    ["SELECT * FROM dblink('host=h password=x', 'SELECT 1') AS t(a int)", ["'host=h password=x'"]],
    ["SELECT dblink_connect('c', 'postgresql://bob:x@h/db')", ["'postgresql://bob:x@h/db'"]],
    ["ALTER SYSTEM SET primary_conninfo = 'host=h password = x'", ["'host=h password = x'"]],
    ["DO $$ BEGIN ALTER ROLE r PASSWORD 'x'; END $$", ["$$ BEGIN ALTER ROLE r PASSWORD 'x'; END $$"]],
    ["SELECT 1 -- password='x'\n", ["-- password='x'"]],
    ["SELECT 'password', 'my password'", []],
    ['SELECT /* password=x */ 1', ['/* password=x */']],
    // Columns and words of that name hold no secret.
    ["SELECT password FROM users WHERE password = $1 AND name = 'bob'", []],
    ["SELECT 'the password is wrong'", []],
    ["SELECT 'https://example.org/a:b'", []],
  ])('%s', (sql, expected) => {
    expect(secrets(sql)).toEqual(expected);
  });

  it('finds them in time on a text made to be slow', () => {
    expect(secrets(`SELECT '${'://:'.repeat(2000)}'`)).toEqual([]);
    expect(secrets(`SELECT '${'password'.repeat(1000)}'`)).toEqual([]);
  });
});

describe('literalSpans', () => {
  const literals = (sql: string) => literalSpans(sql)?.map((span) => sql.slice(...span));

  it.each<[string, string[]]>([
    [
      "SELECT 1, 1.5, 1e10, 'a', E'\\n', U&'d', B'01', X'1f', $$x$$, N'n'",
      ['1', '1.5', '1e10', "'a'", "E'\\n'", "U&'d'", "B'01'", "X'1f'", '$$x$$', "'n'"],
    ],
    ["SELECT $1, 'é', \"col é\", '😀' -- 'c'\n, 0x1F, 1_000", ["'é'", "'😀'", '0x1F', '1_000']],
    ["SELECT -1, NULL, TRUE, 'a'\n'b'", ['1', "'a'\n'b'"]],
    ['SELECT', []],
    ['', []],
  ])('%s', (sql, expected) => {
    expect(literals(sql)).toEqual(expected);
  });

  it('gives null where the lexer refuses', () => {
    expect(literalSpans("SELECT 'a")).toBeNull();
  });

  it('rests on the token numbers of this grammar', () => {
    const types = (sql: string) => scan(sql)?.map((token) => token.type);
    expect(types("1.5 'a' U&'a' B'0' X'0' 1 $1 x")).toEqual([260, 261, 262, 263, 264, 266, 267, 258]);
    expect(types('-- x\n/* x */')).toEqual([275, 276]);
  });
});
