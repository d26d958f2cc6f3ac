/**
 * Transcripts: what is said on both wires, line by line.
 *
 *   > Query "DROP TABLE t"                          the client sends
 *   => Query "holdfast refused this statement"      this reaches the server
 *   <= ErrorResponse 42601                          the server sends
 *   < ErrorResponse 42501                           this reaches the client
 *
 * Lines that send, one below the other, arrive in one burst. `* …` is what the
 * conversation tells its driver (`* failed 08P01`, `* terminated`); `= …` is how an
 * execution ended, checked where a transcript has such a line. `! …` is what the
 * driver does: `resume`, `revoke`, `hold` (nothing leaves for the server, as while
 * the audit log is slow), `leave` (what was held leaves), `lost` (what was held is
 * dropped, since its records could not be written), `status T`, `functions`.
 * `-- …` explains. What Holdfast sends of its own to have something counted, and what the
 * server answers, is written short: `=> (count)`, `<= (count 7)`; SHORT has them all.
 *
 * Each transcript is replayed with each burst cut in two at every offset, and with
 * every byte alone; whatever the cuts, the same must be said.
 */
import { expect } from 'vitest';
import { Conversation } from '../../src/session/conversation.js';
import type { ConversationLimits } from '../../src/session/conversation.js';
import type { TransactionStatus } from '../../src/protocol/constants.js';
import { backend, backendLine, cut, frontend, frontendLine } from './messages.js';
import { ScriptedGate } from './scripted-gate.js';

/** Several messages in one line. */
function long(said: string): readonly string[] {
  const [, name = '', rest = ''] = /^\((\w+) ?(.*)\)$/.exec(said) ?? [];
  return name === '' ? [said] : (SHORT[name]?.(rest) ?? [said]);
}

const SHORT: Readonly<Record<string, (rest: string) => readonly string[]>> = {
  // To the server.
  prepare: () => ['Close S "count"', 'Parse "count" "SELECT counts"'],
  count: (rows) =>
    rows === ''
      ? ['Bind "own" "count"', 'Execute "own"', 'Close P "own"']
      : ['BindComplete', `DataRow "${rows}"`, 'CommandComplete "SELECT 1"', 'CloseComplete'],
  names: (rows) => (SHORT['count']?.(rows) ?? []).map((line) => line.replace('"count"', '"names"')),
  prepare_names: () => ['Close S "names"', 'Parse "names" "SELECT names"'],
  own: (sql) => [
    `Parse "own" "${sql} own"`,
    'Bind "own" "own"',
    'Execute "own"',
    'Close P "own"',
    'Close S "own"',
  ],
  ask: (sql) => [
    `Parse "own" "${sql}"`,
    'Bind "own" "own"',
    'Execute "own"',
    'Close P "own"',
    'Close S "own"',
  ],
  open: () => ['Close P "own_0"', 'Close S "own_0"', 'Parse "own_0" "SELECT rows"', 'Bind "own_0" "own_0"'],
  read: () => ['Execute "own_0"', 'Close P "own_0"', 'Close S "own_0"'],
  carry: (sql) => [`Parse "" ${sql}`, 'Bind "" ""', 'Describe P ""'],
  end: () => ['Close P ""', 'Close S ""', 'Sync'],
  // From the server.
  prepared: () => ['CloseComplete', 'ParseComplete'],
  owned: () => ['ParseComplete', 'BindComplete', 'CommandComplete "DONE"', 'CloseComplete', 'CloseComplete'],
  asked: (rows) => [
    'ParseComplete',
    'BindComplete',
    `DataRow "${rows}"`,
    'CommandComplete "SELECT 1"',
    'CloseComplete',
    'CloseComplete',
  ],
  opened: () => ['CloseComplete', 'CloseComplete', 'ParseComplete', 'BindComplete'],
  kept: (rows) => [`DataRow "${rows}"`, 'CommandComplete "SELECT 1"', 'CloseComplete', 'CloseComplete'],
  carried: () => ['ParseComplete', 'BindComplete', 'NoData'],
  ended: () => ['CloseComplete', 'CloseComplete'],
};

type Step =
  | { readonly kind: 'client' | 'server'; readonly bytes: Buffer; readonly after: number }
  | { readonly kind: 'control'; readonly what: string; readonly after: number };

interface Script {
  readonly steps: readonly Step[];
  /** What must have been said, per ear, by the time of the next step. */
  readonly expected: readonly Heard[];
  readonly outcomes: readonly string[];
}

interface Heard {
  readonly server: string[];
  readonly client: string[];
  readonly driver: string[];
}

function silence(): Heard {
  return { server: [], client: [], driver: [] };
}

function read(text: string): Script {
  const steps: Step[] = [];
  const expected: Heard[] = [silence()];
  const outcomes: string[] = [];
  let burst = null as { kind: 'client' | 'server'; bytes: Buffer[] } | null;
  const endBurst = (): void => {
    if (burst === null) return;
    steps.push({ kind: burst.kind, bytes: Buffer.concat(burst.bytes), after: steps.length + 1 });
    expected.push(silence());
    burst = null;
  };
  for (const line of text.split('\n').map((each) => each.trim())) {
    const [mark = '', said = ''] = /^(\S+)\s*(.*)$/.exec(line)?.slice(1) ?? [];
    switch (mark) {
      case '':
      case '--':
        break;
      case '>':
      case '<=': {
        const kind = mark === '>' ? 'client' : 'server';
        const bytes = Buffer.concat(long(said).map(kind === 'client' ? frontend : backend));
        if (burst?.kind === kind) {
          burst.bytes.push(bytes);
        } else {
          endBurst();
          burst = { kind, bytes: [bytes] };
        }
        break;
      }
      case '!':
        endBurst();
        steps.push({ kind: 'control', what: said, after: steps.length + 1 });
        expected.push(silence());
        break;
      case '=>':
        endBurst();
        expected.at(-1)?.server.push(...long(said));
        break;
      case '<':
        endBurst();
        expected.at(-1)?.client.push(said);
        break;
      case '*':
        endBurst();
        expected.at(-1)?.driver.push(said);
        break;
      case '=':
        outcomes.push(said);
        break;
      default:
        throw new Error(`not a line of a transcript: ${line}`);
    }
  }
  endBurst();
  return { steps, expected, outcomes };
}

