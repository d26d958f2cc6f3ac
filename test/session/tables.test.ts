/** The tables are total, and each cell that says `violation` ends the session; each that does not, does not. */
import { describe, expect, test } from 'vitest';

import type { BackendName, FrontendName } from '../../src/protocol/constants.js';
import { Conversation } from '../../src/session/conversation.js';
import { GREETING_TRANSITIONS, greet } from '../../src/session/greeting.js';
import type { GreetingState } from '../../src/session/greeting.js';
import { LOGIN_TRANSITIONS, Login } from '../../src/session/login.js';
import { CLIENT_TRANSITIONS } from '../../src/session/client-transitions.js';
import type { ClientMode } from '../../src/session/client-transitions.js';
import { SERVER_TRANSITIONS } from '../../src/session/server-transitions.js';
import type { ReplyKind } from '../../src/session/server-transitions.js';
import { backend, frontend, int32 } from './messages.js';
import { ScriptedGate } from './scripted-gate.js';

const CLIENT_MESSAGES: Readonly<Record<FrontendName, string>> = {
  Query: 'Query "SELECT 1"',
  Parse: 'Parse "" "SELECT 1"',
  Bind: 'Bind "" ""',
  Describe: 'Describe S ""',
  Execute: 'Execute "" 0',
  Close: 'Close S ""',
  Sync: 'Sync',
  Flush: 'Flush',
  FunctionCall: 'FunctionCall',
  CopyData: 'CopyData "1"',
  CopyDone: 'CopyDone',
  CopyFail: 'CopyFail "no"',
  Terminate: 'Terminate',
  AuthenticationResponse: 'Password "secret"',
};

const SERVER_MESSAGES: Readonly<Record<BackendName, string>> = {
  ParseComplete: 'ParseComplete',
  BindComplete: 'BindComplete',
  CloseComplete: 'CloseComplete',
  NotificationResponse: 'NotificationResponse "a" "b"',
  CommandComplete: 'CommandComplete "SELECT 1"',
  DataRow: 'DataRow "1"',
  ErrorResponse: 'ErrorResponse 22012',
  CopyInResponse: 'CopyInResponse',
  CopyOutResponse: 'CopyOutResponse',
  CopyBothResponse: 'CopyBothResponse',
  EmptyQueryResponse: 'EmptyQueryResponse',
  BackendKeyData: 'BackendKeyData 7 01020304',
  NoticeResponse: 'NoticeResponse 00000',
  Authentication: 'Authentication 0',
  ParameterStatus: 'ParameterStatus "a" "b"',
  RowDescription: 'RowDescription',
  FunctionCallResponse: 'FunctionCallResponse',
  ReadyForQuery: 'ReadyForQuery I',
  CopyDone: 'CopyDone',
  CopyData: 'CopyData "1"',
  NoData: 'NoData',
  PortalSuspended: 'PortalSuspended',
  ParameterDescription: 'ParameterDescription',
  NegotiateProtocolVersion: 'NegotiateProtocolVersion 0',
};

interface Talk {
  readonly conversation: Conversation;
  readonly ended: string[];
  readonly why: string[];
}

function talk(): Talk {
  const ended: string[] = [];
  const why: string[] = [];
  const gate = new ScriptedGate();
  gate.functionCalls = true;
  const conversation = new Conversation(
    {
      gate,
      toServer: () => undefined,
      toClient: () => undefined,
      terminated: () => ended.push('terminated'),
      requestEnded: () => undefined,
      failed: ({ sqlstate, message }) => {
        ended.push(sqlstate);
        why.push(message);
      },
    },
    { message: 10_000, names: 10, outstanding: 10 },
    'I',
  );
  return { conversation, ended, why };
}

/** How to bring a conversation into each mode. */
const MODES: Readonly<Record<ClientMode, (conversation: Conversation) => void>> = {
  ready: () => undefined,
  skipping: (conversation) => {
    conversation.receiveClient(frontend('Parse "" "DROP"'));
  },
  copying: (conversation) => {
    conversation.receiveClient(frontend('Query "COPY t FROM STDIN"'));
    conversation.receiveServer(backend('CopyInResponse'));
  },
  copy_stopped: (conversation) => {
    conversation.receiveClient(frontend('Query "COPY t FROM STDIN"'));
    conversation.receiveServer(backend('CopyInResponse'));
    conversation.receiveClient(frontend(`CopyData "${'x'.repeat(10_001)}"`));
  },
  copy_failed: (conversation) => {
    for (const line of ['Execute "" 0', 'Sync']) conversation.receiveClient(frontend(line));
    conversation.receiveServer(backend('CopyInResponse'));
    conversation.receiveServer(backend('ErrorResponse 22P02'));
  },
};

