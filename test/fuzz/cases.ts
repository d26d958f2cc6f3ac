/**
 * One fuzz case: a recorded session, damaged by the seed, cut by the seed, told to
 * the machines of src/session; and what must be true whatever came in.
 *
 * - Nothing is thrown but ProtocolViolation, and that out of greet() alone: the
 *   other machines end the session by themselves, once, and say nothing after.
 * - What reaches the server is whole messages of known types with valid lengths,
 *   and no text that the gate refuses; only copy data may be cut off at the end.
 * - While the server reports no error, no Sync and no Query reach it behind an execution
 *   that is counted before the gate has said that it stays, or something makes it fail.
 * - What reaches the client is whole messages, too: nothing of Holdfast's in the
 *   middle of one of the server's.
 * - Out comes what went in, and a bounded answer to each message of it.
 */
import { FRONTEND_NAMES } from '../../src/protocol/constants.js';
import { ProtocolViolation } from '../../src/protocol/violation.js';
import { Conversation } from '../../src/session/conversation.js';
import { greet } from '../../src/session/greeting.js';
import type { GreetingState } from '../../src/session/greeting.js';
import { Login } from '../../src/session/login.js';
import { backend, cut, frontend, int32 } from '../session/messages.js';
import { ScriptedGate } from '../session/scripted-gate.js';
import { random } from './random.js';

export type Side = 'client' | 'server' | 'hold' | 'leave' | 'lost' | 'resume';
/** What happens, in order: bytes from a side, or something that the driver does. */
export type Step = readonly [Side, Buffer];
export type Target = 'greeting' | 'login' | 'conversation';

const c = (...lines: string[]): Step[] => lines.map((line) => ['client', frontend(line)]);
const s = (...lines: string[]): Step[] => lines.map((line) => ['server', backend(line)]);

/** What the server answers to a count, the first of a session with what prepares it. */
const PREPARED = s('CloseComplete', 'ParseComplete');
const count = (rows: number): Step[] =>
  s('BindComplete', `DataRow "${rows.toString()}"`, 'CommandComplete "SELECT 1"', 'CloseComplete');
const CARRIED = s('ParseComplete', 'BindComplete', 'NoData');
const UNDONE = s('ErrorResponse 34000', 'ReadyForQuery I');
/** A statement that is counted, and nothing else, is bound to the portal of this name. */
const GUARDED = 'guarded';
const guarded = (sql: string): Step[] =>
  c(`Parse "" "${sql}"`, `Bind "${GUARDED}" ""`, `Execute "${GUARDED}" 0`, 'Sync');

/** Sessions as they go when all is well; the raw material. */
const CONVERSATIONS: readonly (readonly Step[])[] = [
  [
    ...c('Query "BEGIN; INSERT INTO t VALUES (1)"'),
    ...s('CommandComplete "BEGIN"', 'CommandComplete "INSERT 0 1"', 'ReadyForQuery T'),
    ...c('Query "DROP TABLE t"'),
    ...s('ErrorResponse 42601', 'ReadyForQuery E'),
    ...c('Query "ROLLBACK"', 'Terminate'),
    ...s('CommandComplete "ROLLBACK"', 'ReadyForQuery I'),
  ],
  [
    ...c('Parse "s" "SELECT $1"', 'Describe S "s"', 'Bind "" "s" "x"', 'Execute "" 0', 'Sync'),
    ...s('ParseComplete', 'ParameterDescription', 'RowDescription', 'BindComplete', 'DataRow "x"'),
    ...s('NoticeResponse 00000', 'CommandComplete "SELECT 1"', 'ReadyForQuery I'),
    ...c('Parse "" "DROP TABLE t"', 'Bind "" ""', 'Execute "" 0', 'Sync', 'Close S "s"', 'Sync'),
    ...s('ErrorResponse 34000', 'ReadyForQuery I', 'CloseComplete', 'ReadyForQuery I'),
  ],
  [
    ...c('Query "COPY t FROM STDIN"'),
    ...s('CopyInResponse'),
    ...c('CopyData "1\\n"', 'CopyData "DROP\\n"', 'CopyDone'),
    ...s('CommandComplete "COPY 2"', 'ReadyForQuery I'),
    ...c('Query "COPY t TO STDOUT"'),
    ...s('CopyOutResponse', 'CopyData "1\\n"', 'CopyDone', 'CommandComplete "COPY 1"', 'ReadyForQuery I'),
  ],
  [
    ...c('Parse "" "COPY t FROM STDIN"', 'Bind "" ""', 'Execute "" 0', 'Sync'),
    ...s('ParseComplete', 'BindComplete', 'CopyInResponse'),
    ...c('CopyData "x"', 'CopyDone', 'Sync'),
    ...s('ErrorResponse 22P02', 'ReadyForQuery I'),
    ...c('Sync', 'Query "SELECT 1"'),
    ...s('ReadyForQuery I', 'CommandComplete "SELECT 1"', 'ReadyForQuery I'),
  ],
  [
    ...c('Query "PREPARE p AS SELECT 1"', 'Query "EXECUTE p"', 'Query "DEALLOCATE ALL"', 'Query "WARN"'),
    ...s(
      'CommandComplete "PREPARE"',
      'ReadyForQuery I',
      'DataRow "1"',
      'CommandComplete "SELECT 1"',
      'ReadyForQuery I',
    ),
    ...s('CommandComplete "DEALLOCATE ALL"', 'ReadyForQuery I', 'ParameterStatus "a" "b"'),
    ...c('Parse "a" "WAIT"', 'Bind "a" "a"', 'Sync', 'FunctionCall'),
    ['resume', Buffer.alloc(0)],
    ...s('CommandComplete "WARN"', 'ReadyForQuery I', 'ParseComplete', 'BindComplete', 'ReadyForQuery I'),
  ],
];

