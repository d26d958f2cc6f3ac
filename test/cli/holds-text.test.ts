import { describe, expect, it } from 'vitest';
import { holdView, summaryView } from '../../src/admin/api/views.js';
import { changeLine, holdPage, holdsTable } from '../../src/commands/holds-text.js';
import { brief, jsonLine, shownWidth, visible } from '../../src/commands/visible.js';
import { DANA, KIM, T0, hold, subject as subjectOf } from '../holds/support.js';

const plain = { color: false, now: T0 + 108_000 };
type More = Parameters<typeof hold>[0];

function page(more: More = {}, options = plain): string {
  return holdPage(holdView(hold(more), DANA, options.now), options);
}

function widest(text: string): number {
  return Math.max(
    ...text
      .replace(/\u001b\[[0-9;]*m/g, '')
      .split('\n')
      .map((line) => line.length),
  );
}

describe('a page', () => {
  it('says what it changed when it was tried, and by which statements', () => {
    const held = hold({
      subject: {
        measured: {
          by: 'transaction',
          tables: [
            { schema: 'public', name: 'users', inserted: 0, updated: 1, deleted: 600, rows: 1200 },
            { schema: 'public', name: 'log', inserted: 2, updated: 0, deleted: 0, rows: null },
          ],
          statements: ['DELETE FROM account WHERE id < 9'],
        },
      },
    });
    const page = holdPage(holdView(held, DANA, plain.now), plain);
    expect(page).toContain(`what its transaction has changed
    public.users: 600 rows deleted, 1 row updated, 50.1 % of the table
    public.log: 2 rows inserted

its statements
`);
    expect(page).toContain('DELETE FROM account WHERE id < 9');
  });

  it('says whether there is a way back, where the role asks for one', () => {
    const undo = (subject: Parameters<typeof subjectOf>[0], more = {}): string | undefined => {
      const view = holdView({ ...hold({ subject: subjectOf(subject) }), ...more }, DANA, plain.now);
      return /^undo {7}((?:.*)(?:\n {11}.*)*)/m.exec(holdPage(view, plain))?.[1]?.replace(/\s+/g, ' ');
    };
    const measured = { by: 'preview', tables: [], statements: [] } as const;
    expect(undo({})).toBeUndefined();
    expect(undo({ oldRows: 'kept' })).toBe('old rows are kept: holdfast undo script h1 puts them back');
    expect(undo({ oldRows: 'kept' }, { state: 'denied' })).toBeUndefined();
    expect(undo({ oldRows: 'not_kept' })).toBe(
      'old rows are not kept of this: once approved, Holdfast cannot undo it',
    );
    expect(undo({ oldRows: 'not_kept', measured })).toBe(
      'it changed no row when it was tried, so there are no old rows to keep',
    );
    expect(undo({ oldRows: 'not_kept', measured: { ...measured, by: 'transaction' } })).toMatch(
      /^old rows are not kept of what is approved at its COMMIT: Holdfast cannot undo it/,
    );
  });

  it('says all that there is to know', () => {
    const held = hold({
      approvals: 2,
      groups: ['dba', 'oncall'],
      subject: {
        sql: 'DELETE FROM orders\n WHERE id = $1',
        inTransaction: { since: T0 - 5_000, statements: 3 },
        matches: [
          {
            rule: 'row-limit',
            action: 'hold',
            message: 'It would delete 1,200 rows.',
            hint: 'Delete in batches.',
            detail: 'orders: 1,200',
          },
        ],
        relations: [{ schema: 'public', name: 'orders', mode: 'write', estimatedRows: 1_200_000 }],
        parameters: [
          { type: 23, format: 1, value: Buffer.from([0, 0, 0, 42]) },
          { type: 0, format: 0, value: null },
        ],
      },
    });
    const votes = [
      { approver: 'kim', names: ['kim'], choice: 'approve', reason: 'backup is done', at: T0 + 60_000 },
    ] as const;
    expect(holdPage(holdView({ ...held, votes }, DANA, plain.now), plain)).toBe(`hold       h1
state      requested, 8 min 12 s left
asked by   eng_sam (role engineers)
from       psql at 10.0.0.5:51234, session s1
runs on    production, database shop
           search_path "$user", public
waits      in a transaction of 3 statements, open for 1 min 53 s; its locks stay
           while it waits
decision   s1-1

hold       row-limit: It would delete 1,200 rows.
           orders: 1,200
           hint: Delete in batches.

relations
    numbers of rows are estimates; not measured
    public.orders: write, about 1,200,000 rows

statement, 33 bytes
  1 | DELETE FROM orders
  2 |  WHERE id = $1

parameters
    $1 (integer, binary) = '42'
    $2 (type left to the server) = NULL

votes, 1 of 2 approvals; from dba, oncall
    approve by kim at 2026-01-02T03:05:05.000Z: backup is done
    You may approve or deny it.`);
  });

  it('says why the reader cannot vote, and how it ended', () => {
    expect(page({ subject: { user: 'eng_dana' } })).toContain(
      'You cannot vote on it: Hold h1 is your own request',
    );
    const gone = { ...hold(), state: 'withdrawn', withdrawal: 'client_gone' } as const;
    expect(holdPage(holdView(gone, DANA, T0), plain)).toContain('state      withdrawn: client gone');
    expect(page({ subject: { style: 'ticket' } })).toContain(
      'once approved, it passes when it is sent again',
    );
  });

  it('leaves out nothing of a long line, and stays within 80 columns', () => {
    const sql = `SELECT ${Array.from({ length: 300 }, (_, at) => at).join(',')}`;
    const text = page({ subject: { sql, user: 'u'.repeat(200), searchPath: 'p,'.repeat(100) } });
    expect(widest(text)).toBeLessThanOrEqual(80);
    const rows = text.split('\n').flatMap((line) => /^ {2}[1.] \| (.*)$/.exec(line)?.[1] ?? []);
    expect(rows.join('')).toBe(sql);
  });

  it('hides nothing and obeys nothing', () => {
    const sql =
      "SELECT 'a\u202e\u0007\u001b[2J'\r; DROP TABLE t --\u00a0\u200b\u3164⟨U+0041⟩\u0301\u0301\u0301\u0301\u0301";
    const text = page({
      subject: { sql, application: 'a\u001b]0;x\u0007', client: '\u202e', user: 'x\ny', database: '\u009b' },
    });
    expect(text).toContain("SELECT 'a⟨U+202E⟩⟨U+0007⟩⟨U+001B⟩[2J'⟨U+000D⟩; DROP TABLE t --");
    expect(text).toContain('⟨U+00A0⟩');
    expect(text).toContain('⟨U+3164⟩');
    expect(text).toContain('⟨U+27E8⟩U+0041⟩');
    expect(text).toContain('⟨U+0301⟩⟨U+0301⟩');
    expect(text).toContain('x⟨U+000A⟩y');
    expect(text).toMatch(/note: \d+ characters that cannot be seen/);

    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u200b]/);
  });

  it('has colours only where they are asked for, and the same text', () => {
    const coloured = page({}, { ...plain, color: true });
    expect(coloured).toContain('\u001b[1;33mrequested\u001b[0m');

    expect(coloured.replace(/\u001b\[[0-9;]*m/g, '')).toBe(page());
  });
});

