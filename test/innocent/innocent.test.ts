/**
 * Nothing innocent is stopped: the shipped policy (config/policy.yaml) lets each
 * statement of the corpus pass for a user of the role that it belongs to.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { parsePolicy } from '../../src/config/policy-file.js';
import { judge } from '../../src/policy/engine.js';
import { matchRole } from '../../src/policy/match.js';
import type { Judgement, Policy, Role } from '../../src/policy/types.js';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { INNOCENTS, ROLES } from './corpus.js';
import type { InnocentRole } from './corpus.js';
import { READS } from '../e2e/read-role.statements.js';
import { KNOWN_REFUSED } from './known-refused.js';

/** Whom the shipped policy gives each access. */
const USERS: Readonly<Record<InnocentRole, string>> = {
  read: 'analyst_kim',
  write: 'svc_shop',
  ddl: 'eng_dana',
};

let policy: Policy;

beforeAll(async () => {
  await loadParser();
  const file = new URL('../../config/policy.yaml', import.meta.url);
  const parsed = parsePolicy(readFileSync(file, 'utf8'), 'policy.yaml', {});
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  policy = parsed.policy;
});

function roleOf(access: InnocentRole): Role {
  const role = matchRole(policy, {
    user: USERS[access],
    database: 'shop',
    application: '',
    address: '127.0.0.1',
  });
  if (role?.access !== access)
    throw new Error(`the shipped policy has no role with ${access} access for ${USERS[access]}`);
  return role;
}

function word(access: InnocentRole, sql: string): string {
  const judgement: Judgement = judge(analyze(sql), roleOf(access), {
    environment: 'production',
    database: 'shop',
    catalog: null,
    catalogUnknown: 'text',
  });
  if (judgement.verdict === 'allow' || judgement.verdict === 'warn') return 'passes';
  return `${judgement.decisive?.rule ?? 'nothing'}: ${judgement.decisive?.message ?? ''}`;
}

test('the corpus is large, and nothing stands in it twice', () => {
  const keys = INNOCENTS.filter(({ session }) => session === null).map(({ source, role, sql, parameters }) =>
    JSON.stringify([source, role, sql, parameters]),
  );
  expect(INNOCENTS.length).toBeGreaterThan(450);
  expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);
});

describe.each(ROLES)('%s', (access) => {
  const sources = [...new Set(INNOCENTS.filter(({ role }) => role === access).map(({ source }) => source))];
  test.each(sources)('%s', (name) => {
    const refused = INNOCENTS.filter(({ role, source }) => role === access && source === name)
      .map(({ sql, place }) => ({ place, sql, word: word(access, sql) }))
      .filter((statement) => statement.word !== 'passes');
    expect(refused).toEqual([]);
  });
});

test.each(Object.entries(READS))('recorded for a read role: %s', (_client, statements) => {
  const refused = statements
    .map(({ sql }) => ({ sql, word: word('read', sql) }))
    .filter((statement) => statement.word !== 'passes');
  expect(refused).toEqual([]);
});

test.each(KNOWN_REFUSED.filter(({ knowing }) => knowing === 'text'))(
  '$source, refused by $rule: $sql',
  ({ role, sql, rule }) => {
    expect(word(role, sql)).toMatch(new RegExp(`^${rule}: `));
  },
);