/** The same, of what people decide about. */
const DECIDED: readonly (readonly Step[])[] = [
  [
    ...c('Parse "a" "PEOPLE"', 'Bind "p" "a"', 'Flush'),
    ...s('ParseComplete', 'BindComplete'),
    ...c('Execute "p" 0', 'Sync', 'Query "SELECT 1"'),
    ...s('ReadyForQuery I'),
    ['resume', Buffer.alloc(0)],
    ...s('CloseComplete', 'BindComplete', 'CommandComplete "SELECT 1"', 'ReadyForQuery I'),
    ...s('CommandComplete "SELECT 1"', 'ReadyForQuery I'),
  ],
];

/** The same, of statements that are counted. */
const COUNTED: readonly (readonly Step[])[] = [
  [
    ...guarded('UPDATE GUARD'),
    ...s('ParseComplete', 'BindComplete'),
    ...PREPARED,
    ...count(1),
    ...s('CommandComplete "UPDATE 2"'),
    ...count(3),
    ...s('ReadyForQuery I'),
    ...guarded('UPDATE GUARD'),
    ...s('ParseComplete', 'BindComplete'),
    ...count(3),
    ...s('CommandComplete "UPDATE 2"'),
    ...count(5),
    ...s('ReadyForQuery I'),
  ],
  [
    ...c('Query "DELETE GUARD LIMIT"', 'Query "SELECT 1"'),
    ...CARRIED,
    ...PREPARED,
    ...count(1),
    ...s('CommandComplete "DELETE 9"'),
    ...count(10),
    ...UNDONE,
    ...s('CommandComplete "SELECT 1"', 'ReadyForQuery I'),
  ],
  [
    ...guarded('DELETE GUARD PREVIEW UNDO HELD'),
    ...s('ParseComplete', 'BindComplete'),
    ...PREPARED,
    ...count(1),
    ...s('CommandComplete "DELETE 9"'),
    ...count(10),
    ...UNDONE,
    ['resume', Buffer.alloc(0)],
    ...s('CloseComplete', 'BindComplete'),
    ...count(1),
    ...s('CommandComplete "DELETE 9"'),
    ...count(10),
    ...s('ReadyForQuery I'),
  ],
  [
    ...guarded('UPDATE GUARD ASK KEEP'),
    ...s('ParseComplete', 'BindComplete'),
    ...s('ParseComplete', 'BindComplete', 'DataRow "yes"', 'CommandComplete "SELECT 1"'),
    ...s('CloseComplete', 'CloseComplete'),
    ...s('CloseComplete', 'CloseComplete', 'ParseComplete', 'BindComplete'),
    ...PREPARED,
    ...count(1),
    ...s('CommandComplete "UPDATE 2"'),
    ...count(3),
    ...s('DataRow "old"', 'CommandComplete "SELECT 1"', 'CloseComplete', 'CloseComplete'),
    ['resume', Buffer.alloc(0)],
    ...s('ParseComplete', 'BindComplete', 'CommandComplete "SELECT 0"', 'CloseComplete', 'CloseComplete'),
    ...s('ReadyForQuery I'),
  ],
  [
    ...c('Query "COPY GUARD FROM STDIN"'),
    ...CARRIED,
    ...PREPARED,
    ...count(0),
    ...s('CopyInResponse'),
    ...c('CopyData "1\\n"', 'CopyDone'),
    ...s('CommandComplete "COPY 1"'),
    ...count(1),
    ...s('CloseComplete', 'CloseComplete', 'ReadyForQuery I'),
  ],
];

