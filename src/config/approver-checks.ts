/**
 * What the approvers of a policy say about each other: one person must be one
 * entry, and one token one person's.
 *
 * Law: that of policy-checks.ts.
 */
import type { Problem } from './problems.js';
import type { YamlSource } from './yaml-source.js';

type Entry = Readonly<Record<string, unknown>>;

export function approverProblems(source: YamlSource, approvers: readonly Entry[]): Problem[] {
  return [
    ...sharedTokens(source, approvers),
    ...sharedUsers(source, approvers),
    ...patterns(source, approvers),
  ];
}

/** Whose vote would it be? */
function sharedTokens(source: YamlSource, approvers: readonly Entry[]): Problem[] {
  const hashOf = (entry: Entry): string | null => {
    const hash = entry['token_sha256'];
    return typeof hash === 'string' ? hash.toLowerCase() : null;
  };
  return approvers.flatMap((entry, at) => {
    const hash = hashOf(entry);
    const first = approvers.findIndex((other) => hashOf(other) === hash);
    return hash === null || first === at
      ? []
      : [
          source.problem(
            ['approvers', at, 'token_sha256'],
            `${nameOf(entry)} and ${nameOf(approvers[first])} have one token; each approver needs their own`,
          ),
        ];
  });
}

/** Two entries with one name are one person, and could not give two approvals. (One `name` twice is policy-checks.ts.) */
function sharedUsers(source: YamlSource, approvers: readonly Entry[]): Problem[] {
  return approvers.flatMap((entry, at) => {
    const earlier = approvers.slice(0, at);
    const problem = (
      path: readonly (string | number)[],
      user: string,
      other: Entry | undefined,
    ): Problem[] =>
      other === undefined
        ? []
        : [
            source.problem(
              ['approvers', at, ...path],
              `"${user}" is ${nameOf(other)} already; a database user belongs to one approver`,
            ),
          ];
    const { name } = entry;
    return [
      ...(typeof name === 'string'
        ? problem(
            ['name'],
            name,
            earlier.find((other) => other['name'] !== name && usersOf(other).includes(name)),
          )
        : []),
      ...usersOf(entry).flatMap((user, index) =>
        problem(
          ['users', index],
          user,
          earlier.find((other) => namesOf(other).includes(user)),
        ),
      ),
    ];
  });
}

/** They would be taken for the name of a user, and the person could approve their own statements. */
function patterns(source: YamlSource, approvers: readonly Entry[]): Problem[] {
  return approvers.flatMap((entry, at) =>
    usersOf(entry).flatMap((user, index) =>
      user.includes('*')
        ? [
            source.problem(
              ['approvers', at, 'users', index],
              `"${user}": database users of an approver are names, not patterns`,
            ),
          ]
        : [],
    ),
  );
}

function nameOf(entry: Entry | undefined): string {
  const name = entry?.['name'];
  return typeof name === 'string' ? `"${name}"` : 'another approver';
}

function usersOf(entry: Entry): readonly string[] {
  const users = entry['users'];
  return Array.isArray(users) ? users.filter((user) => typeof user === 'string') : [];
}

function namesOf(entry: Entry): readonly string[] {
  const name = entry['name'];
  return typeof name === 'string' ? [name, ...usersOf(entry)] : usersOf(entry);
}
