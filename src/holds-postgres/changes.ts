/**
 * What can be done to the shared holds: each one transaction that locks what it
 * changes, asks the database's clock, lets the life cycle decide and writes what
 * comes out, with a NOTIFY for the other processes.
 *
 * Law: it decides nothing about a hold itself. A change is told in this process when
 * its COMMIT was answered, and not before. NOTIFY names the hold and its revision
 * alone: its payload is small, and every session of that database may listen.
 */
import { fingerprintOf } from '../holds/fingerprint.js';
import { isOpen } from '../holds/hold.js';
import type { Hold } from '../holds/hold.js';
import { bytesOf, idTaken, noRoom, tooLarge } from '../holds/limits.js';
import type { HoldLimits } from '../holds/limits.js';
import { step } from '../holds/life-cycle.js';
import type { HoldEvent } from '../holds/life-cycle.js';
import { newHold } from '../holds/request.js';
import type { HoldRequest } from '../holds/request.js';
import { HoldStoreUnavailable } from '../holds/store.js';
import type { ChangeOutcome, HoldFilter, HoldPage, RequestOutcome } from '../holds/store.js';
import { maySee, namesOf } from '../holds/eligibility.js';
import type { DatabaseClock } from './clock.js';
import type { Connections, Outcome, Query } from './connections.js';
import type { ChangeKind } from './faults.js';
import type { News, Unsure } from './news.js';
import { COLUMNS, fromRow, insertion, update } from './rows.js';
import type { Kept, Row } from './rows.js';
import { LOCK_REQUESTS } from './schema.js';
import type { SchemaNames } from './schema.js';
import { createTurns } from './turns.js';

export interface ChangesOptions {
  /** This process, among all that share the store. */
  readonly me: string;
  readonly connections: Connections;
  readonly names: SchemaNames;
  readonly limits: HoldLimits;
  readonly clock: DatabaseClock;
  readonly news: News;
}

export interface Changes {
  request(input: HoldRequest): Promise<RequestOutcome>;
  change(kind: ChangeKind, id: string, event: (at: number) => HoldEvent): Promise<ChangeOutcome>;
  get(id: string): Promise<Hold | null>;
  list(filter: HoldFilter): Promise<HoldPage>;
  /** The open ticket for this fingerprint. @param when only one that is `approved`, or one past its deadline, `overdue` */
  ticket(fingerprint: string, when: 'approved' | 'overdue'): Promise<string | null>;
  /** Reads the hold again and tells what has changed. */
  refresh(id: string): Promise<void>;
  /** Finds out whether a change of this process was made. */
  settle(id: string): Promise<void>;
}

/** Milliseconds since 1970. clock_timestamp: now() would be the beginning of the transaction, before it waited for a lock. */
export const NOW = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

