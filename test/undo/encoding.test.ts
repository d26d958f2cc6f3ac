/** A document is read back as it was written, or not at all. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UndoError } from '../../src/undo/document.js';
import type { UndoDocument } from '../../src/undo/document.js';
import { decodeUndo, encodedUndo } from '../../src/undo/encoding.js';
import { document, table } from './documents.js';

const encodeUndo = (whole: UndoDocument): string => [...encodedUndo(whole)].join('');

const value = fc.option(fc.string({ unit: 'binary' }));
const image = fc.option(fc.tuple(value, value));
const rows = fc.array(
  fc
    .record({ table: fc.nat(1), was: image, left: image })
    .filter(({ was, left }) => was !== null || left !== null),
);

test('any values', () => {
  fc.assert(
    fc.property(rows, fc.string({ unit: 'binary' }), (some, sql) => {
      const whole = document({ sql, tables: [table(), table({ name: 'b\n"' })], rows: some });
      // A lone surrogate is no text of PostgreSQL's; JSON keeps it all the same.
      expect(decodeUndo(encodeUndo(whole))).toEqual(whole);
    }),
  );
});

test('half of it, and a byte that is another one, are refused', () => {
  const text = encodeUndo(document());
  for (let end = 0; end < text.length; end++) expect(() => decodeUndo(text.slice(0, end))).toThrow(UndoError);
  for (let at = 0; at < text.length; at++) {
    const changed = `${text.slice(0, at)}${text[at] === 'x' ? 'y' : 'x'}${text.slice(at + 1)}`;
    expect(() => decodeUndo(changed), changed).toThrow(UndoError);
  }
  expect(() => decodeUndo(`${text}\n`)).toThrow(UndoError);
});

test('rows that fit no table are refused', () => {
  for (const row of [
    { table: 1, was: ['1', 'a'], left: null },
    { table: 0, was: ['1'], left: null },
    { table: 0, was: null, left: null },
  ])
    expect(() => decodeUndo(encodeUndo(document({ rows: [row] })))).toThrow('a row fits none of its tables');
});

test('a large one comes in pieces of whole lines', () => {
  const large = document({
    rows: Array.from({ length: 5000 }, (_, id) => ({
      table: 0,
      was: [id.toString(), 'n'.repeat(50)],
      left: null,
    })),
  });
  const pieces = [...encodedUndo(large)];
  expect(pieces.length).toBeGreaterThan(4);
  for (const piece of pieces) {
    expect(piece.endsWith('\n')).toBe(true);
    expect(piece.length).toBeLessThan(70_000);
  }
  expect(decodeUndo(pieces.join(''))).toEqual(large);
});
