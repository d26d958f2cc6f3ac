/**
 * The queries that count, as the conversation prepares them on the server.
 *
 * Law: the server keeps one prepared query under a name, so the name says which text it is.
 */
import { hash } from 'node:crypto';
import { COUNT_QUERIES } from '../impact/counts.js';
import type { Scope } from '../impact/counts.js';
import type { CountQuery, Guard } from '../session/ports.js';

function countQuery(sql: string): CountQuery {
  return { name: `holdfast_count_${hash('sha256', sql, 'hex').slice(0, 16)}`, sql };
}

function countQueries(scope: Scope): Pick<Guard, 'before' | 'after'> {
  const { before, after } = COUNT_QUERIES[scope];
  return { before: countQuery(before), after: countQuery(after) };
}

/** What is asked before and after an execution, by what of it is counted. */
export const COUNTS: Readonly<Record<Scope, Pick<Guard, 'before' | 'after'>>> = {
  changed: countQueries('changed'),
  all: countQueries('all'),
};
