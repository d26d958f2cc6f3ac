/**
 * What `holdfast demo` prints when everything runs. What it says of a statement is
 * asked of the policy in force, so the page never promises what is not so.
 */
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { judge } from '../policy/engine.js';
import { matchRole } from '../policy/match.js';
import type { Policy } from '../policy/types.js';
import { analyze, loadParser } from '../sql/analyze.js';
import type { DemoApprover } from './approvers.js';
import type { EmbeddedServer } from './embedded.js';
import type { DemoProxy } from './proxy.js';
import { SHOP_DATABASE, SHOP_PASSWORD, SHOP_USERS, type ShopUser } from './shop.js';
import { formatTable } from './table.js';

/** What `holdfast holds` asks when nobody says. */
const USUAL_ADMIN_PORT = 9432;

interface Example {
  readonly user: ShopUser;
  readonly sql: string;
}

/** What waits for two people. */
const HELD = 'DROP TABLE orders_backup';

const EXAMPLES: readonly Example[] = [
  { user: 'analyst', sql: 'SELECT status, count(*) FROM orders GROUP BY status' },
  { user: 'shop_app', sql: 'UPDATE products SET stock = stock - 1 WHERE id = 7' },
  { user: 'eng_dana', sql: 'TRUNCATE account_type CASCADE' },
  { user: 'shop_app', sql: 'DELETE FROM orders' },
  { user: 'eng_dana', sql: HELD },
  {
    user: 'analyst',
    sql: 'WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING *) SELECT count(*) FROM gone',
  },
];

export interface DemoPageContent {
  readonly proxy: DemoProxy;
  readonly server: Pick<EmbeddedServer, 'host' | 'port'>;
  readonly auditPath: string;
  readonly policyPath: string;
  /** Who can approve; their tokens are shown, since nobody but this terminal can know them. */
  readonly approvers: readonly DemoApprover[];
  /** The data directory outlives this run. */
  readonly kept: boolean;
  /** psql is on the PATH. */
  readonly psql: boolean;
}

/** The whole page, ending in a newline. */
export async function demoPage(content: DemoPageContent): Promise<string> {
  const { proxy, server, auditPath, policyPath, approvers, kept, psql } = content;
  await loadParser();
  const users = SHOP_USERS.map(({ name, who }) => {
    const role = matchRole(proxy.policy, login(name));
    return [name, who, role === null ? '-' : `${role.name}: ${role.access}`, url(proxy, name)];
  });
  const examples = EXAMPLES.map(({ user, sql }) => [
    user,
    `${sql};`,
    outcome(proxy.policy, proxy.environment, user, sql),
  ]);
  const command = (user: ShopUser, sql: string) =>
    psql
      ? `psql '${url(proxy, user)}' -c '${sql}'`
      : `node --input-type=module -e "import pg from 'pg'; const c = new pg.Client('${url(proxy, user)}'); await c.connect(); ` +
        `await c.query('${sql}').then((r) => console.log(r.command, r.rowCount), (e) => console.log(e.message, e.hint)); await c.end()"`;
  return `
Holdfast stands before a PostgreSQL with a small shop in it.

${indent(formatTable(['user', 'who', 'role: access', 'through Holdfast'], users))}

Without Holdfast, to compare: ${url(server, 'eng_dana')}

Try${psql ? '' : ' (psql is not on the PATH; with it the URLs above work as they are)'}:

  ${command('eng_dana', 'TRUNCATE account_type CASCADE')}

${indent(formatTable(['user', 'statement', 'what becomes of it'], examples))}

To see a statement wait for two people (it can be tried ${kept ? 'once, until orders_backup is made again' : 'once'}):

  ${command('eng_dana', HELD)}

and meanwhile, in another terminal, ${approvers.map(({ name, group }) => `${name} (${group})`).join(' and then ')}:

${indent(approvers.map(({ token }) => `export HOLDFAST_TOKEN=${token}\n${holds(proxy, 'list')}\n${holds(proxy, 'approve ID')}`).join('\n'))}

Policy     ${policyPath}   the shipped one and these two; a change counts within two seconds
Approvals  http://${proxy.host}:${String(proxy.adminPort)}/   the same in a browser: paste a token
Metrics    http://${proxy.host}:${String(proxy.adminPort)}/metrics
Audit log  ${auditPath}
Incidents  node dist/cli.js incidents   replays the accidents this is for, with and without it

Ctrl-C stops it all; the data ${kept ? 'stays for the next time' : 'is removed'}.
`;
}

/** The command line of `holdfast holds`, with the address where it is not the usual one. */
function holds({ host, adminPort }: DemoProxy, what: string): string {
  const url = adminPort === USUAL_ADMIN_PORT ? '' : ` --url http://${host}:${String(adminPort)}`;
  return `node dist/cli.js holds ${what}${url}`;
}

/** Whether a program named psql is in one of the directories of `searchPath` (the variable PATH). */
export async function hasPsql(searchPath: string): Promise<boolean> {
  for (const directory of searchPath.split(path.delimiter)) {
    if (directory === '') continue;
    const found = await access(path.join(directory, 'psql'), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

function login(user: ShopUser) {
  return { user, database: SHOP_DATABASE, application: 'psql', address: '127.0.0.1' };
}

function outcome(policy: Policy, environment: string, user: ShopUser, sql: string): string {
  const role = matchRole(policy, login(user));
  if (role === null) return 'refused at login: no role matches';
  const { verdict, decisive } = judge(analyze(sql), role, {
    environment,
    database: SHOP_DATABASE,
    catalog: null,
    catalogUnknown: 'text',
  });
  if (verdict === 'allow') return 'runs';
  return decisive === null ? verdict : `${verdict}: ${decisive.rule}`;
}

function url(at: { readonly host: string; readonly port: number }, user: ShopUser): string {
  return `postgres://${user}:${SHOP_PASSWORD}@${at.host}:${String(at.port)}/${SHOP_DATABASE}`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
