/**
 * Holds through a real Holdfast: a policy under which statements wait, a database
 * with tables that it guards, and the people who decide, over the API that they use.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect } from 'vitest';
import { holdListSchema, holdSchema, problemSchema } from '../../src/admin/api/schemas.js';
import type { HoldSummaryView, HoldView } from '../../src/admin/api/schemas.js';
import { createHoldsClient } from '../../src/commands/holds-client.js';
import { watchHolds } from '../../src/commands/holds-watch.js';
import type { HoldState } from '../../src/holds/hold.js';
import { sha256, tokenOf } from '../holds/support.js';
import { startTestHoldfast } from './holdfast.js';
import type { TestHoldfast, TestSettings } from './holdfast.js';
import { createDatabase } from './postgres.js';
import type { TestDatabase } from './postgres.js';
import { createUser } from './users.js';
import type { TestUser } from './users.js';
import { wireLogin } from './wire.js';
import type { Line, WireClient } from './wire.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
/** What is not there by then will not come. Less than a test may take, so that the test says what it waited for. */
const PATIENCE_MS = 8_000;

const APPROVERS = ['dana', 'kim', 'lee'] as const;

export interface Person {
  readonly name: string;
  readonly groups?: readonly string[];
  /** Their database users. */
  readonly users?: readonly string[];
  readonly totpSecret?: string;
}

export interface HoldPolicy {
  readonly approvals?: number;
  readonly timeout?: string;
  readonly inTransactionTimeout?: string;
  /** Beside dana, kim and lee, who are in the group that approves; or instead of those with the same name. */
  readonly people?: readonly Person[];
  /** What is not to be held, such as `truncate: deny`. */
  readonly rules?: Readonly<Record<string, string>>;
}

/** Writes to `guarded`, TRUNCATE and DROP TABLE are held; everything else passes. */
export function holdPolicy(options: HoldPolicy = {}): string {
  const rules = {
    default: 'allow',
    truncate: 'hold',
    'drop-table': 'hold',
    'protected-tables': '{ action: hold, tables: [guarded] }',
    ...options.rules,
  };
  const named = options.people ?? [];
  const usual = APPROVERS.filter((name) => named.every((person) => person.name !== name));
  const people: readonly Person[] = [...usual.map((name) => ({ name })), ...named];
  return [
    'version: 1',
    'roles:',
    '  - name: engineers',
    '    access: ddl',
    `    rules: { ${Object.entries(rules)
      .map(([rule, action]) => `${rule}: ${action}`)
      .join(', ')} }`,
    `    hold: { approvals: ${(options.approvals ?? 1).toString()}, approvers: [dba], style: wait, ` +
      `timeout: ${options.timeout ?? '60s'}, in_transaction_timeout: ${options.inTransactionTimeout ?? '20s'} }`,
    'approvers:',
    ...people.map(approverLine),
    '',
  ].join('\n');
}

function approverLine({ name, groups = ['dba'], users = [], totpSecret }: Person): string {
  const secret = totpSecret === undefined ? '' : `, totp_secret: ${totpSecret}`;
  return (
    `  - { name: ${name}, groups: [${groups.join(', ')}], users: [${users.join(', ')}], ` +
    `token_sha256: "${sha256(tokenOf(name))}"${secret} }`
  );
}

export interface Ballot {
  /** An approver's name. */
  readonly as?: string;
  readonly reason?: string;
  readonly totp?: string;
}

/** What the API says to a vote. */
export interface VoteAnswer {
  readonly status: number;
  /** Why it does not count; null: it does. */
  readonly code: string | null;
  readonly message: string | null;
}

/** The approvers of one Holdfast; dana, unless somebody else is named. */
export interface Approvals {
  /** The next hold that is requested, in the order of requests; with `text`, the next whose statement has it. Each comes once. */
  next(text?: string): Promise<HoldSummaryView>;
  /** Waits until a hold is in this state. */
  entered(id: string, state: HoldState): Promise<HoldView>;
  show(id: string, as?: string): Promise<HoldView>;
  open(as?: string): Promise<readonly HoldSummaryView[]>;
  vote(choice: 'approve' | 'deny', id: string, ballot?: Ballot): Promise<VoteAnswer>;
  /** Votes that must count. */
  approve(id: string, ballot?: Ballot): Promise<void>;
  deny(id: string, ballot?: Ballot): Promise<void>;
  /** What was requested up to now is not for next() any more. */
  forget(): void;
  close(): Promise<void>;
}