describe('a table', () => {
  it('fits in 80 columns, whatever the names', () => {
    const holds = [
      hold({ id: '7k2m9x4q0c', subject: { sql: `DROP\n\tTABLE ${'x'.repeat(300)}` } }),
      hold({ id: 'h2', subject: { user: '数据库'.repeat(20), database: 'd'.repeat(63) } }),
    ].map((held) => summaryView(held, KIM, T0));
    const text = holdsTable({ holds, more: true }, plain);
    const lines = text.split('\n');
    expect(lines).toHaveLength(4);
    expect(lines[0]).toBe('ID          STATE      VOTES  LEFT   WHO                  STATEMENT');
    expect(lines[1]).toMatch(/^7k2m9x4q0c {2}requested {2}0\/1 {4}8 min {2}eng_sam@shop {9}DROP TABLE x+…$/);
    expect(lines[3]).toBe('There are more.');
    expect(Math.max(...lines.map((line) => shownWidth(line)))).toBeLessThanOrEqual(80);
  });

  it('a change is one line', () => {
    const view = summaryView(hold({ approvals: 2, subject: { sql: 'DROP\nTABLE t' } }), KIM, T0);
    expect(changeLine({ change: 'voted', hold: view }, plain)).toBe(
      '03:05:53  h1  voted 0/2  eng_sam@shop  DROP TABLE t',
    );
  });
});

describe('visible text', () => {
  it('is unambiguous: different texts look different', () => {
    const pairs = [
      ['\u202e', '⟨U+202E⟩'],
      ['a\u00adb', 'ab'],
      ['a b', 'a\u00a0b'],
      ['x\ufe0f', 'x'],
      ['\u{e0041}', ''],
      ['\ud800', '\ufffd'],
    ];
    for (const [one = '', other = ''] of pairs) expect(visible(one)).not.toBe(visible(other));
  });

  it('leaves what people write as it is', () => {
    for (const text of ["SELECT 'Grüße' <> 'naïve';", '数据库', 'e\u0301', '😀', 'a|b\\c'])
      expect(visible(text)).toBe(text);
  });

  it('is cut to columns, wide characters counted', () => {
    expect(brief('数据库', 6)).toBe('数据库');
    expect(brief('数据库', 5)).toBe('数据…');
    expect(brief('  a \n b  ', 10)).toBe('a b');
  });

  it('as JSON is the same JSON', () => {
    const value = { a: '\u202e\u0000\u{e0041}é⟨', b: ['\ud800'] };
    const line = jsonLine(value);
    expect(JSON.parse(line)).toEqual(value);
    expect(line).toBe('{"a":"\\u202e\\u0000\\udb40\\udc41é⟨","b":["\\ud800"]}');
  });
});