const LIMITS: ConversationLimits = { message: 1_000_000, names: 100, outstanding: 100 };

/** How the bursts are cut: step, offset within it; `everywhere` is every byte alone. */
type Cut = { readonly step: number; readonly offset: number } | 'everywhere' | 'nowhere';

function pieces(bytes: Buffer, step: number, cutting: Cut): Buffer[] {
  if (cutting === 'everywhere') return Array.from(bytes, (byte) => Buffer.from([byte]));
  if (cutting === 'nowhere' || cutting.step !== step) return [Buffer.from(bytes)];
  return [Buffer.from(bytes.subarray(0, cutting.offset)), Buffer.from(bytes.subarray(cutting.offset))];
}

function play(
  script: Script,
  cutting: Cut,
  limits: ConversationLimits,
): { heard: Heard[]; outcomes: string[] } {
  const gate = new ScriptedGate();
  const driver: string[] = [];
  let toServer: Buffer[] = [];
  let toClient: Buffer[] = [];
  let held: Buffer[] | null = null;
  let status: TransactionStatus = 'I';
  let conversation: Conversation | null = null;
  const open = (): Conversation =>
    (conversation ??= new Conversation(
      {
        gate,
        toServer: (bytes) => (held ?? toServer).push(Buffer.from(bytes)),
        toClient: (bytes) => toClient.push(Buffer.from(bytes)),
        terminated: () => driver.push('terminated'),
        requestEnded: () => undefined,
        failed: ({ sqlstate }) => driver.push(`failed ${sqlstate}`),
      },
      limits,
      status,
    ));
  const left = (): void => {
    if (held === null) open().sent(open().requested);
  };
  const control = (what: string): void => {
    switch (what) {
      case 'resume':
        gate.released = true;
        open().resume();
        left();
        break;
      case 'revoke':
        gate.revoked = true;
        break;
      case 'functions':
        gate.functionCalls = true;
        break;
      case 'status T':
        status = 'T';
        break;
      case 'hold':
        held = [];
        break;
      case 'leave':
        toServer.push(...(held ?? []));
        held = null;
        left();
        break;
      case 'lost':
        held = null;
        open().recordsLost();
        left();
        break;
      default:
        throw new Error(`not a thing to do: ${what}`);
    }
  };
  let serverRest: Buffer = Buffer.alloc(0);
  let clientRest: Buffer = Buffer.alloc(0);
  let told = 0;
  // A message may be passed on in parts, so what is not whole at the end of a step is looked at again after the next.
  const split = (bytes: Buffer): [string[] | Buffer[], Buffer] => {
    const messages = cut(bytes);
    const last = messages.at(-1);
    const whole = last === undefined || (last.length >= 5 && last.readUInt32BE(1) === last.length - 1);
    return whole ? [messages, Buffer.alloc(0)] : [messages.slice(0, -1), last];
  };
  const listen = (): Heard => {
    const [serverMessages, moreServer] = split(Buffer.concat([serverRest, ...toServer]));
    const [clientMessages, moreClient] = split(Buffer.concat([clientRest, ...toClient]));
    serverRest = moreServer;
    clientRest = moreClient;
    toServer = [];
    toClient = [];
    const news = driver.slice(told);
    told = driver.length;
    return {
      server: (serverMessages as Buffer[]).map(frontendLine),
      client: (clientMessages as Buffer[]).map(backendLine),
      driver: news,
    };
  };
  const heard: Heard[] = [silence()];
  for (const [index, step] of script.steps.entries()) {
    if (step.kind === 'control') {
      control(step.what);
    } else {
      for (const piece of pieces(step.bytes, index, cutting)) {
        if (step.kind === 'client') open().receiveClient(piece);
        else open().receiveServer(piece);
        left();
        // Whoever gave the bytes may do with them what they like.
        if (step.kind === 'server') piece.fill(0xee);
      }
    }
    heard.push(listen());
  }
  if (serverRest.length > 0) heard.at(-1)?.server.push(frontendLine(serverRest));
  if (clientRest.length > 0) heard.at(-1)?.client.push(backendLine(clientRest));
  return { heard, outcomes: gate.outcomes };
}

/** Replays a transcript, whole and at every cut. */
export function transcript(text: string, limits: Partial<ConversationLimits> = {}): void {
  const script = read(text);
  const all = { ...LIMITS, ...limits };
  const expected = { heard: script.expected };
  const whole = play(script, 'nowhere', all);
  expect({ heard: whole.heard }).toEqual(expected);
  if (script.outcomes.length > 0) expect(whole.outcomes).toEqual(script.outcomes);
  const wanted = JSON.stringify(whole);
  const compare = (cutting: Cut): void => {
    const again = play(script, cutting, all);
    if (JSON.stringify(again) === wanted) return;
    expect({ cutting, ...again }).toEqual({ cutting, ...whole });
  };
  for (const [step, { kind, ...rest }] of script.steps.entries()) {
    if (kind === 'control' || !('bytes' in rest)) continue;
    for (let offset = 1; offset < rest.bytes.length; offset++) compare({ step, offset });
  }
  compare('everywhere');
}
