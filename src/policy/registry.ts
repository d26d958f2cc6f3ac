/**
 * The only list of rules. Ids, the policy file's schema, its JSON Schema and
 * the pages in docs/rules/ all derive from it or are tested against it.
 *
 * The order is that of importance among equals: of two rules of the same action
 * at the same place in the text, the first one words the refusal.
 */
import type { Rule } from './rule.js';
import { cascade } from './rules/cascade.js';
import { dropColumn } from './rules/drop-column.js';
import { dropDatabase } from './rules/drop-database.js';
import { dropSchema } from './rules/drop-schema.js';
import { dropTable } from './rules/drop-table.js';
import { jsonOverwrite } from './rules/json-overwrite.js';
import { multiStatement } from './rules/multi-statement.js';
import { opaqueCode } from './rules/opaque-code.js';
import { protectedTables } from './rules/protected-tables.js';
import { recoveryReady } from './rules/recovery-ready.js';
import { requireWhere } from './rules/require-where.js';
import { rowLimit } from './rules/row-limit.js';
import { softDelete } from './rules/soft-delete.js';
import { tautologicalWhere } from './rules/tautological-where.js';
import { truncate } from './rules/truncate.js';
import { writeBudget } from './rules/write-budget.js';

export const RULES: readonly Rule[] = [
  cascade,
  requireWhere,
  tautologicalWhere,
  truncate,
  dropDatabase,
  dropSchema,
  dropTable,
  dropColumn,
  protectedTables,
  jsonOverwrite,
  softDelete,
  rowLimit,
  opaqueCode,
  multiStatement,
  writeBudget,
  recoveryReady,
];

const BY_ID: ReadonlyMap<string, Rule> = new Map(RULES.map((rule) => [rule.id, rule]));

export function ruleById(id: string): Rule | null {
  return BY_ID.get(id) ?? null;
}
