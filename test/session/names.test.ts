/**
 * What a name may stand for: the attacks on the statement map as transcripts, and
 * the law of src/session/names.ts against a model of the server: whatever the order
 * of messages, failures and confirmations, the meaning that the server uses is one
 * of those that were judged.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Conversation } from '../../src/session/conversation.js';
import { Names } from '../../src/session/names.js';
import type { MessageAnswer, NameLookup, QueryAnswer } from '../../src/session/ports.js';
import { random } from '../fuzz/random.js';
import { cut, frontend, frontendLine } from './messages.js';
import { modelServer } from './model-server.js';
import { ScriptedGate } from './scripted-gate.js';
import type { Text } from './scripted-gate.js';
import { transcript } from './transcript.js';

describe('attacks on the map of names', () => {
  const evil = `
    > Parse "s" "DELETE LATER"
    > Sync
    => Parse "s" "DELETE LATER"
    => Sync
    <= ParseComplete
    <= ReadyForQuery I
    < ParseComplete
    < ReadyForQuery I
    ! revoke
  `;
  const refused = `
    > Bind "" "s"
    > Execute "" 0
    > Sync
    => Execute missing
    => Sync
    <= ErrorResponse 34000
    <= ReadyForQuery I
    < ErrorResponse 42501
    < ReadyForQuery I
  `;

  test('a failing Parse in front: Close and Parse are skipped, and the old statement is alive', () => {
    transcript(`${evil}
      > Parse "" "garbage"
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      > Bind "" "s"
      > Execute "" 0
      > Sync
      => Parse "" "garbage"
      => Close S "s"
      => Parse "s" "SELECT 1"
      => Sync
      => Execute missing
      => Sync
      <= ErrorResponse 42601
      <= ReadyForQuery I
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42601
      < ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    ${refused}`);
  });

  test('the same with a refused message in front', () => {
    transcript(`${evil}
      > Parse "" "DROP"
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    ${refused}`);
  });

  test('a Parse of a name that is taken fails and changes nothing', () => {
    transcript(`${evil}
      > Parse "s" "SELECT 1"
      > Sync
      => Parse "s" "SELECT 1"
      => Sync
      <= ErrorResponse 42P05
      <= ReadyForQuery I
      < ErrorResponse 42P05
      < ReadyForQuery I
    ${refused}`);
  });

  test('DEALLOCATE in a Query that fails before it', () => {
    transcript(`${evil}
      > Query "SELECT 1/0; DEALLOCATE s; PREPARE s AS SELECT 1"
      => Query "SELECT 1/0; DEALLOCATE s; PREPARE s AS SELECT 1"
      <= ErrorResponse 22012
      <= ReadyForQuery I
      < ErrorResponse 22012
      < ReadyForQuery I
    ${refused}`);
  });

  test('closed and prepared anew, and confirmed: only the new meaning counts', () => {
    transcript(`${evil}
      > Close S "s"
      > Parse "s" "SELECT 1"
      > Sync
      => Close S "s"
      => Parse "s" "SELECT 1"
      => Sync
      <= CloseComplete
      <= ParseComplete
      <= ReadyForQuery I
      < CloseComplete
      < ParseComplete
      < ReadyForQuery I
      > Bind "" "s"
      > Query "EXECUTE s"
      => Bind "" "s"
      => Query "EXECUTE s"
    `);
  });

  test('PREPARE whose commit fails has prepared all the same', () => {
    transcript(`
      > Query "PREPARE s AS SELECT 1"
      > Query "INSERT 1; DEALLOCATE s"
      > Query "INSERT 1; PREPARE s AS DELETE LATER"
      => Query "PREPARE s AS SELECT 1"
      => Query "INSERT 1; DEALLOCATE s"
      => Query "INSERT 1; PREPARE s AS DELETE LATER"
      <= CommandComplete "PREPARE"
      <= ReadyForQuery I
      <= CommandComplete "INSERT 0 1"
      <= ErrorResponse 23505
      <= ReadyForQuery I
      <= CommandComplete "INSERT 0 1"
      <= ErrorResponse 23505
      <= ReadyForQuery I
      < CommandComplete "PREPARE"
      < ReadyForQuery I
      < CommandComplete "INSERT 0 1"
      < ErrorResponse 23505
      < ReadyForQuery I
      < CommandComplete "INSERT 0 1"
      < ErrorResponse 23505
      < ReadyForQuery I
      ! revoke
      > Query "EXECUTE s"
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('the unnamed portal outlives a Query without a statement, and one that fails', () => {
    for (const [text, reply, status] of [
      ['', 'EmptyQueryResponse', 'T'],
      ['syntax error', 'ErrorResponse 42601', 'E'],
    ]) {
      transcript(`
        ! status T
        > Parse "u" "DELETE LATER"
        > Bind "" "u"
        > Query "${text}"
        => Parse "u" "DELETE LATER"
        => Bind "" "u"
        => Query "${text}"
        <= ParseComplete
        <= BindComplete
        <= ${reply}
        <= ReadyForQuery ${status}
        < ParseComplete
        < BindComplete
        < ${reply}
        < ReadyForQuery ${status}
        ! revoke
        > Execute "" 0
        => Execute missing
      `);
    }
  });

  test('the unnamed statement outlives DEALLOCATE ALL, but no Query', () => {
    transcript(`
      > Parse "" "SELECT 1"
      > Parse "d" "DEALLOCATE ALL"
      > Bind "x" "d"
      > Execute "x" 0
      > Sync
      => Parse "" "SELECT 1"
      => Parse "d" "DEALLOCATE ALL"
      => Bind "x" "d"
      => Execute "x"
      => Sync
      <= ParseComplete
      <= ParseComplete
      <= BindComplete
      <= CommandComplete "DEALLOCATE ALL"
      <= ReadyForQuery I
      < ParseComplete
      < ParseComplete
      < BindComplete
      < CommandComplete "DEALLOCATE ALL"
      < ReadyForQuery I
      > Bind "" ""
      > Sync
      > Query ""
      => Bind "" ""
      => Sync
      => Query ""
      <= BindComplete
      <= ReadyForQuery I
      <= EmptyQueryResponse
      <= ReadyForQuery I
      < BindComplete
      < ReadyForQuery I
      < EmptyQueryResponse
      < ReadyForQuery I
      > Bind "" ""
      => Execute missing
    `);
  });
});

describe('Names', () => {
  const define = (name: string, meaning: string) => ({ kind: 'define_statement', name, meaning }) as const;

  test('both meanings while a change is pending, one when it is confirmed', () => {
    const names = new Names<string>();
    const [first, second] = [define('s', 'one'), define('s', 'two')];
    names.request(first, 'extended');
    names.request(second, 'simple');
    expect(names.statements('s')).toEqual(['one', 'two']);
    names.confirm(first);
    expect(names.statements('s')).toEqual(['one', 'two']);
    names.confirm({ kind: 'drop_statement', name: 's' });
    expect(names.statements('s')).toEqual(['two']);
    names.abandon(second);
    expect([names.statements('s'), names.size]).toEqual([[], 0]);
  });

  test('what was asked for since the last Sync is certain to what comes before the next', () => {
    const names = new Names<string>();
    const [first, second, third] = [define('s', 'one'), define('s', 'two'), define('s', 'three')];
    names.request(first, 'extended');
    names.request(second, 'extended');
    expect(names.statements('s')).toEqual(['two']);
    names.synced();
    expect(names.statements('s')).toEqual(['one', 'two']);
    names.request(third, 'extended');
    expect(names.statements('s')).toEqual(['three']);
    names.abandon(third);
    expect(names.statements('s')).toEqual(['one', 'two']);
  });

  test('portals end with the transaction, cursors WITH HOLD do not', () => {
    const names = new Names<string>();
    for (const hold of [true, false]) {
      const change = { kind: 'define_portal', name: String(hold), meaning: 'm', hold } as const;
      names.request(change, 'extended');
      names.confirm(change);
    }
    names.transactionEnded();
    expect([names.portals('true'), names.portals('false')]).toEqual([['m'], []]);
    names.confirm({ kind: 'drop_all_portals' });
    expect(names.size).toBe(0);
  });

  test('doubts count towards the session’s names, and end with the next certainty', () => {
    const names = new Names<string>();
    for (let i = 0; i < 5; i++) {
      const change = define('s', `m${i % 3}`);
      names.request(change, 'simple');
      names.doubt(change);
    }
    expect(names.statements('s')).toEqual(['m0', 'm1', 'm2']);
    expect(names.size).toBe(4);
    const sure = define('s', 'sure');
    names.request(sure, 'extended');
    names.confirm(sure);
    expect([names.statements('s'), names.size]).toEqual([['sure'], 1]);
    names.confirm({ kind: 'drop_statement', name: 's' });
    expect(names.size).toBe(0);
  });
});

/** Lets everything pass, and keeps what it was asked about. */
class OpenGate extends ScriptedGate {
  readonly judged: { readonly kind: string; readonly texts: readonly string[] }[] = [];

