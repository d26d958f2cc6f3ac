/** What webhooks say of a hold: complete where it may be, and nothing where it may not. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { disclose } from '../../src/admin/webhooks/disclosure.js';
import type { Hold, Subject } from '../../src/holds/hold.js';
import { slackBody } from '../../src/holds/webhooks/slack.js';
import { jsonBody } from '../../src/holds/webhooks/telling.js';
import type { Telling, WebhookEvent } from '../../src/holds/webhooks/telling.js';
import { rulesOf } from '../../src/gate/words.js';
import { judge } from '../../src/policy/engine.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { hold, T0 } from '../holds/support.js';
import { role } from '../policy/hand-made.js';

beforeAll(() => loadParser());

const PAGE = 'https://holdfast.example.org/#h1';

function telling(of: Hold, options: { literals?: boolean; event?: WebhookEvent } = {}): Telling {
  return {
    event: options.event ?? of.state,
    at: T0,
    hold: of,
    disclosed: disclose(of, options.literals ?? false),
    link: PAGE,
  };
}

/** A hold of this statement, with what the rules really say of it. */
function holdOf(sql: string, more: Partial<Subject> = {}): Hold {
  const judgement = judge(analyze(sql), role({ defaultAction: 'hold' }), {
    environment: 'production',
    database: 'shop',
    catalog: null,
    catalogUnknown: 'text',
  });
  return hold({
    subject: {
      sql,
      sqlBytes: Buffer.byteLength(sql),
      matches: rulesOf(judgement).map(({ rule, action, message, hint, detail }) => ({
        ...{ rule, action, message, hint },
        ...(detail === undefined ? {} : { detail }),
      })),
      ...more,
    },
  });
}

function json(of: Hold, options: { literals?: boolean } = {}): { readonly hold: Record<string, unknown> } {
  return JSON.parse(jsonBody(telling(of, options))) as { readonly hold: Record<string, unknown> };
}

/** The two bodies, as text. */
function bodies(of: Hold, literals: boolean): string {
  const told = telling(of, { literals });
  return jsonBody(told) + slackBody(told);
}

