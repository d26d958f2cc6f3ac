/** The allow-list of node types against the grammar's own list. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { NEVER_PARSED, NODE_TYPES } from '../../src/sql/nodes.js';
import { OBJECT_KINDS } from '../../src/sql/objects.js';
import { createCollector, TOP } from '../../src/sql/collect.js';
import { topSource } from '../../src/sql/source.js';
import { HANDLERS, walk } from '../../src/sql/walk.js';

/** Resolved as libpg-query itself resolves its own dependency. */
const require = createRequire(createRequire(import.meta.url).resolve('libpg-query'));
const TYPES_PACKAGE = '@pgsql/types';
/** Generated from the protobuf definition that libpg-query itself is built from. */
const TYPES = readFileSync(require.resolve(TYPES_PACKAGE).replace(/index\.js$/, 'types.d.ts'), 'utf8');
const ENUMS = readFileSync(require.resolve(TYPES_PACKAGE).replace(/index\.js$/, 'enums.d.ts'), 'utf8');

/** Every node type of the grammar's `Node` union. */
const GRAMMAR = [...TYPES.matchAll(/^ {4}(\w+): \1;$/gm)].map((match) => match[1] ?? '');

/** Node type → field → the declared type of the field. */
const FIELDS = new Map(
  [...TYPES.matchAll(/export interface (\w+) \{([^}]*)\}/g)].map((match) => [
    match[1] ?? '',
    [...(match[2] ?? '').matchAll(/(\w+)\?: ([^;]+);/g)].map(
      (field) => [field[1] ?? '', field[2] ?? ''] as const,
    ),
  ]),
);

/** Node types that no raw tree holds. */
const NEVER = Object.values(NEVER_PARSED).flatMap((names) => names.split(/\s+/));

describe('the allow-list of node types', () => {
  it('decides about every node type of the grammar, exactly once', () => {
    expect(GRAMMAR.length).toBeGreaterThan(250);
    const decided = [...Object.keys(NODE_TYPES), ...NEVER];
    expect(decided.toSorted()).toEqual(GRAMMAR.toSorted());
    expect(new Set(decided).size).toBe(decided.length);
  });

  it('knows the type of every field that the tree prints without its wrapper', () => {
    for (const [type, known] of Object.entries(NODE_TYPES)) {
      const declared = (FIELDS.get(type) ?? []).filter(([, of]) => FIELDS.has(of) && !NEVER.includes(of));
      expect(Object.fromEntries(declared), type).toEqual(known);
    }
  });

  it('has a handler for every statement', () => {
    const statements = Object.keys(NODE_TYPES).filter((type) => type.endsWith('Stmt'));
    // These are no commands: a wrapper of the grammar, the RETURN of a function, and a part of ALTER TABLE.
    const parts = ['RawStmt', 'ReturnStmt', 'ReplicaIdentityStmt'];
    expect(statements.filter((type) => !HANDLERS.has(type)).toSorted()).toEqual(parts.toSorted());
  });

  it('handles no node type that is not allowed', () => {
    for (const type of HANDLERS.keys()) expect(NODE_TYPES).toHaveProperty(type);
  });

  it('decides about every kind of object', () => {
    const union = /export type ObjectType = ([^;]+);/.exec(ENUMS)?.[1] ?? '';
    const kinds = [...union.matchAll(/"(\w+)"/g)].map((match) => match[1] ?? '');
    expect(Object.keys(OBJECT_KINDS).toSorted()).toEqual(kinds.toSorted());
  });
});

describe('the walk', () => {
  const unexpected = () => {
    throw new Error('not expected');
  };
  const collector = () =>
    createCollector(topSource('', [0, 0], { toUtf16: (byte) => byte }), {
      inner: unexpected,
      body: unexpected,
    });

  it.each([
    ['at the top', { FutureStmt: {} }, 'FutureStmt'],
    ['in a wrapped field', { SelectStmt: { whereClause: { FutureExpr: { location: 7 } } } }, 'FutureExpr'],
    ['in a list', { SelectStmt: { targetList: [{ FutureExpr: {} }] } }, 'FutureExpr'],
    ['in an unwrapped field', { SelectStmt: { larg: { whereClause: { FutureExpr: {} } } } }, 'FutureExpr'],
    ['in an unwrapped field of unknown type', { SelectStmt: { futureClause: { a: 1 } } }, 'an unnamed node'],
    ['of a later stage of the server', { SelectStmt: { whereClause: { OpExpr: {} } } }, 'OpExpr'],
    ['that looks like a property of every object', { constructor: {} }, 'an unnamed node'],
  ])('refuses an unknown node %s', (_place, tree, type) => {
    expect(walk(tree, TOP, collector())).toMatchObject({ type });
  });

  it('takes an empty object in a list for a null entry, as SELECT DISTINCT has it', () => {
    expect(walk({ SelectStmt: { distinctClause: [{}] } }, TOP, collector())).toBeNull();
  });

  it('goes on below a depth that no call stack holds', () => {
    let tree: unknown = { A_Const: {} };
    for (let depth = 0; depth < 200_000; depth += 1) tree = { A_Expr: { lexpr: tree } };
    expect(walk({ SelectStmt: { whereClause: tree } }, TOP, collector())).toBeNull();
  });
});