const PLUS = Buffer.concat([
  Buffer.from('R\0\0\0\x2b'),
  int32(10),
  Buffer.from('SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0'),
]);
const LOGINS: readonly (readonly Step[])[] = [
  [
    ...s('Authentication 5 salt'),
    ...c('Password "md5"'),
    ...s('Authentication 0', 'ParameterStatus "a" "b"', 'BackendKeyData 7 01020304', 'ReadyForQuery I'),
    ...c('Query "SELECT 1"'),
  ],
  [
    ...s('NegotiateProtocolVersion 0'),
    ['server', PLUS],
    ...c('Password "SCRAM-SHA-256-PLUS"'),
    ...s('Authentication 11 r', 'NoticeResponse 00000'),
    ...c('Password "proof"'),
    ...s('Authentication 12 v', 'Authentication 0', 'ReadyForQuery I'),
  ],
];

const PARAMETERS = Buffer.from('user\0a\0database\0b\0_pq_.x\0y\0options\0-c a=b\0\0');
const GREETINGS: readonly (readonly Step[])[] = [
  [
    ['client', Buffer.concat([int32(8), int32(80_877_104)])],
    ['client', Buffer.concat([int32(8), int32(80_877_103)])],
    ['client', Buffer.concat([int32(8 + PARAMETERS.length), int32((3 << 16) | 2), PARAMETERS])],
  ],
  [['client', Buffer.concat([int32(16), int32(80_877_102), int32(7), int32(9)])]],
];

const SESSIONS: Readonly<Record<Target, readonly (readonly Step[])[]>> = {
  greeting: GREETINGS,
  login: LOGINS,
  conversation: [...CONVERSATIONS, ...DECIDED, ...COUNTED],
};

const LENGTHS = [0, 1, 3, 4, 5, 255, 9_999, 10_000, 10_001, 65_536, 0x7fffffff, 0x80000000, 0xffffffff];

function damage(bytes: Buffer, dice: () => number): Buffer {
  const at = Math.floor(dice() * bytes.length);
  const changed = Buffer.from(bytes);
  switch (Math.floor(dice() * 7)) {
    case 0:
      if (changed.length > 0) changed.writeUInt8(changed.readUInt8(at) ^ (1 << Math.floor(dice() * 8)), at);
      return changed;
    case 1:
      return changed.subarray(0, at);
    case 2:
      return Buffer.concat([changed, Buffer.alloc(Math.floor(dice() * 20), Math.floor(dice() * 256))]);
    case 3:
      if (changed.length >= 5) changed.writeUInt32BE(LENGTHS[Math.floor(dice() * LENGTHS.length)] ?? 0, 1);
      return changed;
    case 4:
      // Larger than it was, and honest about it.
      if (changed.length < 5) return changed;
      changed.writeUInt32BE(changed.length - 1 + 5_000, 1);
      return Buffer.concat([changed, Buffer.alloc(5_000, 0x61)]);
    case 5:
      return Buffer.from(Array.from({ length: Math.floor(dice() * 40) }, () => Math.floor(dice() * 256)));
    default:
      if (changed.length > 0) changed.writeUInt8(0, at);
      return changed;
  }
}

