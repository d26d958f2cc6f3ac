/**
 * The gate of a login: which role a session has, whether what it asks for in its
 * StartupMessage may be had, and what the server is told on its behalf. A refused
 * login is a decision like any other and is recorded as one.
 */
import { hash } from 'node:crypto';
import { decisionBody, sessionConstant } from '../audit/records.js';
import type { Refusal } from '../errors.js';
import { matchRole } from '../policy/match.js';
import { judgeStartupParameters } from '../policy/startup.js';
import type { Login, Match, Role } from '../policy/types.js';
import type { StartupMessage } from '../protocol/startup.js';
import type { Notice } from '../protocol/encode.js';
import type { RoleScope } from './judged-text.js';
import { statementRecord } from './statement-record.js';
import type { GateServices } from './session-parts.js';
import { NO_ROLE } from './session-role.js';
import { INSUFFICIENT_PRIVILEGE, banner } from './words.js';

/** A login that the policy accepts, and what follows from it. */
export interface AdmittedLogin {
  readonly startup: StartupMessage;
  readonly login: Login;
  readonly scope: RoleScope;
  /** The parameters to send to the server, in order. */
  readonly serverParameters: readonly (readonly [name: string, value: string])[];
  /** default_transaction_read_only = on is among them. */
  readonly backstop: boolean;
  readonly replication: boolean;
  /** null: the role is not greeted. */
  readonly banner: Notice | null;
}

/** Values of `replication` that PostgreSQL reads as false (parse_bool, and its prefixes). */
const PLAIN_FALSE = /^(?:0|f|fa|fal|fals|false|n|no|of|off)$/i;

/**
 * Judges a StartupMessage.
 * @param sessionId names the decision that is recorded when the login is refused
 * @returns a refusal (FATAL, recorded) or the admitted login
 */
export function admitLogin(
  startup: StartupMessage,
  address: string,
  port: number,
  sessionId: string,
  services: GateServices,
): { readonly admitted: AdmittedLogin } | { readonly refusal: Refusal } {
  const { parameters } = startup;
  const user = parameters.get('user') ?? '';
  const named = parameters.get('database') ?? '';
  const database = named === '' ? user : named;
  const login: Login = { user, database, application: parameters.get('application_name') ?? '', address };
  const inForce = services.policies.current;
  const role = matchRole(inForce.policy, login);
  const scope = inForce.scope(role ?? NO_ROLE, database);
  const observing = inForce.policy.mode === 'observe';
  const replication = isReplication(parameters.get('replication'));

  const matches = observing ? [] : loginMatches(startup, role, replication);
  const decisive = matches[0];
  if (decisive !== undefined) {
    return { refusal: refuse(decisive, matches, scope, login, port, sessionId, services) };
  }

  const backstop = !observing && scope.role.access === 'read';
  return {
    admitted: {
      startup,
      login,
      scope,
      serverParameters: serverParameters(parameters, scope.role, backstop, replication),
      backstop,
      replication,
      banner: scope.role.banner ? banner(services.environment, database, scope.role, observing) : null,
    },
  };
}

function loginMatches(startup: StartupMessage, role: Role | null, replication: boolean): readonly Match[] {
  if (role === null) {
    return [
      deny(
        'No role of the policy matches this session.',
        'Whoever keeps the policy can add a role for this user, database, application and network.',
      ),
    ];
  }
  if (role.access === 'none') {
    return [deny(`Role "${role.name}" has no access.`, null)];
  }
  const matches = [...judgeStartupParameters(startup.parameters, role)];
  if (replication && role.access !== 'admin') {
    matches.push(
      deny(`Replication connections need admin access; role "${role.name}" has ${role.access}.`, null),
    );
  }
  return matches;
}

function deny(message: string, hint: string | null): Match {
  return { rule: 'access', action: 'deny', message, hint, offset: null };
}

function isReplication(value: string | undefined): boolean {
  return value !== undefined && !PLAIN_FALSE.test(value);
}

/**
 * Parameters for the server. What the policy sets comes last and wins over the
 * client's own; as start-up values they are also what RESET ALL and DISCARD ALL
 * go back to (guc.c: source PGC_S_CLIENT), so that the backstop outlives both.
 */
function serverParameters(
  parameters: ReadonlyMap<string, string>,
  role: Role,
  backstop: boolean,
  replication: boolean,
): readonly (readonly [string, string])[] {
  const all = new Map<string, string>();
  for (const [name, value] of parameters) if (name !== 'replication' || replication) all.set(name, value);
  // Without it the server would use the database's encoding, and statements can be read as UTF-8 only.
  if (![...all.keys()].some((name) => name.toLowerCase() === 'client_encoding'))
    all.set('client_encoding', 'UTF8');
  const own = new Map<string, string>(Object.entries(role.session));
  if (backstop) own.set('default_transaction_read_only', 'on');
  for (const name of [...all.keys()]) if (own.has(name.toLowerCase())) all.delete(name);
  return [...all, ...own];
}

function refuse(
  decisive: Match,
  matches: readonly Match[],
  scope: RoleScope,
  login: Login,
  port: number,
  sessionId: string,
  services: GateServices,
): Refusal {
  const record = statementRecord(scope, services.metrics, {
    operation: 'startup',
    facts: null,
    sql: { text: null, sha256: hash('sha256', '', 'hex'), bytes: 0, truncated: false, redacted: false },
    verdict: 'deny',
    matches,
    changes: [],
    measuring: null,
  });
  const decision = `${sessionId}-1`;
  services.audit.append(
    decisionBody(record.decision, {
      id: decision,
      session: sessionConstant({ session: sessionId, ...login, client: `${login.address}:${port}` }),
      protocol: 'simple',
      message: 'startup',
      parameters: null,
    }),
  );
  record.decisions.inc();
  for (const matched of record.ruleMatches) matched.inc();
  services.decisionRecords.inc();
  return {
    severity: 'FATAL',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: `holdfast: ${decisive.message}`,
    detail: `Decision ${decision}.`,
    ...(decisive.hint === null ? {} : { hint: decisive.hint }),
    routine: `holdfast/${decisive.rule}`,
  };
}
