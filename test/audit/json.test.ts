import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonString } from '../../src/audit/json.js';

describe('jsonString', () => {
  it.each([
    ['plain SQL', 'SELECT 1 FROM "t"', String.raw`"SELECT 1 FROM \"t\""`],
    ['a line end', 'a\nb', String.raw`"a\nb"`],
    ['other scripts, as they are', 'naïve 東京 🚲', '"naïve 東京 🚲"'],
    ['DEL', '\u007f', String.raw`"\u007f"`],
    ['a C1 control, CSI to a terminal', 'é\u009b31m', String.raw`"é\u009b31m"`],
    ['line and paragraph separators', '\u2028\u2029', String.raw`"\u2028\u2029"`],
    ['a bidirectional override', '\u202Edrop\u202C', String.raw`"\u202edrop\u202c"`],
    ['bidirectional isolates', '\u2066\u2069', String.raw`"\u2066\u2069"`],
    ['zero-width characters and the byte order mark', '\u200b\ufeff', String.raw`"\u200b\ufeff"`],
    ['a tag character, beyond the BMP', '\u{e0041}', String.raw`"\udb40\udc41"`],
    ['a lone surrogate', 'a\ud800b', '"a\ufffdb"'],
    ['a backslash beside an override', '\\\u202e', String.raw`"\\\u202e"`],
  ])('%s', (_name, text, expected) => {
    expect(jsonString(text)).toBe(expected);
  });

  it('gives every well-formed string back, in one line without controls', () => {
    const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(anything, (text) => {
        const literal = jsonString(text);
        expect(JSON.parse(literal)).toBe(text);
        expect(literal).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      }),
    );
  });
});
