/**
 * `holdfast incidents`: every incident is run again, twice, on a real server: by a
 * client that talks straight to PostgreSQL, and by the same client through a live
 * Holdfast with the shipped policy, to which two approvers are added.
 *
 * Law of this file: the table shows what happened and nothing else. Rows are
 * counted in the database before and after; verdict and rule are read from the
 * audit log. What no rule can stop yet is called so, and only where that rule is
 * missing from the registry.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { ruleById } from '../policy/registry.js';
import { VERDICTS, type Verdict } from '../policy/types.js';
import { startEmbedded } from './embedded.js';
import { writePolicyWithApprovers } from './approvers.js';
import type { DemoApprover } from './approvers.js';
import { CONNECTION_LIMIT, INCIDENT_FORMS, type IncidentForm } from './incident-forms.js';
import { decide } from './incident-people.js';
import type { Asked } from './incident-people.js';
import { startDemoProxy } from './proxy.js';
import {
  copyDatabase,
  createShop,
  databaseUrl,
  dropDatabase,
  SHOP_DATABASE,
  SHOP_PASSWORD,
  withClient,
} from './shop.js';
import { formatTable } from './table.js';

const TEMPLATE = 'shop_template';

/** What one run of a form did. `after` is null when the database or table is gone. */
interface Run {
  readonly before: number;
  readonly after: number | null;
  readonly error: Error | null;
  /** Who was asked about it, and what they saw; null: nobody. */
  readonly asked: Asked | null;
}

/** What the audit log says of the run through Holdfast. */
interface Judged {
  readonly verdict: Verdict;
  readonly rules: readonly string[];
}

export type IncidentResult =
  | 'stopped'
  /** It waited, those saw it who must, all of them approved it, and it ran. */
  | 'approved'
  /** None of the form's rules exists in this version, and nothing else stopped it. */
  | 'not yet stopped'
  /** A rule exists for it, and it happened all the same. */
  | 'NOT STOPPED'
  /** Straight to PostgreSQL it did no damage either: the replay proves nothing. */
  | 'NOT REPLAYED';

export interface IncidentOutcome {
  readonly form: IncidentForm;
  readonly direct: Run;
  readonly through: Run;
  readonly judged: Judged | null;
  readonly result: IncidentResult;
}

/**
 * Replays all incidents and prints one table.
 *
 * @returns the exit status: 0 when everything that a rule exists for was stopped, else 1.
 * @throws OperatorError when the embedded PostgreSQL is not installed or does not start.
 */
export async function incidents(print: (text: string) => void = toStandardOutput): Promise<number> {
  const outcomes = await replayIncidents();
  print(
    'Rows (for the outage: free connections) before, after it went straight to PostgreSQL, after it went through Holdfast:\n\n',
  );
  print(`${formatTable(HEADINGS, outcomes.map(tableRow))}\n\n`);
  for (const { form, through } of outcomes) {
    if (through.error !== null) print(`${form.incident}: ${describe(through.error)}\n`);
  }
  for (const { form, through } of outcomes) {
    if (through.asked !== null) print(`\n${askedInWords(form, through.asked)}`);
  }
  const late = outcomes.filter((outcome) => outcome.result === 'not yet stopped');
  const failed = outcomes.filter((outcome) => outcome.result.startsWith('NOT'));
  const approved = outcomes.filter((outcome) => outcome.result === 'approved');
  const stopped = outcomes.length - late.length - failed.length - approved.length;
  print(`\n${String(stopped)} of ${String(outcomes.length)} stopped`);
  if (approved.length > 0) print(`; ${String(approved.length)} run as approved`);
  if (late.length > 0) {
    const missing = new Set(late.flatMap((outcome) => outcome.form.rules));
    print(`; ${String(late.length)} not yet: this version has no ${[...missing].join(', ')}`);
  }
  print(failed.length > 0 ? `; ${String(failed.length)} FAILED\n` : '\n');
  return failed.length > 0 ? 1 : 0;
}

