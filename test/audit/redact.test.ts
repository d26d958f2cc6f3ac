import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { recordedSql } from '../../src/audit/redact.js';
import type { Analysis, StatementFacts } from '../../src/sql/facts.js';

interface Spans {
  readonly secrets?: readonly string[];
  readonly literals?: readonly string[];
}

/** An analysis in which the given pieces of the text are secrets and literals. */
function analysed(sql: string, { secrets = [], literals = [] }: Spans = {}): Analysis {
  const span = (piece: string): readonly [number, number] => {
    const start = sql.indexOf(piece);
    if (start < 0) throw new Error(`no ${piece} in ${sql}`);
    return [start, start + piece.length];
  };
  const statement: StatementFacts = {
    operation: 'select',
    effects: [],
    relations: [],
    actions: [],
    needs: [],
    prohibitions: [],
    settings: [],
    names: [],
    calls: [],
    secrets: secrets.map(span),
    literals: literals.map(span),
    span: [0, sql.length],
  };
  return { kind: 'statements', statements: [statement] };
}

const unread: Analysis = { kind: 'syntax_error', message: 'syntax error', position: null };

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('a text that the grammar read', () => {
  it('is recorded as it is in full mode', () => {
    const sql = `SELECT 'naïve' WHERE x = 1`;
    expect(recordedSql(sql, analysed(sql, { literals: [`'naïve'`, '1'] }), 'full')).toEqual({
      text: sql,
      sha256: sha256(sql),
      bytes: sql.length + 1,
      truncated: false,
      redacted: false,
    });
  });

  it('has its literals replaced in normalized mode, and is only hashed in hash mode', () => {
    const sql = `SELECT * FROM t WHERE a = 'x' AND b = 17`;
    const analysis = analysed(sql, { literals: [`'x'`, '17'] });
    expect(recordedSql(sql, analysis, 'normalized').text).toBe('SELECT * FROM t WHERE a = ? AND b = ?');
    expect(recordedSql(sql, analysis, 'normalized').sha256).toBe(sha256(sql));
    expect(recordedSql(sql, analysis, 'hash')).toMatchObject({ text: null, sha256: sha256(sql) });
  });

  it('never shows a secret that the facts name, nor a hash that would let one be tried', () => {
    const sql = `ALTER ROLE app PASSWORD 'hunter2' VALID UNTIL 'infinity'`;
    const analysis = analysed(sql, { secrets: [`'hunter2'`], literals: [`'hunter2'`, `'infinity'`] });
    const clean = `ALTER ROLE app PASSWORD '***' VALID UNTIL 'infinity'`;
    expect(recordedSql(sql, analysis, 'full')).toEqual({
      text: clean,
      sha256: sha256(clean),
      bytes: sql.length,
      truncated: false,
      redacted: true,
    });
    expect(recordedSql(sql, analysis, 'normalized').text).toBe(`ALTER ROLE app PASSWORD '***' VALID UNTIL ?`);
    expect(recordedSql(sql, analysis, 'hash')).toMatchObject({ text: null, sha256: sha256(clean) });
  });

  it.each([
    [`SELECT 1 FROM users WHERE password = 'hunter2'`, `SELECT 1 FROM users WHERE password = '***'`],
    [
      `SELECT 1 WHERE "user_password"='hunter2' AND a = 'b'`,
      `SELECT 1 WHERE "user_password"='***' AND a = 'b'`,
    ],
    [
      `UPDATE u SET password_hash = crypt('hunter2', gen_salt('bf'))`,
      `UPDATE u SET password_hash = crypt('***', gen_salt('bf'))`,
    ],
    [`SELECT f(passwd => E'hun\\'ter2', x => 'y')`, `SELECT f(passwd => E'***', x => 'y')`],
    [`SELECT 1 WHERE password IN ('hunter2')`, `SELECT 1 WHERE password IN ('***')`],
    [`SELECT 1 WHERE secret = $q$hunter2$q$`, `SELECT 1 WHERE secret = '***'`],
    [`SELECT dblink('host=h password=hunter2 user=u')`, `SELECT dblink('host=h password=*** user=u')`],
    [`SELECT 1 -- ALTER ROLE a PASSWORD 'hunter2'\n, 2`, `SELECT 1 -- ALTER ROLE a PASSWORD '***'\n, 2`],
    [`SELECT /* password: hunter2 */ 'x'`, `SELECT /* password: *** */ 'x'`],
    [
      `DO $$ BEGIN ALTER ROLE a PASSWORD 'hunter2';\n DELETE FROM t; END $$`,
      `DO $$ BEGIN ALTER ROLE a PASSWORD '***';\n DELETE FROM t; END $$`,
    ],
    [
      `DO 'BEGIN EXECUTE ''ALTER ROLE a PASSWORD '' || quote_literal(''hunter2''); END'`,
      `DO 'BEGIN EXECUTE ''ALTER ROLE a PASSWORD '***'); END'`,
    ],
  ])('blots out what follows a word like password: %s', (sql, expected) => {
    const recorded = recordedSql(sql, analysed(sql), 'full');
    expect(recorded.text).toBe(expected);
    expect(recorded.redacted).toBe(true);
    expect(recorded.sha256).toBe(sha256(expected));
  });

  it.each([
    `SELECT password FROM users WHERE name = 'bob'`,
    `SELECT 'it says password'`,
    `ALTER TABLE users ADD COLUMN password text DEFAULT NULL`,
    `SELECT name FROM secrets`,
    `SELECT a$password$ FROM t WHERE b = 'x'`,
  ])('keeps what only mentions the word: %s', (sql) => {
    expect(recordedSql(sql, analysed(sql), 'full')).toMatchObject({ text: sql, redacted: false });
  });

  it('is done in linear time, however the text is made up', () => {
    const size = 400_000;
    const texts = [
      `SELECT '${'password '.repeat(size / 9)}'`,
      `SELECT 'password${' '.repeat(size)})'`,
      `SELECT 'password${`''`.repeat(size / 2)}'`,
      `SELECT ${`password = 'x' OR `.repeat(size / 18)} true`,
      `/* secret ${'/*'.repeat(size / 4)}${'*/'.repeat(size / 4)}*/ SELECT 1`,
      `SELECT $password$${'$passwor$'.repeat(size / 9)}$password$`,
      `SELECT secret, ${'a$'.repeat(size / 2)}`,
    ];
    const started = performance.now();
    for (const sql of texts) recordedSql(sql, analysed(sql), 'full');
    // Quadratic time would take minutes; this bound is far above what a busy machine needs.
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('a text that the grammar could not read', () => {
  it('is recorded in full mode only', () => {
    expect(recordedSql('SELEC 1', unread, 'full')).toEqual({
      text: 'SELEC 1',
      sha256: sha256('SELEC 1'),
      bytes: 7,
      truncated: false,
      redacted: false,
    });
    expect(recordedSql('SELEC 1', unread, 'normalized')).toMatchObject({
      text: null,
      sha256: sha256('SELEC 1'),
    });
    expect(recordedSql('SELEC 1', unread, 'hash').text).toBeNull();
  });

  it('loses every string, and all behind a word like password', () => {
    const sql = `CREAT ROLE 'x' $$y$$ PaSSword 'hunter2' -- hunter2`;
    const clean = `CREAT ROLE '***' '***' PaSSword ***`;
    for (const kind of ['syntax_error', 'unclassified'] as const) {
      const analysis: Analysis =
        kind === 'syntax_error' ? unread : { kind, message: 'nobody decided about it', offset: null };
      expect(recordedSql(sql, analysis, 'full')).toEqual({
        text: clean,
        sha256: sha256(clean),
        bytes: sql.length,
        truncated: false,
        redacted: true,
      });
    }
  });

  it('survives quotes that do not end', () => {
    expect(recordedSql(`SELECT 'secret`, unread, 'full').text).toBe(`SELECT '***' ***`);
    expect(recordedSql(`SELECT "a /* password`, unread, 'full').text).toBe(`SELECT "a /* password ***`);
  });
});

describe('the beginning of a text too long to be recorded', () => {
  const whole = { sha256: sha256('all of it'), bytes: 5_000_000 };

  it('has the size and hash of all of it', () => {
    const sql = "INSERT INTO t VALUES ('x'";
    expect(recordedSql(sql, analysed(sql), 'full', whole)).toEqual({
      text: sql,
      sha256: whole.sha256,
      bytes: whole.bytes,
      truncated: true,
      redacted: false,
    });
  });

  it('has no mark for a secret that lies behind it, and the mark of one that is in it', () => {
    const sql = "ALTER ROLE a PASSWORD 'hush'; ALTER ROLE b PAS";
    const analysis = analysed(sql, { secrets: [`'hush'`] });
    if (analysis.kind !== 'statements') throw new Error('no statements');
    const [statement] = analysis.statements;
    if (statement === undefined) throw new Error('no statement');
    const behind = { ...statement, secrets: [...statement.secrets, [80, 90] as const] };
    const withBoth = { kind: 'statements', statements: [behind] } as const;
    expect(recordedSql(sql, withBoth, 'full', whole).text).toBe(
      "ALTER ROLE a PASSWORD '***'; ALTER ROLE b PAS",
    );
  });
});
