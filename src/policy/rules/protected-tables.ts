import { z } from 'zod';
import type { RelationName, StatementFacts } from '../../sql/facts.js';
import { parseTablePattern, tablePatternMatches, tablePatternNamesSchema } from '../glob.js';
import type { TablePattern } from '../glob.js';
import { defineRule } from '../rule.js';
import type { RuleFinding } from '../rule.js';
import { quoted } from '../words.js';

const tablePattern = z
  .string()
  .check((context) => {
    const parsed = parseTablePattern(context.value);
    if ('problem' in parsed) {
      context.issues.push({ code: 'custom', input: context.value, message: parsed.problem });
    }
  })
  .meta({ description: 'name or schema.name; * stands for any run of characters' });

/** Operations that name a schema and with it everything inside. */
const SCHEMA_OPERATIONS: ReadonlySet<string> = new Set(['drop_schema', 'alter_schema']);

/** Writes and DDL on the listed tables, and on a schema that a pattern names. */
export const protectedTables = defineRule({
  id: 'protected-tables',
  title: 'writes and DDL on the listed tables',
  defaultAction: null,
  scope: 'statement',
  options: z.strictObject({
    tables: z.array(tablePattern).min(1).meta({
      description: 'the tables to protect: name or schema.name, * as wildcard, folded and quoted as in SQL',
    }),
  }),
  check: ({ statement }, options) => {
    const patterns = options.tables.map(parseTablePattern).filter((pattern) => 'text' in pattern);
    return [...relationFindings(statement, patterns), ...schemaFindings(statement, patterns)];
  },
});

function relationFindings(statement: StatementFacts, patterns: readonly TablePattern[]): RuleFinding[] {
  const changed: readonly RelationName[] = [
    ...statement.actions.filter(({ operation }) => CHANGES.has(operation)).flatMap(({ targets }) => targets),
    ...statement.relations.filter(({ mode }) => mode !== 'read'),
  ];
  // Keyed by name: one table that several parts of a statement change is one finding.
  const findings = new Map<string, RuleFinding>();
  for (const target of changed) {
    const name = quoted(target);
    const pattern = patterns.find((candidate) => tablePatternMatches(candidate, target));
    if (pattern === undefined || findings.has(name)) continue;
    const action = statement.actions.find(({ targets }) => targets.some((other) => quoted(other) === name));
    findings.set(name, {
      message: `${name} is protected by "${pattern.text}", and this statement would change it.`,
      hint: target.schema === null && pattern.schema !== null ? SPELL_SCHEMA : ASK,
      offset: action?.offset ?? null,
    });
  }
  return [...findings.values()];
}

function schemaFindings(statement: StatementFacts, patterns: readonly TablePattern[]): RuleFinding[] {
  return statement.actions
    .filter((action) => SCHEMA_OPERATIONS.has(action.operation))
    .flatMap((action) =>
      action.targets.flatMap((target) => {
        const pattern = patterns.find((candidate) => tablePatternNamesSchema(candidate, target.name));
        if (pattern === undefined) return [];
        return [
          {
            message: `The schema ${quoted(target)} holds what "${pattern.text}" protects, and this statement would change it.`,
            hint: ASK,
            offset: action.offset,
          },
        ];
      }),
    );
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
]);
