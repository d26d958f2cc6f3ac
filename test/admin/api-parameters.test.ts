import { describe, expect, it } from 'vitest';
import { parameterView } from '../../src/admin/api/parameter-text.js';

function binary(type: number, hex: string): string | null {
  return parameterView({ type, format: 1, value: Buffer.from(hex, 'hex') }).value;
}

/** As numeric_send writes them. */
const NUMERICS: [string, string][] = [
  ['0000000000000000', '0'],
  ['0001000000000000002a', '42'],
  ['00010000400000000001', '-1'],
  ['0002000000000002000113ec', '1.51'],
  ['000300010000000000010000000a', '10000'],
  ['000300010000000400010000000a', '10000.0010'],
  ['0001ffff0000000403e8', '0.1000'],
  ['0001fffe00000008000c', '0.00000012'],
  ['00010001000000000005', '50000'],
  ['0000000000000003', '0.000'],
  ['00000000c0000000', 'NaN'],
  ['00000000f0000000', '-Infinity'],
];

describe('binary parameters', () => {
  it.each<[number, string, string | null]>([
    [16, '01', 'true'],
    [16, '00', 'false'],
    [21, 'fffe', '-2'],
    [23, '7fffffff', '2147483647'],
    [20, '8000000000000000', '-9223372036854775808'],
    [26, 'ffffffff', '4294967295'],
    [700, '3fc00000', '1.5'],
    [701, '7ff0000000000000', 'Infinity'],
    [25, 'c3a4', 'ä'],
    [25, 'efbbbf61', '\ufeffa'],
    [25, 'ff', null],
    [2950, '00112233445566778899aabbccddeeff', '00112233-4455-6677-8899-aabbccddeeff'],
    [1082, '00000000', '2000-01-01'],
    [1082, 'ffffffff', '1999-12-31'],
    [1082, '7fffffff', null],
    [1114, '0000000000000001', '2000-01-01 00:00:00.000001'],
    [1184, 'ffffffffffffffff', '1999-12-31 23:59:59.999999+00'],
    [1184, '7fffffffffffffff', null],
    [3802, '017b7d', '{}'],
    [3802, '027b7d', null],
    [23, '000001', null],
    [23, '', null],
    [99999, '01', null],
    [0, '00000001', null],
    [17, '00ff', null],
  ])('of type %i: %s', (type, hex, text) => {
    expect(binary(type, hex)).toBe(text);
  });

  it.each(NUMERICS)('numeric %s', (hex, text) => {
    expect(binary(1700, hex)).toBe(text);
  });

  it('numeric that is none stays hexadecimal', () => {
    for (const hex of ['', '00', '0001000000000000', '00010000123400000001', '00010000000000002711']) {
      expect(binary(1700, hex)).toBeNull();
    }
  });
});

describe('a parameter', () => {
  it('that cannot be read is there as bytes; NULL is neither', () => {
    expect(parameterView({ type: 1007, format: 1, value: Buffer.from([1, 2]) })).toEqual({
      type: 1007,
      type_name: null,
      format: 1,
      value: null,
      hex: '0102',
    });
    expect(parameterView({ type: 25, format: 0, value: Buffer.from([0xff]) })).toMatchObject({
      value: null,
      hex: 'ff',
    });
    expect(parameterView({ type: 25, format: 0, value: Buffer.alloc(0) })).toMatchObject({
      value: '',
      hex: null,
    });
    expect(parameterView({ type: 25, format: 0, value: null })).toMatchObject({ value: null, hex: null });
  });
});