describe('the generic JSON', () => {
  it('says what waits, for whom, and where it is decided', () => {
    const of = holdOf(`DELETE FROM orders WHERE customer = 'Ann' AND id > 17 -- asked by Ann`, {
      operations: ['delete'],
      parameters: [{ type: 23, format: 0, value: Buffer.from('4711') }],
      relations: [{ schema: 'public', name: 'orders', mode: 'write', estimatedRows: 2000 }],
    });
    expect(JSON.parse(jsonBody(telling(of)))).toEqual({
      event: 'requested',
      at: '2026-01-02T03:04:05.000Z',
      hold: {
        id: 'h1',
        state: 'requested',
        style: 'wait',
        environment: 'production',
        user: 'eng_sam',
        role: 'engineers',
        database: 'shop',
        application: 'psql',
        client: '10.0.0.5:51234',
        decision: 's1-1',
        operations: ['delete'],
        relations: [{ schema: 'public', name: 'orders', mode: 'write', estimated_rows: 2000 }],
        matches: [],
        sql: 'DELETE FROM orders WHERE customer = ? AND id > ?',
        sql_bytes: of.subject.sqlBytes,
        literals: false,
        parameters: [{ type: 'integer', format: 'text' }],
        in_transaction: false,
        old_rows: null,
        requested_at: '2026-01-02T03:04:05.000Z',
        expires_at: '2026-01-02T03:14:05.000Z',
        approvals: { needed: 1, given: 0 },
        groups: ['dba'],
        votes: [],
        withdrawal: null,
      },
      link: PAGE,
    });
  });

  it.each(['kept', 'not_kept'] as const)('says what becomes of old rows: %s', (oldRows) => {
    expect(json(holdOf('DELETE FROM orders', { oldRows })).hold['old_rows']).toBe(oldRows);
  });

  it('has literals, parameters and reasons where the setting says so, and passwords never', () => {
    const of = holdOf(`ALTER ROLE app PASSWORD 'hunter2' VALID UNTIL '2031-01-01'`, {
      parameters: [
        { type: 25, format: 0, value: Buffer.from('Ann') },
        { type: 0, format: 1, value: null },
      ],
    });
    const denied: Hold = {
      ...of,
      state: 'denied',
      votes: [{ approver: 'kim', names: ['kim'], choice: 'deny', reason: 'not Ann', at: T0 }],
    };
    const told = json(denied, { literals: true }).hold;
    expect(told).toMatchObject({
      sql: `ALTER ROLE app PASSWORD '***' VALID UNTIL '2031-01-01'`,
      parameters: [
        { type: 'text', format: 'text', value: 'Ann' },
        { type: null, format: 'binary', value: null },
      ],
      votes: [{ approver: 'kim', choice: 'deny', reason: 'not Ann', at: '2026-01-02T03:04:05.000Z' }],
    });
    expect(JSON.stringify(json(denied))).not.toMatch(/hunter2|Ann|2031/);
    expect(bodies(denied, true)).not.toContain('hunter2');
  });

  it('quotes no condition in the words of a rule, and says what the rule is about instead', () => {
    const of = holdOf(`DELETE FROM "user" WHERE email LIKE '%@Test%' OR email NOT LIKE '%@Test%'`);
    expect(of.subject.matches[0]?.message).toContain('%@Test%');
    expect(json(of).hold['matches']).toEqual([
      {
        rule: 'tautological-where',
        action: 'hold',
        message: 'UPDATE, DELETE or MERGE whose condition excludes no row, or is the same for every row',
      },
    ]);
    expect(bodies(of, false)).not.toContain('Test%');
    expect(bodies(of, true)).toContain('%@Test%');
  });

  it('keeps the words of a rule that quote names alone', () => {
    expect(json(holdOf('TRUNCATE orders_2024')).hold['matches']).toMatchObject([
      {
        rule: 'truncate',
        message: 'TRUNCATE on "orders_2024" would empty the table at once; no row trigger fires.',
      },
    ]);
  });

  it.each([
    ['a text that is too long', `DELETE FROM t WHERE a = '${'x'.repeat(9_000)}'`],
    ['what the grammar cannot read', `DELETE FROM WHERE 'secret'`],
  ])('leaves %s to the page', (_what, sql) => {
    for (const literals of [true, false]) expect(json(holdOf(sql), { literals }).hold['sql']).toBeNull();
  });

  it('never has a value of the statement, whatever the statement is', () => {
    const marked = fc.stringMatching(/^[a-z]{3,8}$/).map((word) => `zq${word}qz`);
    const literal = fc.tuple(marked, fc.nat(6)).map(([word, spelling]) => {
      switch (spelling) {
        case 0:
          return `E'${word}\\n'`;
        case 1:
          return `$tag$${word}$tag$`;
        case 2:
          return `U&'${word}'`;
        case 3:
          return `'it''s ${word}'`;
        case 4:
          return `'a' /* ${word} */`;
        default:
          return `'${word}'`;
      }
    });
    const statement = fc.tuple(literal, literal, fc.nat(9)).map(([one, two, form]) => {
      switch (form) {
        case 0:
          return `DELETE FROM t WHERE a = ${one} OR a <> ${one}`;
        case 1:
          return `UPDATE t SET a = ${one} WHERE ${two} = ${two}`;
        case 2:
          return `INSERT INTO t VALUES (${one}, ${two})`;
        case 3:
          return `DO ${one}`;
        case 4:
          return `SET application_name = ${one}`;
        case 5:
          return `COMMENT ON TABLE t IS ${one}; DROP TABLE t -- ${two.replaceAll(/[\n\r]/g, ' ')}`;
        case 6:
          return `MERGE INTO t USING s ON ${one} = ${one} WHEN MATCHED THEN DELETE`;
        case 7:
          return `SELECT dblink_exec(${one}, ${two})`;
        case 8:
          return `CREATE FUNCTION f() RETURNS text LANGUAGE sql AS ${one}`;
        default:
          return `DELETE FROM t WHERE a LIKE ${one} OR a NOT LIKE ${one} OR (b IS NULL AND ${two} > 'x')`;
      }
    });
    fc.assert(
      fc.property(statement, fc.constantFrom<WebhookEvent>('requested', 'denied'), (sql, event) => {
        const of = holdOf(sql, { parameters: [{ type: 25, format: 0, value: Buffer.from('zqvalueqz') }] });
        const told = telling(of, { event });
        expect(jsonBody(told) + slackBody(told)).not.toMatch(/zq[a-z]+qz/);
        expect(told.disclosed.sql ?? '').not.toContain("'");
      }),
      { numRuns: 300 },
    );
  });
});

interface SlackText {
  readonly type: string;
  readonly text: string;
  readonly verbatim?: boolean;
}
interface SlackMessage {
  readonly text: string;
  readonly blocks: readonly {
    readonly type: string;
    readonly text?: SlackText;
    readonly fields?: readonly SlackText[];
  }[];
  readonly link_names: boolean;
  readonly parse: string;
}

function slack(of: Hold, options: { literals?: boolean; event?: WebhookEvent } = {}): SlackMessage {
  return JSON.parse(slackBody(telling(of, options))) as SlackMessage;
}

function texts({ blocks }: SlackMessage): SlackText[] {
  return blocks.flatMap(({ text, fields }) => [...(text === undefined ? [] : [text]), ...(fields ?? [])]);
}

/** As a person sees it: without the joiner, which nobody does. */
const seen = (text: string): string => text.replaceAll('\u2060', '');

