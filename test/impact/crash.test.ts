/**
 * kill -9 of Holdfast at every step of a guarded write.
 *
 * The steps are the messages between Holdfast and the server: for each flow a session
 * without any stop tells how many there are, and then one session for each stands still
 * exactly behind it, all of them in one Holdfast, which is killed. What was on its way
 * to the server then arrives, or never does: the steps about the end of the transaction
 * are there twice, the others take turns.
 *
 * Afterwards, for every session:
 *
 *   1. the rows are untouched, or changed in full, and changed exactly if the message that
 *      commits has reached the server;
 *   2. a client that was told of success was told the truth;
 *   3. no `transaction` record says committed of what was not;
 *   4. of what was committed there is an outcome with what it did and the server's id of
 *      the transaction, and pg_xact_status() says that this was committed;
 *   5. of what was not, no outcome has an id of which pg_xact_status() says so;
 *   6. of what people approved, and was committed, the old rows are stored.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readUndoFile } from '../../src/audit/undo-files.js';
import { sha256, tokenOf } from '../holds/support.js';
import { followHolds } from '../support/holds.js';
import type { Approvals } from '../support/holds.js';
import type { AuditRecord } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { startServing } from '../support/serve.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { wireLogin } from '../support/wire.js';
import type { WireClient } from '../support/wire.js';
import { extended, limitPolicy, say, simple } from './ground.js';
import { startStopMiddleman } from './message-stop.js';
import type { Stop, StopPassage } from './message-stop.js';

const SCHEMA = `
  CREATE TABLE crash (grp int NOT NULL, n int NOT NULL, v text, w text, PRIMARY KEY (grp, n));
  CREATE TABLE trail (grp int NOT NULL);
  CREATE TABLE copied (grp int NOT NULL, n int);
  INSERT INTO crash SELECT g, n FROM generate_series(0, 199) g, generate_series(1, 3) n;
  CREATE FUNCTION trail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trail VALUES (NEW.grp); RETURN NULL; END $$;
  CREATE TRIGGER trail AFTER UPDATE ON crash FOR EACH ROW EXECUTE FUNCTION trail();
`;

interface Rows {
  readonly v: number;
  readonly w: number;
  readonly trail: number;
  readonly copied: number;
}

interface Flow {
  readonly name: string;
  /** Before the steps begin. */
  readonly before?: readonly string[];
  /** What the client sends, each answered with one ReadyForQuery before the next. */
  readonly says: (group: number) => readonly (readonly string[])[];
  readonly full: Rows;
  /** The last of the client's lines that says that it is committed. */
  readonly success: string;
  /** Which message for the server commits, counted from the end: 0 is the last. */
  readonly commits: number;
  /** Somebody must approve it, and its old rows are kept. */
  readonly approved?: true;
}

const v = (group: number): string => `UPDATE crash SET v = 'new' WHERE grp = ${group}`;
const w = (group: number): string => `UPDATE crash SET w = 'new' WHERE grp = ${group}`;
const copy = (group: number): string => `COPY copied FROM STDIN /* grp = ${group} */`;
const data = (group: number): string =>
  `CopyData ${JSON.stringify([1, 2, 3].map((n) => `${group}\t${n}\n`).join(''))}`;

const ONE: Rows = { v: 3, w: 0, trail: 3, copied: 0 };
const TWO: Rows = { v: 3, w: 3, trail: 6, copied: 0 };
const COPIED: Rows = { v: 0, w: 0, trail: 0, copied: 3 };
const NONE: Rows = { v: 0, w: 0, trail: 0, copied: 0 };

const FLOWS: readonly Flow[] = [
  {
    name: 'a Query',
    says: (group) => [simple(v(group))],
    full: ONE,
    success: 'CommandComplete UPDATE 3',
    commits: 0,
  },
  {
    name: 'an Execute',
    says: (group) => [extended(v(group))],
    full: ONE,
    success: 'ReadyForQuery I',
    commits: 0,
  },
  {
    name: 'a block, simple',
    before: simple('BEGIN'),
    says: (group) => [simple(v(group)), simple('COMMIT')],
    full: ONE,
    success: 'CommandComplete COMMIT',
    commits: 0,
  },
  {
    name: 'a block, extended',
    before: extended('BEGIN'),
    says: (group) => [extended(v(group)), extended('COMMIT')],
    full: ONE,
    success: 'CommandComplete COMMIT',
    // Its Execute; only the Sync comes after it.
    commits: 1,
  },
  {
    name: 'a pipeline of two writes',
    says: (group) => [[...extended(v(group)).filter((line) => line !== 'Sync'), ...extended(w(group))]],
    full: TWO,
    success: 'ReadyForQuery I',
    commits: 0,
  },
  {
    name: 'a string of two writes',
    says: (group) => [simple(`${v(group)}; ${w(group)}`)],
    full: TWO,
    success: 'ReadyForQuery I',
    commits: 0,
  },
  {
    name: 'a Query that is approved, and whose old rows are kept',
    says: (group) => [simple(v(group))],
    full: ONE,
    success: 'CommandComplete UPDATE 3',
    commits: 0,
    approved: true,
  },
  {
    name: 'COPY FROM STDIN, simple',
    says: (group) => [[...simple(copy(group)), data(group), 'CopyDone']],
    full: COPIED,
    success: 'CommandComplete COPY 3',
    commits: 0,
  },
];