  override query(bytes: Buffer, start: number, end: number, names: NameLookup): QueryAnswer {
    const sql = bytes.toString('utf8', start, end);
    this.#executes(sql, names);
    return super.query(bytes, start, end, { ...names, statements: () => [{ sql: 'any' }] });
  }

  override bind(meanings: readonly object[], statement: string): MessageAnswer {
    this.judged.push({ kind: 'bind', texts: (meanings as readonly Text[]).map(({ sql }) => sql) });
    return super.bind(meanings.length === 0 ? [{ sql: 'unknown' }] : meanings, statement);
  }

  override execute(meanings: readonly object[], portal: string, names: NameLookup): MessageAnswer {
    const texts = (meanings as readonly { texts: readonly Text[] }[]).flatMap((meaning) => meaning.texts);
    this.judged.push({ kind: 'execute', texts: texts.map(({ sql }) => sql) });
    // Whichever of its texts it is, what that EXECUTEs has been looked up.
    for (const name of new Set(texts.flatMap(({ sql }) => /^EXECUTE (\w+)/.exec(sql)?.[1] ?? []))) {
      this.#lookup(name, names, []);
    }
    const answer = super.execute(meanings, portal, { ...names, statements: () => [{ sql: 'any' }] });
    return answer;
  }

  #executes(sql: string, names: NameLookup): void {
    const own = Array.from(sql.matchAll(/PREPARE \w+ AS (\w+)/g), ([, text = '']) => text);
    for (const [, name = ''] of sql.matchAll(/EXECUTE (\w+)/g)) this.#lookup(name, names, own);
  }

  #lookup(name: string, names: NameLookup, own: readonly string[]): void {
    const texts = (names.statements(name) as readonly Text[]).map(({ sql }) => sql);
    this.judged.push({ kind: `EXECUTE ${name}`, texts: [...texts, ...own] });
  }
}

