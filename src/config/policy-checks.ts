/**
 * What the entries of a policy say about each other: names used twice, roles
 * that can never match, groups that nobody belongs to.
 *
 * Law: works on the file's plain data, also when other parts of it are wrong,
 * so that these mistakes are reported together with all others.
 */
import { globMatches } from '../policy/glob.js';
import { networkContains } from '../policy/match.js';
import { approverProblems } from './approver-checks.js';
import type { Problem } from './problems.js';
import { foldSettingName, judgeSetting } from '../sql/settings.js';
import { sessionNameProblem, sessionValue, sessionValueProblem } from './session-settings.js';
import type { YamlSource } from './yaml-source.js';

type Entry = Readonly<Record<string, unknown>>;

export function crossProblems(source: YamlSource): Problem[] {
  const data = source.data();
  const roles = entries(field(data, 'roles'));
  const approvers = entries(field(data, 'approvers'));
  return [
    ...duplicates(source, 'roles', roles, 'role'),
    ...duplicates(source, 'approvers', approvers, 'approver'),
    ...unreachable(source, roles),
    ...holds(source, roles, approvers),
    ...undos(source, roles),
    ...approverProblems(source, approvers),
    ...sessionValues(source, roles),
  ];
}

function sessionValues(source: YamlSource, roles: readonly Entry[]): Problem[] {
  return roles.flatMap((role, at) =>
    Object.entries(mapping(role['session'])).flatMap(([name, value]) => {
      const path = ['roles', at, 'session', name];
      if (sessionNameProblem(name) !== null || source.hasProblem(path) || !isScalar(value)) return [];
      const problem = sessionValueProblem(name, value) ?? backstopProblem(role, name, value);
      return problem === null ? [] : [source.problem(path, problem)];
    }),
  );
}

/** A role that only reads has its transactions read only on the server too; a setting that lifts this contradicts its access. */
function backstopProblem(role: Entry, name: string, value: string | number | boolean): string | null {
  const access = role['access'] ?? 'read';
  if (foldSettingName(name) !== 'default_transaction_read_only' || (access !== 'none' && access !== 'read'))
    return null;
  return judgeSetting('default_transaction_read_only', sessionValue(value)).needs.length === 0
    ? null
    : `a role of ${access} access keeps its transactions read only`;
}

function duplicates(source: YamlSource, list: string, all: readonly Entry[], word: string): Problem[] {
  return all.flatMap((entry, at) => {
    const name = entry['name'];
    const first = all.findIndex((other) => other['name'] === name);
    return typeof name === 'string' && first < at
      ? [source.problem([list, at, 'name'], `there are two ${word}s of the name "${name}"`)]
      : [];
  });
}

/** The first match counts, so a role behind one that takes all its sessions is dead, and its author does not know. */
function unreachable(source: YamlSource, roles: readonly Entry[]): Problem[] {
  return roles.flatMap((role, at) => {
    const name = role['name'];
    if (typeof name !== 'string') return [];
    const before = roles.slice(0, at).find((earlier) => takesAllOf(earlier, role));
    if (before === undefined) return [];
    const what = matchesEverything(before) ? 'every session' : 'every session that it would';
    return [
      source.problem(
        ['roles', at, 'name'],
        `role "${name}" can never match: role "${String(before['name'])}" before it matches ${what}`,
      ),
    ];
  });
}

const GLOB_LISTS = ['users', 'databases', 'applications'] as const;
const ALL_NETWORKS = ['0.0.0.0/0', '::/0'];

function takesAllOf(earlier: Entry, later: Entry): boolean {
  const outer = earlier['match'];
  const inner = later['match'];
  // A match that is no mapping is a mistake of its own, and says nothing.
  if (!isMatch(outer) || !isMatch(inner)) return false;
  return (
    GLOB_LISTS.every((list) =>
      covers(patterns(outer, list, ['*']), patterns(inner, list, ['*']), globMatches),
    ) &&
    covers(
      patterns(outer, 'networks', ALL_NETWORKS),
      patterns(inner, 'networks', ALL_NETWORKS),
      networkContains,
    )
  );
}

function matchesEverything(role: Entry): boolean {
  return takesAllOf(role, {});
}

/**
 * Every inner pattern lies within some outer one. A glob's text matched by a
 * glob is enough for that: the inner `*` can only be met by an outer `*`.
 */
function covers(
  outer: readonly string[],
  inner: readonly string[],
  within: (outer: string, inner: string) => boolean,
): boolean {
  return inner.length > 0 && inner.every((pattern) => outer.some((candidate) => within(candidate, pattern)));
}

function patterns(match: unknown, list: string, all: readonly string[]): readonly string[] {
  const value = field(match, list);
  return value === undefined ? all : strings(value);
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function mapping(value: unknown): Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Entry) : {};
}

function isMatch(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value));
}

function holds(source: YamlSource, roles: readonly Entry[], approvers: readonly Entry[]): Problem[] {
  return roles.flatMap((role, at) => {
    const hold = role['hold'];
    const groups = strings(field(hold, 'approvers'));
    const problems = groups.flatMap((group, index) =>
      membersOf([group], approvers) > 0
        ? []
        : [
            source.problem(
              ['roles', at, 'hold', 'approvers', index],
              `no approver belongs to the group "${group}", so nobody could approve`,
            ),
          ],
    );
    const wanted = field(hold, 'approvals') ?? 1;
    const members = membersOf(groups, approvers);
    if (problems.length === 0 && groups.length > 0 && typeof wanted === 'number' && wanted > members) {
      problems.push(
        source.problem(
          ['roles', at, 'hold', 'approvals'],
          `${wanted} approvals are wanted, but only ${members} ${members === 1 ? 'approver belongs' : 'approvers belong'} to ${groups.join(', ')}`,
        ),
      );
    }
    return problems;
  });
}

/** Old rows are kept of what was approved, and known from what was tried. */
function undos(source: YamlSource, roles: readonly Entry[]): Problem[] {
  return roles.flatMap((role, at) => {
    if (role['undo'] === undefined) return [];
    const problems = Object.entries(mapping(role['rules'])).flatMap(([rule, setting]) =>
      field(setting, 'preview') === 'estimate'
        ? [
            source.problem(
              ['roles', at, 'rules', rule, 'preview'],
              'which old rows are to be kept is known when the statement has been tried: "undo" goes with preview: measure',
            ),
          ]
        : [],
    );
    return role['hold'] === undefined
      ? [
          ...problems,
          source.problem(
            ['roles', at, 'undo'],
            'old rows are kept of what was approved, and the role has no "hold" setting, which says who approves',
          ),
        ]
      : problems;
  });
}

function membersOf(groups: readonly string[], approvers: readonly Entry[]): number {
  return approvers.filter((approver) => strings(approver['groups']).some((group) => groups.includes(group)))
    .length;
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Entry)[key]
    : undefined;
}

function entries(value: unknown): readonly Entry[] {
  if (!Array.isArray(value)) return [];
  // An item that is no mapping keeps its place, so that indexes stay those of the file.
  return value.map((item: unknown) =>
    typeof item === 'object' && item !== null ? (item as Entry) : { match: null },
  );
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
