/** What the page makes of texts, times and events: the parts that need no browser. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createServerClock } from '../../src/admin/page/server-clock.js';
import { fromFirstWord, tokens } from '../../src/admin/page/sql-tokens.js';
import { createEventParser } from '../../src/admin/page/event-parser.js';
import { brief, isHidden, pieces, unusualWords, visible } from '../../src/admin/page/visible.js';
import {
  budgetWords,
  clockTime,
  countdown,
  dangerOf,
  duration,
  environmentWords,
  oldRowsWords,
  spentWords,
  stakeOf,
  stateWords,
  verbOf,
} from '../../src/admin/page/words.js';
import { holdView } from '../../src/admin/api/views.js';
import { visible as onTerminal } from '../../src/commands/visible.js';
import { DANA, T0, hold } from '../holds/support.js';

const anyText = fc.string({ unit: 'binary', maxLength: 200 });

describe('text of clients', () => {
  it('is marked on the page where it is on the terminal', () => {
    const ranges = [
      [0, 0xffff, 1],
      [0x1d100, 0x1d200, 1],
      [0xe0000, 0xe0fff, 1],
      [0x10000, 0x10ffff, 97],
    ] as const;
    for (const [first, last, step] of ranges) {
      for (let code = first; code <= last; code += step) {
        const character = String.fromCodePoint(code);
        if (isHidden(character) !== onTerminal(character).startsWith('⟨'))
          expect.fail(`U+${code.toString(16)}`);
      }
    }
  });

  it('shows every character, or its number', () => {
    fc.assert(
      fc.property(anyText, fc.boolean(), (source, lines) => {
        const all = pieces(source, lines);
        const back = all.map(({ kind, text }) =>
          kind === 'marker' ? String.fromCodePoint(parseInt(text.slice(3, -1), 16)) : text,
        );
        expect(back.join('')).toBe(source);
        for (const { kind, text } of all) {
          if (kind === 'marker') expect(text).toMatch(/^⟨U\+[0-9A-F]{4,6}⟩$/);
          else expect(Array.from(text).filter(isHidden).join('')).toMatch(lines ? /^[\n\t]*$/ : /^$/);
        }
      }),
    );
  });

  it.each([
    ['DROP \u202eELBAT', 'DROP ⟨U+202E⟩ELBAT'],
    ['a\u0000b\rc\nd', 'a⟨U+0000⟩b⟨U+000D⟩c⟨U+000A⟩d'],
    ['fake ⟨U+0041⟩', 'fake ⟨U+27E8⟩U+0041⟩'],
    ['lone \ud800', 'lone ⟨U+D800⟩'],
    ['zero\u200bwidth\u2066', 'zero⟨U+200B⟩width⟨U+2066⟩'],
    ['no-break\u00a0space', 'no-break⟨U+00A0⟩space'],
  ])('%j becomes %j', (source, expected) => {
    expect(visible(source)).toBe(expected);
  });

  it('is cut only where that is said', () => {
    expect(brief('SELECT\n  1', 20)).toBe('SELECT 1');
    expect(brief('x'.repeat(30), 10)).toBe(`${'x'.repeat(9)}…`);
  });

  it('is warned of when it has what cannot be seen, or what looks like something else', () => {
    expect(unusualWords('SELECT 1\n\tFROM t')).toBeNull();
    expect(unusualWords('SELECT \u202e1')).toBe(
      'This text has 1 character that cannot be seen, shown by number.',
    );
    expect(unusualWords('SELECT * FROM оrders')).toBe(
      'This text has 1 character beyond ASCII, which may look like others.',
    );
  });
});

describe('SQL in colours', () => {
  it('is the same SQL', () => {
    const sqlish = fc
      .array(
        fc.constantFrom(
          "'",
          '"',
          '$',
          '$a$',
          '$$',
          '/*',
          '*/',
          '--',
          '\n',
          '\\',
          'E',
          'drop',
          '1.5e3',
          '$1',
          'é',
        ),
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(sqlish, anyText), (source) => {
        expect(
          tokens(source)
            .map(({ text }) => text)
            .join(''),
        ).toBe(source);
      }),
    );
  });

  it.each([
    ["'it''s; DROP'", 'string'],
    ["E'\\'; DROP'", 'string'],
    ['$x$ DROP $$ $x$', 'string'],
    ['"a""b"', 'name'],
    ['/* a /* b */ DROP */', 'comment'],
    ['-- DROP', 'comment'],
    ['drop', 'danger'],
    ['select', 'keyword'],
    ['$12', 'parameter'],
    ['1.5e-3', 'number'],
    ['dropped', 'other'],
  ])('%s is one token', (text, kind) => {
    expect(tokens(text)).toEqual([{ kind, text }]);
  });

  it('takes no more time for a long text than its length', () => {
    for (const part of ["'", '$a', '/*', '"', 'a', '1', '\\'])
      expect(tokens(part.repeat(20_000)).length).toBeGreaterThan(0);
  });

  it('begins with what it does, not with a comment', () => {
    expect(fromFirstWord('-- harmless\n /* quite /* */ */ DROP TABLE t')).toBe('DROP TABLE t');
    expect(fromFirstWord('-- nothing else')).toBe('');
  });
});