/** The steps of a case. */
export function caseOf(seed: number): { readonly target: Target; readonly steps: readonly Step[] } {
  const dice = random(seed);
  const pick = <T>(list: readonly T[]): T => {
    const found = list[Math.floor(dice() * list.length)];
    if (found === undefined) throw new Error('nothing to pick from');
    return found;
  };
  const kind = dice();
  const target: Target = kind < 0.1 ? 'greeting' : kind < 0.25 ? 'login' : 'conversation';
  let messages: Step[] = [...pick(SESSIONS[target])];
  if (dice() < 0.3) messages = [...messages, ...pick(SESSIONS[target])];
  for (let count = Math.floor(dice() * 5); count > 0; count--) {
    const [from, to] = [Math.floor(dice() * messages.length), Math.floor(dice() * messages.length)];
    const moved = messages[from];
    if (moved === undefined) continue;
    const what = dice();
    if (what < 0.25) {
      messages.splice(from, 1);
      messages.splice(to, 0, moved);
    } else if (what < 0.45) {
      messages.splice(to, 0, ...new Array<Step>(1 + Math.floor(dice() * 3)).fill(moved));
    } else if (what < 0.55) {
      messages.splice(from, 1);
    } else if (what < 0.7) {
      messages.splice(to, 0, pick(pick(SESSIONS[target])));
    } else if (what < 0.8 && target === 'conversation') {
      messages.splice(to, 0, [pick(['hold', 'leave', 'lost', 'resume'] as const), Buffer.alloc(0)]);
    } else {
      messages[from] = [moved[0], damage(moved[1], dice)];
    }
  }
  // Neighbours of one side arrive together, then everything is cut at random.
  const steps: Step[] = [];
  const chunk = pick([1, 3, 7, 64, 100_000]);
  let run: Buffer[] = [];
  for (const [index, [side, bytes]] of messages.entries()) {
    run.push(bytes);
    if (messages[index + 1]?.[0] === side && dice() < 0.8) continue;
    const joined = Buffer.concat(run);
    run = [];
    if (joined.length === 0) steps.push([side, joined]);
    for (let start = 0; start < joined.length;) {
      const end = start + 1 + Math.floor(dice() * chunk);
      steps.push([side, joined.subarray(start, end)]);
      start = end;
    }
  }
  return { target, steps };
}

function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const SERVER_TYPES = new Set(Array.from('123ACDEGHIKNRSTVWZcdnstv', (type) => type.charCodeAt(0)));

function checkToClient(stream: Buffer): void {
  for (const message of cut(stream)) {
    must(SERVER_TYPES.has(message[0] ?? 0), `the client got a message of type ${message[0]}`);
    must(message.length < 5 || message.readUInt32BE(1) >= 4, 'the client got a message with a bad length');
  }
}

function checkToServer(stream: Buffer): void {
  for (const message of cut(stream)) {
    const name = FRONTEND_NAMES[message[0] ?? 0];
    must(
      name !== undefined && name !== 'AuthenticationResponse',
      `the server got a message of type ${message[0]}`,
    );
    if (name === 'CopyData') continue;
    must(
      message.length >= 5 && message.readUInt32BE(1) === message.length - 1,
      `the server got part of a ${name}`,
    );
    const refused = (name === 'Query' || name === 'Parse') && /\bDROP\b/.test(message.toString('latin1'));
    must(!refused, `the server got a ${name} that the gate refuses`);
  }
}

/** Stands among what leaves for the server where the gate has said that what was counted stays. */
const PASSED = Buffer.from('passed');

/** @param server whatever the server said */
function checkCounted(said: readonly Buffer[], server: Buffer): void {
  // What fails on the server is over, and what comes behind it another transaction.
  if (server.includes('E')) return;
  let open = false;
  let executed = false;
  let run: Buffer[] = [];
  const look = (): void => {
    for (const message of cut(Buffer.concat(run))) {
      const name = FRONTEND_NAMES[message[0] ?? 0];
      const text = message.toString('latin1', 5);
      // It is counted where a count is sent right behind it.
      if (executed && name === 'Bind' && text.startsWith('holdfast_')) open = true;
      executed = name === 'Execute' && text.startsWith(`${GUARDED}\0`);
      must(!open || (name !== 'Sync' && name !== 'Query'), `a ${name ?? ''} before the gate's word`);
    }
    run = [];
  };
  for (const bytes of said) {
    if (bytes !== PASSED) {
      run.push(bytes);
      continue;
    }
    look();
    open = false;
  }
  look();
}