describe('the client’s messages in each mode', () => {
  for (const [mode, enter] of Object.entries(MODES)) {
    for (const [name, line] of Object.entries(CLIENT_MESSAGES)) {
      const action = CLIENT_TRANSITIONS[mode as ClientMode][name as FrontendName];
      test(`${mode}: ${name}: ${action}`, () => {
        const { conversation, ended } = talk();
        enter(conversation);
        expect(ended).toEqual([]);
        conversation.receiveClient(frontend(line));
        expect(ended).toEqual(
          action === 'violation' ? ['08P01'] : action === 'terminate' ? ['terminated'] : [],
        );
      });
    }
  }
});

const c = (...lines: string[]): Said[] => lines.map((line) => ['client', line]);
const s = (...lines: string[]): Said[] => lines.map((line) => ['server', line]);
type Said = readonly ['client' | 'server', string];

/** A statement prepared and bound in a transaction block, or outside of one. */
const bound = (sql: string, block: 'T' | 'I'): Said[] => [
  ...c('Query "BEGIN"'),
  ...s('CommandComplete "BEGIN"', `ReadyForQuery ${block}`),
  ...c(`Parse "" "${sql}"`, 'Bind "" ""', 'Execute "" 0'),
  ...s('ParseComplete', 'BindComplete', 'CloseComplete', 'ParseComplete'),
];
const OWN = s('ParseComplete', 'BindComplete', 'CommandComplete "SAVEPOINT"', 'CloseComplete');
const ASKED = s('ParseComplete', 'BindComplete', 'CommandComplete "SELECT 0"', 'CloseComplete');
const COUNT = s('BindComplete', 'DataRow "1"', 'CommandComplete "SELECT 1"', 'CloseComplete');
const DONE = s('CommandComplete "UPDATE 1"');
/** Bound, executed and counted twice. */
const counted = (sql: string, block: 'T' | 'I'): Said[] => [
  ...bound(sql, block),
  ...(block === 'T' ? [...OWN, ...s('CloseComplete')] : []),
  ...COUNT,
  ...DONE,
  ...COUNT,
];
const CARRIED = s('ParseComplete', 'BindComplete', 'NoData');
const CARRIED_TWO = [
  ...c('Query "GUARD 1; SELECT 1"'),
  ...CARRIED,
  ...s('CloseComplete', 'ParseComplete'),
  ...COUNT,
  ...DONE,
  ...COUNT,
];

/** What makes each kind of reply the one that is due. */
const DUE: Readonly<Record<ReplyKind | 'nothing', readonly Said[]>> = {
  nothing: [],
  query: c(CLIENT_MESSAGES.Query),
  refused_query: c('Query "DROP"'),
  parse: c(CLIENT_MESSAGES.Parse),
  bind: [...c('Parse "" "SELECT 1"'), ...s('ParseComplete'), ...c('Bind "" ""')],
  describe: c(CLIENT_MESSAGES.Describe),
  execute: c(CLIENT_MESSAGES.Execute),
  close: c(CLIENT_MESSAGES.Close),
  refused_message: c('Parse "" "DROP"'),
  sync: c('Sync'),
  function_call: c('FunctionCall'),
  count_close: bound('GUARD', 'I').slice(0, -2),
  count_parse: bound('GUARD', 'I').slice(0, -1),
  count: bound('GUARD', 'I'),
  own: bound('GUARD PREVIEW', 'T'),
  own_close: [...bound('GUARD PREVIEW', 'T'), ...OWN],
  asked: bound('GUARD ASK', 'I').slice(0, -2),
  asked_open: [
    ...bound('GUARD ASK', 'I').slice(0, -2),
    ...ASKED,
    ...s('CloseComplete', 'CloseComplete', 'CloseComplete'),
  ],
  undo_close: [...counted('GUARD PREVIEW UNDO', 'T'), ...OWN, ...s('CloseComplete'), ...OWN],
  undo_execute: counted('GUARD PREVIEW UNDO', 'I'),
  undo_sync: [...counted('GUARD PREVIEW UNDO', 'I'), ...s('ErrorResponse 34000')],
  guarded_execute: [...bound('GUARD COPY FROM STDIN', 'I'), ...COUNT],
  preview_execute: [...bound('GUARD PREVIEW', 'I'), ...COUNT],
  preview_describe: [...c('Query "GUARD PREVIEW"'), ...s('ParseComplete', 'BindComplete')],
  rebind: [
    ...counted('GUARD PREVIEW UNDO', 'I'),
    ...s('ErrorResponse 34000', 'ReadyForQuery I', 'CloseComplete'),
  ],
  carried_parse: c('Query "GUARD"'),
  carried_bind: [...c('Query "GUARD"'), ...s('ParseComplete')],
  carried_describe: [...c('Query "GUARD"'), ...s('ParseComplete', 'BindComplete')],
  carried_execute: [...c('Query "SELECT 1; GUARD"'), ...CARRIED],
  carried_last: [...CARRIED_TWO, ...CARRIED],
  carried_close: [...CARRIED_TWO, ...CARRIED, ...DONE],
  carried_sync: [...CARRIED_TWO, ...CARRIED, ...DONE, ...s('CloseComplete', 'CloseComplete')],
};

