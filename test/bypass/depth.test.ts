/**
 * Statements made to exhaust whoever reads them: whatever repeats in PostgreSQL's
 * grammar, repeated up to fifty thousand times. Each gets a verdict, a clean
 * error or the server's own answer; nobody else waits for it, and nothing stays.
 */
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { READ_POLICY, startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { ask } from './ground.js';
import type { Answer, Protocol } from './ground.js';

const MB = 1_048_576;
/** Of the second Holdfast; the first has the default. */
const STATEMENT_LIMIT = MB / 2;

let database: TestDatabase;
let holdfast: TestHoldfast;
let limited: TestHoldfast;
let user: TestUser;

beforeAll(async () => {
  database = await createDatabase('depth', 'CREATE TABLE t (id int, a int[]); CREATE SEQUENCE s');
  user = await createUser('depth', database.name);
  holdfast = await startTestHoldfast(database, READ_POLICY);
  limited = await startTestHoldfast(database, READ_POLICY, { limits: { statement: STATEMENT_LIMIT } });
});

afterAll(async () => {
  await Promise.all([holdfast.close(), limited.close()]);
  await database.drop();
  await user.drop();
});

/** What the server makes of what passes is its own affair, as long as it does not take the test's time. */
const login = (to = holdfast): Promise<WireClient> =>
  wireLogin({
    port: to.port,
    user: user.name,
    database: database.name,
    parameters: { options: '-c statement_timeout=200ms' },
  });

const nest = (open: string, inner: string, close: string, depth: number): string =>
  open.repeat(depth) + inner + close.repeat(depth);
const chain = (part: (n: number) => string, between: string, count: number): string =>
  Array.from({ length: count }, (_, n) => part(n)).join(between);

/** As often as what takes time that grows with the square is repeated. */
const TIGHT = 3_000;

/** What repeats, and a text that repeats it `n` times around or beside `inner`. */
const SHAPES: Readonly<Record<string, (n: number, inner: string) => string>> = {
  parentheses: (n, inner) => `SELECT ${nest('(', inner, ')', n)}`,
  NOT: (n, inner) => `SELECT ${'NOT '.repeat(n)}(${inner}) > 0`,
  signs: (n, inner) => `SELECT ${'- '.repeat(n)}${inner}`,
  sums: (n, inner) => `SELECT ${inner} + ${chain(() => '1', '+', n)}`,
  'sums, the other way round': (n, inner) => `SELECT ${nest('1+(', inner, ')', n)}`,
  'AND chains': (n, inner) =>
    `SELECT 1 WHERE ${chain((i) => `id=${i}`, ' AND ', n).replaceAll('id', '1')} AND ${inner} > 0`,
  'OR chains': (n, inner) => `SELECT 1 WHERE ${inner} > 0 OR ${chain((i) => `1=${i}`, ' OR ', n)}`,
  'AND and OR in turns': (n, inner) =>
    `SELECT 1 WHERE ${nest('(true AND (false OR ', `${inner} > 0`, '))', n)}`,
  'sub-selects': (n, inner) => `SELECT ${nest('(SELECT ', inner, ')', n)}`,
  'sub-selects in FROM': (n, inner) =>
    `SELECT * FROM ${nest('(SELECT * FROM ', `(SELECT ${inner}) x`, ') x', n)}`,
  'sub-selects by EXISTS': (n, inner) =>
    `SELECT 1 WHERE ${nest('EXISTS (SELECT 1 WHERE ', `${inner} > 0`, ')', n)}`,
  CASE: (n, inner) => `SELECT ${nest('CASE WHEN true THEN ', inner, ' END', n)}`,
  'CASE with many branches': (n, inner) =>
    `SELECT CASE ${chain((i) => `WHEN 1=${i} THEN ${i}`, ' ', n)} ELSE ${inner} END`,
  casts: (n, inner) => `SELECT (${inner})${'::int'.repeat(n)}`,
  joins: (n, inner) => `SELECT ${inner} FROM ${chain((i) => `t t${i}`, ' CROSS JOIN ', n)}`,
  'joins in parentheses': (n, inner) =>
    `SELECT ${inner} FROM ${'('.repeat(n)}t${chain((i) => ` CROSS JOIN t t${i})`, '', n)}`,
  'IN lists': (n, inner) => `SELECT 1 WHERE ${inner} IN (${chain(String, ',', n)})`,
  calls: (n, inner) => `SELECT ${nest('abs(', inner, ')', n)}`,
  'many arguments': (n, inner) => `SELECT concat(${inner}, ${chain(String, ',', n)})`,
  'array brackets': (n, inner) => `SELECT ${nest('ARRAY[', inner, ']', n)}`,
  subscripts: (n, inner) => `SELECT (ARRAY[${inner}])${'[1]'.repeat(n)}`,
  rows: (n, inner) => `SELECT ${nest('ROW(', inner, ')', n)} IS NULL`,
  'a chain of CTEs': (n, inner) =>
    `WITH c AS (SELECT ${inner}), ${chain((i) => `c${i} AS (SELECT 1)`, ', ', n)} SELECT 1 FROM c`,
  'CTEs within CTEs': (n, inner) => nest('WITH c AS (', `SELECT ${inner}`, ') SELECT 1', n),
  'UNION chains': (n, inner) => `SELECT ${inner} UNION ALL ${chain((i) => `SELECT ${i}`, ' UNION ALL ', n)}`,
  'UNION in parentheses': (n, inner) => nest('(SELECT 1 UNION ALL ', `SELECT ${inner}`, ')', n),
  VALUES: (n, inner) => `VALUES ${chain((i) => `(${i})`, ',', n)}, (${inner})`,
  'comments within comments': (n, inner) => `SELECT ${nest('/* ', ' ', ' */', n)} ${inner}`,
  'comments beside comments': (n, inner) => `SELECT ${'/* */ '.repeat(n)} ${inner}`,
  'comments that do not end': (n, inner) => `SELECT ${inner} ${'/* '.repeat(n)}`,
  // scan.l takes all operator characters behind `/*` for a part of it before it gives them back: quadratic.
  'comments without a space': (n, inner) => `SELECT ${'/**/'.repeat(Math.min(n, TIGHT))} ${inner}`,
  'comments within comments without a space': (n, inner) =>
    `SELECT ${nest('/*', ' ', '*/', Math.min(n, TIGHT))} ${inner}`,
  'parentheses that do not end': (n, inner) => `SELECT ${inner} + ${'('.repeat(n)}`,
  'fields of fields': (n, inner) => `SELECT (${inner})${'.f'.repeat(n)}`,
  'string continuations': (n, inner) => `SELECT ${inner}, 'x'${"\n'x'".repeat(n)}`,
  statements: (n, inner) => `${'SELECT 1;'.repeat(n)}SELECT ${inner}`,
};

