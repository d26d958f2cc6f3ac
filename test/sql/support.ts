/** What the SQL tests share: one loaded parser, and the short way to a statement's facts. */
import { beforeAll, expect } from 'vitest';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { ACCESS_LEVELS, type Access, type StatementFacts } from '../../src/sql/facts.js';

/** Loads the grammar before the tests of a file. */
export function withParser(): void {
  beforeAll(loadParser);
}

/** The facts of all statements of a text, which must parse and be classified. */
export function statements(sql: string): readonly StatementFacts[] {
  const analysis = analyze(sql);
  expect(analysis, sql).toMatchObject({ kind: 'statements' });
  return analysis.kind === 'statements' ? analysis.statements : [];
}

/** The facts of the only statement of a text. */
export function facts(sql: string): StatementFacts {
  const [first, ...others] = statements(sql);
  expect(others).toEqual([]);
  if (first === undefined) throw new Error(`no statement in ${sql}`);
  return first;
}

/** The highest access that any statement of a text needs; `none` where nothing is needed. */
export function access(sql: string): Access {
  let highest = 0;
  for (const statement of statements(sql)) {
    for (const need of statement.needs) highest = Math.max(highest, ACCESS_LEVELS.indexOf(need.access));
  }
  return ACCESS_LEVELS[highest] ?? 'admin';
}

/** The actions of a text in one line each: `delete(t) where=none in the CTE "d"`. */
export function actions(sql: string): string[] {
  return statements(sql).flatMap((statement) =>
    statement.actions.map(({ operation, targets, cascade, where, within }) =>
      [
        `${operation}(${targets.map((target) => [target.schema, target.name].filter((part) => part !== null).join('.')).join(', ')})`,
        cascade ? 'cascade' : '',
        where === 'not_applicable' ? '' : `where=${where}`,
        within,
      ]
        .filter((part) => part !== '')
        .join(' '),
    ),
  );
}

/** The relations of a text: `read t`, `write billing.invoices`. */
export function relations(sql: string): string[] {
  return statements(sql).flatMap((statement) =>
    statement.relations.map(
      ({ mode, schema, name }) => `${mode} ${schema === null ? name : `${schema}.${name}`}`,
    ),
  );
}
