/** The script as text; that it does what it should is tested on a server (impact/undo). */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadParser, parse } from '../../src/sql/parser.js';
import { countsInWords, undoScript } from '../../src/undo/script.js';
import { identifier, literal } from '../../src/undo/quoting.js';
import { document, table } from './documents.js';

beforeAll(loadParser);

const STRICT = { overwrite: false };

describe('quoting', () => {
  test.each([
    ['plain', "'plain'"],
    ["it's", "'it''s'"],
    ['back\\slash', "'back\\slash'"],
    ['line\nend', "E'line\\u000aend'"],
    ["\\'\u001b[2J", "E'\\\\''\\u001b[2J'"],
    ['\u202etxt', "E'\\u202etxt'"],
  ])('%j', (value, sql) => {
    expect(literal(value)).toBe(sql);
  });

  test('names', () => {
    expect(identifier('a"b')).toBe('"a""b"');
  });
});

describe('the script', () => {
  test('says what it is for, and what it would do', () => {
    const text = undoScript(document({ sql: 'UPDATE account\r\nSET name = NULL' }), STRICT);
    expect(text.split('\n').slice(0, 10)).toEqual([
      '-- Puts back what decision ab12-1-7 changed, which was approved as hold 3md7dn6tkk.',
      '-- 2026-01-02T03:04:05.678Z, production, database shop, user eng_dana (role engineers)',
      '--',
      '-- UPDATE account',
      '-- SET name = NULL',
      '--',
      '-- "public"."account": 1 row deleted, 1 row changed, 1 row added',
      '--',
      '-- Run it as the owner of these tables, straight to the database: psql -X -v ON_ERROR_STOP=1 -f FILE',
      '-- It refuses, and changes nothing, where rows have changed since.',
    ]);
    expect(countsInWords(document({ rows: [] }), 0)).toBe('nothing');
  });

  test('triggers are off meanwhile, and on again as they were', () => {
    const triggers = (['O', 'A', 'R'] as const).map((enabled) => ({
      schema: 'public',
      table: 'account',
      name: `t_${enabled}`,
      enabled,
    }));
    const lines = undoScript(document({ triggers }), STRICT).split('\n');
    expect(lines.filter((line) => line.startsWith('ALTER TABLE'))).toEqual([
      'ALTER TABLE ONLY "public"."account" DISABLE TRIGGER "t_O";',
      'ALTER TABLE ONLY "public"."account" DISABLE TRIGGER "t_A";',
      'ALTER TABLE ONLY "public"."account" DISABLE TRIGGER "t_R";',
      'ALTER TABLE ONLY "public"."account" ENABLE TRIGGER "t_O";',
      'ALTER TABLE ONLY "public"."account" ENABLE ALWAYS TRIGGER "t_A";',
      'ALTER TABLE ONLY "public"."account" ENABLE REPLICA TRIGGER "t_R";',
    ]);
  });

  test('whatever names, values and the statement hold, it is the same statements', () => {
    const kinds = (text: string): readonly string[] => {
      const parsed = parse(text);
      expect(parsed, text).toMatchObject({ kind: 'statements' });
      return parsed.kind === 'statements'
        ? parsed.statements.map(({ stmt }) => Object.keys(stmt as object).join())
        : [];
    };
    const plain = kinds(undoScript(document(), STRICT));
    const hostile = fc.oneof(
      fc.constantFrom(
        '$holdfast$',
        "'; DROP TABLE x; --",
        '\n; DROP TABLE x; --',
        '"; DROP TABLE x; --',
        '*/',
        '$holdfast1$ $holdfast$',
        '\\',
        "\\'",
      ),
      // What no name or value of PostgreSQL's can hold.
      fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
    );
    const name = hostile.filter((text) => text !== '');
    fc.assert(
      fc.property(
        name,
        name,
        name,
        hostile,
        hostile,
        fc.boolean(),
        (schema, relation, column, value, sql, overwrite) => {
          const [id] = table().columns;
          if (id === undefined || column === 'id') return;
          const tables = [
            table({
              schema,
              name: relation,
              columns: [id, { name: column, type: ['pg_catalog', 'text'], generated: false, always: false }],
            }),
          ];
          const rows = [
            { table: 0, was: ['1', value], left: ['1', null] },
            { table: 0, was: ['2', value], left: null },
            { table: 0, was: null, left: ['3', value] },
          ];
          const text = undoScript(document({ tables, rows, sql, user: value, database: value }), {
            overwrite,
          });
          const expected = overwrite ? plain.filter((_, at) => at !== plain.indexOf('DoStmt')) : plain;
          expect(kinds(text)).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });
});
