/**
 * The policy file: config/policy.yaml, from bytes to a `Policy`.
 *
 * Law: all or nothing. A reload is `loadPolicy` called again; what it throws
 * changes nothing that is in force.
 */
import { createHash } from 'node:crypto';
import type { Approver, Policy, Role } from '../policy/types.js';
import { crossProblems } from './policy-checks.js';
import { policySchema, ruleSettings } from './policy-schema.js';
import type { RawPolicy } from './policy-schema.js';
import { ConfigError, sortedProblems } from './problems.js';
import type { Problem } from './problems.js';
import { parseWith } from './schema-problems.js';
import { sessionValue } from './session-settings.js';
import { parseYaml, readText } from './yaml-source.js';
import type { Environment } from './yaml-source.js';

/**
 * Reads and checks a policy file.
 * @throws ConfigError with every problem of the file, an unreadable file included.
 */
export async function loadPolicy(path: string, env: Environment): Promise<Policy> {
  const read = await readText(path);
  if ('problem' in read) throw new ConfigError([read.problem]);
  const parsed = parsePolicy(read.text, path, env);
  if ('problems' in parsed) throw new ConfigError(parsed.problems);
  return parsed.policy;
}

/** A policy from a file's text. Pure. `fileName` is for the problems. */
export function parsePolicy(
  text: string,
  fileName: string,
  env: Environment,
): { readonly policy: Policy } | { readonly problems: readonly Problem[] } {
  const source = parseYaml(text, fileName, env);
  if (source.data() === null) {
    return source.problems.length > 0
      ? { problems: sortedProblems(source.problems) }
      : { problems: [source.problem([], 'the file is empty: a policy has at least version and roles')] };
  }
  const result = parseWith(policySchema, source);
  const problems = [
    ...source.problems,
    ...crossProblems(source),
    ...('problems' in result ? result.problems : []),
  ];
  if (problems.length > 0 || 'problems' in result) return { problems: sortedProblems(problems) };
  return { policy: toPolicy(result.value, createHash('sha256').update(text).digest('hex')) };
}

function toPolicy(raw: RawPolicy, sha256: string): Policy {
  return {
    mode: raw.mode,
    roles: raw.roles.map(toRole),
    approvers: raw.approvers.map(toApprover),
    sha256,
  };
}

function toRole(raw: RawPolicy['roles'][number]): Role {
  const { connections, connections_percent: connectionsPercent } = raw.limits;
  const defaultAction = raw.rules.default;
  return {
    name: raw.name,
    match: raw.match,
    access: raw.access,
    limits: {
      ...(connections === undefined ? {} : { connections }),
      ...(connectionsPercent === undefined ? {} : { connectionsPercent }),
    },
    banner: raw.banner,
    session: Object.fromEntries(
      Object.entries(raw.session).map(([name, value]) => [name.toLowerCase(), sessionValue(value)]),
    ),
    rules: ruleSettings(raw.rules),
    ...(defaultAction === undefined ? {} : { defaultAction }),
    ...(raw.hold === undefined
      ? {}
      : {
          hold: {
            approvals: raw.hold.approvals,
            approvers: raw.hold.approvers,
            timeoutMs: raw.hold.timeout,
            inTransactionTimeoutMs: raw.hold.in_transaction_timeout,
            ticketTtlMs: raw.hold.ticket_ttl,
            atCommit: raw.hold.at_commit,
            style: raw.hold.style,
          },
        }),
    ...(raw.undo === undefined ? {} : { undo: raw.undo }),
  };
}

function toApprover(raw: RawPolicy['approvers'][number]): Approver {
  return {
    name: raw.name,
    groups: raw.groups,
    users: raw.users,
    ...(raw.token_sha256 === undefined ? {} : { tokenSha256: raw.token_sha256.toLowerCase() }),
    ...(raw.totp_secret === undefined ? {} : { totpSecret: raw.totp_secret }),
  };
}