describe('words', () => {
  it.each([
    ['production', 'production', 'PRODUCTION'],
    ['prod', 'production', 'PRODUCTION (prod)'],
    ['eu-live-2', 'production', 'PRODUCTION (eu-live-2)'],
    ['staging', 'lesser', 'STAGING'],
    ['test-prod-copy', 'lesser', 'TEST-PROD-COPY'],
    ['pre-prod', 'unknown', 'PRE-PROD'],
    ['blue', 'unknown', 'BLUE'],
    ['', 'unknown', ''],
  ] as const)('of the environment %j', (environment, danger, words) => {
    expect(dangerOf(environment)).toBe(danger);
    expect(environmentWords(environment)).toBe(words);
  });

  it('of what it does', () => {
    expect(verbOf({ operations: ['drop_table'] })).toBe('DROP TABLE');
    expect(verbOf({ operations: ['delete', 'update'] })).toBe('DELETE, then UPDATE');
    expect(verbOf({ operations: ['delete', 'update', 'select'] })).toBe('DELETE, then 2 more statements');
    expect(verbOf({ operations: [] })).toBe('STATEMENT');
  });

  it('of what is at stake: measured rows before estimates, and never a sum that leaves something out', () => {
    const relation = { schema: null, name: 't', mode: 'write', estimatedRows: 10 } as const;
    const view = (relations: Parameters<typeof hold>[0]) => holdView(hold(relations), DANA, T0);
    const beside = { ...relation, name: 'u', estimatedRows: 5, beside: 'By a foreign key.' };
    expect(stakeOf(view({ subject: { relations: [relation, beside] } }))).toBe(
      'about 10 rows in it; reaches 1 more table of about 5 rows',
    );
    const unknown = { ...beside, name: 'v', estimatedRows: null };
    expect(stakeOf(view({ subject: { relations: [relation, beside, unknown] } }))).toBe(
      'about 10 rows in it; reaches 2 more tables',
    );
    expect(stakeOf(view({ subject: { relations: [{ ...relation, estimatedRows: null }] } }))).toBeNull();
    const tables = [{ schema: 'public', name: 't', inserted: 0, updated: 2, deleted: 1, percent: 10 }];
    expect(stakeOf({ ...view({}), impact: { tables, measured: 'preview' } })).toBe(
      '1 row deleted, 2 rows updated when tried',
    );
    expect(stakeOf({ ...view({}), impact: { tables: [], measured: 'preview' } })).toBe(
      'no row changed when tried',
    );
  });

  it('of old rows: how they are put back, why there is no way back, or nothing where nobody asks', () => {
    const view = holdView(hold(), DANA, T0);
    const words = (more: Partial<typeof view>): string | null => oldRowsWords({ ...view, ...more });
    const tables = [{ schema: 'public', name: 't', inserted: 0, updated: 2, deleted: 0, percent: 10 }];
    const kept = 'Old rows are kept: holdfast undo script h1 puts them back.';
    const lost = 'Old rows are not kept of this: once approved, Holdfast cannot undo it.';
    expect(words({})).toBeNull();
    expect(words({ old_rows: 'kept', impact: { tables, measured: 'preview' } })).toBe(kept);
    expect(words({ old_rows: 'kept', state: 'released' })).toBe(kept);
    expect(words({ old_rows: 'not_kept' })).toBe(lost);
    expect(words({ old_rows: 'not_kept', impact: { tables, measured: 'preview' } })).toBe(lost);
    expect(words({ old_rows: 'not_kept', impact: { tables: [], measured: 'preview' } })).toBe(
      'It changed no row when it was tried, so there are no old rows to keep.',
    );
    expect(words({ old_rows: 'not_kept', impact: { tables, measured: 'transaction' } })).toMatch(
      /^Old rows are not kept of what is approved at its COMMIT: Holdfast cannot undo it/,
    );
    // What did not run has nothing to be put back.
    for (const state of ['denied', 'expired', 'withdrawn'] as const)
      for (const oldRows of ['kept', 'not_kept'] as const)
        expect(words({ old_rows: oldRows, state })).toBeNull();
  });

  it('of what became of it say whether it ran', () => {
    const view = holdView(hold(), DANA, T0);
    const words = (more: Partial<typeof view>): string => stateWords({ ...view, ...more });
    const by = (choice: 'approve' | 'deny') => [
      { approver: 'kim', choice, reason: null, at: view.requested_at },
    ];
    expect(words({ state: 'denied', votes: by('deny') })).toBe('Denied by kim. It did not run.');
    expect(words({ state: 'released', votes: by('approve') })).toBe('Approved by kim, and released to run.');
    expect(words({ state: 'withdrawn', withdrawal: 'client_gone' })).toBe(
      'Withdrawn because the client has gone away. It did not run.',
    );
    expect(words({ state: 'approved', style: 'ticket' })).toBe('Approved. It runs when it is sent again.');
  });

  it('of write budgets', () => {
    const budget = {
      role: 'app',
      user: 'shop_app',
      window_ms: 60_000,
      limits: { rows: 1_000, statements: null },
      spent: { rows: 1_200, statements: 1 },
      since: new Date(T0).toISOString(),
      tripped: true,
      clears_at: null,
      may_reset: { allowed: true, reason: null },
    };
    expect(spentWords(budget)).toBe('1,200 of 1,000 rows and 1 statement within 1 min');
    const other = { limits: { rows: null, statements: 1 }, spent: { rows: 1, statements: 2 } };
    const words = (window: number): string => spentWords({ ...budget, ...other, window_ms: window });
    expect(words(5_400_000)).toBe('1 row and 2 of 1 statement within 1 h 30 min');
    expect(words(3_600_000)).toMatch(/ within 1 h$/);
    expect(words(90_000)).toMatch(/ within 1 min 30 s$/);
    expect([budgetWords(1, 0), budgetWords(0, 2), budgetWords(1, 2)]).toEqual([
      '1 spent',
      '2 used in part',
      '1 spent, 2 used in part',
    ]);
  });

  it('of times', () => {
    expect([59_001, 60_000, 0, -5, 3_600_000].map(countdown)).toEqual([
      '1:00',
      '1:00',
      '0:00',
      '0:00',
      '1 h 00 min',
    ]);
    expect([5_900, 65_000, 3_660_000].map(duration)).toEqual(['5 s', '1 min 5 s', '1 h 1 min']);
    const at = new Date(2026, 0, 2, 3, 4, 5);
    expect(clockTime(at.toISOString(), at.getTime())).toBe('03:04:05');
    expect(clockTime(at.toISOString(), at.getTime() + 86_400_000)).toBe('2026-01-02 03:04:05');
  });
});

