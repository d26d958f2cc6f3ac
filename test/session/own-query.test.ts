/** Holdfast's own question to the server, its answer in every cut. */
import { expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/violation.js';
import { ownQuery } from '../../src/session/own-query.js';
import { backend } from './messages.js';

const answer = (...lines: string[]): Buffer => Buffer.concat(lines.map(backend));

test('rows, with what the server may send at any time kept for the client', () => {
  const bytes = answer(
    'RowDescription',
    'ParameterStatus "a" "b"',
    'DataRow "100"',
    'CommandComplete "SHOW"',
    'NoticeResponse 00000',
    'ReadyForQuery I',
    'NotificationResponse "a" "b"',
  );
  for (let cutAt = 0; cutAt <= bytes.length; cutAt++) {
    const own = ownQuery(1000);
    const found = own.receive(bytes.subarray(0, cutAt)) ?? own.receive(bytes.subarray(cutAt));
    expect(found?.result).toEqual({ rows: [['100']], status: 'I' });
    expect(found?.relay.map((message) => message.toString('latin1', 0, 1))).toEqual(['S', 'N']);
  }
});

test('by the extended protocol: rows of the statements behind each other', () => {
  const steps = ['ParseComplete', 'BindComplete', 'CommandComplete "SET"', 'CloseComplete', 'CloseComplete'];
  const bytes = answer(
    ...steps,
    'ParseComplete',
    'BindComplete',
    'DataRow "7"',
    'CommandComplete "SELECT 1"',
    'ReadyForQuery I',
  );
  expect(ownQuery(1000).receive(bytes)?.result).toEqual({ rows: [['7']], status: 'I' });
});

test('an error', () => {
  const found = ownQuery(1000).receive(answer('ErrorResponse 42501', 'ReadyForQuery E'));
  expect(found?.result).toEqual({ error: { sqlstate: '42501', message: 'no' }, status: 'E' });
});

test('what does not belong to a query, and too much of what does', () => {
  for (const line of [
    'CopyInResponse',
    'PortalSuspended',
    'Authentication 0',
    '0x7a00000004',
    '0x5400000003',
  ]) {
    expect(() => ownQuery(1000).receive(answer(line)), line).toThrow(ProtocolViolation);
  }
  const row = answer('DataRow "100"');
  expect(() => ownQuery(row.length - 2).receive(row)).toThrow(ProtocolViolation);
});

test('an answer that is too long as a whole is read to its end, and is an error', () => {
  const rows = Array.from({ length: 10 }, () => 'DataRow "100"');
  const bytes = answer('RowDescription', ...rows, 'CommandComplete "SELECT 10"', 'ReadyForQuery I');
  const found = ownQuery(100).receive(Buffer.concat([bytes, Buffer.from('next')]));
  expect(found?.result).toMatchObject({ error: { sqlstate: '54000' }, status: 'I' });
  expect(found?.rest.toString()).toBe('next');
});