function converse(steps: readonly Step[]): void {
  const gate = new ScriptedGate();
  const said: Buffer[] = [];
  const toClient: Buffer[] = [];
  const fromServer: Buffer[] = [];
  let held: Buffer[] | null = null;
  gate.onPass = () => {
    (held ?? said).push(PASSED);
  };
  let failures = 0;
  let fed = 0;
  let messages = 0;
  const conversation = new Conversation(
    {
      gate,
      toServer: (bytes) => {
        must(failures === 0, 'something left for the server after the end');
        (held ?? said).push(Buffer.from(bytes));
      },
      toClient: (bytes) => toClient.push(Buffer.from(bytes)),
      terminated: () => undefined,
      requestEnded: () => undefined,
      failed: () => {
        failures += 1;
      },
    },
    { message: 8_000, names: 20, outstanding: 20 },
    'I',
  );
  for (const [side, bytes] of steps) {
    const saidBefore = toClient.length;
    const over = failures > 0;
    switch (side) {
      case 'client':
        fed += bytes.length;
        // The driver does not read a client that it has paused.
        if (!conversation.congested) conversation.receiveClient(Buffer.from(bytes));
        break;
      case 'server':
        fed += bytes.length;
        fromServer.push(bytes);
        conversation.receiveServer(Buffer.from(bytes));
        break;
      case 'hold':
        held ??= [];
        break;
      case 'leave':
        said.push(...(held ?? []));
        held = null;
        break;
      case 'lost':
        if (held === null) break;
        held = null;
        conversation.recordsLost();
        break;
      case 'resume':
        gate.released = true;
        conversation.resume();
        break;
    }
    messages += 1;
    if (held === null) conversation.sent(conversation.requested);
    must(!over || toClient.length === saidBefore, 'the client was told something after the end');
  }
  must(failures <= 1, 'the session ended twice');
  const toServer = said.filter((bytes) => bytes !== PASSED);
  const out = [...toServer, ...toClient].reduce((sum, bytes) => sum + bytes.length, 0);
  // A message is 5 bytes at least; what takes its place, or tells of it, is less than 300.
  must(out <= fed * 60 + messages * 300 + 1_000, `${out} bytes came of ${fed}`);
  checkToServer(Buffer.concat(toServer));
  checkCounted(said, Buffer.concat(fromServer));
  checkToClient(Buffer.concat(toClient));
}

function logIn(steps: readonly Step[]): void {
  let ends = 0;
  const toClient: Buffer[] = [];
  const toServer: Buffer[] = [];
  const login = new Login(
    {
      clientMinor: 2,
      extensions: ['_pq_.x'],
      clientTls: true,
      channelBindingObstacle: { message: 'no', hint: 'no' },
      randomBytes: (length) => Buffer.alloc(length),
    },
    {
      toServer: (bytes) => toServer.push(bytes),
      toClient: (bytes) => toClient.push(Buffer.from(bytes)),
      rejected: () => (ends += 1),
      failed: () => (ends += 1),
      ready: () => (ends += 1),
    },
  );
  for (const [side, bytes] of steps) {
    const over = ends > 0;
    const said = toClient.length + toServer.length;
    if (side === 'client') login.receiveClient(Buffer.from(bytes));
    else login.receiveServer(Buffer.from(bytes));
    must(
      !over || toClient.length + toServer.length === said,
      'something was said after the end of the login',
    );
  }
  must(ends <= 1, 'the login ended twice');
  checkToClient(Buffer.concat(toClient));
  for (const message of toServer) must(message[0] === 0x70, 'the server got something other than an answer');
}

function greetAll(steps: readonly Step[]): void {
  let state: GreetingState = 'fresh';
  let pending: Buffer = Buffer.alloc(0);
  try {
    for (const [, bytes] of steps) {
      pending = Buffer.concat([pending, bytes]);
      for (;;) {
        const step = greet(state, pending, true);
        if (step.kind === 'need_data') break;
        if (step.kind !== 'answer_no') return;
        must(step.rest.length < pending.length, 'a step took nothing');
        state = step.state;
        pending = step.rest;
      }
      must(pending.length <= 10_000, 'more is kept than a startup packet may be long');
    }
  } catch (error) {
    if (!(error instanceof ProtocolViolation)) throw error;
  }
}

/** @throws Error when something that must be true is not */
export function play(target: Target, steps: readonly Step[]): void {
  switch (target) {
    case 'greeting':
      greetAll(steps);
      break;
    case 'login':
      logIn(steps);
      break;
    case 'conversation':
      converse(steps);
      break;
  }
}
