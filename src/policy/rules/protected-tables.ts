import { z } from 'zod';
import type { Catalog } from '../../catalog/catalog.js';
import type { Action, RelationName, StatementFacts } from '../../sql/facts.js';
import { tablePatternMatches, tablePatternNamesSchema, tablePatterns } from '../glob.js';
import type { TablePattern } from '../glob.js';
import { namePattern } from '../name-pattern.js';
import { changedBeside } from '../reach.js';
import { defineRule } from '../rule.js';
import type { RuleFinding } from '../rule.js';
import { quoted } from '../words.js';

/** Operations that name a schema and with it everything inside. */
const SCHEMA_OPERATIONS: ReadonlySet<string> = new Set(['drop_schema', 'alter_schema']);

/** Writes and DDL on the listed tables, and on a schema that a pattern names; also where another name leads to them. */
export const protectedTables = defineRule({
  id: 'protected-tables',
  title: 'writes and DDL on the listed tables',
  defaultAction: null,
  scope: 'statement',
  options: z.strictObject({
    tables: z.array(namePattern).min(1).meta({
      description: 'the tables to protect: name or schema.name, * as wildcard, folded and quoted as in SQL',
    }),
  }),
  check: (subject, options) => {
    const { statement } = subject;
    const patterns = tablePatterns(options.tables);
    if (!changesAnything(statement)) return [];
    const catalog = subject.catalog;
    // Keyed by the table: one that several parts of a statement change is one finding, the plainest.
    const found = new Map<string, RuleFinding>();
    nameFindings(statement, patterns, catalog, found);
    schemaFindings(statement, patterns, found);
    if (catalog !== null) reachedFindings(statement, patterns, catalog, found);
    return [...found.values()];
  },
});

/** What reads only, and most statements do, is nothing that the catalog needs to be asked about. */
function changesAnything({ actions, relations }: StatementFacts): boolean {
  return (
    relations.some(({ mode }) => mode !== 'read') ||
    actions.some(({ operation }) => CHANGES.has(operation) || SCHEMA_OPERATIONS.has(operation))
  );
}

function nameFindings(
  statement: StatementFacts,
  patterns: readonly TablePattern[],
  catalog: Catalog | null,
  found: Map<string, RuleFinding>,
): void {
  for (const target of changedNames(statement)) {
    const name = quoted(target);
    const pattern = patterns.find((candidate) => mayMean(candidate, target, catalog));
    if (pattern === undefined || found.has(name)) continue;
    found.set(name, {
      message: `${name} is protected by "${pattern.text}", and this statement would change it.`,
      hint: target.schema === null && pattern.schema !== null ? SPELL_SCHEMA : ASK,
      offset: placeOf(statement, target),
    });
  }
}

/** The relations that a statement names as what it changes. */
function changedNames({ actions, relations }: StatementFacts): readonly RelationName[] {
  return [
    ...actions.filter(({ operation }) => CHANGES.has(operation)).flatMap(({ targets }) => targets),
    ...relations.filter(({ mode }) => mode !== 'read'),
  ];
}

function placeOf({ actions }: StatementFacts, { schema, name }: RelationName): number | null {
  const action = actions.find(({ targets }) =>
    targets.some((other) => other.name === name && other.schema === schema),
  );
  return action?.offset ?? null;
}

/** Whether a name may mean a table of the pattern. Of a name that the catalog does not have, anything may be true. */
function mayMean(pattern: TablePattern, target: RelationName, catalog: Catalog | null): boolean {
  if (!tablePatternMatches(pattern, target)) return false;
  if (catalog === null || target.schema !== null || pattern.schema === null) return true;
  const candidates = catalog.relationsNamed(target);
  return candidates.length === 0 || candidates.some((candidate) => tablePatternMatches(pattern, candidate));
}

function schemaFindings(
  { actions }: StatementFacts,
  patterns: readonly TablePattern[],
  found: Map<string, RuleFinding>,
): void {
  for (const { operation, targets, offset } of actions) {
    if (!SCHEMA_OPERATIONS.has(operation)) continue;
    for (const target of targets) {
      const pattern = patterns.find((candidate) => tablePatternNamesSchema(candidate, target.name));
      if (pattern === undefined) continue;
      found.set(`schema ${target.name}`, {
        message: `The schema ${quoted(target)} holds what "${pattern.text}" protects, and this statement would change it.`,
        hint: ASK,
        offset,
      });
    }
  }
}

/** Protected tables that the statement changes without naming them. */
function reachedFindings(
  statement: StatementFacts,
  patterns: readonly TablePattern[],
  catalog: Catalog,
  found: Map<string, RuleFinding>,
): void {
  const changed = changedNames(statement);
  for (const { relation, how, action } of changedBeside(catalog, statement, changed)) {
    const pattern = patterns.find((candidate) => tablePatternMatches(candidate, relation));
    const name = quoted(relation);
    // What is named is said already, with its schema or without.
    if (pattern === undefined || found.has(name) || found.has(quoted({ schema: null, name: relation.name })))
      continue;
    found.set(name, {
      message: `${how(name)}, which "${pattern.text}" protects.`,
      hint: ASK,
      offset: action.offset,
    });
  }
}

const ASK = 'Ask for a role whose policy does not protect it.';
const SPELL_SCHEMA =
  'If a table of another schema is meant, write its schema: without one the strictest reading holds.';

/** Operations whose targets are the relations that they change; the facts list these under `relations` as well. */
const CHANGES: ReadonlySet<string> = new Set([
  'insert',
  'update',
  'delete',
  'merge',
  'copy_from',
  'truncate',
  'drop_table',
  'drop_view',
  'drop_materialized_view',
  'drop_sequence',
  'drop_foreign_table',
  'drop_index',
] satisfies Action['operation'][]);
