/** The commands, called in this process, before the API on a real port. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  holdsListCommand,
  holdsShowCommand,
  holdsVoteCommand,
  type HoldsSurroundings,
} from '../../src/commands/holds.js';
import { OperatorError } from '../../src/errors.js';
import { startApi, codeAt, TOTP_SECRET } from '../admin/api-support.js';
import { DANA, request, tokenOf } from '../holds/support.js';

interface Person extends HoldsSurroundings {
  readonly out: string[];
  readonly err: string[];
}

function person(token: string | undefined = tokenOf('dana'), signal?: AbortSignal): Person {
  const out: string[] = [];
  const err: string[] = [];
  return {
    out,
    err,
    token,
    ...(signal === undefined ? {} : { signal }),
    terminal: {
      print: async (line) => {
        out.push(line);
      },
      complain: (line) => {
        err.push(line);
      },
      color: false,
      columns: null,
      input: process.stdin,
    },
  };
}

const urlOf = (port: number): { readonly url: string } => ({ url: `http://127.0.0.1:${port}` });

async function failure(
  job: Promise<unknown>,
): Promise<{ readonly message: string; readonly status: number }> {
  const error: unknown = await job.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OperatorError)) throw new Error(`no OperatorError: ${String(error)}`);
  return { message: error.message, status: error.exitCode };
}

/** Something that is no Holdfast. */
async function stranger(answer: string, status = 200, headers: Record<string, string> = {}): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(status, headers).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('list', () => {
  it('is a table, or JSON', async () => {
    const { port, store } = await startApi();
    const nobody = person();
    expect(await holdsListCommand(urlOf(port), nobody)).toBe(0);
    expect(nobody.out).toEqual(['No holds.']);
    await store.request(request({ approvals: 2, timeoutMs: 40 * 365 * 86_400_000 }));
    const people = person();
    expect(await holdsListCommand(urlOf(port), people)).toBe(0);
    expect(people.out[0]).toMatch(/^ID {2}STATE {6}VOTES {2}LEFT/);
    expect(people.out[0]).toMatch(/\nh1 {2}requested {2}0\/2 .* eng_sam@shop {2}DROP TABLE orders$/);
    const machine = person();
    await holdsListCommand({ ...urlOf(port), json: true }, machine);
    expect(JSON.parse(machine.out[0] ?? '')).toMatchObject({
      holds: [{ id: 'h1', user: 'eng_sam' }],
      more: false,
    });
  });

  it('of a state; others are wrong usage', async () => {
    const { port, store } = await startApi();
    await store.request(request());
    await store.withdraw('h1', 'client_gone');
    const people = person();
    await holdsListCommand({ ...urlOf(port), state: 'withdrawn' }, people);
    expect(people.out[0]).toContain('withdrawn');
    expect(await failure(holdsListCommand({ ...urlOf(port), state: 'lost' }, person()))).toEqual({
      status: 2,
      message:
        '--state lost: expected one of open, closed, all, requested, approved, denied, expired, withdrawn, released',
    });
  });
});