/** Replays all incidents, each in a copy of the shop of its own. */
export async function replayIncidents(): Promise<readonly IncidentOutcome[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'holdfast-incidents-'));
  const audit = await mkdtemp(path.join(tmpdir(), 'holdfast-incidents-audit-'));
  try {
    await chmod(directory, 0o755);
    const password = randomBytes(12).toString('hex');
    const server = await startEmbedded({
      directory,
      password,
      ephemeral: true,
      // Few, so that taking all of them does not take long.
      postgresFlags: ['-c', 'max_connections=40'],
    });
    try {
      await createShop(server.url, TEMPLATE);
      const auditPath = path.join(audit, 'audit.jsonl');
      const policyPath = path.join(audit, 'policy.yaml');
      const approvers = await writePolicyWithApprovers(policyPath);
      const proxy = await startDemoProxy({ upstream: server, port: 0, adminPort: 0, auditPath, policyPath });
      const people = { adminPort: proxy.adminPort, approvers };
      const runs: { form: IncidentForm; direct: Run; through: Run }[] = [];
      try {
        for (const form of INCIDENT_FORMS) {
          const direct = await replay(form, server.url, server.port, null);
          const through = await replay(form, server.url, proxy.port, people);
          runs.push({ form, direct, through });
        }
      } finally {
        // The log is whole only when its writer is closed.
        await proxy.close();
      }
      const judgements = await readJudgements(auditPath);
      return runs.map((run) => {
        const judged = judgements.get(applicationName(run.form)) ?? null;
        return { ...run, judged, result: resultOf(run.form, run.direct, run.through) };
      });
    } finally {
      await server.stop();
    }
  } finally {
    await rm(audit, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  }
}

/** Runs one form in a new copy of the database TEMPLATE, by way of `port`; `people` decide about it where it waits. The copy has the shop's own name: a policy may match it. */
async function replay(
  form: IncidentForm,
  superuserUrl: string,
  port: number,
  people: { readonly adminPort: number; readonly approvers: readonly DemoApprover[] } | null,
): Promise<Run> {
  await copyDatabase(superuserUrl, TEMPLATE, SHOP_DATABASE);
  try {
    const before = await countRows(form, superuserUrl);
    if (before === null) throw new Error(`nothing to count before incident ${form.id}`);
    const clients: pg.Client[] = [];
    const open = async () => {
      const client = new pg.Client({
        host: '127.0.0.1',
        port,
        user: form.user,
        password: SHOP_PASSWORD,
        database: form.database,
        application_name: applicationName(form),
      });
      client.on('error', () => undefined);
      await client.connect();
      clients.push(client);
      return client;
    };
    try {
      const client = await open();
      const answered = new AbortController();
      const running = form
        .run(client, open)
        .then(
          () => null,
          (caught: unknown) => (caught instanceof Error ? caught : new Error(String(caught))),
        )
        .finally(() => {
          answered.abort();
        });
      const asked =
        people === null || form.people === undefined
          ? null
          : await decide(form.people, applicationName(form), people, answered.signal);
      const error = await running;
      return { before, after: await countRows(form, superuserUrl), error, asked };
    } finally {
      for (const client of clients) await client.end();
    }
  } finally {
    await dropDatabase(superuserUrl, SHOP_DATABASE);
  }
}

/** PostgreSQL: undefined_table, invalid_catalog_name (no such database). */
const GONE = new Set(['42P01', '3D000']);

async function countRows(form: IncidentForm, superuserUrl: string): Promise<number | null> {
  try {
    return await withClient(databaseUrl(superuserUrl, SHOP_DATABASE), async (client) => {
      const { rows } = await client.query<{ count: string }>(form.count);
      return Number(rows[0]?.count);
    });
  } catch (error) {
    if (error instanceof pg.DatabaseError && GONE.has(error.code ?? '')) return null;
    throw error;
  }
}

function applicationName(form: IncidentForm): string {
  return `holdfast-incident-${form.id}`;
}

function refusedByHoldfast(error: Error | null): boolean {
  return error instanceof pg.DatabaseError && (error.routine ?? '').startsWith('holdfast/');
}

/** It waited, nobody had approved it when it was shown, and it ran with all approvals that it needed. */
function ranAsApproved({ asked, error, after }: Run, direct: Run): boolean {
  if (asked === null || error !== null || after !== direct.after) return false;
  const { needed, given } = asked.after.approvals;
  return asked.before.state === 'requested' && asked.before.approvals.given === 0 && given >= needed;
}

