/**
 * The shipped policy with people in it who approve, for the demo and the incidents.
 *
 * Law of this file: tokens are made anew at each start and are nowhere but in the
 * memory of this process and, as their SHA-256, in the policy that it writes. The
 * shipped policy names nobody: a token that everybody knows would be none.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { isMap, isSeq, parseDocument } from 'yaml';
import { loadSettings } from '../config/settings.js';

export interface DemoApprover {
  readonly name: string;
  readonly group: string;
  readonly token: string;
}

/** Who asks in the demo: what this role's rules hold waits. */
const ROLE = 'engineers';
const APPROVALS = 2;
const PEOPLE = [
  { name: 'kim', group: 'dba', users: ['dba_kim'] },
  { name: 'lee', group: 'oncall', users: ['eng_lee'] },
] as const;

/** Writes the shipped policy with `hold` for the engineers, and two approvers, to `file`. */
export async function writePolicyWithApprovers(file: string): Promise<readonly DemoApprover[]> {
  const shipped = (await loadSettings(undefined, process.env)).policy;
  const approvers = PEOPLE.map(({ name, group }) => ({
    name,
    group,
    token: randomBytes(24).toString('hex'),
  }));
  const text = withApprovers(await readFile(shipped, 'utf8'), approvers);
  await writeFile(file, text, { mode: 0o600 });
  return approvers;
}

function withApprovers(policy: string, approvers: readonly DemoApprover[]): string {
  const document = parseDocument(policy);
  document.commentBefore = ' The shipped policy, with approvers whose tokens are made at each start.';
  const roles = document.get('roles');
  const role = isSeq(roles)
    ? roles.items.find((item) => isMap(item) && item.get('name') === ROLE)
    : undefined;
  if (!isMap(role)) throw new Error(`the shipped policy has no role "${ROLE}"`);
  const groups = PEOPLE.map(({ group }) => group);
  role.set(
    'hold',
    document.createNode({
      approvals: APPROVALS,
      approvers: groups,
      timeout: '10m',
      in_transaction_timeout: '60s',
    }),
  );
  document.set(
    'approvers',
    PEOPLE.map(({ name, group, users }, index) => ({
      ...{ name, groups: [group], users: [...users] },
      token_sha256: createHash('sha256')
        .update(approvers[index]?.token ?? '')
        .digest('hex'),
    })),
  );
  return document.toString({ lineWidth: 0 });
}
