/** Bytes that are written together. */
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Gathering, writeTogether } from '../../src/net/gathering.js';

function gathering() {
  const writes: string[] = [];
  const subject = new Gathering((chunks) => {
    writes.push(Buffer.concat(chunks).toString());
  });
  const add = (text: string): void => {
    subject.add(Buffer.from(text));
  };
  return { subject, writes, add };
}

describe('what gathers', () => {
  it('leaves at once where nobody asks for more', () => {
    const { writes, add } = gathering();
    add('a');
    add('b');
    expect(writes).toEqual(['a', 'b']);
  });

  it('leaves in one write, in order, when it is released, and what follows at once', () => {
    const { subject, writes, add } = gathering();
    subject.gather();
    add('a');
    add('b');
    subject.gather();
    add('c');
    expect(writes).toEqual([]);
    subject.release();
    add('d');
    expect(writes).toEqual(['abc', 'd']);
  });

  it('writes nothing when nothing has gathered', () => {
    const { subject, writes } = gathering();
    subject.gather();
    subject.release();
    subject.release();
    expect(writes).toEqual([]);
  });

  it('does not grow beyond its limit', () => {
    const { subject, writes, add } = gathering();
    subject.gather();
    add('x'.repeat(65_536));
    expect(writes).toEqual([]);
    add('y');
    expect(writes.map(({ length }) => length)).toEqual([65_537]);
  });
});

describe('one write', () => {
  function socket() {
    const calls: string[] = [];
    const one = {
      write: (bytes: Buffer) => calls.push(bytes.length.toString()) < 3,
      cork: () => calls.push('cork'),
      uncork: () => calls.push('uncork'),
    };
    return { one: one as unknown as Socket, calls };
  }
  const bytes = (...lengths: number[]) => lengths.map((length) => Buffer.alloc(length));

  it.each([
    ['nothing', [], [], true],
    ['one piece', [5], ['5'], true],
    ['small pieces', [5, 6, 7], ['18'], true],
    ['large ones', [16_384, 1], ['cork', '16384', '1', 'uncork'], false],
  ] as const)('is made of %s', (_what, lengths, calls, flowing) => {
    const { one, calls: made } = socket();
    expect(writeTogether(one, bytes(...lengths))).toBe(flowing);
    expect(made).toEqual(calls);
  });
});