const APPROVED = `
version: 1
roles:
  - name: keepers
    access: admin
    rules: { default: allow, row-limit: { action: hold, statement: 1 } }
    hold: { approvals: 1, approvers: [dba], timeout: 60s }
    undo: capture
approvers:
  - { name: dana, groups: [dba], token_sha256: "${sha256(tokenOf('dana'))}" }
`;

interface Session {
  readonly group: number;
  readonly client: WireClient;
  readonly passage: StopPassage;
  readonly stop: Stop | null;
  readonly held: 'deliver' | 'drop';
}

let database: TestDatabase;
let user: TestUser;
let watcher: pg.Client;

beforeAll(async () => {
  database = await createDatabase('impact_crash', SCHEMA);
  user = await createUser('impact_crash', database.name);
  watcher = new pg.Client({ connectionString: database.url });
  await watcher.connect();
});

afterAll(async () => {
  await watcher.end();
  await database.drop();
  await user.drop();
});

async function rows(): Promise<ReadonlyMap<number, Rows>> {
  const { rows: found } = await watcher.query<Rows & { grp: number }>(`
    SELECT grp, (count(v))::int AS v, (count(w))::int AS w,
      (SELECT count(*) FROM trail t WHERE t.grp = c.grp)::int AS trail,
      (SELECT count(*) FROM copied o WHERE o.grp = c.grp)::int AS copied
    FROM crash c GROUP BY grp`);
  return new Map(found.map(({ grp, ...counts }) => [grp, counts]));
}

async function statusOf(transaction: string): Promise<string> {
  const { rows: found } = await watcher.query<{ s: string }>('SELECT pg_xact_status($1::xid8) AS s', [
    transaction,
  ]);
  return found[0]?.s ?? '';
}

