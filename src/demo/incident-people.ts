/**
 * The people who are asked in an incident: they see what waits as every approver
 * does, over the API, and decide.
 */
import { setTimeout as passed } from 'node:timers/promises';
import { holdListSchema, holdSchema } from '../admin/api/schemas.js';
import type { HoldView } from '../admin/api/schemas.js';
import { createHoldsClient } from '../commands/holds-client.js';
import type { HoldsClient } from '../commands/holds-client.js';
import type { DemoApprover } from './approvers.js';

/** What people decide, each by name, in this order. */
export interface Decision {
  readonly approver: string;
  readonly choice: 'approve' | 'deny';
  readonly reason: string;
}

/** What an incident's people saw, and what became of it. */
export interface Asked {
  /** As the first of them saw it: nobody had decided yet. */
  readonly before: HoldView;
  readonly after: HoldView;
}

/** The statement does not come to wait: somebody else has answered it. */
const PATIENCE_MS = 10_000;
const POLL_MS = 20;

/**
 * Waits for a statement of this application, and decides about it.
 * @param over ends the waiting: the statement has its answer, so it does not wait
 * @returns null when it never waited
 */
export async function decide(
  decisions: readonly Decision[],
  application: string,
  people: { readonly adminPort: number; readonly approvers: readonly DemoApprover[] },
  over: AbortSignal,
): Promise<Asked | null> {
  const clientOf = (name: string): HoldsClient =>
    createHoldsClient({
      url: `http://127.0.0.1:${people.adminPort.toString()}`,
      token: people.approvers.find((approver) => approver.name === name)?.token,
      warn: () => undefined,
    });
  const [first] = decisions;
  if (first === undefined) return null;
  const before = await waitingOf(clientOf(first.approver), application, over);
  if (before === null) return null;
  let after = before;
  for (const { approver, choice, reason } of decisions) {
    after = await clientOf(approver).post(`holds/${before.id}/${choice}`, { reason }, holdSchema);
  }
  return { before, after };
}

async function waitingOf(
  client: HoldsClient,
  application: string,
  over: AbortSignal,
): Promise<HoldView | null> {
  const end = performance.now() + PATIENCE_MS;
  while (!over.aborted && performance.now() < end) {
    const { holds } = await client.get('holds', holdListSchema);
    const found = holds.find((hold) => hold.application === application);
    if (found !== undefined) return client.get(`holds/${found.id}`, holdSchema);
    await passed(POLL_MS);
  }
  return null;
}