const NAMES = ['', 'a', 'b'];
const TEXTS = [
  'T0',
  'T1',
  'T2',
  '',
  'PREPARE a AS T3',
  'PREPARE b AS T4',
  'DEALLOCATE a',
  'DEALLOCATE ALL',
  'DECLARE a CURSOR FOR T5',
  'DECLARE b CURSOR WITH HOLD FOR T6',
  'CLOSE a',
  'CLOSE ALL',
  'DISCARD ALL',
  'BEGIN',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT x',
  'ROLLBACK TO x',
];

const name = fc.constantFrom(...NAMES).map((each) => JSON.stringify(each));
const text = fc.constantFrom(...TEXTS);
const message = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(name, text).map(([n, t]) => `Parse ${n} ${JSON.stringify(t)}`) },
  { weight: 6, arbitrary: fc.tuple(name, name).map(([portal, statement]) => `Bind ${portal} ${statement}`) },
  { weight: 6, arbitrary: name.map((n) => `Execute ${n} 0`) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom('S', 'P'), name).map(([kind, n]) => `Close ${kind} ${n}`),
  },
  { weight: 8, arbitrary: fc.constant('Sync') },
  {
    weight: 5,
    arbitrary: fc
      .array(fc.oneof(text, fc.constantFrom('EXECUTE a', 'EXECUTE b')), { minLength: 1, maxLength: 3 })
      .map((texts) => `Query ${JSON.stringify(texts.join('; '))}`),
  },
  { weight: 1, arbitrary: fc.constant('Parse "" "DROP"') },
  { weight: 1, arbitrary: fc.constant('Query "DROP"') },
  { weight: 3, arbitrary: fc.constantFrom('Query ""', 'Query "BEGIN"', 'Query "BEGIN"', 'Query "T0"') },
);
const event = fc.oneof(
  { weight: 6, arbitrary: message },
  {
    weight: 6,
    arbitrary: fc
      .tuple(name, text, name, fc.constantFrom('', 'Close S ', 'Close P '), fc.constantFrom('', '\nSync'))
      .map(
        ([n, t, p, close, sync]) =>
          (close === '' ? '' : `${close}${close === 'Close S ' ? n : p}\n`) +
          `Parse ${n} ${JSON.stringify(t)}\nBind ${p} ${n}\nExecute ${p} 0${sync}`,
      ),
  },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 8 }).map((count) => `answer ${count}`) },
  { weight: 2, arbitrary: fc.constantFrom('hold', 'leave', 'leave', 'leave', 'lost') },
);

