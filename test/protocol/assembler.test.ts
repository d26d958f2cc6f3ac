/** A message in pieces: it comes out whole, and memory follows what has arrived. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageAssembler } from '../../src/protocol/assembler.js';
import { bytes } from './bytes.js';

test('any message, cut anywhere, with another behind it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 700 }), (body, size) => {
      const header = Buffer.alloc(5, 'Q');
      header.writeUInt32BE(body.length + 4, 1);
      const message = Buffer.concat([header, body]);
      const stream = Buffer.concat([message, Buffer.from('next')]);
      const assembler = new MessageAssembler();
      let taken = 0;
      for (let start = 0; assembler.whole() === null; start += size) {
        const piece = stream.subarray(start, start + size);
        let position = 0;
        while (position < piece.length && assembler.whole() === null)
          position += assembler.add(piece, position);
        taken += position;
      }
      expect(assembler.whole()?.equals(message)).toBe(true);
      expect(taken).toBe(message.length);
    }),
  );
});

test('type and length as soon as they are there', () => {
  const assembler = new MessageAssembler();
  expect([assembler.type, assembler.length, assembler.size]).toEqual([0, null, 0]);
  assembler.add(bytes('51'), 0);
  expect([assembler.type, assembler.length]).toEqual([0x51, null]);
  assembler.add(bytes('ffffffff'), 0);
  expect([assembler.length, assembler.whole()]).toEqual([0xffffffff, null]);
});

test('a length word of 4 GB costs nothing', () => {
  const before = process.memoryUsage().arrayBuffers;
  const assemblers = Array.from({ length: 100 }, () => {
    const assembler = new MessageAssembler();
    assembler.add(bytes('51 ffffffff'), 0);
    return assembler;
  });
  expect(assemblers.length).toBe(100);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
});