describe('show, approve and deny', () => {
  it('show everything, and decide', async () => {
    const { port, store } = await startApi();
    for (const id of ['h1', 'h2']) await store.request(request({ id, approvals: 2 }));
    const people = person();
    expect(await holdsShowCommand('h1', urlOf(port), people)).toBe(0);
    expect(await holdsVoteCommand('approve', 'h1', { ...urlOf(port), reason: 'fine' }, people)).toBe(0);
    expect(await holdsVoteCommand('approve', 'h1', urlOf(port), person(tokenOf('kim')))).toBe(0);
    expect(await holdsVoteCommand('deny', 'h2', urlOf(port), people)).toBe(0);
    expect(people.out[0]).toContain('1 | DROP TABLE orders');
    expect(people.out.slice(1)).toEqual([
      'hold h1: your approval counts; 1 of 2 approvals; from dba',
      'hold h2: denied; it will not run',
    ]);
    expect(await store.get('h1')).toMatchObject({ state: 'approved', votes: [{ reason: 'fine' }, {}] });
  });

  it('with a one-time code', async () => {
    const { port, store, clock } = await startApi();
    await store.request(request({ subject: { style: 'ticket' } }));
    const toti = person(tokenOf('toti'));
    expect(await failure(holdsVoteCommand('approve', 'h1', urlOf(port), toti))).toEqual({
      status: 1,
      message: 'What you decide needs a one-time code. Give it with --totp.',
    });
    const totp = codeAt(TOTP_SECRET, clock.now);
    expect(await holdsVoteCommand('approve', 'h1', { ...urlOf(port), totp }, toti)).toBe(0);
    expect(toti.out).toEqual(['hold h1: approved; it passes once when it is sent again']);
  });

  it('say why not', async () => {
    const { port, store } = await startApi();
    await store.request(request());
    await store.request(request({ id: 'own', subject: { user: 'eng_dana' } }));
    await store.vote('h1', { choice: 'deny', approver: DANA, reason: null });
    const cases: [() => Promise<unknown>, RegExp, number][] = [
      [
        () => holdsVoteCommand('approve', 'h1', urlOf(port), person(tokenOf('kim'))),
        /^Hold h1 was denied already/,
        1,
      ],
      [() => holdsVoteCommand('approve', 'own', urlOf(port), person()), /^Hold own is your own request/, 1],
      [() => holdsShowCommand('h9', urlOf(port), person()), /^There is no hold h9 that you may see\./, 1],
      [() => holdsShowCommand('../whoami', urlOf(port), person()), /^"\.\.\/whoami" is no id of a hold$/, 2],
      [
        () => holdsShowCommand('h1\u001b[2J', urlOf(port), person()),
        /^"h1⟨U\+001B⟩\[2J" is no id of a hold$/,
        2,
      ],
      [
        () =>
          holdsVoteCommand(
            'deny',
            'own',
            { ...urlOf(port), reason: 'x'.repeat(501) },
            person(tokenOf('kim')),
          ),
        /^"reason" in the body/,
        1,
      ],
    ];
    for (const [job, message, status] of cases) {
      const failed = await failure(job());
      expect(failed.message).toMatch(message);
      expect(failed.status).toBe(status);
    }
  });
});

describe('what can be wrong before', () => {
  it('no token, or none that could be one', async () => {
    for (const token of ['', 'with space', 'with\nline']) {
      const failed = await failure(holdsListCommand({}, person(token)));
      expect(failed).toMatchObject({
        status: 2,
        message: expect.stringContaining('HOLDFAST_TOKEN') as string,
      });
    }
    const without = { ...person(), token: undefined };
    expect(await failure(holdsListCommand({}, without))).toMatchObject({ status: 2 });
  });

  it('a wrong token', async () => {
    const { port } = await startApi();
    expect(await failure(holdsListCommand(urlOf(port), person('x'.repeat(40))))).toEqual({
      status: 1,
      message: `http://127.0.0.1:${port} does not accept the token in HOLDFAST_TOKEN`,
    });
  });

  it('nobody there', async () => {
    const api = await startApi();
    const { port } = api;
    await api.close();
    expect(await failure(holdsListCommand(urlOf(port), person()))).toEqual({
      status: 1,
      message: `http://127.0.0.1:${port} cannot be reached: nothing listens there; --url names another address of Holdfast's admin port`,
    });
  });

  it('somebody else there', async () => {
    for (const answer of ['<html>', '{}', '{"holds":[{"id":1}],"more":false}']) {
      const failed = await failure(holdsListCommand({ url: await stranger(answer) }, person()));
      expect(failed.message).toMatch(/answered, but not as Holdfast's approvals API does/);
    }
    const old = await failure(
      holdsListCommand({ url: await stranger('{"error":"not found"}', 404) }, person()),
    );
    expect(old.message).toMatch(/has no approvals API$/);
  });

  it('a redirect: the token stays here', async () => {
    const reached = vi.fn();
    const thief = createServer((_request, response) => {
      reached();
      response.end();
    });
    await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      thief.close();
    });
    const location = `http://127.0.0.1:${(thief.address() as AddressInfo).port}/`;
    await failure(holdsListCommand({ url: await stranger('', 302, { location }) }, person()));
    expect(reached).not.toHaveBeenCalled();
  });

  it.each(['nonsense', 'ftp://x', 'http://user:secret@127.0.0.1/', 'http://127.0.0.1/?x=1'])(
    'no address: %s',
    async (url) => {
      const failed = await failure(holdsListCommand({ url }, person()));
      expect(failed.status).toBe(2);
      expect(failed.message).toMatch(/^--url /);
    },
  );

  it('an address that gets the token unencrypted is warned of', async () => {
    const people = person();
    await failure(holdsListCommand({ url: 'http://holdfast.invalid:1' }, people));
    expect(people.err).toEqual([
      'warning: the token goes to holdfast.invalid:1 unencrypted; use https or an SSH tunnel',
    ]);
  });
});