test('the meaning that the server uses is always among those that were judged', () => {
  let compared = 0;
  fc.assert(
    fc.property(fc.array(event, { minLength: 10, maxLength: 40 }), fc.nat(), (events, seed) => {
      const dice = random(seed);
      const gate = new OpenGate();
      const failures: string[] = [];
      const replies: Buffer[] = [];
      let held: Buffer[] | null = null;
      let at = 0;
      /** What was judged for the message that the server is at. */
      let current: { readonly kind: string; readonly texts: readonly string[] }[] = [];
      const server = modelServer(
        (commit) => dice() < (commit ? 0.3 : 0.05),
        (kind, used) => {
          if (used === null) return;
          const judged = current.filter((each) => each.kind === kind || each.kind.startsWith(`${kind} `));
          compared += 1;
          if (judged.some(({ texts }) => texts.includes(used))) return;
          throw new Error(`${kind} used ${used}, judged was ${JSON.stringify(judged)}`);
        },
      );
      // The server handles messages in the order they were judged in, so what was judged travels with the bytes.
      const judgedOf = new Map<number, typeof current>();
      const deliver = (bytes: readonly Buffer[]): void => {
        for (const each of cut(Buffer.concat(bytes))) {
          current = judgedOf.get(at) ?? [];
          at += 1;
          replies.push(...server.receive(frontendLine(each)));
        }
      };
      let sequence = 0;
      const conversation = new Conversation(
        {
          gate,
          toServer: (bytes) => {
            judgedOf.set(sequence, gate.judged.splice(0));
            sequence += 1;
            if (held === null) deliver([Buffer.from(bytes)]);
            else held.push(Buffer.from(bytes));
          },
          toClient: () => undefined,
          terminated: () => undefined,
          requestEnded: () => undefined,
          failed: ({ message: why }) => failures.push(why),
        },
        { message: 10_000, names: 1000, outstanding: 1000 },
        'I',
      );
      const left = (): void => {
        if (held === null) conversation.sent(conversation.requested);
      };
      for (const each of events) {
        if (each.startsWith('answer ')) {
          const now = replies.splice(0, Number(each.slice(7)));
          conversation.receiveServer(Buffer.concat(now));
        } else if (each === 'hold') {
          held ??= [];
        } else if (each === 'leave') {
          const bytes = held ?? [];
          held = null;
          deliver(bytes);
        } else if (each === 'lost') {
          if (held === null) continue;
          sequence -= held.length;
          held = null;
          gate.judged.length = 0;
          conversation.recordsLost();
        } else {
          for (const line of each.split('\n')) {
            conversation.receiveClient(frontend(line));
            gate.judged.length = 0;
          }
        }
        left();
        if (failures.length > 0) throw new Error(failures.join());
      }
    }),
    { numRuns: Number(process.env['HOLDFAST_MODEL_RUNS'] ?? 2000), seed: 20_260 },
  );
  // The property would hold for a server that never got anything done.
  expect(compared).toBeGreaterThan(5000);
});
