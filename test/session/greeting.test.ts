/** The greeting: orders of packets, and bytes that come too early (CVE-2021-23214 and its kin). */
import { describe, expect, test } from 'vitest';
import { greet } from '../../src/session/greeting.js';
import type { GreetingState } from '../../src/session/greeting.js';
import { int32 } from './messages.js';

const SSL = Buffer.concat([int32(8), int32(80_877_103)]);
const GSS = Buffer.concat([int32(8), int32(80_877_104)]);
const CANCEL = Buffer.concat([int32(16), int32(80_877_102), int32(7), int32(9)]);
const STARTUP = Buffer.concat([int32(16), int32(3 << 16), Buffer.from('user\0a\0\0')]);

/** Walks through packets, each after the answer to the one before. */
function walk(packets: readonly Buffer[], tls: boolean): string {
  let state: GreetingState = 'fresh';
  const steps: string[] = [];
  for (const packet of packets) {
    const step = greet(state, packet, tls);
    steps.push(step.kind);
    if (step.kind === 'answer_no') state = step.state;
    if (step.kind === 'answer_tls' || step.kind === 'direct_tls') state = 'encrypted';
  }
  return steps.join(' ');
}

describe('orders', () => {
  test('with TLS on offer', () => {
    expect(walk([STARTUP], true)).toBe('start');
    expect(walk([SSL, STARTUP], true)).toBe('answer_tls start');
    expect(walk([GSS, SSL, STARTUP], true)).toBe('answer_no answer_tls start');
    expect(walk([SSL, CANCEL], true)).toBe('answer_tls cancel');
  });

  test('without TLS', () => {
    expect(walk([SSL, STARTUP], false)).toBe('answer_no start');
    expect(walk([GSS, SSL, STARTUP], false)).toBe('answer_no answer_no start');
    expect(walk([SSL, GSS, CANCEL], false)).toBe('answer_no answer_no cancel');
  });

  test('each kind of encryption may be asked for once', () => {
    for (const packets of [
      [SSL, SSL],
      [GSS, GSS],
      [SSL, GSS, SSL],
      [GSS, SSL, GSS],
    ]) {
      expect(() => walk(packets, false)).toThrow('unexpected');
    }
    expect(() => walk([SSL, SSL], true)).toThrow('unexpected');
    expect(() => walk([SSL, GSS], true)).toThrow('unexpected');
  });
});

describe('bytes that come too early', () => {
  test('behind SSLRequest and GSSENCRequest', () => {
    for (const request of [SSL, GSS]) {
      for (const surplus of [Buffer.from('x'), STARTUP]) {
        for (const tls of [true, false]) {
          expect(() => greet('fresh', Buffer.concat([request, surplus]), tls)).toThrow('unencrypted data');
        }
      }
    }
  });

  test('behind StartupMessage they are handed on', () => {
    const step = greet('encrypted', Buffer.concat([STARTUP, Buffer.from('Q')]), true);
    expect(step.kind === 'start' && step.rest.toString()).toBe('Q');
  });
});

describe('direct TLS', () => {
  const hello = Buffer.from([0x16, 0x03, 0x01]);

  test('by its first byte, at once', () => {
    expect(greet('fresh', hello.subarray(0, 1), true)).toEqual({ kind: 'direct_tls' });
  });

  test('not without TLS, not behind another packet, not within TLS', () => {
    const whole = Buffer.concat([hello, Buffer.alloc(10)]);
    expect(() => greet('fresh', whole, false)).toThrow('invalid length');
    for (const state of ['ssl_refused', 'gss_refused', 'both_refused', 'encrypted'] as const) {
      expect(() => greet(state, whole, true)).toThrow('invalid length');
    }
  });
});

test('nothing is decided before a packet is whole', () => {
  for (const packet of [SSL, GSS, CANCEL, STARTUP]) {
    for (let length = 0; length < packet.length; length++) {
      expect(greet('fresh', packet.subarray(0, length), true)).toEqual({ kind: 'need_data' });
    }
  }
});
