/**
 * A read role can do nothing: every evasion of the corpus, sent by a superuser whom
 * the server would let do it, is refused by Holdfast itself in both protocols, and
 * nothing in the database changes. What no name in the text leads to is refused by
 * the server's read-only mode.
 */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { READ_POLICY } from '../support/holdfast.js';
import { withClient } from '../support/postgres.js';
import { rawConnection } from '../support/raw.js';
import { startup } from '../support/wire.js';
import { CORPUS, SCHEMA, byClass } from './corpus/index.js';
import type { Evasion } from './corpus/evasion.js';
import { UNREADABLE } from './corpus/lexer.js';
import { UNSEEN } from './corpus/user-functions.js';
import { attemptAll, changes, createGround, culprits, onlyRefused } from './ground.js';
import type { Answer, Ground, Sums } from './ground.js';

let ground: Ground;
/** Of the database before anything was tried. */
let untouched: Sums;

beforeAll(async () => {
  ground = await createGround('bypass', SCHEMA, READ_POLICY);
  untouched = await ground.sums();
});

afterAll(() => ground.close());

/** By the policy, not for a text that cannot be read or is too large. */
function refusedByPolicy(answer: Answer): boolean {
  return onlyRefused(answer) && /^holdfast\/(?!syntax|unclassified|too-)/.test(answer.error?.routine ?? '');
}

function refusedAsUnreadable(answer: Answer): boolean {
  return onlyRefused(answer) && /^holdfast\//.test(answer.error?.routine ?? '');
}

function refusedByServer(answer: Answer): boolean {
  // What runs code of the database: 25006 read_only_sql_transaction, and no result.
  return answer.error?.code === '25006' && !answer.lines.some((line) => line.startsWith('CommandComplete'));
}

async function expectRefused(group: readonly Evasion[], isRight: (answer: Answer) => boolean): Promise<void> {
  const wrong = await attemptAll(ground, group, isRight);
  const now = await ground.sums();
  const changed = changes(untouched, now);
  if (changed.length > 0) {
    // On a ground of its own: on this one the first of them has done its work already.
    const fresh = await createGround('bypass', SCHEMA, READ_POLICY);
    untouched = now;
    try {
      expect([...wrong, ...(await culprits(fresh, group))], `changed: ${changed.join(', ')}`).toEqual([]);
    } finally {
      await fresh.close();
    }
  }
  expect(wrong).toEqual([]);
  expect(changed).toEqual([]);
}

describe(`of ${CORPUS.length} evasions`, () => {
  test.each(byClass(CORPUS))('%s', (_class, group) => expectRefused(group, refusedByPolicy));
});

test('what does not parse never reaches the server', () => expectRefused(UNREADABLE, refusedAsUnreadable));

test('what no name leads to is refused by the server’s read-only mode', () =>
  expectRefused(UNSEEN, refusedByServer));

test('no file was written by the server', () => {
  expect(existsSync('/tmp/holdfast-never')).toBe(false);
});

describe('bytes that no text may hold', () => {
  const message = (type: string, body: Buffer): Buffer => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeUInt32BE(4 + body.length, 1);
    return Buffer.concat([head, body]);
  };
  const write = 'DELETE FROM orders';
  test.each<[string, Buffer, RegExp]>([
    ['a NUL in a Query', message('Q', Buffer.from(`SELECT 1\0; ${write}\0`)), /^08P01$/],
    ['a NUL in a Parse', message('P', Buffer.from(`\0SELECT 1\0 ${write}\0\0\0`)), /^08P01$/],
    ['no NUL at the end of a Query', message('Q', Buffer.from(write)), /^08P01$/],
    ['something behind the NUL', message('Q', Buffer.from(`SELECT 1\0${write}`)), /^08P01$/],
    ['bytes that are no UTF-8', message('Q', Buffer.from(`SELECT '\xff'; ${write}\0`, 'latin1')), /^22021$/],
    [
      'an overlong quote',
      message('Q', Buffer.from(`SELECT '\xc0\xa7; ${write}; --'\0`, 'latin1')),
      /^22021$/,
    ],
    ['an overlong NUL', message('Q', Buffer.from(`SELECT '\xc0\x80'; ${write}\0`, 'latin1')), /^22021$/],
    [
      'half a character before a quote',
      message('Q', Buffer.from(`SELECT '\xe3\x81'; ${write}; --'\0`, 'latin1')),
      /^22021$/,
    ],
    ['a surrogate', message('Q', Buffer.from(`SELECT '\xed\xa0\x80'; ${write}\0`, 'latin1')), /^22021$/],
    [
      'SJIS, whose second byte is a backslash',
      message('Q', Buffer.from(`SELECT '\x95\x5c'; ${write}; --'\0`, 'latin1')),
      /^22021$/,
    ],
  ])('%s', async (_what, bytes, code) => {
    const raw = await rawConnection(ground.holdfast.port);
    raw.write(startup(0, { user: ground.user.name, database: ground.database.name }));
    await raw.until('Z');
    raw.write(bytes);
    const error = await raw.until('E');
    expect(error).toHaveLength(1);
    const fields = error[0]?.body.toString('utf8').split('\0') ?? [];
    expect(fields.find((field) => field.startsWith('C'))?.slice(1)).toMatch(code);
    raw.socket.destroy();
    expect(changes(untouched, await ground.sums())).toEqual([]);
  });
});

describe('the corpus itself', () => {
  const all = [...CORPUS, ...UNREADABLE, ...UNSEEN];

  test('has no statement twice and no name twice in a class', () => {
    const seen = new Set<string>();
    const twice = all.filter(({ class: group, name, sql, setup = [] }) => {
      const keys = [`${group}: ${name}`, JSON.stringify([...setup, sql])];
      const known = keys.some((key) => seen.has(key));
      for (const key of keys) seen.add(key);
      return known;
    });
    expect(twice.map(({ sql }) => sql)).toEqual([]);
    expect(CORPUS.length).toBeGreaterThanOrEqual(450);
  });

  test('would harm: what no name leads to writes when nobody stands in the way', async () => {
    const harmless: string[] = [];
    await withClient(async (client) => {
      for (const { setup = [], sql } of UNSEEN) {
        await client.query('BEGIN');
        for (const each of setup) await client.query(each);
        await client.query(sql).catch((error: unknown) => harmless.push(`${sql}: ${String(error)}`));
        const { rows } = await client
          .query<{ n: number }>('SELECT count(*)::int AS n FROM public.hits')
          .catch(() => ({ rows: [] }));
        if (rows[0]?.n === 0) harmless.push(sql);
        await client.query('ROLLBACK');
      }
    }, ground.database.name);
    expect(harmless).toEqual([]);
  });
});