describe('list --watch', () => {
  it('prints what is open, then every change, and comes again', async () => {
    const ending = new AbortController();
    const api = await startApi({ heartbeatMs: 20 });
    await api.store.request(request());
    const people = person(undefined, ending.signal);
    const watching = holdsListCommand(
      { ...urlOf(api.port), watch: true },
      { ...people, token: tokenOf('dana') },
    );
    await vi.waitFor(() => {
      expect(people.out).toHaveLength(1);
    });
    expect(people.out[0]).toContain('h1');
    await api.store.vote('h1', { choice: 'approve', approver: DANA, reason: null });
    await vi.waitFor(() => {
      expect(people.out).toHaveLength(2);
    });
    expect(people.out[1]).toMatch(/^\d\d:\d\d:\d\d {2}h1 {2}approved {2}eng_sam@shop {2}DROP TABLE orders$/);
    // The policy does not know the caller for a moment: the stream ends, and begins anew.
    const before = api.approvers;
    api.approvers = [];
    await vi.waitFor(() => {
      expect(people.err).toEqual([`http://127.0.0.1:${api.port} ended the stream; trying again`]);
    });
    api.approvers = before;
    await vi.waitFor(
      () => {
        expect(people.out).toHaveLength(3);
      },
      { timeout: 5_000 },
    );
    ending.abort();
    expect(await watching).toBe(0);
  });

  it('as JSON, a line an event', async () => {
    const ending = new AbortController();
    const { port, store } = await startApi();
    const people = person(tokenOf('dana'), ending.signal);
    const watching = holdsListCommand({ ...urlOf(port), watch: true, json: true }, people);
    await vi.waitFor(() => {
      expect(people.out).toHaveLength(1);
    });
    await store.request(request({ subject: { sql: 'SELECT \u202e1' } }));
    await vi.waitFor(() => {
      expect(people.out).toHaveLength(2);
    });
    ending.abort();
    await watching;
    expect(people.out.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { event: 'open', data: { holds: [] } },
      { event: 'hold', data: { change: 'requested', hold: { id: 'h1', sql_start: 'SELECT \u202e1' } } },
    ]);
    expect(people.out[1]).toContain('\\u202e');
  });

  it('fails at once when it cannot begin', async () => {
    const { port } = await startApi();
    const failed = await failure(holdsListCommand({ ...urlOf(port), watch: true }, person('x'.repeat(40))));
    expect(failed.message).toMatch(/does not accept the token/);
    expect(
      await failure(holdsListCommand({ ...urlOf(port), watch: true, state: 'closed' }, person())),
    ).toMatchObject({ status: 2 });
  });
});
