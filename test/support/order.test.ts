import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ALONE, LONGEST } from './order.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const files = readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name.split(path.sep).join('/')}`);

test('a file that replaces a module has a process of its own, and no other file has', () => {
  const replaces = /\bvi\.(?:mock|doMock)\(/;
  const found = files.filter((file) => replaces.test(readFileSync(path.join(ROOT, file), 'utf8')));
  expect(found.sort()).toEqual([...ALONE].sort());
});

test('every file that is named is there', () => {
  expect(LONGEST.filter((file) => !files.includes(file))).toEqual([]);
});