/** Between two questions: who asks all the time takes the processor from what is measured. */
const BREATH_MS = 5;

/** Answers of somebody who is not concerned, for as long as `work` lasts; a process that stands still between two questions counts as well. */
async function undisturbed<T>(other: WireClient, work: Promise<T>): Promise<{ result: T; longest: number }> {
  let done = false as boolean;
  const ended = work.finally(() => {
    done = true;
  });
  let longest = 0;
  let asked = 0;
  do {
    const started = performance.now();
    await setTimeout(BREATH_MS);
    const { lines } = await ask(other, `SELECT ${asked}`);
    expect(lines).toContain(`DataRow ${asked}`);
    longest = Math.max(longest, performance.now() - started);
    asked += 1;
  } while (!done);
  return { result: await ended, longest };
}

/**
 * A refusal by the policy (42501), limits of Holdfast or the server (54000, 54001, 54011, 54023, 53200), what the server does not take (42601, 42712,
 * 42809, 42804, 42883, 42P01), or the statement timeout.
 */
const CLEAN =
  /^(?:42501|54000|54001|54011|54023|53200|42601|42712|42809|42804|42883|42846|42P01|42P19|57014)$/;

function problem(answer: Answer): string | null {
  const { lines, error } = answer;
  if (lines.at(-1) !== 'ReadyForQuery I') return lines.slice(-3).join(', ');
  if (error !== null) return CLEAN.test(error.code) ? null : `${error.code} ${error.message.slice(0, 200)}`;
  return lines.some((line) => /^(?:CommandComplete|ParseComplete)/.test(line))
    ? null
    : lines.slice(-3).join(', ');
}

/** The most makes texts above a megabyte, after which a worker is replaced. */
const REPEATS = [1_000, 10_000, 50_000] as const;
/** Longest that somebody else may wait on a loaded machine, milliseconds. */
const PATIENCE = 5_000;

