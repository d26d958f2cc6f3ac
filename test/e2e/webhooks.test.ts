/** Webhooks of a running Holdfast: a statement that waits is told of, and waits for nobody who is told. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { metric } from '../support/scrape.js';
import { OK, startReceiver } from '../webhooks/receiver.js';
import type { Received, Receiver, Reply } from '../webhooks/receiver.js';

const SECRET = 'a secret of the test, and of no one else';
const EVENTS = ['requested', 'approved', 'denied', 'expired', 'withdrawn', 'released'] as const;

let reply: (nth: number) => Reply;
let json: Receiver;
let slack: Receiver;
let ground: HoldsGround;
let seen = 0;

beforeAll(async () => {
  json = await startReceiver((nth) => reply(nth));
  slack = await startReceiver();
  ground = await startHolds('webhooks', holdPolicy(), {
    holds: {
      pageUrl: 'https://holdfast.example.org/approvals/',
      webhooks: [
        { url: json.url, format: 'json', secret: SECRET, literals: false, events: EVENTS },
        { url: slack.url, format: 'slack', literals: true, events: ['requested', 'denied'] },
      ],
    },
  });
});

beforeEach(() => {
  reply = () => OK;
});

afterAll(async () => {
  await ground.close();
  await json.close();
  await slack.close();
});

interface Told {
  readonly event: string;
  readonly link: string | null;
  readonly hold: Readonly<Record<string, unknown>> & { readonly id: string };
}

/** The next messages of the first webhook. */
async function told(count: number): Promise<Told[]> {
  seen += count;
  await json.count(seen);
  return json.received.slice(seen - count, seen).map(({ body }) => JSON.parse(body) as Told);
}

test('from the request to the release, without a value of the statement', async () => {
  const client = await ground.login();
  await client.send(
    Buffer.concat([
      serialize.parse({ text: `INSERT INTO guarded VALUES ($1, 'hush-literal') -- hush-comment` }),
      serialize.bind({ values: ['4711'] }),
      serialize.execute(),
      serialize.sync(),
    ]),
  );
  const [requested] = await told(1);
  const { id } = await ground.approvals.next();
  expect(requested).toMatchObject({
    event: 'requested',
    link: `https://holdfast.example.org/approvals/#hold-${id}`,
    hold: {
      id,
      state: 'requested',
      environment: 'production',
      user: ground.user.name,
      database: ground.database.name,
      operations: ['insert'],
      sql: 'INSERT INTO guarded VALUES ($1, ?)',
      literals: false,
      parameters: [{ type: null, format: 'text' }],
      approvals: { needed: 1, given: 0 },
    },
  });
  await ground.approvals.approve(id, { reason: 'hush-reason' });
  expect(answers(await client.untilReady())).toContain('CommandComplete INSERT 0 1');
  expect((await told(2)).map(({ event, hold }) => [event, hold.id])).toEqual([
    ['approved', id],
    ['released', id],
  ]);
  expect(json.received.map(({ body }) => body).join()).not.toMatch(/hush|4711/);
  await slack.count(1);
  // This one may have them.
  expect(slack.received[0]?.body).toContain('hush-literal');
  expect(slack.received[0]?.headers).not.toHaveProperty('holdfast-signature');
  ground.hangUp();
});

test('a receiver that says nothing keeps no statement waiting, and none from being decided', async () => {
  reply = () => 'never';
  const client = await ground.login();
  await client.send(serialize.query(`INSERT INTO guarded VALUES (1, 'one')`));
  const { id } = await ground.approvals.next();
  await ground.approvals.deny(id, { reason: 'not now' });
  expect(answers(await client.untilReady())[0]).toBe('ErrorResponse 42501');
  const url = `http://127.0.0.1:${ground.holdfast.adminPort.toString()}/metrics`;
  expect((await fetch(url)).status).toBe(200);
  expect(
    await metric(ground.holdfast, 'holdfast_webhook_deliveries_total', { result: 'delivered' }),
  ).toBeGreaterThan(2);
  ground.hangUp();
});

test('the way to check a signature that the README shows is right', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const code = /```js\n(import \{ createHmac[^]*?)```/.exec(readme)?.[1];
  if (code === undefined) throw new Error('the README shows no way to check a signature');
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  try {
    const file = join(directory, 'verify.mjs');
    await writeFile(file, code);
    const { isFromHoldfast } = (await import(pathToFileURL(file).href)) as {
      readonly isFromHoldfast: (headers: Received['headers'], body: Buffer, secret: string) => boolean;
    };
    const [one] = json.received;
    if (one === undefined) throw new Error('nothing was sent');
    const body = Buffer.from(one.body);
    expect(isFromHoldfast(one.headers, body, SECRET)).toBe(true);
    expect(isFromHoldfast(one.headers, body, `${SECRET}x`)).toBe(false);
    expect(isFromHoldfast(one.headers, Buffer.concat([body, Buffer.from(' ')]), SECRET)).toBe(false);
    const old = (Number(one.headers['holdfast-timestamp']) - 301).toString();
    expect(isFromHoldfast({ ...one.headers, 'holdfast-timestamp': old }, body, SECRET)).toBe(false);
    expect(isFromHoldfast({}, body, SECRET)).toBe(false);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