describe('the server’s messages for each reply that is due', () => {
  for (const [kind, before] of Object.entries(DUE)) {
    for (const [name, line] of Object.entries(SERVER_MESSAGES)) {
      const action = SERVER_TRANSITIONS[kind as ReplyKind | 'nothing'][name as BackendName];
      test(`${kind}: ${name}: ${action}`, () => {
        const { conversation, ended } = talk();
        for (const [side, said] of before) {
          if (side === 'client') conversation.receiveClient(frontend(said));
          else conversation.receiveServer(backend(said));
        }
        expect(ended).toEqual([]);
        conversation.receiveServer(backend(line));
        expect(ended).toEqual(action === 'violation' ? ['08P01'] : []);
      });
    }
  }

  test('each of them is really the one that is due', () => {
    for (const [kind, before] of Object.entries(DUE)) {
      const { conversation, why } = talk();
      for (const [side, said] of before) {
        if (side === 'client') conversation.receiveClient(frontend(said));
        else conversation.receiveServer(backend(said));
      }
      // A message that no request is ever answered with names what was due.
      conversation.receiveServer(backend('BackendKeyData 7 01020304'));
      expect(why.join()).toContain(`(${kind} was due)`);
    }
  });
});

type LoginState = keyof typeof LOGIN_TRANSITIONS;

const LOGIN_STATES: Readonly<Record<LoginState, readonly string[]>> = {
  negotiating: [],
  asked: ['Authentication 3'],
  continued: ['Authentication 7', '', 'Authentication 8 token'],
  answered: ['Authentication 3', ''],
  accepted: ['Authentication 0'],
};

describe('the server’s messages during login', () => {
  for (const [state, before] of Object.entries(LOGIN_STATES)) {
    for (const [name, line] of Object.entries(SERVER_MESSAGES)) {
      const action = LOGIN_TRANSITIONS[state as LoginState][name as BackendName];
      test(`${state}: ${name}: ${action}`, () => {
        const ended: string[] = [];
        const login = new Login(
          {
            clientMinor: 0,
            extensions: [],
            clientTls: false,
            channelBindingObstacle: null,
            randomBytes: (length) => Buffer.alloc(length),
          },
          {
            toServer: () => undefined,
            toClient: () => undefined,
            rejected: (sqlstate) => ended.push(`rejected ${sqlstate}`),
            failed: ({ sqlstate }) => ended.push(sqlstate),
            ready: () => ended.push('ready'),
          },
        );
        for (const step of before) {
          if (step === '') login.receiveClient(frontend('Password "secret"'));
          else login.receiveServer(backend(step));
        }
        expect(ended).toEqual([]);
        login.receiveServer(backend(line));
        const expected = { violation: ['08P01'], error: ['rejected 22012'], ready: ['ready'] };
        expect(ended).toEqual(action in expected ? expected[action as keyof typeof expected] : []);
      });
    }
  }
});

const PACKETS = {
  ssl_request: Buffer.concat([int32(8), int32(80_877_103)]),
  gssenc_request: Buffer.concat([int32(8), int32(80_877_104)]),
  cancel_request: Buffer.concat([int32(16), int32(80_877_102), int32(7), int32(9)]),
  startup: Buffer.concat([int32(8 + 8), int32(3 << 16), Buffer.from('user\0a\0\0')]),
} as const;

describe('the first packets', () => {
  for (const state of Object.keys(GREETING_TRANSITIONS) as GreetingState[]) {
    for (const [kind, packet] of Object.entries(PACKETS) as [keyof typeof PACKETS, Buffer][]) {
      const action = GREETING_TRANSITIONS[state][kind];
      test(`${state}: ${kind}: ${action}`, () => {
        const step = (tls: boolean): unknown => greet(state, packet, tls).kind;
        switch (action) {
          case 'negotiate_ssl':
            expect([step(true), step(false)]).toEqual(['answer_tls', 'answer_no']);
            break;
          case 'refuse_gss':
            expect(step(true)).toBe('answer_no');
            break;
          case 'cancel':
            expect(step(true)).toBe('cancel');
            break;
          case 'start':
            expect(step(true)).toBe('start');
            break;
          case 'violation':
            expect(() => step(true)).toThrow(expect.objectContaining({ sqlstate: '08P01' }));
        }
      });
    }
  }
});
