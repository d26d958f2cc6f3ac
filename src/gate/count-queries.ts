/**
 * The queries that count, as the conversation prepares them on the server.
 *
 * Law: the server keeps one prepared query under a name, so the name says which text it is.
 */
import { hash } from 'node:crypto';
import { COUNT_QUERIES, COUNT_QUERIES_ANEW } from '../impact/counts.js';
import type { CountSql, Scope } from '../impact/counts.js';
import type { CountQuery } from '../session/ports.js';

export interface CountQueryPair {
  readonly before: CountQuery;
  readonly after: CountQuery;
}

/** What is asked before and after an execution, by what of it is counted. */
export type CountQueries = Readonly<Record<Scope, CountQueryPair>>;

function named(sql: string): CountQuery {
  return { name: `holdfast_count_${hash('sha256', sql, 'hex').slice(0, 16)}`, sql };
}

function pair({ before, after }: CountSql): CountQueryPair {
  return { before: named(before), after: named(after) };
}

function pairs({ changed, remade, all }: Readonly<Record<Scope, CountSql>>): CountQueries {
  return { changed: pair(changed), remade: pair(remade), all: pair(all) };
}

const PLAIN = pairs(COUNT_QUERIES);
const ANEW = pairs(COUNT_QUERIES_ANEW);

/** Servers from this version on have pg_stat_force_next_flush (PostgreSQL 15, release notes). */
const STARTS_ANEW_FROM = 15;

/** @param version the server's, as it reports its parameter server_version; null: it has not */
export function countQueriesFor(version: string | null): CountQueries {
  return Number.parseInt(version ?? '', 10) >= STARTS_ANEW_FROM ? ANEW : PLAIN;
}