describe('the server’s clock', () => {
  it('is found through whole seconds, closer with each answer, and again when a clock is set', () => {
    let now = 1_000_000;
    const offset = 3_600_250;
    const clock = createServerClock(() => now);
    expect(clock.now()).toBe(now);
    const answer = (off: number): void => {
      const date = new Date(Math.floor((now + off) / 1000) * 1000).toUTCString();
      clock.learn(date, now - 5, now + 5);
    };
    for (let at = 0; at < 40; at++) {
      now += 730;
      answer(offset);
    }
    expect(Math.abs(clock.now() - now - offset)).toBeLessThan(60);
    answer(-5_000);
    expect(Math.abs(clock.now() - now + 5_000)).toBeLessThan(1_010);
    clock.learn('nonsense', now, now);
    clock.learn(null, now, now);
    expect(Math.abs(clock.now() - now + 5_000)).toBeLessThan(1_010);
  });
});

describe('the stream of events', () => {
  it('is read in whatever pieces it comes; signs of life and strange events are nothing', () => {
    const stream =
      'retry: 3000\nevent: open\ndata: {"holds":[],"more":false}\n\n:\n\nevent: news\ndata: {}\n\n' +
      'event: budgets\ndata: {"budgets":[],"more":false}\n\n' +
      'event: hold\ndata: {"change":"voted","hold":{"id":"h1"}}\n\n';
    const expected = [
      { event: 'open', data: { holds: [], more: false } },
      { event: 'budgets', data: { budgets: [], more: false } },
      { event: 'hold', data: { change: 'voted', hold: { id: 'h1' } } },
    ];
    for (let cut = 0; cut <= stream.length; cut++) {
      const parse = createEventParser();
      expect([...parse(stream.slice(0, cut)), ...parse(stream.slice(cut))]).toEqual(expected);
    }
  });
});
