/** The first packet, as attackers write it. */
import { describe, expect, test } from 'vitest';
import { readStartupPacket } from '../../src/protocol/startup.js';
import { ProtocolViolation } from '../../src/protocol/violation.js';
import { bytes } from './bytes.js';

function packet(version: string, body: string): Buffer {
  const rest = Buffer.concat([bytes(version), Buffer.from(body)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(rest.length + 4);
  return Buffer.concat([length, rest]);
}

const startup = (body: string): Buffer => packet('00030000', body);
const read = (all: Buffer) => readStartupPacket(all)?.packet;

function refused(all: Buffer, sqlstate = '08P01'): void {
  expect(() => read(all)).toThrow(ProtocolViolation);
  expect(() => read(all)).toThrow(expect.objectContaining({ sqlstate }));
}

describe('length', () => {
  test('7 is refused, 8 is read; 10000 is read, 10001 is refused before it has arrived', () => {
    refused(bytes('00000007 04d216'));
    expect(read(bytes('00000008 04d2162f'))).toEqual({ kind: 'ssl_request' });
    const longest = startup(`user\0a\0x\0${'y'.repeat(10_000 - 8 - 7 - 2 - 2)}\0\0`);
    expect(longest.length).toBe(10_000);
    expect(read(longest)).toMatchObject({ kind: 'startup' });
    refused(bytes('00002711'));
    for (const length of ['00000000', 'ffffffff', '80000000', '16030100']) refused(bytes(length));
  });

  test('incomplete: nothing is decided', () => {
    const whole = startup('user\0a\0\0');
    for (let length = 0; length < whole.length; length++) {
      expect(readStartupPacket(whole.subarray(0, length))).toBe(null);
    }
    expect(readStartupPacket(Buffer.concat([whole, Buffer.from('Q')]))?.length).toBe(whole.length);
  });
});

describe('requests', () => {
  test('SSLRequest and GSSENCRequest are 8 bytes long', () => {
    expect(read(bytes('00000008 04d21630'))).toEqual({ kind: 'gssenc_request' });
    refused(bytes('00000009 04d2162f 00'));
    refused(bytes('00000009 04d21630 00'));
  });

  test('CancelRequest: keys of 4 to 256 bytes', () => {
    const cancel = (size: number): Buffer => packet('04d2162e', `\0\0\0\x07${'k'.repeat(size)}`);
    for (const size of [4, 32, 256]) {
      expect(read(cancel(size))).toEqual({
        kind: 'cancel_request',
        processId: 7,
        secret: Buffer.alloc(size, 'k'),
      });
    }
    for (const size of [0, 3, 257]) refused(cancel(size));
    refused(bytes('00000008 04d2162e'));
  });
});

describe('StartupMessage', () => {
  test('parameters, and extensions apart from them', () => {
    const message = read(packet('00030002', 'user\0a\0database\0b\0_pq_.x\0on\0_pq_.y\0\0\0'));
    expect(message).toEqual({
      kind: 'startup',
      minor: 2,
      parameters: new Map([
        ['user', 'a'],
        ['database', 'b'],
      ]),
      extensions: ['_pq_.x', '_pq_.y'],
    });
  });

  test('versions: 3 with any minor, nothing else', () => {
    for (const minor of ['00030000', '00030001', '00030002', '0003270f']) {
      expect(read(packet(minor, 'user\0a\0\0'))).toMatchObject({ kind: 'startup' });
    }
    for (const version of ['00020000', '00040000', '00000000', '04d2162d']) {
      refused(packet(version, 'user\0a\0\0'), '0A000');
    }
  });

  test('terminators: missing, in the middle, and with bytes behind', () => {
    for (const body of [
      '',
      'user',
      'user\0a',
      'user\0a\0',
      'user\0a\0\0x',
      'user\0a\0\0\0',
      '\0user\0a\0\0',
    ]) {
      refused(startup(body));
    }
  });

  test('a parameter twice', () => {
    refused(startup('user\0a\0user\0b\0\0'));
    refused(startup('user\0a\0x\x001\0x\x002\0\0'));
  });

  test('names of more than 63 bytes, and none', () => {
    const long = 'é'.repeat(32);
    expect(read(startup(`user\0${long.slice(1)}x\0\0`))).toMatchObject({ kind: 'startup' });
    refused(startup(`user\0${long}\0\0`), '28000');
    refused(startup(`user\0a\0database\0${long}\0\0`), '28000');
    refused(startup('user\0\0\0'), '28000');
    refused(startup('database\0a\0\0'), '28000');
    refused(startup('\0'), '28000');
  });

  test('not UTF-8', () => {
    refused(
      Buffer.concat([
        bytes('00000011 00030000'),
        Buffer.from('user\0'),
        bytes('ff 00 00'),
        Buffer.from('\0'),
      ]),
      '22021',
    );
  });
});
