/** Decoding of the server's messages. */
import { describe, expect, test } from 'vitest';
import {
  authenticationKind,
  commandRows,
  decodeBackendKeyData,
  decodeNegotiateProtocolVersion,
  decodeParameterStatus,
  decodeReadyForQuery,
  errorFields,
  errorSqlstate,
  isFatal,
  saslMechanisms,
  textColumns,
} from '../../src/protocol/backend.js';
import { ProtocolViolation } from '../../src/protocol/violation.js';
import { bytes } from './bytes.js';

function within<T>(body: Buffer | string, decode: (all: Buffer, start: number, end: number) => T): T {
  const before = Buffer.from('V\0');
  const middle = Buffer.from(body as string);
  return decode(
    Buffer.concat([before, middle, Buffer.from('VFATAL\0\0\0\0\0\0')]),
    before.length,
    before.length + middle.length,
  );
}

test('ReadyForQuery: one of three bytes', () => {
  expect(['I', 'T', 'E'].map((status) => within(status, decodeReadyForQuery))).toEqual(['I', 'T', 'E']);
  for (const body of ['', 'X', 'i', 'II'])
    expect(() => within(body, decodeReadyForQuery)).toThrow(ProtocolViolation);
});

test('ParameterStatus: two strings', () => {
  expect(within('TimeZone\0Europe/Köln\0', decodeParameterStatus)).toEqual(['TimeZone', 'Europe/KÃ¶ln']);
  for (const body of ['', 'a', 'a\0', 'a\0b', 'a\0b\0c']) {
    expect(() => within(body, decodeParameterStatus)).toThrow(ProtocolViolation);
  }
});

test('BackendKeyData: process id and 4 to 256 bytes', () => {
  //                       -2       secret
  const { processId, secret } = within(bytes('fffffffe 01020304'), decodeBackendKeyData);
  expect([processId, secret.toString('hex')]).toEqual([-2, '01020304']);
  expect(within(Buffer.alloc(260), decodeBackendKeyData).secret.length).toBe(256);
  expect(() => within('abc', decodeBackendKeyData)).toThrow(ProtocolViolation);
});

test('NegotiateProtocolVersion: with the major version, and without, as servers before 17 send it', () => {
  expect(within(bytes('00030002 00000000'), decodeNegotiateProtocolVersion).minor).toBe(2);
  expect(within(bytes('00000000 00000001 5f7100'), decodeNegotiateProtocolVersion)).toEqual({
    minor: 0,
    unrecognized: ['_q'],
  });
  expect(() => within(bytes('00030000 00000002 6100'), decodeNegotiateProtocolVersion)).toThrow(
    ProtocolViolation,
  );
  expect(() => within(bytes('00030000 7fffffff'), decodeNegotiateProtocolVersion)).toThrow(ProtocolViolation);
});

test('Authentication', () => {
  expect(within(bytes('0000000a'), authenticationKind)).toBe(10);
  expect(() => within(bytes('00000a'), authenticationKind)).toThrow(ProtocolViolation);
  const list = Buffer.concat([bytes('0000000a'), Buffer.from('A\0B\0\0')]);
  expect(within(list, saslMechanisms)).toEqual(['A', 'B']);
  expect(() => within(list.subarray(0, -1), saslMechanisms)).toThrow(ProtocolViolation);
});

describe('ErrorResponse', () => {
  const body = 'SFEHLER\0VERROR\0C23505\0MV is not FATAL\0\0';

  test('fields', () => {
    expect(within(body, errorFields).get('M')).toBe('V is not FATAL');
    expect(within(body, errorSqlstate)).toBe('23505');
    expect(within('SERROR\0\0', errorSqlstate)).toBe('XX000');
  });

  test('FATAL and PANIC by the field that is not translated', () => {
    expect(within(body, isFatal)).toBe(false);
    expect(within('SFATAL\0VFATAL\0\0', isFatal)).toBe(true);
    expect(within('VPANIC\0\0', isFatal)).toBe(true);
    expect(within('MVFATAL\0\0', isFatal)).toBe(false);
    expect(within('', isFatal)).toBe(false);
  });
});

test('rows of a CommandComplete tag', () => {
  const tags = {
    'INSERT 0 12': 12,
    'SELECT 0': 0,
    'COPY 1000000': 1_000_000,
    'CREATE TABLE': null,
    MERGE3: null,
    '': null,
  };
  for (const [tag, rows] of Object.entries(tags)) expect(within(`${tag}\0`, commandRows), tag).toBe(rows);
  expect(within('', commandRows)).toBe(null);
});

test('DataRow in text', () => {
  //                       3 columns, 'ab', NULL, ''
  const row = bytes('0003 00000002 6162 ffffffff 00000000');
  expect(within(row, textColumns)).toEqual(['ab', null, '']);
  for (let length = 0; length < row.length; length++) {
    expect(() => within(row.subarray(0, length), textColumns)).toThrow(ProtocolViolation);
  }
  expect(() => within(bytes('0001 7fffffff 61'), textColumns)).toThrow(ProtocolViolation);
});
