/** `preview: estimate`: nothing runs before it is approved, nothing runs twice, and who approves it is told that nothing was measured. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sha256, tokenOf } from '../holds/support.js';
import { followHolds } from '../support/holds.js';
import type { Approvals } from '../support/holds.js';
import { extended, say, simple, startImpact } from './ground.js';
import type { ImpactGround } from './ground.js';

function policy(rules: readonly string[], atCommit = false): string {
  return `
version: 1
roles:
  - name: counted
    access: admin
    rules:
      default: allow
${rules.map((rule) => `      ${rule}`).join('\n')}
    hold: { approvers: [dba], timeout: 60s, in_transaction_timeout: 20s, at_commit: ${atCommit.toString()} }
approvers:
  - { name: dana, groups: [dba], token_sha256: "${sha256(tokenOf('dana'))}" }
`;
}

let ground: ImpactGround;
let approvals: Approvals;

async function start(purpose: string, text: string): Promise<void> {
  ground = await startImpact(purpose, text);
  approvals = await followHolds(ground.holdfast);
}

afterEach(() => {
  approvals.forget();
});

afterAll(async () => {
  await approvals.close();
  await ground.close();
});

/** The rows as at first, and counted: the catalogs are read when the first statement needs them. */
async function fresh(): Promise<void> {
  await ground.reset();
  await ground.rows('ANALYZE');
}

/** Numbers that the trigger on `loud` has taken from its sequence: no rollback gives them back. */
const taken = (): Promise<string> =>
  ground.rows('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM seen_id_seq');
const LOUD = 'UPDATE loud SET v = 1 WHERE id = 1';
const CASCADING = 'DELETE FROM account WHERE id < 3';

describe('of a rule that holds by the text', () => {
  beforeAll(() =>
    start(
      'estimate_text',
      policy([
        'row-limit: { action: deny, statement: 15 }',
        'protected-tables: { action: hold, tables: [loud, account], preview: estimate }',
        'require-where: { action: hold, preview: measure }',
      ]),
    ),
  );

  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    for (const block of [false, true]) {
      test(`${protocol}${block ? ', in a block' : ''}: it runs once, after the approval, and is counted`, async () => {
        await fresh();
        const client = await ground.login();
        if (block) await say(client, simple('BEGIN'));
        const before = Number(await taken());
        const { length: earlier } = await ground.holdfast.records();
        const answered = say(client, messages(LOUD));
        const { id } = await approvals.next('UPDATE loud');
        const hold = await approvals.show(id);
        expect(hold.impact).toBeNull();
        expect(hold.relations).toMatchObject([{ name: 'loud', estimated_rows: 10 }]);
        expect(Number(await taken())).toBe(before);
        await approvals.approve(id);
        expect((await answered).slice(-2)).toEqual([
          'CommandComplete UPDATE 1',
          `ReadyForQuery ${block ? 'T' : 'I'}`,
        ]);
        if (block) await say(client, simple('COMMIT'));
        expect(Number(await taken())).toBe(before + 3);
        const records = (await ground.holdfast.records()).slice(earlier);
        const outcomes = records.filter(
          ({ kind, decision }) => kind === 'outcome' && decision === hold.decision,
        );
        expect(outcomes).toMatchObject([
          {
            impact: [
              { name: 'seen', inserted: 3 },
              { name: 'loud', updated: 1 },
            ],
          },
        ]);
        expect(records.filter(({ undone }) => undone === true)).toEqual([]);
        client.close();
      });
    }

    test(`${protocol}: the approval does not lift a limit that denies`, async () => {
      await fresh();
      const before = await ground.data();
      const client = await ground.login();
      const answered = say(client, messages('DELETE FROM account WHERE id < 9'));
      const { id } = await approvals.next('DELETE');
      await approvals.approve(id);
      expect((await answered).slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      expect(client.errors.at(-1)?.message).toContain('It was rolled back.');
      expect(await ground.data()).toBe(before);
      client.close();
    });

    test(`${protocol}: what another rule holds is tried, unless this one holds it too`, async () => {
      await fresh();
      const client = await ground.login();
      const tried = say(client, messages('DELETE FROM plain'));
      const first = await approvals.next('DELETE FROM plain');
      expect((await approvals.show(first.id)).impact).toMatchObject({
        measured: 'preview',
        tables: [{ name: 'plain', deleted: 10 }],
      });
      await approvals.deny(first.id);
      await tried;
      const held = say(client, messages('DELETE FROM loud'));
      const second = await approvals.next('DELETE FROM loud');
      const { impact, matches } = await approvals.show(second.id);
      expect(impact).toBeNull();
      expect(matches.map(({ rule }) => rule).sort()).toEqual(['protected-tables', 'require-where']);
      await approvals.deny(second.id);
      await held;
      client.close();
    });
  }

  test('what a prepared name stands for is not tried either', async () => {
    await fresh();
    const client = await ground.login();
    await say(client, simple(`PREPARE p AS ${LOUD}`));
    const before = await taken();
    const answered = say(client, simple('EXECUTE p'));
    const { id } = await approvals.next('EXECUTE');
    expect((await approvals.show(id)).impact).toBeNull();
    expect(await taken()).toBe(before);
    await approvals.approve(id);
    expect((await answered).slice(-2)).toEqual(['CommandComplete UPDATE 1', 'ReadyForQuery I']);
    client.close();
  });
});