function resultOf(form: IncidentForm, direct: Run, through: Run): IncidentResult {
  if (direct.after === direct.before) return 'NOT REPLAYED';
  if (ranAsApproved(through, direct)) return 'approved';
  const unharmed = through.after === through.before;
  const some = form.gradual === true && through.after !== null && through.after > (direct.after ?? 0);
  if (refusedByHoldfast(through.error) && (unharmed || some)) return 'stopped';
  return form.rules.some(ruleExists) ? 'NOT STOPPED' : 'not yet stopped';
}

/** Whether this version has it. */
export function ruleExists(rule: string): boolean {
  return rule === CONNECTION_LIMIT || ruleById(rule) !== null;
}

/** What was said most strictly to each application in an audit log: of a statement, or of what it turned out to change. */
async function readJudgements(auditPath: string): Promise<Map<string, Judged>> {
  const judgements = new Map<string, Judged>();
  /** By the ids of decisions. */
  const applications = new Map<string, string | undefined>();
  for (const line of (await readFile(auditPath, 'utf8')).split('\n')) {
    if (line === '') continue;
    const record = JSON.parse(line) as {
      readonly kind?: string;
      readonly id?: string;
      readonly decision?: string;
      readonly application?: string;
      readonly verdict?: Verdict;
      readonly matches?: readonly { readonly rule: string; readonly action: Verdict }[];
    };
    const { kind, matches } = record;
    if (kind === 'decision' && record.id !== undefined) applications.set(record.id, record.application);
    const application = kind === 'outcome' ? applications.get(record.decision ?? '') : record.application;
    const verdict = kind === 'outcome' ? matches?.[0]?.action : record.verdict;
    if ((kind !== 'decision' && kind !== 'outcome') || application === undefined || verdict === undefined)
      continue;
    const known = judgements.get(application);
    if (known !== undefined && VERDICTS.indexOf(known.verdict) >= VERDICTS.indexOf(verdict)) continue;
    const decisive = (matches ?? []).filter((match) => match.action === verdict).map((match) => match.rule);
    judgements.set(application, { verdict, rules: [...new Set(decisive)] });
  }
  return judgements;
}

const HEADINGS = ['incident', 'statement', 'verdict', 'rule', 'before', 'direct', 'Holdfast', 'result'];

function tableRow({ form, direct, through, judged, result }: IncidentOutcome): string[] {
  return [
    form.incident,
    form.statement,
    ...verdictAndRule(judged, through.error),
    String(through.before),
    rowsAfter(direct),
    rowsAfter(through),
    result,
  ];
}

function verdictAndRule(judged: Judged | null, error: Error | null): [string, string] {
  // A session that is refused at login makes no decision: its error tells.
  const routine = error instanceof pg.DatabaseError ? (error.routine ?? '') : '';
  if (routine === `holdfast/${CONNECTION_LIMIT}`) return ['refused', CONNECTION_LIMIT];
  if (judged === null) return ['?', '-'];
  return [judged.verdict, judged.rules.length === 0 ? '-' : judged.rules.join(', ')];
}

/** What the approvers saw of a statement that waited, and what they said. */
function askedInWords({ incident }: IncidentForm, { before, after }: Asked): string {
  const details = before.matches.flatMap(({ rule, message, detail }) => [
    `${rule}: ${message}`,
    ...(detail === null ? [] : [detail]),
  ]);
  const said = after.votes.map(
    ({ approver, choice, reason }) =>
      `${approver} ${choice === 'deny' ? 'denies it' : 'approves it'}: ${reason ?? '-'}`,
  );
  const who = `${before.user} in ${before.environment}, database ${before.database}`;
  const needed = `it needs ${String(before.approvals.needed)} approvals from ${before.groups.join(', ')}`;
  return [`${incident}: ${who}, asks for ${before.sql}; ${needed}`, ...details, ...said].join('\n  ') + '\n';
}

function rowsAfter({ after }: Run): string {
  return after === null ? 'gone' : String(after);
}

function describe(error: Error): string {
  if (!(error instanceof pg.DatabaseError)) return error.message;
  const more = [error.detail, error.hint].filter((text) => text !== undefined);
  return [error.message, ...more].join('\n  ');
}

function toStandardOutput(text: string): void {
  process.stdout.write(text);
}
