/** What Holdfast itself says, read back by pg-protocol where that can read it. */
import { Parser } from 'pg-protocol/dist/parser.js';
import { describe, expect, test } from 'vitest';
import {
  authenticationSasl,
  backendKeyData,
  cancelRequest,
  copyFail,
  errorResponse,
  execute,
  negotiateProtocolVersion,
  noticeResponse,
  query,
  readyForQuery,
  sslRequest,
  startupMessage,
  sync,
} from '../../src/protocol/encode.js';
import { readStartupPacket } from '../../src/protocol/startup.js';
import { bytes } from './bytes.js';

function parsed(message: Buffer): Record<string, unknown> {
  const seen: unknown[] = [];
  new Parser().parse(message, (each) => seen.push(each));
  expect(seen).toHaveLength(1);
  return seen[0] as Record<string, unknown>;
}

describe('to the client', () => {
  test('ErrorResponse with all fields, and with the fewest', () => {
    const full = parsed(
      errorResponse({
        severity: 'ERROR',
        sqlstate: '42601',
        message: 'nö',
        detail: 'why',
        hint: 'how',
        position: 7,
        routine: 'holdfast/x',
      }),
    );
    expect(full).toMatchObject({
      name: 'error',
      severity: 'ERROR',
      code: '42601',
      message: 'nö',
      detail: 'why',
      hint: 'how',
      position: '7',
      routine: 'holdfast/x',
    });
    const least = errorResponse({ severity: 'FATAL', sqlstate: '08P01', message: '', routine: 'r' });
    expect(least.toString('latin1')).toBe('E\0\0\0\x1fSFATAL\0VFATAL\0C08P01\0M\0Rr\0\0');
  });

  test('a zero in a text cannot end its field', () => {
    const error = parsed(
      errorResponse({ severity: 'ERROR', sqlstate: '42501', message: 'a\0C00000\0', routine: 'r' }),
    );
    expect(error).toMatchObject({ code: '42501', message: 'aC00000' });
  });

  test('NoticeResponse', () => {
    const notice = noticeResponse({
      severity: 'WARNING',
      sqlstate: '01000',
      message: 'm',
      hint: 'h',
      routine: 'r',
    });
    expect(parsed(notice)).toMatchObject({ name: 'notice', severity: 'WARNING', code: '01000', hint: 'h' });
  });

  test('ReadyForQuery, BackendKeyData', () => {
    expect(parsed(readyForQuery('E'))).toMatchObject({ name: 'readyForQuery', status: 'E' });
    expect(parsed(backendKeyData(7, bytes('00000009')))).toMatchObject({ processID: 7, secretKey: 9 });
    expect(backendKeyData(7, Buffer.alloc(32)).length).toBe(41);
  });

  test('NegotiateProtocolVersion', () => {
    //                type length   version  count    _pq_.x
    expect(negotiateProtocolVersion(2, ['_pq_.x'])).toEqual(
      bytes('76 00000013 00030002 00000001 5f70715f2e7800'),
    );
    expect(negotiateProtocolVersion(0, [])).toEqual(bytes('76 0000000c 00030000 00000000'));
  });

  test('AuthenticationSASL', () => {
    expect(parsed(authenticationSasl(['SCRAM-SHA-256']))).toMatchObject({ mechanisms: ['SCRAM-SHA-256'] });
  });
});

describe('to the server', () => {
  test('StartupMessage is what a startup packet is read from', () => {
    const message = startupMessage(
      2,
      new Map([
        ['user', 'ä'],
        ['database', 'b'],
      ]),
    );
    expect(readStartupPacket(message)).toMatchObject({
      length: message.length,
      packet: {
        kind: 'startup',
        minor: 2,
        parameters: new Map([
          ['user', 'ä'],
          ['database', 'b'],
        ]),
      },
    });
  });

  test('SSLRequest and CancelRequest', () => {
    expect(sslRequest()).toEqual(bytes('00000008 04d2162f'));
    expect(cancelRequest(-2, bytes('01020304'))).toEqual(bytes('00000010 04d2162e fffffffe 01020304'));
    expect(readStartupPacket(cancelRequest(1, Buffer.alloc(256, 1)))?.packet).toMatchObject({
      kind: 'cancel_request',
    });
  });

  test('Query, Execute, Sync, CopyFail', () => {
    expect(query('a')).toEqual(bytes('51 00000006 6100'));
    expect(execute('p')).toEqual(bytes('45 0000000a 7000 00000000'));
    expect(sync()).toEqual(bytes('53 00000004'));
    expect(copyFail('n')).toEqual(bytes('66 00000006 6e00'));
  });
});