describe.each(REPEATS)('repeated %s times', (times) => {
  test('every shape is answered, while somebody else is undisturbed', { timeout: 120_000 }, async () => {
    const other = await login();
    const wrong: string[] = [];
    // The larger it is, the less the protocol matters.
    const protocols: readonly Protocol[] = times === 1_000 ? ['simple', 'extended'] : ['simple'];
    const left = Object.entries(SHAPES).flatMap(([shape, text]) =>
      protocols.map((protocol) => ({ shape, text, protocol })),
    );
    const lane = async (): Promise<void> => {
      const client = await login();
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const { shape, text, protocol } = next;
        // The server takes minutes for some of the largest, in which nothing can interrupt it: they hold what is refused.
        const largest = times === 50_000;
        const answer = await ask(client, text(times, largest ? "nextval('s')" : '1'), protocol);
        const found = problem(answer);
        if (found !== null) wrong.push(`${shape}, ${protocol}: ${found}`);
        else if (largest && answer.error?.routine?.startsWith('holdfast/') !== true)
          wrong.push(`${shape}, ${protocol}: passed`);
        const after = await ask(client, 'SELECT 1');
        if (!after.lines.includes('DataRow 1'))
          wrong.push(`${shape}, ${protocol}: the session does not go on`);
      }
      client.close();
    };
    // As many as the pool has workers.
    const { longest } = await undisturbed(other, Promise.all([lane(), lane()]));
    other.close();
    expect(wrong).toEqual([]);
    expect(longest).toBeLessThan(PATIENCE);
  });
});

test('a side effect in the midst of it never gets through', { timeout: 60_000 }, async () => {
  const client = await login();
  const passed: string[] = [];
  for (const times of [300, 2_000]) {
    for (const [shape, text] of Object.entries(SHAPES)) {
      const { lines, error } = await ask(client, text(times, "nextval('s')"));
      if (error?.routine?.startsWith('holdfast/') === true) continue;
      passed.push(`${shape}, ${times} times: ${lines.slice(0, 3).join(', ')} ${error?.message ?? ''}`);
    }
  }
  client.close();
  expect(passed).toEqual([]);
});

describe('at the limit of a statement’s size', () => {
  const fill = (open: string, part: string, close: string, bytes: number): string => {
    const count = Math.floor((bytes - open.length - close.length) / part.length);
    const text = open + part.repeat(count);
    return text + ' '.repeat(bytes - text.length - close.length) + close;
  };
  const cases: Readonly<Record<string, (bytes: number) => string>> = {
    'a string': (bytes) => fill("SELECT length('", 'x', "')", bytes),
    'a quoted identifier': (bytes) => fill('SELECT 1 AS "', 'x', '"', bytes),
    'a comment': (bytes) => fill('SELECT 1 /*', ' *', '*/', bytes),
    'white space': (bytes) => fill('SELECT 1', ' \n\t', '', bytes),
    semicolons: (bytes) => fill('SELECT 1', ';', '', bytes),
    'a dollar quote full of dollars': (bytes) => fill('SELECT length($a$', '$b', '$a$)', bytes),
    'an escape string': (bytes) => fill("SELECT length(E'", "\\'", "')", bytes),
    'numbers in a list': (bytes) => fill('SELECT 1 WHERE 1 IN (1', ',1', ')', bytes),
    'opening parentheses': (bytes) => fill('SELECT ', '(', '1', bytes),
    'an identifier': (bytes) => fill('SELECT 1 AS x', 'x', '', bytes),
    'a number': (bytes) => fill('SELECT 1', '1', '', bytes),
  };

  test.each(Object.entries(cases))('%s', { timeout: 60_000 }, async (_what, text) => {
    const [client, other] = await Promise.all([login(limited), login(limited)]);
    const exact = text(STATEMENT_LIMIT);
    expect(Buffer.byteLength(exact)).toBe(STATEMENT_LIMIT);
    const { result, longest } = await undisturbed(other, ask(client, exact));
    // 42622, name too long, is a notice; 22003: the number does not fit.
    expect(problem(result) === null || result.error?.code === '22003').toBe(true);
    const beyond = await ask(client, `${exact} `);
    expect(beyond.error).toMatchObject({ code: '54000', routine: 'holdfast/too-large' });
    expect((await ask(client, 'SELECT 1')).lines).toContain('DataRow 1');
    expect(longest).toBeLessThan(PATIENCE);
    client.close();
    other.close();
  });
});

test('none of it stays in memory', { timeout: 60_000 }, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = (): number => {
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + external + arrayBuffers;
  };
  const client = await login();
  const once = async (): Promise<void> => {
    for (const shape of ['sums', 'AND chains', 'IN lists', 'UNION chains', 'parentheses'] as const) {
      const answer = await ask(client, SHAPES[shape]?.(5_000, '1') ?? '');
      expect(answer.lines.at(-1)).toBe('ReadyForQuery I');
    }
  };
  await once();
  const before = held();
  const { rss } = process.memoryUsage();
  for (let run = 0; run < 5; run++) await once();
  client.close();
  expect((held() - before) / MB).toBeLessThan(50);
  // Pages that an allocator keeps count here, and a worker's stack: it must not grow by each statement.
  expect((process.memoryUsage().rss - rss) / MB).toBeLessThan(500);
});
