/** Facts and roles made by hand, for tests that need no parser. */
import type { Role } from '../../src/policy/types.js';
import type { Action, Analysis, StatementFacts } from '../../src/sql/facts.js';

export function action(partial: Partial<Action> & Pick<Action, 'operation'>): Action {
  return {
    effect: 'write',
    targets: [],
    cascade: false,
    where: 'not_applicable',
    tautology: null,
    assignments: [],
    columns: [],
    within: '',
    offset: 0,
    ...partial,
  };
}

export function facts(actions: readonly Action[], partial: Partial<StatementFacts> = {}): StatementFacts {
  return {
    operation: actions[0]?.operation ?? 'empty',
    effects: [...new Set(actions.map(({ effect }) => effect))],
    relations: [],
    actions,
    needs: [],
    prohibitions: [],
    settings: [],
    names: [],
    calls: [],
    secrets: [],
    literals: [],
    span: [0, 10],
    ...partial,
  };
}

export function statements(...list: readonly StatementFacts[]): Analysis {
  return { kind: 'statements', statements: list };
}

export function role(partial: Partial<Role> = {}): Role {
  return {
    name: 'tester',
    match: {},
    access: 'admin',
    limits: {},
    banner: true,
    session: {},
    rules: {},
    ...partial,
  };
}

export const table = (
  name: string,
  schema: string | null = null,
): { schema: string | null; name: string } => ({
  schema,
  name,
});

export const CONTEXT = {
  environment: 'production',
  database: 'shop',
  catalog: null,
  catalogUnknown: 'text',
} as const;

export const SELECT_ONE = facts([action({ operation: 'select', effect: 'read' })], {
  needs: [{ access: 'read', why: 'reads', hint: null, offset: 0 }],
});

export const DELETE_ALL = facts(
  [action({ operation: 'delete', targets: [table('accounts')], where: 'none' })],
  {
    relations: [{ ...table('accounts'), mode: 'write' }],
    needs: [{ access: 'write', why: 'deletes rows', hint: null, offset: 0 }],
  },
);
