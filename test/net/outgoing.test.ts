/** Bytes leave in order, and none before the records they rest on; what lost its records never leaves. */
import { describe, expect, test } from 'vitest';
import { Outgoing } from '../../src/net/outgoing.js';

function setUp(onLost: (outgoing: Outgoing) => void = () => undefined) {
  const said: string[] = [];
  const callbacks: ((error: Error | null) => void)[] = [];
  const outgoing: Outgoing = new Outgoing({
    write: (chunks) => said.push(`write ${Buffer.concat(chunks).toString()}`),
    sent: (mark) => said.push(`sent ${mark}`),
    whenDurable: (callback) => callbacks.push(callback),
    lost: () => {
      said.push('lost');
      onLost(outgoing);
    },
  });
  return {
    said,
    outgoing,
    add: (text: string, recorded: boolean, mark: number): void => {
      outgoing.add(Buffer.from(text));
      outgoing.close(recorded, mark);
    },
    durable: (error: Error | null = null): void => {
      const callback = callbacks.shift();
      if (callback === undefined) throw new Error('the audit log has nothing to call back for');
      callback(error);
    },
  };
}

describe('in order', () => {
  test('without records at once, in one write', () => {
    const { said, outgoing } = setUp();
    outgoing.add(Buffer.from('a'));
    outgoing.add(Buffer.from('b'));
    expect(outgoing.waiting).toBe(2);
    outgoing.close(false, 1);
    expect(said).toEqual(['write ab', 'sent 1']);
    expect(outgoing.waiting).toBe(0);
    outgoing.close(false, 2);
    expect(said).toHaveLength(2);
  });

  test('with records when they are durable; what needs none waits behind', () => {
    const { said, outgoing, add, durable } = setUp();
    add('a', true, 1);
    add('b', false, 2);
    add('c', true, 3);
    add('d', false, 4);
    expect([said, outgoing.waiting]).toEqual([[], 4]);
    durable();
    expect([said, outgoing.waiting]).toEqual([['write ab', 'sent 2'], 2]);
    durable();
    expect(said.slice(2)).toEqual(['write cd', 'sent 4']);
    add('e', false, 5);
    expect(said.slice(4)).toEqual(['write e', 'sent 5']);
  });

  test('records without bytes hold back what follows', () => {
    const { said, outgoing, add, durable } = setUp();
    outgoing.close(true, 1);
    add('b', false, 2);
    expect(said).toEqual([]);
    durable();
    expect(said).toEqual(['write b', 'sent 2']);
  });
});

describe('records lost', () => {
  test('nothing that waited leaves, and later call backs for it change nothing', () => {
    const { said, outgoing, add, durable } = setUp();
    add('a', true, 1);
    add('b', true, 2);
    add('c', false, 3);
    outgoing.add(Buffer.from('open'));
    durable(new Error('disk full'));
    expect([said, outgoing.waiting]).toEqual([['lost'], 0]);
    durable();
    expect(said).toEqual(['lost']);
  });

  test('what takes its place leaves, and what comes after waits for its own record', () => {
    const { said, add, durable } = setUp((outgoing) => {
      outgoing.add(Buffer.from('refused'));
      outgoing.close(false, 9);
    });
    add('a', true, 1);
    add('b', true, 2);
    durable(new Error('disk full'));
    expect(said).toEqual(['lost', 'write refused', 'sent 9']);
    add('c', true, 10);
    // The call back for b comes first.
    durable(new Error('disk full'));
    expect(said).toHaveLength(3);
    durable();
    expect(said.slice(3)).toEqual(['write c', 'sent 10']);
  });

  test('what had become durable before left', () => {
    const { said, add, durable } = setUp();
    add('a', true, 1);
    add('b', true, 2);
    durable();
    durable(new Error('disk full'));
    expect(said).toEqual(['write a', 'sent 1', 'lost']);
  });

  test('twice', () => {
    const { said, add, durable } = setUp();
    add('a', true, 1);
    durable(new Error('disk full'));
    add('b', true, 2);
    durable(new Error('disk full'));
    add('c', true, 3);
    durable();
    expect(said).toEqual(['lost', 'lost', 'write c', 'sent 3']);
  });
});