export function createChanges({ me, connections, names, limits, clock, news }: ChangesOptions): Changes {
  const { schema, channel, lockClass } = names;
  const turns = createTurns();

  async function time(query: Query): Promise<number> {
    const asked = clock.local();
    const [row] = await query<{ now: string }>(`SELECT ${NOW} AS now`);
    const now = Number(row?.now);
    clock.learn(now, asked);
    return now;
  }

  async function locked(query: Query, id: string): Promise<Kept | null> {
    const [row] = await query<Row>(`SELECT ${COLUMNS} FROM ${schema}.hold WHERE id = $1 FOR UPDATE`, [id]);
    return row === undefined ? null : fromRow(row);
  }

  /** Nobody else requests a hold until the transaction is over: limits count in all processes. */
  async function lockRequests(query: Query): Promise<void> {
    await query('SELECT pg_advisory_xact_lock($1, $2)', [lockClass, LOCK_REQUESTS]);
  }

  async function notify(query: Query, { hold, revision }: Kept): Promise<void> {
    await query('SELECT pg_notify($1, $2)', [channel.slice(1, -1), `${hold.id} ${revision.toString()}`]);
  }

  /** Drops the oldest of the closed holds until the rest fits. */
  async function forget(query: Query): Promise<void> {
    await query(
      `DELETE FROM ${schema}.hold WHERE id IN (
         SELECT id FROM ${schema}.hold WHERE id IN (
           SELECT id FROM (
             SELECT id, row_number() OVER latest AS place, sum(bytes) OVER latest AS total
             FROM ${schema}.hold WHERE closing IS NOT NULL WINDOW latest AS (ORDER BY closing DESC)
           ) AS closed
           WHERE place > $1
              OR total > $2 - (SELECT coalesce(sum(bytes), 0) FROM ${schema}.hold WHERE closing IS NULL)
         ) FOR UPDATE SKIP LOCKED)`,
      [limits.closed, limits.bytes],
    );
  }

  /** Runs a transaction that may make this change; what becomes known of it is told. */
  async function changing<T>(
    kind: ChangeKind,
    work: (query: Query, make: (change: Unsure) => void) => Promise<Outcome<T>>,
  ): Promise<T> {
    const made: Unsure[] = [];
    try {
      return await connections.transaction(kind, (query) => work(query, (change) => made.push(change)));
    } catch (error) {
      if (error instanceof HoldStoreUnavailable && error.uncertain)
        for (const change of made) news.unsure(change);
      throw error;
    }
  }

  function request(input: HoldRequest): Promise<RequestOutcome> {
    const { id, subject } = input;
    const bytes = bytesOf(subject);
    const large = tooLarge(limits, bytes);
    if (large !== null) return Promise.resolve(large);
    return turns.run(id, async () => {
      const { outcome, change } = await changing<{ outcome: RequestOutcome; change: Unsure | null }>(
        'request',
        async (query, make) => {
          const refuse = (refusal: RequestOutcome): Outcome<{ outcome: RequestOutcome; change: null }> => ({
            changed: false,
            value: { outcome: refusal, change: null },
          });
          await lockRequests(query);
          const at = await time(query);
          const hold = newHold(input, at);
          const { user, style } = subject;
          if (style === 'ticket') {
            const [row] = await query<Row>(
              `SELECT ${COLUMNS} FROM ${schema}.hold WHERE closing IS NULL AND style = 'ticket' AND fingerprint = $1`,
              [hold.fingerprint],
            );
            if (row !== undefined) return refuse({ kind: 'existing', hold: fromRow(row).hold });
          }
          const [kept] = await query<{ open: string; of_user: string; bytes: string; taken: boolean }>(
            `SELECT count(*) AS open, count(*) FILTER (WHERE db_user = $2) AS of_user,
                    coalesce(sum(bytes), 0) AS bytes, EXISTS (SELECT FROM ${schema}.hold WHERE id = $3) AS taken
             FROM ${schema}.hold WHERE closing IS NULL AND expires_at > $1`,
            [at, user, id],
          );
          const full = noRoom(
            limits,
            {
              open: Number(kept?.open),
              openOfUser: Number(kept?.of_user),
              openBytes: Number(kept?.bytes),
            },
            user,
            bytes,
          );
          if (full !== null) return refuse(full);
          if (kept?.taken !== false) return refuse(idTaken(id));
          const after: Kept = { hold, revision: 1, owner: me, changedBy: [me] };
          await query(...insertion(schema, after));
          await forget(query);
          await notify(query, after);
          const change: Unsure = {
            after,
            effects: [{ kind: 'entered', from: null, to: hold.state, waitedMs: 0 }],
          };
          make(change);
          return { changed: true, value: { outcome: { kind: 'requested', hold }, change } };
        },
      );
      if (change !== null) news.changed(change);
      return outcome;
    });
  }

  function change(kind: ChangeKind, id: string, event: (at: number) => HoldEvent): Promise<ChangeOutcome> {
    return turns.run(id, async () => {
      interface Done {
        readonly outcome: ChangeOutcome;
        readonly change: Unsure | null;
      }
      const done = await changing<Done>(kind, async (query, make) => {
        const before = await locked(query, id);
        // What is read under the lock is what others, or a change that was not answered, have made of it.
        learnOf(id, before, before !== null);
        if (before === null) return { changed: false, value: { outcome: { kind: 'unknown' }, change: null } };
        const { hold, revision, owner, changedBy } = before;
        const result = step(hold, event(await time(query)));
        if ('rejected' in result) {
          const outcome: ChangeOutcome = { kind: 'rejected', hold, rejection: result.rejected };
          return { changed: false, value: { outcome, change: null } };
        }
        const after: Kept = {
          hold: result.hold,
          revision: revision + 1,
          owner,
          changedBy: [...changedBy, me],
        };
        const written = await query(...update(schema, after));
        if (written.length !== 1) throw new Error('a locked hold has changed');
        if (!isOpen(after.hold.state)) await forget(query);
        await notify(query, after);
        const made: Unsure = { after, effects: result.effects };
        make(made);
        return { changed: true, value: { outcome: { kind: 'changed', hold: result.hold }, change: made } };
      });
      if (done.change !== null) news.changed(done.change);
      return done.outcome;
    });
  }

  async function read(query: Query, id: string): Promise<Kept | null> {
    const [row] = await query<Row>(`SELECT ${COLUMNS} FROM ${schema}.hold WHERE id = $1`, [id]);
    return row === undefined ? null : fromRow(row);
  }

  function learnOf(id: string, kept: Kept | null, isLocked: boolean): void {
    if (kept === null) news.absent(id, isLocked);
    else news.seen(kept, isLocked);
  }

  return {
    request,
    change,
    get: async (id) => (await read(connections.query, id))?.hold ?? null,
    async list({ states, visibleTo, limit }) {
      const rows = await connections.query<Row>(
        `SELECT ${COLUMNS} FROM ${schema}.hold
         WHERE state = ANY($1) AND (closing IS NOT NULL OR expires_at > ${NOW})
           AND ($2 OR approver_groups && $3 OR db_user = ANY($4))
         ORDER BY closing IS NOT NULL, CASE WHEN closing IS NULL THEN expires_at END, closing DESC, id LIMIT $5`,
        [
          states,
          visibleTo === undefined,
          visibleTo?.groups ?? [],
          visibleTo === undefined ? [] : namesOf(visibleTo),
          limit + 1,
        ],
      );
      const holds = rows.map((row) => fromRow(row).hold);
      // What the query has chosen is asked of the rule itself, too.
      const visible = visibleTo === undefined ? holds : holds.filter((hold) => maySee(hold, visibleTo));
      return { holds: visible.slice(0, limit), more: rows.length > limit };
    },
    async ticket(fingerprint, when) {
      const which = when === 'approved' ? `state = 'approved'` : `expires_at <= ${NOW}`;
      const [row] = await connections.query<{ id: string }>(
        `SELECT id FROM ${schema}.hold WHERE closing IS NULL AND style = 'ticket' AND fingerprint = $1 AND ${which}`,
        [fingerprint],
      );
      return row?.id ?? null;
    },
    refresh: (id) =>
      turns.run(id, async () => {
        learnOf(id, await read(connections.query, id), false);
      }),
    settle: (id) =>
      turns.run(id, async () => {
        const kept = await connections.transaction('expire', async (query) => {
          // A transaction of this process that the server has not ended yet has one of the two locks.
          await lockRequests(query);
          return { changed: false, value: await locked(query, id) };
        });
        learnOf(id, kept, true);
      }),
  };
}

/** Of the request that a ticket is asked for with. */
export function ticketFingerprint({ subject }: HoldRequest): string | null {
  return subject.style === 'ticket' ? fingerprintOf(subject) : null;
}
