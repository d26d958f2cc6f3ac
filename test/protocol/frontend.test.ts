/** Decoding of the client's messages, each on both sides of its limits. Bodies are written as on the wire. */
import fc from 'fast-check';
import { serialize } from 'pg-protocol';
import { describe, expect, test } from 'vitest';
import {
  bindParameters,
  checkFrontendLength,
  decodeBind,
  decodeCopyFail,
  decodeEmpty,
  decodeExecute,
  decodeParse,
  decodeTarget,
  queryText,
  saslMechanism,
  sqlText,
} from '../../src/protocol/frontend.js';
import { FRONTEND } from '../../src/protocol/constants.js';
import type { FrontendName } from '../../src/protocol/constants.js';
import { ProtocolViolation } from '../../src/protocol/violation.js';
import { bytes } from './bytes.js';

/** The body, put into surroundings that must not be read: zeros and letters. */
function within<T>(body: Buffer, decode: (all: Buffer, start: number, end: number) => T): T {
  const before = Buffer.from('xx\0');
  const after = Buffer.from('yy\0\0\0\0\0\0\0\0');
  return decode(Buffer.concat([before, body, after]), before.length, before.length + body.length);
}

function refused(decode: () => unknown, sqlstate = '08P01'): void {
  expect(decode).toThrow(ProtocolViolation);
  expect(decode).toThrow(expect.objectContaining({ sqlstate }));
}

describe('length words', () => {
  const small: FrontendName[] = [
    'Close',
    'CopyDone',
    'CopyFail',
    'Describe',
    'Execute',
    'Flush',
    'Sync',
    'Terminate',
  ];
  const large: FrontendName[] = ['Bind', 'CopyData', 'FunctionCall', 'Parse', 'Query'];

  test.each([
    ...small.map((name) => [name, 10_000] as const),
    ...large.map((name) => [name, 123_456] as const),
    ['AuthenticationResponse', 65_535] as const,
  ])('%s: 4 to %i', (name, limit) => {
    for (const length of [4, 5, limit]) checkFrontendLength(name, length, 123_456);
    for (const length of [0, 1, 3, limit + 1, 0xffffffff])
      refused(() => {
        checkFrontendLength(name, length, 123_456);
      });
  });

  test('every type has a limit', () => {
    expect([...small, ...large, 'AuthenticationResponse'].sort()).toEqual(Object.keys(FRONTEND).sort());
  });
});

describe('Query', () => {
  const read = (body: Buffer): string =>
    within(body, (all, start, end) => sqlText(all, ...queryText(all, start, end)));

  test('text and terminator', () => {
    //                      S  E  L      end
    expect(read(bytes('53 45 4c 00'))).toBe('SEL');
    expect(read(bytes('00'))).toBe('');
    expect(read(Buffer.from('ünï 🐘\0'))).toBe('ünï 🐘');
  });

  test('no terminator, a zero within, bytes behind it', () => {
    for (const body of ['', '53', '53 00 00', '00 53 00', '53 00 53']) refused(() => read(bytes(body)));
  });

  test('strict UTF-8', () => {
    // lone continuation, cut off, overlong '/', surrogate half, above U+10FFFF
    for (const body of ['80 00', 'c3 00', 'c0 af 00', 'ed a0 80 00', 'f5 80 80 80 00']) {
      refused(() => read(bytes(body)), '22021');
    }
  });
});

describe('Parse', () => {
  const read = (body: Buffer) => within(body, decodeParse);

  test('name, text, parameter types', () => {
    //                    s     |  S  1     | count | oid 23     | oid 25
    const whole = bytes('73 00    53 31 00   00 02   00000017     00000019');
    const { name, textStart, textEnd, parameterTypes } = read(whole);
    expect({ name, size: textEnd - textStart, parameterTypes }).toEqual({
      name: 's',
      size: 2,
      parameterTypes: 2,
    });
  });

  test('what pg-protocol writes', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.array(fc.nat(), { maxLength: 5 }), (name, text, types) => {
        fc.pre(!name.includes('\0') && !text.includes('\0') && name.length < 64);
        const message = serialize.parse({ name, text, types });
        const parsed = decodeParse(message, 5, message.length);
        expect(parsed.name).toBe(name);
        expect(sqlText(message, parsed.textStart, parsed.textEnd)).toBe(text);
        expect(parsed.parameterTypes).toBe(types.length);
      }),
    );
  });

  test('every byte counts: short by one, long by one', () => {
    const whole = bytes('73 00  53 31 00  00 01  00000017');
    for (let length = 0; length < whole.length; length++) refused(() => read(whole.subarray(0, length)));
    refused(() => read(Buffer.concat([whole, bytes('00')])));
  });

  test('a count of 65535 without the types', () => {
    refused(() => read(bytes('00 00 ffff')));
  });
});