/** Follows the holds of a Holdfast over its stream of events. */
export async function followHolds({ adminPort }: { readonly adminPort: number }): Promise<Approvals> {
  const url = `http://127.0.0.1:${adminPort.toString()}`;
  const latest = new Map<string, HoldSummaryView>();
  const fresh: HoldSummaryView[] = [];
  const waiting = new Set<() => void>();
  const ending = new AbortController();
  const client = createHoldsClient({ url, token: tokenOf('dana'), warn: () => undefined });

  function learn(hold: HoldSummaryView): void {
    if (!latest.has(hold.id)) fresh.push(hold);
    latest.set(hold.id, hold);
  }

  /** Asks again after every event, until there is an answer. */
  function until<T>(what: string, ask: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = (): void => {
        const answer = ask();
        if (answer === undefined) return;
        done();
        resolve(answer);
      };
      const timer = setTimeout(() => {
        done();
        const known = [...latest.values()].map(({ id, state, sql_start: sql }) => `${id} ${state}: ${sql}`);
        reject(new Error(`${what} did not come; there are:\n${known.join('\n')}`));
      }, PATIENCE_MS);
      const done = (): void => {
        clearTimeout(timer);
        waiting.delete(attempt);
      };
      waiting.add(attempt);
      attempt();
    });
  }

  let opened: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (opened = resolve));
  const following = watchHolds(client, {
    signal: ending.signal,
    onBroken: () => undefined,
    reconnectMs: 20,
    onEvent: ({ event, data }) => {
      if (event === 'open') data.holds.forEach(learn);
      else learn(data.hold);
      opened();
      for (const attempt of [...waiting]) attempt();
      return Promise.resolve();
    },
  });
  await Promise.race([begun, following]);

  function call(path: string, as: string, body?: object): Promise<Response> {
    return fetch(`${url}/api/${path}`, {
      headers: { authorization: `Bearer ${tokenOf(as)}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
  }

  async function show(id: string, as = 'dana'): Promise<HoldView> {
    const response = await call(`holds/${id}`, as);
    const body: unknown = await response.json();
    expect(response.status, JSON.stringify(body)).toBe(200);
    return holdSchema.parse(body);
  }

  async function vote(
    choice: 'approve' | 'deny',
    id: string,
    { as = 'dana', ...body }: Ballot = {},
  ): Promise<VoteAnswer> {
    const response = await call(`holds/${id}/${choice}`, as, body);
    const answer: unknown = await response.json();
    if (response.ok) {
      holdSchema.parse(answer);
      return { status: response.status, code: null, message: null };
    }
    const { error } = problemSchema.parse(answer);
    return { status: response.status, code: error.code, message: error.message };
  }

  const counted =
    (choice: 'approve' | 'deny') =>
    async (id: string, ballot?: Ballot): Promise<void> => {
      expect(await vote(choice, id, ballot)).toEqual({ status: 200, code: null, message: null });
    };

  return {
    next: (text = '') =>
      until(`a hold of "${text}"`, () => {
        const index = fresh.findIndex(({ sql_start: sql }) => sql.includes(text));
        return index < 0 ? undefined : fresh.splice(index, 1)[0];
      }),
    async entered(id, state) {
      await until(`hold ${id} as ${state}`, () => (latest.get(id)?.state === state ? true : undefined));
      return show(id);
    },
    show,
    async open(as = 'dana') {
      const response = await call('holds?limit=500', as);
      return holdListSchema.parse(await response.json()).holds;
    },
    vote,
    approve: counted('approve'),
    deny: counted('deny'),
    forget() {
      fresh.length = 0;
    },
    async close() {
      ending.abort();
      await following;
    },
  };
}

export interface Printed {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `holdfast holds …` as it ships, as this approver. */
export function holdsCommand(
  at: { readonly adminPort: number },
  as: string,
  args: readonly string[],
): Promise<Printed> {
  return approverCommand(at, as, ['holds', ...args]);
}

/** A command for approvers as it ships. */
export function approverCommand(
  { adminPort }: { readonly adminPort: number },
  as: string,
  args: readonly string[],
): Promise<Printed> {
  const url = `http://127.0.0.1:${adminPort.toString()}`;
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [CLI, ...args, '--url', url],
      { env: { PATH: process.env['PATH'], HOLDFAST_TOKEN: tokenOf(as) } },
      (_error, stdout, stderr) => {
        resolve({ status: child.exitCode, stdout, stderr });
      },
    );
  });
}

const TABLES = `
  CREATE TABLE guarded (id int PRIMARY KEY, v text, b bytea);
  CREATE TABLE plain (id int, v text);
`;

/** A Holdfast that holds, before a database of its own. */
export interface HoldsGround {
  readonly database: TestDatabase;
  readonly holdfast: TestHoldfast;
  readonly approvals: Approvals;
  /** The one who asks: may do everything in the database. */
  readonly user: TestUser;
  readonly url: string;
  login(): Promise<WireClient>;
  /** Ends all sessions of login(): one that a failed test left in a transaction would keep its locks. */
  hangUp(): void;
  /** A new table that belongs to the user, so that the user can drop it. */
  table(name: string): Promise<void>;
  /** Rows that a query gives straight from the server, their columns joined by commas, joined by spaces. */
  rows(sql: string): Promise<string>;
  close(): Promise<void>;
}

export async function startHolds(
  purpose: string,
  policy: string | ((user: string) => string),
  settings: TestSettings = {},
): Promise<HoldsGround> {
  const database = await createDatabase(purpose, TABLES);
  const user = await createUser(purpose, database.name);
  const text = typeof policy === 'string' ? policy : policy(user.name);
  const holdfast = await startTestHoldfast(database, text, settings);
  const approvals = await followHolds(holdfast);
  // One session for all that is asked straight from the server, not a login each.
  const direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  const clients = new Set<WireClient>();
  return {
    database,
    holdfast,
    approvals,
    user,
    url: holdfast.url(database.name, user.name, 'x'),
    async login() {
      const client = await wireLogin({ port: holdfast.port, user: user.name, database: database.name });
      clients.add(client);
      return client;
    },
    hangUp() {
      for (const client of clients) client.close();
      clients.clear();
      approvals.forget();
    },
    async table(name) {
      await direct.query(`CREATE TABLE ${name} (id int)`);
      await direct.query(`ALTER TABLE ${name} OWNER TO ${pg.escapeIdentifier(user.name)}`);
    },
    async rows(sql) {
      const { rows } = await direct.query<unknown[]>({ text: sql, rowMode: 'array' });
      return rows.map((row) => row.map(String).join(',')).join(' ');
    },
    async close() {
      await direct.end();
      await approvals.close();
      await holdfast.close();
      await database.drop();
      await user.drop();
    },
  };
}

/** The answers to what a client sent: without what the server or Holdfast may say at any time. */
export function answers(lines: readonly Line[]): readonly Line[] {
  return lines.filter((line) => !/^(NoticeResponse|ParameterStatus) /.test(line));
}