describe('of row-limit', () => {
  beforeAll(async () => {
    await approvals.close();
    await ground.close();
    await start(
      'estimate_limit',
      policy([
        'row-limit: { action: hold, statement: 5, preview: estimate }',
        'protected-tables: { action: hold, tables: [account] }',
      ]),
    );
  });

  for (const [protocol, messages] of Object.entries({ simple, extended })) {
    test(`${protocol}: what nobody has approved is refused above the limit, after it ran once`, async () => {
      await fresh();
      const data = await ground.data();
      const before = Number(await taken());
      const client = await ground.login();
      const lines = await say(client, messages('UPDATE loud SET v = 1 WHERE id < 3'));
      expect(lines.slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
      expect(client.errors.at(-1)).toMatchObject({
        message: expect.stringContaining('It needs approval. It was rolled back.') as string,
        hint: expect.stringContaining('the policy wants nothing to run twice (preview: estimate)') as string,
      });
      expect(client.errors.at(-1)?.hint).not.toContain('COMMIT');
      expect(Number(await taken())).toBe(before + 6);
      expect(await ground.data()).toBe(data);
      expect(await approvals.open()).toEqual([]);
      expect((await say(client, messages(LOUD))).slice(-2)).toEqual([
        'CommandComplete UPDATE 1',
        'ReadyForQuery I',
      ]);
      client.close();
    });

    test(`${protocol}: what was approved before it ran may pass the limit, and no rule tries anything`, async () => {
      await fresh();
      const client = await ground.login();
      const answered = say(client, messages(CASCADING));
      const { id } = await approvals.next('DELETE');
      expect((await approvals.show(id)).impact).toBeNull();
      await approvals.approve(id);
      expect((await answered).slice(-2)).toEqual(['CommandComplete DELETE 2', 'ReadyForQuery I']);
      expect(await ground.rows('SELECT count(*) FROM account')).toBe('8');
      client.close();
    });
  }
});

describe('of row-limit, for a role whose commits are held', () => {
  beforeAll(async () => {
    await approvals.close();
    await ground.close();
    await start(
      'estimate_commit',
      policy(['row-limit: { action: deny, statement: 50, preview: estimate }'], true),
    );
  });

  test('what is committed by itself is refused, and waits at the COMMIT of a block', async () => {
    await fresh();
    const client = await ground.login();
    expect((await say(client, simple(LOUD))).slice(-2)).toEqual(['ErrorResponse 42501', 'ReadyForQuery I']);
    expect(client.errors.at(-1)?.hint).toContain('Within BEGIN and COMMIT it runs once');
    const before = Number(await taken());
    await say(client, simple('BEGIN'));
    await say(client, simple(LOUD));
    const answered = say(client, simple('COMMIT'));
    const { id } = await approvals.next('COMMIT');
    expect((await approvals.show(id)).impact?.measured).toBe('transaction');
    await approvals.approve(id);
    expect((await answered).slice(-2)).toEqual(['CommandComplete COMMIT', 'ReadyForQuery I']);
    expect(Number(await taken())).toBe(before + 3);
    client.close();
  });
});