describe('Bind', () => {
  const read = (body: Buffer) => within(body, decodeBind);
  //                     p     | s     | formats: 1, binary | 3 values: 'ab', NULL, ''              | results: 1, text
  const whole = bytes(
    '70 00    73 00    0001 0001            0003 00000002 6162 ffffffff 00000000    0001 0000',
  );

  test('portal, statement, parameters', () => {
    expect(read(whole)).toMatchObject({ portal: 'p', statement: 's', parameters: 3 });
    const found = within(whole, (all, start, end) => {
      const { parametersStart, parametersEnd } = decodeBind(all, start, end);
      return bindParameters(all, parametersStart, parametersEnd);
    });
    expect(found).toEqual({ formats: [1], values: [Buffer.from('ab'), null, Buffer.alloc(0)] });
  });

  test('nothing at all', () => {
    expect(read(bytes('00 00 0000 0000 0000'))).toMatchObject({ portal: '', statement: '', parameters: 0 });
  });

  test('every byte counts', () => {
    for (let length = 0; length < whole.length; length++) refused(() => read(whole.subarray(0, length)));
    refused(() => read(Buffer.concat([whole, bytes('00')])));
  });

  test('lengths that lie: beyond the end, below -1', () => {
    refused(() => read(bytes('00 00 0000 0001 7fffffff 0000')));
    refused(() => read(bytes('00 00 0000 0001 fffffffe 0000')));
    refused(() => read(bytes('00 00 ffff 0000 0000')));
  });

  test('what pg-protocol writes', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.string())), (values) => {
        const message = serialize.bind({ portal: 'p', statement: 's', values });
        const bound = decodeBind(message, 5, message.length);
        const found = bindParameters(message, bound.parametersStart, bound.parametersEnd);
        expect(found.values.map((value) => value?.toString() ?? null)).toEqual(values);
      }),
    );
  });
});

describe('Execute, Describe, Close', () => {
  test('Execute: portal and row limit', () => {
    //                                   p       limit
    expect(within(bytes('70 00  00000001'), decodeExecute)).toBe('p');
    for (const body of ['', '70', '70 00', '70 00 000000', '70 00 00000001 00']) {
      refused(() => within(bytes(body), decodeExecute));
    }
  });

  test('Describe and Close: S or P, name', () => {
    for (const what of ['Describe', 'Close'] as const) {
      const read = (body: string) => within(bytes(body), (...place) => decodeTarget(what, ...place));
      expect(read('53 73 00')).toEqual({ target: 'statement', name: 's' });
      expect(read('50 00')).toEqual({ target: 'portal', name: '' });
      for (const body of ['', '53', '58 00', '73 00', '53 73', '53 73 00 00']) refused(() => read(body));
    }
  });
});

describe('messages of one field, or none', () => {
  test('Sync, Flush, CopyDone', () => {
    decodeEmpty('Sync', 5, 5);
    refused(() => {
      decodeEmpty('Sync', 5, 6);
    });
  });

  test('CopyFail', () => {
    within(bytes('6e 6f 00'), decodeCopyFail);
    for (const body of ['', '6e', '6e 00 00'])
      refused(() => {
        within(bytes(body), decodeCopyFail);
      });
  });

  test('SASLInitialResponse: the mechanism', () => {
    expect(within(Buffer.from('SCRAM-SHA-256\0\0\0\0\x01n'), saslMechanism)).toBe('SCRAM-SHA-256');
    expect(within(Buffer.from('no end'), saslMechanism)).toBe(null);
  });
});