describe('the message for Slack', () => {
  it('says whether there is a way back, where the role asks for one, to those who decide', () => {
    const words = (oldRows: 'kept' | 'not_kept' | null, event: WebhookEvent = 'requested'): string[] =>
      texts(slack(holdOf('DELETE FROM orders', { oldRows }), { event }))
        .map(({ text }) => seen(text))
        .filter((text) => text.startsWith('Undo'));
    expect(words('kept')).toEqual(['Undo\nold rows are kept']);
    expect(words('not_kept')).toEqual([
      'Undo\nold rows are not kept: once approved, Holdfast cannot undo it',
    ]);
    expect(words(null)).toEqual([]);
    expect(words('kept', 'denied')).toEqual([]);
  });

  it('says what waits, and links to the page', () => {
    const of = holdOf('TRUNCATE orders', {
      operations: ['truncate'],
      relations: [
        { schema: 'public', name: 'orders', mode: 'write', estimatedRows: 2000 },
        { schema: 'public', name: 'customers', mode: 'read', estimatedRows: 500 },
      ],
      inTransaction: { since: T0, statements: 2 },
    });
    const message = slack(of);
    expect(seen(message.text)).toBe('PRODUCTION: TRUNCATE of eng_sam in shop waits for approval (hold h1)');
    expect(message).toMatchObject({ parse: 'none', link_names: false });
    expect(texts(message).map(({ text }) => seen(text))).toEqual([
      'PRODUCTION: TRUNCATE of eng_sam in shop waits for approval (hold h1)',
      'Who\neng_sam, role engineers',
      'Where\nproduction, database shop',
      'Application\npsql',
      'Approvals\n0 of 1 (dba)',
      'Tables, estimated rows\npublic.orders: 2000',
      'Until\n2026-01-02T03:14:05.000Z, inside a transaction that keeps its locks',
      'truncate (hold): TRUNCATE on "orders" would empty the table at once; no row trigger fires.',
      '```\nTRUNCATE orders\n```',
      `<${PAGE}|Look at it and decide>`,
    ]);
  });

  it('says who decided, and how it ended', () => {
    const of: Hold = {
      ...hold(),
      state: 'denied',
      votes: [{ approver: 'kim', names: ['kim'], choice: 'deny', reason: null, at: T0 }],
    };
    const message = slack(of);
    expect(seen(message.text)).toContain('was denied');
    expect(texts(message).map(({ text }) => text)).toContain('Votes\ndenied by kim');
    expect(
      texts(slack({ ...hold(), state: 'withdrawn', withdrawal: 'client_gone' })).map(({ text }) => text),
    ).toContain('Withdrawn\nclient gone');
  });

  const hostile = [
    ...['<!channel>', '<!here|here>', '<@U012AB3CD>', '<https://evil.example|click>', '@channel', '@here'],
    ...[
      'https://evil.example/x',
      'mailto:a@b.example',
      'evil.example',
      '```',
      '&lt;!here&gt;',
      '*b* _i_ ~s~',
    ],
    ...['\u202e\u2066', ':smile:', '\u0000\u001b[2J', '😀', 'x'],
  ];
  const text = fc
    .array(fc.constantFrom(...hostile), { minLength: 1, maxLength: 400 })
    .map((parts) => parts.join(' '));

  it('has no power and no link but its own, and fits, whatever names and statements are', () => {
    fc.assert(
      fc.property(text, text, fc.boolean(), (name, sql, literals) => {
        const of = hold({
          subject: {
            ...{ user: name, application: name, role: name, database: name },
            sql: `SELECT 1 AS "${sql.replaceAll(/["\0]/g, '')}"`,
            sqlBytes: 100,
            matches: Array.from({ length: 30 }, () => ({
              rule: 'x',
              action: 'hold',
              message: name,
              hint: null,
            })),
            relations: Array.from({ length: 30 }, () => ({
              schema: name,
              name,
              mode: 'write',
              estimatedRows: 1,
            })),
          },
        });
        const message = slack(of, { literals });
        const all = [{ type: 'text', text: message.text }, ...texts(message)];
        for (const { type, text: one } of all) {
          const own = one === `<${PAGE}|Look at it and decide>`;
          if (!own) expect(one).not.toMatch(/[<>]|&(?!amp;|lt;|gt;)/);
          expect(one).not.toMatch(/[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069]/);
          if (type === 'mrkdwn' || own) continue;
          expect(one).not.toMatch(/@[a-z]|:\/|\.[a-z]/);
        }
        for (const { type, verbatim, text: one } of texts(message)) {
          if (type !== 'mrkdwn') continue;
          expect(verbatim).toBe(true);
          if (one.startsWith('<')) continue;
          expect(one.slice(3, -3)).not.toContain('```');
        }
        expect(message.text.length).toBeLessThanOrEqual(3_000);
        expect(message.blocks.length).toBeLessThanOrEqual(50);
        for (const { type, text: one, fields } of message.blocks) {
          expect(one?.text.length ?? 0).toBeLessThanOrEqual(type === 'header' ? 150 : 3_000);
          expect(fields?.length ?? 0).toBeLessThanOrEqual(10);
          for (const field of fields ?? []) expect(field.text.length).toBeLessThanOrEqual(2_000);
        }
      }),
      { numRuns: 60 },
    );
  });
});