// A process and some forty sessions each: seconds on a machine that has nothing else to do.
test.for(FLOWS)('$name', { timeout: 60_000 }, async (flow) => {
  await watcher.query('UPDATE crash SET v = NULL, w = NULL; TRUNCATE trail, copied');
  const middleman = await startStopMiddleman(database);
  const policy = flow.approved === true ? APPROVED : limitPolicy('action: deny, statement: 100');
  const serving = await startServing(middleman, policy);
  const sessions: Session[] = [];
  const over = { now: false };
  const approvals = flow.approved === true ? await followHolds(serving) : null;
  const approving = approvals === null ? null : approveAll(approvals, over);
  try {
    async function open(stop: Stop | null, held: 'deliver' | 'drop'): Promise<Session> {
      const client = await wireLogin({ port: serving.port, user: user.name, database: database.name });
      const passage = middleman.passages.at(-1);
      if (passage === undefined) throw new Error('no passage');
      // What the first statement of a session brings with it is not a step of this.
      await say(client, simple('SELECT 1'));
      if (flow.before !== undefined) await say(client, flow.before);
      passage.arm(stop);
      const session = { group: sessions.length, client, passage, stop, held };
      sessions.push(session);
      return session;
    }
    async function play({ group, client }: Session): Promise<void> {
      for (const lines of flow.says(group)) await say(client, lines);
    }

    // The first session of a Holdfast has it read the catalogs, which is no step of this either.
    await play(await open(null, 'drop'));
    const whole = await open(null, 'drop');
    await play(whole);
    const { frontend, backend } = whole.passage.passed;
    expect(frontend).toBeGreaterThan(5);
    // Trying it is counting like any other; what is asked around the run that stays comes last, and its answers are many.
    const first = flow.approved === true ? Math.floor(frontend / 2) : 0;
    // A Query and an Execute have all that a server answers to what is counted; the others have more of it.
    const each = flow.approved === true ? 8 : FLOWS.indexOf(flow) < 2 ? 1 : 2;
    const stops: Stop[] = [
      ...Array.from({ length: frontend - first }, (_, at): Stop => ({ side: 'frontend', after: first + at })),
      ...Array.from({ length: Math.floor(backend / each) }, (_, at): Stop => ({
        side: 'backend',
        after: at * each,
      })),
    ];
    for (const stop of stops) {
      // What is held back on its way from the server is of no use to anybody any more.
      const near = stop.after >= frontend - flow.commits - 2;
      const frontendWays =
        near && flow.approved !== true
          ? (['deliver', 'drop'] as const)
          : ([stop.after % 2 === 0 ? 'deliver' : 'drop'] as const);
      for (const held of stop.side === 'frontend' ? frontendWays : (['drop'] as const)) {
        const session = await open(stop, held);
        // It never gets its answers; that it is cut off is no failure.
        play(session).catch(() => undefined);
        await session.passage.stopped;
      }
    }

    serving.signal('SIGKILL');
    await serving.exited;
    await Promise.all(sessions.map(({ passage, held }) => passage.end(held)));

    const now = await rows();
    const directory = join(dirname(serving.auditFile), 'undo');
    const log = (await readFile(serving.auditFile, 'utf8'))
      .split('\n')
      // The last line may be a part of one.
      .slice(0, -1)
      .map((line) => JSON.parse(line) as AuditRecord);
    const groups = new Map<unknown, number>();
    for (const record of log) {
      const group = /grp = (\d+)/.exec(String(record['sql']))?.[1];
      if (record.kind === 'decision' && group !== undefined) groups.set(record['id'], Number(group));
    }
    let committed = 0;
    for (const { group, client, passage, stop, held } of sessions) {
      const step = `${stop === null ? 'the end' : `${stop.side} ${stop.after}`}, ${held}`;
      const reached = passage.passed.frontend >= frontend - flow.commits;
      expect(now.get(group), step).toEqual(reached ? flow.full : NONE);
      if (reached) committed += 1;
      if (client.lines.slice(4).includes(flow.success) && toldOf(client, flow))
        expect(reached, step).toBe(true);
      const outcomes = log.filter(
        ({ kind, decision, undone }) =>
          kind === 'outcome' && groups.get(decision) === group && undone !== true,
      );
      const ids = new Set(
        outcomes.flatMap(({ transaction }) => (typeof transaction === 'string' ? [transaction] : [])),
      );
      const statuses: string[] = [];
      for (const id of ids) statuses.push(await statusOf(id));
      if (reached) {
        expect(statuses, step).toEqual(['committed']);
        expect(
          outcomes.some(({ impact }) => impact !== null),
          step,
        ).toBe(true);
        if (flow.approved === true) {
          const { rows: kept } = await readUndoFile(directory, String(outcomes.at(-1)?.['decision']));
          expect(kept.filter(({ was }) => was !== null).map(({ was }) => was?.[0])).toEqual(
            Array(3).fill(group.toString()),
          );
        }
      } else {
        expect(statuses, step).not.toContain('committed');
        expect(statuses, step).not.toContain('in progress');
      }
      const ends = log.filter(
        ({ kind, decisions }) =>
          kind === 'transaction' && (decisions as string[]).some((id) => groups.get(id) === group),
      );
      for (const { result } of ends) if (result === 'committed') expect(reached, step).toBe(true);
    }
    expect(committed).toBeGreaterThan(1);
    expect(committed).toBeLessThan(sessions.length - 10);
    // The one that ran to its end has all of its records.
    expect(log.find(({ kind, result }) => kind === 'transaction' && result === 'committed')).toBeDefined();
  } finally {
    for (const { client } of sessions) client.close();
    over.now = true;
    await approvals?.close();
    await approving;
    await serving.dispose();
    await middleman.close();
  }
});

/** Approves whatever waits, until it is told that nobody can any more. */
async function approveAll(approvals: Approvals, over: { now: boolean }): Promise<void> {
  while (!over.now) {
    // Nothing may come for a while.
    const asked = await approvals.next().catch(() => null);
    if (asked !== null) await approvals.approve(asked.id).catch(() => undefined);
  }
}

/** Whether the client has been told that the last thing it sent has succeeded. */
function toldOf(client: WireClient, flow: Flow): boolean {
  const asked = 2 + (flow.before === undefined ? 0 : 1) + flow.says(0).length;
  const ready = client.lines.filter((line) => line.startsWith('ReadyForQuery')).length;
  return flow.success.startsWith('ReadyForQuery') ? ready === asked : client.lines.includes(flow.success);
}
