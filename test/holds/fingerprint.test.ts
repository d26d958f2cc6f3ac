import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprint, fingerprintOf, heldParameters } from '../../src/holds/fingerprint.js';
import type { Fingerprinted } from '../../src/holds/fingerprint.js';
import { hold, subject } from './support.js';

const BASE: Fingerprinted = {
  sql: Buffer.from('DELETE FROM t WHERE id = $1'),
  parameters: [{ type: 23, format: 0, value: Buffer.from('1') }],
  user: 'eng_sam',
  role: 'engineers',
  database: 'shop',
  session: 's1',
  searchPath: 'public',
  policy: 'a'.repeat(64),
  environment: 'production',
  style: 'wait',
};

const parameter = (more: object): Fingerprinted['parameters'] => [
  { type: 23, format: 0, value: Buffer.from('1'), ...more },
];

describe('a fingerprint', () => {
  it('is the same for the same', () => {
    expect(fingerprint({ ...BASE, sql: Buffer.from(BASE.sql) })).toBe(fingerprint(BASE));
    expect(fingerprint(BASE)).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each<[string, Partial<Fingerprinted>]>([
    ['one byte of the text', { sql: Buffer.from('DELETE FROM t WHERE id = $1 ') }],
    ['a value', { parameters: parameter({ value: Buffer.from('2') }) }],
    ['a type', { parameters: parameter({ type: 20 }) }],
    ['a format', { parameters: parameter({ format: 1 }) }],
    ['NULL for a value', { parameters: parameter({ value: null }) }],
    ['no parameters', { parameters: [] }],
    ['one more', { parameters: [...BASE.parameters, ...BASE.parameters] }],
    ['the user', { user: 'eng_kim' }],
    ['the role', { role: 'dba' }],
    ['the database', { database: 'billing' }],
    ['the session', { session: 's2' }],
    ['search_path', { searchPath: 'evil, public' }],
    ['search_path unknown', { searchPath: null }],
    ['the policy', { policy: 'b'.repeat(64) }],
    ['the environment', { environment: 'staging' }],
    ['the style', { style: 'ticket' }],
  ])('is another with another: %s', (_what, change) => {
    expect(fingerprint({ ...BASE, ...change })).not.toBe(fingerprint(BASE));
  });

  it('of what is shown is that of the bytes that it was made of, and the hold has that one', () => {
    const shown = subject({ sql: "SELECT 'Grüße 😀'" });
    const bytes = Buffer.from("SELECT 'Grüße 😀'");
    expect(fingerprintOf(shown)).toBe(fingerprint({ ...shown, sql: bytes }));
    expect(hold({ subject: shown }).fingerprint).toBe(fingerprintOf(shown));
  });

  it('of a ticket is the same in every session', () => {
    const ticket = { ...BASE, style: 'ticket' } as const;
    expect(fingerprint({ ...ticket, session: 's2' })).toBe(fingerprint(ticket));
    expect(fingerprint({ ...ticket, user: 'eng_kim' })).not.toBe(fingerprint(ticket));
  });

  it('tells NULL from nothing, and unknown from empty', () => {
    const empty = { ...BASE, parameters: parameter({ value: Buffer.alloc(0) }) };
    expect(fingerprint(empty)).not.toBe(fingerprint({ ...BASE, parameters: parameter({ value: null }) }));
    expect(fingerprint({ ...BASE, searchPath: '' })).not.toBe(fingerprint({ ...BASE, searchPath: null }));
  });

  it('takes bytes that move from one part to the next for another statement', () => {
    const texts = fc.string({ maxLength: 4 });
    const shape = fc.record({
      user: texts,
      role: texts,
      database: texts,
      environment: texts,
      sql: texts,
      a: texts,
      b: texts,
    });
    type Shape = {
      user: string;
      role: string;
      database: string;
      environment: string;
      sql: string;
      a: string;
      b: string;
    };
    const of = ({ a, b, sql, ...rest }: Shape): string =>
      fingerprint({
        ...BASE,
        ...rest,
        sql: Buffer.from(sql),
        parameters: [a, b].map((value) => ({ type: 0, format: 0, value: Buffer.from(value) })),
      });
    fc.assert(
      fc.property(shape, shape, (one, other) => {
        const same = (Object.keys(one) as (keyof Shape)[]).every((key) => one[key] === other[key]);
        expect(of(one) === of(other)).toBe(same);
      }),
      { numRuns: 500 },
    );
    const base = { user: 'ab', role: 'c', database: '', environment: '', sql: '', a: '', b: '' };
    expect(of(base)).not.toBe(of({ ...base, user: 'a', role: 'bc' }));
  });
});

describe('the parameters of a Bind', () => {
  it('have the formats that one code or none stands for', () => {
    const values = [Buffer.from('1'), null];
    expect(heldParameters([23], [], values).map(({ type, format }) => [type, format])).toEqual([
      [23, 0],
      [0, 0],
    ]);
    expect(heldParameters([], [1], values).map(({ format }) => format)).toEqual([1, 1]);
    expect(heldParameters([], [0, 1], values).map(({ format }) => format)).toEqual([0, 1]);
  });

  it('are copies: the receive buffer is used again', () => {
    const buffer = Buffer.from('secret');
    const [held] = heldParameters([], [], [buffer]);
    buffer.fill(0);
    expect(Buffer.from(held?.value ?? []).toString()).toBe('secret');
  });
});
