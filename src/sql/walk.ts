/**
 * The walk over a syntax tree.
 *
 * Law of this file: it visits every node in every field, with a stack of its own, so
 * that depth costs memory and never the call stack; a node type that is not on the
 * allow-list ends it. What nodes mean is in the tables of handlers.
 */
import type { Collector, Context } from './collect.js';
import { unwrappedFields } from './nodes.js';
import { CALLS } from './statements-calls.js';
import { DDL_TABLE } from './statements-ddl-table.js';
import { DDL } from './statements-ddl.js';
import { DML } from './statements-dml.js';
import { SESSION } from './statements-session.js';
import { integer, isTree, typeOf, type Tree } from './tree.js';
import type { Visit } from './visit.js';

/** Every node type that means something by itself. */
export const HANDLERS: ReadonlyMap<string, Visit> = new Map(
  Object.entries({ ...DML, ...CALLS, ...SESSION, ...DDL, ...DDL_TABLE }),
);

/** A node that nobody has decided about; `location` in bytes, null where it has none. */
export interface Unclassified {
  readonly type: string;
  readonly location: number | null;
}

/** Visits the statement and everything in it, in the order of the text as far as the tree keeps it. */
export function walk(statement: unknown, context: Context, collect: Collector): Unclassified | null {
  // Three parallel stacks: one allocation less for each node than a stack of frames.
  const types: string[] = [];
  const nodes: Tree[] = [];
  const contexts: Context[] = [];

  const push = (value: unknown, place: Context): Unclassified | null => {
    if (!isTree(value)) return null;
    const type = typeOf(value);
    if (type === '') {
      // An empty object in a list stands for a null entry, as in SELECT DISTINCT.
      return Object.keys(value).length === 0 ? null : { type: 'an unnamed node', location: null };
    }
    const node = value[type];
    if (!isTree(node)) return { type, location: null };
    types.push(type);
    nodes.push(node);
    contexts.push(place);
    return null;
  };

  let problem = push(statement, context);
  while (problem === null) {
    const type = types.pop();
    const node = nodes.pop();
    const place = contexts.pop();
    if (type === undefined || node === undefined || place === undefined) return null;
    const unwrapped = unwrappedFields(type);
    if (unwrapped === undefined) return { type, location: locationOf(node) };
    // A constant has no node below it, and a large INSERT is little else.
    if (type === 'A_Const') continue;

    const descent = HANDLERS.get(type)?.(node, place, collect);
    const rest = descent?.rest ?? place;
    const keys = Object.keys(node);
    for (let index = keys.length - 1; index >= 0 && problem === null; index -= 1) {
      const key = keys[index] ?? '';
      const value = node[key];
      if (typeof value !== 'object' || value === null) continue;
      const below = descent?.fields?.[key] ?? rest;
      if (Array.isArray(value)) {
        const entries = descent?.entries?.[key];
        for (let entry = value.length - 1; entry >= 0 && problem === null; entry -= 1) {
          problem = push(value[entry], entries?.[entry] ?? below);
        }
        continue;
      }
      const fixed = unwrapped.get(key);
      if (fixed === undefined) {
        problem = push(value, below);
      } else if (isTree(value)) {
        types.push(fixed);
        nodes.push(value);
        contexts.push(below);
      }
    }
  }
  return problem;
}

function locationOf(node: Tree): number | null {
  return node['location'] === undefined ? null : integer(node['location']);
}
